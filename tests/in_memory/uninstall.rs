//! Uninstalling: everything goes, or nothing in AWS is touched.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use private_genai_operator::{
    identity::{InstallationId, OwnerMark},
    uninstall::{Cluster, Consent, Failure, LeaseWait, MissingLease, TeardownRequest, orphan, teardown},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    leadership::{LEASE, Replica, callers, election},
    memory::{
        aws::{Delays, Fault, VpcShape},
        kubernetes::{Fault as Kubernetes, Verb},
    },
    scene::{LONG, Scene, app, condition, scene, writes},
};

/// What a command said.
type Lines = Rc<RefCell<Vec<String>>>;

/// How a command ended, and what it said.
pub type Ended = (Result<(), Failure>, Vec<String>);

/// What `teardown` is told.
pub fn order(scene: &Scene, confirmed: bool) -> TeardownRequest {
    TeardownRequest {
        installation: Scene::installation(),
        home: Scene::region(),
        regions: [].into(),
        owner: None,
        governance: scene.governance.clone(),
        consent: Consent::of(confirmed),
    }
}

/// `teardown` in the cluster of a scene.
pub async fn tears_down_as(
    scene: &Scene,
    order: TeardownRequest,
    missing: MissingLease,
    stop: &CancellationToken,
) -> Ended {
    let client = scene.kubernetes.client();
    let (election, wait) = (election(&client, "teardown"), LeaseWait { timeout: Duration::from_secs(90), missing });
    removes(scene, Some(Cluster { client, owner: scene.owner.clone(), election, wait }), order, stop).await
}

/// `teardown --without-cluster`.
pub async fn sweeps(scene: &Scene, owner: Option<OwnerMark>, confirmed: bool, stop: &CancellationToken) -> Ended {
    removes(scene, None, TeardownRequest { owner, ..order(scene, confirmed) }, stop).await
}

async fn removes(scene: &Scene, cluster: Option<Cluster>, order: TeardownRequest, stop: &CancellationToken) -> Ended {
    let lines = Lines::default();
    let aws = Arc::new(scene.aws.seen_by("teardown"));
    let print = |line: &str| {
        lines.borrow_mut().push(line.to_owned());
        Ok(())
    };
    let result = Box::pin(teardown(cluster, aws, order, stop.clone(), &print)).await;
    (result, lines.take())
}

async fn tears_down(scene: &Scene, confirmed: bool, stop: &CancellationToken) -> Ended {
    tears_down_as(scene, order(scene, confirmed), MissingLease::Refused, stop).await
}

async fn orphans(scene: &Scene, lease: bool) -> Ended {
    let lines = Lines::default();
    let client = scene.kubernetes.client();
    let election = election(&client, "orphan");
    let print = |line: &str| {
        lines.borrow_mut().push(line.to_owned());
        Ok(())
    };
    let missing = if lease { MissingLease::Refused } else { MissingLease::Accepted };
    let (wait, stop) = (LeaseWait { timeout: Duration::from_secs(90), missing }, CancellationToken::new());
    let result = Box::pin(orphan(client, election, &scene.id, wait, stop, &print)).await;
    (result, lines.take())
}

/// Two apps that are ready, of an operator that has the Lease.
pub async fn two_apps(delays: Delays) -> (Scene, Replica) {
    let scene = Scene::new(delays);
    let mut operator = Replica::start(&scene, "operator");
    operator.until_leads().await;
    for name in ["one", "two"] {
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app(name, &vpc);
        scene.until_ready(name).await;
    }
    (scene, operator)
}

pub fn count(scene: &Scene) -> usize {
    scene.kubernetes.list("privategenaiapps").len() + scene.kubernetes.list("privategenainetworks").len()
}

