//! Interface VPC endpoints, as strict as PrivateLink is.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    AddressFamilies, EndpointChange, EndpointService, EndpointState, NewVpcEndpoint, Region, SubnetId, VpcEndpoint,
    VpcEndpointId, Written,
};

use super::{
    endpoint_checks::{check_groups, check_policy, check_private_dns, check_subnets},
    interfaces,
    step::{Answer, refuse},
    tags,
    world::{Ec2Id, Holder, STARTED_AT, Transition, World},
};

/// AWS PrivateLink quotas: "Interface and Gateway Load Balancer endpoints per VPC".
const ENDPOINTS_PER_VPC: usize = 50;

pub(super) fn create(world: &mut World, region: &Region, new: &NewVpcEndpoint) -> Answer {
    // CreateVpcEndpoint: "ClientToken: Unique, case-sensitive identifier"; at most 64 ASCII characters.
    if new.client_token.is_empty() || new.client_token.len() > 64 || !new.client_token.is_ascii() {
        return refuse("InvalidParameterValue", "Invalid client token");
    }
    let state = world.region_mut(region);
    if let Some((before, id)) = state.tokens.get(&new.client_token) {
        if before != new {
            return refuse(
                "IdempotentParameterMismatch",
                format!("The client token {} was already used with different parameters", new.client_token),
            );
        }
        // The answer to the first call, again, even if the endpoint is gone by now.
        let state = state.endpoints.get(id).map_or(EndpointState::Deleted, |endpoint| endpoint.state.clone());
        return Ok(Written::VpcEndpoint(id.clone(), state));
    }
    let endpoint = checked(world, region, new)?;
    let id = endpoint.id.clone();
    let state = world.region_mut(region);
    state.tokens.insert(new.client_token.clone(), (new.clone(), id.clone()));
    state.endpoints.insert(id.clone(), endpoint);
    state.invisible.insert(Ec2Id::Endpoint(id.clone()));
    for subnet in &new.subnets {
        add_interface(world, region, &id, subnet);
    }
    world.schedule(Transition::Visible(region.clone(), Ec2Id::Endpoint(id.clone())), world.delays.ec2_visible);
    world.schedule(Transition::EndpointAvailable(region.clone(), id.clone()), world.delays.endpoint_available);
    Ok(Written::VpcEndpoint(id, EndpointState::Pending))
}

/// The endpoint that the request describes, without interfaces.
fn checked(world: &mut World, region: &Region, new: &NewVpcEndpoint) -> Answer<VpcEndpoint> {
    let account = world.account.clone();
    let state = world.region_mut(region);
    let Some(vpc) = state.vpcs.get(&new.vpc) else {
        return refuse("InvalidVpcId.NotFound", format!("The Vpc Id '{}' does not exist", new.vpc));
    };
    // AWS PrivateLink guide, "Shared subnets": their owner alone creates endpoints in them.
    if vpc.owner != account {
        return refuse("OperationNotPermitted", format!("The vpc '{}' belongs to another account", new.vpc));
    }
    let Some(service) = state.services.get(&new.service_name).cloned() else {
        return refuse("InvalidServiceName", format!("The Vpc Endpoint Service '{}' does not exist", new.service_name));
    };
    let alive = |endpoint: &&VpcEndpoint| endpoint.vpc == new.vpc && !endpoint.state.is_ending();
    if state.endpoints.values().filter(alive).count() >= ENDPOINTS_PER_VPC {
        return refuse("VpcEndpointLimitExceeded", "The maximum number of VPC endpoints has been reached.");
    }
    tags::check(&new.tags, "InvalidParameterValue")?;
    check_policy(&new.policy)?;
    // "If you do not specify a security group, the default security group of the VPC is used."
    let security_groups = if new.security_groups.is_empty() {
        state.default_group(&new.vpc).into_iter().collect()
    } else {
        new.security_groups.clone()
    };
    check_groups(state, &new.vpc, &security_groups)?;
    check_subnets(state, &new.vpc, &service, &BTreeSet::new(), &new.subnets)?;
    if new.private_dns {
        check_private_dns(state, &new.vpc, &service, None)?;
    }
    let id: VpcEndpointId = world.new_id("vpce", &format!("{} {}", new.vpc, new.service_name));
    Ok(VpcEndpoint {
        dns_names: dns_names(world, region, &id, &service, &new.subnets, new.private_dns),
        id,
        vpc: new.vpc.clone(),
        service_name: new.service_name.clone(),
        interface: true,
        state: EndpointState::Pending,
        private_dns: new.private_dns,
        address_families: AddressFamilies::Ipv4,
        subnets: new.subnets.clone(),
        security_groups,
        interfaces: BTreeSet::new(),
        policy: Some(new.policy.clone()),
        tags: new.tags.clone(),
        created_at: STARTED_AT.saturating_add_unsigned(world.now),
        last_error: None,
    })
}

