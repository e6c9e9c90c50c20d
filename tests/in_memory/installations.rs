//! Installation ids and clusters that are mixed up: an operator with another id than before, and two clusters with one id. Neither
//! builds anything twice, changes or removes what is the other's, or lets an object go.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use private_genai_operator::{
    aws::{Ec2Write, SecurityGroup, Tags, Write},
    engine::owner_mark,
    identity::{FUNCTIONS_GROUP, InstallationId, OwnerMark, TAG_OWNER},
    takeover::{self, Failure, TakeOverRequest, take_over},
    uninstall::{self, Consent, LeaseWait, MissingLease, orphan},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    leadership::election,
    memory::{
        aws::{Action, ByHand, Delays, Fault, VpcShape, World, by_hand::Tagged},
        kubernetes,
    },
    scene::{LONG, RESYNC, Scene, app, condition, explicit_network, names, network, scene, writes},
};

/// So long that everything is looked at more than once.
const A_WHILE: Duration = Duration::from_secs(3 * RESYNC.as_secs());

fn id(id: &str) -> InstallationId {
    id.parse().expect("an installation id")
}

/// All that is in the account, each thing as it is said.
fn still(world: &World) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for region in world.regions.values() {
        all.extend(region.groups.values().map(|resource| format!("{resource:?}")));
        all.extend(region.endpoints.values().map(|resource| format!("{resource:?}")));
        all.extend(region.functions.values().map(|resource| format!("{resource:?}")));
        all.extend(region.log_groups.values().map(|resource| format!("{resource:?}")));
        all.extend(region.interfaces.values().map(|resource| format!("{resource:?}")));
    }
    all.extend(world.roles.values().map(|resource| format!("{resource:?}")));
    all
}

/// What a network and an app of an older version recorded: no installation id.
fn of_an_older_version(scene: &Scene, paths: &[String]) {
    for path in paths {
        scene.kubernetes.edit_status(path, |status| {
            status.as_object_mut().expect("a status").remove("installationId");
        });
    }
}

fn groups(scene: &Scene) -> Vec<SecurityGroup> {
    let world = scene.aws.world();
    let groups = world.regions[&Scene::region()].groups.values();
    groups.filter(|group| Scene::installation().owns(&group.tags)).cloned().collect()
}

fn marks(scene: &Scene) -> BTreeSet<Option<String>> {
    groups(scene).into_iter().map(|group| group.tags.get(TAG_OWNER).cloned()).collect()
}

fn all_marked(owner: &OwnerMark) -> BTreeSet<Option<String>> {
    [Some(owner.to_string())].into()
}

fn untag(scene: &Scene, group: &SecurityGroup) {
    let deed = ByHand::RemoveTags { from: Tagged::Group(group.id.clone()), keys: Some([TAG_OWNER.to_owned()].into()) };
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

fn mark(scene: &Scene, group: &SecurityGroup, mark: &str) {
    let tags = Tags::from([(TAG_OWNER.to_owned(), mark.to_owned())]);
    let write = Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags });
    scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS lets it happen");
}

fn events(scene: &Scene, reason: &str) -> Vec<Value> {
    scene.kubernetes.list("events").into_iter().filter(|event| event["reason"] == reason).collect()
}

fn ready(object: &Value) -> (String, String) {
    let (status, reason, _) = condition(object, "Ready");
    (status, reason)
}

/// Starts the operator with another installation id.
async fn changed(scene: &mut Scene, to: &str) {
    scene.stop().await;
    scene.id = id(to);
    scene.forget();
    scene.start();
}

