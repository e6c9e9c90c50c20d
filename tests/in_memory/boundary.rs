//! Execution roles under a permissions boundary: what it is to be, who may change it, and what is told when it cannot be had.

use std::time::Duration;

use private_genai_operator::aws::{IamWrite, PolicyArn, PolicyDocument, Role, VpcId, Write};
use serde_json::json;

use crate::{
    memory::aws::{Action, ByHand, Delays, VpcShape, boundary, setup::another_boundary},
    scene::{RESYNC, Scene, app, scene, writes},
};

const PUT: &str = "iam:PutRolePermissionsBoundary";

fn act(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

fn roles(scene: &Scene) -> Vec<Role> {
    scene.aws.world().roles.into_values().map(|record| record.role).collect()
}

fn boundaries(scene: &Scene) -> Vec<Option<String>> {
    roles(scene).into_iter().map(|role| role.permissions_boundary).collect()
}

/// Stops the operator, and starts it with another boundary, or none; tells what it wrote until all is at rest.
async fn told_anew(scene: &mut Scene, boundary: Option<PolicyArn>) -> Vec<String> {
    scene.stop().await;
    scene.governance.permissions_boundary = boundary;
    scene.forget();
    scene.start();
    scene.pass(RESYNC).await;
    let written = writes(&scene.aws.take_journal());
    let drift = scene.kubernetes.list("events").into_iter().filter(|event| event["reason"] == "DriftRepaired");
    assert_eq!(drift.count(), 0, "what people ask for is no drift");
    written
}

async fn two_apps(scene: Scene) -> (Scene, VpcId) {
    let (scene, vpc) = scene.and_app("bot").await;
    scene.apply_app("other", &vpc);
    scene.until_ready("other").await;
    scene.pass(Duration::from_secs(30)).await;
    (scene, vpc)
}

#[tokio::test(start_paused = true)]
async fn an_app_lives_and_ends_under_the_boundary_that_the_documentation_proposes() {
    scene(async {
        let delays = Delays { interfaces_released: 1200, ..Delays::default() };
        let (mut scene, vpc) = two_apps(Scene::new(delays).bound()).await;
        assert_eq!(boundaries(&scene), [Some(boundary().to_string()), Some(boundary().to_string())]);
        assert_eq!(told_anew(&mut scene, Some(boundary())).await, Vec::<String>::new(), "at rest nothing is written");
        for name in ["bot", "other"] {
            scene.kubernetes.delete(&app(name));
        }
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn roles_move_to_the_boundary_that_is_set_and_from_one_to_another_by_one_call_each() {
    scene(async {
        let (mut scene, _) = two_apps(Scene::new(Delays::default())).await;
        assert_eq!(boundaries(&scene), [None, None]);
        act(&scene, ByHand::DemandBoundary(boundary()));
        assert_eq!(told_anew(&mut scene, Some(boundary())).await, [PUT, PUT]);
        assert_eq!(boundaries(&scene), [Some(boundary().to_string()), Some(boundary().to_string())]);
        act(&scene, ByHand::DemandBoundary(another_boundary()));
        assert_eq!(told_anew(&mut scene, Some(another_boundary())).await, [PUT, PUT]);
        assert_eq!(boundaries(&scene), [Some(another_boundary().to_string()), Some(another_boundary().to_string())]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_boundary_what_is_there_stays_whoever_put_it_there() {
    scene(async {
        let (mut scene, vpc) = two_apps(Scene::new(Delays::default()).bound()).await;
        assert_eq!(told_anew(&mut scene, None).await, Vec::<String>::new());
        let role = roles(&scene).remove(0).name;
        let put = Write::Iam(IamWrite::PutRolePermissionsBoundary { role, boundary: another_boundary() });
        scene.aws.act(&Action::Write(Scene::region(), put)).expect("AWS lets it happen");
        scene.pass(RESYNC + RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        assert_eq!(boundaries(&scene), [Some(another_boundary().to_string()), Some(boundary().to_string())]);
        scene.stop().await;
        scene.governance.permissions_boundary = Some(boundary());
        scene.start();
        for name in ["bot", "other"] {
            scene.kubernetes.delete(&app(name));
        }
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_role_kept_for_interfaces_moves_too_and_goes_although_it_lost_its_boundary() {
    scene(async {
        let delays = Delays { interfaces_released: 1200, ..Delays::default() };
        let (mut scene, vpc) = two_apps(Scene::new(delays)).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        act(&scene, ByHand::DemandBoundary(boundary()));
        assert_eq!(told_anew(&mut scene, Some(boundary())).await, [PUT, PUT], "that of the app that is gone too");
        scene.kubernetes.delete(&app("other"));
        scene.until_gone("other").await;
        for role in roles(&scene) {
            act(&scene, ByHand::DeleteRoleBoundary(role.name));
        }
        scene.until_nothing_is_left("other", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_boundary_is_told_with_its_name_and_the_remedy_and_then_taken() {
    scene(async {
        let mut scene = Scene::new(Delays::default()).bound();
        act(&scene, ByHand::DeletePolicy(boundary()));
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "AwsRefused").await;
        for words in [boundary().as_str(), "Create the managed policy", "--permissions-boundary-arn"] {
            assert!(message.contains(words), "{words} is missing in {message}");
        }
        assert_eq!(roles(&scene), [], "nothing is created without it");
        let document = PolicyDocument::from_wire(include_str!("../../docs/permissions-boundary.json"));
        act(&scene, ByHand::PutPolicy { arn: boundary(), document });
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_demands_the_boundary_is_told_until_the_operator_is_given_it() {
    scene(async {
        let mut scene = Scene::new(Delays::default()).bound();
        scene.governance.permissions_boundary = None;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "AccessDenied").await;
        assert!(message.contains("Allow the operator's role iam:CreateRole"), "{message}");
        assert_eq!(roles(&scene), []);
        told_anew(&mut scene, Some(boundary())).await;
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_boundary_that_allows_too_little_keeps_the_function_from_its_network() {
    scene(async {
        let mut scene = Scene::new(Delays::default()).bound();
        let logs = json!({"Effect": "Allow", "Action": ["logs:PutLogEvents", "bedrock:*"], "Resource": "*"});
        let document = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [logs]}));
        act(&scene, ByHand::PutPolicy { arn: boundary(), document });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.pass(Duration::from_mins(3)).await;
        let object = scene.kubernetes.get(&app("bot")).expect("the app");
        let (status, reason, message) = crate::scene::condition(&object, "FunctionReady");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "RolePropagating"), "{message}");
        assert!(message.contains("does not have permissions to call CreateNetworkInterface"), "{message}");
        let document = PolicyDocument::from_wire(include_str!("../../docs/permissions-boundary.json"));
        act(&scene, ByHand::PutPolicy { arn: boundary(), document });
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lost_its_boundary_unseen_is_put_back_before_it_is_written_to() {
    scene(async {
        let (scene, vpc) = Scene::new(Delays::default()).bound().and_app("bot").await;
        scene.pass(Duration::from_secs(30)).await;
        act(&scene, ByHand::DeleteRoleBoundary(roles(&scene).remove(0).name));
        scene.forget();
        let models = ["amazon.nova-micro-v1:0"];
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": models}));
        scene.pass(Duration::from_secs(10)).await;
        let mut written = writes(&scene.aws.take_journal());
        written.retain(|call| call.starts_with("iam:"));
        assert_eq!(written, ["iam:PutRolePolicy", PUT, "iam:PutRolePolicy"], "denied, put back, done");
        assert_eq!(boundaries(&scene), [Some(boundary().to_string())]);
    })
    .await;
}
