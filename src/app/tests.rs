use super::*;
use crate::{
    api::condition::LegState,
    app::fixtures::{
        at_rest, decided, delete_function, denied, desired, desired_on, detail, foreign, function_stands, identity,
        listing, log_group, nothing, operations, path, put_configuration, put_policy, role, stands, with_function,
        writes,
    },
    aws::{FunctionState, IamWrite, LogsWrite, NewFunction, PolicyDocument, Role, Tags},
    plan::Unread,
    policy::POLICY_NAME,
};

#[test]
fn a_new_app_on_a_network_that_is_ready_takes_exactly_five_writes() {
    let plan = decided(&nothing());
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Applying));
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Applying));
    let DesiredFunction { configuration, architecture, package, .. } = desired().function;
    let description = "private-genai-operator: PrivateGenAIApp team-a/bot".to_owned();
    let tags = identity().tags();
    assert_eq!(
        writes(plan),
        [
            Write::Iam(IamWrite::CreateRole {
                name: identity().role_name(),
                path: "/private-genai/prod/".to_owned(),
                trust_policy: desired().role.trust_policy,
                description: description.clone(),
                permissions_boundary: None,
                tags: tags.clone(),
            }),
            put_policy(),
            Write::Logs(LogsWrite::CreateLogGroup { name: identity().log_group_name(), tags: tags.clone() }),
            Write::Logs(LogsWrite::PutRetentionPolicy { name: identity().log_group_name(), days: 30 }),
            Write::Lambda(LambdaWrite::CreateFunction(NewFunction {
                name: identity().function_name(),
                description,
                configuration,
                architecture,
                package,
                tags,
            })),
        ]
    );
}

#[test]
fn an_app_at_rest_has_nothing_to_do_whether_or_not_its_function_was_asked_for() {
    for detail in [Some(detail()), None] {
        let plan = decided(&Observed { detail, ..at_rest() });
        assert_eq!(plan.steps, []);
        assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Met, Reason::Ready));
        assert_eq!(function_stands(&plan), (LegState::Met, Reason::Ready));
        assert_eq!(plan.legs.len(), 2);
    }
}

#[test]
fn without_a_path_role_and_log_group_come_and_the_function_is_not_created() {
    let plan = super::plan(&desired_on(&NetworkOffer::Preparing(None)), &nothing());
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::WaitingForNetwork));
    assert_eq!(operations(&plan), ["CreateRole", "PutRolePolicy", "CreateLogGroup", "PutRetentionPolicy"]);
    let mut failed = detail();
    failed.state = FunctionState::Failed;
    failed.listing.configuration.subnets.clear();
    let plan = super::plan(&desired_on(&NetworkOffer::Preparing(None)), &with_function(failed));
    assert_eq!(plan.steps, [], "nor deleted to be created again");
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::WaitingForNetwork));
}

#[test]
fn while_a_vpc_is_refused_only_an_app_with_a_function_gets_what_it_needs() {
    let closed = desired_on(&NetworkOffer::Unavailable(Some(path())));
    let plan = super::plan(&closed, &nothing());
    assert_eq!(plan.steps, []);
    let waits = (LegState::Progressing, Reason::WaitingForNetwork);
    assert_eq!((stands(&plan, ConditionType::ExecutionRoleReady), function_stands(&plan)), (waits, waits));
    let plan = super::plan(&closed, &Observed { role: None, log_group: None, ..at_rest() });
    assert_eq!(operations(&plan), ["CreateRole", "PutRolePolicy", "CreateLogGroup", "PutRetentionPolicy"]);
}

#[test]
fn an_unread_source_holds_up_only_what_stands_on_it_and_creates_nothing() {
    let drifted = || {
        let mut function = detail();
        function.listing.configuration.memory_mib += 1;
        let mut role = role();
        role.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
        let mut log_group = log_group(Some(identity().tags()));
        log_group.group.retention_days = Some(1);
        Observed { role: Some(role), log_group: Some(log_group), ..with_function(function) }
    };
    let all = ["DetachRolePolicy", "PutRetentionPolicy", "UpdateFunctionConfiguration"];
    assert_eq!(operations(&decided(&drifted())), all);
    for (source, kind, missing) in [
        (Source::Roles, ConditionType::ExecutionRoleReady, "DetachRolePolicy"),
        (Source::LogGroups, ConditionType::FunctionReady, "PutRetentionPolicy"),
        (Source::Functions, ConditionType::FunctionReady, "UpdateFunctionConfiguration"),
    ] {
        let without = |observed: Observed| {
            let mut unread = Unread::default();
            unread.take::<()>(source, Err(denied())).expect("no matter of credentials");
            match source {
                Source::Roles => Observed { role: None, unread, ..observed },
                Source::LogGroups => Observed { log_group: None, unread, ..observed },
                _ => Observed { listing: None, detail: None, unread, ..observed },
            }
        };
        let plan = decided(&without(drifted()));
        let others: Vec<&str> = all.into_iter().filter(|operation| *operation != missing).collect();
        assert_eq!(operations(&plan), others, "{source:?}");
        assert_eq!(plan.unread.get(&kind), Some(&denied()));
        let plan = decided(&without(nothing()));
        assert!(!operations(&plan).contains(&"CreateFunction"), "{source:?}: {plan:?}");
        let plan = teardown(&identity(), &without(nothing()), &Governance::default());
        assert!(plan.steps.is_empty() && !plan.is_nothing(), "{source:?}: nobody knows that nothing is left");
    }
}