/// Nobody wrote anything to AWS for a while, and the account is as it was.
#[track_caller]
fn assert_untouched(scene: &Scene, before: &World) {
    assert_eq!(writes(&scene.aws.journal()), Vec::<String>::new());
    let (before, now) = (still(&before.clone()), still(&scene.aws.world()));
    let changed: Vec<&String> = before.symmetric_difference(&now).collect();
    assert_eq!(changed, Vec::<&String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_operator_with_another_id_does_nothing_for_what_is_there_and_names_both_ids() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(30)).await;
        let recorded = scene.kubernetes.get(&app("bot")).expect("the app")["status"].clone();
        assert_eq!(recorded["installationId"], "test");
        let before = scene.aws.world();
        changed(&mut scene, "tset").await;
        let message = scene.until_refused("bot", "InstallationChanged").await;
        for part in ["PrivateGenAIApp team-a/bot", "installation test", "installation tset", "installation id test"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        scene.apply_app("new", &vpc);
        scene.pass(A_WHILE).await;
        let object = scene.kubernetes.get(&network(&vpc)).expect("the network");
        assert_eq!(ready(&object), ("False".into(), "InstallationChanged".into()));
        assert_eq!(object["status"]["installationId"], "test", "what was recorded stays");
        assert!(object["status"]["endpoints"][0]["vpcEndpointId"].is_string(), "{object:#}");
        let new = scene.kubernetes.get(&app("new")).expect("the app");
        assert_eq!(ready(&new), ("False".into(), "InstallationChanged".into()), "it would be built a second time");
        assert_eq!(events(&scene, "InstallationChanged").len(), 3, "both apps and their network");
        let now = scene.kubernetes.get(&app("bot")).expect("the app")["status"].clone();
        assert_eq!(now["function"], recorded["function"]);
        assert_untouched(&scene, &before);

        changed(&mut scene, "test").await;
        scene.until_ready("bot").await;
        scene.until_ready("new").await;
        assert_eq!(scene.aws.world().regions[&Scene::region()].functions.len(), 2);
        for name in ["bot", "new"] {
            scene.kubernetes.delete(&app(name));
        }
        scene.until_gone("new").await;
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_with_another_id_lets_no_object_go_readable_or_not() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (one, _) = scene.vpc(&VpcShape::default());
        let (two, _) = scene.vpc(&VpcShape::default());
        scene.kubernetes.apply(explicit_network("prod", &two));
        scene.start();
        for (name, vpc, policy) in [
            ("deleted", &one, "Delete"),
            ("retained", &one, "Retain"),
            ("unreadable", &one, "Delete"),
            ("other", &two, "Delete"),
        ] {
            let network = json!({"vpcId": vpc.as_str()});
            scene.apply(name, json!({"network": network, "models": [crate::scene::MODEL], "deletionPolicy": policy}));
            scene.until_ready(name).await;
        }
        let before = scene.aws.world();
        scene.stop().await;
        scene.kubernetes.overwrite(&app("unreadable"), |app| app["spec"]["models"] = json!({"not": "a list"}));
        scene.kubernetes.overwrite("privategenainetworks/prod", |network| {
            network["spec"]["deletionPolicy"] = json!("Retain");
        });
        scene.id = id("tset");
        scene.forget();
        scene.start();
        let paths: Vec<String> = ["deleted", "retained", "unreadable", "other"]
            .map(app)
            .into_iter()
            .chain([network(&one), "privategenainetworks/prod".to_owned()])
            .collect();
        for path in &paths {
            scene.kubernetes.delete(path);
        }
        scene.pass(A_WHILE).await;
        for path in &paths {
            let object = scene.kubernetes.get(path).unwrap_or_else(|| panic!("{path} was let go"));
            assert_eq!(ready(&object), ("False".into(), "InstallationChanged".into()), "{path}");
        }
        assert_untouched(&scene, &before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_older_version_recorded_tells_an_id_that_changed_too() {
    scene(async {
        // By the path of the role; by the name of the function; by the endpoint's tags, where nothing is told by an app.
        for evidence in ["role", "function", "endpoint"] {
            let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
            scene.pass(Duration::from_secs(30)).await;
            let before = scene.aws.world();
            scene.stop().await;
            of_an_older_version(&scene, &[app("bot"), network(&vpc)]);
            scene.kubernetes.edit_status(&app("bot"), |status| {
                let status = status.as_object_mut().expect("a status");
                if evidence != "role" {
                    status.remove("executionRole");
                }
                if evidence == "endpoint" {
                    status.remove("function");
                }
            });
            scene.id = id("tset");
            scene.forget();
            scene.start();
            scene.until_refused("bot", "InstallationChanged").await;
            scene.pass(A_WHILE).await;
            let object = scene.kubernetes.get(&network(&vpc)).expect("the network");
            assert_eq!(ready(&object).1, "InstallationChanged", "{evidence}: {object:#}");
            assert_eq!(object["status"]["installationId"], Value::Null, "{evidence}: not recorded as ours");
            assert_untouched(&scene, &before);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_an_earlier_id_left_stops_neither_its_network_nor_the_apps_beside_it() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.apply_app("left", &vpc);
        scene.until_ready("left").await;
        scene.stop().await;
        of_an_older_version(&scene, &[network(&vpc)]);
        scene.kubernetes.edit_status(&app("left"), |status| status["installationId"] = json!("earlier"));
        scene.forget();
        scene.start();
        scene.until_refused("left", "InstallationChanged").await;
        scene.pass(A_WHILE).await;
        for path in [app("bot"), network(&vpc)] {
            let object = scene.kubernetes.get(&path).expect("the object");
            assert_eq!(ready(&object).0, "True", "{object:#}");
        }
        assert_eq!(writes(&scene.aws.journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_older_version_s_objects_record_the_same_id_without_a_write_to_aws() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(30)).await;
        let before = scene.aws.world();
        scene.stop().await;
        of_an_older_version(&scene, &[app("bot"), network(&vpc)]);
        scene.forget();
        scene.start();
        scene.pass(A_WHILE).await;
        for path in [app("bot"), network(&vpc)] {
            let object = scene.kubernetes.get(&path).expect("the object");
            assert_eq!(ready(&object), ("True".into(), "Ready".into()));
            assert_eq!(object["status"]["installationId"], "test");
        }
        assert_untouched(&scene, &before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_id_is_recorded_before_anything_is_created() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let (kubernetes, path) = (scene.kubernetes.clone(), network(&vpc));
        let early = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&early);
        // What a crash at this write would leave.
        scene.aws.watched_by(Box::new(move |_, write, _, _| {
            let path = if write.operation().service == "ec2" { path.clone() } else { app("bot") };
            let recorded = kubernetes.get(&path).expect("the object")["status"]["installationId"].clone();
            if recorded != "test" {
                seen.lock().expect("nobody panicked").push(format!("{path}: {write:?}"));
            }
        }));
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        assert_eq!(*early.lock().expect("nobody panicked"), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_installations_share_a_vpc_and_one_goes_without_the_other() {
    scene(async {
        let (first, vpc) = Scene::with_app("bot", Delays::default()).await;
        let mut second = first.beside();
        second.id = id("second");
        second.start();
        second.apply_app("bot", &vpc);
        second.until_ready("bot").await;
        let region = |scene: &Scene| scene.aws.world().regions[&Scene::region()].clone();
        assert_eq!((region(&first).functions.len(), region(&first).endpoints.len()), (2, 2));
        second.kubernetes.delete(&app("bot"));
        second.until_gone("bot").await;
        second.until_network_gone(&vpc).await;
        assert_eq!(second.aws.leftovers(&second.id), Vec::<String>::new());
        first.pass(A_WHILE).await;
        assert_eq!(ready(&first.kubernetes.get(&app("bot")).expect("the app")).0, "True");
        assert_eq!(events(&first, "DriftRepaired"), Vec::<Value>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn orphan_with_another_id_releases_nothing_and_names_both_ids() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.stop().await;
        for older in [false, true] {
            if older {
                of_an_older_version(&scene, &[app("bot"), network(&vpc)]);
            }
            let client = scene.kubernetes.client();
            let wait = LeaseWait { timeout: Duration::from_secs(1), missing: MissingLease::Accepted };
            let election = election(&client, "orphan");
            let (stop, print) = (CancellationToken::new(), |line: &str| panic!("nothing is printed: {line}"));
            scene.kubernetes.take_journal();
            let result = Box::pin(orphan(client, election, &id("tset"), wait, stop, &print)).await;
            let failure = result.expect_err("refused");
            assert!(matches!(failure, uninstall::Failure::AnotherInstallation { .. }), "{failure:?}");
            let message = failure.to_string();
            for part in ["app team-a/bot", "than tset", "installation test"] {
                assert!(message.contains(part), "{part}: {message}");
            }
            assert_eq!(scene.kubernetes.writes(), 0);
            let object = scene.kubernetes.get(&app("bot")).expect("the app");
            assert!(!object["metadata"]["finalizers"].is_null(), "it is held");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_groups_bear_the_mark_of_the_cluster_from_their_first_moment_on() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        assert_eq!(groups(&scene).len(), 2);
        assert_eq!(marks(&scene), all_marked(&scene.owner));
        assert!(!names(&scene.aws.journal()).contains(&"ec2:CreateTags".to_owned()), "in the call that creates them");
        assert_eq!(events(&scene, "InstallationMarked"), Vec::<Value>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_cluster_with_the_same_id_changes_and_deletes_nothing_of_the_first() {
    scene(async {
        let (first, vpc) = Scene::with_app("bot", Delays::default()).await;
        first.pass(Duration::from_secs(30)).await;
        let before = first.aws.world();
        let mut second = first.beside();
        first.forget();
        second.start();
        // Others of the same name and none, the one implicitly, the other on a network that somebody wrote.
        second.apply_app("bot", &vpc);
        second.apply_app("another", &vpc);
        let message = second.until_refused("bot", "InstallationInUse").await;
        let group = &groups(&first)[0];
        let command = format!("take-over --installation-id test --region us-east-1 --from {}", first.owner);
        for part in [group.id.as_str(), &first.owner.to_string(), &second.owner.to_string(), &command] {
            assert!(message.contains(part), "{part}: {message}");
        }
        second.pass(A_WHILE).await;
        assert_eq!(ready(&second.kubernetes.get(&app("another")).expect("the app")).1, "InstallationInUse");
        assert_untouched(&first, &before);

        // Nothing was made for them: they go, with the network that was made for them.
        for name in ["bot", "another"] {
            second.kubernetes.delete(&app(name));
            second.until_gone(name).await;
        }
        second.until_network_gone(&vpc).await;
        second.kubernetes.apply(explicit_network("prod", &vpc));
        second.pass(A_WHILE).await;
        let object = second.kubernetes.get("privategenainetworks/prod").expect("the network");
        assert_eq!(ready(&object).1, "InstallationInUse");
        assert!(object["metadata"]["finalizers"].is_null(), "it holds nothing");
        assert_untouched(&first, &before);

        // The first goes on as if it were alone, and its place is free when it is gone.
        first.kubernetes.delete(&app("bot"));
        first.until_gone("bot").await;
        first.until_network_gone(&vpc).await;
        second.apply_app("bot", &vpc);
        second.until_ready("bot").await;
        assert_eq!(marks(&second), all_marked(&second.owner));
    })
    .await;
}

/// The objects of a cluster as a backup has them, applied to another one with everything: statuses and finalizers too.
fn restore(from: &Scene, to: &Scene) {
    for plural in ["privategenainetworks", "privategenaiapps"] {
        for object in from.kubernetes.list(plural) {
            let namespace =
                object["metadata"]["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            let path = format!("{plural}/{namespace}{}", object["metadata"]["name"].as_str().expect("a name"));
            let mut bare = object.clone();
            bare["metadata"] = json!({
                "name": object["metadata"]["name"],
                "namespace": object["metadata"]["namespace"],
                "labels": object["metadata"]["labels"],
            });
            to.kubernetes.apply(bare);
            to.kubernetes.overwrite(&path, |stored| {
                stored["status"] = object["status"].clone();
                stored["metadata"]["finalizers"] = object["metadata"]["finalizers"].clone();
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_objects_in_another_cluster_deletes_nothing_and_is_not_let_go() {
    scene(async {
        for policy in ["Delete", "Retain"] {
            let (first, vpc) = Scene::with_app("bot", Delays::default()).await;
            first.pass(Duration::from_secs(30)).await;
            let mut second = first.beside();
            restore(&first, &second);
            second.kubernetes.edit(&app("bot"), |app| app["spec"]["deletionPolicy"] = json!(policy));
            let before = first.aws.world();
            first.forget();
            second.start();
            second.until_refused("bot", "InstallationInUse").await;
            second.kubernetes.edit(&app("bot"), |app| app["spec"]["function"] = json!({"memoryMiB": 1024}));
            second.pass(A_WHILE).await;
            second.kubernetes.delete(&app("bot"));
            second.kubernetes.delete(&network(&vpc));
            second.pass(A_WHILE).await;
            for path in [app("bot"), network(&vpc)] {
                let object = second.kubernetes.get(&path).unwrap_or_else(|| panic!("{path} was let go"));
                assert_eq!(ready(&object).1, "InstallationInUse", "{path}, {policy}");
            }
            assert_untouched(&first, &before);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_two_clusters_that_begin_together_at_most_one_builds_and_the_other_is_told() {
    scene(async {
        for seed in 0..15 {
            let mut first = Scene::new(Delays { ec2_visible: seed % 3, ..Delays::default() });
            let (vpc, _) = first.vpc(&VpcShape::default());
            let mut second = first.beside();
            first.aws = first.aws.seen_by("first").dawdling(seed);
            second.aws = second.aws.dawdling(seed);
            for scene in [&mut first, &mut second] {
                scene.start();
                scene.apply_app("bot", &vpc);
            }
            first.pass(A_WHILE).await;
            let stands = [&first, &second].map(|scene| ready(&scene.kubernetes.get(&app("bot")).expect("the app")));
            let built = stands.iter().filter(|ready| ready.0 == "True").count();
            let refused = stands.iter().filter(|ready| ready.1 == "InstallationInUse").count();
            // Where each of the two has created one of the groups, both wait for people.
            assert!((built, refused) == (1, 1) || (built, refused) == (0, 2), "seed {seed}: {stands:?}");
            let region = first.aws.world().regions[&Scene::region()].clone();
            assert!(region.endpoints.len() <= 1 && region.functions.len() <= 1, "seed {seed}");
            let calls = first.aws.journal();
            let who: BTreeSet<&str> =
                calls.iter().filter(|call| call.write && call.operation == "CreateRole").map(|call| call.by).collect();
            assert!(who.len() <= 1, "seed {seed}: only one writes to a role");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_group_with_another_cluster_s_mark_is_enough_and_the_mark_is_never_put_back() {
    scene(async {
        for which in 0..2 {
            let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
            scene.pass(Duration::from_secs(30)).await;
            mark(&scene, &groups(&scene)[which], "another-cluster");
            // Drift of what is another's is not this operator's to repair.
            scene.delete_roles();
            let before = scene.aws.world();
            scene.forget();
            scene.pass(A_WHILE).await;
            let object = scene.kubernetes.get(&network(&vpc)).expect("the network");
            assert_eq!(ready(&object), ("False".into(), "InstallationInUse".into()));
            assert_eq!(ready(&scene.kubernetes.get(&app("bot")).expect("the app")).1, "InstallationInUse");
            assert_untouched(&scene, &before);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn groups_without_a_mark_are_marked_and_an_event_tells() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(30)).await;
        // As an older version left them; and once more while the operator runs.
        scene.stop().await;
        for running in [false, true] {
            for group in &groups(&scene) {
                untag(&scene, group);
            }
            scene.forget();
            if !running {
                scene.start();
            }
            scene.pass(A_WHILE).await;
            assert_eq!(marks(&scene), all_marked(&scene.owner));
            assert_eq!(writes(&scene.aws.take_journal()), ["ec2:CreateTags", "ec2:CreateTags"]);
            let marked = events(&scene, "InstallationMarked");
            let note = marked[0]["note"].as_str().unwrap_or_default();
            assert!(groups(&scene).iter().all(|group| note.contains(group.id.as_str())), "{marked:#?}");
            assert_eq!(marked[0]["regarding"]["name"], network(&vpc).replace("privategenainetworks/", ""));
            assert_eq!(events(&scene, "DriftRepaired").is_empty(), !running, "an older version's are no drift");
            assert_eq!(ready(&scene.kubernetes.get(&app("bot")).expect("the app")).0, "True");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_is_built_only_once_both_groups_are_this_cluster_s() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(30)).await;
        scene.stop().await;
        let name = Scene::installation().group_name(FUNCTIONS_GROUP);
        let group = groups(&scene).into_iter().find(|group| group.name == name);
        untag(&scene, &group.expect("the group"));
        // The network is ready as its status says, and cannot mark its group.
        scene.aws.fail_next("ec2:CreateTags", Fault::throttled().times(u32::MAX));
        scene.forget();
        scene.start();
        scene.apply_app("new", &vpc);
        scene.pass(A_WHILE).await;
        let made: Vec<String> = writes(&scene.aws.take_journal());
        assert!(made.iter().all(|name| name == "ec2:CreateTags"), "{made:?}");
        let object = scene.kubernetes.get(&app("new")).expect("the app");
        assert_eq!(condition(&object, "ExecutionRoleReady").1, "WaitingForNetwork", "{object:#}");
        assert_eq!(ready(&object).0, "False");
        scene.aws.clear_faults();
        scene.until_ready("new").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_this_cluster_made_is_kept_exact_while_a_group_of_its_network_is_missing() {
    scene(async {
        let (mut scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(30)).await;
        scene.stop().await;
        for group in groups(&scene) {
            let deed = ByHand::DeleteGroup(group.id.clone());
            scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
        }
        let role = scene.aws.world().roles.keys().next().expect("a role").clone();
        let policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
        let deed = ByHand::AttachRolePolicy { role, policy_arn };
        scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
        scene.aws.fail_next("CreateSecurityGroup", Fault::access_denied().times(u32::MAX));
        scene.start();
        scene.pass(A_WHILE).await;
        assert!(scene.aws.world().roles.values().all(|record| record.role.attached_policies.is_empty()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_of_the_same_name_on_another_cluster_s_network_is_not_taken_along() {
    scene(async {
        let (first, here) = Scene::with_app("bot", Delays::default()).await;
        let mut second = first.beside();
        let (there, _) = second.vpc(&VpcShape::default());
        second.start();
        second.apply_app("bot", &there);
        second.until_ready("bot").await;
        second.kubernetes.delete(&app("bot"));
        second.until_gone("bot").await;
        second.until_network_gone(&there).await;
        first.pass(A_WHILE).await;
        assert_eq!(ready(&first.kubernetes.get(&app("bot")).expect("the app")).0, "True", "in {here}");
        assert_eq!(events(&first, "DriftRepaired"), Vec::<Value>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_network_is_taken_by_the_cluster_s_next_object_and_no_other_cluster() {
    scene(async {
        let mut first = Scene::new(Delays::default());
        let (vpc, _) = first.vpc(&VpcShape::default());
        let mut retained = explicit_network("prod", &vpc);
        retained["spec"]["deletionPolicy"] = json!("Retain");
        first.kubernetes.apply(retained);
        first.start();
        first.apply_app("bot", &vpc);
        first.until_ready("bot").await;
        // While the object is there, what nobody demands goes as ever.
        first.kubernetes.delete("privategenainetworks/prod");
        first.kubernetes.delete(&app("bot"));
        first.until_gone("bot").await;
        first.kubernetes.until_gone("privategenainetworks/prod", LONG).await;
        first.pass(A_WHILE).await;
        assert_eq!(marks(&first), all_marked(&first.owner));
        let mut second = first.beside();
        second.start();
        second.apply_app("bot", &vpc);
        second.until_refused("bot", "InstallationInUse").await;
        first.apply_app("bot", &vpc);
        first.until_ready("bot").await;
        assert_eq!(first.aws.world().regions[&Scene::region()].endpoints.len(), 1, "the endpoint that was there");
        assert_eq!(events(&first, "InstallationMarked"), Vec::<Value>::new());
    })
    .await;
}

/// Runs the command in a cluster; gives what it said.
async fn takes_over(scene: &Scene, from: &str, consent: Consent) -> (Result<(), Failure>, Vec<String>) {
    let lines = RefCell::new(Vec::new());
    let client = scene.kubernetes.client();
    let request = TakeOverRequest {
        installation: scene.id.clone(),
        ours: scene.owner.clone(),
        from: from.parse().expect("a mark"),
        home: Scene::region(),
        also: BTreeSet::new(),
        consent,
    };
    let wait = LeaseWait { timeout: Duration::from_secs(90), missing: MissingLease::Accepted };
    let (election, stop) = (election(&client, "take-over"), CancellationToken::new());
    let print = |line: &str| {
        lines.borrow_mut().push(line.to_owned());
        Ok(())
    };
    let aws = Arc::new(scene.aws.seen_by("take-over"));
    let result = Box::pin(take_over(client, aws, &request, election, wait, stop, &print)).await;
    (result, lines.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_rebuilt_cluster_takes_over_by_the_command_that_names_the_old_mark() {
    scene(async {
        let (mut first, vpc) = Scene::with_app("bot", Delays::default()).await;
        first.pass(Duration::from_secs(30)).await;
        first.kill().await;
        let (before, old) = (first.aws.world(), first.owner.to_string());
        let mut second = first.beside();
        second.start();
        second.apply_app("bot", &vpc);
        second.until_refused("bot", "InstallationInUse").await;
        second.stop().await;
        first.forget();

        let (result, lines) = takes_over(&second, &old, Consent::Missing).await;
        assert!(matches!(result, Err(Failure::NotConfirmed)), "{result:?}");
        for group in groups(&first) {
            assert!(lines.iter().any(|line| line.contains(group.id.as_str())), "{lines:#?}");
        }
        assert_untouched(&first, &before);

        let (result, lines) = takes_over(&second, &old, Consent::Given).await;
        result.expect("taken over");
        assert_eq!(writes(&first.aws.take_journal()), ["ec2:CreateTags", "ec2:CreateTags"]);
        assert_eq!(marks(&second), all_marked(&second.owner));
        assert!(lines.iter().any(|line| line.contains("is this cluster's now")), "{lines:#?}");

        let (result, lines) = takes_over(&second, &old, Consent::Given).await;
        result.expect("once more changes nothing");
        assert!(lines[0].contains("nothing to take over"), "{lines:#?}");
        second.start();
        second.until_ready("bot").await;
        second.pass(A_WHILE).await;
        assert_eq!(writes(&first.aws.take_journal()), Vec::<String>::new(), "everything else is as it should be");

        // Whoever was there before does nothing any more.
        first.start();
        first.until_refused("bot", "InstallationInUse").await;
        first.kubernetes.delete(&app("bot"));
        first.pass(A_WHILE).await;
        assert_eq!(writes(&first.aws.take_journal()), Vec::<String>::new());
        assert_eq!(ready(&second.kubernetes.get(&app("bot")).expect("the app")).0, "True");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_take_over_that_was_interrupted_anywhere_is_finished_by_the_next_one() {
    scene(async {
        for fault in [Fault::unreachable(), Fault::answer_lost(), Fault::access_denied()] {
            for nth in 0..2 {
                let (mut first, _) = Scene::with_app("bot", Delays::default()).await;
                first.kill().await;
                let second = first.beside();
                let group = groups(&first)[nth].id.to_string();
                first.aws.fail_next("ec2:CreateTags", fault.clone().only(group));
                let old = first.owner.to_string();
                let (result, lines) = takes_over(&second, &old, Consent::Given).await;
                assert!(matches!(result, Err(Failure::Aws(_))), "{result:?}");
                assert_eq!(
                    lines.iter().filter(|line| line.contains("is this cluster's now")).count(),
                    nth,
                    "{lines:#?}"
                );
                let (result, _) = takes_over(&second, &old, Consent::Given).await;
                result.expect("it goes on");
                assert_eq!(marks(&second), all_marked(&second.owner));
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_take_over_is_refused_before_anything_is_changed_where_it_is_a_mistake() {
    scene(async {
        let (mut first, _) = Scene::with_app("bot", Delays::default()).await;
        first.stop().await;
        let mut second = first.beside();
        let old = first.owner.to_string();
        let before = first.aws.world();
        first.forget();
        let (result, _) = takes_over(&second, "a-third-cluster", Consent::Given).await;
        let failure = result.expect_err("another mark");
        assert!(matches!(failure, Failure::AnotherOwner { .. }) && failure.to_string().contains(&old), "{failure}");
        let own = second.owner.to_string();
        let (result, _) = takes_over(&second, &own, Consent::Given).await;
        assert!(matches!(result, Err(Failure::OwnMark)), "{result:?}");
        // The objects here are of another installation.
        restore(&first, &second);
        second.id = id("tset");
        let (result, _) = takes_over(&second, &old, Consent::Given).await;
        let changed = uninstall::Failure::AnotherInstallation {
            ours: id("tset"),
            recorded: "installation test".into(),
            objects: String::new(),
        };
        match (result.expect_err("another id"), changed) {
            (
                takeover::Failure::Uninstall(uninstall::Failure::AnotherInstallation { recorded, .. }),
                uninstall::Failure::AnotherInstallation { recorded: expected, .. },
            ) => assert_eq!(recorded, expected),
            (other, _) => panic!("{other}"),
        }
        assert_untouched(&first, &before);
        // One group is a third cluster's: none is taken.
        second.id = id("test");
        mark(&first, &groups(&first)[1], "a-third-cluster");
        let before = first.aws.world();
        let (result, _) = takes_over(&second, &old, Consent::Given).await;
        assert!(matches!(result, Err(Failure::AnotherOwner { .. })), "{result:?}");
        assert_untouched(&first, &before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_s_mark_is_the_uid_of_kube_system_and_a_missing_permission_is_told() {
    scene(async {
        let scene = Scene::new(Delays::default());
        let client = scene.kubernetes.client();
        let unknown = owner_mark(&client).await.expect_err("the cluster is starting");
        assert!(unknown.passes(), "{unknown}");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}});
        let uid = scene.kubernetes.apply(namespace)["metadata"]["uid"].clone();
        assert_eq!(owner_mark(&client).await.expect("a mark").to_string(), uid.as_str().expect("a UID"));
        scene.kubernetes.inject(kubernetes::Fault::answer(403).times(1));
        let unknown = owner_mark(&client).await.expect_err("refused");
        assert!(!unknown.passes());
        let message = unknown.to_string();
        assert!(message.contains("resources [namespaces], resourceNames [kube-system], verbs [get]"), "{message}");
        for (fault, passes) in [(kubernetes::Fault::answer(503), true), (kubernetes::Fault::disconnect(), true)] {
            scene.kubernetes.inject(fault.times(1));
            assert_eq!(owner_mark(&client).await.expect_err("no answer").passes(), passes);
        }
    })
    .await;
}
