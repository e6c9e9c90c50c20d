import json
from concurrent.futures import ThreadPoolExecutor

from harness import Case, admin, client, make_vpc

BEDROCK = "com.amazonaws.us-east-1.bedrock-runtime"
PUBLIC = "bedrock-runtime.us-east-1.amazonaws.com"


class Endpoints(Case):
    def setUp(self):
        super().setUp()
        self.ec2 = client("ec2")
        self.vpc = make_vpc()
        self.group = self.ec2.create_security_group(
            GroupName="endpoints", Description="endpoints", VpcId=self.vpc["vpcId"]
        )["GroupId"]

    def params(self, **more):
        return {
            "VpcEndpointType": "Interface",
            "VpcId": self.vpc["vpcId"],
            "ServiceName": BEDROCK,
            "SubnetIds": self.vpc["subnetIds"],
            "SecurityGroupIds": [self.group],
            "PrivateDnsEnabled": False,
            **more,
        }

    def create(self, **more):
        return self.ec2.create_vpc_endpoint(**self.params(**more))["VpcEndpoint"]

    def described(self, endpoint_id):
        found = self.ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-endpoint-id", "Values": [endpoint_id]}])
        return next(iter(found["VpcEndpoints"]), None)

    def test_one_token_from_many_threads_gives_one_endpoint(self):
        params = self.params(ClientToken=f"{self.name}-{self.group}")
        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(lambda _: self.ec2.create_vpc_endpoint(**params)["VpcEndpoint"], range(16)))
        self.assertEqual(len({endpoint["VpcEndpointId"] for endpoint in made}), 1)
        self.assertEqual(len(self.ec2.describe_vpc_endpoints(Filters=[self.in_vpc()])["VpcEndpoints"]), 1)

    def test_without_a_delay_the_next_look_sees_it_available(self):
        endpoint = self.create()
        self.assertEqual(endpoint["State"], "pending")
        self.assertEqual(self.described(endpoint["VpcEndpointId"])["State"], "available")

    def test_states_in_pascal_case(self):
        admin("PUT", "settings", {"pascalCaseStates": True})
        endpoint = self.create()
        self.assertEqual(endpoint["State"], "Pending")
        self.assertEqual(self.described(endpoint["VpcEndpointId"])["State"], "Available")

    def test_one_managed_interface_per_subnet(self):
        endpoint = self.create()
        found = self.ec2.describe_network_interfaces(NetworkInterfaceIds=endpoint["NetworkInterfaceIds"])
        interfaces = found["NetworkInterfaces"]
        self.assertEqual({i["SubnetId"] for i in interfaces}, set(self.vpc["subnetIds"]))
        self.assertEqual(len({i["PrivateIpAddress"] for i in interfaces}), 2)
        for interface in interfaces:
            self.assertTrue(interface["RequesterManaged"])
            self.assertEqual(interface["InterfaceType"], "vpc_endpoint")
            self.assertEqual([g["GroupId"] for g in interface["Groups"]], [self.group])
            self.assertEqual(interface["Description"], f"VPC Endpoint Interface {endpoint['VpcEndpointId']}")

    def test_defaults_are_those_of_aws(self):
        gateway = self.ec2.create_vpc_endpoint(VpcId=self.vpc["vpcId"], ServiceName="com.amazonaws.us-east-1.s3")
        self.assertEqual(gateway["VpcEndpoint"]["VpcEndpointType"], "Gateway")
        self.assertIn(
            "does not match",
            self.refused(
                "InvalidParameter", self.ec2.create_vpc_endpoint, VpcId=self.vpc["vpcId"], ServiceName=BEDROCK
            ),
        )
        params = self.params()
        del params["SecurityGroupIds"], params["PrivateDnsEnabled"]
        endpoint = self.ec2.create_vpc_endpoint(**params)["VpcEndpoint"]
        self.assertEqual([g["GroupName"] for g in endpoint["Groups"]], ["default"])
        self.assertTrue(endpoint["PrivateDnsEnabled"])
        statement = json.loads(endpoint["PolicyDocument"])["Statement"][0]
        self.assertEqual((statement["Principal"], statement["Action"]), ("*", "*"))

    def in_vpc(self):
        return {"Name": "vpc-id", "Values": [self.vpc["vpcId"]]}

    def test_a_shared_vpc_belongs_to_its_owner(self):
        shared = make_vpc(owner="999999999999")
        (vpc,) = self.ec2.describe_vpcs(VpcIds=[shared["vpcId"]])["Vpcs"]
        subnets = self.ec2.describe_subnets(SubnetIds=shared["subnetIds"])["Subnets"]
        self.assertEqual({vpc["OwnerId"], *(subnet["OwnerId"] for subnet in subnets)}, {"999999999999"})
        params = {"VpcId": shared["vpcId"], "SubnetIds": shared["subnetIds"], "SecurityGroupIds": []}
        self.refused("OperationNotPermitted", self.ec2.create_vpc_endpoint, **self.params(**params))

    def test_dns_names(self):
        endpoint = self.create()
        names = [entry["DnsName"] for entry in endpoint["DnsEntries"]]
        self.assertRegex(
            names[0], rf"^{endpoint['VpcEndpointId']}-\w{{8}}\.bedrock-runtime\.us-east-1\.vpce\.amazonaws\.com$"
        )
        self.assertEqual([n.split(".")[0][-11:] for n in names[1:]], ["-us-east-1a", "-us-east-1b"])
        self.assertNotIn(PUBLIC, names)
        private = make_vpc()
        names = self.create(
            VpcId=private["vpcId"], SubnetIds=private["subnetIds"], SecurityGroupIds=[], PrivateDnsEnabled=True
        )["DnsEntries"]
        self.assertEqual(names[-1]["DnsName"], PUBLIC)

    def test_tags_filters_and_pages(self):
        ids = []
        for number, service in enumerate(("bedrock-runtime", "kms", "logs")):
            tags = [{"Key": "n", "Value": str(number)}, {"Key": "test", "Value": self.vpc["vpcId"]}]
            endpoint = self.create(
                ServiceName=f"com.amazonaws.us-east-1.{service}",
                TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": tags}],
            )
            self.assertEqual(endpoint["Tags"], tags)
            ids.append(endpoint["VpcEndpointId"])

        def found(**filters):
            asked = [{"Name": name.replace("_", "-").replace("--", ":"), "Values": v} for name, v in filters.items()]
            mine = {"Name": "tag:test", "Values": [self.vpc["vpcId"]]}
            return [e["VpcEndpointId"] for e in self.ec2.describe_vpc_endpoints(Filters=[mine, *asked])["VpcEndpoints"]]

        self.assertEqual(found(), ids)
        self.assertEqual(found(tag__n=["0", "2"]), [ids[0], ids[2]])
        self.assertEqual(found(vpc_id=[self.vpc["vpcId"], "vpc-1"]), ids)
        self.assertEqual(found(service_name=[BEDROCK, "*.logs"]), [ids[0], ids[2]])
        self.assertEqual(found(vpc_endpoint_state=["available", "pending"]), ids)
        self.assertEqual(found(vpc_endpoint_type=["Gateway"]), [])
        pages = self.ec2.get_paginator("describe_vpc_endpoints").paginate(
            Filters=[self.in_vpc()], PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([len(page["VpcEndpoints"]) for page in pages], [2, 1])
        self.ec2.create_tags(Resources=ids[:1], Tags=[{"Key": "n", "Value": "9"}])
        self.assertEqual(found(tag__n=["9"]), ids[:1])
        self.ec2.delete_tags(Resources=ids[:1], Tags=[{"Key": "n"}])
        self.assertEqual(found(tag_key=["n"]), ids[1:])
        self.refused("InvalidVpcEndpointId.NotFound", self.ec2.create_tags, Resources=["vpce-1"], Tags=[])

    def test_services(self):
        admin("PUT", "settings", {"serviceZones": {"kms": ["a", "b"]}, "servicesWithoutPolicy": ["kms"]})
        describe = self.ec2.describe_vpc_endpoint_services
        for short in ("bedrock", "bedrock-runtime", "lambda", "secretsmanager", "logs", "sts"):
            name = f"com.amazonaws.us-east-1.{short}"
            (service,) = describe(ServiceNames=[name])["ServiceDetails"]
            self.assertEqual(service["AvailabilityZones"], ["us-east-1a", "us-east-1b", "us-east-1c"])
            self.assertEqual(service["ServiceType"], [{"ServiceType": "Interface"}])
            self.assertEqual(service["PrivateDnsName"], f"{short}.us-east-1.amazonaws.com")
            self.assertTrue(service["VpcEndpointPolicySupported"])
        (kms,) = describe(ServiceNames=["com.amazonaws.us-east-1.kms"])["ServiceDetails"]
        self.assertEqual(kms["AvailabilityZones"], ["us-east-1a", "us-east-1b"])
        self.assertFalse(kms["VpcEndpointPolicySupported"])
        self.refused("InvalidServiceName", describe, ServiceNames=["com.amazonaws.us-east-1.no-such"])
        self.refused("InvalidServiceName", self.ec2.create_vpc_endpoint, **self.params(ServiceName="com.example"))
