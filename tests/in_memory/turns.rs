//! Objects whose calls pacing puts off: each waits for its turn, and nobody plans or reads for an object that waits.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use private_genai_operator::aws::pacing::{Pacer, Share};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    memory::aws::{CallRecord, Delays},
    scene::{LONG, Scene, app, condition, scene},
};

/// The calls of a new app in IAM, and IAM's rate of changes: the bucket that sets the pace.
const IAM_WRITES: usize = 2;
const IAM_BURST: usize = 10;
const IAM_PER_SECOND: f64 = 5.0;

/// A scene with an app that is ready, and the count of the calls that are put off.
async fn begun(resync: Duration) -> (Scene, private_genai_operator::aws::VpcId, Arc<AtomicUsize>) {
    let put_off = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&put_off);
    let on_hold = Arc::new(move |held: private_genai_operator::aws::pacing::Held| {
        if held.wait.is_none() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut scene = Scene::new(Delays::default());
    scene.resync = resync;
    scene.aws = scene.aws.paced_by(Arc::new(Pacer::new(Share::ALL, on_hold)));
    let (scene, vpc) = scene.and_app("first").await;
    scene.pass(Duration::from_secs(20)).await;
    scene.forget();
    put_off.store(0, Ordering::SeqCst);
    (scene, vpc, put_off)
}

fn name(n: usize) -> String {
    format!("app-{n:03}")
}

/// The reconciles of apps so far.
fn reconciles(scene: &Scene) -> usize {
    let text = scene.metrics.text().expect("text");
    let counts = text.lines().filter(|line| line.contains(r#"_reconciles_total{kind="app""#));
    counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
}

/// What it took until all of some new apps were ready.
#[derive(Debug)]
struct Taken {
    reconciles: usize,
    put_off: usize,
    time: Duration,
    calls: Vec<CallRecord>,
}

async fn converge(apps: usize, resync: Duration) -> Taken {
    let (scene, vpc, put_off) = begun(resync).await;
    let (before, began) = (reconciles(&scene), Instant::now());
    for n in 0..apps {
        scene.apply_app(&name(n), &vpc);
    }
    for n in 0..apps {
        scene.until_ready(&name(n)).await;
    }
    let time = began.elapsed();
    Taken {
        reconciles: reconciles(&scene) - before,
        put_off: put_off.load(Ordering::SeqCst),
        time,
        calls: scene.aws.take_journal(),
    }
}

/// Asserts that apps converge in the time that the buckets set, with few reconciles.
async fn assert_converge_in_turn(apps: usize, resync: Duration) {
    let taken = converge(apps, resync).await;
    let limit = (IAM_WRITES * apps).saturating_sub(IAM_BURST) as f64 / IAM_PER_SECOND;
    let mut by_call: BTreeMap<String, usize> = BTreeMap::new();
    for call in &taken.calls {
        *by_call.entry(call.name()).or_default() += 1;
    }
    println!(
        "{apps} apps, resync {resync:?}: {} reconciles, {} put off, {:?} (limit {limit} s), calls {by_call:?}",
        taken.reconciles, taken.put_off, taken.time
    );
    assert!(taken.reconciles <= 3 * apps + 10, "{} reconciles of {apps} apps", taken.reconciles);
    assert!(taken.put_off <= apps, "{} calls of {apps} apps are put off", taken.put_off);
    assert!(taken.time.as_secs_f64() <= limit * 1.05 + 3.0, "{:?} for {apps} apps, limit {limit} s", taken.time);
}

#[tokio::test(start_paused = true)]
async fn thirty_new_apps_are_ready_at_the_pace_of_iam_in_three_reconciles_each() {
    scene(assert_converge_in_turn(30, Duration::from_mins(5))).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_new_apps_are_ready_at_the_pace_of_iam_in_three_reconciles_each() {
    scene(assert_converge_in_turn(100, Duration::from_mins(5))).await;
}

#[tokio::test(start_paused = true)]
async fn a_resync_every_ten_seconds_wakes_no_app_that_waits_for_its_turn() {
    scene(assert_converge_in_turn(100, Duration::from_secs(10))).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_and_a_repair_are_served_before_a_hundred_new_apps() {
    scene(async {
        let (scene, vpc, _) = begun(Duration::from_mins(5)).await;
        scene.apply_app("second", &vpc);
        scene.until_ready("second").await;
        for n in 0..100 {
            scene.apply_app(&name(n), &vpc);
        }
        scene.pass(Duration::from_secs(4)).await;
        let began = Instant::now();
        scene.kubernetes.delete(&app("first"));
        scene.apply("second", json!({"network": {"vpcId": vpc.as_str()}, "models": ["amazon.nova-pro-v1:0"]}));
        scene.until_gone("first").await;
        let gone = began.elapsed();
        let generation = |object: &serde_json::Value| object["metadata"]["generation"].clone();
        let changed = |object: &serde_json::Value| {
            object["status"]["observedGeneration"] == generation(object) && condition(object, "Ready").0 == "True"
        };
        scene.kubernetes.until(&app("second"), LONG, changed).await;
        println!("the deletion took {gone:?}, the change {:?}", began.elapsed());
        assert!(gone <= Duration::from_secs(10), "{gone:?}");
        assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
        let object = scene.kubernetes.get(&app("app-099")).expect("an app");
        assert_eq!(condition(&object, "Ready").0, "False", "the new apps still wait");
        for n in 0..100 {
            scene.until_ready(&name(n)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_waits_says_why_and_wakes_for_its_own_change_only() {
    scene(async {
        let (scene, vpc, put_off) = begun(Duration::from_mins(5)).await;
        for n in 0..60 {
            scene.apply_app(&name(n), &vpc);
        }
        let last = app("app-059");
        let object = scene.kubernetes.until(&last, LONG, |object| condition(object, "Ready").1 == "Throttled").await;
        let (status, _, message) = condition(&object, "Ready");
        assert_eq!(status, "False");
        assert!(message.contains("the operator itself holds the call back"), "{message}");
        assert!(message.contains("iam:CreateRole"), "{message}");
        scene.pass(Duration::from_secs(2)).await;
        scene.kubernetes.take_journal();
        let before = (reconciles(&scene), put_off.load(Ordering::SeqCst));
        // The apps whose turn has come are reconciled meanwhile; nobody is put off once more, and the last one's status stays.
        scene.pass(Duration::from_secs(8)).await;
        assert!(reconciles(&scene) - before.0 <= 60, "{before:?}, {}", reconciles(&scene));
        assert_eq!(put_off.load(Ordering::SeqCst), before.1);
        let writes = scene.kubernetes.take_journal().writes();
        assert!(writes.iter().all(|write| write.name != "app-059"), "{writes:?}");
        scene.kubernetes.delete(&last);
        let began = Instant::now();
        scene.until_gone("app-059").await;
        assert!(began.elapsed() <= Duration::from_secs(2), "its own deletion wakes it: {:?}", began.elapsed());
        for n in 0..59 {
            scene.until_ready(&name(n)).await;
        }
    })
    .await;
}
