//! Reads from AWS what there is of an app.

use std::{collections::BTreeSet, time::Duration};

use super::{AttachmentSource, Desired, Observed, ObservedLogGroup, function::needs_detail, retain::is_as_given};
use crate::{
    api::{
        app::{App, FunctionStatus},
        condition::{ConditionType, Leg},
        network::NetworkKey,
    },
    aws::{AwsError, Failure, FunctionName, ListedFunction, MaxAge, Role, RoleName, Since, Snapshot},
    engine::{Freshness, Settings},
    identity::{AppIdentity, FUNCTIONS_GROUP, HandOver, NetworkIdentity, is_retained, missing_tags},
    network::{
        Interfaces, OtherFunctions, Service, VpcOwnership, check_subnets, functions_of, interfaces_of_functions,
        interfaces_that_need,
    },
    plan::{Source, Unread},
    policy::is_role_of,
};

/// Looks at what there is of an app, each part by itself.
///
/// # Errors
/// As [`Unread::take`]. What cannot be read otherwise is [`Observed::unread`].
pub async fn observe(
    snapshot: &Snapshot,
    desired: &Desired,
    recorded: Option<&FunctionStatus>,
    given_role_id: Option<String>,
    closely: bool,
    fresh: &Freshness,
    settings: &Settings,
) -> Result<Observed, AwsError> {
    let mut unread = Unread::default();
    let name = desired.identity.function_name();
    let role_age = fresh.of(ConditionType::ExecutionRoleReady);
    let role = snapshot.role(&desired.identity.role_name(), role_age, closely).await;
    let role = unread.take(Source::Roles, role)?.flatten();
    // The role lacks tags that everything of the app is to have: the setting may have changed, and no table shows the others'.
    let ours = role.as_ref().filter(|role| desired.identity.installation.owns(&role.tags));
    let untagged = ours.is_some_and(|role| !missing_tags(&desired.tags, &role.tags).is_empty());
    let closely = closely || untagged;
    let listed = async || match snapshot.listed_function(&name, MaxAge::Any).await? {
        // What is looked at closely is asked for by its name.
        ListedFunction::Missing if !closely => {
            snapshot.listed_function(&name, fresh.of(ConditionType::FunctionReady)).await
        }
        listed => Ok(listed),
    };
    let (listing, is_unknown) = match unread.take(Source::Functions, listed().await)? {
        Some(ListedFunction::Found(listing)) => (Some(*listing), false),
        Some(ListedFunction::Unknown) => (None, true),
        Some(ListedFunction::Missing) | None => (None, false),
    };
    let group = snapshot.log_group(&desired.identity.log_group_name(), MaxAge::Any).await;
    let group = unread.take(Source::LogGroups, group)?.flatten();
    let another_role = !unread.lacks(Source::Roles) && role.as_ref().map(|role| &role.id) != given_role_id.as_ref();
    let needed = is_unknown
        || (listing.is_some() && another_role)
        || needs_detail(listing.as_ref(), &desired.function, recorded);
    let (listing, detail) = if needed || closely {
        let answer = match snapshot.function(&name).await {
            // Whoever may not ask for one function may list them all: what the list does not have is not there.
            Err(error) if error.failure == Failure::AccessDenied && listing.is_none() => {
                let listed = snapshot.functions(fresh.of(ConditionType::FunctionReady)).await;
                if listed.is_ok_and(|listed| !listed.contains_key(&name)) { Ok(None) } else { Err(error) }
            }
            answer => answer,
        };
        let detail = unread.take(Source::Functions, answer)?.flatten();
        (detail.as_ref().map(|detail| detail.listing.clone()), detail)
    } else {
        (listing, None)
    };
    let log_group = match group {
        // A group that was there before its function may be somebody else's. While the function waits for its network,
        // that can wait too: else each look of each app would cost a call.
        Some(group)
            if closely
                || (listing.is_none() && desired.function.attachment == AttachmentSource::Network)
                || !desired.log_retention.is_met_by(&group) =>
        {
            // One that was created just now has the tags with which it was created.
            let tags = if !closely && snapshot.created_log_group(&group.name) {
                Some(Some(desired.tags.clone()))
            } else {
                unread.take(Source::LogGroups, snapshot.log_group_tags(&group).await)?
            };
            tags.flatten().map(|tags| ObservedLogGroup { group, tags: Some(tags) })
        }
        group => group.map(|group| ObservedLogGroup { group, tags: None }),
    };
    let ownership = vpc_ownership(snapshot, &desired.identity, Proof::Known, fresh, settings).await;
    let ownership = unread.take(Source::SecurityGroups, ownership)?.unwrap_or_default();
    Ok(Observed { role, given_role_id, log_group, listing, detail, interfaces: BTreeSet::new(), ownership, unread })
}

