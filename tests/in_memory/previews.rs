//! Apps come and go all day beside one that stays: what they leave in AWS is bounded, whichever role Lambda needs to release what
//! their functions shared.

use std::time::Duration;

use private_genai_operator::{
    aws::{SubnetId, VpcId},
    identity::AppIdentity,
};
use serde_json::json;

use crate::{
    memory::aws::{
        Action, ByHand, Delays, Fault, VpcShape,
        world::{Holder, Releaser},
    },
    scene::{MODEL, Scene, app, names, scene},
};

/// One app stays, and twenty others come and go each day.
async fn days_of_previews(days: u32, releaser: Releaser, preview_comes_first: bool) {
    let delays = Delays { interfaces_released: 1200, function_deleted: 3, ..Delays::default() };
    let mut scene = Scene::new(delays);
    scene.resync = Duration::from_hours(6);
    scene.aws.act(&Action::ByHand(Scene::region(), ByHand::ReleaseWith(releaser))).expect("AWS does so");
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.start();
    if !preview_comes_first {
        scene.apply_app("stays", &vpc);
        scene.until_ready("stays").await;
    }
    let roles = |scene: &Scene| scene.aws.world().roles.len();
    for day in 0..days {
        // One of the names was there before.
        let number = |n| if n == 0 { 0 } else { 20 * day + n };
        let previews: Vec<String> = (0..20).map(|n| format!("preview-{}", number(n))).collect();
        for name in &previews {
            scene.apply_app(name, &vpc);
        }
        for name in &previews {
            scene.until_ready(name).await;
        }
        if day == 0 && preview_comes_first {
            scene.apply_app("stays", &vpc);
            scene.until_ready("stays").await;
        }
        tokio::time::sleep(Duration::from_hours(2)).await;
        for name in &previews {
            scene.kubernetes.delete(&app(name));
        }
        for name in &previews {
            scene.until_gone(name).await;
        }
        // The one that stays, and one for each of two interfaces.
        assert!(roles(&scene) <= 3, "day {day}: {} roles", roles(&scene));
        tokio::time::sleep(Duration::from_hours(22)).await;
        let calls = names(&scene.aws.take_journal());
        assert!(!calls.contains(&"ec2:DeleteNetworkInterface".to_owned()), "day {day}: Lambda leaves nothing behind");
        scene.kubernetes.take_journal();
    }
    scene.kubernetes.delete(&app("stays"));
    scene.until_nothing_is_left("stays", &vpc).await;
    let calls = names(&scene.aws.take_journal());
    assert!(!calls.contains(&"ec2:DeleteNetworkInterface".to_owned()), "Lambda released its interfaces itself");
}

#[tokio::test(start_paused = true)]
async fn the_roles_of_twenty_preview_apps_a_day_go_with_them_beside_an_app_that_stays() {
    scene(days_of_previews(15, Releaser::First, false)).await;
}

#[tokio::test(start_paused = true)]
async fn the_role_of_a_preview_app_that_came_first_stays_for_its_interfaces_and_no_other() {
    scene(days_of_previews(3, Releaser::First, true)).await;
}

#[tokio::test(start_paused = true)]
async fn roles_go_with_preview_apps_whichever_role_lambda_releases_interfaces_with() {
    scene(days_of_previews(3, Releaser::Last, true)).await;
}

