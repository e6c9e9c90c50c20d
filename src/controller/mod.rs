//! What both controllers share: the context, one pass of look–decide–write, and how soon to look again.

mod answers;
mod cluster;
pub mod context;
mod converge;
mod credentials;
mod departed;
pub mod drift;
mod effects;
mod gauges;
mod latest;
mod memory;
mod objects;
mod owner;
mod pace;
mod refusals;
mod refused;
mod triggers;

pub use answers::{answered, in_words};
pub use cluster::Cluster;
pub use context::{Context, Look, Settings};
pub use converge::{Converged, FRESH, Freshness, Next, Pass, converge};
pub use departed::{By, Departed, Departures, Place};
pub use gauges::observe_ready;
pub use latest::Latest;
pub use memory::Memory;
pub use objects::{
    DRIFT_REPAIRED, Guarded, INSTALLATION_MARKED, add_finalizer, apply_status, explain_undecoded, explain_unreadable,
    is_held, network_of, raw, remove_finalizer, stored, tell, without_values,
};
pub use owner::{UnknownOwner, owner_mark};
pub use pace::Pace;
pub use refusals::Refusals;
pub use refused::{Refused, tell_refused};
pub use triggers::run;

/// What keeps a reconcile from being finished at all. AWS errors do not: they become conditions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API refused a call, or could not be reached.
    #[error("the Kubernetes API: {}", in_words(.0))]
    Kubernetes(#[from] kube::Error),
    /// A status that has no JSON, which would be a bug of the serialiser.
    #[error("a status could not be serialised: {0}")]
    Serialise(#[from] serde_json::Error),
}
