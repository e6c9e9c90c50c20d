//! Sharing, and going away.

use std::collections::BTreeSet;

use kube::Api;
use private_genai_operator::{
    api::{
        PrivateGenAIApp, PrivateGenAINetwork,
        condition::{ConditionType, find, is_true},
    },
    aws::{Aws as _, Ec2Write, Failure, InterfaceHolder, InterfaceState, Peer, Rule, Tags, Write, Written},
};
use serde_json::{Value, json};

use crate::stack::{MODEL, Stack, app, app_with, condition, eventually};

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
    let answer = stack.invoke(&function.name, &json!({"prompt": "still there?"})).await;
    assert!(answer["text"].is_string(), "the second app still works: {answer}");
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

fn network(name: &str, vpc: &str) -> String {
    json!({
        "apiVersion": "privategenai.dev/v1alpha1",
        "kind": "PrivateGenAINetwork",
        "metadata": {"name": name},
        "spec": {"vpcId": vpc, "region": "us-east-1"},
    })
    .to_string()
}

#[tokio::test]
async fn a_network_in_use_that_is_deleted_comes_anew_or_stays_and_its_path_is_not_touched() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("in-use");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let ready = stack.until_ready(&namespace, "bot").await;
    let before = of_vpc(&stack.inventory().await, &vpc);
    let networks = Api::<PrivateGenAINetwork>::all(stack.client().await);
    let implicit = format!("{vpc}-us-east-1");
    let uid = networks.get(&implicit).await.expect("the network").metadata.uid;

    assert!(stack.kubectl(&["delete", "pgain", &implicit, "--wait=false"]).status.success());
    eventually("the implicit network is another one", async || {
        let network = networks.get_opt(&implicit).await.expect("an answer")?;
        let conditions = network.status.map(|status| status.conditions).unwrap_or_default();
        (network.metadata.uid != uid && is_true(&conditions, ConditionType::Ready)).then_some(())
    })
    .await;

    let explicit = format!("prod-{vpc}");
    stack.apply(&network(&explicit, &vpc));
    stack.until_network_gone(&vpc).await;
    assert!(stack.kubectl(&["delete", "pgain", &explicit, "--wait=false"]).status.success());
    let message = eventually("the explicit network tells who uses it", async || {
        let conditions = networks.get(&explicit).await.expect("the network").status?.conditions;
        let accepted = find(&conditions, ConditionType::Accepted)?.clone();
        (accepted.reason == "InUse").then_some(accepted.message)
    })
    .await;
    assert!(message.contains("in-use/bot") && message.contains(" Since "), "{message}");
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), before);
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    eventually("the explicit network goes after its app", async || {
        networks.get_opt(&explicit).await.expect("an answer").is_none().then_some(())
    })
    .await;
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), Vec::<String>::new());
}

#[tokio::test]
async fn a_retained_app_outlives_its_object_and_a_suspended_one_waits() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("retained");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let with = |more: Value| {
        let mut spec = json!({"network": {"vpcId": vpc}, "models": [MODEL]});
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        app_with(&namespace, "bot", spec)
    };
    stack.apply(&with(json!({"suspend": true})));
    let suspended = |app: Option<&PrivateGenAIApp>| condition(app, "FunctionReady").1 == "Suspended";
    let waiting = stack.until(&namespace, "bot", "is suspended", suspended).await;
    assert!(condition(Some(&waiting), "FunctionReady").2.contains("lambda:CreateFunction"), "{waiting:#?}");
    let made = of_vpc(&stack.inventory().await, &vpc);
    assert_eq!((count(&made, "functions"), count(&made, "roles"), count(&made, "endpoints")), (0, 0, 1), "{made:?}");

    stack.apply(&with(json!({"deletionPolicy": "Retain"})));
    let ready = stack.until_ready(&namespace, "bot").await;
    let before = of_vpc(&stack.inventory().await, &vpc);
    let function = ready.status.as_ref().and_then(|status| status.function.clone()).expect("a function");
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    let answer = stack.invoke(&function.name, &json!({"prompt": "still there?"})).await;
    assert!(answer["text"].is_string(), "{answer}");
    let networks = Api::<PrivateGenAINetwork>::all(stack.client().await);
    eventually("the network says for whom it is kept", async || {
        let network = networks.get(&format!("{vpc}-us-east-1")).await.expect("the network");
        let conditions = network.status?.conditions;
        let message = &find(&conditions, ConditionType::Accepted)?.message;
        (message.contains("retained/bot") && is_true(&conditions, ConditionType::Ready)).then_some(())
    })
    .await;
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), before);

    stack.apply(&with(json!({})));
    let again = stack.until_ready(&namespace, "bot").await;
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), before);
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &again).await;
    stack.until_network_gone(&vpc).await;
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), Vec::<String>::new());
}

