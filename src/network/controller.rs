//! The shell of the reconcile of a network: read, decide, carry out.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    runtime::controller::Action,
};

use super::{
    Acceptance, Observed, acceptance,
    decide::{
        NetworkPass, Outcome, ends, identity, is_refused, is_to_be_held, is_to_be_recorded, observe_place, outcome,
        retains_everything, wanted,
    },
    interfaces::group_in_use,
    not_allowed,
    ownership::{refusal_by_aws, refusal_by_objects},
    status,
    undecodable::{not_ours, recover, vpc_unknown},
};
use crate::{
    api::{
        DeletionPolicy, ObjectKind, ObjectName, PrivateGenAINetwork, PrivateGenAINetworkStatus,
        condition::{ConditionType, Leg, LegState, Reason, is_true, wait_state},
        network::NetworkKey,
    },
    aws::{AwsError, BeforeRepair, Failure, SecurityGroupId, Snapshot, Write},
    engine::{
        Attempt, Context, Converged, Error, Freshness, Guarded, Observation, Pace, Part, ReadBy, Released,
        add_finalizer, apply_status, converge,
        drift::{moves, repairs},
        explain_undecoded, full_name, is_held, observe_ready, publish_events, remove_finalizer, report_refusal, stored,
    },
    index::is_implicit,
    plan::{MissedObservations, Plan, Source, unobserved},
};

/// Reconciles one network.
///
/// # Errors
/// The Kubernetes API's. AWS's become conditions.
pub async fn reconcile(object: Arc<Guarded<PrivateGenAINetwork>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let result = Box::pin(reconcile_object(Arc::clone(&object), &ctx)).await;
    report_refusal(ObjectKind::Network, result, &*object, &ctx).await
}

async fn reconcile_object(object: Arc<Guarded<PrivateGenAINetwork>>, ctx: &Context) -> Result<Action, Error> {
    let api = Api::<PrivateGenAINetwork>::all(ctx.client.clone());
    let object = ctx.written_networks.newest(object);
    let recovered;
    let network = match &object.0 {
        Ok(network) => network,
        Err(invalid) => {
            let meta = &invalid.metadata;
            recovered = match meta.deletion_timestamp {
                None => Err(DeletionPolicy::Delete),
                Some(_) => match stored::<PrivateGenAINetwork>(&ctx.client, meta).await? {
                    None => return Ok(Action::await_change()),
                    Some(stored) => {
                        if let Some(leg) = not_ours(&stored, ctx) {
                            explain_undecoded::<PrivateGenAINetwork>(&ctx.client, meta, &[leg]).await?;
                            return Ok(Action::await_change());
                        }
                        recover(stored)
                    }
                },
            };
            match &recovered {
                Ok(network) => network,
                Err(policy) => return vpc_unknown(&api, meta, *policy, &invalid.error, ctx).await,
            }
        }
    };
    let name = ObjectName::Network(network.name_any());
    let vpc = NetworkKey::try_from(&network.spec);
    if let Some(leg) = refusal_by_objects(network, vpc.as_ref().ok(), &ctx.index()) {
        refuse(&api, network, leg, ctx).await?;
        ctx.attempts.reset(&Attempt::Reconcile(name));
        return Ok(Action::await_change());
    }
    let vpc = match vpc {
        Ok(vpc) => vpc,
        Err(problem) => {
            let policy = network.spec.deletion_policy.unwrap_or_default();
            return vpc_unknown(&api, &network.metadata, policy, &problem.to_string(), ctx).await;
        }
    };
    let pace = match acceptance(network, &vpc, &ctx.index()) {
        Acceptance::Superseded { by } => {
            supersede(&api, network, &by, ctx).await?;
            Pace::Rest
        }
        Acceptance::Released => {
            remove_finalizer(&api, &network.metadata).await?;
            Pace::Rest
        }
        Acceptance::Accepted => reconcile_accepted(&api, network, &vpc, ctx).await?,
    };
    if pace == Pace::Rest {
        ctx.attempts.reset(&Attempt::Reconcile(name));
        return Ok(Action::await_change());
    }
    let seed = name.to_string();
    Ok(pace.action(ctx.attempts.count(Attempt::Reconcile(name), pace), &seed))
}

