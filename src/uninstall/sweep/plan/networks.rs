//! The endpoints, groups, and retired roles of each network.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Given, Plan, Scope, Unit, Whose,
    apps::{App, RetainedApps, untagged},
};
use crate::{
    api::{condition::ConditionType, network::NetworkKey},
    aws::{Ec2Write, Endpoints, NetworkInterfaceId, Role, SecurityGroup, SecurityGroupId, Topology, Write},
    identity::{FUNCTIONS_GROUP, HandOver, NetworkIdentity, TAG_RETAINED, is_retained},
    network::{Observed, OtherFunctions, can_be_deleted, held_by_lambda, left_behind, teardown},
    plan::{Plan as Steps, listed},
    uninstall::{
        Item, Kind,
        sweep::observation::{InRegion, SweepObservation},
    },
};

/// How a network stands, for the objects that stand for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Something of it is still to go, or to be marked.
    Left,
    /// It stays, and says so in AWS.
    Stays,
}

fn identity(scope: &Scope, key: &NetworkKey) -> NetworkIdentity {
    NetworkIdentity {
        installation: scope.installation.clone(),
        account: scope.account.clone(),
        region: key.region.clone(),
        vpc: key.vpc.clone(),
    }
}

/// The group that functions on a network carry.
pub(super) fn functions_group<'a>(state: &'a InRegion, scope: &Scope, key: &NetworkKey) -> Option<&'a SecurityGroupId> {
    let identity = identity(scope, key);
    state.groups.iter().find(|group| identity.is_group(group, FUNCTIONS_GROUP)).map(|group| &group.id)
}

/// What there is of one network.
struct Network {
    key: NetworkKey,
    observed: Observed,
    /// Its endpoints and groups, each in a line.
    path: BTreeSet<String>,
    /// Somebody has marked it as retained.
    is_marked: bool,
    /// Groups with the installation's tag and a name of somebody else's.
    foreign_groups: Vec<String>,
}

impl Network {
    fn of(key: NetworkKey, given: &Given<'_>) -> Self {
        let Given { found, memory, .. } = given;
        let identity = identity(given.scope, &key);
        let state = found.regions.get(&key.region).cloned().unwrap_or_default();
        let is_ours = |group: &SecurityGroup| identity.is_own_group(group);
        let here = state.groups.iter().filter(|group| group.vpc == key.vpc);
        let (groups, foreign): (Vec<_>, Vec<_>) = here.cloned().partition(is_ours);
        let endpoints = Endpoints { endpoints: state.endpoints.clone(), interfaces: BTreeMap::new() };
        let observed = Observed::new(&identity, &Topology::default(), &endpoints, &groups);
        let retired = found.roles.values().filter(|role| {
            HandOver::from_tags(&role.tags).is_some() && given.place_of_role(role).as_ref() == Some(&key)
        });
        let interfaces = given.function_interfaces(&key);
        let long = memory.long_available.get(&key).cloned().unwrap_or_default();
        let left_interfaces = left_behind(&interfaces, &long, &state.attachments);
        let observed =
            Observed { left_interfaces, ..observed.with_roles(Vec::new(), retired.cloned().collect(), interfaces) };
        let region = &key.region;
        let path =
            observed.security_groups.iter().map(|it| format!("{region}: security group {} in {}", it.id, it.vpc));
        let endpoints = observed.endpoints.iter().map(|it| format!("{region}: VPC endpoint {} in {}", it.id, it.vpc));
        let path = path.chain(endpoints).collect();
        let tags = observed.security_groups.iter().map(|group| &group.tags);
        let is_marked = tags.chain(observed.endpoints.iter().map(|endpoint| &endpoint.tags)).any(is_retained);
        let foreign_groups = foreign.iter().map(|group| format!("{} ({})", group.id, group.name)).collect();
        Self { key, observed, path, is_marked, foreign_groups }
    }

    /// Endpoints and groups say in AWS that they are there on purpose, before the object that says so goes.
    fn mark(&self, unit: &mut Unit) {
        let groups = self.observed.security_groups.iter().map(|group| (group.id.to_string(), &group.tags));
        let endpoints = self.observed.endpoints.iter().filter(|endpoint| !endpoint.state.is_ending());
        let endpoints = endpoints.map(|endpoint| (endpoint.id.to_string(), &endpoint.tags));
        for (resource, _) in groups.chain(endpoints).filter(|(_, tags)| !is_retained(tags)) {
            unit.waits.push(format!("{resource} is tagged as retained; AWS takes seconds to show it."));
            let tags = [(TAG_RETAINED.to_owned(), "true".to_owned())].into();
            unit.step(&self.key.region, Write::Ec2(Ec2Write::CreateTags { resource, tags }));
        }
    }

    /// Roles of apps that are gone, on a network that stays: those go that nobody needs any more. Gives those that Lambda
    /// needs for as long as a function that stays is attached.
    fn retired(&self, given: &Given<'_>, unit: &mut Unit) -> BTreeSet<String> {
        let mut stays = BTreeSet::new();
        let interfaces = held_by_lambda(&self.observed.function_interfaces);
        let remaining = self.remaining(given);
        for role in &self.observed.handed_over_roles {
            let Some(kept_for) = HandOver::from_tags(&role.tags) else { continue };
            if can_be_deleted(role, &kept_for, &self.observed.function_interfaces, remaining) {
                let mut steps = Steps::default();
                steps.delete_role(ConditionType::SecurityGroupsReady, role, &given.scope.governance);
                unit.take(&self.key.region, steps);
                unit.waits.push(format!("Role {} is being deleted.", role.name));
            } else if self.is_needed(&kept_for, given.found) {
                stays.insert(format!("role {} (Lambda releases interfaces of functions that stay with it)", role.name));
                continue;
            } else {
                unit.waits.push(waits_for(role, &interfaces));
            }
            unit.resources.insert(format!("role {}", role.name));
        }
        stays
    }

