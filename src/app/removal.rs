//! Removing what an app stands for in AWS. Neither a readable spec nor a network is needed for it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource as _, ResourceExt as _};

use super::{
    AppDeletion, Observed, Probes,
    controller::ask_again,
    decide::{decide_removal, decide_retention, is_back, is_young_and_unseen, learn, not_ours, places, too_young},
    observe::{observe_remains, observe_retained},
    report::Report,
};
use crate::{
    api::{
        AppName, DeletionPolicy, ObjectName, PrivateGenAIApp, Recorded,
        condition::{ConditionType, Leg, LegState, Reason},
    },
    aws::{AppRows, AwsError, Caller, Failure, MaxAge, Role, Snapshot},
    engine::{
        Context, Converged, Error, Guarded, LateWriteCheck, Pace, ReadBy, Released, Settings, Unseen, converge,
        explain_undecoded, is_held, remove_finalizer, stored,
    },
    identity::{AppIdentity, HandOver, NetworkIdentity, is_retained},
    plan::explain_failure,
};

/// Removes what an app stands for in AWS, or leaves it there on purpose, then lets the object go. Neither a readable spec nor a network is needed.
pub(super) async fn remove(
    api: &Api<PrivateGenAIApp>,
    object: &Guarded<PrivateGenAIApp>,
    ctx: &Context,
    probes: &Probes,
) -> Result<Pace, Error> {
    let meta = object.meta();
    if !is_held(meta) {
        return Ok(Pace::Rest);
    }
    ctx.settled.forget(meta.uid.as_deref().unwrap_or_default());
    let mut report = object.0.as_ref().ok().map(|object| Report::new(api, object, ctx, probes));
    let Some((departing, not_ours)) = departing(object, ctx).await? else {
        return Ok(Pace::Rest);
    };
    if let Some(leg) = not_ours {
        // Another installation's: nothing is looked for, and nothing is let go.
        match report {
            Some(mut report) => {
                report.legs.push(leg);
                report.write().await?;
            }
            None => explain_undecoded::<PrivateGenAIApp>(&ctx.client, meta, &[leg]).await?,
        }
        return Ok(Pace::Rest);
    }
    let mut legs = Vec::new();
    let mut pace = Pace::Rest;
    let mut places = BTreeSet::new();
    // In which account this is comes first: what is not found in another one is not gone.
    match ctx.snapshots.caller().await {
        Err(error) => {
            legs.push(explain_failure(ConditionType::FunctionReady, &object.name_any(), &error));
            pace = Pace::after(&error);
        }
        Ok(caller) => {
            let (identities, unread) = identities(object, &departing, ctx).await;
            // Where else the app has been is not known: what is known goes, and the object does not.
            if let Some(error) = unread {
                legs.push(explain_failure(ConditionType::ExecutionRoleReady, &object.name_any(), &error));
                pace = Pace::after(&error);
            }
            places.clone_from(&identities);
            for identity in identities {
                let (pass, given) = match departing.policy {
                    DeletionPolicy::Delete => (remove_one(&identity, &caller, || false, ctx).await, None),
                    DeletionPolicy::Retain => retain_one(&identity, &departing, &caller, ctx).await,
                };
                let after = pass.pace();
                pace = Pace::soonest([pace, after]);
                if let Some(report) = &mut report {
                    report.done.extend(pass.news());
                    if let Some(function) = report.facts.function.as_mut().filter(|_| given.is_some()) {
                        function.execution_role_id = given;
                    }
                }
                // One of its name on another network may be another cluster's, and then has nothing to do with this object.
                let is_another_s = pass.plan.legs.iter().any(|leg| leg.reason == Reason::InstallationInUse);
                if is_another_s && departing.network.is_some() && !departing.is_about(&identity) {
                    places.remove(&identity);
                    continue;
                }
                let name = identity.function_name();
                for (kind, error) in &pass.plan.unread {
                    let is_told = |leg: &Leg| leg.kind == *kind && leg.state == LegState::Blocked;
                    if !pass.plan.legs.iter().any(is_told) {
                        legs.push(explain_failure(*kind, name.as_str(), error));
                    }
                }
                let is_unread = |leg: &&Leg| leg.state != LegState::Blocked && pass.plan.unread.contains_key(&leg.kind);
                legs.extend(pass.plan.legs.iter().filter(|leg| !is_unread(leg)).cloned());
                if let Some(error) = pass.errors.first().filter(|_| pass.observed.is_none()) {
                    legs.push(explain_failure(ConditionType::FunctionReady, name.as_str(), error));
                }
            }
        }
    }
    if legs.is_empty() && is_young_and_unseen(object, Timestamp::now().as_second()) {
        legs.push(too_young());
        pace = Pace::Wait;
    }
    if legs.is_empty() {
        // Told first: the object may be gone although the answer about that was lost. While it is there, nobody looks.
        for place in places {
            match departing.policy {
                DeletionPolicy::Delete => ctx.late_writes.tell(Released::App(place)),
                DeletionPolicy::Retain => ctx.late_writes.forget(&Released::App(place)),
            }
        }
        remove_finalizer(api, meta).await?;
        return Ok(Pace::Rest);
    }
    if let Some(mut report) = report {
        report.legs = one_of_each_kind(legs);
        pace = report.paced(pace);
        report.write().await?;
    } else {
        let mut legs = one_of_each_kind(legs);
        if legs.iter().all(|leg| leg.kind != ConditionType::Accepted) {
            legs.insert(0, deleted_unread(departing.policy));
        }
        explain_undecoded::<PrivateGenAIApp>(&ctx.client, meta, &legs).await?;
    }
    Ok(pace)
}

