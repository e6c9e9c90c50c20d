//! One tenant cannot hold up another: whatever somebody writes into apps of one's own, all others are served.

use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::aws::{
    Ec2Write, EndpointChange, Peer, PolicyDocument, Region, Rule, SecurityGroupId, VpcId, Write,
};
use serde_json::json;

use crate::{
    memory::{
        aws::{Action, ByHand, Delays, Fault, VpcShape, World},
        kubernetes::NETWORKS,
    },
    scene::{
        LONG, MODEL, RESYNC, Scene, app, assert_at_most, condition, explicit_network, names, network, scene, touch,
        writes,
    },
};

/// Models whose IDs are as long as they can be: nobody asks AWS whether there are such.
fn long(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{of}.{n:0>width$}", width = 127 - of.len())).collect()
}

fn apply(scene: &Scene, name: &str, vpc: &VpcId, models: &[String]) {
    scene.apply(name, json!({"network": {"vpcId": vpc.as_str()}, "models": models}));
}

/// Somebody opens the policy of the endpoint for everybody.
fn open_endpoint(scene: &Scene, region: &Region) {
    let endpoint = scene.aws.world().regions[region].endpoints.keys().next().cloned().expect("an endpoint");
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"});
    let open = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]}));
    let change = EndpointChange { policy: Some(open), ..EndpointChange::default() };
    let write = Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint, change });
    scene.aws.act(&Action::Write(region.clone(), write)).expect("AWS lets it happen");
}

fn policy(scene: &Scene, region: &Region) -> String {
    let region = &scene.aws.world().regions[region];
    let endpoint = region.endpoints.keys().find_map(|id| region.endpoint(id)).expect("an endpoint");
    endpoint.policy.as_ref().expect("a policy").as_str().to_owned()
}

#[tokio::test(start_paused = true)]
async fn four_apps_with_invented_models_are_told_so_and_all_others_are_served() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        for name in ["greedy-a", "greedy-b", "greedy-c", "greedy-d"] {
            apply(&scene, name, &vpc, &long(name, 32));
        }
        scene.pass(Duration::from_mins(1)).await;
        let ours = "anthropic.claude-3-haiku-20240307-v1:0";
        scene.apply("small", json!({"network": {"vpcId": vpc.as_str()}, "models": [ours]}));
        scene.until_ready("small").await;
        for name in ["greedy-a", "greedy-b", "greedy-c", "greedy-d"] {
            let message = scene.until_refused(name, "PolicyTooLong").await;
            let says = |what: &str| message.contains(what);
            assert!(says(vpc.as_str()) && says("5120") && says("name fewer models"), "{message}");
        }
        scene.until_ready("bot").await;
        let before = policy(&scene, &Scene::region());
        assert!(before.contains(MODEL) && before.contains(ours) && !before.contains("greedy"), "{before}");
        let network_of_all = scene.kubernetes.get(&network(&vpc)).expect("the network");
        assert_eq!(condition(&network_of_all, "Ready").0, "True");
        assert!(condition(&network_of_all, "EndpointsReady").2.contains("team-a/greedy-a"), "{network_of_all:#}");

        open_endpoint(&scene, &Scene::region());
        scene.pass(RESYNC).await;
        assert_eq!(policy(&scene, &Scene::region()), before, "what somebody changed is as it was");
        let endpoints = scene.aws.world().regions[&Scene::region()].endpoints.clone();
        let gone = endpoints.into_keys().next().expect("an endpoint");
        scene.aws.act(&Action::ByHand(Scene::region(), ByHand::ForgetEndpoint(gone))).expect("AWS lets it happen");
        scene.pass(RESYNC).await;
        scene.until_ready("bot").await;
        assert_eq!(policy(&scene, &Scene::region()), before, "what somebody deleted is there again");

        scene.stop().await;
        scene.forget();
        scene.start();
        scene.pass(RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "and stays so");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_last_room_goes_to_who_came_first_and_what_is_given_back_to_who_waits() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        for name in ["a", "b", "c", "d"] {
            apply(&scene, name, &vpc, &long(name, 23));
            scene.until_ready(name).await;
        }
        apply(&scene, "late", &vpc, &long("late", 23));
        let message = scene.until_refused("late", "PolicyTooLong").await;
        let says = |what: &str| message.contains(what);
        assert!(says("20480") && says("create the app in another VPC") && says("late.0"), "{message}");
        for name in ["bot", "a", "b", "c", "d"] {
            scene.until_ready(name).await;
        }
        scene.kubernetes.delete(&app("a"));
        scene.until_ready("late").await;
    })
    .await;
}

