//! Flags that several subcommands take. Each group turns into a plain settings type of the module that it is about.

mod governance;
mod guards;
mod lease;
mod log;

pub use governance::{BoundaryFlag, GovernanceFlags};
pub use guards::GuardFlags;
pub use lease::{HoldLeaseFlags, LeaseFlags};
pub use log::{LogFlags, LogFormat};
