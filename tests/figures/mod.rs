//! What the tests of reliability tried, in figures that the run itself counted: `make test` ends with them in one table
//! (docs/reliability.md says what each part is).

use std::{env, fs, path::PathBuf};

/// A way in which it is tried whether anything is lost; a row of the table or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "no single test binary tries all of them")]
pub enum Part {
    ModelCheck = 1,
    Simulation = 2,
    CrashPoints = 3,
    Faults = 4,
    KubernetesFaults = 5,
    HostileInput = 6,
}

/// Where results are kept for the closing lines of `make test`.
pub fn results() -> PathBuf {
    let local = env::var_os("PGAI_LOCAL_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".local"), PathBuf::from);
    let results = local.join("results");
    fs::create_dir_all(&results).expect("a directory for results");
    results
}

/// Adds a row to the table, or replaces the one of the same name: what was tried, how many of what, and how many times
/// something was lost. To be told also when something was: before the test fails.
pub fn tell(part: Part, tried: &str, how_many: &str, lost: usize) {
    let rows = results().join("tried");
    fs::create_dir_all(&rows).expect("a directory for rows");
    let name: String =
        tried.chars().map(|character| if character.is_alphanumeric() { character } else { '-' }).collect();
    let row = format!("{}\t{tried}\t{how_many}\t{lost}\n", part as u8);
    fs::write(rows.join(format!("{}-{name}", part as u8)), row).expect("a row is written");
}
