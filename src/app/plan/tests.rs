use std::collections::BTreeMap;

use super::*;
use crate::{
    api::app::LogRetention,
    api::condition::LegState,
    app::fixtures::{
        at_rest, caller, desired, desired_on, detail, identity, listing, log_group, nothing, path, role, with_function,
    },
    app::{NetworkOffer, RetainedApp, retain},
    aws::{Architecture, AwsError, Environment, Failure, Fixed, FunctionListing, PolicyDocument, Setting, Tags},
    guard::Allow,
    plan::Unread,
};

fn decided(observed: &Observed) -> Plan {
    plan(&desired(), observed)
}

fn writes(plan: Plan) -> Vec<Write> {
    plan.steps.into_iter().map(|step| step.write).collect()
}

fn stands(plan: &Plan, kind: ConditionType) -> (LegState, Reason) {
    let leg = leg(plan, kind);
    (leg.state, leg.reason)
}

fn leg(plan: &Plan, kind: ConditionType) -> &Leg {
    plan.legs.iter().find(|leg| leg.kind == kind).expect("the leg")
}

fn function_stands(plan: &Plan) -> (LegState, Reason) {
    stands(plan, ConditionType::FunctionReady)
}

fn desired_function() -> DesiredFunction {
    desired().function
}

fn put_policy() -> Write {
    Write::Iam(IamWrite::PutRolePolicy {
        role: identity().role_name(),
        policy: POLICY_NAME.to_owned(),
        document: desired().role.policy,
    })
}

fn put_configuration() -> Write {
    let configuration = desired_function().configuration;
    Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
        name: identity().function_name(),
        configuration,
        reset: BTreeSet::new(),
    })
}

fn put_code() -> Write {
    let DesiredFunction { package, architecture, .. } = desired_function();
    Write::Lambda(LambdaWrite::UpdateFunctionCode { name: identity().function_name(), package, architecture })
}

fn delete_function() -> Write {
    Write::Lambda(LambdaWrite::DeleteFunction { name: identity().function_name() })
}

/// The tags of somebody else's resource.
fn foreign() -> Tags {
    [("Name".to_owned(), "theirs".to_owned())].into()
}

#[test]
fn a_new_app_on_a_network_that_is_ready_takes_exactly_five_writes() {
    let plan = decided(&nothing());
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Applying));
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Applying));
    let DesiredFunction { configuration, architecture, package, .. } = desired_function();
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

/// A call that AWS refuses until somebody acts.
fn denied() -> AwsError {
    AwsError {
        service: "iam",
        operation: "SomeCall",
        failure: Failure::AccessDenied,
        code: Some("AccessDenied".to_owned()),
        message: "no".to_owned(),
        request_id: None,
    }
}

fn operations(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.write.operation().name).collect()
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
fn an_app_that_has_nothing_gets_nothing_while_its_vpc_is_refused_and_one_with_a_function_all_that_it_needs() {
    let closed = desired_on(&NetworkOffer::Unavailable(Some(path())));
    let plan = super::plan(&closed, &nothing());
    assert_eq!(plan.steps, []);
    let waits = (LegState::Progressing, Reason::WaitingForNetwork);
    assert_eq!((stands(&plan, ConditionType::ExecutionRoleReady), function_stands(&plan)), (waits, waits));
    let plan = super::plan(&closed, &Observed { role: None, log_group: None, ..at_rest() });
    assert_eq!(operations(&plan), ["CreateRole", "PutRolePolicy", "CreateLogGroup", "PutRetentionPolicy"]);
}

