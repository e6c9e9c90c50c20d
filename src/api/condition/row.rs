//! The columns of the table of reasons. See [`Reason`].

use std::{fmt, time::Duration};

use super::{ConditionType, Reason, Wait, WaitsFor};

/// The facts about one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The reason.
    pub reason: Reason,
    /// The meaning of the reason.
    pub meaning: &'static str,
    /// The conditions that the operator gives this reason directly. Besides, `Ready`, `Stalled` and `Reconciling` repeat the
    /// reason of another condition, and `NetworkReady` and `EndpointReady` of an app any reason of its network.
    pub conditions: &'static [ConditionType],
    /// The party that acts while the reason holds. For an overdue wait, `wait` has who can act.
    pub actor: Actor,
    /// The action of the reader, in Markdown. Links are relative to `docs/reference/`.
    pub remedy: &'static str,
    /// The bound of the wait. `None` for a reason that does not depend on time.
    pub wait: Option<Wait>,
}

/// Who acts while a reason holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// There is nothing to do.
    Nobody,
    /// The operator.
    Operator,
    /// AWS.
    Aws,
    /// Whoever writes the `PrivateGenAIApp`.
    AppOwner,
    /// Whoever writes the `PrivateGenAINetwork`, or chooses the VPC that an app names.
    NetworkOwner,
    /// Whoever administers the VPC: subnets, routes, DNS.
    VpcAdministrator,
    /// Whoever administers the AWS account: IAM, quotas, keys, other resources.
    AccountAdministrator,
    /// Whoever runs the operator: chart values, flags, credentials.
    OperatorAdministrator,
    /// Whoever administers the cluster: RBAC, admission policies.
    ClusterAdministrator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Operator => "the operator",
            Self::Aws => "AWS",
            Self::AppOwner => "whoever owns the app",
            Self::NetworkOwner => "whoever owns the network",
            Self::VpcAdministrator => "whoever administers the VPC",
            Self::AccountAdministrator => "whoever administers the AWS account",
            Self::OperatorAdministrator => "whoever runs the operator",
            Self::ClusterAdministrator => "whoever administers the cluster",
        })
    }
}

/// The remedy of a reason that needs no action.
pub(super) const NOTHING: &str = "nothing";

/// The reason does not depend on time.
pub(super) const NO_WAIT: Option<Wait> = None;

pub(super) const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

pub(super) const fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

/// A wait for AWS, or for people.
pub(super) const fn wait(bound: Duration, still: &'static str, who: &'static str) -> Wait {
    Wait { waits_for: WaitsFor::Others, bound, still, who }
}

/// A wait for another condition of the same object, or for the network.
pub(super) const fn after_others(bound: Duration, still: &'static str, who: &'static str) -> Wait {
    Wait { waits_for: WaitsFor::OtherConditions, bound, still, who }
}

/// Declares the reasons, each with its row. The names of the variants are their names on the wire.
macro_rules! reasons {
    (
        $(#[$outer:meta])* enum $kind:ident;
        $($(#[doc = $meaning:literal])+ $name:ident: $conditions:expr, $actor:expr, $remedy:expr, $wait:expr;)+
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl $kind {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The row of this reason.
            pub fn explanation(self) -> $crate::api::condition::Explanation {
                let row = |meaning: &'static str, conditions, actor, remedy, wait| {
                    $crate::api::condition::Explanation { reason: self, meaning: meaning.trim(), conditions, actor, remedy, wait }
                };
                match self {
                    $(Self::$name => row(concat!($($meaning),+), $conditions, $actor, $remedy, Option::<$crate::api::condition::Wait>::from($wait)),)+
                }
            }
        }
    };
}

pub(super) use reasons;

impl Reason {
    /// The reason of that name.
    pub fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// The bound of the reason. `None` for a reason that does not depend on time: a person must act at once, or nobody.
    pub fn wait(self) -> Option<Wait> {
        self.explanation().wait
    }

    /// An event ends the wait, and not a read of AWS: a change of the network's status or of the spec, the end of another condition's
    /// wait, or the interfaces of a resource in use, which are read afresh in any case.
    pub fn waits_for_event(self) -> bool {
        matches!(self, Self::WaitingForNetwork | Self::DependencyNotReady | Self::ResourceInUse | Self::Suspended)
    }

    /// The message of a condition with this reason ends with the start of the wait.
    pub(super) fn has_since(self) -> bool {
        !matches!(self, Self::Ready | Self::Accepted | Self::Pending)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_name_and_explained_in_sentences() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_wire(reason.as_str()), Some(*reason));
            let row = reason.explanation();
            assert!(row.meaning.ends_with(['.', ')']) && !row.meaning.contains("  "), "{reason}: {}", row.meaning);
            assert!(!row.conditions.is_empty() && !row.remedy.is_empty(), "{row:?}");
            assert!(row.remedy == NOTHING || row.remedy.ends_with(['.', '?', ')']), "{row:?}");
        }
    }
}
