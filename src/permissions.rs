//! The operator's own IAM policy, made from the tables of operations and of the further permissions that AWS asks for. The policy
//! is limited to this installation by path (roles) and by tag (groups, endpoints, functions, log groups), and to the VPCs that
//! apps may name.
//!
//! The resources and condition keys of each action are those of AWS's Service Authorization Reference (EC2, IAM, Lambda,
//! CloudWatch Logs, Route 53). `tests/policies` judges the policy by that reference and by a linter. In an end-to-end test, the
//! simulated AWS refuses all that this policy does not allow, and the test compares the tables with the calls of a whole life of
//! apps, in both directions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    aws::{AccountId, Operation, Partition, Permission, PolicyArn, PolicyDocument, ResourceScope, VpcId},
    guard::Globs,
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX, TAG_INSTALLATION, role_arn_pattern},
};

/// The longest managed policy, in characters without white space (IAM quotas).
pub const MANAGED_POLICY_MAX: usize = 6_144;

/// The largest size of all inline policies of a role together, counted likewise (IAM quotas).
pub const INLINE_POLICIES_MAX: usize = 10_240;

/// Where a policy of this length can be put. `None` if the policy fits into a managed policy.
pub fn too_long_for_a_managed_policy(document: &Value) -> Option<String> {
    let length = document.to_string().chars().filter(|character| !character.is_whitespace()).count();
    let shorter = "or name fewer VPCs, by globs";
    (length > MANAGED_POLICY_MAX).then(|| {
        if length <= INLINE_POLICIES_MAX {
            format!(
                "The policy has {length} characters, and a managed policy takes {MANAGED_POLICY_MAX}: put the policy into the operator's role \
                 as an inline policy (aws iam put-role-policy), which takes {INLINE_POLICIES_MAX}, {shorter}."
            )
        } else {
            format!(
                "The policy has {length} characters, and neither a managed policy ({MANAGED_POLICY_MAX}) nor inline policies \
                 ({INLINE_POLICIES_MAX}) take so many: divide its statements among several managed policies, {shorter}."
            )
        }
    })
}

/// The operator that a policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Operator {
    pub installation: InstallationId,
    pub partition: Partition,
    /// The account of the operator.
    pub account: AccountId,
    /// The VPCs that apps may name, as globs that mean the same to the operator and to IAM. Without a VPC, nothing can be
    /// created.
    pub vpcs: Globs<VpcId>,
    /// The permissions boundary of the roles that the operator creates. Without a boundary, only the role's own policies limit a
    /// role.
    pub boundary: Option<PolicyArn>,
}

/// The action that is left out of a policy without a boundary.
const PUT_BOUNDARY: &str = "iam:PutRolePermissionsBoundary";

/// An action that the policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAction {
    /// `SERVICE:ACTION`.
    pub action: String,
    /// The resources of the action.
    pub scope: ResourceScope,
    /// The operations that need this action besides their own.
    pub needed_by: Option<&'static str>,
}

/// All actions of the policy, from the tables of operations, in the order of the policy.
pub fn allowed_actions() -> Vec<AllowedAction> {
    let of = |operation: &'static Operation| {
        operation.permissions.iter().map(|Permission { action, scope, needed_by }| AllowedAction {
            action: action.map_or_else(|| operation.to_string(), str::to_owned),
            scope: *scope,
            needed_by: *needed_by,
        })
    };
    let mut actions: Vec<AllowedAction> = Operation::all().flat_map(of).collect();
    actions.sort_by_key(|action| action.scope);
    actions
}

impl Operator {
    /// The policy. `sts:GetCallerIdentity` needs no permission. docs/reference/iam-policy.md has the number of VPCs that fit into
    /// the policy.
    pub fn policy(&self) -> PolicyDocument {
        PolicyDocument::new(&self.document())
    }

    /// The policy in readable form: one statement for each [`ResourceScope`], in order.
    pub fn document(&self) -> Value {
        let mut statements: BTreeMap<ResourceScope, Vec<String>> = BTreeMap::new();
        for AllowedAction { action, scope, .. } in allowed_actions() {
            let scope = match (scope, &self.boundary) {
                (ResourceScope::BoundRoles, None) if action == PUT_BOUNDARY => continue,
                // Without a boundary, the two scopes are the same.
                (ResourceScope::BoundRoles, None) => ResourceScope::OurRoles,
                (scope, _) => scope,
            };
            statements.entry(scope).or_default().push(action);
        }
        let statements: Vec<Value> = statements
            .into_iter()
            .filter(|(scope, _)| !self.vpcs.is_empty() || !matches!(scope, ResourceScope::Vpcs | ResourceScope::InVpcs))
            .map(|(scope, actions)| self.statement(scope, &actions))
            .collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    fn statement(&self, scope: ResourceScope, actions: &[String]) -> Value {
        let (resources, condition) = self.limits(scope);
        let mut statement = json!({
            "Sid": format!("{scope:?}"),
            "Effect": "Allow",
            "Action": one_or_many(actions),
            "Resource": one_or_many(&resources),
        });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    }

    fn limits(&self, scope: ResourceScope) -> (Vec<String>, Option<Value>) {
        let Self { installation, partition, account, vpcs, boundary } = self;
        let ec2 = |kind: &str| format!("arn:{partition}:ec2:*:{account}:{kind}/*");
        let vpcs: Vec<String> = vpcs.iter().map(|vpc| format!("arn:{partition}:ec2:*:{account}:vpc/{vpc}")).collect();
        let functions = format!("arn:{partition}:lambda:*:{account}:function:{FUNCTION_PREFIX}*");
        let roles = || vec![role_arn_pattern(installation, *partition, account)];
        // The wildcard includes the `:*` behind the name, which some actions want and others do not (see `LogGroup` of the
        // CloudWatch Logs API).
        let log_groups = format!("arn:{partition}:logs:*:{account}:log-group:{LOG_GROUP_PREFIX}*");
        let ours = |key: &str| json!({format!("{key}/{TAG_INSTALLATION}"): installation.to_string()});
        let tagged = |key: &str| Some(json!({"StringEquals": ours(key)}));
        // Functions and log groups of other installations have the same prefix.
        let not_of_others = || json!({"StringEqualsIfExists": ours("aws:ResourceTag")});
        match scope {
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

/// A list of one element is written without brackets, because each character counts.
fn one_or_many<T: AsRef<str>>(all: &[T]) -> Value {
    match all {
        [one] => one.as_ref().into(),
        all => all.iter().map(AsRef::as_ref).collect(),
    }
}

#[cfg(test)]
mod tests {
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
            // Names of all installations have one prefix: a name is no limit.
            let limited = [":role/private-genai/prod/", ":vpc/vpc-0abc*"].iter().any(|path| resources.contains(path))
                || statement["Condition"].to_string().contains("privategenai.dev/installation\":\"prod\"")
                || statement["Condition"].to_string().contains(":vpc/vpc-0abc*")
                // The limit of these calls is a condition on another resource of the call.
                || ["AroundNewEndpoint", "TagsOfNew"].contains(&statement["Sid"].as_str().expect("a sid"));
            assert!(limited, "{statement}");
        }
    }

    #[test]
    fn without_a_vpc_nothing_can_be_created_there() {
        let all = statements(&operator(&[])).iter().map(Value::to_string).collect::<String>();
        assert!(!all.contains(":vpc/"), "{all}");
    }
}
