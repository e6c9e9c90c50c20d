//! An in-memory Kubernetes API server for tests. A controller sees the same through `kube::Client` as with the real server, under
//! tokio's paused clock. Every request is counted, and every fault can be injected.
//!
//! ```ignore
//! #[tokio::test(start_paused = true)]
//! async fn an_app_gets_a_condition() {
//!     let server = ApiServer::new(Rules::default().default_status(APPS, json!({"conditions": []})));
//!     tokio::spawn(controller(server.client()));
//!     server.apply(json!({
//!         "apiVersion": "privategenai.dev/v1alpha1",
//!         "kind": "PrivateGenAIApp",
//!         "metadata": {"name": "support-bot", "namespace": "team-a"},
//!         "spec": {"network": {"vpcId": "vpc-0abc1234"}, "models": ["amazon.nova-lite-v1:0"]},
//!     }));
//!     let ready = |app: &Value| condition(app, "Ready") == Some("True");
//!     server.until("privategenaiapps/team-a/support-bot", Duration::from_secs(60), ready).await;
//!     assert_eq!(server.take_journal().writes().len(), 2);
//! }
//! ```
//!
//! `store` is the pure part, with `rules`, `patch`, `fields` and `selector`; `request`, `http` and `watch` are its HTTP side;
//! `direct` and `wait` are a test's reads, writes and waits without HTTP. Requests take no time: only watches wait.

#![allow(
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "test code: a panic shows the mistake in the test, and a test binary exports nothing"
)]

mod direct;
mod faults;
mod fields;
mod http;
mod journal;
mod kinds;
mod patch;
mod refusal;
mod request;
mod rules;
mod selector;
mod store;
mod tests;
mod wait;
mod watch;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::{
    sync::watch::{Receiver, Sender},
    time::Instant,
};

pub use self::{
    faults::Fault,
    journal::{Call, Journal, Verb},
    kinds::{APPS, CONFIG_MAPS, EVENTS, LEASES, NAMESPACES, NETWORKS},
    rules::Rules,
};
use self::{faults::Faults, store::Store};

/// The start of virtual time, unless a test sets another: 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600;

/// A handle. Clones share the server.
#[derive(Clone)]
pub struct ApiServer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Receives every request and every change.
    signal: Sender<()>,
    /// The time of the server's clock at the start, and tokio's clock at that moment.
    started: (Timestamp, Instant),
}

struct State {
    store: Store,
    journal: Journal,
    faults: Faults,
    /// Watches of another generation are broken.
    watch_generation: u64,
    watches_held: bool,
    /// The number of replays of watches, and the version from which the last one starts.
    replays: (u64, u64),
}

impl ApiServer {
    pub fn new(rules: Rules) -> ApiServer {
        let beginning = Timestamp::from_second(BEGINNING).expect("2026 is a year that jiff knows");
        ApiServer::starting_at(beginning, rules)
    }

    pub fn starting_at(time: Timestamp, rules: Rules) -> ApiServer {
        let state = State {
            store: Store::new(rules),
            journal: Journal::default(),
            faults: Faults::default(),
            watch_generation: 0,
            watches_held: false,
            replays: (0, 0),
        };
        let (state, signal) = (Mutex::new(state), Sender::new(()));
        ApiServer(Arc::new(Shared { state, signal, started: (time, Instant::now()) }))
    }

    /// A client like any other. It must be made inside a tokio runtime.
    pub fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| http::serve(server.clone(), request));
        kube::Client::new(service, "default")
    }

    /// The time of the server's clock.
    pub fn now(&self) -> Timestamp {
        let (time, instant) = self.0.started;
        time + instant.elapsed()
    }

    /// Every request so far, or since the journal was taken.
    pub fn journal(&self) -> Journal {
        self.state().journal.clone()
    }

    pub fn take_journal(&self) -> Journal {
        mem::take(&mut self.state().journal)
    }

    /// The number of requests for a change, without Events and Leases.
    pub fn writes(&self) -> usize {
        self.state().journal.writes().len()
    }

    pub fn inject(&self, fault: Fault) {
        self.change(|state| state.faults.add(fault));
    }

    /// The number of requests that faults will still hit.
    pub fn faults_left(&self) -> usize {
        self.state().faults.left()
    }

    pub fn clear_faults(&self) {
        self.change(|state| state.faults.clear());
    }

    /// Ends every open watch, like a broken connection. Clients resume.
    pub fn break_watches(&self) {
        self.change(|state| state.watch_generation += 1);
    }

    /// Makes every watch fail with 410 that starts at an older version than the current one.
    pub fn forget_history(&self) {
        self.change(|state| state.store.forget_history());
    }

    /// Makes every open watch repeat the last `changes`: clients see the past again, then the present.
    pub fn replay_watches(&self, changes: usize) {
        self.change(|state| state.replays = (state.replays.0 + 1, state.store.version_before(changes)));
    }

    /// Holds the events of all watches back until [`ApiServer::release_watches`]: clients see the past.
    pub fn hold_watches(&self) {
        self.change(|state| state.watches_held = true);
    }

    pub fn release_watches(&self) {
        self.change(|state| state.watches_held = false);
    }

    fn record(&self, call: Call, status: Option<u16>) {
        self.change(|state| state.journal.0.push(Call { status, ..call }));
    }

    /// Changes the state, and wakes the waiters.
    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let done = work(&mut self.state());
        self.0.signal.send_replace(());
        done
    }

    /// A panic in a test's own code (admission, conditions) leaves no half-done change, so a poisoned lock is valid.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self) -> Receiver<()> {
        self.0.signal.subscribe()
    }
}
