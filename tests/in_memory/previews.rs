//! Apps come and go all day beside one that stays: what they leave in AWS is bounded, whichever role Lambda needs to release what
//! their functions shared.

use std::time::Duration;

use private_genai_operator::{aws::VpcId, identity::AppIdentity};

use crate::{
    memory::aws::{
        Action, ByHand, Delays, Fault, VpcShape,
        world::{Holder, Releaser},
    },
    scene::{Scene, app, names, scene},
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
async fn roles_go_with_preview_apps_also_where_lambda_releases_interfaces_with_the_role_of_the_last_function() {
    scene(days_of_previews(3, Releaser::Last, true)).await;
}

fn function(vpc: &VpcId, name: &str) -> String {
    let (installation, region, vpc) = (Scene::installation(), Scene::region(), vpc.clone());
    let identity = AppIdentity { installation, region, vpc, namespace: "team-a".to_owned(), name: name.to_owned() };
    identity.function_name().to_string()
}

/// Whichever role Lambda turns out to need, nothing stays: an interface that it leaves behind is deleted, also while the
/// network goes on.
#[tokio::test(start_paused = true)]
async fn what_lambda_leaves_behind_without_the_role_that_it_wanted_is_deleted_while_the_network_lives() {
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
        let world = scene.aws.world();
        let interfaces = world.regions[&Scene::region()].interfaces.values();
        let of_lambda = interfaces.filter(|it| matches!(it.holder, Holder::Lambda { .. })).count();
        assert_eq!(
            (of_lambda, world.roles.len()),
            (0, 1),
            "the interfaces, and the roles: that of the app that is there"
        );
    })
    .await;
}
