//! The answers to the operator's reads, from a world. Pure: the handle does the counting, the clock and the faults.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{
        EndpointService, EndpointState, FunctionDetail, FunctionListing, FunctionName, IamWrite, LambdaWrite, LogGroup,
        NetworkInterface, NetworkInterfaceId, Peer, Region, Role, RoleListing, RouteTable, SecurityGroup,
        SecurityGroupId, Shown, Subnet, SubnetId, Tags, Vpc, VpcDns, VpcEndpoint, VpcId, VpcListing, Write,
    },
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX, TAG_INSTALLATION},
};

use super::{
    iam,
    interfaces::shown,
    lambda,
    world::{FunctionRecord, Holder, Interface, LogGroupRecord, Reader, RegionState, RoleRecord, SubnetRecord, World},
};

pub fn vpcs(state: &RegionState, ids: &BTreeSet<VpcId>) -> Vec<VpcListing> {
    let listed = |vpc: &Vpc| VpcListing { id: vpc.id.clone(), owner: vpc.owner.clone(), tenancy: vpc.tenancy.clone() };
    state.vpcs.values().filter(|vpc| ids.contains(&vpc.id)).map(listed).collect()
}

pub fn vpc_dns(state: &RegionState, vpc: &VpcId) -> Option<VpcDns> {
    state.vpcs.get(vpc).map(|vpc| vpc.dns)
}

pub fn subnets(state: &RegionState, vpcs: &BTreeSet<VpcId>) -> Vec<Subnet> {
    let fact = |(id, SubnetRecord { vpc, zone, .. }): (&SubnetId, &SubnetRecord)| Subnet {
        id: id.clone(),
        vpc: vpc.clone(),
        zone: zone.clone(),
        free_addresses: state.free_addresses(id),
    };
    state.subnets.iter().filter(|(_, subnet)| vpcs.contains(&subnet.vpc)).map(fact).collect()
}

pub fn route_tables(state: &RegionState, vpcs: &BTreeSet<VpcId>) -> Vec<RouteTable> {
    state.route_tables.values().filter(|table| vpcs.contains(&table.vpc)).cloned().collect()
}

pub fn endpoint_services(state: &RegionState, names: &BTreeSet<String>) -> Vec<EndpointService> {
    state.services.values().filter(|service| names.contains(&service.name)).cloned().collect()
}

pub fn vpc_endpoints(state: &RegionState, vpcs: &BTreeSet<VpcId>) -> Vec<VpcEndpoint> {
    let visible = state.endpoints.keys().filter_map(|id| state.endpoint(id));
    visible.filter(|endpoint| vpcs.contains(&endpoint.vpc)).cloned().collect()
}

pub fn tagged_endpoints(state: &RegionState, (key, value): (&str, &str)) -> Vec<VpcEndpoint> {
    let visible = state.endpoints.keys().filter_map(|id| state.endpoint(id));
    visible.filter(|endpoint| endpoint.tags.get(key).is_some_and(|is| is == value)).cloned().collect()
}

pub fn network_interfaces(state: &RegionState, ids: &BTreeSet<NetworkInterfaceId>) -> Vec<NetworkInterface> {
    ids.iter().filter_map(|id| state.interfaces.get(id)).map(|interface| shown(state, interface)).collect()
}

pub fn group_interfaces(state: &RegionState, group: &SecurityGroupId) -> Vec<NetworkInterface> {
    let carries = |interface: &&Interface| state.groups_of(interface).is_some_and(|groups| groups.contains(group));
    state.interfaces.values().filter(carries).map(|interface| shown(state, interface)).collect()
}

pub fn vpc_interfaces(state: &RegionState, vpc: &VpcId) -> Vec<NetworkInterface> {
    let is_there =
        |interface: &&Interface| state.subnets.get(&interface.fact.subnet).is_some_and(|subnet| subnet.vpc == *vpc);
    state.interfaces.values().filter(is_there).map(|interface| shown(state, interface)).collect()
}

/// The groups that have a rule in a direction which names a group.
pub fn referring_groups(state: &RegionState, id: &SecurityGroupId, egress: bool) -> Vec<SecurityGroup> {
    let rules = |group: &SecurityGroup| if egress { group.egress.clone() } else { group.ingress.clone() };
    let visible = state.groups.keys().filter_map(|group| state.group(group));
    visible.filter(|group| rules(group).iter().any(|rule| rule.peer == Peer::Group(id.clone()))).cloned().collect()
}

pub fn security_groups(state: &RegionState, (key, value): (&str, &str)) -> Vec<SecurityGroup> {
    let visible = state.groups.keys().filter_map(|id| state.group(id));
    visible.filter(|group| group.tags.get(key).is_some_and(|is| is == value)).cloned().collect()
}

