//! One cell of the table: what becomes of a life in which one call meets one fault.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::{
    kinds::{Call, Kind, Trouble},
    lives::{Life, Part},
};
use crate::{memory::aws::CallRecord, scene::condition};

/// A fault lasts fifteen minutes. Early, what comes late, such as the end of lingering interfaces, has not yet made the
/// call needless; in the last five minutes calls are counted.
const EARLY: Duration = Duration::from_secs(45);
const BETWEEN: Duration = Duration::from_secs(555);
const COUNTED: Duration = Duration::from_mins(5);

/// How soon a path is there once a fault is over: the longest pause, five minutes and a quarter, one resync, and what
/// AWS itself takes.
pub const HEALS_WITHIN: Duration = Duration::from_mins(12);

/// Calls per minute at most of the operation that fails: where somebody must act, and elsewhere, where an object is looked
/// at every fifteen seconds, twice each time.
pub const CALLS_A_MINUTE: (usize, usize) = (2, 8);
/// Of all operations: an app and its network each try.
pub const ALL_CALLS_A_MINUTE: usize = 40;

/// What a fault that lasts leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// The work is done all the same.
    NoMatter,
    /// A condition names the call, for this reason.
    Reported(String),
    /// A condition with this reason says that something is waited for.
    Waits(String),
    /// Nobody is told anything.
    Silent,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Cell {
    pub lasting: Lasting,
    /// Of the operation, and of all, in [`COUNTED`].
    pub calls: (usize, usize),
    /// How long after the fault.
    pub healed: Option<Duration>,
    /// How long a life took in which the fault came three times.
    pub thrice: Option<Duration>,
    pub problems: Vec<String>,
}

impl Cell {
    /// As the table shows it.
    pub fn shown(&self) -> String {
        let lasting = match &self.lasting {
            Lasting::NoMatter => "no matter".to_owned(),
            Lasting::Reported(reason) => format!("told {reason}"),
            Lasting::Waits(reason) => format!("waits: {reason}"),
            Lasting::Silent => "SILENT".to_owned(),
        };
        let seconds = |time: Duration| format!("{} s", time.as_secs());
        let minutes = COUNTED.as_secs() / 60;
        let rate = format!("{}.{}/min", self.calls.0 as u64 / minutes, self.calls.0 as u64 * 10 / minutes % 10);
        let healed = self.healed.map_or_else(|| "NOT HEALED".to_owned(), |time| format!("healed in {}", seconds(time)));
        let thrice = self.thrice.map(|time| format!("3x: through in {}; ", seconds(time))).unwrap_or_default();
        let amiss = if self.problems.is_empty() { String::new() } else { format!(" !! {}", self.problems.join("; ")) };
        format!("{thrice}{lasting}, {rate}, {healed}{amiss}")
    }
}

/// Lives through it.
pub async fn live(part: Part, call: Call<'_>, kind: Kind, trouble: &Trouble) -> Cell {
    let mut problems = Vec::new();
    let thrice = if kind.is_passing() { thrice(part, call, trouble, &mut problems).await } else { None };

    let mut life = part.prepare().await;
    life.scene.forget();
    trouble.begin(&life.scene, call, u32::MAX);
    life.begin();
    if part == Part::Create && !matches!(trouble, Trouble::Fault(_)) {
        // What has the state comes first.
        for _ in 0..30 {
            sleep(Duration::from_secs(1)).await;
            trouble.begin(&life.scene, call, u32::MAX);
        }
    }
    sleep(EARLY).await;
    let early = lasting(&life, call, trouble);
    sleep(BETWEEN).await;
    life.scene.kubernetes.take_journal();
    let before = life.scene.aws.take_journal();
    sleep(COUNTED).await;
    let last = life.scene.aws.take_journal();
    let hit = |calls: &[CallRecord]| calls.iter().any(|record| is(record, call) && record.error_code.is_some());
    if matches!(trouble, Trouble::Fault(_)) && !hit(&before) && !hit(&last) {
        problems.push("the call was never made".to_owned());
    }
    let written = life.scene.kubernetes.take_journal().writes().len();
    if written > 0 {
        problems.push(format!("{written} writes to Kubernetes in a steady state"));
    }
    let lasting = match (early, lasting(&life, call, trouble)) {
        (reported @ Lasting::Reported(_), Lasting::NoMatter) => reported,
        (_, late) => late,
    };
    let calls = (last.iter().filter(|record| is(record, call)).count(), last.len());
    problems.extend(judge(part, call, kind, &lasting, calls, &life));
    problems.extend(life.duplicates());

    trouble.end(&life.scene);
    let healed = life.until_through(HEALS_WITHIN).await;
    if healed.is_none() {
        let unmet_conditions: Vec<String> =
            life.objects().iter().flat_map(unmet).map(|(reason, says)| reason + ": " + &says).collect();
        problems.push(format!("not healed: {}", unmet_conditions.join(" | ")));
    }
    problems.extend(life.duplicates());
    problems.extend(life.end().await.into_iter().map(|left| format!("left: {left}")));
    Cell { lasting, calls, healed, thrice, problems }
}

