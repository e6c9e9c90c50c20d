"""EC2: the operator's reads and writes of VPCs, security groups, interfaces and endpoints."""

from . import endpoint_changes, endpoint_services, endpoints, interfaces, rules, security_groups, tags, vpcs

HANDLERS = {
    "DescribeVpcs": vpcs.describe_vpcs,
    "DescribeVpcAttribute": vpcs.describe_vpc_attribute,
    "ModifyVpcAttribute": vpcs.modify_vpc_attribute,
    "DeleteVpc": vpcs.delete_vpc,
    "DeleteSubnet": vpcs.delete_subnet,
    "DescribeSubnets": vpcs.describe_subnets,
    "DescribeRouteTables": vpcs.describe_route_tables,
    "DescribeSecurityGroups": security_groups.describe_security_groups,
    "DescribeSecurityGroupRules": rules.describe_security_group_rules,
    "CreateSecurityGroup": security_groups.create_security_group,
    "DeleteSecurityGroup": security_groups.delete_security_group,
    "AuthorizeSecurityGroupIngress": rules.authorize_ingress,
    "AuthorizeSecurityGroupEgress": rules.authorize_egress,
    "RevokeSecurityGroupIngress": rules.revoke_ingress,
    "RevokeSecurityGroupEgress": rules.revoke_egress,
    "DescribeNetworkInterfaces": interfaces.describe_network_interfaces,
    "DeleteNetworkInterface": interfaces.delete_network_interface,
    "CreateTags": tags.create_tags,
    "DeleteTags": tags.delete_tags,
    "DescribeVpcEndpointServices": endpoint_services.describe_vpc_endpoint_services,
    "DescribeVpcEndpoints": endpoints.describe_vpc_endpoints,
    "CreateVpcEndpoint": endpoint_changes.create_vpc_endpoint,
    "ModifyVpcEndpoint": endpoint_changes.modify_vpc_endpoint,
    "DeleteVpcEndpoints": endpoint_changes.delete_vpc_endpoints,
}
