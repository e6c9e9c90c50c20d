//! The objects by key: objects in, lookups and who is concerned out. Pure data, without a scan over all objects.
//!
//! Each object is parsed once, when it changes. The watches apply a change here before anybody is woken for it, so a reconcile
//! never sees less than what it was woken for.

mod acceptance;
mod admission;
mod concerned;
mod demand;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::{Resource as _, ResourceExt as _};

use self::{acceptance::Rank, concerned::Difference, demand::CountedDemands};
pub use self::{
    acceptance::{implicit_name, is_implicit},
    admission::Admission,
    concerned::Concerned,
    demand::AppDemand,
};
use crate::{
    api::{AppName, Guarded, ObjectName, PrivateGenAIApp, PrivateGenAINetwork, app::App, is_held, network::NetworkKey},
    aws::Region,
    settings::Settings,
};

/// An app and what was parsed of it.
#[derive(Debug)]
pub struct IndexedApp {
    /// The object as the watch showed it last.
    pub object: Arc<Guarded<PrivateGenAIApp>>,
    /// The network that the app names; `None` where that cannot be read.
    pub network: Option<NetworkKey>,
    /// Whether the app may be there; `None` where the object cannot be decoded.
    pub admission: Option<Admission>,
    /// The app uses its network: see [`Index::users`].
    uses_network: bool,
}

impl IndexedApp {
    fn new(object: Arc<Guarded<PrivateGenAIApp>>, settings: &Settings) -> Self {
        let app = object.0.as_ref().ok();
        let network = app.and_then(|app| App::network(&app.spec, &settings.region).ok());
        let admission = app.map(|app| Admission::of(app, settings));
        let may_be_ours = app.is_some_and(|app| app.recorded_owner(&settings.installation).may_be_ours());
        let mut indexed = Self { object, network, admission, uses_network: false };
        indexed.uses_network = may_be_ours && (indexed.is_held() || indexed.is_coming());
        indexed
    }

    /// The operator holds the object: resources in AWS may belong to it.
    pub fn is_held(&self) -> bool {
        is_held(self.object.meta())
    }

    /// The object is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.object.meta().deletion_timestamp.is_some()
    }

    /// The app may be there and is not being deleted.
    pub fn is_coming(&self) -> bool {
        !self.is_deleting() && self.accepted().is_some()
    }

    /// The object, if it can be decoded.
    pub fn decoded(&self) -> Option<&PrivateGenAIApp> {
        self.object.0.as_ref().ok()
    }

    /// The app, if it may be there.
    pub fn accepted(&self) -> Option<&App> {
        match &self.admission {
            Some(Admission::Accepted(app)) => Some(app),
            Some(Admission::Refused(..) | Admission::Unreadable(_)) | None => None,
        }
    }
}

/// When it is the turn of an app among those of its network: the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seniority {
    created_seconds: i64,
    name: AppName,
}

impl Seniority {
    fn of(app: &Guarded<PrivateGenAIApp>) -> Self {
        Self { created_seconds: created_seconds(app), name: AppName::of(app) }
    }
}

/// When an object was created, in seconds since 1970.
pub fn created_seconds(object: &impl kube::Resource) -> i64 {
    object.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}

/// A network and what was parsed of it.
#[derive(Debug)]
pub struct IndexedNetwork {
    /// The object as the watch showed it last.
    pub object: Arc<Guarded<PrivateGenAINetwork>>,
    /// The VPC that the network stands for; `None` where that cannot be read.
    pub key: Option<NetworkKey>,
}

impl IndexedNetwork {
    fn new(object: Arc<Guarded<PrivateGenAINetwork>>) -> Self {
        let key = object.0.as_ref().ok().and_then(|network| NetworkKey::try_from(&network.spec).ok());
        Self { object, key }
    }

    fn rank(&self) -> Option<(&NetworkKey, Rank)> {
        Some((self.key.as_ref()?, Rank::of(self.decoded()?)))
    }

    /// The object, if it can be decoded.
    pub fn decoded(&self) -> Option<&PrivateGenAINetwork> {
        self.object.0.as_ref().ok()
    }
}

/// All objects of both kinds, by name and by network.
///
/// # Guarantees
/// The index of a list of objects is the same whether it is built at once ([`Index::of`]) or by changes one by one.
/// The cost of a change does not depend on the number of objects.
#[derive(Clone, Debug)]
pub struct Index {
    settings: Arc<Settings>,
    apps: BTreeMap<AppName, Arc<IndexedApp>>,
    networks: BTreeMap<String, Arc<IndexedNetwork>>,
    /// The apps that name each network, the oldest first.
    apps_on: BTreeMap<NetworkKey, BTreeSet<Seniority>>,
    /// Those of them that use the network.
    users_of: BTreeMap<NetworkKey, BTreeSet<Seniority>>,
    /// What they demand.
    demands_on: CountedDemands,
    /// The networks of each VPC, the accepted one first.
    networks_of: BTreeMap<NetworkKey, BTreeSet<Rank>>,
}

