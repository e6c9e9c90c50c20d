//! One pass over an object as a state machine: observe, decide, write, observe again, until nothing is left to do now.
//! Pure: [`converge`](super::converge()) makes the calls that a pass asks for.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::Freshness;
use crate::{
    aws::{AwsError, Failure, Operation, Write, Written, pacing::PutOff},
    plan::{Plan, Step, gives_way, makes_room, stands_on},
};

/// A path is built in fewer observations than this. The next pass takes up a plan that still has steps then.
const OBSERVATIONS_MAX: usize = 8;

/// The next call of a pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassAction {
    /// Observe AWS with facts of this age, and decide.
    Observe(Freshness),
    /// Make a write.
    Write(Box<Step>),
    /// The pass is over.
    End,
}

/// Whether a failed write makes the pass decide again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The pass goes on with the next step.
    Continue,
    /// The answer says something by which another plan follows.
    PlanAnew,
}

/// Whether the last observation still counts after a later one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastObservation {
    /// Something is there, or is to be done.
    Valid,
    /// The last observation showed nothing, and an incomplete pass never concludes that nothing is left.
    Void,
}

/// The meaning of AWS's answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// AWS did the write.
    Done,
    /// An earlier call did the write.
    DoneBefore,
    /// The write failed, and the pass decides again.
    PlanAnew,
    /// The write failed.
    Failed,
}

/// A pass between two calls. The answers so far determine the next call. Plain data: a pass can be stopped, compared and hashed
/// at each call.
///
/// # Guarantees
/// - A failed write ends only the writes that [stand on](stands_on) it.
/// - A pass makes a failed write once more only where a quota refused it and a later write [made room](makes_room).
/// - A pass ends at once where AWS does not take the credentials.
/// - A pass makes no further call to a service that throttles or does not answer.
/// - A pass skips a write that AWS took and does not show yet, and every write that stands on that write.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pass {
    /// The last decision. At the end of the pass, failed calls show on its conditions.
    pub plan: Plan,
    /// The writes that AWS took, in order.
    pub done: Vec<Write>,
    /// The part of the writes that changed anything. An earlier call did the rest.
    pub changed: Vec<Write>,
    unobserved: Option<AwsError>,
    failed: Vec<Failed>,
    position: Position,
    observations: usize,
    freshness: Freshness,
    /// The last observation was asked to be fresh.
    observed_fresh: bool,
    /// AWS denied a write that it judges by the role as it is, and the pass observed the role again.
    role_observed_again: bool,
    /// Writes of this pass, or of earlier ones, that the last observation does not show.
    pending: BTreeSet<Write>,
    /// The pass observed once more for the writes that were held back.
    observed_for_pending: bool,
    /// Writes since the last observation.
    done_since: Vec<Write>,
    /// Planned writes that AWS took several times and never showed.
    without_effect: BTreeSet<Write>,
}

/// A step that failed in this pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Failed {
    step: Step,
    error: AwsError,
    retry: Retry,
    /// The turn of the step, where the operator itself holds the call back.
    turn: Option<Instant>,
    /// AWS answered the call.
    is_answered: bool,
}

/// Whether a pass makes a failed step once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Retry {
    /// Not before a later write makes room.
    NoRoom,
    /// A later write made room.
    RoomMade,
    /// The step was made again and failed again.
    Used,
}

/// What becomes of the rest of a pass of which a call is put off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The calls that do not stand on it, and are of other services, are made.
    GoesOn,
    /// All calls wait for the turn.
    Waits,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Position {
    #[default]
    Observe,
    /// Before the first of these steps.
    Write(Vec<Step>),
    End,
}

impl Pass {
    /// The next call.
    pub fn next(&self) -> PassAction {
        match &self.position {
            Position::Observe => PassAction::Observe(self.freshness.clone()),
            Position::Write(steps) => {
                steps.first().cloned().map_or(PassAction::End, |step| PassAction::Write(Box::new(step)))
            }
            Position::End => PassAction::End,
        }
    }

    /// The failed calls that are still needed, and the reads that failed.
    pub fn errors(&self) -> Vec<AwsError> {
        let failed = self.failed_steps().filter(|failed| failed.turn.is_none()).map(|failed| &failed.error);
        self.unobserved.iter().chain(failed).chain(self.plan.unread.values()).cloned().collect()
    }

    /// The next turn of the calls that the operator itself holds back.
    pub fn turn(&self) -> Option<Instant> {
        self.failed_steps().filter_map(|failed| failed.turn).min()
    }

