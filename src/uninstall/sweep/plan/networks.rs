//! The endpoints, groups, and retired roles of each network.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Plan, PlanInput, Scope, Unit, Whose,
    apps::{App, RetainedApps, untagged},
};
use crate::{
    api::{
        condition::{ConditionType, Message},
        network::NetworkKey,
    },
    aws::{Ec2Write, Endpoints, NetworkInterfaceId, Role, SecurityGroup, SecurityGroupId, Topology, Write},
    identity::{FUNCTIONS_GROUP, HandOver, NetworkIdentity, TAG_RETAINED, is_retained},
    network::{Observed, OtherFunctions, can_be_deleted, held_by_lambda, left_behind, teardown},
    plan::{Plan as Steps, listed},
    uninstall::{
        Kind, ObjectFacts,
        sweep::observation::{InRegion, SweepObservation},
    },
};

/// The state of a network, for the objects of this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A resource is still to be removed or to be tagged.
    Left,
    /// The network stays, and its tags in AWS show that.
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

/// The security group of the functions on a network.
pub(super) fn functions_group<'a>(state: &'a InRegion, scope: &Scope, key: &NetworkKey) -> Option<&'a SecurityGroupId> {
    let identity = identity(scope, key);
    state.groups.iter().find(|group| identity.is_group(group, FUNCTIONS_GROUP)).map(|group| &group.id)
}

/// The resources of one network.
struct Network {
    key: NetworkKey,
    observed: Observed,
    /// A line for each endpoint and each group.
    path: BTreeSet<String>,
    /// A tag marks the network as retained.
    is_marked: bool,
    /// Groups with the installation's tag and a foreign name.
    foreign_groups: Vec<String>,
}

impl Network {
    fn of(key: NetworkKey, input: &PlanInput<'_>) -> Self {
        let PlanInput { found, memory, .. } = input;
        let identity = identity(input.scope, &key);
        let state = found.regions.get(&key.region).cloned().unwrap_or_default();
        let is_ours = |group: &SecurityGroup| identity.is_own_group(group);
        let here = state.groups.iter().filter(|group| group.vpc == key.vpc);
        let (groups, foreign): (Vec<_>, Vec<_>) = here.cloned().partition(is_ours);
        let endpoints = Endpoints { endpoints: state.endpoints.clone(), interfaces: BTreeMap::new() };
        let observed = Observed::new(&identity, &Topology::default(), &endpoints, &groups);
        let retired = found.roles.values().filter(|role| {
            HandOver::from_tags(&role.tags).is_some() && input.place_of_role(role).as_ref() == Some(&key)
        });
        let interfaces = input.function_interfaces(&key);
        let long = memory.long_available.get(&key).cloned().unwrap_or_default();
        let left_interfaces = left_behind(&interfaces, &long, &state.attachments);
        let observed =
            Observed { left_interfaces, ..observed.with_roles(Vec::new(), retired.cloned().collect(), interfaces) };
        let region = &key.region;
        let path = observed
            .security_groups
            .iter()
            .map(|group| format!("{region}: security group {} in {}", group.id, group.vpc));
        let endpoints = observed
            .endpoints
            .iter()
            .map(|endpoint| format!("{region}: VPC endpoint {} in {}", endpoint.id, endpoint.vpc));
        let path = path.chain(endpoints).collect();
        let tags = observed.security_groups.iter().map(|group| &group.tags);
        let is_marked = tags.chain(observed.endpoints.iter().map(|endpoint| &endpoint.tags)).any(is_retained);
        let foreign_groups = foreign.iter().map(|group| format!("{} ({})", group.id, group.name)).collect();
        Self { key, observed, path, is_marked, foreign_groups }
    }

    /// Tags endpoints and groups as retained, before the object is deleted.
    fn mark(&self, unit: &mut Unit) {
        let groups = self.observed.security_groups.iter().map(|group| (group.id.to_string(), &group.tags));
        let endpoints = self.observed.endpoints.iter().filter(|endpoint| !endpoint.state.is_ending());
        let endpoints = endpoints.map(|endpoint| (endpoint.id.to_string(), &endpoint.tags));
        for (resource, _) in groups.chain(endpoints).filter(|(_, tags)| !is_retained(tags)) {
            unit.wait(format!("{resource} is tagged as retained; AWS shows the tag within seconds."));
            let tags = [(TAG_RETAINED.to_owned(), "true".to_owned())].into();
            unit.step(&self.key.region, Write::Ec2(Ec2Write::CreateTags { resource, tags }));
        }
    }

    /// Deletes the roles that were handed over to a retained network and that Lambda does not need any more. Returns the roles
    /// that Lambda needs while a retained function is attached.
    fn handed_over(&self, input: &PlanInput<'_>, unit: &mut Unit) -> BTreeSet<String> {
        let mut stays = BTreeSet::new();
        let interfaces = held_by_lambda(&self.observed.function_interfaces);
        let remaining = self.remaining(input);
        for role in &self.observed.handed_over_roles {
            let Some(hand_over) = HandOver::from_tags(&role.tags) else { continue };
            if can_be_deleted(role, &hand_over, &self.observed.function_interfaces, remaining) {
                let mut steps = Steps::default();
                steps.delete_role(ConditionType::SecurityGroupsReady, role, &input.scope.governance);
                unit.take(&self.key.region, steps);
                unit.wait(format!("Role {} is being deleted.", role.name));
            } else if self.is_needed(&hand_over, input.found) {
                stays.insert(format!(
                    "role {} (Lambda needs it to release interfaces of retained functions)",
                    role.name
                ));
                continue;
            } else {
                unit.wait(waits_for(role, &interfaces));
            }
            unit.resources.insert(format!("role {}", role.name));
        }
        stays
    }

