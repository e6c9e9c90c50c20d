//! The two kinds on the wire, their conditions, and the conversion into domain types.

pub mod app;
pub mod condition;
pub mod crd;
mod deletion;
pub mod network;
mod object;
mod recorded_owner;
mod status;

pub use app::{PrivateGenAIApp, PrivateGenAIAppSpec, PrivateGenAIAppStatus};
pub use deletion::DeletionPolicy;
pub use network::{PrivateGenAINetwork, PrivateGenAINetworkSpec, PrivateGenAINetworkStatus};
pub use object::{AppName, Guarded, ObjectKind, ObjectName, is_held};
pub use recorded_owner::RecordedOwner;
pub use status::{EndpointStatus, InterfaceStatus, SecurityGroupsStatus};

/// The API group of both kinds.
pub const GROUP: &str = "privategenai.dev";

/// The finalizer of an object until its resources in AWS are gone.
pub const FINALIZER: &str = "privategenai.dev/aws-resources";

/// The label of a network that the operator created for apps. Without the label, the network is an explicit one, which stays when
/// the last app is deleted.
pub const IMPLICIT_LABEL: &str = "privategenai.dev/implicit";

/// A stored spec that this version does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidSpec {
    /// The field, from `spec` on.
    pub field: &'static str,
    /// The problem, and the value to write instead.
    pub problem: String,
}

impl InvalidSpec {
    fn new(field: &'static str, problem: impl std::fmt::Display) -> Self {
        Self { field, problem: problem.to_string() }
    }
}