    /// Planned writes that AWS took several times and never showed.
    pub fn without_effect(&self) -> BTreeSet<Write> {
        let planned = self.plan.steps.iter().map(|step| &step.write);
        planned.filter(|write| self.without_effect.contains(write)).cloned().collect()
    }

    fn failed_steps(&self) -> impl Iterator<Item = &Failed> {
        self.failed.iter().filter(|failed| self.plan.steps.contains(&failed.step))
    }

    /// AWS could not be observed at all: the pass ends.
    pub fn observation_failed(&mut self, error: AwsError) -> LastObservation {
        self.unobserved = Some(error);
        self.end();
        if self.plan.is_nothing() { LastObservation::Void } else { LastObservation::Valid }
    }

    /// An observation led to this decision.
    pub fn decided(&mut self, plan: Plan) {
        self.plan = plan;
        self.observations += 1;
        self.done_since.clear();
        // AWS is consistent eventually.
        let planned = self.plan.steps.iter().map(|step| &step.write);
        self.pending = planned.filter(|write| self.done.contains(write)).cloned().collect();
        let steps: Vec<Step> = self.plan.steps.iter().filter(|step| self.may_be_made(step)).cloned().collect();
        if !steps.is_empty() {
            self.position = Position::Write(steps);
            return;
        }
        // A table may have been read before AWS showed a new resource.
        let nothing_left = self.plan.is_nothing();
        if self.plan.steps.is_empty() && (self.plan.needs_fresh_look() || nothing_left) && !self.observed_fresh {
            self.observed_fresh = true;
            self.freshness =
                if nothing_left { Freshness::for_what_may_be_left() } else { Freshness::for_unsettled(&self.plan) };
            // This is the last observation, so the bound on their number does not count.
            self.position = Position::Observe;
        } else {
            self.end();
        }
    }

    /// The next write was made a moment ago, before this pass, and does not show yet: the pass skips the write and what stands on
    /// it, and observes once more. Whoever holds the write back forgets the table that was read before the write.
    pub fn hold_back(&mut self) {
        let Some((step, rest)) = self.next_step() else { return };
        self.pending.insert(step.write);
        self.go_on(rest);
    }

    /// Marks the planned writes that AWS took several times and never showed.
    pub fn mark_without_effect(&mut self, is_without_effect: impl Fn(&Write) -> bool) {
        let planned = self.plan.steps.iter().map(|step| &step.write);
        self.without_effect = planned.filter(|write| is_without_effect(write)).cloned().collect();
    }

    /// AWS answered the next write.
    pub fn answered(&mut self, result: Result<&Written, &AwsError>, reaction: Reaction) -> WriteOutcome {
        let Some((step, rest)) = self.next_step() else { return WriteOutcome::Done };
        let outcome = match result {
            Ok(_) => WriteOutcome::Done,
            Err(error) if is_done_already(&step.write, error) => WriteOutcome::DoneBefore,
            Err(_) if reaction == Reaction::PlanAnew => WriteOutcome::PlanAnew,
            // Since the role was read, somebody may have deleted it, or removed its permissions boundary.
            Err(error)
                if error.failure == Failure::AccessDenied
                    && step.write.describe().is_judged_by_role
                    && !self.role_observed_again =>
            {
                self.role_observed_again = true;
                self.freshness = Freshness::for_role();
                WriteOutcome::PlanAnew
            }
            Err(error) => {
                self.fail(step.clone(), error);
                WriteOutcome::Failed
            }
        };
        if let Ok(written) = result {
            self.changed.extend(step.write.changed(written));
        }
        match outcome {
            WriteOutcome::Done | WriteOutcome::DoneBefore => {
                self.done_since.push(step.write.clone());
                self.failed.retain(|failed| failed.step != step);
                for failed in &mut self.failed {
                    let full = failed.error.failure == Failure::QuotaReached && failed.retry == Retry::NoRoom;
                    if full && makes_room(&step.write, &failed.step.write) {
                        failed.retry = Retry::RoomMade;
                    }
                }
                self.done.push(step.write);
                self.go_on(rest);
            }
            WriteOutcome::PlanAnew => self.observe_again(),
            WriteOutcome::Failed if self.ends_all() => self.end(),
            WriteOutcome::Failed => self.go_on(rest),
        }
        outcome
    }

    /// A quota refused the step in this pass, and a later write made room.
    pub(super) fn has_room_for(&self, step: &Step) -> bool {
        self.failed.iter().any(|failed| failed.step == *step && failed.retry == Retry::RoomMade)
    }

