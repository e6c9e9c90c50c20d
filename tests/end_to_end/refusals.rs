//! Bad input gets a sentence that says what to write: from the API server where it can, from a condition where it cannot.

use serde_json::{Value, json};

use crate::stack::{MODEL, Stack, app, app_with, condition};

#[tokio::test]
async fn the_api_server_refuses_with_a_sentence_that_says_what_to_write() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("refused");
    let network = json!({"vpcId": "vpc-0abc1234"});
    let models = json!([MODEL]);
    let function = |function: Value| json!({"network": network, "models": models, "function": function});
    let subnets: Vec<String> = (0..17).map(|n| format!("subnet-{n:08x}")).collect();
    let table = [
        ("no models", json!({"network": network}), "list at least one model, as in models: [amazon.nova-lite-v1:0]"),
        ("empty models", json!({"network": network, "models": []}), "list at least one model"),
        ("no network", json!({"models": models}), "name the VPC, as in network: {vpcId: vpc-0123456789abcdef0}"),
        ("no VPC", json!({"network": {}, "models": models}), "name the VPC"),
        (
            "malformed VPC",
            json!({"network": {"vpcId": "vpc-XYZ"}, "models": models}),
            "must be a VPC id: write it as AWS shows it",
        ),
        (
            "malformed region",
            json!({"network": {"vpcId": "vpc-0abc1234", "region": "Virginia"}, "models": models}),
            "must be an AWS region, and Virginia is none: write its code",
        ),
        (
            "malformed subnet",
            json!({"network": {"vpcId": "vpc-0abc1234", "subnetIds": ["subnet-0123abcd", "sn-1"]}, "models": models}),
            "must be subnet ids, and sn-1 is none: write each as AWS shows it",
        ),
        (
            "too many subnets",
            json!({"network": {"vpcId": "vpc-0abc1234", "subnetIds": subnets}, "models": models}),
            "must have at most 16 items",
        ),
        (
            "a region that AWS cannot have",
            json!({"network": {"vpcId": "vpc-0abc1234", "region": "us-est-1"}, "models": models}),
            "us-est-1 is none",
        ),
        (
            "malformed model",
            json!({"network": network, "models": [MODEL, "nova lite"]}),
            "must be foundation model IDs, and nova lite is none",
        ),
        (
            "a profile",
            json!({"network": network, "models": [MODEL, "us.amazon.nova-lite-v1:0"]}),
            "us.amazon.nova-lite-v1:0 is an inference profile: this version does not support profiles",
        ),
        ("little memory", function(json!({"memoryMiB": 64})), "greater than or equal to 128"),
        ("much memory", function(json!({"memoryMiB": 20000})), "less than or equal to 10240"),
        ("no time", function(json!({"timeoutSeconds": 0})), "greater than or equal to 1"),
        ("much time", function(json!({"timeoutSeconds": 901})), "less than or equal to 900"),
        (
            "probed all the time",
            json!({"network": network, "models": models, "healthCheck": {"intervalSeconds": 59}}),
            "greater than or equal to 60",
        ),
        (
            "hardly ever probed",
            json!({"network": network, "models": models, "healthCheck": {"intervalSeconds": 86401}}),
            "less than or equal to 86400",
        ),
        (
            "odd retention",
            function(json!({"logging": {"retentionDays": 2}})),
            "must be a number of days that CloudWatch Logs offers",
        ),
        (
            "odd policy",
            json!({"network": network, "models": models, "deletionPolicy": "Keep"}),
            "supported values: \"Delete\", \"Retain\"",
        ),
        (
            "reserved variable",
            function(json!({"environment": {"AWS_REGION": "x"}})),
            "as AWS_REGION: choose another name",
        ),
        (
            "much environment",
            function(json!({"environment": {"A1": "x".repeat(4000), "B1": "x".repeat(100)}})),
            "4,096 characters in all",
        ),
        (
            "odd variable",
            function(json!({"environment": {"1x": "x"}})),
            "must have names that Lambda allows, and 1x is none",
        ),
    ];
    for (what, spec, sentence) in table {
        let refusal = stack.refused(&app_with(&namespace, "bad", spec));
        assert!(refusal.contains(sentence), "{what}: {refusal}");
    }
    let refusal =
        stack.refused(&app_with(&namespace, "bad", json!({"network": network, "models": models, "modles": []})));
    assert!(refusal.contains("unknown field \"spec.modles\""), "strict validation: {refusal}");
}

