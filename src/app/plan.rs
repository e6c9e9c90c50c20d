//! What to do about an app next.

pub(super) mod retain;

use std::collections::BTreeSet;

use super::{
    Desired, LogGroupFacts, Observed,
    desired::{AttachmentSource, Creation, DesiredFunction, DesiredRole},
};
use crate::{
    api::condition::{ConditionType, Leg, LegState, Reason},
    aws::{
        FunctionConfiguration, FunctionDetail, FunctionListing, FunctionState, IamWrite, LambdaWrite, LogsWrite,
        NetworkInterfaceId, NewFunction, PolicyArn, Role, Tagging, Tags, UpdateStatus, Write,
    },
    governance::Governance,
    identity::{AppIdentity, HandOver, TAG_HANDED_OVER, TAG_RETAINED, missing_tags},
    plan::{Plan, Source},
    policy::{POLICY_NAME, handed_over_policy, trust_policy},
};

/// The longest environment that Lambda takes, in bytes of JSON.
const ENVIRONMENT_MAX: usize = 4_096;

/// Decides about an app that should be there. An app on a network that is ready is created by one plan: role, policy,
/// log group, retention, function. What is there is kept exact whatever the network offers, and whatever else of the app is
/// not ours or could not be read: only what is created stands on all of it.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let unread = &observed.unread;
    // Nothing is built on what is somebody else's.
    let is_theirs = |role: &Role| !desired.identity.installation.owns(&role.tags);
    let is_made = match desired.creation {
        Creation::Allowed => !observed.role.as_ref().is_some_and(is_theirs) || observed.listing.is_some(),
        Creation::Stopped => observed.listing.is_some(),
    };
    if let Some(error) = unread.of(Source::Roles) {
        plan.unread(ConditionType::ExecutionRoleReady, Some(error));
    } else if observed.role.is_some() || is_made {
        let leg = execution_role(&desired.identity, &desired.role, observed.role.as_ref(), &mut plan);
        plan.legs.push(leg);
    } else {
        let message = format!("Role {} is created once the network is ready.", desired.identity.role_name());
        plan.legs.push(Leg::progressing(ConditionType::ExecutionRoleReady, Reason::WaitingForNetwork, message));
    }
    let kind = ConditionType::FunctionReady;
    plan.unread(kind, unread.of(Source::LogGroups));
    let blocked = if unread.lacks(Source::LogGroups) || (observed.log_group.is_none() && !is_made) {
        None
    } else {
        log_group(desired, observed.log_group.as_ref(), &mut plan)
    };
    if unread.lacks(Source::Functions) {
        plan.unread(kind, unread.of(Source::Functions));
        plan.legs.extend(blocked);
    } else {
        let function = function(desired, observed, blocked.as_ref(), &mut plan);
        plan.legs.push(match blocked {
            Some(blocked) if function.state != LegState::Blocked => blocked,
            _ => function,
        });
    }
    // By the role's tags, which are listed, it is known that all of the app's resources have theirs: the function's come first.
    let has_tags = |detail: &FunctionDetail| missing_tags(&desired.tags, &detail.tags).is_empty();
    let is_absent = observed.listing.is_none() && !unread.lacks(Source::Functions);
    let is_tagged = is_absent || observed.detail.as_ref().is_some_and(has_tags);
    let gets_tags = plan.steps.iter().any(|step| matches!(step.write, Write::Lambda(LambdaWrite::TagResource { .. })));
    if !is_tagged && !gets_tags {
        plan.steps.retain(|step| step.write.tagging() != Tagging::Role);
    }
    plan.tag_last();
    plan
}