#[test]
fn a_role_or_a_log_group_that_is_not_ours_keeps_nothing_else_from_being_exact() {
    let mut function = detail();
    function.listing.configuration.memory_mib += 1;
    let (theirs, mut opened) = (Role { tags: foreign(), ..role() }, role());
    opened.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
    let plan = decided(&Observed { role: Some(theirs.clone()), ..with_function(function.clone()) });
    assert_eq!(writes(plan.clone()), [put_configuration()]);
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Blocked, Reason::NameTaken));
    let plan = decided(&Observed { role: Some(theirs), listing: None, detail: None, ..at_rest() });
    assert_eq!((plan.steps.len(), function_stands(&plan)), (0, (LegState::Blocked, Reason::NameTaken)));
    let log_group = Some(log_group(Some(foreign())));
    let plan = decided(&Observed { role: Some(opened), log_group, ..with_function(function) });
    assert_eq!(operations(&plan), ["DetachRolePolicy", "UpdateFunctionConfiguration"]);
    assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken));
}

#[test]
fn tags_that_were_lost_are_put_back_where_the_installation_s_own_is_left() {
    let keep = |tags: &mut Tags| tags.retain(|key, _| key == crate::identity::TAG_INSTALLATION);
    let mut lost = identity().tags();
    lost.retain(|key, _| key != crate::identity::TAG_INSTALLATION);
    let mut bare = role();
    keep(&mut bare.tags);
    let tag_role = Write::Iam(IamWrite::TagRole { role: identity().role_name(), tags: lost.clone() });
    assert_eq!(writes(decided(&Observed { role: Some(bare), ..with_function(detail()) })), [tag_role]);
    let mut bare = detail();
    keep(&mut bare.tags);
    let tag_function = Write::Lambda(LambdaWrite::TagResource { arn: listing().arn, tags: lost.clone() });
    assert_eq!(writes(decided(&with_function(bare.clone()))), [tag_function]);
    let unasked = Observed { detail: None, ..with_function(bare) };
    assert_eq!(writes(decided(&unasked)), [], "a listing shows no tags");
    let mut bare = log_group(Some(identity().tags()));
    bare.tags.iter_mut().for_each(keep);
    let tag_group = Write::Logs(LogsWrite::TagResource { arn: bare.group.arn.clone(), tags: lost });
    assert_eq!(writes(decided(&Observed { log_group: Some(bare), ..at_rest() })), [tag_group]);
}

