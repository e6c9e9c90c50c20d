//! Watches: what happened after a version, then what happens, as lines of JSON.

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

/// What a client wants to be told of.
#[derive(Clone, Debug)]
pub struct Watch {
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub selector: Selector,
    /// Tell of what happens after this version; from zero, tell of what there is first.
    pub after: u64,
    pub bookmarks: bool,
    /// Say, by a bookmark, when everything that there was at the beginning has been told.
    pub streaming_list: bool,
    pub timeout: Duration,
    pub view: View,
}

/// One open watch.
struct Open {
    server: ApiServer,
    watch: Watch,
    /// Woken by whatever happens on the server.
    signal: Receiver<()>,
    /// Watches of an older generation are broken.
    generation: u64,
    /// How often it was made to tell again what it had told.
    replays: u64,
    /// Everything up to this version has been told.
    sent_up_to: u64,
    lines: VecDeque<Bytes>,
    deadline: Instant,
    closing: bool,
}

/// Opens a watch. It ends when its time is over, or when the test breaks it.
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

/// A watch that says only that it cannot be.
pub fn refused(refusal: &Refusal) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    stream::iter([Ok(error(refusal))])
}

/// What there is to do for a watch.
enum Sight {
    Broken,
    Held,
    Clear,
}

impl Open {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Open)> {
        loop {
            // Seen before it is looked at, so that nothing in between is slept through.
            self.signal.borrow_and_update();
            match self.look() {
                Sight::Broken => return None,
                // What is to be told before the end is held too: a stream that ended without it would be opened again at
                // once, and again.
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

    /// Takes in what happened.
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
    /// What there is, told as if it had just been added.
    fn snapshot(&self, store: &Store) -> VecDeque<Bytes> {
        let found = store.list(self.kind, self.namespace.as_deref(), &self.selector);
        let mut lines: VecDeque<Bytes> = found.map(|object| line("ADDED", &self.view.of(object))).collect();
        lines.extend(self.streaming_list.then(|| self.bookmark(store.version(), true)));
        lines
    }

    /// What a change is to this watch: an object that no longer matches is gone, as far as its client is concerned.
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
