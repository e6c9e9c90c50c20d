//! One app: its execution role, its log group, its function.

pub mod controller;
pub mod decide;
mod deletion;
mod desired;
#[cfg(test)]
mod fixtures;
mod health;
mod network_view;
mod observe;
mod observed;
mod plan;
mod probing;
mod removal;
mod report;
mod status;

pub use deletion::{AppDeletion, RetainedApp};
pub use desired::{AttachmentSource, Creation, Desired, DesiredFunction, DesiredRole, NetworkOffer, PrivatePath};
pub use health::{LastProbe, ProbeOutcome, ProbeSubject};
pub use network_view::NetworkView;
pub use observe::{observe, observe_remains, observe_retained};
pub use observed::{LogGroupFacts, Observed};
pub use plan::{plan, retain::retain, teardown};
pub use probing::Probes;
pub use removal::check_late_writes;
pub use status::{RecordedFacts, status};
