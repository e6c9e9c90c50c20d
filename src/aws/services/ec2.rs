//! EC2: security groups and their rules, interface endpoints, network interfaces, tags.

use std::collections::BTreeSet;

use super::super::{
    Failure,
    description::{Description, DriftKind, Impact, Invalidates, Repair, ResourceKind},
    facts::{AddressFamilies, PolicyDocument, Rule},
    ids::{NetworkInterfaceId, SecurityGroupId, SubnetId, Tags, VpcEndpointId, VpcId},
    operation::{
        Operation, Permission, RateLimit,
        ResourceScope::{AroundNewEndpoint, InVpcs, Look, NewEndpoint, NewGroup, Ours, TagsOfNew, Vpcs},
        operations,
    },
    pacing::Rate,
};

/// One mutating call of EC2. Each variant has the name of its operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the operation and of its parameters")]
pub enum Ec2Write {
    /// A new group has a rule that allows all egress: see [`Self::RevokeSecurityGroupEgress`].
    CreateSecurityGroup {
        vpc: VpcId,
        /// Unique in the VPC.
        name: String,
        description: String,
        tags: Tags,
    },
    AuthorizeSecurityGroupIngress {
        group: SecurityGroupId,
        /// Rules that the group does not have.
        rules: BTreeSet<Rule>,
    },
    AuthorizeSecurityGroupEgress {
        group: SecurityGroupId,
        /// Rules that the group does not have.
        rules: BTreeSet<Rule>,
    },
    RevokeSecurityGroupIngress {
        group: SecurityGroupId,
        /// Rules that the group has.
        rules: BTreeSet<Rule>,
    },
    RevokeSecurityGroupEgress {
        group: SecurityGroupId,
        /// Rules that the group has.
        rules: BTreeSet<Rule>,
    },
    /// [`Failure::InUse`](crate::aws::Failure::InUse) while anything refers to the group.
    DeleteSecurityGroup {
        group: SecurityGroupId,
    },
    /// [`Failure::InUse`](crate::aws::Failure::InUse) while anything uses the interface.
    DeleteNetworkInterface {
        interface: NetworkInterfaceId,
    },
    /// The type is Interface.
    CreateVpcEndpoint(NewVpcEndpoint),
    ModifyVpcEndpoint {
        endpoint: VpcEndpointId,
        change: EndpointChange,
    },
    /// Deletes one endpoint. An `Unsuccessful` item in the answer is an error here.
    DeleteVpcEndpoints {
        endpoint: VpcEndpointId,
    },
    CreateTags {
        /// The id of a security group or an endpoint.
        resource: String,
        tags: Tags,
    },
}

/// An interface endpoint to create. All parameters are set, because the defaults of AWS are a Gateway endpoint, the VPC's default
/// group and a policy that allows everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the parameters of CreateVpcEndpoint")]
pub struct NewVpcEndpoint {
    pub vpc: VpcId,
    /// `com.amazonaws.REGION.SERVICE`.
    pub service_name: String,
    /// One subnet for each zone.
    pub subnets: BTreeSet<SubnetId>,
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Whether the endpoint takes over the service's public DNS name in the VPC.
    pub private_dns: bool,
    pub policy: PolicyDocument,
    /// The same token never creates a second endpoint. At most 64 characters.
    pub client_token: String,
    pub tags: Tags,
}

/// A change of an endpoint; empty members change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the parameters of ModifyVpcEndpoint")]
pub struct EndpointChange {
    pub add_subnets: BTreeSet<SubnetId>,
    pub remove_subnets: BTreeSet<SubnetId>,
    pub add_security_groups: BTreeSet<SecurityGroupId>,
    pub remove_security_groups: BTreeSet<SecurityGroupId>,
    pub policy: Option<PolicyDocument>,
    pub private_dns: Option<bool>,
    pub address_families: Option<AddressFamilies>,
}

/// "Request throttling for the Amazon EC2 API", `ec2/latest/devguide/ec2-api-throttling.html`: each action has its own bucket for
/// each account and region. All describes here have a filter or pages, and take from the larger buckets.
const READS: RateLimit = RateLimit::Own(Rate::per_second(100, 20));
const WRITES: RateLimit = RateLimit::Own(Rate::per_second(50, 5));
const ENDPOINTS: RateLimit = RateLimit::Own(Rate::per_thousand_seconds(4, 300));
const INTERFACES: RateLimit = RateLimit::Own(Rate::per_second(100, 5));
const TAGS: RateLimit = RateLimit::Own(Rate::per_second(100, 10));

