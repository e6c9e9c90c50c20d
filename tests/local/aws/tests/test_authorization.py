import json

import boto3
from botocore.config import Config
from harness import REGION, Case, admin, client, make_vpc, url
from test_functions import FunctionCase

OURS = {"Key": "privategenai.dev/installation", "Value": "prod"}


def allow(action, resource="*", condition=None):
    statement = {"Sid": action.partition(":")[2], "Effect": "Allow", "Action": [action], "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


class Granted:
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


class Policies(Granted, Case):
    """A policy limits only the access key that has it."""

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
        granted = admin("GET", "policy?accessKeyId=operator")
        self.assertEqual(granted["used"], [{"action": "ec2:DescribeVpcs", "sid": "DescribeVpcs"}])
        self.assertEqual(granted["refused"], ["ec2:DescribeSubnets on * for DescribeSubnets"])
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

    def test_a_condition_holds_only_on_keys_that_the_reference_lists(self):
        made = make_vpc()
        vpc, subnets = made["vpcId"], made["subnetIds"]
        ours = self.make_group(client("ec2"), vpc, [OURS])
        arn = "arn:aws:ec2:*:123456789012:{}/{}".format
        in_vpc = {"ArnLike": {"ec2:Vpc": [arn("vpc", vpc)]}}
        create = {
            "VpcEndpointType": "Interface",
            "ServiceName": f"com.amazonaws.{REGION}.bedrock-runtime",
            "VpcId": vpc,
            "SubnetIds": subnets[:1],
            "SecurityGroupIds": [ours],
            "PrivateDnsEnabled": False,
        }

        def creating(*on_subnets):
            others = [arn(kind, "*") for kind in ("security-group", "vpc-endpoint")]
            return self.operator(
                "ec2", allow("ec2:CreateVpcEndpoint", [arn("vpc", vpc), *others]), *on_subnets, modify, key="endpoints"
            )

        modify = allow("ec2:ModifyVpcEndpoint", [arn("subnet", "*"), arn("vpc-endpoint", "*")])
        keyless = creating(allow("ec2:CreateVpcEndpoint", arn("subnet", "*"), in_vpc))
        message = self.refused("UnauthorizedOperation", keyless.create_vpc_endpoint, **create)
        self.assertIn(f"subnet/{subnets[0]}", message)
        # The limit is the VPC, which the call also names.
        creates = creating(allow("ec2:CreateVpcEndpoint", arn("subnet", "*")))
        endpoint = creates.create_vpc_endpoint(**create)["VpcEndpoint"]["VpcEndpointId"]
        elsewhere = make_vpc()
        there = {"VpcId": elsewhere["vpcId"], "SubnetIds": elsewhere["subnetIds"][:1], "SecurityGroupIds": []}
        self.refused("UnauthorizedOperation", creates.create_vpc_endpoint, **{**create, **there})
        # For the subnets of an existing endpoint, the request has the VPC.
        grow = {"VpcEndpointId": endpoint, "AddSubnetIds": subnets[1:]}
        whole = allow("ec2:ModifyVpcEndpoint", arn("vpc-endpoint", "*"))
        wrong = {"ArnLike": {"ec2:Vpc": [arn("vpc", elsewhere["vpcId"])]}}
        narrow = [allow("ec2:ModifyVpcEndpoint", arn("subnet", "*"), it) for it in (wrong, in_vpc)]
        refused = self.operator("ec2", whole, narrow[0])
        self.refused("UnauthorizedOperation", refused.modify_vpc_endpoint, **grow)
        self.operator("ec2", whole, narrow[1]).modify_vpc_endpoint(**grow)

    def log_group(self, name, tags):
        name = f"/aws/lambda/pgai-{self.name}-{name}"
        logs = client("logs")
        logs.create_log_group(logGroupName=name, tags=tags)
        self.addCleanup(self.delete_if_there, logs, name)
        return name

    @staticmethod
    def delete_if_there(logs, name):
        if logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
            logs.delete_log_group(logGroupName=name)

    def test_a_log_group_is_known_by_its_tag_and_another_installation_s_is_not_deleted(self):
        installation = "privategenai.dev/installation"
        ours, others, nobodys = (
            self.log_group(name, tags)
            for name, tags in (("a", {installation: "prod"}), ("b", {installation: "other"}), ("c", {}))
        )
        groups = "arn:aws:logs:*:123456789012:log-group:/aws/lambda/pgai-*"
        tagged = {"StringEquals": {f"aws:ResourceTag/{installation}": "prod"}}
        given = {
            "StringEquals": {f"aws:RequestTag/{installation}": "prod"},
            "StringEqualsIfExists": {f"aws:ResourceTag/{installation}": "prod"},
        }
        creating = ("CreateLogGroup", "TagResource")
        keeping = ("DeleteLogGroup", "PutRetentionPolicy", "TagResource")
        logs = self.operator(
            "logs",
            *(allow(f"logs:{action}", groups, given) for action in creating),
            *(allow(f"logs:{action}", groups, tagged) for action in keeping),
        )
        for group in (others, nobodys):
            self.refused("AccessDeniedException", logs.delete_log_group, logGroupName=group)
            self.refused("AccessDeniedException", logs.put_retention_policy, logGroupName=group, retentionInDays=1)
            arn = f"arn:aws:logs:{REGION}:123456789012:log-group:{group}"
            self.refused("AccessDeniedException", logs.tag_resource, resourceArn=arn, tags={"a": "b"})
        theirs = f"arn:aws:logs:{REGION}:123456789012:log-group:{others}"
        self.refused("AccessDeniedException", logs.tag_resource, resourceArn=theirs, tags={installation: "prod"})
        logs.put_retention_policy(logGroupName=ours, retentionInDays=1)
        logs.tag_resource(resourceArn=f"arn:aws:logs:{REGION}:123456789012:log-group:{ours}", tags={"a": "b"})
        logs.delete_log_group(logGroupName=ours)
        self.refused("AccessDeniedException", logs.create_log_group, logGroupName=ours)
        self.refused("AccessDeniedException", logs.create_log_group, logGroupName=ours, tags={installation: "other"})
        logs.create_log_group(logGroupName=ours, tags={installation: "prod", "a": "b"})

    def test_a_log_group_is_judged_by_the_form_of_arn_that_aws_uses_or_by_both(self):
        name = self.log_group("a", {})
        arn = f"arn:aws:logs:{REGION}:123456789012:log-group:{name}"
        forms = {"bare": [arn], "with what is in it": [f"{arn}:*"], "both": [arn, f"{arn}:*"]}
        retention = {"logGroupName": name, "retentionInDays": 1}
        for form, resources in forms.items():
            actions = ("PutRetentionPolicy", "TagResource", "ListTagsForResource", "DeleteLogGroup", "CreateLogGroup")
            logs = self.operator("logs", *(allow(f"logs:{action}", resources) for action in actions))
            if form == "both":
                logs.put_retention_policy(**retention)
                logs.delete_log_group(logGroupName=name)
                logs.create_log_group(logGroupName=name)
            else:
                self.refused("AccessDeniedException", logs.put_retention_policy, **retention)
                self.refused("AccessDeniedException", logs.delete_log_group, logGroupName=name)
                self.refused("AccessDeniedException", logs.create_log_group, logGroupName=f"{name}-new")
            if form == "with what is in it":
                self.refused("AccessDeniedException", logs.list_tags_for_resource, resourceArn=arn)
                self.refused("AccessDeniedException", logs.tag_resource, resourceArn=arn, tags={"a": "b"})
            else:
                logs.list_tags_for_resource(resourceArn=arn)
                logs.tag_resource(resourceArn=arn, tags={"a": "b"})


class Attaching(Granted, FunctionCase):
    def test_who_attaches_a_function_needs_leave_to_ask_for_the_groups_of_its_vpc(self):
        made = make_vpc()
        vpc = made["vpcId"]
        attaching = [
            *(allow(f"lambda:{action}") for action in ("CreateFunction", "DeleteFunction")),
            allow("iam:PassRole"),
            *(allow(f"ec2:Describe{kind}") for kind in ("SecurityGroups", "Subnets", "Vpcs")),
        ]
        params = self.params(VpcConfig=self.in_vpc(made)[1])
        message = self.refused("AccessDeniedException", self.operator("lambda", *attaching).create_function, **params)
        self.assertIn(f"ec2:GetSecurityGroupsForVpc on resource: arn:aws:ec2:{REGION}:123456789012:vpc/{vpc}", message)
        groups = allow("ec2:GetSecurityGroupsForVpc", f"arn:aws:ec2:*:123456789012:vpc/{vpc}")
        functions = self.operator("lambda", *attaching, groups)
        functions.create_function(**params)
        functions.delete_function(FunctionName=params["FunctionName"])

    def test_our_tag_is_given_to_a_function_of_nobody_and_not_of_another_installation(self):
        installation = "privategenai.dev/installation"
        given = {
            "StringEquals": {f"aws:RequestTag/{installation}": "prod"},
            "StringEqualsIfExists": {f"aws:ResourceTag/{installation}": "prod"},
        }
        functions = self.operator("lambda", allow("lambda:TagResource", "*", given))
        theirs = self.create(Tags={installation: "other"})["FunctionArn"]
        nobodys = self.create(FunctionName=f"{self.name}-2")["FunctionArn"]
        self.refused("AccessDeniedException", functions.tag_resource, Resource=theirs, Tags={installation: "prod"})
        self.refused("AccessDeniedException", functions.tag_resource, Resource=nobodys, Tags={installation: "other"})
        functions.tag_resource(Resource=nobodys, Tags={installation: "prod"})
