//! The state that the model checker compares: the account, the objects, and the memory of each operator with its passes
//! under way. Plain data, shared between equal states.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{Hash, Hasher},
    mem,
    sync::Arc,
    time::Duration,
};

use kube::{Resource, ResourceExt as _, core::DeserializeGuard};
use private_genai_operator::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    app::{
        self, AppReconcile,
        decide::AppPass,
        removal::{
            decide::{DeletionPass, RemovalPass},
            reconcile::Removal,
        },
    },
    aws::{SnapshotState, TopologyState, VpcId},
    engine::{Guarded, Memory, Pass, Released, Settings},
    index::Index,
    network::{self, NetworkReconcile, decide::NetworkPass, late_writes::LateWritePass},
};
use serde::Serialize;

use crate::memory::{
    aws::{World, world::RegionState},
    judge::Judge,
};

/// The time on the clock of every memory: ages count, absolute times do not.
pub const NOW: Duration = Duration::from_hours(1);

/// A Kubernetes object, with its JSON text, by which objects are compared.
pub struct Object<K> {
    pub guarded: Arc<Guarded<K>>,
    text: Arc<str>,
}

impl<K> Clone for Object<K> {
    fn clone(&self) -> Self {
        Self { guarded: Arc::clone(&self.guarded), text: Arc::clone(&self.text) }
    }
}

impl<K: Serialize> Object<K> {
    pub fn new(object: K) -> Self {
        let text = serde_json::to_string(&object).expect("an object has JSON").into();
        Self { guarded: Arc::new(DeserializeGuard(Ok(object))), text }
    }
}

impl<K> Object<K> {
    pub fn get(&self) -> &K {
        self.guarded.0.as_ref().unwrap_or_else(|invalid| panic!("{}", invalid.error))
    }

    pub fn is(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Hash for Object<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// All objects, and the index over them that decisions use. Watches are never behind here.
pub struct Objects {
    pub apps: BTreeMap<&'static str, Object<PrivateGenAIApp>>,
    pub networks: BTreeMap<String, Object<PrivateGenAINetwork>>,
    pub index: Arc<Index>,
}

impl Objects {
    pub fn new(
        settings: &Arc<Settings>,
        apps: BTreeMap<&'static str, Object<PrivateGenAIApp>>,
        networks: BTreeMap<String, Object<PrivateGenAINetwork>>,
    ) -> Self {
        let all_apps = apps.values().map(|app| Arc::clone(&app.guarded));
        let all_networks = networks.values().map(|network| Arc::clone(&network.guarded));
        let index = Arc::new(Index::of(Arc::clone(settings), all_apps, all_networks));
        Self { apps, networks, index }
    }

    /// Replaces the apps.
    pub fn with_apps(&self, apps: BTreeMap<&'static str, Object<PrivateGenAIApp>>) -> Self {
        Self::new(self.index.settings(), apps, self.networks.clone())
    }

    /// Replaces the networks.
    pub fn with_networks(&self, networks: BTreeMap<String, Object<PrivateGenAINetwork>>) -> Self {
        Self::new(self.index.settings(), self.apps.clone(), networks)
    }
}

impl Hash for Objects {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { apps, networks, index: _ } = self;
        (apps, networks).hash(state);
    }
}

/// The worker of a pass. As in the controllers' queues, each worker has one pass at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worker {
    App(&'static str),
    Network(String),
    /// Checks the place of a released app or network.
    After(Released),
}

/// A pass under way, and its subject.
#[derive(Clone, Hash)]
pub struct Run {
    pub pass: Pass,
    pub subject: Subject,
}

/// The observation of a network's pass. The comparison leaves out the shape of the VPC, which no scenario changes, and the
/// unread sources, for every read succeeds.
#[derive(Clone)]
pub struct Seen(pub Arc<network::Observed>);

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let network::Observed {
            // The subject has the identity too.
            identity: _,
            topology: _,
            security_groups,
            // Equal to the groups, for every read succeeds.
            known_groups: _,
            endpoints,
            foreign_endpoints,
            live_roles,
            handed_over_roles,
            function_interfaces,
            left_interfaces,
            other_functions,
            interfaces,
            unread: _,
        } = &*self.0;
        (security_groups, endpoints, foreign_endpoints, live_roles, handed_over_roles).hash(state);
        (function_interfaces, left_interfaces, other_functions, interfaces).hash(state);
    }
}

