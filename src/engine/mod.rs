//! What both controllers share: the context, one pass of look–decide–write, and how soon to look again.

pub mod context;
mod converge;
mod credentials;
pub mod drift;
mod effects;
mod gauges;
mod last_written;
mod late_writes;
mod memory;
mod objects;
mod owner;
mod pace;
mod refusals;
mod refused;
mod timeout;
mod triggers;

pub use crate::{
    api::{Guarded, is_held},
    settings::Settings,
};
pub use context::{Context, DetailRead};
pub use converge::{Converged, FRESH, Freshness, Pass, PassAction, converge};
pub use gauges::observe_ready;
pub use last_written::LastWritten;
pub use late_writes::{LateWriteCheck, LateWrites, ReadBy, Released};
pub use memory::Memory;
pub use objects::{
    DRIFT_REPAIRED, INSTALLATION_MARKED, add_finalizer, apply_status, explain_undecoded, explain_unreadable, raw,
    remove_finalizer, stored, tell, without_values,
};
pub use owner::{UnknownOwner, owner_mark};
pub use pace::Pace;
pub use refusals::Refusals;
pub use refused::{Refused, tell_refused};
pub use timeout::{in_words, with_timeout};
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
