//! Foreign changes to the account by calls that the operator does not have. All other foreign changes are an
//! [`Action::Write`](super::Action::Write) that the operator did not make.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    EndpointService, EndpointState, Fixed, FunctionName, FunctionState, LogGroupName, NetworkInterfaceId,
    NewVpcEndpoint, Peer, PolicyArn, PolicyDocument, Region, RoleName, RouteTable, RouteTarget, SecurityGroup,
    SecurityGroupId, Setting, SubnetId, Tags, VpcDns, VpcEndpoint, VpcEndpointId, VpcId, Written,
};

use super::{
    endpoints, iam, interfaces,
    invoke::Behaviour,
    lambda, logs,
    step::{Answer, refuse},
    tags,
    world::{Delays, Holder, RegionState, Releaser, World},
};

/// A foreign change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByHand {
    /// Deletes a group and removes every use of it: interfaces that carry the group get the VPC's default group instead, and
    /// rules that name it go.
    DeleteGroup(SecurityGroupId),
    /// Removes all tags, or those with these keys.
    RemoveTags { from: Tagged, keys: Option<BTreeSet<String>> },
    /// Attaches a managed policy.
    AttachRolePolicy { role: RoleName, policy_arn: String },
    /// Lets a role do all that its policies allow.
    DeleteRoleBoundary(RoleName),
    /// Deletes a role with all its policies.
    DeleteRole(RoleName),
    /// Lets the policies of the operator's roles be written under this permissions boundary only.
    DemandBoundary(PolicyArn),
    /// Deletes a managed policy.
    DeletePolicy(PolicyArn),
    /// Creates a managed policy, or replaces its document.
    PutPolicy { arn: PolicyArn, document: PolicyDocument },
    /// Deletes a role and creates an equal one, which is another principal.
    ReplaceRole(RoleName),
    /// Has events kept for ever.
    DeleteRetentionPolicy(LogGroupName),
    /// Makes an endpoint vanish: no deleting, no deleted.
    ForgetEndpoint(VpcEndpointId),
    /// AWS puts an endpoint in a state, with its words for why.
    SetEndpointState { endpoint: VpcEndpointId, state: EndpointState, last_error: Option<String> },
    /// AWS puts a function in a state (idle for 14 days: Inactive), with its words for why.
    SetFunctionState { function: FunctionName, state: FunctionState, reason: Option<String> },
    /// Gives a setting of a function a value that differs from its default.
    AlterFunction { function: FunctionName, setting: Setting },
    /// Makes the KMS key of a function's environment unusable, with this error code of KMS; `None` makes it usable again.
    LockEnvironment { function: FunctionName, code: Option<String> },
    /// Deletes a function and creates one of its name, code and tags that has this besides.
    RebuildFunction { function: FunctionName, fixed: Fixed },
    /// Has so many bytes stored in a log group.
    StoreLogs { group: LogGroupName, bytes: u64 },
    /// Gives a function other code; its hash stays.
    SetBehaviour { function: FunctionName, behaviour: Behaviour },
    /// Lets the network ACLs of a VPC drop everything, or nothing.
    CloseNetwork { vpc: VpcId, closed: bool },
    /// Switches the DNS attributes of a VPC.
    SetVpcDns { vpc: VpcId, dns: VpcDns },
    /// Adds a route to every route table of a VPC.
    AddRoute { vpc: VpcId, target: RouteTarget },
    /// Gives a subnet its own route table, with a route to this target.
    LeadSubnet { subnet: SubnetId, target: RouteTarget },
    /// Removes such routes from every route table of a VPC.
    RemoveRoute { vpc: VpcId, target: RouteTarget },
    /// Leaves a subnet this many addresses, those of interfaces included.
    SetAddresses { subnet: SubnetId, addresses: u32 },
    /// Deletes a subnet that has no interface.
    DeleteSubnet(SubnetId),
    /// Deletes a VPC with its subnets, route tables and default group, if it holds no other resource.
    DeleteVpc(VpcId),
    /// Runs an instance that carries these groups.
    RunInstance { subnet: SubnetId, groups: BTreeSet<SecurityGroupId> },
    /// Lambda gives up on one of its interfaces, which stays `available`.
    LeaveInterface(NetworkInterfaceId),
    /// Deletes an interface that belongs to no endpoint.
    DeleteInterface(NetworkInterfaceId),
    /// AWS offers a service, or changes its offer.
    Offer(EndpointService),
    /// AWS offers a service no more.
    Withdraw(String),
    /// AWS becomes slower or faster.
    SetDelays(Delays),
    /// Lambda releases shared interfaces with this function's role.
    ReleaseWith(Releaser),
}

