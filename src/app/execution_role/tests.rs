use std::collections::BTreeMap;

use super::*;
use crate::app;
use crate::{
    api::condition::LegState,
    app::fixtures::{at_rest, decided, desired, foreign, identity, leg, nothing, operations, role, stands, writes},
    app::teardown,
};

#[test]
fn foreign_policies_go_before_the_role_s_own_policy_comes() {
    let mut crowded = role();
    crowded.inline_policies = [("by-hand".to_owned(), PolicyDocument::from_wire("{}"))].into();
    crowded.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
    let plan = decided(&Observed { role: Some(crowded), ..at_rest() });
    assert_eq!(operations(&plan), ["DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy"]);
}

#[test]
fn a_role_of_somebody_else_is_told_and_nothing_is_built_on_it() {
    let theirs = Role { tags: foreign(), ..role() };
    for observed in [
        Observed { role: Some(theirs.clone()), ..nothing() },
        Observed { role: Some(Role { inline_policies: [].into(), ..theirs }), ..at_rest() },
    ] {
        let plan = decided(&observed);
        assert_eq!(plan.steps, []);
        assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Blocked, Reason::NameTaken));
        let message = &leg(&plan, ConditionType::ExecutionRoleReady).message;
        assert!(
            message.text.contains(identity().role_name().as_str()) && message.text.contains("remove the resource"),
            "{message}"
        );
    }
}

#[test]
fn foreign_policies_go_while_the_function_cannot_be_deleted_yet() {
    let mut opened = role();
    opened.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
    let plan = teardown(&identity(), &Observed { role: Some(opened), ..at_rest() }, &Governance::default());
    assert_eq!(operations(&plan), ["DeleteFunction", "DetachRolePolicy"]);
}

#[test]
fn a_role_that_lambda_may_need_is_restricted_to_interfaces_and_handed_over() {
    let interfaces = BTreeSet::from(["eni-0123456789abcdef0".parse().expect("an id")]);
    let mut role = role();
    role.attached_policies.insert("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
    let left = Observed { role: Some(role.clone()), interfaces, ..nothing() };
    let plan = teardown(&identity(), &left, &Governance::default());
    let operations: Vec<&str> = plan.steps.iter().map(|step| step.write.operation().name).collect();
    assert_eq!(operations, ["DetachRolePolicy", "PutRolePolicy", "TagRole"], "reduced before it is handed over");

    let trust_policy = PolicyDocument::new(&serde_json::json!({"Statement": []}));
    let nobody_may = Role { trust_policy, ..role.clone() };
    let plan = teardown(&identity(), &Observed { role: Some(nobody_may), ..left.clone() }, &Governance::default());
    let operations: Vec<&str> = plan.steps.iter().map(|step| step.write.operation().name).collect();
    let wanted = ["DetachRolePolicy", "UpdateAssumeRolePolicy", "PutRolePolicy", "TagRole"];
    assert_eq!(operations, wanted, "Lambda must be able to assume it");

    role.attached_policies.clear();
    role.inline_policies.insert("private-genai".to_owned(), crate::policy::handed_over_policy());
    role.tags.insert(crate::identity::TAG_HANDED_OVER.to_owned(), "eni-0123456789abcdef0".to_owned());
    let handed_over = Observed { role: Some(role.clone()), ..left };
    assert_eq!(
        teardown(&identity(), &handed_over, &Governance::default()),
        Plan::default(),
        "nothing of it is the app's any more"
    );

    let desired = desired();
    let back = app::plan(&desired, &Observed { interfaces: BTreeSet::new(), ..handed_over });
    let operations: Vec<&str> = back.steps.iter().map(|step| step.write.operation().name).take(2).collect();
    assert_eq!(operations, ["UntagRole", "PutRolePolicy"], "an app of the same name takes it back");
}

#[test]
fn a_missing_role_comes_back_for_interfaces_that_nobody_else_would_find() {
    let eni: NetworkInterfaceId = "eni-0123456789abcdef0".parse().expect("an interface");
    let stranded = Observed { interfaces: [eni.clone()].into(), ..nothing() };
    let plan = teardown(&identity(), &stranded, &Governance::default());
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Deleting));
    let mut role = role();
    role.tags.insert(TAG_HANDED_OVER.to_owned(), eni.to_string());
    let created = create(&identity(), role.tags.clone(), None);
    let document = handed_over_policy();
    let put = Write::Iam(IamWrite::PutRolePolicy { role: role.name.clone(), policy: POLICY_NAME.to_owned(), document });
    assert_eq!(writes(plan), [created, put.clone()]);
    role.inline_policies.clear();
    let interrupted = Observed { role: Some(role), ..stranded };
    assert_eq!(writes(teardown(&identity(), &interrupted, &Governance::default())), [put]);
    assert_eq!(teardown(&identity(), &nothing(), &Governance::default()), Plan::default());
}