/// The subject of a pass, and the reconcile that the pass belongs to.
#[derive(Clone)]
pub enum Subject {
    Network {
        object: Object<PrivateGenAINetwork>,
        reconcile: Arc<NetworkReconcile>,
        pass: NetworkPass,
        observed: Option<Seen>,
    },
    Keep {
        object: Object<PrivateGenAIApp>,
        reconcile: Arc<AppReconcile>,
        pass: AppPass,
        observed: Option<Arc<app::Observed>>,
    },
    Remove {
        object: Object<PrivateGenAIApp>,
        removal: Arc<Removal>,
        pass: Option<DeletionPass>,
    },
    AfterApp(RemovalPass),
    AfterNetwork(LateWritePass),
}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        mem::discriminant(self).hash(state);
        match self {
            Self::Network { object, reconcile, pass, observed } => {
                // The rest of the reconcile is the object.
                let recorded = reconcile.object.status.as_ref().map(|status| &status.installation_id);
                (object, reconcile.missing, recorded, pass, observed).hash(state);
            }
            Self::Keep { object, reconcile, pass, observed } => (object, reconcile, pass, observed).hash(state),
            Self::Remove { object, removal, pass } => (object, removal, pass).hash(state),
            Self::AfterApp(pass) => pass.hash(state),
            Self::AfterNetwork(pass) => pass.hash(state),
        }
    }
}

/// An operator's memory, which a crash loses.
#[derive(Clone, Default)]
pub struct Operator {
    pub memory: Memory,
    pub kept: Arc<SnapshotState>,
    pub covered: BTreeSet<VpcId>,
    pub runs: BTreeMap<Worker, Arc<Run>>,
    /// The released apps and networks, and whether their place was checked since the last change.
    pub departures: BTreeMap<Released, bool>,
}

impl Hash for Operator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { memory, kept, covered, runs, departures } = self;
        let SnapshotState { roles, topology, endpoints, security_groups, functions, attachments, log_groups } = &**kept;
        (memory, roles, *topology == TopologyState::default(), endpoints, security_groups).hash(state);
        (functions, attachments, log_groups).hash(state);
        (covered, runs, departures).hash(state);
    }
}

impl Operator {
    /// An operator after its start.
    pub fn new() -> Self {
        Self { memory: Memory { now: NOW, ..Memory::default() }, ..Self::default() }
    }
}

/// The whole state.
#[derive(Clone)]
pub struct State {
    pub world: Arc<World>,
    pub objects: Arc<Objects>,
    pub operators: Vec<Operator>,
    pub judge: Arc<Judge>,
    /// The number of times that each chance is left, in the scenario's order.
    pub left: Vec<u8>,
    /// The number of objects created.
    pub created: u32,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { world, objects, operators, judge, left, created: _ } = self;
        // The counters of ids are left out: ids are renamed.
        let World {
            account: _,
            now,
            delays: _,
            released_by: _,
            regions,
            roles,
            believed,
            due,
            counts: _,
            managed_policies: _,
            demanded_boundary: _,
        } = &**world;
        (now, roles, believed, due).hash(state);
        for region in regions.values() {
            // No scenario changes the shape of the VPCs or the services on offer.
            let RegionState {
                vpcs: _,
                ipv6_vpcs: _,
                default_vpcs: _,
                subnets: _,
                route_tables: _,
                services: _,
                groups,
                endpoints,
                tokens,
                invisible,
                interfaces,
                functions,
                log_groups,
                closed_vpcs: _,
            } = region;
            (groups, endpoints, tokens, invisible, interfaces, functions, log_groups).hash(state);
        }
        (objects, operators, judge, left).hash(state);
    }
}

impl State {
    /// No pass is under way.
    pub fn is_quiet(&self) -> bool {
        self.operators.iter().all(|operator| operator.runs.is_empty())
    }
}

impl fmt::Debug for State {
    /// The facts that help a reader of a counterexample.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, app) in &self.objects.apps {
            writeln!(out, "  app {name}: {}", app.text)?;
        }
        for (name, network) in &self.objects.networks {
            writeln!(out, "  network {name}: {}", network.text)?;
        }
        for (region, state) in &self.world.regions {
            for endpoint in state.endpoints.values() {
                writeln!(out, "  {region} endpoint {} {:?}", endpoint.id, endpoint.state)?;
            }
            for group in state.groups.values() {
                writeln!(
                    out,
                    "  {region} group {} {} in {:?} out {:?}",
                    group.id, group.name, group.ingress, group.egress
                )?;
            }
            for (name, function) in &state.functions {
                writeln!(out, "  {region} function {name} {:?}", function.detail.state)?;
            }
            for interface in state.interfaces.values() {
                writeln!(out, "  {region} interface {} {:?}", interface.fact.id, interface.holder)?;
            }
        }
        for (name, role) in &self.world.roles {
            writeln!(out, "  role {name} {:?}", role.role.tags)?;
        }
        for operator in &self.operators {
            writeln!(out, "  operator: {:?}, departures {:?}", operator.memory, operator.departures)?;
            for (worker, run) in &operator.runs {
                writeln!(out, "    {worker:?} at {:?}", run.pass.next())?;
            }
        }
        writeln!(out, "  due {:?}", self.world.due.keys().collect::<Vec<_>>())
    }
}

pub fn uid(object: &impl Resource<DynamicType = ()>) -> String {
    object.uid().unwrap_or_default()
}
