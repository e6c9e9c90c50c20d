//! What the operator may do in AWS: its own IAM policy, made from one table of the calls that the code makes and of what AWS asks
//! for besides. Limited to this installation by path (roles), by name (functions, log groups) and by tag (groups, endpoints,
//! functions), and to the VPCs that apps may name.
//!
//! Which resources and condition keys an action knows is from AWS's Service Authorization Reference (EC2, IAM, Lambda,
//! CloudWatch Logs, Route 53). An end-to-end test has the simulated AWS refuse what this policy does not allow, and compares
//! the table with what a whole life of apps used, both ways.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    aws::{AccountId, Partition, PolicyArn, PolicyDocument, VpcId},
    guard::Globs,
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX, TAG_INSTALLATION, role_arn_pattern},
};

/// The longest managed policy, in characters without white space (IAM quotas).
pub const MANAGED_POLICY_MAX: usize = 6_144;

/// Whose policy it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its installation.
    pub installation: InstallationId,
    /// Where it works.
    pub partition: Partition,
    /// The account in which it works.
    pub account: AccountId,
    /// The VPCs that apps may name, by globs that mean the same to the operator and to IAM. None: nothing can be created.
    pub vpcs: Globs<VpcId>,
    /// The permissions boundary of the roles that it creates. Without one, the roles can do whatever it writes into them.
    pub boundary: Option<PolicyArn>,
}

/// On what an action is allowed, and under which condition. The order is that of the statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Anything: IAM knows no limit for the action, or it only lists.
    Look,
    /// The VPCs that apps may name.
    Vpcs,
    /// Subnets in those VPCs, and network interfaces: those that Lambda leaves behind carry no tag.
    InVpcs,
    /// A security group that bears the installation's tag from its first moment on.
    NewGroup,
    /// The same for an endpoint.
    NewEndpoint,
    /// Tags of a resource of EC2, in the call that makes it.
    TagsOfNew,
    /// Security groups and endpoints with the installation's tag.
    OurNetwork,
    /// The hosted zones of endpoints with private DNS, which are AWS's own.
    HostedZones,
    /// Roles below the installation's path, to be read; and by name without a path, which IAM does not know of a role that
    /// is gone: it would refuse to say so.
    RolesToRead,
    /// Roles below the installation's path.
    OurRoles,
    /// The same, where there is a permissions boundary only with it: what a role may do is written to no role that is not under
    /// it, and no role is put under another one (IAM User Guide, "Permissions boundaries for IAM entities", on delegating
    /// responsibility). `iam:PermissionsBoundary` is the one in the call, and else the one that the role has.
    BoundRoles,
    /// The same, to be handed to Lambda.
    OurRolesForLambda,
    /// Functions whose names begin as ours do, and that have not another installation's tag: what is looked at, or has no
    /// tags yet.
    Functions,
    /// A function that bears the installation's tag from its first moment on.
    NewFunction,
    /// Functions with the installation's tag.
    OurFunctions,
    /// Log groups whose names begin as ours do.
    LogGroups,
}

/// Is not allowed where there is no boundary.
const PUT_BOUNDARY: &str = "iam:PutRolePermissionsBoundary";

