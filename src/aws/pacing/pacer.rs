//! The place where calls wait for their turns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Bucket, Entry, Family, LONGEST_HOLD, LONGEST_HOLD_OF_NEW, Owner, Queue, Share, Urgency};
use crate::aws::{AwsError, Failure, Operation, Region};

/// A call that had to wait for its token, or that was not made because its token would have come too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The service prefix, as IAM names it.
    pub service: &'static str,
    /// The operation, as AWS's API reference names it.
    pub operation: &'static str,
    /// The wait; `None` when the call is not made.
    pub wait: Option<Duration>,
}

/// Called with every call that is held back; must not block.
pub type OnHold = Arc<dyn Fn(Held) + Send + Sync>;

/// A call that is put off. Its place in the queue is kept until some time after its turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PutOff {
    /// When its turn comes.
    pub until: Instant,
    /// The call whose rate sets the turn: the call itself, or a later one of the same plan.
    pub service: &'static str,
    /// The operation of that call.
    pub operation: &'static str,
}

/// The queues of all regions: one for a whole process, because the rates are AWS's for the whole account.
pub struct Pacer {
    started: Instant,
    queues: Mutex<Queues>,
    calls: AtomicU64,
    limits: Limits,
    on_hold: OnHold,
}

/// The limits of the rates.
#[derive(Clone, Copy, Debug)]
struct Limits {
    share: Share,
    exploration: Exploration,
}

/// Whether rates that AWS does not publish are explored above the guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exploration {
    /// The guesses are never exceeded.
    Off,
    /// The guesses are exceeded step by step, up to the share of a stated ceiling.
    On,
}

/// The queues, by region (none where the rate is one for all regions) and family.
type Queues = BTreeMap<(Option<Region>, Family), Queue>;

/// A call: the service, and the operation.
type Call = (&'static str, &'static str);

/// The answer to a call that asks for its turn.
enum Answer {
    /// The call may be made.
    Go,
    /// The turn comes at this time.
    Wait(Duration),
    /// The turn comes so late that the caller comes back then.
    PutOff { turn: Duration, by: Call },
}

impl Pacer {
    /// A pacer with full buckets, at this share of the rates.
    pub fn new(share: Share, on_hold: OnHold) -> Self {
        let limits = Limits { share, exploration: Exploration::Off };
        Self { started: Instant::now(), queues: Mutex::default(), calls: AtomicU64::new(0), limits, on_hold }
    }

    /// The same pacer, with or without exploration.
    #[must_use]
    pub fn exploring(self, exploration: Exploration) -> Self {
        Self { limits: Limits { exploration, ..self.limits }, ..self }
    }

