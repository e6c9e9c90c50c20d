//! The log group of an app.

use super::{Desired, Observed, not_ours};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{LogGroup, LogsWrite, Tags},
    identity::{AppIdentity, missing_tags},
    plan::{Creation, Plan, Remains, Source},
};

/// A log group has no condition of its own: the function's shows it.
const LEG: ConditionType = ConditionType::FunctionReady;

/// A log group, and its tags where they were read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ObservedLogGroup {
    pub group: LogGroup,
    pub tags: Option<Tags>,
}

/// Plans the log group. A missing group is created where creation is allowed, or where a function that exists needs it. A group of
/// somebody else, or one whose tags are unknown, stops the creation of the function and has a leg.
pub(super) fn plan(desired: &Desired, observed: &Observed, creation: Creation, plan: &mut Plan) -> Creation {
    if let Some(error) = observed.unread.of(Source::LogGroups) {
        plan.unread(LEG, Some(error));
        return Creation::Stopped;
    }
    let identity = &desired.identity;
    let (name, days) = (identity.log_group_name(), desired.log_retention.days());
    match &observed.log_group {
        None => {
            if creation == Creation::Allowed || observed.listing.is_some() {
                plan.step(LEG, LogsWrite::CreateLogGroup { name: name.clone(), tags: desired.tags.clone() });
                plan.step(LEG, LogsWrite::PutRetentionPolicy { name, days });
            }
        }
        Some(ObservedLogGroup { group, tags: None }) if desired.log_retention.is_met_by(group) => {}
        Some(ObservedLogGroup { group, tags: Some(tags) }) if identity.installation.owns(tags) => {
            let tags = missing_tags(&desired.tags, tags);
            if !tags.is_empty() {
                plan.step(LEG, LogsWrite::TagResource { arn: group.arn.clone(), tags });
            }
            if !desired.log_retention.is_met_by(group) {
                plan.step(LEG, LogsWrite::PutRetentionPolicy { name, days });
            }
        }
        Some(_) => {
            plan.legs.push(not_ours(identity, LEG, "Log group", name.as_str()));
            return Creation::Stopped;
        }
    }
    creation
}

/// Plans the end of the log group. The group stays while the function remains.
pub(super) fn tear_down(identity: &AppIdentity, observed: &Observed, above: Remains, plan: &mut Plan) -> Remains {
    plan.unread(LEG, observed.unread.of(Source::LogGroups));
    if above == Remains::Something || observed.unread.lacks(Source::LogGroups) {
        return Remains::Something;
    }
    if let Some(ObservedLogGroup { group, tags: Some(tags) }) = &observed.log_group
        && identity.installation.owns(tags)
    {
        plan.step(LEG, LogsWrite::DeleteLogGroup { name: group.name.clone() });
        plan.legs.push(Leg::progressing(LEG, Reason::Deleting, format!("Log group {} is being deleted.", group.name)));
    }
    Remains::Nothing
}

#[cfg(test)]
mod tests;
