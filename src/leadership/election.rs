//! Carries out the decisions of [`decide`](super::decide): get, create, and replace of the version that was read.

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

/// The Lease, the candidate, and the times of the election.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Election {
    pub client: Client,
    pub namespace: String,
    pub name: String,
    /// The identity of this candidate: new at each start of a process.
    pub identity: String,
    pub timing: Timing,
}

impl Election {
    /// An election with this process as a candidate. A restarted container in the same pod is another candidate.
    pub fn of_this_process(client: Client, namespace: String, name: String, timing: Timing) -> Self {
        let variable = |name: &&str| std::env::var(name).ok().filter(|pod| !pod.is_empty());
        let pod = ["POD_NAME", "HOSTNAME"].iter().find_map(variable);
        let random = RandomState::new().build_hasher().finish();
        let identity = format!("{}_{random:016x}", pod.as_deref().unwrap_or("private-genai-operator"));
        Self { client, namespace, name, identity, timing }
    }
}

/// The state of a candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CandidateState {
    /// The candidate has not read the Lease yet, or cannot read it.
    #[default]
    Unknown,
    /// Another candidate holds the Lease.
    Standby {
        /// The holder.
        leader: String,
    },
    /// The candidate holds the Lease.
    Leader,
}

/// The reason why the Lease is unknown.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Kubernetes(#[from] kube::Error),
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

/// The result of a read or a write of the Lease.
enum LeaseObservation {
    /// This candidate holds the Lease, by a request that began at this moment.
    Ours(Moment),
    /// Another candidate holds the Lease.
    Theirs {
        leader: String,
        /// The moment at which the Lease runs out unless it changes.
        until: Instant,
    },
    /// Another candidate wrote first: the known content is out of date.
    Overtaken,
}

/// The end of renewing.
enum Renewal {
    /// The work ended.
    Whole(Box<Candidate>),
    /// Another candidate holds the Lease, or no renewal succeeded in time.
    Lost,
}

impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Election {
    /// Waits for the Lease, and does the work while this candidate holds it. The work receives the right to write, and a token
    /// that asks the work to end in order: at `stop`, or when the Lease is lost. At `stop`, or when the work ends by itself, this
    /// function releases the Lease and returns. After a lost Lease, this function starts the work anew once it holds the Lease
    /// again.
    pub async fn campaign(
        &self,
        states: &watch::Sender<CandidateState>,
        stop: &CancellationToken,
        mut work: impl AsyncFnMut(Leadership, CancellationToken),
    ) {
        while !stop.is_cancelled() {
            let mut candidate = Candidate::new(self.clone());
            let Some(acquired) = candidate.acquire(states, stop).await else {
                return;
            };
            tracing::info!(lease = %self, identity = self.identity, "leading");
            states.send_replace(CandidateState::Leader);
            let kept = self.lead(candidate, Leadership::since(acquired, self.timing), stop, &mut work).await;
            states.send_replace(CandidateState::Unknown);
            match kept {
                Renewal::Whole(candidate) => return candidate.release().await,
                Renewal::Lost => tracing::warn!(lease = %self, "lost the Lease: this replica is a candidate again"),
            }
        }
    }

    /// Works for one term.
    async fn lead(
        &self,
        candidate: Candidate,
        leadership: Leadership,
        stop: &CancellationToken,
        work: &mut impl AsyncFnMut(Leadership, CancellationToken),
    ) -> Renewal {
        let (over, done) = (stop.child_token(), CancellationToken::new());
        // Renewals run in a separate task, so that busy work does not delay them. The task ends with this function.
        let mut renewing = JoinSet::new();
        renewing.spawn(candidate.keep(leadership.clone(), done.clone()));
        let mut working = pin!(work(leadership.clone(), over.clone()));
        tokio::select! {
            () = &mut working => {}
            _ = renewing.join_next() => {
                over.cancel();
                // Writes that began in time have ended by now, and no further write begins. Pending reads are dropped.
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

/// A candidate, with its knowledge of the Lease.
struct Candidate {
    election: Election,
    api: Api<Lease>,
    /// The start of the candidate's clock.
    started: Instant,
    /// The Lease as last read. A write is conditional on the version of that read.
    lease: Option<Lease>,
    seen: Option<Sighting>,
}

impl Candidate {
    fn new(election: Election) -> Self {
        let api = Api::namespaced(election.client.clone(), &election.namespace);
        Self { election, api, started: Instant::now(), lease: None, seen: None }
    }

    /// Waits until this candidate holds the Lease. Returns the start of the successful request. `None` at `stop`.
    async fn acquire(&mut self, states: &watch::Sender<CandidateState>, stop: &CancellationToken) -> Option<Moment> {
        let Election { timing, identity, .. } = self.election.clone();
        for looks in 0.. {
            let mut again = Instant::now() + look_again(timing.look_every(), &identity, looks);
            let look = tokio::select! {
                // A request that is dropped here may still succeed. Then the Lease runs out by itself.
                () = stop.cancelled() => return None,
                look = self.look() => look,
            };
            match look {
                Ok(LeaseObservation::Ours(since)) => return Some(since),
                Ok(LeaseObservation::Theirs { leader, until }) => {
                    again = again.min(until);
                    let stands_by = CandidateState::Standby { leader };
                    let before = states.send_replace(stands_by.clone());
                    if let CandidateState::Standby { leader } = &stands_by
                        && before != stands_by
                    {
                        tracing::info!(lease = %self.election, leader, "standing by");
                    }
                }
                Ok(LeaseObservation::Overtaken) => {}
                Err(error) => {
                    tracing::warn!(lease = %self.election, %error, "the Lease cannot be read; the next attempt follows");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = sleep_until(again) => {}
            }
        }
        None
    }

    /// Renews until the work is done, or until the end of writing.
    async fn keep(mut self, leadership: Leadership, done: CancellationToken) -> Renewal {
        let timing = self.election.timing;
        let mut wait = timing.renew_every();
        loop {
            // The deadline is the end of writing at the latest.
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
                    tracing::warn!(lease = %self.election, leader, "another replica holds the Lease");
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

    /// Renews by the known content of the Lease. Reads the Lease only after another candidate changed it.
    async fn renew(&mut self) -> Result<LeaseObservation, Trouble> {
        if let Some(lease) = self.lease.clone()
            && let LeaseObservation::Ours(since) = self.write(lease).await?
        {
            return Ok(LeaseObservation::Ours(since));
        }
        self.look().await
    }

    /// Reads the Lease, and takes or renews it by the answer of [`decide`](super::decide).
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

    /// Takes the Lease if its version is still the one that was read. A Lease without a version is created.
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
            // The Lease was changed, created or deleted after the read.
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

    /// Releases the Lease, so that the next candidate takes over at once. If the release fails, the Lease runs out by itself.
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
            Err(error) => {
                tracing::warn!(lease = %self.election, %error, "the Lease was not released: it runs out by itself");
            }
        }
    }
}

async fn within<T>(timing: Timing, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
    Ok(timeout(timing.call(), call).await.map_err(|_| Trouble::Slow(timing.call()))??)
}

/// The content of a Lease. A missing duration counts as this candidate's own.
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

/// Writes a record into a Lease; other fields stay.
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
