use std::collections::BTreeMap;

use super::*;
use crate::{
    api::condition::LegState,
    app::fixtures::{
        caller, decided, detail, foreign, function_stands, identity, leg, nothing, put_configuration, put_policy, role,
        stands, writes,
    },
    aws::PolicyArn,
    governance::Governance,
    guard::Allow,
    identity::TAG_HANDED_OVER,
    policy::POLICY_NAME,
};

fn retention() -> RetainedApp {
    let models = Some(["amazon.nova-lite-v1:0".parse().expect("a model")].into());
    let (allow, governance) = (Allow::default(), Governance::default());
    RetainedApp { identity: identity(), caller: caller(), models, allow, governance }
}

/// What is looked at of an app that is to be retained: a function only where the role tells that it needs something.
fn left(role: Option<Role>, function: Option<FunctionDetail>) -> Observed {
    Observed { role, given_role_id: Some(self::role().id), detail: function, ..nothing() }
}

fn tagged(tags: &[&str]) -> Role {
    let mut role = role();
    role.tags.extend(tags.iter().map(|key| ((*key).to_owned(), "true".to_owned())));
    role
}

fn tag_retained() -> Write {
    Write::Iam(IamWrite::TagRole {
        role: identity().role_name(),
        tags: [(TAG_RETAINED.to_owned(), "true".to_owned())].into(),
    })
}

#[test]
fn an_app_that_is_retained_has_its_role_tagged_and_nothing_else_written() {
    let write = |role: Role| writes(retain(&retention(), &left(Some(role), None)));
    assert_eq!(write(role()), [tag_retained()]);
    let mut lost = role();
    lost.tags.remove(crate::identity::TAG_VPC);
    let put_back = [(crate::identity::TAG_VPC.to_owned(), identity().vpc.to_string())];
    let tags = put_back.into_iter().chain([(TAG_RETAINED.to_owned(), "true".to_owned())]).collect();
    assert_eq!(
        write(lost),
        [Write::Iam(IamWrite::TagRole { role: identity().role_name(), tags })],
        "it is found by them"
    );
    assert_eq!(write(tagged(&[TAG_RETAINED])), [], "done");
    assert_eq!(write(tagged(&[TAG_HANDED_OVER])), [], "the network's already");
    assert_eq!(write(Role { tags: foreign(), ..role() }), []);
    assert_eq!(retain(&retention(), &left(None, None)), Plan::default(), "nothing is there to be retained");
}

#[test]
fn a_missing_role_of_a_retained_function_is_put_back_given_to_it_and_then_tagged() {
    let plan = retain(&retention(), &left(None, Some(detail())));
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Applying));
    let create = writes(decided(&nothing()))[0].clone();
    assert_eq!(writes(plan), [create, put_policy()], "as for an app that stays");
    let anew = Role { id: "AROAANEW".to_owned(), ..role() };
    let bare = Role { inline_policies: BTreeMap::new(), ..anew.clone() };
    assert_eq!(writes(retain(&retention(), &left(Some(bare), Some(detail())))), [put_policy()], "interrupted here");
    let mut edited = detail();
    edited.listing.configuration.memory_mib = 999;
    let configuration = edited.listing.configuration.clone();
    let reset = BTreeSet::new();
    let give = Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
        name: identity().function_name(),
        configuration,
        reset,
    });
    let plan = retain(&retention(), &left(Some(anew.clone()), Some(edited)));
    assert_eq!(writes(plan), [give, tag_retained()], "whatever else the function is, stays");
    let mut locked = detail();
    locked.listing.unreadable_environment = Some("KMSDisabledException".to_owned());
    let plan = retain(&retention(), &left(Some(anew.clone()), Some(locked)));
    assert_eq!(writes(plan), [tag_retained()], "an update would empty an environment that nobody can read");
    let unknown = Observed { given_role_id: None, ..left(Some(role()), Some(detail())) };
    assert_eq!(writes(retain(&retention(), &unknown)), [put_configuration(), tag_retained()], "nobody knows");
    assert_eq!(
        retain(&retention(), &left(Some(Role { tags: tagged(&[TAG_RETAINED]).tags, ..anew }), None)),
        Plan::default()
    );
}

