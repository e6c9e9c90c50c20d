//! Nothing is lost, wherever the operator is killed.
//!
//! A life is led without a crash and recorded: what there is at the end of each phase, and each call that changes
//! something. Then it is led again and again, with the operator killed (SIGKILL) at one of these calls in each phase: before
//! the work, after the work but before the answer, and so that the next process does not see the work at first. It must
//! be as without a crash at the end of each phase. In between there is never a second endpoint, group or role, and in the
//! end the account holds exactly what it held before.
//!
//! The calls are named, so that one point can be tried alone:
//! `CRASH='create/ec2:CreateVpcEndpoint' cargo test --test end_to_end crash`.

mod call;
mod life;
mod names;
mod phase;
mod point;
mod proxy;
mod site;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use call::Call;
use life::{Life, Outcome, Record};
use phase::Phase;
use point::Point;
use site::Site;

use crate::figures;

/// Stacks on which lives are led at the same time.
const SITES: usize = 2;
/// Lives without a crash on each of them. They must be the same.
const RECORDINGS: usize = 2;
/// How often a point is tried that is not reached: calls of several objects come in any order, and what is asked for twice
/// in one life is asked for once in another.
const TRIES: usize = 4;

/// What is still to be tried, and what came of the rest.
#[derive(Default)]
struct Ledger {
    expected: Record,
    queues: BTreeMap<Phase, VecDeque<(Point, usize)>>,
    points: usize,
    /// Points of calls that not every recording had.
    seldom: BTreeSet<Point>,
    reached: BTreeSet<Point>,
    never_reached: BTreeSet<Point>,
    lost: BTreeMap<Point, String>,
    lives: usize,
    restarts: usize,
    stale_answers: usize,
}

impl Ledger {
    /// The next life: a point of each phase that has any left.
    fn plan(&mut self) -> Option<BTreeMap<Phase, (Point, usize)>> {
        let plan: BTreeMap<_, _> =
            self.queues.iter_mut().filter_map(|(phase, queue)| Some((*phase, queue.pop_front()?))).collect();
        (!plan.is_empty()).then_some(plan)
    }

    fn enter(&mut self, plan: BTreeMap<Phase, (Point, usize)>, outcome: Outcome) {
        self.lives += 1;
        self.restarts += outcome.restarts;
        self.stale_answers += outcome.stale_answers;
        let last = outcome.lost.as_ref().map_or(Phase::Delete, |(phase, _)| *phase);
        for (phase, (point, tries)) in plan {
            match &outcome.lost {
                Some((lost_in, how)) if *lost_in == phase => {
                    tell(&format!("LOST at {point}: {how}"));
                    self.lost.insert(point, how.clone());
                }
                _ if outcome.reached.contains(&point) => drop(self.reached.insert(point)),
                // A phase that was not lived is not a try.
                _ if phase > last => self.queues.entry(phase).or_default().push_back((point, tries)),
                _ if tries + 1 < TRIES => self.queues.entry(phase).or_default().push_back((point, tries + 1)),
                _ => drop(self.never_reached.insert(point)),
            }
        }
    }
}

fn tell(what: &str) {
    // Past the runner's capture: it takes minutes.
    std::io::stdout().write_all(format!("crash: {what}\n").as_bytes()).expect("somebody listens");
}

/// Leads lives on two sites until every point of the calls that `concern` us was tried.
async fn try_all(concern: fn(&Call) -> bool) -> Ledger {
    let began = Instant::now();
    let sites = futures::future::join_all((0..SITES).map(|_| Site::new())).await;
    let recordings = futures::future::join_all(sites.iter().map(async |site| {
        let mut outcomes = Vec::new();
        for _ in 0..RECORDINGS {
            let outcome = Life::lead(site, &BTreeMap::new(), None).await;
            assert_eq!(outcome.lost, None, "without a crash");
            tell(&format!("a life without a crash: {:?}", outcome.took));
            outcomes.push(outcome);
        }
        outcomes
    }))
    .await;
    let ledger = Mutex::new(planned(recordings.into_iter().flatten().collect(), concern));
    let ledger = &ledger;
    let lock = || -> MutexGuard<'_, Ledger> { ledger.lock().unwrap_or_else(PoisonError::into_inner) };
    tell(&format!("{} points, after {:?}", lock().points, began.elapsed()));
    futures::future::join_all(sites.into_iter().map(async |mut site| {
        loop {
            let (plan, expected) = {
                let mut ledger = lock();
                let Some(plan) = ledger.plan() else { return };
                (plan, ledger.expected.clone())
            };
            let points = plan.iter().map(|(phase, (point, _))| (*phase, point.clone())).collect();
            let outcome = Life::lead(&site, &points, Some(&expected)).await;
            let is_lost = outcome.lost.is_some();
            let told = {
                let mut ledger = lock();
                ledger.enter(plan, outcome);
                let Ledger { points, reached, lost, lives, .. } = &*ledger;
                let tried = reached.len() + lost.len();
                format!("{tried} of {points} points in {lives} lives, {} lost, {:?}", lost.len(), began.elapsed())
            };
            tell(&told);
            if is_lost {
                // What is left there would be in the way of the next life.
                site = Site::new().await;
            }
        }
    }))
    .await;
    std::mem::take(&mut *lock())
}

/// What is to be tried, from lives without a crash.
fn planned(recordings: Vec<Outcome>, concern: fn(&Call) -> bool) -> Ledger {
    let mut ledger = Ledger::default();
    let calls = |outcome: &Outcome| -> BTreeSet<Call> { outcome.calls.iter().filter(|it| concern(it)).cloned().collect() };
    for recording in &recordings {
        if ledger.expected.is_empty() {
            ledger.expected.clone_from(&recording.record);
        }
        assert_eq!(recording.record, ledger.expected, "each life without a crash ends the same");
    }
    for call in &recordings[0].calls { if concern(call) { tell(&call.to_string()); } }
    let only = std::env::var("CRASH").unwrap_or_default();
    let all: BTreeSet<Call> = recordings.iter().flat_map(calls).collect();
    let phases: BTreeMap<&str, Phase> = Phase::ALL.into_iter().map(|phase| (phase.name(), phase)).collect();
    for call in all {
        let seldom = recordings.iter().any(|recording| !recording.calls.contains(&call));
        for point in Point::of(&call) {
            if !point.to_string().contains(&only) {
                continue;
            }
            ledger.points += 1;
            if seldom {
                ledger.seldom.insert(point.clone());
            }
            ledger.queues.entry(phases[call.phase]).or_default().push_back((point, 0));
        }
    }
    ledger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operator_that_is_killed_at_any_call_that_changes_something_is_followed_by_one_that_ends_it_the_same() {
    let ledger = try_all(|call| call.asked.writes).await;
    for point in &ledger.seldom {
        tell(&format!("seldom: {point}"));
    }
    for point in &ledger.never_reached {
        tell(&format!("never reached: {point}"));
    }
    figures::tell(figures::Part::CrashPoints, "x", "y", ledger.lost.len());
    assert!(ledger.lost.is_empty(), "{:#?}", ledger.lost);
}
