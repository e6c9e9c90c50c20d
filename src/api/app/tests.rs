use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    api::network::NetworkKey,
    aws::{Environment, Region},
};

fn home() -> Region {
    "eu-central-1".parse().expect("a region")
}

fn spec(spec: Value) -> PrivateGenAIAppSpec {
    serde_json::from_value(spec).expect("a spec")
}

fn smallest() -> Value {
    json!({"network": {"vpcId": "vpc-0abc1234"}, "models": ["amazon.nova-lite-v1:0"]})
}

/// The smallest app with one more value.
fn with(pointer: &str, value: Value) -> Value {
    let mut spec = smallest();
    let mut place = &mut spec;
    for member in pointer.split('.') {
        place = &mut place[member];
    }
    *place = value;
    spec
}

#[test]
fn the_smallest_app_is_complete() {
    let app = App::new(&spec(smallest()), &home()).expect("an app");
    assert_eq!(
        app,
        App {
            network: NetworkKey { region: home(), vpc: "vpc-0abc1234".parse().expect("a VPC") },
            subnets: BTreeSet::new(),
            models: vec!["amazon.nova-lite-v1:0".parse().expect("a model")],
            function: Function {
                memory_mib: 512,
                timeout_seconds: 120,
                environment: Environment::default(),
                log_retention: LogRetention::AtLeast(30),
            },
            probe_interval: None,
        }
    );
}

#[test]
fn what_is_written_is_what_is_meant() {
    let app = App::new(
        &spec(json!({
            "network": {
                "vpcId": "vpc-0abc1234",
                "region": "us-west-2",
                "subnetIds": ["subnet-000000b1", "subnet-000000a1"],
            },
            "models": ["z.model", "a.model"],
            "function": {
                "memoryMiB": 128,
                "timeoutSeconds": 900,
                "environment": {"GREETING": "hello"},
                "logging": {"retentionDays": 1},
            },
            "healthCheck": {"intervalSeconds": 900},
        })),
        &home(),
    )
    .expect("an app");
    assert_eq!(app.network.region.as_str(), "us-west-2");
    assert_eq!(app.subnets.len(), 2);
    let models: Vec<String> = app.models.iter().map(ToString::to_string).collect();
    assert_eq!(models, ["z.model", "a.model"], "the first is the default one");
    assert_eq!((app.function.memory_mib, app.function.timeout_seconds), (128, 900));
    assert_eq!(app.function.log_retention, LogRetention::Exactly(1));
    assert_eq!(app.probe_interval, Some(Duration::from_mins(15)));
    assert_eq!(app.function.environment.variables().get("GREETING").map(String::as_str), Some("hello"));
}

#[test]
fn an_empty_function_means_the_same_as_none() {
    let none = App::new(&spec(smallest()), &home());
    for function in [json!({}), json!({"environment": {}}), json!({"logging": {}})] {
        assert_eq!(App::new(&spec(with("function", function)), &home()), none);
    }
}

#[test]
fn a_field_that_cannot_be_read_is_named_and_a_remedy_with_it() {
    for (spec_, field, remedy) in [
        (json!({"models": ["a.b"]}), "spec.network", "name the VPC"),
        (with("network", json!({})), "spec.network", "name the VPC"),
        (with("network.vpcId", json!("vpc-1")), "spec.network.vpcId", "vpc-0123456789abcdef0"),
        (with("network.region", json!("Virginia")), "spec.network.region", "us-east-1"),
        (with("network.subnetIds", json!(["subnet-1"])), "spec.network.subnetIds", "subnet-0123456789abcdef0"),
        (json!({"network": {"vpcId": "vpc-0abc1234"}}), "spec.models", "amazon.nova-lite-v1:0"),
        (with("models", json!(["a.b", "nova"])), "spec.models", "amazon.nova-lite-v1:0"),
        (with("function", json!({"memoryMiB": -1})), "spec.function.memoryMiB", "positive"),
        (with("function", json!({"memoryMiB": 0})), "spec.function.memoryMiB", "positive"),
        (with("function", json!({"timeoutSeconds": -1})), "spec.function.timeoutSeconds", "positive"),
        (
            with("function", json!({"logging": {"retentionDays": -30}})),
            "spec.function.logging.retentionDays",
            "positive",
        ),
        (with("healthCheck", json!({"intervalSeconds": 0})), "spec.healthCheck.intervalSeconds", "positive"),
    ] {
        let problem = App::new(&spec(spec_), &home()).expect_err(field);
        assert_eq!(problem.field, field);
        assert!(problem.to_string().starts_with(&format!("{field}: ")), "{problem}");
        assert!(problem.to_string().contains(remedy), "{problem}");
    }
}

#[test]
fn the_network_can_be_read_whatever_is_wrong_with_the_rest() {
    let broken = spec(json!({
        "network": {"vpcId": "vpc-0abc1234", "subnetIds": ["nonsense"]},
        "models": ["nonsense"],
        "function": {"memoryMiB": -1, "timeoutSeconds": -1, "logging": {"retentionDays": -1}},
    }));
    assert!(App::new(&broken, &home()).is_err());
    let network = App::network(&broken, &home()).expect("the network");
    assert_eq!(network, NetworkKey { region: home(), vpc: "vpc-0abc1234".parse().expect("a VPC") });
}

#[test]
fn apps_of_one_vpc_are_on_one_network_whether_they_name_the_region_or_not() {
    let named = spec(with("network.region", json!("eu-central-1")));
    assert_eq!(App::network(&named, &home()), App::network(&spec(smallest()), &home()));
    let elsewhere = spec(with("network.region", json!("us-east-1")));
    assert_ne!(App::network(&elsewhere, &home()), App::network(&named, &home()));
}
