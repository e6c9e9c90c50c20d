//! What keeps the security groups of a network from going: interfaces that Lambda has not released, those that it left
//! behind, and what others hang on the groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{
        Attachment, FunctionName, InterfaceHolder, InterfaceState, NetworkInterface, NetworkInterfaceId, Role,
        RoleName, SecurityGroupId,
    },
    identity::HandOver,
    plan::listed,
};

/// Interfaces, by their ids.
pub type Interfaces = BTreeMap<NetworkInterfaceId, NetworkInterface>;

/// Those interfaces of a VPC that functions of ours may have caused: what carries the functions' group, whoever holds it, and
/// what Lambda made for one of the functions that `is_ours`, whichever groups somebody has moved that to. Lambda shares an
/// interface between functions and names only the first, so that neither tells of all.
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

/// For so long an interface must have been seen `available` before it counts as left behind.
const LEFT_AFTER: Duration = Duration::from_mins(10);

/// Since when each interface has been seen `available`, on a clock that only goes forward: EC2 does not tell. It is
/// forgotten at a restart, and the time begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvailableSince(pub BTreeMap<NetworkInterfaceId, Duration>);

impl AvailableSince {
    /// Takes note of a look; gives what was available at every look for over ten minutes.
    pub fn observe(&mut self, interfaces: &Interfaces, now: Duration) -> BTreeSet<NetworkInterfaceId> {
        let available = |id: &NetworkInterfaceId| {
            interfaces.get(id).is_some_and(|interface| interface.state == InterfaceState::Available)
        };
        self.0.retain(|id, _| available(id));
        for id in interfaces.keys().filter(|id| available(id)) {
            self.0.entry(id.clone()).or_insert(now);
        }
        self.0.iter().filter(|(_, since)| now.saturating_sub(**since) > LEFT_AFTER).map(|(id, _)| id.clone()).collect()
    }
}

/// The interfaces that Lambda could not delete (the role that it would have done it with was gone, say) and that no
/// function needs: of those that were `available` for long, Lambda's, with a set of groups and in a subnet that no function has
/// both of.
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

/// The ids of those that Lambda holds.
pub fn held_by_lambda(interfaces: &Interfaces) -> BTreeSet<NetworkInterfaceId> {
    interfaces.values().filter(|it| it.holder == InterfaceHolder::Lambda).map(|it| it.id.clone()).collect()
}

/// Whether functions are left on a network when a function goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OtherFunctions {
    /// Those of other apps are.
    Present,
    /// None is.
    Absent,
}

impl OtherFunctions {
    /// As the roles of other apps say, of which those count that have a function: an app that goes at the same time has a role
    /// longer than a function. `functions` are those of the region; none where they cannot be read, and then roles are kept.
    pub fn of<'a, Listing>(
        other_roles: impl IntoIterator<Item = &'a Role>,
        functions: &BTreeMap<FunctionName, Listing>,
    ) -> Self {
        // The role and the function of an app have one name.
        let names: BTreeSet<&str> = functions.keys().map(FunctionName::as_str).collect();
        let has_function = |role: &Role| names.contains(role.name.as_str());
        if other_roles.into_iter().any(has_function) { Self::Present } else { Self::Absent }
    }
}

/// Whether it makes a difference to one of the retired roles if functions are left on the network.
pub fn depend_on_other_functions(retired: &[Role], interfaces: &Interfaces) -> bool {
    retired.iter().any(|role| {
        HandOver::from_tags(&role.tags).is_some_and(|kept_for| {
            let is_over = |remaining| can_be_deleted(role, &kept_for, interfaces, remaining);
            is_over(OtherFunctions::Present) != is_over(OtherFunctions::Absent)
        })
    })
}

/// Those interfaces, of all that Lambda holds for functions on a network, for whose release Lambda may need the role of one
/// function that is gone. The role and the function have one name.
///
/// "Lambda relies on permissions in the function execution role to delete the Hyperplane ENI", and "only deletes the ENI if no
/// other function (or published function version) is using" it (Lambda developer guide, "Understanding Hyperplane Elastic Network
/// Interfaces"). Of which function, where several share an interface, AWS does not say. Two come into question: the one that it
/// was made for, which its description names, and the last one that used it. So no role is kept but that of a function that an
/// interface names, and that of the last function on the network: no more roles than interfaces, and one, or those of all the
/// functions that were gone together before anybody could see which one was the last. If it is another one after all, Lambda leaves the interface behind, `available`, and the operator deletes it ([`left_behind`]).
pub fn interfaces_that_need(
    role: &RoleName,
    interfaces: &Interfaces,
    remaining: OtherFunctions,
) -> BTreeSet<NetworkInterfaceId> {
    let names_it = |it: &NetworkInterface| it.function.as_ref().is_some_and(|name| name.as_str() == role.as_str());
    interfaces
        .values()
        .filter(|it| it.holder == InterfaceHolder::Lambda && (names_it(it) || remaining == OtherFunctions::Absent))
        .map(|it| it.id.clone())
        .collect()
}

/// A role that was kept for interfaces is not needed any more: none names its function, and it is not the last function's,
/// or what that was kept for is gone.
pub fn can_be_deleted(role: &Role, kept_for: &HandOver, interfaces: &Interfaces, remaining: OtherFunctions) -> bool {
    let named = interfaces_that_need(&role.name, interfaces, OtherFunctions::Present);
    named.is_empty() && (remaining == OtherFunctions::Present || kept_for.is_over(&held_by_lambda(interfaces)))
}

