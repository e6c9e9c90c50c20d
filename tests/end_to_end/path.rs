//! Three lines become a private path that works.

use std::collections::BTreeSet;

use private_genai_operator::aws::{Aws as _, PolicyDocument, Region, VpcEndpoint};
use serde_json::{Value, json};

use crate::stack::{MODEL, Stack, app, app_with, condition};

/// What AWS shows of the endpoints in a VPC, read by the operator's own SDK implementation.
async fn endpoints(stack: &Stack, vpc: &str) -> Vec<VpcEndpoint> {
    let region: Region = "us-east-1".parse().expect("a region");
    stack
        .sdk()
        .await
        .vpc_endpoints(&region, &BTreeSet::from([vpc.parse().expect("a VPC id")]))
        .await
        .expect("an answer")
}

#[tokio::test]
async fn three_lines_become_a_function_that_reaches_the_model_over_the_endpoint_only() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("path");
    let (vpc, subnets) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let ready = stack.until_ready(&namespace, "bot").await;
    for kind in ["Accepted", "NetworkReady", "EndpointReady", "ExecutionRoleReady", "FunctionReady", "Healthy"] {
        assert_eq!(condition(Some(&ready), kind).0, "True", "{kind}: {ready:#?}");
    }
    let status = ready.status.as_ref().expect("a status");
    let endpoint = &status.endpoints[0];
    assert_eq!(endpoint.interfaces.len(), subnets.len());

    let function = status.function.as_ref().expect("a function");
    let answer = stack.invoke(&function.name, &json!({"prompt": "Is this private?"})).await;
    assert!(answer["text"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    assert_eq!(answer["modelId"], MODEL);
    assert!(answer["usage"]["totalTokens"].as_u64().is_some_and(|tokens| tokens > 0), "{answer}");

    let probe = stack.invoke(&function.name, &json!({"probe": true})).await;
    let seen: BTreeSet<&str> =
        probe["probe"]["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let ours: BTreeSet<&str> = endpoint.private_ip_addresses.iter().map(String::as_str).collect();
    assert_eq!(seen, ours, "the name resolves to the endpoint's private addresses and no others: {probe}");

    let shown = stack.kubectl(&["get", "pgai", "-n", &namespace, "-o", "wide"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for column in ["READY", "REASON", "MODEL", "ENDPOINT", "FUNCTION", "AGE", "VPC", "ENDPOINT-ID", "PRIVATE-IPS"] {
        assert!(shown.contains(column), "{column} is missing in\n{shown}");
    }
    for value in [&vpc, &endpoint.vpc_endpoint_id, &function.name, &endpoint.private_ip_addresses[0], MODEL] {
        assert!(shown.contains(value as &str), "{value} is missing in\n{shown}");
    }
    let events = stack.kubectl(&["get", "events", "-n", &namespace, "-o", "wide"]);
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    assert!(events.contains("lambda:CreateFunction"), "{events}");
}

#[tokio::test]
async fn other_workloads_keep_their_way_to_bedrock_where_they_have_one() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("private-dns");
    let (nat, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "nat"})).await;
    let (isolated, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "nat", &nat));
    stack.apply(&app(&namespace, "isolated", &isolated));
    for (name, vpc, private_dns) in [("nat", &nat, false), ("isolated", &isolated, true)] {
        let ready = stack.until_ready(&namespace, name).await;
        let endpoints = endpoints(stack, vpc).await;
        assert_eq!(endpoints.len(), 1);
        assert_eq!(endpoints[0].private_dns, private_dns, "the endpoint's own attribute in the {name} VPC");
        let function = ready.status.as_ref().and_then(|status| status.function.as_ref()).expect("a function");
        let probe = stack.invoke(&function.name, &json!({"probe": true})).await;
        let host = probe["probe"]["host"].as_str().expect("a host");
        assert_eq!(host == "bedrock-runtime.us-east-1.amazonaws.com", private_dns, "{probe}");
        let answer = stack.invoke(&function.name, &json!({"prompt": "hello"})).await;
        assert!(answer["text"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn what_is_set_on_the_function_is_what_runs() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("tuned");
    let (vpc, subnets) = stack.vpc(json!({"azs": ["a", "b", "c"], "route": "isolated"})).await;
    stack.apply(&app_with(
        &namespace,
        "tuned",
        json!({
            "network": {"vpcId": vpc, "region": "us-east-1", "subnetIds": [subnets[0], subnets[2]]},
            "models": [MODEL, "anthropic.claude-3-haiku-20240307-v1:0"],
            "function": {
                "memoryMiB": 1024, "timeoutSeconds": 30, "environment": {"TEAM": "a"}, "logging": {"retentionDays": 7}
            },
        }),
    ));
    let ready = stack.until_ready(&namespace, "tuned").await;
    let status = ready.status.as_ref().expect("a status");
    let function = status.function.as_ref().expect("a function");
    let url = format!("{}/2015-03-31/functions/{}", stack.aws, function.name);
    let configuration = crate::http::json("GET", &url, None).await["Configuration"].clone();
    assert_eq!(configuration["MemorySize"], 1024);
    assert_eq!(configuration["Timeout"], 30);
    assert_eq!(configuration["Environment"]["Variables"]["TEAM"], "a");
    assert_eq!(configuration["Runtime"], "nodejs24.x");
    assert_eq!(configuration["Architectures"], json!(["arm64"]));
    let attached: BTreeSet<&str> =
        configuration["VpcConfig"]["SubnetIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(attached, BTreeSet::from([subnets[0].as_str(), subnets[2].as_str()]));
    let second = stack
        .invoke(&function.name, &json!({"prompt": "x", "modelId": "anthropic.claude-3-haiku-20240307-v1:0"}))
        .await;
    assert_eq!(second["modelId"], "anthropic.claude-3-haiku-20240307-v1:0");
    let refused = stack.invoke(&function.name, &json!({"prompt": "x", "modelId": "meta.other"})).await;
    assert_eq!(refused["error"]["type"], "BadRequest");
    let policy = endpoints(stack, &vpc).await[0].policy.clone().expect("a policy");
    assert!(policy != PolicyDocument::from_wire("{}") && policy.as_str().contains("claude-3-haiku"));

    // Changed by the user, changed in AWS.
    stack.apply(&app_with(
        &namespace,
        "tuned",
        json!({
            "network": {"vpcId": vpc, "region": "us-east-1", "subnetIds": [subnets[0], subnets[2]]},
            "models": [MODEL],
            "function": {"memoryMiB": 256},
        }),
    ));
    let generation = 2;
    stack
        .until(
            &namespace,
            "tuned",
            "has its second spec",
            |app: Option<&private_genai_operator::api::PrivateGenAIApp>| {
                condition(app, "Ready").0 == "True"
                    && app.and_then(|app| app.status.as_ref()?.observed_generation) == Some(generation)
            },
        )
        .await;
    let configuration = crate::http::json("GET", &url, None).await["Configuration"].clone();
    assert_eq!((&configuration["MemorySize"], &configuration["Timeout"]), (&json!(256), &json!(120)));
    assert!(configuration["Environment"]["Variables"].get("TEAM").is_none());
}
