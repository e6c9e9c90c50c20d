//! Removing by tag alone: the cluster is gone before its objects, or its objects say less than AWS does.

use std::time::Duration;

use private_genai_operator::{
    aws::{Ec2Write, FunctionName, VpcId, Write},
    identity::{TAG_OWNER, TAG_RETAINED},
    uninstall::{Failure, MissingLease, TeardownRequest},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    leadership::Replica,
    memory::{
        aws::{Action, ByHand, Delays, Fault, VpcShape, by_hand::Tagged},
        judge::{not_ours, owner},
        somebody_else::install_somebody_else,
    },
    scene::{LONG, MODEL, Scene, app, scene, writes},
    uninstall::{Ended, count, order, sweeps, tears_down_as, two_apps},
};

/// What AWS does takes its time, but not long.
fn soon() -> Delays {
    Delays { endpoint_deleted: 60, function_deleted: 5, interfaces_released: 100, role_visible: 5, ..Delays::default() }
}

async fn swept(scene: &Scene) -> Ended {
    let stop = CancellationToken::new();
    tokio::time::timeout(LONG * 3, sweeps(scene, Some(owner()), true, &stop)).await.expect("it ends")
}

/// Another cluster, or the same one after it was rebuilt, with the account of a scene and nothing in Kubernetes.
fn rebuilt(scene: &Scene) -> Scene {
    let mut rebuilt = Scene::new(Delays::default());
    rebuilt.aws = scene.aws.clone();
    rebuilt
}

fn vpc_of(scene: &Scene, name: &str) -> VpcId {
    let object = scene.kubernetes.get(&app(name)).expect("an app");
    object["spec"]["network"]["vpcId"].as_str().expect("a VPC").parse().expect("a VPC")
}

/// Marks the groups of a VPC as a cluster's.
fn mark(scene: &Scene, vpc: &VpcId, mark: &str) {
    let world = scene.aws.world();
    let groups = world.regions[&Scene::region()].groups.values();
    for group in groups.filter(|group| group.vpc == *vpc && Scene::installation().owns(&group.tags)) {
        let tags = [(TAG_OWNER.to_owned(), mark.to_owned())].into();
        let write = Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags });
        scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS tags it");
    }
}

