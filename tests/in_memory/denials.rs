//! What AWS does not allow is told by what would help.

use crate::{
    memory::aws::{Delays, Fault, VpcShape},
    scene::{Scene, scene},
};

/// What AWS says of a call to EC2 that this keeps from being made.
fn denied(why: &str) -> Fault {
    let words = format!(
        "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/operator/s is not authorized to \
         perform: ec2:CreateTags on resource: arn:aws:ec2:us-east-1:123456789012:vpc-endpoint/* {why}"
    );
    Fault::new(403, "UnauthorizedOperation", &words).times(u32::MAX)
}

async fn message(fault: Fault) -> String {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.aws.fail_next("CreateVpcEndpoint", fault);
    scene.start();
    scene.apply_app("bot", &vpc);
    scene.until_refused("bot", "AccessDenied").await
}

#[tokio::test(start_paused = true)]
async fn an_explicit_deny_is_told_by_whose_it_is_and_never_by_what_to_allow() {
    scene(async {
        for (kind, remedy) in [
            (
                "a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1",
                "the administrator of the AWS organization",
            ),
            ("a resource control policy", "the administrator of the AWS organization"),
            ("a permissions boundary", "the permissions boundary of the operator's own role"),
            ("a VPC endpoint policy", "the policy of the VPC endpoint"),
            ("a session policy", "the session policy"),
        ] {
            let message = message(denied(&format!("with an explicit deny in {kind}"))).await;
            assert!(message.contains(remedy) && message.contains("not deny ec2:CreateTags"), "{kind}: {message}");
            assert!(!message.contains("Allow the operator's role"), "{kind}: {message}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_denial_names_the_action_that_aws_named_and_how_an_encoded_message_is_read() {
    scene(async {
        let why = "because no identity-based policy allows the ec2:CreateTags action. Encoded authorization failure message: …";
        let message = message(denied(why)).await;
        for words in [
            "Allow the operator's role ec2:CreateTags",
            "print its policy again by iam-policy",
            "aws sts decode-authorization-message",
        ] {
            assert!(message.contains(words), "{words} is missing in {message}");
        }
        assert!(!message.contains("role ec2:CreateVpcEndpoint"), "{message}");
    })
    .await;
}
