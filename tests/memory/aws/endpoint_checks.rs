//! PrivateLink's requirements for an endpoint's policy, groups, subnets and private DNS, on creation and on change.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    EndpointService, EndpointState, PolicyDocument, SecurityGroupId, SubnetId, VpcEndpoint, VpcEndpointId, VpcId,
};

use super::{
    policy,
    step::{Answer, refuse},
    world::RegionState,
};

/// AWS PrivateLink quotas: "VPC endpoint policy size", white space included.
const POLICY_CHARACTERS: usize = 20_480;

/// VPC quotas: "Security groups per network interface".
pub(super) const GROUPS_PER_INTERFACE: usize = 5;

pub(super) fn check_policy(policy: &PolicyDocument) -> Answer<()> {
    if policy.as_str().chars().count() > POLICY_CHARACTERS {
        return refuse("InvalidPolicyDocument", format!("Policy document exceeds {POLICY_CHARACTERS} characters"));
    }
    if !policy::is_well_formed(policy, policy::Kind::Endpoint) {
        return refuse("InvalidPolicyDocument", "Invalid policy document");
    }
    Ok(())
}

pub(super) fn check_groups(state: &RegionState, vpc: &VpcId, groups: &BTreeSet<SecurityGroupId>) -> Answer<()> {
    if groups.is_empty() {
        return refuse("InvalidParameter", "An interface endpoint has at least one security group");
    }
    if groups.len() > GROUPS_PER_INTERFACE {
        return refuse(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        );
    }
    for id in groups {
        match state.group(id) {
            None => return refuse("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")),
            Some(group) if group.vpc != *vpc => {
                return refuse(
                    "InvalidParameter",
                    format!("Security group {id} and VPC {vpc} belong to different networks."),
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

pub(super) fn check_subnets(
    state: &RegionState,
    vpc: &VpcId,
    service: &EndpointService,
    kept: &BTreeSet<SubnetId>,
    added: &BTreeSet<SubnetId>,
) -> Answer<()> {
    if kept.is_empty() && added.is_empty() {
        return refuse("MissingParameter", "An interface endpoint has at least one subnet");
    }
    let mut zones: BTreeSet<_> =
        kept.iter().filter_map(|id| state.subnets.get(id)).map(|subnet| &subnet.zone).collect();
    for id in added {
        let Some(subnet) = state.subnets.get(id) else {
            return refuse("InvalidSubnetId.NotFound", format!("The subnet ID '{id}' does not exist"));
        };
        if subnet.vpc != *vpc {
            return refuse("InvalidParameter", format!("The subnet {id} does not belong to the VPC {vpc}"));
        }
        if !service.zones.contains(&subnet.zone) {
            return refuse(
                "InvalidParameter",
                format!(
                    "The VPC endpoint service {} does not support the availability zone of the subnet: {id}.",
                    service.name
                ),
            );
        }
        if !zones.insert(&subnet.zone) {
            return refuse(
                "DuplicateSubnetsInSameZone",
                format!(
                    "Found another VPC endpoint subnet in the availability zone of {id}. VPC endpoint subnets should \
                     be in different availability zones supported by the VPC endpoint service."
                ),
            );
        }
        if state.free_addresses(id) == 0 {
            return refuse(
                "InsufficientFreeAddressesInSubnet",
                format!("There are not enough free addresses in subnet '{id}' to satisfy the requested number"),
            );
        }
    }
    Ok(())
}

/// Private DNS needs both DNS attributes of the VPC, and a name that no other endpoint of the VPC holds. An endpoint that is
/// deleting holds its name until it is deleted.
pub(super) fn check_private_dns(
    state: &RegionState,
    vpc: &VpcId,
    service: &EndpointService,
    except: Option<&VpcEndpointId>,
) -> Answer<()> {
    let Some(name) = &service.private_dns_name else {
        return refuse(
            "InvalidParameter",
            format!(
                "Private DNS can't be enabled because the service {} does not provide a private DNS name.",
                service.name
            ),
        );
    };
    if state.vpcs.get(vpc).is_none_or(|vpc| !vpc.dns.support || !vpc.dns.hostnames) {
        return refuse(
            "InvalidParameter",
            format!(
                "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true \
                 for {vpc}"
            ),
        );
    }
    let holds_it = |other: &VpcEndpoint| {
        Some(&other.id) != except
            && other.vpc == *vpc
            && other.service_name == service.name
            && other.private_dns
            && other.state != EndpointState::Deleted
    };
    if state.endpoints.values().any(holds_it) {
        return refuse(
            "InvalidParameter",
            format!(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {name} in the \
                 VPC {vpc}"
            ),
        );
    }
    Ok(())
}
