//! How long a condition may wait, by its reason. Longer than that, the object is `Stalled`: its message says what is still true
//! and who can act.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::condition::Reason;

/// What a reason waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// AWS, or people.
    Others,
    /// Another condition of the same object, or the network: while that one says what is waited for, this one is not late.
    EarlierLeg,
}

/// How long a reason may wait, and what is said when it waits for longer. docs/troubleshooting.md has a line for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is waited for.
    pub waits_for: WaitsFor,
    /// Longer than this, and the object is `Stalled`.
    pub bound: Duration,
    /// What holds meanwhile. Goes on after a colon.
    pub still: &'static str,
    /// Who can act, and how. Goes on after a colon.
    pub who: &'static str,
}

/// Whether an object that waits may still be expected to go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It may, or it does not wait.
    Left,
    /// All that it waits for is overdue: it is looked at as rarely as one for which somebody must act.
    Over,
}

/// A failure that says nothing about what was waited for before it.
pub(super) fn says_nothing(reason: Reason) -> bool {
    matches!(reason, Reason::Throttled | Reason::AwsUnavailable | Reason::ObservationFailed)
}

impl Wait {
    /// The wait behind a reason; `None` for a reason that never waits: somebody must act from the first moment on, or nobody.
    pub fn of(reason: Reason) -> Option<Self> {
        let (minutes, hours) = (Duration::from_mins, Duration::from_hours);
        let wait = |bound, still, who| Some(Self { waits_for: WaitsFor::Others, bound, still, who });
        let follows = |bound, still, who| Some(Self { waits_for: WaitsFor::EarlierLeg, bound, still, who });
        match reason {
            Reason::WaitingForNetwork => follows(
                hours(1),
                "what is there is kept exact, and nothing is created",
                "whoever runs the operator, by its log: no other condition says what is waited for",
            ),
            Reason::DependencyNotReady => follows(
                hours(1),
                "what is there is kept exact",
                "whoever runs the operator, by its log: no other condition says which call failed",
            ),
            Reason::Applying => wait(
                minutes(30),
                "what AWS has taken is there, and the rest is tried again",
                "whoever runs the operator, by its log, which has every call",
            ),
            Reason::EndpointPending => wait(
                hours(1),
                "everything else of the network is kept exact",
                "AWS Support, by the id of the endpoint; or whoever administers the VPC, by deleting the endpoint, which is created again",
            ),
            Reason::EndpointUpdating => wait(
                hours(1),
                "the models that the endpoint lets through already can be called",
                "whoever administers the network, by its conditions (kubectl describe pgain)",
            ),
            Reason::FunctionPending => wait(
                hours(1),
                "everything else of the app is kept exact",
                "AWS Support, by the name of the function; or whoever administers the account, by deleting the function, which is created again",
            ),
            Reason::RolePropagating => wait(
                minutes(15),
                "what is there is kept exact, and the call is made again every five minutes",
                "whoever administers IAM: a service control policy, a resource control policy or the permissions boundary may deny the \
                 execution role what AWS names",
            ),
            Reason::FunctionInactive => wait(
                hours(1),
                "everything else of the app is kept exact",
                "whoever may invoke the function, by invoking it: Lambda says what keeps it from waking",
            ),
            Reason::ProbePending => follows(
                hours(1),
                "what is there is kept exact, and its path is not proven",
                "whoever runs the operator, by its log, which has every probe",
            ),
            Reason::Deleting => wait(
                hours(2),
                "the object is kept until nothing is left, so nothing is forgotten",
                "AWS Support, by the id that the message names",
            ),
            Reason::ResourceInUse => wait(
                hours(12),
                "the object is kept until nothing is left, so nothing is forgotten",
                "whoever owns what the message names, by taking the group off it; AWS Support, if it is an interface of Lambda's",
            ),
            Reason::InUse => wait(
                hours(1),
                "the network stays as it is for the apps that use it",
                "whoever owns the apps that the message names, by deleting them",
            ),
            Reason::NetworkDeleting => wait(
                hours(16),
                "what the app has stays where it is",
                "whoever administers the network: its conditions (kubectl describe pgain) say what keeps it",
            ),
            Reason::EndpointFailed => wait(
                minutes(30),
                "everything else of the network is kept exact, and the endpoint is created again every five minutes at most",
                "whoever administers what AWS's words name",
            ),
            Reason::FunctionFailed => wait(
                minutes(30),
                "everything else of the app is kept exact, and the function is created or updated again every five minutes at most",
                "whoever administers what Lambda's words name",
            ),
            Reason::ProbeFailed => wait(
                minutes(15),
                "what is there is kept exact, and the path is probed again",
                "whoever administers the VPC: its network ACLs and its DNS",
            ),
            Reason::NotPrivate => wait(
                minutes(15),
                "the security groups let the function reach the endpoint alone",
                "whoever administers the VPC: its hosted zones and its DNS",
            ),
            Reason::Throttled => wait(
                hours(2),
                "what is there stays as it is, and calls are made, less often each time",
                "whoever administers the account: who else calls so often, and is a quota to be raised; or whoever runs the operator: \
                 pacing.awsRatePercent of the chart",
            ),
            Reason::AwsUnavailable => wait(
                hours(2),
                "what is there stays as it is, and calls are made, less often each time",
                "AWS, whose Health Dashboard tells; or whoever runs the operator: its way to AWS, with proxies and DNS",
            ),
            Reason::ObservationFailed => wait(
                hours(2),
                "what was recorded is kept, and nothing is claimed of what cannot be read",
                "AWS, whose Health Dashboard tells; or whoever runs the operator: its way to AWS, and what its role may read",
            ),
            Reason::Ready
            | Reason::Accepted
            | Reason::Pending
            | Reason::Suspended
            | Reason::InvalidSpec
            | Reason::InstallationChanged
            | Reason::InstallationInUse
            | Reason::RegionNotAllowed
            | Reason::VpcNotAllowed
            | Reason::NamespaceNotAllowed
            | Reason::ModelNotAllowed
            | Reason::VpcConflict
            | Reason::NameConflict
            | Reason::VpcNotFound
            | Reason::VpcNotOwned
            | Reason::DedicatedTenancy
            | Reason::ServiceNotOffered
            | Reason::TooFewZones
            | Reason::NoFreeAddresses
            | Reason::SubnetNotInVpc
            | Reason::SubnetNotPrivate
            | Reason::SubnetZoneNotOffered
            | Reason::DnsDisabled
            | Reason::PolicyTooLong
            | Reason::EnvironmentTooLong
            | Reason::EnvironmentUnreadable
            | Reason::FunctionError
            | Reason::FunctionTimedOut
            | Reason::AccessDenied
            | Reason::CredentialsInvalid
            | Reason::NameTaken
            | Reason::QuotaReached
            | Reason::AwsRefused
            | Reason::WriteHasNoEffect
            | Reason::KubernetesRefused => None,
        }
    }

    /// What waits since then is overdue.
    pub fn is_over(&self, since: Timestamp, now: Timestamp) -> bool {
        u64::try_from(now.as_second().saturating_sub(since.as_second()))
            .is_ok_and(|waited| waited >= self.bound.as_secs())
    }

    /// The bound in words.
    pub fn bound_in_words(&self) -> String {
        let minutes = self.bound.as_secs() / 60;
        match (minutes / 60, minutes % 60) {
            (1, 0) => "1 hour".to_owned(),
            (hours, 0) => format!("{hours} hours"),
            _ => format!("{minutes} minutes"),
        }
    }

    /// What the object becomes then.
    pub fn becomes(&self) -> &'static str {
        match self.waits_for {
            WaitsFor::Others => "`Stalled`",
            WaitsFor::EarlierLeg => "`Stalled`, if no other condition says what is waited for",
        }
    }

    /// What a message says of a wait that is over.
    pub fn words(&self) -> String {
        let Self { still, who, .. } = self;
        format!("That is overdue after {}. Still true: {still}. Who can act: {who}.", self.bound_in_words())
    }
}

#[cfg(test)]
mod tests;
