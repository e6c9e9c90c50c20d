//! The operator's trait, answered from the world, at the price in calls that AWS asks.

use std::{collections::BTreeSet, fmt::Display, sync::Arc};

use async_trait::async_trait;
use private_genai_operator::aws::{
    Aws, AwsError, Caller, EndpointService, FunctionDetail, FunctionListing, FunctionName, Invocation, LogGroup, Made,
    NetworkInterface, NetworkInterfaceId, Operation, Region, Role, RoleListing, RoleName, RouteTable, SecurityGroup,
    SecurityGroupId, Subnet, Tags, VpcDns, VpcEndpoint, VpcId, VpcListing, Write, Written, pacing::Pacer,
};

use super::{
    handle::{Call, Lateness, MemoryAws},
    invoke, reads,
    world::{RegionState, World},
};

/// Page sizes of the calls that the operator makes, and how many values EC2 takes in one filter.
const EC2_PAGE: usize = 1_000;
const ROUTE_TABLES_PAGE: usize = 100;
const FUNCTIONS_PAGE: usize = 50;
const LOG_GROUPS_PAGE: usize = 50;
const ROLES_PAGE: usize = 1_000;
const FILTER_VALUES: usize = 200;

#[async_trait]
impl Aws for MemoryAws {
    fn pacer(&self) -> Option<Arc<Pacer>> {
        self.pacer.clone()
    }

    async fn caller(&self, region: &Region) -> Result<Caller, AwsError> {
        self.read(("sts", "GetCallerIdentity"), region, String::new(), |world, _| {
            (Caller { account: world.account.clone(), partition: region.partition() }, 1)
        })
        .await
    }

