//! The execution role of an app.

use std::collections::BTreeSet;

use super::{Desired, Observed, not_ours, resource_description};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{Caller, IamWrite, NetworkInterfaceId, PolicyArn, PolicyDocument, Role, Tags, Write},
    governance::Governance,
    identity::{AppIdentity, HandOver, TAG_HANDED_OVER, TAG_RETAINED, missing_tags},
    plan::{Creation, Plan, Remains, Source},
    policy::{ModelId, POLICY_NAME, execution_policy, handed_over_policy, trust_policy},
};

const LEG: ConditionType = ConditionType::ExecutionRoleReady;

/// The desired execution role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DesiredRole {
    pub trust_policy: PolicyDocument,
    pub policy: PolicyDocument,
    pub governance: Governance,
}

impl DesiredRole {
    /// The role of an app that calls these models.
    pub fn new(identity: &AppIdentity, caller: &Caller, models: &BTreeSet<ModelId>, governance: &Governance) -> Self {
        let policy = execution_policy(identity, caller, models);
        Self { trust_policy: trust_policy(), policy, governance: governance.clone() }
    }
}

/// The role of the app in AWS, if it is this installation's.
pub(super) fn owned<'a>(identity: &AppIdentity, observed: &'a Observed) -> Option<&'a Role> {
    observed.role.as_ref().filter(|role| identity.installation.owns(&role.tags))
}

/// Plans the role. A missing role is created where creation is allowed, or where a function that exists needs it.
///
/// A role that cannot be read most likely exists, so it stops no creation of a log group; the function waits for it by itself.
pub(super) fn plan(desired: &Desired, observed: &Observed, creation: Creation, plan: &mut Plan) -> Creation {
    if let Some(error) = observed.unread.of(Source::Roles) {
        plan.unread(LEG, Some(error));
        return creation;
    }
    let role = observed.role.as_ref();
    let leg = if role.is_some() || creation == Creation::Allowed || observed.listing.is_some() {
        reconcile(&desired.identity, &desired.role, role, plan)
    } else {
        let message = format!("Role {} is created once the network is ready.", desired.identity.role_name());
        Leg::progressing(LEG, Reason::WaitingForNetwork, message)
    };
    plan.legs.push(leg);
    // Nothing is built on a role of somebody else.
    if role.is_some() && owned(&desired.identity, observed).is_none() { Creation::Stopped } else { creation }
}

/// Creates the role, or makes it exact. Returns its leg.
pub(super) fn reconcile(identity: &AppIdentity, desired: &DesiredRole, found: Option<&Role>, plan: &mut Plan) -> Leg {
    let name = identity.role_name();
    let before = plan.steps.len();
    let put_policy = IamWrite::PutRolePolicy {
        role: name.clone(),
        policy: POLICY_NAME.to_owned(),
        document: desired.policy.clone(),
    };
    let Some(role) = found else {
        let governance = &desired.governance;
        let tags = governance.tagged(identity.tags());
        plan.step(LEG, create(identity, tags, governance.permissions_boundary.clone()));
        plan.step(LEG, put_policy);
        return Leg::progressing(LEG, Reason::Applying, format!("Role {name} is being created."));
    };
    if !identity.installation.owns(&role.tags) {
        return not_ours(identity, LEG, "Role", name.as_str());
    }
    // Foreign policies go first: no rightful traffic needs them, and they count for the same 10,240 characters as the operator's own.
    plan.remove_foreign_policies(LEG, role, &desired.governance);
    if plan.steps.len() == before {
        plan.set_permissions_boundary(LEG, role, &desired.governance);
    }
    let tags = missing_tags(&desired.governance.tagged(identity.tags()), &role.tags);
    if !tags.is_empty() {
        plan.step(LEG, IamWrite::TagRole { role: name.clone(), tags });
    }
    // The role of an earlier app of the same name, which was handed over or retained.
    let keys: BTreeSet<String> = [TAG_HANDED_OVER, TAG_RETAINED]
        .map(str::to_owned)
        .into_iter()
        .filter(|key| role.tags.contains_key(key))
        .collect();
    if !keys.is_empty() {
        plan.step(LEG, IamWrite::UntagRole { role: name.clone(), keys });
    }
    if role.trust_policy != desired.trust_policy {
        let trust_policy = desired.trust_policy.clone();
        plan.step(LEG, IamWrite::UpdateAssumeRolePolicy { role: name.clone(), trust_policy });
    }
    if role.inline_policies.get(POLICY_NAME) != Some(&desired.policy) {
        plan.step(LEG, put_policy);
    }
    if plan.steps.len() == before {
        Leg::met(LEG, format!("Role {name} allows what the function needs and no more."))
    } else {
        Leg::progressing(LEG, Reason::Applying, format!("Role {name} is being updated."))
    }
}

