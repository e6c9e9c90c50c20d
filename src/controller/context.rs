//! What a reconcile works with.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{
    Client,
    runtime::{
        events::{Recorder, Reporter},
        reflector::Store,
    },
};
use wildmatch::WildMatch;

use super::{Latest, objects::Guarded};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, network::NetworkKey},
    aws::{Aws, Region, Snapshots, VpcId},
    identity::InstallationId,
    metrics::Metrics,
    network::Hints,
};

/// How the operator was told to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose resources these are.
    pub installation: InstallationId,
    /// The region of networks that name none, and of calls that have none.
    pub region: Region,
    /// The VPCs that apps may name, as globs; none by default.
    pub allowed_vpcs: Vec<WildMatch>,
    /// How often AWS is looked at although nothing happened.
    pub resync: Duration,
    /// How many objects of each kind are worked on at once.
    pub concurrency: u16,
}

impl Settings {
    /// Apps may name this VPC.
    pub fn allows(&self, vpc: &VpcId) -> bool {
        self.allowed_vpcs.iter().any(|glob| glob.matches(vpc.as_str()))
    }
}

/// What a reconcile works with: one for both controllers.
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// How the operator was told to work.
    pub settings: Settings,
    /// AWS.
    pub snapshots: Snapshots,
    /// All apps, as the watch last showed them.
    pub apps: Store<Guarded<PrivateGenAIApp>>,
    /// All networks, as the watch last showed them.
    pub networks: Store<Guarded<PrivateGenAINetwork>>,
    /// Apps as the operator's own last writes left them.
    pub latest_apps: Latest<PrivateGenAIApp>,
    /// Networks as the operator's own last writes left them.
    pub latest_networks: Latest<PrivateGenAINetwork>,
    /// Where Events go.
    pub events: Recorder,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    hints: Mutex<BTreeMap<NetworkKey, Hints>>,
    attempts: Mutex<BTreeMap<String, u32>>,
    settled: Mutex<BTreeMap<String, u64>>,
    closer: Mutex<BTreeSet<String>>,
}

impl Context {
    /// A context that has seen nothing yet.
    pub fn new(
        client: Client,
        aws: Arc<dyn Aws>,
        settings: Settings,
        apps: Store<Guarded<PrivateGenAIApp>>,
        networks: Store<Guarded<PrivateGenAINetwork>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            events: recorder(&client),
            snapshots: Snapshots::new(aws, settings.installation.clone(), settings.region.clone()),
            client,
            settings,
            apps,
            networks,
            metrics,
            latest_apps: Latest::default(),
            latest_networks: Latest::default(),
            hints: Mutex::default(),
            attempts: Mutex::default(),
            settled: Mutex::default(),
            closer: Mutex::default(),
        }
    }

    /// Where Events go that are each told by themselves. [`Context::events`] takes Events of one reason on one object for
    /// repetitions of the first, whatever their notes say.
    pub fn separate_events(&self) -> Recorder {
        recorder(&self.client)
    }

    /// What earlier answers told about a network.
    pub fn hints(&self, network: &NetworkKey) -> Hints {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).get(network).cloned().unwrap_or_default()
    }

    /// Remembers something about a network.
    pub fn learn(&self, network: &NetworkKey, lesson: impl FnOnce(&mut Hints)) {
        lesson(self.hints.lock().unwrap_or_else(PoisonError::into_inner).entry(network.clone()).or_default());
    }

    /// Forgets what was remembered about a network that is gone.
    pub fn forget(&self, network: &NetworkKey) {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).remove(network);
    }

    /// Counts an attempt of an object that is not at rest; gives how many there were before.
    pub fn attempt(&self, object: &str) -> u32 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(object.to_owned()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    /// All that is wanted for an object (by uid) was found to be there.
    pub fn settle(&self, uid: &str, wanted: &impl Hash) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(uid.to_owned(), fingerprint(wanted));
    }

    /// The same was wanted when all was last there: what is missing now, somebody else took away or changed. Not
    /// known of what was never seen at rest since the operator started, so a new version that wants something else
    /// takes nobody for the cause.
    pub fn settled(&self, uid: &str, wanted: &impl Hash) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(uid) == Some(&fingerprint(wanted))
    }

    /// Nothing is wanted for an object any more.
    pub fn unsettle(&self, uid: &str) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Asks for a look at what no table shows of an app (`namespace/name`), such as its function's tags and state.
    pub fn look_closely(&self, app: String) {
        self.closer.lock().unwrap_or_else(PoisonError::into_inner).insert(app);
    }

    /// A closer look was asked for; it is not asked for any more.
    pub fn takes_closer_look(&self, app: &str) -> bool {
        self.closer.lock().unwrap_or_else(PoisonError::into_inner).remove(app)
    }

    /// An object is at rest, or gone.
    pub fn rest(&self, object: &str) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

fn recorder(client: &Client) -> Recorder {
    Recorder::new(client.clone(), Reporter { controller: "private-genai-operator".to_owned(), instance: None })
}

fn fingerprint(wanted: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    hasher.finish()
}
