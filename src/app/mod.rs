//! One app: its execution role, its log group, its function.

pub mod controller;
pub mod decide;
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

pub(crate) use decide::retained_role;
pub use desired::{Desired, Path};
pub use health::{Found, Last, Subject, Verdict};
pub use observed::{LogGroupFacts, Observed};
pub use plan::{plan, retain, teardown};
pub use probing::Probes;
pub use removal::{look_after, observe_remains, observe_role};
pub use status::{Facts, status};
pub use view::View;
