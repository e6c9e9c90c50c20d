//! The two ways to uninstall, by the program itself.

use std::process::Output;

use serde_json::{Value, json};

use crate::stack::{Stack, app};

const AS: [&str; 4] = ["--installation-id", "uninstall", "--region", "us-east-1"];

fn outcome(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Everything in the local AWS, but for what changes by itself.
async fn inventory(stack: &Stack) -> String {
    stack.inventory().await.to_string()
}

fn is_empty(inventory: &Value) -> bool {
    inventory.as_object().expect("kinds").values().all(|items| items.as_array().is_some_and(Vec::is_empty))
}

#[tokio::test]
async fn teardown_removes_everything_but_not_of_another_installation_or_a_running_one() {
    let stack = Stack::start();
    let namespace = stack.namespace("teardown");
    let operator = stack.operator("uninstall").await;
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    stack.until_ready(&namespace, "bot").await;

    let (status, text) = outcome(&stack.run(&[&["teardown"], &AS[..]].concat()).await);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("1 app, 1 network would be deleted") && text.contains("app teardown/bot"), "{text}");
    assert!(text.contains("us-east-1: function pgai-teardown-bot"), "{text}");
    let (status, text) = outcome(&stack.run(&[&["teardown", "--yes", "--timeout", "2"], &AS[..]].concat()).await);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("scale the operator to zero"), "{text}");
    stack.until_ready(&namespace, "bot").await;
    assert!(operator.stop().await);

    let (before, position) = (inventory(&stack).await, stack.journal_position().await);
    let typed = ["teardown", "--yes", "--installation-id", "uninstal", "--region", "us-east-1"];
    let (status, text) = outcome(&stack.run(&typed).await);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("than uninstal,") && text.contains("installation uninstall"), "{text}");
    assert_eq!(stack.journal(position).await["calls"], json!([]), "AWS is not even asked");
    assert_eq!(inventory(&stack).await, before);

    let (status, text) = outcome(&stack.run(&[&["teardown", "--yes"], &AS[..]].concat()).await);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("Nothing in AWS carries the tag privategenai.dev/installation=uninstall"), "{text}");
    assert!(is_empty(&stack.inventory().await), "{}", inventory(&stack).await);
}

#[tokio::test]
async fn what_a_cluster_has_left_is_removed_by_tag_alone() {
    let stack = Stack::start();
    let namespace = stack.namespace("gone");
    let operator = stack.operator("uninstall").await;
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    stack.apply(&app(&namespace, "bot", &vpc));
    stack.until_ready(&namespace, "bot").await;
    assert!(operator.stop().await);
    let owner = stack.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    let owner = String::from_utf8_lossy(&owner.stdout).into_owned();

    let without = |more: &[&str]| {
        let mut arguments = vec!["teardown".to_owned(), "--without-cluster".to_owned()];
        arguments.extend(AS.iter().chain(more).map(|argument| (*argument).to_owned()));
        arguments
    };
    let run = async |more: &[&str]| {
        let arguments = without(more);
        outcome(&stack.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await)
    };
    let (status, text) = run(&["--yes"]).await;
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("by --owner MARK") && text.contains(&owner), "{text}");
    let (status, text) = run(&["--owner", &owner]).await;
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("us-east-1: function pgai-gone-bot"), "{text}");
    let (status, text) = run(&["--yes", "--owner", &owner]).await;
    assert_eq!(status, Some(0), "{text}");
    assert!(is_empty(&stack.inventory().await), "{}", inventory(&stack).await);
    let objects = stack.kubectl(&["get", "pgai", "-A", "-o", "name"]);
    assert!(String::from_utf8_lossy(&objects.stdout).contains("/bot"), "no object was asked for");
}

#[tokio::test]
async fn orphaned_apps_go_at_once_and_the_same_installation_takes_their_aws_over() {
    let stack = Stack::start();
    let namespace = stack.namespace("orphan");
    let orphan = ["orphan", "--installation-id", "uninstall", "--timeout", "2"];
    let (status, text) = outcome(&stack.run(&orphan).await);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("there is no Lease default/private-genai-operator"), "{text}");

    let operator = stack.operator("uninstall").await;
    let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
    let manifest = app(&namespace, "bot", &vpc);
    stack.apply(&manifest);
    stack.until_ready(&namespace, "bot").await;
    let (status, text) = outcome(&stack.run(&orphan).await);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("scale the operator to zero"), "{text}");
    assert!(operator.stop().await);

    let (before, position) = (inventory(&stack).await, stack.journal_position().await);
    let (status, text) = outcome(&stack.run(&orphan).await);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("Released app orphan/bot.") && text.contains(&format!("Released network {vpc}-us-east-1.")));
    for kind in ["pgai", "pgain"] {
        let deleted = stack.kubectl(&["delete", kind, "--all", "-A", "--timeout=20s"]);
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    }
    assert_eq!(inventory(&stack).await, before);
    assert_eq!(stack.journal(position).await["calls"], json!([]), "AWS is not even asked");

    let operator = stack.operator("uninstall").await;
    stack.apply(&manifest);
    stack.until_ready(&namespace, "bot").await;
    let journal = stack.journal(position).await;
    let writes: Vec<&Value> =
        journal["calls"].as_array().into_iter().flatten().filter(|call| call["write"] == true).collect();
    assert_eq!(writes, Vec::<&Value>::new());
    assert_eq!(inventory(&stack).await, before);
    assert!(operator.stop().await);
}
