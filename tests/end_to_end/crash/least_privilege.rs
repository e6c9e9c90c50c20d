//! The operator's own IAM policy is what it needs, and no more: whole lives without a crash, in an AWS that refuses what the
//! policy does not allow.

use std::collections::{BTreeMap, BTreeSet};

use private_genai_operator::{
    api::PrivateGenAIApp,
    aws::{Aws as _, Partition, PolicyArn},
    permissions::{Operator, TABLE},
};
use serde_json::{Value, json};

use super::{OUT_OF_REACH, life::Life, site::Site};
use crate::stack::{ALLOWED_VPCS, Stack, app, condition};

/// What the operator reads roles by; where it is denied, it reads them one by one.
const ALL_ROLES: &str = "iam:GetAccountAuthorizationDetails";

/// What an action was allowed by, as `action statement`.
type Used = BTreeSet<String>;

/// Leads a life under a policy. Gives what of it was used, and what was refused.
async fn live(site: &Site, policy: &Value) -> (Used, Vec<String>) {
    site.stack.grant(policy).await;
    let outcome = Life::lead(site, &BTreeMap::new(), None).await;
    assert_eq!(outcome.lost, None, "{}", site.stack.granted().await);
    let told = site.stack.granted().await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let used = told["used"].as_array().into_iter().flatten();
    let refused = told["refused"].as_array().into_iter().flatten();
    (used.map(|it| format!("{} {}", text(&it["action"]), text(&it["sid"]))).collect(), refused.map(text).collect())
}

fn operator(installation: &str, boundary: &PolicyArn) -> Operator {
    Operator {
        installation: installation.parse().expect("an id"),
        partition: Partition::Aws,
        account: "123456789012".parse().expect("an account"),
        vpcs: ALLOWED_VPCS.parse().expect("globs"),
        boundary: Some(boundary.clone()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_operator_needs_its_whole_policy_and_nothing_else() {
    let (with_a_way_out, isolated) = tokio::join!(Site::new("nat"), Site::new("isolated"));
    // The same ARN in each account.
    assert_eq!(with_a_way_out.boundary, isolated.boundary);
    let whole = operator("crash", &isolated.boundary).document();
    let mut without = whole.clone();
    let looks = without["Statement"][0]["Action"].as_array_mut().expect("actions");
    looks.retain(|action| action != &json!(ALL_ROLES));
    let ((used, refused), (used_without, refused_without)) =
        tokio::join!(live(&with_a_way_out, &whole), live(&isolated, &without));
    assert_eq!(refused, Vec::<String>::new());
    assert!(refused_without.iter().all(|it| it.starts_with(ALL_ROLES)), "{refused_without:?}");
    assert!(!refused_without.is_empty(), "it was asked for");
    let used: Used = &used | &used_without;
    let in_the_table: Used = TABLE.iter().map(|(action, reach, _)| format!("{action} {reach:?}")).collect();
    let not_needed: Vec<&str> =
        in_the_table.difference(&used).filter_map(|it| it.split_once(' ')).map(|(action, _)| action).collect();
    assert_eq!(not_needed, OUT_OF_REACH);
}

#[tokio::test]
async fn with_a_boundary_in_its_policy_the_operator_creates_no_role_without_it_and_says_how_to_have_it() {
    let stack = Stack::start();
    let namespace = stack.namespace("bound");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let boundary: PolicyArn = "arn:aws:iam::aws:policy/PowerUserAccess".parse().expect("an ARN");
    stack.grant(&operator("bound", &boundary).document()).await;
    let untold = stack.operator_granted("bound", &[]).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let denied = |app: Option<&PrivateGenAIApp>| condition(app, "ExecutionRoleReady").1 == "AccessDenied";
    let refused = stack.until(&namespace, "bot", "is denied its role", denied).await;
    let (_, _, message) = condition(Some(&refused), "ExecutionRoleReady");
    assert!(message.contains("Allow the operator's role iam:CreateRole"), "{message}");
    let (aws, region) = (stack.sdk().await, "us-east-1".parse().expect("a region"));
    let roles = async || aws.roles(&region, "/private-genai/bound/").await.expect("roles");
    assert_eq!(roles().await, [], "none was created");
    assert!(untold.stop().await);

    let arguments = ["--permissions-boundary-arn", boundary.as_str()];
    let told = stack.operator_granted("bound", &arguments).await;
    stack.until_ready(&namespace, "bot").await;
    let boundaries: Vec<_> = roles().await.into_iter().map(|role| role.permissions_boundary).collect();
    assert_eq!(boundaries, [Some(boundary.to_string())]);
    assert!(told.stop().await);
}
