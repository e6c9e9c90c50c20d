//! What went, and may come back: a Lease does not fence, so another operator may have been in the middle of building what
//! this one was removing, and its last call may arrive after everything was seen to be gone and the object was let go. Nobody
//! would ask for that resource any more. So whoever removed an app or a network looks at AWS again for a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{Pace, converge::Converged};
use crate::{
    api::network::NetworkKey,
    aws::{AwsError, Region},
    identity::AppIdentity,
};

/// A call may be late by less than this.
const WATCHED_FOR: Duration = Duration::from_mins(1);

/// How often the places of those that went are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// An app or a network whose resources were seen to be gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Released {
    /// An app in a VPC.
    App(AppIdentity),
    /// The network of a VPC.
    Network(NetworkKey),
}

/// By what a place is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBy {
    /// By what there is under its own names.
    Rows,
    /// By the tables that all share, which were forgotten.
    Tables,
}

/// What a look at the place of one that went has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LateWriteCheck {
    /// Nothing is there that is to be removed.
    NothingLeft,
    /// Something was there; it is removed, or on its way.
    Removing,
    /// AWS could not be asked.
    Unknown(AwsError),
}

impl<O> From<Converged<O>> for LateWriteCheck {
    fn from(pass: Converged<O>) -> Self {
        match pass.errors.into_iter().next() {
            _ if !pass.done.is_empty() => Self::Removing,
            Some(error) => Self::Unknown(error),
            None if pass.plan.legs.is_empty() => Self::NothingLeft,
            None => Self::Removing,
        }
    }
}

/// Those that went lately.
#[derive(Default)]
pub struct LateWrites {
    watched: Mutex<BTreeMap<Released, Watch>>,
    told: Notify,
}

/// When a place is looked at.
struct Watch {
    due: Instant,
    until: Instant,
    /// How often in a row it was not seen to be empty.
    found: u32,
}

impl LateWrites {
    /// The object was let go just now.
    pub fn tell(&self, departed: Released) {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(departed, Watch { due: Instant::now(), until: Instant::now() + WATCHED_FOR, found: 0 });
        self.told.notify_one();
    }

    /// Its place was not seen to be empty: it is looked at until it was empty for a while. What cannot be removed, because AWS does not
    /// let the operator, is tried at the pace of everything that somebody must see to.
    pub fn found(&self, departed: &Released) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watched.get_mut(departed) {
            let delay = Pace::Blocked.delay(watch.found, &format!("{departed:?}")).unwrap_or(LOOK_EVERY);
            watch.found = watch.found.saturating_add(1);
            watch.due = Instant::now() + delay;
            watch.until = watch.due + WATCHED_FOR;
        }
    }

    /// What is there now is to stay.
    pub fn forget(&self, departed: &Released) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(departed);
    }

    /// The regions of the places that are looked at.
    pub fn regions(&self) -> BTreeSet<Region> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let region = |departed: &Released| match departed {
            Released::App(identity) => identity.region.clone(),
            Released::Network(key) => key.region.clone(),
        };
        watched.keys().map(region).collect()
    }

    /// The place is still to be checked.
    pub fn is_watched(&self, departed: &Released) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).contains_key(departed)
    }

    /// Waits until a place is to be checked, now or later.
    pub async fn wait_for_any(&self) {
        if self.is_empty() {
            self.told.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, watch| Instant::now() <= watch.until);
        watched.is_empty()
    }

    /// The places that are to be checked now.
    pub fn due(&self) -> Vec<Released> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Apps come first in their order: a network's groups go after the functions that carry them.
        watched.iter().filter(|(_, watch)| watch.due <= Instant::now()).map(|(departed, _)| departed.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::{
        api::condition::{ConditionType, Leg, Reason},
        aws::{Failure, IamWrite, Write},
        engine::{Observation, Pass},
    };

    #[test]
    fn a_place_that_could_not_be_looked_at_is_not_said_to_be_taken() {
        let error = || AwsError {
            service: "ec2",
            operation: "DescribeVpcEndpoints",
            failure: Failure::Unavailable,
            code: None,
            message: "HTTP status 503".to_owned(),
            request_id: None,
        };
        let place = |error: Option<AwsError>, waits: bool, wrote: bool| {
            let leg = Leg::progressing(ConditionType::ExecutionRoleReady, Reason::Deleting, "It goes.");
            let write = Write::Iam(IamWrite::DeleteRole { role: "pgai-a-b".parse().expect("a role name") });
            let mut pass = Pass::default();
            pass.plan.legs.extend(waits.then_some(leg));
            pass.done.extend(wrote.then_some(write));
            let observation = Observation::Observed { first: None, last: () };
            let ended = Converged::of(pass, observation, BTreeSet::new());
            LateWriteCheck::from(Converged { errors: error.into_iter().collect(), ..ended })
        };
        assert_eq!(place(None, false, false), LateWriteCheck::NothingLeft);
        assert_eq!(place(None, true, false), LateWriteCheck::Removing);
        assert_eq!(place(None, false, true), LateWriteCheck::Removing);
        // A call that failed is on its leg.
        assert_eq!(place(Some(error()), true, false), LateWriteCheck::Unknown(error()));
        assert_eq!(place(Some(error()), true, true), LateWriteCheck::Removing);
    }
}
