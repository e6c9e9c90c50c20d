//! Placement: whether a VPC can carry the private path, and in which subnets. Each refusal names the resource and the remedy.

use std::collections::{BTreeMap, BTreeSet};

use super::{Desired, Observed, Service};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{
        EndpointService, EndpointState, RouteTable, RouteTarget, Subnet, SubnetId, Tenancy, Topology, VpcEndpoint,
        VpcId, ZoneName,
    },
    plan::{Creation, Plan, Source},
};

const LEG: ConditionType = ConditionType::VpcReady;

/// The free addresses that a subnet needs before our first interface: one for the endpoint's interface, one for the interface
/// that functions share.
const ADDRESSES_NEEDED: u32 = 2;

/// The zones of functions and endpoints, which survive the loss of one zone.
const ZONES_NEEDED: usize = 2;

/// The reason why a VPC, or a subnet of a VPC, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementRefusal {
    /// The condition's reason.
    pub reason: Reason,
    /// The problem and the remedy.
    pub message: String,
}

impl PlacementRefusal {
    fn new(reason: Reason, message: String) -> Self {
        Self { reason, message }
    }
}

/// The placement of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Placement {
    /// One subnet in each zone.
    pub subnets: BTreeSet<SubnetId>,
    /// Private DNS cuts off no workload: the VPC has no other way to the service.
    pub private_dns_is_safe: bool,
}

/// Adds no step: reports whether the VPC can carry the path. Rooms that stand on the placement are created once every service has
/// a placement.
pub(super) fn plan(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Creation {
    if let Some(error) = observed.unread.of(Source::Topology) {
        plan.unread(LEG, Some(error));
        return Creation::Stopped;
    }
    let refusal = Service::ALL.iter().find_map(|service| place(desired, observed, *service).err());
    let is_placed = refusal.is_none() && !observed.unread.lacks(Source::Roles);
    plan.legs.push(match refusal {
        Some(refusal) => Leg::blocked(LEG, refusal.reason, refusal.message),
        None => Leg::met(LEG, format!("VPC {} can carry the private path.", desired.identity.vpc)),
    });
    if is_placed { Creation::Allowed } else { Creation::Stopped }
}

/// The placement of the endpoint of a service. `None` if the placement is refused or cannot be decided: without the roles, the
/// demands on the network and their subnets are unknown.
pub(super) fn of(desired: &Desired, observed: &Observed, service: Service) -> Option<Placement> {
    let is_read = [Source::Topology, Source::Roles].iter().all(|source| !observed.unread.lacks(*source));
    if is_read { place(desired, observed, service).ok() } else { None }
}

/// Chooses subnets for the endpoint of a service.
///
/// # Guarantees
/// The subnets of an existing endpoint are kept, so the choice is stable.
fn place(desired: &Desired, observed: &Observed, service: Service) -> Result<Placement, PlacementRefusal> {
    let id = &desired.identity.vpc;
    let region = &desired.identity.region;
    let vpc = observed.vpc().ok_or_else(|| {
        PlacementRefusal::new(
            Reason::VpcNotFound,
            format!(
                "There is no VPC {id} in account {} and region {region}. The VPC and the region of an object cannot be changed: delete the \
                 object, and create it again with the right values.",
                desired.caller.account
            ),
        )
    })?;
    let account = &desired.caller.account;
    if vpc.owner != *account {
        // "You can't create, describe, modify, or delete VPC endpoints in subnets that are shared with you" (AWS PrivateLink
        // guide, "Shared subnets").
        return Err(PlacementRefusal::new(
            Reason::VpcNotOwned,
            format!(
                "VPC {id} belongs to account {}, and the operator works in account {account}: AWS lets only the owner of a VPC \
                 create endpoints there. Create the app in a VPC that account {account} owns, or run an operator in account {}.",
                vpc.owner, vpc.owner
            ),
        ));
    }
    if let Tenancy::Other(tenancy) = &vpc.tenancy {
        return Err(PlacementRefusal::new(
            Reason::DedicatedTenancy,
            format!(
                "VPC {id} has {tenancy} instance tenancy, and Lambda does not attach functions to such a VPC: create the app in \
                 a VPC of default tenancy, which can be peered with this VPC."
            ),
        ));
    }
    if !vpc.dns.support {
        return Err(PlacementRefusal::new(
            Reason::DnsDisabled,
            format!("VPC {id} has no DNS resolution: set the VPC attribute enableDnsSupport to true."),
        ));
    }
    let zones = offered_zones(&observed.topology.services, service, region.as_str())?;
    let existing = observed.endpoints_of(service).first().copied();
    let subnets = choose(desired, observed, zones, existing)?;
    let other_holds_the_name = observed.foreign_endpoints.iter().any(|endpoint| {
        endpoint.private_dns
            && endpoint.service_name == service.endpoint_service(region)
            && endpoint.state != EndpointState::Deleted
    });
    Ok(Placement {
        subnets,
        private_dns_is_safe: vpc.dns.hostnames
            && !other_holds_the_name
            && !has_way_out(&observed.topology.route_tables),
    })
}

/// Checks the subnets of an app.
///
/// # Errors
/// The first unusable subnet.
pub fn check_subnets(
    vpc: &VpcId,
    region: &str,
    topology: &Topology,
    service: Service,
    subnets: &BTreeSet<SubnetId>,
) -> Result<(), PlacementRefusal> {
    let zones = offered_zones(&topology.services, service, region)?;
    let mut found = BTreeSet::new();
    for id in subnets {
        let subnet =
            topology.subnets.iter().find(|subnet| &subnet.id == id && &subnet.vpc == vpc).ok_or_else(|| {
                PlacementRefusal::new(
                    Reason::SubnetNotInVpc,
                    format!("Subnet {id} is not in VPC {vpc}: create another app whose spec.network.subnetIds names subnets of that \
                         VPC, or none."),
                )
            })?;
        if is_public(subnet, &topology.route_tables) {
            return Err(PlacementRefusal::new(
                Reason::SubnetNotPrivate,
                format!(
                    "Subnet {id} has a route to an internet gateway: remove the route, or create another app whose \
                     spec.network.subnetIds names private subnets, or none."
                ),
            ));
        }
        if !zones.contains(&subnet.zone) {
            return Err(PlacementRefusal::new(
                Reason::SubnetZoneNotOffered,
                format!(
                    "Subnet {id} is in {}, where {} has no endpoints: create another app whose spec.network.subnetIds names subnets \
                     in {}, or none.",
                    subnet.zone,
                    service.as_str(),
                    list(zones)
                ),
            ));
        }
        found.insert(&subnet.zone);
    }
    if !subnets.is_empty() && found.len() < ZONES_NEEDED {
        return Err(PlacementRefusal::new(
            Reason::TooFewZones,
            format!(
                "The subnets in spec.network.subnetIds are all in {}: create another app whose spec.network.subnetIds names private \
                 subnets in at least two availability zones, or none.",
                list(found)
            ),
        ));
    }
    Ok(())
}

fn offered_zones<'a>(
    services: &'a BTreeMap<String, EndpointService>,
    service: Service,
    region: &str,
) -> Result<&'a BTreeSet<ZoneName>, PlacementRefusal> {
    let suffix = format!(".{region}.{}", service.as_str());
    services.values().find(|offer| offer.name.ends_with(&suffix)).map(|offer| &offer.zones).ok_or_else(|| {
        PlacementRefusal::new(
            Reason::ServiceNotOffered,
            format!(
                "Region {region} offers no interface endpoints for {}: create the app in a VPC of a region that does.",
                service.as_str()
            ),
        )
    })
}

