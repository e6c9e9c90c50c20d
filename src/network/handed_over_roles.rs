//! The roles that deleted apps handed over to the network, and the interfaces that Lambda left behind. Lambda may need such a
//! role to release network interfaces.

use std::collections::BTreeSet;

use super::interfaces::{Interfaces, held_by_lambda};
use crate::{
    api::condition::ConditionType,
    aws::{Ec2Write, FunctionName, InterfaceHolder, NetworkInterface, NetworkInterfaceId, Role, RoleName},
    governance::Governance,
    identity::HandOver,
    network::Observed,
    plan::{Plan, Source},
};

/// Whether other functions are on a network when a function is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OtherFunctions {
    Present,
    Absent,
}

/// The functions of the apps that have these roles: the role and the function of an app have one name. The role of an app that goes
/// at the same time outlives the function.
pub fn functions_of<'a>(roles: impl IntoIterator<Item = &'a Role>) -> BTreeSet<FunctionName> {
    roles.into_iter().filter_map(|role| role.name.as_str().parse().ok()).collect()
}

/// Whether [`OtherFunctions`] decides about one of these roles.
pub fn depend_on_other_functions(handed_over: &[Role], interfaces: &Interfaces) -> bool {
    handed_over.iter().any(|role| {
        HandOver::from_tags(&role.tags).is_some_and(|kept_for| {
            let can_go = |others| can_be_deleted(role, &kept_for, interfaces, others);
            can_go(OtherFunctions::Present) != can_go(OtherFunctions::Absent)
        })
    })
}

/// The interfaces that may need this role for their release, among all interfaces that Lambda holds for functions on a network.
/// `role` is the role of a deleted function, and has the name of the function.
///
/// "Lambda relies on permissions in the function execution role to delete the Hyperplane ENI", and "only deletes the ENI if no
/// other function (or published function version) is using" it (Lambda developer guide, "Understanding Hyperplane Elastic Network
/// Interfaces"). AWS does not document which role counts when several functions share an interface. Two functions are candidates:
/// the one in the interface's description, and the last one that used the interface. So a role is kept if an interface names its
/// function, or if its function was the last one on the network; of several functions that were deleted together, each may have
/// been the last one. If another role counts after all, Lambda leaves the interface `available`, and the operator deletes it
/// ([`left_behind`](super::interfaces::left_behind)).
pub fn interfaces_that_need(
    role: &RoleName,
    interfaces: &Interfaces,
    other_functions: OtherFunctions,
) -> BTreeSet<NetworkInterfaceId> {
    let names_function =
        |interface: &NetworkInterface| interface.function.as_ref().is_some_and(|name| name.as_str() == role.as_str());
    interfaces
        .values()
        .filter(|interface| {
            interface.holder == InterfaceHolder::Lambda
                && (names_function(interface) || other_functions == OtherFunctions::Absent)
        })
        .map(|interface| interface.id.clone())
        .collect()
}

/// A kept role can be deleted: no interface names its function; and its function was not the last one on the network, or the
/// interfaces for which the role was kept are gone.
pub fn can_be_deleted(
    role: &Role,
    kept_for: &HandOver,
    interfaces: &Interfaces,
    other_functions: OtherFunctions,
) -> bool {
    let named = interfaces_that_need(&role.name, interfaces, OtherFunctions::Present);
    named.is_empty() && (other_functions == OtherFunctions::Present || kept_for.is_over(&held_by_lambda(interfaces)))
}

/// Plans for the roles and interfaces of deleted apps. Interfaces that Lambda left behind are deleted. A role is deleted with the
/// last interface that needs it, and restricted to interfaces until then. This room creates nothing, so it stands on nothing.
pub(super) fn plan(observed: &Observed, governance: &Governance, plan: &mut Plan) {
    let (leg, interfaces) = (ConditionType::SecurityGroupsReady, &observed.function_interfaces);
    for interface in &observed.left_interfaces {
        plan.step(leg, Ec2Write::DeleteNetworkInterface { interface: interface.clone() });
    }
    let unread = observed.unread.of(Source::Interfaces);
    if !observed.handed_over_roles.is_empty() {
        plan.unread(leg, unread);
        plan.unread(leg, observed.unread.of(Source::Functions));
    }
    for role in &observed.handed_over_roles {
        let is_over = HandOver::from_tags(&role.tags)
            .is_some_and(|kept_for| can_be_deleted(role, &kept_for, interfaces, observed.other_functions));
        if is_over && unread.is_none() {
            plan.delete_role(leg, role, governance);
        } else {
            plan.restrict_to_interfaces(leg, role, governance);
        }
    }
}

#[cfg(test)]
mod tests;
