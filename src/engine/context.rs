//! What a reconcile works with.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, ResourceExt,
    runtime::events::{Recorder, Reporter},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LastWritten, LateWrites, Memory, Pace, ReadBy, Refusals};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    app::Probes,
    aws::{Aws, Snapshots},
    index::Index,
    leadership::Leadership,
    metrics::Metrics,
    settings::Settings,
};

/// Under what the subnets of a network's endpoints are remembered as they were when all was there.
pub fn subnets_of(uid: &str) -> String {
    format!("{uid} subnets")
}

fn in_kubernetes(object: &str) -> String {
    format!("write {object}")
}

/// How often an object was looked at without coming to rest.
#[derive(Clone, Copy, Debug)]
struct Attempts {
    /// At which pace, retries apart.
    pace: Pace,
    count: u32,
    /// How often a call failed that may succeed when repeated, since another answer came. Such a failure says nothing about
    /// the object: what is refused is not asked for more often because the refusal is throttled now and then.
    retries: u32,
}

impl Attempts {
    /// Counts an attempt; gives how many there were before at the same pace.
    fn count(&mut self, pace: Pace) -> u32 {
        if pace == Pace::Retry {
            let before = self.retries;
            self.retries = before.saturating_add(1);
            return before;
        }
        let before = if self.pace == pace { self.count } else { 0 };
        *self = Self { pace, count: before.saturating_add(1), retries: 0 };
        before
    }
}

/// Under what attempts at an object are counted.
pub fn key(kind: &str, object: &impl ResourceExt) -> String {
    key_of(kind, &object.namespace().unwrap_or_default(), &object.name_any())
}

/// The same of an object that is not at hand; what has no namespace has an empty one.
pub fn key_of(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} {namespace}/{name}")
}

/// Why an app is looked at more closely than the tables show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DetailRead {
    /// It is its turn among the apps of its network.
    Rotation,
    /// Somebody touched the app.
    Requested,
}

/// What a reconcile works with: one for both controllers.
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// How the operator was told to work.
    pub settings: Arc<Settings>,
    /// AWS.
    pub snapshots: Snapshots,
    /// All objects, as the watches last showed them.
    index: Mutex<Arc<Index>>,
    /// Apps as the operator's own last writes left them.
    pub written_apps: LastWritten<PrivateGenAIApp>,
    /// Networks as the operator's own last writes left them.
    pub written_networks: LastWritten<PrivateGenAINetwork>,
    /// Where Events go.
    pub events: Recorder,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    started: Instant,
    memory: Mutex<Memory>,
    attempts: Mutex<BTreeMap<String, Attempts>>,
    settled: Mutex<BTreeMap<String, u64>>,
    closer: Mutex<BTreeMap<String, DetailRead>>,
    /// Objects that somebody asked to have looked at.
    asked: Mutex<BTreeMap<String, ReadBy>>,
    /// What came of the last probes.
    pub probes: Probes,
    /// Apps and networks that went lately.
    pub late_writes: LateWrites,
    /// Writes that AWS refused lately.
    pub refusals: Refusals,
    /// The right to write.
    pub leadership: Leadership,
    /// Told when the operator is to end.
    pub stop: CancellationToken,
}

impl Context {
    /// A context that has seen nothing yet.
    pub fn new(
        client: Client,
        aws: Arc<dyn Aws>,
        settings: Settings,
        metrics: Arc<Metrics>,
        leadership: Leadership,
        stop: CancellationToken,
    ) -> Self {
        let settings = Arc::new(settings);
        Self {
            index: Mutex::new(Arc::new(Index::new(Arc::clone(&settings)))),
            events: recorder(&client),
            snapshots: Snapshots::new(aws, settings.installation.clone(), settings.region.clone()),
            client,
            settings,
            metrics,
            written_apps: LastWritten::default(),
            written_networks: LastWritten::default(),
            started: Instant::now(),
            memory: Mutex::default(),
            attempts: Mutex::default(),
            settled: Mutex::default(),
            closer: Mutex::default(),
            asked: Mutex::default(),
            probes: Probes::default(),
            late_writes: LateWrites::default(),
            refusals: Refusals::default(),
            leadership,
            stop,
        }
    }