/// Looks at what there is of an app that is to leave its resources: its role, and its function where the role tells that it
/// needs something. `given_role_id` is the role that the function was given, as far as it is known.
///
/// # Errors
/// As the reads behind it.
pub async fn observe_retained(
    snapshot: &Snapshot,
    identity: &AppIdentity,
    given_role_id: Option<String>,
    fresh: &Freshness,
    settings: &Settings,
) -> Result<Observed, AwsError> {
    let mut unread = Unread::default();
    let role = snapshot.role(&identity.role_name(), fresh.of(ConditionType::ExecutionRoleReady), false).await;
    let Some(role) = unread.take(Source::Roles, role)? else {
        return Ok(Observed { unread, ..Observed::default() });
    };
    let needs_nothing = |role: &Role| is_retained(&role.tags) || is_as_given(identity, role, given_role_id.as_deref());
    let detail = match &role {
        Some(role) if needs_nothing(role) => None,
        _ => unread.take(Source::Functions, snapshot.function(&identity.function_name()).await)?.flatten(),
    };
    let ownership = vpc_ownership(snapshot, identity, Proof::Read, fresh, settings).await?;
    Ok(Observed { role, given_role_id, detail, ownership, unread, ..Observed::default() })
}

/// Looks at what there is of an app that is to go with its resources.
///
/// # Errors
/// As the reads behind it.
pub async fn observe_remains(
    snapshot: &Snapshot,
    identity: &AppIdentity,
    network: &NetworkIdentity,
    fresh: &Freshness,
    settings: &Settings,
) -> Result<Observed, AwsError> {
    let mut unread = Unread::default();
    let (name, function) = (identity.role_name(), identity.function_name());
    let role = snapshot.role(&name, fresh.of(ConditionType::ExecutionRoleReady), false).await;
    let role = unread.take(Source::Roles, role)?.flatten();
    let ownership = vpc_ownership(snapshot, identity, Proof::Read, fresh, settings).await?;
    let others =
        if unread.lacks(Source::Roles) { BTreeSet::new() } else { others_on(network, &name, snapshot).await? };
    // Where the list cannot be read, the function is asked for by its name.
    let seen = snapshot.see_deleted_function_with_others(&function, &others).await;
    Unread::default().take(Source::Functions, seen)?;
    let (detail, gone_since) = match snapshot.function_gone_since(&function) {
        Some(since) if !unread.lacks(Source::Functions) => (None, Some(since)),
        _ => {
            let detail = unread.take(Source::Functions, snapshot.function(&function).await)?.flatten();
            (detail, snapshot.function_gone_since(&function))
        }
    };
    // Its log group and its interfaces are nobody's question before it is gone.
    if unread.lacks(Source::Functions) || detail.as_ref().is_some_and(|detail| identity.installation.owns(&detail.tags))
    {
        return Ok(Observed { role, detail, ownership, unread, ..Observed::default() });
    }
    let log_group = snapshot.log_group(&identity.log_group_name(), fresh.of(ConditionType::FunctionReady)).await;
    let log_group = match unread.take(Source::LogGroups, log_group)?.flatten() {
        Some(group) => {
            let tags = unread.take(Source::LogGroups, snapshot.log_group_tags(&group).await)?.flatten();
            tags.map(|tags| ObservedLogGroup { group, tags: Some(tags) })
        }
        None => None,
    };
    let since = gone_since.unwrap_or_else(|| snapshot.since_now());
    let interfaces = interfaces(snapshot, (identity, role.as_ref()), network, since);
    let interfaces = unread.take(Source::Interfaces, interfaces.await)?.unwrap_or_default();
    let released = |remaining| interfaces_that_need(&name, &interfaces, remaining);
    let mut remaining = OtherFunctions::Absent;
    if !others.is_empty() && released(OtherFunctions::Absent) != released(OtherFunctions::Present) {
        // As of the end of the function: one that is still there goes after this one, if it goes. Where they cannot be
        // read, the role is kept: the network, which has it then, decides, and tells what it cannot read.
        let is_there = snapshot.is_any_function_there(&others, since).await;
        if Unread::default().take(Source::Functions, is_there)?.unwrap_or_default() {
            remaining = OtherFunctions::Present;
        }
    }
    let interfaces = released(remaining);
    Ok(Observed { role, log_group, detail, interfaces, ownership, unread, ..Observed::default() })
}

