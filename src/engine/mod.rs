//! The parts that both controllers share: the context, one pass (observe, decide, write), and the pace of reconciles.

mod attempts;
mod aws_refusals;
mod context;
mod converge;
pub mod drift;
mod error;
mod events;
mod freshness;
mod gauges;
mod kubernetes_refusal;
mod last_written;
mod late_writes;
mod memory;
mod objects;
mod owner;
mod pace;
mod pass;
mod read_requests;
mod settled;
mod timeout;
mod unconfirmed_writes;

pub use crate::{
    api::{Guarded, is_held},
    settings::Settings,
};
pub use attempts::{Attempt, Attempts};
pub use aws_refusals::AwsRefusals;
pub use context::Context;
pub use converge::{Converged, Knowledge, Observation, PassSubject, converge};
pub use error::Error;
pub use events::{DRIFT_REPAIRED, INSTALLATION_MARKED, publish_events, resource_marked_by};
pub use freshness::{FRESH, Freshness};
pub use gauges::{observe_ready, show_gauges};
pub use kubernetes_refusal::{KubernetesRefusal, report_refusal};
pub use last_written::LastWritten;
pub use late_writes::{LateWriteCheck, LateWrites, ReadBy, Released};
pub use memory::{AvailableSince, EndpointHistory, Memory, Replaceable, Unseen};
pub use objects::{
    add_finalizer, apply_status, explain_undecoded, explain_unreadable, full_name, raw, remove_finalizer, stored,
    without_values,
};
pub use owner::{UnknownOwner, owner_mark};
pub use pace::Pace;
pub use pass::{LastObservation, Pass, PassAction, Reaction, WriteOutcome};
pub use read_requests::{DetailRead, ReadRequests};
pub use settled::{Part, Settled};
pub use timeout::{in_words, with_timeout};
