//! The linter that is not ours: Python, in the virtual environment of the local stack.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::json;

use crate::{Finding, Judge, written::Written};

/// As lint.py tells it.
#[derive(Deserialize)]
struct LintFinding {
    /// The policy, by its place in the list.
    policy: usize,
    statement: String,
    issue: String,
    about: String,
}

/// What it finds, and in which of the policies.
pub fn judge(written: &[Written]) -> Vec<(Finding, usize)> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let local = env::var_os("PGAI_LOCAL_DIR").map_or_else(|| repository.join(".local"), PathBuf::from);
    let documents: Vec<_> =
        written.iter().map(|policy| json!({"kind": policy.family.kind(), "document": policy.document})).collect();
    let mut python = Command::new(local.join("venv/bin/python"))
        .arg(repository.join("tests/policies/lint.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the local stack is built: `make build`, or `python3 tests/local/stack.py build --only aws`");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(json!(documents).to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the linter fails");
    let findings: Vec<LintFinding> = serde_json::from_slice(&output.stdout).expect("findings");
    findings
        .into_iter()
        .map(|found| {
            let family = written[found.policy].family;
            let LintFinding { statement, issue, about, policy } = found;
            (Finding { judge: Judge::Parliament, family, statement, issue, about }, policy)
        })
        .collect()
}