/// Each action, on what, and for which call where it is no call of the operator's own.
pub const TABLE: &[(&str, Reach, Option<&str>)] = {
    use Reach::{
        BoundRoles, Functions, HostedZones, InVpcs, LogGroups, Look, NewEndpoint, NewFunction, NewGroup, OurFunctions,
        OurNetwork, OurRoles, OurRolesForLambda, RolesToRead, TagsOfNew, Vpcs,
    };
    &[
        ("ec2:DescribeNetworkInterfaces", Look, None),
        ("ec2:DescribeRouteTables", Look, None),
        // Lambda asks for these three besides, with the permissions of whoever attaches a function to a VPC.
        ("ec2:DescribeSecurityGroups", Look, None),
        ("ec2:DescribeSubnets", Look, None),
        ("ec2:DescribeVpcs", Look, None),
        ("ec2:DescribeVpcAttribute", Look, None),
        ("ec2:DescribeVpcEndpointServices", Look, None),
        ("ec2:DescribeVpcEndpoints", Look, None),
        ("iam:GetAccountAuthorizationDetails", Look, None),
        // Where that is denied, the roles below our path are listed, and read one by one.
        ("iam:ListRoles", Look, None),
        ("lambda:ListFunctions", Look, None),
        ("logs:DescribeLogGroups", Look, None),
        ("ec2:CreateSecurityGroup", Vpcs, None),
        ("ec2:CreateVpcEndpoint", Vpcs, None),
        ("ec2:CreateVpcEndpoint", InVpcs, None),
        ("ec2:ModifyVpcEndpoint", InVpcs, None),
        ("ec2:DeleteNetworkInterface", InVpcs, None),
        ("ec2:CreateSecurityGroup", NewGroup, None),
        ("ec2:CreateVpcEndpoint", NewEndpoint, None),
        ("ec2:CreateTags", TagsOfNew, Some("ec2:CreateSecurityGroup, ec2:CreateVpcEndpoint")),
        ("ec2:AuthorizeSecurityGroupEgress", OurNetwork, None),
        ("ec2:AuthorizeSecurityGroupIngress", OurNetwork, None),
        ("ec2:CreateTags", OurNetwork, None),
        // Of an endpoint that is created, its groups.
        ("ec2:CreateVpcEndpoint", OurNetwork, None),
        ("ec2:DeleteSecurityGroup", OurNetwork, None),
        ("ec2:DeleteVpcEndpoints", OurNetwork, None),
        ("ec2:ModifyVpcEndpoint", OurNetwork, None),
        ("ec2:RevokeSecurityGroupEgress", OurNetwork, None),
        ("ec2:RevokeSecurityGroupIngress", OurNetwork, None),
        ("route53:AssociateVPCWithHostedZone", HostedZones, Some("ec2:CreateVpcEndpoint with private DNS")),
        ("iam:GetRole", RolesToRead, None),
        ("iam:GetRolePolicy", RolesToRead, None),
        ("iam:ListAttachedRolePolicies", RolesToRead, None),
        ("iam:ListRolePolicies", RolesToRead, None),
        ("iam:DeleteRole", OurRoles, None),
        ("iam:TagRole", OurRoles, None),
        ("iam:UntagRole", OurRoles, None),
        ("iam:UpdateAssumeRolePolicy", OurRoles, None),
        ("iam:CreateRole", BoundRoles, None),
        ("iam:DeleteRolePolicy", BoundRoles, None),
        ("iam:DetachRolePolicy", BoundRoles, None),
        (PUT_BOUNDARY, BoundRoles, None),
        ("iam:PutRolePolicy", BoundRoles, None),
        ("iam:PassRole", OurRolesForLambda, Some("lambda:CreateFunction, lambda:UpdateFunctionConfiguration")),
        ("lambda:GetFunction", Functions, None),
        ("lambda:ListTags", Functions, Some("lambda:GetFunction, for the tags in its answer")),
        ("lambda:TagResource", Functions, None),
        ("lambda:CreateFunction", NewFunction, None),
        ("lambda:DeleteFunction", OurFunctions, None),
        // The API calls it Invoke.
        ("lambda:InvokeFunction", OurFunctions, None),
        ("lambda:UpdateFunctionCode", OurFunctions, None),
        ("lambda:UpdateFunctionConfiguration", OurFunctions, None),
        ("logs:CreateLogGroup", LogGroups, None),
        ("logs:DeleteLogGroup", LogGroups, None),
        ("logs:ListTagsForResource", LogGroups, None),
        ("logs:PutRetentionPolicy", LogGroups, None),
        ("logs:TagResource", LogGroups, None),
    ]
};

impl Operator {
    /// The policy, which fits into one managed policy for some twenty VPC patterns, and some fifteen with a permissions boundary. `sts:GetCallerIdentity` needs none.
    pub fn policy(&self) -> PolicyDocument {
        PolicyDocument::new(&self.document())
    }

