//! The events of watches, and how clients resume them.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt, reflector,
        watcher::{self, Config, watcher},
    },
};
use serde_json::json;

use super::{
    super::{APPS, CONFIG_MAPS, Fault, Verb},
    APP, SOON, all_apps, app, apps, refusal, resource, server, touch,
};

type Events = Pin<Box<dyn Stream<Item = Result<watcher::Event<DynamicObject>, watcher::Error>>>>;

fn watch(api: Api<DynamicObject>) -> Events {
    watcher(api, Config::default()).boxed_local()
}

/// The next event, in words.
async fn next_event(events: &mut Events) -> String {
    let next = tokio::time::timeout(SOON, events.next()).await;
    match next.expect("an event within a minute").expect("a watcher never ends") {
        Ok(watcher::Event::Init) => "init".to_owned(),
        Ok(watcher::Event::InitApply(object)) => format!("listed {}", object.name_any()),
        Ok(watcher::Event::InitDone) => "listed all".to_owned(),
        Ok(watcher::Event::Apply(object)) => format!("applied {}", object.name_any()),
        Ok(watcher::Event::Delete(object)) => format!("deleted {}", object.name_any()),
        Err(watcher::Error::WatchError(status)) => format!("error {}", status.code),
        Err(other) => panic!("{other:?}"),
    }
}

async fn expect_events<const N: usize>(events: &mut Events, expected: [&str; N]) {
    for expected in expected {
        assert_eq!(next_event(events).await, expected);
    }
}

