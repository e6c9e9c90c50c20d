//! Conditions as a fold over the legs of a path: one condition a leg, all of them together `Ready`.

use std::fmt;

use super::waiting::{self, Patience, Wait, WaitsFor};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// Enums whose variants are their names on the wire.
macro_rules! names {
    ($(#[$outer:meta])* enum $kind:ident; $($(#[$doc:meta])* $name:ident,)*) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $($(#[$doc])* $name,)*
        }

        impl $kind {
            /// Every one, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The one of that name.
            pub fn from_wire(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == name)
            }
        }
    };
}

names! {
    /// A condition type of either kind.
    enum ConditionType;
    /// All legs are there: the path works.
    Ready,
    /// The object is one that the operator acts on.
    Accepted,
    /// The VPC can carry a private path (network).
    VpcReady,
    /// The two security groups have exactly their rules (network).
    SecurityGroupsReady,
    /// Every endpoint is available and as it should be (network).
    EndpointsReady,
    /// The network that the app is on is there (app).
    NetworkReady,
    /// The endpoint that the app uses is available and lets its models through (app).
    EndpointReady,
    /// The execution role exists and allows what the function needs, no more (app).
    ExecutionRoleReady,
    /// The function is active, attached and up to date (app).
    FunctionReady,
    /// A probe went from the function to the endpoint, and met nobody else (app).
    Healthy,
    /// Present while the operator works on the object or waits for AWS (kstatus).
    Reconciling,
    /// Present while somebody else must act before it goes on (kstatus).
    Stalled,
}

names! {
    /// Why a condition is as it is. docs/troubleshooting.md has a line for each.
    enum Reason;
    /// The leg is there.
    Ready,
    /// The object is acted on.
    Accepted,
    /// Nothing was looked at yet.
    Pending,
    /// An earlier leg comes first.
    WaitingForNetwork,
    /// A call on which others stand failed, and another leg tells of that.
    DependencyNotReady,
    /// The operator is making or changing something and looks again at once.
    Applying,
    /// AWS is at work on the endpoint.
    EndpointPending,
    /// The endpoint does not yet let the app's models through.
    EndpointUpdating,
    /// AWS is at work on the function.
    FunctionPending,
    /// AWS does not yet know the new role everywhere.
    RolePropagating,
    /// AWS has put the idle function to sleep; the operator wakes it.
    FunctionInactive,
    /// The app is suspended, and something is to be done for it.
    Suspended,
    /// The path has not been probed as it now is.
    ProbePending,
    /// The object is being deleted, and what it stands for in AWS with it.
    Deleting,
    /// Something in AWS still uses what is to be deleted.
    ResourceInUse,
    /// The network is deleted while apps use it: it stays until they are gone.
    InUse,
    /// The network of the app is being deleted and comes anew.
    NetworkDeleting,
    /// The stored object cannot be read by this version.
    InvalidSpec,
    /// The resources of the object are another installation's: the operator was given another installation id.
    InstallationChanged,
    /// The security groups of the VPC are marked as another cluster's with the same installation id.
    InstallationInUse,
    /// The operator's configuration does not let apps and networks be in this region.
    RegionNotAllowed,
    /// The operator's configuration does not let apps use this VPC.
    VpcNotAllowed,
    /// The operator's configuration does not let apps be in this namespace.
    NamespaceNotAllowed,
    /// The operator's configuration does not let apps call one of these models.
    ModelNotAllowed,
    /// Another network stands for the same VPC.
    VpcConflict,
    /// A network of that name stands for another VPC.
    NameConflict,
    /// There is no such VPC in this account and region.
    VpcNotFound,
    /// The VPC belongs to another account, which shares its subnets with the one that the operator works in.
    VpcNotOwned,
    /// Lambda attaches functions to VPCs of default tenancy only.
    DedicatedTenancy,
    /// The region does not offer the service through interface endpoints.
    ServiceNotOffered,
    /// Fewer than two zones have a private subnet where the service is offered.
    TooFewZones,
    /// A subnet has no address left for an interface.
    NoFreeAddresses,
    /// A subnet of the app is not in the VPC.
    SubnetNotInVpc,
    /// A subnet of the app leads to the internet.
    SubnetNotPrivate,
    /// A subnet of the app is in a zone where the service has no endpoints.
    SubnetZoneNotOffered,
    /// The VPC's DNS attributes do not let names resolve.
    DnsDisabled,
    /// The endpoint policy would be longer than AWS allows.
    PolicyTooLong,
    /// The environment of the function would be longer than Lambda allows.
    EnvironmentTooLong,
    /// Lambda cannot decrypt the environment of the function.
    EnvironmentUnreadable,
    /// The endpoint failed, was rejected or expired.
    EndpointFailed,
    /// The function failed to start or to update.
    FunctionFailed,
    /// The function failed when it was probed.
    FunctionError,
    /// The function ran into its time limit when it was probed.
    FunctionTimedOut,
    /// The function does not reach the endpoint.
    ProbeFailed,
    /// The service's name leads the function to addresses that are not the endpoint's.
    NotPrivate,
    /// A resource in AWS has the name that is needed, and is not ours.
    NameTaken,
    /// AWS does not let the operator make a call.
    AccessDenied,
    /// The operator has no valid AWS credentials.
    CredentialsInvalid,
    /// A service quota of the account is used up.
    QuotaReached,
    /// AWS throttles the operator's calls.
    Throttled,
    /// AWS did not answer, or said that it is unwell.
    AwsUnavailable,
    /// AWS refuses a call as it stands.
    AwsRefused,
    /// AWS takes a write again and again, and shows no change.
    WriteHasNoEffect,
    /// The Kubernetes API refuses a write of the operator: an admission policy, or the operator's permissions.
    KubernetesRefused,
    /// AWS could not be looked at.
    ObservationFailed,
}

