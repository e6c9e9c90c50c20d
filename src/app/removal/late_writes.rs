//! Checks the place of an app that is gone for late writes: a call of another operator that arrived after the resources were gone.

use super::decide::{RemovalCause, RemovalPass, is_taken_up};
use crate::{
    api::condition::Reason,
    aws::{AppRows, AwsError, Failure, MaxAge, Role, Snapshot},
    engine::{Context, LateWriteCheck, ReadBy, converge},
    identity::{AppIdentity, HandOver, is_retained},
};

/// Removes the resources that a late write created for an app that is gone. Nothing is removed where another object of its name
/// [sees to the place](is_taken_up).
pub async fn check_late_writes(identity: &AppIdentity, by: ReadBy, ctx: &Context) -> LateWriteCheck {
    if is_taken_up(identity, &ctx.index(), &mut ctx.memory()) {
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
            let mut pass = RemovalPass::new(identity, &caller, RemovalCause::LateWrite);
            let ended = converge(&mut pass, &snapshot, ctx).await;
            // Another cluster built there before this check: the resources are its own.
            let is_another_s = ended.plan.legs.iter().any(|leg| leg.reason == Reason::InstallationInUse);
            if is_another_s { LateWriteCheck::NothingLeft } else { ended.into() }
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
