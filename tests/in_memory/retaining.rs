//! What stays when an object goes, and what waits while an app is suspended.

use std::time::Duration;

use private_genai_operator::{
    aws::{FunctionState, LambdaWrite, LogsWrite, PolicyDocument, VpcId, Write},
    identity::{TAG_APP_NAME, TAG_APP_NAMESPACE, TAG_HANDED_OVER, TAG_REGION, TAG_RETAINED, TAG_VPC},
};
use serde_json::{Value, json};

use crate::{
    memory::{
        aws::{Action, ByHand, CallRecord, Delays, Fault, VpcShape, World, by_hand::Tagged, drifts},
        kubernetes::APPS,
    },
    scene::{LONG, MODEL, RESYNC, Scene, app, condition, explicit_network, network, scene, writes},
};

const FINALIZER: &str = "privategenai.dev/aws-resources";

fn spec(vpc: &VpcId, more: &Value) -> Value {
    let mut spec = json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// The world without tags of roles: what retaining changes nothing about.
fn untagged(mut world: World) -> World {
    world.roles.values_mut().for_each(|record| record.role.tags.clear());
    World { now: 0, counts: [].into(), believed: [].into(), due: [].into(), ..world }
}

fn role_has(scene: &Scene, tag: &str) -> bool {
    scene.aws.world().roles.values().any(|record| record.role.tags.contains_key(tag))
}

/// The function runs as the role that there is, and not as one that had its name.
fn function_has_its_role(scene: &Scene) -> bool {
    let world = scene.aws.world();
    let principals: Vec<u64> = world.roles.values().map(|record| record.principal).collect();
    let functions = &world.regions[&Scene::region()].functions;
    functions.len() == 1 && functions.values().all(|function| principals == [function.principal])
}

/// Found by simulation (seed 424): the role is all that tells of a retained app, and the network was torn down under its
/// function. The operator may learn of the deletion late; the answer of each call may be lost, and the operator killed then.
#[tokio::test(start_paused = true)]
async fn a_retained_app_whose_role_was_deleted_gets_it_back_and_keeps_its_network() {
    let calls = ["CreateRole", "PutRolePolicy", "UpdateFunctionConfiguration", "TagRole"];
    let lost = calls.into_iter().flat_map(|call| [(Some(call), false), (Some(call), true)]);
    for (away, (lost, killed)) in
        [(false, (None, false)), (true, (None, false))].into_iter().chain(lost.map(|answer| (true, answer)))
    {
        scene(retained_without_role(away, lost, killed)).await;
    }
}

/// Somebody deletes the role, and then the app. `away`: nobody is there meanwhile.
async fn retained_without_role(away: bool, lost: Option<&'static str>, killed: bool) {
    let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    scene.apply("bot", spec(&vpc, &json!({"deletionPolicy": "Retain"})));
    scene.pass(Duration::from_secs(20)).await;
    let delays = Delays { role_visible: 12, role_usable: 12, function_updated: 20, ..Delays::default() };
    scene.aws.act(&Action::ByHand(Scene::region(), ByHand::SetDelays(delays))).expect("AWS takes its time");
    if away {
        scene.stop().await;
    }
    scene.delete_roles();
    scene.pass(Duration::from_secs(15)).await;
    scene.kubernetes.delete(&app("bot"));
    scene.forget();
    if let Some(call) = lost {
        scene.aws.fail_next(call, Fault::answer_lost());
    }
    if away {
        scene.start();
    }
    let mut journal = Vec::new();
    while killed && journal.iter().all(|call: &CallRecord| Some(call.operation) != lost) {
        scene.pass(Duration::from_secs(1)).await;
        journal.extend(scene.aws.take_journal());
    }
    if killed {
        scene.kill().await;
        scene.start();
    }
    scene.until_gone("bot").await;
    if lost.is_none() {
        let mut written = writes(&scene.aws.take_journal());
        written.dedup();
        let wanted = ["iam:CreateRole", "iam:PutRolePolicy", "lambda:UpdateFunctionConfiguration", "iam:TagRole"];
        // Who does not know of it yet tags the role that was there.
        assert_eq!(&written[usize::from(!away)..], wanted, "{written:?}");
    }
    scene.pass(RESYNC * 2).await;
    assert!(role_has(&scene, TAG_RETAINED), "{lost:?}");
    assert!(function_has_its_role(&scene), "{lost:?} {:#?}", scene.aws.world());
    let kept = |network: &Value| condition(network, "Accepted").2.contains("kept for retained apps team-a/bot:");
    let object = scene.kubernetes.until(&network(&vpc), LONG, kept).await;
    assert_eq!(condition(&object, "Ready").0, "True", "{object:#}");
    scene.apply_app("bot", &vpc);
    scene.until_ready("bot").await;
    scene.pass(Duration::from_mins(1)).await;
    scene.kubernetes.delete(&app("bot"));
    scene.until_nothing_is_left("bot", &vpc).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_is_put_back_without_models_for_a_retained_app_that_cannot_be_read() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(20)).await;
        scene.delete_roles();
        scene.kubernetes.overwrite(&app("bot"), |app| {
            app["spec"]["models"] = json!({"not": "a list"});
            app["spec"]["deletionPolicy"] = json!("Retain");
        });
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.pass(Duration::from_mins(20)).await;
        assert!(role_has(&scene, TAG_RETAINED));
        assert!(function_has_its_role(&scene));
        let world = scene.aws.world();
        let policies = world.roles.values().flat_map(|record| record.role.inline_policies.values());
        let policies: Vec<&str> = policies.map(PolicyDocument::as_str).collect();
        assert!(policies[0].contains("ec2:CreateNetworkInterface"), "{policies:?}");
        assert!(!policies[0].contains(MODEL), "{policies:?}");
        assert_eq!(world.regions[&Scene::region()].endpoints.len(), 1);
        assert!(scene.kubernetes.get(&network(&vpc)).is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_read_takes_its_function_along_although_its_role_is_gone() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(20)).await;
        scene.delete_roles();
        scene.kubernetes.overwrite(&app("bot"), |app| app["spec"]["models"] = json!({"not": "a list"}));
        scene.kubernetes.delete(&app("bot"));
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

/// Found by simulation: the endpoint's policy would have been one about no model, which AWS does not take.
#[tokio::test(start_paused = true)]
async fn a_retained_app_whose_role_allows_no_model_any_more_leaves_its_network_ready() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.apply("bot", spec(&vpc, &json!({"deletionPolicy": "Retain"})));
        scene.pass(Duration::from_secs(20)).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        for drift in drifts(&scene.aws.world(), &Scene::installation()) {
            if drift.name == "role policy deleted" {
                scene.aws.act(&drift.action).expect("AWS lets it happen");
            }
        }
        scene.forget();
        scene.pass(Duration::from_mins(15)).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["ec2:ModifyVpcEndpoint"], "once, and AWS takes it");
        let object = scene.kubernetes.get(&network(&vpc)).expect("the network");
        assert_eq!(condition(&object, "Ready").0, "True", "{object:#}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_app_goes_in_seconds_keeps_its_path_and_is_taken_over_by_its_name() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays { role_visible: 8, ..Delays::default() }).await;
        scene.pass(Duration::from_secs(20)).await;
        scene.apply("bot", spec(&vpc, &json!({"deletionPolicy": "Retain"})));
        scene.pass(Duration::from_secs(20)).await;
        let before = scene.aws.world();
        scene.forget();
        let deleted = tokio::time::Instant::now();
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        assert!(deleted.elapsed() < Duration::from_secs(5), "the app goes in seconds: {:?}", deleted.elapsed());
        assert_eq!(writes(&scene.aws.take_journal()), ["iam:TagRole"]);
        assert!(role_has(&scene, TAG_RETAINED));
        assert!(untagged(scene.aws.world()) == untagged(before), "{:#?}", scene.aws.world());

        let kept = |network: &Value| condition(network, "Accepted").2.contains("kept for retained apps team-a/bot:");
        let object = scene.kubernetes.until(&network(&vpc), LONG, kept).await;
        assert_eq!(condition(&object, "Ready").0, "True", "no alarm: {object:#}");
        assert_eq!(condition(&object, "Stalled").0, "");
        scene.pass(Duration::from_mins(1)).await;
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        scene.stop().await;
        scene.start();
        scene.pass(Duration::from_mins(10)).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);

        scene.apply("bot", spec(&vpc, &json!({"deletionPolicy": "Delete"})));
        scene.until_ready("bot").await;
        scene.pass(Duration::from_secs(20)).await;
        let mut written = writes(&scene.aws.take_journal());
        written.dedup();
        assert_eq!(written, ["iam:UntagRole"], "again and again, until IAM shows it, and nothing else");
        assert!(!role_has(&scene, TAG_RETAINED));
        scene.kubernetes.delete(&app("bot"));
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_network_of_a_retained_app_goes_when_the_app_was_removed_by_hand() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply("bot", spec(&vpc, &json!({"deletionPolicy": "Retain"})));
        scene.until_ready("bot").await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        // Somebody deletes the network's object too: it is held for the app, and says so.
        scene.kubernetes.delete(&network(&vpc));
        let held = |network: &Value| condition(network, "Accepted").1 == "InUse";
        scene.kubernetes.until(&network(&vpc), LONG, held).await;
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        let act = |action| scene.aws.act(&action).expect("AWS lets it happen");
        for name in region.functions.keys().cloned() {
            act(Action::Write(Scene::region(), Write::Lambda(LambdaWrite::DeleteFunction { name })));
        }
        for name in region.log_groups.keys().cloned() {
            act(Action::Write(Scene::region(), Write::Logs(LogsWrite::DeleteLogGroup { name })));
        }
        for role in world.roles.keys().cloned() {
            act(Action::ByHand(Scene::region(), ByHand::DeleteRole(role)));
        }
        scene.until_network_gone(&vpc).await;
        scene.pass(Duration::from_mins(1)).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_app_whose_role_lost_tags_keeps_its_network_and_gets_them_back() {
    let all = [TAG_VPC, TAG_REGION, TAG_APP_NAME, TAG_APP_NAMESPACE];
    for lost in [&[TAG_VPC][..], &[TAG_REGION], &[TAG_VPC, TAG_REGION], &all] {
        scene(async {
            let mut scene = Scene::new(Delays::default());
            let (vpc, _) = scene.vpc(&VpcShape::default());
            scene.start();
            let spec = json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "deletionPolicy": "Retain"});
            scene.apply("bot", spec);
            scene.until_ready("bot").await;
            scene.kubernetes.delete(&app("bot"));
            scene.until_gone("bot").await;
            scene.pass(Duration::from_secs(90)).await;
            let world = scene.aws.world();
            let role = world.roles.keys().next().expect("the role").clone();
            let keys = Some(lost.iter().map(|key| (*key).to_owned()).collect());
            let untagged = ByHand::RemoveTags { from: Tagged::Role(role.clone()), keys };
            scene.aws.act(&Action::ByHand(Scene::region(), untagged)).expect("AWS lets it happen");
            scene.forget();
            scene.pass(Duration::from_mins(30)).await;
            assert!(scene.kubernetes.get(&network(&vpc)).is_some(), "{lost:?}: the network goes on");
            assert_eq!(writes(&scene.aws.take_journal()), ["iam:TagRole"], "{lost:?}");
            let tags = scene.aws.world().roles[&role].role.tags.clone();
            for key in [TAG_VPC, TAG_REGION] {
                assert_eq!(tags.get(key), world.roles[&role].role.tags.get(key), "{lost:?}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_read_is_retained_if_it_says_so() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        scene.kubernetes.overwrite(&app("bot"), |app| {
            app["spec"]["models"] = json!({"not": "a list"});
            app["spec"]["deletionPolicy"] = json!("Retain");
        });
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.pass(Duration::from_mins(10)).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["iam:TagRole"]);
        assert!(scene.kubernetes.get(&network(&vpc)).is_some());
    })
    .await;
}

