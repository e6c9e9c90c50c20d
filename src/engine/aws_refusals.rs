//! Writes that AWS refused until a user acts, and writes that AWS accepted without effect. The operator holds them back, so
//! that an object that comes back for another reason does not repeat them each time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Pace,
    unconfirmed_writes::{Novelty, REMEMBERED_FOR, UnconfirmedWrites},
};
use crate::{
    aws::{AwsError, Class, Failure, Write},
    plan::{Plan, Step},
};

/// AWS shows a new resource everywhere within this time. A name that is taken for longer belongs to another owner.
const SHOWN_WITHIN: Duration = Duration::from_mins(1);

/// Writes that were refused lately, or made without effect. Losing them costs calls, never correctness.
pub struct AwsRefusals {
    refused: Mutex<BTreeMap<Write, RefusedWrite>>,
    /// Writes whose last answer was that there are too many calls, and when that was.
    throttled: Mutex<BTreeMap<Write, (AwsError, Instant)>>,
    /// By object and creating write: when AWS reported the name as taken first, and when last.
    taken: Mutex<BTreeMap<(String, Write), (Instant, Instant)>>,
    unconfirmed_writes: Mutex<UnconfirmedWrites>,
    /// The clock of `unconfirmed_writes` begins here.
    began: Instant,
}

impl Default for AwsRefusals {
    fn default() -> Self {
        Self {
            refused: Mutex::default(),
            throttled: Mutex::default(),
            taken: Mutex::default(),
            unconfirmed_writes: Mutex::default(),
            began: Instant::now(),
        }
    }
}

struct RefusedWrite {
    error: AwsError,
    /// The number of refusals in a row.
    times: u32,
    until: Instant,
}

