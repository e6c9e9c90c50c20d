//! Legs tell what is, not what is not looked at.

use std::time::Duration;

use private_genai_operator::aws::VpcId;
use tokio::time::sleep;

use super::{SOON, TOPOLOGY, at_rest, deny, drift, expect, lead_out, network_of, stands};
use crate::{
    drift::shape,
    memory::aws::Fault,
    scene::{RESYNC, Scene, app, names, scene, writes},
};

/// How an app stands: its network, its role, its function.
fn legs(scene: &Scene) -> [(String, String); 3] {
    let app = scene.kubernetes.get(&app("bot")).expect("the app");
    ["NetworkReady", "ExecutionRoleReady", "FunctionReady"].map(|kind| stands(&app, kind))
}

/// One of the ways in which a network is not as it should be, and how an app's network leg says so.
async fn amiss(how: &str, scene: &Scene, vpc: &VpcId) -> (String, String) {
    match how {
        "a rule" => {
            deny(scene, "ec2:RevokeSecurityGroupIngress");
            drift(scene, "ingress opened");
            sleep(RESYNC + SOON).await;
            expect("False", "AccessDenied")
        }
        "the placement" => {
            lead_out(scene, vpc);
            sleep(TOPOLOGY).await;
            expect("False", "TooFewZones")
        }
        "the routes" => {
            deny(scene, "ec2:DescribeRouteTables");
            sleep(2 * TOPOLOGY).await;
            expect("False", "AccessDenied")
        }
        "the groups" => {
            deny(scene, "ec2:DescribeSecurityGroups");
            sleep(6 * RESYNC).await;
            expect("False", "AccessDenied")
        }
        _ => panic!("{how}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_network_has_a_problem_keeps_its_role_and_function_exact() {
    for how in ["a rule", "the placement", "the routes", "the groups"] {
        scene(async {
            let (scene, vpc) = at_rest().await;
            let network_leg = amiss(how, &scene, &vpc).await;
            let ready = expect("True", "Ready");
            let expected = [network_leg, ready.clone(), ready];
            assert_eq!(legs(&scene), expected, "{how}: the function runs");
            let before = shape(&scene.aws.world());
            for name in ["code replaced", "foreign policy attached", "retention changed", "role policy opened"] {
                drift(&scene, name);
            }
            scene.forget();
            sleep(RESYNC + SOON).await;
            assert_eq!(shape(&scene.aws.world()), before, "{how}");
            assert_eq!(legs(&scene), expected, "{how}");
            let made = names(&scene.aws.take_journal());
            assert!(!made.contains(&"lambda:Invoke".to_owned()), "{how}: nothing is proven over a path that is amiss");
            scene.aws.clear_faults();
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_gone_waits_for_its_network_and_says_so() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        lead_out(&scene, &vpc);
        sleep(TOPOLOGY).await;
        drift(&scene, "function deleted");
        scene.forget();
        sleep(RESYNC + SOON).await;
        let [_, role, function] = legs(&scene);
        assert_eq!((role, function), (expect("True", "Ready"), expect("False", "WaitingForNetwork")));
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_legs_of_a_network_whose_groups_are_blocked_say_of_its_endpoint_what_it_is() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "ec2:RevokeSecurityGroupIngress");
        drift(&scene, "ingress opened");
        sleep(RESYNC + SOON).await;
        let network = network_of(&scene, &vpc);
        assert_eq!(stands(&network, "SecurityGroupsReady"), expect("False", "AccessDenied"));
        for kind in ["VpcReady", "EndpointsReady"] {
            assert_eq!(stands(&network, kind), expect("True", "Ready"), "{kind}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_failed_call_shows_on_its_own_leg() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        for (call, name) in [
            ("ec2:RevokeSecurityGroupIngress", "ingress opened"),
            ("ec2:ModifyVpcEndpoint", "endpoint policy opened"),
            ("iam:DetachRolePolicy", "foreign policy attached"),
            ("lambda:UpdateFunctionCode", "code replaced"),
        ] {
            deny(&scene, call);
            drift(&scene, name);
        }
        sleep(RESYNC + SOON).await;
        let (network, app) = (network_of(&scene, &vpc), scene.kubernetes.get(&app("bot")).expect("the app"));
        let denied = expect("False", "AccessDenied");
        for (object, kind) in [
            (&network, "SecurityGroupsReady"),
            (&network, "EndpointsReady"),
            (&app, "ExecutionRoleReady"),
            (&app, "FunctionReady"),
        ] {
            assert_eq!(stands(object, kind), denied, "{kind}");
        }
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

/// A throttled service is asked for nothing else in the same pass; the others go on.
#[tokio::test(start_paused = true)]
async fn a_service_that_throttles_is_left_alone_and_the_others_go_on() {
    scene(async {
        let (scene, _) = at_rest().await;
        for name in ["foreign inline policy added", "foreign policy attached", "code replaced", "retention changed"] {
            drift(&scene, name);
        }
        let throttled = Fault::new(400, "Throttling", "Rate exceeded");
        scene.aws.fail_next("iam:DeleteRolePolicy", Fault { times: u32::MAX, ..throttled });
        scene.forget();
        sleep(RESYNC + Duration::from_secs(1)).await;
        let made = writes(&scene.aws.take_journal());
        assert!(!made.contains(&"iam:DetachRolePolicy".to_owned()), "{made:?}");
        for call in ["logs:PutRetentionPolicy", "lambda:UpdateFunctionCode"] {
            assert!(made.contains(&call.to_owned()), "{made:?}");
        }
        scene.aws.clear_faults();
        sleep(RESYNC).await;
        scene.until_ready("bot").await;
    })
    .await;
}
