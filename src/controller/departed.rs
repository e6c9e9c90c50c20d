//! What went, and may come back: a Lease does not fence, so another operator may have been in the middle of building what
//! this one was removing, and its last call may arrive after everything was seen to be gone and the object was let go. Nobody
//! would ask for that resource any more. So whoever removed an app or a network looks at AWS again for a while.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::Context;
use crate::{api::network::NetworkKey, app, identity::AppIdentity, network};

/// A call may be late by less than this.
const WATCHED_FOR: Duration = Duration::from_mins(1);

/// How often the places of those that went are looked at: all of them together, by the same reads.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// An app or a network whose resources were seen to be gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Departed {
    /// An app in a VPC.
    App(AppIdentity),
    /// The network of a VPC.
    Network(NetworkKey),
}

/// Those that went lately, and when each of their places was last found not to be empty.
#[derive(Default)]
pub struct Departures {
    watched: Mutex<BTreeMap<Departed, Instant>>,
    told: Notify,
}

impl Departures {
    /// The object was let go just now.
    pub fn tell(&self, departed: Departed) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(departed, Instant::now());
        self.told.notify_one();
    }

    /// What is there now is to stay.
    pub fn forget(&self, departed: &Departed) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(departed);
    }

    fn watched(&self) -> Vec<Departed> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, since| since.elapsed() <= WATCHED_FOR);
        // Apps come first in their order: a network's groups go after the functions that carry them.
        watched.keys().cloned().collect()
    }
}

/// Looks after the places of those that went, until the operator is told to stop.
pub(super) async fn look_after(ctx: &Context) {
    let looking = async {
        loop {
            let watched = ctx.departures.watched();
            if watched.is_empty() {
                ctx.departures.told.notified().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            look(ctx).await;
        }
    };
    tokio::select! {
        () = ctx.stop.cancelled() => {}
        () = looking => {}
    }
}

async fn look(ctx: &Context) {
    // What another operator writes does not make our tables stale.
    ctx.snapshots.resync();
    for departed in ctx.departures.watched() {
        let empty = match &departed {
            Departed::App(identity) => app::look_after(identity, ctx).await,
            Departed::Network(key) => network::controller::look_after(key, ctx).await,
        };
        if !empty {
            tracing::warn!(?departed, "something was created here after all was gone; it is removed");
            ctx.departures.tell(departed);
        }
    }
}
