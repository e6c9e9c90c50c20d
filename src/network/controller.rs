//! The controller of networks: reads the objects and AWS, and carries out what the stages of a reconcile decide.

use std::{borrow::Cow, sync::Arc};

use kube::{ResourceExt as _, runtime::controller::Action};

use super::{
    Observed,
    decide::{NetworkPass, identity, observe_place},
    interfaces::group_in_use,
    reconcile::{Missing, NetworkReconcile},
    undecodable::recover,
};
use crate::{
    api::{ObjectName, PrivateGenAINetwork, PrivateGenAINetworkStatus, condition::Leg},
    aws::Snapshot,
    engine::{Context, Decision, Ended, Error, Freshness, Guarded, ReadBy, carry_out, converge, finish, stored},
};

/// Reconciles one network.
///
/// # Errors
/// Errors of the Kubernetes API. Errors of AWS become conditions.
pub async fn reconcile(object: Arc<Guarded<PrivateGenAINetwork>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let object = ctx.written_networks.newest(object);
    let ended = Box::pin(reconcile_network(&object, &ctx)).await;
    finish(ended, &object, &ctx).await
}

async fn reconcile_network(
    guarded: &Guarded<PrivateGenAINetwork>,
    ctx: &Context,
) -> Result<Decision<PrivateGenAINetworkStatus>, Ended<PrivateGenAINetworkStatus>> {
    let object = match &guarded.0 {
        Ok(object) => Cow::Borrowed(object),
        Err(invalid) => {
            let stored = match &invalid.metadata.deletion_timestamp {
                Some(_) => stored::<PrivateGenAINetwork>(&ctx.client, &invalid.metadata).await?,
                None => None,
            };
            Cow::Owned(recover(&invalid.metadata, &invalid.error, stored, &ctx.settings.installation)?)
        }
    };
    let (effects, mut reconcile) = NetworkReconcile::begin(&object, &ctx.index(), &mut ctx.memory(), ctx.time())?;
    carry_out(effects, guarded, ctx).await?;
    let circumstances = ctx.circumstances(&*object);
    let key = reconcile.key.clone();
    let snapshot = ctx.snapshots.region(&key.region);
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return Ok(reconcile.unobserved(&error, &ctx.index(), &circumstances)),
    };
    match reconcile.missing {
        Missing::Nothing => {}
        Missing::Record | Missing::FinalizerAndRecord => {
            let identity = identity(&key, &caller, &ctx.settings);
            let observed = match observe_place(&snapshot, (&key, &identity), false, &Freshness::default(), ctx).await {
                Ok(observed) => observed,
                Err(error) => return Ok(reconcile.unobserved(&error, &ctx.index(), &circumstances)),
            };
            let effects = reconcile.hold(&observed, &ctx.index(), &circumstances)?;
            carry_out(effects, guarded, ctx).await?;
        }
    }
    let asked = ctx.requests.take(&ObjectName::Network(object.name_any()));
    if asked == Some(ReadBy::Rows) {
        snapshot.reread_network(&key.vpc).await;
    }
    let mut pass = reconcile.pass(&caller, asked.is_some(), &ctx.settings);
    let converged = converge(&mut pass, &snapshot, ctx).await;
    let group_in_use = match converged.observation.last() {
        Some(observed) => group_in_use_leg(&pass, observed, &snapshot).await,
        None => None,
    };
    let circumstances = ctx.circumstances(&*object);
    Ok(reconcile.decision(&pass, converged, group_in_use, &ctx.index(), &mut ctx.memory(), &circumstances))
}

/// The condition that names the users of a group that AWS refused to delete; `None` where AWS does not show them.
async fn group_in_use_leg(pass: &NetworkPass, observed: &Observed, snapshot: &Snapshot) -> Option<Leg> {
    let group = pass.group_in_use.as_ref()?;
    let interfaces = snapshot.group_interfaces(group).await.ok()?;
    let mut referring = snapshot.referring_groups(group).await.ok()?;
    // The rules between our own two groups were revoked just now.
    referring.retain(|other| observed.security_groups.iter().all(|ours| ours.id != *other));
    group_in_use(group, &interfaces, &referring)
}
