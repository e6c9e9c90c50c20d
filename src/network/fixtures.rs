//! The network that the tests of this folder speak about: an isolated VPC with private subnets in two zones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Demand, Desired, Observed, OtherFunctions, Requester, Service, plan};
use crate::{
    api::condition::{ConditionType, Leg, LegState, Reason},
    aws::{
        AddressFamilies, AwsError, Caller, Ec2Write, EndpointService, EndpointState, Failure, InterfaceHolder,
        InterfaceState, NetworkInterface, Partition, Peer, Protocol, RouteTable, RouteTarget, Rule, SecurityGroup,
        SecurityGroupId, Subnet, SubnetId, Tenancy, Topology, Vpc, VpcDns, VpcEndpoint, VpcEndpointId, VpcId, Write,
        ZoneName,
    },
    engine::{EndpointHistory, Settings},
    function,
    governance::Governance,
    guard::{Globs, ImplicitNetworks},
    identity::{
        ENDPOINTS_GROUP, FUNCTIONS_GROUP, NetworkIdentity, TAG_COMPONENT, TAG_OWNER, TAG_PRIVATE_DNS, TAG_SERVICE,
    },
    plan::{Plan, Source, Step, Unread},
    policy::ModelId,
};

pub(super) const RUNTIME: Service = Service::BedrockRuntime;

pub(super) fn vpc_id() -> VpcId {
    "vpc-0abc1234".parse().expect("a VPC id")
}

/// The first digit is the zone: `0xa1` and `0xa2` are in us-east-1a.
pub(super) fn subnet_id(number: u32) -> SubnetId {
    format!("subnet-{number:08x}").parse().expect("a subnet id")
}

pub(super) fn subnet_ids(numbers: &[u32]) -> BTreeSet<SubnetId> {
    numbers.iter().map(|number| subnet_id(*number)).collect()
}

pub(super) fn zone(letter: u32) -> ZoneName {
    format!("us-east-1{letter:x}").parse().expect("a zone")
}

pub(super) fn subnet(number: u32) -> Subnet {
    Subnet { id: subnet_id(number), vpc: vpc_id(), zone: zone(number >> 4), free_addresses: 100 }
}

pub(super) fn endpoint_id(number: u32) -> VpcEndpointId {
    format!("vpce-{number:08x}").parse().expect("an endpoint id")
}

pub(super) fn identity() -> NetworkIdentity {
    NetworkIdentity {
        installation: "prod".parse().expect("an installation id"),
        account: "123456789012".parse().expect("an account"),
        region: "us-east-1".parse().expect("a region"),
        vpc: vpc_id(),
    }
}

/// The settings of the operator.
pub(crate) fn settings() -> Settings {
    Settings {
        installation: identity().installation,
        owner: "0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6".parse().expect("an owner mark"),
        region: identity().region,
        regions: Globs::only(&identity().region),
        implicit_networks: ImplicitNetworks::in_vpcs(Globs::all()),
        resync: Duration::from_mins(5),
        concurrency: 1,
        governance: Governance::default(),
        handler: function::built_in().expect("a package"),
        clock: k8s_openapi::jiff::Timestamp::now,
    }
}

pub(super) fn caller() -> Caller {
    Caller { account: identity().account, partition: Partition::Aws }
}

/// What an app of this age and name demands.
pub(super) fn demand_of(created: i64, name: &str, models: BTreeSet<ModelId>) -> Demand {
    let turn = Requester::Object { created, namespace: "team-a".to_owned(), name: name.to_owned() };
    Demand { requester: turn, apps: 1, models, subnets: BTreeSet::new() }
}

pub(super) fn demand(models: &[&str], subnets: &[u32]) -> Demand {
    Demand {
        requester: Requester::WithoutObject("team-a/bot".to_owned()),
        apps: 1,
        models: models.iter().map(|model| model.parse().expect("a model")).collect(),
        subnets: subnet_ids(subnets),
    }
}

/// What these demands make of the network.
pub(super) fn desired_by(demands: &[Demand]) -> Desired {
    Desired::union(identity(), settings().owner, caller(), &Governance::default(), &[], demands).expect("a demand")
}

