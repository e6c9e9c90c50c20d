//! Deletion of objects: at once, after their finalizers, with their namespace.

use kube::{
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::{
        controller::Action,
        finalizer::{Event, finalizer},
    },
};
use serde_json::json;

use super::{
    super::{APPS, NAMESPACES},
    APP, NETWORK, SOON, app, apps, held, network, networks, refusal, server, typed,
};

#[tokio::test(start_paused = true)]
async fn finalizers_hold_an_object_that_is_being_deleted() {
    let server = server();
    server.apply(held(app("support-bot")));
    let answer = apps(&server).delete("support-bot", &DeleteParams::default()).await.expect("deleting is allowed");
    let marked = answer.left().expect("the object still exists");
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.generation, Some(2), "being deleted is something new to act on");
    assert!(apps(&server).delete("support-bot", &DeleteParams::default()).await.is_ok_and(|again| again.is_left()));
    let more = json!({"metadata": {"finalizers": ["privategenai.dev/cleanup", "example.com/another"]}});
    assert_eq!(
        refusal(apps(&server).patch("support-bot", &PatchParams::default(), &Patch::Merge(&more)).await).code,
        422
    );

    let none = json!({"metadata": {"finalizers": null}});
    apps(&server).patch("support-bot", &PatchParams::default(), &Patch::Merge(&none)).await.expect("finalizers may go");
    assert_eq!(server.get(APP), None);
    assert_eq!(refusal(apps(&server).delete("support-bot", &DeleteParams::default()).await).code, 404);
}

#[tokio::test(start_paused = true)]
async fn kubes_own_finalizer_helper_works() {
    let server = server();
    server.apply(app("support-bot"));
    let api = apps(&server);
    let reconcile = async || {
        let object = api.get("support-bot").await.expect("the object exists");
        let act = |event| async move {
            match event {
                Event::Apply(_) => Ok(Action::await_change()),
                Event::Cleanup(_) => Ok::<_, std::io::Error>(Action::await_change()),
            }
        };
        finalizer(&api, "privategenai.dev/cleanup", object.into(), act).await.expect("nothing fails");
    };
    reconcile().await;
    assert_eq!(
        server.get(APP).expect("the object exists")["metadata"]["finalizers"],
        json!(["privategenai.dev/cleanup"])
    );
    server.delete(APP);
    reconcile().await;
    server.until_gone(APP, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_another_incarnation_is_refused() {
    let server = server();
    let old = server.apply(network("prod"));
    server.delete(NETWORK);
    server.apply(network("prod"));
    let uid = old["metadata"]["uid"].as_str().map(str::to_owned);
    let only_old = DeleteParams::default().preconditions(Preconditions { uid, resource_version: None });
    assert_eq!(refusal(networks(&server).delete("prod", &only_old).await).reason, "Conflict");
    let answer = networks(&server).delete("prod", &DeleteParams::default()).await.expect("deleting is allowed");
    assert!(answer.right().is_some_and(|status| status.is_success()), "gone at once");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_being_deleted_goes_with_its_last_object() {
    let server = server();
    server.apply(app("free"));
    server.apply(held(app("support-bot")));
    server.delete("namespaces/team-a");
    assert_eq!(server.list(APPS).len(), 1);
    assert_eq!(
        server.get("namespaces/team-a").expect("a finalizer holds the namespace")["status"]["phase"],
        "Terminating"
    );
    let refused = refusal(apps(&server).create(&PostParams::default(), &typed(app("late"))).await);
    assert_eq!(refused.reason, "Forbidden");
    server.drop_finalizers(APP);
    assert_eq!((server.list(APPS).len(), server.list(NAMESPACES).len()), (0, 0));
}
