//! One tenant cannot hold up another: whatever somebody writes into apps of one's own, all others are served.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use private_genai_operator::aws::{EndpointChange, Peer, PolicyDocument, Region, Rule, SecurityGroupId, VpcId, Write};
use serde_json::json;

use crate::{
    memory::{
        aws::{Action, ByHand, Delays, Fault, VpcShape, World},
        kubernetes::NETWORKS,
    },
    scene::{LONG, MODEL, RESYNC, Scene, app, condition, explicit_network, names, network, scene, touch, writes},
};

/// Models whose IDs are as long as they can be: nobody asks AWS whether there are such.
fn long(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{of}.{n:0>width$}", width = 127 - of.len())).collect()
}

fn apply(scene: &Scene, name: &str, vpc: &VpcId, models: &[String]) {
    scene.apply(name, json!({"network": {"vpcId": vpc.as_str()}, "models": models}));
}

/// Somebody opens the policy of the endpoint for everybody.
fn open_endpoint(scene: &Scene, region: &Region) {
    let endpoint = scene.aws.world().regions[region].endpoints.keys().next().cloned().expect("an endpoint");
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"});
    let open = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]}));
    let change = EndpointChange { policy: Some(open), ..EndpointChange::default() };
    let write = Write::ModifyVpcEndpoint { endpoint, change };
    scene.aws.act(&Action::Write(region.clone(), write)).expect("AWS lets it happen");
}

fn policy(scene: &Scene, region: &Region) -> String {
    let region = &scene.aws.world().regions[region];
    let endpoint = region.endpoints.keys().find_map(|id| region.endpoint(id)).expect("an endpoint");
    endpoint.policy.as_ref().expect("a policy").as_str().to_owned()
}

#[tokio::test(start_paused = true)]
async fn four_apps_with_invented_models_are_told_so_and_everybody_else_is_served_and_repaired() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        for name in ["greedy-a", "greedy-b", "greedy-c", "greedy-d"] {
            apply(&scene, name, &vpc, &long(name, 32));
        }
        scene.pass(Duration::from_mins(1)).await;
        let ours = "anthropic.claude-3-haiku-20240307-v1:0";
        scene.apply("small", json!({"network": {"vpcId": vpc.as_str()}, "models": [ours]}));
        scene.until_ready("small").await;
        for name in ["greedy-a", "greedy-b", "greedy-c", "greedy-d"] {
            let message = scene.until_refused(name, "PolicyTooLong").await;
            let says = |what: &str| message.contains(what);
            assert!(says(vpc.as_str()) && says("5120") && says("name fewer models"), "{message}");
        }
        scene.until_ready("bot").await;
        let before = policy(&scene, &Scene::region());
        assert!(before.contains(MODEL) && before.contains(ours) && !before.contains("greedy"), "{before}");
        let network_of_all = scene.kubernetes.get(&network(&vpc)).expect("the network");
        assert_eq!(condition(&network_of_all, "Ready").0, "True");
        assert!(condition(&network_of_all, "EndpointsReady").2.contains("team-a/greedy-a"), "{network_of_all:#}");

        open_endpoint(&scene, &Scene::region());
        scene.pass(RESYNC).await;
        assert_eq!(policy(&scene, &Scene::region()), before, "what somebody changed is as it was");
        let endpoints = scene.aws.world().regions[&Scene::region()].endpoints.clone();
        let gone = endpoints.into_keys().next().expect("an endpoint");
        scene.aws.act(&Action::ByHand(Scene::region(), ByHand::ForgetEndpoint(gone))).expect("AWS lets it happen");
        scene.pass(RESYNC).await;
        scene.until_ready("bot").await;
        assert_eq!(policy(&scene, &Scene::region()), before, "what somebody deleted is there again");

        scene.stop().await;
        scene.forget();
        scene.start();
        scene.pass(RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "and stays so");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_last_of_the_room_goes_to_whoever_came_first_and_what_is_given_back_to_who_waits() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        for name in ["a", "b", "c", "d"] {
            apply(&scene, name, &vpc, &long(name, 23));
            scene.until_ready(name).await;
        }
        apply(&scene, "late", &vpc, &long("late", 23));
        let message = scene.until_refused("late", "PolicyTooLong").await;
        let says = |what: &str| message.contains(what);
        assert!(says("20480") && says("use another VPC") && says("late.0"), "{message}");
        for name in ["bot", "a", "b", "c", "d"] {
            scene.until_ready(name).await;
        }
        scene.kubernetes.delete(&app("a"));
        scene.until_ready("late").await;
    })
    .await;
}