    async fn vpcs(&self, region: &Region, ids: &BTreeSet<VpcId>) -> Result<Vec<VpcListing>, AwsError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read(("ec2", "DescribeVpcs"), region, joined(ids), |_, state| {
            let found = reads::vpcs(state, ids);
            let pages = filtered_pages(ids.len(), found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn vpc_dns(&self, region: &Region, vpc: &VpcId) -> Result<Option<VpcDns>, AwsError> {
        // enableDnsSupport and enableDnsHostnames are two calls.
        self.read(("ec2", "DescribeVpcAttribute"), region, vpc.to_string(), |_, state| (reads::vpc_dns(state, vpc), 2))
            .await
    }

    async fn subnets(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<Subnet>, AwsError> {
        if vpcs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(("ec2", "DescribeSubnets"), region, joined(vpcs), |_, state| {
            let found = reads::subnets(state, vpcs);
            let pages = filtered_pages(vpcs.len(), found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn route_tables(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<RouteTable>, AwsError> {
        if vpcs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(("ec2", "DescribeRouteTables"), region, joined(vpcs), |_, state| {
            let found = reads::route_tables(state, vpcs);
            let pages = filtered_pages(vpcs.len(), found.len(), ROUTE_TABLES_PAGE);
            (found, pages)
        })
        .await
    }

    async fn endpoint_services(
        &self,
        region: &Region,
        names: &BTreeSet<String>,
    ) -> Result<Vec<EndpointService>, AwsError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.read(("ec2", "DescribeVpcEndpointServices"), region, joined(names), |_, state| {
            let found = reads::endpoint_services(state, names);
            let pages = filtered_pages(names.len(), found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn vpc_endpoints(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<VpcEndpoint>, AwsError> {
        if vpcs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(("ec2", "DescribeVpcEndpoints"), region, joined(vpcs), |_, state| {
            let found = reads::vpc_endpoints(state, vpcs);
            let pages = filtered_pages(vpcs.len(), found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn tagged_endpoints(&self, region: &Region, tag: (&str, &str)) -> Result<Vec<VpcEndpoint>, AwsError> {
        let resource = format!("{}={}", tag.0, tag.1);
        self.read(("ec2", "DescribeVpcEndpoints"), region, resource, |_, state| {
            let found = reads::tagged_endpoints(state, tag);
            let pages = pages(found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn network_interfaces(
        &self,
        region: &Region,
        ids: &BTreeSet<NetworkInterfaceId>,
    ) -> Result<Vec<NetworkInterface>, AwsError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read(("ec2", "DescribeNetworkInterfaces"), region, joined(ids), |_, state| {
            let found = reads::network_interfaces(state, ids);
            let pages = filtered_pages(ids.len(), found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn group_interfaces(
        &self,
        region: &Region,
        group: &SecurityGroupId,
    ) -> Result<Vec<NetworkInterface>, AwsError> {
        self.read(("ec2", "DescribeNetworkInterfaces"), region, group.to_string(), |_, state| {
            let found = reads::group_interfaces(state, group);
            let pages = pages(found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn vpc_interfaces(&self, region: &Region, vpc: &VpcId) -> Result<Vec<NetworkInterface>, AwsError> {
        self.read(("ec2", "DescribeNetworkInterfaces"), region, vpc.to_string(), |_, state| {
            let found = reads::vpc_interfaces(state, vpc);
            let pages = pages(found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn referring_groups(&self, region: &Region, group: &SecurityGroupId) -> Result<Vec<SecurityGroup>, AwsError> {
        let mut found = Vec::new();
        for egress in [false, true] {
            found.extend(
                self.read(("ec2", "DescribeSecurityGroups"), region, group.to_string(), |_, state| {
                    let found = reads::referring_groups(state, group, egress);
                    let pages = pages(found.len(), EC2_PAGE);
                    (found, pages)
                })
                .await?,
            );
        }
        Ok(found)
    }

    async fn security_groups(&self, region: &Region, tag: (&str, &str)) -> Result<Vec<SecurityGroup>, AwsError> {
        let resource = format!("{}={}", tag.0, tag.1);
        self.read(("ec2", "DescribeSecurityGroups"), region, resource, |_, state| {
            let found = reads::security_groups(state, tag);
            let pages = pages(found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn vpc_security_groups(
        &self,
        region: &Region,
        tag: (&str, &str),
        vpc: &VpcId,
    ) -> Result<Vec<SecurityGroup>, AwsError> {
        let resource = format!("{}={} {vpc}", tag.0, tag.1);
        self.read(("ec2", "DescribeSecurityGroups"), region, resource, |_, state| {
            let mut found = reads::security_groups(state, tag);
            found.retain(|group| group.vpc == *vpc);
            let pages = pages(found.len(), EC2_PAGE);
            (found, pages)
        })
        .await
    }

    async fn functions(&self, region: &Region) -> Result<Vec<FunctionListing>, AwsError> {
        self.read(("lambda", "ListFunctions"), region, String::new(), |_, state| {
            let found = reads::functions(state);
            let pages = pages(found.len(), FUNCTIONS_PAGE);
            (found, pages)
        })
        .await
    }

    async fn function(&self, region: &Region, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        self.read(("lambda", "GetFunction"), region, name.to_string(), |_, state| (reads::function(state, name), 1))
            .await
    }

    async fn probe(&self, region: &Region, name: &FunctionName) -> Result<Invocation, AwsError> {
        let (service, operation) = ("lambda", "Invoke");
        let call = Call { service, operation, write: false, region, resource: name.to_string() };
        self.call(call, |world| invoke::probe(Arc::make_mut(world), region, name).map(|invocation| (invocation, 1)))
            .await
    }

    async fn log_groups(&self, region: &Region, prefix: &str) -> Result<Vec<LogGroup>, AwsError> {
        self.read(("logs", "DescribeLogGroups"), region, prefix.to_owned(), |_, state| {
            let found = reads::log_groups(state, prefix);
            let pages = pages(found.len(), LOG_GROUPS_PAGE);
            (found, pages)
        })
        .await
    }

    async fn log_group_tags(&self, region: &Region, group: &LogGroup) -> Result<Option<Tags>, AwsError> {
        self.read(("logs", "ListTagsForResource"), region, group.name.to_string(), |_, state| {
            (reads::log_group_tags(state, &group.arn), 1)
        })
        .await
    }

    async fn roles(&self, region: &Region, path: &str) -> Result<Vec<Role>, AwsError> {
        self.read(("iam", "GetAccountAuthorizationDetails"), region, path.to_owned(), |world, _| {
            // The call cannot filter by path: it pages through all roles of the account.
            let (all, below) = (reads::roles(world), format!(":role{path}"));
            let pages = pages(all.len(), ROLES_PAGE);
            (all.into_iter().filter(|role| role.arn.contains(&below)).collect(), pages)
        })
        .await
    }

    async fn role_listings(&self, region: &Region, path: &str) -> Result<Vec<RoleListing>, AwsError> {
        self.read(("iam", "ListRoles"), region, path.to_owned(), |world, _| {
            let below = format!(":role{path}");
            let listed: Vec<_> =
                reads::role_listings(world).into_iter().filter(|role| role.arn.contains(&below)).collect();
            let pages = pages(listed.len(), ROLES_PAGE);
            (listed, pages)
        })
        .await
    }

    async fn role(&self, region: &Region, name: &RoleName) -> Result<Option<Role>, AwsError> {
        let look =
            |world: &World, _: &RegionState| (reads::roles(world).into_iter().find(|role| role.name == *name), 1);
        let Some(role) = self.read(("iam", "GetRole"), region, name.to_string(), look).await? else { return Ok(None) };
        self.read(("iam", "ListRolePolicies"), region, name.to_string(), look).await?;
        for policy in role.inline_policies.keys() {
            self.read(("iam", "GetRolePolicy"), region, format!("{name}/{policy}"), look).await?;
        }
        self.read(("iam", "ListAttachedRolePolicies"), region, name.to_string(), look).await
    }

    fn keep_regions(&self, used: &BTreeSet<Region>) {
        self.clients().retain(|region| used.contains(region));
    }

    async fn make(&self, region: &Region, write: &Write) -> Result<Made, AwsError> {
        let Some(Lateness { by, after_the_work, .. }) = self.take_lateness() else {
            return self.write_now(region, write).await;
        };
        let (aws, region, write) = (self.clone(), region.clone(), write.clone());
        // This task outlives its caller.
        let late = tokio::spawn(async move {
            if after_the_work {
                let written = aws.write_now(&region, &write).await;
                tokio::time::sleep(by).await;
                return written;
            }
            tokio::time::sleep(by).await;
            aws.write_now(&region, &write).await
        });
        late.await.expect("AWS does not panic")
    }
}

impl MemoryAws {
    async fn write_now(&self, region: &Region, write: &Write) -> Result<Made, AwsError> {
        let Operation { service, name: operation, .. } = write.operation();
        let call = Call { service, operation, write: true, region, resource: write.resource() };
        if self.takes_in_vain((service, operation)) {
            return self.call(call, |_| Ok((Made::from(Written::Done), 1))).await;
        }
        self.call(call, |world| {
            let written = self.carry_out(Arc::make_mut(world), region, write)?;
            Ok((Made { written, shown: reads::answered(world, region, write) }, 1))
        })
        .await
    }
}

/// The number of calls for a list: at least one, even for an empty list.
fn pages(rows: usize, page: usize) -> usize {
    rows.div_ceil(page).max(1)
}

/// The number of calls for a list that is filtered by ids, which fit into several filters.
fn filtered_pages(ids: usize, rows: usize, page: usize) -> usize {
    pages(rows, page).max(ids.div_ceil(FILTER_VALUES))
}

fn joined<T: Display>(ids: &BTreeSet<T>) -> String {
    ids.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
