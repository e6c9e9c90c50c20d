//! Leader election: of several replicas, the holder of the Lease acts.
//!
//! A Lease does not fence: AWS and Kubernetes accept a write of a replica that has lost the Lease meanwhile. So this module has
//! two guarantees, each tested. First, a leader begins a write only while no other replica can take the Lease before the end of
//! the write ([`Leadership`]). Second, if two replicas act at once all the same (a process was frozen in the middle of a call),
//! their overlap leaves no duplicate and no orphan: names, tags and client tokens do not depend on the writer.
//!
//! ```text
//!   last renewal, taken before        no write is begun           no call is waited for     others may take
//!   its request was sent              from here on                from here on              the Lease
//!   ├────── renewed every 1/6 ────────┤◄────── grace: longer than any call ──────►├┄┄┄┄┄┄┄┄┄┄┄┤
//!   0                          duration − grace                               duration    duration, counted from
//!                                                                                         when they saw the renewal
//! ```
//!
//! The knowledge of a term (stores, snapshots, hints) is made at the start of the term and dropped at its end: a replica that
//! loses the Lease becomes a candidate again, like a new process. The process does not exit: after an outage of the API server,
//! the kubelet's back-off would delay its restart for minutes.
//!
//! [`decide`] is pure; [`election`] carries out its decisions. The existing crates do not fit: `kube-lease-manager` (0.13) and
//! `kube-leader-election` compare wall clocks of different machines, and report leadership as a flag without an end.

mod clock;
pub mod decide;
pub mod election;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use kube::{Client, client::Body};
use tokio::time::Instant;

pub use clock::Moment;
use clock::{Suspended, suspended};
pub use election::{CandidateState, Election};

use crate::aws::sdk::WRITE_TIMEOUT;

/// The default duration of a Lease.
pub const LEASE_SECONDS: u16 = 60;

/// By default, a call that began in time is never interrupted: the call ends by itself before the Lease can run out.
const _: () = assert!(WRITE_TIMEOUT.as_secs() <= Timing::of(LEASE_SECONDS).grace().as_secs());

/// The times of an election. All follow from the duration of the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timing {
    lease: Duration,
}

impl Timing {
    /// The times for a Lease of this number of seconds.
    pub const fn of(seconds: u16) -> Self {
        Self { lease: Duration::from_secs(seconds as u64) }
    }

    /// The time after the last renewal at which another candidate may take the Lease.
    pub const fn lease(self) -> Duration {
        self.lease
    }

    /// The time before the end of the Lease in which a leader begins no write: 35 seconds of 60.
    pub const fn grace(self) -> Duration {
        Duration::from_millis(self.millis() * 35 / 60)
    }

    /// The time between two renewals of a leader: 10 seconds of 60, so that two renewals come before the end of writing.
    pub const fn renew_every(self) -> Duration {
        Duration::from_millis(self.millis() / 6)
    }

    /// The longest time for a call about the Lease: 5 seconds of 60.
    pub const fn call(self) -> Duration {
        Duration::from_millis(self.millis() / 12)
    }

    /// The time between two reads of a candidate, and before a leader repeats a failed renewal: 2 seconds of 60.
    pub const fn look_every(self) -> Duration {
        Duration::from_millis(self.millis() / 30)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a Lease lasts 18 hours at most: 26 bits of milliseconds")]
    const fn millis(self) -> u64 {
        self.lease.as_millis() as u64
    }
}

/// The right to write, with its end. The right is checked before every write, to AWS and to Kubernetes.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<Term>>);

#[derive(Debug)]
struct Term {
    timing: Timing,
    suspended: Suspended,
    /// The start of the last successful renewal. `None` once another candidate holds the Lease.
    renewed: Mutex<Option<Moment>>,
}

/// This replica does not lead any more: the call was not made, or was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead any more: the next leader continues its work")]
pub struct NotLeading;

impl Leadership {
    /// The right to write without an election: a second operator would act at the same time.
    pub fn always() -> Self {
        Self(None)
    }

    /// The right after an acquisition of the Lease by a request that began at this moment.
    pub fn since(acquired: Moment, timing: Timing) -> Self {
        Self::by(acquired, timing, suspended)
    }

    fn by(acquired: Moment, timing: Timing, suspended: Suspended) -> Self {
        Self(Some(Arc::new(Term { timing, suspended, renewed: Mutex::new(Some(acquired)) })))
    }

    /// Records a renewal of the Lease by a request that began at this moment.
    pub fn renewed(&self, at: Moment) {
        if let Some(term) = &self.0 {
            let mut renewed = term.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            *renewed = renewed.map(|before| if before.at < at.at { at } else { before });
        }
    }