operations! { "ec2", Ec2Write:
    DescribeNetworkInterfaces, READS, [Permission::on(Look)];
    DescribeRouteTables, READS, [Permission::on(Look)];
    DescribeSecurityGroups, READS, [Permission::on(Look)];
    DescribeSubnets, READS, [Permission::on(Look)];
    DescribeVpcs, READS, [Permission::on(Look)];
    DescribeVpcAttribute, READS, [Permission::on(Look)];
    DescribeVpcEndpointServices, READS, [Permission::on(Look)];
    DescribeVpcEndpoints, READS, [Permission::on(Look)];
    AuthorizeSecurityGroupEgress: Ec2Write, WRITES, [Permission::on(Ours)];
    AuthorizeSecurityGroupIngress: Ec2Write, WRITES, [Permission::on(Ours)];
    CreateSecurityGroup: Ec2Write, WRITES, [Permission::on(Vpcs), Permission::on(NewGroup)];
    CreateTags: Ec2Write, TAGS, [
        Permission::on(TagsOfNew).needed_by("ec2:CreateSecurityGroup, ec2:CreateVpcEndpoint"),
        Permission::on(Ours),
    ];
    // EC2 asks for the VPC, the subnets, the endpoint itself, and its groups, which are ours.
    CreateVpcEndpoint: Ec2Write, ENDPOINTS, [
        Permission::on(Vpcs),
        Permission::on(AroundNewEndpoint),
        Permission::of("route53:AssociateVPCWithHostedZone", AroundNewEndpoint)
            .needed_by("ec2:CreateVpcEndpoint with private DNS"),
        Permission::on(NewEndpoint),
        Permission::on(Ours),
    ];
    DeleteSecurityGroup: Ec2Write, WRITES, [Permission::on(Ours)];
    DeleteVpcEndpoints: Ec2Write, ENDPOINTS, [Permission::on(Ours)];
    ModifyVpcEndpoint: Ec2Write, ENDPOINTS, [Permission::on(InVpcs), Permission::on(Ours)];
    RevokeSecurityGroupEgress: Ec2Write, WRITES, [Permission::on(Ours)];
    RevokeSecurityGroupIngress: Ec2Write, WRITES, [Permission::on(Ours)];
    DeleteNetworkInterface: Ec2Write, INTERFACES, [Permission::on(InVpcs)];
}

impl Ec2Write {
    /// The facts about the change on which all other modules rest.
    pub(in crate::aws) fn describe(&self) -> Description<'_> {
        let group = |group, impact, repair| Description {
            repair,
            ..Description::new(
                ResourceKind::SecurityGroup,
                SecurityGroupId::as_str(group),
                impact,
                Invalidates::SecurityGroups,
            )
        };
        let authorized = |id, rules, words| Description {
            done_already: Some(Failure::AlreadyExists),
            ..group(id, Impact::Changes, Repair::Rules(words, rules))
        };
        let revoked = |id, rules, words| group(id, Impact::TakesAway, Repair::Rules(words, rules));
        let endpoint = |id, impact, repair| Description {
            repair,
            ..Description::new(ResourceKind::Endpoint, VpcEndpointId::as_str(id), impact, Invalidates::Endpoints)
        };
        match self {
            Self::CreateSecurityGroup { name, .. } => Description {
                repair: Repair::Recreates(DriftKind::Group),
                ..Description::new(ResourceKind::SecurityGroup, name, Impact::Creates, Invalidates::SecurityGroups)
            },
            Self::AuthorizeSecurityGroupIngress { group, rules } => authorized(group, rules, "added to ingress again"),
            Self::AuthorizeSecurityGroupEgress { group, rules } => authorized(group, rules, "added to egress again"),
            Self::RevokeSecurityGroupIngress { group, rules } => revoked(group, rules, "revoked from ingress"),
            Self::RevokeSecurityGroupEgress { group, rules } => revoked(group, rules, "revoked from egress"),
            Self::DeleteSecurityGroup { group: id } => group(id, Impact::TakesAway, Repair::Never),
            // No snapshot keeps the list of interfaces.
            Self::DeleteNetworkInterface { interface } => Description::new(
                ResourceKind::NetworkInterface,
                interface.as_str(),
                Impact::TakesAway,
                Invalidates::Nothing,
            ),
            Self::CreateVpcEndpoint(new) => Description {
                repair: Repair::Recreates(DriftKind::Endpoint),
                ..Description::new(
                    ResourceKind::NewEndpoint,
                    format!("{} in {}", new.service_name, new.vpc),
                    Impact::Creates,
                    Invalidates::Endpoints,
                )
            },
            Self::ModifyVpcEndpoint { endpoint: id, change } => endpoint(id, Impact::Changes, Repair::Endpoint(change)),
            Self::DeleteVpcEndpoints { endpoint: id } => {
                endpoint(id, Impact::TakesAway, Repair::DeletesFailed(DriftKind::Endpoint))
            }
            Self::CreateTags { resource, tags } => {
                let is_group = resource.starts_with("sg-");
                let kind = if is_group { ResourceKind::SecurityGroup } else { ResourceKind::Endpoint };
                Description {
                    repair: Repair::Tags(tags),
                    ..Description::new(kind, resource, Impact::Tags, Invalidates::EndpointsAndSecurityGroups)
                }
            }
        }
    }

    /// The change, limited to those of its rules that existed.
    pub(in crate::aws) fn with_rules(&self, there: &BTreeSet<Rule>) -> Self {
        let mut write = self.clone();
        if let Self::RevokeSecurityGroupIngress { rules, .. } | Self::RevokeSecurityGroupEgress { rules, .. } =
            &mut write
        {
            rules.clone_from(there);
        }
        write
    }
}
