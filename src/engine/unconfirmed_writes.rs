//! Writes that AWS accepted and no later observation has shown. Such a write is repeated less and less often, and after
//! several times a user must find the cause. Pure: the time is an argument.

use std::{collections::BTreeMap, time::Duration};

use super::Pace;
use crate::{
    api::condition::{ConditionType, LegState},
    aws::Write,
    plan::{Plan, Step},
};

/// AWS is eventually consistent: a change that does not show within this time has no effect.
const SHOWS_WITHIN: Duration = Duration::from_mins(2);

/// The number of writes in a row without effect after which a user must act.
const TRIED: u32 = 4;

/// The time for which a write without effect is remembered after it may be made again.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_mins(10);

/// A write that AWS accepted and no observation has shown since.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    /// The condition that the write serves.
    leg: ConditionType,
    /// The number of times that the write was made.
    times: u32,
    first: Duration,
    /// The write is held back until this time.
    until: Duration,
}

/// The earlier attempts of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// The write was not made before.
    First,
    /// The write was made before and has not shown since.
    Repeated,
}

/// The writes that AWS accepted lately and no observation has shown since, by their object. All times are on one clock.
/// Losing this memory costs calls, never correctness.
#[derive(Debug, Default)]
pub struct UnconfirmedWrites(BTreeMap<(String, Write), Made>);

impl UnconfirmedWrites {
    /// Remembers that AWS accepted the write of this step for the object.
    pub fn made(&mut self, object: &str, step: &Step, now: Duration) -> Novelty {
        self.0.retain(|_, made| now < made.until + REMEMBERED_FOR);
        let new = Made { leg: step.leg, times: 0, first: now, until: now };
        let made = self.0.entry((object.to_owned(), step.write.clone())).or_insert(new);
        made.until = now + Pace::hold_back(made.times, object);
        made.times = made.times.saturating_add(1);
        if made.times == 1 { Novelty::First } else { Novelty::Repeated }
    }

    /// Compares the object's new plan with its writes: a met condition shows the writes that serve it. A condition for
    /// which AWS is at work shows nothing.
    pub fn looked(&mut self, object: &str, plan: &Plan) {
        let is_met = |kind| plan.legs.iter().any(|leg| leg.kind == kind && leg.state == LegState::Met);
        let is_planned = |write: &Write| plan.steps.iter().any(|step| step.write == *write);
        self.0
            .retain(|(of, write), made| of != object || is_planned(write) || !(is_met(made.leg) || plan.is_nothing()));
    }

    /// The write was made a moment ago, has not shown, and is held back ([`Pace::hold_back`]).
    pub fn holds_back(&self, object: &str, write: &Write, now: Duration) -> bool {
        self.of(object, write).is_some_and(|made| now < made.until)
    }

    /// The write was made several times, over a time in which AWS shows its changes, and has not shown.
    pub fn is_without_effect(&self, object: &str, write: &Write, now: Duration) -> bool {
        let made = self.of(object, write);
        made.is_some_and(|made| made.times >= TRIED && now.saturating_sub(made.first) >= SHOWS_WITHIN)
    }

    fn of(&self, object: &str, write: &Write) -> Option<&Made> {
        self.0.get(&(object.to_owned(), write.clone()))
    }

    /// Lets these writes be made again at once, at a user's request. Their counts and times stay.
    pub fn forget_about(&mut self, is_about: impl Fn(&Write) -> bool, now: Duration) {
        for (_, made) in self.0.iter_mut().filter(|((_, write), _)| is_about(write)) {
            made.until = made.until.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::IamWrite;

    const BOT: &str = "app a/bot";

    fn step() -> Step {
        Step {
            leg: ConditionType::ExecutionRoleReady,
            write: Write::Iam(IamWrite::DeleteRole { role: "pgai-a".parse().expect("a role") }),
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// When the write is made, by an operator that makes it whenever it is not held back, in the first so many seconds.
    fn made_within(seconds: u64) -> (UnconfirmedWrites, Vec<u64>) {
        let (mut unconfirmed_writes, mut made) = (UnconfirmedWrites::default(), Vec::new());
        for second in 0..seconds {
            if !unconfirmed_writes.holds_back(BOT, &step().write, at(second)) {
                unconfirmed_writes.made(BOT, &step(), at(second));
                made.push(second);
            }
        }
        (unconfirmed_writes, made)
    }

    #[test]
    fn who_asks_for_looks_in_a_loop_has_writes_made_at_once_and_changes_no_bound() {
        let mut unconfirmed_writes = UnconfirmedWrites::default();
        for second in 0..=150 {
            if second % 30 == 0 {
                unconfirmed_writes.forget_about(|_| true, at(second));
                assert!(!unconfirmed_writes.holds_back(BOT, &step().write, at(second)), "after {second} seconds");
            }
            if !unconfirmed_writes.holds_back(BOT, &step().write, at(second)) {
                unconfirmed_writes.made(BOT, &step(), at(second));
            }
        }
        assert!(unconfirmed_writes.is_without_effect(BOT, &step().write, at(150)), "{unconfirmed_writes:?}");
    }

    #[test]
    fn what_does_not_show_is_repeated_ever_less_and_a_few_times_an_hour_in_the_end() {
        let (_, made) = made_within(120);
        assert!((4..=5).contains(&made.len()), "in two minutes: {made:?}");
        let (_, made) = made_within(3600);
        let pauses: Vec<u64> = made.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.windows(2).take(4).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 190), "it never stops trying: {pauses:?}");
    }

    #[test]
    fn it_is_without_effect_after_a_few_times_and_some_minutes() {
        let (unconfirmed_writes, _) = made_within(119);
        let write = step().write;
        assert!(!unconfirmed_writes.is_without_effect(BOT, &write, at(119)), "AWS may still show it");
        assert!(unconfirmed_writes.is_without_effect(BOT, &write, at(120)));
        assert!(!unconfirmed_writes.is_without_effect("app a/another", &write, at(120)), "each object by itself");
        let mut once = UnconfirmedWrites::default();
        assert_eq!(once.made(BOT, &step(), at(0)), Novelty::First);
        assert!(!once.is_without_effect(BOT, &write, at(500)), "once is not a few times");
        assert_eq!(once.made(BOT, &step(), at(500)), Novelty::Repeated);
        assert_eq!(once.made(BOT, &step(), at(2000)), Novelty::First, "long ago");
    }

    #[test]
    fn it_shows_where_its_leg_is_met_and_not_while_aws_is_at_work_on_what_it_changed() {
        use crate::api::condition::{Leg, Reason};
        let leg = |leg: Leg| Plan { legs: vec![leg], ..Plan::default() };
        let kind = step().leg;
        let pending = leg(Leg::progressing(kind, Reason::FunctionPending, "AWS is at work."));
        let another = leg(Leg::met(ConditionType::FunctionReady, "It is there."));
        let mut planned = leg(Leg::met(kind, "It is there."));
        let met = planned.clone();
        planned.step(kind, step().write);
        for (plan, object, shows) in [
            (&pending, BOT, false),
            (&another, BOT, false),
            (&planned, BOT, false),
            (&met, "app a/another", false),
            (&met, BOT, true),
            (&Plan::default(), BOT, true),
        ] {
            let (mut unconfirmed_writes, _) = made_within(119);
            unconfirmed_writes.looked(object, plan);
            assert_eq!(!unconfirmed_writes.is_without_effect(BOT, &step().write, at(120)), shows, "{plan:?}");
        }
    }
}