/// Plans the end of the role. While the function or the log group remains, the role only loses foreign policies. A role that Lambda
/// may still need to release interfaces is handed over to the network.
pub(super) fn tear_down(
    identity: &AppIdentity,
    observed: &Observed,
    governance: &Governance,
    above: Remains,
    plan: &mut Plan,
) -> Remains {
    let unread = &observed.unread;
    plan.unread(LEG, unread.of(Source::Roles));
    plan.unread(LEG, unread.of(Source::Interfaces));
    let role = owned(identity, observed);
    if above == Remains::Something || unread.lacks(Source::Interfaces) {
        if let Some(role) = role {
            plan.remove_foreign_policies(LEG, role, governance);
        }
        return Remains::Something;
    }
    if let Some(role) = role {
        let before = plan.steps.len();
        if observed.interfaces.is_empty() {
            plan.delete_role(LEG, role, governance);
        } else {
            hand_over(identity, role, &observed.interfaces, governance, plan);
        }
        if plan.steps.len() > before {
            plan.legs.push(Leg::progressing(LEG, Reason::Deleting, format!("Role {} is being removed.", role.name)));
        }
    } else if observed.role.is_none() && !unread.lacks(Source::Roles) && !observed.interfaces.is_empty() {
        restore_handed_over_role(identity, &observed.interfaces, governance, plan);
    }
    Remains::Nothing
}

/// Restricts a role to what Lambda needs to release the interfaces that the app may have caused, and hands it over to the network,
/// which deletes it when the interfaces are gone. The app has no part in a role that is handed over.
fn hand_over(
    identity: &AppIdentity,
    role: &Role,
    interfaces: &BTreeSet<NetworkInterfaceId>,
    governance: &Governance,
    plan: &mut Plan,
) {
    plan.restrict_to_interfaces(LEG, role, governance);
    if HandOver::from_tags(&role.tags).is_none() {
        // The network finds the role by its identity tags, so missing ones are restored. AWS may refuse other tags.
        let mut tags = missing_tags(&identity.tags(), &role.tags);
        tags.insert(TAG_HANDED_OVER.to_owned(), HandOver::tag(interfaces));
        plan.step(LEG, IamWrite::TagRole { role: role.name.clone(), tags });
    }
}

/// Creates a role that is handed over at once. Somebody deleted the role and moved the function to other groups: without the role,
/// Lambda could not release the function's interfaces, and nobody would find them.
fn restore_handed_over_role(
    identity: &AppIdentity,
    interfaces: &BTreeSet<NetworkInterfaceId>,
    governance: &Governance,
    plan: &mut Plan,
) {
    let name = identity.role_name();
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_HANDED_OVER.to_owned(), HandOver::tag(interfaces));
    plan.step(LEG, create(identity, tags, governance.permissions_boundary.clone()));
    let (policy, document) = (POLICY_NAME.to_owned(), handed_over_policy());
    plan.step(LEG, IamWrite::PutRolePolicy { role: name.clone(), policy, document });
    let message = format!("Role {name} is being put back for as long as Lambda needs it to release interfaces.");
    plan.legs.push(Leg::progressing(LEG, Reason::Deleting, message));
}

fn create(identity: &AppIdentity, tags: Tags, permissions_boundary: Option<PolicyArn>) -> Write {
    Write::from(IamWrite::CreateRole {
        name: identity.role_name(),
        path: identity.installation.role_path(),
        trust_policy: trust_policy(),
        description: resource_description(identity),
        permissions_boundary,
        tags,
    })
}

#[cfg(test)]
mod tests;
