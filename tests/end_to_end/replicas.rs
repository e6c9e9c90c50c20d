//! Two processes of the operator, one Lease.

use serde_json::{Value, json};

use crate::{
    http,
    stack::{Operator, Stack, app, eventually},
};

/// What an operator's metrics say about who leads.
async fn leads(operator: &Operator) -> bool {
    let (_, text) = http::request("GET", &format!("{}/metrics", operator.address().await), None).await;
    text.lines().any(|line| line == "private_genai_operator_leader 1")
}

fn calls(journal: &Value, operation: &str) -> usize {
    journal["calls"].as_array().into_iter().flatten().filter(|call| call["operation"] == operation).count()
}

fn sizes(inventory: &Value) -> Vec<(String, usize)> {
    let kinds = inventory.as_object().expect("kinds").iter();
    kinds
        .map(|(kind, items)| (kind.clone(), items.as_array().map_or(0, Vec::len)))
        .filter(|(_, size)| *size > 0)
        .collect()
}

#[tokio::test]
async fn a_leader_killed_in_the_middle_of_building_is_followed_by_the_other_and_nothing_is_made_twice() {
    let stack = Stack::start();
    let delays = json!({"endpointAvailable": 8, "functionActive": 1});
    http::json("PUT", &format!("{}/_local/delays", stack.aws), Some(&delays)).await;
    let first = stack.operator_with("replicas", &["--lease-seconds", "10"]).await;
    let second = stack.operator_with("replicas", &["--lease-seconds", "10"]).await;
    eventually("the first leads", async || leads(&first).await.then_some(())).await;
    assert!(!leads(&second).await, "the second is ready, and stands by");
    let namespace = stack.namespace("replicas");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    eventually("the endpoint is being created", async || {
        (calls(&stack.journal(0).await, "CreateVpcEndpoint") > 0).then_some(())
    })
    .await;
    first.kill().await;
    let ready = stack.until_ready(&namespace, "bot").await;
    eventually("the second leads", async || leads(&second).await.then_some(())).await;
    let journal = stack.journal(0).await;
    for operation in ["CreateVpcEndpoint", "CreateFunction", "CreateRole", "CreateLogGroup"] {
        assert_eq!(calls(&journal, operation), 1, "{operation}");
    }
    let third = stack.operator_with("replicas", &["--lease-seconds", "10"]).await;
    assert!(second.stop().await, "SIGTERM ends it in order");
    eventually("the third leads", async || leads(&third).await.then_some(())).await;
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    stack.until_network_gone(&vpc).await;
    eventually("AWS is empty again", async || sizes(&stack.inventory().await).is_empty().then_some(())).await;
    assert_eq!(calls(&stack.journal(0).await, "CreateVpcEndpoint"), 1);
    assert!(third.stop().await);
    let lease = stack.kubectl(&["get", "lease", "private-genai-operator", "-o", "jsonpath=[{.spec.holderIdentity}]"]);
    assert_eq!(String::from_utf8_lossy(&lease.stdout), "[]", "released");
}
