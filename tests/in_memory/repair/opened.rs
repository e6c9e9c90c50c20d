//! What somebody opens is closed while nothing could be created.

use std::time::Duration;

use private_genai_operator::aws::Protocol;
use serde_json::json;
use tokio::time::sleep;

use super::{SOON, TOPOLOGY, at_rest, by_hand, deny, drift, expect, lead_out, named, network_of, stands};
use crate::{
    drift::shape,
    memory::aws::{ByHand, Fault},
    scene::{MODEL, RESYNC, Scene, app, scene, writes},
};

/// Somebody opens the endpoints' group to everybody, `*` in the endpoint policy, and makes the role an administrator.
fn open_everything(scene: &Scene) {
    for name in ["ingress opened", "egress opened", "endpoint policy opened", "foreign policy attached"] {
        drift(scene, name);
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_opens_is_closed_at_the_next_resync_while_the_placement_is_refused() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        lead_out(&scene, &vpc);
        sleep(TOPOLOGY).await;
        assert_eq!(stands(&network_of(&scene, &vpc), "Ready"), expect("False", "TooFewZones"));
        scene.forget();
        let before = shape(&scene.aws.world());
        open_everything(&scene);
        sleep(RESYNC + SOON).await;
        assert_eq!(shape(&scene.aws.world()), before);
        assert_eq!(stands(&network_of(&scene, &vpc), "Ready"), expect("False", "TooFewZones"));
        assert_eq!(writes(&scene.aws.take_journal()).len(), 4, "one call each");
        sleep(2 * RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "and nothing more");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_opens_is_closed_at_the_next_resync_without_route_tables() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "ec2:DescribeRouteTables");
        sleep(2 * TOPOLOGY).await;
        assert_eq!(stands(&network_of(&scene, &vpc), "VpcReady"), expect("False", "AccessDenied"));
        for kind in ["SecurityGroupsReady", "EndpointsReady"] {
            assert_eq!(stands(&network_of(&scene, &vpc), kind), expect("True", "Ready"), "{kind} tells what is");
        }
        let before = shape(&scene.aws.world());
        open_everything(&scene);
        sleep(RESYNC + SOON).await;
        assert_eq!(shape(&scene.aws.world()), before);
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

/// The operator that finds all of this when it starts has recorded nothing of its own.
#[tokio::test(start_paused = true)]
async fn an_operator_that_starts_under_a_refusal_closes_what_was_opened_while_it_was_away() {
    scene(async {
        let (mut scene, vpc) = at_rest().await;
        scene.stop().await;
        let before = shape(&scene.aws.world());
        lead_out(&scene, &vpc);
        open_everything(&scene);
        scene.start();
        sleep(SOON).await;
        assert_eq!(shape(&scene.aws.world()), before);
        assert_eq!(stands(&network_of(&scene, &vpc), "Ready"), expect("False", "TooFewZones"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_group_is_kept_exact_while_the_other_cannot_be_created() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        lead_out(&scene, &vpc);
        sleep(TOPOLOGY).await;
        drift(&scene, "ingress opened");
        drift(&scene, "group deleted");
        sleep(RESYNC + SOON).await;
        let region = &scene.aws.world().regions[&Scene::region()];
        let ours: Vec<_> = region.groups.values().filter(|group| Scene::installation().owns(&group.tags)).collect();
        assert_eq!(ours.len(), 1, "nothing is created");
        let through = |group: &&&private_genai_operator::aws::SecurityGroup| group.ingress.len() + group.egress.len();
        assert_eq!(ours.iter().map(|group| through(&group)).sum::<usize>(), 0, "{ours:?}");
        let found = stands(&network_of(&scene, &vpc), "SecurityGroupsReady");
        assert_eq!(found, expect("False", "WaitingForNetwork"));
    })
    .await;
}

/// AWS lets a new group out to everywhere.
#[tokio::test(start_paused = true)]
async fn a_function_follows_a_new_group_once_the_group_lets_nothing_else_out() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "ec2:RevokeSecurityGroupEgress");
        for group in named(&scene, "group deleted") {
            scene.aws.act(&group.action).expect("AWS lets it happen");
        }
        sleep(2 * RESYNC + SOON).await;
        assert_eq!(stands(&network_of(&scene, &vpc), "SecurityGroupsReady"), expect("False", "AccessDenied"));
        let carried = || {
            let region = scene.aws.world().regions[&Scene::region()].clone();
            let function = region.functions.values().next().expect("the function").detail.listing.configuration.clone();
            let groups: Vec<_> = function.security_groups.iter().filter_map(|id| region.groups.get(id)).collect();
            let ours = groups.into_iter().filter(|group| Scene::installation().owns(&group.tags));
            ours.flat_map(|group| group.egress.clone()).collect::<Vec<_>>()
        };
        assert_eq!(carried(), [], "not one that lets everything out");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
        assert!(matches!(&carried()[..], [rule] if rule.protocol == Protocol::Tcp), "{:?}", carried());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_app_gets_nothing_in_a_refused_vpc_and_takes_nothing_from_others() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        lead_out(&scene, &vpc);
        sleep(TOPOLOGY).await;
        scene.forget();
        scene.apply("another", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL]}));
        scene.until_refused("another", "TooFewZones").await;
        sleep(2 * RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        scene.kubernetes.delete(&app("another"));
        scene.until_gone("another").await;
    })
    .await;
}