/// Lambda shares an interface only between functions with the same groups and the same subnet: an app that stays in other
/// subnets needs none of those that the previews shared.
#[tokio::test(start_paused = true)]
async fn interfaces_and_roles_of_preview_apps_go_beside_an_app_in_other_subnets() {
    scene(async {
        let delays = Delays { interfaces_released: 1200, function_deleted: 3, ..Delays::default() };
        let mut scene = Scene::new(delays);
        scene.aws.act(&Action::ByHand(Scene::region(), ByHand::ReleaseWith(Releaser::Last))).expect("AWS does so");
        let (vpc, subnets) = scene.vpc(&VpcShape { zones: "abab", ..VpcShape::default() });
        scene.start();
        let apply = |scene: &Scene, name: &str, subnets: &[SubnetId]| {
            let subnets: Vec<&str> = subnets.iter().map(SubnetId::as_str).collect();
            scene.apply(name, json!({"network": {"vpcId": vpc.as_str(), "subnetIds": subnets}, "models": [MODEL]}));
        };
        apply(&scene, "stays", &subnets[..2]);
        scene.until_ready("stays").await;
        let previews = ["preview-0", "preview-1", "preview-2"];
        for name in previews {
            apply(&scene, name, &subnets[2..]);
            scene.until_ready(name).await;
        }
        for name in previews {
            scene.kubernetes.delete(&app(name));
            scene.until_gone(name).await;
        }
        scene.pass(Duration::from_hours(1)).await;
        let found = (of_lambda(&scene), scene.aws.world().roles.len());
        assert_eq!(found, (2, 1), "the interfaces and the roles: those of the app that stays");
    })
    .await;
}

/// One after the other of the functions goes, and none of them shows which one is the last.
#[tokio::test(start_paused = true)]
async fn lambda_finds_the_role_of_the_last_function_of_apps_that_are_deleted_together() {
    scene(async {
        let delays = Delays { interfaces_released: 1200, function_deleted: 3, ..Delays::default() };
        let (mut scene, vpc) = Scene::with_app("first", delays).await;
        scene.resync = Duration::from_hours(6);
        scene.aws.act(&Action::ByHand(Scene::region(), ByHand::ReleaseWith(Releaser::Last))).expect("AWS does so");
        for name in ["second", "third"] {
            scene.apply_app(name, &vpc);
            scene.until_ready(name).await;
        }
        for name in ["first", "second", "third"] {
            scene.kubernetes.delete(&app(name));
        }
        scene.until_nothing_is_left("first", &vpc).await;
        let calls = names(&scene.aws.take_journal());
        assert!(!calls.contains(&"ec2:DeleteNetworkInterface".to_owned()), "Lambda released its interfaces itself");
    })
    .await;
}

fn of_lambda(scene: &Scene) -> usize {
    let world = scene.aws.world();
    let interfaces = world.regions[&Scene::region()].interfaces.values();
    interfaces.filter(|interface| matches!(interface.holder, Holder::Lambda { .. })).count()
}

fn function(vpc: &VpcId, name: &str) -> String {
    let (installation, region, vpc) = (Scene::installation(), Scene::region(), vpc.clone());
    let identity = AppIdentity { installation, region, vpc, namespace: "team-a".to_owned(), name: name.to_owned() };
    identity.function_name().to_string()
}

#[tokio::test(start_paused = true)]
async fn an_app_that_never_got_a_function_leaves_lambda_the_role_of_the_last_function() {
    scene(async {
        let delays = Delays { interfaces_released: 1200, ..Delays::default() };
        let (scene, vpc) = Scene::with_app("first", delays).await;
        scene.aws.act(&Action::ByHand(Scene::region(), ByHand::ReleaseWith(Releaser::Last))).expect("AWS does so");
        // An app that has a role, and never gets a function.
        scene.aws.fail_next("CreateFunction", Fault::access_denied().times(u32::MAX).only(function(&vpc, "stuck")));
        scene.apply_app("stuck", &vpc);
        scene.apply_app("second", &vpc);
        scene.until_ready("second").await;
        for name in ["first", "second"] {
            scene.kubernetes.delete(&app(name));
            scene.until_gone(name).await;
        }
        scene.pass(Duration::from_mins(50)).await;
        assert_eq!(
            (of_lambda(&scene), scene.aws.world().roles.len()),
            (0, 1),
            "the interfaces, and the roles: that of the app that is there"
        );
        let calls = names(&scene.aws.take_journal());
        assert!(!calls.contains(&"ec2:DeleteNetworkInterface".to_owned()), "Lambda released its interfaces itself");
    })
    .await;
}
