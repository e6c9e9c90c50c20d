//! The data of the in-memory AWS: plain, ordered and hashable, so that a simulator can keep it, a model checker can compare it,
//! and a test can print a failing state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    str::FromStr,
};

use private_genai_operator::aws::{
    AccountId, EndpointService, FunctionDetail, FunctionName, LogGroup, LogGroupName, NetworkInterface,
    NetworkInterfaceId, NewVpcEndpoint, Peer, PolicyArn, PolicyDocument, Protocol, Region, Role, RoleName, RouteTable,
    Rule, SecurityGroup, SecurityGroupId, SubnetId, Tags, Vpc, VpcEndpoint, VpcEndpointId, VpcId, ZoneName,
};

use super::{
    invoke::Behaviour,
    setup::{managed_policies, offered},
};

/// The moment at which every world begins, in seconds since the epoch.
pub const STARTED_AT: i64 = 1_700_000_000;

/// One AWS account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    pub account: AccountId,
    /// Seconds since the world began. Only [`Action::Advance`](super::Action::Advance) moves it.
    pub now: u64,
    pub delays: Delays,
    /// The function whose role Lambda uses to release a shared interface: AWS does not document the choice.
    pub released_by: Releaser,
    pub regions: BTreeMap<Region, RegionState>,
    /// IAM has no region.
    pub roles: BTreeMap<RoleName, RoleRecord>,
    /// Managed policies by ARN: those that can be a permissions boundary.
    pub managed_policies: BTreeMap<String, PolicyDocument>,
    /// The permissions boundary that all roles below `/private-genai/` must have. The operator's own policy demands it; here the
    /// whole account does.
    pub demanded_boundary: Option<PolicyArn>,
    /// The state of a role that a lagging reader of IAM still sees; `None`: no such role.
    pub believed: BTreeMap<(Reader, RoleName), Option<RoleRecord>>,
    /// The coming transitions, with their times.
    pub due: BTreeMap<Transition, u64>,
    /// The number of creations and changes of each thing, from which ids and time stamps are made. The counts are separate, so
    /// that ids do not depend on the order in which different things are created: a model checker's states merge.
    pub counts: BTreeMap<String, u64>,
}

/// The seconds that AWS's own work takes. All zero by default: done before the next call. [`u64::MAX`] means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delays {
    /// A new security group or endpoint is found (before that: `NotFound`).
    pub ec2_visible: u64,
    /// An endpoint that is pending is available.
    pub endpoint_available: u64,
    /// An endpoint that is deleting is deleted, and its interfaces are gone.
    pub endpoint_deleted: u64,
    /// A deleted endpoint disappears from listings.
    pub endpoint_forgotten: u64,
    /// A function that is pending is active.
    pub function_active: u64,
    /// An update of a function is through.
    pub function_updated: u64,
    /// Added to either for a function that is the first with its subnets and groups: interfaces are created.
    pub interfaces_created: u64,
    /// A function that is deleting is gone.
    pub function_deleted: u64,
    /// Lambda's interfaces go after the last function with their subnet and groups was deleted or detached.
    pub interfaces_released: u64,
    /// Lambda sees a write to IAM.
    pub role_usable: u64,
    /// `GetAccountAuthorizationDetails` shows a write to IAM.
    pub role_visible: u64,
}

/// A function of those that share an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Releaser {
    /// The function for which Lambda created the interface.
    First,
    /// The function that used the interface last.
    Last,
}

/// Something that AWS does by itself after a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transition {
    Visible(Region, Ec2Id),
    EndpointAvailable(Region, VpcEndpointId),
    EndpointDeleted(Region, VpcEndpointId),
    EndpointForgotten(Region, VpcEndpointId),
    FunctionActive(Region, FunctionName),
    FunctionUpdated(Region, FunctionName),
    FunctionDeleted(Region, FunctionName),
    InterfaceReleased(Region, NetworkInterfaceId),
    RoleKnown(Reader, RoleName),
}

