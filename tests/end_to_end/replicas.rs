//! Two processes of the operator, one Lease.

use serde_json::json;

use crate::{
    figures, http,
    stack::{MODEL, Operator, Stack, app, app_with, eventually},
};

/// What an operator's metrics say about who leads.
async fn leads(operator: &Operator) -> bool {
    let (_, text) = http::request("GET", &format!("{}/metrics", operator.address().await), None).await;
    text.lines().any(|line| line == "private_genai_operator_leader 1")
}

#[tokio::test]
async fn a_leader_killed_while_it_builds_is_followed_and_nothing_is_made_twice() {
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
    eventually("the endpoint is being created", async || (stack.calls("CreateVpcEndpoint").await > 0).then_some(()))
        .await;
    first.kill().await;
    let ready = stack.until_ready(&namespace, "bot").await;
    eventually("the second leads", async || leads(&second).await.then_some(())).await;
    for operation in ["CreateVpcEndpoint", "CreateFunction", "CreateRole", "CreateLogGroup"] {
        assert_eq!(stack.calls(operation).await, 1, "{operation}");
    }
    let third = stack.operator_with("replicas", &["--lease-seconds", "10"]).await;
    assert!(second.stop().await, "SIGTERM ends it in order");
    eventually("the third leads", async || leads(&third).await.then_some(())).await;
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    stack.until_network_gone(&vpc).await;
    stack.until_empty().await;
    assert_eq!(stack.calls("CreateVpcEndpoint").await, 1);
    assert!(third.stop().await);
    let lease = stack.kubectl(&["get", "lease", "private-genai-operator", "-o", "jsonpath=[{.spec.holderIdentity}]"]);
    assert_eq!(String::from_utf8_lossy(&lease.stdout), "[]", "released");
}

#[tokio::test]
async fn a_leader_that_wakes_after_another_took_over_writes_nothing() {
    let stack = Stack::start();
    let delays = json!({"endpointAvailable": 5, "functionActive": 1});
    http::json("PUT", &format!("{}/_local/delays", stack.aws), Some(&delays)).await;
    let mut first = stack.operator_with("frozen", &["--lease-seconds", "10"]).await;
    let second = stack.operator_with("frozen", &["--lease-seconds", "10"]).await;
    eventually("the first leads", async || leads(&first).await.then_some(())).await;
    let namespace = stack.namespace("frozen");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    eventually("the endpoint is being created", async || (stack.calls("CreateVpcEndpoint").await > 0).then_some(()))
        .await;
    // As a node does whose memory is gone, or a machine that is moved.
    first.signal("STOP");
    stack.until_ready(&namespace, "bot").await;
    // What the first knows, and was about to write, is not what is asked for any more.
    let edited = json!({"network": {"vpcId": vpc}, "models": [MODEL], "function": {"memoryMiB": 1024}});
    stack.apply(&app_with(&namespace, "bot", edited));
    stack.until_through(&namespace, "bot").await;
    let position = stack.journal_position().await;
    first.signal("CONT");
    eventually("the first has seen that another leads", async || {
        let log = std::fs::read_to_string(&first.log).expect("a log");
        (log.contains("lost the Lease") && !leads(&first).await).then_some(())
    })
    .await;
    assert_eq!(stack.writes(position).await, Vec::<String>::new());
    second.kill().await;
    eventually("the first leads again", async || leads(&first).await.then_some(())).await;
    let position = stack.journal_position().await;
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_network_gone(&vpc).await;
    stack.until_empty().await;
    let made: Vec<String> =
        stack.writes(position).await.into_iter().filter(|operation| operation.starts_with("Create")).collect();
    assert_eq!(made, Vec::<String>::new(), "nothing is made on the way out");
    for operation in ["CreateVpcEndpoint", "CreateFunction", "CreateRole", "CreateLogGroup"] {
        assert_eq!(stack.calls(operation).await, 1, "{operation}");
    }
    assert!(first.stop().await, "it ends in order");
    let what = "the leader stopped by a signal until another led, on the wire";
    figures::tell(figures::Part::KubernetesFaults, what, "1 life", 0);
}
