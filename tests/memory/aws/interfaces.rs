//! Network interfaces: those of endpoints, and those that Lambda keeps for functions.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    AddressFamilies, FunctionConfiguration, FunctionName, InterfaceHolder, InterfaceState, NetworkInterface,
    NetworkInterfaceId, Region, SecurityGroupId, SubnetId, VpcEndpointId, Written,
};

use super::{
    iam,
    step::{Answer, refuse},
    world::{Holder, Interface, RegionState, Releaser, Transition, World},
};

/// An interface in a subnet, with the lowest address that is free.
pub(super) fn create(world: &mut World, region: &Region, subnet: &SubnetId, holder: Holder) -> NetworkInterfaceId {
    let id: NetworkInterfaceId = world.new_id("eni", &format!("{subnet} {}", purpose(&holder)));
    let state = world.region_mut(region);
    let record = &state.subnets[subnet];
    let taken: BTreeSet<&str> =
        state.interfaces.values().filter_map(|interface| interface.fact.private_ip.as_deref()).collect();
    let private_ip = (4..=u16::MAX)
        .map(|last| format!("{}.{last}", record.range))
        .find(|address| !taken.contains(address.as_str()))
        .expect("there are more numbers than interfaces");
    let fact = NetworkInterface {
        id: id.clone(),
        subnet: subnet.clone(),
        zone: record.zone.clone(),
        private_ip: Some(private_ip),
        ipv6: BTreeSet::new(),
        groups: BTreeSet::new(),
        state: InterfaceState::InUse,
        holder: InterfaceHolder::Other(String::new()),
        function: None,
    };
    state.interfaces.insert(id.clone(), Interface { fact, holder });
    id
}

/// Gives the interfaces of an endpoint the addresses of these families.
pub(super) fn readdress(state: &mut RegionState, endpoint: &VpcEndpointId, families: &AddressFamilies) {
    for interface in
        state.interfaces.values_mut().filter(|interface| interface.holder == Holder::Endpoint(endpoint.clone()))
    {
        let number = interface.fact.private_ip.as_deref().unwrap_or_default().replace('.', ":");
        let address = format!("2600:1f18:{number}::1");
        interface.fact.ipv6 = (*families != AddressFamilies::Ipv4).then_some(address).into_iter().collect();
    }
}

/// An interface as a call shows it: its variable fields come from its holder.
pub(super) fn shown(state: &RegionState, interface: &Interface) -> NetworkInterface {
    let number = interface.fact.id.as_str().trim_start_matches("eni-");
    let (holder, function, orphaned) = match &interface.holder {
        Holder::Endpoint(_) => (InterfaceHolder::Endpoint, None, false),
        Holder::Lambda { function, orphaned, .. } => (InterfaceHolder::Lambda, Some(function.clone()), *orphaned),
        Holder::Instance { .. } => (InterfaceHolder::Instance(format!("i-{number}")), None, false),
    };
    NetworkInterface {
        groups: state.groups_of(interface).cloned().unwrap_or_default(),
        state: if orphaned { InterfaceState::Available } else { InterfaceState::InUse },
        holder,
        function,
        ..interface.fact.clone()
    }
}

/// `DeleteNetworkInterface` deletes unused interfaces only.
pub(super) fn delete(world: &mut World, region: &Region, id: &NetworkInterfaceId) -> Answer {
    let state = world.region_mut(region);
    let Some(interface) = state.interfaces.get(id) else {
        return refuse("InvalidNetworkInterfaceID.NotFound", format!("The networkInterface ID '{id}' does not exist"));
    };
    if shown(state, interface).state != InterfaceState::Available {
        return refuse("InvalidParameterValue", format!("Network interface '{id}' is currently in use."));
    }
    state.interfaces.remove(id);
    Ok(Written::Done)
}

fn purpose(holder: &Holder) -> String {
    match holder {
        Holder::Endpoint(endpoint) => endpoint.to_string(),
        Holder::Lambda { groups, .. } => format!("lambda {groups:?}"),
        Holder::Instance { groups } => format!("instance {groups:?}"),
    }
}