/// A resource whose creation takes a while to be seen, and which can be tagged by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ec2Id {
    Group(SecurityGroupId),
    Endpoint(VpcEndpointId),
}

/// Who reads IAM from a copy that lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// IAM's own read calls.
    Iam,
    /// Lambda, which assumes roles.
    Lambda,
}

/// One region of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionState {
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// VPCs with an IPv6 range: a new group there lets out IPv6 too.
    pub ipv6_vpcs: BTreeSet<VpcId>,
    /// Default VPCs, where a revoke is answered otherwise.
    pub default_vpcs: BTreeSet<VpcId>,
    pub subnets: BTreeMap<SubnetId, SubnetRecord>,
    pub route_tables: BTreeMap<String, RouteTable>,
    pub services: BTreeMap<String, EndpointService>,
    pub groups: BTreeMap<SecurityGroupId, SecurityGroup>,
    pub endpoints: BTreeMap<VpcEndpointId, VpcEndpoint>,
    /// Client tokens with the calls that used them; they outlive the endpoints.
    pub tokens: BTreeMap<String, (NewVpcEndpoint, VpcEndpointId)>,
    /// Groups and endpoints that were created so recently that no call finds them yet.
    pub invisible: BTreeSet<Ec2Id>,
    pub interfaces: BTreeMap<NetworkInterfaceId, Interface>,
    pub functions: BTreeMap<FunctionName, FunctionRecord>,
    pub log_groups: BTreeMap<LogGroupName, LogGroupRecord>,
    /// VPCs whose network ACLs let nothing through.
    pub closed_vpcs: BTreeSet<VpcId>,
}

/// A subnet and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubnetRecord {
    pub vpc: VpcId,
    pub zone: ZoneName,
    /// The number of addresses for the interfaces of this world.
    pub addresses: u32,
    /// The first three numbers of each address.
    pub range: String,
}

/// An interface and its holder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface {
    /// The id and the place, which never change. [`reads`](super::reads) adds the facts that follow from the holder.
    pub fact: NetworkInterface,
    pub holder: Holder,
}

/// The holder of an interface. While the interface exists, its groups cannot be deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// An endpoint; the groups are the endpoint's.
    Endpoint(VpcEndpointId),
    /// Lambda, for all functions with this subnet and set of groups.
    Lambda {
        groups: BTreeSet<SecurityGroupId>,
        /// The function that the interface was created for.
        function: FunctionName,
        /// The role with which Lambda deletes the interface, chosen by [`World::released_by`].
        role_arn: String,
        /// Whether Lambda failed to delete the interface, because the role was gone or lacked the permission: the interface stays
        /// `available`.
        orphaned: bool,
    },
    /// A foreign instance.
    Instance { groups: BTreeSet<SecurityGroupId> },
}

/// A function, with properties that its API does not show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionRecord {
    pub detail: FunctionDetail,
    /// The role as a principal: a recreated role of the same name is another principal.
    pub principal: u64,
    /// The reason why the current creation or update is going to fail (`Code: reason`).
    pub doomed: Option<String>,
    /// The behaviour of its code.
    pub behaviour: Behaviour,
}

/// A role, with properties that its API does not show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleRecord {
    pub role: Role,
    /// The role as a principal (`AROA…`).
    pub principal: u64,
}

/// A log group and its tags, which are read by another call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogGroupRecord {
    pub group: LogGroup,
    pub tags: Tags,
}

