//! An endpoint with IPv6 addresses besides: they are its own, and it is put back.

use private_genai_operator::aws::{AddressFamilies, Ec2Write, EndpointChange, VpcEndpoint, Write};
use serde_json::{Value, json};

use crate::{
    memory::aws::{Action, Delays, Fault, VpcShape},
    scene::{LONG, MODEL, RESYNC, Scene, app, condition, scene, writes},
};

fn endpoint(scene: &Scene) -> VpcEndpoint {
    let world = scene.aws.world();
    world.regions[&Scene::region()].endpoints.values().next().cloned().expect("an endpoint")
}

/// An app in a VPC with IPv6, and its endpoint switched to dual stack by somebody; done by the time this returns.
async fn switched() -> Scene {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(&VpcShape { ipv6: true, ..VpcShape::default() });
    scene.start();
    let often = json!({"intervalSeconds": 60});
    scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "healthCheck": often}));
    scene.until_ready("bot").await;
    let change = EndpointChange { address_families: Some(AddressFamilies::DualStack), ..EndpointChange::default() };
    let write = Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint(&scene).id, change });
    scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS lets it happen");
    scene.aws.act(&Action::Advance { seconds: 300 }).expect("time always passes");
    scene.forget();
    scene
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_switched_to_dual_stack_is_put_back_and_told() {
    scene(async {
        let scene = switched().await;
        scene.pass(RESYNC + RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["ec2:ModifyVpcEndpoint"]);
        assert_eq!(endpoint(&scene).address_families, AddressFamilies::Ipv4);
        let object = scene.until_ready("bot").await;
        let addresses = object["status"]["endpoints"][0]["privateIpAddresses"].as_array().cloned().unwrap_or_default();
        assert!(addresses.iter().all(|address| !address.to_string().contains(':')), "{addresses:?}");
        let notes: Vec<Value> =
            scene.kubernetes.list("events").into_iter().map(|event| event["note"].clone()).collect();
        let is_noted = notes.iter().any(|note| note.to_string().contains("addresses set back to ipv4"));
        assert!(is_noted, "{notes:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_ipv6_addresses_of_our_own_endpoint_are_never_told_as_not_private() {
    scene(async {
        let scene = switched().await;
        // The next probe comes before the network is looked at again.
        let reason = |object: &Value| condition(object, "Healthy").1;
        let object = scene.kubernetes.until(&app("bot"), LONG, |object| reason(object) != "Ready").await;
        assert_eq!(reason(&object), "ProbePending", "{object:#}");
        assert!(condition(&object, "Healthy").2.contains("The addresses of endpoint"), "{object:#}");
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_an_endpoint_may_not_be_put_back_its_ipv6_addresses_count_as_its_own() {
    scene(async {
        let scene = switched().await;
        scene.aws.fail_next("ModifyVpcEndpoint", Fault::access_denied().times(u32::MAX));
        let lists =
            |object: &Value| object["status"]["endpoints"][0]["privateIpAddresses"].to_string().contains("2600:");
        let object = scene.kubernetes.until(&app("bot"), LONG, lists).await;
        assert_ne!(condition(&object, "Healthy").1, "NotPrivate", "{object:#}");
        let proven = |object: &Value| condition(object, "Healthy").2.contains("2600:");
        let object = scene.kubernetes.until(&app("bot"), LONG, proven).await;
        assert_eq!(condition(&object, "Healthy").1, "Ready", "{object:#}");
    })
    .await;
}