/// What becomes of an app that is being deleted and cannot be read.
fn deleted_unread(policy: DeletionPolicy) -> Leg {
    let what = match policy {
        DeletionPolicy::Delete => "its function, role and log group in AWS are deleted",
        DeletionPolicy::Retain => "its function, role and log group in AWS stay, as spec.deletionPolicy says",
    };
    let message = format!(
        "The object is being deleted, and this version of the operator cannot read all of it: by its namespace, name and VPC, {what}."
    );
    Leg::progressing(ConditionType::Accepted, Reason::Deleting, message)
}

/// An app may have several places, and each condition is told once: by the leg that says most, blocked before waiting.
fn one_of_each_kind(legs: Vec<Leg>) -> Vec<Leg> {
    let mut told: BTreeMap<ConditionType, Leg> = BTreeMap::new();
    for leg in legs {
        match told.entry(leg.kind) {
            Entry::Vacant(entry) => drop(entry.insert(leg)),
            Entry::Occupied(mut entry) if entry.get().state < leg.state => drop(entry.insert(leg)),
            Entry::Occupied(_) => {}
        }
    }
    told.into_values().collect()
}

/// Removes what another operator was late to create for an app that is gone. Nothing is to be removed either when an object
/// of that name is there again, which sees to it, or was meanwhile and left its resources.
pub async fn check_late_writes(identity: &AppIdentity, by: ReadBy, ctx: &Context) -> LateWriteCheck {
    let stays =
        || is_back(identity, &ctx.index()) || ctx.memory().may_be_invisible(&Unseen::RetainedRole(identity.clone()));
    if stays() {
        return LateWriteCheck::NothingLeft;
    }
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return LateWriteCheck::Unknown(error),
    };
    let snapshot = ctx.snapshots.region(&identity.region);
    let shown = match by {
        ReadBy::Rows => match shown_by_rows(identity, &snapshot).await {
            // Where AWS lets the operator see all at once and not one by its name, all are looked at.
            Err(error) if error.failure == Failure::AccessDenied => {
                snapshot.forget_apps();
                shown_by_tables(identity, &snapshot).await
            }
            shown => shown,
        },
        ReadBy::Tables => shown_by_tables(identity, &snapshot).await,
    };
    match shown {
        Ok(Shown::Nothing | Shown::Retained) => LateWriteCheck::NothingLeft,
        Ok(Shown::Something) => {
            let pass = remove_one(identity, &caller, stays, ctx).await;
            // Another cluster was quicker to build there than this one to look: what is there is its own.
            let is_another_s = pass.plan.legs.iter().any(|leg| leg.reason == Reason::InstallationInUse);
            if is_another_s { LateWriteCheck::NothingLeft } else { pass.into() }
        }
        Err(error) => LateWriteCheck::Unknown(error),
    }
}

/// What there is to see of an app.
enum Shown {
    Nothing,
    Something,
    /// One of its name came meanwhile, and went with its resources retained.
    Retained,
}

impl Shown {
    fn by(role: Option<&Role>, has_more: bool) -> Self {
        // A role that was handed to the network is nothing of the app's any more.
        match role {
            Some(role) if is_retained(&role.tags) => Self::Retained,
            Some(role) if HandOver::from_tags(&role.tags).is_none() => Self::Something,
            Some(_) | None if has_more => Self::Something,
            Some(_) | None => Self::Nothing,
        }
    }
}

async fn shown_by_rows(identity: &AppIdentity, snapshot: &Snapshot) -> Result<Shown, AwsError> {
    let AppRows { role, has_function, has_log_group } = snapshot.app_rows(identity).await?;
    let shown = Shown::by(role.as_ref(), has_function || has_log_group);
    if matches!(shown, Shown::Something) {
        // The tables, by which it is removed, do not have it.
        snapshot.reread_app(identity).await;
    }
    Ok(shown)
}