/// Another installation's network, another cluster's, or one that is not allowed: nothing is done for it, and what is recorded of it
/// stays.
async fn refuse(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    leg: Leg,
    ctx: &Context,
) -> Result<(), Error> {
    let status = status(network.status.as_ref(), network.metadata.generation, None, None, &[leg], ctx.time());
    write_status(api, network, &status, ctx).await?;
    observe_ready(ctx, ObjectKind::Network, &network.metadata, (conditions(network), &status.conditions));
    publish_events(ctx, network, (conditions(network), &status.conditions), &[], &[]).await;
    Ok(())
}

/// Records for which installation the operator works, before anything is created: one that is given another id meanwhile is to
/// see it. Gives the object as it is then.
async fn record(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    ctx: &Context,
) -> Result<PrivateGenAINetwork, Error> {
    let mut recorded = network.clone();
    let status = recorded.status.get_or_insert_default();
    status.installation_id = Some(ctx.settings.installation.to_string());
    status.vpc_id = Some(network.spec.vpc_id.clone());
    status.region = Some(network.spec.region.clone());
    write_status(api, network, status, ctx).await?;
    Ok(recorded)
}

/// Another network is accepted for the VPC: an implicit network is deleted, an explicit one gets a condition.
async fn supersede(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    winner: &str,
    ctx: &Context,
) -> Result<(), Error> {
    if network.metadata.deletion_timestamp.is_some() {
        return remove_finalizer(api, &network.metadata).await;
    }
    if is_implicit(network) {
        return delete(api, network).await;
    }
    let message =
        format!("PrivateGenAINetwork {winner} stands for VPC {} already: delete one of the two.", network.spec.vpc_id);
    let legs = [Leg::blocked(ConditionType::Accepted, Reason::VpcConflict, message)];
    let status = status(network.status.as_ref(), network.metadata.generation, None, None, &legs, ctx.time());
    write_status(api, network, &status, ctx).await
}

