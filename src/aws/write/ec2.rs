//! Changes of EC2: security groups and their rules, interface endpoints, network interfaces, tags.

use std::collections::BTreeSet;

use super::super::{
    facts::{AddressFamilies, PolicyDocument, Rule, Tags},
    ids::{NetworkInterfaceId, SecurityGroupId, SubnetId, VpcEndpointId, VpcId},
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
    /// Of type Interface.
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

/// An interface endpoint to create. Nothing is left to AWS's defaults, which are a Gateway endpoint, the VPC's default
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

/// What changes on an endpoint; empty members change nothing.
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
