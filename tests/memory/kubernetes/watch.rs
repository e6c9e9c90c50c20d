//! Watches: the changes after a version, as lines of JSON.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::body::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};

use super::{
    ApiServer,
    kinds::Kind,
    refusal::{self, Refusal},
    request::View,
    rules,
    selector::Selector,
    store::{Change, Store},
};

/// The events that a client asks for.
#[derive(Clone, Debug)]
pub struct Watch {
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub selector: Selector,
    /// Events begin after this version. Zero: the current objects come first.
    pub after: u64,
    pub bookmarks: bool,
    /// A bookmark marks the end of the initial objects.
    pub streaming_list: bool,
    pub timeout: Duration,
    pub view: View,
}

/// One open watch.
struct Open {
    server: ApiServer,
    watch: Watch,
    /// Wakes at each change on the server.
    signal: Receiver<()>,
    /// Watches of an older generation are broken.
    generation: u64,
    /// The number of replays of this watch.
    replays: u64,
    /// Everything up to this version has been sent.
    sent_up_to: u64,
    lines: VecDeque<Bytes>,
    deadline: Instant,
    closing: bool,
}

/// Opens a watch, which ends when its time is over or when the test breaks it.
pub fn open(server: &ApiServer, watch: Watch) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let signal = server.signal();
    let state = server.state();
    let from_the_beginning = watch.after == 0 || watch.streaming_list;
    let expired = !from_the_beginning && !state.store.remembers(watch.after);
    let (sent_up_to, lines) = match (from_the_beginning, expired) {
        (true, _) => (state.store.version(), watch.snapshot(&state.store)),
        (false, true) => (watch.after, VecDeque::from([error(&refusal::injected(410))])),
        (false, false) => (watch.after, VecDeque::new()),
    };
    let (generation, (replays, _)) = (state.watch_generation, state.replays);
    drop(state);
    let deadline = Instant::now() + watch.timeout;
    let open = Open {
        server: server.clone(),
        watch,
        signal,
        generation,
        replays,
        sent_up_to,
        lines,
        deadline,
        closing: expired,
    };
    stream::unfold(open, Open::next)
}

/// A watch with a refusal as its only event.
pub fn refused(refusal: &Refusal) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    stream::iter([Ok(error(refusal))])
}

/// The next action of a watch.
enum Sight {
    Broken,
    Held,
    Clear,
}

impl Open {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Open)> {
        loop {
            // The signal is marked as seen before the state is read, so that no change in between is missed.
            self.signal.borrow_and_update();
            match self.look() {
                Sight::Broken => return None,
                // Events before the end are held back too: a client would reopen a stream that ended without them at once, in a
                // loop.
                Sight::Held if !self.lines.is_empty() => {
                    self.signal.changed().await.ok()?;
                    continue;
                }
                Sight::Held => {}
                Sight::Clear => {
                    if let Some(line) = self.lines.pop_front() {
                        return Some((Ok(line), self));
                    }
                }
            }
            if self.closing {
                return None;
            }
            let woken = tokio::time::timeout_at(self.deadline, self.signal.changed()).await;
            if woken.is_err() {
                self.closing = true;
                self.lines.extend(self.watch.bookmarks.then(|| self.watch.bookmark(self.sent_up_to, false)));
            }
        }
    }

    /// Reads the changes on the server.
    fn look(&mut self) -> Sight {
        let state = self.server.state();
        if state.watch_generation != self.generation {
            return Sight::Broken;
        }
        if state.watches_held {
            return Sight::Held;
        }
        if state.replays.0 != self.replays {
            self.replays = state.replays.0;
            self.sent_up_to = self.sent_up_to.min(state.replays.1);
        }
        if !self.closing {
            let changes = state.store.changes_after(self.sent_up_to);
            self.lines.extend(changes.iter().filter_map(|change| self.watch.line(change)));
            self.sent_up_to = self.sent_up_to.max(state.store.version());
        }
        Sight::Clear
    }
}

impl Watch {
    /// The current objects, as if they had just been added.
    fn snapshot(&self, store: &Store) -> VecDeque<Bytes> {
        let found = store.list(self.kind, self.namespace.as_deref(), &self.selector);
        let mut lines: VecDeque<Bytes> = found.map(|object| line("ADDED", &self.view.of(object))).collect();
        lines.extend(self.streaming_list.then(|| self.bookmark(store.version(), true)));
        lines
    }

    /// The event of a change for this watch. To the client, an object that does not match any more is deleted.
    fn line(&self, change: &Change) -> Option<Bytes> {
        let within = self.namespace.as_ref().is_none_or(|namespace| *namespace == change.key.namespace);
        if change.key.kind != self.kind || !within {
            return None;
        }
        let before = change.before.as_deref().filter(|object| self.selector.matches(object));
        let after = change.after.as_deref().filter(|object| self.selector.matches(object));
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(line("ADDED", &self.view.of(after))),
            (Some(_), Some(after)) => Some(line("MODIFIED", &self.view.of(after))),
            (Some(before), None) => {
                let mut last = before.clone();
                rules::set_version(&mut last, change.version);
                Some(line("DELETED", &self.view.of(&last)))
            }
        }
    }

    fn bookmark(&self, version: u64, ends_initial_events: bool) -> Bytes {
        let (api_version, kind) = (self.kind.api_version(), self.kind.name);
        let mut bookmark = json!({"apiVersion": api_version, "kind": kind, "metadata": {}});
        rules::set_version(&mut bookmark, version);
        if ends_initial_events {
            bookmark["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line("BOOKMARK", &self.view.of(&bookmark))
    }
}

fn error(refusal: &Refusal) -> Bytes {
    line("ERROR", &refusal::body(refusal))
}

fn line(event: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{event}\",\"object\":{object}}}\n").into()
}
