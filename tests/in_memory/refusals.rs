//! What the API server cannot refuse, a condition explains; and nothing is created.

use serde_json::json;

use crate::{
    memory::aws::{Delays, Route, VpcShape},
    scene::{MODEL, Scene, app, names, scene, writes},
};
use private_genai_operator::aws::Tenancy;

#[tokio::test(start_paused = true)]
async fn a_vpc_that_is_not_allowed_is_refused_before_anything_is_asked_of_aws() {
    scene(async {
        let mut scene = Scene::allowing("vpc-0000allowed");
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "VpcNotAllowed").await;
        assert!(message.contains(vpc.as_str()) && message.contains("implicitNetworks.vpcIds"), "{message}");
        assert_eq!(names(&scene.aws.take_journal()), ["sts:GetCallerIdentity"], "which is asked for nobody's sake");
        assert_eq!(scene.kubernetes.list("privategenainetworks").len(), 0);
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
    })
    .await;
}

async fn refused(shape: &VpcShape, reason: &str) -> String {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(shape);
    scene.start();
    scene.apply_app("bot", &vpc);
    let message = scene.until_refused("bot", reason).await;
    assert!(message.contains(vpc.as_str()), "the message names the VPC: {message}");
    assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nothing is created");
    scene.kubernetes.delete(&app("bot"));
    scene.until_gone("bot").await;
    scene.until_network_gone(&vpc).await;
    message
}

#[tokio::test(start_paused = true)]
async fn a_vpc_that_cannot_carry_the_path_is_refused_with_what_to_do() {
    scene(async {
        let dedicated = VpcShape { tenancy: Tenancy::Other("dedicated".into()), ..VpcShape::default() };
        assert!(refused(&dedicated, "DedicatedTenancy").await.contains("default tenancy"));
        let one_zone = VpcShape { zones: "a", ..VpcShape::default() };
        assert!(refused(&one_zone, "TooFewZones").await.contains("add private subnets"));
        let public = VpcShape { route: Route::Public, ..VpcShape::default() };
        assert!(refused(&public, "TooFewZones").await.contains("internet gateway"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_vpc_that_does_not_exist_is_refused_and_found_once_it_exists() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = Scene::new(Delays::default()).vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "VpcNotFound").await;
        assert!(message.contains(vpc.as_str()) && message.contains("us-east-1"), "{message}");
        let (created, _) = scene.vpc(&VpcShape::default());
        assert_eq!(created, vpc, "ids of the in-memory AWS are deterministic");
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_subnet_of_another_vpc_is_refused_and_harms_no_other_app() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, subnets) = scene.vpc(&VpcShape::default());
        let (_, foreign) = scene.vpc(&VpcShape::default());
        scene.start();
        let spec =
            |subnets: [&str; 2]| json!({"network": {"vpcId": vpc.as_str(), "subnetIds": subnets}, "models": [MODEL]});
        scene.apply("wrong", spec([subnets[0].as_str(), foreign[1].as_str()]));
        let message = scene.until_refused("wrong", "SubnetNotInVpc").await;
        assert!(message.contains(foreign[1].as_str()) && message.contains(vpc.as_str()), "{message}");
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nothing is created for it");
        scene.apply("right", spec([subnets[0].as_str(), subnets[1].as_str()]));
        scene.until_ready("right").await;
        let world = scene.aws.world();
        assert_eq!(world.regions[&Scene::region()].functions.len(), 1);
    })
    .await;
}

/// 32 ids of models that are as long as ids may be: each for itself is fine, and so is each field.
#[tokio::test(start_paused = true)]
async fn an_environment_that_lambda_would_refuse_is_told_with_its_size_and_never_sent() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        let models = |count: usize| (0..count).map(|n| format!("amazon.{n:0>121}")).collect::<Vec<_>>();
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": models(32)}));
        let message = scene.until_refused("bot", "EnvironmentTooLong").await;
        assert!(message.contains("allows 4096") && message.contains("fewer models"), "{message}");
        assert!(!names(&scene.aws.take_journal()).contains(&"lambda:CreateFunction".to_owned()));
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": models(28)}));
        scene.until_ready("bot").await;
    })
    .await;
}
