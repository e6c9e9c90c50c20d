//! The last probe of an app, and the time of the next one.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use super::ProbeSubject;
use crate::{
    api::condition::{Leg, LegState, Reason},
    aws::{AwsError, Class, Failure, Invocation},
    engine::DetailRead,
};

/// The number of failed invocations in a row that a proof outlives.
const MISSED: u32 = 3;

/// The last outcome of an app's probes, in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LastProbe {
    /// The subject of the probe.
    pub subject: ProbeSubject,
    /// The function slept, and was invoked in order to wake it.
    pub asleep: bool,
    /// The number of invocations in a row without a proof.
    pub failures: u32,
    /// The leg in the status.
    pub leg: Leg,
    /// The time until the next probe. `None`: at the app's own interval, or in its turn of the rotation.
    pub wait: Option<Duration>,
}

impl LastProbe {
    /// The outcome of a proof in the status. Apps with their own interval are spread over that interval.
    pub fn on_record(subject: ProbeSubject, interval: Option<Duration>) -> Self {
        let mut hasher = DefaultHasher::new();
        subject.arn.hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 256).unwrap_or_default() + 1;
        let wait = interval.map(|interval| interval / 256 * share);
        Self { leg: subject.proven(), subject, asleep: false, failures: 0, wait }
    }

    /// The leg after one more invocation, whose own leg is `new`. An invocation that failed for a passing cause is no news about
    /// the path: a proof stays valid for a few of these, and then the path is unproven.
    pub fn leg_after(&self, result: &Result<Invocation, AwsError>, new: Leg) -> Leg {
        let Err(AwsError { failure, .. }) = result else { return new };
        match (failure.class(), self.leg.state) {
            (Class::Retry | Class::Wait, LegState::Met) if self.failures < MISSED => self.leg.clone(),
            (Class::Retry | Class::Wait, LegState::Met | LegState::Unknown) if *failure != Failure::Throttled => {
                Leg::unknown(new.kind, Reason::ObservationFailed, new.message)
            }
            (Class::Retry | Class::Wait | Class::UserMustAct, _) => new,
        }
    }

    /// The time until the next probe, at this `age` of the last one. `None`: after a change, or in the app's turn.
    pub fn due_in(&self, age: Duration, interval: Option<Duration>) -> Option<Duration> {
        let interval = interval.filter(|_| self.leg.state == LegState::Met);
        self.wait.or(interval).map(|wait| wait.saturating_sub(age))
    }

    /// A probe is due, at this `age` of the last one. A failed probe keeps its pace, whatever the rotation.
    pub fn is_due(&self, age: Duration, interval: Option<Duration>, look: Option<DetailRead>) -> bool {
        let due = self.due_in(age, interval).is_some_and(|left| left.is_zero());
        match look {
            Some(DetailRead::Requested) => true,
            Some(DetailRead::Rotation) => {
                due || (interval.is_none() && self.failures == 0 && self.leg.state == LegState::Met)
            }
            None => due,
        }
    }
}
