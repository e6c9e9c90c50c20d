//! An app that arrives while its network goes turns that around, however far it got.

use std::time::Duration;

use private_genai_operator::aws::{EndpointState, SecurityGroupId, VpcId};
use serde_json::{Value, json};

use crate::{
    memory::aws::{Delays, Fault},
    scene::{LONG, Scene, app, condition, explicit_network, network, scene},
};

/// How far a teardown got.
#[derive(Clone, Copy, Debug)]
enum Stage {
    EndpointDeleting,
    EndpointDeleted,
    WaitingForInterfaces,
    RulesRevoked,
    OneGroupDeleted,
    ObjectTerminating,
    ExplicitObjectTerminating,
}

const STAGES: [Stage; 7] = [
    Stage::EndpointDeleting,
    Stage::EndpointDeleted,
    Stage::WaitingForInterfaces,
    Stage::RulesRevoked,
    Stage::OneGroupDeleted,
    Stage::ObjectTerminating,
    Stage::ExplicitObjectTerminating,
];

impl Stage {
    fn delays(self) -> Delays {
        let slow = Delays { endpoint_deleted: 120, endpoint_forgotten: 600, ..Delays::default() };
        match self {
            Self::EndpointDeleting | Self::ExplicitObjectTerminating => slow,
            Self::EndpointDeleted => {
                Delays { interfaces_released: 1200, endpoint_forgotten: 3600, ..Delays::default() }
            }
            Self::WaitingForInterfaces => Delays { interfaces_released: 1200, ..Delays::default() },
            Self::RulesRevoked | Self::OneGroupDeleted | Self::ObjectTerminating => Delays::default(),
        }
    }

    /// Deletes the only app, and gives the network once its teardown got so far.
    async fn reach(self, scene: &Scene, vpc: &VpcId) -> String {
        let object = network(vpc);
        let until = async |path: &str, holds: fn(&Value) -> bool| {
            scene.kubernetes.until(path, LONG, holds).await;
        };
        let deleting = |network: &Value| condition(network, "EndpointsReady").1 == "Deleting";
        let waiting = |network: &Value| condition(network, "SecurityGroupsReady").1 == "ResourceInUse";
        let delete = || scene.kubernetes.delete(&app("first"));
        match self {
            Self::EndpointDeleting => {
                delete();
                until(&object, deleting).await;
            }
            Self::EndpointDeleted | Self::WaitingForInterfaces => {
                delete();
                until(&object, waiting).await;
            }
            Self::RulesRevoked | Self::OneGroupDeleted => {
                let all = groups(scene);
                // They are deleted in the order of their ids.
                let stays = if matches!(self, Self::RulesRevoked) { all.first() } else { all.last() };
                let stays = stays.expect("a group").to_string();
                scene.aws.fail_next("DeleteSecurityGroup", Fault::throttled().times(u32::MAX).only(stays));
                delete();
                until(&object, |network| condition(network, "SecurityGroupsReady").1 == "Throttled").await;
                let left = if matches!(self, Self::RulesRevoked) { 2 } else { 1 };
                assert_eq!(groups(scene).len(), left, "{self:?}");
            }
            Self::ObjectTerminating => {
                scene.kubernetes.edit(&object, |network| {
                    network["metadata"]["finalizers"].as_array_mut().expect("ours").push(json!("example.com/hold"));
                });
                delete();
                until(&object, |network| network["metadata"]["finalizers"] == json!(["example.com/hold"])).await;
            }
            Self::ExplicitObjectTerminating => {
                scene.kubernetes.apply(explicit_network("prod", vpc));
                scene.until_network_gone(vpc).await;
                let prod = "privategenainetworks/prod".to_owned();
                scene.kubernetes.delete(&prod);
                delete();
                until(&prod, deleting).await;
                return prod;
            }
        }
        object
    }
}

