//! CloudWatch Logs: the functions' log groups.

use std::collections::HashMap;

use aws_sdk_cloudwatchlogs::{Client, operation::describe_log_groups::DescribeLogGroupsOutput, types};

use super::{
    calls::{Calls, RegionCalls, pages},
    error::{Malformed, needed},
};
use crate::aws::{AwsError, Failure, LogGroup, LogGroupName, LogsWrite, Tags, Written};

pages! { DescribeLogGroupsOutput: next_token }

/// A page of `DescribeLogGroups` has at most 50 groups.
const PAGE: i32 = 50;

/// The calls to CloudWatch Logs in one region.
pub(super) struct Logs {
    client: Client,
    calls: Calls,
}

impl Logs {
    pub(super) fn new(client: Client, line: &RegionCalls) -> Self {
        Self { client, calls: Calls::of("logs", line) }
    }

    pub(super) async fn groups(&self, prefix: &str) -> Result<Vec<LogGroup>, AwsError> {
        const OPERATION: &str = "DescribeLogGroups";
        let call = self.client.describe_log_groups().log_group_name_prefix(prefix);
        let pages = call.into_paginator().page_size(PAGE).send();
        self.calls.rows(OPERATION, pages, DescribeLogGroupsOutput::log_groups, |row| group(row).transpose()).await
    }

    pub(super) async fn tags(&self, group: &LogGroup) -> Result<Option<Tags>, AwsError> {
        let call = self.client.list_tags_for_resource().resource_arn(&group.arn).send();
        match self.calls.observed("ListTagsForResource", call).await {
            Ok(answer) => Ok(Some(answer.tags.unwrap_or_default().into_iter().collect())),
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn write(&self, write: &LogsWrite) -> Result<Written, AwsError> {
        match write {
            LogsWrite::CreateLogGroup { name, tags } => self.create(name, tags).await,
            LogsWrite::PutRetentionPolicy { name, days } => self.put_retention(name, *days).await,
            LogsWrite::TagResource { arn, tags } => self.tag(arn, tags).await,
            LogsWrite::DeleteLogGroup { name } => self.delete(name).await,
        }
    }

    async fn create(&self, name: &LogGroupName, tags: &Tags) -> Result<Written, AwsError> {
        let tags: HashMap<_, _> = tags.clone().into_iter().collect();
        let call = self.client.create_log_group().log_group_name(name.as_str()).set_tags(Some(tags)).send();
        self.calls.observed("CreateLogGroup", call).await.map(|_| Written::Done)
    }

    async fn put_retention(&self, name: &LogGroupName, days: u32) -> Result<Written, AwsError> {
        const OPERATION: &str = "PutRetentionPolicy";
        let days = i32::try_from(days).map_err(|error| self.calls.invalid(OPERATION, &error))?;
        let call = self.client.put_retention_policy().log_group_name(name.as_str()).retention_in_days(days).send();
        self.calls.observed(OPERATION, call).await.map(|_| Written::Done)
    }

    async fn tag(&self, arn: &str, tags: &Tags) -> Result<Written, AwsError> {
        let tags: HashMap<_, _> = tags.clone().into_iter().collect();
        let call = self.client.tag_resource().resource_arn(arn).set_tags(Some(tags)).send();
        self.calls.observed("TagResource", call).await.map(|_| Written::Done)
    }

    async fn delete(&self, name: &LogGroupName) -> Result<Written, AwsError> {
        let call = self.client.delete_log_group().log_group_name(name.as_str()).send();
        self.calls.observed("DeleteLogGroup", call).await.map(|_| Written::Done)
    }
}

/// `None` for a group with a name that we never give.
fn group(group: &types::LogGroup) -> Result<Option<LogGroup>, Malformed> {
    let Ok(name) = needed(group.log_group_name(), "LogGroup.LogGroupName")?.parse() else { return Ok(None) };
    let retention_days = group.retention_in_days().map(u32::try_from).transpose();
    let retention_days = retention_days.map_err(|error| Malformed::wrong("LogGroup.RetentionInDays", &error))?;
    // `logGroupArn` is the ARN for tagging; `arn` ends in `:*`.
    let arn = needed(group.log_group_arn(), "LogGroup.LogGroupArn")?.to_owned();
    // A group in which nothing was ever stored has no number of bytes.
    let stored_bytes = u64::try_from(group.stored_bytes().unwrap_or_default());
    let stored_bytes = stored_bytes.map_err(|error| Malformed::wrong("LogGroup.StoredBytes", &error))?;
    Ok(Some(LogGroup { name, arn, retention_days, stored_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_kept_for_ever_by_default_and_tagged_by_an_arn_without_a_star() {
        let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/pgai-a";
        let wire = types::LogGroup::builder().log_group_name("/aws/lambda/pgai-a").arn(format!("{arn}:*"));
        assert_eq!(group(&wire.clone().build()), Err(Malformed::missing("LogGroup.LogGroupArn")));
        let wire = wire.log_group_arn(arn);
        let read = |wire: types::builders::LogGroupBuilder| group(&wire.build());
        assert!(read(wire.clone()).is_ok_and(|group| group.is_some_and(|group| group.retention_days.is_none())));
        let month = read(wire.clone().retention_in_days(30)).expect("group").expect("a name of ours");
        assert_eq!((month.retention_days, month.arn.as_str()), (Some(30), arn));
        assert_eq!(month.stored_bytes, 0, "AWS leaves it out");
        let full = read(wire.clone().stored_bytes(12)).expect("group").expect("a name of ours");
        assert_eq!(full.stored_bytes, 12);
        assert!(read(wire.stored_bytes(-1)).is_err());
    }
}