#[test]
fn a_function_is_kept_exact_and_says_what_it_is_whatever_becomes_of_the_network() {
    for ground in [
        NetworkOffer::Ready(path()),
        NetworkOffer::Preparing(Some(path())),
        NetworkOffer::Preparing(None),
        NetworkOffer::Unavailable(Some(path())),
        NetworkOffer::Unavailable(None),
    ] {
        let desired = desired_on(&ground);
        let plan = super::plan(&desired, &at_rest());
        assert_eq!(plan.steps, [], "{ground:?}");
        assert_eq!(function_stands(&plan), (LegState::Met, Reason::Ready), "{ground:?}: it runs");
        let mut drifted = detail();
        drifted.listing.configuration.memory_mib += 1;
        assert_eq!(writes(super::plan(&desired, &with_function(drifted))), [put_configuration()], "{ground:?}");
        let mut drifted = detail();
        drifted.listing.code_sha256 = "somebody else's".to_owned();
        assert_eq!(writes(super::plan(&desired, &with_function(drifted))), [put_code()], "{ground:?}");
        let mut opened = role();
        opened.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
        let plan = super::plan(&desired, &Observed { role: Some(opened), ..at_rest() });
        assert_eq!(operations(&plan), ["DetachRolePolicy"], "{ground:?}");
    }
}

#[test]
fn what_others_gave_a_role_goes_before_its_own_policy_comes() {
    let mut crowded = role();
    crowded.inline_policies = [("by-hand".to_owned(), PolicyDocument::from_wire("{}"))].into();
    crowded.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
    let plan = decided(&Observed { role: Some(crowded), ..at_rest() });
    assert_eq!(operations(&plan), ["DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy"]);
}

#[test]
fn what_could_not_be_read_holds_up_only_what_stands_on_it_and_creates_nothing() {
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
        let others: Vec<&str> = all.into_iter().filter(|it| *it != missing).collect();
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
fn an_app_whose_function_cannot_be_deleted_yet_keeps_nothing_that_others_gave_its_role() {
    let mut opened = role();
    opened.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
    let plan = teardown(&identity(), &Observed { role: Some(opened), ..at_rest() }, &Governance::default());
    assert_eq!(operations(&plan), ["DeleteFunction", "DetachRolePolicy"]);
}

#[test]
fn a_role_that_was_created_again_is_given_to_the_function_that_had_its_predecessor() {
    let another = |observed: Observed| {
        let role = Role { id: "AROAANOTHER".to_owned(), ..role() };
        writes(decided(&Observed { role: Some(role), ..observed }))
    };
    assert_eq!(another(at_rest()), [put_configuration()]);
    let busy = FunctionDetail { last_update: UpdateStatus::InProgress, ..detail() };
    assert_eq!(another(with_function(busy)), [], "one update at a time");
    assert_eq!(another(Observed { given_role_id: None, ..at_rest() }), [], "nobody knows of a predecessor");
    let anew = another(Observed { listing: None, detail: None, ..at_rest() });
    assert!(matches!(&anew[..], [Write::Lambda(LambdaWrite::CreateFunction(_))]), "{anew:?}");
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
    type Case = (&'static str, fn(&mut Role, &mut Option<LogGroupFacts>), Write);
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
fn each_drift_of_the_function_is_put_right_by_one_write() {
    type Case = (&'static str, fn(&mut FunctionListing), fn() -> Write);
    let cases: [Case; 10] = [
        ("role", |it| it.configuration.role_arn.push('x'), put_configuration),
        ("runtime", |it| it.configuration.runtime.push('x'), put_configuration),
        ("handler", |it| it.configuration.handler.push('x'), put_configuration),
        ("memory", |it| it.configuration.memory_mib += 1, put_configuration),
        ("timeout", |it| it.configuration.timeout_seconds += 1, put_configuration),
        ("environment", |it| it.configuration.environment = Environment::default(), put_configuration),
        ("subnets", |it| it.configuration.subnets.clear(), put_configuration),
        ("groups", |it| it.configuration.security_groups.clear(), put_configuration),
        ("code", |it| it.code_sha256.push('x'), put_code),
        ("processor", |it| it.architecture = Architecture::X86_64, put_code),
    ];
    for (what, drift, write) in cases {
        let mut detail = detail();
        drift(&mut detail.listing);
        let plan = decided(&with_function(detail));
        assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Applying), "{what}");
        assert_eq!(writes(plan), [write()], "{what}");
    }
}

#[test]
fn a_setting_that_somebody_changed_is_put_back_by_the_one_update_and_the_others_are_not_sent() {
    for setting in Setting::ALL {
        let mut detail = detail();
        detail.listing.altered = [*setting].into();
        let plan = decided(&with_function(detail));
        assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Applying), "{setting:?}");
        let (name, configuration) = (identity().function_name(), desired_function().configuration);
        let reset = [*setting].into();
        assert_eq!(
            writes(plan),
            [Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { name, configuration, reset })],
            "{setting:?}"
        );
    }
}

