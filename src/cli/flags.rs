//! Flags of several subcommands. Each group becomes a plain settings type of the module that reads its values.

mod governance;
mod guards;
mod lease;
mod log;

pub use governance::{BoundaryFlag, GovernanceFlags};
pub use guards::GuardFlags;
pub use lease::{HoldLeaseFlags, LeaseFlags};
pub use log::{LogFlags, LogFormat};
