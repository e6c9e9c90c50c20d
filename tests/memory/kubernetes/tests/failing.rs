//! Injected faults, and waits for their effect.

use std::time::Duration;

use kube::{
    Error,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    super::{APPS, Call, Fault, Journal, Verb},
    APP, SOON, app, apps, refusal, server,
};

fn arn() -> Patch<Value> {
    Patch::Merge(json!({"status": {"function": "arn"}}))
}

fn written(object: &Value) -> bool {
    object["status"]["function"] == "arn"
}

#[tokio::test(start_paused = true)]
async fn a_fault_hits_the_requests_it_is_meant_for_before_or_after_their_work() {
    let server = server();
    server.apply(app("support-bot"));
    server.apply(app("other"));
    let (api, params) = (apps(&server), PatchParams::default());
    server.inject(Fault::answer(409).on(Verb::Patch).of(APP).on_status());
    server.inject(Fault::answer(504).on_writes().of("privategenaiapps/team-a").after_the_work());
    assert!(api.get("support-bot").await.is_ok());

    assert_eq!(refusal(api.patch_status("support-bot", &params, &arn()).await).reason, "Conflict");
    assert!(!written(&server.get(APP).expect("the object exists")), "refused before the work");
    assert_eq!(refusal(api.patch_status("support-bot", &params, &arn()).await).reason, "Timeout");
    assert!(written(&server.get(APP).expect("the object exists")), "done, and the answer lost");
    assert!(api.patch_status("support-bot", &params, &arn()).await.is_ok());
    let expected = [Some(409), Some(504), Some(200)].map(|status| Call {
        verb: Verb::Patch,
        plural: APPS,
        subresource: Some("status"),
        namespace: "team-a".to_owned(),
        name: "support-bot".to_owned(),
        status,
    });
    assert_eq!(server.journal().writes(), Journal(expected.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_can_break_and_an_answer_can_be_late_or_never_come() {
    let server = server();
    server.apply(app("support-bot"));
    let (api, params) = (apps(&server), PatchParams::default());
    server.inject(Fault::disconnect());
    assert!(matches!(api.get("support-bot").await, Err(Error::Service(_))));

    server.inject(Fault::delay(Duration::from_secs(7)));
    let asked = Instant::now();
    assert!(api.get("support-bot").await.is_ok());
    assert_eq!(asked.elapsed(), Duration::from_secs(7));

    server.inject(Fault::hang().after_the_work());
    let patching = tokio::spawn(async move { api.patch_status("support-bot", &params, &arn()).await });
    server.until(APP, SOON, written).await;
    server.until_faults_hit(SOON).await;
    server.until_asked(SOON, |journal| journal.writes().iter().any(|call| call.status.is_none())).await;
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(!patching.is_finished());
    patching.abort();
}

#[tokio::test(start_paused = true)]
async fn faults_that_are_cleared_hit_nothing() {
    let server = server();
    server.inject(Fault::answer(500).times(3));
    assert_eq!(server.faults_left(), 3);
    server.clear_faults();
    assert_eq!(refusal(apps(&server).get("support-bot").await).code, 404);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "after 60s, there still is no privategenaiapps/team-a/support-bot. Requests:\n")]
async fn waiting_for_what_never_comes_says_so() {
    server().until(APP, SOON, |_| true).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_is_over_at_the_moment_it_comes_true() {
    let server = server();
    let other = server.clone();
    let started = Instant::now();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        other.apply(app("support-bot"));
    });
    server.until(APP, SOON, |app| app["metadata"]["generation"] == 1).await;
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}