    /// Waits until the first of these calls of a subject may be made, for at most [`LONGEST_HOLD`], and hands out the token for it. The
    /// calls after it, as far as they are of the same rate, get their places at the same time. A new app waits until all of its calls can
    /// be made, of whichever rate. So whoever begins also gets to the end.
    ///
    /// # Errors
    /// The turn, when it is later. Then the call must not be made.
    pub async fn admit(
        &self,
        region: &Region,
        subject: &str,
        lane: (Urgency, Entry),
        calls: &[&'static Operation],
    ) -> Result<(), PutOff> {
        let calls: Vec<_> = calls.iter().map(|operation| (operation.service, operation.name)).collect();
        let owner = Owner::Subject(subject.to_owned());
        self.in_line(region, &owner, lane, &calls).await
    }

    /// The subjects whose turn came although they were told a later one. All of their calls can be made soon.
    pub fn early(&self) -> BTreeSet<String> {
        let now = self.started.elapsed();
        let queues = self.lock();
        let mut early: BTreeSet<String> = queues.values().flat_map(|queue| queue.early(now)).collect();
        early.retain(|subject| {
            let owner = Owner::Subject(subject.clone());
            let turns = queues.values().filter_map(|queue| queue.last_turn(&owner, now));
            turns.max().is_some_and(|turn| turn <= now.saturating_add(LONGEST_HOLD_OF_NEW))
        });
        early
    }

    /// The subject makes no more of the calls for which it has places.
    pub fn leave(&self, subject: &str) {
        let owner = Owner::Subject(subject.to_owned());
        self.lock().values_mut().for_each(|queue| queue.leave(&owner));
    }

    /// Waits until a call may be made, for at most [`LONGEST_HOLD`]. A call that was admitted goes at once.
    ///
    /// # Errors
    /// [`Failure::Throttled`] when the wait would be longer. The caller must not make the call then.
    pub async fn turn(&self, region: &Region, service: &'static str, operation: &'static str) -> Result<(), AwsError> {
        let handed_out = |queue: &mut Queue, now| queue.use_handed_out(operation, now);
        if self.with_queue(region, service, operation, handed_out) != Some(false) {
            return Ok(());
        }
        let owner = Owner::Call(self.calls.fetch_add(1, Ordering::Relaxed));
        if self.in_line(region, &owner, (Urgency::Existing, Entry::Back), &[(service, operation)]).await.is_ok() {
            self.with_queue(region, service, operation, handed_out);
            return Ok(());
        }
        self.with_queue(region, service, operation, |queue, _| queue.leave(&owner));
        // The message leaves out the wait: a status shows the message, and must not change at each attempt.
        Err(AwsError {
            service,
            operation,
            failure: Failure::Throttled,
            code: None,
            message: format!(
                "the operator itself holds the call back, to stay below the account's rate of {service}:{operation}"
            ),
            request_id: None,
        })
    }

    async fn in_line(
        &self,
        region: &Region,
        owner: &Owner,
        lane: (Urgency, Entry),
        calls: &[Call],
    ) -> Result<(), PutOff> {
        let Some((service, operation)) = calls.first().copied() else { return Ok(()) };
        let began = self.started.elapsed();
        let mut until = began.saturating_add(match lane.0 {
            Urgency::Existing => LONGEST_HOLD,
            Urgency::New => LONGEST_HOLD_OF_NEW,
        });
        let mut has_waited = false;
        loop {
            let now = self.started.elapsed();
            match self.ask(region, owner, lane, calls, (now, until)) {
                Answer::Go => return Ok(()),
                Answer::Wait(turn) => {
                    let wait = turn.saturating_sub(now).max(Duration::from_millis(1));
                    if !std::mem::replace(&mut has_waited, true) {
                        (self.on_hold)(Held { service, operation, wait: Some(wait) });
                    }
                    sleep(wait).await;
                    until = began.saturating_add(LONGEST_HOLD);
                }
                Answer::PutOff { turn, by: (service_of_turn, operation_of_turn) } => {
                    (self.on_hold)(Held { service, operation, wait: None });
                    return Err(PutOff {
                        until: self.started + turn,
                        service: service_of_turn,
                        operation: operation_of_turn,
                    });
                }
            }
        }
    }

    /// Asks for the turns of calls, of which the first is to be made now. The caller waits in line until a time at most.
    fn ask(
        &self,
        region: &Region,
        owner: &Owner,
        lane: (Urgency, Entry),
        calls: &[Call],
        (now, until): (Duration, Duration),
    ) -> Answer {
        let family = |call: &Call| Family::of(call.0, call.1);
        let Some((first, first_family)) = calls.first().and_then(|call| Some((*call, family(call)?))) else {
            return Answer::Go;
        };
        let mut families: BTreeMap<Family, (Call, usize)> = BTreeMap::new();
        for call in calls {
            if let Some(family) = family(call)
                && (lane.0 == Urgency::New || family == first_family)
            {
                families.entry(family).or_insert((*call, 0)).1 += 1;
            }
        }
        let mut queues = self.lock();
        let turns = families.iter().map(|(family, (call, number))| {
            let (first, last) = queue(&mut queues, self.limits, region, *family, now).ask(owner, lane, *number, now);
            match lane.0 {
                Urgency::Existing => (first, *call),
                Urgency::New => (last, *call),
            }
        });
        // All are asked for their turns.
        let (turn, by) = turns.max_by_key(|(turn, _)| *turn).unwrap_or((now, first));
        if turn > until {
            for family in families.keys() {
                queue(&mut queues, self.limits, region, *family, now).tell(owner, turn);
            }
            return Answer::PutOff { turn, by };
        }
        let queue = queue(&mut queues, self.limits, region, first_family, now);
        match queue.take(owner, now) {
            Ok(()) => {
                queue.hand_out(first.1, now);
                Answer::Go
            }
            Err(turn) => Answer::Wait(turn),
        }
    }

    /// Forgets how calls in other regions than these were paced.
    pub fn keep_regions(&self, used: &BTreeSet<Region>) {
        self.lock().retain(|(region, _), _| region.as_ref().is_none_or(|region| used.contains(region)));
    }

    /// Learns from the end of a call; `failure` is `None` when the call succeeded.
    pub fn ended(&self, region: &Region, service: &'static str, operation: &'static str, failure: Option<Failure>) {
        self.with_queue(region, service, operation, |queue, now| match failure {
            Some(Failure::Throttled) => queue.throttled(now),
            // These answers do not show whether AWS accepted the call.
            Some(Failure::Unavailable | Failure::Malformed | Failure::Credentials) => {}
            None
            | Some(
                Failure::NotFound
                | Failure::AlreadyExists
                | Failure::NameTaken
                | Failure::InUse
                | Failure::NotYet
                | Failure::RoleNotUsable
                | Failure::TokenMismatch
                | Failure::PrivateDnsConflict
                | Failure::BoundaryMissing
                | Failure::AccessDenied
                | Failure::KeyUnusable
                | Failure::QuotaReached
                | Failure::Invalid,
            ) => queue.accepted(now),
        });
    }

    fn with_queue<T>(
        &self,
        region: &Region,
        service: &'static str,
        operation: &'static str,
        change: impl FnOnce(&mut Queue, Duration) -> T,
    ) -> Option<T> {
        let family = Family::of(service, operation)?;
        let now = self.started.elapsed();
        Some(change(queue(&mut self.lock(), self.limits, region, family, now), now))
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue of a family in a region. A family without one gets a full bucket.
fn queue<'a>(queues: &'a mut Queues, limits: Limits, region: &Region, family: Family, now: Duration) -> &'a mut Queue {
    let region = (!family.global).then(|| region.clone());
    queues.entry((region, family)).or_insert_with(|| {
        let bucket = Bucket::full(family.rate.scaled(limits.share), now);
        Queue::of(match (limits.exploration, family.ceiling) {
            (Exploration::On, Some(ceiling)) => bucket.explored_to(ceiling.scaled(limits.share)),
            (Exploration::On, None) | (Exploration::Off, _) => bucket,
        })
    })
}

impl Default for Pacer {
    /// A pacer that takes the whole rates and reports no held call.
    fn default() -> Self {
        Self::new(Share::ALL, Arc::new(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().expect("a region")
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_a_family_go_in_the_order_of_asking_and_another_region_s_at_once() {
        let held = Arc::new(Mutex::new(Vec::new()));
        let holds = Arc::clone(&held);
        let pacer = Pacer::new(Share::ALL, Arc::new(move |one| holds.lock().expect("a lock").push(one)));
        let (here, there) = (region("us-east-1"), region("eu-west-1"));
        let order = Mutex::new(Vec::new());
        // Five logs calls a second, and five at once.
        let all = (0..32).map(async |n| {
            let turn = pacer.turn(&here, "logs", "PutRetentionPolicy").await;
            order.lock().expect("a lock").push((n, turn.is_ok()));
        });
        let begun = Instant::now();
        futures::future::join_all(all).await;
        assert_eq!(begun.elapsed(), LONGEST_HOLD);
        let order = order.into_inner().expect("a lock");
        let made: Vec<i32> = order.iter().filter(|(_, made)| *made).map(|(n, _)| *n).collect();
        assert_eq!(made, (0..30).collect::<Vec<_>>(), "five at once, five in each second");
        let held = std::mem::take(&mut *held.lock().expect("a lock"));
        assert_eq!(held.iter().filter(|held| held.wait.is_some()).count(), 25);
        assert_eq!(
            held.iter().filter(|held| held.wait.is_none()).count(),
            2,
            "the last two are refused and come back later"
        );
        let begun = Instant::now();
        pacer.turn(&there, "logs", "PutRetentionPolicy").await.expect("another region has its own bucket");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_rates_is_half_as_many_calls_at_once_and_half_as_many_later() {
        let made = async |share| {
            let (pacer, region) = (Pacer::new(share, Arc::new(|_| ())), region("us-east-1"));
            let all = (0..500).map(|_| pacer.turn(&region, "ec2", "DescribeVpcs"));
            futures::future::join_all(all).await.into_iter().flatten().count()
        };
        assert_eq!(made(Share::ALL).await, 100 + 20 * 5);
        assert_eq!(made("50".parse().expect("a share")).await, 50 + 10 * 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_held_back_too_long_fails_and_says_that_the_operator_does_it() {
        let pacer = Pacer::default();
        let region = region("us-east-1");
        let all = (0..6).map(|_| pacer.turn(&region, "ec2", "CreateVpcEndpoint"));
        let error = futures::future::join_all(all).await.into_iter().find_map(Result::err).expect("one too many");
        assert_eq!((error.failure, error.code.clone()), (Failure::Throttled, None));
        let message = error.to_string();
        assert!(
            message.contains("the operator itself holds") && message.contains("ec2:CreateVpcEndpoint"),
            "{message}"
        );
    }
}