/// One subnet in each zone: the endpoint's own, else one that an app names, else the first private subnet with free addresses.
fn choose(
    desired: &Desired,
    observed: &Observed,
    zones: &BTreeSet<ZoneName>,
    existing: Option<&VpcEndpoint>,
) -> Result<BTreeSet<SubnetId>, PlacementRefusal> {
    let vpc = &desired.identity.vpc;
    let occupied = |subnet: &Subnet| existing.is_some_and(|endpoint| endpoint.subnets.contains(&subnet.id));
    let named = |subnet: &Subnet| desired.subnets.contains(&subnet.id);
    let private: Vec<&Subnet> = observed
        .topology
        .subnets
        .iter()
        .filter(|subnet| zones.contains(&subnet.zone) && !is_public(subnet, &observed.topology.route_tables))
        .collect();
    let private_zones: BTreeSet<&ZoneName> = private.iter().map(|subnet| &subnet.zone).collect();
    if private_zones.len() < ZONES_NEEDED {
        return Err(PlacementRefusal::new(
            Reason::TooFewZones,
            format!(
                "VPC {vpc} has private subnets in {} of the zones {} that offer the service: add private subnets (without \
                 a route to an internet gateway) until there are two zones.",
                if private_zones.is_empty() { "none".to_owned() } else { list(private_zones) },
                list(zones)
            ),
        ));
    }
    let named_zones: BTreeSet<&ZoneName> =
        private.iter().filter(|subnet| named(subnet)).map(|subnet| &subnet.zone).collect();
    let roomy: Vec<&Subnet> = private
        .iter()
        .copied()
        .filter(|subnet| occupied(subnet) || subnet.free_addresses >= ADDRESSES_NEEDED)
        .filter(|subnet| {
            desired.chooses_subnets || named(subnet) || (occupied(subnet) && named_zones.contains(&subnet.zone))
        })
        .collect();
    let mut chosen: BTreeMap<&ZoneName, &Subnet> = BTreeMap::new();
    for subnet in &roomy {
        let rank = |subnet: &Subnet| (!occupied(subnet), !named(subnet), subnet.id.clone());
        let best = chosen.entry(&subnet.zone).or_insert(subnet);
        if rank(subnet) < rank(best) {
            *best = subnet;
        }
    }
    if chosen.len() < ZONES_NEEDED {
        return Err(PlacementRefusal::new(
            Reason::NoFreeAddresses,
            format!(
                "Fewer than two zones of VPC {vpc} have a private subnet with {ADDRESSES_NEEDED} free addresses: free addresses, \
                 or add private subnets."
            ),
        ));
    }
    Ok(chosen.into_values().map(|subnet| subnet.id.clone()).collect())
}

/// A subnet is public if its route table leads to an internet gateway (VPC user guide, "Subnet types").
fn is_public(subnet: &Subnet, tables: &[RouteTable]) -> bool {
    tables
        .iter()
        .find(|table| table.subnets.contains(&subnet.id))
        .or_else(|| tables.iter().find(|table| table.main))
        .is_some_and(|table| table.targets.contains(&RouteTarget::InternetGateway))
}

/// A route leads out of the VPC. Gateway endpoints do not count: they lead only to S3 and DynamoDB.
fn has_way_out(tables: &[RouteTable]) -> bool {
    tables.iter().flat_map(|table| &table.targets).any(|target| match target {
        RouteTarget::Local | RouteTarget::GatewayEndpoint => false,
        RouteTarget::InternetGateway | RouteTarget::Other => true,
    })
}

fn list<'a>(zones: impl IntoIterator<Item = &'a ZoneName>) -> String {
    zones.into_iter().map(ZoneName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
