//! A watch that keeps a store up to date and reports each change after the store has it.

use std::{convert::Infallible, fmt::Debug, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        reflector::{ObjectRef, Store, store::Writer},
        utils::Backoff,
        watcher::{self, DefaultBackoff, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::{api::Guarded, engine::in_words};

/// A change that a watch reports.
pub(super) enum Change<K> {
    /// The complete list of objects, all of which are in the store.
    Listed(Vec<Arc<Guarded<K>>>),
    /// An object that appeared or changed.
    One(Arc<Guarded<K>>),
    /// An object that is gone, perhaps since an interruption of the watch. The object is as it was before: the API server
    /// removes the last finalizer and the object in one step.
    Gone(Arc<Guarded<K>>),
}

/// kube's pauses between attempts, from a second to a minute, which start over only after two minutes without an error.
/// kube itself also resets the pauses after each good answer, and counts the beginning of a list as one, also when the
/// watch after the list is refused. A failing list would then be requested every second.
#[derive(Default)]
struct SteadyBackoff(DefaultBackoff);

impl Iterator for SteadyBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for SteadyBackoff {
    fn reset(&mut self) {}
}

/// Keeps a store up to date and reports each change after the store has it. The store drops managed fields: the operator
/// does not read them, and they are a third of an object.
pub(super) async fn watch<K>(
    client: &Client,
    writer: Writer<Guarded<K>>,
    mut on_change: impl FnMut(Change<K>),
) -> Infallible
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let store = writer.as_reader();
    let mut events = watcher(Api::<Guarded<K>>::all(client.clone()), watcher::Config::default())
        .backoff(SteadyBackoff::default())
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .boxed();
    let mut before = Vec::new();
    loop {
        // The stream of a watcher does not end.
        let Some(event) = events.next().await else { return std::future::pending().await };
        match event {
            Ok(watcher::Event::Init) => before = store.state(),
            Ok(watcher::Event::InitApply(_)) => {}
            Ok(watcher::Event::InitDone) => {
                missing(std::mem::take(&mut before), &store).for_each(|object| on_change(Change::Gone(object)));
                on_change(Change::Listed(store.state()));
            }
            Ok(watcher::Event::Apply(object)) => {
                // The store's own copy, so that each object is in memory once.
                let stored = store.get(&ObjectRef::from_obj(&object));
                on_change(Change::One(stored.unwrap_or_else(|| Arc::new(object))));
            }
            Ok(watcher::Event::Delete(object)) => on_change(Change::Gone(Arc::new(object))),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), error = watch_error_text(&error), "the watch broke; it is taken up again");
            }
        }
    }
}

/// The error of a watch in the words of the Kubernetes API.
fn watch_error_text(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => in_words(error),
        other => other.to_string(),
    }
}

/// The objects that are gone since an interruption of the watch, for which no event arrives. A new object of the same name
/// has another uid.
fn missing<K>(before: Vec<Arc<Guarded<K>>>, now: &Store<Guarded<K>>) -> impl Iterator<Item = Arc<Guarded<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let is_there = |object: &Guarded<K>| {
        now.get(&ObjectRef::from_obj(object)).is_some_and(|now| now.meta().uid == object.meta().uid)
    };
    before.into_iter().filter(move |object| !is_there(object))
}

#[cfg(test)]
mod tests {
    use kube::{
        core::{DeserializeGuard, ObjectMeta, error_boundary::InvalidObject},
        runtime::reflector::store::store,
    };

    use super::*;
    use crate::api::PrivateGenAIApp;

    #[test]
    fn what_went_while_nobody_watched_is_missed_when_all_is_listed_anew() {
        let object = |name: &str, uid: &str| {
            let (name, uid, namespace) = (Some(name.into()), Some(uid.into()), Some("team-a".into()));
            let metadata = ObjectMeta { name, uid, namespace, ..ObjectMeta::default() };
            DeserializeGuard::<PrivateGenAIApp>(Err(InvalidObject { error: "unreadable".to_owned(), metadata }))
        };
        let (reader, mut writer) = store();
        let mut list = |objects: &[(&str, &str)]| {
            writer.apply_watcher_event(&watcher::Event::Init);
            for (name, uid) in objects {
                writer.apply_watcher_event(&watcher::Event::InitApply(object(name, uid)));
            }
            writer.apply_watcher_event(&watcher::Event::InitDone);
        };
        list(&[("stays", "1"), ("went", "2"), ("came-again", "3")]);
        let before = reader.state();
        list(&[("stays", "1"), ("came-again", "4"), ("new", "5")]);
        let mut missed: Vec<_> = missing(before, &reader).map(|object| object.name_any()).collect();
        missed.sort();
        assert_eq!(missed, ["came-again", "went"]);
    }
}