fn says(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

#[tokio::test(start_paused = true)]
async fn without_a_cluster_the_tagged_is_listed_then_removed_and_nothing_else_touched() {
    scene(async {
        let (scene, operator) = two_apps(soon()).await;
        let (vpc, subnets) = scene.vpc(&VpcShape::default());
        install_somebody_else(&vpc, &subnets, |write| {
            scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS takes it")
        });
        operator.stop().await;
        scene.pass(Duration::from_mins(2)).await;
        scene.forget();
        let others = not_ours(&scene.aws.world());
        let (result, lines) = sweeps(&scene, Some(owner()), false, &CancellationToken::new()).await;
        assert!(matches!(result, Err(Failure::NotConfirmed)), "{result:?}");
        assert!(says(&lines, "12 resources in AWS account 123456789012 would be removed:"), "{lines:#?}");
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        let (result, lines) = swept(&scene).await;
        result.expect("all is gone");
        scene.assert_aws_is_empty();
        assert_eq!(not_ours(&scene.aws.world()), others);
        assert!(lines.last().is_some_and(|line| line.starts_with("Nothing in AWS carries the tag")), "{lines:#?}");
        assert_eq!((scene.kubernetes.writes(), count(&scene)), (0, 4), "no Kubernetes API is needed");
        let (result, lines) = swept(&scene).await;
        result.expect("nothing is left to do");
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert_eq!(lines[1], "Other installations have roles in this account: somebody-else.");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_interrupted_after_any_write_comes_to_the_same_end_when_run_again() {
    let mut writes = 0;
    for interrupted_after in 1.. {
        let went_on = scene(async {
            let (scene, operator) = two_apps(soon()).await;
            operator.stop().await;
            let stop = CancellationToken::new();
            let (stopped, mut count) = (stop.clone(), 0);
            scene.aws.watched_by(Box::new(move |_, write, _, _| {
                assert!(!write.operation().name.starts_with("Create"), "{write:?}");
                count += 1;
                if count == interrupted_after {
                    stopped.cancel();
                }
            }));
            let (result, lines) =
                tokio::time::timeout(LONG, sweeps(&scene, Some(owner()), true, &stop)).await.expect("it ends");
            let interrupted = match result {
                Ok(()) => false,
                Err(Failure::Interrupted) => true,
                Err(other) => panic!("{other}: {lines:#?}"),
            };
            let (result, lines) = swept(&scene).await;
            result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
            scene.assert_aws_is_empty();
            interrupted
        })
        .await;
        if !went_on {
            break;
        }
        writes = interrupted_after;
    }
    assert!(writes > 20, "{writes} writes");
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answers_are_lost_or_whose_calls_fail_for_a_while_goes_on() {
    for operation in [
        "DeleteFunction",
        "DeleteLogGroup",
        "DeleteVpcEndpoints",
        "DeleteSecurityGroup",
        "RevokeSecurityGroupIngress",
        "DeleteRole",
        "DeleteRolePolicy",
        "ListFunctions",
        "DescribeVpcEndpoints",
        "DescribeNetworkInterfaces",
    ] {
        for fault in [Fault::answer_lost(), Fault::throttled().times(3), Fault::unavailable()] {
            scene(async {
                let (scene, operator) = two_apps(soon()).await;
                operator.stop().await;
                // The first look is that of whoever asks.
                let reads = operation.starts_with("List") || operation.starts_with("Describe");
                let stop = CancellationToken::new();
                let failing = async {
                    if reads {
                        scene.pass(Duration::from_secs(1)).await;
                    }
                    scene.aws.fail_next(operation, fault.clone());
                };
                let removing = tokio::time::timeout(LONG, sweeps(&scene, Some(owner()), true, &stop));
                let (ended, ()) = futures::future::join(removing, failing).await;
                let (result, lines) = ended.expect("it ends");
                result.unwrap_or_else(|error| panic!("{operation} {fault:?}: {error}: {lines:#?}"));
                scene.assert_aws_is_empty();
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_looked_at_is_never_said_to_be_gone() {
    for reads in [
        &["GetCallerIdentity"][..],
        &["GetAccountAuthorizationDetails", "ListRoles"],
        &["DescribeSecurityGroups"],
        &["DescribeVpcEndpoints"],
        &["ListFunctions"],
        &["GetFunction"],
        &["DescribeLogGroups"],
        &["ListTagsForResource"],
        &["DescribeNetworkInterfaces"],
    ] {
        scene(async {
            let (scene, operator) = two_apps(Delays::default()).await;
            operator.stop().await;
            for read in reads {
                scene.aws.fail_next(read, Fault::access_denied().times(u32::MAX));
            }
            scene.forget();
            let (result, lines) = swept(&scene).await;
            assert!(matches!(result, Err(Failure::Look(_))), "{reads:?}: {result:?} {lines:#?}");
            let stop = CancellationToken::new();
            let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Refused, &stop).await;
            assert!(matches!(result, Err(Failure::Look(_))), "{reads:?}: {result:?} {lines:#?}");
            assert_eq!((count(&scene), scene.kubernetes.writes()), (4, 0));
            assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_write_ends_the_removal_with_the_remedy_and_all_else_is_gone() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        let function = scene.aws.world().regions[&Scene::region()].functions.keys().next().expect("one").to_string();
        scene.aws.fail_next("DeleteFunction", Fault::access_denied().times(u32::MAX).only(function));
        let (result, lines) = swept(&scene).await;
        assert!(matches!(result, Err(Failure::Left)), "{result:?} {lines:#?}");
        assert!(says(&lines, "lambda:DeleteFunction"), "{lines:#?}");
        let region = scene.aws.world().regions.remove(&Scene::region()).expect("the region");
        assert_eq!((region.functions.len(), region.endpoints.len()), (1, 1), "the other app is gone: {lines:#?}");
        scene.aws.clear_faults();
        swept(&scene).await.0.expect("all is gone");
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn interfaces_held_by_lambda_are_waited_for_and_those_left_behind_deleted() {
    for orphaned in [false, true] {
        scene(async {
            let (scene, operator) = two_apps(Delays { interfaces_released: 1500, ..soon() }).await;
            operator.stop().await;
            if orphaned {
                // Nobody is left with whose role Lambda could release them.
                scene.delete_roles();
            }
            let before = tokio::time::Instant::now();
            let (result, lines) = swept(&scene).await;
            result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
            scene.assert_aws_is_empty();
            assert!(before.elapsed() >= Duration::from_mins(25), "{:?}", before.elapsed());
            // With their roles, Lambda releases them itself; what it leaves behind is deleted ten minutes later.
            assert_eq!(before.elapsed() > Duration::from_secs(2000), orphaned, "{:?}: {lines:#?}", before.elapsed());
            assert!(says(&lines, "eni-"), "{lines:#?}");
            assert!(lines.len() < 60, "each thing is told once: {lines:#?}");
        })
        .await;
    }
}

/// Two apps in one VPC, of which one says that it is to be retained.
async fn one_of_two_retained() -> (Scene, Replica, VpcId) {
    let (scene, operator) = two_apps(Delays::default()).await;
    let vpc = vpc_of(&scene, "two");
    scene.apply_app("neighbour", &vpc);
    scene.until_ready("neighbour").await;
    scene.apply("two", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "deletionPolicy": "Retain"}));
    scene.pass(Duration::from_mins(1)).await;
    (scene, operator, vpc)
}

/// The function, role, log group and network of the retained app are there, and nothing else.
fn assert_only_the_retained_is_left(scene: &Scene, vpc: &VpcId, lines: &[String]) {
    let world = scene.aws.world();
    let region = &world.regions[&Scene::region()];
    let functions: Vec<&FunctionName> = region.functions.keys().collect();
    assert!(matches!(&functions[..], [one] if one.as_str().contains("team-a-two")), "{functions:?} {lines:#?}");
    assert_eq!((region.log_groups.len(), region.endpoints.len()), (1, 1), "{lines:#?}");
    assert!(region.endpoints.values().all(|endpoint| endpoint.vpc == *vpc), "{lines:#?}");
    let groups = region.groups.values().filter(|group| Scene::installation().owns(&group.tags));
    assert!(groups.clone().count() == 2 && groups.clone().all(|group| group.vpc == *vpc), "{lines:#?}");
    let retained = world.roles.values().filter(|record| record.role.tags.contains_key(TAG_RETAINED));
    assert_eq!(retained.count(), 1, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_retained_stays_with_its_network_with_a_cluster_and_without_one() {
    scene(async {
        let (scene, operator, vpc) = one_of_two_retained().await;
        operator.stop().await;
        let stop = CancellationToken::new();
        let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Refused, &stop).await;
        result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
        assert_eq!(count(&scene), 0);
        assert_only_the_retained_is_left(&scene, &vpc, &lines);
        for what in ["role pgai-team-a-two", "function pgai-team-a-two", "log group", "VPC endpoint", "security group"]
        {
            assert!(says(&lines, what), "{what} is told: {lines:#?}");
        }
        let (before, since) = (scene.aws.world().regions, scene.aws.take_journal());
        drop(since);
        let (result, lines) = swept(&scene).await;
        result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        assert_eq!(scene.aws.world().regions, before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_retained_says_so_in_aws_before_its_object_goes() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        let vpc = vpc_of(&scene, "two");
        let network = crate::scene::network(&vpc);
        scene.kubernetes.overwrite(&network, |network| network["spec"]["deletionPolicy"] = json!("Retain"));
        operator.stop().await;
        let stop = CancellationToken::new();
        let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Refused, &stop).await;
        result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
        assert_eq!(count(&scene), 0);
        let left = |lines: &[String]| {
            let region = scene.aws.world().regions.remove(&Scene::region()).expect("the region");
            assert_eq!((region.functions.len(), region.endpoints.len()), (0, 1), "{lines:#?}");
            assert!(
                region
                    .endpoints
                    .values()
                    .all(|endpoint| endpoint.vpc == vpc && endpoint.tags.contains_key(TAG_RETAINED))
            );
        };
        left(&lines);
        // Whoever runs it again without the objects knows by the tags.
        let (result, lines) = swept(&scene).await;
        result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
        left(&lines);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_app_whose_role_is_gone_is_not_let_go_and_gets_nothing_created() {
    scene(async {
        let (scene, operator, vpc) = one_of_two_retained().await;
        operator.stop().await;
        scene.delete_roles();
        scene.forget();
        let stop = CancellationToken::new();
        let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Refused, &stop).await;
        assert!(matches!(result, Err(Failure::Left)), "{result:?} {lines:#?}");
        assert!(says(&lines, "App team-a/two is to be retained, but its role pgai-team-a-two"), "{lines:#?}");
        let written = writes(&scene.aws.take_journal());
        assert!(written.iter().all(|call| !call.contains("Create") && !call.contains("Put")), "{written:?}");
        let object = scene.kubernetes.get(&app("two")).expect("the app is there");
        assert_eq!(object["metadata"]["deletionTimestamp"], json!(null), "the operator can put its role back");
        let region = scene.aws.world().regions.remove(&Scene::region()).expect("the region");
        assert!(region.functions.keys().any(|name| name.as_str().contains("team-a-two")), "{lines:#?}");
        assert!(region.endpoints.values().any(|endpoint| endpoint.vpc == vpc), "{lines:#?}");

        let mut operator = Replica::start(&scene, "again");
        operator.until_leads().await;
        scene.until_ready("two").await;
        scene.pass(Duration::from_mins(1)).await;
        operator.stop().await;
        let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Refused, &stop).await;
        result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
        assert_only_the_retained_is_left(&scene, &vpc, &lines);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_no_operator_saw_takes_its_resources_along_or_marks_them() {
    for policy in ["Delete", "Retain"] {
        scene(async {
            let (old, operator) = two_apps(Delays { role_visible: 10, ..Delays::default() }).await;
            operator.kill().await;
            let vpcs = ["one", "two"].map(|name| vpc_of(&old, name));
            // The cluster is built anew; its operator never ran.
            let scene = rebuilt(&old);
            for (name, vpc) in ["one", "two"].into_iter().zip(&vpcs) {
                let network = json!({"vpcId": vpc.as_str()});
                scene.apply(name, json!({"network": network, "models": [MODEL], "deletionPolicy": policy}));
            }
            let stop = CancellationToken::new();
            if policy == "Retain" {
                scene.aws.fail_next("TagRole", Fault::access_denied().times(u32::MAX));
                let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Accepted, &stop).await;
                assert!(matches!(result, Err(Failure::Left)), "{result:?} {lines:#?}");
                assert_eq!(count(&scene), 2, "nothing in AWS would say that they are retained: {lines:#?}");
                scene.aws.clear_faults();
                scene.forget();
            }
            let (result, lines) = tears_down_as(&scene, order(&scene, true), MissingLease::Accepted, &stop).await;
            result.unwrap_or_else(|error| panic!("{policy}: {error}: {lines:#?}"));
            assert_eq!(count(&scene), 0);
            if policy == "Delete" {
                scene.assert_aws_is_empty();
            } else {
                let world = scene.aws.world();
                let region = &world.regions[&Scene::region()];
                assert_eq!((region.functions.len(), region.endpoints.len()), (2, 2), "{lines:#?}");
                assert!(world.roles.values().all(|record| record.role.tags.contains_key(TAG_RETAINED)), "{lines:#?}");
                let written = writes(&scene.aws.take_journal());
                assert_eq!(written.iter().filter(|call| *call != "iam:TagRole").count(), written.len() - 2);
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_clusters_with_one_id_only_the_one_that_is_named_loses_anything() {
    scene(async {
        let (scene, operator) = two_apps(soon()).await;
        operator.stop().await;
        let theirs = vpc_of(&scene, "two");
        mark(&scene, &theirs, "another-cluster");
        scene.forget();
        let stop = CancellationToken::new();
        for confirmed in [false, true] {
            let (result, lines) = sweeps(&scene, None, confirmed, &stop).await;
            let refusal = result.expect_err("nobody has said which").to_string();
            assert!(
                refusal.contains("another-cluster") && refusal.contains(&owner().to_string()),
                "{refusal} {lines:#?}"
            );
            let (result, lines) = tears_down_as(&scene, order(&scene, confirmed), MissingLease::Refused, &stop).await;
            let refusal = result.expect_err("another cluster has the id").to_string();
            assert!(
                refusal.contains("another-cluster") && refusal.contains(&owner().to_string()),
                "{refusal} {lines:#?}"
            );
        }
        assert_eq!((count(&scene), scene.kubernetes.writes()), (4, 0));
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());

        let (result, lines) = sweeps(&scene, Some(owner()), true, &stop).await;
        assert!(matches!(result, Err(Failure::Others { .. })), "{result:?} {lines:#?}");
        assert!(says(&lines, "of the cluster with the mark another-cluster"), "{lines:#?}");
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        assert!(region.functions.len() == 1 && world.roles.len() == 1 && region.log_groups.len() == 1, "{lines:#?}");
        assert!(region.endpoints.values().all(|endpoint| endpoint.vpc == theirs), "{lines:#?}");
        let (result, lines) = sweeps(&scene, Some("another-cluster".parse().expect("a mark")), true, &stop).await;
        result.unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_carries_no_mark_stays_while_another_cluster_has_the_installation_id() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        let unmarked = vpc_of(&scene, "one");
        mark(&scene, &vpc_of(&scene, "two"), "another-cluster");
        let world = scene.aws.world();
        for group in world.regions[&Scene::region()].groups.values().filter(|group| group.vpc == unmarked) {
            let keys = Some([TAG_OWNER.to_owned()].into());
            let deed = ByHand::RemoveTags { from: Tagged::Group(group.id.clone()), keys };
            scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
        }
        scene.forget();
        let (result, lines) = sweeps(&scene, Some(owner()), true, &CancellationToken::new()).await;
        assert!(matches!(result, Err(Failure::Others { .. })), "{result:?} {lines:#?}");
        assert!(says(&lines, "carries no mark"), "{lines:#?}");
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_of_another_account_find_nothing_and_let_nothing_go() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        operator.stop().await;
        scene.forget();
        let mut elsewhere = Scene::new(Delays::default());
        elsewhere.kubernetes = scene.kubernetes.clone();
        elsewhere.aws.become_account(&"999999999999".parse().expect("an account"));
        let stop = CancellationToken::new();
        let (result, lines) = tears_down_as(&elsewhere, order(&scene, true), MissingLease::Refused, &stop).await;
        assert!(matches!(result, Err(Failure::AnotherAccount { .. })), "{result:?} {lines:#?}");
        assert_eq!((count(&scene), scene.kubernetes.writes()), (4, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_lost_the_tags_that_name_its_app_goes_too_and_what_lost_all_of_them_is_told() {
    scene(async {
        let (scene, operator) = two_apps(soon()).await;
        operator.stop().await;
        let world = scene.aws.world();
        let keys = ["privategenai.dev/app-name", "privategenai.dev/vpc"].map(str::to_owned);
        let act = |from: Tagged, keys: Option<&[String]>| {
            let keys = keys.map(|keys| keys.iter().cloned().collect());
            let deed = ByHand::RemoveTags { from, keys };
            scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
        };
        let region = &world.regions[&Scene::region()];
        let (one, two) = (region.functions.keys().next().expect("one"), region.functions.keys().last().expect("two"));
        act(Tagged::Function(one.clone()), Some(&keys));
        act(Tagged::Role(one.as_str().parse().expect("a role")), Some(&keys));
        act(Tagged::Function(two.clone()), None);
        let (result, lines) = swept(&scene).await;
        assert!(matches!(result, Err(Failure::Left)), "{result:?} {lines:#?}");
        assert!(says(&lines, &format!("Function {two} has a name of installation test")), "{lines:#?}");
        let left = scene.aws.world();
        let region = &left.regions[&Scene::region()];
        assert_eq!(region.functions.keys().collect::<Vec<_>>(), [two], "{lines:#?}");
        assert_eq!((left.roles.len(), region.endpoints.len()), (1, 1), "what it needs stays: {lines:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_others_hold_is_told_and_does_not_count_as_gone() {
    scene(async {
        let (scene, operator) = two_apps(Delays::default()).await;
        scene.kubernetes.edit(&app("one"), |app| {
            app["metadata"]["finalizers"].as_array_mut().expect("ours").push(json!("example.com/hold"));
        });
        operator.stop().await;
        let stop = CancellationToken::new();
        let order: TeardownRequest = order(&scene, true);
        let (result, lines) = tears_down_as(&scene, order, MissingLease::Refused, &stop).await;
        assert!(matches!(result, Err(Failure::Left)), "{result:?} {lines:#?}");
        assert!(says(&lines, "example.com/hold"), "{lines:#?}");
        scene.kubernetes.drop_finalizers(&app("one"));
    })
    .await;
}
