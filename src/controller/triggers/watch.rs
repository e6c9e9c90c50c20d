//! A watch that keeps a store up to date, and tells of each change after the store has it.

use std::{fmt::Debug, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        reflector::store::Writer,
        utils::Backoff,
        watcher::{self, DefaultBackoff, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::controller::Guarded;

/// What a watch saw.
pub(super) enum Change<K> {
    /// All objects of the kind are in the store.
    Listed,
    /// One appeared or changed.
    One(Guarded<K>),
    /// One went. It looks as it did before: its last finalizer and itself go in one step.
    Gone(Guarded<K>),
}

/// kube's own pauses, from a second to a minute, which begin anew after two minutes without an error. kube takes them
/// to begin anew with each good answer too, and it counts the mere beginning of a list as one, and the list that leads to
/// a watch which is refused: so a list that fails would be asked for every second, for as long as it fails.
#[derive(Default)]
struct Unhurried(DefaultBackoff);

impl Iterator for Unhurried {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Unhurried {
    fn reset(&mut self) {}
}

/// Keeps a store up to date, and tells of each change after the store has it. Field managers are not kept: nothing
/// reads them, and they are a third of an object.
pub(super) async fn watch<K>(client: &Client, writer: Writer<Guarded<K>>, mut tell: impl FnMut(Change<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut events = watcher(Api::<Guarded<K>>::all(client.clone()), watcher::Config::default())
        .backoff(Unhurried::default())
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(watcher::Event::InitDone) => tell(Change::Listed),
            Ok(watcher::Event::Apply(object)) => tell(Change::One(object)),
            Ok(watcher::Event::Delete(object)) => tell(Change::Gone(object)),
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "the watch broke; it is taken up again"),
        }
    }
}
