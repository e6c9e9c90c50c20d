import base64
import hashlib
import io
import json
import zipfile

from botocore.exceptions import ClientError
from harness import SOON, Case, admin, client, eventually, make_vpc

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
INTERFACES = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "ec2:CreateNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DeleteNetworkInterface",
                ],
                "Resource": "*",
            }
        ],
    }
)


def zipped(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "."), (2020, 1, 1, 0, 0, 0)), text)
    return data.getvalue()


ECHO = zipped(index__mjs="export const handler = async (event) => ({ echo: event });")


class FunctionCase(Case):
    def setUp(self):
        super().setUp()
        self.functions, self.iam, self.ec2 = client("lambda", read_timeout=60), client("iam"), client("ec2")
        self.role = self.make_role(self.name[:60] + "-r")

    def make_role(self, name, policy=INTERFACES):
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        self.addCleanup(self.remove_role, name)
        if policy:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return arn

    def remove_role(self, name):
        try:
            for policy in self.iam.list_role_policies(RoleName=name)["PolicyNames"]:
                self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
            self.iam.delete_role(RoleName=name)
        except self.iam.exceptions.NoSuchEntityException:
            pass  # the test removed it

    def params(self, **more):
        return {
            "FunctionName": self.name,
            "Role": self.role,
            "Runtime": "nodejs24.x",
            "Handler": "index.handler",
            "Architectures": ["arm64"],
            "Code": {"ZipFile": ECHO},
            **more,
        }

    def create(self, **more):
        created = self.functions.create_function(**self.params(**more))
        self.addCleanup(self.remove, created["FunctionName"])
        return created

    def remove(self, name):
        try:
            self.functions.delete_function(FunctionName=name)
        except self.functions.exceptions.ResourceNotFoundException:
            pass  # the test removed it

    def get(self, name=None):
        return self.functions.get_function(FunctionName=name or self.name)

    def in_vpc(self, vpc):
        """A new security group in this VPC, with its VpcConfig."""
        group = self.ec2.create_security_group(GroupName=self.name, Description="f", VpcId=vpc["vpcId"])["GroupId"]
        return group, {"SubnetIds": vpc["subnetIds"], "SecurityGroupIds": [group]}

    def interfaces(self, group):
        found = self.ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [group]}])
        return found["NetworkInterfaces"]