fn explicit(name: &str, vpc: &VpcId, policy: &str) -> Value {
    let mut network = explicit_network(name, vpc);
    network["spec"]["deletionPolicy"] = json!(policy);
    network
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_retained_goes_although_nobody_can_tell_its_vpc() {
    for vpc_id in [json!(7), json!("vpc_x"), Value::Null] {
        scene(async {
            let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
            let (other, _) = scene.vpc(&VpcShape::default());
            let mut network = explicit_network("prod", &other);
            network["spec"]["deletionPolicy"] = json!("Retain");
            scene.kubernetes.apply(network);
            let path = "privategenainetworks/prod";
            scene.kubernetes.overwrite(path, |network| {
                network["metadata"]["finalizers"] = json!([FINALIZER]);
                network["spec"]["vpcId"] = vpc_id.clone();
            });
            scene.pass(Duration::from_mins(1)).await;
            scene.forget();
            scene.kubernetes.delete(path);
            scene.kubernetes.until_gone(path, LONG).await;
            assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "{vpc_id}: nothing there is touched");
            scene.kubernetes.delete(&app("bot"));
            scene.until_gone("bot").await;
            scene.until_network_gone(&vpc).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retained_network_goes_with_its_last_app_and_the_next_takes_its_path_over() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.kubernetes.apply(explicit("prod", &vpc, "Delete"));
        scene.until_network_gone(&vpc).await;
        // The policy can be changed, and counts as it is when the object goes.
        scene.kubernetes.apply(explicit("prod", &vpc, "Retain"));
        scene.kubernetes.delete("privategenainetworks/prod");
        let held = |network: &Value| condition(network, "Accepted").1 == "InUse";
        let object = scene.kubernetes.until("privategenainetworks/prod", LONG, held).await;
        assert!(condition(&object, "Accepted").2.contains("team-a/bot"), "{object:#}");
        scene.until_ready("bot").await;
        let paths = |scene: &Scene| {
            let world = scene.aws.world();
            let region = &world.regions[&Scene::region()];
            (region.endpoints.clone(), region.groups.clone())
        };
        let before = paths(&scene);
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.until_gone("privategenainetworks/prod", Duration::from_mins(1)).await;
        scene.pass(Duration::from_mins(10)).await;
        assert_eq!(paths(&scene), before);

        scene.forget();
        scene.kubernetes.apply(explicit("again", &vpc, "Delete"));
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        assert_eq!(paths(&scene), before);
        let network_writes: Vec<_> =
            scene.aws.take_journal().into_iter().filter(|call| call.write && call.service == "ec2").collect();
        assert_eq!(network_writes, []);
        scene.kubernetes.delete("privategenainetworks/again");
        scene.kubernetes.delete(&app("bot"));
        scene.kubernetes.until_gone("privategenainetworks/again", Duration::from_mins(1)).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_app_at_rest_stays_ready_and_its_drift_is_told_and_not_put_right() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.apply("bot", spec(&vpc, &json!({"suspend": true})));
        scene.pass(Duration::from_mins(10)).await;
        assert_eq!(condition(&scene.kubernetes.get(&app("bot")).expect("the app"), "Ready").0, "True");
        scene.forget();
        for drift in drifts(&scene.aws.world(), &Scene::installation()) {
            if ["foreign inline policy added", "configuration changed"].contains(&drift.name) {
                scene.aws.act(&drift.action).expect("AWS lets it happen");
            }
        }
        let suspended = |app: &Value| {
            ["ExecutionRoleReady", "FunctionReady"].iter().all(|kind| condition(app, kind).1 == "Suspended")
        };
        let shown = scene.kubernetes.until(&app("bot"), LONG, suspended).await;
        let (_, _, role) = condition(&shown, "ExecutionRoleReady");
        let (_, _, function) = condition(&shown, "FunctionReady");
        assert!(role.contains("iam:DeleteRolePolicy pgai-team-a-bot-"), "{role}");
        assert!(function.contains("lambda:UpdateFunctionConfiguration pgai-team-a-bot-"), "{function}");
        assert!(function.contains(" Since 20"), "{function}");
        scene.pass(Duration::from_mins(1)).await;
        scene.kubernetes.take_journal();
        scene.pass(Duration::from_hours(1)).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "a steady wait");

        scene.apply("bot", spec(&vpc, &json!({"suspend": false})));
        scene.until_ready("bot").await;
        assert_eq!(writes(&scene.aws.take_journal()), ["iam:DeleteRolePolicy", "lambda:UpdateFunctionConfiguration"]);
    })
    .await;
}

