//! The operator's IAM policy, from the actions in `permissions`.

use serde_json::Value;

use super::{code, document, section, table};
use crate::{
    aws::{Partition, ResourceScope},
    permissions::{AllowedAction, MANAGED_POLICY_MAX, Operator, allowed_actions},
};

/// The page.
pub fn page() -> String {
    let introduction = "Each action that the operator's policy allows, with the reason. `iam-policy` prints the policy of your installation \
                        ([permissions of the operator](../concepts/permissions.md)); here the installation is `prod`, the account \
                        `123456789012`, and apps may name `vpc-0abc1234`. `sts:GetCallerIdentity` needs no permission.";
    let mut allowed = allowed_actions();
    allowed.sort_by(|left, right| left.action.cmp(&right.action));
    let actions = allowed.into_iter().map(|AllowedAction { action, scope, needed_by }| {
        let why = needed_by.map_or_else(
            || "The operator makes this call.".to_owned(),
            |cause| format!("AWS asks for this action in {cause}."),
        );
        [code(&action), format!("[{scope:?}](#{})", format!("{scope:?}").to_lowercase()), why]
    });
    let document_of_operator = operator().document();
    let statements = document_of_operator["Statement"].as_array().expect("statements");
    let of_statement = statements.iter().map(|statement| {
        let sid = statement["Sid"].as_str().expect("a sid");
        let is_meant = |allowed: &AllowedAction| format!("{:?}", allowed.scope) == sid;
        let scope = allowed_actions().into_iter().find(is_meant).expect("a scope").scope;
        let condition = statement.get("Condition").map_or_else(
            || "No condition.".to_owned(),
            |condition| format!("Condition: {}", code(&condition.to_string())),
        );
        format!("### {sid}\n\n{}\n\n{}\n\n{condition}", meaning(scope), resources(&statement["Resource"]))
    });
    document(
        "The operator's IAM policy",
        introduction,
        &[
            section("By action", &[table(["action", "on", "why"], actions)]),
            section("How many VPCs fit", &[introduction_of_room(), rooms()]),
            section("Resources and conditions", &of_statement.collect::<Vec<_>>()),
        ],
    )
}

fn introduction_of_room() -> String {
    format!(
        "A managed policy takes {MANAGED_POLICY_MAX} characters. The policy fits into one with this many VPCs by their whole ids. A glob takes \
         the room of one VPC: `vpc-0abc*` or `*` always fits."
    )
}

fn rooms() -> String {
    let installation = |installation: &str, partition| Operator {
        installation: installation.parse().expect("an id"),
        partition,
        ..operator()
    };
    let longest = installation(&"i".repeat(32), Partition::AwsUsGov);
    let rows = [("`prod`", installation("prod", Partition::Aws)), ("of 32 characters, in GovCloud", longest)];
    table(
        ["installation id", "without a permissions boundary", "with one"],
        rows.map(|(id, with)| {
            let without = Operator { boundary: None, ..with.clone() };
            [id.to_owned(), room(&without).to_string(), room(&with).to_string()]
        }),
    )
}

/// The number of VPCs, each by its whole id, that fit into one managed policy.
fn room(operator: &Operator) -> usize {
    let fits = |count: &usize| {
        let vpcs = (0..*count).map(|n| format!("vpc-{n:017x}")).collect::<Vec<_>>().join(",");
        let operator = Operator { vpcs: vpcs.parse().expect("globs"), ..operator.clone() };
        operator.policy().as_str().chars().filter(|c| !c.is_whitespace()).count() <= MANAGED_POLICY_MAX
    };
    let room = (0..100).take_while(fits).last().expect("none at all fits");
    assert!(room >= 10, "the pages on the installation say that ten fit");
    room
}

fn operator() -> Operator {
    Operator {
        installation: "prod".parse().expect("an id"),
        partition: Partition::Aws,
        account: "123456789012".parse().expect("an account"),
        vpcs: "vpc-0abc1234".parse().expect("globs"),
        boundary: Some("arn:aws:iam::123456789012:policy/private-genai-boundary".parse().expect("an ARN")),
    }
}

fn resources(resources: &Value) -> String {
    let all = match resources {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    all.iter().map(|resource| format!("- {}", code(resource))).collect::<Vec<_>>().join("\n")
}

/// The resources of a statement, and the reason for their limit.
fn meaning(scope: ResourceScope) -> &'static str {
    match scope {
        ResourceScope::Look => "All resources: these actions only list, and IAM has no limit for them.",
        ResourceScope::Vpcs => "The VPCs that apps may name.",
        ResourceScope::AroundNewEndpoint => {
            "The subnets of a new endpoint, and with private DNS a hosted zone of AWS's own. IAM has no key for the VPC of these subnets. \
             The statement Vpcs limits the call, and EC2 takes no subnet of another VPC."
        }
        ResourceScope::InVpcs => {
            "Subnets and network interfaces in those VPCs: the interfaces that Lambda leaves behind carry no tag."
        }
        ResourceScope::NewGroup => "A security group that carries the installation's tag from its first moment on.",
        ResourceScope::NewEndpoint => "An endpoint that carries the installation's tag from its first moment on.",
        ResourceScope::TagsOfNew => "Tags of a group or an endpoint, in the call that creates the resource.",
        ResourceScope::RolesToRead => {
            "Roles below the installation's path; and roles by name without a path, because IAM knows no path of a deleted role."
        }
        ResourceScope::OurRoles => "Roles below the installation's path.",
        ResourceScope::BoundRoles => {
            "Roles below the installation's path that have the permissions boundary. Without a boundary these actions are part of \
             OurRoles, without the condition, and `iam:PutRolePermissionsBoundary` is not allowed."
        }
        ResourceScope::OurRolesForLambda => {
            "Roles below the installation's path, passed to Lambda and to no other service."
        }
        ResourceScope::FunctionsToRead => {
            "Functions with the operator's prefix, except those with another installation's tag."
        }
        ResourceScope::LogGroupsToRead => {
            "Log groups with the operator's prefix. Only the tags name the owner, so the operator may read the tags."
        }
        ResourceScope::New => {
            "A function or log group that gets the installation's tag. A resource with another installation's tag cannot get this tag. A \
             resource without any installation's tag can: IAM cannot distinguish it from a new resource."
        }
        ResourceScope::Ours => {
            "Security groups, endpoints, functions and log groups with the installation's tag. Each action acts on its own kind only."
        }
    }
}
