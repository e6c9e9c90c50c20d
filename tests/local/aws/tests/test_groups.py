from harness import Case, client, make_vpc

EVERYWHERE = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def https(**target):
    return [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **target}]


def from_group(group_id):
    return https(UserIdGroupPairs=[{"GroupId": group_id}])


def from_cidr(*cidrs):
    return https(IpRanges=[{"CidrIp": cidr} for cidr in cidrs])


class Groups(Case):
    def setUp(self):
        super().setUp()
        self.ec2 = client("ec2")
        self.vpc = make_vpc()
        self.group = self.create("first")

    def create(self, name, **more):
        params = {"GroupName": name, "Description": "test", "VpcId": self.vpc["vpcId"], **more}
        return self.ec2.create_security_group(**params)["GroupId"]

    def described(self, group_id=None):
        return self.ec2.describe_security_groups(GroupIds=[group_id or self.group])["SecurityGroups"][0]

    def allow(self, permissions, **more):
        return self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=permissions, **more)

    def test_with_ipv6_there_are_two_default_rules(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
        (egress,) = self.described(self.create("six", VpcId=vpc))["IpPermissionsEgress"]
        self.assertEqual(egress["Ipv6Ranges"], [{"CidrIpv6": "::/0"}])

    def test_rules_are_canonical_and_unique(self):
        answer = self.allow(from_cidr("100.68.0.18/18"))
        self.assertEqual(answer["SecurityGroupRules"][0]["CidrIpv4"], "100.68.0.0/18")
        for same in ("100.68.0.0/18", "100.68.1.1/18"):
            self.refused("InvalidPermission.Duplicate", self.allow, permissions=from_cidr(same))
        self.refused("InvalidParameterValue", self.allow, permissions=from_cidr("10.0.0.0/33"))
        number = https(IpRanges=[{"CidrIp": "100.68.0.0/18", "Description": "words do not count"}])
        number[0]["IpProtocol"] = "6"
        self.refused("InvalidPermission.Duplicate", self.allow, permissions=number)

    def test_references_to_groups(self):
        other = self.create("other")
        rule = self.allow(
            https(UserIdGroupPairs=[{"GroupId": other, "Description": "clients"}]),
            TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "b"}]}],
        )["SecurityGroupRules"][0]
        self.assertEqual(rule["ReferencedGroupInfo"]["GroupId"], other)
        self.assertEqual((rule["Description"], rule["Tags"]), ("clients", [{"Key": "a", "Value": "b"}]))
        (permission,) = self.described()["IpPermissions"]
        pair = permission["UserIdGroupPairs"][0]
        self.assertEqual((pair["GroupId"], pair["Description"]), (other, "clients"))
        self.refused("InvalidPermission.Duplicate", self.allow, permissions=from_group(other))
        self.refused("InvalidGroup.NotFound", self.allow, permissions=from_group("sg-0123456789abcdef0"))
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=other)
        self.ec2.revoke_security_group_ingress(GroupId=self.group, IpPermissions=from_group(other))
        self.ec2.delete_security_group(GroupId=other)
        self.refused("InvalidGroup.NotFound", self.described, group_id=other)

    def test_revoking_is_all_or_nothing(self):
        ids = [r["SecurityGroupRuleId"] for r in self.allow(from_cidr("10.0.0.0/16"))["SecurityGroupRules"]]
        revoke = self.ec2.revoke_security_group_ingress
        both = from_cidr("10.0.0.0/16", "10.9.0.0/16")
        self.refused("InvalidPermission.NotFound", revoke, GroupId=self.group, IpPermissions=both)
        self.assertEqual(len(self.described()["IpPermissions"]), 1)
        unknown = {"GroupId": self.group, "SecurityGroupRuleIds": ["sgr-0123456789abcdef0"]}
        self.refused("InvalidSecurityGroupRuleId.NotFound", revoke, **unknown)
        revoked = revoke(GroupId=self.group, SecurityGroupRuleIds=ids)["RevokedSecurityGroupRules"]
        self.assertEqual(revoked[0]["CidrIpv4"], "10.0.0.0/16")
        self.assertEqual(self.described()["IpPermissions"], [])

    def test_at_most_60_rules(self):
        self.allow(from_cidr(*(f"10.0.{n}.0/24" for n in range(60))))
        self.refused("RulesPerSecurityGroupLimitExceeded", self.allow, permissions=from_cidr("10.1.0.0/24"))
        self.allow(https(Ipv6Ranges=[{"CidrIpv6": "2001:db8::/32"}]))

    def test_rules_have_ids_and_filters(self):
        self.allow(from_cidr("10.0.0.0/16"))
        rules = self.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [self.group]}])
        self.assertEqual(
            {(r["IsEgress"], r["FromPort"]) for r in rules["SecurityGroupRules"]}, {(True, -1), (False, 443)}
        )

    def test_groups_are_found_by_tag_and_vpc(self):
        tags = [{"Key": "owner", "Value": self.vpc["vpcId"]}]
        made = self.create("tagged", TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}])
        filters = [
            {"Name": "tag:owner", "Values": [self.vpc["vpcId"]]},
            {"Name": "vpc-id", "Values": [self.vpc["vpcId"]]},
        ]
        found = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        self.assertEqual([(g["GroupId"], g["Tags"]) for g in found], [(made, tags)])
        self.refused(
            "InvalidParameterValue", self.ec2.describe_security_groups, Filters=[{"Name": "nope", "Values": []}]
        )