/// By the marks of the groups it is known whose the VPC is: what was read before the last resync is enough to keep something, and not to
/// remove it.
#[tokio::test(start_paused = true)]
async fn nothing_is_removed_while_the_groups_cannot_be_read() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "ec2:DescribeSecurityGroups");
        sleep(TOPOLOGY).await;
        scene.kubernetes.delete(&app("bot"));
        scene.forget();
        sleep(2 * TOPOLOGY).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        assert!(scene.kubernetes.get(&app("bot")).is_some(), "the app is not let go");
        scene.aws.clear_faults();
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

/// What is to go asks nothing of its VPC.
#[tokio::test(start_paused = true)]
async fn route_tables_that_cannot_be_read_hold_up_nothing_that_goes() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "ec2:DescribeRouteTables");
        scene.kubernetes.delete(&app("bot"));
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_can_go_goes_without_a_table_and_objects_only_once_all_is_seen_gone() {
    for read in ["ec2:DescribeSecurityGroups", "ec2:DescribeVpcEndpoints", "lambda:GetFunction"] {
        scene(async {
            let (scene, vpc) = at_rest().await;
            deny(&scene, read);
            scene.kubernetes.delete(&app("bot"));
            sleep(2 * TOPOLOGY).await;
            let left = (scene.kubernetes.get(&app("bot")), scene.kubernetes.get(&crate::scene::network(&vpc)));
            assert!(left.0.is_some() || left.1.is_some(), "{read}: somebody is still there");
            let functions = scene.aws.world().regions[&Scene::region()].functions.len();
            assert_eq!(functions, usize::from(read == "lambda:GetFunction"), "{read}: the function went");
            scene.aws.clear_faults();
            scene.until_nothing_is_left("bot", &vpc).await;
        })
        .await;
    }
}

/// AWS's own answer to the deletion says that the group is gone: no list is needed for that.
#[tokio::test(start_paused = true)]
async fn an_app_whose_log_group_was_listed_goes_although_none_can_be_listed_any_more() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "logs:DescribeLogGroups");
        scene.kubernetes.delete(&app("bot"));
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

/// Of a group that AWS was asked to delete, and gave no answer, only AWS can tell.
#[tokio::test(start_paused = true)]
async fn an_app_whose_log_group_may_be_left_stays_until_somebody_can_tell() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        deny(&scene, "logs:DescribeLogGroups");
        scene.aws.fail_next("logs:DeleteLogGroup", Fault::answer_lost());
        scene.kubernetes.delete(&app("bot"));
        sleep(2 * TOPOLOGY).await;
        assert!(scene.kubernetes.get(&app("bot")).is_some(), "the app is not let go");
        scene.aws.clear_faults();
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_app_keeps_its_path_while_nobody_can_tell_which_apps_there_are() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        let spec = json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "deletionPolicy": "Retain"});
        scene.apply("bot", spec);
        sleep(SOON).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        sleep(SOON).await;
        let before = shape(&scene.aws.world());
        for call in ["iam:GetAccountAuthorizationDetails", "iam:ListRoles"] {
            deny(&scene, call);
        }
        sleep(Duration::from_hours(1)).await;
        assert_eq!(shape(&scene.aws.world()), before, "the network goes for no role that cannot be seen");
        drift(&scene, "endpoint policy opened");
        drift(&scene, "ingress opened");
        sleep(RESYNC + SOON).await;
        assert_eq!(shape(&scene.aws.world()), before, "and is kept exact, by what its status recorded");
        drift(&scene, "role deleted");
        scene.aws.clear_faults();
        by_hand(&scene, ByHand::SetDelays(crate::memory::aws::Delays::default()));
    })
    .await;
}
