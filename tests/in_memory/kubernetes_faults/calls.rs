//! Calls to the Kubernetes API that fail: the kinds of failure, and what becomes of a life in which one call meets one.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    cells::{Cell, ends_well},
    parts::{Life, Part},
};
use crate::{
    memory::kubernetes::{APPS, EVENTS, Fault, LEASES, NAMESPACES, NETWORKS, Verb},
    scene::writes,
};

/// A kind of call, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub plural: &'static str,
    pub subresource: Option<&'static str>,
    /// In lower case.
    pub verb: &'static str,
}

impl Call {
    /// `patch privategenaiapps/status`.
    pub fn name(self) -> String {
        let part = self.subresource.map(|part| format!("/{part}")).unwrap_or_default();
        format!("{} {}{part}", self.verb, self.plural)
    }

    pub fn of(call: &crate::memory::kubernetes::Call) -> Self {
        Self { plural: call.plural, subresource: call.subresource, verb: word(call.verb) }
    }

    fn verb(self) -> Verb {
        let all = [Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];
        all.into_iter().find(|verb| word(*verb) == self.verb).expect("a verb")
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Watch => "watch",
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

/// A way in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Conflict,
    Gone,
    Forbidden,
    TooManyRequests,
    InternalError,
    Unavailable,
    TimedOut,
    TimedOutAfterTheWork,
    Reset,
    ResetAfterTheWork,
    NoAnswer,
    NoAnswerAfterTheWork,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Conflict,
        Self::Gone,
        Self::Forbidden,
        Self::TooManyRequests,
        Self::InternalError,
        Self::Unavailable,
        Self::TimedOut,
        Self::TimedOutAfterTheWork,
        Self::Reset,
        Self::ResetAfterTheWork,
        Self::NoAnswer,
        Self::NoAnswerAfterTheWork,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Conflict => "409",
            Self::Gone => "410",
            Self::Forbidden => "403",
            Self::TooManyRequests => "429",
            Self::InternalError => "500",
            Self::Unavailable => "503",
            Self::TimedOut => "504 after a minute",
            Self::TimedOutAfterTheWork => "504, work done",
            Self::Reset => "reset",
            Self::ResetAfterTheWork => "reset, work done",
            Self::NoAnswer => "never an answer",
            Self::NoAnswerAfterTheWork => "the same, work done",
        }
    }

    /// What to do to the API server, or why it cannot do this to that call.
    pub fn of(self, call: Call) -> Result<Fault, &'static str> {
        // How long a kube-apiserver works on a request before it gives up.
        const SERVER_GIVES_UP: Duration = Duration::from_mins(1);
        let writes = call.verb().writes();
        let fault = match self {
            Self::Conflict if !writes => return Err("nothing is written, so nothing conflicts"),
            Self::Conflict => Fault::answer(409),
            Self::Gone if call.verb != "watch" => return Err("only a watch begins in the past"),
            Self::Gone => Fault::answer(410),
            Self::Forbidden => Fault::answer(403),
            Self::TooManyRequests => Fault::answer(429),
            Self::InternalError => Fault::answer(500),
            Self::Unavailable => Fault::answer(503),
            Self::TimedOut if call.verb == "watch" => return Err("a watch is no work that takes long"),
            Self::TimedOut => Fault::answer(504).late_by(SERVER_GIVES_UP),
            Self::Reset => Fault::disconnect(),
            Self::NoAnswer => Fault::hang(),
            Self::TimedOutAfterTheWork | Self::ResetAfterTheWork | Self::NoAnswerAfterTheWork if !writes => {
                return Err("reading does no work: the same as without an answer");
            }
            Self::TimedOutAfterTheWork => Fault::answer(504).late_by(SERVER_GIVES_UP).after_the_work(),
            Self::ResetAfterTheWork => Fault::disconnect().after_the_work(),
            Self::NoAnswerAfterTheWork => Fault::hang().after_the_work(),
        };
        Ok(fault.on(call.verb()).of(call.plural).on_part(call.subresource))
    }
}

/// A fault lasts for nine minutes, over a resync; in the last four calls are counted.
const BEFORE: Duration = Duration::from_mins(5);
const COUNTED: Duration = Duration::from_mins(4);

