//! What AWS lets the operator do: nothing without valid credentials, and not always all at once.

use private_genai_operator::{
    api::PrivateGenAIApp,
    aws::{Aws as _, IamWrite, PolicyDocument, Region, Write},
};
use serde_json::{Value, json};

use crate::{
    http,
    stack::{Operator, Stack, app, condition, eventually},
};

/// Waits until `/readyz` answers with this status; gives its words.
async fn until_readyz(operator: &Operator, status: u16) -> String {
    let url = format!("{}/readyz", operator.address().await);
    eventually("/readyz answers so", async || {
        let (answered, body) = http::request("GET", &url, None).await;
        (answered == status && !body.contains("not listed")).then_some(body)
    })
    .await
}

#[tokio::test]
async fn refused_credentials_show_in_readyz_and_on_the_app_and_heal_without_a_restart() {
    let stack = Stack::start();
    let namespace = stack.namespace("credentials");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;

    let operator = stack.operator_without_credentials("credentials");
    let body = until_readyz(&operator, 503).await;
    assert!(body.contains("does not take the operator's credentials") && body.contains("ServiceAccount"), "{body}");
    stack.apply(&app(&namespace, "bot", &vpc));
    let invalid = |app: Option<&PrivateGenAIApp>| condition(app, "Ready").1 == "CredentialsInvalid";
    let bot = stack.until(&namespace, "bot", "tells of the credentials", invalid).await;
    let message = condition(Some(&bot), "Ready").2;
    assert!(message.contains("Give the operator valid AWS credentials"), "{message}");
    let base = operator.address().await;
    assert_eq!(http::request("GET", &format!("{base}/healthz"), None).await.0, 200, "a restart would not help");
    assert!(operator.stop().await);

    let operator = stack.operator("credentials").await;
    stack.until_ready(&namespace, "bot").await;
    stack.deny("*", "*", "ExpiredToken").await;
    let touched = stack.kubectl(&["annotate", "pgai", "bot", "-n", &namespace, "look=now"]);
    assert!(touched.status.success());
    let body = until_readyz(&operator, 503).await;
    assert!(body.contains("ExpiredToken"), "{body}");
    stack.deny_nothing().await;
    until_readyz(&operator, 200).await;
    stack.until_ready(&namespace, "bot").await;
    let log = std::fs::read_to_string(&operator.log).expect("a log");
    let count = log.lines().filter(|line| line.contains("does not take the operator's credentials")).count();
    assert_eq!(count, 1, "once, and not for each call:\n{log}");
}

#[tokio::test]
async fn an_app_lives_where_iam_does_not_show_all_roles_at_once() {
    let stack = Stack::start();
    let namespace = stack.namespace("one-by-one");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.deny("iam", "GetAccountAuthorizationDetails", "AccessDenied").await;
    let position = stack.journal_position().await;
    let operator = stack.operator_with("one-by-one", &["--resync-seconds", "10"]).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let ready = stack.until_ready(&namespace, "bot").await;
    let function = ready.status.as_ref().and_then(|status| status.function.clone()).expect("a function");
    let answer = stack.invoke(&function.name, &json!({"prompt": "hello"})).await;
    assert!(answer["text"].is_string(), "{answer}");

    let (sdk, region) = (stack.sdk().await, "us-east-1".parse::<Region>().expect("a region"));
    let listed = sdk.role_listings(&region, "/private-genai/one-by-one/").await.expect("a list");
    assert_eq!(listed.len(), 1);
    let before = sdk.role(&region, &listed[0].name).await.expect("an answer").expect("the role");
    let all: Value =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let (policy, _) = before.inline_policies.first_key_value().expect("its policy");
    let document = PolicyDocument::new(&all);
    let by_hand = Write::Iam(IamWrite::PutRolePolicy { role: before.name.clone(), policy: policy.clone(), document });
    sdk.write(&region, &by_hand).await.expect("by hand");
    eventually("the role is as it was", async || {
        (sdk.role(&region, &before.name).await.expect("an answer").as_ref() == Some(&before)).then_some(())
    })
    .await;

    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    stack.until_network_gone(&vpc).await;
    let left = sdk.role_listings(&region, "/private-genai/one-by-one/").await.expect("a list");
    assert_eq!(left, []);
    let journal = stack.journal(position).await;
    let asked = |call: &&Value| call["operation"] == "GetAccountAuthorizationDetails";
    assert!(journal["calls"].as_array().into_iter().flatten().filter(asked).count() <= 1, "denied once, asked once");
    assert!(operator.stop().await);
}