/// Reconciles a network that is accepted for its VPC.
async fn reconcile_accepted(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    key: &NetworkKey,
    ctx: &Context,
) -> Result<Pace, Error> {
    let deleting = network.metadata.deletion_timestamp.is_some();
    if let Some(leg) = not_allowed(network, key, &ctx.index()) {
        if is_abandoned(network, key, ctx) {
            delete(api, network).await?;
        } else if !deleting {
            refuse(api, network, leg, ctx).await?;
        }
        return Ok(Pace::Rest);
    }
    let snapshot = ctx.snapshots.region(&key.region);
    if retains_everything(network, key, &ctx.index()) {
        snapshot.exclude_vpc(&key.vpc);
        ctx.memory().forget(key);
        ctx.late_writes.forget(&Released::Network(key.clone()));
        remove_finalizer(api, &network.metadata).await?;
        return Ok(Pace::Rest);
    }
    snapshot.include_vpc(&key.vpc);
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return report_unobserved(api, network, ctx, &error).await,
    };
    let identity = identity(key, &caller, &ctx.settings);
    let recorded;
    let mut network = network;
    let to_be_held = is_to_be_held(network, key, &ctx.index());
    if to_be_held || is_to_be_recorded(network, &ctx.settings) {
        // Before anything is created, so that nothing created is ever forgotten; and not before AWS was seen, so that a
        // network in a region that does not exist can be deleted, and one that is another's is not held.
        let seen = match observe_place(&snapshot, (key, &identity), false, &Freshness::default(), ctx).await {
            Ok(seen) => seen,
            Err(error) => return report_unobserved(api, network, ctx, &error).await,
        };
        // By endpoints and groups it is known whose the network is.
        let tells = [Source::Endpoints, Source::SecurityGroups];
        let unread = tells.into_iter().find_map(|source| seen.unread.of(source));
        if let Some(error) = unread.or_else(|| seen.unread.first().filter(|_| seen.ids().is_empty())) {
            return report_unobserved(api, network, ctx, error).await;
        }
        if refusal_by_aws(key, &seen, &ctx.index()).is_none() {
            if to_be_held {
                add_finalizer(api, &network.metadata).await?;
            }
            recorded = record(api, network, ctx).await?;
            network = &recorded;
        }
    }
    let asked = ctx.requests.take(&ObjectName::Network(network.name_any()));
    if asked == Some(ReadBy::Rows) {
        snapshot.reread_network(&key.vpc).await;
    }
    let uid = network.uid().unwrap_or_default();
    let mut subject = NetworkPass {
        uid: uid.clone(),
        key: key.clone(),
        identity: identity.clone(),
        caller: (*caller).clone(),
        retry_refused: asked.is_some(),
        group_in_use: None,
    };
    let mut pass = converge(&mut subject, &snapshot, ctx).await;
    let new_changes = pass.new_changes();
    let (first, observed) = match pass.observation.clone() {
        Observation::Observed { first, last } => (first, last),
        Observation::Unobserved(error) => return report_unobserved(api, network, ctx, &error).await,
    };
    let found = first.as_ref().unwrap_or(&observed).endpoint_subnets();
    if !pass.plan.unread.is_empty() && is_abandoned(network, key, ctx) {
        delete(api, network).await?;
        return Ok(Pace::Rest);
    }
    if let Some(leg) = group_in_use_leg(subject.group_in_use, &observed, &snapshot).await {
        // What keeps the group is told in its place, and its own pace is that of the wait.
        pass.errors.retain(|error| error.failure != Failure::InUse);
        pass.plan.steps.retain(|step| step.leg != leg.kind);
        pass.plan.legs.retain(|other| other.kind != leg.kind);
        pass.plan.legs.push(leg);
    }
    let pace = pass.pace();
    let Converged { plan, errors, .. } = pass;
    let missed = if plan.unread.is_empty() {
        ctx.attempts.reset(&observation_attempt(network));
        MissedObservations::Few
    } else {
        MissedObservations::after(ctx.attempts.count(observation_attempt(network), pace))
    };
    let desired = wanted(key, &identity, &caller, &observed, &ctx.index(), &mut ctx.memory());
    let shown = Plan { legs: plan.legs_to_show(&network.spec.vpc_id, conditions(network), missed), ..plan.clone() };
    let outcome = outcome(network, key, &observed, &shown, &ctx.index(), &mut ctx.memory());
    let Outcome::Kept(legs) = outcome else {
        snapshot.exclude_vpc(&key.vpc);
        ctx.memory().forget(key);
        ctx.settled.forget(&uid);
        ctx.late_writes.watch(Released::Network(key.clone()));
        // Deleted first: an app that comes now sees that this object goes, and brings up another when it is gone.
        if deleting {
            remove_finalizer(api, &network.metadata).await?;
        } else {
            delete(api, network).await?;
        }
        return Ok(Pace::Rest);
    };
    let status = status(
        network.status.as_ref(),
        network.metadata.generation,
        Some(&caller.account),
        // What is recorded of another's network stays: it tells whose the network is.
        Some(&observed).filter(|_| !is_refused(&plan)),
        &legs,
        ctx.time(),
    );
    let repairs = if desired.as_ref().is_some_and(|desired| ctx.settled.is_same(&uid, Part::Everything, desired)) {
        // What a network writes to IAM is the end of roles that apps left to it, and no repair. Nor is it one that an endpoint
        // follows its VPC into a zone, where nobody changed the endpoint's own subnets.
        let is_as_it_was = ctx.settled.is_same(&uid, Part::EndpointSubnets, &found);
        let is_repair = |write: &&Write| write.operation().service == "ec2" && !(is_as_it_was && moves(write));
        repairs(&new_changes.iter().filter(is_repair).cloned().collect::<Vec<_>>(), &BeforeRepair::default())
    } else {
        Vec::new()
    };
    if let Some(desired) = desired.filter(|_| {
        errors.is_empty() && plan.steps.is_empty() && plan.legs.iter().all(|leg| leg.state == LegState::Met)
    }) {
        ctx.settled.record(&uid, Part::Everything, &desired);
        ctx.settled.record(&uid, Part::EndpointSubnets, &observed.endpoint_subnets());
    }
    write_status(api, network, &status, ctx).await?;
    observe_ready(ctx, ObjectKind::Network, &network.metadata, (conditions(network), &status.conditions));
    publish_events(ctx, network, (conditions(network), &status.conditions), &new_changes, &repairs).await;
    Ok(pace.with(wait_state(&legs, conditions(network), network.metadata.generation, ctx.time())))
}