impl World {
    /// An account in which nothing exists.
    pub fn new(account: AccountId, delays: Delays) -> Self {
        Self {
            account,
            now: 0,
            delays,
            released_by: Releaser::First,
            regions: BTreeMap::new(),
            roles: BTreeMap::new(),
            managed_policies: managed_policies(),
            demanded_boundary: None,
            believed: BTreeMap::new(),
            due: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The region, for a change. A region that is new here offers the services of [`offered`].
    pub fn region_mut(&mut self, region: &Region) -> &mut RegionState {
        self.regions
            .entry(region.clone())
            .or_insert_with(|| RegionState { services: offered(region), ..RegionState::default() })
    }

    /// Counts a thing; returns its new count.
    pub fn count(&mut self, what: String) -> u64 {
        let count = self.counts.entry(what).or_default();
        *count += 1;
        *count
    }

    /// A new id in AWS's form: a hash of the resource's purpose and of the number of its creations.
    pub fn new_id<Id: FromStr<Err: Debug>>(&mut self, prefix: &str, purpose: &str) -> Id {
        let what = format!("{prefix} {purpose}");
        let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
        let (hash, number) = (hash >> 12, self.count(what));
        format!("{prefix}-{hash:013x}{number:04x}").parse().expect("a prefix and 17 hexadecimal digits make an id")
    }

    /// Lets a transition happen after a delay; a transition that was due already is put off.
    pub fn schedule(&mut self, transition: Transition, delay: u64) {
        self.due.insert(transition, self.now.saturating_add(delay));
    }

    /// A new group, with AWS's default rules: all traffic may leave (EC2 User Guide, "Default security groups" and "Security
    /// group rules": IPv6 too if the VPC has an IPv6 range).
    pub(super) fn new_group(&mut self, region: &Region, vpc: &VpcId, name: &str, tags: Tags) -> SecurityGroup {
        let id = self.new_id("sg", &format!("{vpc} {name}"));
        let out = |peer| Rule { protocol: Protocol::All, ports: None, peer };
        let mut egress = BTreeSet::from([out(Peer::Ipv4("0.0.0.0/0".into()))]);
        if self.region_mut(region).ipv6_vpcs.contains(vpc) {
            egress.insert(out(Peer::Ipv6("::/0".into())));
        }
        SecurityGroup { id, vpc: vpc.clone(), name: name.into(), ingress: BTreeSet::new(), egress, tags }
    }

    /// The functions whose role was deleted after the function was configured: a role of the same name now is another principal.
    pub fn functions_without_their_role(&self, region: &Region) -> Vec<FunctionName> {
        let is_current = |function: &FunctionRecord| {
            self.roles.values().any(|record| {
                record.role.arn == function.detail.listing.configuration.role_arn
                    && record.principal == function.principal
            })
        };
        let functions = self.regions.get(region).map(|state| &state.functions).into_iter().flatten();
        functions.filter(|(_, function)| !is_current(function)).map(|(name, _)| name.clone()).collect()
    }
}

impl RegionState {
    /// The group, if calls find it already.
    pub fn group(&self, id: &SecurityGroupId) -> Option<&SecurityGroup> {
        self.groups.get(id).filter(|_| !self.invisible.contains(&Ec2Id::Group(id.clone())))
    }

    /// The endpoint, if calls find it already.
    pub fn endpoint(&self, id: &VpcEndpointId) -> Option<&VpcEndpoint> {
        self.endpoints.get(id).filter(|_| !self.invisible.contains(&Ec2Id::Endpoint(id.clone())))
    }

    /// The VPC's own group, which cannot be deleted.
    pub fn default_group(&self, vpc: &VpcId) -> Option<SecurityGroupId> {
        self.groups.values().find(|group| group.vpc == *vpc && group.name == "default").map(|group| group.id.clone())
    }

    /// The groups that an interface carries.
    pub fn groups_of<'a>(&'a self, interface: &'a Interface) -> Option<&'a BTreeSet<SecurityGroupId>> {
        match &interface.holder {
            Holder::Endpoint(endpoint) => self.endpoints.get(endpoint).map(|endpoint| &endpoint.security_groups),
            Holder::Lambda { groups, .. } | Holder::Instance { groups } => Some(groups),
        }
    }

    /// The addresses that are left in a subnet.
    pub fn free_addresses(&self, subnet: &SubnetId) -> u32 {
        let taken = self.interfaces.values().filter(|interface| interface.fact.subnet == *subnet).count();
        let all = self.subnets.get(subnet).map_or(0, |subnet| subnet.addresses);
        all.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }
}