/// The result of attaching a function.
pub(super) struct Attached {
    /// An interface was created, which takes a while.
    pub created: bool,
    /// The reason why the attachment is going to fail (`Code: reason`).
    pub doomed: Option<String>,
}

/// Ensures an interface for each subnet of a function. Functions with the same subnet and set of groups share an interface.
///
/// Source: Lambda Developer Guide, "Understanding Hyperplane Elastic Network Interfaces (ENIs)".
pub(super) fn attach(
    world: &mut World,
    region: &Region,
    function: &FunctionName,
    configuration: &FunctionConfiguration,
) -> Attached {
    let mut attached = Attached { created: false, doomed: None };
    for subnet in &configuration.subnets {
        let state = world.region_mut(region);
        let serves = |interface: &Interface| {
            interface.fact.subnet == *subnet && is_shared_by(&interface.holder, &configuration.security_groups)
        };
        if let Some(id) = state.interfaces.values().find(|interface| serves(interface)).map(|i| i.fact.id.clone()) {
            world.due.remove(&Transition::InterfaceReleased(region.clone(), id));
        } else if state.free_addresses(subnet) == 0 {
            attached.doomed = Some(format!(
                "SubnetOutOfIPAddresses: The function could not be attached because subnet {subnet} has no free address"
            ));
        } else {
            let (groups, role_arn) = (configuration.security_groups.clone(), configuration.role_arn.clone());
            let function = function.clone();
            create(world, region, subnet, Holder::Lambda { groups, function, role_arn, orphaned: false });
            attached.created = true;
        }
    }
    attached
}

fn is_shared_by(holder: &Holder, set: &BTreeSet<SecurityGroupId>) -> bool {
    matches!(holder, Holder::Lambda { groups, orphaned: false, .. } if groups == set)
}

impl RegionState {
    /// Whether some function uses this interface.
    pub(super) fn is_needed(&self, interface: &Interface) -> bool {
        self.functions.values().map(|function| &function.detail.listing.configuration).any(|configuration| {
            configuration.subnets.contains(&interface.fact.subnet)
                && is_shared_by(&interface.holder, &configuration.security_groups)
        })
    }
}

/// Schedules the release of interfaces that no function needs any more. `last` is the role of the function that last needed them,
/// if any.
pub(super) fn release_unused(world: &mut World, region: &Region, last: Option<&str>) {
    let state = world.region_mut(region);
    let unused: Vec<_> = state
        .interfaces
        .values()
        .filter(|interface| matches!(interface.holder, Holder::Lambda { orphaned: false, .. }))
        .filter(|interface| !state.is_needed(interface))
        .map(|interface| interface.fact.id.clone())
        .collect();
    for id in unused {
        let release = Transition::InterfaceReleased(region.clone(), id.clone());
        if world.due.contains_key(&release) {
            continue;
        }
        if world.released_by == Releaser::Last
            && let Some(last) = last
            && let Some(Interface { holder: Holder::Lambda { role_arn, .. }, .. }) =
                world.region_mut(region).interfaces.get_mut(&id)
        {
            last.clone_into(role_arn);
        }
        world.schedule(release, world.delays.interfaces_released);
    }
}

/// Lambda deletes the interface with the role that it keeps for this purpose, and fails without that role.
pub(super) fn release(world: &mut World, region: &Region, id: &NetworkInterfaceId) {
    let Some(Interface { holder: Holder::Lambda { groups, function, role_arn, .. }, fact }) =
        world.region_mut(region).interfaces.get(id).cloned()
    else {
        return;
    };
    let may = iam::lambda_can_assume(world, &role_arn)
        .is_ok_and(|record| iam::allows(world, &record.role, "ec2:DeleteNetworkInterface"));
    let state = world.region_mut(region);
    if may {
        state.interfaces.remove(id);
    } else {
        let holder = Holder::Lambda { groups, function, role_arn, orphaned: true };
        state.interfaces.insert(id.clone(), Interface { fact, holder });
    }
}
