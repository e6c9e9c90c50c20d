//! AWS for the operator: plain facts, writes as values, one narrow trait between the core and the SDK.
//!
//! `aws_sdk_*` is imported in [`sdk`] only.

mod credentials;
mod denial;
mod description;
mod error;
mod facts;
mod invocation;
mod operation;
mod ownership;
pub mod pacing;
mod scope;
pub mod sdk;
mod service;
mod services;
mod snapshot;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use crate::ids;

pub use credentials::{Credentials, CredentialsState};
use denial::ENCODED;
pub use denial::{Denial, DeniedBy, Details, PolicyKind};
pub use description::{BeforeRepair, Description, DriftKind, Impact, Invalidates, Repair, ResourceKind, RowChange};
pub use error::{AwsError, Class, Failure, Quota};
pub use facts::*;
pub use ids::{
    AccountId, Caller, FunctionName, InvalidId, LogGroupName, NetworkInterfaceId, Partition, PolicyArn, Region,
    RoleName, SecurityGroupId, SubnetId, Tags, VpcEndpointId, VpcId, ZoneName,
};
pub use invocation::{Answer, Evidence, FunctionError, Invocation, PROBE, ProbeError};
pub use operation::{Operation, Permission, RateLimit, ResourceScope, SharedLimit};
use pacing::Pacer;
pub use scope::Scope;
pub use service::Service;
pub use services::{Ec2Write, EndpointChange, IamWrite, LambdaWrite, LogsWrite, NewFunction, NewVpcEndpoint, Package};
pub use snapshot::{
    AppRows, Endpoints, KeptRows, ListedFunction, MaxAge, RowName, Since, Snapshot, SnapshotState, Snapshots, Topology,
    TopologyState,
};
pub use write::{Made, Shown, Tagging, Write, Written};

/// All AWS calls that the operator makes.
///
/// Lists are complete: an implementation follows every page. A list filtered by ids leaves out missing resources and does not
/// fail. An implementation caches nothing, and retries only at the level of transport within one call; [`Snapshot`] caches.
#[async_trait]
pub trait Aws: Send + Sync + 'static {
    /// The pacer of the calls; `None` where calls are not paced. A call that the pacer admitted goes at once.
    fn pacer(&self) -> Option<Arc<Pacer>> {
        None
    }

    /// `sts:GetCallerIdentity`.
    async fn caller(&self, region: &Region) -> Result<Caller, AwsError>;

    /// `ec2:DescribeVpcs` by id.
    async fn vpcs(&self, region: &Region, ids: &BTreeSet<VpcId>) -> Result<Vec<VpcListing>, AwsError>;

    /// Two `ec2:DescribeVpcAttribute`; `None` when the VPC does not exist.
    async fn vpc_dns(&self, region: &Region, vpc: &VpcId) -> Result<Option<VpcDns>, AwsError>;

    /// `ec2:DescribeSubnets` of these VPCs.
    async fn subnets(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<Subnet>, AwsError>;

    /// `ec2:DescribeRouteTables` of these VPCs.
    async fn route_tables(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<RouteTable>, AwsError>;

    /// `ec2:DescribeVpcEndpointServices` by name. A service that the region does not offer is left out.
    async fn endpoint_services(
        &self,
        region: &Region,
        names: &BTreeSet<String>,
    ) -> Result<Vec<EndpointService>, AwsError>;

    /// `ec2:DescribeVpcEndpoints` of these VPCs, foreign ones included.
    async fn vpc_endpoints(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<VpcEndpoint>, AwsError>;

    /// `ec2:DescribeVpcEndpoints` with this tag, in whichever VPC.
    async fn tagged_endpoints(&self, region: &Region, tag: (&str, &str)) -> Result<Vec<VpcEndpoint>, AwsError>;

    /// `ec2:DescribeNetworkInterfaces` by id.
    async fn network_interfaces(
        &self,
        region: &Region,
        ids: &BTreeSet<NetworkInterfaceId>,
    ) -> Result<Vec<NetworkInterface>, AwsError>;

    /// `ec2:DescribeNetworkInterfaces` that carry this security group, foreign ones included.
    async fn group_interfaces(
        &self,
        region: &Region,
        group: &SecurityGroupId,
    ) -> Result<Vec<NetworkInterface>, AwsError>;

    /// `ec2:DescribeNetworkInterfaces` of a VPC, foreign ones included.
    async fn vpc_interfaces(&self, region: &Region, vpc: &VpcId) -> Result<Vec<NetworkInterface>, AwsError>;

    /// `ec2:DescribeSecurityGroups`, once for each direction, of those that have a rule which names this group.
    async fn referring_groups(&self, region: &Region, group: &SecurityGroupId) -> Result<Vec<SecurityGroup>, AwsError>;

    /// `ec2:DescribeSecurityGroups` with this tag.
    async fn security_groups(&self, region: &Region, tag: (&str, &str)) -> Result<Vec<SecurityGroup>, AwsError>;

    /// `ec2:DescribeSecurityGroups` with this tag, of one VPC.
    async fn vpc_security_groups(
        &self,
        region: &Region,
        tag: (&str, &str),
        vpc: &VpcId,
    ) -> Result<Vec<SecurityGroup>, AwsError>;

    /// `lambda:ListFunctions`: all functions of the account in the region, 50 a page.
    async fn functions(&self, region: &Region) -> Result<Vec<FunctionListing>, AwsError>;

    /// `lambda:GetFunction`; `None` when the function does not exist.
    async fn function(&self, region: &Region, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError>;

    /// `lambda:Invoke` of a function with [`PROBE`], in one attempt; waits for the answer. The call wakes an inactive function,
    /// with the answer [`Failure::RoleNotUsable`].
    async fn probe(&self, region: &Region, name: &FunctionName) -> Result<Invocation, AwsError>;

    /// `logs:DescribeLogGroups` with this prefix, 50 a page.
    async fn log_groups(&self, region: &Region, prefix: &str) -> Result<Vec<LogGroup>, AwsError>;

    /// `logs:ListTagsForResource`; `None` when the group does not exist.
    async fn log_group_tags(&self, region: &Region, group: &LogGroup) -> Result<Option<Tags>, AwsError>;

    /// `iam:GetAccountAuthorizationDetails` for roles, reduced to those below `path` (which starts and ends with `/`).
    async fn roles(&self, region: &Region, path: &str) -> Result<Vec<Role>, AwsError>;

    /// `iam:ListRoles` below `path`: the roles without their policies and tags.
    async fn role_listings(&self, region: &Region, path: &str) -> Result<Vec<RoleListing>, AwsError>;

    /// One role, by `iam:GetRole`, `iam:ListRolePolicies`, an `iam:GetRolePolicy` for each, and `iam:ListAttachedRolePolicies`;
    /// `None` when the role does not exist.
    async fn role(&self, region: &Region, name: &RoleName) -> Result<Option<Role>, AwsError>;

    /// Drops what is kept for other regions than these, such as clients: no call to those comes soon.
    fn keep_regions(&self, used: &BTreeSet<Region>);

    /// Makes one change, and gives the resource as far as AWS's answer shows it. After an error with
    /// [`Failure::Unavailable`], the change may be done or not.
    async fn make(&self, region: &Region, write: &Write) -> Result<Made, AwsError>;

    /// Makes one change, as [`Self::make`].
    async fn write(&self, region: &Region, write: &Write) -> Result<Written, AwsError> {
        self.make(region, write).await.map(|made| made.written)
    }
}