/// Decides about an app that should not be there: the function first, for while it exists the app demands its network;
/// the role last, for its tags tell where the rest is. Nothing left is no steps, no legs.
pub fn teardown(identity: &AppIdentity, observed: &Observed, governance: &Governance) -> Plan {
    let mut plan = Plan::default();
    let kind = ConditionType::FunctionReady;
    let unread = &observed.unread;
    plan.unread(kind, unread.of(Source::Functions));
    plan.unread(kind, unread.of(Source::LogGroups));
    plan.unread(ConditionType::ExecutionRoleReady, unread.of(Source::Roles));
    plan.unread(ConditionType::ExecutionRoleReady, unread.of(Source::Interfaces));
    let role = observed.role.as_ref().filter(|role| identity.installation.owns(&role.tags));
    if unread.lacks(Source::Functions) {
        // While the function may be there, it needs the rest.
        if let Some(role) = role {
            plan.remove_foreign_policies(ConditionType::ExecutionRoleReady, role, governance);
        }
        return plan;
    }
    if let Some(detail) = &observed.detail {
        let name = detail.listing.name.clone();
        if identity.installation.owns(&detail.tags) {
            plan.legs.push(Leg::progressing(kind, Reason::Deleting, format!("Function {name} is being deleted.")));
            if detail.state != FunctionState::Deleting {
                plan.step(kind, Write::Lambda(LambdaWrite::DeleteFunction { name }));
            }
            if let Some(role) = role {
                plan.remove_foreign_policies(ConditionType::ExecutionRoleReady, role, governance);
            }
            return plan;
        }
        // Somebody else's function holds up nothing, unless it runs as this app's role: then it lost its tags.
        if role.is_some_and(|role| role.arn == detail.listing.configuration.role_arn) {
            plan.legs.push(not_ours(identity, kind, "Function", name.as_str()));
            if let Some(role) = role {
                plan.remove_foreign_policies(ConditionType::ExecutionRoleReady, role, governance);
            }
            return plan;
        }
    }
    if let Some(LogGroupFacts { group, tags: Some(tags) }) = &observed.log_group
        && identity.installation.owns(tags)
    {
        plan.step(kind, Write::Logs(LogsWrite::DeleteLogGroup { name: group.name.clone() }));
        plan.legs.push(Leg::progressing(kind, Reason::Deleting, format!("Log group {} is being deleted.", group.name)));
    }
    // The role is needed for the interfaces, and its tags tell where the rest is.
    if unread.lacks(Source::LogGroups) || unread.lacks(Source::Interfaces) {
        if let Some(role) = role {
            plan.remove_foreign_policies(ConditionType::ExecutionRoleReady, role, governance);
        }
        return plan;
    }
    if let Some(role) = role {
        let kind = ConditionType::ExecutionRoleReady;
        let before = plan.steps.len();
        if observed.interfaces.is_empty() {
            plan.delete_role(kind, role, governance);
        } else {
            hand_over(identity, role, &observed.interfaces, governance, &mut plan);
        }
        if plan.steps.len() > before {
            plan.legs.push(Leg::progressing(kind, Reason::Deleting, format!("Role {} is being removed.", role.name)));
        }
    } else if observed.role.is_none() && !unread.lacks(Source::Roles) && !observed.interfaces.is_empty() {
        restore_handed_over_role(identity, &observed.interfaces, governance, &mut plan);
    }
    plan
}

/// Somebody deleted the role, and moved the function to other groups: nobody would release its interfaces, and nothing would
/// tell of them. So the role comes back for as long as they are there, handed to the network.
fn restore_handed_over_role(
    identity: &AppIdentity,
    interfaces: &BTreeSet<NetworkInterfaceId>,
    governance: &Governance,
    plan: &mut Plan,
) {
    let (kind, name) = (ConditionType::ExecutionRoleReady, identity.role_name());
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_HANDED_OVER.to_owned(), HandOver::tag(interfaces));
    plan.step(kind, create_role(identity, tags, governance.permissions_boundary.clone()));
    let (policy, document) = (POLICY_NAME.to_owned(), handed_over_policy());
    plan.step(kind, Write::Iam(IamWrite::PutRolePolicy { role: name.clone(), policy, document }));
    let message = format!("Role {name} is being put back for as long as Lambda needs it to release interfaces.");
    plan.legs.push(Leg::progressing(kind, Reason::Deleting, message));
}