    /// Records that another candidate holds the Lease: the right to write ends for good.
    pub fn revoke(&self) {
        if let Some(term) = &self.0 {
            *term.renewed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A write may begin now.
    pub fn may_write(&self) -> bool {
        self.0.is_none() || self.writes_until().is_some_and(|until| Instant::now() < until)
    }

    /// The end of the time in which writes may begin, unless the Lease is renewed. `None` if that time is over for good, or has
    /// no end.
    fn writes_until(&self) -> Option<Instant> {
        let term = self.0.as_ref()?;
        let renewed = *term.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.map(|renewed| renewed.after(term.timing.lease().saturating_sub(term.timing.grace()), term.suspended))
    }

    /// The end of the Lease, unless the Lease is renewed: now, if another candidate holds it.
    fn ends(&self) -> Option<Instant> {
        let term = self.0.as_ref()?;
        Some(self.writes_until().map_or_else(Instant::now, |until| until + term.timing.grace()))
    }

    /// Makes a writing call. The call begins only with the right to write, and is interrupted once the Lease may have run out:
    /// the call has the whole grace, which by default is longer than any call. After a suspension of that length, the call sends
    /// no further byte.
    ///
    /// # Errors
    /// [`NotLeading`] if this replica does not lead. The next leader then observes the effect of the call.
    pub async fn write<T>(&self, call: impl Future<Output = T>) -> Result<T, NotLeading> {
        let (Some(term), Some(ends)) = (self.0.as_ref(), self.ends()) else {
            return Ok(call.await);
        };
        if !self.may_write() {
            return Err(NotLeading);
        }
        let begun = Moment { at: Instant::now(), suspended: (term.suspended)() };
        let left = ends.saturating_duration_since(begun.at);
        let mut call = pin!(call);
        let while_awake = poll_fn(|cx| {
            if begun.after(left, term.suspended) < Instant::now() {
                return Poll::Ready(Err(NotLeading));
            }
            call.as_mut().poll(cx).map(Ok)
        });
        tokio::time::timeout_at(ends, while_awake).await.unwrap_or(Err(NotLeading))
    }

    /// A client that makes writing requests only with the right to write. So a replica that does not lead writes no status,
    /// finalizer, network or Event, in any part of the code.
    pub fn fence(&self, client: &Client) -> Client {
        if self.0.is_none() {
            return client.clone();
        }
        let (leadership, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (leadership, inner) = (leadership.clone(), inner.clone());
            async move {
                let reads = request.method().is_safe();
                let answer = inner.send(request);
                let answer = if reads { answer.await } else { leadership.write(answer).await? };
                Ok::<_, tower::BoxError>(answer?)
            }
        });
        Client::new(service, client.default_namespace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timing = Timing::of(LEASE_SECONDS);

    fn ago(seconds: u64) -> Moment {
        let now = Moment::now();
        Moment { at: now.at - Duration::from_secs(seconds), ..now }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[test]
    fn every_lease_is_renewed_twice_before_writing_ends_with_room_for_the_calls() {
        for seconds in 3..=3600 {
            let timing = Timing::of(seconds);
            let writing = timing.lease().saturating_sub(timing.grace());
            assert!(timing.renew_every() * 2 + timing.call() <= writing, "{seconds} s");
            assert!(timing.call() < timing.grace() && timing.look_every() < timing.renew_every(), "{seconds} s");
            assert!(!timing.look_every().is_zero(), "{seconds} s");
        }
        assert_eq!((T.grace(), T.renew_every()), (Duration::from_secs(35), Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn writing_ends_a_grace_before_the_lease_and_each_renewal_puts_that_off() {
        let leadership = Leadership::since(Moment::now(), T);
        pass(24).await;
        assert!(leadership.may_write());
        pass(1).await;
        assert!(!leadership.may_write(), "60 - 35 seconds after the last renewal");
        leadership.renewed(ago(5));
        assert!(leadership.may_write());
        leadership.renewed(ago(20));
        pass(19).await;
        assert!(leadership.may_write(), "an older renewal that is heard of later takes nothing away");
        pass(1).await;
        assert!(!leadership.may_write());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_seen_to_have_lost_the_lease_does_not_write_again_in_this_term() {
        let leadership = Leadership::since(Moment::now(), T);
        leadership.revoke();
        assert!(!leadership.may_write());
        leadership.renewed(Moment::now());
        assert!(!leadership.may_write());
        assert_eq!(leadership.write(async { 1 }).await, Err(NotLeading));
        assert!(Leadership::always().may_write());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_begun_in_time_has_the_whole_grace_and_no_more() {
        let leadership = Leadership::since(Moment::now(), T);
        pass(24).await;
        let within_grace = async { tokio::time::sleep(T.grace()).await };
        assert_eq!(leadership.write(within_grace).await, Ok(()));
        assert_eq!(leadership.write(async {}).await, Err(NotLeading), "no other call begins");
        let leadership = Leadership::since(Moment::now(), T);
        let begun = Instant::now();
        assert_eq!(leadership.write(std::future::pending::<()>()).await, Err(NotLeading));
        assert_eq!(begun.elapsed(), T.lease());
    }

    thread_local! {
        static SUSPENDED: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
    }

    /// A leader on a machine that the test suspends, for seconds that tokio's clock does not count.
    fn leader() -> Leadership {
        SUSPENDED.set(Duration::ZERO);
        Leadership::by(Moment { at: Instant::now(), suspended: Duration::ZERO }, T, || SUSPENDED.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_was_suspended_for_too_long_begins_no_write() {
        let leadership = leader();
        SUSPENDED.set(Duration::from_secs(24));
        assert!(leadership.may_write());
        SUSPENDED.set(Duration::from_secs(26));
        assert!(!leadership.may_write(), "another may take the Lease in 34 seconds");
        assert_eq!(leadership.write(async {}).await, Err(NotLeading));
        leadership
            .renewed(Moment { at: Instant::now() + Duration::from_millis(1), suspended: Duration::from_secs(26) });
        assert!(leadership.may_write(), "it is renewed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_under_way_at_a_suspension_goes_on_only_while_the_lease_holds() {
        for (seconds, sent) in [(50, true), (70, false)] {
            let leadership = leader();
            let mut done = false;
            let call = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                done = true;
            };
            SUSPENDED.set(Duration::ZERO);
            let suspend = async { SUSPENDED.set(Duration::from_secs(seconds)) };
            let (result, ()) = tokio::join!(leadership.write(call), suspend);
            assert_eq!((result.is_ok(), done), (sent, sent), "{seconds} s");
        }
    }
}