#[test]
fn a_function_that_only_somebody_else_can_have_created_is_told_and_left_alone() {
    for fixed in [Fixed::CapacityProvider, Fixed::Durable, Fixed::Image, Fixed::TenantIsolation] {
        let mut detail = detail();
        detail.listing.fixed = [fixed].into();
        detail.listing.configuration.memory_mib += 1;
        let plan = decided(&with_function(detail));
        assert_eq!(plan.steps, [], "{fixed:?}");
        assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken), "{fixed:?}");
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        let name = identity().function_name();
        assert!(message.contains(name.as_str()) && message.contains(fixed.as_str()), "{message}");
        assert!(message.contains("Delete it"), "{message}");
    }
}

#[test]
fn a_log_that_is_kept_for_longer_is_left_unless_the_app_says_for_how_long() {
    use LogRetention::{AtLeast, Exactly};
    for (wanted, kept, stored_bytes, put) in [
        (AtLeast(30), Some(30), 1, None),
        (AtLeast(30), Some(365), 1, None),
        (AtLeast(30), Some(365), 0, None),
        (AtLeast(30), None, 1, None),
        (AtLeast(30), Some(14), 1, Some(30)),
        // Nothing is in it: the operator, or one before it, was about to write the retention.
        (AtLeast(30), None, 0, Some(30)),
        (Exactly(30), Some(30), 1, None),
        (Exactly(30), Some(365), 1, Some(30)),
        (Exactly(30), Some(14), 1, Some(30)),
        (Exactly(30), None, 1, Some(30)),
        (Exactly(30), None, 0, Some(30)),
    ] {
        let desired = Desired { log_retention: wanted, ..desired() };
        let mut facts = log_group(Some(identity().tags()));
        (facts.group.retention_days, facts.group.stored_bytes) = (kept, stored_bytes);
        let found = writes(plan(&desired, &Observed { log_group: Some(facts), ..at_rest() }));
        let expected: Vec<Write> = put
            .map(|days| Write::Logs(LogsWrite::PutRetentionPolicy { name: identity().log_group_name(), days }))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "{wanted:?}, {kept:?} days, {stored_bytes} bytes");
    }
}

#[test]
fn what_is_gone_is_created_again_and_nothing_else_is_written() {
    let without = |change: fn(&mut Observed)| {
        let mut observed = at_rest();
        change(&mut observed);
        let plan = decided(&observed);
        plan.steps.iter().map(|step| step.write.operation().name).collect::<Vec<_>>()
    };
    assert_eq!(without(|it| it.role = None), ["CreateRole", "PutRolePolicy"]);
    assert_eq!(without(|it| it.log_group = None), ["CreateLogGroup", "PutRetentionPolicy"]);
    assert_eq!(without(|it| (it.listing, it.detail) = (None, None)), ["CreateFunction"]);
}

#[test]
fn configuration_comes_before_code_for_lambda_takes_one_update_at_a_time() {
    let mut both = detail();
    both.listing.code_sha256.push('x');
    both.listing.configuration.memory_mib += 1;
    let writes = writes(decided(&with_function(both)));
    assert_eq!(writes, [put_configuration(), put_code()]);
    assert!(
        crate::plan::gives_way(&writes[1], &writes[0]),
        "the second waits, and comes at once where the first fails"
    );
}