async fn tells_nothing(events: &mut Events) {
    let next = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
    assert!(next.is_err(), "expected no event, got {next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_objects_listed_created_changed_and_deleted() {
    let server = server();
    server.apply(app("early"));
    let mut events = watch(apps(&server));
    expect_events(&mut events, ["init", "listed early", "listed all"]).await;
    server.apply(app("support-bot"));
    server.edit(APP, touch);
    server.edit_status(APP, |status| *status = json!({"function": "arn"}));
    server.delete(APP);
    let seen = ["applied support-bot", "applied support-bot", "applied support-bot", "deleted support-bot"];
    expect_events(&mut events, seen).await;
    tells_nothing(&mut events).await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_with_streaming_lists_sees_the_same() {
    let server = server();
    server.apply(app("early"));
    let mut events: Events = watcher(all_apps(&server), Config::default().streaming_lists()).boxed_local();
    expect_events(&mut events, ["init", "listed early", "listed all"]).await;
    server.apply(app("support-bot"));
    server.delete(APP);
    expect_events(&mut events, ["applied support-bot", "deleted support-bot"]).await;
    assert!(server.journal().iter().all(|call| call.verb == Verb::Watch), "{}", server.journal());
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_one_namespace_and_label_sees_nothing_else() {
    let server = server();
    let labelled = Config::default().labels("team=a,!retired");
    let mut events: Events = watcher(apps(&server), labelled).boxed_local();
    expect_events(&mut events, ["init", "listed all"]).await;
    let mut other = app("other");
    other["metadata"]["namespace"] = json!("team-b");
    other["metadata"]["labels"] = json!({"team": "a"});
    server.apply(other);
    server.apply(app("support-bot"));
    tells_nothing(&mut events).await;
    server.edit(APP, |app| app["metadata"]["labels"] = json!({"team": "a"}));
    server.edit(APP, |app| app["metadata"]["labels"]["retired"] = json!("yes"));
    expect_events(&mut events, ["applied support-bot", "deleted support-bot"]).await;
}

#[tokio::test(start_paused = true)]
async fn lists_select_by_name_and_refuse_selectors_that_they_do_not_know() {
    let server = server();
    server.apply(app("support-bot"));
    server.apply(app("other"));
    let found = all_apps(&server).list(&ListParams::default().fields("metadata.name=other")).await;
    let names: Vec<String> = found.expect("the server lists").iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["other"]);
    let unknown = ListParams::default().labels("team in (a, b)");
    assert_eq!(refusal(all_apps(&server).list(&unknown).await).code, 400);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_metadata_sees_no_more_than_metadata() {
    let server = server();
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::all(server.client());
    let mut events = watcher(api, Config::default().labels("privategenai.dev/code=inline")).applied_objects().boxed();
    let labels = json!({"privategenai.dev/code": "inline"});
    server.apply(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code", "namespace": "team-a", "labels": labels},
        "data": {"index.mjs": "export {}"},
    }));
    let seen = events.next().await.expect("a watcher never ends").expect("nothing fails");
    assert_eq!((seen.name_any(), seen.uid().is_some()), ("code".to_owned(), true));
    let shown = serde_json::to_value(&seen).expect("metadata is JSON");
    assert_eq!(shown.get("data"), None);
    assert_eq!(server.list(CONFIG_MAPS).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_its_time_is_over() {
    let server = server();
    let mut events = watch(apps(&server));
    expect_events(&mut events, ["init", "listed all"]).await;
    tokio::time::timeout(Duration::from_secs(1_000), events.next()).await.expect_err("nothing happened");
    server.apply(app("support-bot"));
    expect_events(&mut events, ["applied support-bot"]).await;
    let watches = server.journal().only(|call| call.verb == Verb::Watch);
    assert_eq!(watches.len(), 4, "one in 290 seconds:\n{watches}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_resumed_and_misses_nothing() {
    let server = server();
    let mut events = watch(apps(&server));
    expect_events(&mut events, ["init", "listed all"]).await;
    server.apply(app("support-bot"));
    expect_events(&mut events, ["applied support-bot"]).await;
    server.break_watches();
    server.delete(APP);
    expect_events(&mut events, ["deleted support-bot"]).await;
    let lists = server.journal().only(|call| call.verb == Verb::List);
    assert_eq!(lists.len(), 1, "resumed, not started over:\n{lists}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_old_starts_over_with_a_list() {
    let server = server();
    server.apply(app("support-bot"));
    let mut events = watch(apps(&server));
    expect_events(&mut events, ["init", "listed support-bot", "listed all"]).await;
    tells_nothing(&mut events).await;
    server.break_watches();
    server.delete(APP);
    server.apply(app("other"));
    server.forget_history();
    expect_events(&mut events, ["error 410", "init", "listed other", "listed all"]).await;

    server.inject(Fault::answer(410).on(Verb::Watch).of(APPS));
    expect_events(&mut events, ["error 410", "init", "listed other", "listed all"]).await;
}

#[tokio::test(start_paused = true)]
async fn held_watches_show_the_past_until_they_are_released() {
    let server = server();
    let mut events = watch(apps(&server));
    expect_events(&mut events, ["init", "listed all"]).await;
    server.hold_watches();
    server.apply(app("support-bot"));
    tells_nothing(&mut events).await;
    assert!(apps(&server).get("support-bot").await.is_ok(), "reads see the present");
    server.release_watches();
    expect_events(&mut events, ["applied support-bot"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_forgotten_history_is_held_too_and_says_so_once_released() {
    let server = server();
    let mut events = watch(apps(&server));
    expect_events(&mut events, ["init", "listed all"]).await;
    server.hold_watches();
    server.apply(app("support-bot"));
    server.forget_history();
    server.break_watches();
    tells_nothing(&mut events).await;
    server.release_watches();
    expect_events(&mut events, ["error 410", "init", "listed support-bot", "listed all"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reflector_follows_through_errors_of_the_server() {
    let server = server();
    let writer = reflector::store::Writer::new(resource("PrivateGenAIApp"));
    let reader = writer.as_reader();
    let watched = watcher(apps(&server), Config::default()).default_backoff().reflect(writer);
    let mut followed = watched.applied_objects().filter_map(async |object| object.ok()).boxed_local();
    server.inject(Fault::answer(500).on(Verb::List).times(2));
    server.inject(Fault::disconnect().on(Verb::Watch));
    server.apply(app("support-bot"));
    followed.next().await.expect("a reflector never ends");
    server.edit(APP, touch);
    let changed = followed.next().await.expect("a reflector never ends");
    assert_eq!(server.faults_left(), 0);
    let found = reader.get(&reflector::ObjectRef::from_obj_with(&changed, resource("PrivateGenAIApp")));
    assert_eq!(found.expect("the reflector has it").data, changed.data);
}