/// An app in a large account, and another one in a VPC of its own.
async fn in_a_large_account() -> (Scene, VpcId) {
    let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    for n in 0..60 {
        scene.apply_app(&format!("app-{n:02}"), &vpc);
    }
    let (elsewhere, _) = scene.vpc(&VpcShape::default());
    scene.apply_app("elsewhere", &elsewhere);
    for n in 0..60 {
        scene.until_ready(&format!("app-{n:02}")).await;
    }
    scene.until_ready("elsewhere").await;
    scene.pass(Duration::from_secs(65)).await;
    (scene, vpc)
}

/// One look at the rows of an app and of its network: what it costs does not follow the size of the account.
const ROWS: [(&str, usize); 14] = [
    ("ec2:DescribeRouteTables", 1),
    ("ec2:DescribeSecurityGroups", 1),
    ("ec2:DescribeSubnets", 1),
    ("ec2:DescribeVpcAttribute", 2),
    ("ec2:DescribeVpcEndpoints", 1),
    ("ec2:DescribeVpcs", 1),
    ("iam:GetRole", 1),
    ("iam:GetRolePolicy", 1),
    ("iam:ListAttachedRolePolicies", 1),
    ("iam:ListRolePolicies", 1),
    ("lambda:GetFunction", 1),
    ("lambda:Invoke", 1),
    ("logs:DescribeLogGroups", 1),
    ("logs:ListTagsForResource", 1),
];