fn create_role(identity: &AppIdentity, tags: Tags, permissions_boundary: Option<PolicyArn>) -> Write {
    Write::Iam(IamWrite::CreateRole {
        name: identity.role_name(),
        path: identity.installation.role_path(),
        trust_policy: trust_policy(),
        description: description(identity),
        permissions_boundary,
        tags,
    })
}

/// Leaves a role with no more than Lambda needs to release the interfaces that the app may have caused, and hands it to
/// the network, which deletes it when they are gone. A role that is handed over is nothing of the app's any more.
fn hand_over(
    identity: &AppIdentity,
    role: &Role,
    interfaces: &BTreeSet<NetworkInterfaceId>,
    governance: &Governance,
    plan: &mut Plan,
) {
    let kind = ConditionType::ExecutionRoleReady;
    plan.restrict_to_interfaces(kind, role, governance);
    if HandOver::from_tags(&role.tags).is_none() {
        // The network finds the role by its tags: those that were lost are put back. Others might be refused.
        let mut tags = missing_tags(&identity.tags(), &role.tags);
        tags.insert(TAG_HANDED_OVER.to_owned(), HandOver::tag(interfaces));
        plan.step(kind, Write::Iam(IamWrite::TagRole { role: role.name.clone(), tags }));
    }
}

fn execution_role(identity: &AppIdentity, desired: &DesiredRole, found: Option<&Role>, plan: &mut Plan) -> Leg {
    let kind = ConditionType::ExecutionRoleReady;
    let name = identity.role_name();
    let before = plan.steps.len();
    let put_policy = Write::Iam(IamWrite::PutRolePolicy {
        role: name.clone(),
        policy: POLICY_NAME.to_owned(),
        document: desired.policy.clone(),
    });
    let Some(role) = found else {
        let governance = &desired.governance;
        let tags = governance.tagged(identity.tags());
        plan.step(kind, create_role(identity, tags, governance.permissions_boundary.clone()));
        plan.step(kind, put_policy);
        return Leg::progressing(kind, Reason::Applying, format!("Role {name} is being created."));
    };
    if !identity.installation.owns(&role.tags) {
        return not_ours(identity, kind, "Role", name.as_str());
    }
    // What others gave it goes first: it counts for the same 10,240 characters as the policy that is to come, and what it allows
    // is no rightful traffic.
    plan.remove_foreign_policies(kind, role, &desired.governance);
    if plan.steps.len() == before {
        plan.set_permissions_boundary(kind, role, &desired.governance);
    }
    let tags = missing_tags(&desired.governance.tagged(identity.tags()), &role.tags);
    if !tags.is_empty() {
        plan.step(kind, Write::Iam(IamWrite::TagRole { role: name.clone(), tags }));
    }
    // An app of the same name was here before, and its role is still there, or was left here on purpose.
    let left: BTreeSet<String> = [TAG_HANDED_OVER, TAG_RETAINED]
        .map(str::to_owned)
        .into_iter()
        .filter(|key| role.tags.contains_key(key))
        .collect();
    if !left.is_empty() {
        plan.step(kind, Write::Iam(IamWrite::UntagRole { role: name.clone(), keys: left }));
    }
    if role.trust_policy != desired.trust_policy {
        let trust_policy = desired.trust_policy.clone();
        plan.step(kind, Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: name.clone(), trust_policy }));
    }
    if role.inline_policies.get(POLICY_NAME) != Some(&desired.policy) {
        plan.step(kind, put_policy);
    }
    if plan.steps.len() == before {
        Leg::met(kind, format!("Role {name} allows what the function needs and no more."))
    } else {
        Leg::progressing(kind, Reason::Applying, format!("Role {name} is being put right."))
    }
}