async fn shown_by_tables(identity: &AppIdentity, snapshot: &Snapshot) -> Result<Shown, AwsError> {
    let roles = snapshot.roles(MaxAge::Any).await?;
    let role = roles.get(&identity.role_name());
    if role.is_some_and(|role| is_retained(&role.tags)) {
        return Ok(Shown::Retained);
    }
    let has_more = snapshot.functions(MaxAge::Any).await?.contains_key(&identity.function_name())
        || snapshot.log_groups(MaxAge::Any).await?.contains_key(&identity.log_group_name());
    Ok(Shown::by(role, has_more))
}

/// Leaves an app's resources as they are, with a tag that says so. Also gives the unique id of the role that its function was
/// given, where that changed.
async fn retain_one(
    identity: &AppIdentity,
    departing: &AppDeletion,
    caller: &Caller,
    ctx: &Context,
) -> (Converged<Observed>, Option<String>) {
    let snapshot = ctx.snapshots.region(&identity.region);
    let Settings { implicit_networks, governance, .. } = &*ctx.settings;
    let retention = departing.retention(identity, caller, &implicit_networks.allow, governance);
    let principal = RefCell::new(departing.principal(identity));
    let pass = converge(
        identity.role_name().as_str(),
        &snapshot,
        ctx,
        async |fresh| {
            let given = principal.borrow().given.clone();
            observe_retained(&snapshot, identity, given, fresh, &ctx.settings).await
        },
        |observed| decide_retention(&retention, observed, &mut principal.borrow_mut(), &mut ctx.memory()),
        |write, result| {
            let principal = &mut principal.borrow_mut();
            learn(identity, write, result.as_ref(), principal, &mut ctx.memory());
            false
        },
    )
    .await;
    let given = principal.into_inner().given.filter(|_| departing.is_about(identity));
    (pass, given)
}

/// `is_back` is asked at each decision: from when an object is there again, nothing is removed.
async fn remove_one(
    identity: &AppIdentity,
    caller: &Caller,
    is_back: impl Fn() -> bool,
    ctx: &Context,
) -> Converged<Observed> {
    let snapshot = ctx.snapshots.region(&identity.region);
    let network = NetworkIdentity {
        installation: identity.installation.clone(),
        account: caller.account.clone(),
        region: identity.region.clone(),
        vpc: identity.vpc.clone(),
    };
    converge(
        identity.role_name().as_str(),
        &snapshot,
        ctx,
        async |fresh| observe_remains(&snapshot, identity, &network, fresh, &ctx.settings).await,
        |observed| decide_removal(identity, observed, is_back(), &ctx.settings.governance, &mut ctx.memory()),
        |_, _| false,
    )
    .await
}

/// What the object says of itself, and why it is not this installation's, if it is not. One that cannot be read is asked for as it is; `None` when it is gone, and another one may
/// have its name.
async fn departing(
    object: &Guarded<PrivateGenAIApp>,
    ctx: &Context,
) -> Result<Option<(AppDeletion, Option<Leg>)>, Error> {
    let Settings { region: home, installation: ours, .. } = &*ctx.settings;
    let meta = match &object.0 {
        Ok(app) => return Ok(Some((AppDeletion::of(app, home), not_ours(app, &ctx.settings)))),
        Err(invalid) => &invalid.metadata,
    };
    let stored = stored::<PrivateGenAIApp>(&ctx.client, meta).await?;
    Ok(stored.map(|stored| {
        let (namespace, name) = (stored.namespace().unwrap_or_default(), stored.name_any());
        let recorded = Recorded::of_raw(&stored.data, Some(&namespace), &name, Some(home), ours);
        let leg = recorded.leg(&format!("PrivateGenAIApp {namespace}/{name}"), ours);
        (AppDeletion::of_raw(&stored.data, home), leg)
    }))
}

/// Where the app has resources, and why that is not known for sure. Where somebody asked for a look, these are looked at anew.
async fn identities(
    object: &Guarded<PrivateGenAIApp>,
    departing: &AppDeletion,
    ctx: &Context,
) -> (BTreeSet<AppIdentity>, Option<AwsError>) {
    let asked = ctx.requests.take(&ObjectName::App(AppName::of(object)));
    let home = ctx.snapshots.region(&ctx.settings.region);
    if asked == Some(ReadBy::Rows) {
        home.forget_errors().await;
    }
    let (places, unread) = match home.roles(MaxAge::Any).await {
        Ok(roles) => (places(object, departing, &roles, &ctx.settings), None),
        Err(error) => (places(object, departing, &BTreeMap::new(), &ctx.settings), Some(error)),
    };
    if let Some(by) = asked {
        for identity in &places {
            ask_again(identity, by, ctx).await;
        }
    }
    (places, unread)
}
