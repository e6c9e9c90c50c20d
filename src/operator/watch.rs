//! A watch that keeps a store up to date, and tells of each change after the store has it.

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

/// What a watch saw.
pub(super) enum Change<K> {
    /// All objects of the kind are in the store, and these they are.
    Listed(Vec<Arc<Guarded<K>>>),
    /// One appeared or changed.
    One(Arc<Guarded<K>>),
    /// One went, perhaps while nobody watched. It looks as it did before: its last finalizer and itself go in one step.
    Gone(Arc<Guarded<K>>),
}

/// kube's own pauses, from a second to a minute, which begin anew after two minutes without an error. kube takes them
/// to begin anew with each good answer too, and it counts the mere beginning of a list as one, and the list that leads to
/// a watch which is refused: so a list that fails would be asked for every second, for as long as it fails.
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

/// Keeps a store up to date, and tells of each change after the store has it. Field managers are not kept: nothing
/// reads them, and they are a third of an object.
pub(super) async fn watch<K>(client: &Client, writer: Writer<Guarded<K>>, mut tell: impl FnMut(Change<K>)) -> Infallible
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
                missing(std::mem::take(&mut before), &store).for_each(|object| tell(Change::Gone(object)));
                tell(Change::Listed(store.state()));
            }
            Ok(watcher::Event::Apply(object)) => {
                // The store's own copy: a cluster of many objects keeps each once.
                let stored = store.get(&ObjectRef::from_obj(&object));
                tell(Change::One(stored.unwrap_or_else(|| Arc::new(object))));
            }
            Ok(watcher::Event::Delete(object)) => tell(Change::Gone(Arc::new(object))),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), error = told(&error), "the watch broke; it is taken up again");
            }
        }
    }
}

/// What the Kubernetes API says of a watch.
fn told(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => in_words(error),
        other => other.to_string(),
    }
}

/// Those that went while the watch was broken, of which no event tells. One that came again under its name is another one.
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