/// The fault comes three times.
async fn thrice(part: Part, call: Call<'_>, trouble: &Trouble, problems: &mut Vec<String>) -> Option<Duration> {
    let mut life = part.prepare().await;
    trouble.begin(&life.scene, call, 3);
    life.begin();
    if part == Part::Rest {
        // Nothing sets it off but the resync.
        sleep(Duration::from_mins(6)).await;
    }
    let through = life.until_through(HEALS_WITHIN).await;
    if through.is_none() {
        problems.push("not through although the fault came three times only".to_owned());
    }
    trouble.end(&life.scene);
    problems.extend(life.duplicates());
    problems.extend(life.end().await.into_iter().map(|left| format!("left after three: {left}")));
    through
}

fn is(record: &CallRecord, (service, operation): Call<'_>) -> bool {
    record.service == service && record.operation == operation
}

/// The legs that are not met: reason and message.
fn unmet(object: &Value) -> Vec<(String, String)> {
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .filter(|condition| condition["status"] != "True")
        .map(|condition| (text(condition, "reason"), text(condition, "message")))
        .collect()
}

fn lasting(life: &Life, (service, operation): Call<'_>, trouble: &Trouble) -> Lasting {
    let objects = life.objects();
    let unmet: Vec<(String, String)> = objects.iter().flat_map(unmet).collect();
    let words = match trouble {
        Trouble::Fault(_) => format!("{service}:{operation} failed"),
        Trouble::EndpointState | Trouble::FunctionState => "ibernating".to_owned(),
    };
    if let Some((reason, _)) = unmet.iter().find(|(_, message)| message.contains(&words)) {
        return Lasting::Reported(reason.clone());
    }
    if life.is_through() {
        return Lasting::NoMatter;
    }
    unmet
        .iter()
        .find(|(reason, message)| !message.is_empty() && reason != "WaitingForNetwork")
        .map_or(Lasting::Silent, |(reason, _)| Lasting::Waits(reason.clone()))
}

/// What a message about a failed call says will happen, or is to be done.
const REMEDIES: [&str; 8] = [
    "Create the managed policy",
    "tried again",
    "looked for again",
    "looked for by its tags",
    "probed again",
    "waited for",
    "Allow the operator's role",
    "Raise the quota",
];

/// What fails is no matter, although somebody should see to it: why that is right.
fn no_matter(part: Part, (_, operation): Call<'_>) -> Option<&'static str> {
    match (part, operation) {
        (_, "GetAccountAuthorizationDetails") => Some("roles are read one by one instead"),
        // There is no object any more that could tell; those that are there tell it of themselves.
        (Part::Delete, "ListFunctions") => Some("the app is gone, and what came late is looked for again"),
        (Part::Delete, "GetRole" | "GetRolePolicy" | "ListAttachedRolePolicies" | "ListRolePolicies") => {
            Some("the second look reads all roles instead")
        }
        // One of the two groups goes with its rules, and then nothing refers to the other.
        (Part::Delete, "RevokeSecurityGroupEgress" | "RevokeSecurityGroupIngress") => {
            Some("a group is deleted with its rules, and the other after it")
        }
        _ => None,
    }
}

fn judge(
    part: Part,
    call: Call<'_>,
    kind: Kind,
    lasting: &Lasting,
    (calls, all): (usize, usize),
    life: &Life,
) -> Vec<String> {
    let mut problems = Vec::new();
    let minutes = usize::try_from(COUNTED.as_secs() / 60).expect("a few minutes");
    let bound = if kind.needs_somebody() { CALLS_A_MINUTE.0 } else { CALLS_A_MINUTE.1 };
    if calls > bound * minutes {
        problems.push(format!("{calls} calls of it in {minutes} minutes"));
    }
    if all > ALL_CALLS_A_MINUTE * minutes {
        problems.push(format!("{all} calls in {minutes} minutes"));
    }
    let reason = match lasting {
        Lasting::Reported(reason) => Some(reason.as_str()),
        Lasting::NoMatter | Lasting::Waits(_) => None,
        Lasting::Silent => {
            problems.push("nobody is told".to_owned());
            None
        }
    };
    let expected: &[&str] = match kind {
        Kind::AccessDenied => &["AccessDenied"],
        Kind::QuotaReached => &["QuotaReached"],
        Kind::BoundaryMissing => &["AwsRefused"],
        Kind::Throttled
        | Kind::ServerError
        | Kind::TimedOut
        | Kind::ResetAfterTheWork
        | Kind::NotFound
        | Kind::AlreadyExists
        | Kind::Malformed
        | Kind::UnknownState => &[],
    };
    let no_matter = *lasting == Lasting::NoMatter && no_matter(part, call).is_some();
    if kind.needs_somebody() && !no_matter && reason.is_none_or(|reason| !expected.contains(&reason)) {
        problems.push(format!("{expected:?} is not told"));
    }
    let stalls = |object: &Value| condition(object, "Stalled").0 == "True";
    if kind.needs_somebody() && reason.is_some() && !life.is_through() && !life.objects().iter().any(stalls) {
        problems.push("nothing stalls although somebody must act".to_owned());
    }
    if reason.is_some() && kind != Kind::UnknownState {
        for (_, message) in life.objects().iter().flat_map(unmet).filter(|(_, message)| message.contains(" failed: ")) {
            if !REMEDIES.iter().any(|remedy| message.contains(remedy)) {
                problems.push(format!("no remedy in: {message}"));
            }
        }
    }
    problems
}
