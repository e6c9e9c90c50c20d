//! Log groups of CloudWatch Logs.

use crate::ids::LogGroupName;

/// A CloudWatch Logs group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct LogGroup {
    pub name: LogGroupName,
    /// Its ARN as tagging takes it, without `:*` behind it.
    pub arn: String,
    /// How many days events are kept; `None` is for ever.
    pub retention_days: Option<u32>,
    /// How many bytes are kept. AWS counts them late: those of the last hours may be missing.
    pub stored_bytes: u64,
}
