//! Sharing, and going away.

use serde_json::{Value, json};

use crate::stack::{Stack, app, eventually};

/// What the inventory lists that carries the tags of a VPC's network or apps.
fn of_vpc(inventory: &Value, vpc: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, items) in inventory.as_object().into_iter().flatten() {
        for item in items.as_array().into_iter().flatten() {
            if item["tags"]["privategenai.dev/vpc"] == vpc {
                found.push(format!("{kind} {}", item["id"].as_str().unwrap_or_default()));
            }
        }
    }
    found
}

fn count(found: &[String], kind: &str) -> usize {
    found.iter().filter(|item| item.starts_with(kind)).count()
}

#[tokio::test]
async fn two_apps_share_and_the_last_one_out_turns_off_the_light() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("sharing");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "first", &vpc));
    stack.apply(&app(&namespace, "second", &vpc));
    let first = stack.until_ready(&namespace, "first").await;
    let second = stack.until_ready(&namespace, "second").await;
    let endpoint = |app: &private_genai_operator::api::PrivateGenAIApp| {
        app.status.as_ref().expect("a status").endpoints[0].vpc_endpoint_id.clone()
    };
    assert_eq!(endpoint(&first), endpoint(&second));
    let all = of_vpc(&stack.inventory().await, &vpc);
    assert_eq!((count(&all, "endpoints"), count(&all, "securityGroups")), (1, 2), "{all:?}");
    assert_eq!((count(&all, "functions"), count(&all, "roles"), count(&all, "logGroups")), (2, 2, 2), "{all:?}");

    assert!(stack.kubectl(&["delete", "pgai", "first", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &first).await;
    let left = of_vpc(&stack.inventory().await, &vpc);
    assert_eq!((count(&left, "endpoints"), count(&left, "securityGroups"), count(&left, "functions")), (1, 2, 1));
    let function = second.status.as_ref().and_then(|status| status.function.clone()).expect("a function");
    let said = stack.invoke(&function.name, &json!({"prompt": "still there?"})).await;
    assert!(said["text"].is_string(), "the second app still works: {said}");
    assert_eq!(endpoint(&stack.until_ready(&namespace, "second").await), endpoint(&second));

    assert!(stack.kubectl(&["delete", "pgai", "second", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &second).await;
    stack.until_network_gone(&vpc).await;
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), Vec::<String>::new());
}

#[tokio::test]
async fn a_namespace_that_is_deleted_takes_its_apps_and_their_resources_along() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("going");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "nat"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let ready = stack.until_ready(&namespace, "bot").await;
    assert!(stack.kubectl(&["delete", "namespace", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    stack.until_network_gone(&vpc).await;
    eventually("AWS is empty again", async || of_vpc(&stack.inventory().await, &vpc).is_empty().then_some(())).await;
}