/// Twenty suspended apps that have something to be done cost what none of them would: the looks of each resync.
#[tokio::test(start_paused = true)]
async fn suspended_apps_cost_nothing_and_are_neither_woken_nor_probed() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        let names: Vec<String> = (0..20).map(|n| format!("app-{n:02}")).collect();
        for name in &names {
            scene.apply_app(name, &vpc);
        }
        for name in &names {
            scene.until_ready(name).await;
        }
        for (name, memory) in names.iter().zip([1024; 10].into_iter().chain([512; 10])) {
            scene.apply(name, spec(&vpc, &json!({"suspend": true, "function": {"memoryMiB": memory}})));
        }
        let functions = scene.aws.world().regions[&Scene::region()].functions.clone();
        let sleeps = functions.keys().find(|function| function.as_str().contains("-app-19-")).expect("a function");
        let asleep =
            ByHand::SetFunctionState { function: sleeps.clone(), state: FunctionState::Inactive, reason: None };
        scene.aws.act(&Action::ByHand(Scene::region(), asleep)).expect("AWS lets it happen");
        scene.pass(RESYNC * 25).await;
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let calls = scene.aws.take_journal();
        let count = |name: &str| calls.iter().filter(|call| call.name() == name).count();
        assert_eq!(count("lambda:Invoke"), 0);
        assert_eq!(writes(&calls), Vec::<String>::new());
        assert!(count("iam:GetAccountAuthorizationDetails") <= 12, "once at each resync, for all of them");
        assert!(count("lambda:ListFunctions") <= 12);
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);
        for name in &names {
            let object = scene.kubernetes.get(&app(name)).expect("the app");
            assert_eq!(condition(&object, "Healthy").0, "True", "{name}: what is on record");
        }
        let sleeping = scene.kubernetes.get(&app("app-19")).expect("the app");
        assert_eq!(condition(&sleeping, "FunctionReady").1, "Suspended");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_suspended_from_the_first_has_a_network_and_nothing_of_its_own() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply("bot", spec(&vpc, &json!({"suspend": true})));
        let ready = |network: &Value| condition(network, "Ready").0 == "True";
        scene.kubernetes.until(&network(&vpc), LONG, ready).await;
        let names_call = |app: &Value| condition(app, "FunctionReady").2.contains("lambda:CreateFunction");
        let object = scene.kubernetes.until(&app("bot"), LONG, names_call).await;
        assert_eq!(object["metadata"]["finalizers"], Value::Null);
        assert_eq!(condition(&object, "Healthy").1, "Suspended");
        let world = scene.aws.world();
        assert_eq!((world.roles.len(), world.regions[&Scene::region()].functions.len()), (0, 0));
        assert_eq!(world.regions[&Scene::region()].endpoints.len(), 1, "it demands all the same");
        scene.kubernetes.delete(&app("bot"));
        assert_eq!(scene.kubernetes.get(&app("bot")), None, "nothing holds it");
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_app_can_be_deleted_also_if_its_resources_came_before_it() {
    scene(async {
        for rebuilt in [false, true] {
            let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
            if rebuilt {
                scene.stop().await;
                let account = scene.aws.clone();
                scene = Scene::new(Delays::default());
                scene.aws = account;
                scene.start();
            }
            scene.apply("bot", spec(&vpc, &json!({"suspend": true})));
            let held = |app: &Value| app["metadata"]["finalizers"] == json!([FINALIZER]);
            scene.kubernetes.until(&app("bot"), LONG, held).await;
            scene.kubernetes.delete(&app("bot"));
            scene.until_nothing_is_left("bot", &vpc).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_in_a_namespace_that_is_being_deleted_goes_although_events_are_refused() {
    scene(async {
        let mut scene = Scene::new(Delays { function_deleted: 20, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.kubernetes.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}));
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        scene.kubernetes.delete("namespaces/team-a");
        let events = scene.kubernetes.list("events").len();
        for object in scene.kubernetes.list(APPS) {
            scene.kubernetes.delete(&app(object["metadata"]["name"].as_str().expect("a name")));
        }
        scene.until_gone("bot").await;
        assert_eq!(scene.kubernetes.list("events").len(), events, "none was taken");
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
        assert!(!role_has(&scene, TAG_HANDED_OVER));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_retained_in_one_vpc_does_not_go_with_an_app_of_the_same_name_in_another() {
    scene(async {
        let (scene, first) = Scene::with_app("bot", Delays::default()).await;
        let (second, _) = scene.vpc(&VpcShape::default());
        scene.apply("bot", spec(&first, &json!({"deletionPolicy": "Retain"})));
        scene.pass(Duration::from_secs(5)).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.apply("bot", spec(&second, &json!({})));
        scene.until_ready("bot").await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.until_network_gone(&second).await;
        scene.pass(Duration::from_mins(2)).await;
        assert_eq!(scene.aws.world().regions[&Scene::region()].functions.len(), 1, "what was retained is there");
        assert!(role_has(&scene, TAG_RETAINED));
        scene.apply("bot", spec(&first, &json!({})));
        scene.until_ready("bot").await;
        scene.pass(Duration::from_secs(10)).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_nothing_is_left("bot", &first).await;
    })
    .await;
}
