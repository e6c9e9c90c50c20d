//! The operator's own IAM policy is what it needs, and no more: whole lives without a crash, in an AWS that refuses what the
//! policy does not allow.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatchlogs::{
    Client as Logs,
    error::{ProvideErrorMetadata, SdkError},
};
use private_genai_operator::{
    api::PrivateGenAIApp,
    aws::{Aws as _, Partition, PolicyArn},
    identity::{LOG_GROUP_PREFIX, TAG_INSTALLATION},
    permissions::{Operator, allowed_actions},
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
    let granted = site.stack.granted().await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let used = granted["used"].as_array().into_iter().flatten();
    let refused = granted["refused"].as_array().into_iter().flatten();
    (
        used.map(|entry| format!("{} {}", text(&entry["action"]), text(&entry["sid"]))).collect(),
        refused.map(text).collect(),
    )
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
    assert!(refused_without.iter().all(|refusal| refusal.starts_with(ALL_ROLES)), "{refused_without:?}");
    assert!(!refused_without.is_empty(), "it was asked for");
    let used: Used = &used | &used_without;
    let in_the_table: Used =
        allowed_actions().into_iter().map(|allowed| format!("{} {:?}", allowed.action, allowed.scope)).collect();
    let not_needed: Vec<&str> =
        in_the_table.difference(&used).filter_map(|entry| entry.split_once(' ')).map(|(action, _)| action).collect();
    assert_eq!(not_needed, OUT_OF_REACH);
}

#[tokio::test]
async fn a_policy_that_demands_a_boundary_creates_no_role_without_it_and_says_so() {
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
    let operator = stack.operator_granted("bound", &arguments).await;
    stack.until_ready(&namespace, "bot").await;
    let boundaries: Vec<_> = roles().await.into_iter().map(|role| role.permissions_boundary).collect();
    assert_eq!(boundaries, [Some(boundary.to_string())]);
    assert!(operator.stop().await);
}

/// The code of the refusal with which a call ended.
fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata, R>(answer: Result<T, SdkError<E, R>>) -> Option<String> {
    answer.err()?.code().map(ToOwned::to_owned)
}

#[tokio::test]
async fn the_operator_s_credentials_change_no_log_group_of_another_installation() {
    let stack = Stack::start();
    let boundary: PolicyArn = "arn:aws:iam::aws:policy/PowerUserAccess".parse().expect("an ARN");
    stack.grant(&operator("ours", &boundary).document()).await;
    let (people, taken) = (Logs::new(&stack.sdk_config().await), Logs::new(&stack.sdk_config_granted().await));
    let name = |of: &str| format!("{LOG_GROUP_PREFIX}team-a-{of}-0123456789abcdef");
    let arn = |of: &str| format!("arn:aws:logs:us-east-1:123456789012:log-group:{}", name(of));
    for of in ["ours", "theirs"] {
        let group = people.create_log_group().log_group_name(name(of)).tags(TAG_INSTALLATION, of);
        group.send().await.expect("a log group");
    }
    let denied = Some("AccessDeniedException".to_owned());
    assert_eq!(refusal(taken.delete_log_group().log_group_name(name("theirs")).send().await), denied);
    let retention = |of: &str| taken.put_retention_policy().log_group_name(name(of)).retention_in_days(1).send();
    assert_eq!(refusal(retention("theirs").await), denied);
    let take = |of: &str| taken.tag_resource().resource_arn(arn(of)).tags(TAG_INSTALLATION, "ours").send();
    assert_eq!(refusal(take("theirs").await), denied, "it does not become ours");
    let create = |tag: Option<&str>| {
        let tags = tag.map(|tag| [(TAG_INSTALLATION.to_owned(), tag.to_owned())].into());
        taken.create_log_group().log_group_name(name("new")).set_tags(tags).send()
    };
    assert_eq!(refusal(create(None).await), denied);
    assert_eq!(refusal(create(Some("theirs")).await), denied);
    // Whose it is can be read, and what is ours can be changed.
    let tags = taken.list_tags_for_resource().resource_arn(arn("theirs")).send().await.expect("tags");
    assert_eq!(tags.tags().and_then(|tags| tags.get(TAG_INSTALLATION)).map(String::as_str), Some("theirs"));
    retention("ours").await.expect("retention");
    let put_back = taken.tag_resource().resource_arn(arn("ours")).tags("privategenai.dev/app-name", "bot");
    put_back.send().await.expect("a tag that was lost is put back alone");
    taken.delete_log_group().log_group_name(name("ours")).send().await.expect("it is deleted");
    create(Some("ours")).await.expect("a new one");
}