/// The functions of the other apps on the network, by their roles that are still theirs.
async fn others_on(
    network: &NetworkIdentity,
    name: &RoleName,
    snapshot: &Snapshot,
) -> Result<BTreeSet<FunctionName>, AwsError> {
    let roles = Unread::default().take(Source::Roles, snapshot.roles(MaxAge::Any).await)?;
    let is_another =
        |role: &&Role| role.name != *name && is_role_of(network, role) && HandOver::from_tags(&role.tags).is_none();
    let others = roles.iter().flat_map(|roles| roles.values()).filter(is_another);
    Ok(functions_of(others))
}

/// The interfaces among which those are for whose release Lambda may need the app's role, once its function is gone: those of functions
/// on the network, and of this one wherever somebody moved it to. Where the role is gone, the network sees to those that carry its
/// group.
async fn interfaces(
    snapshot: &Snapshot,
    (identity, role): (&AppIdentity, Option<&Role>),
    network: &NetworkIdentity,
    since: Since,
) -> Result<Interfaces, AwsError> {
    let groups = snapshot.security_groups(MaxAge::Any).await?;
    let group = groups.iter().find(|group| network.is_group(group, FUNCTIONS_GROUP)).map(|group| &group.id);
    let function = identity.function_name();
    let found = snapshot.vpc_interfaces_since(&identity.vpc, since).await?;
    let mut found = interfaces_of_functions((*found).clone(), group, |name| *name == function);
    if role.is_none() {
        found.retain(|_, interface| group.is_none_or(|group| !interface.groups.contains(group)));
    }
    Ok(found)
}

/// By which groups it is decided whose a VPC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// What is kept exact goes on, where the groups cannot be read now, by those that were read last.
    Known,
    /// What is removed, or let go, needs groups that can be read.
    Read,
}

/// What the groups of an app's VPC say of the cluster that it belongs to: the network's controller reads them anyway.
///
/// # Errors
/// As `DescribeSecurityGroups`, where there is no such proof: nothing is written then.
pub(super) async fn vpc_ownership(
    snapshot: &Snapshot,
    identity: &AppIdentity,
    proof: Proof,
    fresh: &Freshness,
    settings: &Settings,
) -> Result<VpcOwnership, AwsError> {
    let key = NetworkKey { region: identity.region.clone(), vpc: identity.vpc.clone() };
    let seen = async |max_age| -> Result<VpcOwnership, AwsError> {
        let groups = match proof {
            Proof::Known => snapshot.security_groups_or_last(max_age).await?,
            Proof::Read => snapshot.security_groups(max_age).await?,
        };
        Ok(VpcOwnership::of(&groups, &key, settings))
    };
    match seen(fresh.of(ConditionType::Accepted)).await? {
        ownership @ (VpcOwnership::Ours | VpcOwnership::AnotherCluster(_)) => Ok(ownership),
        // Another replica may have created the groups, or marked them.
        VpcOwnership::Unmarked => seen(MaxAge::Under(OWNERSHIP_MAX_AGE)).await,
    }
}

/// How old the groups may be by which an app waits for its network to be this cluster's.
const OWNERSHIP_MAX_AGE: Duration = Duration::from_secs(10);

/// Why the app's own subnets cannot be used, if they cannot.
pub(super) async fn subnets_refused(app: &App, snapshot: &Snapshot) -> Result<Option<Leg>, AwsError> {
    let NetworkKey { region, vpc } = &app.network;
    let services: BTreeSet<String> = Service::ALL.iter().map(|service| service.endpoint_service(region)).collect();
    let mut refusal = None;
    // A subnet that is missing may be new: topology is looked at anew before the app is refused.
    for max_age in [MaxAge::Any, MaxAge::Under(SUBNETS_MAX_AGE)] {
        let topology = snapshot.topology(vpc, max_age, &services).await?;
        refusal = Service::ALL
            .iter()
            .find_map(|service| check_subnets(vpc, region.as_str(), &topology, *service, &app.subnets).err());
        if refusal.is_none() {
            break;
        }
    }
    Ok(refusal.map(|refusal| Leg::blocked(ConditionType::NetworkReady, refusal.reason, refusal.message)))
}

/// How old the topology may be by which an app's subnets are refused.
const SUBNETS_MAX_AGE: Duration = Duration::from_secs(10);
