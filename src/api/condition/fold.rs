//! Legs become conditions. Pure.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{ConditionType, Leg, LegState, Reason, Wait, WaitState, WaitsFor, find, wait::says_nothing};

/// Folds legs into conditions: one each, `Ready` from the first that is not met, and `Reconciling` or `Stalled` while
/// they are true (kstatus).
///
/// A condition that keeps its status keeps its time, so the same legs give the same conditions and nothing is written. A
/// message about a wait ends with the time since when that reason holds; it is kept in the message, so that it outlives the
/// operator. A wait that is longer than its [bound](Wait) needs somebody.
pub fn fold(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let legs = judge(legs, before, generation, now);
    let worst = legs.iter().find(|it| it.needs_somebody()).or_else(|| legs.iter().find(|it| it.is_unmet()));
    let ready = match worst {
        None => Leg::met(ConditionType::Ready, "Everything is as it should be."),
        Some(Judged { leg, .. }) => Leg { kind: ConditionType::Ready, ..leg.clone() },
    };
    let also = worst.map(|it| {
        let kind = if it.needs_somebody() { ConditionType::Stalled } else { ConditionType::Reconciling };
        (kind, &it.leg)
    });
    let condition = |kind: ConditionType, status: &str, reason: Reason, message: &str| {
        let old = before.iter().find(|old| old.type_ == kind.as_str() && old.status == status);
        let since = old.map_or(Time(now), |old| old.last_transition_time.clone());
        // Each attempt has a request id of its own. The first one stays, or a call that keeps failing would change the
        // status every time.
        let said = old.filter(|old| without_request_id(&old.message) == without_request_id(message));
        Condition {
            type_: kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: said.map_or_else(|| message.to_owned(), |old| old.message.clone()),
            observed_generation: generation,
            last_transition_time: since,
        }
    };
    std::iter::once(&ready)
        .chain(legs.iter().map(|it| &it.leg))
        .map(|leg| {
            let status = match leg.state {
                LegState::Met => "True",
                LegState::Progressing | LegState::Blocked => "False",
                LegState::Unknown => "Unknown",
            };
            condition(leg.kind, status, leg.reason, &leg.message)
        })
        .chain(also.map(|(kind, leg)| condition(kind, "True", leg.reason, &leg.message)))
        .collect()
}

/// What stands before the time at the end of a message.
const SINCE: &str = " Since ";

