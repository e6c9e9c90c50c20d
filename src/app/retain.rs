//! The plan for an app whose object goes and whose resources stay in AWS.

use std::collections::BTreeSet;

use super::{Observed, RetainedApp, execution_role, not_ours};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{FunctionConfiguration, FunctionDetail, FunctionState, IamWrite, LambdaWrite, Role, UpdateStatus, Write},
    identity::{AppIdentity, HandOver, TAG_RETAINED, is_retained, missing_tags},
    plan::{Plan, Source},
};

/// The role can be left as it is, without a look at the function: it is the one that the function was given, and still
/// the app's.
pub(super) fn is_as_given(identity: &AppIdentity, role: &Role, given_role_id: Option<&str>) -> bool {
    given_role_id == Some(role.id.as_str())
        && identity.installation.owns(&role.tags)
        && HandOver::from_tags(&role.tags).is_none()
}

/// Decides about an app that is to be forgotten here and left in AWS: its role says that this is on purpose, and
/// everything else stays as it is.
///
/// The role is all that tells of a retained app. Where somebody deleted or replaced it, it is put back for the function
/// that is there, as for an app that stays: nobody does that afterwards, and Lambda knows a role by its unique id. Only then
/// it is tagged, so that an interrupted pass is taken up again. A role that was handed to the network is nothing of the app's
/// any more, unless there is a function again.
pub fn retain(retention: &RetainedApp, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let RetainedApp { identity, caller, models, allow: _, governance: _ } = retention;
    let role = observed.role.as_ref();
    plan.unread(ConditionType::ExecutionRoleReady, observed.unread.of(Source::Roles));
    plan.unread(ConditionType::FunctionReady, observed.unread.of(Source::Functions));
    let ours = role.filter(|role| identity.installation.owns(&role.tags));
    if !observed.unread.is_complete() {
        if let Some(role) = ours {
            plan.remove_foreign_policies(ConditionType::ExecutionRoleReady, role, &retention.governance);
        }
        return plan;
    }
    if ours.is_some_and(|role| is_retained(&role.tags)) {
        return plan;
    }
    let runs_as_it = |detail: &&FunctionDetail| detail.listing.configuration.role_arn == identity.role_arn(caller);
    let stays = |detail: &&FunctionDetail| detail.state != FunctionState::Deleting;
    let owned = |detail: &FunctionDetail| identity.installation.owns(&detail.tags);
    let function = observed.detail.as_ref().filter(stays).filter(|detail| owned(detail) || runs_as_it(detail));
    let Some(function) = function else {
        if let Some(role) = ours.filter(|role| HandOver::from_tags(&role.tags).is_none()) {
            tag(retention, role, &mut plan);
        }
        return plan;
    };
    if !owned(function) {
        plan.legs.push(not_ours(identity, ConditionType::FunctionReady, "Function", function.listing.name.as_str()));
        return plan;
    }
    let mut leg = execution_role::reconcile(identity, &retention.role(role), role, &mut plan);
    if !plan.steps.is_empty() || leg.reason == Reason::NameTaken {
        if models.is_none() {
            leg.message
                .text
                .push_str(" The models in spec.models cannot be read or are not allowed, so the role allows only models that it allowed \
                 before and that are still allowed: correct spec.models, or have them allowed.");
        }
        plan.legs.push(leg);
        return plan;
    }
    let Some(role) = role else { return plan };
    if !is_as_given(identity, role, observed.given_role_id.as_deref())
        && let Some(waits) = give(retention, function, &mut plan)
    {
        plan.legs.push(waits);
        return plan;
    }
    tag(retention, role, &mut plan);
    plan
}

/// Lets the function run as its role as that is now, and leaves its configuration as it is. A leg where it has to wait; a
/// function that cannot be changed is left as it is, and so is one whose environment nobody can read: an update would empty it.
fn give(retention: &RetainedApp, function: &FunctionDetail, plan: &mut Plan) -> Option<Leg> {
    let kind = ConditionType::FunctionReady;
    let name = &function.listing.name;
    if function.listing.unreadable_environment.is_some() {
        return None;
    }
    match (&function.state, &function.last_update) {
        (FunctionState::Failed | FunctionState::Deleting | FunctionState::Other(_), _) => None,
        (FunctionState::Pending, _) | (_, UpdateStatus::InProgress | UpdateStatus::Other(_)) => {
            let message =
                format!("Function {name} gets its role set again once AWS has finished its work on the function.");
            Some(Leg::progressing(kind, Reason::FunctionPending, message))
        }
        (FunctionState::Active | FunctionState::Inactive, UpdateStatus::Successful | UpdateStatus::Failed) => {
            let role_arn = retention.identity.role_arn(&retention.caller);
            let configuration = FunctionConfiguration { role_arn, ..function.listing.configuration.clone() };
            let reset = BTreeSet::new();
            plan.step(
                kind,
                Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { name: name.clone(), configuration, reset }),
            );
            None
        }
    }
}

fn tag(retention: &RetainedApp, role: &Role, plan: &mut Plan) {
    let kind = ConditionType::ExecutionRoleReady;
    // The network finds the role by its tags: those that were lost are put back. Others might be refused.
    let mut tags = missing_tags(&retention.identity.tags(), &role.tags);
    tags.insert(TAG_RETAINED.to_owned(), "true".to_owned());
    plan.step(kind, Write::Iam(IamWrite::TagRole { role: role.name.clone(), tags }));
    let message = format!("Role {} is being tagged as retained.", role.name);
    plan.legs.push(Leg::progressing(kind, Reason::Applying, message));
}

#[cfg(test)]
mod tests;
