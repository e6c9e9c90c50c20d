//! One app: its execution role, its log group, its function.

pub mod controller;
mod desired;
#[cfg(test)]
mod fixtures;
mod health;
mod observed;
mod plan;
mod probing;
mod removal;
mod report;
mod status;
mod view;

pub(crate) use controller::retained_role;
pub use desired::{Desired, Path};
pub use health::{Found, Last, Subject, Verdict};
pub use observed::{LogGroupFacts, Observed};
pub use plan::{plan, retain, teardown};
pub use probing::Probes;
pub use removal::look_after;
pub use status::{Facts, status};
