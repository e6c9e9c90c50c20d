//! Doing what [`decide`](super::decide) says, by get, create and replace with the version that was seen.

use std::{
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    pin::pin,
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Leadership, Moment, Timing,
    decide::{LeaseAction, Record, Sighting, decide, held, look_again, released},
};

/// Which Lease is held, by whom, for how long.
#[derive(Clone)]
pub struct Election {
    /// The Kubernetes API.
    pub client: Client,
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// This candidate: another one each time a process starts.
    pub identity: String,
    /// The times.
    pub timing: Timing,
}

impl Election {
    /// An election with this process as a candidate. A container that is started again in the same pod is another candidate.
    pub fn of_this_process(client: Client, namespace: String, name: String, timing: Timing) -> Self {
        let variable = |name: &&str| std::env::var(name).ok().filter(|pod| !pod.is_empty());
        let pod = ["POD_NAME", "HOSTNAME"].iter().find_map(variable);
        let random = RandomState::new().build_hasher().finish();
        let identity = format!("{}_{random:016x}", pod.as_deref().unwrap_or("private-genai-operator"));
        Self { client, namespace, name, identity, timing }
    }
}

/// Where a candidate stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CandidateState {
    /// It has not seen the Lease yet, or cannot see it.
    #[default]
    Unknown,
    /// Another holds the Lease.
    Standby {
        /// Who.
        leader: String,
    },
    /// It holds the Lease.
    Leader,
}

/// Why nothing is known of the Lease.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Kubernetes(#[from] kube::Error),
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

/// What came of looking at the Lease.
enum LeaseObservation {
    /// It is ours, by a request that was begun then.
    Ours(Moment),
    /// Another holds it.
    Theirs {
        leader: String,
        /// When it runs out if it does not change.
        until: Instant,
    },
    /// Another was quicker: what is known is old.
    Overtaken,
}

/// How renewing ended.
enum Renewal {
    /// The work was over.
    Whole(Box<Candidate>),
    /// Another holds the Lease, or it could not be renewed in time.
    Lost,
}

impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Election {
    /// Waits for the Lease, and does the work while holding it. The work is given the right to write and a token that
    /// tells it to end in order: when `stop` says so, or when the Lease is lost. In the first case, or when the work ends by
    /// itself, the Lease is released and this returns. In the second the work is done anew, from nothing, once the Lease is
    /// held again.
    pub async fn campaign(
        &self,
        standing: &watch::Sender<CandidateState>,
        stop: &CancellationToken,
        mut work: impl AsyncFnMut(Leadership, CancellationToken),
    ) {
        while !stop.is_cancelled() {
            let mut candidate = Candidate::new(self.clone());
            let Some(acquired) = candidate.acquire(standing, stop).await else {
                return;
            };
            tracing::info!(lease = %self, identity = self.identity, "leading");
            standing.send_replace(CandidateState::Leader);
            let kept = self.lead(candidate, Leadership::since(acquired, self.timing), stop, &mut work).await;
            standing.send_replace(CandidateState::Unknown);
            match kept {
                Renewal::Whole(candidate) => return candidate.release().await,
                Renewal::Lost => tracing::warn!(lease = %self, "not leading any more; a candidate again"),
            }
        }
    }

    /// One term.
    async fn lead(
        &self,
        candidate: Candidate,
        leadership: Leadership,
        stop: &CancellationToken,
        work: &mut impl AsyncFnMut(Leadership, CancellationToken),
    ) -> Renewal {
        let (over, done) = (stop.child_token(), CancellationToken::new());
        // A task of its own, which ends with this one: however busy the work is, renewing is not late.
        let mut renewing = JoinSet::new();
        renewing.spawn(candidate.keep(leadership.clone(), done.clone()));
        let mut working = pin!(work(leadership.clone(), over.clone()));
        tokio::select! {
            () = &mut working => {}
            _ = renewing.join_next() => {
                over.cancel();
                // Writes that were begun in time are over by then, and no other is begun. What reads is dropped.
                if let Some(ends) = leadership.ends() {
                    drop(timeout_at(ends, working).await);
                }
                return Renewal::Lost;
            }
        }
        done.cancel();
        renewing.join_next().await.and_then(Result::ok).unwrap_or(Renewal::Lost)
    }
}

/// A candidate, and what it knows of the Lease.
struct Candidate {
    election: Election,
    api: Api<Lease>,
    /// The beginning of its clock.
    started: Instant,
    /// The Lease as it was last seen: its version is what a write is conditional on.
    lease: Option<Lease>,
    seen: Option<Sighting>,
}

impl Candidate {
    fn new(election: Election) -> Self {
        let api = Api::namespaced(election.client.clone(), &election.namespace);
        Self { election, api, started: Instant::now(), lease: None, seen: None }
    }

