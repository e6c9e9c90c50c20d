//! The account before the operator comes: VPCs, and the services that AWS offers.

use std::collections::{BTreeMap, BTreeSet};

use private_genai_operator::aws::{
    AccountId, EndpointService, Peer, PolicyArn, PolicyDocument, Protocol, Region, RouteTable, RouteTarget, Rule,
    SecurityGroup, SubnetId, Tags, Tenancy, Vpc, VpcDns, VpcId, ZoneName,
};

use super::world::{SubnetRecord, World};

/// The addresses of a new subnet: a /24 less the five that AWS keeps.
const ADDRESSES: u32 = 251;

/// A VPC to set up for a test.
#[derive(Clone, Debug)]
pub struct VpcShape {
    /// The zones, each by the last letter of its name; each gets one subnet.
    pub zones: &'static str,
    pub route: Route,
    pub tenancy: Tenancy,
    pub dns: VpcDns,
    pub ipv6: bool,
    /// Whether the VPC is the region's default VPC.
    pub default: bool,
    /// Another account that owns the VPC and shares its subnets with this account; `None` where this account owns the VPC.
    pub owner: Option<AccountId>,
}

/// The route out of the subnets of a VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nowhere.
    Isolated,
    /// Out, through a NAT gateway.
    Nat,
    /// Out and in, through an internet gateway.
    Public,
}

impl Default for VpcShape {
    /// Two isolated subnets in two zones, as in the walk-through.
    fn default() -> Self {
        Self {
            zones: "ab",
            route: Route::Isolated,
            tenancy: Tenancy::Default,
            dns: VpcDns { support: true, hostnames: true },
            ipv6: false,
            default: false,
            owner: None,
        }
    }
}

impl World {
    /// A VPC with its default group and one subnet in each zone.
    pub fn add_vpc(&mut self, region: &Region, shape: &VpcShape) -> (VpcId, Vec<SubnetId>) {
        let vpc: VpcId = self.new_id("vpc", region.as_str());
        let owner = shape.owner.clone().unwrap_or_else(|| self.account.clone());
        let state = self.region_mut(region);
        let fact = Vpc { id: vpc.clone(), owner, tenancy: shape.tenancy.clone(), dns: shape.dns };
        state.vpcs.insert(vpc.clone(), fact);
        if shape.default {
            state.default_vpcs.insert(vpc.clone());
        }
        if shape.ipv6 {
            state.ipv6_vpcs.insert(vpc.clone());
        }
        let targets = [RouteTarget::Local].into();
        let table = RouteTable { vpc: vpc.clone(), main: true, subnets: BTreeSet::new(), targets };
        state.route_tables.insert(format!("{vpc} main"), table);
        let default = self.new_group(region, &vpc, "default", Tags::new());
        let itself = Rule { protocol: Protocol::All, ports: None, peer: Peer::Group(default.id.clone()) };
        self.region_mut(region)
            .groups
            .insert(default.id.clone(), SecurityGroup { ingress: [itself].into(), ..default });
        let subnets = shape.zones.chars().map(|zone| self.add_subnet(region, &vpc, zone, shape.route)).collect();
        (vpc, subnets)
    }

    /// Adds a subnet; it has its own route table unless it is isolated.
    pub fn add_subnet(&mut self, region: &Region, vpc: &VpcId, zone: char, route: Route) -> SubnetId {
        let id: SubnetId = self.new_id("subnet", &format!("{vpc} {zone}"));
        let range = format!("10.0.{}", self.count(format!("{vpc} range")));
        let state = self.region_mut(region);
        let subnet = SubnetRecord { vpc: vpc.clone(), zone: zone_of(region, zone), addresses: ADDRESSES, range };
        state.subnets.insert(id.clone(), subnet);
        let out = match route {
            Route::Isolated => return id,
            Route::Nat => RouteTarget::Other,
            Route::Public => RouteTarget::InternetGateway,
        };
        let (subnets, targets) = ([id.clone()].into(), [RouteTarget::Local, out].into());
        state.route_tables.insert(id.to_string(), RouteTable { vpc: vpc.clone(), main: false, subnets, targets });
        id
    }
}

/// A zone of a region by its letter.
pub fn zone_of(region: &Region, letter: char) -> ZoneName {
    format!("{region}{letter}").parse().expect("a region and a letter make a zone")
}

/// The endpoint services that a region offers at first, each in its zones a, b and c.
pub(super) fn offered(region: &Region) -> BTreeMap<String, EndpointService> {
    const SERVICES: [&str; 10] = [
        "bedrock",
        "bedrock-agent",
        "bedrock-agent-runtime",
        "bedrock-runtime",
        "kms",
        "lambda",
        "logs",
        "monitoring",
        "secretsmanager",
        "sts",
    ];
    let zones: BTreeSet<ZoneName> = ['a', 'b', 'c'].map(|letter| zone_of(region, letter)).into();
    SERVICES
        .map(|service| {
            let name = format!("com.amazonaws.{region}.{service}");
            let private_dns_name = Some(format!("{service}.{region}.amazonaws.com"));
            let offer =
                EndpointService { name: name.clone(), zones: zones.clone(), policy_supported: true, private_dns_name };
            (name, offer)
        })
        .into()
}

/// The permissions boundary that the documentation proposes.
pub fn boundary() -> PolicyArn {
    "arn:aws:iam::123456789012:policy/private-genai-boundary".parse().expect("an ARN")
}

/// Another managed policy, with more permissions.
pub fn another_boundary() -> PolicyArn {
    "arn:aws:iam::aws:policy/PowerUserAccess".parse().expect("an ARN")
}

/// The managed policies of a new account.
pub fn managed_policies() -> BTreeMap<String, PolicyDocument> {
    let everything = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    let proposed = include_str!("../../../docs/permissions-boundary.json");
    [(boundary(), proposed), (another_boundary(), everything)]
        .map(|(arn, document)| (arn.to_string(), PolicyDocument::from_wire(document)))
        .into()
}
