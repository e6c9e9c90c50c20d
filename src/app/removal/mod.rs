//! Deletion of apps. A deletion needs neither a decodable spec nor a network.

pub mod decide;
mod late_writes;

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource as _, ResourceExt as _};

pub use late_writes::check_late_writes;

use self::decide::{DeletionPass, is_young_and_unseen, places, too_young};
use super::{AppDeletion, Probes, controller::retry_on_request, decide::not_ours, report::Report};
use crate::{
    api::{
        AppName, DeletionPolicy, ObjectName, PrivateGenAIApp, RecordedOwner,
        condition::{ConditionType, Leg, LegState, Reason},
    },
    aws::{AwsError, MaxAge},
    engine::{
        Context, Error, Guarded, Observation, Pace, ReadBy, Released, Settings, converge, explain_undecoded, is_held,
        remove_finalizer, stored,
    },
    identity::AppIdentity,
    plan::explain_failure,
};

/// Deletes the resources of an app in AWS, or retains them, then releases the object.
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
    // The account is checked first: in another account the resources are absent, and still exist in theirs.
    match ctx.snapshots.caller().await {
        Err(error) => {
            legs.push(explain_failure(ConditionType::FunctionReady, &object.name_any(), &error));
            pace = Pace::after(&error);
        }
        Ok(caller) => {
            let (identities, unread) = identities(object, &departing, ctx).await;
            // Roles that cannot be read may show further places. The resources in the known places go; the object stays.
            if let Some(error) = unread {
                legs.push(explain_failure(ConditionType::ExecutionRoleReady, &object.name_any(), &error));
                pace = Pace::after(&error);
            }
            places.clone_from(&identities);
            for identity in identities {
                let snapshot = ctx.snapshots.region(&identity.region);
                let mut subject = DeletionPass::new(&identity, &departing, &caller, &ctx.settings);
                let pass = converge(&mut subject, &snapshot, ctx).await;
                let given = subject.given_role_id().filter(|_| departing.is_about(&identity));
                let after = pass.pace();
                pace = Pace::soonest([pace, after]);
                if let Some(report) = &mut report {
                    report.new_changes.extend(pass.new_changes());
                    if let Some(function) = report.facts.function.as_mut().filter(|_| given.is_some()) {
                        function.execution_role_id = given;
                    }
                }
                // Resources of the same name on another network may belong to another cluster, and then do not concern
                // this object.
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
                if let Observation::Unobserved(error) = &pass.observation {
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
        // The watch begins first: the object may be gone although the API server's answer is lost.
        for place in places {
            match departing.policy {
                DeletionPolicy::Delete => ctx.late_writes.watch(Released::App(place)),
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

/// The condition of an app that is being deleted and cannot be decoded.
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

/// Keeps one leg of each kind for an app with several places: blocked before progressing.
fn one_of_each_kind(legs: Vec<Leg>) -> Vec<Leg> {
    let mut by_kind: BTreeMap<ConditionType, Leg> = BTreeMap::new();
    for leg in legs {
        match by_kind.entry(leg.kind) {
            Entry::Vacant(entry) => drop(entry.insert(leg)),
            Entry::Occupied(mut entry) if entry.get().state < leg.state => drop(entry.insert(leg)),
            Entry::Occupied(_) => {}
        }
    }
    by_kind.into_values().collect()
}

/// The facts in the object, and the leg of an object that another installation owns. An object that cannot be decoded is
/// read again as JSON; `None` if the object is gone (another one may have its name).
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
        let recorded = RecordedOwner::of_raw(&stored.data, Some(&namespace), &name, Some(home), ours);
        let leg = recorded.leg(&format!("PrivateGenAIApp {namespace}/{name}"), ours);
        (AppDeletion::of_raw(&stored.data, home), leg)
    }))
}

/// The places of the app's resources, and the error that may hide further ones. At a user's request, the places are read
/// anew.
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
            retry_on_request(identity, by, ctx).await;
        }
    }
    (places, unread)
}
