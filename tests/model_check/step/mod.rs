//! What can happen next, and what comes of it. Every decision is the operator's own code; what is written here is what the
//! controllers do between two decisions: look, write, tell.
//!
//! ```text
//! begin       whether a worker begins a pass, and what it knows then
//! pass        what comes next in a pass, and what is told of it at its end
//! look        a look at AWS through the operator's own tables
//! kubernetes  what the API server does
//! time        what happens by itself
//! ```

mod begin;
mod kubernetes;
mod look;
mod pass;
mod time;

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use private_genai_operator::{
    api::network::NetworkKey,
    aws::{Caller, SnapshotState},
    engine::{PassAction, Settings},
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

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A worker begins a pass, and looks.
    Begin(usize, Worker),
    /// The same at a resync: tables are read anew, and the app is looked at closely.
    Resync(usize, Worker),
    /// A worker does what comes next.
    Go(usize, Worker),
    /// It makes its next call, which is refused.
    Refused(usize, Worker),
    /// It makes its next call, which is carried out, and never learns of it.
    Lost(usize, Worker),
    /// An operator is killed and starts anew.
    Crash(usize),
    /// AWS gets on with something.
    Happen(Transition),
    /// More time passes than AWS takes to show what was written.
    TimePasses,
    /// Somebody else does something: the number of the chance in the scenario.
    Chance(usize, String),
}

/// Something that must not be.
pub type Wrong = String;

fn fixed() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("a time")
}

/// When objects are created that are young.
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

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Answered,
    Refused,
    Lost,
}

/// What can happen in a state, by the scenario's bounds, and what comes of each.
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

/// Who could begin a pass.
pub fn workers(state: &State, number: usize) -> BTreeSet<Worker> {
    let operator = &state.operators[number];
    let apps = state.objects.apps.keys().map(|name| Worker::App(name));
    let networks = state.objects.networks.keys().cloned().map(Worker::Network);
    let departed = operator.departures.keys().cloned().map(Worker::After);
    apps.chain(networks).chain(departed).filter(|worker| !operator.runs.contains_key(worker)).collect()
}

/// The settings that all scenarios have.
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
        clock: fixed,
    }
}
