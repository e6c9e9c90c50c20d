use super::*;
use crate::app;
use crate::{
    app::fixtures::{
        at_rest, caller, decided, delete_function, desired, desired_on, detail, foreign, function_stands, identity,
        leg, listing, operations, path, put_code, put_configuration, recorded, role, with_function, writes,
    },
    app::{NetworkOffer, teardown},
    aws::{Architecture, Environment, Fixed, Setting, Write},
    governance::Governance,
};

#[test]
fn a_function_is_kept_exact_and_says_what_it_is_whatever_becomes_of_the_network() {
    for offer in [
        NetworkOffer::Ready(path()),
        NetworkOffer::Preparing(Some(path())),
        NetworkOffer::Preparing(None),
        NetworkOffer::Unavailable(Some(path())),
        NetworkOffer::Unavailable(None),
    ] {
        let desired = desired_on(&offer);
        let plan = app::plan(&desired, &at_rest());
        assert_eq!(plan.steps, [], "{offer:?}");
        assert_eq!(function_stands(&plan), (LegState::Met, Reason::Ready), "{offer:?}: it runs");
        let mut drifted = detail();
        drifted.listing.configuration.memory_mib += 1;
        assert_eq!(writes(app::plan(&desired, &with_function(drifted))), [put_configuration()], "{offer:?}");
        let mut drifted = detail();
        drifted.listing.code_sha256 = "somebody else's".to_owned();
        assert_eq!(writes(app::plan(&desired, &with_function(drifted))), [put_code()], "{offer:?}");
        let mut opened = role();
        opened.attached_policies.insert("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
        let plan = app::plan(&desired, &Observed { role: Some(opened), ..at_rest() });
        assert_eq!(operations(&plan), ["DetachRolePolicy"], "{offer:?}");
    }
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
fn each_drift_of_the_function_is_put_right_by_one_write() {
    type Case = (&'static str, fn(&mut FunctionListing), fn() -> Write);
    let cases: [Case; 10] = [
        ("role", |function| function.configuration.role_arn.push('x'), put_configuration),
        ("runtime", |function| function.configuration.runtime.push('x'), put_configuration),
        ("handler", |function| function.configuration.handler.push('x'), put_configuration),
        ("memory", |function| function.configuration.memory_mib += 1, put_configuration),
        ("timeout", |function| function.configuration.timeout_seconds += 1, put_configuration),
        ("environment", |function| function.configuration.environment = Environment::default(), put_configuration),
        ("subnets", |function| function.configuration.subnets.clear(), put_configuration),
        ("groups", |function| function.configuration.security_groups.clear(), put_configuration),
        ("code", |function| function.code_sha256.push('x'), put_code),
        ("processor", |function| function.architecture = Architecture::X86_64, put_code),
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
fn a_setting_that_somebody_changed_is_put_back_by_one_update_without_the_others() {
    for setting in Setting::ALL {
        let mut detail = detail();
        detail.listing.altered = [*setting].into();
        let plan = decided(&with_function(detail));
        assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::Applying), "{setting:?}");
        let (name, configuration) = (identity().function_name(), desired().function.configuration);
        let reset = [*setting].into();
        assert_eq!(
            writes(plan),
            [Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { name, configuration, reset })],
            "{setting:?}"
        );
    }
}

#[test]
fn a_function_with_settings_of_somebody_else_s_creation_is_shown_and_left_alone() {
    for fixed in [Fixed::CapacityProvider, Fixed::Durable, Fixed::Image, Fixed::TenantIsolation] {
        let mut detail = detail();
        detail.listing.fixed = [fixed].into();
        detail.listing.configuration.memory_mib += 1;
        let plan = decided(&with_function(detail));
        assert_eq!(plan.steps, [], "{fixed:?}");
        assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken), "{fixed:?}");
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        let name = identity().function_name();
        assert!(message.text.contains(name.as_str()) && message.text.contains(fixed.as_str()), "{message}");
        assert!(message.text.contains("Delete the function"), "{message}");
    }
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
fn an_environment_that_is_too_long_delays_no_other_change_of_a_function() {
    let mut desired = desired();
    let variables = [("LONG".to_owned(), "x".repeat(5_000))].into();
    desired.function.configuration.environment = Environment::new(variables);
    let plan = app::plan(&desired, &at_rest());
    assert_eq!((plan.steps.len(), function_stands(&plan)), (0, (LegState::Blocked, Reason::EnvironmentTooLong)));
    let mut moved = detail();
    moved.listing.configuration.subnets.clear();
    moved.listing.code_sha256.push('x');
    let plan = app::plan(&desired, &with_function(moved));
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
        assert!(message.text.contains(says) && message.text.contains(identity().function_name().as_str()), "{message}");
    };
    let waits = |change, reason, says: &str| stands(change, LegState::Progressing, reason, says);
    waits(|function| function.state = FunctionState::Pending, Reason::FunctionPending, "Pending (Why: because)");
    waits(|function| function.state = FunctionState::from_wire("Deleting"), Reason::FunctionPending, "Deleting");
    waits(|function| function.state = FunctionState::from_wire("Deactivated"), Reason::FunctionPending, "Deactivated");
    waits(|function| function.state = FunctionState::Inactive, Reason::FunctionInactive, "being woken");
    waits(|function| function.last_update = UpdateStatus::InProgress, Reason::FunctionPending, "under way");
    waits(|function| function.last_update = UpdateStatus::from_wire("Odd"), Reason::FunctionPending, "under way");
}