/// Gives a leg only when the log group stands in the function's way.
fn log_group(desired: &Desired, facts: Option<&LogGroupFacts>, plan: &mut Plan) -> Option<Leg> {
    let kind = ConditionType::FunctionReady;
    let name = desired.identity.log_group_name();
    let days = desired.log_retention.days();
    match facts {
        None => {
            plan.step(kind, Write::Logs(LogsWrite::CreateLogGroup { name: name.clone(), tags: desired.tags.clone() }));
            plan.step(kind, Write::Logs(LogsWrite::PutRetentionPolicy { name, days }));
            None
        }
        Some(LogGroupFacts { group, tags: None }) if desired.log_retention.is_met_by(group) => None,
        Some(LogGroupFacts { group, tags: Some(tags) }) if desired.identity.installation.owns(tags) => {
            let tags = missing_tags(&desired.tags, tags);
            if !tags.is_empty() {
                plan.step(kind, Write::Logs(LogsWrite::TagResource { arn: group.arn.clone(), tags }));
            }
            if !desired.log_retention.is_met_by(group) {
                plan.step(kind, Write::Logs(LogsWrite::PutRetentionPolicy { name, days }));
            }
            None
        }
        // A group that nobody asked about counts as somebody else's.
        Some(_) => Some(not_ours(&desired.identity, kind, "Log group", name.as_str())),
    }
}

/// The function's environment is more than Lambda takes. What is set for the user counts too, which no rule about what they
/// write can know. Asked before a write only: at rest, Lambda has taken it.
fn too_long(desired: &Desired, function: &DesiredFunction) -> Option<Leg> {
    let measured = function.configuration.environment.measured();
    let name = desired.identity.function_name();
    (measured > ENVIRONMENT_MAX).then(|| {
        Leg::blocked(
            ConditionType::FunctionReady,
            Reason::EnvironmentTooLong,
            format!(
                "The environment of function {name} would have {measured} bytes, and Lambda allows {ENVIRONMENT_MAX}: the \
                 models and the endpoint's URL are in it too, so name fewer models or less in spec.function.environment."
            ),
        )
    })
}

/// The function. `log_group` is what stands in its way as far as its log goes.
fn function(desired: &Desired, observed: &Observed, log_group: Option<&Leg>, plan: &mut Plan) -> Leg {
    let kind = ConditionType::FunctionReady;
    let (name, function) = (desired.identity.function_name(), &desired.function);
    let Some(listing) = &observed.listing else {
        return log_group.cloned().unwrap_or_else(|| new_function(desired, observed, plan));
    };
    if let Some(leg) = observed.detail.as_ref().and_then(|detail| not_writable(desired, detail, plan)) {
        return leg;
    }
    if let Some(leg) = has_fixed_settings(listing) {
        return leg;
    }
    let before = plan.steps.len();
    if let Some(detail) = &observed.detail {
        let tags = missing_tags(&desired.tags, &detail.tags);
        if !tags.is_empty() {
            plan.step(kind, Write::Lambda(LambdaWrite::TagResource { arn: listing.arn.clone(), tags }));
        }
    }
    // An environment that Lambda would refuse keeps nothing else of the configuration from being exact.
    let wanted = function.configuration_of(&listing.configuration);
    let found = as_far_as_read(listing, &wanted);
    let too_long = too_long(desired, function).filter(|_| wanted.environment != found.environment);
    let configuration = match too_long {
        Some(_) => FunctionConfiguration { environment: found.environment.clone(), ..wanted },
        None => wanted,
    };
    let is_ours = |role: &Role| desired.identity.installation.owns(&role.tags);
    let has_another_role = observed.role.as_ref().is_some_and(is_ours) && observed.has_another_role();
    let is_attached = !configuration.subnets.is_empty();
    // One update at a time: the code gives way to the configuration, and comes first where that is refused.
    let differs = found != configuration || !listing.altered.is_empty() || has_another_role;
    // Where the endpoint's URL is known from the environment alone, an update would lose it.
    let would_lose = listing.unreadable_environment.is_some() && function.attachment == AttachmentSource::Unknown;
    if differs && !would_lose {
        let reset = listing.altered.clone();
        plan.step(
            kind,
            Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { name: name.clone(), configuration, reset }),
        );
    }
    if listing.code_sha256 != function.package.sha256() || listing.architecture != function.architecture {
        plan.step(
            kind,
            Write::Lambda(LambdaWrite::UpdateFunctionCode {
                name: name.clone(),
                package: function.package.clone(),
                architecture: function.architecture,
            }),
        );
    }
    if let Some(leg) = too_long {
        return leg;
    }
    if plan.steps.len() == before
        && let Some(code) = &listing.unreadable_environment
    {
        return unreadable_environment(name.as_str(), code);
    }
    if plan.steps.len() == before {
        return match observed.detail.as_ref().map(|detail| (&detail.last_update, detail.last_update_reason.as_deref()))
        {
            Some((UpdateStatus::Failed, reason)) => Leg::blocked(
                kind,
                Reason::FunctionFailed,
                format!(
                    "The last update of function {name} failed ({}): see the Lambda console.",
                    reason.unwrap_or("no reason given")
                ),
            ),
            _ if !is_attached => Leg::progressing(
                kind,
                Reason::WaitingForNetwork,
                format!(
                    "Function {name} is not attached to VPC {}: it is once the network is ready.",
                    desired.identity.vpc
                ),
            ),
            _ => Leg::met(kind, format!("Function {name} is active and attached to VPC {}.", desired.identity.vpc)),
        };
    }
    match observed.detail.as_ref().filter(|detail| detail.last_update == UpdateStatus::Failed) {
        None => Leg::progressing(kind, Reason::Applying, format!("Function {name} is being updated.")),
        Some(detail) => Leg::progressing(
            kind,
            Reason::FunctionFailed,
            format!(
                "The last update of function {name} failed ({}); it is made again.",
                detail.last_update_reason.as_deref().unwrap_or("no reason given")
            ),
        ),
    }
}