#[test]
fn a_function_that_cannot_take_its_role_now_is_waited_for_and_others_are_left() {
    let anew = || Some(Role { id: "AROAANEW".to_owned(), ..role() });
    let plan = |state: FunctionState, last_update: UpdateStatus| {
        retain(&retention(), &left(anew(), Some(FunctionDetail { state, last_update, ..detail() })))
    };
    for (state, update) in [
        (FunctionState::Pending, UpdateStatus::InProgress),
        (FunctionState::Active, UpdateStatus::InProgress),
        (FunctionState::Inactive, UpdateStatus::Other("Odd".to_owned())),
    ] {
        let waits = plan(state, update);
        assert_eq!(waits.steps, []);
        assert_eq!(function_stands(&waits), (LegState::Progressing, Reason::FunctionPending));
    }
    for state in [FunctionState::Failed, FunctionState::Other("Deactivated".to_owned())] {
        assert_eq!(writes(plan(state, UpdateStatus::Failed)), [tag_retained()]);
    }
    let going = plan(FunctionState::Deleting, UpdateStatus::Successful);
    assert_eq!(writes(going), [tag_retained()], "its role is there");
    let gone = FunctionDetail { state: FunctionState::Deleting, ..detail() };
    assert_eq!(retain(&retention(), &left(None, Some(gone))), Plan::default());
    let woken = plan(FunctionState::Inactive, UpdateStatus::Successful);
    assert_eq!(writes(woken), [put_configuration(), tag_retained()]);
}

#[test]
fn a_handed_over_role_of_a_function_is_taken_back_before_it_is_retained() {
    let plan = retain(&retention(), &left(Some(tagged(&[TAG_HANDED_OVER])), Some(detail())));
    let untag =
        Write::Iam(IamWrite::UntagRole { role: identity().role_name(), keys: [TAG_HANDED_OVER.to_owned()].into() });
    assert_eq!(writes(plan), [untag]);
    assert_eq!(retain(&retention(), &left(Some(tagged(&[TAG_HANDED_OVER])), None)), Plan::default());
}

#[test]
fn an_untagged_function_with_the_role_of_a_retained_app_waits_for_somebody() {
    let mut stripped = detail();
    stripped.tags = foreign();
    let plan = retain(&retention(), &left(None, Some(stripped.clone())));
    assert_eq!((&*plan.steps, function_stands(&plan)), (&[][..], (LegState::Blocked, Reason::NameTaken)));
    stripped.listing.configuration.role_arn = "arn:aws:iam::123456789012:role/theirs".to_owned();
    assert_eq!(retain(&retention(), &left(None, Some(stripped))), Plan::default(), "somebody else's");
    let untagged = Role { tags: foreign(), id: "AROAANEW".to_owned(), ..role() };
    let plan = retain(&retention(), &left(Some(untagged), Some(detail())));
    assert_eq!(plan.steps, []);
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Blocked, Reason::NameTaken));
}

#[test]
fn a_role_put_back_without_a_readable_spec_allows_no_model_and_says_so() {
    let unread = RetainedApp { models: None, ..retention() };
    let plan = retain(&unread, &left(None, Some(detail())));
    let message = &leg(&plan, ConditionType::ExecutionRoleReady).message.text;
    assert!(message.contains("spec.models cannot be read or are not allowed"), "{message}");
    let document = unread.role(None).policy;
    let put =
        Write::Iam(IamWrite::PutRolePolicy { role: identity().role_name(), policy: POLICY_NAME.to_owned(), document });
    assert_eq!(writes(plan)[1], put);
}

#[test]
fn the_boundary_is_set_before_a_role_is_retained() {
    let boundary: PolicyArn = "arn:aws:iam::123456789012:policy/boundary".parse().expect("an ARN");
    let governance = Governance { permissions_boundary: Some(boundary.clone()), ..Governance::default() };
    let retention = RetainedApp { governance, ..retention() };
    let put = Write::Iam(IamWrite::PutRolePermissionsBoundary { role: identity().role_name(), boundary });
    assert_eq!(writes(retain(&retention, &left(Some(role()), Some(detail())))), [put]);
}

#[test]
fn a_role_that_is_retained_waits_for_no_tag_that_aws_may_refuse() {
    let platform = Governance { tags: "team=ai".parse().expect("tags"), ..Governance::default() };
    let retention = RetainedApp { governance: platform, ..retention() };
    assert_eq!(writes(retain(&retention, &left(Some(role()), None))), [tag_retained()]);
}
