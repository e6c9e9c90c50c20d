//! Who is woken by what: what a change of one object means for the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::channel::mpsc::UnboundedSender;
use kube::{
    Resource, ResourceExt as _,
    core::ObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};

use super::{touches::Touched, watch::Change};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, network::NetworkKey},
    aws::Region,
    engine::{Guarded, context::key, is_held, network_of},
    metrics::Metrics,
};

type AppRef = ObjectRef<Guarded<PrivateGenAIApp>>;
type NetworkRef = ObjectRef<Guarded<PrivateGenAINetwork>>;

/// Who is woken by what.
pub(super) struct Queues {
    pub(super) apps: Store<Guarded<PrivateGenAIApp>>,
    pub(super) networks: Store<Guarded<PrivateGenAINetwork>>,
    pub(super) home: Region,
    pub(super) app_queue: UnboundedSender<AppRef>,
    pub(super) network_queue: UnboundedSender<NetworkRef>,
    pub(super) touch_queue: UnboundedSender<Touched>,
    pub(super) seen: Mutex<BTreeMap<String, Seen>>,
    pub(super) metrics: Arc<Metrics>,
}

/// What was seen of an object. Status and finalizers are left out: what the operator itself writes wakes nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Which object, which spec, whether it is to go, and whether only others hold it still: what it demanded is free.
    itself: (Option<String>, Option<i64>, bool, bool),
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Seen {
    fn of(meta: &ObjectMeta) -> Self {
        let goes = meta.deletion_timestamp.is_some();
        let released = goes && !is_held(meta);
        Self {
            itself: (meta.uid.clone(), meta.generation, goes, released),
            labels: meta.labels.clone(),
            annotations: meta.annotations.clone(),
        }
    }

    /// How it differs from what was seen before.
    fn since(&self, before: Option<&Self>) -> Difference {
        match before {
            Some(before) if before == self => Difference::None,
            Some(before) if before.itself == self.itself => Difference::Touched,
            _ => Difference::Changed,
        }
    }
}

/// How an object differs from what was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// In nothing that matters.
    None,
    /// In its labels or annotations only.
    Touched,
    /// It is new, or wants something else, or is to go.
    Changed,
}

impl Queues {
    fn wake_app(&self, app: &Guarded<PrivateGenAIApp>) {
        self.metrics.woken("app", key("app", app));
        // A closed queue belongs to an operator that is shutting down, or does not lead any more.
        drop(self.app_queue.unbounded_send(ObjectRef::from_obj(app)));
    }

    fn wake_network(&self, network: &Guarded<PrivateGenAINetwork>) {
        self.metrics.woken("network", key("network", network));
        drop(self.network_queue.unbounded_send(ObjectRef::from_obj(network)));
    }

    /// Wakes an object that was touched, and no others: whoever it concerns is woken by what becomes of it.
    pub(super) fn wake(&self, touched: &Touched) {
        match touched {
            Touched::App((namespace, name)) => {
                if let Some(app) = self.apps.get(&ObjectRef::new(name).within(namespace)) {
                    self.wake_app(&app);
                }
            }
            Touched::Network(name) => {
                if let Some(network) = self.networks.get(&ObjectRef::new(name)) {
                    self.wake_network(&network);
                }
            }
        }
    }

    /// An object that was touched with the network that it rests on.
    pub(super) fn with_network(&self, touched: Touched) -> BTreeSet<Touched> {
        let app = match &touched {
            Touched::App((namespace, name)) => self.apps.get(&ObjectRef::new(name).within(namespace)),
            Touched::Network(_) => None,
        };
        let key = app.and_then(|app| network_of(&app, &self.home));
        let networks = self.networks.state();
        let rests_on = networks.iter().filter(|network| key.is_some() && key == key_of(network));
        rests_on.map(|network| Touched::Network(network.name_any())).chain([touched]).collect()
    }

    /// Wakes an app and its network; one that cannot be read could be on any network.
    fn wake_with_network(&self, app: &Guarded<PrivateGenAIApp>) {
        self.wake_app(app);
        self.wake_network_of(app);
    }

