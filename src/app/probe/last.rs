//! The last probe of an app, and when the next one is due.

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

/// A proof outlives this many invocations in a row that could not be made.
const MISSED: u32 = 3;

/// The last outcome of an app's probes, in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LastProbe {
    /// The subject of the probe.
    pub subject: ProbeSubject,
    /// The function slept, and was invoked to wake it.
    pub asleep: bool,
    /// How many invocations in a row proved nothing.
    pub failures: u32,
    /// The leg in the status.
    pub leg: Leg,
    /// The time until the next probe; `None`: at the app's own interval, or in its turn of the rotation.
    pub wait: Option<Duration>,
}

impl LastProbe {
    /// The outcome of a proof that the status records. Apps with an interval of their own are spread over the interval.
    pub fn on_record(subject: ProbeSubject, interval: Option<Duration>) -> Self {
        let mut hasher = DefaultHasher::new();
        subject.arn.hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 256).unwrap_or_default() + 1;
        let wait = interval.map(|interval| interval / 256 * share);
        Self { leg: subject.proven(), subject, asleep: false, failures: 0, wait }
    }

    /// The leg after one more invocation, whose own leg is `new`. An invocation that failed for a passing cause says nothing about the
    /// path: a proof holds for a few of them, and then nothing is claimed.
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

    /// The time until the next probe, at this `age` of the last one; `None`: when something changes, or in the app's turn.
    pub fn due_in(&self, age: Duration, interval: Option<Duration>) -> Option<Duration> {
        let interval = interval.filter(|_| self.leg.state == LegState::Met);
        self.wait.or(interval).map(|wait| wait.saturating_sub(age))
    }

    /// Whether a probe is due, at this `age` of the last one. A failed probe keeps its pace whatever the rotation says.
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
