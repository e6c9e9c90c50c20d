//! Carries out effects: the shell around the decisions of both controllers.

use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams, Preconditions},
    core::Status,
    runtime::controller::Action,
};
use tokio::time::Instant;

use super::{
    Attempt, Context, Decision, Effect, Error, Guarded, Kind, KubernetesRefusal, ObservationResult, Pace,
    add_finalizer, apply_status, events::publish, explain_undecoded, full_name, raw, remove_finalizer, report_refusal,
};
use crate::api::{IMPLICIT_LABEL, ObjectName, PrivateGenAINetwork, PrivateGenAINetworkSpec, network::NetworkKey};

/// Why a reconcile ended before all of its stages.
#[derive(Debug)]
pub enum Ended<S> {
    /// The decision that a stage came to.
    Decided(Decision<S>),
    /// The Kubernetes API failed.
    Failed(Error),
}

impl<S> From<Decision<S>> for Ended<S> {
    fn from(decision: Decision<S>) -> Self {
        Self::Decided(decision)
    }
}

impl<S> From<Error> for Ended<S> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Carries out the last decision of a reconcile, and says when the next reconcile is due. A lasting refusal of the Kubernetes API
/// becomes a condition of the object.
///
/// # Errors
/// Other errors of the Kubernetes API.
pub async fn finish<K: Kind>(
    ended: Result<Decision<K::Status>, Ended<K::Status>>,
    object: &Guarded<K>,
    ctx: &Context,
) -> Result<Action, Error> {
    let name = ObjectName::of(K::KIND, object);
    let Decision { effects, requeue } = match ended {
        Ok(decision) | Err(Ended::Decided(decision)) => decision,
        Err(Ended::Failed(error)) => return report_refusal(error, object, ctx).await,
    };
    if let Err(error) = carry_out(effects, object, ctx).await {
        return report_refusal(error, object, ctx).await;
    }
    match requeue.pace {
        Pace::Rest => {
            ctx.attempts.reset(&Attempt::Reconcile(name));
            Ok(requeue.probe.map_or_else(Action::await_change, Action::requeue))
        }
        // To wait for a turn is no attempt.
        Pace::Turn(turn) => {
            ctx.turns.wait(name, kube::Resource::meta(object), turn);
            Ok(Action::requeue(turn.saturating_duration_since(Instant::now())))
        }
        pace @ (Pace::Linger | Pace::Wait | Pace::Retry | Pace::Blocked) => {
            let seed = name.to_string();
            Ok(pace.action(ctx.attempts.count(Attempt::Reconcile(name), pace), &seed))
        }
    }
}

/// Carries out effects in their order. Returns the lasting refusal of the Kubernetes API to create a network, if there was one.
///
/// # Errors
/// Of the first effect that failed. The effects after that one are not carried out.
pub async fn carry_out<K: Kind>(
    effects: Vec<Effect<K::Status>>,
    object: &Guarded<K>,
    ctx: &Context,
) -> Result<Option<KubernetesRefusal>, Error> {
    let mut refusal = None;
    for effect in effects {
        refusal = one::<K>(effect, object, ctx).await?.or(refusal);
    }
    Ok(refusal)
}

async fn one<K: Kind>(
    effect: Effect<K::Status>,
    object: &Guarded<K>,
    ctx: &Context,
) -> Result<Option<KubernetesRefusal>, Error> {
    let meta = kube::Resource::meta(object);
    match effect {
        Effect::Hold => add_finalizer::<K>(&ctx.client, meta).await?,
        Effect::Release => remove_finalizer::<K>(&ctx.client, meta).await?,
        Effect::Delete => delete(object, ctx).await?,
        Effect::CreateNetwork { name, key } => return create_network(&name, &key, ctx).await,
        Effect::WriteStatus(status) => {
            if let Some(written) = apply_status::<K>(&ctx.client, meta, &*status).await? {
                K::last_written(ctx).remember(written);
            }
        }
        Effect::ShowConditions(legs) => explain_undecoded::<K>(&ctx.client, meta, &legs).await?,
        Effect::Publish(event) => publish(ctx, object, event).await,
        Effect::MeasureReady(waited) => ctx.metrics.ready_after(K::KIND, waited),
        Effect::CountRepair(kind) => ctx.metrics.drift_repaired(kind),
        Effect::CountObservation(result) => {
            let attempt = Attempt::Observation(ObjectName::of(K::KIND, object));
            match result {
                ObservationResult::Complete => ctx.attempts.reset(&attempt),
                ObservationResult::Missed(pace) => drop(ctx.attempts.count(attempt, pace)),
            }
        }
        Effect::Settle(parts) => ctx.settled.record(meta.uid.as_deref().unwrap_or_default(), parts),
        Effect::RequestDetail(app, why) => ctx.requests.request_detail(app, why),
        Effect::IncludeVpc(key) => ctx.snapshots.region(&key.region).include_vpc(&key.vpc),
        Effect::ExcludeVpc(key) => ctx.snapshots.region(&key.region).exclude_vpc(&key.vpc),
        Effect::WatchLateWrites(released) => ctx.late_writes.watch(released),
        Effect::IgnoreLateWrites(released) => ctx.late_writes.forget(&released),
    }
    Ok(None)
}

async fn delete<K: Kind>(object: &Guarded<K>, ctx: &Context) -> Result<(), Error> {
    let same = Preconditions { uid: object.uid(), resource_version: None };
    let api = raw::<K>(&ctx.client, object.namespace().as_deref());
    match api.delete(&object.name_any(), &DeleteParams::default().preconditions(same)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        // A conflict too: the next reconcile shows whether another object has the name by now, or the server lost a race.
        Err(cause) => Err(Error::Delete { object: full_name::<K>(kube::Resource::meta(object)), cause }),
    }
}

/// Creates the implicit network of a VPC; returns a lasting refusal of the Kubernetes API.
async fn create_network(name: &str, key: &NetworkKey, ctx: &Context) -> Result<Option<KubernetesRefusal>, Error> {
    let mut network = PrivateGenAINetwork::new(name, PrivateGenAINetworkSpec::of(key));
    network.labels_mut().insert(IMPLICIT_LABEL.to_owned(), "true".to_owned());
    match Api::all(ctx.client.clone()).create(&PostParams::default(), &network).await {
        Ok(_) => Ok(None),
        // Another app was quicker, or the watch is behind: the event of the network wakes the app.
        Err(kube::Error::Api(status)) if Status::is_already_exists(&status) => Ok(None),
        Err(cause) => {
            let error = Error::Create { object: format!("PrivateGenAINetwork {name}"), cause };
            KubernetesRefusal::of(&error).map(Some).ok_or(error)
        }
    }
}