    fn wake_network_of(&self, app: &Guarded<PrivateGenAIApp>) {
        let key = network_of(app, &self.home);
        for network in self.networks.state() {
            if key.is_none() || key == key_of(&network) {
                self.wake_network(&network);
            }
        }
    }

    fn touch(&self, touched: Touched) {
        drop(self.touch_queue.unbounded_send(touched));
    }

    /// Everything is listed anew: what is seen from here on is compared with this.
    pub(super) fn listed(&self) {
        self.apps.state().iter().for_each(|app| {
            self.difference(app);
        });
        self.networks.state().iter().for_each(|network| {
            self.difference(network);
        });
        self.everything();
    }

    pub(super) fn everything(&self) {
        self.networks.state().iter().for_each(|network| self.wake_network(network));
        self.apps.state().iter().for_each(|app| self.wake_app(app));
    }

    /// An app that changed wakes itself and its network.
    pub(super) fn app_changed(&self, change: Change<PrivateGenAIApp>) {
        match change {
            Change::Listed => self.listed(),
            Change::One(app) => match self.difference(&app) {
                Difference::None => {}
                Difference::Touched => {
                    self.touch(Touched::App((app.namespace().unwrap_or_default(), app.name_any())));
                }
                Difference::Changed => self.wake_with_network(&app),
            },
            Change::Gone(app) => {
                self.forget(&app);
                self.wake_network_of(&app);
            }
        }
    }

    /// A network that changed, in its status too, wakes its apps. One that went frees the VPC for another.
    pub(super) fn network_changed(&self, change: Change<PrivateGenAINetwork>) {
        let (network, concerns_networks) = match change {
            Change::Listed => return self.listed(),
            Change::One(network) => match self.difference(&network) {
                Difference::None => (network, false),
                Difference::Touched => return self.touch(Touched::Network(network.name_any())),
                Difference::Changed => (network, true),
            },
            Change::Gone(network) => {
                self.forget(&network);
                (network, true)
            }
        };
        self.wake_around(&network, concerns_networks);
    }

    /// Wakes the apps on a network, and the networks that stand for the same VPC, itself included.
    fn wake_around(&self, network: &Guarded<PrivateGenAINetwork>, networks_too: bool) {
        let key = key_of(network);
        if networks_too {
            self.networks
                .state()
                .iter()
                .filter(|other| key_of(other) == key)
                .for_each(|other| self.wake_network(other));
        }
        for app in self.apps.state() {
            if key.is_none() || network_of(&app, &self.home) == key {
                self.wake_app(&app);
            }
        }
    }

    fn difference<K: Resource<DynamicType = ()>>(&self, object: &Guarded<K>) -> Difference {
        let now = Seen::of(object.meta());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = now.since(seen.get(&name_of(object)));
        seen.insert(name_of(object), now);
        difference
    }

    fn forget<K: Resource<DynamicType = ()>>(&self, object: &Guarded<K>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&name_of(object));
    }
}

fn name_of<K: Resource<DynamicType = ()>>(object: &Guarded<K>) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

/// The VPC of a network that can be read.
pub(super) fn key_of(network: &Guarded<PrivateGenAINetwork>) -> Option<NetworkKey> {
    network.0.as_ref().ok().and_then(|network| NetworkKey::try_from(&network.spec).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_is_a_change_of_labels_or_annotations_and_of_nothing_else() {
        let seen = |uid: &str, generation: i64, note: &str| {
            Seen::of(&ObjectMeta {
                uid: Some(uid.to_owned()),
                generation: Some(generation),
                annotations: Some([("note".to_owned(), note.to_owned())].into()),
                ..ObjectMeta::default()
            })
        };
        let before = seen("u", 1, "a");
        for (now, difference) in [
            (seen("u", 1, "a"), Difference::None),
            (seen("u", 1, "b"), Difference::Touched),
            (seen("u", 2, "b"), Difference::Changed),
            (seen("v", 1, "b"), Difference::Changed),
        ] {
            assert_eq!(now.since(Some(&before)), difference, "{now:?}");
        }
        assert_eq!(before.since(None), Difference::Changed);
    }
}