/// Deletes the only app, and waits for the end of it. Applies it again, with another model, so that no client token can have been
/// used for the same. Gives how long it takes until it is ready.
async fn comes_again(scene: &Scene, vpc: &VpcId, round: u32, gone: bool) -> Duration {
    scene.kubernetes.delete(&app("bot"));
    scene.until_gone("bot").await;
    if gone {
        scene.until_network_gone(vpc).await;
    } else {
        scene.pass(Duration::from_mins(2)).await;
        assert!(scene.kubernetes.get(&network(vpc)).is_some(), "its groups wait for interfaces");
    }
    let begun = tokio::time::Instant::now();
    let models = [format!("amazon.nova-v{round}")];
    scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": models}));
    scene.until_ready("bot").await;
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_last_app_of_a_vpc_that_comes_again_gets_its_endpoint_at_once_however_often() {
    for gone in [true, false] {
        scene(async {
            let interfaces_released = if gone { 0 } else { 1200 };
            let delays = Delays { ec2_visible: 4, endpoint_available: 5, interfaces_released, ..Delays::default() };
            let begun = tokio::time::Instant::now();
            let (scene, vpc) = Scene::with_app("bot", delays).await;
            let first = begun.elapsed();
            assert!(first < Duration::from_secs(20), "{first:?}: what AWS shows after four seconds is seen soon after");
            for round in 0..5 {
                let took = comes_again(&scene, &vpc, round, gone).await;
                assert!(
                    took < first + Duration::from_secs(20),
                    "all gone: {gone}, time {round}: {took:?}, at first {first:?}"
                );
            }
            let world = scene.aws.world();
            let endpoints = world.regions[&Scene::region()].endpoints.values();
            assert_eq!(endpoints.filter(|endpoint| !endpoint.state.is_ending()).count(), 1);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_operator_waits_a_minute_for_what_an_earlier_one_may_have_created() {
    scene(async {
        let delays = Delays { endpoint_available: 5, interfaces_released: 1200, ..Delays::default() };
        let (mut scene, vpc) = Scene::with_app("bot", delays).await;
        comes_again(&scene, &vpc, 0, false).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.pass(Duration::from_mins(2)).await;
        scene.kill().await;
        scene.start();
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": ["amazon.nova-other"]}));
        let has_reason =
            |network: &Value| condition(network, "EndpointsReady").2.contains("looked for by its tags for a minute");
        let waiting = scene.kubernetes.until(&network(&vpc), LONG, has_reason).await;
        assert_eq!(condition(&waiting, "EndpointsReady").1, "EndpointPending");
        assert_eq!(condition(&waiting, "Stalled").0, "", "nobody has to act: {waiting:#}");
        let begun = tokio::time::Instant::now();
        scene.until_ready("bot").await;
        assert!(begun.elapsed() < Duration::from_mins(3), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_comes_again_while_its_endpoint_goes_says_that_another_one_comes() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays { endpoint_deleted: 120, ..Delays::default() }).await;
        let earlier = scene.aws.world().regions[&Scene::region()].endpoints.keys().next().expect("it").to_string();
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        let deleting = |network: &Value| condition(network, "EndpointsReady").1 == "Deleting";
        scene.kubernetes.until(&network(&vpc), LONG, deleting).await;
        let begun = tokio::time::Instant::now();
        scene.apply_app("bot", &vpc);
        let has_reason = |app: &Value| {
            let (_, reason, message) = condition(app, "Ready");
            let words = format!("is created once the earlier endpoint {earlier} is gone");
            reason == "EndpointPending" && message.contains(&words)
        };
        let waiting = scene.kubernetes.until(&app("bot"), LONG, has_reason).await;
        assert_eq!(condition(&waiting, "Stalled").0, "", "nobody has to act: {waiting:#}");
        scene.until_ready("bot").await;
        assert!(begun.elapsed() < Duration::from_secs(150), "{:?}", begun.elapsed());
    })
    .await;
}

/// The groups of the network that are there.
fn groups(scene: &Scene) -> Vec<SecurityGroupId> {
    let world = scene.aws.world();
    let groups = world.regions[&Scene::region()].groups.values();
    groups.filter(|group| Scene::installation().owns(&group.tags)).map(|group| group.id.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_app_that_arrives_at_any_stage_of_teardown_gets_a_path_without_leftovers() {
    for stage in STAGES {
        scene(async {
            let (scene, vpc) = Scene::with_app("first", stage.delays()).await;
            let object = stage.reach(&scene, &vpc).await;
            scene.apply_app("second", &vpc);
            scene.aws.clear_faults();
            if matches!(stage, Stage::ObjectTerminating) {
                let waits = |app: &Value| condition(app, "NetworkReady").1 == "NetworkDeleting";
                scene.kubernetes.until(&app("second"), LONG, waits).await;
                scene.kubernetes.drop_finalizers(&object);
            }
            scene.until_ready("second").await;
            scene.pass(Duration::from_mins(30)).await;
            let world = scene.aws.world();
            let endpoints = world.regions[&Scene::region()].endpoints.values();
            let states: Vec<_> = endpoints
                .filter(|endpoint| !endpoint.state.is_ending())
                .map(|endpoint| endpoint.state.clone())
                .collect();
            assert_eq!(states, [EndpointState::Available], "{stage:?}: one endpoint, and no other");
            assert_eq!(groups(&scene).len(), 2, "{stage:?}");
            assert_eq!(world.regions[&Scene::region()].functions.len(), 1, "{stage:?}");
            scene.until_ready("second").await;
            scene.kubernetes.delete(&app("second"));
            scene.kubernetes.until_gone(&object, LONG).await;
            scene.assert_aws_is_empty();
        })
        .await;
    }
}
