//! Deletion of apps. A deletion needs neither a decodable spec nor a network.

pub mod decide;
mod late_writes;
pub mod reconcile;

use kube::Resource as _;

pub use late_writes::check_late_writes;

use self::reconcile::Removal;
use super::controller::retry_on_request;
use crate::{
    api::{AppName, ObjectName, PrivateGenAIApp, PrivateGenAIAppStatus},
    aws::MaxAge,
    engine::{Context, Decision, Ended, Guarded, ReadBy, converge, is_held, stored},
};

/// Deletes the resources of an app in AWS, or retains them, then releases the object.
pub(super) async fn remove(
    object: &Guarded<PrivateGenAIApp>,
    ctx: &Context,
) -> Result<Decision<PrivateGenAIAppStatus>, Ended<PrivateGenAIAppStatus>> {
    let stored = match &object.0 {
        Err(invalid) if is_held(object.meta()) => stored::<PrivateGenAIApp>(&ctx.client, &invalid.metadata).await?,
        Ok(_) | Err(_) => None,
    };
    let mut removal = Removal::begin(object, stored.as_ref(), &ctx.settings, ctx.time())?;
    match ctx.snapshots.caller().await {
        Err(error) => removal.not_identified(object, &error),
        Ok(caller) => {
            let asked = ctx.requests.take(&ObjectName::App(AppName::of(object)));
            let home = ctx.snapshots.region(&ctx.settings.region);
            if asked == Some(ReadBy::Rows) {
                home.forget_errors().await;
            }
            let roles = home.roles(MaxAge::Any).await;
            removal.in_places(object, &caller, roles.as_deref(), &ctx.settings);
            if let Some(by) = asked {
                for identity in removal.places() {
                    retry_on_request(identity, by, ctx).await;
                }
            }
        }
    }
    while let Some(mut pass) = removal.next(&ctx.settings) {
        let snapshot = ctx.snapshots.region(&pass.identity().region);
        let converged = converge(&mut pass, &snapshot, ctx).await;
        removal.ended(pass, &converged);
    }
    Ok(removal.decision(object, ctx.time()))
}