fn rows(looks: usize) -> impl Iterator<Item = (&'static str, usize)> {
    ROWS.into_iter().map(move |(call, times)| (call, times * looks))
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_annotated_in_a_loop_has_only_its_own_rows_read() {
    scene(async {
        let (scene, _) = in_a_large_account().await;
        scene.forget();
        for second in 0..70 {
            scene
                .kubernetes
                .edit(&app("bot"), |object| object["metadata"]["annotations"] = json!({"look": second.to_string()}));
            scene.pass(Duration::from_secs(1)).await;
        }
        // At once, and after half a minute each.
        assert_at_most(&names(&scene.aws.take_journal()), rows(3));
        scene.pass(Duration::from_secs(25)).await;
        let calls = names(&scene.aws.take_journal());
        assert!(
            calls.iter().any(|call| call == "iam:GetRole"),
            "what was asked for after the last look is looked at too"
        );
        assert_at_most(&calls, rows(1));
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_spec_changes_after_a_touch_is_changed_at_once() {
    scene(async {
        let (scene, vpc) = in_a_large_account().await;
        touch(&scene, "bot");
        scene.pass(Duration::from_secs(3)).await;
        scene.forget();
        let function = json!({"memoryMiB": 1024});
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "function": function}));
        scene.pass(Duration::from_secs(2)).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["lambda:UpdateFunctionConfiguration"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_touch_finds_drift_of_the_object_s_own_rows_and_retries_what_was_refused() {
    scene(async {
        let (scene, vpc) = in_a_large_account().await;
        let group: SecurityGroupId = {
            let object = scene.kubernetes.get(&network(&vpc)).expect("the network");
            let id = object["status"]["securityGroups"]["functions"].as_str().expect("a group").to_owned();
            id.parse().expect("an id")
        };
        let role = scene.aws.world().roles.keys().find(|role| role.as_str().contains("bot")).cloned().expect("a role");
        let policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned();
        let deeds = [
            Action::ByHand(Scene::region(), ByHand::AttachRolePolicy { role, policy_arn }),
            Action::Write(
                Scene::region(),
                Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress {
                    group,
                    rules: [Rule::tcp(443, Peer::Ipv4("10.0.0.0/8".to_owned()))].into(),
                }),
            ),
        ];
        let before = scene.aws.world();
        for deed in &deeds {
            scene.aws.act(deed).expect("AWS lets it happen");
        }
        for operation in ["DetachRolePolicy", "RevokeSecurityGroupEgress"] {
            scene.aws.fail_next(operation, Fault::access_denied().times(u32::MAX));
        }
        scene.forget();
        touch(&scene, "bot");
        scene.pass(Duration::from_secs(3)).await;
        let refused: BTreeSet<String> = writes(&scene.aws.take_journal()).into_iter().collect();
        let expected = ["ec2:RevokeSecurityGroupEgress", "iam:DetachRolePolicy"].map(str::to_owned);
        assert_eq!(refused, expected.into());
        // Long enough that nobody tries again soon by himself.
        scene.pass(RESYNC * 4 + Duration::from_mins(1)).await;
        scene.aws.clear_faults();
        scene.kubernetes.edit(&app("bot"), |object| object["metadata"]["annotations"] = json!({"look": "again"}));
        scene.pass(Duration::from_secs(3)).await;
        let after = scene.aws.world();
        let groups = |world: &World| {
            let region = &world.regions[&Scene::region()];
            region.groups.keys().filter_map(|id| region.group(id)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(groups(&after), groups(&before));
        let attached =
            |world: &World| world.roles.values().filter(|record| !record.role.attached_policies.is_empty()).count();
        assert_eq!((attached(&before), attached(&after)), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_touch_of_an_app_that_is_deleted_asks_again_for_what_was_refused() {
    scene(async {
        for operation in ["DeleteFunction", "DeleteLogGroup"] {
            let (scene, _) = Scene::with_app("bot", Delays::default()).await;
            scene.pass(Duration::from_secs(65)).await;
            scene.aws.fail_next(operation, Fault::access_denied().times(u32::MAX));
            scene.kubernetes.delete(&app("bot"));
            scene.pass(RESYNC * 4 + Duration::from_mins(1)).await;
            scene.aws.clear_faults();
            scene.forget();
            scene.pass(Duration::from_secs(3)).await;
            assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nobody tries again by himself");
            touch(&scene, "bot");
            scene.pass(Duration::from_secs(3)).await;
            let made = writes(&scene.aws.take_journal());
            assert!(made.iter().any(|write| write.ends_with(operation)), "{operation}: {made:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_touch_asks_again_for_a_table_that_was_refused() {
    scene(async {
        let tables = ["ListFunctions", "DescribeLogGroups", "DescribeSecurityGroups", "DescribeSubnets"];
        for operation in tables {
            let (scene, _) = Scene::with_app("bot", Delays::default()).await;
            scene.aws.fail_next(operation, Fault::access_denied().times(u32::MAX));
            scene.pass(RESYNC * 12 + Duration::from_mins(1)).await;
            scene.aws.clear_faults();
            scene.forget();
            scene.pass(Duration::from_secs(3)).await;
            let calls = names(&scene.aws.take_journal());
            assert!(!calls.iter().any(|call| call.ends_with(operation)), "{operation}, by himself: {calls:?}");
            touch(&scene, "bot");
            scene.pass(Duration::from_secs(3)).await;
            let calls = names(&scene.aws.take_journal());
            assert!(calls.iter().any(|call| call.ends_with(operation)), "{operation}: {calls:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_second_look_after_a_deletion_reads_what_was_deleted_and_no_table() {
    scene(async {
        let (scene, _) = in_a_large_account().await;
        scene.kubernetes.delete(&app("app-07"));
        scene.until_gone("app-07").await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        scene.pass(Duration::from_mins(2)).await;
        let calls = names(&scene.aws.take_journal());
        let looks = calls.iter().filter(|call| *call == "lambda:GetFunction").count();
        assert!((2..=3).contains(&looks), "every half minute for a minute: {calls:?}");
        // Of a role that is gone there is no policy to read.
        assert_at_most(
            &calls,
            ["iam:GetRole", "lambda:GetFunction", "logs:DescribeLogGroups"].map(|call| (call, looks)),
        );
    })
    .await;
}

/// An app in a region.
fn apply_in(scene: &Scene, name: &str, vpc: &VpcId, region: &str) {
    scene.apply(name, json!({"network": {"vpcId": vpc.as_str(), "region": region}, "models": [MODEL]}));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_apps_in_invented_regions_are_told_so_and_make_no_network_and_no_call() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        for n in 0..200 {
            apply_in(&scene, &format!("there-{n}"), &vpc, &format!("xx-west-{n}"));
        }
        let message = scene.until_refused("there-199", "RegionNotAllowed").await;
        let says = |what: &str| message.contains(what);
        assert!(says("spec.network.region: ") && says("xx-west-199") && says("--regions"), "{message}");
        scene.pass(RESYNC * 2).await;
        let calls = scene.aws.take_journal();
        assert!(calls.iter().all(|call| call.region == Scene::region()), "{calls:?}");
        let networks = scene.kubernetes.list(NETWORKS);
        assert_eq!(networks.len(), 1, "{networks:?}");
        scene.kubernetes.delete(&app("there-199"));
        scene.until_gone("there-199").await;
        scene.until_ready("bot").await;
    })
    .await;
}

/// A second region, in which the same services are offered.
fn there() -> Region {
    "eu-west-1".parse().expect("a region")
}

#[tokio::test(start_paused = true)]
async fn a_region_that_nobody_uses_any_more_is_forgotten_with_its_clients() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        scene.regions = "us-*,eu-west-1".parse().expect("globs");
        let (vpc, _) = scene.aws.add_vpc(&there(), &VpcShape::default());
        scene.start();
        apply_in(&scene, "bot", &vpc, "eu-west-1");
        scene.until_ready("bot").await;
        scene.pass(RESYNC).await;
        assert_eq!(*scene.aws.clients(), [Scene::region(), there()].into(), "in use, and the operator's own");
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.until_gone(&format!("privategenainetworks/{vpc}-eu-west-1"), LONG).await;
        scene.pass(RESYNC * 2).await;
        assert_eq!(*scene.aws.clients(), [Scene::region()].into());
        assert!(!scene.metrics.text().expect("metrics").contains("eu-west-1"), "nor is anything told of it");
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_no_longer_allowed_keeps_what_was_built_exact_and_deletable() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        scene.regions = "*".parse().expect("globs");
        let (vpc, _) = scene.aws.add_vpc(&there(), &VpcShape::default());
        scene.start();
        apply_in(&scene, "bot", &vpc, "eu-west-1");
        scene.until_ready("bot").await;
        scene.stop().await;
        scene.regions = "us-east-1".parse().expect("globs");
        scene.forget();
        scene.start();
        scene.until_refused("bot", "RegionNotAllowed").await;
        apply_in(&scene, "another", &vpc, "eu-west-1");
        scene.until_refused("another", "RegionNotAllowed").await;
        let before = policy(&scene, &there());
        open_endpoint(&scene, &there());
        scene.pass(RESYNC).await;
        assert_eq!(policy(&scene, &there()), before, "the network is kept");
        assert_eq!(writes(&scene.aws.take_journal()), ["ec2:ModifyVpcEndpoint"]);
        scene.kubernetes.delete(&app("another"));
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.until_gone(&format!("privategenainetworks/{vpc}-eu-west-1"), LONG).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_for_a_region_that_is_not_allowed_says_so_and_can_be_deleted() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        let mut network = explicit_network("there", &vpc);
        network["spec"]["region"] = json!("xx-west-1");
        scene.kubernetes.apply(network);
        let path = "privategenainetworks/there";
        let refused = |object: &serde_json::Value| condition(object, "Accepted").1 == "RegionNotAllowed";
        let object = scene.kubernetes.until(path, LONG, refused).await;
        let (status, _, message) = condition(&object, "Ready");
        assert!(status == "False" && message.contains("spec.region: ") && message.contains("--regions"), "{message}");
        scene.pass(RESYNC).await;
        let calls = scene.aws.take_journal();
        assert!(calls.iter().all(|call| call.region == Scene::region()), "{calls:?}");
        // Once it is allowed, it is looked at.
        scene.stop().await;
        scene.regions = "*".parse().expect("globs");
        scene.start();
        scene.kubernetes.until(path, LONG, |object| !refused(object)).await;
        scene.kubernetes.delete(path);
        scene.kubernetes.until_gone(path, LONG).await;
    })
    .await;
}