/// A resource that carries tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tagged {
    Group(SecurityGroupId),
    Endpoint(VpcEndpointId),
    Role(RoleName),
    Function(FunctionName),
    LogGroup(LogGroupName),
}

impl ByHand {
    /// The service and the operation of the foreign call.
    pub fn operation(&self) -> (&'static str, &'static str) {
        match self {
            Self::DeleteGroup(_) => ("ec2", "DeleteSecurityGroup"),
            Self::RemoveTags { .. } => ("tagging", "UntagResources"),
            Self::AttachRolePolicy { .. } => ("iam", "AttachRolePolicy"),
            Self::DeleteRoleBoundary(_) => ("iam", "DeleteRolePermissionsBoundary"),
            Self::DeletePolicy(_) => ("iam", "DeletePolicy"),
            Self::PutPolicy { .. } => ("iam", "CreatePolicy"),
            Self::DeleteRole(_) => ("iam", "DeleteRole"),
            Self::ReplaceRole(_) => ("iam", "CreateRole"),
            Self::DeleteRetentionPolicy(_) => ("logs", "DeleteRetentionPolicy"),
            Self::StoreLogs { .. } => ("logs", "PutLogEvents"),
            Self::AlterFunction { .. } => ("lambda", "UpdateFunctionConfiguration"),
            Self::RebuildFunction { .. } => ("lambda", "CreateFunction"),
            Self::LockEnvironment { .. } => ("kms", "DisableKey"),
            Self::ForgetEndpoint(_) => ("ec2", "DeleteVpcEndpoints"),
            Self::CloseNetwork { .. } => ("ec2", "ReplaceNetworkAclEntry"),
            Self::SetVpcDns { .. } => ("ec2", "ModifyVpcAttribute"),
            Self::AddRoute { .. } => ("ec2", "CreateRoute"),
            Self::LeadSubnet { .. } => ("ec2", "AssociateRouteTable"),
            Self::RemoveRoute { .. } => ("ec2", "DeleteRoute"),
            Self::DeleteSubnet(_) => ("ec2", "DeleteSubnet"),
            Self::DeleteVpc(_) => ("ec2", "DeleteVpc"),
            Self::RunInstance { .. } => ("ec2", "RunInstances"),
            Self::DeleteInterface(_) => ("ec2", "DeleteNetworkInterface"),
            Self::SetEndpointState { .. }
            | Self::SetFunctionState { .. }
            | Self::SetBehaviour { .. }
            | Self::SetAddresses { .. }
            | Self::LeaveInterface(_)
            | Self::Offer(_)
            | Self::Withdraw(_)
            | Self::DemandBoundary(_)
            | Self::ReleaseWith(_)
            | Self::SetDelays(_) => ("aws", "ChangesByItself"),
        }
    }
}

