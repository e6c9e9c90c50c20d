//! The plan for an app whose object is deleted and whose resources stay in AWS.

use std::collections::BTreeSet;

use super::{Observed, RetainedApp, execution_role, not_ours};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{FunctionConfiguration, FunctionDetail, FunctionState, IamWrite, LambdaWrite, Role, UpdateStatus, Write},
    identity::{AppIdentity, HandOver, TAG_RETAINED, is_retained, missing_tags},
    plan::{Plan, Source},
};

/// The role needs no read of the function: the role is still the app's, and is the one that the function was given.
pub(super) fn is_as_given(identity: &AppIdentity, role: &Role, given_role_id: Option<&str>) -> bool {
    given_role_id == Some(role.id.as_str())
        && identity.installation.owns(&role.tags)
        && HandOver::from_tags(&role.tags).is_none()
}

/// Plans for an app that the operator forgets and leaves in AWS: the tag of its role marks the app as retained, and all other
/// resources stay unchanged.
///
/// Only the role shows that an app is retained. If somebody deleted or replaced the role, the plan puts the role back for the
/// existing function: no later pass would, and Lambda knows a role by its unique id. The tag comes last, so that an interrupted
/// pass is taken up again. A role that was handed over to the network is not the app's any more, unless a function exists again.
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
                .push_str(" The models in spec.models cannot be read or are not allowed, so the role keeps only those of its earlier \
                 models that are still allowed: correct spec.models, or have these models allowed.");
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

/// Makes the function run as the current role, and leaves its configuration unchanged. Returns a leg while the function has to
/// wait. A function that cannot be changed stays unchanged, and so does a function with an unreadable environment: an update
/// would empty the environment.
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
    // The network finds the role by its tags, so lost tags are put back. AWS may refuse other tags.
    let mut tags = missing_tags(&retention.identity.tags(), &role.tags);
    tags.insert(TAG_RETAINED.to_owned(), "true".to_owned());
    plan.step(kind, Write::Iam(IamWrite::TagRole { role: role.name.clone(), tags }));
    let message = format!("Role {} is being tagged as retained.", role.name);
    plan.legs.push(Leg::progressing(kind, Reason::Applying, message));
}

#[cfg(test)]
mod tests;
