//! The context of reconciles.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, ResourceExt as _,
    runtime::events::{Recorder, Reporter},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Attempt, Attempts, AwsRefusals, Circumstances, Kind, LastWritten, LateWrites, Memory, ReadRequests, Settled, Turns,
};
use crate::{
    api::{ObjectName, PrivateGenAIApp, PrivateGenAINetwork},
    aws::{Aws, Snapshots, pacing::Pacer},
    index::Index,
    leadership::Leadership,
    metrics::Metrics,
    settings::Settings,
};

/// The context that both controllers share.
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// The operator's configuration.
    pub settings: Arc<Settings>,
    /// AWS.
    pub snapshots: Snapshots,
    /// The recorder of Events.
    pub events: Recorder,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The right to write.
    pub leadership: Leadership,
    /// Cancelled when the operator is to end.
    pub stop: CancellationToken,
    index: Mutex<Arc<Index>>,
    /// Apps as the operator's own last writes left them.
    pub written_apps: LastWritten<PrivateGenAIApp>,
    /// Networks as the operator's own last writes left them.
    pub written_networks: LastWritten<PrivateGenAINetwork>,
    started: Instant,
    memory: Mutex<Memory>,
    /// The counts of attempts, by object.
    pub attempts: Attempts,
    /// The desired resources of the last complete observations.
    pub settled: Settled,
    /// Requests to read more of AWS, or to read it anew.
    pub requests: ReadRequests,
    /// Apps and networks that were released lately.
    pub late_writes: LateWrites,
    /// The pacer of AWS calls, where calls are paced.
    pub pacer: Option<Arc<Pacer>>,
    /// Objects that wait for the turn of a call.
    pub turns: Turns,
    /// Writes that AWS refused lately.
    pub refusals: AwsRefusals,
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
            events: recorder(&client),
            pacer: aws.pacer(),
            snapshots: Snapshots::new(aws, settings.installation.clone(), settings.region.clone()),
            client,
            index: Mutex::new(Arc::new(Index::new(Arc::clone(&settings)))),
            settings,
            metrics,
            leadership,
            stop,
            written_apps: LastWritten::default(),
            written_networks: LastWritten::default(),
            started: Instant::now(),
            memory: Mutex::default(),
            attempts: Attempts::default(),
            settled: Settled::default(),
            requests: ReadRequests::default(),
            late_writes: LateWrites::default(),
            turns: Turns::default(),
            refusals: AwsRefusals::default(),
        }
    }

    /// A recorder that publishes each Event by itself. [`Context::events`] merges Events of one reason on one object,
    /// whatever their notes.
    pub fn separate_events(&self) -> Recorder {
        recorder(&self.client)
    }

    /// The time that conditions show.
    pub fn time(&self) -> Timestamp {
        (self.settings.clock)()
    }

    /// What a decision about an object may know besides the object, the index and AWS.
    pub fn circumstances<K: Kind>(&self, object: &K) -> Circumstances {
        Circumstances {
            now: self.time(),
            observations: self.attempts.of(&Attempt::Observation(ObjectName::of(K::KIND, object))),
            settled: self.settled.of(&object.uid().unwrap_or_default()),
        }
    }

    /// The objects as of now. Whoever keeps the answer for long makes the next change copy the index.
    pub fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the index.
    pub fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(Arc::make_mut(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The memory between passes, with the present time. No caller awaits while holding the lock.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.now = self.started.elapsed();
        memory
    }

    /// The object is gone.
    pub fn forget(&self, object: &ObjectName, uid: &str) {
        self.settled.forget(uid);
        self.requests.take(object);
        self.attempts.forget(object);
        self.turns.forget(object);
        if let Some(pacer) = &self.pacer {
            pacer.leave(uid);
        }
    }
}

fn recorder(client: &Client) -> Recorder {
    Recorder::new(client.clone(), Reporter { controller: "private-genai-operator".to_owned(), instance: None })
}