pub(super) fn modify(world: &mut World, region: &Region, id: &VpcEndpointId, change: &EndpointChange) -> Answer {
    let state = world.region_mut(region);
    let Some(endpoint) = state.endpoint(id).filter(|endpoint| endpoint.state != EndpointState::Deleted).cloned() else {
        return refuse("InvalidVpcEndpointId.NotFound", format!("The Vpc Endpoint Id '{id}' does not exist"));
    };
    if endpoint.state != EndpointState::Available {
        return refuse("IncorrectState", format!("{id} is in state {}, it must be available", endpoint.state.as_str()));
    }
    if *change == EndpointChange::default() {
        return refuse("MissingParameter", "The request must contain something to modify");
    }
    let Some(service) = state.services.get(&endpoint.service_name).cloned() else {
        return refuse("InvalidServiceName", format!("The service '{}' does not exist", endpoint.service_name));
    };
    if let Some(unknown) = change.remove_security_groups.difference(&endpoint.security_groups).next() {
        return refuse("InvalidGroup.NotFound", format!("{unknown} is not associated with {id}"));
    }
    if let Some(unknown) = change.remove_subnets.difference(&endpoint.subnets).next() {
        return refuse("InvalidSubnetId.NotFound", format!("{unknown} is not associated with {id}"));
    }
    let mut security_groups = &endpoint.security_groups - &change.remove_security_groups;
    security_groups.extend(change.add_security_groups.iter().cloned());
    check_groups(state, &endpoint.vpc, &security_groups)?;
    let kept = &endpoint.subnets - &change.remove_subnets;
    let added = &change.add_subnets - &kept;
    check_subnets(state, &endpoint.vpc, &service, &kept, &added)?;
    if let Some(policy) = &change.policy {
        check_policy(policy)?;
    }
    // AWS PrivateLink guide, "Access an AWS service": each subnet of a dual-stack endpoint has IPv6 addresses.
    let is_ipv4 = change.address_families.as_ref().is_none_or(|families| *families == AddressFamilies::Ipv4);
    if !is_ipv4 && !state.ipv6_vpcs.contains(&endpoint.vpc) {
        return refuse("InvalidParameter", "The subnets of the endpoint have no IPv6 addresses");
    }
    let private_dns = change.private_dns.unwrap_or(endpoint.private_dns);
    if private_dns && !endpoint.private_dns {
        check_private_dns(state, &endpoint.vpc, &service, Some(id))?;
    }

    for subnet in &change.remove_subnets {
        state.interfaces.retain(|_, interface| {
            interface.fact.subnet != *subnet || interface.holder != Holder::Endpoint(id.clone())
        });
    }
    let left = state.interfaces.keys().cloned().collect();
    let (subnets, policy) = (&kept | &added, change.policy.clone().or(endpoint.policy.clone()));
    let interfaces = &endpoint.interfaces & &left;
    let dns_names = dns_names(world, region, id, &service, &subnets, private_dns);
    let address_families = change.address_families.clone().unwrap_or(endpoint.address_families.clone());
    let moved = subnets != endpoint.subnets
        || private_dns != endpoint.private_dns
        || address_families != endpoint.address_families;
    let state = if moved { EndpointState::Pending } else { EndpointState::Available };
    let changed = VpcEndpoint {
        state,
        private_dns,
        address_families,
        subnets,
        security_groups,
        interfaces,
        policy,
        dns_names,
        ..endpoint
    };
    let families = changed.address_families.clone();
    world.region_mut(region).endpoints.insert(id.clone(), changed);
    for subnet in &added {
        add_interface(world, region, id, subnet);
    }
    interfaces::readdress(world.region_mut(region), id, &families);
    if moved {
        // Interfaces and DNS records are made or removed: the endpoint is pending meanwhile.
        world.schedule(Transition::EndpointAvailable(region.clone(), id.clone()), world.delays.endpoint_available);
    }
    Ok(Written::Done)
}

