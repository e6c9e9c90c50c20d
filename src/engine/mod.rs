//! The parts that both controllers share: the context, one pass (observe, decide, write), and the pace of reconciles.

mod attempts;
mod aws_refusals;
mod carry_out;
mod context;
mod converge;
pub mod drift;
mod effect;
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
mod turns;
mod unconfirmed_writes;

pub use crate::{
    api::{Guarded, is_held},
    settings::Settings,
};
pub use attempts::{Attempt, AttemptCounts, Attempts};
pub use aws_refusals::AwsRefusals;
pub use carry_out::{Ended, carry_out, finish};
pub use context::Context;
pub use converge::{Converged, Knowledge, Observation, PassSubject, converge};
pub use effect::{
    Circumstances, Decision, Effect, Kind, ObjectStatus, ObservationResult, Requeue, report, write_status,
};
pub use error::Error;
pub use events::{DRIFT_REPAIRED, INSTALLATION_MARKED, NewEvent, resource_marked_by};
pub use freshness::{FRESH, Freshness};
pub use gauges::show_gauges;
pub use kubernetes_refusal::KubernetesRefusal;
use kubernetes_refusal::report_refusal;
pub use last_written::LastWritten;
pub use late_writes::{LateWriteCheck, LateWrites, ReadBy, Released};
pub use memory::{AvailableSince, EndpointHistory, Memory, Replaceable, Unseen};
pub use objects::{
    add_finalizer, apply_status, explain_undecoded, full_name, raw, remove_finalizer, stored, unreadable,
    without_values,
};
pub use owner::{UnknownOwner, owner_mark};
pub use pace::Pace;
pub use pass::{LastObservation, Pass, PassAction, Reaction, Rest, WriteOutcome};
pub use read_requests::{DetailRead, ReadRequests};
pub use settled::{Part, Settled, SettledParts};
pub use timeout::{in_words, with_timeout};
pub use turns::Turns;
