//! CloudWatch Logs, in JSON 1.1.

use private_genai_operator::aws::{AwsError, LogGroup, LogGroupName, LogsWrite};
use serde_json::{Value, json};

use super::{Reply, Wire, request::Call, unreadable};
use crate::memory::aws::{pages, reads};

/// DescribeLogGroups: at most 50 a page, which is also the default.
const PAGE: usize = 50;

pub(super) fn answer(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let write = match call.operation {
        "DescribeLogGroups" => return groups(wire, call),
        "ListTagsForResource" => return tags(wire, call),
        "CreateLogGroup" => LogsWrite::CreateLogGroup { name: call.member("logGroupName")?, tags: call.tags("tags") },
        "DeleteLogGroup" => LogsWrite::DeleteLogGroup { name: call.member("logGroupName")? },
        "PutRetentionPolicy" => LogsWrite::PutRetentionPolicy {
            name: call.member("logGroupName")?,
            days: whole(call, &call.body["retentionInDays"])?,
        },
        "TagResource" => LogsWrite::TagResource { arn: call.member("resourceArn")?, tags: call.tags("tags") },
        _ => return Err(unreadable(call, "the operation")),
    };
    wire.write(&call.region, write).map(|_| Reply::new(String::new()))
}

fn whole(call: &Call, number: &Value) -> Result<u32, AwsError> {
    let whole = number.as_u64().and_then(|number| u32::try_from(number).ok());
    whole.ok_or_else(|| unreadable(call, "a number"))
}

fn groups(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let prefix = call.body["logGroupNamePrefix"].as_str().unwrap_or_default();
    let after: Option<LogGroupName> = call.body["nextToken"].as_str().map(|_| call.member("nextToken")).transpose()?;
    let most = call.body["limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE).min(PAGE);
    let (page, more) = wire.aws.look(|world| {
        let state = world.regions.get(&call.region);
        state.map_or_else(Default::default, |state| pages::log_groups(state, prefix, after.as_ref(), most))
    });
    let next = page.last().filter(|_| more).map(|group| group.name.to_string());
    let groups: Vec<Value> = page.iter().map(group).collect();
    Ok(Reply::json(&json!({"logGroups": groups, "nextToken": next})))
}

fn group(group: &LogGroup) -> Value {
    let LogGroup { name, arn, retention_days, stored_bytes } = group;
    json!({
        "logGroupName": name.as_str(),
        "logGroupArn": arn,
        "arn": format!("{arn}:*"),
        "retentionInDays": retention_days,
        "storedBytes": stored_bytes,
        "logGroupClass": "STANDARD",
    })
}

fn tags(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let arn: String = call.member("resourceArn")?;
    let tags = wire.aws.look(|world| reads::log_group_tags(world.regions.get(&call.region)?, &arn));
    match tags {
        Some(tags) => Ok(Reply::json(&json!({"tags": tags}))),
        None => Err(AwsError {
            code: Some("ResourceNotFoundException".to_owned()),
            message: "The specified resource does not exist.".to_owned(),
            ..unreadable(call, "the ARN")
        }),
    }
}
