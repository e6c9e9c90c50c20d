//! Legs become conditions. Pure.
//!
//! ```text
//! legs + conditions before ──► assess: start, overdue? ──► compare with the conditions before, by their text ──► render
//! ```

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{ConditionType, Leg, LegState, Message, Reason, Wait, WaitState, WaitsFor, find, wait::says_nothing};

/// Turns legs into conditions: one each, in the order of their types; `Ready` from the first unmet leg; and `Reconciling` or `Stalled`
/// while they are true (kstatus).
///
/// # Guarantees
/// - A condition keeps its time while it keeps its status, and its message while only the request id differs. So the same legs
///   give the same conditions, and no status is written for an attempt that failed like the one before.
/// - The message about a wait ends with its start, which outlives the operator there.
/// - A wait that is longer than its [bound](Wait) makes the object `Stalled`: a person must act.
pub fn conditions_of(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let mut legs = assess(legs, before, generation, now);
    legs.sort_by_key(|assessed| assessed.leg.kind);
    let worst = legs.iter().find(|leg| leg.needs_somebody()).or_else(|| legs.iter().find(|leg| leg.is_unmet()));
    let ready = match worst {
        None => Leg::met(ConditionType::Ready, "Everything is as it should be."),
        Some(worst) => Leg { kind: ConditionType::Ready, ..worst.leg.clone() },
    };
    let summary = worst.map(|worst| {
        let kind = if worst.needs_somebody() { ConditionType::Stalled } else { ConditionType::Reconciling };
        (kind, &worst.leg)
    });
    let condition = |kind: ConditionType, status: &str, leg: &Leg| {
        let old = before.iter().find(|old| old.type_ == kind.as_str() && old.status == status);
        let is_same = |old: &&Condition| {
            let old = Message::of(old);
            (&old.text, old.since) == (&leg.message.text, leg.message.since)
        };
        Condition {
            type_: kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: leg.reason.as_str().to_owned(),
            message: old.filter(is_same).map_or_else(|| leg.message.to_string(), |old| old.message.clone()),
            observed_generation: generation,
            last_transition_time: old.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    std::iter::once(&ready)
        .chain(legs.iter().map(|assessed| &assessed.leg))
        .map(|leg| {
            let status = match leg.state {
                LegState::Met => "True",
                LegState::Progressing | LegState::Blocked => "False",
                LegState::Unknown => "Unknown",
            };
            condition(leg.kind, status, leg)
        })
        .chain(summary.map(|(kind, leg)| condition(kind, "True", leg)))
        .collect()
}

/// All waits of these legs are overdue.
pub fn wait_state(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> WaitState {
    let legs = assess(legs, before, generation, now);
    let waits_for_others =
        |assessed: &&AssessedLeg| assessed.wait().is_some_and(|wait| wait.waits_for == WaitsFor::Others);
    let (overdue, within): (Vec<_>, Vec<_>) =
        legs.iter().filter(waits_for_others).partition(|assessed| assessed.is_overdue);
    if within.is_empty() && !overdue.is_empty() { WaitState::Overdue } else { WaitState::WithinBounds }
}

/// A leg with its times.
struct AssessedLeg {
    /// The leg, with its final message.
    leg: Leg,
    /// The start of its reason.
    since: Timestamp,
    /// The leg waits for longer than its bound.
    is_overdue: bool,
}

impl AssessedLeg {
    /// The wait of the leg, if it waits.
    fn wait(&self) -> Option<Wait> {
        match self.leg.state {
            LegState::Progressing | LegState::Unknown => self.leg.reason.wait(),
            LegState::Met | LegState::Blocked => None,
        }
    }

    fn needs_somebody(&self) -> bool {
        self.leg.state == LegState::Blocked || self.is_overdue
    }

    fn is_unmet(&self) -> bool {
        self.leg.state != LegState::Met
    }

    /// Completes the message: adds the words about an overdue wait, and the start of the wait. A message that is repeated from a
    /// network, or from an earlier condition, may have both already.
    fn complete_message(&mut self) {
        let wait = self.wait().filter(|_| self.is_overdue);
        let message = &mut self.leg.message;
        if let Some(words) = wait.map(|wait| wait.words()).filter(|words| !message.text.contains(words)) {
            message.text.push(' ');
            message.text.push_str(&words);
        }
        let has_since = self.leg.state != LegState::Met && self.leg.reason.has_since();
        message.since = (message.since.is_some() || has_since).then_some(self.since);
    }
}

/// Finds the start of each leg's reason, and the waits that are overdue.
fn assess(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<AssessedLeg> {
    let mut assessed: Vec<AssessedLeg> = legs
        .iter()
        .map(|leg| {
            let repeated =
                still_overdue(leg, before, generation, now).or_else(|| replaces_what_failed(leg, before, generation));
            let leg = repeated.unwrap_or_else(|| leg.clone());
            let since = since_when(&leg, before, generation, now);
            let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
            AssessedLeg { leg, since, is_overdue: false }
        })
        .collect();
    // A wait for other conditions is overdue only if none of them explains the wait. Its time counts from the moment when the
    // last of these conditions was met.
    let waits_for_conditions =
        |leg: &AssessedLeg| leg.wait().is_some_and(|wait| wait.waits_for == WaitsFor::OtherConditions);
    let is_explained = assessed.iter().any(|leg| leg.is_unmet() && !waits_for_conditions(leg));
    let met = assessed.iter().filter(|leg| !leg.is_unmet()).map(|leg| {
        let held = find(before, leg.leg.kind).filter(|old| old.status == "True");
        held.map_or(now, |old| old.last_transition_time.0)
    });
    let last_met = met.max();
    for leg in &mut assessed {
        leg.is_overdue = leg.wait().is_some_and(|wait| match wait.waits_for {
            WaitsFor::Others => wait.is_over(leg.since, now),
            WaitsFor::OtherConditions => {
                !is_explained && wait.is_over(last_met.map_or(leg.since, |met| met.max(leg.since)), now)
            }
        });
        leg.complete_message();
    }
    assessed
}

/// The start of a leg's reason. A wait begins anew when the spec changes.
fn since_when(leg: &Leg, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Timestamp {
    if let Some(since) = leg.message.since {
        return since;
    }
    let waits = matches!(leg.state, LegState::Progressing | LegState::Unknown);
    let same = find(before, leg.kind)
        .filter(|old| old.status != "True" && old.reason == leg.reason.as_str())
        .filter(|old| !waits || old.observed_generation == generation);
    same.map_or(now, began)
}

/// The start of a condition's wait.
fn began(condition: &Condition) -> Timestamp {
    Message::of(condition).since.unwrap_or(condition.last_transition_time.0)
}

/// The earlier leg, if its wait was overdue and AWS does not answer now. Such a failure is no news about the wait, and the
/// condition must not flap.
fn still_overdue(leg: &Leg, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Option<Leg> {
    if !says_nothing(leg.reason) || leg.state == LegState::Blocked {
        return None;
    }
    let (old, reason) = unmet_before(leg.kind, before, generation).filter(|(_, reason)| *reason != leg.reason)?;
    let wait = reason.wait().filter(|wait| wait.waits_for == WaitsFor::Others)?;
    let was_overdue = wait.is_over(began(old), now) && old.message.contains(&wait.words());
    was_overdue.then(|| Leg::progressing(leg.kind, reason, Message::of(old)))
}

/// The condition of a leg that was not met, for the same spec.
fn unmet_before(kind: ConditionType, before: &[Condition], generation: Option<i64>) -> Option<(&Condition, Reason)> {
    let old = find(before, kind).filter(|old| old.status == "False" && old.observed_generation == generation)?;
    Some((old, Reason::from_wire(&old.reason)?))
}

/// The earlier leg, while a failed resource is created again: until the new resource is complete, the condition keeps the reason
/// of the failure. So repeated failures share one bound, and the condition does not flap.
fn replaces_what_failed(leg: &Leg, before: &[Condition], generation: Option<i64>) -> Option<Leg> {
    let is_made = matches!(leg.reason, Reason::Applying | Reason::FunctionPending | Reason::EndpointPending);
    if leg.state != LegState::Progressing || !is_made {
        return None;
    }
    let (old, reason) = unmet_before(leg.kind, before, generation)
        .filter(|(_, reason)| matches!(reason, Reason::FunctionFailed | Reason::EndpointFailed))?;
    let is_stalled = find(before, ConditionType::Stalled).is_some_and(|stalled| stalled.reason == old.reason);
    let state = if is_stalled { LegState::Blocked } else { LegState::Progressing };
    Some(Leg { kind: leg.kind, state, reason, message: Message::of(old) })
}

#[cfg(test)]
mod tests;