    /// The same for people: one statement for each [`Reach`], in order.
    pub fn document(&self) -> Value {
        let mut statements: BTreeMap<Reach, Vec<&str>> = BTreeMap::new();
        for (action, reach, _) in TABLE {
            match (reach, &self.boundary) {
                (Reach::BoundRoles, None) if *action == PUT_BOUNDARY => {}
                // Nothing tells the two apart then.
                (Reach::BoundRoles, None) => statements.entry(Reach::OurRoles).or_default().push(action),
                _ => statements.entry(*reach).or_default().push(action),
            }
        }
        let statements: Vec<Value> = statements
            .into_iter()
            .filter(|(reach, _)| !self.vpcs.is_empty() || !matches!(reach, Reach::Vpcs | Reach::InVpcs))
            .map(|(reach, actions)| self.statement(reach, &actions))
            .collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    fn statement(&self, reach: Reach, actions: &[&str]) -> Value {
        let (resources, condition) = self.limits(reach);
        let mut statement = json!({
            "Sid": format!("{reach:?}"),
            "Effect": "Allow",
            "Action": actions,
            "Resource": resources,
        });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    }

    fn limits(&self, reach: Reach) -> (Vec<String>, Option<Value>) {
        let Self { installation, partition, account, vpcs, boundary } = self;
        let ec2 = |kind: &str| format!("arn:{partition}:ec2:*:{account}:{kind}/*");
        let vpcs: Vec<String> = vpcs.iter().map(|vpc| format!("arn:{partition}:ec2:*:{account}:vpc/{vpc}")).collect();
        let functions = || vec![format!("arn:{partition}:lambda:*:{account}:function:{FUNCTION_PREFIX}*")];
        let roles = || vec![role_arn_pattern(installation, *partition, account)];
        let tagged =
            |key: &str| Some(json!({"StringEquals": {format!("{key}/{TAG_INSTALLATION}"): installation.to_string()}}));
        match reach {
            Reach::Look => (vec!["*".to_owned()], None),
            Reach::Vpcs => (vpcs, None),
            Reach::InVpcs => {
                (vec![ec2("subnet"), ec2("network-interface")], Some(json!({"ArnLike": {"ec2:Vpc": vpcs}})))
            }
            Reach::NewGroup => (vec![ec2("security-group")], tagged("aws:RequestTag")),
            Reach::NewEndpoint => (vec![ec2("vpc-endpoint")], tagged("aws:RequestTag")),
            Reach::TagsOfNew => {
                let creating = ["CreateSecurityGroup", "CreateVpcEndpoint"];
                let condition = json!({"StringEquals": {"ec2:CreateAction": creating}});
                (vec![ec2("security-group"), ec2("vpc-endpoint")], Some(condition))
            }
            Reach::OurNetwork => (vec![ec2("security-group"), ec2("vpc-endpoint")], tagged("aws:ResourceTag")),
            Reach::HostedZones => (vec![format!("arn:{partition}:route53:::hostedzone/*")], None),
            Reach::RolesToRead => {
                let gone = format!("arn:{partition}:iam::{account}:role/{FUNCTION_PREFIX}*");
                ([roles(), vec![gone]].concat(), None)
            }
            Reach::OurRoles => (roles(), None),
            Reach::BoundRoles => {
                let bound =
                    |boundary| json!({"StringEquals": {"iam:PermissionsBoundary": PolicyArn::as_str(boundary)}});
                (roles(), boundary.as_ref().map(bound))
            }
            Reach::OurRolesForLambda => {
                (roles(), Some(json!({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}})))
            }
            // Another installation's functions have names that begin so too.
            Reach::Functions => {
                let key = format!("aws:ResourceTag/{TAG_INSTALLATION}");
                (functions(), Some(json!({"StringEqualsIfExists": {key: installation.to_string()}})))
            }
            Reach::NewFunction => (functions(), tagged("aws:RequestTag")),
            Reach::OurFunctions => (functions(), tagged("aws:ResourceTag")),
            Reach::LogGroups => (vec![format!("arn:{partition}:logs:*:{account}:log-group:{LOG_GROUP_PREFIX}*")], None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operator(vpcs: &[&str]) -> Operator {
        Operator {
            installation: "prod".parse().expect("an id"),
            partition: Partition::Aws,
            account: "123456789012".parse().expect("an account"),
            vpcs: vpcs.join(",").parse().expect("globs"),
            boundary: None,
        }
    }

    fn statements(operator: &Operator) -> Vec<Value> {
        operator.document()["Statement"].as_array().expect("statements").clone()
    }

    #[test]
    fn it_fits_into_one_managed_policy_with_twenty_vpcs_and_under_a_boundary_with_fifteen() {
        let length = |vpcs: usize, bind: fn(Operator) -> Operator| {
            let many: Vec<String> = (0..vpcs).map(|n| format!("vpc-{n:017x}")).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            bind(operator(&many)).policy().as_str().chars().filter(|c| !c.is_whitespace()).count()
        };
        for length in [length(20, |operator| operator), length(15, bound)] {
            assert!(length <= MANAGED_POLICY_MAX, "{length}");
        }
    }

    fn bound(operator: Operator) -> Operator {
        Operator {
            boundary: Some("arn:aws:iam::123456789012:policy/private-genai-boundary".parse().expect("an ARN")),
            ..operator
        }
    }

    #[test]
    fn with_a_boundary_nothing_that_a_role_may_do_is_written_but_under_that_boundary() {
        let operator = operator(&["vpc-0abc*"]);
        let of_action = |operator: &Operator, action: &str| -> Vec<Value> {
            let names =
                |statement: &Value| statement["Action"].as_array().is_some_and(|all| all.contains(&json!(action)));
            statements(operator).into_iter().filter(names).collect()
        };
        let bound = bound(operator.clone());
        for action in
            ["CreateRole", "PutRolePolicy", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePermissionsBoundary"]
        {
            let action = format!("iam:{action}");
            let [statement] = of_action(&bound, &action).try_into().expect("one statement");
            assert_eq!(
                statement["Condition"],
                json!({"StringEquals": {
                    "iam:PermissionsBoundary": "arn:aws:iam::123456789012:policy/private-genai-boundary",
                }}),
                "{action}"
            );
        }
        let whole = bound.document().to_string();
        assert!(!whole.contains("DeleteRolePermissionsBoundary") && !whole.contains("iam:*"), "{whole}");
        assert_eq!(of_action(&operator, PUT_BOUNDARY), Vec::<Value>::new(), "there is none to put");
        assert!(!operator.document().to_string().contains("iam:PermissionsBoundary"));
        assert_eq!(of_action(&operator, "iam:CreateRole").len(), 1);
    }

    #[test]
    fn everything_that_changes_something_is_limited_to_the_installation_or_to_its_vpcs() {
        for statement in statements(&operator(&["vpc-0abc*"])) {
            let actions: Vec<&str> =
                statement["Action"].as_array().expect("actions").iter().filter_map(Value::as_str).collect();
            let looks = |action: &&str| {
                let name = action.split_once(':').expect("a service").1;
                ["Describe", "Get", "List"].iter().any(|read| name.starts_with(read))
            };
            if actions.iter().all(looks) {
                continue;
            }
            let resources = statement["Resource"].to_string();
            let by_name =
                [":role/private-genai/prod/", ":function:pgai-", ":log-group:/aws/lambda/pgai-", ":vpc/vpc-0abc*"];
            let limited = by_name.iter().any(|name| resources.contains(name))
                || statement["Condition"].to_string().contains("privategenai.dev/installation\":\"prod\"")
                || statement["Condition"].to_string().contains(":vpc/vpc-0abc*")
                || ["TagsOfNew", "HostedZones"].contains(&statement["Sid"].as_str().expect("a sid"));
            assert!(limited, "{statement}");
        }
    }

    #[test]
    fn every_change_that_the_code_names_is_in_the_table() {
        let named: BTreeSet<String> = include_str!("aws/write.rs")
            .lines()
            .filter_map(|line| {
                let (service, operation) = line.trim().split_once("=> (\"")?.1.split_once("\", \"")?;
                Some(format!("{service}:{}", operation.split_once('"')?.0))
            })
            .collect();
        assert!(named.len() > 20, "{named:?}");
        let listed: BTreeSet<String> = TABLE.iter().map(|(action, _, _)| (*action).to_owned()).collect();
        assert_eq!(named.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn without_a_vpc_nothing_can_be_created_there() {
        let all = statements(&operator(&[])).iter().map(Value::to_string).collect::<String>();
        assert!(!all.contains(":vpc/"), "{all}");
    }
}
