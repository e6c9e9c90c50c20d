//! AWS's requirements for tags, and tagging in EC2.

use private_genai_operator::aws::{Region, SecurityGroupId, Tags, VpcEndpointId, Written};

use super::{
    step::{Answer, refuse},
    world::{RegionState, World},
};

/// Checks tags as all services do; each service has its own error code.
///
/// Source: AWS General Reference, "Tag naming limits and requirements". The set of characters is the one that IAM,
/// Lambda and CloudWatch Logs demand; EC2 allows more.
pub(super) fn check(tags: &Tags, code: &'static str) -> Answer<()> {
    let allowed = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "+-=._:/@".contains(c));
    for (key, value) in tags {
        if key.to_ascii_lowercase().starts_with("aws:") {
            return refuse(code, format!("Tag keys starting with 'aws:' are reserved for internal use: {key}"));
        }
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            return refuse(code, format!("Tag key or value is too long: {key}"));
        }
        if !allowed(key) || !allowed(value) {
            return refuse(code, format!("Tag {key} has characters that are not allowed"));
        }
    }
    if tags.len() > 50 {
        return refuse(code, "More than 50 tags");
    }
    Ok(())
}

/// `ec2:CreateTags`: sets tags and leaves others alone.
pub(super) fn tag_ec2(world: &mut World, region: &Region, resource: &str, new: &Tags) -> Answer {
    check(new, "InvalidParameterValue")?;
    let tags = find(world.region_mut(region), resource)?;
    let mut after = tags.clone();
    after.extend(new.clone());
    check(&after, "TagLimitExceeded")?;
    *tags = after;
    Ok(Written::Done)
}

/// `ec2:DeleteTags`: removes the tags with these keys, as far as there are any.
pub(super) fn untag_ec2(world: &mut World, region: &Region, resource: &str, goes: impl Fn(&str) -> bool) -> Answer {
    find(world.region_mut(region), resource)?.retain(|key, _| !goes(key));
    Ok(Written::Done)
}

fn find<'a>(state: &'a mut RegionState, resource: &str) -> Answer<&'a mut Tags> {
    let (group, endpoint) = (resource.parse::<SecurityGroupId>(), resource.parse::<VpcEndpointId>());
    let (found, code) = match (group, endpoint) {
        (Ok(id), _) if state.group(&id).is_some() => (state.groups.get_mut(&id).map(|group| &mut group.tags), ""),
        (_, Ok(id)) if state.endpoint(&id).is_some() => {
            (state.endpoints.get_mut(&id).map(|endpoint| &mut endpoint.tags), "")
        }
        (Ok(_), _) => (None, "InvalidGroup.NotFound"),
        (_, Ok(_)) => (None, "InvalidVpcEndpointId.NotFound"),
        _ => (None, "InvalidID"),
    };
    found.map_or_else(|| refuse(code, format!("The ID '{resource}' does not exist")), Ok)
}
