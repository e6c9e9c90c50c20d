//! EC2: the topology of a VPC, security groups, VPC endpoints.

mod facts;
mod rules;
mod writes;

use std::collections::BTreeSet;

use aws_sdk_ec2::{
    Client,
    operation::{
        describe_network_interfaces::DescribeNetworkInterfacesOutput, describe_route_tables::DescribeRouteTablesOutput,
        describe_security_groups::DescribeSecurityGroupsOutput, describe_subnets::DescribeSubnetsOutput,
        describe_vpc_endpoints::DescribeVpcEndpointsOutput, describe_vpcs::DescribeVpcsOutput,
    },
    types::{AttributeBooleanValue, Filter, VpcAttributeName},
};

use super::{
    calls::{Calls, RegionCalls, pages},
    error::needed,
};
use crate::aws::{
    AwsError, EndpointService, Failure, NetworkInterface, NetworkInterfaceId, RouteTable, SecurityGroup,
    SecurityGroupId, Subnet, VpcDns, VpcEndpoint, VpcId, VpcListing,
};

pages! {
    DescribeNetworkInterfacesOutput: next_token,
    DescribeRouteTablesOutput: next_token,
    DescribeSecurityGroupsOutput: next_token,
    DescribeSubnetsOutput: next_token,
    DescribeVpcEndpointsOutput: next_token,
    DescribeVpcsOutput: next_token,
}

/// EC2's pages of describes have at most 1,000 items.
const PAGE: i32 = 1_000;
/// Pages of route tables have at most 100.
const ROUTE_TABLE_PAGE: i32 = 100;
/// A filter has at most 200 values.
const FILTER_VALUES: usize = 200;

/// The calls to EC2 in one region.
pub(super) struct Ec2 {
    client: Client,
    calls: Calls,
}

/// Reads. Ids are always filters: a describe by id fails as a whole when one of the ids does not exist.
impl Ec2 {
    pub(super) fn new(client: Client, line: &RegionCalls) -> Self {
        Self { client, calls: Calls::of("ec2", line) }
    }

    pub(super) async fn vpcs(&self, ids: &BTreeSet<VpcId>) -> Result<Vec<VpcListing>, AwsError> {
        const OPERATION: &str = "DescribeVpcs";
        let mut found = Vec::new();
        for filter in filters("vpc-id", ids) {
            let pages = self.client.describe_vpcs().filters(filter).into_paginator().page_size(PAGE).send();
            found.extend(self.calls.list(OPERATION, pages, DescribeVpcsOutput::vpcs, facts::vpc).await?);
        }
        Ok(found)
    }

