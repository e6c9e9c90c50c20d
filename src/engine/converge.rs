//! Makes the calls that a pass asks for: the shell around [`Pass`].

use std::{
    collections::BTreeSet,
    future::Future,
    mem,
    sync::{Arc, MutexGuard},
};

use tokio::time::Instant;
use tracing::{Instrument as _, field::Empty};

use super::{
    Context, Freshness, LastObservation, Memory, Pace, Pass, PassAction, Reaction, Rest, WriteOutcome,
    unconfirmed_writes::Novelty,
};
use crate::{
    aws::{
        AwsError, Operation, Snapshot, Write, Written,
        pacing::{Entry, PutOff, Urgency},
    },
    index::Index,
    plan::Plan,
};

/// What the operator knows apart from AWS. The model checker has its own.
pub trait Knowledge: Sync {
    /// The objects, and the settings.
    fn index(&self) -> Arc<Index>;
    /// What is remembered between passes. Nobody awaits anything while holding it.
    fn memory(&self) -> MutexGuard<'_, Memory>;
}

impl Knowledge for Context {
    fn index(&self) -> Arc<Index> {
        Self::index(self)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        Self::memory(self)
    }
}

/// The subject of a pass: an app or a network that is kept exact, removed or retained, or the place of one that is gone. It holds
/// what one pass learns from answers. Only `observe` awaits.
pub trait PassSubject {
    /// The facts of one observation.
    type Observed: Send;

    /// The key under which refusals and writes without effect are remembered.
    fn key(&self) -> String;

    /// Reads the facts.
    ///
    /// # Errors
    /// Of the reads without which nothing can be decided.
    fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> impl Future<Output = Result<Self::Observed, AwsError>> + Send;

    /// Names and ids in an observation about which refused writes may be made again at once, because somebody asked for that.
    fn names_to_retry(&mut self, _observed: &Self::Observed) -> Vec<String> {
        Vec::new()
    }

    /// Decides by an observation.
    fn decide(&mut self, observed: &Self::Observed, index: &Index, memory: &mut Memory) -> Plan;

    /// The lane of the subject's calls in the queues of pacing.
    fn urgency(&self) -> Urgency {
        Urgency::Existing
    }

    /// Learns from AWS's answer to a write.
    fn learn(&mut self, _write: &Write, _result: Result<&Written, &AwsError>, _memory: &mut Memory) -> Reaction {
        Reaction::Continue
    }
}

/// The observations of a pass that count at its end.
#[derive(Clone, Debug)]
pub enum Observation<O> {
    /// AWS was observed.
    Observed {
        /// The first observation, where there was a later one.
        first: Option<O>,
        /// The last observation.
        last: O,
    },
    /// AWS could not be observed.
    Unobserved(AwsError),
}

impl<O> Observation<O> {
    /// The last observation; `None` where AWS could not be observed.
    pub fn last(&self) -> Option<&O> {
        match self {
            Self::Observed { last, .. } => Some(last),
            Self::Unobserved(_) => None,
        }
    }
}

/// The end of a pass.
#[derive(Clone, Debug)]
pub struct Converged<O> {
    /// The observations.
    pub observation: Observation<O>,
    /// The last decision. Failed calls show on its conditions.
    pub plan: Plan,
    /// The failed calls and reads, as far as they are still needed.
    pub errors: Vec<AwsError>,
    /// The next turn of the calls that the operator itself holds back.
    pub turn: Option<Instant>,
    /// The writes that AWS took, in order.
    pub done: Vec<Write>,
    /// The part of them that changed anything. An earlier call did the rest.
    pub changed: Vec<Write>,
    /// Writes of earlier passes that do not show yet. This pass did not repeat them.
    pub held_back: BTreeSet<Write>,
    /// Writes of this pass that earlier passes made without effect.
    pub repeated: BTreeSet<Write>,
    /// Planned writes that AWS took several times and never showed.
    pub without_effect: BTreeSet<Write>,
}

impl<O> Converged<O> {
    /// The end of a pass, where its last call was answered.
    pub fn of(pass: Pass, observation: Observation<O>, repeated: BTreeSet<Write>) -> Self {
        Self {
            observation,
            errors: pass.errors(),
            turn: pass.turn(),
            held_back: pass.held_back().cloned().collect(),
            repeated,
            without_effect: pass.without_effect(),
            plan: pass.plan,
            done: pass.done,
            changed: pass.changed,
        }
    }

    /// The writes that are new: they changed something, and no earlier pass made them without effect.
    pub fn new_changes(&self) -> Vec<Write> {
        self.changed.iter().filter(|write| !self.repeated.contains(write)).cloned().collect()
    }

    /// No call failed, and no step is left.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.turn.is_none() && self.plan.steps.is_empty()
    }

    /// When to observe again: the soonest of what the failed calls ask for and of what is waited for. A condition that waits only
    /// for failed writes or reads is no wait of its own.
    pub fn pace(&self) -> Pace {
        let of_errors = self.errors.iter().map(Pace::after);
        let open = || self.plan.steps.iter().filter(|step| !self.without_effect.contains(&step.write));
        let pending = open().any(|step| self.done.contains(&step.write) || self.held_back.contains(&step.write));
        let stopped = open().next().is_some() && self.errors.is_empty() && self.turn.is_none();
        let no_effect = (!self.without_effect.is_empty()).then_some(Pace::Blocked);
        let has_steps = |kind| self.plan.steps.iter().any(|step| step.leg == kind);
        let legs =
            self.plan.legs.iter().filter(|leg| !has_steps(leg.kind) && !self.plan.unread.contains_key(&leg.kind));
        let rest = Plan { legs: legs.cloned().collect(), ..Plan::default() };
        let waits = (pending || stopped).then_some(Pace::Wait);
        let turn = self.turn.map(Pace::Turn);
        Pace::soonest(of_errors.chain(waits).chain(turn).chain(no_effect).chain([Pace::of(&rest)]))
    }
}

