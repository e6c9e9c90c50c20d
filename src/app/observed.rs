//! What there is of an app in AWS.

use crate::{
    api::app::FunctionStatus,
    aws::{FunctionDetail, FunctionListing, FunctionState, LogGroup, Role, UpdateStatus},
};

use super::desired::DesiredFunction;

/// The facts about one app, taken out of the shared snapshot, and `GetFunction` where that does not do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observed {
    /// Its execution role.
    pub role: Option<Role>,
    /// Its log group.
    pub log_group: Option<LogGroupFacts>,
    /// Its function, as listed.
    pub listing: Option<FunctionListing>,
    /// Its function with state and tags, where it had to be asked for.
    pub detail: Option<FunctionDetail>,
}

/// A log group, and whose it is where that had to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogGroupFacts {
    /// The group.
    pub group: LogGroup,
    /// Its tags say that it is this app's; `None` where nobody asked.
    pub ours: Option<bool>,
}

/// A listing tells neither state nor tags. It does when nothing has changed since the function was seen active, which
/// status recorded; then no call is needed for the app.
pub fn needs_detail(
    listing: Option<&FunctionListing>,
    desired: Option<&DesiredFunction>,
    recorded: Option<&FunctionStatus>,
) -> bool {
    let Some(listing) = listing else {
        return false;
    };
    let settled = recorded.is_some_and(|recorded| {
        recorded.arn == listing.arn
            && recorded.last_modified == listing.last_modified
            && recorded.code_sha256 == listing.code_sha256
            && recorded.state == FunctionState::Active.as_str()
            && recorded.last_update_status == UpdateStatus::Successful.as_str()
    });
    let as_desired = desired.is_none_or(|desired| {
        listing.configuration == desired.configuration
            && listing.architecture == desired.architecture
            && listing.code_sha256 == desired.package.sha256()
    });
    !(settled && as_desired)
}
