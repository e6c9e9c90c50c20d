//! What is to be tried, what was, and what came of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sampled;

use super::{
    call::Call,
    life::{Outcome, Record},
    phase::Phase,
    point::Point,
};

/// How often a point is tried that is not reached. One that not every life without a crash comes to is tried once.
const TRIES: usize = 5;
/// No more points than one in so many may come by chance, or the lives are not what they seem to be.
const CHANCE: usize = 10;

/// A point, and how often it was tried in vain.
pub type Try = (Point, usize);

/// The books.
#[derive(Default)]
pub struct Ledger {
    /// What there is at the end of each phase without a crash.
    pub expected: Record,
    /// What is still to be tried.
    queues: BTreeMap<Phase, VecDeque<Try>>,
    /// All points, and how many calls they are of.
    pub points: usize,
    pub calls: usize,
    /// All points, those included that are left to `make test-full`.
    pub all_points: usize,
    /// Points of calls that not every life without a crash makes.
    seldom: BTreeSet<Point>,
    /// Calls that are left out because not every life makes them.
    pub left_out: usize,
    pub reached: BTreeSet<Point>,
    pub never_reached: BTreeSet<Point>,
    pub lost: BTreeMap<Point, String>,
    pub lives: usize,
    pub restarts: usize,
    pub stale_answers: usize,
}

impl Ledger {
    /// Opens the books with lives without a crash. Of the calls that are to be points, those that only some of these lives
    /// make are left out if they are reads: how often something is polled is chance.
    pub fn open(recordings: &[Outcome], concern: fn(&Call) -> bool, only: &str) -> Self {
        let mut ledger = Self { expected: recordings[0].record.clone(), lives: recordings.len(), ..Self::default() };
        let made: Vec<BTreeSet<&Call>> =
            recordings.iter().map(|recording| recording.calls.iter().filter(|call| concern(call)).collect()).collect();
        let calls: BTreeSet<&Call> = made.iter().flatten().copied().collect();
        let mut all = Vec::new();
        for call in calls {
            let seldom = made.iter().any(|calls| !calls.contains(call));
            if seldom && !call.asked.writes {
                ledger.left_out += 1;
                continue;
            }
            let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.name() == call.phase) else { continue };
            let points = Point::of(call);
            if seldom {
                ledger.seldom.extend(points.iter().cloned());
            }
            all.extend(points.into_iter().map(|point| (phase, point)));
        }
        let facets = |(phase, point): &(Phase, Point)| facets(*phase, point, ledger.seldom.contains(point));
        let points = if only.is_empty() {
            sampled::chosen(&all, only, facets)
        } else {
            // A point is known by its name.
            all.iter().filter(|(_, point)| point.to_string().contains(only)).cloned().collect()
        };
        ledger.all_points = all.len();
        ledger.points = points.len();
        ledger.calls = points.iter().map(|(_, point)| &point.call).collect::<BTreeSet<_>>().len();
        for (phase, point) in points {
            ledger.queues.entry(phase).or_default().push_back((point, 0));
        }
        ledger
    }

    /// The writes to AWS at which somebody is to be killed.
    pub fn writes(&self) -> BTreeSet<String> {
        self.queues.values().flatten().filter_map(|(point, _)| point.call.of_aws()).collect()
    }

    /// The next life: a point of each phase that has any left.
    pub fn plan(&mut self) -> Option<BTreeMap<Phase, Try>> {
        let next = self.queues.iter_mut().filter_map(|(phase, queue)| Some((*phase, queue.pop_front()?)));
        let plan: BTreeMap<_, _> = next.collect();
        (!plan.is_empty()).then_some(plan)
    }

    /// Enters what came of a life.
    pub fn enter(&mut self, plan: BTreeMap<Phase, Try>, outcome: &Outcome) {
        self.lives += 1;
        self.restarts += outcome.restarts;
        self.stale_answers += outcome.stale_answers;
        for (phase, (point, tries)) in plan {
            match &outcome.lost {
                Some((lost, how)) if *lost == phase => drop(self.lost.insert(point, how.clone())),
                // A phase that was not lived through is not a try.
                Some((lost, _)) if *lost < phase => self.queues.entry(phase).or_default().push_back((point, tries)),
                _ if outcome.reached.contains(&point) => drop(self.reached.insert(point)),
                _ if tries + 1 < TRIES && !self.seldom.contains(&point) => {
                    self.queues.entry(phase).or_default().push_back((point, tries + 1));
                }
                _ => drop(self.never_reached.insert(point)),
            }
        }
    }

    /// How far it is.
    pub fn progress(&self) -> String {
        let Self { reached, lost, points, lives, restarts, .. } = self;
        format!(
            "{} of {points} points, {lives} lives, {restarts} restarts, {} lost",
            reached.len() + lost.len(),
            lost.len()
        )
    }

    /// What was tried, for people.
    pub fn summary(&self) -> String {
        let Self { calls, points, all_points, reached, lost, lives, restarts, stale_answers, .. } = self;
        format!(
            "{calls} calls, {} of {points} points ({} come by chance) of {all_points}, {lives} lives, {restarts} restarts, \
             {stale_answers} stale answers",
            reached.len() + lost.len(),
            self.by_chance().count(),
        )
    }

    /// Points that no life came to, each of which lived through the phase all the same: that not every life without a crash
    /// makes the call was seen before, or the call repeats one that every life makes, or it only looks or tells. *That*
    /// something is made follows from the phase; *how often*, from how fast AWS is (a role that Lambda cannot use yet), and so
    /// does what is looked at and told on the way.
    fn by_chance(&self) -> impl Iterator<Item = &Point> {
        let chance = |point: &&Point| self.seldom.contains(*point) || point.call.nth > 1 || !point.call.asked.makes();
        self.never_reached.iter().filter(chance)
    }

    /// Points that no life came to, and that do not come by chance; all of them if too many seem to.
    pub fn missed(&self) -> Vec<String> {
        let by_chance: BTreeSet<&Point> = self.by_chance().collect();
        let too_many = by_chance.len() * CHANCE > self.points;
        self.never_reached.iter().filter(|point| too_many || !by_chance.contains(point)).map(Point::to_string).collect()
    }
}

/// What each sample of the points holds: every call, each moment in each phase, and each moment of each API and service.
/// Nothing of a point that comes by chance.
fn facets(phase: Phase, point: &Point, seldom: bool) -> Vec<String> {
    let Point { call, moment } = point;
    let (service, operation) = (&call.asked.service, &call.asked.operation);
    if seldom || call.nth > 1 {
        return Vec::new();
    }
    vec![format!("{service} {operation}"), format!("{phase:?} {moment:?}"), format!("{service} {moment:?}")]
}