    /// Whether functions with the network's group are left.
    fn remaining(&self, input: &PlanInput<'_>) -> OtherFunctions {
        let group = self.observed.group(FUNCTIONS_GROUP).map(|group| &group.id);
        let state = input.found.regions.get(&self.key.region);
        let mut attached = state.into_iter().flat_map(|state| &state.attachments);
        let is_left = attached.any(|attachment| group.is_some_and(|group| attachment.groups.contains(group)));
        if is_left { OtherFunctions::Present } else { OtherFunctions::Absent }
    }

    /// A function still uses an interface for which the role is kept.
    fn is_needed(&self, hand_over: &HandOver, found: &SweepObservation) -> bool {
        let attachments = found.regions.get(&self.key.region).map(|state| &state.attachments);
        let is_attached = |id: &NetworkInterfaceId| {
            let interface = self.observed.function_interfaces.get(id);
            interface
                .is_some_and(|interface| attachments.into_iter().flatten().any(|attachment| attachment.uses(interface)))
        };
        match hand_over {
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

/// Plans for the networks that were found. Returns the state of each network. A network that is not in the answer has no
/// resources.
pub(super) fn plan(
    apps: &[App<'_>],
    retained: &RetainedApps,
    input: &PlanInput<'_>,
    plan: &mut Plan,
) -> BTreeMap<NetworkKey, State> {
    let PlanInput { objects, scope, .. } = input;
    let mut states = BTreeMap::new();
    let unknown =
        objects.iter().any(|object| object.kind == Kind::Network && object.retained && object.network.is_none());
    for key in input.places() {
        let network = Network::of(key.clone(), input);
        let retired = network.observed.handed_over_roles.iter().map(|role| format!("role {}", role.name));
        let resources: BTreeSet<String> = network.path.iter().cloned().chain(retired).collect();
        if resources.is_empty() && network.foreign_groups.is_empty() {
            continue;
        }
        let whose = input.whose(Some(&key));
        if whose != Whose::Ours {
            plan.foreign.extend(resources.iter().filter_map(|resource| whose.reason_to_leave(resource)));
            // The object of this network keeps its finalizer.
            states.insert(key, State::Left);
            continue;
        }
        let of_key = |object: &&ObjectFacts| object.kind == Kind::Network && object.network.as_ref() == Some(&key);
        let object_retains = objects.iter().filter(of_key).any(|object| object.retained);
        let object_deletes = objects.iter().filter(of_key).any(|object| !object.retained);
        let is_used = retained.networks.contains_key(&key) || !retained.anywhere.is_empty();
        let mut unit = Unit::default();
        if is_used || object_retains || unknown || (network.is_marked && !object_deletes) {
            if object_retains {
                network.mark(&mut unit);
            }
            plan.retained.extend(network.path.iter().cloned());
            plan.retained.extend(network.handed_over(input, &mut unit));
        } else {
            unit.resources = resources;
            // Functions go first: a function needs the path, and Lambda needs the interfaces of the function.
            if !apps.iter().any(|app| app.place.as_ref() == Some(&key)) {
                unit.take(&key.region, teardown(&network.observed, &input.scope.governance));
            }
        }
        unit.problems.extend(network.foreign_groups.iter().map(|group| {
            Message::from(format!(
                "Security group {group} in {} carries the tag of installation {}, and no app or network of that installation uses it: \
                 remove the tag, or delete the group by hand.",
                key.vpc, scope.installation
            ))
        }));
        let is_left = unit != Unit::default();
        states.insert(key, if is_left { State::Left } else { State::Stays });
        plan.units.extend(is_left.then_some(unit));
    }
    without_place(input, plan);
    states
}

/// Deletes handed-over roles that lost the tags which name their network, when no interface of Lambda is left in any network.
fn without_place(input: &PlanInput<'_>, plan: &mut Plan) {
    let is_lost = |role: &&Role| HandOver::from_tags(&role.tags).is_some() && input.place_of_role(role).is_none();
    let everywhere = input.places().iter().flat_map(|key| held_by_lambda(&input.function_interfaces(key))).collect();
    for role in input.found.roles.values().filter(is_lost) {
        let resource = format!("role {}", role.name);
        if let Some(other) = input.whose(None).reason_to_leave(&resource) {
            plan.foreign.insert(other);
            continue;
        }
        let mut unit = Unit { resources: [resource].into(), ..Unit::default() };
        if !input.owns(&role.tags) {
            unit.problem(untagged("Role", role.name.as_str(), input));
        } else if BTreeSet::is_empty(&everywhere) {
            let mut steps = Steps::default();
            steps.delete_role(ConditionType::SecurityGroupsReady, role, &input.scope.governance);
            unit.take(&input.scope.home, steps);
            unit.wait(format!("Role {} is being deleted.", role.name));
        } else {
            unit.wait(waits_for(role, &everywhere));
        }
        plan.units.push(unit);
    }
}
