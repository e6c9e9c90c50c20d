//! Of several replicas one acts: the one that holds the Lease.
//!
//! A Lease does not fence: nothing in AWS or Kubernetes refuses a write because its writer has lost the Lease meanwhile. So
//! two things are promised, and each is tested. A leader begins a write only while it knows that nobody else can have taken
//! the Lease before the write is over ([`Leadership`]); and where two are active all the same (a process was frozen in the
//! middle of a call), their overlap leaves no duplicate and no orphan, because names, tags and client tokens are the same
//! whoever writes.
//!
//! ```text
//!   last renewal, taken before        no write is begun           no call is waited for     others may take
//!   its request was sent              from here on                from here on              the Lease
//!   ├────── renewed every 1/6 ────────┤◄────── grace: longer than any call ──────►├┄┄┄┄┄┄┄┄┄┄┄┤
//!   0                          duration − grace                               duration    duration, counted from
//!                                                                                         when they saw the renewal
//! ```
//!
//! What a term of leadership knows (stores, snapshots, hints) is made when it begins and dropped when it ends: a replica
//! that loses the Lease becomes a candidate again, as a new process would be. It does not exit, because then an outage of
//! the API server would leave it in the kubelet's back-off for minutes after the outage.
//!
//! [`decide`] is pure; [`election`] does what it says. No crate does: `kube-lease-manager` (0.13) and
//! `kube-leader-election` compare wall clocks of different machines, and tell whether they lead by a flag, not until when.

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

/// How long a Lease holds, unless a test says otherwise.
pub const LEASE_SECONDS: u16 = 60;

/// By default a call that was begun in time is never cut off: it ends by itself before the Lease could run out.
const _: () = assert!(WRITE_TIMEOUT.as_secs() <= Timing::of(LEASE_SECONDS).grace().as_secs());

/// The times of an election. All follow from one, so that they cannot contradict one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timing {
    lease: Duration,
}

impl Timing {
    /// The times for a Lease of so many seconds.
    pub const fn of(seconds: u16) -> Self {
        Self { lease: Duration::from_secs(seconds as u64) }
    }

    /// A Lease that is not renewed for so long may be taken by another.
    pub const fn lease(self) -> Duration {
        self.lease
    }

    /// Within so long before the end of its Lease, a leader begins no write: 35 seconds of 60.
    pub const fn grace(self) -> Duration {
        Duration::from_millis(self.millis() * 35 / 60)
    }

    /// How often a leader renews: every 10 seconds of 60, which is twice before it must not write any more.
    pub const fn renew_every(self) -> Duration {
        Duration::from_millis(self.millis() / 6)
    }

    /// How long a call about the Lease may take: 5 seconds of 60.
    pub const fn call(self) -> Duration {
        Duration::from_millis(self.millis() / 12)
    }

    /// How often a candidate looks at the Lease, and a leader repeats a renewal that failed: every 2 seconds of 60.
    pub const fn look_every(self) -> Duration {
        Duration::from_millis(self.millis() / 30)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a Lease lasts 18 hours at most: 26 bits of milliseconds")]
    const fn millis(self) -> u64 {
        self.lease.as_millis() as u64
    }
}

/// The right to write, and until when. Checked before every write, to AWS and to Kubernetes.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<Term>>);

#[derive(Debug)]
struct Term {
    timing: Timing,
    suspended: Suspended,
    /// When the last renewal that succeeded was begun; `None` once another was seen to hold the Lease.
    renewed: Mutex<Option<Moment>>,
}

/// This replica does not lead any more, so the call was not made, or not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead any more: the next leader goes on from here")]
pub struct NotLeading;

impl Leadership {
    /// Without an election: whoever starts a second operator makes two active ones.
    pub fn always() -> Self {
        Self(None)
    }

    /// Leads since a Lease was acquired by a request that was begun at that moment.
    pub fn since(acquired: Moment, timing: Timing) -> Self {
        Self::by(acquired, timing, suspended)
    }

    fn by(acquired: Moment, timing: Timing, suspended: Suspended) -> Self {
        Self(Some(Arc::new(Term { timing, suspended, renewed: Mutex::new(Some(acquired)) })))
    }

    /// The Lease was renewed by a request that was begun at that moment.
    pub fn renewed(&self, at: Moment) {
        if let Some(term) = &self.0 {
            let mut renewed = term.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            *renewed = renewed.map(|before| if before.at < at.at { at } else { before });
        }
    }

    /// Another holds the Lease: nothing is written any more, and this is for good.
    pub fn revoke(&self) {
        if let Some(term) = &self.0 {
            *term.renewed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A write may be begun now.
    pub fn may_write(&self) -> bool {
        self.0.is_none() || self.writes_until().is_some_and(|until| Instant::now() < until)
    }

    /// Until when writes may be begun, if the Lease is not renewed again; `None` when that is over for good, or has no end.
    fn writes_until(&self) -> Option<Instant> {
        let term = self.0.as_ref()?;
        let renewed = *term.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.map(|renewed| renewed.after(term.timing.lease().saturating_sub(term.timing.grace()), term.suspended))
    }

    /// When the Lease ends, if it is not renewed again: now, when another holds it.
    fn ends(&self) -> Option<Instant> {
        let term = self.0.as_ref()?;
        Some(self.writes_until().map_or_else(Instant::now, |until| until + term.timing.grace()))
    }

    /// Makes a call that writes. It is not begun without the right to, and not waited for once the Lease may have run out:
    /// it has the whole grace, which by default is more than any call takes. After the machine was suspended for so long, not one more
    /// byte of it is sent.
    ///
    /// # Errors
    /// When this replica does not lead. Whether the call has had an effect is then for the next leader to see.
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

    /// The same client, which makes no request that could change anything without the right to write. So no status,
    /// finalizer, network or Event is written by a replica that does not lead, whatever the code says that wants to.
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
        assert_eq!(leadership.write(async {}).await, Err(NotLeading), "nor is another begun");
        let leadership = Leadership::since(Moment::now(), T);
        let begun = Instant::now();
        assert_eq!(leadership.write(std::future::pending::<()>()).await, Err(NotLeading));
        assert_eq!(begun.elapsed(), T.lease());
    }

    thread_local! {
        static SUSPENDED: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
    }

    /// A leader on a machine that the test suspends, by seconds that tokio's clock does not see.
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
