//! Writes: the parts that they change, the parts that stay, and refusals.

use std::time::Duration;

use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::{Value, json};

use super::{
    super::{APPS, ApiServer, EVENTS, LEASES, NETWORKS, Rules},
    APP, NETWORK, all_apps, app, apps, network, networks, refusal, resource, server, touch, typed, version,
};

fn merge() -> PatchParams {
    PatchParams::default()
}

#[tokio::test(start_paused = true)]
async fn an_object_is_created_once_and_the_server_says_who_and_when_it_is() {
    let server = server();
    tokio::time::advance(Duration::from_millis(90_500)).await;
    let mut sent = app("support-bot");
    sent["metadata"]["generation"] = json!(7);
    sent["status"] = json!({"function": "a lie"});
    let made = apps(&server).create(&PostParams::default(), &typed(sent.clone())).await.expect("the object is new");
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(made.creation_timestamp().map(|time| time.0.to_string()).as_deref(), Some("2026-01-01T00:01:30Z"));
    assert!(made.uid().is_some() && made.data.get("status").is_none());
    let again = refusal(apps(&server).create(&PostParams::default(), &typed(sent)).await);
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.message, "privategenaiapps.privategenai.dev \"support-bot\" already exists");
    assert_eq!(refusal(apps(&server).get("other").await).reason, "NotFound");
    assert!(server.get("namespaces/team-a").is_some(), "its namespace came with it");
}

