//! CloudWatch Logs: log groups, their retention and their tags.

use super::super::{
    description::{Description, DriftKind, Effect, Invalidates, Repair, ResourceKind},
    ids::{LogGroupName, Tags},
    operation::{
        Operation, Permission, RateLimit,
        ResourceScope::{LogGroupsToRead, Look, New, Ours},
        operations,
    },
    pacing::Rate,
};

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

/// "CloudWatch Logs quotas", `AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html`: each action has its own limit.
const LOG_GROUPS: RateLimit = RateLimit::Own(Rate::even(10));
/// The smallest limit in AWS's list, for the actions that are not in the list.
const OTHERS: RateLimit = RateLimit::Own(Rate::even(5));

operations! { "logs", LogsWrite:
    DescribeLogGroups, LOG_GROUPS, [Permission::on(Look)];
    ListTagsForResource, OTHERS, [Permission::on(LogGroupsToRead)];
    CreateLogGroup: LogsWrite, LOG_GROUPS, [Permission::on(New)];
    DeleteLogGroup: LogsWrite, LOG_GROUPS, [Permission::on(Ours)];
    PutRetentionPolicy: LogsWrite, OTHERS, [Permission::on(Ours)];
    TagResource: LogsWrite, OTHERS, [Permission::on(New).needed_by("logs:CreateLogGroup"), Permission::on(Ours)];
}

impl LogsWrite {
    /// The facts about the change on which all other modules rest.
    pub(in crate::aws) fn describe(&self) -> Description<'_> {
        let group = |name, effect| Description::new(ResourceKind::LogGroup, name, effect, Invalidates::LogGroups);
        match self {
            Self::CreateLogGroup { name, .. } => {
                Description { repair: Repair::Recreates(DriftKind::LogGroup), ..group(name.as_str(), Effect::Creates) }
            }
            Self::PutRetentionPolicy { name, days } => Description {
                repair: Repair::Attribute {
                    drift: DriftKind::Retention,
                    name: "retention",
                    before: |before| {
                        let days = before.log_group.as_ref()?.retention_days;
                        Some(days.map_or_else(|| "never expire".to_owned(), |days| format!("{days} days")))
                    },
                    after: Some(format!("{days} days")),
                },
                ..group(name.as_str(), Effect::Changes)
            },
            // The table of log groups has no tags.
            Self::TagResource { arn, tags } => Description {
                invalidates: Invalidates::Nothing,
                repair: Repair::Tags(tags),
                ..group(arn, Effect::Tags)
            },
            Self::DeleteLogGroup { name } => group(name.as_str(), Effect::TakesAway),
        }
    }
}
