//! Conditions: their types, their reasons, and how the legs of a path become conditions.
//!
//! Where to add something:
//! - a reason: a row in [`reason`](Reason), with its meaning and remedy;
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

            /// The meaning of the condition while it is `True`.
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
    /// Every endpoint is available and has its desired configuration (network).
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

/// The state of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegState {
    /// The subject of the leg has its desired state.
    Met,
    /// The operator or AWS is at work.
    Progressing,
    /// Nothing changes until a person acts.
    Blocked,
    /// The subject of the leg could not be read.
    Unknown,
}

/// One leg of a path, which becomes one condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// The condition that the leg becomes.
    pub kind: ConditionType,
    /// The state of the subject.
    pub state: LegState,
    /// The reason of the state.
    pub reason: Reason,
    /// The message, which names the resource, the problem or the wait, and the remedy.
    pub message: Message,
}

impl Leg {
    /// A leg whose subject has its desired state.
    pub fn met(kind: ConditionType, message: impl Into<Message>) -> Self {
        let reason = if kind == ConditionType::Accepted { Reason::Accepted } else { Reason::Ready };
        Self { kind, state: LegState::Met, reason, message: message.into() }
    }

    /// A leg at which the operator or AWS is at work.
    pub fn progressing(kind: ConditionType, reason: Reason, message: impl Into<Message>) -> Self {
        Self { kind, state: LegState::Progressing, reason, message: message.into() }
    }

    /// A leg that needs a person.
    pub fn blocked(kind: ConditionType, reason: Reason, message: impl Into<Message>) -> Self {
        Self { kind, state: LegState::Blocked, reason, message: message.into() }
    }

    /// A leg whose subject could not be read.
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<Message>) -> Self {
        Self { kind, state: LegState::Unknown, reason, message: message.into() }
    }
}

/// Finds a condition by its type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// The condition exists and is `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}
