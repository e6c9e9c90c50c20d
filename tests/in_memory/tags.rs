//! Tags that whoever runs the operator wants on everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use private_genai_operator::{
    aws::{Ec2Write, Peer, Rule, SecurityGroup, Tags, Write},
    identity::TAG_INSTALLATION,
};

use crate::{
    memory::aws::{Action, ByHand, Delays, Fault, by_hand::Tagged},
    scene::{RESYNC, Scene, app, condition, scene, writes},
};

/// So long after the operator has started everything was looked at.
const ALL_LOOKED_AT: Duration = Duration::from_secs(3 * RESYNC.as_secs());

/// The tags of everything that the installation has, by what it is.
fn all_tags(scene: &Scene) -> BTreeMap<String, Tags> {
    let world = scene.aws.world();
    let region = &world.regions[&Scene::region()];
    let mut all = BTreeMap::new();
    let mut add = |what: String, tags: &Tags| {
        if tags.contains_key(TAG_INSTALLATION) {
            all.insert(what, tags.clone());
        }
    };
    region.groups.values().for_each(|group| add(format!("group {}", group.name), &group.tags));
    region.endpoints.values().for_each(|endpoint| add(format!("endpoint {}", endpoint.id), &endpoint.tags));
    world.roles.values().for_each(|record| add(format!("role {}", record.role.name), &record.role.tags));
    region
        .functions
        .values()
        .for_each(|function| add(format!("function {}", function.detail.listing.name), &function.detail.tags));
    region.log_groups.values().for_each(|record| add(format!("log group {}", record.group.name), &record.tags));
    all
}

fn assert_all(scene: &Scene, expected: &[(&str, &str)]) {
    let all = all_tags(scene);
    assert_eq!(all.len(), 6, "two groups, and of the rest one each: {all:#?}");
    for (what, tags) in all {
        for (key, value) in expected {
            assert_eq!(tags.get(*key).map(String::as_str), Some(*value), "{key} of {what}");
        }
    }
}

/// Starts the operator with these tags; tells what it wrote until everything was looked at.
async fn told_anew(scene: &mut Scene, tags: &str) -> Vec<String> {
    scene.stop().await;
    scene.governance.tags = tags.parse().expect("tags");
    scene.forget();
    scene.start();
    scene.pass(ALL_LOOKED_AT).await;
    let mut written = writes(&scene.aws.take_journal());
    written.sort();
    written
}

async fn with_tags(tags: &str) -> Scene {
    let mut scene = Scene::new(Delays::default());
    scene.governance.tags = tags.parse().expect("tags");
    let (scene, _) = scene.and_app("bot").await;
    scene.pass(Duration::from_secs(30)).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn all_that_is_created_carries_them_and_at_rest_nothing_is_written() {
    scene(async {
        let mut scene = with_tags("team=ai,cost center=4711").await;
        assert_all(&scene, &[("team", "ai"), ("cost center", "4711"), (TAG_INSTALLATION, "test")]);
        assert_eq!(told_anew(&mut scene, "cost center=4711,team=ai").await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_value_is_written_by_one_call_each_and_a_dropped_tag_stays() {
    scene(async {
        let mut scene = with_tags("team=ai,cost center=4711").await;
        let each = [
            "ec2:CreateTags",
            "ec2:CreateTags",
            "ec2:CreateTags",
            "iam:TagRole",
            "lambda:TagResource",
            "logs:TagResource",
        ];
        assert_eq!(told_anew(&mut scene, "team=ml").await, each);
        assert_all(&scene, &[("team", "ml"), ("cost center", "4711"), (TAG_INSTALLATION, "test")]);
        let drift = scene.kubernetes.list("events").into_iter().filter(|event| event["reason"] == "DriftRepaired");
        assert_eq!(drift.count(), 0, "what people ask for is no drift");
        assert_eq!(told_anew(&mut scene, "").await, Vec::<String>::new());
        assert_all(&scene, &[("team", "ml")]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tags_that_aws_refuses_are_told_and_keep_nothing_from_being_private() {
    for operation in ["ec2:CreateTags", "iam:TagRole", "lambda:TagResource", "logs:TagResource"] {
        scene(async {
            let mut scene = with_tags("").await;
            scene.stop().await;
            let world = scene.aws.world();
            let role = world.roles.keys().next().expect("a role").clone();
            let policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
            let functions = |group: &&SecurityGroup| group.name.contains("functions");
            let region = &world.regions[&Scene::region()];
            let group = region.groups.values().find(functions).expect("a group").id.clone();
            let rules = BTreeSet::from([Rule::tcp(443, Peer::Ipv4("0.0.0.0/0".to_owned()))]);
            for deed in [
                Action::ByHand(Scene::region(), ByHand::AttachRolePolicy { role, policy_arn }),
                Action::Write(Scene::region(), Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, rules })),
            ] {
                scene.aws.act(&deed).expect("AWS lets it happen");
            }
            scene.aws.fail_next(operation, Fault::access_denied().times(u32::MAX));
            scene.governance.tags = "team=ai".parse().expect("tags");
            scene.start();
            scene.until_refused("bot", "AccessDenied").await;
            // However often it is looked at: the refusal is not forgotten, and what is open is closed all the same.
            scene.pass(ALL_LOOKED_AT).await;
            let ready = condition(&scene.kubernetes.get(&app("bot")).expect("the app"), "Ready");
            assert_eq!((ready.0.as_str(), ready.1.as_str()), ("False", "AccessDenied"), "{operation}: {ready:?}");
            let world = scene.aws.world();
            assert!(world.roles.values().all(|record| record.role.attached_policies.is_empty()), "{operation}");
            let groups =
                world.regions[&Scene::region()].groups.values().filter(|group| group.name.contains("functions"));
            assert!(groups.into_iter().all(|group| group.egress.len() == 1), "{operation}");
            scene.aws.clear_faults();
            scene.until_ready("bot").await;
            assert_all(&scene, &[("team", "ai")]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_removes_or_that_is_new_is_put_there_as_the_operator_s_own_are() {
    scene(async {
        let mut scene = with_tags("").await;
        assert_eq!(told_anew(&mut scene, "team=ai").await.len(), 6);
        assert_all(&scene, &[("team", "ai")]);
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        let keys = Some(["team".to_owned()].into());
        let tagged = [
            Tagged::Role(world.roles.keys().next().expect("a role").clone()),
            Tagged::Function(region.functions.keys().next().expect("a function").clone()),
            Tagged::LogGroup(region.log_groups.keys().next().expect("a group").clone()),
            Tagged::Endpoint(region.endpoints.keys().next().expect("an endpoint").clone()),
        ];
        for from in tagged {
            let deed = ByHand::RemoveTags { from, keys: keys.clone() };
            scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
        }
        scene.pass(ALL_LOOKED_AT).await;
        assert_all(&scene, &[("team", "ai")]);
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
    })
    .await;
}