/// Makes one pass over a subject.
///
/// # Guarantees
/// - No write begins after the operator was told to stop, or without the right to write. The next operator takes the step up.
/// - A write that AWS refused a moment ago until somebody acts is not repeated, however often the object comes back.
pub async fn converge<S: PassSubject>(subject: &mut S, snapshot: &Snapshot, ctx: &Context) -> Converged<S::Observed> {
    let key = subject.key();
    let mut pass = Pass::default();
    let mut repeated = BTreeSet::new();
    let mut first = None;
    let mut entry = Entry::Back;
    let mut last = match subject.observe(snapshot, &Freshness::default(), ctx).await {
        Ok(observed) => observed,
        Err(error) => {
            pass.observation_failed(error.clone());
            return Converged::of(pass, Observation::Unobserved(error), repeated);
        }
    };
    decide(subject, &key, &last, &mut pass, ctx);
    loop {
        match pass.next() {
            PassAction::End => break,
            PassAction::Observe(freshness) => match subject.observe(snapshot, &freshness, ctx).await {
                Ok(observed) => {
                    decide(subject, &key, &observed, &mut pass, ctx);
                    let before = mem::replace(&mut last, observed);
                    first.get_or_insert(before);
                }
                Err(error) => {
                    if pass.observation_failed(error.clone()) == LastObservation::Void {
                        return Converged::of(pass, Observation::Unobserved(error), repeated);
                    }
                }
            },
            PassAction::Write(step) => {
                if ctx.stop.is_cancelled() {
                    pass.end();
                    break;
                }
                if !pass.has_room_for(&step)
                    && let Some(error) = ctx.refusals.of(&step.write)
                {
                    pass.fail_at_once(&error);
                    continue;
                }
                if ctx.refusals.holds_back(&key, &step.write) {
                    snapshot.forget(&step.write, None);
                    pass.hold_back();
                    continue;
                }
                if let Err(put_off) = admit(subject, &key, &pass, entry, snapshot, ctx).await {
                    pass.put_off(&put_off, ctx.refusals.throttle_of(&step.write), rest(subject.urgency()));
                    continue;
                }
                entry = Entry::Front;
                // The pass may have waited for the turn.
                if ctx.stop.is_cancelled() {
                    pass.end();
                    break;
                }
                let Operation { service, name: operation, .. } = step.write.operation();
                let resource = step.write.resource();
                // The call writes its request id into the span.
                let span = tracing::info_span!("step", service, operation, resource, request_id = Empty);
                let Ok(result) = ctx.leadership.write(snapshot.write(&step.write).instrument(span.clone())).await
                else {
                    pass.end();
                    break;
                };
                let result = result.map_err(|error| ctx.refusals.judged(&key, &step.write, error));
                let reaction = subject.learn(&step.write, result.as_ref(), &mut ctx.memory());
                let outcome = pass.answered(result.as_ref(), reaction);
                span.in_scope(|| match (outcome, &result) {
                    (WriteOutcome::Done, _) => {
                        ctx.refusals.forget(&key, &step.write);
                        if ctx.refusals.made(&key, &step) == Novelty::Repeated {
                            repeated.insert(step.write.clone());
                        }
                        tracing::info!("done");
                    }
                    (WriteOutcome::Failed, Err(error)) => {
                        ctx.refusals.remember(&step.write, error);
                        tracing::warn!(%error, "not done");
                    }
                    _ => {}
                });
            }
        }
    }
    if let Some(pacer) = ctx.pacer.as_ref().filter(|_| pass.turn().is_none()) {
        pacer.leave(&key);
    }
    Converged::of(pass, Observation::Observed { first, last }, repeated)
}

/// Waits for the turn of the next write.
async fn admit<S: PassSubject>(
    subject: &S,
    key: &str,
    pass: &Pass,
    entry: Entry,
    snapshot: &Snapshot,
    ctx: &Context,
) -> Result<(), PutOff> {
    let Some(pacer) = &ctx.pacer else { return Ok(()) };
    let operations: Vec<&'static Operation> = pass.steps().iter().map(|step| step.write.operation()).collect();
    pacer.admit(snapshot.region(), key, (subject.urgency(), entry), &operations).await
}

/// What becomes of the rest of a pass whose next call is put off. Of a new app nothing exists that must be kept exact meanwhile.
fn rest(urgency: Urgency) -> Rest {
    match urgency {
        Urgency::Existing => Rest::GoesOn,
        Urgency::New => Rest::Waits,
    }
}

fn decide<S: PassSubject>(subject: &mut S, key: &str, observed: &S::Observed, pass: &mut Pass, ctx: &Context) {
    ctx.refusals.forget_about(&subject.names_to_retry(observed));
    pass.decided(subject.decide(observed, &ctx.index(), &mut ctx.memory()));
    ctx.refusals.looked(key, &pass.plan);
    pass.mark_without_effect(|write| ctx.refusals.is_without_effect(key, write));
}