/// One app, which leaves the choice of subnets to the network.
pub(super) fn desired() -> Desired {
    desired_by(&[demand(&["amazon.nova-lite-v1:0"], &[])])
}

/// The VPC with subnets a1, a2 and b1, and nothing of ours.
pub(super) fn bare() -> Observed {
    let offer = EndpointService {
        name: "com.amazonaws.us-east-1.bedrock-runtime".to_owned(),
        zones: [zone(0xa), zone(0xb), zone(0xc)].into(),
        policy_supported: true,
        private_dns_name: Some("bedrock-runtime.us-east-1.amazonaws.com".to_owned()),
    };
    let dns = VpcDns { support: true, hostnames: true };
    let vpc = Vpc { id: vpc_id(), owner: caller().account, tenancy: Tenancy::Default, dns };
    Observed {
        identity: identity(),
        live_roles: Vec::new(),
        handed_over_roles: Vec::new(),
        function_interfaces: BTreeMap::new(),
        left_interfaces: BTreeSet::new(),
        other_functions: OtherFunctions::Absent,
        topology: Topology {
            vpcs: [(vpc_id(), vpc)].into(),
            subnets: vec![subnet(0xa1), subnet(0xa2), subnet(0xb1)],
            route_tables: vec![main_table(&[])],
            services: [(offer.name.clone(), offer)].into(),
        },
        security_groups: Vec::new(),
        known_groups: Vec::new(),
        endpoints: Vec::new(),
        foreign_endpoints: Vec::new(),
        interfaces: BTreeMap::new(),
        unread: Unread::default(),
    }
}

pub(super) fn main_table(targets: &[RouteTarget]) -> RouteTable {
    let targets = targets.iter().copied().chain([RouteTarget::Local]).collect();
    RouteTable { vpc: vpc_id(), main: true, subnets: BTreeSet::new(), targets }
}

/// A route table that these subnets name.
pub(super) fn table_of(subnets: &[u32], targets: &[RouteTarget]) -> RouteTable {
    RouteTable { main: false, subnets: subnet_ids(subnets), ..main_table(targets) }
}

/// The group of either component.
pub(super) fn group_id(component: &str) -> SecurityGroupId {
    let id = if component == FUNCTIONS_GROUP { "sg-0000000f" } else { "sg-0000000e" };
    id.parse().expect("a group id")
}

pub(super) fn https(peer: &str) -> BTreeSet<Rule> {
    [Rule::tcp(443, Peer::Group(group_id(peer)))].into()
}

/// An interface that Lambda uses for the functions of the network.
pub(super) fn interface(number: u32) -> NetworkInterface {
    NetworkInterface {
        id: format!("eni-{number:08x}").parse().expect("an interface id"),
        subnet: subnet_id(0xa1),
        zone: zone(0xa),
        private_ip: Some("10.0.1.7".to_owned()),
        ipv6: BTreeSet::new(),
        groups: [group_id(FUNCTIONS_GROUP)].into(),
        state: InterfaceState::InUse,
        holder: InterfaceHolder::Lambda,
        function: None,
    }
}

/// What AWS puts into every new group of a VPC that has IPv6 too.
pub(super) fn default_egress() -> BTreeSet<Rule> {
    [Peer::Ipv4("0.0.0.0/0".to_owned()), Peer::Ipv6("::/0".to_owned())]
        .map(|peer| Rule { protocol: Protocol::All, ports: None, peer })
        .into()
}

/// A group as AWS creates it.
pub(super) fn new_group(component: &str) -> SecurityGroup {
    let mut tags = identity().tags();
    tags.insert(TAG_OWNER.to_owned(), settings().owner.to_string());
    tags.insert(TAG_COMPONENT.to_owned(), component.to_owned());
    tags.insert("Name".to_owned(), identity().group_name(component));
    SecurityGroup {
        id: group_id(component),
        vpc: vpc_id(),
        name: identity().group_name(component),
        ingress: BTreeSet::new(),
        egress: default_egress(),
        tags,
    }
}

