//! Server-side apply: the owners of fields, and the removal of fields that their owner drops.

use axum::http::Request;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{APP, app, apps, held, network, refusal, server};

const OPERATOR: &str = "private-genai-operator";

/// The status that an operator applies to an app.
fn status(status: &Value) -> Patch<Value> {
    Patch::Apply(json!({"apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAIApp", "status": status}))
}

#[tokio::test(start_paused = true)]
async fn applying_removes_what_the_manager_applied_before_and_no_longer_does() {
    let server = server();
    server.apply(app("support-bot"));
    let params = PatchParams::apply(OPERATOR).force();
    let first = json!({"function": "arn", "network": {"vpcId": "vpc-0abc1234", "accepted": true}});
    apps(&server).patch_status("support-bot", &params, &status(&first)).await.expect("applied");
    server.edit_status(APP, |status| status["seen"] = json!("by another"));
    let second = json!({"network": {"vpcId": "vpc-0abc1234"}});
    let applied = apps(&server).patch_status("support-bot", &params, &status(&second)).await.expect("applied");
    let left = json!({"network": {"vpcId": "vpc-0abc1234"}, "seen": "by another"});
    assert_eq!(applied.data["status"], left);
    assert_eq!(applied.data["spec"], app("support-bot")["spec"], "the rest has another owner");

    let before = server.get(APP);
    apps(&server).patch_status("support-bot", &params, &status(&second)).await.expect("applied");
    assert_eq!(server.get(APP), before, "applying the same again changes nothing");
}

#[tokio::test(start_paused = true)]
async fn conditions_are_told_apart_by_their_type() {
    let server = server();
    server.apply(app("support-bot"));
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    let of = |conditions: Vec<Value>| status(&json!({"conditions": conditions}));
    let (operator, other) = (PatchParams::apply(OPERATOR).force(), PatchParams::apply("another").force());
    let ours = of(vec![condition("Ready", "False"), condition("Accepted", "True")]);
    apps(&server).patch_status("support-bot", &operator, &ours).await.expect("applied");
    apps(&server).patch_status("support-bot", &other, &of(vec![condition("Audited", "True")])).await.expect("applied");
    let ours = of(vec![condition("Ready", "True")]);
    let applied = apps(&server).patch_status("support-bot", &operator, &ours).await.expect("applied");
    let left = json!([condition("Ready", "True"), condition("Audited", "True")]);
    assert_eq!(applied.data["status"]["conditions"], left);
}

#[tokio::test(start_paused = true)]
async fn finalizers_of_several_managers_stand_side_by_side() {
    let server = server();
    let mut theirs = app("support-bot");
    theirs["metadata"]["finalizers"] = json!(["example.com/theirs"]);
    server.apply(theirs);
    let params = PatchParams::apply(OPERATOR);
    let mut ours = held(app("support-bot"));
    ours.as_object_mut().map(|members| members.remove("spec"));
    let applied = apps(&server).patch("support-bot", &params, &Patch::Apply(&ours)).await.expect("applied");
    let both = vec!["example.com/theirs".to_owned(), "privategenai.dev/cleanup".to_owned()];
    assert_eq!(applied.metadata.finalizers, Some(both));
    ours["metadata"]["finalizers"] = json!([]);
    let applied = apps(&server).patch("support-bot", &params, &Patch::Apply(&ours)).await.expect("applied");
    assert_eq!(applied.metadata.finalizers, Some(vec!["example.com/theirs".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_field_of_another_manager_is_a_conflict_unless_forced() {
    let server = server();
    server.apply(app("support-bot"));
    let mut ours = app("support-bot");
    ours["spec"]["models"] = json!(["amazon.nova-pro-v1:0"]);
    let refused =
        refusal(apps(&server).patch("support-bot", &PatchParams::apply(OPERATOR), &Patch::Apply(&ours)).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    let expected = r#"Apply failed with 1 conflict: conflict with "kubectl": {"f:spec":{"f:models":{}}}"#;
    assert_eq!(refused.message, expected);
    let forced = PatchParams::apply(OPERATOR).force();
    let applied = apps(&server).patch("support-bot", &forced, &Patch::Apply(&ours)).await.expect("forced");
    assert_eq!(applied.data["spec"]["models"], ours["spec"]["models"]);

    ours["spec"] = json!({});
    let applied = apps(&server).patch("support-bot", &forced, &Patch::Apply(&ours)).await.expect("applied");
    assert_eq!(
        applied.data["spec"],
        json!({"network": {"vpcId": "vpc-0abc1234"}}),
        "a field with one owner is removed"
    );
}

#[tokio::test(start_paused = true)]
async fn applying_makes_an_object_but_not_a_status_without_one() {
    let server = server();
    let params = PatchParams::apply(OPERATOR);
    let absent = refusal(apps(&server).patch_status("support-bot", &params, &status(&json!({"a": 1}))).await);
    assert_eq!(absent.code, 404);
    let mut another = app("support-bot");
    another["metadata"]["uid"] = json!("of one that is gone");
    let gone = refusal(apps(&server).patch("support-bot", &params, &Patch::Apply(&another)).await);
    assert_eq!(gone.reason, "Conflict");
    let made = apps(&server).patch("support-bot", &params, &Patch::Apply(&app("support-bot"))).await.expect("applied");
    assert_eq!(made.data["spec"], app("support-bot")["spec"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_may_be_yaml() {
    let server = server();
    let url = "/apis/privategenai.dev/v1alpha1/privategenainetworks/prod?fieldManager=kubectl";
    let yaml = "{apiVersion: privategenai.dev/v1alpha1, kind: PrivateGenAINetwork, spec: {vpcId: vpc-0abc1234}}";
    let send = async |body: &str| {
        let request = Request::patch(url).header("content-type", "application/apply-patch+yaml");
        let request = request.body(body.as_bytes().to_vec()).expect("a request like kubectl's");
        server.client().request::<Value>(request).await
    };
    assert_eq!(send(yaml).await.expect("applied")["spec"], network("prod")["spec"]);
    assert_eq!(refusal(send("- a list").await).code, 400);
}
