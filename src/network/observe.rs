//! Reads from AWS what there is of a network.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Interfaces, Observed, Service,
    handed_over_roles::{OtherFunctions, depend_on_other_functions, functions_of},
    interfaces::{interfaces_of_functions, left_behind},
};
use crate::{
    api::condition::ConditionType,
    aws::{AwsError, FunctionName, MaxAge, NetworkInterfaceId, Role, SecurityGroup, Snapshot, Topology},
    engine::Freshness,
    identity::{FUNCTIONS_GROUP, HandOver, NetworkIdentity, TAG_OWNER},
    plan::{Source, Unread},
    policy::is_role_of,
};

/// Looks at what there is of a network, each table by itself. `long_available` is told its interfaces, and gives those that
/// were `available` for long.
///
/// # Errors
/// As [`Unread::take`]. What cannot be read otherwise is [`Observed::unread`].
pub async fn observe(
    snapshot: &Snapshot,
    identity: &NetworkIdentity,
    ends: bool,
    fresh: &Freshness,
    long_available: impl FnOnce(&Interfaces) -> BTreeSet<NetworkInterfaceId>,
) -> Result<Observed, AwsError> {
    let mut unread = Unread::default();
    let services: BTreeSet<String> =
        Service::ALL.iter().map(|service| service.endpoint_service(&identity.region)).collect();
    let aged = |max_age| snapshot.age_of_network(&identity.vpc, max_age);
    let endpoints = snapshot.endpoints(aged(fresh.of_either(ConditionType::EndpointsReady, ConditionType::Accepted)));
    let endpoints = unread.take(Source::Endpoints, endpoints.await)?.unwrap_or_default();
    let groups = aged(fresh.of_either(ConditionType::SecurityGroupsReady, ConditionType::Accepted));
    let mut groups = snapshot.security_groups(groups).await;
    // Whether a group is to be marked is not decided by old facts: another cluster may have marked it since.
    let is_unmarked = |group: &SecurityGroup| identity.is_own_group(group) && !group.tags.contains_key(TAG_OWNER);
    if groups.as_ref().is_ok_and(|groups| groups.iter().any(is_unmarked)) {
        groups = snapshot.security_groups(MaxAge::Under(MARKING_GROUPS_MAX_AGE)).await;
    }
    // Whose the network is must be known before anything is written; what was seen last tells, where nothing newer does.
    let known = match &groups {
        Ok(groups) => Arc::clone(groups),
        Err(error) => snapshot.last_security_groups().await.ok_or_else(|| error.clone())?,
    };
    let groups = unread.take(Source::SecurityGroups, groups)?.unwrap_or_default();
    let roles = snapshot.roles(fresh.of(ConditionType::ExecutionRoleReady));
    let roles = unread.take(Source::Roles, roles.await)?.unwrap_or_default();
    let (handed_over, live): (Vec<Role>, Vec<Role>) = roles
        .values()
        .filter(|role| is_role_of(identity, role))
        .cloned()
        .partition(|role| HandOver::from_tags(&role.tags).is_some());
    // A row of the table that is written meanwhile is not copied with all others.
    drop(roles);
    let has_endpoint =
        endpoints.endpoints.iter().any(|endpoint| identity.owns(&endpoint.tags) && !endpoint.state.is_ending());
    // Whether private DNS cuts somebody off is decided once, when an endpoint is created: not by old route tables.
    let topology_age = if has_endpoint || unread.lacks(Source::Endpoints) {
        aged(fresh.of(ConditionType::VpcReady))
    } else {
        aged(MaxAge::Under(fresh.of(ConditionType::VpcReady).bounded_by(DECIDING_TOPOLOGY_MAX_AGE)))
    };
    // What is to go asks nothing of its VPC. An app that is not here, but has a role, keeps the network from going.
    let goes = ends && !unread.lacks(Source::Roles) && live.is_empty();
    // What is known from before is enough to keep something, and not to remove it.
    if let Some(error) = unread.of(Source::SecurityGroups).filter(|_| goes) {
        return Err(error.clone());
    }
    let topology = if goes {
        Topology::default()
    } else {
        let topology = snapshot.topology(&identity.vpc, topology_age, &services);
        unread.take(Source::Topology, topology.await)?.unwrap_or_default()
    };
    let known = Observed::new(identity, &topology, &endpoints, &known).security_groups;
    let observed = Observed::new(identity, &topology, &endpoints, &groups).known_by(known);
    // Only what is to go must know what is still in its way.
    let interfaces = if !handed_over.is_empty() || (ends && !observed.security_groups.is_empty()) {
        let group = observed.group(FUNCTIONS_GROUP).map(|group| &group.id);
        // The role and the function of an app have one name.
        let is_ours = |function: &FunctionName| {
            live.iter().chain(&handed_over).any(|role| role.name.as_str() == function.as_str())
        };
        let interfaces = unread.take(Source::Interfaces, snapshot.vpc_interfaces(&identity.vpc).await)?;
        // Without the groups nobody knows which of them carry the functions' one.
        if let (Some(_), Some(error)) = (&interfaces, unread.of(Source::SecurityGroups).cloned()) {
            unread.take::<()>(Source::Interfaces, Err(error))?;
        }
        interfaces_of_functions(interfaces.unwrap_or_default(), group, is_ours)
    } else {
        Interfaces::new()
    };
    let long_available = if unread.lacks(Source::Interfaces) { BTreeSet::new() } else { long_available(&interfaces) };
    let left = if long_available.is_empty() {
        BTreeSet::new()
    } else {
        // By this one deletes: a function that came just now is to be seen.
        let attachments = snapshot.attachments(MaxAge::Under(Duration::from_secs(1)));
        let attachments = unread.take(Source::Functions, attachments.await)?;
        attachments.map(|attachments| left_behind(&interfaces, &long_available, &attachments)).unwrap_or_default()
    };
    let remaining = if !live.is_empty() && depend_on_other_functions(&handed_over, &interfaces) {
        // By this a role is deleted: what is gone by now is not to count.
        let is_there = snapshot.is_any_function_there(&functions_of(&live), snapshot.since_now()).await;
        match unread.take(Source::Functions, is_there)? {
            Some(true) => OtherFunctions::Present,
            Some(false) | None => OtherFunctions::Absent,
        }
    } else {
        OtherFunctions::Absent
    };
    Ok(Observed {
        left_interfaces: left,
        other_functions: remaining,
        unread,
        ..observed.with_roles(live, handed_over, interfaces)
    })
}

/// How old the groups may be by which one is marked as this cluster's.
const MARKING_GROUPS_MAX_AGE: Duration = Duration::from_secs(1);

/// How old the route tables may be by which private DNS is decided.
const DECIDING_TOPOLOGY_MAX_AGE: Duration = Duration::from_secs(10);
