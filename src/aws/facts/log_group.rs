//! Log groups of CloudWatch Logs.

use crate::ids::LogGroupName;

/// A CloudWatch Logs group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct LogGroup {
    pub name: LogGroupName,
    /// The ARN in the form for tagging, without `:*` at its end.
    pub arn: String,
    /// The retention of events in days; `None` is for ever.
    pub retention_days: Option<u32>,
    /// The stored bytes. AWS counts them late: those of the last hours may be missing.
    pub stored_bytes: u64,
}