#[tokio::test(start_paused = true)]
async fn a_region_that_somebody_invented_is_no_matter_of_a_teardown() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        let network = json!({"vpcId": "vpc-0abc1234", "region": "xx-west-1"});
        scene.apply("there", json!({"network": network, "models": [crate::scene::MODEL]}));
        scene.until_refused("there", "RegionNotAllowed").await;
        operator.stop().await;
        scene.forget();
        let (result, lines) = tears_down(&scene, true, &CancellationToken::new()).await;
        result.unwrap_or_else(|failure| panic!("{failure}: {lines:#?}"));
        assert_eq!(count(&scene), 0);
        scene.assert_aws_is_empty();
        let calls = scene.aws.take_journal();
        assert!(calls.iter().all(|call| call.region == Scene::region()), "{calls:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_tells_what_it_would_delete_and_deletes_nothing_without_being_told_to() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        scene.forget();
        let (result, lines) = tears_down(&scene, false, &CancellationToken::new()).await;
        assert!(matches!(result, Err(Failure::NotConfirmed)), "{result:?}");
        assert_eq!(lines[..3], ["2 apps, 2 networks would be deleted:", "  app team-a/one", "  app team-a/two"]);
        let says = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(says("12 resources in AWS account 123456789012 would be removed:"), "{lines:#?}");
        for what in
            ["role pgai-", "us-east-1: function pgai-", "us-east-1: log group", "VPC endpoint", "security group"]
        {
            assert!(says(what), "{what} is told: {lines:#?}");
        }
        assert_eq!((count(&scene), scene.kubernetes.writes()), (4, 0));
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_removes_everything_by_itself_when_no_operator_runs() {
    scene(async {
        let delays = Delays { endpoint_deleted: 60, interfaces_released: 600, ..Delays::default() };
        let (scene, operator) = two_apps(delays).await;
        operator.stop().await;
        scene.forget();
        let (result, lines) = tears_down(&scene, true, &CancellationToken::new()).await;
        result.expect("all is gone");
        assert_eq!(count(&scene), 0);
        scene.assert_aws_is_empty();
        assert_eq!(callers(&scene), ["teardown"]);
        let says = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(says("Deleting app team-a/one."), "{lines:#?}");
        assert!(says("0 apps, 2 networks left."), "{lines:#?}");
        assert!(says("eni-"), "what a network waits for is told: {lines:#?}");
        assert!(lines.last().is_some_and(|line| line.starts_with("Nothing in AWS carries the tag")), "{lines:#?}");
        assert!(lines.len() < 40, "each thing is told once: {lines:#?}");
        let lease = scene.kubernetes.get(LEASE).expect("a Lease");
        assert_eq!(lease["spec"]["holderIdentity"], "", "released");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_leaves_the_networks_of_retained_apps_and_names_what_is_left() {
    scene(async {
        for tag_shows_after in [0, 20] {
            let (scene, operator) = two_apps(Delays { role_visible: tag_shows_after, ..Delays::default() }).await;
            scene.kubernetes.overwrite(&app("two"), |app| app["spec"]["deletionPolicy"] = json!("Retain"));
            scene.pass(Duration::from_mins(1)).await;
            operator.stop().await;
            let vpc = scene.kubernetes.get(&app("two")).expect("an app")["spec"]["network"]["vpcId"].clone();
            let vpc = vpc.as_str().expect("a VPC").to_owned();
            let ended = tokio::time::timeout(LONG, tears_down(&scene, true, &CancellationToken::new())).await;
            let (result, lines) = ended.expect("it ends");
            result.expect("all objects are gone");
            assert_eq!(count(&scene), 0);
            let says = |text: &str| lines.iter().any(|line| line.contains(text));
            let region = scene.aws.world().regions.remove(&Scene::region()).expect("the region");
            assert_eq!((region.functions.len(), region.endpoints.len()), (1, 1), "of one app: {lines:#?}");
            assert!(region.endpoints.values().all(|record| record.vpc.as_str() == vpc), "{lines:#?}");
            assert!(says("These resources in AWS stay, because they are retained:"), "{lines:#?}");
            for what in ["role pgai-team-a-two", "function pgai-team-a-two", "VPC endpoint", "security group"] {
                assert!(says(what), "{what} is told: {lines:#?}");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_goes_on_when_the_api_server_was_too_busy_or_unwell() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        scene.kubernetes.overwrite(&app("two"), |app| app["spec"]["deletionPolicy"] = json!("Retain"));
        scene.pass(Duration::from_mins(1)).await;
        operator.stop().await;
        let networks = scene.kubernetes.list("privategenainetworks");
        for network in &networks {
            let path = format!("privategenainetworks/{}", network["metadata"]["name"].as_str().expect("a name"));
            scene.kubernetes.inject(Kubernetes::answer(500).on(Verb::Patch).of(&path).on_part(None));
            scene.kubernetes.inject(Kubernetes::answer(503).on(Verb::Delete).of(&path));
        }
        scene.kubernetes.inject(Kubernetes::answer(429).on(Verb::Delete).of(&app("one")));
        scene.kubernetes.inject(Kubernetes::answer(504).on(Verb::Delete).of(&app("two")).after_the_work());
        // The first look is that of whoever asks for the teardown.
        scene.kubernetes.inject(Kubernetes::answer(503).on(Verb::List).of("privategenaiapps").skipping(2).times(3));
        let ended = tokio::time::timeout(LONG, tears_down(&scene, true, &CancellationToken::new())).await;
        let (result, lines) = ended.expect("it ends");
        result.expect("all objects are gone");
        assert_eq!(count(&scene), 0);
        let region = scene.aws.world().regions.remove(&Scene::region()).expect("the region");
        assert_eq!((region.functions.len(), region.endpoints.len()), (1, 1), "of the retained app: {lines:#?}");
        assert_eq!(scene.kubernetes.faults_left(), 0, "each was met: {lines:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_names_the_roles_that_are_left_also_where_iam_does_not_show_all_at_once() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        scene.kubernetes.overwrite(&app("two"), |app| app["spec"]["deletionPolicy"] = json!("Retain"));
        scene.pass(Duration::from_secs(20)).await;
        operator.stop().await;
        scene.aws.fail_next("GetAccountAuthorizationDetails", Fault::access_denied().times(u32::MAX));
        let ended = tokio::time::timeout(LONG, tears_down(&scene, true, &CancellationToken::new())).await;
        let (result, lines) = ended.expect("it ends");
        result.expect("what is left could be looked at");
        assert!(lines.iter().any(|line| line.contains("role pgai-team-a-two")), "{lines:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_finds_an_app_that_was_retained_before_it_ran() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        scene.kubernetes.overwrite(&app("two"), |app| app["spec"]["deletionPolicy"] = json!("Retain"));
        scene.pass(Duration::from_secs(20)).await;
        scene.kubernetes.delete(&app("two"));
        scene.until_gone("two").await;
        for object in scene.kubernetes.list("privategenainetworks") {
            // Somebody tried by hand, and the network waits.
            let name = object["metadata"]["name"].as_str().expect("a name");
            scene.kubernetes.delete(&format!("privategenainetworks/{name}"));
        }
        operator.stop().await;
        let ended = tokio::time::timeout(LONG, tears_down(&scene, true, &CancellationToken::new())).await;
        let (result, lines) = ended.expect("it ends");
        result.expect("all objects are gone");
        assert_eq!(count(&scene), 0, "{lines:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_does_nothing_while_an_operator_runs_or_may_run() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        scene.forget();
        let (result, lines) = tears_down(&scene, true, &CancellationToken::new()).await;
        assert!(matches!(&result, Err(Failure::Led { leader, .. }) if leader == "operator"), "{result:?}");
        assert!(lines.iter().any(|line| line.contains("scale it to zero")), "{lines:#?}");
        let calls = scene.aws.take_journal();
        assert!(calls.iter().filter(|call| call.write).all(|call| call.by != "teardown"), "{lines:#?}");
        assert_eq!(count(&scene), 4);
        operator.stop().await;

        let elsewhere = Scene::new(Delays::default());
        let (vpc, _) = elsewhere.vpc(&VpcShape::default());
        elsewhere.apply_app("one", &vpc);
        let (result, _) = tears_down(&elsewhere, true, &CancellationToken::new()).await;
        assert!(matches!(&result, Err(Failure::NoLease(_))), "{result:?}");
        assert_eq!(count(&elsewhere), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_typing_error_in_the_id_of_a_teardown_is_told_before_anything_is_done() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        scene.forget();
        let tyr: InstallationId = "tyr".parse().expect("an id");
        let before = scene.aws.world();
        for confirmed in [false, true] {
            let order = TeardownRequest { installation: tyr.clone(), ..order(&scene, confirmed) };
            let (result, lines) = tears_down_as(&scene, order, MissingLease::Refused, &CancellationToken::new()).await;
            let refusal = result.expect_err("it is refused").to_string();
            assert!(refusal.contains("installation tyr") || refusal.contains("than tyr"), "{refusal}");
            assert!(refusal.contains("installation test"), "{refusal}");
            assert_eq!(lines, Vec::<String>::new());
        }
        assert_eq!((scene.aws.calls(), scene.kubernetes.writes(), count(&scene)), (0, 0, 4));
        assert_eq!(scene.aws.world().regions, before.regions);
    })
    .await;
}

/// Nothing that the objects say contradicts the id; what others have in the account does.
#[tokio::test(start_paused = true)]
async fn a_typing_error_in_the_id_of_a_teardown_is_told_also_without_statuses() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        for kind in ["privategenaiapps", "privategenainetworks"] {
            for object in scene.kubernetes.list(kind) {
                let (namespace, name) = (&object["metadata"]["namespace"], object["metadata"]["name"].as_str());
                let path = match namespace.as_str() {
                    Some(_) => app(name.expect("a name")),
                    None => format!("{kind}/{}", name.expect("a name")),
                };
                scene.kubernetes.edit_status(&path, |status| *status = json!({}));
            }
        }
        scene.forget();
        let before = scene.aws.world();
        for confirmed in [false, true] {
            let order = TeardownRequest { installation: "tyr".parse().expect("an id"), ..order(&scene, confirmed) };
            let (result, _) = tears_down_as(&scene, order, MissingLease::Refused, &CancellationToken::new()).await;
            let refusal = result.expect_err("it is refused").to_string();
            assert!(refusal.contains("AWS has nothing of installation tyr") && refusal.contains(": test"), "{refusal}");
        }
        assert_eq!((scene.kubernetes.writes(), count(&scene)), (0, 4));
        assert_eq!(scene.aws.world().regions, before.regions);
        let (result, _) = tears_down(&scene, true, &CancellationToken::new()).await;
        result.expect("the id that is meant goes on");
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn teardown_can_be_interrupted_and_run_again_and_takes_along_what_cannot_be_read() {
    scene(async {
        let delays =
            Delays { endpoint_deleted: 60, function_deleted: 5, interfaces_released: 100, ..Delays::default() };
        let (scene, operator) = two_apps(delays).await;
        operator.stop().await;
        scene.kubernetes.overwrite(&app("two"), |app| app["spec"]["models"] = json!({"not": "a list"}));
        let mut runs = 0;
        for seconds in [1, 3, 6, 20, 50, 4000] {
            runs += 1;
            let stop = CancellationToken::new();
            let interrupted = async {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                stop.cancel();
                std::future::pending::<()>().await;
            };
            let result = tokio::select! {
                (result, _) = tears_down(&scene, true, &stop) => result,
                () = interrupted => unreachable!("it ends when it is told to"),
            };
            match result {
                Ok(()) => break,
                Err(Failure::Interrupted) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert!((3..=6).contains(&runs), "{runs} runs");
        assert_eq!(count(&scene), 0);
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn orphaned_objects_go_at_once_and_the_same_installation_takes_their_aws_over() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        scene.kubernetes.overwrite(&app("two"), |app| app["spec"]["models"] = json!({"not": "a list"}));
        let specs = ["one", "two"].map(|name| {
            let object = scene.kubernetes.get(&app(name)).expect("an app");
            (name, object["spec"]["network"].clone())
        });
        let before = scene.aws.world();
        scene.forget();
        let (result, lines) = orphans(&scene, true).await;
        result.expect("all are released");
        assert_eq!(lines.iter().filter(|line| line.starts_with("Released")).count(), 4, "{lines:#?}");
        assert!(lines.last().is_some_and(|line| line.contains("installation id test")), "{lines:#?}");
        assert_eq!(scene.aws.calls(), 0, "AWS is not even asked");
        assert_eq!(count(&scene), 4, "no object is deleted");

        for path in ["one", "two"].map(app) {
            scene.kubernetes.delete(&path);
        }
        for object in scene.kubernetes.list("privategenainetworks") {
            let name = object["metadata"]["name"].as_str().expect("a name");
            scene.kubernetes.delete(&format!("privategenainetworks/{name}"));
        }
        assert_eq!(count(&scene), 0, "at once");

        let (result, lines) = tears_down(&scene, false, &CancellationToken::new()).await;
        assert!(matches!(result, Err(Failure::NotConfirmed)), "{result:?}");
        for what in [
            "role pgai-",
            "us-east-1: function pgai-",
            "us-east-1: VPC endpoint",
            "us-east-1: log group",
            "security group",
        ] {
            assert!(lines.iter().any(|line| line.contains(what)), "{what} is told: {lines:#?}");
        }
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        assert_eq!(scene.aws.world().regions, before.regions);

        let operator = Replica::start(&scene, "again");
        for (name, network) in specs {
            scene.apply(name, json!({"network": network, "models": [crate::scene::MODEL]}));
        }
        for name in ["one", "two"] {
            scene.until_ready(name).await;
        }
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "the same id takes over what is there");
        assert_eq!(scene.aws.world().regions, before.regions);
        operator.stop().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_orphaned_while_an_operator_runs_or_may_run() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        let (result, lines) = orphans(&scene, true).await;
        assert!(matches!(&result, Err(Failure::Led { leader, .. }) if leader == "operator"), "{result:?}");
        assert!(lines[0].contains("scale it to zero"), "{lines:#?}");
        operator.stop().await;
        let (result, _) = orphans(&scene, true).await;
        result.expect("nobody runs");

        let nowhere = Scene::new(Delays::default());
        let (result, _) = orphans(&nowhere, true).await;
        assert!(matches!(&result, Err(Failure::NoLease(name)) if name == "operator/private-genai-operator"));
        let (result, _) = orphans(&nowhere, false).await;
        result.expect("somebody has made sure");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_died_is_waited_for_until_its_lease_has_run_out() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.kill().await;
        let (result, _) = orphans(&scene, true).await;
        result.expect("90 seconds are more than a Lease");
        for name in ["one", "two"] {
            let object = scene.kubernetes.get(&app(name)).expect("an app");
            assert_eq!(object["metadata"]["finalizers"], json!(null));
            assert_eq!(condition(&object, "Ready").0, "True", "nothing else of it changed");
        }
    })
    .await;
}
