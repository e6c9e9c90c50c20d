//! What the operator may do in AWS: its own IAM policy, made from one table of the calls that the code makes and of what AWS asks
//! for besides. Limited to this installation by path (roles) and by tag (groups, endpoints, functions, log groups), and to the
//! VPCs that apps may name.
//!
//! Which resources and condition keys an action knows is from AWS's Service Authorization Reference (EC2, IAM, Lambda,
//! CloudWatch Logs, Route 53). `tests/policies` judges the policy by that reference and by a linter. An end-to-end test has the
//! simulated AWS refuse what this policy does not allow, and compares the table with what a whole life of apps used, both ways.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    aws::{AccountId, Partition, PolicyArn, PolicyDocument, VpcId},
    guard::Globs,
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX, TAG_INSTALLATION, role_arn_pattern},
};

/// The longest managed policy, in characters without white space (IAM quotas).
pub const MANAGED_POLICY_MAX: usize = 6_144;

/// The longest that all inline policies of a role may be together, counted likewise (IAM quotas).
pub const INLINE_POLICIES_MAX: usize = 10_240;

/// What whoever attaches this policy has to know of its length; `None` where it fits into a managed policy.
pub fn too_long_for_a_managed_policy(document: &Value) -> Option<String> {
    let length = document.to_string().chars().filter(|character| !character.is_whitespace()).count();
    let shorter = "or name fewer VPCs, by globs";
    (length > MANAGED_POLICY_MAX).then(|| {
        if length <= INLINE_POLICIES_MAX {
            format!(
                "The policy has {length} characters, and a managed policy takes {MANAGED_POLICY_MAX}: put it into the operator's role as an \
                 inline policy (aws iam put-role-policy), which takes {INLINE_POLICIES_MAX}, {shorter}."
            )
        } else {
            format!(
                "The policy has {length} characters, and neither a managed policy ({MANAGED_POLICY_MAX}) nor inline policies \
                 ({INLINE_POLICIES_MAX}) take that: divide its statements among several managed policies, {shorter}."
            )
        }
    })
}

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
pub enum ResourceScope {
    /// Anything: IAM knows no limit for the action, or it only lists.
    Look,
    /// The VPCs that apps may name.
    Vpcs,
    /// What an endpoint that is created is put into: its subnets, and with private DNS a hosted zone of AWS's own. There,
    /// `ec2:CreateVpcEndpoint` has no key that names the subnets' VPC. The VPC, about which AWS asks besides, limits the call
    /// ([`Vpcs`](Self::Vpcs)), and EC2 takes no subnet of another one.
    AroundNewEndpoint,
    /// Subnets in those VPCs, and network interfaces: those that Lambda leaves behind carry no tag.
    InVpcs,
    /// A security group that bears the installation's tag from its first moment on.
    NewGroup,
    /// The same for an endpoint.
    NewEndpoint,
    /// Tags of a resource of EC2, in the call that makes it.
    TagsOfNew,
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
    /// Functions whose names begin as ours do, and that have not another installation's tag, to be read.
    FunctionsToRead,
    /// Log groups whose names begin as ours do, to be read: whose a group is, only its tags say.
    LogGroupsToRead,
    /// A function or a log group that bears the installation's tag from its first moment on. What bears another installation's tag
    /// cannot be given ours. What bears none can: nothing tells it from what is being created. AWS's own example for functions
    /// (Lambda developer guide, "Secure your functions by tag") names both keys for the call and its tags, too.
    New,
    /// Security groups, endpoints, functions and log groups with the installation's tag. One statement for all, because each action
    /// acts on its own kind only, and the policy must fit.
    Ours,
}

/// The calls that give a function its role and its VPC.
const ATTACHING: &str = "lambda:CreateFunction, lambda:UpdateFunctionConfiguration";

/// Is not allowed where there is no boundary.
const PUT_BOUNDARY: &str = "iam:PutRolePermissionsBoundary";

