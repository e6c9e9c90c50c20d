//! Plans a removal: the next writes, the resources that stay, and the cases for a person to decide. Pure. The order is the
//! operator's: functions, log groups, endpoints, interfaces that Lambda left behind, roles that Lambda does not need any more,
//! security groups.

mod apps;
mod networks;
mod objects;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use objects::ObjectStep;

use super::{observation::SweepObservation, removal::Removal};
use crate::{
    api::{
        condition::{Leg, LegState, Message},
        network::NetworkKey,
    },
    aws::{AccountId, NetworkInterfaceId, Region, Role, RoleName, Tags, Write},
    engine::AvailableSince,
    governance::Governance,
    identity::{InstallationId, OwnerMark},
    network::{Interfaces, interfaces_of_functions},
    plan::listed,
    policy::place_of_role,
    uninstall::ObjectFacts,
};

/// The owner whose resources may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The installation.
    pub installation: InstallationId,
    /// The account of the credentials.
    pub account: AccountId,
    /// The region of objects that name none.
    pub home: Region,
    /// The mark of the cluster whose resources are removed. Without a mark here, no marked resource is removed.
    pub owner: Option<OwnerMark>,
    /// The permissions boundary of roles whose policies are deleted.
    pub governance: Governance,
}

/// The memory between observations. A loss of the memory costs only time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The time on a clock that only goes forward.
    pub now: Duration,
    /// Since when interfaces have been `available`, for each network.
    pub available: BTreeMap<NetworkKey, AvailableSince>,
    /// The interfaces that have been `available` for long, by the last observation.
    pub long_available: BTreeMap<NetworkKey, BTreeSet<NetworkInterfaceId>>,
    /// The roles that were tagged as retained. IAM may show the tag late.
    pub retained: BTreeSet<RoleName>,
    /// The names of observed apps. Lambda writes the name of the function into its interfaces.
    pub names: BTreeSet<String>,
    /// The networks whose groups carried our mark. The mark goes with the groups.
    pub ours: BTreeSet<NetworkKey>,
    /// AWS shows by now all that an operator may have created a moment ago.
    pub settled: bool,
}

impl Memory {
    /// Records an observation at this time.
    pub fn note(&mut self, found: &SweepObservation, scope: &Scope, now: Duration) {
        self.now = now;
        self.names.extend(found.roles.keys().map(|role| role.as_str().to_owned()));
        for state in found.regions.values() {
            self.names.extend(state.functions.keys().map(|function| function.as_str().to_owned()));
        }
        if let Some(owner) = &scope.owner {
            self.ours.extend(found.marks().remove(&owner.to_string()).unwrap_or_default());
        }
        self.long_available.clear();
        for key in found.places(&scope.installation) {
            let interfaces = function_interfaces(found, scope, &self.names, &key);
            let long = self.available.entry(key.clone()).or_default().observe(&interfaces, now);
            self.long_available.insert(key, long);
        }
    }
}

/// Resources that are removed together, independently of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// A line for each resource in AWS.
    pub resources: BTreeSet<String>,
    /// The writes that can be made now, in order. A failed write ends the later ones.
    pub steps: Vec<(Region, Removal)>,
    /// The removals that AWS has still to finish.
    pub waits: Vec<Message>,
    /// The problems that only a person can solve.
    pub problems: Vec<Message>,
}

impl Unit {
    /// Adds the operator's plan. A write that would create something becomes a problem.
    fn take(&mut self, region: &Region, plan: crate::plan::Plan) {
        for step in plan.steps {
            self.step(region, step.write);
        }
        for Leg { state, message, .. } in plan.legs {
            match state {
                LegState::Met => {}
                LegState::Progressing | LegState::Unknown => self.wait(message),
                LegState::Blocked => self.problem(message),
            }
        }
    }

    fn step(&mut self, region: &Region, write: Write) {
        match Removal::try_from(write) {
            Ok(removal) => self.steps.push((region.clone(), removal)),
            Err(refused) => self.problem(format!("{refused}.")),
        }
    }

    pub(super) fn wait(&mut self, message: impl Into<Message>) {
        self.waits.push(message.into());
    }

    pub(super) fn problem(&mut self, message: impl Into<Message>) {
        self.problems.push(message.into());
    }

    /// A person must act before the removal goes on.
    fn is_stuck(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty()
    }
}

/// The writes, and the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The resources to remove or to tag first. Empty when nothing is left to remove.
    pub units: Vec<Unit>,
    /// A line for each resource that is retained.
    pub retained: BTreeSet<String>,
    /// A line for each resource of another cluster or of an unknown cluster.
    pub foreign: BTreeSet<String>,
    /// The writes to Kubernetes.
    pub objects: Vec<ObjectStep>,
    /// The problems that keep objects. Only a person can solve them.
    pub object_problems: Vec<Message>,
}

