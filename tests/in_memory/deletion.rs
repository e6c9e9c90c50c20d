//! Deleting is always possible, and takes away no more than what is ours.

use std::time::Duration;

use serde_json::json;

use crate::{
    memory::aws::{Delays, VpcShape},
    scene::{LONG, Scene, app, condition, network, scene, writes},
};

#[tokio::test(start_paused = true)]
async fn a_deleted_app_leaves_nothing_in_aws_and_its_network_goes_with_it() {
    scene(async {
        let mut scene = Scene::new(Delays { endpoint_deleted: 90, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        let deleted = tokio::time::Instant::now();
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        assert!(deleted.elapsed() < Duration::from_secs(5), "the app goes in seconds: {:?}", deleted.elapsed());
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_read_keeps_its_path_and_can_still_be_deleted() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        scene.forget();
        scene.kubernetes.overwrite(&app("bot"), |app| app["spec"]["models"] = json!({"not": "a list"}));
        let told = |app: &serde_json::Value| condition(app, "Accepted").1 == "InvalidSpec";
        scene.kubernetes.until(&app("bot"), LONG, told).await;
        scene.pass(Duration::from_secs(1000)).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "its resources stay as they are");
        assert!(scene.kubernetes.get(&network(&vpc)).is_some());

        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.until_network_gone(&vpc).await;
        scene.assert_aws_is_empty();
    })
    .await;
}
