//! Random histories of apps, edits, drift, faults, restarts and clocks, each from one seed, and what holds through all of
//! them (docs/reliability.md): everything converges and then rests, there is never more than one endpoint, nothing opens, nothing of
//! anybody else is touched, nothing sensitive is told, and when all is deleted nothing is left.
//!
//! ```text
//! history::draw(seed) ──► History ──► play::play ──► what does not hold ──► shorten::shorten ──► a history to read
//!                                       └─ witness: judges each write as it happens
//! ```
//!
//! The idea is deterministic simulation testing (FoundationDB, TigerBeetle) of an operator under faults (Sieve, Acto). One seed is one
//! history, and time is virtual. What Rust's hash maps and tokio's `select!` do in random order is not drawn from the seed:
//! a failure that hangs on that order may need its seed played more than once.

mod history;
mod play;
mod shorten;
pub mod witness;

use std::{
    any::Any,
    collections::BTreeMap,
    env,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use self::{history::History, play::play, shorten::shorten};
use crate::figures::{self, Part};

/// How long histories are drawn and played, on a wall clock, when nobody says how many or how long.
const SECONDS: u64 = 20;

/// How often a shorter history may be tried.
const ATTEMPTS: usize = 150;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Plays it; gives the number of writes, or what went wrong, panics included.
fn attempt(history: &History) -> Result<u64, String> {
    catch_unwind(AssertUnwindSafe(|| play(history))).unwrap_or_else(|panic| Err(message_of(&*panic)))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    format!("panicked: {}", text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
}

/// Environment: `PGAI_SIMULATE_FIRST` is the first seed, `PGAI_SIMULATE_SEEDS` how many (else: as many as fit into
/// `PGAI_SIMULATE_SECONDS`). `make simulate SEEDS=… FIRST=…` sets them. With `PGAI_SIMULATE_GO_ON`, all are played also when some
/// fail.
#[test]
fn whatever_happens_everything_ends_as_it_should() {
    let first = number("PGAI_SIMULATE_FIRST").unwrap_or(1);
    let seeds = number("PGAI_SIMULATE_SEEDS");
    let budget = Duration::from_secs(number("PGAI_SIMULATE_SECONDS").unwrap_or(SECONDS));
    let goes_on = number("PGAI_SIMULATE_GO_ON").is_some();
    let began = Instant::now();
    let (next, writes, failed) = (AtomicU64::new(first), AtomicU64::new(0), AtomicBool::new(false));
    let kinds = Mutex::new(BTreeMap::<String, u64>::new());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !failed.load(Relaxed) && (seeds.is_some() || began.elapsed() < budget) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seeds.is_some_and(|seeds| seed >= first + seeds) {
                        break;
                    }
                    let history = history::draw(seed);
                    match attempt(&history) {
                        Ok(written) => {
                            writes.fetch_add(written, Relaxed);
                            let mut kinds = kinds.lock().unwrap_or_else(PoisonError::into_inner);
                            for action in &history.actions {
                                let name = format!("{action:?}");
                                let name = name.split([' ', '(']).next().unwrap_or_default().to_owned();
                                *kinds.entry(name).or_default() += 1;
                            }
                            *kinds.entry("histories".into()).or_default() += 1;
                        }
                        Err(wrong) => {
                            failed.store(!goes_on, Relaxed);
                            if goes_on {
                                drop(writeln!(std::io::stderr(), "seed {seed}: {wrong}"));
                            }
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push((history, wrong));
                        }
                    }
                }
            });
        }
    });
    let mut kinds = kinds.into_inner().unwrap_or_else(PoisonError::into_inner);
    let histories = kinds.remove("histories").unwrap_or_default();
    let actions: u64 = kinds.values().sum();
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let writes = writes.into_inner();
    let line = format!(
        "simulated: {histories} histories from seed {first} on, {actions} actions, {writes} writes to AWS, in {} s ({})",
        began.elapsed().as_secs(),
        kinds.join(", "),
    );
    // Past the capture of the test harness: figures are shown when all is well too.
    drop(writeln!(std::io::stderr(), "{line}"));
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let how_many = format!("{histories} histories, {actions} actions, {writes} writes to AWS");
    figures::tell(
        Part::Simulation,
        "random histories of the whole shell, each write judged",
        &how_many,
        failures.len(),
    );
    if failures.is_empty() {
        return;
    }
    let mut report = String::new();
    for (history, wrong) in failures.iter().take(1) {
        report += &tell(history, wrong);
    }
    panic!(
        "{} of the histories went wrong: seeds {:?}\n{report}",
        failures.len(),
        failures.iter().map(|failure| failure.0.seed).collect::<Vec<_>>()
    );
}

/// What went wrong, how to see it again, and the shortest history that shows it.
fn tell(history: &History, wrong: &str) -> String {
    let short = shorten(history, ATTEMPTS, |history| attempt(history).is_err());
    let now_wrong = attempt(&short).err().unwrap_or_else(|| "(this time, it did not go wrong)".into());
    format!(
        "\nseed {seed}: {wrong}\nagain: make simulate SEEDS=1 FIRST={seed}\nshortened from {} actions to {}:\n{short}which ends so: {now_wrong}\n",
        history.actions.len(),
        short.actions.len(),
        seed = history.seed,
    )
}