/// The condition that names the users of a group that AWS refused to delete; `None` where nobody can tell.
async fn group_in_use_leg(group: Option<SecurityGroupId>, observed: &Observed, snapshot: &Snapshot) -> Option<Leg> {
    let group = group?;
    let interfaces = snapshot.group_interfaces(&group).await.ok()?;
    let mut referring = snapshot.referring_groups(&group).await.ok()?;
    // What our own two groups say of each other was revoked just now.
    referring.retain(|other| observed.security_groups.iter().all(|ours| ours.id != *other));
    group_in_use(&group, &interfaces, &referring)
}

/// The key under which missed observations are counted.
fn observation_attempt(network: &PrivateGenAINetwork) -> Attempt {
    Attempt::Observation(ObjectName::Network(network.name_any()))
}

/// The operator created the network for an app that is gone, and created nothing in AWS for the network.
fn is_abandoned(network: &PrivateGenAINetwork, key: &NetworkKey, ctx: &Context) -> bool {
    let held = is_held(&network.metadata) || network.metadata.deletion_timestamp.is_some();
    is_implicit(network) && !held && ends(key, &ctx.index())
}

/// AWS could not be observed: the recorded status holds for three attempts, then nothing is claimed any more.
async fn report_unobserved(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    ctx: &Context,
    error: &AwsError,
) -> Result<Pace, Error> {
    let pace = Pace::after(error);
    if NetworkKey::try_from(&network.spec).is_ok_and(|key| is_abandoned(network, &key, ctx)) {
        delete(api, network).await?;
        return Ok(Pace::Rest);
    }
    if is_true(conditions(network), ConditionType::Ready) && ctx.attempts.count(observation_attempt(network), pace) < 3
    {
        return Ok(pace);
    }
    let kinds = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady, ConditionType::EndpointsReady];
    let mut legs =
        vec![Leg::met(ConditionType::Accepted, format!("This network stands for VPC {}.", network.spec.vpc_id))];
    legs.extend(unobserved(&kinds, &network.spec.vpc_id, error));
    let status = status(network.status.as_ref(), network.metadata.generation, None, None, &legs, ctx.time());
    write_status(api, network, &status, ctx).await?;
    publish_events(ctx, network, (conditions(network), &status.conditions), &[], &[]).await;
    Ok(pace.with(wait_state(&legs, conditions(network), network.metadata.generation, ctx.time())))
}

fn conditions(network: &PrivateGenAINetwork) -> &[Condition] {
    network.status.as_ref().map_or(&[][..], |status| &status.conditions)
}

async fn write_status(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    status: &PrivateGenAINetworkStatus,
    ctx: &Context,
) -> Result<(), Error> {
    if network.status.clone().map(PrivateGenAINetworkStatus::sorted) == Some(status.clone().sorted()) {
        return Ok(());
    }
    if let Some(written) = apply_status(api, &network.metadata, status).await? {
        ctx.written_networks.remember(written);
    }
    Ok(())
}

async fn delete(api: &Api<PrivateGenAINetwork>, network: &PrivateGenAINetwork) -> Result<(), Error> {
    let same = Preconditions { uid: network.uid(), resource_version: None };
    match api.delete(&network.name_any(), &DeleteParams::default().preconditions(same)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        // A conflict too: whether another object has the name by now, or the server lost a race, the next look tells.
        Err(cause) => Err(Error::Delete { object: full_name::<PrivateGenAINetwork>(&network.metadata), cause }),
    }
}
