//! AWS's answers as plain data: no SDK type, no float, ordered and hashable, so that the in-memory AWS, the simulator and the
//! model checker can keep them in their states.

mod endpoint;
mod function;
mod interface;
mod log_group;
mod role;
mod security_group;
mod vpc;

pub use self::{endpoint::*, function::*, interface::*, log_group::*, role::*, security_group::*, vpc::*};