pub(super) fn carry_out(world: &mut World, region: &Region, deed: &ByHand) -> Answer {
    let state = world.region_mut(region);
    match deed {
        ByHand::DeleteGroup(id) => return delete_group(world, region, id),
        ByHand::RemoveTags { from, keys } => return remove_tags(world, region, from, keys.as_ref()),
        ByHand::AttachRolePolicy { role, policy_arn } => return iam::attach_role_policy(world, role, policy_arn),
        ByHand::DeleteRoleBoundary(role) => return iam::delete_boundary(world, role),
        ByHand::DemandBoundary(arn) => world.demanded_boundary = Some(arn.clone()),
        ByHand::DeletePolicy(arn) => drop(world.managed_policies.remove(arn.as_str())),
        ByHand::PutPolicy { arn, document } => {
            world.managed_policies.insert(arn.to_string(), document.clone());
        }
        ByHand::DeleteRole(role) => {
            iam::found(world, role)?;
            iam::write(world, role, None);
        }
        ByHand::ReplaceRole(role) => {
            let old = iam::found(world, role)?;
            let record = iam::new_principal(world, &old.role);
            iam::write(world, role, Some(record));
        }
        ByHand::DeleteRetentionPolicy(group) => return logs::set_retention(world, region, group, None),
        ByHand::StoreLogs { group, bytes } => return logs::store(world, region, group, *bytes),
        ByHand::AlterFunction { function, setting } => return lambda::alter(world, region, function, *setting),
        ByHand::LockEnvironment { function, code } => {
            return lambda::lock_environment(world, region, function, code.as_ref());
        }
        ByHand::RebuildFunction { function, fixed } => return lambda::rebuild(world, region, function, *fixed),
        ByHand::ForgetEndpoint(id) => {
            known(state.endpoints.get(id), id)?;
            endpoints::become_deleted(world, region, id);
            endpoints::be_forgotten(world, region, id);
        }
        ByHand::SetEndpointState { endpoint, state: after, last_error } => {
            let endpoint = known(state.endpoints.get_mut(endpoint), endpoint)?;
            endpoint.state = after.clone();
            endpoint.last_error.clone_from(last_error);
        }
        ByHand::SetFunctionState { function, state: after, reason } => {
            let function = known(state.functions.get_mut(function), function)?;
            function.detail.state = after.clone();
            function.detail.state_reason.clone_from(reason);
        }
        ByHand::SetBehaviour { function, behaviour } => {
            known(state.functions.get_mut(function), function)?.behaviour = behaviour.clone();
        }
        ByHand::CloseNetwork { vpc, closed: true } => drop(state.closed_vpcs.insert(vpc.clone())),
        ByHand::CloseNetwork { vpc, closed: false } => drop(state.closed_vpcs.remove(vpc)),
        ByHand::SetVpcDns { vpc, dns } => known(state.vpcs.get_mut(vpc), vpc)?.dns = *dns,
        ByHand::AddRoute { vpc, target } => {
            known(state.vpcs.get(vpc), vpc)?;
            for table in state.route_tables.values_mut().filter(|table| table.vpc == *vpc) {
                table.targets.insert(*target);
            }
        }
        ByHand::LeadSubnet { subnet, target } => {
            let vpc = known(state.subnets.get(subnet), subnet)?.vpc.clone();
            for table in state.route_tables.values_mut() {
                table.subnets.remove(subnet);
            }
            let (subnets, targets) = ([subnet.clone()].into(), [RouteTarget::Local, *target].into());
            let table = RouteTable { vpc, main: false, subnets, targets };
            state.route_tables.insert(format!("{subnet} by hand"), table);
        }
        ByHand::RemoveRoute { vpc, target } => {
            known(state.vpcs.get(vpc), vpc)?;
            for table in state.route_tables.values_mut().filter(|table| table.vpc == *vpc) {
                table.targets.remove(target);
            }
        }
        ByHand::SetAddresses { subnet, addresses } => {
            known(state.subnets.get_mut(subnet), subnet)?.addresses = *addresses;
        }
        ByHand::DeleteSubnet(id) => {
            known(state.subnets.get(id), id)?;
            if state.interfaces.values().any(|interface| interface.fact.subnet == *id) {
                return refuse(
                    "DependencyViolation",
                    format!("The subnet '{id}' has dependencies and cannot be deleted."),
                );
            }
            remove_subnet(state, id);
        }
        ByHand::DeleteVpc(id) => return delete_vpc(state, id),
        ByHand::RunInstance { subnet, groups } => {
            known(state.subnets.get(subnet), subnet)?;
            interfaces::create(world, region, subnet, Holder::Instance { groups: groups.clone() });
        }
        ByHand::LeaveInterface(id) => match &mut known(state.interfaces.get_mut(id), id)?.holder {
            Holder::Lambda { orphaned, .. } => *orphaned = true,
            Holder::Endpoint(_) | Holder::Instance { .. } => {
                return refuse("InvalidParameterValue", format!("{id} is not Lambda's"));
            }
        },
        ByHand::DeleteInterface(id) => {
            let interface = known(state.interfaces.get(id), id)?;
            if !matches!(interface.holder, Holder::Instance { .. } | Holder::Lambda { orphaned: true, .. }) {
                return refuse("InvalidParameterValue", format!("Network interface '{id}' is currently in use."));
            }
            state.interfaces.remove(id);
        }
        ByHand::Offer(service) => drop(state.services.insert(service.name.clone(), service.clone())),
        ByHand::Withdraw(service) => drop(state.services.remove(service)),
        ByHand::SetDelays(delays) => world.delays = *delays,
        ByHand::ReleaseWith(releaser) => world.released_by = *releaser,
    }
    Ok(Written::Done)
}

fn known<T>(found: Option<T>, id: &impl std::fmt::Display) -> Answer<T> {
    found.map_or_else(|| refuse("Resource.NotFound", format!("There is no {id}")), Ok)
}