class Functions(FunctionCase):
    def test_created_and_described(self):
        vpc = make_vpc()
        group, vpc_config = self.in_vpc(vpc)
        logging = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/custom/group"}
        created = self.create(
            VpcConfig=vpc_config,
            Environment={"Variables": {"GREETING": "hello"}},
            LoggingConfig=logging,
            Tags={"app": "bot"},
            MemorySize=256,
            Timeout=30,
        )
        self.assertEqual(created["State"], "Pending")
        self.assertEqual(created["CodeSha256"], base64.b64encode(hashlib.sha256(ECHO).digest()).decode())
        got = self.get()
        self.assertEqual(got["Tags"], {"app": "bot"})
        config = got["Configuration"]
        self.assertEqual((config["State"], config["LastUpdateStatus"]), ("Active", "Successful"))
        self.assertEqual(config["VpcConfig"]["VpcId"], vpc["vpcId"])
        self.assertEqual(config["VpcConfig"]["SecurityGroupIds"], [group])
        self.assertEqual((config["Runtime"], config["Architectures"]), ("nodejs24.x", ["arm64"]))
        self.assertEqual(config["LoggingConfig"], logging)
        self.assertEqual((config["MemorySize"], config["Timeout"]), (256, 30))
        self.assertEqual(config["Environment"]["Variables"], {"GREETING": "hello"})
        self.functions.tag_resource(Resource=config["FunctionArn"], Tags={"more": "1"})
        self.assertEqual(self.functions.list_tags(Resource=config["FunctionArn"])["Tags"], {"app": "bot", "more": "1"})
        self.functions.untag_resource(Resource=config["FunctionArn"], TagKeys=["app"])
        self.assertEqual(self.get()["Tags"], {"more": "1"})
        self.refused("ResourceConflictException", self.functions.create_function, **self.params())
        self.functions.delete_function(FunctionName=self.name)
        self.refused("ResourceNotFoundException", self.get)

    def test_the_list_pages_by_50_and_has_no_state(self):
        for number in range(53):
            self.create(FunctionName=f"{self.name}-{number:02}")
        first = self.functions.list_functions(MaxItems=1000)
        self.assertEqual(len(first["Functions"]), 50)
        second = self.functions.list_functions(Marker=first["NextMarker"])
        self.assertGreaterEqual(len(second["Functions"]), 3)
        self.assertNotIn("NextMarker", second)
        for function in first["Functions"] + second["Functions"]:
            self.assertFalse({"State", "StateReason", "LastUpdateStatus", "Tags"} & set(function))

    def test_the_role(self):
        admin("PUT", "delays", {"roleUsable": SOON})
        role = self.make_role(self.name + "-new")
        create, refused = self.functions.create_function, "InvalidParameterValueException"
        message = "The role defined for the function cannot be assumed by Lambda."
        self.assertEqual(self.refused(refused, create, **self.params(Role=role)), message)
        self.assertEqual(self.refused(refused, create, **self.params(Role=role + "-not")), message)

        def accepted():
            try:
                return self.create(Role=role)
            except ClientError as error:
                self.assertEqual(error.response["Error"]["Message"], message)
                return None

        eventually(accepted)
        other = json.loads(TRUST)
        other["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}
        self.iam.update_assume_role_policy(RoleName=self.name[:60] + "-r", PolicyDocument=json.dumps(other))
        self.assertEqual(self.refused(refused, create, **self.params(FunctionName="other")), message)

    def test_the_role_needs_the_interface_actions(self):
        _, vpc_config = self.in_vpc(make_vpc())
        role = self.make_role(self.name[:50] + "-bare", policy=None)
        params = self.params(Role=role, VpcConfig=vpc_config)
        message = "The provided execution role does not have permissions to call CreateNetworkInterface on EC2"
        self.assertEqual(
            self.refused("InvalidParameterValueException", self.functions.create_function, **params), message
        )
        # A deny for the function's own code does not bind Lambda itself.
        policy = json.loads(INTERFACES)
        condition = {"ArnLike": {"lambda:SourceFunctionArn": "*"}}
        policy["Statement"].append({**policy["Statement"][0], "Effect": "Deny", "Condition": condition})
        self.iam.put_role_policy(RoleName=self.name[:50] + "-bare", PolicyName="p", PolicyDocument=json.dumps(policy))
        name = self.name[:50] + "-bare"
        self.iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess")
        self.assertEqual(self.refused("InvalidParameterValueException", self.create, **params), message)
        self.iam.delete_role_permissions_boundary(RoleName=name)
        self.create(Role=role, VpcConfig=vpc_config)

    def test_states_and_updates(self):
        admin("PUT", "delays", {"functionActive": SOON, "functionUpdated": SOON})
        created = self.create(Publish=True)
        self.assertEqual(created["Version"], "1")
        update = {"FunctionName": self.name, "Description": "new"}
        message = self.refused("ResourceConflictException", self.functions.update_function_configuration, **update)
        self.assertIn("Pending", message)
        self.refused("ResourceConflictException", self.functions.invoke, FunctionName=self.name)
        eventually(lambda: self.get()["Configuration"]["State"] == "Active")
        updated = self.functions.update_function_configuration(**update)
        self.assertEqual((updated["LastUpdateStatus"], updated["State"]), ("InProgress", "Active"))
        code = {"FunctionName": self.name, "ZipFile": zipped(index__mjs="// other")}
        self.refused("ResourceConflictException", self.functions.update_function_code, **code)
        eventually(lambda: self.get()["Configuration"]["LastUpdateStatus"] == "Successful")
        self.refused("PreconditionFailedException", self.functions.update_function_code, RevisionId="old", **code)
        self.assertNotEqual(self.functions.update_function_code(**code)["CodeSha256"], created["CodeSha256"])

    def test_settings_are_put_back_by_saying_none(self):
        vpc = make_vpc()
        _, vpc_config = self.in_vpc(vpc)
        self.create(VpcConfig=vpc_config)
        before, account = self.get()["Configuration"], self.role.split(":")[4]
        layer = f"arn:aws:lambda:us-east-1:{account}:layer:theirs:1"
        access_point = f"arn:aws:elasticfilesystem:us-east-1:{account}:access-point/fsap-0123456789abcdef0"
        changed = {
            "Layers": [layer],
            "TracingConfig": {"Mode": "Active"},
            "DeadLetterConfig": {"TargetArn": f"arn:aws:sqs:us-east-1:{account}:theirs"},
            "EphemeralStorage": {"Size": 1024},
            "LoggingConfig": {"LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": "/theirs"},
            "KMSKeyArn": f"arn:aws:kms:us-east-1:{account}:key/theirs",
            "FileSystemConfigs": [{"Arn": access_point, "LocalMountPath": "/mnt/theirs"}],
            "VpcConfig": {"Ipv6AllowedForDualStack": True},
        }
        after = self.functions.update_function_configuration(FunctionName=self.name, **changed)
        for setting in changed:
            self.assertNotEqual(after.get(setting), before.get(setting), setting)
        listed = self.functions.list_functions()["Functions"]
        self.assertIn(layer, [layer["Arn"] for f in listed if f["FunctionName"] == self.name for layer in f["Layers"]])
        none = {
            "Layers": [],
            "TracingConfig": {"Mode": "PassThrough"},
            "DeadLetterConfig": {"TargetArn": ""},
            "EphemeralStorage": {"Size": 512},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.name}"},
            "KMSKeyArn": "",
            "FileSystemConfigs": [],
            "VpcConfig": {"Ipv6AllowedForDualStack": False},
        }
        self.functions.update_function_configuration(FunctionName=self.name, **none)
        after = self.get()["Configuration"]
        for setting in changed:
            self.assertEqual(after.get(setting), before.get(setting), setting)

    def test_what_is_fixed_or_not_for_the_runtime_is_refused(self):
        invalid, update = "InvalidParameterValueException", self.functions.update_function_configuration
        dead_letters = {"DeadLetterConfig": {"TargetArn": ""}}
        self.refused(invalid, self.functions.create_function, **self.params(**dead_letters))
        self.create()
        self.refused(invalid, update, FunctionName=self.name, SnapStart={"ApplyOn": "PublishedVersions"})
        update(FunctionName=self.name, Runtime="python3.13", SnapStart={"ApplyOn": "PublishedVersions"})
        self.refused(invalid, update, FunctionName=self.name, Runtime="nodejs24.x")
        update(FunctionName=self.name, Runtime="nodejs24.x", SnapStart={"ApplyOn": "None"})
        durable = {"DurableConfig": {"ExecutionTimeout": 60}}
        self.refused(invalid, update, FunctionName=self.name, **durable)

    def test_interfaces_in_use_again_stay(self):
        group, vpc_config = self.in_vpc(make_vpc())
        self.create(VpcConfig=vpc_config)
        ids = [i["NetworkInterfaceId"] for i in self.interfaces(group)]
        admin("PUT", "delays", {"interfaceReleased": SOON})
        self.functions.delete_function(FunctionName=self.name)
        self.create(FunctionName=self.name + "-2", VpcConfig=vpc_config)
        released = self.create(
            FunctionName=self.name + "-3", VpcConfig={**vpc_config, "SubnetIds": vpc_config["SubnetIds"]}
        )
        self.functions.delete_function(FunctionName=released["FunctionName"])
        self.assertEqual([i["NetworkInterfaceId"] for i in self.interfaces(group)], ids)
