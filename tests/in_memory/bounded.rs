//! What is throttled or refused makes little work, however many apps wait for it, and heals by itself. Counts are for each
//! minute, long after it began.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    memory::{
        aws::{Action, ByHand, Delays, Fault, VpcShape, boundary},
        kubernetes,
    },
    scene::{Scene, app, condition, names, scene},
};
use private_genai_operator::aws::VpcId;

/// How long a state has lasted before its calls are counted.
const SETTLED: Duration = Duration::from_mins(15);

/// How long they are counted.
const COUNTED: Duration = Duration::from_mins(30);

/// How many resyncs there are meanwhile.
const RESYNCS: usize = 6;

/// What resyncs cost at most, with fewer than 50 functions in one VPC, and two looks at what the region offers.
const READS: usize = 13 * RESYNCS + 2;

fn name(n: usize) -> String {
    format!("app-{n:03}")
}

fn apply(scene: &Scene, vpc: &VpcId, apps: std::ops::Range<usize>) {
    for n in apps {
        scene.apply_app(&name(n), vpc);
    }
}

async fn until_ready(scene: &Scene, apps: std::ops::Range<usize>) {
    for n in apps {
        scene.until_ready(&name(n)).await;
    }
}

async fn with_apps(apps: usize) -> (Scene, VpcId) {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.start();
    apply(&scene, &vpc, 0..apps);
    until_ready(&scene, 0..apps).await;
    (scene, vpc)
}

