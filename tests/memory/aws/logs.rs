//! CloudWatch Logs groups.

use private_genai_operator::aws::{LogGroup, LogGroupName, LogsWrite, Region, Tags, Written};

use super::{
    step::{Answer, refuse},
    tags,
    world::{LogGroupRecord, World},
};

/// PutRetentionPolicy: the possible values of `retentionInDays`.
const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Carries out a change.
pub(super) fn carry_out(world: &mut World, region: &Region, write: &LogsWrite) -> Answer {
    match write {
        LogsWrite::CreateLogGroup { name, tags } => create_group(world, region, name, tags),
        LogsWrite::PutRetentionPolicy { name, days } => put_retention(world, region, name, *days),
        LogsWrite::TagResource { arn, tags } => tag(world, region, arn, tags),
        LogsWrite::DeleteLogGroup { name } => delete_group(world, region, name),
    }
}

pub(super) fn create_group(world: &mut World, region: &Region, name: &LogGroupName, tags: &Tags) -> Answer {
    tags::check(tags, "InvalidParameterException")?;
    let arn = format!("arn:{}:logs:{region}:{}:log-group:{name}", region.partition(), world.account);
    let groups = &mut world.region_mut(region).log_groups;
    if groups.contains_key(name) {
        return refuse("ResourceAlreadyExistsException", "The specified log group already exists");
    }
    // Without a retention policy, CloudWatch keeps events for ever.
    let group = LogGroup { name: name.clone(), arn, retention_days: None, stored_bytes: 0 };
    groups.insert(name.clone(), LogGroupRecord { group, tags: tags.clone() });
    Ok(Written::Done)
}

pub(super) fn put_retention(world: &mut World, region: &Region, name: &LogGroupName, days: u32) -> Answer {
    if !RETENTION_DAYS.contains(&days) {
        return refuse("InvalidParameterException", format!("Retention policy of {days} days is not allowed"));
    }
    set_retention(world, region, name, Some(days))
}

pub(super) fn set_retention(world: &mut World, region: &Region, name: &LogGroupName, days: Option<u32>) -> Answer {
    match world.region_mut(region).log_groups.get_mut(name) {
        Some(record) => record.group.retention_days = days,
        None => return refuse("ResourceNotFoundException", "The specified log group does not exist."),
    }
    Ok(Written::Done)
}

/// AWS shows the stored size late: here it grows only by this call.
pub(super) fn store(world: &mut World, region: &Region, name: &LogGroupName, bytes: u64) -> Answer {
    match world.region_mut(region).log_groups.get_mut(name) {
        Some(record) => record.group.stored_bytes = bytes,
        None => return refuse("ResourceNotFoundException", "The specified log group does not exist."),
    }
    Ok(Written::Done)
}

pub(super) fn tag(world: &mut World, region: &Region, arn: &str, tags: &Tags) -> Answer {
    tags::check(tags, "InvalidParameterException")?;
    match world.region_mut(region).log_groups.values_mut().find(|record| record.group.arn == arn) {
        Some(record) => record.tags.extend(tags.clone()),
        None => return refuse("ResourceNotFoundException", "The specified resource does not exist."),
    }
    Ok(Written::Done)
}

pub(super) fn delete_group(world: &mut World, region: &Region, name: &LogGroupName) -> Answer {
    match world.region_mut(region).log_groups.remove(name) {
        Some(_) => Ok(Written::Done),
        None => refuse("ResourceNotFoundException", "The specified log group does not exist."),
    }
}
