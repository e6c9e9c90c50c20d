//! Where a quota is full, what is foreign goes first.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    Ec2Write, EndpointChange, IamWrite, Peer, PolicyDocument, Rule, SecurityGroup, SecurityGroupId, Write,
};
use serde_json::json;
use tokio::time::sleep;

use super::{SOON, at_rest, drift};
use crate::{
    drift::shape,
    memory::aws::{Action, VpcShape},
    scene::{RESYNC, Scene, condition, scene, writes},
};

fn write(scene: &Scene, write: Write) {
    scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS lets it happen");
}

fn group(scene: &Scene, component: &str) -> SecurityGroup {
    let world = scene.aws.world();
    let groups = world.regions[&Scene::region()].groups.values();
    groups.clone().find(|group| group.name.contains(component)).expect("the group").clone()
}

/// Sixty rules, which is the quota: each a range of its own.
fn sixty() -> BTreeSet<Rule> {
    (0..60).map(|n| Rule::tcp(443, Peer::Ipv4(format!("203.0.{n}.0/24")))).collect()
}

#[tokio::test(start_paused = true)]
async fn sixty_ranges_in_place_of_a_rule_go_and_the_rule_is_back_in_the_same_pass() {
    scene(async {
        for component in ["-endpoints-", "-functions-"] {
            let (scene, _) = at_rest().await;
            let before = shape(&scene.aws.world());
            let SecurityGroup { id, ingress, egress, .. } = group(&scene, component);
            let (revoke, authorize, calls) = if component == "-endpoints-" {
                (
                    Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: id.clone(), rules: ingress }),
                    Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: id, rules: sixty() }),
                    [
                        "ec2:AuthorizeSecurityGroupIngress",
                        "ec2:RevokeSecurityGroupIngress",
                        "ec2:AuthorizeSecurityGroupIngress",
                    ],
                )
            } else {
                (
                    Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: id.clone(), rules: egress }),
                    Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: id, rules: sixty() }),
                    [
                        "ec2:AuthorizeSecurityGroupEgress",
                        "ec2:RevokeSecurityGroupEgress",
                        "ec2:AuthorizeSecurityGroupEgress",
                    ],
                )
            };
            write(&scene, revoke);
            write(&scene, authorize);
            sleep(RESYNC + SOON).await;
            assert_eq!(shape(&scene.aws.world()), before, "{component}");
            assert_eq!(writes(&scene.aws.take_journal()), calls, "{component}: one pass, and no call too many");
            assert_eq!(condition(&scene.until_ready("bot").await, "Ready").0, "True");
        }
    })
    .await;
}

/// The quota counts what is authorised: where there is room, the rightful traffic never stops.
#[tokio::test(start_paused = true)]
async fn where_there_is_room_what_is_needed_is_granted_before_what_is_not_is_revoked() {
    scene(async {
        let (scene, _) = at_rest().await;
        let before = shape(&scene.aws.world());
        drift(&scene, "ingress rule deleted");
        drift(&scene, "ingress opened");
        sleep(RESYNC + SOON).await;
        assert_eq!(shape(&scene.aws.world()), before);
        let made = writes(&scene.aws.take_journal());
        let at = |call: &str| made.iter().position(|made| made == call).expect("the call");
        assert!(at("ec2:AuthorizeSecurityGroupIngress") < at("ec2:RevokeSecurityGroupIngress"), "{made:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn inline_policies_that_fill_the_role_go_before_its_own_comes_back() {
    scene(async {
        let (scene, _) = at_rest().await;
        let before = shape(&scene.aws.world());
        let world = scene.aws.world();
        let (role, record) = world.roles.iter().next().expect("a role");
        let own = record.role.inline_policies.keys().next().expect("a policy").clone();
        write(&scene, Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy: own }));
        // White space does not count: 10,240 characters.
        let document = |characters: usize| {
            let statement = |resource: String| json!({"Effect": "Allow", "Action": "*", "Resource": resource});
            let of = |resource| {
                let document = json!({"Version": "2012-10-17", "Statement": [statement(resource)]});
                PolicyDocument::new(&document)
            };
            let empty = of(String::new()).as_str().chars().filter(|character| !character.is_whitespace()).count();
            of("*".repeat(characters - empty))
        };
        for (name, characters) in [("by-hand-1", 5_120), ("by-hand-2", 5_120)] {
            let document = document(characters);
            write(
                &scene,
                Write::Iam(IamWrite::PutRolePolicy { role: role.clone(), policy: name.to_owned(), document }),
            );
        }
        sleep(RESYNC + SOON).await;
        assert_eq!(shape(&scene.aws.world()), before);
        assert_eq!(
            writes(&scene.aws.take_journal()),
            ["iam:DeleteRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePolicy"],
            "foreign first: nothing is tried that the quota refuses"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_with_five_foreign_groups_gets_its_own_back_and_loses_them() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        let before = shape(&scene.aws.world());
        let endpoint = {
            let world = scene.aws.world();
            world.regions[&Scene::region()].endpoints.values().next().expect("an endpoint").clone()
        };
        let foreign: BTreeSet<SecurityGroupId> = (0..5)
            .map(|n| {
                let create = Write::Ec2(Ec2Write::CreateSecurityGroup {
                    vpc: vpc.clone(),
                    name: format!("theirs-{n}"),
                    description: "theirs".to_owned(),
                    tags: [].into(),
                });
                write(&scene, create);
                group(&scene, &format!("theirs-{n}")).id
            })
            .collect();
        let change = EndpointChange {
            add_security_groups: foreign,
            remove_security_groups: endpoint.security_groups.clone(),
            ..EndpointChange::default()
        };
        write(&scene, Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint.id.clone(), change }));
        sleep(RESYNC + SOON).await;
        let after = shape(&scene.aws.world());
        assert!(before.is_subset(&after), "{:#?}", before.difference(&after));
        assert_eq!(writes(&scene.aws.take_journal()), ["ec2:ModifyVpcEndpoint"; 2]);
        let _ = VpcShape::default();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fifty_foreign_tags_keep_a_resource_s_own_from_coming_back_and_nothing_else() {
    scene(async {
        let (scene, _) = at_rest().await;
        let endpoints = group(&scene, "-endpoints-");
        let keys = endpoints.tags.keys().filter(|key| *key == "Name").cloned().collect();
        let from = crate::memory::aws::by_hand::Tagged::Group(endpoints.id.clone());
        super::by_hand(&scene, crate::memory::aws::ByHand::RemoveTags { from, keys: Some(keys) });
        let room = 50 - (endpoints.tags.len() - 1);
        let tags = (0..room).map(|n| (format!("theirs-{n}"), "x".to_owned())).collect();
        write(&scene, Write::Ec2(Ec2Write::CreateTags { resource: endpoints.id.to_string(), tags }));
        let full = shape(&scene.aws.world());
        for name in ["ingress opened", "endpoint policy opened", "foreign policy attached", "code replaced"] {
            drift(&scene, name);
        }
        sleep(RESYNC + SOON).await;
        assert_eq!(shape(&scene.aws.world()), full);
        let message = scene.until_refused("bot", "QuotaReached").await;
        assert!(message.contains(endpoints.id.as_str()) && message.contains("fifty"), "{message}");
    })
    .await;
}
