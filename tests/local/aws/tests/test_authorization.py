import json

import boto3
from botocore.config import Config
from harness import REGION, Case, admin, client, make_vpc, url

OURS = {"Key": "privategenai.dev/installation", "Value": "prod"}


def allow(action, resource="*", condition=None):
    statement = {"Sid": action.partition(":")[2], "Effect": "Allow", "Action": [action], "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


class Policies(Case):
    """What a policy does not allow is refused to the access key that was given it, and to no other."""

    def operator(self, service, *statements, key="operator"):
        admin("PUT", "policy", {"accessKeyId": key, "document": {"Version": "2012-10-17", "Statement": statements}})
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=url(),
            aws_access_key_id=key,
            aws_secret_access_key="any",
            config=Config(retries={"max_attempts": 0}),
        )

    def make_group(self, ec2, vpc, tags):
        specification = {"ResourceType": "security-group", "Tags": tags}
        return ec2.create_security_group(
            GroupName=f"g{len(tags)}", Description="g", VpcId=vpc, TagSpecifications=[specification] if tags else []
        )["GroupId"]

    def test_an_action_that_no_statement_allows_is_refused_in_the_words_of_its_service(self):
        ec2 = self.operator("ec2", allow("ec2:DescribeVpcs"))
        ec2.describe_vpcs()
        self.refused("UnauthorizedOperation", ec2.describe_subnets)
        client("ec2").describe_subnets()
        told = admin("GET", "policy?accessKeyId=operator")
        self.assertEqual(told["used"], [{"action": "ec2:DescribeVpcs", "sid": "DescribeVpcs"}])
        self.assertEqual(told["refused"], ["ec2:DescribeSubnets on * for DescribeSubnets"])
        self.refused("AccessDenied", self.operator("iam").list_roles)
        self.refused("AccessDeniedException", self.operator("lambda").list_functions)
        self.refused("AccessDeniedException", self.operator("logs").describe_log_groups)

    def test_a_group_is_made_in_the_right_vpc_with_the_right_tag_and_with_leave_to_tag(self):
        vpc, other = make_vpc()["vpcId"], make_vpc()["vpcId"]
        ours = {"StringEquals": {"aws:RequestTag/privategenai.dev/installation": "prod"}}
        groups = "arn:aws:ec2:*:123456789012:security-group/*"
        statements = [
            allow("ec2:CreateSecurityGroup", f"arn:aws:ec2:*:123456789012:vpc/{vpc}"),
            allow("ec2:CreateSecurityGroup", groups, ours),
        ]
        create = {"GroupName": "a", "Description": "a", "TagSpecifications": []}
        refused = self.operator("ec2", *statements)
        self.refused("UnauthorizedOperation", refused.create_security_group, **create, VpcId=vpc)
        create["TagSpecifications"] = [{"ResourceType": "security-group", "Tags": [OURS]}]
        self.refused("UnauthorizedOperation", refused.create_security_group, **create, VpcId=vpc)
        tagging = allow("ec2:CreateTags", groups, {"StringEquals": {"ec2:CreateAction": ["CreateSecurityGroup"]}})
        allowed = self.operator("ec2", *statements, tagging)
        self.refused("UnauthorizedOperation", allowed.create_security_group, **create, VpcId=other)
        allowed.create_security_group(**create, VpcId=vpc)

    def test_only_a_group_that_bears_the_tag_is_changed(self):
        vpc = make_vpc()["vpcId"]
        ours, others = (self.make_group(client("ec2"), vpc, tags) for tags in ([OURS], []))
        tagged = {"StringEquals": {"aws:ResourceTag/privategenai.dev/installation": "prod"}}
        ec2 = self.operator("ec2", allow("ec2:DeleteSecurityGroup", "*", tagged))
        self.refused("UnauthorizedOperation", ec2.delete_security_group, GroupId=others)
        ec2.delete_security_group(GroupId=ours)
        self.refused("InvalidGroup.NotFound", ec2.delete_security_group, GroupId=ours)

    def test_a_condition_on_what_may_be_missing_holds_where_it_is(self):
        vpc = make_vpc()["vpcId"]
        tags = ([], [OURS], [{**OURS, "Value": "another"}, {"Key": "a", "Value": "b"}])
        untagged, ours, others = (self.make_group(client("ec2"), vpc, each) for each in tags)
        tagged = {"StringEqualsIfExists": {"aws:ResourceTag/privategenai.dev/installation": "prod"}}
        ec2 = self.operator("ec2", allow("ec2:DeleteSecurityGroup", "*", tagged))
        self.refused("UnauthorizedOperation", ec2.delete_security_group, GroupId=others)
        ec2.delete_security_group(GroupId=untagged)
        ec2.delete_security_group(GroupId=ours)

    def test_a_role_is_known_by_its_path_as_long_as_it_is_there(self):
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        below = "arn:aws:iam::123456789012:role/private-genai/prod/*"
        iam = self.operator("iam", *(allow(f"iam:{action}", below) for action in ("CreateRole", "GetRole", "DeleteRole")))
        create = {"RoleName": "path-role", "AssumeRolePolicyDocument": document}
        self.refused("AccessDenied", iam.create_role, **create, Path="/elsewhere/")
        self.refused("AccessDenied", iam.create_role, **create, Path="/private-genai/prod/", Tags=[OURS])
        iam.create_role(**create, Path="/private-genai/prod/")
        iam.get_role(RoleName="path-role")
        iam.delete_role(RoleName="path-role")
        self.refused("AccessDenied", iam.delete_role, RoleName="path-role")

    def test_a_role_is_written_to_only_under_the_boundary_that_the_policy_names(self):
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        logs = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
        policy = {"PolicyName": "p", "PolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [logs]})}
        bound = {"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess"}}
        actions = ("CreateRole", "PutRolePolicy", "DeleteRolePolicy", "PutRolePermissionsBoundary")
        iam = self.operator("iam", *(allow(f"iam:{action}", "*", bound) for action in actions))
        create = {"RoleName": "bound-role", "AssumeRolePolicyDocument": document}
        right = {"PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess"}
        wrong = {"PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
        self.refused("AccessDenied", iam.create_role, **create)
        self.refused("AccessDenied", iam.create_role, **create, **wrong)
        iam.create_role(**create, **right)
        role, anybody = {"RoleName": "bound-role"}, client("iam")
        self.addCleanup(anybody.delete_role, **role)
        iam.put_role_policy(**role, **policy)
        self.refused("AccessDenied", iam.put_role_permissions_boundary, **role, **wrong)
        self.refused("AccessDenied", iam.delete_role_permissions_boundary, **role)
        for somebody_else in (
            lambda: anybody.delete_role_permissions_boundary(**role),
            lambda: anybody.put_role_permissions_boundary(**role, **wrong),
        ):
            somebody_else()
            self.refused("AccessDenied", iam.put_role_policy, **role, **policy)
            self.refused("AccessDenied", iam.delete_role_policy, **role, PolicyName="p")
            iam.put_role_permissions_boundary(**role, **right)
        iam.delete_role_policy(**role, PolicyName="p")

    def test_an_endpoint_with_private_dns_needs_leave_to_associate_a_zone(self):
        made = make_vpc()
        everything = [
            allow("ec2:CreateVpcEndpoint"),
            allow("ec2:CreateTags", "*", {"StringEquals": {"ec2:CreateAction": "CreateVpcEndpoint"}}),
        ]
        create = {
            "VpcEndpointType": "Interface",
            "ServiceName": f"com.amazonaws.{REGION}.bedrock-runtime",
            "VpcId": made["vpcId"],
            "SubnetIds": made["subnetIds"],
            "PrivateDnsEnabled": True,
        }
        self.refused("UnauthorizedOperation", self.operator("ec2", *everything).create_vpc_endpoint, **create)
        zone = allow("route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/*")
        self.operator("ec2", *everything, zone).create_vpc_endpoint(**create)