/// How often each call was made in half an hour, once what lasts has lasted for a while.
async fn calls_in_half_an_hour(scene: &Scene) -> BTreeMap<String, usize> {
    scene.pass(SETTLED).await;
    scene.forget();
    scene.pass(COUNTED).await;
    let mut counts = BTreeMap::new();
    for name in names(&scene.aws.take_journal()) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn always(fault: Fault) -> Fault {
    fault.times(u32::MAX)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_account_is_asked_a_few_times_a_minute_however_many_apps_there_are() {
    scene(async {
        let (scene, vpc) = with_apps(50).await;
        scene.aws.fail_next("*", always(Fault::throttled()));
        apply(&scene, &vpc, 50..60);
        let counts = calls_in_half_an_hour(&scene).await;
        let all: usize = counts.values().sum();
        assert!(all <= 30 + 6, "the network's look, and no app's: {counts:?}");
        scene.aws.clear_faults();
        until_ready(&scene, 0..60).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_write_keeps_the_slowest_pace_and_all_are_served_when_it_ends() {
    scene(async {
        let (scene, vpc) = with_apps(1).await;
        scene.aws.fail_next("CreateRole", always(Fault::throttled()));
        apply(&scene, &vpc, 1..51);
        let counts = calls_in_half_an_hour(&scene).await;
        // An eighth of five a second.
        assert!(counts["iam:CreateRole"] <= 30 * 60 * 5 / 8, "{counts:?}");
        assert!(counts.values().sum::<usize>() - counts["iam:CreateRole"] <= READS, "{counts:?}");
        scene.aws.clear_faults();
        until_ready(&scene, 1..51).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_tried_every_few_minutes_and_nothing_is_read_for_it() {
    scene(async {
        let (scene, vpc) = with_apps(1).await;
        scene.aws.fail_next("CreateRole", always(Fault::access_denied()));
        apply(&scene, &vpc, 1..101);
        let counts = calls_in_half_an_hour(&scene).await;
        // Each resync is a look, and five minutes (and up to a quarter more) after a look there is another.
        let writes = counts["iam:CreateRole"];
        assert!((100 * 5..=100 * 12).contains(&writes), "{counts:?}");
        assert!(counts.values().sum::<usize>() - writes <= READS, "reads are those of the resyncs: {counts:?}");
        scene.aws.clear_faults();
        let begun = tokio::time::Instant::now();
        until_ready(&scene, 1..101).await;
        assert!(begun.elapsed() < Duration::from_secs(400), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_on_a_role_costs_two_calls_an_attempt_and_one_read_for_all() {
    for operation in ["DetachRolePolicy", "PutRolePermissionsBoundary"] {
        scene(async {
            let (mut scene, _) = with_apps(100).await;
            scene.stop().await;
            scene.aws.fail_next(operation, always(Fault::access_denied()));
            if operation == "PutRolePermissionsBoundary" {
                scene.governance.permissions_boundary = Some(boundary());
            } else {
                for role in scene.aws.world().roles.keys() {
                    let policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned();
                    let deed = ByHand::AttachRolePolicy { role: role.clone(), policy_arn };
                    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
                }
            }
            scene.start();
            let counts = calls_in_half_an_hour(&scene).await;
            let writes = counts[&format!("iam:{operation}")];
            assert!((100 * 5..=100 * 2 * 12).contains(&writes), "{operation}: {counts:?}");
            // A hundred attempts are spread over minutes by IAM's rate: each second one look is enough for all in it.
            let reads = counts["iam:GetAccountAuthorizationDetails"];
            assert!(reads * 4 <= writes, "{operation}: {counts:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_refuses_everything_is_asked_a_few_times_a_minute() {
    scene(async {
        let (scene, vpc) = with_apps(100).await;
        scene.aws.fail_next("*", always(Fault::access_denied()));
        apply(&scene, &vpc, 100..101);
        let counts = calls_in_half_an_hour(&scene).await;
        assert!(counts.values().sum::<usize>() <= 30, "{counts:?}");
        let object = scene.kubernetes.get(&app(&name(0))).expect("an app");
        assert_eq!(condition(&object, "Ready").1, "AccessDenied");
        scene.aws.clear_faults();
        let begun = tokio::time::Instant::now();
        until_ready(&scene, 0..101).await;
        assert!(begun.elapsed() < Duration::from_secs(450), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_of_endpoints_is_tried_every_few_minutes_once_for_all_apps() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let full = Fault::new(400, "VpcEndpointLimitExceeded", "The maximum number of VPC endpoints has been reached.");
        scene.aws.fail_next("CreateVpcEndpoint", always(full));
        scene.start();
        apply(&scene, &vpc, 0..100);
        let message = scene.until_refused(&name(99), "QuotaReached").await;
        assert!(message.contains("Service Quotas"), "{message}");
        let counts = calls_in_half_an_hour(&scene).await;
        assert!((4..=2 * RESYNCS).contains(&counts["ec2:CreateVpcEndpoint"]), "{counts:?}");
        assert!(counts.values().sum::<usize>() <= 16 * 2 * RESYNCS, "{counts:?}");
        scene.aws.clear_faults();
        let begun = tokio::time::Instant::now();
        until_ready(&scene, 0..100).await;
        assert!(begun.elapsed() < Duration::from_secs(450), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_list_is_asked_for_twice_a_minute_at_most_however_many_apps_wait_for_it() {
    scene(async {
        let (scene, _) = with_apps(100).await;
        scene.aws.fail_next("ListFunctions", always(Fault::access_denied()));
        scene.forget();
        // From the first refusal on, while the apps still come back soon, and not together.
        scene.pass(Duration::from_mins(10)).await;
        let asked = names(&scene.aws.take_journal()).iter().filter(|call| *call == "lambda:ListFunctions").count();
        // Every half minute, some more at first, and once for each resync.
        assert!((2..=2 * 10 + 8 + 2).contains(&asked), "{asked}");
        scene.aws.clear_faults();
        until_ready(&scene, 0..100).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_asked_for_a_few_times_a_minute_also_without_an_answer() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let list = |fault: kubernetes::Fault| fault.on(kubernetes::Verb::List).of(kubernetes::APPS);
        scene.kubernetes.inject(list(kubernetes::Fault::hang()));
        scene.kubernetes.inject(list(kubernetes::Fault::answer(429)).times(usize::MAX));
        scene.start();
        scene.apply_app(&name(0), &vpc);
        scene.pass(Duration::from_mins(5)).await;
        scene.forget();
        scene.pass(Duration::from_mins(5)).await;
        let lists = scene.kubernetes.take_journal().only(|call| call.verb == kubernetes::Verb::List);
        assert!((5..=20).contains(&lists.len()), "{lists}");
        scene.kubernetes.clear_faults();
        until_ready(&scene, 0..1).await;
    })
    .await;
}
