//! The operator's own IAM policy is what it needs, and no more: whole lives without a crash, in an AWS that refuses what the
//! policy does not allow.

use std::collections::{BTreeMap, BTreeSet};

use private_genai_operator::{
    aws::Partition,
    permissions::{Operator, TABLE},
};
use serde_json::{Value, json};

use super::{OUT_OF_REACH, life::Life, site::Site};
use crate::stack::ALLOWED_VPCS;

/// What the operator reads roles by; where it is denied, it reads them one by one.
const ALL_ROLES: &str = "iam:GetAccountAuthorizationDetails";

/// What an action was allowed by, as `action statement`.
type Used = BTreeSet<String>;

/// Leads a life under a policy. Gives what of it was used, and what was refused.
async fn live(route: &'static str, policy: &Value) -> (Used, Vec<String>) {
    let site = Site::new(route).await;
    site.stack.grant(policy).await;
    let outcome = Life::lead(&site, &BTreeMap::new(), None).await;
    assert_eq!(outcome.lost, None, "{}", site.stack.granted().await);
    let told = site.stack.granted().await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let used = told["used"].as_array().into_iter().flatten();
    let refused = told["refused"].as_array().into_iter().flatten();
    (used.map(|it| format!("{} {}", text(&it["action"]), text(&it["sid"]))).collect(), refused.map(text).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_operator_needs_its_whole_policy_and_nothing_else() {
    let operator = Operator {
        installation: "crash".parse().expect("an id"),
        partition: Partition::Aws,
        account: "123456789012".parse().expect("an account"),
        vpcs: ALLOWED_VPCS.parse().expect("globs"),
    };
    let whole = operator.document();
    let mut without = whole.clone();
    let looks = without["Statement"][0]["Action"].as_array_mut().expect("actions");
    looks.retain(|action| action != &json!(ALL_ROLES));
    let ((used, refused), (used_without, refused_without)) =
        tokio::join!(live("nat", &whole), live("isolated", &without));
    assert_eq!(refused, Vec::<String>::new());
    assert!(refused_without.iter().all(|it| it.starts_with(ALL_ROLES)), "{refused_without:?}");
    assert!(!refused_without.is_empty(), "it was asked for");
    let used: Used = &used | &used_without;
    let in_the_table: Used = TABLE.iter().map(|(action, reach, _)| format!("{action} {reach:?}")).collect();
    let not_needed: Vec<&str> =
        in_the_table.difference(&used).filter_map(|it| it.split_once(' ')).map(|(action, _)| action).collect();
    assert_eq!(not_needed, OUT_OF_REACH);
}
