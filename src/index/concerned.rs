//! The objects that a change of one object concerns.

use std::{collections::BTreeSet, sync::Arc};

use kube::core::ObjectMeta;

use super::Index;
use crate::{
    api::{
        AppName, EndpointStatus, Guarded, ObjectName, PrivateGenAIApp, PrivateGenAINetwork, PrivateGenAINetworkStatus,
        is_held, network::NetworkKey,
    },
    policy::ModelId,
};

/// The objects that a change concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerned {
    /// Only labels or annotations of this object changed: a person asks for a new read of AWS.
    Touched(ObjectName),
    /// These objects are to be reconciled.
    Woken(BTreeSet<ObjectName>),
}

/// The difference between an object and its earlier state. Changes of status and finalizers are ignored, because the operator
/// itself makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// No difference that matters.
    Nothing,
    /// Only labels or annotations differ.
    Touched,
    /// The object is new, has another spec, is to be deleted, or is held only by others, so that its demands are free.
    Changed,
}

impl Difference {
    pub(super) fn between(before: Option<&ObjectMeta>, now: &ObjectMeta) -> Self {
        let substance = |meta: &ObjectMeta| {
            let deleting = meta.deletion_timestamp.is_some();
            (meta.uid.clone(), meta.generation, deleting, deleting && !is_held(meta))
        };
        match before {
            Some(before) if substance(before) == substance(now) => {
                if before.labels == now.labels && before.annotations == now.annotations {
                    Self::Nothing
                } else {
                    Self::Touched
                }
            }
            Some(_) | None => Self::Changed,
        }
    }
}

/// The difference between two statuses of a network, for the apps on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StatusNews {
    /// The statuses are equal.
    Nothing,
    /// The endpoints allow other models.
    Models {
        /// The models in only one of the statuses.
        changed: BTreeSet<String>,
        /// The models that every endpoint allows now.
        let_through: BTreeSet<String>,
    },
    /// A difference that each app shows.
    Anything,
}

impl StatusNews {
    pub(super) fn between(before: Option<&PrivateGenAINetworkStatus>, now: Option<&PrivateGenAINetworkStatus>) -> Self {
        let (Some(before), Some(now)) = (before, now) else {
            return if before == now { Self::Nothing } else { Self::Anything };
        };
        if before == now {
            return Self::Nothing;
        }
        let without_models = |status: &PrivateGenAINetworkStatus| {
            let endpoints = status.endpoints.iter();
            let endpoints = endpoints.map(|endpoint| EndpointStatus { models: Vec::new(), ..endpoint.clone() });
            PrivateGenAINetworkStatus { endpoints: endpoints.collect(), ..status.clone() }.sorted()
        };
        if without_models(before) != without_models(now) {
            return Self::Anything;
        }
        let models = |status: &PrivateGenAINetworkStatus| -> BTreeSet<String> {
            status.endpoints.iter().flat_map(|endpoint| endpoint.models.iter().cloned()).collect()
        };
        let (old, new) = (models(before), models(now));
        let everywhere = |model: &&String| now.endpoints.iter().all(|endpoint| endpoint.models.contains(model));
        Self::Models {
            changed: old.symmetric_difference(&new).cloned().collect(),
            let_through: new.iter().filter(everywhere).cloned().collect(),
        }
    }

    /// The difference concerns an app that calls these models.
    fn concern(&self, models: &BTreeSet<ModelId>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Models { changed, let_through } => {
                models.iter().any(|model| changed.contains(model.as_str()) || !let_through.contains(model.as_str()))
            }
            Self::Anything => true,
        }
    }
}

impl Index {
    /// Applies a new or changed app. A changed app concerns itself and its network.
    pub fn apply_app(&mut self, object: Arc<Guarded<PrivateGenAIApp>>) -> Concerned {
        let name = AppName::of(&*object);
        match self.put_app(object) {
            Difference::Nothing => Concerned::Woken(BTreeSet::new()),
            Difference::Touched => Concerned::Touched(ObjectName::App(name)),
            Difference::Changed => {
                let key = self.app(&name).and_then(|app| app.network.clone());
                let mut woken = self.networks_concerned_by_app_on(key.as_ref());
                woken.insert(ObjectName::App(name));
                Concerned::Woken(woken)
            }
        }
    }

