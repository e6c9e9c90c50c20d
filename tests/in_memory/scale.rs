//! What one app costs among many: the same calls, however many apps have converged. Each page of a list is a call.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    memory::aws::{CallRecord, Delays, VpcShape},
    scene::{LONG, MODEL, Scene, app, condition, scene},
};
use private_genai_operator::aws::VpcId;

/// The numbers of converged apps among which one app is counted.
const AMONG: [usize; 3] = [1, 10, 100];

/// No resync comes while calls are counted.
const NO_RESYNC: Duration = Duration::from_hours(24);

/// The time after which nothing follows from an event any more, but the look for late writes.
const SETTLED: Duration = Duration::from_secs(20);

fn name(n: usize) -> String {
    format!("app-{n:04}")
}

/// A scene with so many apps that have converged, and the calls until then.
async fn converged(apps: usize) -> (Scene, VpcId, Vec<CallRecord>) {
    let mut scene = Scene::new(Delays::default());
    scene.resync = NO_RESYNC;
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.start();
    for n in 0..apps {
        scene.apply_app(&name(n), &vpc);
    }
    for n in 0..apps {
        scene.until_ready(&name(n)).await;
    }
    scene.pass(SETTLED).await;
    let calls = scene.aws.take_journal();
    // Longer than AWS takes to show writes: nothing of the convergence is remembered.
    scene.pass(Duration::from_mins(2)).await;
    scene.forget();
    (scene, vpc, calls)
}

/// How often each call was made: writes, and reads but for the probe.
fn counted(calls: &[CallRecord]) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut writes, mut reads) = (BTreeMap::new(), BTreeMap::new());
    for call in calls.iter().filter(|call| call.name() != "lambda:Invoke") {
        *(if call.write { &mut writes } else { &mut reads }).entry(call.name()).or_default() += 1;
    }
    (writes, reads)
}

fn sum(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().sum()
}

fn probes(calls: &[CallRecord]) -> usize {
    calls.iter().filter(|call| call.name() == "lambda:Invoke").count()
}

fn once<const N: usize>(calls: [&str; N]) -> BTreeMap<String, usize> {
    calls.into_iter().map(|call| (call.to_owned(), 1)).collect()
}

async fn further(scene: &Scene, vpc: &VpcId, names: &[String]) -> Vec<CallRecord> {
    for name in names {
        scene.apply_app(name, vpc);
    }
    for name in names {
        scene.until_ready(name).await;
    }
    scene.pass(SETTLED).await;
    scene.aws.take_journal()
}

async fn changed(scene: &Scene, vpc: &VpcId, names: &[String]) -> Vec<CallRecord> {
    for name in names {
        let function = json!({"memoryMiB": 1024});
        scene.apply(name, json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "function": function}));
    }
    let through = |app: &Value| {
        condition(app, "Ready").0 == "True" && app["status"]["observedGeneration"] == app["metadata"]["generation"]
    };
    for name in names {
        scene.kubernetes.until(&app(name), LONG, through).await;
    }
    scene.pass(SETTLED).await;
    scene.aws.take_journal()
}

async fn deleted(scene: &Scene, names: &[String]) -> Vec<CallRecord> {
    for name in names {
        scene.kubernetes.delete(&app(name));
    }
    for name in names {
        scene.until_gone(name).await;
    }
    // The look for late writes comes after half a minute.
    scene.pass(Duration::from_secs(5)).await;
    scene.aws.take_journal()
}

const CREATION: [&str; 5] =
    ["iam:CreateRole", "iam:PutRolePolicy", "lambda:CreateFunction", "logs:CreateLogGroup", "logs:PutRetentionPolicy"];
const DELETION: [&str; 4] = ["iam:DeleteRole", "iam:DeleteRolePolicy", "lambda:DeleteFunction", "logs:DeleteLogGroup"];

#[tokio::test(start_paused = true)]
async fn a_further_app_costs_five_writes_and_two_reads_among_however_many() {
    for apps in AMONG {
        scene(async {
            let (scene, vpc, _) = converged(apps).await;
            let calls = further(&scene, &vpc, &["further".to_owned()]).await;
            let (writes, reads) = counted(&calls);
            assert_eq!(writes, once(CREATION), "among {apps}");
            assert_eq!(reads.get("lambda:GetFunction"), Some(&1), "among {apps}: {reads:?}");
            assert!(sum(&reads) <= 2, "among {apps}: {reads:?}");
            assert_eq!(probes(&calls), 1, "among {apps}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_app_costs_one_write_and_two_reads_among_however_many() {
    for apps in AMONG {
        scene(async {
            let (scene, vpc, _) = converged(apps).await;
            let calls = changed(&scene, &vpc, &[name(0)]).await;
            let (writes, reads) = counted(&calls);
            assert_eq!(writes, once(["lambda:UpdateFunctionConfiguration"]), "among {apps}");
            assert!(sum(&reads) <= 2, "among {apps}: {reads:?}");
            assert_eq!(probes(&calls), 1, "among {apps}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_app_costs_four_writes_and_four_reads_among_however_many() {
    for apps in AMONG {
        scene(async {
            let (scene, vpc, _) = converged(apps).await;
            scene.apply_app("leaves", &vpc);
            scene.until_ready("leaves").await;
            scene.pass(Duration::from_mins(2)).await;
            scene.forget();
            let calls = deleted(&scene, &["leaves".to_owned()]).await;
            let (writes, reads) = counted(&calls);
            assert_eq!(writes, once(DELETION), "among {apps}");
            assert!(sum(&reads) <= 4, "among {apps}: {reads:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_at_once_cost_no_more_for_each_than_one_and_share_their_looks() {
    scene(async {
        let (scene, vpc, _) = converged(100).await;
        let twenty: Vec<String> = (0..20).map(|n| format!("further-{n}")).collect();
        let (writes, reads) = counted(&further(&scene, &vpc, &twenty).await);
        assert_eq!((sum(&writes), writes.values().all(|count| *count == 20)), (5 * 20, true), "{writes:?}");
        assert!(sum(&reads) <= 24, "{reads:?}");
        scene.pass(Duration::from_mins(2)).await;
        scene.forget();
        let (writes, reads) = counted(&changed(&scene, &vpc, &twenty).await);
        assert_eq!(sum(&writes), 20, "{writes:?}");
        assert!(sum(&reads) <= 2 * 20, "{reads:?}");
        scene.pass(Duration::from_mins(2)).await;
        scene.forget();
        let (writes, reads) = counted(&deleted(&scene, &twenty).await);
        assert_eq!((sum(&writes), writes.values().all(|count| *count == 20)), (4 * 20, true), "{writes:?}");
        assert!(sum(&reads) <= 4 * 20, "{reads:?}");
        assert!(reads["ec2:DescribeNetworkInterfaces"] <= 10, "one look serves all that go together: {reads:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reads_while_apps_converge_follow_the_number_of_apps_and_nothing_else() {
    for apps in [1, 10, 100, 300] {
        scene(async {
            let (_, _, calls) = converged(apps).await;
            let (_, reads) = counted(&calls);
            assert!(sum(&reads) <= apps * 12 / 10 + 20, "{apps} apps: {reads:?}");
        })
        .await;
    }
}
