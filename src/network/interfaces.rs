//! Network interfaces of functions: interfaces that Lambda has not released, interfaces that Lambda left behind, and interfaces
//! that keep a security group from being deleted.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{
        Attachment, FunctionName, InterfaceHolder, InterfaceState, NetworkInterface, NetworkInterfaceId,
        SecurityGroupId,
    },
    plan::listed,
};

/// Interfaces, by their ids.
pub type Interfaces = BTreeMap<NetworkInterfaceId, NetworkInterface>;

/// The interfaces of a VPC that may be those of our functions: interfaces with the functions' group, whoever holds them, and
/// interfaces that Lambda created for a function that `is_ours`, with any group. Functions share an interface, and Lambda names
/// only the first one, so neither criterion finds all.
pub fn interfaces_of_functions(
    mut interfaces: Interfaces,
    group: Option<&SecurityGroupId>,
    is_ours: impl Fn(&FunctionName) -> bool,
) -> Interfaces {
    interfaces.retain(|_, interface| {
        group.is_some_and(|group| interface.groups.contains(group)) || interface.function.as_ref().is_some_and(&is_ours)
    });
    interfaces
}

/// The interfaces that Lambda could not delete (because the role was gone, for example) and that no function needs: Lambda's,
/// `available` for long, and without a function that has both their groups and their subnet.
pub fn left_behind(
    interfaces: &Interfaces,
    long_available: &BTreeSet<NetworkInterfaceId>,
    attachments: &BTreeSet<Attachment>,
) -> BTreeSet<NetworkInterfaceId> {
    interfaces
        .values()
        .filter(|interface| {
            let NetworkInterface { id, state, holder, .. } = interface;
            long_available.contains(id)
                && *state == InterfaceState::Available
                && *holder == InterfaceHolder::Lambda
                && !attachments.iter().any(|attachment| attachment.uses(interface))
        })
        .map(|interface| interface.id.clone())
        .collect()
}

/// The ids of the interfaces that Lambda holds.
pub fn held_by_lambda(interfaces: &Interfaces) -> BTreeSet<NetworkInterfaceId> {
    let of_lambda = interfaces.values().filter(|interface| interface.holder == InterfaceHolder::Lambda);
    of_lambda.map(|interface| interface.id.clone()).collect()
}

/// The leg of security groups that wait for these interfaces with the functions' group.
pub fn waiting_for_release(interfaces: &Interfaces) -> Leg {
    let (left, in_use): (Vec<_>, Vec<_>) = interfaces
        .values()
        .filter(|interface| interface.holder == InterfaceHolder::Lambda)
        .partition(|interface| interface.state == InterfaceState::Available);
    let ids = |interfaces: Vec<&NetworkInterface>| listed(interfaces.iter().map(|interface| &interface.id));
    let mut sentences = Vec::new();
    if !in_use.is_empty() {
        sentences.push(format!(
            "Lambda still holds network interfaces {} of deleted functions, and releases them within twenty minutes or more. \
             The operator then deletes the security groups and roles that the interfaces need.",
            ids(in_use)
        ));
    }
    if !left.is_empty() {
        sentences.push(format!(
            "Lambda left behind network interfaces {}: the operator deletes each of them after ten minutes.",
            ids(left)
        ));
    }
    let foreign: Vec<String> = interfaces
        .values()
        .filter(|interface| interface.holder != InterfaceHolder::Lambda)
        .map(|interface| format!("{} of {}", interface.id, interface.holder))
        .collect();
    if foreign.is_empty() {
        return Leg::progressing(ConditionType::SecurityGroupsReady, Reason::ResourceInUse, sentences.join(" "));
    }
    sentences.push(format!(
        "The functions' security group is attached to {}: detach the group there, and the operator deletes the group.",
        listed(foreign)
    ));
    Leg::blocked(ConditionType::SecurityGroupsReady, Reason::ResourceInUse, sentences.join(" "))
}

