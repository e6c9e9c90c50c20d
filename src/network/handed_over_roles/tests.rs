use std::collections::BTreeMap;

use super::*;
use crate::network;
use crate::{
    api::condition::Reason,
    aws::{IamWrite, PolicyDocument, Write},
    engine::EndpointHistory,
    identity::TAG_HANDED_OVER,
    network::fixtures::{at_rest, bare, decided, desired, endpoint, exact_groups, identity, interface, leg, writes},
    network::{Desired, teardown},
    policy::{POLICY_NAME, handed_over_policy, trust_policy},
};

#[test]
fn the_role_of_an_app_that_is_gone_goes_with_the_last_interface_that_it_is_kept_for() {
    let eni = |n: u32| interface(n).id;
    let role = crate::aws::Role {
        id: "AROAEXAMPLE".to_owned(),
        name: "pgai-gone".parse().expect("a name"),
        arn: "arn:aws:iam::123456789012:role/private-genai/prod/pgai-gone".to_owned(),
        trust_policy: trust_policy(),
        inline_policies: [(POLICY_NAME.to_owned(), handed_over_policy())].into(),
        attached_policies: BTreeSet::new(),
        permissions_boundary: None,
        tags: [(TAG_HANDED_OVER.to_owned(), HandOver::tag(&[eni(1)].into()))].into(),
    };
    let with = |observed: Observed, interfaces: &[u32]| {
        observed.with_roles(
            Vec::new(),
            vec![role.clone()],
            interfaces.iter().map(|n| (eni(*n), interface(*n))).collect(),
        )
    };
    let operations = |plan: &Plan| plan.steps.iter().map(|step| step.write.operation().name).collect::<Vec<_>>();
    assert_eq!(operations(&decided(&with(at_rest(), &[1, 2]))), Vec::<&str>::new(), "kept, and no leg waits");
    assert!(!decided(&with(at_rest(), &[1, 2])).needs_fresh_look());
    assert_eq!(operations(&decided(&with(at_rest(), &[2]))), ["DeleteRolePolicy", "DeleteRole"]);

    let opened = crate::aws::Role {
        trust_policy: PolicyDocument::from_wire("{}"),
        inline_policies: ["by-hand", POLICY_NAME].map(|name| (name.to_owned(), PolicyDocument::from_wire("{}"))).into(),
        attached_policies: ["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()].into(),
        ..role.clone()
    };
    let kept = with(at_rest(), &[1]);
    let kept = Observed { handed_over_roles: vec![opened], ..kept };
    let repairs = ["DeleteRolePolicy", "DetachRolePolicy", "UpdateAssumeRolePolicy", "PutRolePolicy"];
    assert_eq!(operations(&decided(&kept)), repairs, "a kept role has only the permissions that Lambda needs");

    let boundary = Some("arn:aws:iam::123456789012:policy/boundary".parse().expect("an ARN"));
    let under = Governance { permissions_boundary: boundary, ..Governance::default() };
    let bound = |observed| {
        network::plan(&Desired { governance: under.clone(), ..desired() }, &observed, &EndpointHistory::default())
    };
    let put = "PutRolePermissionsBoundary";
    assert_eq!(operations(&bound(with(at_rest(), &[1]))), [put], "a kept role follows the setting too");
    assert_eq!(operations(&bound(with(at_rest(), &[2]))), [put, "DeleteRolePolicy", "DeleteRole"]);

    let groups = Observed { security_groups: exact_groups(), ..bare() };
    let held = teardown(&with(groups.clone(), &[1]), &Governance::default());
    assert_eq!(held.steps, [], "nothing is tried that cannot succeed");
    assert_eq!(leg(&held, ConditionType::SecurityGroupsReady).reason, Reason::ResourceInUse);
    assert!(leg(&held, ConditionType::SecurityGroupsReady).message.text.contains("eni-00000001"));
    let free = operations(&teardown(&with(groups, &[]), &Governance::default()));
    assert_eq!(free[..2], ["DeleteRolePolicy", "DeleteRole"]);
    assert_eq!(free[free.len() - 2..], ["DeleteSecurityGroup", "DeleteSecurityGroup"]);
}

#[test]
fn an_interface_that_was_left_behind_goes_and_the_rest_waits_for_those_of_lambda() {
    let delete = |n| Write::Ec2(Ec2Write::DeleteNetworkInterface { interface: interface(n).id });
    let interfaces: BTreeMap<_, _> = [1, 2].map(|n| (interface(n).id, interface(n))).into();
    let left_interfaces = [interface(2).id].into();
    let there =
        Observed { function_interfaces: interfaces, left_interfaces, security_groups: exact_groups(), ..bare() };
    let plan = teardown(&there, &Governance::default());
    assert_eq!(leg(&plan, ConditionType::SecurityGroupsReady).reason, Reason::ResourceInUse);
    assert!(
        there.names().contains(&delete(2).resource()),
        "a refusal of that is forgotten when somebody asks for a look"
    );
    assert_eq!(writes(plan), [delete(2)]);
    let demanded = Observed { endpoints: vec![endpoint(1)], ..there };
    assert_eq!(
        writes(decided(&demanded)),
        [delete(2)],
        "what nobody needs does not pile up while others need the network"
    );
}

#[test]
fn a_role_that_no_interface_names_stays_only_if_its_function_was_the_last_one() {
    let role = |name: &str, kept_for: Option<&str>| {
        let mut tags = identity().tags();
        tags.extend(kept_for.map(|ids| (TAG_HANDED_OVER.to_owned(), ids.to_owned())));
        Role {
            name: name.parse().expect("a role"),
            id: "AROA1".to_owned(),
            arn: format!("arn:aws:iam::123456789012:role/{name}"),
            trust_policy: trust_policy(),
            inline_policies: [(POLICY_NAME.to_owned(), handed_over_policy())].into(),
            attached_policies: BTreeSet::new(),
            permissions_boundary: None,
            tags,
        }
    };
    let named = NetworkInterface { function: Some("pgai-first".parse().expect("a function")), ..interface(1) };
    let there = |live: &[&str]| Observed {
        live_roles: live.iter().map(|name| role(name, None)).collect(),
        other_functions: if live.is_empty() { OtherFunctions::Absent } else { OtherFunctions::Present },
        handed_over_roles: ["pgai-first", "pgai-second"].map(|name| role(name, Some("eni-00000001"))).into(),
        function_interfaces: [(named.id.clone(), named.clone())].into(),
        ..at_rest()
    };
    let deleted = |observed: &Observed| -> Vec<String> {
        let writes = writes(decided(observed)).into_iter();
        writes
            .filter(|write| matches!(write, Write::Iam(IamWrite::DeleteRole { .. })))
            .map(|write| write.resource())
            .collect()
    };
    assert_eq!(deleted(&there(&["pgai-stays"])), ["pgai-second"], "the interface names the first");
    assert_eq!(deleted(&there(&[])), Vec::<String>::new(), "either may have been the last one's");
    let mut gone = there(&[]);
    gone.function_interfaces.clear();
    assert_eq!(deleted(&gone), ["pgai-first", "pgai-second"]);
    let mut another = there(&[]);
    let other = NetworkInterface { function: None, ..interface(2) };
    another.function_interfaces = [(other.id.clone(), other)].into();
    assert_eq!(deleted(&another), ["pgai-first", "pgai-second"], "they were kept for another interface");
}
