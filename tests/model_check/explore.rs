//! Visits every state that a scenario can reach, breadth first, and follows each to its end without faults.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    fmt::Write as _,
    hash::{BuildHasherDefault, Hasher},
    io::Write as _,
    sync::Arc,
};

use private_genai_operator::{aws::SnapshotState, engine::PassAction};

use super::{
    fingerprint::fingerprint,
    scenario::Scenario,
    state::State,
    step::{Action, How, successors, workers},
};

/// The most steps without faults after which every state must be at rest.
const STEPS: usize = 400;

/// Fingerprints are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
    }
}

type Map<T> = HashMap<u128, T, BuildHasherDefault<Identity>>;

/// Prints past the capture of the test harness, so that the figures show also when the test passes.
pub fn print_line(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The extent of an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub states: usize,
    pub transitions: usize,
    /// The most steps from a visited state to rest.
    pub longest: usize,
    /// Every reachable state was visited.
    pub exhausted: bool,
}

/// A violation, and the steps that lead to it, as text.
pub struct Counterexample(pub String);

/// Visits the reachable states, up to a limit.
///
/// # Errors
/// The first violation found.
pub fn explore(scenario: &Scenario, most: usize) -> Result<Figures, Counterexample> {
    let begin = beginning(scenario).map_err(Counterexample)?;
    let root = fingerprint(&begin);
    // For each state: the predecessor that reached the state first, and the number of the successor there.
    let mut reached: Map<(u128, u32)> = Map::default();
    let mut rests: Map<u32> = Map::default();
    let mut passes: Map<u128> = Map::default();
    let mut figures = Figures::default();
    let mut frontier = VecDeque::from([(root, begin.clone())]);
    reached.insert(root, (root, 0));
    let tell = |reached: &Map<(u128, u32)>, at: u128, last: Option<&Action>, wrong: &str| {
        Counterexample(story(scenario, &begin, reached, at, last, wrong))
    };
    while let Some((at, state)) = frontier.pop_front() {
        figures.states += 1;
        if figures.states.is_multiple_of(100_000) {
            print_line(&format!(
                "{}: {} states so far, {} of them to be followed",
                scenario.name,
                reached.len(),
                frontier.len()
            ));
        }
        if state.is_quiet() {
            let Ok(steps) = settle(scenario, &state, &mut rests, None) else {
                // The same way once more, with a log of the steps.
                let again = settle(scenario, &state, &mut Map::default(), Some(&mut Vec::new()));
                return Err(tell(&reached, at, None, &again.expect_err("it goes the same way again")));
            };
            figures.longest = figures.longest.max(steps);
        }
        for (index, (action, outcome)) in successors(scenario, &state).into_iter().enumerate() {
            figures.transitions += 1;
            let next = outcome.and_then(|next| scenario.check(&state, &next).map(|()| next));
            let next = next.map_err(|wrong| tell(&reached, at, Some(&action), &wrong))?;
            let print = fingerprint(&next);
            // The first worker with a pass under way continues.
            if matches!(action, Action::Go(..)) {
                passes.entry(at).or_insert(print);
            }
            if reached.len() < most
                && let Entry::Vacant(new) = reached.entry(print)
            {
                new.insert((at, u32::try_from(index).unwrap_or(u32::MAX)));
                frontier.push_back((print, next));
            }
        }
    }
    figures.exhausted = reached.len() < most;
    if figures.exhausted
        && let Some(at) = endless(&passes)
    {
        return Err(tell(&reached, at, None, "a pass goes on for ever"));
    }
    Ok(figures)
}

/// The state in which the scenario begins.
fn beginning(scenario: &Scenario) -> Result<State, String> {
    let mut state = scenario.initial();
    if scenario.built.is_empty() {
        return Ok(state);
    }
    for app in &scenario.built {
        scenario.create(&mut state, app);
    }
    for _ in 0..STEPS {
        match fair_step(scenario, &state, None)? {
            Some(next) => state = next,
            None => return scenario.check_rest(&state).map(|()| state),
        }
    }
    Err("what is there at first does not come to rest".to_owned())
}

/// Returns a state from which passes without faults do not end. Where they end, the state has no pass under way, and the
/// way to rest from each such state was followed before.
fn endless(passes: &Map<u128>) -> Option<u128> {
    let mut ends: HashSet<u128, BuildHasherDefault<Identity>> = HashSet::default();
    for begin in passes.keys() {
        let (mut at, mut way) = (*begin, Vec::new());
        while let Some(next) = passes.get(&at).filter(|_| !ends.contains(&at)) {
            way.push(at);
            if way.len() > STEPS {
                return Some(*begin);
            }
            at = *next;
        }
        ends.extend(way);
    }
    None
}