#[test]
fn each_drift_of_the_role_or_the_log_group_is_put_right_by_one_write() {
    type Case = (&'static str, fn(&mut Role, &mut Option<ObservedLogGroup>), Write);
    let name = || identity().role_name();
    let arn = "arn:aws:iam::aws:policy/AdministratorAccess";
    let cases: [Case; 6] = [
        (
            "trust",
            |role, _| role.trust_policy = PolicyDocument::from_wire("{}"),
            Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: name(), trust_policy: desired().role.trust_policy }),
        ),
        (
            "policy changed",
            |role, _| {
                for policy in role.inline_policies.values_mut() {
                    *policy = PolicyDocument::from_wire("{}");
                }
            },
            put_policy(),
        ),
        ("policy gone", |role, _| role.inline_policies.clear(), put_policy()),
        (
            "a policy beside ours",
            |role, _| drop(role.inline_policies.insert("more".to_owned(), PolicyDocument::from_wire("{}"))),
            Write::Iam(IamWrite::DeleteRolePolicy { role: name(), policy: "more".to_owned() }),
        ),
        (
            "a managed policy",
            |role, _| role.attached_policies.extend(["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()]),
            Write::Iam(IamWrite::DetachRolePolicy { role: name(), policy_arn: arn.to_owned() }),
        ),
        (
            "retention",
            |_, group| {
                let mut facts = log_group(Some(identity().tags()));
                facts.group.retention_days = Some(7);
                *group = Some(facts);
            },
            Write::Logs(LogsWrite::PutRetentionPolicy { name: identity().log_group_name(), days: 30 }),
        ),
    ];
    for (what, drift, write) in cases {
        let (mut role, mut log_group) = (role(), Some(log_group(None)));
        drift(&mut role, &mut log_group);
        assert_eq!(writes(decided(&Observed { role: Some(role), log_group, ..at_rest() })), [write], "{what}");
    }
}

#[test]
fn a_missing_resource_is_created_again_and_nothing_else_is_written() {
    let without = |change: fn(&mut Observed)| {
        let mut observed = at_rest();
        change(&mut observed);
        let plan = decided(&observed);
        plan.steps.iter().map(|step| step.write.operation().name).collect::<Vec<_>>()
    };
    assert_eq!(without(|observed| observed.role = None), ["CreateRole", "PutRolePolicy"]);
    assert_eq!(without(|observed| observed.log_group = None), ["CreateLogGroup", "PutRetentionPolicy"]);
    assert_eq!(without(|observed| (observed.listing, observed.detail) = (None, None)), ["CreateFunction"]);
}

#[test]
fn the_function_is_deleted_first_and_the_rest_once_the_function_is_confirmed_gone() {
    let identity = identity();
    let mut role = role();
    role.attached_policies.insert("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
    let there = Observed {
        role: Some(role.clone()),
        log_group: Some(log_group(Some(identity.tags()))),
        detail: Some(detail()),
        ..nothing()
    };
    let exact = Observed { role: Some(crate::app::fixtures::role()), ..there.clone() };
    let plan = teardown(&identity, &exact, &Governance::default());
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Deleting));
    assert_eq!(writes(plan), [delete_function()]);

    let mut deleting = detail();
    deleting.state = FunctionState::from_wire("Deleting");
    let plan = teardown(&identity, &Observed { detail: Some(deleting), ..exact }, &Governance::default());
    assert_eq!(plan.steps, [], "a deletion under way is waited for");
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Deleting));

    let plan = teardown(&identity, &Observed { detail: None, ..there }, &Governance::default());
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Deleting));
    assert_eq!(
        writes(plan),
        [
            Write::Logs(LogsWrite::DeleteLogGroup { name: identity.log_group_name() }),
            Write::Iam(IamWrite::DeleteRolePolicy { role: identity.role_name(), policy: POLICY_NAME.to_owned() }),
            Write::Iam(IamWrite::DetachRolePolicy {
                role: identity.role_name(),
                policy_arn: "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()
            }),
            Write::Iam(IamWrite::DeleteRole { role: identity.role_name() }),
        ],
        "the role last, for its tags tell where the rest is"
    );
    assert_eq!(teardown(&identity, &nothing(), &Governance::default()), Plan::default(), "nothing left");
}

#[test]
fn an_app_that_goes_leaves_what_is_somebody_else_s_and_does_not_wait_for_it() {
    let mut theirs = detail();
    theirs.tags = foreign();
    theirs.listing.configuration.role_arn = "arn:aws:iam::123456789012:role/theirs".to_owned();
    let all_foreign = Observed {
        role: Some(Role { tags: foreign(), ..role() }),
        log_group: Some(log_group(Some(foreign()))),
        detail: Some(theirs.clone()),
        ..nothing()
    };
    assert_eq!(teardown(&identity(), &all_foreign, &Governance::default()), Plan::default());
    let plan = teardown(&identity(), &Observed { role: Some(role()), ..all_foreign }, &Governance::default());
    let operations: Vec<&str> = plan.steps.iter().map(|step| step.write.operation().name).collect();
    assert_eq!(operations, ["DeleteRolePolicy", "DeleteRole"], "what is ours goes");
}

#[test]
fn tags_come_last_and_those_of_the_role_after_all_others() {
    let platform = Governance { tags: "team=ai".parse().expect("tags"), ..Governance::default() };
    let mut desired = Desired { tags: platform.tagged(identity().tags()), ..desired() };
    desired.role.governance = platform.clone();
    let operations = |observed: &Observed| -> Vec<&str> {
        super::plan(&desired, observed).steps.iter().map(|step| step.write.operation().name).collect()
    };
    let mut opened = role();
    opened.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
    let groups = log_group(Some(identity().tags()));
    let all = Observed { role: Some(opened), log_group: Some(groups), ..with_function(detail()) };
    let wanted = ["DetachRolePolicy", "TagResource", "TagResource", "TagRole"];
    assert_eq!(operations(&all), wanted, "tags that AWS refuses keep no policy in place");
    let pending = FunctionDetail { state: FunctionState::Pending, ..detail() };
    let waits = Observed { detail: Some(pending), ..all.clone() };
    assert_eq!(operations(&waits), ["DetachRolePolicy", "TagResource"], "its function has none yet");
    let mut unread = Unread::default();
    unread.take::<()>(Source::Functions, Err(denied())).expect("no matter of credentials");
    let steps = super::plan(&desired, &Observed { listing: None, detail: None, unread, ..all.clone() }).steps;
    assert!(steps.iter().all(|step| step.write.tagging() != Tagging::Role), "{steps:?}");
    let no_function = Observed { listing: None, detail: None, ..all.clone() };
    assert_eq!(operations(&no_function).last(), Some(&"TagRole"), "it is created with them");
}