#[tokio::test(start_paused = true)]
async fn status_and_the_rest_are_written_apart() {
    let server = server();
    server.apply(app("support-bot"));
    let both = json!({
        "metadata": {"labels": {"team": "a"}},
        "spec": {"suspend": true},
        "status": {"function": "arn"},
    });
    let patched = apps(&server).patch_status("support-bot", &merge(), &Patch::Merge(&both)).await.expect("patched");
    assert_eq!(patched.data["status"], both["status"]);
    assert_eq!((patched.data["spec"].get("suspend"), patched.metadata.generation), (None, Some(1)));
    assert!(patched.labels().is_empty());

    let both = json!({"spec": {"suspend": true}, "status": {"function": "another"}});
    let patched = apps(&server).patch("support-bot", &merge(), &Patch::Merge(&both)).await.expect("patched");
    assert_eq!(patched.data["status"], json!({"function": "arn"}));
    assert_eq!((&patched.data["spec"]["suspend"], patched.metadata.generation), (&json!(true), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_definitions_default_status_stands_until_one_is_written() {
    let pending = json!({"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Pending"}]});
    let server = ApiServer::new(Rules::default().default_status(APPS, pending.clone()));
    let made =
        apps(&server).create(&PostParams::default(), &typed(app("support-bot"))).await.expect("the object is new");
    assert_eq!(made.data["status"], pending);
    let status = json!({"status": {"conditions": []}});
    apps(&server).patch_status("support-bot", &merge(), &Patch::Merge(&status)).await.expect("patched");
    assert_eq!(server.get(APP).expect("the object exists")["status"], status["status"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_leaves_no_trace() {
    let server = server();
    server.apply(app("support-bot"));
    server.edit_status(APP, |status| *status = json!({"function": "arn"}));
    let before = server.get(APP).expect("the object exists");
    let same = json!({"status": {"function": "arn", "output": null}});
    apps(&server).patch_status("support-bot", &merge(), &Patch::Merge(&same)).await.expect("patched");
    apps(&server).replace("support-bot", &PostParams::default(), &typed(before.clone())).await.expect("replaced");
    server.apply(app("support-bot"));
    assert_eq!(server.get(APP), Some(before.clone()));
    let next = server.edit(APP, touch);
    assert_eq!(version(&next), version(&before) + 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_about_an_older_version_is_a_conflict() {
    let server = server();
    server.apply(network("prod"));
    let stale = networks(&server).get("prod").await.expect("the object exists");
    server.edit(NETWORK, touch);
    let refused = refusal(networks(&server).replace("prod", &PostParams::default(), &stale).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    let patch = json!({"metadata": {"resourceVersion": stale.resource_version()}, "status": {"id": "vpce-1"}});
    assert_eq!(refusal(networks(&server).patch_status("prod", &merge(), &Patch::Merge(&patch)).await).code, 409);
    let mut blind = stale.clone();
    blind.metadata.resource_version = None;
    assert_eq!(refusal(networks(&server).replace("prod", &PostParams::default(), &blind).await).code, 422);
    let mut fresh = networks(&server).get("prod").await.expect("the object exists");
    fresh.data["spec"] = json!({});
    networks(&server).replace("prod", &PostParams::default(), &fresh).await.expect("nobody was faster");
    assert_eq!(server.list(NETWORKS)[0]["metadata"]["generation"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_json_patch_whose_test_fails_changes_nothing() {
    let server = server();
    server.apply(app("support-bot"));
    let patch = |wanted: &str| {
        let operations = json!([
            {"op": "test", "path": "/spec/network/vpcId", "value": wanted},
            {"op": "add", "path": "/metadata/labels", "value": {"team": "a"}},
        ]);
        Patch::Json::<()>(serde_json::from_value(operations).expect("a JSON patch"))
    };
    let refused = refusal(apps(&server).patch("support-bot", &merge(), &patch("vpc-other")).await);
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    let patched = apps(&server).patch("support-bot", &merge(), &patch("vpc-0abc1234")).await.expect("the test holds");
    assert_eq!((patched.labels().len(), patched.metadata.generation), (1, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn an_admission_rule_refuses_and_a_stored_object_can_break_it() {
    let models = |object: &Value| object["spec"]["models"].as_array().is_some_and(|models| !models.is_empty());
    let rules = Rules::default().admission(move |key, _, after| {
        let fine = key.kind.plural != APPS || models(after);
        fine.then_some(()).ok_or_else(|| "spec.models: name at least one model".to_owned())
    });
    let server = ApiServer::new(rules);
    let mut sent = app("support-bot");
    server.apply(sent.clone());
    sent["spec"]["models"] = json!([]);
    let refused = server.try_apply(sent).expect_err("no models");
    let expected = "PrivateGenAIApp.privategenai.dev \"support-bot\" is invalid: spec.models: name at least one model";
    assert_eq!((refused.code, refused.message.as_str()), (422, expected));
    server.overwrite(APP, |app| app["spec"] = json!("not even an object"));
    assert_eq!(apps(&server).get("support-bot").await.expect("the object exists").data["spec"], "not even an object");
}

#[tokio::test(start_paused = true)]
async fn the_journal_counts_writes_apart_from_events_and_leases() {
    let server = server();
    server.apply(app("support-bot"));
    let client = server.client();
    let app = apps(&server).get("support-bot").await.expect("the object exists");
    let recorder = Recorder::new(client.clone(), Reporter::from("private-genai-operator"));
    let event = Event {
        type_: EventType::Normal,
        reason: "Created".to_owned(),
        note: None,
        action: "Create".to_owned(),
        secondary: None,
    };
    let about = app.object_ref(&resource("PrivateGenAIApp"));
    recorder.publish(&event, &about).await.expect("events are taken");
    recorder.publish(&event, &about).await.expect("and counted up");
    let leases: Api<Lease> = Api::namespaced(client.clone(), "operators");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"}});
    let apply = PatchParams::apply("private-genai-operator");
    leases.patch("leader", &apply, &Patch::Apply(&lease)).await.expect("leases are taken");
    let maps: Api<ConfigMap> = Api::namespaced(client, "team-a");
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "output"}, "data": {"region": "eu"}});
    maps.patch("output", &apply, &Patch::Apply(&map)).await.expect("config maps are taken");
    all_apps(&server).list(&ListParams::default()).await.expect("the server lists");

    let (event, lease) = (&server.list(EVENTS)[0], &server.list(LEASES)[0]);
    assert_eq!((&event["series"]["count"], &lease["metadata"]["namespace"]), (&json!(2), &json!("operators")));
    assert_eq!(server.writes(), 1);
    let journal = server.take_journal();
    assert_eq!((journal.events().len(), journal.leases().len()), (2, 1));
    assert_eq!(journal[0].to_string(), "get privategenaiapps/team-a/support-bot 200");
    assert_eq!(journal.writes().to_string(), "  patch configmaps/team-a/output 201\n");
    assert!(server.journal().is_empty());
}