/// `DeleteVpcEndpoints` answers 200 and lists each failure as an item of `Unsuccessful`.
pub(super) fn delete(world: &mut World, region: &Region, id: &VpcEndpointId) -> Answer {
    let state = world.region_mut(region);
    if state.endpoint(id).is_none_or(|endpoint| endpoint.state == EndpointState::Deleted) {
        return refuse("InvalidVpcEndpoint.NotFound", format!("The Vpc Endpoint Id '{id}' does not exist"));
    }
    let Some(endpoint) = state.endpoints.get_mut(id).filter(|endpoint| endpoint.state != EndpointState::Deleting)
    else {
        return Ok(Written::Done);
    };
    endpoint.state = EndpointState::Deleting;
    world.due.remove(&Transition::EndpointAvailable(region.clone(), id.clone()));
    world.schedule(Transition::EndpointDeleted(region.clone(), id.clone()), world.delays.endpoint_deleted);
    Ok(Written::Done)
}

pub(super) fn become_available(world: &mut World, region: &Region, id: &VpcEndpointId) {
    if let Some(endpoint) = world.region_mut(region).endpoints.get_mut(id)
        && endpoint.state == EndpointState::Pending
    {
        endpoint.state = EndpointState::Available;
    }
}

pub(super) fn become_deleted(world: &mut World, region: &Region, id: &VpcEndpointId) {
    let state = world.region_mut(region);
    state.interfaces.retain(|_, interface| interface.holder != Holder::Endpoint(id.clone()));
    if let Some(endpoint) = state.endpoints.get_mut(id) {
        endpoint.state = EndpointState::Deleted;
        endpoint.interfaces.clear();
        world.schedule(Transition::EndpointForgotten(region.clone(), id.clone()), world.delays.endpoint_forgotten);
    }
}

pub(super) fn be_forgotten(world: &mut World, region: &Region, id: &VpcEndpointId) {
    world.region_mut(region).endpoints.remove(id);
    for transition in [Transition::EndpointAvailable, Transition::EndpointDeleted, Transition::EndpointForgotten] {
        world.due.remove(&transition(region.clone(), id.clone()));
    }
}

fn add_interface(world: &mut World, region: &Region, id: &VpcEndpointId, subnet: &SubnetId) {
    let interface = interfaces::create(world, region, subnet, Holder::Endpoint(id.clone()));
    if let Some(endpoint) = world.region_mut(region).endpoints.get_mut(id) {
        endpoint.interfaces.insert(interface);
    }
}

/// The regional name, one name for each zone, and the service's own if private DNS is on: the order of `DnsEntries`.
fn dns_names(
    world: &mut World,
    region: &Region,
    id: &VpcEndpointId,
    service: &EndpointService,
    subnets: &BTreeSet<SubnetId>,
    private_dns: bool,
) -> Vec<String> {
    let suffix = service.name.rsplit('.').next().unwrap_or_default();
    let domain = format!("{suffix}.{region}.vpce.amazonaws.com");
    // AWS adds a label after the id; here the label is the end of the id.
    let label: String = id.as_str().chars().skip("vpce-".len() + 9).collect();
    let state = world.region_mut(region);
    let zones: BTreeSet<_> = subnets.iter().filter_map(|id| state.subnets.get(id)).map(|subnet| &subnet.zone).collect();
    let private = service.private_dns_name.clone().filter(|_| private_dns);
    std::iter::once(format!("{id}-{label}.{domain}"))
        .chain(zones.into_iter().map(|zone| format!("{id}-{label}-{zone}.{domain}")))
        .chain(private)
        .collect()
}