/// Whether the waits of these legs are over, by what was told of them before: none of them is within its bound.
pub fn wait_state(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> WaitState {
    let legs = judge(legs, before, generation, now);
    let waits = |it: &&Judged| it.waits().is_some_and(|wait| wait.waits_for == WaitsFor::Others);
    let (over, within): (Vec<_>, Vec<_>) = legs.iter().filter(waits).partition(|it| it.is_over);
    if within.is_empty() && !over.is_empty() { WaitState::Overdue } else { WaitState::WithinBounds }
}

/// A leg with all that the time tells of it.
struct Judged {
    leg: Leg,
    /// Since when its reason holds.
    since: Timestamp,
    /// It waits for longer than it should.
    is_over: bool,
}

impl Judged {
    /// What the leg waits for, if it does.
    fn waits(&self) -> Option<Wait> {
        match self.leg.state {
            LegState::Progressing | LegState::Unknown => self.leg.reason.wait(),
            LegState::Met | LegState::Blocked => None,
        }
    }

    fn needs_somebody(&self) -> bool {
        self.leg.state == LegState::Blocked || self.is_over
    }

    fn is_unmet(&self) -> bool {
        self.leg.state != LegState::Met
    }
}

/// Dates the legs, and ends the waits that are over.
fn judge(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Judged> {
    let mut judged: Vec<Judged> = legs
        .iter()
        .map(|leg| {
            let told =
                said_nothing(leg, before, generation, now).or_else(|| replaces_what_failed(leg, before, generation));
            let leg = told.unwrap_or_else(|| leg.clone());
            let since = since_when(&leg, before, generation, now);
            Judged { leg, since, is_over: false }
        })
        .collect();
    // What stands on an earlier leg is late only where nothing else says why, and counts from when a leg turned last.
    let is_earlier = |it: &Judged| it.waits().is_some_and(|wait| wait.waits_for == WaitsFor::OtherConditions);
    let follows = judged.iter().any(|it| it.is_unmet() && !is_earlier(it));
    let turned = judged.iter().filter(|it| !it.is_unmet()).map(|it| {
        let held = find(before, it.leg.kind).filter(|old| old.status == "True");
        held.map_or(now, |old| old.last_transition_time.0)
    });
    let turned = turned.max();
    for it in &mut judged {
        it.is_over = it.waits().is_some_and(|wait| match wait.waits_for {
            WaitsFor::Others => wait.is_over(it.since, now),
            WaitsFor::OtherConditions => !follows && wait.is_over(turned.map_or(it.since, |at| at.max(it.since)), now),
        });
        it.leg.message = dated(it);
    }
    judged
}

/// The message, with what is still true and who can act where the wait is over, and since when. One that says that already,
/// because it repeats what a network says or what was told before, stays as it is.
fn dated(it: &Judged) -> String {
    let Judged { leg, since, is_over } = it;
    let (said, at) = match leg.message.rsplit_once(SINCE) {
        Some((said, _)) if says_since(&leg.message).is_some() => (said, Some(*since)),
        _ => (leg.message.as_str(), (leg.state != LegState::Met && leg.reason.has_since()).then_some(*since)),
    };
    let words = match it.waits().filter(|_| *is_over).map(|wait| wait.words()) {
        Some(words) if !said.contains(&words) => format!(" {words}"),
        Some(_) | None => String::new(),
    };
    match at {
        None => format!("{said}{words}"),
        Some(at) => format!("{said}{words}{SINCE}{}.", Timestamp::from_second(at.as_second()).unwrap_or(at)),
    }
}

/// Since when the reason of a leg holds. What waits begins anew when the object asks for something else.
fn since_when(leg: &Leg, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Timestamp {
    if let Some(said) = says_since(&leg.message) {
        return said;
    }
    let waits = matches!(leg.state, LegState::Progressing | LegState::Unknown);
    let same = find(before, leg.kind)
        .filter(|old| old.status != "True" && old.reason == leg.reason.as_str())
        .filter(|old| !waits || old.observed_generation == generation);
    same.map_or(now, began)
}

/// Since when a condition waits.
fn began(condition: &Condition) -> Timestamp {
    says_since(&condition.message).unwrap_or(condition.last_transition_time.0)
}

/// The leg as it was told before, where its wait was over and AWS did not let itself be asked now: that says nothing about what is
/// waited for, and the condition does not flap.
fn said_nothing(leg: &Leg, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Option<Leg> {
    if !says_nothing(leg.reason) || leg.state == LegState::Blocked {
        return None;
    }
    let (old, reason) = unmet_before(leg.kind, before, generation).filter(|(_, reason)| *reason != leg.reason)?;
    let wait = reason.wait().filter(|wait| wait.waits_for == WaitsFor::Others)?;
    let is_told = wait.is_over(began(old), now) && old.message.contains(&wait.words());
    is_told.then(|| Leg::progressing(leg.kind, reason, old.message.clone()))
}

/// What was told of a leg that was not met, when the object asked for the same.
fn unmet_before(kind: ConditionType, before: &[Condition], generation: Option<i64>) -> Option<(&Condition, Reason)> {
    let old = find(before, kind).filter(|old| old.status == "False" && old.observed_generation == generation)?;
    Some((old, Reason::from_wire(&old.reason)?))
}

/// The leg of something that is made anew because it failed: until it is as it should be, it is told as before, with the words of
/// whoever said why it failed. So what fails again each time has one bound, and the condition does not flap.
fn replaces_what_failed(leg: &Leg, before: &[Condition], generation: Option<i64>) -> Option<Leg> {
    let is_made = matches!(leg.reason, Reason::Applying | Reason::FunctionPending | Reason::EndpointPending);
    if leg.state != LegState::Progressing || !is_made {
        return None;
    }
    let (old, failed) = unmet_before(leg.kind, before, generation)
        .filter(|(_, reason)| matches!(reason, Reason::FunctionFailed | Reason::EndpointFailed))?;
    let is_stalled = find(before, ConditionType::Stalled).is_some_and(|stalled| stalled.reason == old.reason);
    let standing = if is_stalled { LegState::Blocked } else { LegState::Progressing };
    Some(Leg { kind: leg.kind, state: standing, reason: failed, message: old.message.clone() })
}

/// Since when, as a message says at its end.
fn says_since(message: &str) -> Option<Timestamp> {
    message.rsplit_once(SINCE)?.1.strip_suffix('.')?.parse().ok()
}

/// A message up to and after the request id that an AWS error carries.
pub fn without_request_id(message: &str) -> (&str, &str) {
    match message.split_once(" (request id ") {
        None => (message, ""),
        Some((before, rest)) => (before, rest.split_once(')').map_or("", |(_, after)| after)),
    }
}

#[cfg(test)]
mod tests;