    /// Functions that carry the network's group are left.
    fn remaining(&self, given: &Given<'_>) -> OtherFunctions {
        let group = self.observed.group(FUNCTIONS_GROUP).map(|group| &group.id);
        let state = given.found.regions.get(&self.key.region);
        let mut attached = state.into_iter().flat_map(|state| &state.attachments);
        let is_left = attached.any(|it| group.is_some_and(|group| it.groups.contains(group)));
        if is_left { OtherFunctions::Present } else { OtherFunctions::Absent }
    }

    /// One of the interfaces that the role is kept for is that of a function.
    fn is_needed(&self, kept_for: &HandOver, found: &SweepObservation) -> bool {
        let attachments = found.regions.get(&self.key.region).map(|state| &state.attachments);
        let is_attached = |id: &NetworkInterfaceId| {
            let interface = self.observed.function_interfaces.get(id);
            interface.is_some_and(|interface| attachments.into_iter().flatten().any(|it| it.uses(interface)))
        };
        match kept_for {
            HandOver::Interfaces(ids) => ids.iter().any(is_attached),
            HandOver::Any => held_by_lambda(&self.observed.function_interfaces).iter().any(is_attached),
        }
    }
}

fn waits_for(role: &Role, interfaces: &BTreeSet<NetworkInterfaceId>) -> String {
    format!(
        "Role {} is kept until Lambda has released interfaces {}: within twenty minutes or more.",
        role.name,
        listed(interfaces)
    )
}

/// Decides about the networks that were found. Gives how each of those that may be touched stands; one that is not there is
/// gone.
pub(super) fn plan(
    apps: &[App<'_>],
    kept: &RetainedApps,
    given: &Given<'_>,
    plan: &mut Plan,
) -> BTreeMap<NetworkKey, State> {
    let Given { items, scope, .. } = given;
    let mut states = BTreeMap::new();
    let unknown = items.iter().any(|item| item.kind == Kind::Network && item.retained && item.network.is_none());
    for key in given.places() {
        let network = Network::of(key.clone(), given);
        let retired = network.observed.handed_over_roles.iter().map(|role| format!("role {}", role.name));
        let resources: BTreeSet<String> = network.path.iter().cloned().chain(retired).collect();
        if resources.is_empty() && network.foreign_groups.is_empty() {
            continue;
        }
        let whose = given.whose(Some(&key));
        if whose != Whose::Ours {
            plan.others.extend(resources.iter().filter_map(|resource| whose.told(resource)));
            // An object here that stands for it is not let go.
            states.insert(key, State::Left);
            continue;
        }
        let of_key = |item: &&Item| item.kind == Kind::Network && item.network.as_ref() == Some(&key);
        let object_retains = items.iter().filter(of_key).any(|item| item.retained);
        let object_deletes = items.iter().filter(of_key).any(|item| !item.retained);
        let is_used = kept.networks.contains_key(&key) || !kept.anywhere.is_empty();
        let mut unit = Unit::default();
        if is_used || object_retains || unknown || (network.is_marked && !object_deletes) {
            if object_retains {
                network.mark(&mut unit);
            }
            plan.stays.extend(network.path.iter().cloned());
            plan.stays.extend(network.retired(given, &mut unit));
        } else {
            unit.resources = resources;
            // Functions first: while one is there, it needs the path, and Lambda its interfaces.
            if !apps.iter().any(|app| app.place.as_ref() == Some(&key)) {
                unit.take(&key.region, teardown(&network.observed, &given.scope.governance));
            }
        }
        unit.problems.extend(network.foreign_groups.iter().map(|group| {
            format!(
                "Security group {group} in {} carries the tag of installation {} and is none of its: take the tag off, or delete the \
                 group by hand.",
                key.vpc, scope.installation
            )
        }));
        let is_left = unit != Unit::default();
        states.insert(key, if is_left { State::Left } else { State::Stays });
        plan.units.extend(is_left.then_some(unit));
    }
    without_place(given, plan);
    states
}

/// Retired roles that lost the tags which say where they were needed: they go with the last interface anywhere.
fn without_place(given: &Given<'_>, plan: &mut Plan) {
    let is_lost = |role: &&Role| HandOver::from_tags(&role.tags).is_some() && given.place_of_role(role).is_none();
    let everywhere = given.places().iter().flat_map(|key| held_by_lambda(&given.function_interfaces(key))).collect();
    for role in given.found.roles.values().filter(is_lost) {
        let resource = format!("role {}", role.name);
        if let Some(other) = given.whose(None).told(&resource) {
            plan.others.insert(other);
            continue;
        }
        let mut unit = Unit { resources: [resource].into(), ..Unit::default() };
        if !given.owns(&role.tags) {
            unit.problems.push(untagged("Role", role.name.as_str(), given));
        } else if BTreeSet::is_empty(&everywhere) {
            let mut steps = Steps::default();
            steps.delete_role(ConditionType::SecurityGroupsReady, role, &given.scope.governance);
            unit.take(&given.scope.home, steps);
            unit.waits.push(format!("Role {} is being deleted.", role.name));
        } else {
            unit.waits.push(waits_for(role, &everywhere));
        }
        plan.units.push(unit);
    }
}
