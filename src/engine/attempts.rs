//! The counts of attempts of an object that has not come to rest.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::Pace;
use crate::api::ObjectName;

/// The kind of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attempt {
    /// A reconcile of the object.
    Reconcile(ObjectName),
    /// A read of all that belongs to the object in AWS.
    Observation(ObjectName),
    /// A write to the Kubernetes API for the object.
    KubernetesWrite(ObjectName),
}

/// The counts of attempts since the last success.
#[derive(Default)]
pub struct Attempts(Mutex<BTreeMap<Attempt, AttemptCounts>>);

/// The counts of one kind of attempt of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// The pace of the attempts that `count` counts.
    pace: Option<Pace>,
    count: u32,
    /// How often in a row a call failed that may succeed when repeated. Such a failure says nothing about the object: a throttled
    /// answer now and then does not make refused calls more frequent.
    retries: u32,
}

impl AttemptCounts {
    /// How many attempts there were at the pace.
    #[must_use]
    pub fn at(mut self, pace: Pace) -> u32 {
        self.count(pace)
    }

    /// Counts an attempt; gives how many there were before at the same pace.
    fn count(&mut self, pace: Pace) -> u32 {
        if matches!(pace, Pace::Retry | Pace::Turn(_)) {
            let before = self.retries;
            self.retries = before.saturating_add(1);
            return before;
        }
        let before = if self.pace == Some(pace) { self.count } else { 0 };
        *self = Self { pace: Some(pace), count: before.saturating_add(1), retries: 0 };
        before
    }
}

impl Attempts {
    /// Counts an attempt that did not come to rest; gives how many there were before at the same pace.
    pub fn count(&self, attempt: Attempt, pace: Pace) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(attempt).or_default().count(pace)
    }

    /// The counts of an attempt.
    pub fn of(&self, attempt: &Attempt) -> AttemptCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(attempt).copied().unwrap_or_default()
    }

    /// The attempt succeeded.
    pub fn reset(&self, attempt: &Attempt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(attempt);
    }

    /// The object is gone.
    pub fn forget(&self, object: &ObjectName) {
        let object = || object.clone();
        for attempt in
            [Attempt::Reconcile(object()), Attempt::Observation(object()), Attempt::KubernetesWrite(object())]
        {
            self.reset(&attempt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_stays_so_although_a_call_is_throttled_now_and_then() {
        use Pace::{Blocked, Retry, Wait};
        let mut attempts = AttemptCounts::default();
        let table = [
            (Blocked, 0),
            (Blocked, 1),
            (Retry, 0),
            (Retry, 1),
            (Blocked, 2),
            (Retry, 0),
            (Wait, 0),
            (Wait, 1),
            (Blocked, 0),
        ];
        for (nth, (pace, before)) in table.into_iter().enumerate() {
            assert_eq!(attempts.count(pace), before, "attempt {nth}");
        }
    }
}
