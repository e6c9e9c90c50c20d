import json

from harness import Case, admin, client
from test_functions import INTERFACES, TRUST, FunctionCase


class Roles(FunctionCase):
    def setUp(self):
        super().setUp()
        self.iam = client("iam", parameter_validation=False)

    def create(self, name=None, **more):
        params = {"RoleName": name or self.name, "AssumeRolePolicyDocument": TRUST, **more}
        role = self.iam.create_role(**params)["Role"]
        self.addCleanup(self.remove_role, role["RoleName"])
        return role

    def test_created_and_deleted(self):
        tags = [{"Key": "owner", "Value": "x"}]
        role = self.create(Path="/pgai/", Tags=tags, Description="d", MaxSessionDuration=7200)
        self.assertEqual(role["Arn"], f"arn:aws:iam::123456789012:role/pgai/{self.name}")
        self.refused("EntityAlreadyExists", self.create)
        self.refused("EntityAlreadyExists", self.create, name=self.name.upper())
        got = self.iam.get_role(RoleName=self.name)["Role"]
        self.assertEqual((got["Tags"], got["AssumeRolePolicyDocument"]), (tags, json.loads(TRUST)))
        self.iam.put_role_policy(RoleName=self.name, PolicyName="p", PolicyDocument=INTERFACES)
        policy = self.iam.get_role_policy(RoleName=self.name, PolicyName="p")
        self.assertEqual(policy["PolicyDocument"], json.loads(INTERFACES))
        self.refused("DeleteConflict", self.iam.delete_role, RoleName=self.name)
        self.iam.delete_role_policy(RoleName=self.name, PolicyName="p")
        self.refused("NoSuchEntity", self.iam.get_role_policy, RoleName=self.name, PolicyName="p")
        arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
        self.iam.attach_role_policy(RoleName=self.name, PolicyArn=arn)
        attached = self.iam.list_attached_role_policies(RoleName=self.name)["AttachedPolicies"]
        self.assertEqual([p["PolicyArn"] for p in attached], [arn])
        self.refused("DeleteConflict", self.iam.delete_role, RoleName=self.name)
        self.iam.detach_role_policy(RoleName=self.name, PolicyArn=arn)
        self.iam.delete_role(RoleName=self.name)
        self.refused("NoSuchEntity", self.iam.get_role, RoleName=self.name)
        self.refused("NoSuchEntity", self.iam.attach_role_policy, RoleName=self.name, PolicyArn=arn)

    def test_a_permissions_boundary(self):
        none = "arn:aws:iam::123456789012:policy/none"
        self.refused("NoSuchEntity", self.create, PermissionsBoundary=none)
        document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
        own = self.iam.create_policy(PolicyName=self.name, PolicyDocument=document)["Policy"]["Arn"]
        self.addCleanup(self.iam.delete_policy, PolicyArn=own)
        attached = {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": own}
        self.assertEqual(self.create(PermissionsBoundary=own)["PermissionsBoundary"], attached)
        self.assertEqual(self.iam.get_role(RoleName=self.name)["Role"]["PermissionsBoundary"], attached)
        [listed] = [role for role in self.iam.list_roles()["Roles"] if role["RoleName"] == self.name]
        self.assertNotIn("PermissionsBoundary", listed)
        details = self.iam.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
        [detail] = [role for role in details if role["RoleName"] == self.name]
        self.assertEqual(detail["PermissionsBoundary"], attached)
        another = {"RoleName": self.name, "PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess"}
        self.iam.put_role_permissions_boundary(**another)
        self.assertEqual(
            self.iam.get_role(RoleName=self.name)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"],
            another["PermissionsBoundary"],
        )
        self.refused("NoSuchEntity", self.iam.put_role_permissions_boundary, **{**another, "PermissionsBoundary": none})
        self.iam.delete_role_permissions_boundary(RoleName=self.name)
        self.assertNotIn("PermissionsBoundary", self.iam.get_role(RoleName=self.name)["Role"])
        self.refused("NoSuchEntity", self.iam.delete_role_permissions_boundary, RoleName=self.name)

    def test_limits(self):
        self.refused("ValidationError", self.create, name="x" * 65)
        self.refused("ValidationError", self.create, name="a b")
        self.refused("ValidationError", self.create, Path="no-slash")
        self.refused("MalformedPolicyDocument", self.create, AssumeRolePolicyDocument="{}")
        self.create()
        put = {"RoleName": self.name, "PolicyName": "p"}
        self.refused("MalformedPolicyDocument", self.iam.put_role_policy, PolicyDocument="{}", **put)
        for_whom = json.loads(INTERFACES)
        for_whom["Statement"][0]["Principal"] = "*"
        self.refused("MalformedPolicyDocument", self.iam.put_role_policy, PolicyDocument=json.dumps(for_whom), **put)
        big = json.loads(INTERFACES)
        big["Statement"][0]["Resource"] = ["arn:aws:ec2:us-east-1:123456789012:subnet/" + "x" * 60] * 120
        self.refused("LimitExceeded", self.iam.put_role_policy, PolicyDocument=json.dumps(big), **put)

    def test_all_details_in_pages(self):
        for number in range(3):
            self.create(f"{self.name}-{number}", Tags=[{"Key": "n", "Value": str(number)}])
            self.iam.put_role_policy(RoleName=f"{self.name}-{number}", PolicyName="p", PolicyDocument=INTERFACES)
        pages = list(
            self.iam.get_paginator("get_account_authorization_details").paginate(
                Filter=["Role"], PaginationConfig={"PageSize": 2}
            )
        )
        self.assertGreaterEqual(len(pages), 2)
        mine = [
            r for page in pages for r in page["RoleDetailList"] if r["RoleName"].startswith(self.name) and r["Tags"]
        ]
        self.assertEqual([r["Tags"] for r in mine], [[{"Key": "n", "Value": str(n)}] for n in range(3)])
        self.assertEqual(mine[0]["RolePolicyList"], [{"PolicyName": "p", "PolicyDocument": json.loads(INTERFACES)}])
        self.assertEqual(mine[0]["AssumeRolePolicyDocument"], json.loads(TRUST))

    def test_identity(self):
        self.assertEqual(client("sts").get_caller_identity()["Account"], "123456789012")


class Logs(Case):
    def setUp(self):
        super().setUp()
        self.logs = client("logs")

    def test_pages_of_50(self):
        for number in range(52):
            self.logs.create_log_group(logGroupName=f"/{self.name}/{number:02}")
        prefix = {"logGroupNamePrefix": f"/{self.name}/"}
        first = self.logs.describe_log_groups(**prefix)
        self.assertEqual(len(first["logGroups"]), 50)
        rest = self.logs.describe_log_groups(nextToken=first["nextToken"], **prefix)
        self.assertEqual(len(rest["logGroups"]), 2)
        self.assertNotIn("nextToken", rest)
        self.assertNotIn("retentionInDays", rest["logGroups"][0])

    def test_a_group(self):
        name = {"logGroupName": f"/aws/lambda/{self.name}"}
        self.logs.create_log_group(tags={"a": "b"}, **name)
        self.refused("ResourceAlreadyExistsException", self.logs.create_log_group, **name)
        self.refused("InvalidParameterException", self.logs.put_retention_policy, retentionInDays=31, **name)
        self.logs.put_retention_policy(retentionInDays=30, **name)
        (group,) = self.logs.describe_log_groups(logGroupNamePrefix=name["logGroupName"])["logGroups"]
        self.assertEqual((group["retentionInDays"], group["storedBytes"]), (30, 0))
        admin("PUT", "logGroup", {"name": name["logGroupName"], "storedBytes": 12})
        (group,) = self.logs.describe_log_groups(logGroupNamePrefix=name["logGroupName"])["logGroups"]
        self.assertEqual(group["storedBytes"], 12)
        arn = {"resourceArn": group["logGroupArn"]}
        self.logs.tag_resource(tags={"c": "d"}, **arn)
        self.assertEqual(self.logs.list_tags_for_resource(**arn)["tags"], {"a": "b", "c": "d"})
        self.logs.delete_retention_policy(**name)
        self.logs.delete_log_group(**name)
        self.refused("ResourceNotFoundException", self.logs.delete_log_group, **name)
        self.refused("ResourceNotFoundException", self.logs.put_retention_policy, retentionInDays=30, **name)
        self.refused("ResourceNotFoundException", self.logs.list_tags_for_resource, **arn)