    /// `None` when the VPC was deleted after the list.
    pub(super) async fn vpc_dns(&self, vpc: &VpcId) -> Result<Option<VpcDns>, AwsError> {
        let both = futures::try_join!(
            self.attribute(vpc, VpcAttributeName::EnableDnsSupport),
            self.attribute(vpc, VpcAttributeName::EnableDnsHostnames),
        );
        match both {
            Ok((support, hostnames)) => Ok(Some(VpcDns { support, hostnames })),
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one attribute: the call takes one only.
    async fn attribute(&self, vpc: &VpcId, name: VpcAttributeName) -> Result<bool, AwsError> {
        const OPERATION: &str = "DescribeVpcAttribute";
        let hostnames = name == VpcAttributeName::EnableDnsHostnames;
        let call = self.client.describe_vpc_attribute().vpc_id(vpc.as_str()).attribute(name).send();
        let answer = self.calls.observed(OPERATION, call).await?;
        let value = if hostnames { answer.enable_dns_hostnames() } else { answer.enable_dns_support() };
        let member = if hostnames { "EnableDnsHostnames.Value" } else { "EnableDnsSupport.Value" };
        needed(value.and_then(AttributeBooleanValue::value), member)
            .map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }

    pub(super) async fn subnets(&self, vpcs: &BTreeSet<VpcId>) -> Result<Vec<Subnet>, AwsError> {
        const OPERATION: &str = "DescribeSubnets";
        let subnets = DescribeSubnetsOutput::subnets;
        let mut found = Vec::new();
        for filter in filters("vpc-id", vpcs) {
            let pages = self.client.describe_subnets().filters(filter).into_paginator().page_size(PAGE).send();
            found.extend(self.calls.list_readable(OPERATION, pages, subnets, facts::subnet, |_| false).await?);
        }
        Ok(found)
    }

    pub(super) async fn route_tables(&self, vpcs: &BTreeSet<VpcId>) -> Result<Vec<RouteTable>, AwsError> {
        const OPERATION: &str = "DescribeRouteTables";
        let tables = DescribeRouteTablesOutput::route_tables;
        let mut found = Vec::new();
        for filter in filters("vpc-id", vpcs) {
            let call = self.client.describe_route_tables().filters(filter);
            let pages = call.into_paginator().page_size(ROUTE_TABLE_PAGE).send();
            found.extend(self.calls.list(OPERATION, pages, tables, facts::route_table).await?);
        }
        Ok(found)
    }

    /// EC2 refuses the whole request if one of the names is unknown. Then each name is requested alone.
    pub(super) async fn endpoint_services(&self, names: &BTreeSet<String>) -> Result<Vec<EndpointService>, AwsError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        match self.known_endpoint_services(names.iter().cloned().collect()).await {
            Err(error) if is_unknown_service(&error) => {}
            answer => return answer,
        }
        let mut found = Vec::new();
        for name in names {
            match self.known_endpoint_services(vec![name.clone()]).await {
                Err(error) if is_unknown_service(&error) => {}
                answer => found.extend(answer?),
            }
        }
        Ok(found)
    }

    /// The SDK has no paginator for this call.
    async fn known_endpoint_services(&self, names: Vec<String>) -> Result<Vec<EndpointService>, AwsError> {
        const OPERATION: &str = "DescribeVpcEndpointServices";
        let call = self.client.describe_vpc_endpoint_services().set_service_names(Some(names)).max_results(PAGE);
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.calls.observed(OPERATION, call.clone().set_next_token(token.take()).send()).await?;
            for service in page.service_details() {
                let service = facts::endpoint_service(service);
                found.extend(service.map_err(|malformed| self.calls.malformed(OPERATION, malformed))?);
            }
            match page.next_token().filter(|next| !next.is_empty()) {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(found),
            }
        }
    }

    pub(super) async fn vpc_endpoints(&self, vpcs: &BTreeSet<VpcId>) -> Result<Vec<VpcEndpoint>, AwsError> {
        const OPERATION: &str = "DescribeVpcEndpoints";
        let endpoints = DescribeVpcEndpointsOutput::vpc_endpoints;
        let mut found = Vec::new();
        for filter in filters("vpc-id", vpcs) {
            let pages = self.client.describe_vpc_endpoints().filters(filter).into_paginator().page_size(PAGE).send();
            found.extend(
                self.calls
                    .list_readable(OPERATION, pages, endpoints, facts::vpc_endpoint, facts::is_tagged_endpoint)
                    .await?,
            );
        }
        Ok(found)
    }

    pub(super) async fn tagged_endpoints(&self, (key, value): (&str, &str)) -> Result<Vec<VpcEndpoint>, AwsError> {
        const OPERATION: &str = "DescribeVpcEndpoints";
        let endpoints = DescribeVpcEndpointsOutput::vpc_endpoints;
        let filter = Filter::builder().name(format!("tag:{key}")).values(value).build();
        let pages = self.client.describe_vpc_endpoints().filters(filter).into_paginator().page_size(PAGE).send();
        self.calls.list_readable(OPERATION, pages, endpoints, facts::vpc_endpoint, facts::is_tagged_endpoint).await
    }

