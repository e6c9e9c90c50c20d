//! What a probe proves, and what it tells when it cannot.

use private_genai_operator::api::PrivateGenAIApp;
use serde_json::{Value, json};

use crate::{
    http,
    stack::{MODEL, Stack, app_with, condition, eventually},
};

/// Asks the operator to look now.
fn touch(stack: &Stack, namespace: &str, why: &str) {
    let note = format!("look={why}");
    assert!(stack.kubectl(&["-n", namespace, "annotate", "--overwrite", "pgai/bot", &note]).status.success());
}

fn healthy(is: &'static str, reason: &'static str) -> impl Fn(Option<&PrivateGenAIApp>) -> bool {
    move |app: Option<&PrivateGenAIApp>| {
        let (status, found, _) = condition(app, "Healthy");
        (status.as_str(), found.as_str()) == (is, reason)
    }
}

async fn local(stack: &Stack, method: &str, what: &str, asked: &Value) {
    http::json(method, &format!("{}/_local/{what}", stack.aws), Some(asked)).await;
}

#[tokio::test]
async fn healthy_names_the_endpoint_s_addresses_and_each_failure_its_reason() {
    let stack = Stack::start();
    let operator = stack.operator("health").await;
    let namespace = stack.namespace("health");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let spec = json!({"network": {"vpcId": vpc}, "models": [MODEL], "function": {"timeoutSeconds": 5}});
    stack.apply(&app_with(&namespace, "bot", spec));
    let ready = stack.until_ready(&namespace, "bot").await;
    let status = ready.status.as_ref().expect("a status");
    let endpoint = &status.endpoints[0];
    let mut addresses = endpoint.private_ip_addresses.clone();
    addresses.sort();
    let (_, _, proof) = condition(Some(&ready), "Healthy");
    let sentence = format!("endpoint {} ({}) and to no others", endpoint.vpc_endpoint_id, addresses.join(", "));
    assert!(proof.contains(&sentence), "{sentence} is missing in {proof}");
    let function = status.function.as_ref().expect("a function");

    // Asleep: the first call wakes it, the second one proves the path.
    let since = stack.journal_position().await;
    local(&stack, "PUT", "function", &json!({"name": function.name, "state": "Inactive"})).await;
    touch(&stack, &namespace, "asleep");
    stack.until(&namespace, "bot", "is woken", healthy("False", "ProbePending")).await;
    stack.until_ready(&namespace, "bot").await;
    let journal = stack.journal(since).await;
    let calls = journal["calls"].as_array().expect("calls");
    let answers: Vec<&Value> =
        calls.iter().filter(|call| call["operation"] == "Invoke").map(|call| &call["errorCode"]).collect();
    assert_eq!(answers, [&json!("ResourceNotReadyException"), &Value::Null]);

    let refuse = async |status: u16, code: &str| {
        let refused = json!({"service": "lambda", "operation": "Invoke", "errorCode": code, "status": status});
        local(&stack, "POST", "faults", &refused).await;
        touch(&stack, &namespace, code);
    };
    refuse(403, "AccessDeniedException").await;
    stack.until(&namespace, "bot", "is told that it is denied", healthy("False", "AccessDenied")).await;
    touch(&stack, &namespace, "allowed");
    stack.until_ready(&namespace, "bot").await;

    // One invocation that was not made says nothing about the path.
    let base = operator.address().await;
    let counted = |metrics: &str, result: &str| {
        let name = format!("private_genai_operator_probes_total{{result=\"{result}\"}} ");
        metrics.lines().any(|line| line.strip_prefix(&name).is_some_and(|count| count != "0"))
    };
    refuse(429, "TooManyRequestsException").await;
    eventually("the probe is throttled", async || {
        let (_, metrics) = http::request("GET", &format!("{base}/metrics"), None).await;
        counted(&metrics, "throttled").then_some(())
    })
    .await;
    let kept = stack.until_ready(&namespace, "bot").await;
    assert_eq!(condition(Some(&kept), "Healthy"), condition(Some(&ready), "Healthy"), "the proof is kept");

    // Cut where the operator has no hand: no group, rule, route or policy differs.
    local(&stack, "PUT", "vpc", &json!({"id": vpc, "closed": true})).await;
    touch(&stack, &namespace, "cut");
    let cut = stack.until(&namespace, "bot", "is cut off", healthy("False", "ProbeFailed")).await;
    let (_, _, message) = condition(Some(&cut), "Healthy");
    for part in [function.log_group.as_str(), " Request id ", "network ACLs", &endpoint.vpc_endpoint_id] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    local(&stack, "PUT", "vpc", &json!({"id": vpc, "closed": false})).await;
    stack.until_ready(&namespace, "bot").await;

    eventually("all of it is counted", async || {
        let (_, metrics) = http::request("GET", &format!("{base}/metrics"), None).await;
        let all = ["proven", "not_ready", "refused", "throttled", "unreachable"];
        all.into_iter().all(|result| counted(&metrics, result)).then_some(())
    })
    .await;
    assert!(operator.stop().await);
}
