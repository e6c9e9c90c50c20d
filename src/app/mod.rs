//! One app: its execution role, its log group, its function.

mod admission;
pub mod controller;
pub mod decide;
mod departing;
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

pub use admission::Admission;
pub(crate) use decide::retained_role;
pub use departing::{Departing, Retention};
pub use desired::{Anchor, Desired, DesiredFunction, DesiredRole, Ground, Making, Path};
pub use health::{Found, Last, Subject, Verdict};
pub use observed::{LogGroupFacts, Observed};
pub use plan::{plan, retain::retain, teardown};
pub use probing::Probes;
pub use removal::{look_after, observe_remains, observe_retained};
pub use status::{Facts, status};
pub use view::View;