#[tokio::test]
async fn the_network_of_an_app_cannot_be_changed() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("immutable");
    stack.apply(&app(&namespace, "bot", "vpc-0abc1234"));
    let refusal = stack.refused(&app(&namespace, "bot", "vpc-0abc5678"));
    assert!(refusal.contains("create another PrivateGenAIApp for another network"), "{refusal}");
}

#[tokio::test]
async fn a_network_s_vpc_cannot_change_and_its_deletion_policy_can() {
    let stack = Stack::shared().await;
    let network = |vpc: &str, policy: &str| {
        json!({
            "apiVersion": "privategenai.dev/v1alpha1",
            "kind": "PrivateGenAINetwork",
            "metadata": {"name": "ruled"},
            "spec": {"vpcId": vpc, "region": "us-east-1", "deletionPolicy": policy},
        })
        .to_string()
    };
    stack.apply(&network("vpc-0abc1234", "Delete"));
    stack.apply(&network("vpc-0abc1234", "Retain"));
    let refusal = stack.refused(&network("vpc-0abc5678", "Retain"));
    assert!(refusal.contains("write a new PrivateGenAINetwork for another VPC"), "{refusal}");
    assert!(stack.kubectl(&["delete", "pgain", "ruled", "--timeout=60s"]).status.success());
}

#[tokio::test]
async fn a_condition_explains_what_the_api_server_cannot_know() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("explained");
    let dedicated = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated", "tenancy": "dedicated"})).await.0;
    let shared = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated", "owner": "999999999999"})).await.0;
    let one_zone = stack.vpc(json!({"azs": ["a"], "route": "isolated"})).await.0;
    let (vpc, subnets) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let foreign = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await.1;
    stack.apply(&app(&namespace, "not-allowed", "vpc-0abc1234"));
    stack.apply(&app(&namespace, "not-found", "vpc-00000000000000001"));
    stack.apply(&app(&namespace, "dedicated", &dedicated));
    stack.apply(&app(&namespace, "shared", &shared));
    stack.apply(&app(&namespace, "one-zone", &one_zone));
    let network = json!({"vpcId": vpc, "subnetIds": [subnets[0], foreign[1]]});
    stack.apply(&app_with(&namespace, "foreign-subnet", json!({"network": network, "models": [MODEL]})));
    let table = [
        ("not-allowed", "VpcNotAllowed", "implicitNetworks.vpcIds".to_owned()),
        ("not-found", "VpcNotFound", "delete the object, and create it again with the right values".to_owned()),
        ("dedicated", "DedicatedTenancy", "a VPC of default tenancy".to_owned()),
        ("shared", "VpcNotOwned", format!("VPC {shared} belongs to account 999999999999")),
        ("one-zone", "TooFewZones", "add private subnets".to_owned()),
        ("foreign-subnet", "SubnetNotInVpc", foreign[1].clone()),
    ];
    for (name, reason, sentence) in table {
        let app = stack
            .until(&namespace, name, reason, |app: Option<&private_genai_operator::api::PrivateGenAIApp>| {
                condition(app, "Ready").1 == reason
            })
            .await;
        let (status, _, message) = condition(Some(&app), "Ready");
        assert_eq!(status, "False");
        assert!(message.contains(&sentence), "{name}: {message}");
        assert_eq!(condition(Some(&app), "Stalled").0, "True", "{name}: somebody must act");
    }
}