    /// Waits until the Lease is ours; gives when the request that made it so was begun. `None` when told to stop.
    async fn acquire(&mut self, standing: &watch::Sender<CandidateState>, stop: &CancellationToken) -> Option<Moment> {
        let Election { timing, identity, .. } = self.election.clone();
        for looks in 0.. {
            let mut again = Instant::now() + look_again(timing.look_every(), &identity, looks);
            let look = tokio::select! {
                // A request that is dropped here may be carried out all the same: then the Lease runs out.
                () = stop.cancelled() => return None,
                look = self.look() => look,
            };
            match look {
                Ok(LeaseObservation::Ours(since)) => return Some(since),
                Ok(LeaseObservation::Theirs { leader, until }) => {
                    again = again.min(until);
                    let stands_by = CandidateState::Standby { leader };
                    let before = standing.send_replace(stands_by.clone());
                    if let CandidateState::Standby { leader } = &stands_by
                        && before != stands_by
                    {
                        tracing::info!(lease = %self.election, leader, "standing by");
                    }
                }
                Ok(LeaseObservation::Overtaken) => {}
                Err(error) => {
                    tracing::warn!(lease = %self.election, %error, "the Lease cannot be looked at; it is tried again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = sleep_until(again) => {}
            }
        }
        None
    }

    /// Renews until the work is done, or until it is certain that writing has to end.
    async fn keep(mut self, leadership: Leadership, done: CancellationToken) -> Renewal {
        let timing = self.election.timing;
        let mut wait = timing.renew_every();
        loop {
            // Never later than the end of writing, which is to be noticed when it comes.
            let deadline = leadership.writes_until().unwrap_or_else(Instant::now);
            tokio::select! {
                () = done.cancelled() => return Renewal::Whole(Box::new(self)),
                () = sleep(wait) => {}
                () = sleep_until(deadline) => {}
            }
            wait = timing.look_every();
            match self.renew().await {
                Ok(LeaseObservation::Ours(since)) => {
                    leadership.renewed(since);
                    wait = timing.renew_every();
                }
                Ok(LeaseObservation::Theirs { leader, .. }) => {
                    tracing::warn!(lease = %self.election, leader, "another holds the Lease");
                    leadership.revoke();
                }
                Ok(LeaseObservation::Overtaken) => {}
                Err(error) => tracing::warn!(lease = %self.election, %error, "the Lease was not renewed"),
            }
            if !leadership.may_write() {
                return Renewal::Lost;
            }
        }
    }

    /// Renews by what is known of the Lease, and looks at it only if somebody has changed it.
    async fn renew(&mut self) -> Result<LeaseObservation, Trouble> {
        if let Some(lease) = self.lease.clone()
            && let LeaseObservation::Ours(since) = self.write(lease).await?
        {
            return Ok(LeaseObservation::Ours(since));
        }
        self.look().await
    }

    /// Looks at the Lease, and takes or renews it if that is the thing to do.
    async fn look(&mut self) -> Result<LeaseObservation, Trouble> {
        let timing = self.election.timing;
        let lease = within(timing, self.api.get_opt(&self.election.name)).await?;
        let now = self.started.elapsed();
        self.seen = lease.as_ref().map(|lease| Sighting::of(record(lease, timing), now, self.seen.take()));
        self.lease.clone_from(&lease);
        match (decide(now, &self.election.identity, self.seen.as_ref()), lease) {
            (LeaseAction::Wait { until }, _) => Ok(LeaseObservation::Theirs {
                leader: self.seen.as_ref().map(|seen| seen.record.holder.clone()).unwrap_or_default(),
                until: self.started + until,
            }),
            (LeaseAction::Create | LeaseAction::Take | LeaseAction::Renew, lease) => {
                self.write(lease.unwrap_or_default()).await
            }
        }
    }

    /// Makes the Lease ours, if it still is as it was seen. One that has no version is created.
    async fn write(&mut self, mut lease: Lease) -> Result<LeaseObservation, Trouble> {
        let Election { name, identity, timing, .. } = &self.election;
        let begun = Moment::now();
        let before = lease.metadata.resource_version.is_some().then(|| record(&lease, *timing));
        set(&mut lease, held(before.as_ref(), identity, timing.lease(), Timestamp::now().as_microsecond()));
        let written = if before.is_some() {
            within(*timing, self.api.replace(name, &PostParams::default(), &lease)).await
        } else {
            lease.metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
            within(*timing, self.api.create(&PostParams::default(), &lease)).await
        };
        match written {
            Ok(lease) => {
                self.lease = Some(lease);
                Ok(LeaseObservation::Ours(begun))
            }
            // Changed, created or deleted since it was seen.
            Err(Trouble::Kubernetes(kube::Error::Api(status)))
                if status.is_conflict()
                    || status.is_already_exists()
                    || (status.is_not_found() && before.is_some()) =>
            {
                self.lease = None;
                Ok(LeaseObservation::Overtaken)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Lets the next one take over at once. What cannot be released runs out.
    async fn release(mut self) {
        let Election { name, identity, timing, .. } = self.election.clone();
        let result = async {
            let current = within(timing, self.api.get_opt(&name)).await?;
            let Some(mut lease) = current.filter(|lease| record(lease, timing).holder == identity) else {
                return Ok(());
            };
            let before = record(&lease, timing);
            set(&mut lease, released(&before, Timestamp::now().as_microsecond()));
            self.lease = Some(within(timing, self.api.replace(&name, &PostParams::default(), &lease)).await?);
            Ok::<(), Trouble>(())
        };
        match result.await {
            Ok(()) => tracing::info!(lease = %self.election, "released"),
            Err(error) => tracing::warn!(lease = %self.election, %error, "not released: it runs out"),
        }
    }
}

async fn within<T>(timing: Timing, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
    Ok(timeout(timing.call(), call).await.map_err(|_| Trouble::Slow(timing.call()))??)
}

/// What a Lease says; one without a duration lasts as long as ours.
fn record(lease: &Lease, timing: Timing) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or(timing.lease(), Duration::from_secs),
        acquired: spec.acquire_time.map(|time| time.0.as_microsecond()),
        renewed: spec.renew_time.map(|time| time.0.as_microsecond()),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}

/// Writes a record into a Lease. What else somebody has written there stays.
fn set(lease: &mut Lease, record: Record) {
    let time = |micros: Option<i64>| micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()).map(MicroTime);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(record.holder),
        lease_duration_seconds: i32::try_from(record.duration.as_secs()).ok(),
        acquire_time: time(record.acquired),
        renew_time: time(record.renewed),
        lease_transitions: Some(record.transitions),
        ..lease.spec.take().unwrap_or_default()
    });
}