    /// The next step would fail as it did a moment ago: the pass skips it.
    pub(super) fn fail_at_once(&mut self, error: &AwsError) {
        let Some((step, rest)) = self.next_step() else { return };
        self.fail(step, error);
        self.go_on(rest);
    }

    /// The steps that are still to be made, the next one first.
    pub(super) fn steps(&self) -> &[Step] {
        match &self.position {
            Position::Write(steps) => steps,
            Position::Observe | Position::End => &[],
        }
    }

    /// The operator itself holds the next write back until its turn. Where AWS throttled the write the last time, the condition goes on
    /// to say that.
    pub fn put_off(&mut self, put_off: &PutOff, throttled: Option<AwsError>, others: Rest) {
        let Some((step, rest)) = self.next_step() else { return };
        let PutOff { until, service, operation } = *put_off;
        // The message leaves out the turn: a status must not change at each attempt.
        let message = format!(
            "the operator itself holds the call back, to keep to the rate of {service}:{operation} that AWS allows the account"
        );
        let Operation { service, name: operation, .. } = *step.write.operation();
        let error = AwsError { service, operation, failure: Failure::Throttled, code: None, message, request_id: None };
        let is_answered = throttled.is_some();
        self.fail(step.clone(), &throttled.unwrap_or(error));
        if let Some(failed) = self.failed.iter_mut().find(|failed| failed.step == step) {
            (failed.turn, failed.is_answered) = (Some(until), is_answered);
        }
        match others {
            Rest::GoesOn => self.go_on(rest),
            Rest::Waits => self.end(),
        }
    }

    fn next_step(&self) -> Option<(Step, Vec<Step>)> {
        let Position::Write(steps) = &self.position else { return None };
        steps.split_first().map(|(step, rest)| (step.clone(), rest.to_vec()))
    }

    fn fail(&mut self, step: Step, error: &AwsError) {
        let retry = match self.failed.iter().find(|failed| failed.step == step) {
            Some(_) => Retry::Used,
            None => Retry::NoRoom,
        };
        self.failed.retain(|failed| failed.step != step);
        self.failed.push(Failed { step, error: error.clone(), retry, turn: None, is_answered: true });
    }

    fn ends_all(&self) -> bool {
        self.failed.iter().any(|failed| failed.error.failure == Failure::Credentials)
    }

    /// Goes on with the steps that can still be made, then with another observation where anything was written.
    fn go_on(&mut self, rest: Vec<Step>) {
        let steps: Vec<Step> = rest.into_iter().filter(|step| self.may_be_made(step)).collect();
        if !steps.is_empty() {
            self.position = Position::Write(steps);
            return;
        }
        if !self.done_since.is_empty() {
            self.observe_again();
            return;
        }
        if self.held_back().next().is_none() || self.observed_for_pending {
            self.end();
        } else {
            self.observed_for_pending = true;
            self.position = Position::Observe;
        }
    }

    /// Writes of earlier passes that the last observation does not show.
    pub(super) fn held_back(&self) -> impl Iterator<Item = &Write> {
        self.pending.iter().filter(|write| !self.done.contains(write))
    }

    fn observe_again(&mut self) {
        if self.observations < OBSERVATIONS_MAX {
            self.position = Position::Observe;
        } else {
            self.end();
        }
    }

    /// The pass has not made the step yet, or is to make it once more, and no step failed on which it stands.
    fn may_be_made(&self, step: &Step) -> bool {
        !self.has_failed(step)
            && !self.pending.contains(&step.write)
            && !self.is_held_up(step)
            && !self.done_since.iter().any(|done| gives_way(&step.write, done))
            && !self.failed.iter().any(|failed| failed.error.silences_service() && is_of_service(step, &failed.error))
    }

    fn has_failed(&self, step: &Step) -> bool {
        self.failed.iter().any(|failed| failed.step == *step && failed.retry != Retry::RoomMade)
    }

    fn is_held_up(&self, step: &Step) -> bool {
        let before = self.plan.steps.iter().take_while(|other| *other != step);
        before.filter(|other| stands_on(&step.write, &other.write)).any(|other| !self.may_be_made(other))
    }
}

fn is_of_service(step: &Step, error: &AwsError) -> bool {
    step.write.operation().service == error.service
}

/// The refusal says that an earlier call did the work, whose answer was lost or does not show yet.
fn is_done_already(write: &Write, error: &AwsError) -> bool {
    write.describe().done_already == Some(error.failure)
}

mod legs;
#[cfg(test)]
mod tests;