/// The steps to a state, and the violation there, as text.
fn story(
    scenario: &Scenario,
    begin: &State,
    reached: &Map<(u128, u32)>,
    mut at: u128,
    last: Option<&Action>,
    wrong: &str,
) -> String {
    let mut way = Vec::new();
    while let Some((before, index)) = reached.get(&at).filter(|(before, _)| *before != at) {
        way.push(*index);
        at = *before;
    }
    let mut text = format!("scenario {}: {wrong}\nafter\n", scenario.name);
    let mut state = begin.clone();
    for index in way.into_iter().rev() {
        let (action, next) = successors(scenario, &state).swap_remove(index as usize);
        let _ = writeln!(text, "  {}", in_words(&state, &action));
        state = next.unwrap_or(state);
    }
    if let Some(last) = last {
        let _ = writeln!(text, "  {}", in_words(&state, last));
    }
    let _ = write!(text, "where there is\n{state:?}");
    text
}

fn in_words(state: &State, action: &Action) -> String {
    let (Action::Go(number, worker) | Action::Refused(number, worker) | Action::Lost(number, worker)) = action else {
        return format!("{action:?}");
    };
    let call = state.operators[*number].runs.get(worker).map(|run| match run.pass.next() {
        PassAction::Observe(_) => "looks".to_owned(),
        PassAction::Write(step) => format!("{} {}", step.write.operation().name, step.write.resource()),
        PassAction::End => "ends its pass".to_owned(),
    });
    let how = format!("{action:?}");
    format!("{} {worker:?} of {number}: {}", how.split('(').next().unwrap_or_default(), call.unwrap_or_default())
}

/// The number of steps without faults to rest. Checks the state at rest.
fn settle(
    scenario: &Scenario,
    state: &State,
    rests: &mut Map<u32>,
    mut log: Option<&mut Vec<String>>,
) -> Result<usize, String> {
    let mut state = state.clone();
    let mut way = Vec::new();
    let fail = |wrong: String, log: Option<&mut Vec<String>>, state: &State| {
        let log = log.map(std::mem::take).unwrap_or_default();
        let last = &log[log.len().saturating_sub(60)..];
        format!(
            "without faults from there: {wrong}\nits last steps were\n    {}\nand it ends as\n{state:?}",
            last.join("\n    ")
        )
    };
    let rest = loop {
        if state.is_quiet() {
            // The next resync clears the tables, so states that differ only in their tables have the same end.
            state = without_tables(&state);
        }
        let print = fingerprint(&state);
        if let Some(steps) = rests.get(&print) {
            if way.is_empty() {
                return Ok(*steps as usize);
            }
            break *steps as usize + 1;
        }
        way.push(print);
        if way.len() > STEPS {
            return Err(fail(format!("it does not come to rest within {STEPS} steps"), log, &state));
        }
        match fair_step(scenario, &state, log.as_deref_mut()) {
            Ok(Some(next)) => state = next,
            Ok(None) => {
                scenario.check_rest(&state).map_err(|wrong| fail(wrong, log, &state))?;
                break 0;
            }
            Err(wrong) => return Err(fail(wrong, log, &state)),
        }
    };
    for (index, print) in way.iter().rev().enumerate() {
        rests.insert(*print, u32::try_from(rest + index).unwrap_or(u32::MAX));
    }
    Ok(rest + way.len().saturating_sub(1))
}

/// The next state without faults and without outside changes; `None` at rest.
fn fair_step(scenario: &Scenario, state: &State, log: Option<&mut Vec<String>>) -> Result<Option<State>, String> {
    let record = |message: &dyn Fn() -> String| {
        if let Some(log) = log {
            log.push(message());
        }
    };
    for (number, operator) in state.operators.iter().enumerate() {
        if let Some(worker) = operator.runs.keys().next() {
            let mut next = state.clone();
            record(&|| in_words(state, &Action::Go(number, worker.clone())));
            scenario.go(&mut next, number, worker, How::Answered)?;
            return Ok(Some(next));
        }
    }
    if let Some(transition) = state.world.due.keys().next() {
        record(&|| format!("{transition:?}"));
        return Ok(Some(state.happen(transition)));
    }
    let before = fingerprint(state);
    let mut in_vain = None;
    for number in 0..state.operators.len() {
        for worker in workers(state, number) {
            let Some(mut next) = scenario.begin(&state.resync(number, true), number, &worker, true)? else { continue };
            let mut writes = false;
            while let Some(run) = next.operators[number].runs.get(&worker) {
                writes |= matches!(run.pass.next(), PassAction::Write(_));
                scenario.go(&mut next, number, &worker, How::Answered)?;
            }
            let after = without_tables(&next);
            if fingerprint(&after) != before {
                record(&|| format!("{worker:?} of {number} makes a pass"));
                return Ok(Some(after));
            }
            if writes {
                in_vain.get_or_insert_with(|| format!("{worker:?} writes, and nothing changes"));
            }
        }
    }
    // AWS may refuse a call for a limited time only (a client token that was used with other parameters).
    if state.may_time_pass() {
        let next = without_tables(&state.time_passes());
        if fingerprint(&next) != before {
            record(&|| "time passes".to_owned());
            return Ok(Some(next));
        }
    }
    in_vain.map_or(Ok(None), Err)
}

/// The state with all tables cleared.
fn without_tables(state: &State) -> State {
    let mut state = state.clone();
    for operator in &mut state.operators {
        operator.kept = Arc::new(SnapshotState::default());
        operator.covered.clear();
    }
    state
}
