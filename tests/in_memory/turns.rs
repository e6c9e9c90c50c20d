//! Objects whose calls pacing puts off: each waits for its turn, and nobody plans or reads for an object that waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use private_genai_operator::aws::{
    VpcId,
    pacing::{Exploration, Held, Pacer, Share},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    memory::aws::{CallRecord, Delays},
    scene::{LONG, MODEL, Scene, app, condition, scene},
};

/// The calls of a new app in IAM, and IAM's rate of changes: the bucket that sets the pace.
const IAM_WRITES: usize = 2;
const IAM_BURST: usize = 10;
const IAM_PER_SECOND: usize = 5;

/// A scene with an app that is ready, and the count of the calls that are put off.
async fn begun(resync: Duration) -> (Scene, VpcId, Arc<AtomicUsize>) {
    begun_with(resync, Exploration::Off).await
}

/// The same, with or without exploration of IAM's rates.
async fn begun_with(resync: Duration, exploration: Exploration) -> (Scene, VpcId, Arc<AtomicUsize>) {
    let put_off = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&put_off);
    let on_hold = Arc::new(move |held: Held| {
        if held.wait.is_none() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut scene = Scene::new(Delays::default());
    scene.resync = resync;
    scene.aws = scene.aws.paced_by(Arc::new(Pacer::new(Share::ALL, on_hold).exploring(exploration)));
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
    let tokens = (IAM_WRITES * apps).saturating_sub(IAM_BURST);
    let limit = Duration::from_secs(u64::try_from(tokens / IAM_PER_SECOND).expect("seconds"));
    let mut by_call: BTreeMap<String, usize> = BTreeMap::new();
    for call in &taken.calls {
        *by_call.entry(call.name()).or_default() += 1;
    }
    println!(
        "{apps} apps, resync {resync:?}: {} reconciles, {} put off, {:?} (limit {limit:?}), calls {by_call:?}",
        taken.reconciles, taken.put_off, taken.time
    );
    // A resync wakes the apps that do not wait any more: those for which there were tokens by then.
    let at = (1..).map(|n| resync * n).take_while(|at| *at <= taken.time);
    let tokens = |at: Duration| usize::try_from(at.as_secs()).expect("seconds") * IAM_PER_SECOND + IAM_BURST;
    let by_resync = at.map(|at| (tokens(at) / IAM_WRITES).min(apps));
    let most = 3 * apps + 10 + by_resync.sum::<usize>();
    assert!(taken.reconciles <= most, "{} reconciles of {apps} apps, at most {most}", taken.reconciles);
    assert!(taken.put_off <= apps, "{} calls of {apps} apps are put off", taken.put_off);
    let most = limit + limit / 20 + Duration::from_secs(3);
    assert!(taken.time <= most, "{:?} for {apps} apps, limit {limit:?}", taken.time);
}

/// The apps that wait for their turn.
fn waiting(scene: &Scene, apps: usize) -> BTreeSet<String> {
    let is_waiting = |name: &String| {
        scene.kubernetes.get(&app(name)).is_some_and(|object| condition(&object, "Ready").1 == "Throttled")
    };
    (0..apps).map(name).filter(is_waiting).collect()
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
        assert!(waiting(&scene, 100).len() >= 50, "the new apps still wait: {:?}", waiting(&scene, 100));
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
        scene.pass(Duration::from_secs(3)).await;
        let before = (reconciles(&scene), put_off.load(Ordering::SeqCst));
        assert!(waiting(&scene, 60).len() >= 30, "{:?}", waiting(&scene, 60));
        scene.kubernetes.take_journal();
        // The apps whose turn has come are reconciled meanwhile. Nobody is put off once more, and no status of a waiting app is written.
        scene.pass(Duration::from_secs(5)).await;
        assert!(reconciles(&scene) - before.0 <= 30, "{before:?}, {}", reconciles(&scene));
        assert_eq!(put_off.load(Ordering::SeqCst), before.1);
        let waiting = waiting(&scene, 60);
        let writes = scene.kubernetes.take_journal().writes();
        assert!(writes.iter().all(|write| !waiting.contains(&write.name)), "{waiting:?}: {writes:?}");
        let mut waiting = waiting.iter();
        let [first, second] = [waiting.next(), waiting.next()].map(|name| name.expect("an app that waits"));
        let object = scene.kubernetes.get(&app(first)).expect("an app");
        let (status, _, message) = condition(&object, "Ready");
        assert_eq!(status, "False");
        assert!(message.contains("the operator itself holds the call back"), "{message}");
        assert!(message.contains("iam:CreateRole"), "{message}");

        scene.kubernetes.delete(&app(first));
        let began = Instant::now();
        scene.until_gone(first).await;
        assert!(began.elapsed() <= Duration::from_secs(2), "its own deletion wakes it: {:?}", began.elapsed());
        scene.apply(second, json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "suspend": true}));
        let began = Instant::now();
        scene.kubernetes.until(&app(second), LONG, |object| condition(object, "Ready").1 == "Suspended").await;
        assert!(began.elapsed() <= Duration::from_secs(2), "its own change wakes it: {:?}", began.elapsed());
        for name in (0..60).map(name).filter(|name| name != first && name != second) {
            scene.until_ready(&name).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn three_hundred_new_apps_are_ready_at_the_pace_of_iam_in_three_reconciles_each() {
    scene(assert_converge_in_turn(300, Duration::from_mins(5))).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_apps_that_are_deleted_at_once_go_at_the_pace_of_iam() {
    scene(async {
        let (scene, vpc, put_off) = begun(Duration::from_mins(5)).await;
        for n in 0..100 {
            scene.apply_app(&name(n), &vpc);
        }
        for n in 0..100 {
            scene.until_ready(&name(n)).await;
        }
        scene.pass(Duration::from_secs(20)).await;
        let (before, began) = (reconciles(&scene), Instant::now());
        put_off.store(0, Ordering::SeqCst);
        for n in 0..100 {
            scene.kubernetes.delete(&app(&name(n)));
        }
        for n in 0..100 {
            scene.until_gone(&name(n)).await;
        }
        let (reconciles, put_off) = (reconciles(&scene) - before, put_off.load(Ordering::SeqCst));
        println!("100 deletions: {reconciles} reconciles, {put_off} put off, {:?}", began.elapsed());
        assert!(reconciles <= 3 * 100 + 10, "{reconciles}");
        assert!(began.elapsed() <= Duration::from_secs(43), "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn apps_whose_predecessors_are_deleted_do_not_wait_for_the_turn_that_they_were_told() {
    scene(async {
        let (scene, vpc, _) = begun(Duration::from_mins(5)).await;
        for n in 0..100 {
            scene.apply_app(&name(n), &vpc);
        }
        scene.pass(Duration::from_secs(3)).await;
        let began = Instant::now();
        let waiting = waiting(&scene, 100);
        assert!(waiting.len() >= 60, "{waiting:?}");
        let leaving: BTreeSet<&String> = waiting.iter().skip(20).collect();
        for name in &leaving {
            scene.kubernetes.delete(&app(name));
        }
        for name in (0..100).map(name).filter(|name| !leaving.contains(name)) {
            scene.until_ready(&name).await;
        }
        println!("the others took {:?}", began.elapsed());
        assert!(began.elapsed() <= Duration::from_secs(15), "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn apps_that_wait_profit_from_a_rate_that_is_explored() {
    scene(async {
        let (scene, vpc, _) = begun_with(Duration::from_mins(5), Exploration::On).await;
        let began = Instant::now();
        for n in 0..100 {
            scene.apply_app(&name(n), &vpc);
        }
        for n in 0..100 {
            scene.until_ready(&name(n)).await;
        }
        println!("a hundred apps took {:?} with exploration", began.elapsed());
        assert!(began.elapsed() <= Duration::from_secs(32), "{:?}", began.elapsed());
    })
    .await;
}
