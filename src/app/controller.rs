//! The controller of apps: reads the objects and AWS, and carries out what the stages of a reconcile decide.

use std::sync::Arc;

use kube::{Resource as _, runtime::controller::Action};

use super::{AppReconcile, Probes, observe::subnets_refused, probe::Probe, removal::remove};
use crate::{
    api::{AppName, ObjectName, PrivateGenAIApp, PrivateGenAIAppStatus, condition::Leg},
    aws::{AwsError, Snapshot},
    engine::{
        Context, Decision, Effect, Ended, Error, Guarded, ReadBy, carry_out, converge, finish, is_held, unreadable,
    },
    identity::AppIdentity,
};

/// Reconciles one app.
///
/// # Errors
/// Errors of the Kubernetes API. Errors of AWS become conditions.
pub async fn reconcile(
    object: Arc<Guarded<PrivateGenAIApp>>,
    ctx: Arc<Context>,
    probes: Arc<Probes>,
) -> Result<Action, Error> {
    let object = ctx.written_apps.newest(object);
    let ended = match &object.0 {
        _ if object.meta().deletion_timestamp.is_some() => Box::pin(remove(&object, &ctx)).await,
        Ok(app) => Box::pin(reconcile_present(&object, app, &ctx, &probes)).await,
        Err(invalid) => Ok(Decision::rest(vec![Effect::ShowConditions(vec![unreadable(&invalid.error)])])),
    };
    finish(ended, &object, &ctx).await
}

/// Reconciles an app that is not being deleted. The app's resources are kept exact, whatever the state of its network.
async fn reconcile_present(
    guarded: &Guarded<PrivateGenAIApp>,
    object: &PrivateGenAIApp,
    ctx: &Context,
    probes: &Probes,
) -> Result<Decision<PrivateGenAIAppStatus>, Ended<PrivateGenAIAppStatus>> {
    let name = AppName::of(object);
    let (effects, reconcile) = AppReconcile::begin(object, &ctx.index(), ctx.time())?;
    let refusal = carry_out(effects, guarded, ctx).await?;
    let reconcile = reconcile.with_network(object, refusal, ctx.time())?;
    let snapshot = ctx.snapshots.region(&reconcile.app.network.region);
    let caller = ctx.snapshots.caller().await;
    let subnets = if caller.is_ok() { own_subnets(object, &reconcile, &snapshot).await } else { Ok(None) };
    let circumstances = ctx.circumstances(object);
    let (effects, reconcile, mut pass) =
        reconcile.prepare(object, caller.as_deref(), subnets, &ctx.settings, &circumstances)?;
    carry_out(effects, guarded, ctx).await?;
    let detail = ctx.requests.take_detail(&name);
    pass.read_detail |= detail.is_some();
    if let Some(by) = ctx.requests.take(&ObjectName::App(name)) {
        retry_on_request(&pass.desired.identity, by, ctx).await;
    }
    let converged = converge(&mut pass, &snapshot, ctx).await;
    let (circumstances, interval) = (ctx.circumstances(object), reconcile.app.probe_interval);
    let concluded = reconcile.conclude(object, &pass, converged, detail, &ctx.settings, &circumstances)?;
    let probe = Probe {
        ctx,
        probes,
        snapshot: &snapshot,
        uid: &pass.uid,
        function: &pass.desired.identity.function_name(),
        interval,
        before: object.status.as_ref(),
    };
    let leg = probe.leg(concluded.subject.clone(), concluded.readiness, detail).await;
    Ok(concluded.decision(object, leg, ctx.time()))
}

/// The reason why the app's own subnets cannot be used, if there is one. Of a VPC that the network's controller did not read yet,
/// nothing is known.
async fn own_subnets(
    object: &PrivateGenAIApp,
    reconcile: &AppReconcile,
    snapshot: &Snapshot,
) -> Result<Option<Leg>, AwsError> {
    let app = &reconcile.app;
    if app.subnets.is_empty() {
        return Ok(None);
    }
    let refused = subnets_refused(app, snapshot).await?;
    Ok(refused.filter(|_| !is_held(&object.metadata) || snapshot.includes_vpc(&app.network.vpc)))
}

/// Serves a user's request to read an app: refused writes may be made again, and the app's rows are read anew unless the
/// tables are.
pub(super) async fn retry_on_request(identity: &AppIdentity, by: ReadBy, ctx: &Context) {
    // The log group and the ARNs have the name of the function in theirs, which is the role's.
    ctx.refusals.forget_about(&[identity.function_name().to_string()]);
    match by {
        ReadBy::Rows => ctx.snapshots.region(&identity.region).reread_app(identity).await,
        ReadBy::Tables => {}
    }
}
