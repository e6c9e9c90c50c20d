//! The possible next steps and their results. Every decision is the operator's own code: the stages of its reconciles and the
//! decisions of its passes. This module reads for them, and interprets their effects.
//!
//! ```text
//! begin       the stages before a pass
//! pass        the actions of a pass, and the stages after it
//! effect      the effects of a decision
//! look        reads of AWS through the operator's own tables
//! kubernetes  the actions of the API server
//! time        the steps that happen without an actor
//! ```

mod begin;
mod effect;
mod kubernetes;
mod look;
mod pass;
mod time;

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use private_genai_operator::{
    api::network::NetworkKey,
    aws::{Caller, SnapshotState},
    engine::{AttemptCounts, Circumstances, PassAction, Settings, SettledParts},
    function,
    governance::Governance,
    guard::{Globs, ImplicitNetworks},
    identity::NetworkIdentity,
};

use super::{
    scenario::{Chance, Scenario},
    state::{Operator, State, Worker},
};
use crate::memory::{
    aws::Transition,
    judge::{installation, owner, region},
};

/// A step of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A worker begins a pass and observes.
    Begin(usize, Worker),
    /// A worker begins a pass at a resync: the tables are read anew, and the function is read by its name.
    Resync(usize, Worker),
    /// A worker carries out the next action of its pass.
    Go(usize, Worker),
    /// A worker makes its next call, and AWS refuses the call.
    Refused(usize, Worker),
    /// A worker makes its next call; AWS carries out the call, and the answer is lost.
    Lost(usize, Worker),
    /// An operator is killed and starts anew.
    Crash(usize),
    /// AWS finishes a pending transition.
    Happen(Transition),
    /// More time passes than AWS needs to show writes.
    TimePasses,
    /// An outside change, by the number of the chance in the scenario.
    Chance(usize, String),
}

/// The description of a violation.
pub type Wrong = String;

fn fixed() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("a time")
}

/// Every read succeeds, and nobody watches for drift.
fn circumstances() -> Circumstances {
    Circumstances { now: fixed(), observations: AttemptCounts::default(), settled: SettledParts::default() }
}

/// The time of creation of young objects.
fn birth(object: u32) -> Time {
    Time(Timestamp::from_second(fixed().as_second() - 30 + i64::from(object)).expect("a time"))
}

fn caller() -> Caller {
    Caller { account: "123456789012".parse().expect("an account"), partition: region().partition() }
}

fn network_identity(key: &NetworkKey) -> NetworkIdentity {
    NetworkIdentity {
        installation: installation(),
        account: caller().account,
        region: key.region.clone(),
        vpc: key.vpc.clone(),
    }
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Answered,
    Refused,
    Lost,
}

/// The possible steps from a state within the scenario's bounds, and the result of each.
pub fn successors(scenario: &Scenario, state: &State) -> Vec<(Action, Result<State, Wrong>)> {
    let mut found = Vec::new();
    for number in 0..state.operators.len() {
        let operator = &state.operators[number];
        for worker in operator.runs.keys() {
            let mut go = |action, how, chance: Option<usize>| {
                let mut next = state.clone();
                if let Some(chance) = chance {
                    next.left[chance] -= 1;
                }
                let outcome = scenario.go(&mut next, number, worker, how).map(|()| next);
                found.push((action, outcome));
            };
            go(Action::Go(number, worker.clone()), How::Answered, None);
            if matches!(operator.runs[worker].pass.next(), PassAction::Write(_)) {
                if let Some(chance) = scenario.chance(state, &Chance::Lost) {
                    go(Action::Lost(number, worker.clone()), How::Lost, Some(chance));
                }
                if let Some(chance) = scenario.chance(state, &Chance::Refused) {
                    go(Action::Refused(number, worker.clone()), How::Refused, Some(chance));
                }
            }
        }
        for worker in workers(state, number) {
            let begun = scenario.begin(state, number, &worker, false).transpose();
            found.extend(begun.map(|next| (Action::Begin(number, worker.clone()), next)));
            if *operator.kept != SnapshotState::default() {
                let begun = scenario.begin(&state.resync(number, false), number, &worker, true).transpose();
                found.extend(begun.map(|next| (Action::Resync(number, worker.clone()), next)));
            }
        }
        if let Some(chance) = scenario.chance(state, &Chance::Crash) {
            let mut next = state.clone();
            next.left[chance] -= 1;
            next.operators[number] = Operator::new();
            found.push((Action::Crash(number), Ok(next)));
        }
    }
    for transition in state.world.due.keys() {
        found.push((Action::Happen(transition.clone()), Ok(state.happen(transition))));
    }
    if state.may_time_pass() {
        found.push((Action::TimePasses, Ok(state.time_passes())));
    }
    for (index, what, next) in scenario.deeds(state) {
        found.push((Action::Chance(index, what), Ok(next)));
    }
    found
}

/// The workers that could begin a pass.
pub fn workers(state: &State, number: usize) -> BTreeSet<Worker> {
    let operator = &state.operators[number];
    let apps = state.objects.apps.keys().map(|name| Worker::App(name));
    let networks = state.objects.networks.keys().cloned().map(Worker::Network);
    let departed = operator.departures.keys().cloned().map(Worker::After);
    apps.chain(networks).chain(departed).filter(|worker| !operator.runs.contains_key(worker)).collect()
}

/// The settings of all scenarios.
pub fn settings() -> Settings {
    Settings {
        installation: installation(),
        owner: owner(),
        region: region(),
        regions: Globs::only(&region()),
        implicit_networks: ImplicitNetworks::in_vpcs(Globs::all()),
        resync: Duration::from_mins(5),
        concurrency: 1,
        governance: Governance::default(),
        handler: function::built_in().expect("a package"),
        clock: fixed,
    }
}