impl Reason {
    /// It matters since when it is so: by that it is known when a wait is over.
    fn has_since(self) -> bool {
        !matches!(self, Self::Ready | Self::Accepted | Self::Pending)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegState {
    /// It is as it should be.
    Met,
    /// It is being worked on, by the operator or by AWS.
    Progressing,
    /// It stays as it is until somebody else acts.
    Blocked,
    /// It could not be looked at.
    Unknown,
}

/// One leg of a path: a condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Which.
    pub kind: ConditionType,
    /// How it stands.
    pub state: LegState,
    /// Why.
    pub reason: Reason,
    /// A sentence that names the resource, what is waited for or wrong, and what to do.
    pub message: String,
}

impl Leg {
    /// A leg that is as it should be.
    pub fn met(kind: ConditionType, message: impl Into<String>) -> Self {
        let reason = if kind == ConditionType::Accepted { Reason::Accepted } else { Reason::Ready };
        Self { kind, state: LegState::Met, reason, message: message.into() }
    }

    /// A leg that is being worked on.
    pub fn progressing(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, state: LegState::Progressing, reason, message: message.into() }
    }

    /// A leg that needs somebody to act.
    pub fn blocked(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, state: LegState::Blocked, reason, message: message.into() }
    }

    /// A leg that could not be looked at.
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, state: LegState::Unknown, reason, message: message.into() }
    }
}

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
pub fn patience(legs: &[Leg], before: &[Condition], generation: Option<i64>, now: Timestamp) -> Patience {
    let legs = judge(legs, before, generation, now);
    let waits = |it: &&Judged| it.waits().is_some_and(|wait| wait.waits_for == WaitsFor::Others);
    let (over, within): (Vec<_>, Vec<_>) = legs.iter().filter(waits).partition(|it| it.is_over);
    if within.is_empty() && !over.is_empty() { Patience::Over } else { Patience::Left }
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
            LegState::Progressing | LegState::Unknown => Wait::of(self.leg.reason),
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
    let is_earlier = |it: &Judged| it.waits().is_some_and(|wait| wait.waits_for == WaitsFor::EarlierLeg);
    let follows = judged.iter().any(|it| it.is_unmet() && !is_earlier(it));
    let turned = judged.iter().filter(|it| !it.is_unmet()).map(|it| {
        let held = find(before, it.leg.kind).filter(|old| old.status == "True");
        held.map_or(now, |old| old.last_transition_time.0)
    });
    let turned = turned.max();
    for it in &mut judged {
        it.is_over = it.waits().is_some_and(|wait| match wait.waits_for {
            WaitsFor::Others => wait.is_over(it.since, now),
            WaitsFor::EarlierLeg => !follows && wait.is_over(turned.map_or(it.since, |at| at.max(it.since)), now),
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
    if !waiting::says_nothing(leg.reason) || leg.state == LegState::Blocked {
        return None;
    }
    let (old, reason) = unmet_before(leg.kind, before, generation).filter(|(_, reason)| *reason != leg.reason)?;
    let wait = Wait::of(reason).filter(|wait| wait.waits_for == WaitsFor::Others)?;
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
pub(crate) fn without_request_id(message: &str) -> (&str, &str) {
    match message.split_once(" (request id ") {
        None => (message, ""),
        Some((before, rest)) => (before, rest.split_once(')').map_or("", |(_, after)| after)),
    }
}

/// Finds a condition by its type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// The condition is there, and `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn shown(conditions: &[Condition]) -> Vec<String> {
        conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
    }

    #[test]
    fn ready_is_true_exactly_when_every_leg_is_met() {
        let legs = [Leg::met(ConditionType::Accepted, ""), Leg::met(ConditionType::VpcReady, "")];
        assert_eq!(
            shown(&fold(&legs, &[], Some(1), at(0))),
            ["Ready=True/Ready", "Accepted=True/Accepted", "VpcReady=True/Ready"]
        );
    }

    #[test]
    fn somebody_who_must_act_is_told_before_anybody_who_must_wait() {
        let legs = [
            Leg::progressing(ConditionType::NetworkReady, Reason::WaitingForNetwork, "wait"),
            Leg::blocked(ConditionType::ExecutionRoleReady, Reason::AccessDenied, "act"),
        ];
        assert_eq!(
            shown(&fold(&legs, &[], Some(1), at(0))),
            [
                "Ready=False/AccessDenied",
                "NetworkReady=False/WaitingForNetwork",
                "ExecutionRoleReady=False/AccessDenied",
                "Stalled=True/AccessDenied"
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays_and_the_same_legs_change_nothing() {
        let waiting = [Leg::progressing(ConditionType::VpcReady, Reason::Applying, "a")];
        let first = fold(&waiting, &[], Some(1), at(10));
        assert_eq!(fold(&waiting, &first, Some(1), at(20)), first);
        let met = fold(&[Leg::met(ConditionType::VpcReady, "")], &first, Some(1), at(30));
        assert!(met.iter().all(|condition| condition.last_transition_time == Time(at(30))));
        assert_eq!(find(&met, ConditionType::Reconciling), None, "Reconciling is present only while it is true");
    }

    #[test]
    fn a_call_that_keeps_failing_changes_nothing_although_each_attempt_has_its_own_request_id() {
        let failed = |id: &str| {
            [Leg::blocked(ConditionType::VpcReady, Reason::AccessDenied, format!("No (request id {id}). Allow it."))]
        };
        let first = fold(&failed("a"), &[], Some(1), at(10));
        assert_eq!(fold(&failed("b"), &first, Some(1), at(20)), first);
        let other =
            [Leg::blocked(ConditionType::VpcReady, Reason::AccessDenied, "Not at all (request id c). Allow it.")];
        assert_ne!(fold(&other, &first, Some(1), at(20)), first);
    }

    #[test]
    fn a_wait_for_somebody_else_says_since_when_and_keeps_saying_it_while_its_reason_holds() {
        let kind = ConditionType::SecurityGroupsReady;
        let waits = |reason, message: &str| [Leg::progressing(kind, reason, message)];
        let said = |conditions: &[Condition]| find(conditions, kind).expect("the leg").message.clone();
        let first = fold(&waits(Reason::ResourceInUse, "eni-1 is there."), &[], Some(1), at(10));
        assert_eq!(said(&first), "eni-1 is there. Since 1970-01-01T00:00:10Z.");
        for told in [ConditionType::Ready, ConditionType::Reconciling] {
            assert_eq!(find(&first, told).expect("a condition").message, said(&first));
        }
        assert_eq!(fold(&waits(Reason::ResourceInUse, "eni-1 is there."), &first, Some(1), at(20)), first);
        let less = fold(&waits(Reason::ResourceInUse, "eni-2 is there."), &first, Some(1), at(30));
        assert_eq!(said(&less), "eni-2 is there. Since 1970-01-01T00:00:10Z.", "other words for the same wait");
        let blocked = fold(&[Leg::blocked(kind, Reason::ResourceInUse, "i-1.")], &less, Some(1), at(40));
        assert_eq!(said(&blocked), "i-1. Since 1970-01-01T00:00:10Z.");
        let other = fold(&waits(Reason::Deleting, "It goes."), &less, Some(1), at(40));
        assert_eq!(said(&other), "It goes. Since 1970-01-01T00:00:40Z.", "another wait");
        let own = fold(&waits(Reason::Applying, "Soon."), &less, Some(1), at(40));
        assert_eq!(said(&own), "Soon. Since 1970-01-01T00:00:40Z.", "its own work");
        let pending = fold(&waits(Reason::Pending, "Nobody looked."), &less, Some(1), at(40));
        assert_eq!(said(&pending), "Nobody looked.", "the operator does not wait for itself");
        let repeated = waits(Reason::ResourceInUse, "Network n: eni-1 is there. Since 1970-01-01T00:00:05Z.");
        assert_eq!(said(&fold(&repeated, &[], Some(1), at(50))), repeated[0].message, "as the network says");
        let silent = |old: &Condition| Condition { message: "An older version said no time.".into(), ..old.clone() };
        let old: Vec<Condition> = first.iter().map(silent).collect();
        let dated = fold(&waits(Reason::ResourceInUse, "eni-1 is there."), &old, Some(1), at(60));
        assert_eq!(said(&dated), "eni-1 is there. Since 1970-01-01T00:00:10Z.");
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_wire(reason.as_str()), Some(*reason));
        }
    }
}
