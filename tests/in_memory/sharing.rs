//! What apps share, and who turns off the light.

use std::time::Duration;

use private_genai_operator::aws::VpcId;
use serde_json::{Value, json};

use crate::{
    memory::aws::{
        Delays, VpcShape,
        world::{Holder, Interface},
    },
    scene::{LONG, MODEL, Scene, app, condition, explicit_network, network, scene, writes},
};

/// An app on a network that somebody wrote.
async fn on_an_explicit_network() -> (Scene, VpcId) {
    let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    scene.kubernetes.apply(explicit_network("prod", &vpc));
    scene.until_network_gone(&vpc).await;
    (scene, vpc)
}

#[tokio::test(start_paused = true)]
async fn two_apps_in_a_vpc_share_an_endpoint_and_the_last_one_out_turns_off_the_light() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("first", &vpc);
        scene.apply_app("second", &vpc);
        let first = scene.until_ready("first").await;
        let second = scene.until_ready("second").await;
        assert_eq!(first["status"]["endpoints"][0]["vpcEndpointId"], second["status"]["endpoints"][0]["vpcEndpointId"]);
        let count = || {
            let world = scene.aws.world();
            let region = &world.regions[&Scene::region()];
            let ours = region.groups.values().filter(|group| Scene::installation().owns(&group.tags)).count();
            (region.endpoints.len(), ours, region.functions.len())
        };
        assert_eq!(count(), (1, 2, 2));

        let before = scene.aws.world().regions[&Scene::region()].endpoints.clone();
        // The interfaces are those of the one of the two that came first to Lambda.
        let names_first = |it: &Interface| matches!(&it.holder, Holder::Lambda { function, .. } if function.as_str().starts_with("pgai-team-a-first-"));
        let is_named = scene.aws.world().regions[&Scene::region()].interfaces.values().any(names_first);
        scene.forget();
        scene.kubernetes.delete(&app("first"));
        scene.until_gone("first").await;
        scene.pass(Duration::from_mins(1)).await;
        assert_eq!(count(), (1, 2, 1));
        assert_eq!(scene.aws.world().regions[&Scene::region()].endpoints, before, "the endpoint was not touched");
        let of_role = if is_named { ["iam:PutRolePolicy", "iam:TagRole"] } else { ["iam:DeleteRolePolicy", "iam:DeleteRole"] };
        assert_eq!(
            writes(&scene.aws.take_journal()),
            [["lambda:DeleteFunction", "logs:DeleteLogGroup"], of_role].concat(),
            "a role stays, with no more than Lambda needs to release interfaces, while one names its function: {is_named}"
        );
        let kubernetes = scene.kubernetes.take_journal().writes();
        assert!(kubernetes.iter().all(|call| call.name == "first"), "the second app is untouched: {kubernetes:?}");

        scene.kubernetes.delete(&app("second"));
        scene.until_nothing_is_left("second", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_lets_through_the_models_of_all_apps_and_no_others() {
    scene(async {
        let (scene, vpc) = Scene::with_app("first", Delays::default()).await;
        let other = "anthropic.claude-3-haiku-20240307-v1:0";
        scene.apply("second", json!({"network": {"vpcId": vpc.as_str()}, "models": [other]}));
        let second = scene.until_ready("second").await;
        let models = |object: &serde_json::Value| object["status"]["endpoints"][0]["models"].clone();
        assert_eq!(models(&second), json!([other]), "an app shows its own");
        let both = |network: &serde_json::Value| models(network) == json!([MODEL, other]);
        scene.kubernetes.until(&network(&vpc), Duration::from_mins(1), both).await;
        scene.kubernetes.delete(&app("first"));
        scene.until_gone("first").await;
        scene
            .kubernetes
            .until(&network(&vpc), Duration::from_mins(1), |network| models(network) == json!([other]))
            .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_arrives_during_teardown_gets_a_path() {
    scene(async {
        let (scene, vpc) =
            Scene::with_app("first", Delays { endpoint_deleted: 120, endpoint_forgotten: 600, ..Delays::default() })
                .await;
        scene.kubernetes.delete(&app("first"));
        scene.until_gone("first").await;
        let deleting = |network: &serde_json::Value| condition(network, "EndpointsReady").1 == "Deleting";
        scene.kubernetes.until(&network(&vpc), Duration::from_mins(1), deleting).await;
        scene.apply_app("second", &vpc);
        scene.until_ready("second").await;
        scene.kubernetes.delete(&app("second"));
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_implicit_network_deleted_while_in_use_is_back_without_a_write_to_aws() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        let uid = scene.kubernetes.get(&network(&vpc)).expect("the network")["metadata"]["uid"].clone();
        scene.forget();
        scene.kubernetes.delete(&network(&vpc));
        scene
            .kubernetes
            .until(&network(&vpc), Duration::from_mins(1), |network| {
                network["metadata"]["uid"] != uid && condition(network, "Ready").0 == "True"
            })
            .await;
        scene.until_ready("bot").await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_explicit_network_takes_over_without_a_write_to_aws() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.forget();
        scene.kubernetes.apply(explicit_network("prod", &vpc));
        scene
            .kubernetes
            .until(&app("bot"), Duration::from_mins(1), |app| app["status"]["network"]["name"] == "prod")
            .await;
        scene.until_network_gone(&vpc).await;
        scene.until_ready("bot").await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_two_networks_for_a_vpc_the_older_stands_and_the_other_says_why_it_rests() {
    scene(async {
        let (scene, vpc) = on_an_explicit_network().await;
        scene.pass(Duration::from_secs(2)).await;
        scene.forget();
        scene.kubernetes.apply(explicit_network("another", &vpc));
        let has_reason = |network: &serde_json::Value| condition(network, "Accepted").1 == "VpcConflict";
        let loser = scene.kubernetes.until("privategenainetworks/another", Duration::from_mins(1), has_reason).await;
        assert!(condition(&loser, "Accepted").2.contains("prod"), "{loser:#}");
        assert_eq!(condition(&loser, "Stalled").0, "True");
        // The winner goes: the other takes over, and AWS is not written to.
        scene.kubernetes.delete("privategenainetworks/prod");
        scene.kubernetes.until_gone("privategenainetworks/prod", Duration::from_mins(1)).await;
        let ready = |network: &serde_json::Value| condition(network, "Ready").0 == "True";
        scene.kubernetes.until("privategenainetworks/another", Duration::from_mins(1), ready).await;
        let on_it = |app: &serde_json::Value| app["status"]["network"]["name"] == "another";
        scene.kubernetes.until(&app("bot"), Duration::from_mins(1), on_it).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_explicit_network_that_is_deleted_while_in_use_is_held_and_its_path_kept() {
    scene(async {
        let (scene, _) = on_an_explicit_network().await;
        scene.forget();
        scene.kubernetes.delete("privategenainetworks/prod");
        let has_reason = |network: &serde_json::Value| condition(network, "Accepted").1 == "InUse";
        scene.kubernetes.until("privategenainetworks/prod", Duration::from_mins(1), has_reason).await;
        scene.pass(Duration::from_mins(10)).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        scene.until_ready("bot").await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.until_gone("privategenainetworks/prod", Duration::from_mins(1)).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_cannot_be_read_can_still_be_deleted() {
    scene(async {
        let (scene, vpc) = on_an_explicit_network().await;
        scene.kubernetes.overwrite("privategenainetworks/prod", |network| network["status"]["subnetIds"] = json!("x"));
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.delete("privategenainetworks/prod");
        scene.kubernetes.until_gone("privategenainetworks/prod", Duration::from_mins(1)).await;
        // The app may have brought up an implicit network before its own deletion was seen.
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

/// A spec that a later version may write, of which this one can read nothing.
fn of_a_later_version(network: &mut Value) {
    network["spec"] = json!({"vpc": {"create": {"cidrBlock": "10.0.0.0/16"}}});
}

#[tokio::test(start_paused = true)]
async fn a_network_with_a_later_version_s_spec_is_deleted_by_what_its_status_recorded() {
    scene(async {
        let (scene, vpc) = on_an_explicit_network().await;
        scene.pass(Duration::from_secs(10)).await;
        scene.kubernetes.overwrite("privategenainetworks/prod", of_a_later_version);
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.delete("privategenainetworks/prod");
        scene.kubernetes.until_gone("privategenainetworks/prod", Duration::from_mins(1)).await;
        // The app may have brought up an implicit network before its own deletion was seen.
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_implicit_network_of_a_later_version_is_deleted_by_its_name() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.kubernetes.overwrite(&network(&vpc), |network| {
            of_a_later_version(network);
            network["status"] = json!({});
        });
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.delete(&network(&vpc));
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_without_a_known_vpc_says_how_it_goes_and_an_unknown_policy_retains() {
    scene(async {
        let (scene, _) = on_an_explicit_network().await;
        scene.pass(Duration::from_secs(10)).await;
        scene.kubernetes.overwrite("privategenainetworks/prod", |network| {
            of_a_later_version(network);
            network["status"] = json!({});
        });
        scene.kubernetes.delete("privategenainetworks/prod");
        let names_remedy =
            |network: &Value| condition(network, "Accepted").2.contains("set spec.deletionPolicy to Retain");
        let stays = scene.kubernetes.until("privategenainetworks/prod", LONG, names_remedy).await;
        assert_eq!(condition(&stays, "Stalled").0, "True");
        assert!(!condition(&stays, "Accepted").2.contains("correct it"), "what is immutable cannot be corrected");
        scene.forget();
        scene.kubernetes.edit("privategenainetworks/prod", |network| {
            network["spec"]["deletionPolicy"] = json!({"after": "30d"});
        });
        scene.kubernetes.until_gone("privategenainetworks/prod", LONG).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "whoever wrote that did not mean Delete");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_interfaces_meanwhile_is_told_once_and_asks_no_app_to_look() {
    scene(async {
        let mut scene = Scene::new(Delays { interfaces_released: 3 * 3600, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.kubernetes.apply(explicit_network("prod", &vpc));
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        let unreadable = |network: &mut Value| network["spec"]["subnetIds"] = json!("of a later version");
        scene.kubernetes.overwrite("privategenainetworks/prod", unreadable);
        scene.kubernetes.delete("privategenainetworks/prod");
        scene.pass(Duration::from_mins(10)).await;
        let has_reason = |network: &Value| condition(network, "SecurityGroupsReady").1 == "ResourceInUse";
        scene.kubernetes.until("privategenainetworks/prod", LONG, has_reason).await;
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let journal = scene.kubernetes.take_journal();
        assert!(journal.writes().len() <= 1, "the message comes to say since when: {journal}");
        scene.kubernetes.until_gone("privategenainetworks/prod", Duration::from_hours(4)).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_network_cannot_be_read_says_so_and_asks_for_no_other_of_its_name() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        let before = scene.kubernetes.get(&network(&vpc)).expect("the network");
        scene
            .kubernetes
            .overwrite(&network(&vpc), |network| network["spec"]["deletionPolicy"] = json!({"by": "another"}));
        scene.until_refused("bot", "InvalidSpec").await;
        // The message comes to say since when.
        scene.pass(Duration::from_mins(6)).await;
        scene.forget();
        scene.pass(Duration::from_mins(11)).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal}");
        scene.kubernetes.edit(&network(&vpc), |network| network["spec"] = before["spec"].clone());
        scene.until_ready("bot").await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}