/// Calls a minute at most of the one that fails. A candidate looks at the Lease every two seconds, whatever comes of it.
pub const CALLS_A_MINUTE: usize = 8;
pub const LOOKS_AT_THE_LEASE_A_MINUTE: usize = 32;

/// Lives through it: the fault lasts for nine minutes, and where an app comes or goes it also comes three times only.
pub async fn live(part: Part, call: Call, fault: &Fault) -> Cell {
    let mut found = Cell::default();
    let mut life = part.prepare().await;
    life.scene.forget();
    begin(&mut life, call, &fault.clone().times(usize::MAX));
    sleep(BEFORE).await;
    let mut hits = life.scene.kubernetes.take_journal().iter().filter(|record| Call::of(record) == call).count();
    life.scene.aws.take_journal();
    sleep(COUNTED).await;
    let (kubernetes, aws) = (life.scene.kubernetes.take_journal(), life.scene.aws.take_journal());
    let failing = kubernetes.iter().filter(|record| Call::of(record) == call).count();
    hits += failing;
    if hits == 0 {
        found.problems.push("the call was never made".into());
    }
    let minutes = usize::try_from(COUNTED.as_secs() / 60).expect("a few minutes");
    let bound = if call.plural == LEASES { LOOKS_AT_THE_LEASE_A_MINUTE } else { CALLS_A_MINUTE };
    if failing > bound * minutes {
        found.problems.push(format!("{failing} calls of it in {minutes} minutes"));
    }
    found.failing = Some(failing);
    let written = writes(&aws);
    if !written.is_empty() {
        found.problems.push(format!("while it lasts AWS is written to: {written:?}"));
    }
    found.count(minutes, kubernetes.iter().filter(|record| record.plural != LEASES).count(), aws.len());
    life.scene.kubernetes.clear_faults();
    ends_well(life, &mut found).await;
    if !matches!(part, Part::Create | Part::Delete) {
        return found;
    }
    found.lives += 1;

    let mut life = part.prepare().await;
    begin(&mut life, call, &fault.clone().times(3));
    match life.until_through(super::cells::HEALS_WITHIN).await {
        Ok(time) => found.thrice = Some(time),
        Err(wrong) => found.problems.push(format!("not through although it failed three times only: {wrong}")),
    }
    life.scene.kubernetes.clear_faults();
    found.problems.extend(life.end().await.into_iter().map(|left| format!("after three times: {left}")));
    found
}

fn begin(life: &mut Life, call: Call, fault: &Fault) {
    life.scene.kubernetes.inject(fault.clone());
    if ["list", "watch"].contains(&call.verb) {
        // Nobody lists or watches anew as long as nothing is wrong with the watch.
        if call.verb == "list" {
            life.scene.kubernetes.forget_history();
        }
        life.scene.kubernetes.break_watches();
    }
    life.begin();
}

/// Every call that the chart's permissions let the operator make, and that the API server is asked for in a life. Which cluster this is
/// (`get namespaces`) is asked before: tests/in_memory/installations.rs tells what becomes of that call.
pub fn permitted() -> Vec<Call> {
    let rules = include_str!("../../../charts/private-genai-operator/templates/rbac.yaml");
    let list = |line: &str| -> Vec<String> {
        let inner = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(inner, _)| inner);
        inner.unwrap_or_default().split(',').map(|part| part.trim().to_owned()).collect()
    };
    let mut calls = Vec::new();
    let mut resources = Vec::new();
    for line in rules.lines().map(str::trim) {
        if line.starts_with("resources:") {
            resources = list(line);
        } else if line.starts_with("verbs:") {
            for resource in resources.iter().filter(|resource| *resource != NAMESPACES) {
                for verb in list(line) {
                    calls.push(call(resource, &verb));
                }
            }
        }
    }
    calls
}

fn call(resource: &str, verb: &str) -> Call {
    let (plural, part) = resource.split_once('/').map_or((resource, None), |(plural, part)| (plural, Some(part)));
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
    let known = |of: &[&'static str], name: &str| of.iter().copied().find(|candidate| *candidate == name);
    Call {
        plural: known(&[APPS, NETWORKS, EVENTS, LEASES], plural).expect("a resource that the in-memory server has"),
        subresource: part.map(|part| known(&["status"], part).expect("a part that it has")),
        verb: known(&verbs, verb).expect("a verb that it knows"),
    }
}
