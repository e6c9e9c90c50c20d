//! Specs that somebody might write, right and wrong, and what the definition's rules and the code say of each. Properties try
//! them by the hundred; the end-to-end tests send some to the real API server.

#![allow(dead_code, reason = "neither test binary uses all of it")]

use std::sync::LazyLock;

use kube_cel::Validator;
use private_genai_operator::{
    api::{PrivateGenAIAppSpec, app::App, crd},
    aws::Region,
};
use proptest::{collection, prelude::*};
use serde_json::{Value, json};

/// What somebody would try: quotes, escapes, wildcards and variables of IAM, separators of ARNs, control and wide
/// characters, and right answers.
pub const HOSTILE: &str = r#"["'\\{}$*?,:/@<>%&|;`~ .a-zA-Z0-9_\-\n\r\t\u{0}\u{200b}\u{202e}é漢]{0,40}"#;

pub fn model() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(amazon|anthropic|meta|ai21)[.][a-z0-9.-]{1,40}(-v[0-9]:[0-9])?",
        2 => "[a-z0-9-]{1,20}[.][A-Za-z0-9._:-]{1,100}",
        2 => "(us|eu|global|us-gov)[.][a-z]{1,10}[.][a-z-]{1,20}",
        1 => "[a-z0-9.-]{0,10}[.]?[A-Za-z0-9._:*?$-]{0,20}",
        2 => HOSTILE,
        1 => Just("amazon.*".to_owned()),
        1 => Just("amazon.nova\n".to_owned()),
        1 => Just("amazon.${aws:username}".to_owned()),
        1 => Just("arn:aws:bedrock:us-east-1::foundation-model/*".to_owned()),
        1 => Just(".model".to_owned()),
        1 => Just("amazon.".to_owned()),
    ]
}

pub fn region() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(us|eu|ap|cn|us-gov|us-iso|eusc-de)-(north|south)?(east|west|central|est)-[1-9]",
        1 => "(us|eu)-[a-z]{2,9}-[1-9]",
        2 => "[a-z0-9]{0,12}(-[a-z0-9]{0,6}){0,3}-?[0-9]{0,2}",
        1 => "[a-z]{2,20}-[a-z]{1,6}-[0-9]{1,3}",
        1 => HOSTILE.prop_map(|text| text.chars().take(32).collect::<String>()),
    ]
}

pub fn ec2_id(prefix: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[0-9a-f]{8}".prop_map(move |id| format!("{prefix}-{id}")),
        2 => "[0-9a-f]{17}".prop_map(move |id| format!("{prefix}-{id}")),
        1 => "[0-9a-fA-F*?]{7,18}".prop_map(move |id| format!("{prefix}-{id}")),
        1 => HOSTILE.prop_map(|text| text.chars().take(32).collect::<String>()),
    ]
}

/// Networks and models.
pub fn placed() -> impl Strategy<Value = Value> {
    let subnets = collection::btree_set(ec2_id("subnet"), 0..3);
    let models = collection::btree_set(model(), 0..3);
    (ec2_id("vpc"), proptest::option::of(region()), subnets, models).prop_map(|(vpc, region, subnets, models)| {
        let mut spec = json!({"network": {"vpcId": vpc, "subnetIds": subnets}, "models": models});
        if let Some(region) = region {
            spec["network"]["region"] = json!(region);
        }
        spec
    })
}

/// Everything else about an app.
pub fn tuned() -> impl Strategy<Value = Value> {
    let name = prop_oneof![3 => "[a-zA-Z][a-zA-Z0-9_]{1,20}", 1 => HOSTILE];
    let long = prop_oneof![6 => HOSTILE, 1 => "[a-z]{1000,1500}"];
    (
        collection::btree_map(name, long, 0..4),
        proptest::option::of(128..=10240_i32),
        proptest::option::of(1..=900_i32),
        proptest::option::of(60..=86400_i32),
        proptest::option::of(prop_oneof![Just(1), Just(30), Just(3653), any::<i32>()]),
        any::<Option<bool>>(),
    )
        .prop_map(|(environment, memory, timeout, interval, retention, suspend)| {
            without_nulls(json!({
                "network": {"vpcId": "vpc-0abc1234"}, "models": ["amazon.nova-lite-v1:0"], "suspend": suspend,
                "function": {
                    "environment": environment, "memoryMiB": memory, "timeoutSeconds": timeout,
                    "logging": {"retentionDays": retention},
                },
                "healthCheck": {"intervalSeconds": interval},
            }))
        })
}

/// Any of them.
pub fn spec() -> impl Strategy<Value = Value> {
    prop_oneof![3 => placed(), 2 => tuned()]
}

pub fn home() -> Region {
    "eu-central-1".parse().expect("a region")
}

/// What the rules of the definition say of a spec, without its limits on sizes.
pub fn rules_allow(spec: &Value) -> Result<(), String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let [app, _] = crd::definitions();
        let schema = app.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        serde_json::to_value(schema.expect("a schema")).expect("JSON")
    });
    let object = json!({
        "apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAIApp",
        "metadata": {"name": "bot", "namespace": "team-a"}, "spec": spec,
    });
    Validator::new().validate(&SCHEMA, &object, None).map_err(|errors| errors.to_string())
}

pub fn read(spec: &Value) -> Result<App, String> {
    let spec: PrivateGenAIAppSpec = serde_json::from_value(spec.clone()).map_err(|error| error.to_string())?;
    App::new(&spec, &home()).map_err(|error| error.to_string())
}

pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