#[test]
fn an_environment_that_lambda_would_refuse_keeps_nothing_else_of_a_function_from_being_exact() {
    let mut desired = desired();
    let variables = [("LONG".to_owned(), "x".repeat(5_000))].into();
    desired.function.configuration.environment = Environment::new(variables);
    let plan = super::plan(&desired, &at_rest());
    assert_eq!((plan.steps.len(), function_stands(&plan)), (0, (LegState::Blocked, Reason::EnvironmentTooLong)));
    let mut moved = detail();
    moved.listing.configuration.subnets.clear();
    moved.listing.code_sha256.push('x');
    let plan = super::plan(&desired, &with_function(moved));
    assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::EnvironmentTooLong));
    assert_eq!(writes(plan), [put_configuration(), put_code()], "with the environment that it has");
}

#[test]
fn a_function_that_aws_is_at_work_on_is_waited_for_and_not_written_to() {
    let stands = |change: fn(&mut FunctionDetail), standing, reason, says: &str| {
        let mut detail = detail();
        detail.listing.configuration.memory_mib += 1;
        detail.state_reason = Some("Why: because".to_owned());
        change(&mut detail);
        let plan = decided(&with_function(detail));
        assert_eq!(plan.steps, [], "{says}");
        assert_eq!(function_stands(&plan), (standing, reason), "{says}");
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        assert!(message.contains(says) && message.contains(identity().function_name().as_str()), "{message}");
    };
    let waits = |change, reason, says: &str| stands(change, LegState::Progressing, reason, says);
    waits(|it| it.state = FunctionState::Pending, Reason::FunctionPending, "Pending (Why: because)");
    waits(|it| it.state = FunctionState::from_wire("Deleting"), Reason::FunctionPending, "Deleting");
    waits(|it| it.state = FunctionState::from_wire("Deactivated"), Reason::FunctionPending, "Deactivated");
    waits(|it| it.state = FunctionState::Inactive, Reason::FunctionInactive, "being woken");
    waits(|it| it.last_update = UpdateStatus::InProgress, Reason::FunctionPending, "under way");
    waits(|it| it.last_update = UpdateStatus::from_wire("Odd"), Reason::FunctionPending, "under way");
}

#[test]
fn a_function_that_failed_to_start_is_deleted_so_that_it_can_be_created_anew() {
    let mut failed = detail();
    failed.state = FunctionState::Failed;
    failed.state_reason = Some("SubnetOutOfIPAddresses: no address".to_owned());
    let plan = decided(&with_function(failed));
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::FunctionFailed));
    assert!(leg(&plan, ConditionType::FunctionReady).message.contains("SubnetOutOfIPAddresses"));
    assert_eq!(writes(plan), [delete_function()]);
}

#[test]
fn an_update_that_failed_is_told_with_aws_s_reason_and_another_one_is_made_when_there_is_cause() {
    let mut failed = detail();
    failed.last_update = UpdateStatus::Failed;
    failed.last_update_reason = Some("EniLimitExceeded: too many".to_owned());
    let plan = decided(&with_function(failed.clone()));
    assert_eq!(plan.steps, []);
    assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::FunctionFailed));
    assert!(leg(&plan, ConditionType::FunctionReady).message.contains("EniLimitExceeded: too many"));
    failed.listing.configuration.memory_mib += 1;
    assert_eq!(writes(decided(&with_function(failed))), [put_configuration()]);
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
        assert!(message.contains(identity().role_name().as_str()) && message.contains("remove it"), "{message}");
    }
}

#[test]
fn a_function_of_somebody_else_is_told_and_never_touched() {
    let mut theirs = detail();
    theirs.tags = foreign();
    for change in [
        |_: &mut FunctionDetail| {},
        |it: &mut FunctionDetail| it.state = FunctionState::Failed,
        |it: &mut FunctionDetail| it.listing.code_sha256.clear(),
        |it: &mut FunctionDetail| it.listing.configuration.subnets.clear(),
    ] {
        let mut detail = theirs.clone();
        change(&mut detail);
        let plan = decided(&with_function(detail));
        assert_eq!(plan.steps, []);
        assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken));
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        assert!(message.contains(identity().function_name().as_str()) && message.contains("remove it"), "{message}");
    }
}

