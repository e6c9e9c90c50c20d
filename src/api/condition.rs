//! Conditions: their types, their reasons, and how they come from the legs of a path.
//!
//! Where to add something:
//! - a reason: a row in [`reason`](Reason), which says when it appears and what helps;
//! - a type: a variant of [`ConditionType`], and legs of that kind.

mod from_legs;
mod message;
mod reason;
mod row;
mod wait;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use from_legs::{conditions_of, wait_state};
pub use message::Message;
pub use reason::Reason;
pub use row::{Actor, Explanation};
pub use wait::{Wait, WaitState, WaitsFor};

/// Declares the condition types. The names of the variants are their names on the wire.
macro_rules! condition_types {
    ($($(#[doc = $meaning:literal])+ $name:ident,)+) => {
        /// A condition type of either kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ConditionType {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl ConditionType {
            /// Every type, in the order in which a status shows them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What the condition says while it is `True`.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+).trim_ascii(),)+
                }
            }
        }
    };
}

condition_types! {
    /// Every other condition of the object is met: the path works.
    Ready,
    /// The operator acts on the object.
    Accepted,
    /// The VPC can carry a private path (network).
    VpcReady,
    /// The two security groups have exactly their rules (network).
    SecurityGroupsReady,
    /// Every endpoint is available and as it should be (network).
    EndpointsReady,
    /// The network of the app is ready (app).
    NetworkReady,
    /// The endpoint that the app uses is available and lets the app's models through (app).
    EndpointReady,
    /// The execution role exists, and allows what the function needs and no more (app).
    ExecutionRoleReady,
    /// The function is active, attached to the VPC and up to date (app).
    FunctionReady,
    /// A probe went from the function to the endpoint, and to nothing else (app).
    Healthy,
    /// The operator works on the object, or waits for AWS. Absent otherwise (kstatus).
    Reconciling,
    /// Somebody else must act before the operator can go on. Absent otherwise (kstatus).
    Stalled,
}

/// How a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegState {
    /// What the leg is about is as it should be.
    Met,
    /// The operator or AWS is at work.
    Progressing,
    /// Nothing changes until somebody else acts.
    Blocked,
    /// What the leg is about could not be read.
    Unknown,
}

/// One leg of a path, which becomes one condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// The condition that the leg becomes.
    pub kind: ConditionType,
    /// How the leg stands.
    pub state: LegState,
    /// Why the leg stands so.
    pub reason: Reason,
    /// Names the resource, what is wrong or waited for, and the remedy.
    pub message: Message,
}

impl Leg {
    /// A leg of which everything is as it should be.
    pub fn met(kind: ConditionType, message: impl Into<Message>) -> Self {
        let reason = if kind == ConditionType::Accepted { Reason::Accepted } else { Reason::Ready };
        Self { kind, state: LegState::Met, reason, message: message.into() }
    }

    /// A leg at which the operator or AWS is at work.
    pub fn progressing(kind: ConditionType, reason: Reason, message: impl Into<Message>) -> Self {
        Self { kind, state: LegState::Progressing, reason, message: message.into() }
    }

    /// A leg that needs somebody to act.
    pub fn blocked(kind: ConditionType, reason: Reason, message: impl Into<Message>) -> Self {
        Self { kind, state: LegState::Blocked, reason, message: message.into() }
    }

    /// A leg about something that could not be read.
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<Message>) -> Self {
        Self { kind, state: LegState::Unknown, reason, message: message.into() }
    }
}

/// Finds a condition by its type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Whether the condition exists and is `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}