/// What the functions' group waits for, where interfaces still carry it.
pub fn waiting_for_release(interfaces: &Interfaces) -> Leg {
    let (left, in_use): (Vec<_>, Vec<_>) = interfaces
        .values()
        .filter(|interface| interface.holder == InterfaceHolder::Lambda)
        .partition(|interface| interface.state == InterfaceState::Available);
    let ids = |interfaces: Vec<&NetworkInterface>| listed(interfaces.iter().map(|interface| &interface.id));
    let mut sentences = Vec::new();
    if !in_use.is_empty() {
        sentences.push(format!(
            "Interfaces {} of functions that are gone are still there: Lambda releases them within twenty minutes or more; \
             the security groups and roles that they need go after them.",
            ids(in_use)
        ));
    }
    if !left.is_empty() {
        sentences.push(format!(
            "Interfaces {} were left behind by Lambda: they are deleted once that was so for ten minutes.",
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
        "The security group of functions is on {}: take it off there; the group is deleted then.",
        listed(foreign)
    ));
    Leg::blocked(ConditionType::SecurityGroupsReady, Reason::ResourceInUse, sentences.join(" "))
}

/// What keeps a group that AWS refused to delete: interfaces that carry it, and other groups with rules that name it.
/// `None` when nothing shows: then AWS is behind.
pub fn group_in_use(
    group: &SecurityGroupId,
    interfaces: &Interfaces,
    referring: &BTreeSet<SecurityGroupId>,
) -> Option<Leg> {
    let mut sentences = Vec::new();
    if !interfaces.is_empty() {
        let held = interfaces.values().map(|interface| format!("{} of {}", interface.id, interface.holder));
        sentences.push(format!("It is on {}: take it off there, or delete the interface.", listed(held)));
    }
    if !referring.is_empty() {
        sentences.push(format!("Rules of {} name it: remove those rules.", listed(referring)));
    }
    if sentences.is_empty() {
        return None;
    }
    let message = format!("Security group {group} cannot be deleted. {}", sentences.join(" "));
    let by_itself = |interface: &NetworkInterface| match interface.holder {
        InterfaceHolder::Lambda | InterfaceHolder::Endpoint => true,
        InterfaceHolder::Instance(_) | InterfaceHolder::Other(_) => false,
    };
    let kind = ConditionType::SecurityGroupsReady;
    Some(if referring.is_empty() && interfaces.values().all(by_itself) {
        Leg::progressing(kind, Reason::ResourceInUse, message)
    } else {
        Leg::blocked(kind, Reason::ResourceInUse, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn ten_minutes_count_from_the_first_look_and_anew_when_an_interface_was_in_use_meanwhile() {
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
    fn interfaces_are_of_our_functions_by_the_group_that_they_carry_or_by_the_function_that_they_were_made_for() {
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
    fn only_what_lambda_left_and_no_function_needs_counts_as_left_behind() {
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
            let attached = attached.iter().map(|it| (*it).clone()).collect();
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
    fn what_is_waited_for_is_named_and_what_others_hold_asks_them_to_act() {
        let instance = NetworkInterface { holder: InterfaceHolder::Instance("i-7".into()), ..interface(3) };
        let waiting = waiting_for_release(&all(&[interface(1), available(2)]));
        assert_eq!((waiting.state, waiting.reason), (LegState::Progressing, Reason::ResourceInUse));
        assert!(waiting.message.contains("eni-00000001 of functions that are gone"), "{}", waiting.message);
        assert!(waiting.message.contains("eni-00000002 were left behind"), "{}", waiting.message);
        let blocked = waiting_for_release(&all(&[interface(1), instance]));
        assert_eq!((blocked.state, blocked.reason), (LegState::Blocked, Reason::ResourceInUse));
        assert!(blocked.message.contains("eni-00000003 of instance i-7: take it off there"), "{}", blocked.message);
    }

    #[test]
    fn what_keeps_a_group_is_named_with_who_holds_it_and_what_to_do() {
        let group = group_id("endpoints");
        let other: BTreeSet<SecurityGroupId> = ["sg-000000aa".parse().expect("a group")].into();
        let of = |holder| all(&[NetworkInterface { holder, ..interface(3) }]);
        let instance = of(InterfaceHolder::Instance("i-7".into()));
        let ended = of(InterfaceHolder::Endpoint);
        assert_eq!(group_in_use(&group, &BTreeMap::new(), &BTreeSet::new()), None);
        let held = |interfaces: &Interfaces, referring: &BTreeSet<SecurityGroupId>| {
            let leg = group_in_use(&group, interfaces, referring).expect("a leg");
            assert_eq!((leg.kind, leg.reason), (ConditionType::SecurityGroupsReady, Reason::ResourceInUse));
            assert!(leg.message.starts_with("Security group sg-0000000e cannot be deleted. "), "{}", leg.message);
            (leg.state, leg.message)
        };
        let (standing, message) = held(&instance, &other);
        assert_eq!(standing, LegState::Blocked);
        assert!(message.contains("It is on eni-00000003 of instance i-7: take it off there"), "{message}");
        assert!(message.contains("Rules of sg-000000aa name it: remove those rules"), "{message}");
        assert_eq!(held(&BTreeMap::new(), &other).0, LegState::Blocked);
        assert_eq!(held(&ended, &BTreeSet::new()).0, LegState::Progressing, "they go with their endpoint");
    }
}