    /// Removes an app. That concerns its network, which may have to be deleted.
    pub fn remove_app(&mut self, name: &AppName) -> Concerned {
        let gone = self.take_app(name);
        Concerned::Woken(gone.map(|app| self.networks_concerned_by_app_on(app.network.as_ref())).unwrap_or_default())
    }

    /// Applies a new or changed network. A new status concerns the apps on the network that show the difference; any other change
    /// concerns all apps on the network and the networks of the same VPC.
    pub fn apply_network(&mut self, object: Arc<Guarded<PrivateGenAINetwork>>) -> Concerned {
        let name = kube::ResourceExt::name_any(&*object);
        let before = self.network(&name).map(|network| Arc::clone(&network.object));
        let difference = self.put_network(object);
        let network = self.network(&name);
        let key = network.and_then(|network| network.key.clone());
        match difference {
            Difference::Nothing => {
                let before = before.as_ref().and_then(|before| before.0.as_ref().ok()?.status.as_ref());
                let now = network.and_then(|network| network.decoded()?.status.as_ref());
                let news = StatusNews::between(before, now);
                Concerned::Woken(match (&news, key) {
                    (StatusNews::Nothing, _) => BTreeSet::new(),
                    (StatusNews::Models { .. }, Some(key)) => self.apps_that_show(&key, &news),
                    (StatusNews::Models { .. } | StatusNews::Anything, key) => self.apps_concerned_by(key.as_ref()),
                })
            }
            Difference::Touched => Concerned::Touched(ObjectName::Network(name)),
            Difference::Changed => Concerned::Woken(self.concerned_around(key.as_ref())),
        }
    }

    /// Removes a network. Its VPC is free for another network.
    pub fn remove_network(&mut self, name: &str) -> Concerned {
        let gone = self.take_network(name);
        Concerned::Woken(gone.map(|network| self.concerned_around(network.key.as_ref())).unwrap_or_default())
    }

    /// The touched object and its network.
    pub fn with_network(&self, touched: ObjectName) -> BTreeSet<ObjectName> {
        let key = match &touched {
            ObjectName::App(name) => self.app(name).and_then(|app| app.network.clone()),
            ObjectName::Network(_) => None,
        };
        key.iter().flat_map(|key| self.network_names(key)).chain([touched]).collect()
    }

    /// An app with an unreadable network may be on any network.
    fn networks_concerned_by_app_on(&self, key: Option<&NetworkKey>) -> BTreeSet<ObjectName> {
        match key {
            Some(key) => self.network_names(key).collect(),
            None => self.networks.keys().cloned().map(ObjectName::Network).collect(),
        }
    }

    /// The apps on a network. An unreadable network may be that of any app.
    fn apps_concerned_by(&self, key: Option<&NetworkKey>) -> BTreeSet<ObjectName> {
        match key {
            Some(key) => {
                let apps = self.apps_on.get(key).into_iter().flatten();
                apps.map(|app| ObjectName::App(app.name.clone())).collect()
            }
            None => self.apps.keys().cloned().map(ObjectName::App).collect(),
        }
    }

    /// The apps that use a network and show what is new in its status.
    fn apps_that_show(&self, key: &NetworkKey, news: &StatusNews) -> BTreeSet<ObjectName> {
        let demands = self.demands_on.get(key).into_iter().flatten();
        let concerned = demands.filter(|(demand, _)| news.concern(&demand.models));
        concerned.flat_map(|(_, apps)| apps.iter().map(|app| ObjectName::App(app.name.clone()))).collect()
    }

    /// The apps on a network, and the networks of its VPC.
    fn concerned_around(&self, key: Option<&NetworkKey>) -> BTreeSet<ObjectName> {
        let mut concerned = self.apps_concerned_by(key);
        if let Some(key) = key {
            concerned.extend(self.network_names(key));
        } else {
            let unreadable = self.networks.iter().filter(|(_, network)| network.key.is_none());
            concerned.extend(unreadable.map(|(name, _)| ObjectName::Network(name.clone())));
        }
        concerned
    }

    fn network_names(&self, key: &NetworkKey) -> impl Iterator<Item = ObjectName> {
        let ranked = self.networks_of.get(key).into_iter().flatten();
        ranked.map(|rank| ObjectName::Network(rank.name.clone()))
    }
}
