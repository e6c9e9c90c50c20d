//! Leases do not fence. What is promised when two operators act at once: no duplicate, and no orphan.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use private_genai_operator::{leadership::Leadership, operator};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    memory::aws::{Delays, VpcShape},
    scene::{LONG, MODEL, Scene, app, condition, network, scene},
};

/// Starts an operator that acts whatever others do; each of its calls to AWS takes a while that follows from the seed.
fn writer(scene: &Scene, name: &'static str, seed: u64) {
    let run = operator::run(
        scene.kubernetes.client(),
        Arc::new(scene.aws.seen_by(name).dawdling(seed)),
        scene.settings(),
        Arc::clone(&scene.metrics),
        Leadership::always(),
        Arc::default(),
        CancellationToken::new(),
    );
    tokio::task::spawn_local(run);
}

/// Everything of ours that a VPC has, counted: groups, endpoints (those that are gone included), functions, roles.
fn counts(scene: &Scene) -> (usize, usize, usize, usize) {
    let world = scene.aws.world();
    let region = &world.regions[&Scene::region()];
    let ours = region.groups.values().filter(|group| Scene::installation().owns(&group.tags)).count();
    (ours, region.endpoints.len(), region.functions.len(), world.roles.len())
}

async fn life(seed: u64, delays: Delays) {
    let scene = Scene::new(Delays { endpoint_forgotten: u64::MAX, ..delays });
    let (vpc, _) = scene.vpc(&VpcShape::default());
    for name in ["one", "two"] {
        writer(&scene, name, seed);
    }
    scene.apply_app("first", &vpc);
    scene.apply_app("second", &vpc);
    scene.until_ready("first").await;
    scene.until_ready("second").await;
    assert_eq!(counts(&scene), (2, 1, 2, 2), "seed {seed}");

    let other = "anthropic.claude-3-haiku-20240307-v1:0";
    scene.kubernetes.edit(&app("first"), |app| {
        app["spec"]["models"] = json!([other, MODEL]);
        app["spec"]["function"] = json!({"memoryMiB": 1024, "logging": {"retentionDays": 7}});
    });
    let through = |app: &serde_json::Value| {
        condition(app, "Ready").0 == "True"
            && app["status"]["observedGeneration"] == app["metadata"]["generation"]
            && app["status"]["endpoints"][0]["models"].as_array().is_some_and(|models| models.len() == 2)
    };
    scene.kubernetes.until(&app("first"), LONG, through).await;
    assert_eq!(counts(&scene), (2, 1, 2, 2), "seed {seed}");

    // Deleted as soon as it is seen, or in the middle of being built.
    scene.apply_app("third", &vpc);
    scene.pass(Duration::from_secs(seed % 4)).await;
    for name in ["third", "first", "second"] {
        scene.kubernetes.delete(&app(name));
    }
    for name in ["first", "second", "third"] {
        scene.until_gone(name).await;
    }
    scene.kubernetes.until_gone(&network(&vpc), LONG).await;
    scene.pass(Duration::from_mins(5)).await;
    assert_eq!(scene.aws.leftovers(&Scene::installation()), Vec::<String>::new(), "seed {seed}");
    let (groups, endpoints, functions, roles) = counts(&scene);
    assert_eq!((groups, functions, roles), (0, 0, 0), "seed {seed}");
    // Another one may have been made if the app that arrived late found the first one going.
    assert!(endpoints <= 2, "seed {seed}: {endpoints} endpoints");
    let calls = scene.aws.take_journal();
    let both: BTreeSet<&str> = calls.iter().filter(|call| call.write).map(|call| call.by).collect();
    assert_eq!(both.len(), 2, "seed {seed}: both wrote");
}

#[tokio::test(start_paused = true)]
async fn two_active_writers_leave_no_duplicate_and_no_orphan() {
    for seed in 0..40 {
        scene(life(seed, Delays::default())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_active_writers_leave_no_duplicate_and_no_orphan_while_aws_takes_its_time() {
    let delays = Delays {
        ec2_visible: 2,
        endpoint_available: 20,
        endpoint_deleted: 20,
        function_active: 5,
        function_deleted: 2,
        interfaces_released: 100,
        role_usable: 8,
        role_visible: 3,
        ..Delays::default()
    };
    for seed in 100..120 {
        scene(life(seed, delays)).await;
    }
}
