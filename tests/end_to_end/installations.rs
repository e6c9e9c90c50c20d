//! Installation ids and clusters that are mixed up, by the program itself and with the UID that a real API server gives.

use private_genai_operator::{
    aws::{Aws as _, Ec2Write, Region, SecurityGroup, Tags, Write, sdk::SdkAws},
    identity::{InstallationId, TAG_OWNER},
};
use serde_json::json;

use crate::stack::{Stack, app, condition, eventually};

fn region() -> Region {
    "us-east-1".parse().expect("a region")
}

async fn groups(aws: &SdkAws, installation: &str) -> Vec<SecurityGroup> {
    let installation: InstallationId = installation.parse().expect("an installation id");
    aws.security_groups(&region(), installation.tag()).await.expect("an answer")
}

#[tokio::test]
async fn an_operator_with_another_id_writes_nothing_names_both_ids_and_lets_nothing_go() {
    let stack = Stack::start();
    let namespace = stack.namespace("changed");
    let operator = stack.operator("right").await;
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    let ready = stack.until_ready(&namespace, "bot").await;
    assert_eq!(ready.status.expect("a status").installation_id.as_deref(), Some("right"));
    assert!(operator.stop().await);
    let (before, position) = (stack.inventory().await, stack.journal_position().await);

    let operator = stack.operator("wrong").await;
    let refused =
        |app: Option<&private_genai_operator::api::PrivateGenAIApp>| condition(app, "Ready").1 == "InstallationChanged";
    let refused_app = stack.until(&namespace, "bot", "is refused", refused).await;
    let message = condition(Some(&refused_app), "Ready").2;
    assert!(message.contains("installation right") && message.contains("installation wrong"), "{message}");
    stack.kubectl(&["delete", "pgai", "bot", "-n", &namespace, "--wait=false"]);
    let gone = |app: Option<&private_genai_operator::api::PrivateGenAIApp>| {
        app.is_some_and(|app| app.metadata.deletion_timestamp.is_some()) && refused(app)
    };
    stack.until(&namespace, "bot", "is held", gone).await;
    let orphan = stack.run(&["orphan", "--installation-id", "wrong", "--no-lease"]).await;
    let text = String::from_utf8_lossy(&orphan.stderr).into_owned();
    assert_eq!(orphan.status.code(), Some(1), "{text}");
    assert!(text.contains("another installation than wrong") && text.contains("installation right"), "{text}");
    assert!(operator.stop().await);
    assert_eq!(stack.writes(position).await, Vec::<String>::new());
    assert_eq!(stack.inventory().await, before);

    let operator = stack.operator("right").await;
    stack.until_gone(&namespace, &refused_app).await;
    stack.until_network_gone(&vpc).await;
    stack.until_empty().await;
    assert!(operator.stop().await);
}

#[tokio::test]
async fn groups_bear_the_cluster_s_uid_and_only_the_command_takes_others_over() {
    let stack = Stack::start();
    let namespace = stack.namespace("owner");
    let uid = stack.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    let uid = String::from_utf8(uid.stdout).expect("a UID");
    let operator = stack.operator("owner").await;
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    stack.until_ready(&namespace, "bot").await;
    let aws = stack.sdk().await;
    let marks = async || -> Vec<Option<String>> {
        groups(&aws, "owner").await.into_iter().map(|group| group.tags.get(TAG_OWNER).cloned()).collect()
    };
    assert_eq!(marks().await, [Some(uid.clone()), Some(uid.clone())]);
    assert!(operator.stop().await);

    // As a cluster that is gone has left them.
    for group in groups(&aws, "owner").await {
        let tags = Tags::from([(TAG_OWNER.to_owned(), "another-cluster".to_owned())]);
        aws.write(&region(), &Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags }))
            .await
            .expect("tagged");
    }
    let (before, position) = (stack.inventory().await, stack.journal_position().await);
    let operator = stack.operator("owner").await;
    let refused =
        |app: Option<&private_genai_operator::api::PrivateGenAIApp>| condition(app, "Ready").1 == "InstallationInUse";
    let refused_app = stack.until(&namespace, "bot", "is refused", refused).await;
    let message = condition(Some(&refused_app), "Ready").2;
    assert!(message.contains("--from another-cluster") && message.contains(&uid), "{message}");
    assert_eq!(stack.writes(position).await, Vec::<String>::new());
    assert_eq!(stack.inventory().await, before);
    assert!(operator.stop().await);

    let take_over = ["take-over", "--installation-id", "owner", "--region", "us-east-1", "--from", "another-cluster"];
    let output = stack.run(&take_over).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("2 security groups of installation owner carry the owner mark another-cluster"), "{text}");
    let output = stack.run(&[&take_over[..], &["--yes"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(marks().await, [Some(uid.clone()), Some(uid)]);
    let operator = stack.operator("owner").await;
    eventually("the app is ready again", async || {
        let app = stack.until_ready(&namespace, "bot").await;
        (condition(Some(&app), "Accepted").0 == "True").then_some(())
    })
    .await;
    let written = stack.writes(position).await;
    assert_eq!(written, ["CreateTags", "CreateTags"], "nothing else was to be put right");
    assert!(operator.stop().await);
}