/// Both groups, with exactly their rules.
pub(super) fn exact_groups() -> Vec<SecurityGroup> {
    vec![
        SecurityGroup { egress: https(ENDPOINTS_GROUP), ..new_group(FUNCTIONS_GROUP) },
        SecurityGroup { ingress: https(FUNCTIONS_GROUP), egress: BTreeSet::new(), ..new_group(ENDPOINTS_GROUP) },
    ]
}

/// An endpoint as [`desired`] wants it, created at second `number`.
pub(super) fn endpoint(number: u32) -> VpcEndpoint {
    let mut tags = identity().tags();
    tags.insert(TAG_SERVICE.to_owned(), RUNTIME.as_str().to_owned());
    tags.insert(TAG_PRIVATE_DNS.to_owned(), "true".to_owned());
    tags.insert("Name".to_owned(), "private-genai-bedrock-runtime-prod".to_owned());
    VpcEndpoint {
        id: endpoint_id(number),
        vpc: vpc_id(),
        service_name: RUNTIME.endpoint_service(&identity().region),
        interface: true,
        state: EndpointState::Available,
        private_dns: true,
        address_families: AddressFamilies::Ipv4,
        subnets: subnet_ids(&[0xa1, 0xb1]),
        security_groups: [group_id(ENDPOINTS_GROUP)].into(),
        interfaces: BTreeSet::new(),
        policy: Some(desired().endpoint_policy(RUNTIME)),
        dns_names: vec![format!("vpce-{number:08x}.bedrock-runtime.us-east-1.vpce.amazonaws.com")],
        tags,
        created_at: i64::from(number),
        last_error: None,
    }
}

pub(super) fn endpoint_in(number: u32, state: EndpointState) -> VpcEndpoint {
    VpcEndpoint { state, ..endpoint(number) }
}

/// The groups are ready, and these endpoints are there.
pub(super) fn with_endpoints(endpoints: Vec<VpcEndpoint>) -> Observed {
    Observed { security_groups: exact_groups(), known_groups: exact_groups(), endpoints, ..bare() }
}

/// Everything is as [`desired`] wants it.
pub(super) fn at_rest() -> Observed {
    with_endpoints(vec![endpoint(1)])
}

pub(super) fn decided(observed: &Observed) -> Plan {
    plan(&desired(), observed, &EndpointHistory::default())
}

/// The writes of a plan, in order.
pub(super) fn writes(plan: Plan) -> Vec<Write> {
    plan.steps.into_iter().map(|step| step.write).collect()
}

pub(super) fn leg(plan: &Plan, kind: ConditionType) -> &Leg {
    plan.legs.iter().find(|leg| leg.kind == kind).expect("the leg")
}

pub(super) fn endpoints_leg(plan: &Plan) -> (LegState, Reason) {
    let leg = leg(plan, ConditionType::EndpointsReady);
    (leg.state, leg.reason)
}

pub(super) fn operations(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.write.operation().name).collect()
}

pub(super) fn unread(source: Source) -> Unread {
    let mut unread = Unread::default();
    unread.take::<()>(source, Err(denied())).expect("no matter of credentials");
    unread
}

pub(super) fn denied() -> AwsError {
    AwsError {
        service: "ec2",
        operation: "SomeCall",
        failure: Failure::AccessDenied,
        code: Some("UnauthorizedOperation".to_owned()),
        message: "no".to_owned(),
        request_id: None,
    }
}

/// Only the two rules that are the path are ever granted.
pub(super) fn grants_nothing_but_the_path(steps: &[Step]) -> bool {
    steps.iter().all(|step| match &step.write {
        Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, rules }) => {
            *group == group_id(FUNCTIONS_GROUP) && *rules == https(ENDPOINTS_GROUP)
        }
        Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group, rules }) => {
            *group == group_id(ENDPOINTS_GROUP) && *rules == https(FUNCTIONS_GROUP)
        }
        _ => true,
    })
}

/// The placement of the network is refused. All refusals have the same consequences.
pub(super) fn refuse(observed: &mut Observed) {
    observed.topology.vpcs.get_mut(&vpc_id()).expect("the VPC").tenancy = Tenancy::Other("dedicated".into());
}