impl Plan {
    /// A line for each resource to remove.
    pub fn resources(&self) -> BTreeSet<&String> {
        self.units.iter().flat_map(|unit| &unit.resources).collect()
    }

    /// The problems that only a person can solve.
    pub fn problems(&self) -> impl Iterator<Item = &Message> {
        self.units.iter().flat_map(|unit| &unit.problems).chain(&self.object_problems)
    }

    /// Something is left, and neither a write nor a wait makes progress.
    pub fn is_stuck(&self) -> bool {
        self.objects.is_empty() && self.units.iter().all(Unit::is_stuck)
    }
}

/// Plans for all observed resources, and for the objects, if there is a cluster.
pub fn plan(found: &SweepObservation, objects: &[ObjectFacts], scope: &Scope, memory: &Memory) -> Plan {
    let input = PlanInput { found, objects, scope, memory, marks: found.marks() };
    let mut plan = Plan::default();
    let apps = apps::of(&input);
    let retained = apps::retained(&apps, &input);
    apps::plan(&apps, &retained, &input, &mut plan);
    let networks = networks::plan(&apps, &retained, &input, &mut plan);
    objects::plan(&apps, &retained, &networks, &input, &mut plan);
    plan
}

/// The input of a plan.
struct PlanInput<'a> {
    found: &'a SweepObservation,
    objects: &'a [ObjectFacts],
    scope: &'a Scope,
    memory: &'a Memory,
    marks: BTreeMap<String, BTreeSet<NetworkKey>>,
}

impl PlanInput<'_> {
    /// The tags name the installation.
    fn owns(&self, tags: &Tags) -> bool {
        self.scope.installation.owns(tags)
    }

    /// The network that the tags of a resource name.
    fn place_of(&self, tags: &Tags) -> Option<NetworkKey> {
        self.scope.installation.place_of(tags).map(|(region, vpc)| NetworkKey { region, vpc })
    }

    /// The network that a role was made for.
    fn place_of_role(&self, role: &Role) -> Option<NetworkKey> {
        place_of_role(&self.scope.installation, role).map(|(region, vpc)| NetworkKey { region, vpc })
    }

    /// The networks on which the installation has a resource.
    fn places(&self) -> BTreeSet<NetworkKey> {
        self.found.places(&self.scope.installation)
    }

    fn is_foreign(&self, mark: &str) -> bool {
        self.scope.owner.as_ref().is_none_or(|owner| owner.to_string() != mark)
    }

    /// The owner of a network, by the marks on the groups. `None` stands for an unknown network.
    fn whose(&self, key: Option<&NetworkKey>) -> Whose {
        let is_here = |keys: &BTreeSet<NetworkKey>| key.is_some_and(|key| keys.contains(key));
        let here: BTreeSet<&String> =
            self.marks.iter().filter(|(_, keys)| is_here(keys)).map(|(mark, _)| mark).collect();
        if here.is_empty() {
            if key.is_some_and(|key| self.memory.ours.contains(key)) {
                return Whose::Ours;
            }
            let others = self.marks.keys().any(|mark| self.is_foreign(mark));
            return if others { Whose::Unclear } else { Whose::Ours };
        }
        let foreign: BTreeSet<String> = here.into_iter().filter(|mark| self.is_foreign(mark)).cloned().collect();
        if foreign.is_empty() { Whose::Ours } else { Whose::Another(foreign) }
    }

    /// The interfaces of a VPC that may be those of the installation's functions.
    fn function_interfaces(&self, key: &NetworkKey) -> Interfaces {
        function_interfaces(self.found, self.scope, &self.memory.names, key)
    }
}

/// The owner of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    /// This cluster: the network may be removed.
    Ours,
    /// Other clusters, by their marks on the network.
    Another(BTreeSet<String>),
    /// The network has no mark, and other networks of the installation have the mark of another cluster.
    Unclear,
}

impl Whose {
    /// The line about a resource that stays because of its owner. `None` for a resource that may be removed.
    fn reason_to_leave(&self, resource: &str) -> Option<String> {
        match self {
            Self::Ours => None,
            Self::Another(marks) => Some(format!("{resource} (of the cluster with the mark {})", listed(marks))),
            Self::Unclear => {
                Some(format!("{resource} (carries no mark, and another cluster has this installation id)"))
            }
        }
    }
}

/// The interfaces of a VPC that may be those of the installation's functions.
fn function_interfaces(
    found: &SweepObservation,
    scope: &Scope,
    names: &BTreeSet<String>,
    key: &NetworkKey,
) -> Interfaces {
    let Some(state) = found.regions.get(&key.region) else { return Interfaces::new() };
    let group = networks::functions_group(state, scope, key);
    let all = state.interfaces.get(&key.vpc).cloned().unwrap_or_default();
    interfaces_of_functions(all, group, |function| names.contains(function.as_str()))
}