#[test]
fn a_function_that_failed_to_start_is_deleted_so_that_it_can_be_created_anew() {
    let mut failed = detail();
    failed.state = FunctionState::Failed;
    failed.state_reason = Some("SubnetOutOfIPAddresses: no address".to_owned());
    let plan = decided(&with_function(failed));
    assert_eq!(function_stands(&plan), (LegState::Progressing, Reason::FunctionFailed));
    assert!(leg(&plan, ConditionType::FunctionReady).message.text.contains("SubnetOutOfIPAddresses"));
    assert_eq!(writes(plan), [delete_function()]);
}

#[test]
fn an_update_that_failed_is_shown_with_its_reason_and_made_again_if_there_is_cause() {
    let mut failed = detail();
    failed.last_update = UpdateStatus::Failed;
    failed.last_update_reason = Some("EniLimitExceeded: too many".to_owned());
    let plan = decided(&with_function(failed.clone()));
    assert_eq!(plan.steps, []);
    assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::FunctionFailed));
    assert!(leg(&plan, ConditionType::FunctionReady).message.text.contains("EniLimitExceeded: too many"));
    failed.listing.configuration.memory_mib += 1;
    assert_eq!(writes(decided(&with_function(failed))), [put_configuration()]);
}

#[test]
fn a_function_of_somebody_else_is_told_and_never_touched() {
    let mut theirs = detail();
    theirs.tags = foreign();
    for change in [
        |_: &mut FunctionDetail| {},
        |function: &mut FunctionDetail| function.state = FunctionState::Failed,
        |function: &mut FunctionDetail| function.listing.code_sha256.clear(),
        |function: &mut FunctionDetail| function.listing.configuration.subnets.clear(),
    ] {
        let mut detail = theirs.clone();
        change(&mut detail);
        let plan = decided(&with_function(detail));
        assert_eq!(plan.steps, []);
        assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken));
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        assert!(
            message.text.contains(identity().function_name().as_str()) && message.text.contains("remove the resource"),
            "{message}"
        );
    }
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
fn a_function_that_lost_its_tags_keeps_its_role_until_somebody_decides() {
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
fn nothing_is_asked_about_a_function_that_is_as_it_was_when_it_was_seen_active() {
    let function = desired().function;
    assert!(!needs_detail(Some(&listing()), &function, Some(&recorded())));
    assert!(!needs_detail(Some(&listing()), &desired_on(&NetworkOffer::Unavailable(None)).function, Some(&recorded())));
    assert!(!needs_detail(None, &function, Some(&recorded())), "there is no such function");
}

#[test]
fn a_function_is_read_when_it_is_new_changed_unhealthy_or_about_to_be_written() {
    type Case = (&'static str, fn(&mut FunctionListing, &mut FunctionStatus));
    let cases: [Case; 13] = [
        ("another one under the name", |_, recorded| recorded.arn.clear()),
        ("changed since", |listing, _| listing.last_modified.push('x')),
        ("pending when last seen", |_, recorded| recorded.state = "Pending".to_owned()),
        ("inactive when last seen", |_, recorded| recorded.state = "Inactive".to_owned()),
        ("updating when last seen", |_, recorded| recorded.last_update_status = "InProgress".to_owned()),
        ("not updated when last seen", |_, recorded| recorded.last_update_status = "Failed".to_owned()),
        ("other code than recorded", |_, recorded| recorded.code_sha256.clear()),
        ("about to get a configuration", |listing, _| listing.configuration.memory_mib += 1),
        ("about to get a processor", |listing, _| listing.architecture = crate::aws::Architecture::X86_64),
        ("about to get code", |listing, recorded| {
            listing.code_sha256 = "other".to_owned();
            recorded.code_sha256 = "other".to_owned();
        }),
        ("about to have a setting put back", |listing, _| listing.altered = [crate::aws::Setting::Layers].into()),
        ("created by somebody else", |listing, _| listing.fixed = [crate::aws::Fixed::Durable].into()),
        ("detached", |listing, _| listing.configuration.subnets.clear()),
    ];
    let function = desired().function;
    for (what, change) in cases {
        let (mut listing, mut recorded) = (listing(), recorded());
        change(&mut listing, &mut recorded);
        assert!(needs_detail(Some(&listing), &function, Some(&recorded)), "{what}");
    }
    assert!(needs_detail(Some(&listing()), &function, None), "never seen");
}
