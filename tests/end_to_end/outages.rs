//! The API server is killed, and comes again with what etcd has.

use std::fs;

use kube::Api;
use private_genai_operator::api::{PrivateGenAIApp, PrivateGenAINetwork};
use serde_json::json;

use crate::{
    figures, http,
    stack::{MODEL, Stack, app, app_with, eventually},
};

/// The watch broke with a 410, as the operator's log says.
fn expired(log: &str) -> usize {
    log.lines().filter(|line| line.contains("too old resource version") || line.contains("Expired")).count()
}

#[tokio::test]
async fn an_api_server_that_dies_while_an_app_comes_rests_changes_and_goes_costs_nothing() {
    let stack = Stack::start();
    let delays = json!({"endpointAvailable": 3, "functionActive": 1});
    http::json("PUT", &format!("{}/_local/delays", stack.aws), Some(&delays)).await;
    let operator = stack.operator("outages").await;
    let namespace = stack.namespace("outages");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let log = || fs::read_to_string(&operator.log).expect("a log");

    // While it comes.
    stack.apply(&app(&namespace, "bot", &vpc));
    eventually("the endpoint is being created", async || (stack.calls("CreateVpcEndpoint").await > 0).then_some(()))
        .await;
    stack.restart_api_server().await;
    stack.until_ready(&namespace, "bot").await;
    for operation in ["CreateVpcEndpoint", "CreateFunction", "CreateRole", "CreateLogGroup"] {
        assert_eq!(stack.calls(operation).await, 1, "{operation}");
    }

    // At rest. What else happens in the cluster makes the versions that the operator knows too old for a new server, which
    // remembers nothing: its watches begin with a 410.
    for n in 0..20 {
        stack.namespace(&format!("elsewhere-{n}"));
    }
    let position = stack.journal_position().await;
    let before = expired(&log());
    stack.restart_api_server().await;
    eventually("a watch is told that it asks for too old a version", async || (expired(&log()) > before).then_some(()))
        .await;
    // An edit is seen, so both kinds are watched again.
    let edited = json!({"network": {"vpcId": vpc}, "models": [MODEL], "function": {"memoryMiB": 1024}});
    stack.apply(&app_with(&namespace, "bot", edited));
    stack.until_through(&namespace, "bot").await;
    assert_eq!(stack.writes(position).await, ["UpdateFunctionConfiguration"], "nothing but the edit is written");

    // While it goes.
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.restart_api_server().await;
    let apps = Api::<PrivateGenAIApp>::namespaced(stack.client().await, &namespace);
    let networks = Api::<PrivateGenAINetwork>::all(stack.client().await);
    eventually("the app and its network are gone", async || {
        let gone = apps.get_opt("bot").await.ok()?.is_none()
            && networks.get_opt(&format!("{vpc}-us-east-1")).await.ok()?.is_none();
        gone.then_some(())
    })
    .await;
    stack.until_empty().await;
    assert_eq!(stack.calls("CreateVpcEndpoint").await, 1);
    assert!(!log().contains("panicked"), "{}", log());
    let how_many = format!("3 restarts, {} watches that began with a 410", expired(&log()));
    assert!(operator.stop().await, "it still ends in order");
    figures::tell(
        figures::Part::KubernetesFaults,
        "the real API server killed while an app comes, rests, goes",
        &how_many,
        0,
    );
}

#[tokio::test]
async fn an_app_that_comes_again_has_one_path_whatever_its_predecessor_left() {
    let stack = Stack::start();
    let delays = json!({"endpointAvailable": 2, "endpointDeleted": 4, "functionActive": 1, "interfaceReleased": 4});
    http::json("PUT", &format!("{}/_local/delays", stack.aws), Some(&delays)).await;
    let mut operator = stack.operator("again").await;
    let namespace = stack.namespace("again");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let one_of_each = async || {
        let sizes = stack.sizes().await;
        let of = |kind: &str| sizes.iter().find(|(name, _)| name == kind).map_or(0, |(_, size)| *size);
        let kinds = ["endpoints", "securityGroups", "functions", "roles", "logGroups"];
        assert_eq!(kinds.map(of), [1, 2, 1, 1, 1], "{sizes:?}");
    };
    stack.apply(&app(&namespace, "bot", &vpc));
    let mut before = stack.until_ready(&namespace, "bot").await;

    // The object is gone in order, and its network goes: endpoint and interfaces are still there.
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &before).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let after = stack.until_ready(&namespace, "bot").await;
    assert_ne!(after.metadata.uid, before.metadata.uid);
    one_of_each().await;

    // Somebody takes off the finalizer: the object is gone before anybody looked, and all that it stood for is there.
    before = after;
    let no_finalizer = r#"{"metadata":{"finalizers":null}}"#;
    operator.signal("STOP");
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.kubectl(&["patch", "pgai", "bot", "-n", &namespace, "--type=merge", "-p", no_finalizer]);
    stack.until_gone(&namespace, &before).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    operator.signal("CONT");
    stack.until_ready(&namespace, "bot").await;
    one_of_each().await;

    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_network_gone(&vpc).await;
    stack.until_empty().await;
    assert!(operator.stop().await, "it ends in order");
    let what = "an app that comes again under its name, on the wire";
    figures::tell(figures::Part::KubernetesFaults, what, "2 recreations", 0);
}