    /// Where Events go that are each told by themselves. [`Context::events`] takes Events of one reason on one object for
    /// repetitions of the first, whatever their notes say.
    pub fn separate_events(&self) -> Recorder {
        recorder(&self.client)
    }

    /// The time that conditions tell.
    pub fn time(&self) -> Timestamp {
        (self.settings.clock)()
    }

    /// The objects as of now. Whoever holds the answer for long makes the next change copy the index.
    pub fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the index.
    pub fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(Arc::make_mut(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What is remembered between passes, as of now. Nobody waits for anything while holding it.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.now = self.started.elapsed();
        memory
    }

    /// Counts an attempt of an object that is not at rest; gives how many there were before at the same pace.
    pub fn attempt(&self, object: &str, pace: Pace) -> u32 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.entry(object.to_owned()).or_insert(Attempts { pace, count: 0, retries: 0 }).count(pace)
    }

    /// All that is wanted for an object (by uid) was found to be there.
    pub fn settle(&self, uid: &str, wanted: &impl Hash) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(uid.to_owned(), fingerprint(wanted));
    }

    /// The same was wanted when all was last there: what is missing now, somebody else took away or changed. Not
    /// known of what was never seen at rest since the operator started, so a new version that wants something else
    /// takes nobody for the cause.
    pub fn settled(&self, uid: &str, wanted: &impl Hash) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(uid) == Some(&fingerprint(wanted))
    }

    /// Nothing is wanted for an object any more.
    pub fn unsettle(&self, uid: &str) {
        self.settled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, _| *key != uid && *key != subnets_of(uid));
    }

    /// Asks for a look at what no table shows of an app (`namespace/name`), such as its function's tags and state, and what
    /// only a probe shows.
    pub fn request_detail(&self, app: String, look: DetailRead) {
        let mut closer = self.closer.lock().unwrap_or_else(PoisonError::into_inner);
        closer.entry(app).and_modify(|asked| *asked = look.max(*asked)).or_insert(look);
    }

    /// Why a closer look was asked for, if it was; it is not asked for any more.
    pub fn take_detail_request(&self, app: &str) -> Option<DetailRead> {
        self.closer.lock().unwrap_or_else(PoisonError::into_inner).remove(app)
    }

    /// Asks for a look at what an object ([`key`]) has in AWS: by its own rows, which are read anew, or by the tables, which were
    /// forgotten. What was refused for the object is tried again.
    pub fn ask(&self, object: String, by: ReadBy) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(object, by);
    }

    /// By what a look at an object was asked for, if it was; it is not asked for any more.
    pub fn takes_asked(&self, object: &str) -> Option<ReadBy> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(object)
    }

    /// The Kubernetes API took what a reconcile had to say.
    pub fn written(&self, object: &str) {
        self.rest(&in_kubernetes(object));
    }

    /// An object is gone: nothing is remembered of it.
    pub fn gone(&self, object: &str, uid: &str) {
        self.unsettle(uid);
        self.probes.forget(uid);
        self.takes_asked(object);
        for key in [object.to_owned(), in_kubernetes(object), format!("look {object}")] {
            self.rest(&key);
        }
    }

    /// Counts a refusal of the Kubernetes API; gives how many there were before.
    pub fn refused(&self, object: &str) -> u32 {
        self.attempt(&in_kubernetes(object), Pace::Retry)
    }

    /// An object is at rest.
    pub fn rest(&self, object: &str) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

fn recorder(client: &Client) -> Recorder {
    Recorder::new(client.clone(), Reporter { controller: "private-genai-operator".to_owned(), instance: None })
}

fn fingerprint(wanted: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_stays_so_although_a_call_is_throttled_now_and_then() {
        use Pace::{Blocked, Retry, Wait};
        let mut attempts = Attempts { pace: Blocked, count: 0, retries: 0 };
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