/// Each action, on what, and for which call where it is no call of the operator's own.
pub const TABLE: &[(&str, ResourceScope, Option<&str>)] = {
    use ResourceScope::{
        AroundNewEndpoint, BoundRoles, FunctionsToRead, InVpcs, LogGroupsToRead, Look, New, NewEndpoint, NewGroup,
        OurRoles, OurRolesForLambda, Ours, RolesToRead, TagsOfNew, Vpcs,
    };
    &[
        ("ec2:DescribeNetworkInterfaces", Look, None),
        ("ec2:DescribeRouteTables", Look, None),
        // Lambda asks for these three besides, with the permissions of whoever attaches a function to a VPC; and, says its
        // developer guide, for ec2:GetSecurityGroupsForVpc below. Only its console may need that one: this is not known.
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
        ("ec2:GetSecurityGroupsForVpc", Vpcs, Some(ATTACHING)),
        ("ec2:CreateVpcEndpoint", AroundNewEndpoint, None),
        ("route53:AssociateVPCWithHostedZone", AroundNewEndpoint, Some("ec2:CreateVpcEndpoint with private DNS")),
        ("ec2:ModifyVpcEndpoint", InVpcs, None),
        ("ec2:DeleteNetworkInterface", InVpcs, None),
        ("ec2:CreateSecurityGroup", NewGroup, None),
        ("ec2:CreateVpcEndpoint", NewEndpoint, None),
        ("ec2:CreateTags", TagsOfNew, Some("ec2:CreateSecurityGroup, ec2:CreateVpcEndpoint")),
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
        ("iam:PassRole", OurRolesForLambda, Some(ATTACHING)),
        ("lambda:GetFunction", FunctionsToRead, None),
        ("lambda:ListTags", FunctionsToRead, Some("lambda:GetFunction, for the tags in its answer")),
        ("logs:ListTagsForResource", LogGroupsToRead, None),
        ("lambda:CreateFunction", New, None),
        ("lambda:TagResource", New, Some("lambda:CreateFunction")),
        ("logs:CreateLogGroup", New, None),
        ("logs:TagResource", New, Some("logs:CreateLogGroup")),
        ("ec2:AuthorizeSecurityGroupEgress", Ours, None),
        ("ec2:AuthorizeSecurityGroupIngress", Ours, None),
        ("ec2:CreateTags", Ours, None),
        // Of an endpoint that is created, its groups.
        ("ec2:CreateVpcEndpoint", Ours, None),
        ("ec2:DeleteSecurityGroup", Ours, None),
        ("ec2:DeleteVpcEndpoints", Ours, None),
        ("ec2:ModifyVpcEndpoint", Ours, None),
        ("ec2:RevokeSecurityGroupEgress", Ours, None),
        ("ec2:RevokeSecurityGroupIngress", Ours, None),
        ("lambda:DeleteFunction", Ours, None),
        // The API calls it Invoke.
        ("lambda:InvokeFunction", Ours, None),
        // Tags that somebody took away are put back, on what still has the installation's.
        ("lambda:TagResource", Ours, None),
        ("lambda:UpdateFunctionCode", Ours, None),
        ("lambda:UpdateFunctionConfiguration", Ours, None),
        ("logs:DeleteLogGroup", Ours, None),
        ("logs:PutRetentionPolicy", Ours, None),
        ("logs:TagResource", Ours, None),
    ]
};

impl Operator {
    /// The policy. It fits into one managed policy with nineteen VPCs by their whole ids, and with seventeen under a permissions
    /// boundary; with the longest installation id, in GovCloud, with fourteen and eleven. A glob takes the room of one VPC.
    /// `sts:GetCallerIdentity` needs no permission.
    pub fn policy(&self) -> PolicyDocument {
        PolicyDocument::new(&self.document())
    }

    /// The same for people: one statement for each [`ResourceScope`], in order.
    pub fn document(&self) -> Value {
        let mut statements: BTreeMap<ResourceScope, Vec<&str>> = BTreeMap::new();
        for (action, reach, _) in TABLE {
            match (reach, &self.boundary) {
                (ResourceScope::BoundRoles, None) if *action == PUT_BOUNDARY => {}
                // Nothing tells the two apart then.
                (ResourceScope::BoundRoles, None) => {
                    statements.entry(ResourceScope::OurRoles).or_default().push(action);
                }
                _ => statements.entry(*reach).or_default().push(action),
            }
        }
        let statements: Vec<Value> = statements
            .into_iter()
            .filter(|(reach, _)| !self.vpcs.is_empty() || !matches!(reach, ResourceScope::Vpcs | ResourceScope::InVpcs))
            .map(|(reach, actions)| self.statement(reach, &actions))
            .collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    fn statement(&self, reach: ResourceScope, actions: &[&str]) -> Value {
        let (resources, condition) = self.limits(reach);
        let mut statement = json!({
            "Sid": format!("{reach:?}"),
            "Effect": "Allow",
            "Action": one_or_many(actions),
            "Resource": one_or_many(&resources),
        });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    }

    fn limits(&self, reach: ResourceScope) -> (Vec<String>, Option<Value>) {
        let Self { installation, partition, account, vpcs, boundary } = self;
        let ec2 = |kind: &str| format!("arn:{partition}:ec2:*:{account}:{kind}/*");
        let vpcs: Vec<String> = vpcs.iter().map(|vpc| format!("arn:{partition}:ec2:*:{account}:vpc/{vpc}")).collect();
        let functions = format!("arn:{partition}:lambda:*:{account}:function:{FUNCTION_PREFIX}*");
        let roles = || vec![role_arn_pattern(installation, *partition, account)];
        // `:*` behind the name, which some actions want and others do not (see `LogGroup` of the CloudWatch Logs API), is in the
        // wildcard.
        let log_groups = format!("arn:{partition}:logs:*:{account}:log-group:{LOG_GROUP_PREFIX}*");
        let ours = |key: &str| json!({format!("{key}/{TAG_INSTALLATION}"): installation.to_string()});
        let tagged = |key: &str| Some(json!({"StringEquals": ours(key)}));
        // Another installation's functions and log groups have names that begin so too.
        let not_of_others = || json!({"StringEqualsIfExists": ours("aws:ResourceTag")});
        match reach {
            ResourceScope::Look => (vec!["*".to_owned()], None),
            ResourceScope::Vpcs => (vpcs, None),
            ResourceScope::AroundNewEndpoint => {
                (vec![ec2("subnet"), format!("arn:{partition}:route53:::hostedzone/*")], None)
            }
            ResourceScope::InVpcs => {
                (vec![ec2("subnet"), ec2("network-interface")], Some(json!({"ArnLike": {"ec2:Vpc": vpcs}})))
            }
            ResourceScope::NewGroup => (vec![ec2("security-group")], tagged("aws:RequestTag")),
            ResourceScope::NewEndpoint => (vec![ec2("vpc-endpoint")], tagged("aws:RequestTag")),
            ResourceScope::TagsOfNew => {
                let creating = ["CreateSecurityGroup", "CreateVpcEndpoint"];
                let condition = json!({"StringEquals": {"ec2:CreateAction": creating}});
                (vec![ec2("security-group"), ec2("vpc-endpoint")], Some(condition))
            }
            ResourceScope::RolesToRead => {
                let gone = format!("arn:{partition}:iam::{account}:role/{FUNCTION_PREFIX}*");
                ([roles(), vec![gone]].concat(), None)
            }
            ResourceScope::OurRoles => (roles(), None),
            ResourceScope::BoundRoles => {
                let bound =
                    |boundary| json!({"StringEquals": {"iam:PermissionsBoundary": PolicyArn::as_str(boundary)}});
                (roles(), boundary.as_ref().map(bound))
            }
            ResourceScope::OurRolesForLambda => {
                (roles(), Some(json!({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}})))
            }
            ResourceScope::FunctionsToRead => (vec![functions], Some(not_of_others())),
            ResourceScope::LogGroupsToRead => (vec![log_groups], None),
            ResourceScope::New => {
                let mut condition = not_of_others();
                condition["StringEquals"] = ours("aws:RequestTag");
                (vec![functions, log_groups], Some(condition))
            }
            ResourceScope::Ours => {
                let resources = vec![ec2("security-group"), ec2("vpc-endpoint"), functions, log_groups];
                (resources, tagged("aws:ResourceTag"))
            }
        }
    }
}

