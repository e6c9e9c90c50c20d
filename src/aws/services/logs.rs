//! CloudWatch Logs: log groups, their retention and their tags.

use std::sync::Arc;

use super::super::{
    description::{Description, DriftKind, Impact, Invalidates, Repair, ResourceKind, RowChange},
    facts::LogGroup,
    ids::{AccountId, LogGroupName, Region, Tags},
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
    pub(in crate::aws) fn describe<'a>(&'a self) -> Description<'a> {
        let group = |name: &'a LogGroupName, impact, row| {
            Description::new(ResourceKind::LogGroup, name.as_str(), impact, Invalidates::LogGroup(name, row))
        };
        match self {
            Self::CreateLogGroup { name, .. } => Description {
                repair: Repair::Recreates(DriftKind::LogGroup),
                ..group(
                    name,
                    Impact::Creates,
                    RowChange::New(Arc::new(|account, region| new_group(name, account, region))),
                )
            },
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
                ..group(name, Impact::Changes, RowChange::edited(|row: &mut LogGroup| row.retention_days = Some(*days)))
            },
            // The table of log groups has no tags.
            Self::TagResource { arn, tags } => Description {
                repair: Repair::Tags(tags),
                ..Description::new(ResourceKind::LogGroup, arn, Impact::Tags, Invalidates::Nothing)
            },
            Self::DeleteLogGroup { name } => group(name, Impact::TakesAway, RowChange::Gone),
        }
    }
}

/// A group as it is created: `CreateLogGroup` answers nothing, and the ARN follows from the name ("Log group ARN format",
/// `AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html`).
fn new_group(name: &LogGroupName, account: &AccountId, region: &Region) -> LogGroup {
    let arn = format!("arn:{}:logs:{region}:{account}:log-group:{name}", region.partition());
    LogGroup { name: name.clone(), arn, retention_days: None, stored_bytes: 0 }
}