fn delete_group(world: &mut World, region: &Region, id: &SecurityGroupId) -> Answer {
    let state = world.region_mut(region);
    let vpc = known(state.group(id), id)?.vpc.clone();
    let Some(default) = state.default_group(&vpc).filter(|default| default != id) else {
        return refuse("CannotDelete", "The default group cannot be deleted");
    };
    // Since 2023 only Lambda changes the groups of its interfaces (terraform-provider-aws#31520). Interfaces that no function
    // needs keep the group until their release; the others follow the configuration of their functions.
    let held = state.interfaces.values().find(|interface| match &interface.holder {
        Holder::Lambda { groups, orphaned, .. } => groups.contains(id) && (*orphaned || !state.is_needed(interface)),
        Holder::Endpoint(_) | Holder::Instance { .. } => false,
    });
    if let Some(interface) = held {
        let message = format!("resource {id} has a dependent object: {}", interface.fact.id);
        return refuse("DependencyViolation", message);
    }
    let replace = |groups: &mut BTreeSet<SecurityGroupId>| {
        if groups.remove(id) && groups.is_empty() {
            groups.insert(default.clone());
        }
    };
    for interface in state.interfaces.values_mut() {
        if let Holder::Lambda { groups, .. } | Holder::Instance { groups } = &mut interface.holder {
            replace(groups);
        }
    }
    for endpoint in state.endpoints.values_mut() {
        replace(&mut endpoint.security_groups);
    }
    for function in state.functions.values_mut() {
        replace(&mut function.detail.listing.configuration.security_groups);
    }
    state.groups.remove(id);
    for SecurityGroup { ingress, egress, .. } in state.groups.values_mut() {
        for rules in [ingress, egress] {
            rules.retain(|rule| rule.peer != Peer::Group(id.clone()));
        }
    }
    interfaces::release_unused(world, region, None);
    Ok(Written::Done)
}

fn remove_tags(world: &mut World, region: &Region, from: &Tagged, keys: Option<&BTreeSet<String>>) -> Answer {
    let goes = |key: &str| keys.is_none_or(|keys| keys.contains(key));
    let without = |tags: &mut Tags| tags.retain(|key, _| !goes(key));
    match from {
        Tagged::Group(id) => return tags::untag_ec2(world, region, id.as_str(), goes),
        Tagged::Endpoint(id) => return tags::untag_ec2(world, region, id.as_str(), goes),
        Tagged::Role(name) => {
            let mut record = iam::found(world, name)?;
            without(&mut record.role.tags);
            iam::write(world, name, Some(record));
        }
        Tagged::Function(name) => {
            without(&mut known(world.region_mut(region).functions.get_mut(name), name)?.detail.tags);
        }
        Tagged::LogGroup(name) => without(&mut known(world.region_mut(region).log_groups.get_mut(name), name)?.tags),
    }
    Ok(Written::Done)
}

fn delete_vpc(state: &mut RegionState, id: &VpcId) -> Answer {
    known(state.vpcs.get(id), id)?;
    let in_vpc = |subnet: &SubnetId| state.subnets.get(subnet).is_some_and(|subnet| subnet.vpc == *id);
    if state.groups.values().any(|group| group.vpc == *id && group.name != "default")
        || state.interfaces.values().any(|interface| in_vpc(&interface.fact.subnet))
    {
        return refuse("DependencyViolation", format!("The vpc '{id}' has dependencies and cannot be deleted."));
    }
    let subnets: Vec<_> = state.subnets.keys().filter(|subnet| in_vpc(subnet)).cloned().collect();
    for subnet in subnets {
        remove_subnet(state, &subnet);
    }
    state.groups.retain(|_, group| group.vpc != *id);
    state.route_tables.retain(|_, table| table.vpc != *id);
    state.ipv6_vpcs.remove(id);
    state.default_vpcs.remove(id);
    state.vpcs.remove(id);
    Ok(Written::Done)
}

fn remove_subnet(state: &mut RegionState, id: &SubnetId) {
    state.subnets.remove(id);
    for table in state.route_tables.values_mut() {
        table.subnets.remove(id);
    }
}

/// A foreign copy of an endpoint, with its tags; `None` for an endpoint without a policy.
pub fn copy_of(endpoint: VpcEndpoint, client_token: String) -> Option<NewVpcEndpoint> {
    Some(NewVpcEndpoint {
        vpc: endpoint.vpc,
        service_name: endpoint.service_name,
        subnets: endpoint.subnets,
        security_groups: endpoint.security_groups,
        private_dns: false,
        policy: endpoint.policy?,
        client_token,
        tags: endpoint.tags,
    })
}
