//! Checks the places of released apps and networks for late writes of another operator.

use std::time::Duration;

use crate::{
    app,
    engine::{Context, LateWriteCheck, ReadBy, Released},
    network,
};

/// The pause between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// The number of places that are read one by one. More places are read together, by the shared tables.
const ONE_BY_ONE: usize = 4;

/// Checks the places until the operator is to stop.
pub(super) async fn run(ctx: &Context) {
    let looking = async {
        loop {
            ctx.late_writes.wait_for_any().await;
            tokio::time::sleep(CHECK_EVERY).await;
            look(ctx).await;
        }
    };
    tokio::select! {
        () = ctx.stop.cancelled() => {}
        () = looking => {}
    }
}

async fn look(ctx: &Context) {
    let due = ctx.late_writes.due();
    // The tables do not show another operator's writes.
    let by = if due.len() <= ONE_BY_ONE { ReadBy::Rows } else { ReadBy::Tables };
    if by == ReadBy::Tables {
        ctx.snapshots.resync();
    }
    for departed in due {
        // An app may use the place again since the other places were read.
        if !ctx.late_writes.is_watched(&departed) {
            continue;
        }
        let place = match &departed {
            Released::App(identity) => Box::pin(app::check_late_writes(identity, by, ctx)).await,
            Released::Network(key) => {
                let snapshot = ctx.snapshots.region(&key.region);
                snapshot.include_endpoints_of(&key.vpc);
                if by == ReadBy::Rows {
                    snapshot.reread_remains(&key.vpc).await;
                }
                Box::pin(network::late_writes::check_late_writes(key, ctx)).await
            }
        };
        match place {
            LateWriteCheck::NothingLeft => continue,
            LateWriteCheck::Removing => {
                tracing::warn!(?departed, "something was created here after all was gone; it is removed");
            }
            LateWriteCheck::Unknown(error) => {
                tracing::warn!(?departed, %error, "whether anything was created here after all was gone is not known yet");
            }
        }
        ctx.late_writes.keep_watching(&departed);
    }
}