#[test]
fn an_app_that_comes_again_takes_what_was_left_of_it_over() {
    for tags in [&[TAG_RETAINED][..], &[TAG_HANDED_OVER], &[TAG_RETAINED, TAG_HANDED_OVER]] {
        let mut observed = at_rest();
        let keys = tags.iter().map(|key| (*key).to_owned());
        let role = observed.role.as_mut().expect("a role");
        role.tags.extend(keys.clone().map(|key| (key, "true".to_owned())));
        let untag = Write::Iam(IamWrite::UntagRole { role: identity().role_name(), keys: keys.collect() });
        assert_eq!(writes(decided(&observed)), [untag], "{tags:?}");
    }
}

#[test]
fn a_role_that_is_handed_over_waits_for_no_tag_that_aws_may_refuse() {
    let platform = Governance { tags: "team=ai".parse().expect("tags"), ..Governance::default() };
    let tags = |writes: Vec<Write>| match writes.last() {
        Some(Write::Iam(IamWrite::TagRole { tags, .. })) => tags.keys().cloned().collect::<Vec<String>>(),
        other => panic!("{other:?}"),
    };
    let interfaces = BTreeSet::from(["eni-0123456789abcdef0".parse().expect("an id")]);
    let left_over = Observed { role: Some(role()), interfaces, ..nothing() };
    assert_eq!(tags(writes(teardown(&identity(), &left_over, &platform))), [TAG_HANDED_OVER]);
}

fn boundary() -> PolicyArn {
    "arn:aws:iam::123456789012:policy/boundary".parse().expect("an ARN")
}

fn under_the_boundary() -> Governance {
    Governance { permissions_boundary: Some(boundary()), ..Governance::default() }
}

fn desired_under_the_boundary() -> Desired {
    let mut desired = desired();
    desired.role.governance = under_the_boundary();
    desired
}

fn put_boundary() -> Write {
    Write::Iam(IamWrite::PutRolePermissionsBoundary { role: identity().role_name(), boundary: boundary() })
}

fn with_boundary(arn: Option<&str>) -> Role {
    Role { permissions_boundary: arn.map(str::to_owned), ..role() }
}

#[test]
fn the_boundary_is_set_at_creation_or_before_any_other_write_to_the_role() {
    let create = writes(app::plan(&desired_under_the_boundary(), &nothing())).remove(0);
    assert_eq!(create.permissions_boundary(), Some(&boundary()));
    for other in [None, Some("arn:aws:iam::123456789012:policy/other")] {
        let mut observed = Observed { role: Some(with_boundary(other)), ..at_rest() };
        let plan = app::plan(&desired_under_the_boundary(), &observed);
        assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Applying));
        assert_eq!(writes(plan), [put_boundary()], "{other:?}");
        let found = observed.role.as_mut().expect("a role");
        (found.inline_policies, found.trust_policy) = (BTreeMap::new(), PolicyDocument::from_wire("{}"));
        found.attached_policies.insert("arn:aws:iam::aws:policy/X".to_owned());
        let all = writes(app::plan(&desired_under_the_boundary(), &observed));
        assert_eq!((&all[0], all.len()), (&put_boundary(), 4), "{all:?}");
    }
    let there = Observed { role: Some(with_boundary(Some(boundary().as_str()))), ..at_rest() };
    assert_eq!(writes(app::plan(&desired_under_the_boundary(), &there)), []);
}

#[test]
fn without_a_boundary_one_that_somebody_put_there_stays() {
    let there = Observed { role: Some(with_boundary(Some("arn:aws:iam::123456789012:policy/other"))), ..at_rest() };
    assert_eq!(writes(decided(&there)), []);
}

#[test]
fn the_boundary_is_set_before_the_policies_of_a_role_that_goes_are_written() {
    let there = Observed { role: Some(role()), ..nothing() };
    let first = |observed: &Observed| writes(teardown(&identity(), observed, &under_the_boundary())).remove(0);
    assert_eq!(first(&there), put_boundary());
    let eni: NetworkInterfaceId = "eni-0123456789abcdef0".parse().expect("an interface");
    assert_eq!(first(&Observed { interfaces: [eni.clone()].into(), ..there.clone() }), put_boundary(), "handed over");
    let bare = Role { inline_policies: BTreeMap::new(), ..role() };
    let delete = Write::Iam(IamWrite::DeleteRole { role: identity().role_name() });
    assert_eq!(first(&Observed { role: Some(bare), ..nothing() }), delete, "nothing of it is written");
    let stranded = Observed { interfaces: [eni].into(), ..nothing() };
    assert_eq!(first(&stranded).permissions_boundary(), Some(&boundary()), "one that comes back");
}
