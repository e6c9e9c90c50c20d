//! Changes of CloudWatch Logs: log groups, their retention and their tags.

use super::super::{facts::Tags, ids::LogGroupName};

/// One mutating call of CloudWatch Logs. Each variant has the name of its operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the operation and of its parameters")]
pub enum LogsWrite {
    CreateLogGroup {
        /// Unique in the account and region.
        name: LogGroupName,
        tags: Tags,
    },
    PutRetentionPolicy {
        name: LogGroupName,
        /// One of the numbers of days that CloudWatch Logs allows.
        days: u32,
    },
    TagResource {
        /// The group's ARN, without `:*` behind it.
        arn: String,
        tags: Tags,
    },
    DeleteLogGroup {
        name: LogGroupName,
    },
}