/// The configuration that was found. What cannot be decrypted is no drift: it counts as what is wanted, and goes along with an update
/// that is made for something else.
fn as_far_as_read(listing: &FunctionListing, wanted: &FunctionConfiguration) -> FunctionConfiguration {
    let found = listing.configuration.clone();
    match listing.unreadable_environment {
        None => found,
        Some(_) => FunctionConfiguration { environment: wanted.environment.clone(), ..found },
    }
}

fn unreadable_environment(name: &str, code: &str) -> Leg {
    Leg::blocked(
        ConditionType::FunctionReady,
        Reason::EnvironmentUnreadable,
        format!(
            "Lambda cannot decrypt the environment of function {name} ({code}), so that nobody can tell whether it is as it should be; it \
             stays as it is, and changes of spec.function.environment wait. Enable the KMS key that encrypts it, or let the operator's role \
             and Lambda use that key (kms:Decrypt); or delete the function, and it is created again with Lambda's own key."
        ),
    )
}

/// A function that is not there: it is created where all that it stands on is known to be there, or comes with it.
fn new_function(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Leg {
    let kind = ConditionType::FunctionReady;
    let (name, function) = (desired.identity.function_name(), &desired.function);
    if function.attachment != AttachmentSource::Network {
        let message = format!("Function {name} is created once the network is ready.");
        return Leg::progressing(kind, Reason::WaitingForNetwork, message);
    }
    let role = desired.identity.role_name();
    if observed.role.as_ref().is_some_and(|role| !desired.identity.installation.owns(&role.tags)) {
        let message = format!(
            "Function {name} is created once role {role} is this installation's: remove the role, or {}.",
            desired.identity.installation.how_to_tag()
        );
        return Leg::blocked(kind, Reason::NameTaken, message);
    }
    if observed.unread.lacks(Source::Roles) || observed.unread.lacks(Source::LogGroups) {
        // The leg waits for no more than what could not be read: it brings the app back no sooner.
        plan.unread(kind, observed.unread.of(Source::Roles));
        let message = format!("Function {name} is created once its role and its log group can be looked at.");
        return Leg::unknown(kind, Reason::ObservationFailed, message);
    }
    if let Some(leg) = too_long(desired, function) {
        return leg;
    }
    plan.step(
        kind,
        Write::Lambda(LambdaWrite::CreateFunction(NewFunction {
            name: name.clone(),
            description: description(&desired.identity),
            configuration: function.configuration.clone(),
            architecture: function.architecture,
            package: function.package.clone(),
            tags: desired.tags.clone(),
        })),
    );
    Leg::progressing(kind, Reason::Applying, format!("Function {name} is being created."))
}

/// What keeps a function that is there from being used or changed.
fn not_writable(desired: &Desired, detail: &FunctionDetail, plan: &mut Plan) -> Option<Leg> {
    let kind = ConditionType::FunctionReady;
    let name = &detail.listing.name;
    if !desired.identity.installation.owns(&detail.tags) {
        return Some(not_ours(&desired.identity, kind, "Function", name.as_str()));
    }
    let why = detail.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match &detail.state {
        FunctionState::Active => {}
        FunctionState::Failed if desired.function.attachment != AttachmentSource::Network => {
            return Some(Leg::progressing(
                kind,
                Reason::WaitingForNetwork,
                format!(
                    "Function {name} failed to start{why}; it is deleted and created again once the network is ready."
                ),
            ));
        }
        FunctionState::Failed => {
            plan.step(kind, Write::Lambda(LambdaWrite::DeleteFunction { name: name.clone() }));
            return Some(Leg::progressing(
                kind,
                Reason::FunctionFailed,
                format!("Function {name} failed to start{why}; it is deleted and created again."),
            ));
        }
        FunctionState::Inactive => {
            return Some(Leg::progressing(
                kind,
                Reason::FunctionInactive,
                format!(
                    "Function {name} was idle for days and sleeps{why}: it is being woken, which takes up to some minutes."
                ),
            ));
        }
        state @ (FunctionState::Pending | FunctionState::Deleting | FunctionState::Other(_)) => {
            return Some(Leg::progressing(
                kind,
                Reason::FunctionPending,
                format!("Function {name} is {}{why}; AWS takes up to some minutes.", state.as_str()),
            ));
        }
    }
    match &detail.last_update {
        UpdateStatus::Successful | UpdateStatus::Failed => None,
        UpdateStatus::InProgress | UpdateStatus::Other(_) => Some(Leg::progressing(
            kind,
            Reason::FunctionPending,
            format!("An update of function {name} is under way; AWS takes up to some minutes."),
        )),
    }
}

/// The function has what Lambda gives a function at its creation only: nothing can be put back.
fn has_fixed_settings(listing: &FunctionListing) -> Option<Leg> {
    if listing.fixed.is_empty() {
        return None;
    }
    let fixed: Vec<&str> = listing.fixed.iter().map(|fixed| fixed.as_str()).collect();
    Some(Leg::blocked(
        ConditionType::FunctionReady,
        Reason::NameTaken,
        format!(
            "Function {} was created by somebody else: it has {}, which Lambda cannot change. Delete it, and the operator \
             creates it again.",
            listing.name,
            fixed.join(" and ")
        ),
    ))
}

fn not_ours(identity: &AppIdentity, kind: ConditionType, what: &str, name: &str) -> Leg {
    Leg::blocked(
        kind,
        Reason::NameTaken,
        format!(
            "{what} {name} exists and does not carry this installation's tag: remove it, or {}.",
            identity.installation.how_to_tag()
        ),
    )
}

/// What the console shows. Lambda takes 256 characters, and names in Kubernetes can be longer: the tags have them whole.
fn description(identity: &AppIdentity) -> String {
    let whole = format!("private-genai-operator: PrivateGenAIApp {}/{}", identity.namespace, identity.name);
    whole.chars().take(256).collect()
}

#[cfg(test)]
mod tests;
