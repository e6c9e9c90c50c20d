//! Starting, stopping, being asked how it goes.

use serde_json::{Value, json};

use crate::{
    http,
    stack::{MODEL, Stack, app_with},
};

/// The value of a variable that must not be seen anywhere.
const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test]
async fn it_tells_how_it_goes_and_stopped_and_started_at_rest_it_writes_nothing() {
    let stack = Stack::start();
    let operator = stack.operator("restart").await;
    let base = operator.address().await;
    let namespace = stack.namespace("restart");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    for name in ["one", "two"] {
        let function = json!({"environment": {"PASSWORD": SECRET}});
        let spec = json!({"network": {"vpcId": vpc}, "models": [MODEL], "function": function});
        stack.apply(&app_with(&namespace, name, spec));
    }
    for name in ["one", "two"] {
        stack.until_ready(&namespace, name).await;
    }
    assert_eq!(http::request("GET", &format!("{base}/healthz"), None).await.0, 200);
    assert_eq!(http::request("GET", &format!("{base}/readyz"), None).await.0, 200);
    let (status, text) = http::request("GET", &format!("{base}/metrics"), None).await;
    assert_eq!(status, 200);
    for line in [
        r#"private_genai_operator_reconciles_total{kind="app",result="finished"}"#,
        r#"private_genai_operator_aws_calls_total{service="lambda",operation="CreateFunction",code="OK"} 2"#,
        r#"private_genai_operator_aws_call_duration_seconds_count{service="ec2",operation="CreateVpcEndpoint"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
        assert!(!text.contains(&format!("{line} 0\n")), "{line} is counted");
    }
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends so: {text}");
    let log = std::fs::read_to_string(&operator.log).expect("a log");
    assert!(!text.contains(SECRET) && !log.contains(SECRET), "values of the environment are nobody's to tell");
    let created = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["fields"]["message"] == "done" && line["span"]["operation"] == "CreateFunction");
    let created = created.unwrap_or_else(|| panic!("the log tells of each step: {log}"));
    assert_eq!(created["span"]["name"], "step");
    assert_eq!(created["span"]["request_id"].as_str().map(str::len), Some(36), "for AWS's support: {created}");
    let object = created["spans"][0]["object.ref"].as_str().unwrap_or_else(|| panic!("an object: {created}"));
    assert!(object.starts_with("PrivateGenAIApp.") && object.ends_with(&format!(".{namespace}")), "{object}");
    assert!(operator.stop().await, "SIGTERM ends it in order");

    let versions = || {
        let all = stack.kubectl(&["get", "pgai,pgain", "-A", "-o", "jsonpath={.items[*].metadata.resourceVersion}"]);
        String::from_utf8_lossy(&all.stdout).into_owned()
    };
    let (position, before) = (stack.journal_position().await, versions());
    let operator = stack.operator("restart").await;
    // It has looked at everything once it has asked for every table.
    crate::stack::eventually("it has looked at AWS", async || {
        let journal = stack.journal(position).await;
        let asked = |operation: &str| {
            journal["calls"].as_array().into_iter().flatten().any(|call| call["operation"] == operation)
        };
        ["DescribeVpcEndpoints", "DescribeSecurityGroups", "ListFunctions", "DescribeLogGroups"]
            .iter()
            .all(|operation| asked(operation))
            .then_some(())
    })
    .await;
    assert!(operator.stop().await, "what was under way has ended");
    let journal = stack.journal(position).await;
    let writes: Vec<String> = journal["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|call| call["write"] == true)
        .map(ToString::to_string)
        .collect();
    assert_eq!(writes, Vec::<String>::new());
    assert_eq!(versions(), before, "no Kubernetes object was written");
}
