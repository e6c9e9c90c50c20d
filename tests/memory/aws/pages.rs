//! Pages of AWS's lists, for the server of this AWS over HTTP. The cost of a page does not follow the length of the list.

use std::ops::Bound;

use private_genai_operator::aws::{FunctionListing, FunctionName, LogGroup, LogGroupName, Role, RoleName};

use super::{
    iam, lambda,
    world::{Reader, RegionState, World},
};

/// A page of functions: at most `most` after the one of this name, and whether there are more.
pub fn functions(state: &RegionState, after: Option<&FunctionName>, most: usize) -> (Vec<FunctionListing>, bool) {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = state.functions.range((from, Bound::Unbounded)).map(|(_, record)| record);
    let page = rest.by_ref().take(most).map(|record| lambda::shown(&record.detail.listing)).collect();
    (page, rest.next().is_some())
}

/// A page of log groups with a prefix, as [`functions`].
pub fn log_groups(
    state: &RegionState,
    prefix: &str,
    after: Option<&LogGroupName>,
    most: usize,
) -> (Vec<LogGroup>, bool) {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let groups = state.log_groups.range((from, Bound::Unbounded)).map(|(_, record)| &record.group);
    let mut rest = groups.filter(|group| group.name.as_str().starts_with(prefix));
    let page = rest.by_ref().take(most).cloned().collect();
    (page, rest.next().is_some())
}

/// A page of roles whose ARN has this in it, as [`functions`].
pub fn roles(world: &World, within: &str, after: Option<&str>, most: usize) -> (Vec<Role>, bool) {
    let roles = iam::roles_seen_by(world, Reader::Iam).into_iter().map(|record| &record.role);
    let mut rest = roles
        .filter(|role| after.is_none_or(|after| role.name.as_str() > after))
        .filter(|role| role.arn.contains(within));
    let page = rest.by_ref().take(most).cloned().collect();
    (page, rest.next().is_some())
}

/// A role, as IAM's lagging reads show it.
pub fn role<'a>(world: &'a World, name: &RoleName) -> Option<&'a Role> {
    let believed = world.believed.get(&(Reader::Iam, name.clone()));
    believed.map_or_else(|| world.roles.get(name), Option::as_ref).map(|record| &record.role)
}
