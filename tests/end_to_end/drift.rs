//! What somebody changes in AWS is put back, over the wire.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{Aws as _, FunctionConfiguration, Peer, Protocol, Region, Rule, SecurityGroup, Write, sdk::SdkAws},
    identity::{FUNCTION_PREFIX, FUNCTIONS_GROUP, InstallationId, LOG_GROUP_PREFIX},
};
use serde_json::{Value, json};

use crate::{
    http,
    stack::{Stack, app, eventually},
};

/// What the installation has in AWS, less the ids and times that AWS gives anew to what is made anew.
async fn facts(aws: &SdkAws, region: &Region, installation: &InstallationId, vpc: &str) -> BTreeSet<String> {
    let vpcs = BTreeSet::from([vpc.parse().expect("a VPC id")]);
    let groups = aws.security_groups(region, installation.tag()).await.expect("groups");
    let mut facts: BTreeSet<String> = groups.iter().map(|group| format!("{group:?}")).collect();
    let endpoints = aws.vpc_endpoints(region, &vpcs).await.expect("endpoints");
    for endpoint in endpoints.into_iter().filter(|endpoint| !endpoint.state.is_ending()) {
        let what = (&endpoint.service_name, &endpoint.state, endpoint.private_dns, &endpoint.subnets);
        facts.insert(format!("{what:?} {:?} {:?} {:?}", endpoint.security_groups, endpoint.policy, endpoint.tags));
    }
    let roles = aws.roles(region, &installation.role_path()).await.expect("roles");
    facts.extend(roles.iter().map(|role| format!("{role:?}")));
    let functions = aws.functions(region).await.expect("functions");
    for function in functions.into_iter().filter(|function| function.name.as_str().starts_with(FUNCTION_PREFIX)) {
        let values = function.configuration.environment.variables();
        facts.insert(format!("{:?} {values:?} {}", function.configuration, function.code_sha256));
    }
    let log_groups = aws.log_groups(region, LOG_GROUP_PREFIX).await.expect("log groups");
    facts.extend(log_groups.iter().map(|group| format!("{group:?}")));
    facts
}

/// Several changes that people make by hand, each of its own kind.
async fn changes(aws: &SdkAws, region: &Region, installation: &InstallationId, vpc: &str) -> Vec<Write> {
    let groups = aws.security_groups(region, installation.tag()).await.expect("groups");
    let (functions, endpoints): (Vec<SecurityGroup>, Vec<SecurityGroup>) =
        groups.into_iter().partition(|group| group.name.contains(FUNCTIONS_GROUP));
    let everywhere = Rule { protocol: Protocol::All, ports: None, peer: Peer::Ipv4("0.0.0.0/0".to_owned()) };
    let vpcs = BTreeSet::from([vpc.parse().expect("a VPC id")]);
    let endpoint = aws.vpc_endpoints(region, &vpcs).await.expect("endpoints").remove(0).id;
    let role = aws.roles(region, &installation.role_path()).await.expect("roles").remove(0);
    let policy = role.inline_policies.keys().next().expect("a policy").clone();
    let function = aws.functions(region).await.expect("functions").remove(0);
    let configuration = FunctionConfiguration { memory_mib: 1024, ..function.configuration };
    vec![
        Write::RevokeIngress { group: endpoints[0].id.clone(), rules: endpoints[0].ingress.clone() },
        Write::AuthorizeEgress { group: functions[0].id.clone(), rules: [everywhere].into() },
        // Lambda takes no configuration with a role that does not suffice, so the role comes after.
        Write::UpdateFunctionConfiguration { name: function.name.clone(), configuration },
        Write::DeleteRolePolicy { role: role.name, policy },
        Write::DeleteLogGroup { name: format!("/aws/lambda/{}", function.name).parse().expect("a name") },
        Write::DeleteVpcEndpoint { endpoint },
    ]
}

#[tokio::test]
async fn what_is_changed_by_hand_is_put_back_and_told() {
    let stack = Stack::start();
    let operator = stack.operator_with("drift", &["--resync-seconds", "10"]).await;
    let namespace = stack.namespace("drift");
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    stack.until_ready(&namespace, "bot").await;
    let (aws, region) = (stack.sdk().await, "us-east-1".parse().expect("a region"));
    let installation: InstallationId = "drift".parse().expect("an installation id");
    let before = facts(&aws, &region, &installation, &vpc).await;

    for write in changes(&aws, &region, &installation, &vpc).await {
        aws.write(&region, &write).await.unwrap_or_else(|error| panic!("{write:?}: {error}"));
    }
    assert_ne!(facts(&aws, &region, &installation, &vpc).await, before);
    eventually("all is as it was", async || (facts(&aws, &region, &installation, &vpc).await == before).then_some(()))
        .await;
    stack.until_ready(&namespace, "bot").await;

    let base = operator.address().await;
    eventually("each kind is counted", async || {
        let (_, text) = http::request("GET", &format!("{base}/metrics"), None).await;
        ["rule", "role_policy", "function_configuration", "log_group", "endpoint"]
            .iter()
            .all(|kind| text.contains(&format!("private_genai_operator_drift_repaired_total{{kind=\"{kind}\"}}")))
            .then_some(())
    })
    .await;
    let events = stack.kubectl(&["get", "events", "-A", "-o", "json", "--field-selector", "reason=DriftRepaired"]);
    let events: Value = serde_json::from_slice(&events.stdout).expect("JSON");
    let told: String =
        events["items"].as_array().expect("events").iter().map(|event| event["message"].to_string()).collect();
    for words in ["revoked from egress: all protocols 0.0.0.0/0", "added to ingress again: tcp 443", "created again"] {
        assert!(told.contains(words), "{words} is missing in {told}");
    }
    assert!(operator.stop().await);
}
