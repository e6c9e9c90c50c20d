//! The API server is killed, and comes again with what etcd has.

use std::fs;

use kube::Api;
use private_genai_operator::api::{PrivateGenAIApp, PrivateGenAINetwork};
use serde_json::{Value, json};

use crate::{
    figures, http,
    stack::{MODEL, Stack, app, app_with, condition, eventually},
};

fn calls(journal: &Value, operation: &str) -> usize {
    journal["calls"].as_array().into_iter().flatten().filter(|call| call["operation"] == operation).count()
}

/// What of the inventory carries the tags of an operator, counted by kind.
async fn sizes(stack: &Stack) -> Vec<(String, usize)> {
    let inventory = stack.inventory().await;
    let kinds = inventory.as_object().expect("kinds").iter();
    kinds
        .map(|(kind, items)| (kind.clone(), items.as_array().map_or(0, Vec::len)))
        .filter(|(_, size)| *size > 0)
        .collect()
}

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
    eventually("the endpoint is being created", async || {
        (calls(&stack.journal(0).await, "CreateVpcEndpoint") > 0).then_some(())
    })
    .await;
    stack.restart_api_server().await;
    stack.until_ready(&namespace, "bot").await;
    let journal = stack.journal(0).await;
    for operation in ["CreateVpcEndpoint", "CreateFunction", "CreateRole", "CreateLogGroup"] {
        assert_eq!(calls(&journal, operation), 1, "{operation}");
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
    let through = |app: Option<&PrivateGenAIApp>| {
        condition(app, "Ready").0 == "True"
            && app.is_some_and(|app| {
                app.status.as_ref().and_then(|status| status.observed_generation) == app.metadata.generation
            })
    };
    stack.until(&namespace, "bot", "is ready as it was edited", through).await;
    let journal = stack.journal(position).await;
    let writes = ["CreateVpcEndpoint", "CreateFunction", "CreateRole", "ModifyVpcEndpoint", "PutRolePolicy"];
    assert_eq!(writes.map(|operation| calls(&journal, operation)), [0; 5], "nothing but the edit is written");
    assert_eq!(calls(&journal, "UpdateFunctionConfiguration"), 1);

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
    eventually("AWS is empty again", async || sizes(&stack).await.is_empty().then_some(())).await;
    assert_eq!(calls(&stack.journal(0).await, "CreateVpcEndpoint"), 1);
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