class Vpcs(Case):
    def setUp(self):
        super().setUp()
        self.ec2 = client("ec2")

    def routes(self, subnet_id):
        asked = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
        (table,) = self.ec2.describe_route_tables(Filters=asked)["RouteTables"]
        return {r["DestinationCidrBlock"]: r.get("NatGatewayId") or r["GatewayId"] for r in table["Routes"]}

    def test_ways_out(self):
        isolated, nat, public = (make_vpc(route=route, azs=["a", "c"]) for route in ("isolated", "nat", "public"))
        self.assertEqual(self.routes(isolated["subnetIds"][0]), {"10.0.0.0/16": "local"})
        self.assertTrue(self.routes(nat["subnetIds"][1])["0.0.0.0/0"].startswith("nat-"))
        self.assertTrue(self.routes(nat["publicSubnetIds"][0])["0.0.0.0/0"].startswith("igw-"))
        self.assertTrue(self.routes(public["subnetIds"][0])["0.0.0.0/0"].startswith("igw-"))
        subnets = self.ec2.describe_subnets(SubnetIds=isolated["subnetIds"])["Subnets"]
        self.assertEqual([s["AvailabilityZone"] for s in subnets], ["us-east-1a", "us-east-1c"])

    def test_vpcs(self):
        vpc = make_vpc(tenancy="dedicated", dnsSupport=False)["vpcId"]
        (shown,) = self.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
        self.assertEqual(shown["InstanceTenancy"], "dedicated")
        support = self.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")["EnableDnsSupport"]
        self.assertEqual(support, {"Value": False})
        self.refused("InvalidVpcID.NotFound", self.ec2.describe_vpcs, VpcIds=["vpc-0123456789abcdef0"])
        self.refused("InvalidSubnetID.NotFound", self.ec2.describe_subnets, SubnetIds=["subnet-0123456789abcdef0"])
        self.refused(
            "InvalidRouteTableID.NotFound", self.ec2.describe_route_tables, RouteTableIds=["rtb-0123456789abcdef0"]
        )

    def test_pages(self):
        vpc = make_vpc(azs=["a", "b", "c"] * 3)
        mine = [{"Name": "vpc-id", "Values": [vpc["vpcId"]]}]
        pages = self.ec2.get_paginator("describe_subnets").paginate(Filters=mine, PaginationConfig={"PageSize": 5})
        self.assertEqual([len(page["Subnets"]) for page in pages], [5, 4])
        both = {"SubnetIds": vpc["subnetIds"], "MaxResults": 5}
        self.refused("InvalidParameterCombination", self.ec2.describe_subnets, **both)

    def test_moto_answers_the_rest(self):
        vpc = self.ec2.create_vpc(
            CidrBlock="10.7.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]
        )["Vpc"]
        (shown,) = self.ec2.describe_vpcs(Filters=[{"Name": "tag:a", "Values": ["b"]}])["Vpcs"]
        self.assertEqual(shown["VpcId"], vpc["VpcId"])
        self.ec2.delete_vpc(VpcId=vpc["VpcId"])

    def test_what_is_in_use_is_not_deleted(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.0.0/24", AvailabilityZone="us-east-1a")["Subnet"][
            "SubnetId"
        ]
        endpoint = self.ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName="com.amazonaws.us-east-1.kms",
            VpcEndpointType="Interface",
            SubnetIds=[subnet],
            PrivateDnsEnabled=False,
        )["VpcEndpoint"]["VpcEndpointId"]
        self.refused("DependencyViolation", self.ec2.delete_subnet, SubnetId=subnet)
        self.refused("DependencyViolation", self.ec2.delete_vpc, VpcId=vpc)
        self.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
        self.ec2.delete_subnet(SubnetId=subnet)
        self.ec2.delete_vpc(VpcId=vpc)
        self.refused("InvalidVpcID.NotFound", self.ec2.delete_vpc, VpcId=vpc)

    def test_regions_are_apart(self):
        vpc = make_vpc(region="eu-central-1")["vpcId"]
        self.refused("InvalidVpcID.NotFound", self.ec2.describe_vpcs, VpcIds=[vpc])
        client("ec2", "eu-central-1").describe_vpcs(VpcIds=[vpc])