#[tokio::test]
async fn what_keeps_a_group_is_read_from_the_wire_and_told() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("blocked");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let ready = stack.until_ready(&namespace, "bot").await;
    let (aws, region) = (stack.sdk().await, "us-east-1".parse().expect("a region"));
    let networks = Api::<PrivateGenAINetwork>::all(stack.client().await);
    let name = format!("{vpc}-us-east-1");
    let groups =
        networks.get(&name).await.expect("it").status.and_then(|status| status.security_groups).expect("groups");
    let (functions, endpoints) = (groups.functions.parse().expect("an id"), groups.endpoints.parse().expect("an id"));

    let interfaces = aws.group_interfaces(&region, &functions).await.expect("interfaces");
    assert!(
        interfaces
            .iter()
            .all(|interface| interface.holder == InterfaceHolder::Lambda && interface.state == InterfaceState::InUse)
    );
    let delete = Write::Ec2(Ec2Write::DeleteNetworkInterface { interface: interfaces[0].id.clone() });
    let refused = aws.write(&region, &delete).await.expect_err("it is in use");
    assert_eq!(refused.failure, Failure::InUse, "{refused}");
    let of_endpoint = aws.group_interfaces(&region, &endpoints).await.expect("interfaces");
    assert!(of_endpoint.iter().all(|interface| interface.holder == InterfaceHolder::Endpoint), "{of_endpoint:?}");
    let referring = async |group| {
        let found = aws.referring_groups(&region, group).await.expect("groups");
        found.into_iter().map(|group| group.id).collect::<Vec<_>>()
    };
    assert_eq!(referring(&functions).await, std::slice::from_ref(&endpoints), "in");
    assert_eq!(referring(&endpoints).await, std::slice::from_ref(&functions), "out");

    let create = Write::Ec2(Ec2Write::CreateSecurityGroup {
        vpc: vpc.parse().expect("a VPC"),
        name: "by-hand".to_owned(),
        description: "by hand".to_owned(),
        tags: Tags::new(),
    });
    let Written::SecurityGroup(theirs) = aws.write(&region, &create).await.expect("a group") else {
        panic!("no group");
    };
    let rules: BTreeSet<Rule> = [Rule::tcp(443, Peer::Group(endpoints))].into();
    let allow = Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: theirs.clone(), rules: rules.clone() });
    aws.write(&region, &allow).await.expect("a rule");
    assert!(stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]).status.success());
    stack.until_gone(&namespace, &ready).await;
    eventually("the network names the group whose rule is in the way", async || {
        let conditions = networks.get(&name).await.expect("the network").status?.conditions;
        let ready = find(&conditions, ConditionType::Ready)?;
        (ready.reason == "ResourceInUse" && ready.message.contains(theirs.as_str())).then_some(())
    })
    .await;
    aws.write(&region, &Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: theirs.clone(), rules }))
        .await
        .expect("no rule");
    // Whoever has acted may say so.
    assert!(stack.kubectl(&["annotate", "pgain", &name, "looked=at"]).status.success());
    stack.until_network_gone(&vpc).await;
    aws.write(&region, &Write::Ec2(Ec2Write::DeleteSecurityGroup { group: theirs })).await.expect("it goes");
    assert_eq!(of_vpc(&stack.inventory().await, &vpc), Vec::<String>::new());
}