    pub(super) async fn network_interfaces(
        &self,
        ids: &BTreeSet<NetworkInterfaceId>,
    ) -> Result<Vec<NetworkInterface>, AwsError> {
        const OPERATION: &str = "DescribeNetworkInterfaces";
        let interfaces = DescribeNetworkInterfacesOutput::network_interfaces;
        let mut found = Vec::new();
        for filter in filters("network-interface-id", ids) {
            let call = self.client.describe_network_interfaces().filters(filter);
            let pages = call.into_paginator().page_size(PAGE).send();
            found.extend(
                self.calls
                    .list_readable(OPERATION, pages, interfaces, facts::network_interface, facts::is_of_a_path)
                    .await?,
            );
        }
        Ok(found)
    }

    pub(super) async fn group_interfaces(&self, group: &SecurityGroupId) -> Result<Vec<NetworkInterface>, AwsError> {
        self.filtered_interfaces("group-id", group.as_str()).await
    }

    pub(super) async fn vpc_interfaces(&self, vpc: &VpcId) -> Result<Vec<NetworkInterface>, AwsError> {
        self.filtered_interfaces("vpc-id", vpc.as_str()).await
    }

    async fn filtered_interfaces(&self, name: &str, value: &str) -> Result<Vec<NetworkInterface>, AwsError> {
        const OPERATION: &str = "DescribeNetworkInterfaces";
        let filter = Filter::builder().name(name).values(value).build();
        let pages = self.client.describe_network_interfaces().filters(filter).into_paginator().page_size(PAGE).send();
        let interfaces = DescribeNetworkInterfacesOutput::network_interfaces;
        self.calls.list_readable(OPERATION, pages, interfaces, facts::network_interface, facts::is_of_a_path).await
    }

    /// EC2 combines filters by "and", so each direction needs its own request.
    pub(super) async fn referring_groups(&self, group: &SecurityGroupId) -> Result<Vec<SecurityGroup>, AwsError> {
        const OPERATION: &str = "DescribeSecurityGroups";
        let groups = DescribeSecurityGroupsOutput::security_groups;
        let mut found = Vec::new();
        for rule in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
            let filter = Filter::builder().name(rule).values(group.as_str()).build();
            let call = self.client.describe_security_groups().filters(filter);
            let pages = call.into_paginator().page_size(PAGE).send();
            found.extend(self.calls.list(OPERATION, pages, groups, facts::security_group).await?);
        }
        Ok(found)
    }

    /// The groups with this tag, in one VPC or in the region.
    pub(super) async fn security_groups(
        &self,
        (key, value): (&str, &str),
        vpc: Option<&VpcId>,
    ) -> Result<Vec<SecurityGroup>, AwsError> {
        const OPERATION: &str = "DescribeSecurityGroups";
        let tagged = Filter::builder().name(format!("tag:{key}")).values(value).build();
        let within = vpc.map(|vpc| Filter::builder().name("vpc-id").values(vpc.as_str()).build());
        let filters = std::iter::once(tagged).chain(within).collect();
        let call = self.client.describe_security_groups().set_filters(Some(filters));
        let pages = call.into_paginator().page_size(PAGE).send();
        let groups = DescribeSecurityGroupsOutput::security_groups;
        self.calls.list(OPERATION, pages, groups, facts::security_group).await
    }
}

fn is_unknown_service(error: &AwsError) -> bool {
    error.code.as_deref() == Some("InvalidServiceName")
}

/// Filters that together match all of these ids. Without ids there is no filter.
fn filters<T: ToString + Ord>(name: &str, ids: &BTreeSet<T>) -> Vec<Filter> {
    strings(ids)
        .chunks(FILTER_VALUES)
        .map(|values| Filter::builder().name(name).set_values(Some(values.to_vec())).build())
        .collect()
}

fn strings<T: ToString>(ids: &BTreeSet<T>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_asked_for_two_hundred_at_a_time_and_not_at_all_when_there_are_none() {
        let ids: BTreeSet<u32> = (0..401).collect();
        let sizes: Vec<usize> = filters("vpc-id", &ids).iter().map(|filter| filter.values().len()).collect();
        assert_eq!(sizes, [200, 200, 1]);
        assert!(filters("vpc-id", &BTreeSet::<u32>::new()).is_empty());
    }
}