#[test]
fn a_log_group_of_somebody_else_is_told_never_touched_and_no_function_writes_into_it() {
    for tags in [Some(foreign()), None] {
        let mut theirs = log_group(tags);
        theirs.group.retention_days = Some(7);
        let plan = decided(&Observed { log_group: Some(theirs), listing: None, detail: None, ..at_rest() });
        assert_eq!(plan.steps, []);
        assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken));
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        assert!(message.contains(identity().log_group_name().as_str()) && message.contains("remove it"), "{message}");
    }
}

#[test]
fn an_app_that_goes_takes_its_function_first_and_the_rest_once_that_is_confirmed_gone() {
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
fn a_function_goes_whatever_state_it_is_in() {
    for state in ["Pending", "Active", "Inactive", "Failed", "Deactivated"] {
        let mut detail = detail();
        detail.state = FunctionState::from_wire(state);
        detail.last_update = UpdateStatus::InProgress;
        assert_eq!(
            writes(teardown(&identity(), &with_function(detail), &Governance::default())),
            [delete_function()],
            "{state}"
        );
    }
}

#[test]
fn a_role_that_lambda_may_still_need_is_reduced_to_releasing_interfaces_and_handed_over() {
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
    let back = super::plan(&desired, &Observed { interfaces: BTreeSet::new(), ..handed_over });
    let operations: Vec<&str> = back.steps.iter().map(|step| step.write.operation().name).take(2).collect();
    assert_eq!(operations, ["UntagRole", "PutRolePolicy"], "an app of the same name takes it back");
}

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
fn a_role_that_is_gone_is_put_back_for_the_function_that_is_retained_and_tagged_once_the_function_has_it() {
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
fn a_function_that_cannot_take_its_role_now_is_waited_for_and_one_that_never_will_is_left_as_it_is() {
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
fn a_retired_role_whose_app_has_a_function_again_is_taken_back_before_it_is_retained() {
    let plan = retain(&retention(), &left(Some(tagged(&[TAG_HANDED_OVER])), Some(detail())));
    let untag =
        Write::Iam(IamWrite::UntagRole { role: identity().role_name(), keys: [TAG_HANDED_OVER.to_owned()].into() });
    assert_eq!(writes(plan), [untag]);
    assert_eq!(retain(&retention(), &left(Some(tagged(&[TAG_HANDED_OVER])), None)), Plan::default());
}

#[test]
fn what_runs_as_the_role_of_a_retained_app_and_carries_no_tag_waits_until_somebody_tags_it() {
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
fn a_role_that_is_put_back_without_a_spec_that_can_be_read_lets_lambda_attach_and_says_that_it_allows_no_model() {
    let unread = RetainedApp { models: None, ..retention() };
    let plan = retain(&unread, &left(None, Some(detail())));
    let told = &leg(&plan, ConditionType::ExecutionRoleReady).message;
    assert!(told.contains("cannot be read from spec.models"), "{told}");
    let document = unread.role(None).policy;
    let put =
        Write::Iam(IamWrite::PutRolePolicy { role: identity().role_name(), policy: POLICY_NAME.to_owned(), document });
    assert_eq!(writes(plan)[1], put);
}

#[test]
fn a_role_that_is_gone_comes_back_for_interfaces_that_nobody_else_would_find_and_is_handed_to_the_network() {
    let eni: NetworkInterfaceId = "eni-0123456789abcdef0".parse().expect("an interface");
    let stranded = Observed { interfaces: [eni.clone()].into(), ..nothing() };
    let plan = teardown(&identity(), &stranded, &Governance::default());
    assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Deleting));
    let mut role = role();
    role.tags.insert(TAG_HANDED_OVER.to_owned(), eni.to_string());
    let created = create_role(&identity(), role.tags.clone(), None);
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
fn a_function_that_lost_its_tags_keeps_the_role_that_it_runs_as_until_somebody_decides() {
    let mut stripped = detail();
    stripped.tags = foreign();
    assert_eq!(stripped.listing.configuration.role_arn, identity().role_arn(&caller()));
    let plan = teardown(&identity(), &with_function(stripped), &Governance::default());
    assert_eq!(plan.steps, []);
    assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken));
}

#[test]
fn a_listing_that_was_not_asked_about_is_judged_by_what_it_shows() {
    let mut drifted = listing();
    drifted.configuration.memory_mib += 1;
    let plan = decided(&Observed { listing: Some(drifted), detail: None, ..at_rest() });
    assert_eq!(writes(plan), [put_configuration()]);
}

#[test]
fn what_only_tags_comes_last_and_the_role_s_after_all_that_are_known_by_them() {
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

#[test]
fn an_app_that_goes_waits_for_no_tag_that_aws_may_refuse() {
    let platform = Governance { tags: "team=ai".parse().expect("tags"), ..Governance::default() };
    let tags = |writes: Vec<Write>| match writes.last() {
        Some(Write::Iam(IamWrite::TagRole { tags, .. })) => tags.keys().cloned().collect::<Vec<String>>(),
        other => panic!("{other:?}"),
    };
    let interfaces = BTreeSet::from(["eni-0123456789abcdef0".parse().expect("an id")]);
    let left_over = Observed { role: Some(role()), interfaces, ..nothing() };
    assert_eq!(tags(writes(teardown(&identity(), &left_over, &platform))), [TAG_HANDED_OVER]);
    let retention = RetainedApp { governance: platform, ..retention() };
    assert_eq!(tags(writes(retain(&retention, &left(Some(role()), None)))), [TAG_RETAINED]);
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
fn a_role_is_created_under_the_boundary_and_one_that_is_not_under_it_is_put_there_before_anything_else_is_written() {
    let create = writes(super::plan(&desired_under_the_boundary(), &nothing())).remove(0);
    assert_eq!(create.permissions_boundary(), Some(&boundary()));
    for other in [None, Some("arn:aws:iam::123456789012:policy/other")] {
        let mut observed = Observed { role: Some(with_boundary(other)), ..at_rest() };
        let plan = super::plan(&desired_under_the_boundary(), &observed);
        assert_eq!(stands(&plan, ConditionType::ExecutionRoleReady), (LegState::Progressing, Reason::Applying));
        assert_eq!(writes(plan), [put_boundary()], "{other:?}");
        let found = observed.role.as_mut().expect("a role");
        (found.inline_policies, found.trust_policy) = (BTreeMap::new(), PolicyDocument::from_wire("{}"));
        found.attached_policies.insert("arn:aws:iam::aws:policy/X".to_owned());
        let all = writes(super::plan(&desired_under_the_boundary(), &observed));
        assert_eq!((&all[0], all.len()), (&put_boundary(), 4), "{all:?}");
    }
    let there = Observed { role: Some(with_boundary(Some(boundary().as_str()))), ..at_rest() };
    assert_eq!(writes(super::plan(&desired_under_the_boundary(), &there)), []);
}

#[test]
fn without_a_boundary_one_that_somebody_put_there_stays() {
    let there = Observed { role: Some(with_boundary(Some("arn:aws:iam::123456789012:policy/other"))), ..at_rest() };
    assert_eq!(writes(decided(&there)), []);
}

#[test]
fn a_role_that_goes_is_put_under_the_boundary_first_because_the_policies_of_no_other_role_can_be_written() {
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
    let retention = RetainedApp { governance: under_the_boundary(), ..retention() };
    let retained = retain(&retention, &left(Some(with_boundary(None)), Some(detail())));
    assert_eq!(writes(retained), [put_boundary()], "before it is left");
}