pub fn functions(state: &RegionState) -> Vec<FunctionListing> {
    state.functions.values().map(|function| lambda::shown(&function.detail.listing)).collect()
}

pub fn function(state: &RegionState, name: &FunctionName) -> Option<FunctionDetail> {
    let detail = |function: &FunctionRecord| FunctionDetail {
        listing: lambda::shown(&function.detail.listing),
        ..function.detail.clone()
    };
    state.functions.get(name).map(detail)
}

pub fn log_groups(state: &RegionState, prefix: &str) -> Vec<LogGroup> {
    let groups = state.log_groups.values().map(|record| &record.group);
    groups.filter(|group| group.name.as_str().starts_with(prefix)).cloned().collect()
}

pub fn log_group_tags(state: &RegionState, arn: &str) -> Option<Tags> {
    state.log_groups.values().find(|record| record.group.arn == arn).map(|record| record.tags.clone())
}

/// The resource in AWS's answer to a write that was just carried out.
pub fn answered(world: &World, region: &Region, write: &Write) -> Shown {
    let function = |name: &FunctionName| {
        let found = world.regions.get(region).and_then(|state| function(state, name));
        found.map_or(Shown::Nothing, |detail| Shown::Function(Box::new(detail.listing)))
    };
    match write {
        Write::Iam(IamWrite::CreateRole { name, .. }) => {
            world.roles.get(name).map_or(Shown::Nothing, |record| Shown::Role(Box::new(record.role.clone())))
        }
        Write::Lambda(LambdaWrite::CreateFunction(new)) => function(&new.name),
        Write::Lambda(
            LambdaWrite::UpdateFunctionConfiguration { name, .. } | LambdaWrite::UpdateFunctionCode { name, .. },
        ) => function(name),
        _ => Shown::Nothing,
    }
}

/// All roles of the account, as IAM's lagging reads show them.
pub fn roles(world: &World) -> Vec<Role> {
    iam::roles_seen_by(world, Reader::Iam).into_iter().map(|record| record.role.clone()).collect()
}

/// The roles as a listing shows them.
pub fn role_listings(world: &World) -> Vec<RoleListing> {
    let listing = |record: &RoleRecord| RoleListing {
        name: record.role.name.clone(),
        id: record.role.id.clone(),
        arn: record.role.arn.clone(),
        trust_policy: record.role.trust_policy.clone(),
    };
    iam::roles_seen_by(world, Reader::Iam).into_iter().map(listing).collect()
}

/// All remaining resources of an installation in the account, including those that the operator's reads miss: resources that
/// carry its tag, or a name of ours without another installation's tag. A resource listed as deleted does not count.
pub fn leftovers(world: &World, installation: &InstallationId) -> Vec<String> {
    let is_left = |tags: &Tags, named: bool| installation.owns(tags) || named && !tags.contains_key(TAG_INSTALLATION);
    let role_path = format!(":role{}", installation.role_path());
    let mut left = Vec::new();
    for (region, state) in &world.regions {
        let mut add = |what: String| left.push(format!("{region}: {what}"));
        for group in state.groups.values() {
            let named = group.name.starts_with("private-genai-") && group.name.ends_with(&format!("-{installation}"));
            if is_left(&group.tags, named) {
                add(format!("security group {} ({})", group.id, group.name));
            }
        }
        for endpoint in state.endpoints.values() {
            if installation.owns(&endpoint.tags) && endpoint.state != EndpointState::Deleted {
                add(format!("endpoint {} ({})", endpoint.id, endpoint.state.as_str()));
            }
        }
        for interface in state.interfaces.values() {
            if matches!(&interface.holder, Holder::Lambda { role_arn, .. } if role_arn.contains(&role_path)) {
                add(format!("Lambda's interface {}", interface.fact.id));
            }
        }
        for FunctionRecord { detail, .. } in state.functions.values() {
            if is_left(&detail.tags, detail.listing.name.as_str().starts_with(FUNCTION_PREFIX)) {
                add(format!("function {}", detail.listing.name));
            }
        }
        for LogGroupRecord { group, tags } in state.log_groups.values() {
            if is_left(tags, group.name.as_str().starts_with(LOG_GROUP_PREFIX)) {
                add(format!("log group {}", group.name));
            }
        }
    }
    for RoleRecord { role, .. } in world.roles.values() {
        if is_left(&role.tags, role.arn.contains(&role_path)) {
            left.push(format!("role {}", role.name));
        }
    }
    left
}
