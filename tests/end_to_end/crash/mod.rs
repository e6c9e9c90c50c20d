//! Nothing is lost, wherever the operator is killed.
//!
//! A life is led without a crash, on several stacks, and recorded: what there is at the end of each phase, and each call
//! that changes something. Then it is led again and again, and in each phase the operator is killed (SIGKILL) at one of
//! these calls: before the work, after the work but before the answer, and so that the next process does not see the
//! work at first. At the end of each phase all is as without a crash, in AWS and in Kubernetes. At no time there is a second
//! endpoint, group, role, function or log group; and in the end the account holds exactly what it held before, whatever
//! its tags.
//!
//! One life has a kill in each phase, because each phase begins where all is known to be as it should. A point is known by
//! its name, not by its number, so that one can be tried alone, as it is printed:
//! `CRASH='start/ec2:CreateVpcEndpoint#1 after' cargo test --test end_to_end crash`.
//!
//! What is a point, and what is not:
//! - *The Lease*: an election is held as in production, and to acquire the Lease is a point. Its renewals are none: they
//!   come by the clock, not by what happens in the life. After a kill the test deletes the Lease, which stands for the minute
//!   in which it runs out.
//! - *Events* are points: nothing may depend on them.
//! - *Probes* are reads: they change nothing.

mod call;
mod least_privilege;
mod ledger;
mod life;
mod names;
mod phase;
mod point;
mod proxy;
mod site;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    panic::AssertUnwindSafe,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures::{FutureExt as _, future::join_all};
use private_genai_operator::aws::Operation;

use call::Call;
use ledger::Ledger;
use life::{Life, Outcome};
use phase::Phase;
use site::Site;

use crate::figures;

/// Stacks on which lives are led at the same time: they wait more than they work.
const SITES: usize = 5;
/// With a way out private DNS is off: where it is on, AWS itself refuses a second endpoint.
const WAY_OUT: &str = "nat";
/// How often the progress is told, in lives.
const TOLD_EVERY: usize = 5;

/// The calls that no life can make in less than ten minutes: interfaces that Lambda leaves behind are deleted then.
const OUT_OF_REACH: [&str; 1] = ["ec2:DeleteNetworkInterface"];

fn tell(what: &str) {
    // Past the runner's capture: it takes minutes.
    std::io::stdout().write_all(format!("crash: {what}\n").as_bytes()).expect("somebody listens");
}

/// What becomes of a life; a panic, such as that of an audit, is told as the loss of the phase in which all points are.
async fn lead(site: &Site, plan: &BTreeMap<Phase, ledger::Try>, ledger: &Mutex<Ledger>) -> Outcome {
    let expected = lock(ledger).expected.clone();
    let points = plan.iter().map(|(phase, (point, _))| (*phase, point.clone())).collect();
    let life = AssertUnwindSafe(Life::lead(site, &points, Some(&expected))).catch_unwind().await;
    life.unwrap_or_else(|_| {
        let first = *plan.keys().next().expect("a plan has a phase");
        Outcome {
            lost: Some((first, "a panic, at this point or at one of the same life".to_owned())),
            ..Outcome::default()
        }
    })
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leads lives until every point was tried, and tells what came of it under this name.
async fn try_all(tried: &str, concern: fn(&Call) -> bool) {
    let only = std::env::var("CRASH").unwrap_or_default();
    let began = Instant::now();
    let sites = join_all((0..SITES).map(|_| Site::new(WAY_OUT))).await;
    let nowhere = BTreeMap::new();
    let recordings = join_all(sites.iter().map(|site| Life::lead(site, &nowhere, None))).await;
    for recording in &recordings {
        assert_eq!(recording.lost, None, "without a crash");
        assert_eq!(recording.record, recordings[0].record, "each life without a crash is the same");
    }
    let made: BTreeSet<String> =
        recordings.iter().flat_map(|recording| &recording.calls).filter_map(Call::of_aws).collect();
    let out_of_reach: Vec<String> = named_in_the_code().difference(&made).cloned().collect();
    assert_eq!(out_of_reach, OUT_OF_REACH, "a life makes every write that the code names");

    let ledger = Mutex::new(Ledger::open(&recordings, concern, &only));
    assert!(lock(&ledger).points > 0, "no point is called {only:?}");
    if only.is_empty() {
        assert_eq!(lock(&ledger).writes(), made, "somebody is killed at every write");
    }
    tell(&lock(&ledger).progress());
    join_all(sites.into_iter().map(async |mut site| {
        loop {
            let Some(plan) = lock(&ledger).plan() else { return };
            let outcome = lead(&site, &plan, &ledger).await;
            if let Some((phase, how)) = &outcome.lost {
                let point = plan.get(phase).map(|(point, _)| point.to_string());
                tell(&format!("LOST in phase {}, at {point:?}: {how}", phase.name()));
            }
            let line = {
                let mut ledger = lock(&ledger);
                ledger.enter(plan, &outcome);
                ledger.lives.is_multiple_of(TOLD_EVERY).then(|| ledger.progress())
            };
            if let Some(line) = line {
                tell(&format!("{line}, {} s", began.elapsed().as_secs()));
            }
            if outcome.lost.is_some() {
                // What is left there would be in the way of the next life.
                site = Site::new(WAY_OUT).await;
            }
        }
    }))
    .await;

    let ledger = lock(&ledger);
    let missed = ledger.missed();
    tell(&format!("{}, {} s", ledger.summary(), began.elapsed().as_secs()));
    if only.is_empty() {
        figures::tell(figures::Part::CrashPoints, tried, &ledger.summary(), ledger.lost.len() + missed.len());
    }
    assert!(ledger.lost.is_empty(), "{:#?}", ledger.lost);
    assert!(missed.is_empty(), "never reached: {missed:#?}");
}

/// The writes that the operator's code names.
fn named_in_the_code() -> BTreeSet<String> {
    Operation::all().filter(|operation| operation.is_write).map(ToString::to_string).collect()
}

fn is_renewal(call: &Call) -> bool {
    call.asked.operation == "PUT leases"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_any_write_the_operator_is_followed_by_one_that_ends_it_the_same() {
    try_all("killed at every call that changes something, end to end", |call| call.asked.writes && !is_renewal(call))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "it takes twenty minutes: make crash-all, and make test-full"]
async fn killed_at_any_call_the_operator_is_followed_by_one_that_ends_it_the_same() {
    try_all("killed at every call, end to end", |call| !is_renewal(call)).await;
}