/// The leg of a group that AWS refused to delete: the interfaces with the group, and the groups with rules that refer to it.
/// `None` if AWS shows neither (yet).
pub fn group_in_use(
    group: &SecurityGroupId,
    interfaces: &Interfaces,
    referring: &BTreeSet<SecurityGroupId>,
) -> Option<Leg> {
    let go_by_themselves = interfaces.values().all(|interface| match interface.holder {
        InterfaceHolder::Lambda | InterfaceHolder::Endpoint => true,
        InterfaceHolder::Instance(_) | InterfaceHolder::Other(_) => false,
    });
    let mut sentences = Vec::new();
    if !interfaces.is_empty() {
        let held = interfaces.values().map(|interface| format!("{} of {}", interface.id, interface.holder));
        let remedy = if go_by_themselves {
            "AWS removes these interfaces by itself once their functions and endpoints are deleted."
        } else {
            "detach the group there, or delete the interface."
        };
        sentences.push(format!("The group is attached to {}: {remedy}", listed(held)));
    }
    if !referring.is_empty() {
        sentences.push(format!("Rules of {} refer to the group: remove those rules.", listed(referring)));
    }
    if sentences.is_empty() {
        return None;
    }
    let message = format!("Security group {group} cannot be deleted. {}", sentences.join(" "));
    let kind = ConditionType::SecurityGroupsReady;
    Some(if referring.is_empty() && go_by_themselves {
        Leg::progressing(kind, Reason::ResourceInUse, message)
    } else {
        Leg::blocked(kind, Reason::ResourceInUse, message)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::AvailableSince;
    use crate::{
        api::condition::LegState,
        aws::SubnetId,
        network::fixtures::{group_id, interface, subnet},
    };

    fn all(interfaces: &[NetworkInterface]) -> Interfaces {
        interfaces.iter().map(|interface| (interface.id.clone(), interface.clone())).collect()
    }

    fn available(number: u32) -> NetworkInterface {
        NetworkInterface { state: InterfaceState::Available, ..interface(number) }
    }

    fn ids(interfaces: &[NetworkInterface]) -> BTreeSet<NetworkInterfaceId> {
        interfaces.iter().map(|interface| interface.id.clone()).collect()
    }

    #[test]
    fn ten_minutes_begin_at_the_first_observation_and_anew_after_use() {
        let minutes = |minutes: u64| Duration::from_mins(minutes);
        let mut seen = AvailableSince::default();
        assert_eq!(seen.observe(&all(&[available(1)]), minutes(0)), ids(&[]));
        assert_eq!(seen.observe(&all(&[available(1), available(2)]), minutes(10)), ids(&[]), "not over ten minutes");
        assert_eq!(seen.observe(&all(&[available(1), available(2)]), minutes(11)), ids(&[available(1)]));
        assert_eq!(seen.observe(&all(&[interface(1), available(2)]), minutes(12)), ids(&[]), "in use again");
        assert_eq!(seen.observe(&all(&[available(1), available(2)]), minutes(21)), ids(&[available(2)]));
        assert_eq!(seen.observe(&all(&[available(2)]), minutes(32)), ids(&[available(2)]), "the other is gone");
        assert_eq!(
            AvailableSince::default().observe(&all(&[available(2)]), minutes(99)),
            ids(&[]),
            "a restart knows nothing"
        );
    }

    #[test]
    fn interfaces_are_of_our_functions_by_their_group_or_by_the_function_that_they_name() {
        let function = |name: &str| Some(name.parse::<FunctionName>().expect("a function"));
        let moved = |number, name| NetworkInterface {
            groups: [group_id("endpoints")].into(),
            function: function(name),
            ..interface(number)
        };
        let shared = NetworkInterface { function: function("theirs"), ..interface(1) };
        let instance = NetworkInterface { holder: InterfaceHolder::Instance("i-7".into()), ..interface(2) };
        let (ours, theirs) = (moved(3, "pgai-ours"), moved(4, "theirs"));
        let found = |group: Option<&SecurityGroupId>| {
            let all = all(&[shared.clone(), instance.clone(), ours.clone(), theirs.clone()]);
            interfaces_of_functions(all, group, |name| name.as_str() == "pgai-ours")
        };
        let functions = group_id("functions");
        assert_eq!(found(Some(&functions)), all(&[shared.clone(), instance.clone(), ours.clone()]));
        assert_eq!(found(None), all(std::slice::from_ref(&ours)), "the group was deleted by hand");
    }

    #[test]
    fn only_an_interface_that_lambda_left_and_no_function_needs_counts_as_left_behind() {
        let left = available(1);
        let attached = |groups: &[&str], subnets: &[&SubnetId]| Attachment {
            groups: groups.iter().map(|group| group_id(group)).collect(),
            subnets: subnets.iter().map(|subnet| (*subnet).clone()).collect(),
        };
        let (here, elsewhere) = (&left.subnet, &subnet(0xf1).id);
        let user = attached(&["functions"], &[elsewhere, here]);
        let other_groups = attached(&["functions", "endpoints"], &[here]);
        let other_subnet = attached(&["functions"], &[elsewhere]);
        let of = |holder| NetworkInterface { holder, ..left.clone() };
        let found = |interface: &NetworkInterface, long: bool, attached: &[&Attachment]| {
            let long = if long { ids(std::slice::from_ref(interface)) } else { BTreeSet::new() };
            let attached = attached.iter().map(|attachment| (*attachment).clone()).collect();
            !left_behind(&all(std::slice::from_ref(interface)), &long, &attached).is_empty()
        };
        assert!(found(&left, true, &[]));
        assert!(found(&left, true, &[&other_groups]), "a function with another set of groups does not use it");
        assert!(found(&left, true, &[&other_subnet]), "nor does one in another subnet");
        assert!(!found(&left, true, &[&other_subnet, &user]), "a function has this very set, and the subnet");
        assert!(!found(&left, false, &[]), "not long enough");
        assert!(!found(&interface(1), true, &[]), "in use");
        assert!(!found(
            &NetworkInterface { state: InterfaceState::Other("detaching".into()), ..left.clone() },
            true,
            &[]
        ));
        for holder in
            [InterfaceHolder::Endpoint, InterfaceHolder::Instance("i-1".into()), InterfaceHolder::Other("x".into())]
        {
            assert!(!found(&of(holder.clone()), true, &[]), "{holder}");
        }
    }

    #[test]
    fn the_leg_names_what_is_waited_for_and_asks_the_holders_of_other_interfaces_to_act() {
        let instance = NetworkInterface { holder: InterfaceHolder::Instance("i-7".into()), ..interface(3) };
        let waiting = waiting_for_release(&all(&[interface(1), available(2)]));
        assert_eq!((waiting.state, waiting.reason), (LegState::Progressing, Reason::ResourceInUse));
        assert!(waiting.message.text.contains("eni-00000001 of deleted functions"), "{}", waiting.message);
        assert!(
            waiting.message.text.contains("Lambda left behind network interfaces eni-00000002"),
            "{}",
            waiting.message
        );
        let blocked = waiting_for_release(&all(&[interface(1), instance]));
        assert_eq!((blocked.state, blocked.reason), (LegState::Blocked, Reason::ResourceInUse));
        assert!(
            blocked.message.text.contains("eni-00000003 of instance i-7: detach the group there"),
            "{}",
            blocked.message
        );
    }

    #[test]
    fn the_leg_names_what_keeps_a_group_from_being_deleted_and_what_to_do() {
        let group = group_id("endpoints");
        let other: BTreeSet<SecurityGroupId> = ["sg-000000aa".parse().expect("a group")].into();
        let of = |holder| all(&[NetworkInterface { holder, ..interface(3) }]);
        let instance = of(InterfaceHolder::Instance("i-7".into()));
        let ended = of(InterfaceHolder::Endpoint);
        assert_eq!(group_in_use(&group, &BTreeMap::new(), &BTreeSet::new()), None);
        let held = |interfaces: &Interfaces, referring: &BTreeSet<SecurityGroupId>| {
            let leg = group_in_use(&group, interfaces, referring).expect("a leg");
            assert_eq!((leg.kind, leg.reason), (ConditionType::SecurityGroupsReady, Reason::ResourceInUse));
            assert!(leg.message.text.starts_with("Security group sg-0000000e cannot be deleted. "), "{}", leg.message);
            (leg.state, leg.message)
        };
        let (state, message) = held(&instance, &other);
        assert_eq!(state, LegState::Blocked);
        assert!(
            message.text.contains("The group is attached to eni-00000003 of instance i-7: detach the group there"),
            "{message}"
        );
        assert!(message.text.contains("Rules of sg-000000aa refer to the group: remove those rules"), "{message}");
        assert_eq!(held(&BTreeMap::new(), &other).0, LegState::Blocked);
        let (state, message) = held(&ended, &BTreeSet::new());
        assert_eq!(state, LegState::Progressing, "they go with their endpoint");
        assert!(message.text.contains("AWS removes these interfaces by itself"), "{message}");
        assert!(!message.text.contains("detach the group"), "{message}");
    }
}
