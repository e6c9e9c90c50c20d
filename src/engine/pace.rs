//! The pace of an object: how soon the operator reconciles the object again.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use kube::runtime::controller::Action;
use tokio::time::Instant;

use crate::{
    api::{
        condition::WaitState,
        condition::{LegState, Reason},
    },
    aws::{AwsError, Class},
    plan::Plan,
};

/// The reason why an object is reconciled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pace {
    /// Only a change or the resync wakes the object.
    Rest,
    /// AWS needs minutes or hours.
    Linger,
    /// AWS is at work and sends no notice when the work is done.
    Wait,
    /// A failed call may succeed when repeated.
    Retry,
    /// The operator itself holds a call back until the call's turn.
    Turn(Instant),
    /// A call fails until a user changes something.
    Blocked,
}

impl Pace {
    /// The pace after an error of AWS.
    pub fn after(error: &AwsError) -> Self {
        match error.failure.class() {
            Class::Wait => Self::Wait,
            Class::Retry => Self::Retry,
            Class::UserMustAct => Self::Blocked,
        }
    }

    /// The pace of a plan whose steps are done. A plan that waits only for the network rests: a change of the network's
    /// status wakes the app. A suspended app rests too: the change of its spec wakes it.
    pub fn of(plan: &Plan) -> Self {
        let stands = |standing| plan.legs.iter().any(|leg| leg.state == standing && !leg.reason.waits_for_event());
        let in_use =
            |standing| plan.legs.iter().any(|leg| leg.state == standing && leg.reason == Reason::ResourceInUse);
        if stands(LegState::Progressing) || stands(LegState::Unknown) {
            Self::Wait
        } else if stands(LegState::Blocked) || in_use(LegState::Blocked) {
            Self::Blocked
        } else if in_use(LegState::Progressing) {
            Self::Linger
        } else {
            Self::Rest
        }
    }

    /// The pace of an object with this wait. An overdue object is reconciled as rarely as a blocked one.
    #[must_use]
    pub fn with(self, wait: WaitState) -> Self {
        match (self, wait) {
            (Self::Wait | Self::Retry | Self::Linger, WaitState::Overdue) => Self::Blocked,
            (Self::Turn(_), WaitState::Overdue) => self,
            (pace, WaitState::WithinBounds | WaitState::Overdue) => pace,
        }
    }

    /// The pace of several that brings an object back first.
    pub fn soonest(paces: impl IntoIterator<Item = Self>) -> Self {
        let turn = |pace: &Self| match pace {
            Self::Wait => (0, None),
            Self::Retry => (1, None),
            Self::Turn(at) => (2, Some(*at)),
            Self::Linger => (3, None),
            Self::Blocked => (4, None),
            Self::Rest => (5, None),
        };
        paces.into_iter().min_by_key(turn).unwrap_or(Self::Rest)
    }

    /// The delay before the next reconcile, after this number of attempts at the same pace. The delay doubles up to a
    /// bound. The object's name adds up to a quarter, so that a thousand objects that failed together come back spread out. A turn
    /// is no delay but a time.
    pub fn delay(self, attempt: u32, object: &str) -> Option<Duration> {
        let (first, longest) = match self {
            Self::Rest | Self::Turn(_) => return None,
            Self::Linger => (Duration::from_secs(5), Duration::from_mins(5)),
            Self::Wait => (Duration::from_secs(1), Duration::from_secs(15)),
            Self::Retry => (Duration::from_secs(1), Duration::from_mins(1)),
            Self::Blocked => (Duration::from_secs(15), Duration::from_mins(5)),
        };
        let delay = first.saturating_mul(2_u32.saturating_pow(attempt)).min(longest);
        let mut hasher = DefaultHasher::new();
        (object, attempt).hash(&mut hasher);
        Some(delay + delay / 256 * u32::try_from(hasher.finish() % 64).unwrap_or_default())
    }

    /// The time for which a call is held back after this number of failed attempts. The time is half of the delay of
    /// [`Pace::Blocked`], so a blocked object that comes back can always try again.
    pub fn hold_back(attempt: u32, of: &str) -> Duration {
        Self::Blocked.delay(attempt, of).unwrap_or_default() / 2
    }

    /// The delay as an action of kube's controller.
    pub fn action(self, attempt: u32, object: &str) -> Action {
        self.delay(attempt, object).map_or_else(Action::await_change, Action::requeue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_differ_between_objects() {
        for pace in [Pace::Linger, Pace::Wait, Pace::Retry, Pace::Blocked] {
            let delays: Vec<Duration> = (0..40).map(|n| pace.delay(n, "app/a").expect("a delay")).collect();
            assert!(delays[0] < delays[3], "{pace:?}");
            assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(375)), "{pace:?}");
            let others: std::collections::BTreeSet<Duration> =
                (0..100).filter_map(|n| pace.delay(9, &format!("app/{n}"))).collect();
            assert!(others.len() > 10, "{pace:?}: objects that fail together come back spread out");
        }
        assert_eq!(Pace::Rest.delay(3, "app/a"), None);
    }

    #[test]
    fn an_object_comes_back_soon_for_aws_late_for_somebody_and_not_when_it_is_met() {
        use crate::api::condition::{ConditionType, Leg};
        let kind = ConditionType::FunctionReady;
        let met = Leg::met(ConditionType::ExecutionRoleReady, "");
        let blocked = Leg::blocked(kind, Reason::NameTaken, "");
        for (legs, pace) in [
            (vec![], Pace::Rest),
            (vec![met.clone()], Pace::Rest),
            (vec![met.clone(), Leg::progressing(kind, Reason::WaitingForNetwork, "")], Pace::Rest),
            (vec![met.clone(), Leg::progressing(kind, Reason::FunctionPending, "")], Pace::Wait),
            (vec![Leg::unknown(kind, Reason::ObservationFailed, "")], Pace::Wait),
            (vec![met.clone(), Leg::progressing(kind, Reason::ResourceInUse, "")], Pace::Linger),
            (vec![met.clone(), Leg::blocked(kind, Reason::ResourceInUse, "")], Pace::Blocked),
            (vec![met.clone(), Leg::blocked(kind, Reason::Suspended, "")], Pace::Rest),
            (vec![met, blocked.clone()], Pace::Blocked),
            (vec![blocked, Leg::progressing(kind, Reason::FunctionPending, "")], Pace::Wait),
        ] {
            let plan = Plan { legs, ..Plan::default() };
            assert_eq!(Pace::of(&plan), pace, "{plan:?}");
        }
    }

    #[test]
    fn a_failed_call_sets_the_pace_by_what_it_means() {
        use crate::aws::Failure;
        for (failure, pace) in [
            (Failure::NotYet, Pace::Wait),
            (Failure::NotFound, Pace::Wait),
            (Failure::Throttled, Pace::Retry),
            (Failure::Unavailable, Pace::Retry),
            (Failure::AccessDenied, Pace::Blocked),
            (Failure::QuotaReached, Pace::Blocked),
        ] {
            let error = AwsError {
                service: "ec2",
                operation: "DescribeVpcs",
                failure,
                code: None,
                message: String::new(),
                request_id: None,
            };
            assert_eq!(Pace::after(&error), pace, "{failure:?}");
        }
    }

    #[test]
    fn what_is_refused_is_asked_for_a_few_times_a_minute_at_most() {
        let mut elapsed = Duration::ZERO;
        let attempts = (0..).take_while(|n| {
            elapsed += Pace::Blocked.delay(*n, "app/a").expect("a delay");
            elapsed < Duration::from_hours(1)
        });
        assert!(attempts.count() < 20);
    }
}