/// A list of one is as good without brackets, and each character counts.
fn one_or_many<T: AsRef<str>>(all: &[T]) -> Value {
    match all {
        [one] => one.as_ref().into(),
        all => all.iter().map(AsRef::as_ref).collect(),
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

    /// How many VPCs, each named by its whole id, fit into one managed policy.
    fn room(operator: &Operator) -> usize {
        let fits = |count: &usize| {
            let vpcs = (0..*count).map(|n| format!("vpc-{n:017x}")).collect::<Vec<_>>().join(",");
            let operator = Operator { vpcs: vpcs.parse().expect("globs"), ..operator.clone() };
            operator.policy().as_str().chars().filter(|c| !c.is_whitespace()).count() <= MANAGED_POLICY_MAX
        };
        (0..100).take_while(fits).last().expect("none at all fits")
    }

    #[test]
    fn what_does_not_fit_into_a_managed_policy_is_told_with_where_it_fits() {
        let notice = |count: usize| {
            let vpcs: Vec<String> = (0..count).map(|n| format!("vpc-{n:017x}")).collect();
            too_long_for_a_managed_policy(&operator(&vpcs.iter().map(String::as_str).collect::<Vec<_>>()).document())
        };
        assert_eq!(notice(1), None);
        let inline = notice(40).expect("a notice");
        assert!(inline.contains("6144") && inline.contains("put-role-policy"), "{inline}");
        let divided = notice(400).expect("a notice");
        assert!(divided.contains("divide its statements"), "{divided}");
    }

    #[test]
    fn it_fits_into_one_managed_policy_with_as_many_vpcs_as_the_documents_say() {
        let short = operator(&[]);
        let long = Operator {
            installation: "i".repeat(32).parse().expect("an id"),
            partition: Partition::AwsUsGov,
            ..short.clone()
        };
        let rooms = [&short, &long].map(|it| (room(it), room(&bound(it.clone()))));
        assert_eq!(rooms, [(19, 17), (14, 11)]);
    }

    fn actions(statement: &Value) -> Vec<&str> {
        match &statement["Action"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
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
            let names = |statement: &Value| actions(statement).contains(&action);
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
            let actions = actions(&statement);
            let looks = |action: &&str| {
                let name = action.split_once(':').expect("a service").1;
                ["Describe", "Get", "List"].iter().any(|read| name.starts_with(read))
            };
            if actions.iter().all(looks) {
                continue;
            }
            let resources = statement["Resource"].to_string();
            // Names begin the same in each installation, so no name is a limit.
            let limited = [":role/private-genai/prod/", ":vpc/vpc-0abc*"].iter().any(|path| resources.contains(path))
                || statement["Condition"].to_string().contains("privategenai.dev/installation\":\"prod\"")
                || statement["Condition"].to_string().contains(":vpc/vpc-0abc*")
                // What limits these calls is asked about another resource of theirs.
                || ["AroundNewEndpoint", "TagsOfNew"].contains(&statement["Sid"].as_str().expect("a sid"));
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