impl AwsRefusals {
    /// The refusal of this write that still holds the write back.
    pub fn of(&self, write: &Write) -> Option<AwsError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(write).filter(|refused| Instant::now() < refused.until).map(|refused| refused.error.clone())
    }

    /// The answer of AWS that throttled this write the last time that the write was made.
    pub fn throttle_of(&self, write: &Write) -> Option<AwsError> {
        let throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        throttled.get(write).map(|(error, _)| error.clone())
    }

    /// Remembers a failed write. A write that needs a user's action is held back for a while ([`Pace::hold_back`]).
    pub fn remember(&self, write: &Write, error: &AwsError) {
        let now = Instant::now();
        let mut throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        throttled.retain(|other, (_, at)| other != write && now < *at + REMEMBERED_FOR);
        if error.failure == Failure::Throttled {
            throttled.insert(write.clone(), (error.clone(), now));
        }
        drop(throttled);
        if error.failure.class() != Class::UserMustAct || error.failure == Failure::Credentials {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, refused| now < refused.until + REMEMBERED_FOR);
        let times = refused.get(write).map_or(0, |refused| refused.times);
        let until = now + Pace::hold_back(times, &write.resource());
        let refusal = RefusedWrite { error: error.clone(), times: times.saturating_add(1), until };
        refused.insert(write.clone(), refusal);
    }

    /// Judges a refusal by the earlier ones for the object. Where the name of a new resource is taken, an earlier call may
    /// have created a resource that AWS does not show yet; after `SHOWN_WITHIN` the name belongs to another owner.
    #[must_use]
    pub fn judged(&self, object: &str, write: &Write, error: AwsError) -> AwsError {
        if error.failure != Failure::AlreadyExists || !write.describe().creates_by_name() {
            return error;
        }
        let now = Instant::now();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, (_, last)| now < *last + REMEMBERED_FOR);
        let (first, last) = taken.entry((object.to_owned(), write.clone())).or_insert((now, now));
        *last = now;
        let is_somebody_else_s = now.saturating_duration_since(*first) >= SHOWN_WITHIN;
        let failure = if is_somebody_else_s { Failure::NameTaken } else { error.failure };
        AwsError { failure, ..error }
    }

    /// Forgets the refusals of a write that succeeded for the object.
    pub fn forget(&self, object: &str, write: &Write) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(write);
        self.throttled.lock().unwrap_or_else(PoisonError::into_inner).remove(write);
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&(object.to_owned(), write.clone()));
    }

    /// Lets writes to resources with one of these names or ids be tried again at once, at a user's request. The counts of
    /// refusals stay, so a request that is repeated in a loop raises no bound.
    pub fn forget_about(&self, names: &[String]) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let is_about = |write: &Write| names.iter().any(|name| write.resource().contains(name.as_str()));
        let now = Instant::now();
        for (_, refused) in refused.iter_mut().filter(|(write, _)| is_about(write)) {
            refused.until = refused.until.min(now);
        }
        self.with_unconfirmed_writes(|unconfirmed_writes, now| unconfirmed_writes.forget_about(is_about, now));
    }

    /// Remembers that AWS accepted the write of this step for the object.
    pub fn made(&self, object: &str, step: &Step) -> Novelty {
        self.with_unconfirmed_writes(|unconfirmed_writes, now| unconfirmed_writes.made(object, step, now))
    }

    /// Compares an object's new plan with the remembered writes. A resource that the plan does not create any more exists
    /// or is not desired; its name counts as free from then on.
    pub fn looked(&self, object: &str, plan: &Plan) {
        if plan.unread.is_empty() {
            let is_planned = |write: &Write| plan.steps.iter().any(|step| step.write == *write);
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.retain(|(of, write), _| of != object || is_planned(write));
        }
        self.with_unconfirmed_writes(|unconfirmed_writes, _| unconfirmed_writes.looked(object, plan));
    }

    /// AWS accepted the write for the object a moment ago and does not show the change yet.
    pub fn holds_back(&self, object: &str, write: &Write) -> bool {
        self.with_unconfirmed_writes(|unconfirmed_writes, now| unconfirmed_writes.holds_back(object, write, now))
    }

    /// AWS accepted the write for the object several times and shows no change.
    pub fn is_without_effect(&self, object: &str, write: &Write) -> bool {
        self.with_unconfirmed_writes(|unconfirmed_writes, now| unconfirmed_writes.is_without_effect(object, write, now))
    }

    fn with_unconfirmed_writes<T>(&self, ask: impl FnOnce(&mut UnconfirmedWrites, Duration) -> T) -> T {
        ask(&mut self.unconfirmed_writes.lock().unwrap_or_else(PoisonError::into_inner), self.began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Ec2Write, IamWrite, LogsWrite};

    fn failed(failure: Failure) -> AwsError {
        AwsError { service: "iam", operation: "", failure, code: None, message: String::new(), request_id: None }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_held_back_longer_each_time_but_less_than_its_object_waits() {
        let refusals = AwsRefusals::default();
        let write = Write::Iam(IamWrite::DeleteRole { role: "pgai-a".parse().expect("a role") });
        refusals.remember(&write, &failed(Failure::Throttled));
        refusals.remember(&write, &failed(Failure::Credentials));
        assert_eq!(refusals.of(&write), None, "these are paced otherwise");
        for times in 0..12 {
            refusals.remember(&write, &failed(Failure::AccessDenied));
            assert!(refusals.of(&write).is_some());
            let wait = Pace::Blocked.delay(times, "another object").expect("a delay");
            tokio::time::advance(wait * 5 / 8).await;
            assert_eq!(refusals.of(&write), None, "after {wait:?}");
        }
        refusals.remember(&write, &failed(Failure::AccessDenied));
        refusals.forget_about(&["pgai-b".to_owned(), "vpc-0abc1234".to_owned()]);
        assert!(refusals.of(&write).is_some(), "somebody asks for something else");
        refusals.forget_about(&["pgai-a".to_owned()]);
        assert_eq!(refusals.of(&write), None, "somebody asks for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_taken_name_is_somebody_else_s_after_a_minute_and_until_the_write_is_made() {
        let refusals = AwsRefusals::default();
        let log_group = || {
            Write::Logs(LogsWrite::CreateLogGroup {
                name: "/aws/lambda/pgai-a".parse().expect("a log group"),
                tags: crate::aws::Tags::new(),
            })
        };
        let judged = |write: &Write| refusals.judged("app a/a", write, failed(Failure::AlreadyExists)).failure;
        let seconds = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        assert_eq!(judged(&log_group()), Failure::AlreadyExists);
        seconds(59).await;
        assert_eq!(judged(&log_group()), Failure::AlreadyExists);
        seconds(1).await;
        assert_eq!(judged(&log_group()), Failure::NameTaken);
        assert_eq!(refusals.judged("app a/a", &log_group(), failed(Failure::Throttled)).failure, Failure::Throttled);
        seconds(400).await;
        assert_eq!(judged(&log_group()), Failure::NameTaken, "at the pace of what somebody must see to");
        refusals.forget("app a/a", &log_group());
        assert_eq!(judged(&log_group()), Failure::AlreadyExists);
        let (group, rules) = ("sg-00000001".parse().expect("a group"), std::collections::BTreeSet::new());
        let rule = Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group, rules });
        judged(&rule);
        seconds(100).await;
        assert_eq!(judged(&rule), Failure::AlreadyExists, "that one is there is what was wanted");
    }
    #[tokio::test(start_paused = true)]
    async fn a_name_that_was_taken_until_what_has_it_showed_is_taken_anew_when_that_is_gone() {
        let refusals = AwsRefusals::default();
        let write = Write::Logs(LogsWrite::CreateLogGroup {
            name: "/aws/lambda/pgai-a".parse().expect("a log group"),
            tags: crate::aws::Tags::new(),
        });
        let judged = || refusals.judged("app a/a", &write, failed(Failure::AlreadyExists)).failure;
        let step = Step { leg: crate::api::condition::ConditionType::FunctionReady, write: write.clone() };
        let wanted = Plan { steps: vec![step], ..Plan::default() };
        assert_eq!(judged(), Failure::AlreadyExists);
        tokio::time::advance(SHOWN_WITHIN).await;
        refusals.looked("app a/a", &wanted);
        refusals.looked("app a/another", &Plan::default());
        assert_eq!(
            judged(),
            Failure::NameTaken,
            "it is still to be created, and another object has nothing to do with it"
        );
        refusals.looked("app a/a", &Plan::default());
        assert_eq!(judged(), Failure::AlreadyExists, "it showed: what has the name now may have been created just now");
    }
}
