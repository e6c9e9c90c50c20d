//! Late writes: calls of another operator that arrive after this one released an object. A Lease does not fence. The former
//! leader may be building what this operator removes, and its last call may arrive after all resources were gone and the
//! finalizer was removed. No object would lead to that resource any more. So the operator checks the place of each released
//! app and network again for a while.

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

/// The longest delay of a late write.
const WATCHED_FOR: Duration = Duration::from_mins(1);

/// The pause between two checks of a place.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// An app or a network whose resources are gone and whose object was released.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Released {
    /// An app in a VPC.
    App(AppIdentity),
    /// The network of a VPC.
    Network(NetworkKey),
}

/// The way in which a place is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBy {
    /// By the resources of its own names, one by one.
    Rows,
    /// By the shared tables, which are read anew.
    Tables,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LateWriteCheck {
    /// The place is empty.
    NothingLeft,
    /// A late write was found; its resource is removed, or is being removed.
    Removing,
    /// AWS could not be read.
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

/// The places of the apps and networks released lately.
#[derive(Default)]
pub struct LateWrites {
    watched: Mutex<BTreeMap<Released, Watch>>,
    added: Notify,
}

/// When a place is checked.
struct Watch {
    due: Instant,
    until: Instant,
    /// How many checks in a row did not find the place empty.
    not_empty: u32,
}

impl LateWrites {
    /// Watches the place of an object that was released just now.
    pub fn watch(&self, departed: Released) {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(departed, Watch { due: Instant::now(), until: Instant::now() + WATCHED_FOR, not_empty: 0 });
        self.added.notify_one();
    }

    /// Watches a place longer, because the last check did not find the place empty. The pauses grow as those of
    /// [`Pace::Blocked`]: AWS may refuse the removal until a user acts.
    pub fn keep_watching(&self, departed: &Released) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watched.get_mut(departed) {
            let delay = Pace::Blocked.delay(watch.not_empty, &format!("{departed:?}")).unwrap_or(LOOK_EVERY);
            watch.not_empty = watch.not_empty.saturating_add(1);
            watch.due = Instant::now() + delay;
            watch.until = watch.due + WATCHED_FOR;
        }
    }

    /// Stops the watch: the resources in the place are to stay.
    pub fn forget(&self, departed: &Released) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(departed);
    }

    /// The regions of the watched places.
    pub fn regions(&self) -> BTreeSet<Region> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let region = |departed: &Released| match departed {
            Released::App(identity) => identity.region.clone(),
            Released::Network(key) => key.region.clone(),
        };
        watched.keys().map(region).collect()
    }

    /// The place is watched.
    pub fn is_watched(&self, departed: &Released) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).contains_key(departed)
    }

    /// Waits until at least one place is watched.
    pub async fn wait_for_any(&self) {
        if self.is_empty() {
            self.added.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, watch| Instant::now() <= watch.until);
        watched.is_empty()
    }

    /// The places whose check is due.
    pub fn due(&self) -> Vec<Released> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Apps come first in this order: AWS deletes a security group only after the functions that carry the group.
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
