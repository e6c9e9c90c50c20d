import http.client
import json
import threading
import time
import urllib.parse

from botocore.exceptions import ClientError, ConnectionClosedError
from harness import Case, admin, client, make_vpc, url
from test_functions import FunctionCase


class Journal(FunctionCase):
    def test_calls_without_secrets(self):
        start = admin("GET", "journal")["next"]
        self.create(Environment={"Variables": {"KEY": "s3cret"}})
        self.refused("ResourceNotFoundException", self.functions.get_function, FunctionName="nobody")
        journal = admin("GET", f"journal?since={start}")
        created, looked = journal["calls"]
        self.assertEqual(
            (created["service"], created["operation"], created["write"], created["status"], created["region"]),
            ("lambda", "CreateFunction", True, 201, "us-east-1"),
        )
        self.assertEqual(created["params"]["FunctionName"], self.name)
        self.assertEqual(created["params"]["Environment"], {"Variables": {"KEY": "…"}})
        self.assertEqual(created["params"]["Code"], {"ZipFile": "…"})
        self.assertNotIn("s3cret", json.dumps(journal))
        self.assertEqual(
            (looked["operation"], looked["write"], looked["errorCode"]),
            ("GetFunction", False, "ResourceNotFoundException"),
        )
        self.assertEqual(admin("GET", f"journal?since={journal['next']}")["calls"], [])

    def test_parameters_of_query_calls(self):
        start = admin("GET", "journal")["next"]
        filters = [{"Name": "vpc-id", "Values": ["vpc-1", "vpc-2"]}]
        client("ec2").describe_vpcs(Filters=filters)
        (call,) = admin("GET", f"journal?since={start}")["calls"]
        self.assertEqual(call["params"], {"Filters": filters})


class FaultsOnDemand(Case):
    def setUp(self):
        super().setUp()
        self.ec2 = client("ec2")
        self.vpc = make_vpc()["vpcId"]
        self.params = {"GroupName": "g", "Description": "g", "VpcId": self.vpc}

    def groups(self):
        found = self.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        return len(found["SecurityGroups"]) - 1  # the default one

    def test_an_error_before_the_work(self):
        fault = {
            "service": "ec2",
            "operation": "CreateSecurityGroup",
            "errorCode": "RequestLimitExceeded",
            "status": 503,
        }
        left = admin("POST", "faults", {**fault, "count": 2})
        self.assertEqual(left["faults"][0]["count"], 2)
        self.refused("RequestLimitExceeded", self.ec2.create_security_group, **self.params)
        self.refused("RequestLimitExceeded", self.ec2.create_security_group, **self.params)
        self.assertEqual((admin("GET", "faults"), self.groups()), ({"faults": []}, 0))
        self.ec2.create_security_group(**self.params)

    def test_an_answer_lost_after_the_work(self):
        admin("POST", "faults", {"service": "ec2", "operation": "CreateSecurityGroup", "when": "after"})
        with self.assertRaises(ConnectionClosedError):
            self.ec2.create_security_group(**self.params)
        self.assertEqual(self.groups(), 1)
        self.refused("InvalidGroup.Duplicate", self.ec2.create_security_group, **self.params)

    def test_every_protocol_says_it_in_its_own_way(self):
        admin(
            "POST",
            "faults",
            {"service": "*", "operation": "*", "errorCode": "ThrottlingException", "status": 429, "count": 9},
        )
        for service, call in (
            ("ec2", "describe_vpcs"),
            ("iam", "list_roles"),
            ("lambda", "list_functions"),
            ("logs", "describe_log_groups"),
            ("sts", "get_caller_identity"),
        ):
            with self.subTest(service), self.assertRaises(ClientError) as raised:
                getattr(client(service), call)()
            self.assertEqual(raised.exception.response["Error"]["Code"], "ThrottlingException")
        admin("DELETE", "faults")
        self.ec2.describe_vpcs()


class Inventory(FunctionCase):
    def test_shows_what_was_made_and_nothing_else(self):
        region = "ap-southeast-2"
        before = admin("GET", f"inventory?region={region}")
        vpc = make_vpc(region=region, route="nat")
        ec2, logs = client("ec2", region), client("logs", region)
        tags = [{"Key": "owner", "Value": "me"}]
        group = ec2.create_security_group(
            GroupName="g",
            Description="g",
            VpcId=vpc["vpcId"],
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )["GroupId"]
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpc["vpcId"], VpcEndpointType="Interface", ServiceName=f"com.amazonaws.{region}.kms",
            SubnetIds=vpc["subnetIds"], SecurityGroupIds=[group],
        )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
        logs.create_log_group(logGroupName="/l", tags={"owner": "me"})
        made = admin("GET", f"inventory?region={region}")
        self.assertEqual(made["securityGroups"], [{"id": group, "tags": {"owner": "me"}}])
        self.assertEqual([e["id"] for e in made["endpoints"]], [endpoint])
        self.assertEqual(len(made["interfaces"]), 2)
        self.assertEqual(made["logGroups"], [{"id": "/l", "tags": {"owner": "me"}}])
        self.assertIn(self.role.rpartition("/")[2], [r["id"] for r in made["roles"]])
        ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
        ec2.delete_security_group(GroupId=group)
        logs.delete_log_group(logGroupName="/l")
        self.assertEqual(admin("GET", f"inventory?region={region}"), before)


class Wire(Case):
    def test_every_answer_has_a_request_id(self):
        vpc = make_vpc()["vpcId"]
        for service, call, params in (
            ("ec2", "describe_vpcs", {}), ("ec2", "delete_vpc", {"VpcId": vpc}), ("iam", "list_roles", {}),
            ("lambda", "list_functions", {}), ("logs", "describe_log_groups", {}), ("sts", "get_caller_identity", {}),
            ("ec2", "describe_vpcs", {"VpcIds": ["vpc-1"]}), ("iam", "get_role", {"RoleName": "nobody"}),
            ("lambda", "get_function", {"FunctionName": "nobody"}),
        ):  # fmt: skip
            with self.subTest(f"{service}.{call} {params}"):
                try:
                    answer = getattr(client(service), call)(**params)
                except ClientError as error:
                    answer = error.response
                self.assertGreaterEqual(len(answer["ResponseMetadata"]["RequestId"]), 36)

    def test_fast_enough(self):
        """The end-to-end tests need 300 calls a second."""
        host = urllib.parse.urlsplit(url()).netloc
        scope = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=y"
        headers = {"Authorization": scope, "Content-Type": "application/x-www-form-urlencoded"}
        body = "Action=DescribeVpcs&Version=2016-11-15"

        def work():
            connection = http.client.HTTPConnection(host)
            for _ in range(100):
                connection.request("POST", "/", body, headers)
                response = connection.getresponse()
                self.assertIn(b"</DescribeVpcsResponse>", response.read())
            connection.close()

        started = time.monotonic()
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreater(800 / (time.monotonic() - started), 300)