impl Index {
    /// The index of no objects. What may be there follows from the settings.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            apps: BTreeMap::new(),
            networks: BTreeMap::new(),
            apps_on: BTreeMap::new(),
            users_of: BTreeMap::new(),
            demands_on: BTreeMap::new(),
            networks_of: BTreeMap::new(),
        }
    }

    /// The index of these objects.
    pub fn of(
        settings: Arc<Settings>,
        apps: impl IntoIterator<Item = Arc<Guarded<PrivateGenAIApp>>>,
        networks: impl IntoIterator<Item = Arc<Guarded<PrivateGenAINetwork>>>,
    ) -> Self {
        let mut index = Self::new(settings);
        for app in apps {
            index.put_app(app);
        }
        for network in networks {
            index.put_network(network);
        }
        index
    }

    /// How the operator is configured.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// An app by its name.
    pub fn app(&self, name: &AppName) -> Option<&IndexedApp> {
        self.apps.get(name).map(AsRef::as_ref)
    }

    /// A network by its name.
    pub fn network(&self, name: &str) -> Option<&IndexedNetwork> {
        self.networks.get(name).map(AsRef::as_ref)
    }

    /// All apps, by name.
    pub fn apps(&self) -> impl Iterator<Item = &IndexedApp> {
        self.apps.values().map(AsRef::as_ref)
    }

    /// All networks, by name.
    pub fn networks(&self) -> impl Iterator<Item = &IndexedNetwork> {
        self.networks.values().map(AsRef::as_ref)
    }

    /// The names of all objects, networks first.
    pub fn names(&self) -> impl Iterator<Item = ObjectName> {
        let networks = self.networks.keys().cloned().map(ObjectName::Network);
        networks.chain(self.apps.keys().cloned().map(ObjectName::App))
    }

    /// The apps that name a network, the oldest first.
    pub fn apps_on(&self, key: &NetworkKey) -> impl Iterator<Item = &IndexedApp> {
        self.apps_on.get(key).into_iter().flatten().filter_map(|app| self.app(&app.name))
    }

    /// The apps that use a network, the oldest first: those that have resources there, and those that may come. An app that is
    /// deleted and not held has nothing in AWS any more. Another installation's app uses a network of that installation.
    pub fn users(&self, key: &NetworkKey) -> impl Iterator<Item = &IndexedApp> {
        self.users_of.get(key).into_iter().flatten().filter_map(|app| self.app(&app.name))
    }

    /// An app uses the network.
    pub fn is_used(&self, key: &NetworkKey) -> bool {
        self.users(key).next().is_some()
    }

    /// The networks of a VPC, the accepted one first. The others lose.
    pub fn networks_of(&self, key: &NetworkKey) -> impl Iterator<Item = &PrivateGenAINetwork> {
        let ranked = self.networks_of.get(key).into_iter().flatten();
        ranked.filter_map(|rank| self.network(&rank.name)?.decoded())
    }

    /// The one network that stands for a VPC.
    pub fn accepted(&self, key: &NetworkKey) -> Option<&PrivateGenAINetwork> {
        self.networks_of(key).next()
    }

    /// The regions that objects name, and whether a held object does.
    pub fn regions(&self) -> impl Iterator<Item = (&Region, bool)> {
        let apps = self.apps().filter_map(|app| Some((&app.network.as_ref()?.region, app.is_held())));
        let networks =
            self.networks().filter_map(|network| Some((&network.key.as_ref()?.region, is_held(network.object.meta()))));
        apps.chain(networks)
    }

    /// Takes an app in; tells how it differs from what was known of it.
    fn put_app(&mut self, object: Arc<Guarded<PrivateGenAIApp>>) -> Difference {
        let name = AppName::of(&*object);
        let before = self.take_app(&name);
        let difference = Difference::between(before.as_ref().map(|app| app.object.meta()), object.meta());
        let app = IndexedApp::new(object, &self.settings);
        if let Some(key) = &app.network {
            let seniority = Seniority::of(&app.object);
            if let Some(demand) = AppDemand::of(&app) {
                let demands = self.demands_on.entry(key.clone()).or_default();
                demands.entry(demand).or_default().insert(seniority.clone());
            }
            if app.uses_network {
                self.users_of.entry(key.clone()).or_default().insert(seniority.clone());
            }
            self.apps_on.entry(key.clone()).or_default().insert(seniority);
        }
        self.apps.insert(name, Arc::new(app));
        difference
    }

    fn take_app(&mut self, name: &AppName) -> Option<Arc<IndexedApp>> {
        let app = self.apps.remove(name)?;
        if let Some(key) = &app.network {
            let seniority = Seniority::of(&app.object);
            take(&mut self.apps_on, key, &seniority);
            take(&mut self.users_of, key, &seniority);
            if let (Some(demand), Some(demands)) = (AppDemand::of(&app), self.demands_on.get_mut(key)) {
                take(demands, &demand, &seniority);
                if demands.is_empty() {
                    self.demands_on.remove(key);
                }
            }
        }
        Some(app)
    }

    /// Takes a network in; tells how it differs from what was known of it.
    fn put_network(&mut self, object: Arc<Guarded<PrivateGenAINetwork>>) -> Difference {
        let name = object.name_any();
        let before = self.take_network(&name);
        let difference = Difference::between(before.as_ref().map(|network| network.object.meta()), object.meta());
        let network = IndexedNetwork::new(object);
        if let Some((key, rank)) = network.rank() {
            self.networks_of.entry(key.clone()).or_default().insert(rank);
        }
        self.networks.insert(name, Arc::new(network));
        difference
    }

    fn take_network(&mut self, name: &str) -> Option<Arc<IndexedNetwork>> {
        let network = self.networks.remove(name)?;
        if let Some((key, rank)) = network.rank() {
            take(&mut self.networks_of, key, &rank);
        }
        Some(network)
    }
}

/// Takes a value out of the set at a key; an empty set goes.
fn take<K: Ord, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
