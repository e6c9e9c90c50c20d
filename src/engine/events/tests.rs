use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::{
    api::condition::{Leg, conditions_of},
    aws::{BeforeRepair, IamWrite},
    engine::drift::repairs,
};

fn shown(leg: Leg) -> Vec<Condition> {
    conditions_of(&[leg], &[], Some(1), Timestamp::UNIX_EPOCH)
}

fn ready() -> Vec<Condition> {
    shown(Leg::met(ConditionType::FunctionReady, ""))
}

fn waiting(reason: Reason) -> Vec<Condition> {
    shown(Leg::progressing(ConditionType::FunctionReady, reason, "AWS is at work"))
}

fn refused(reason: Reason) -> Vec<Condition> {
    shown(Leg::blocked(ConditionType::FunctionReady, reason, "somebody must act"))
}

fn events(before: &[Condition], after: &[Condition]) -> Option<(EventType, Reason)> {
    let mut news = events_of_pass(before, after, &[], &[]);
    assert!(news.len() <= 1, "{news:?}");
    news.pop().map(|NewEvent { type_, reason, .. }| (type_, Reason::from_wire(reason).expect("a condition's reason")))
}

#[test]
fn an_event_tells_that_an_object_is_ready_or_needs_somebody_never_that_it_waits() {
    let normal = Some((EventType::Normal, Reason::Ready));
    let denied = Some((EventType::Warning, Reason::AccessDenied));
    let pending = || waiting(Reason::FunctionPending);
    assert_eq!(events(&[], &ready()), normal);
    assert_eq!(events(&pending(), &ready()), normal);
    assert_eq!(events(&refused(Reason::AccessDenied), &ready()), normal);
    assert_eq!(events(&ready(), &refused(Reason::AccessDenied)), denied);
    assert_eq!(events(&refused(Reason::QuotaReached), &refused(Reason::AccessDenied)), denied, "for another reason");
    assert_eq!(events(&[], &pending()), None);
    assert_eq!(events(&ready(), &pending()), None);
    assert_eq!(events(&refused(Reason::AccessDenied), &pending()), None);
    let overdue = || {
        let later = Timestamp::UNIX_EPOCH + std::time::Duration::from_hours(1);
        conditions_of(
            &[Leg::progressing(ConditionType::FunctionReady, Reason::FunctionPending, "AWS is at work")],
            &pending(),
            Some(1),
            later,
        )
    };
    assert_eq!(events(&pending(), &overdue()), Some((EventType::Warning, Reason::FunctionPending)), "it is overdue");
    assert_eq!(events(&overdue(), &overdue()), None);
}

#[test]
fn what_was_told_already_is_not_told_again() {
    for same in [ready(), waiting(Reason::FunctionPending), refused(Reason::AccessDenied)] {
        assert_eq!(events(&same, &same), None);
    }
    let other_words =
        shown(Leg::blocked(ConditionType::FunctionReady, Reason::AccessDenied, "somebody must act, still"));
    assert_eq!(events(&refused(Reason::AccessDenied), &other_words), None);
}

#[test]
fn what_was_done_in_aws_is_one_event_that_names_the_calls_and_the_resources() {
    let name = || "pgai-x".parse().expect("a role name");
    let done = [
        Write::Iam(IamWrite::DeleteRolePolicy { role: name(), policy: "private-genai".to_owned() }),
        Write::Iam(IamWrite::DeleteRole { role: name() }),
    ];
    let news = events_of_pass(&ready(), &ready(), &done, &[]);
    let note = "iam:DeleteRolePolicy pgai-x; iam:DeleteRole pgai-x".to_owned();
    assert_eq!(news, [NewEvent { type_: EventType::Normal, reason: "Applying", note }]);
}

#[test]
fn what_somebody_changed_is_a_warning_for_each_resource_that_was_put_right() {
    let name = || "pgai-x".parse().expect("a role name");
    let done = [Write::Iam(IamWrite::DeleteRolePolicy { role: name(), policy: "by-hand".to_owned() })];
    let news = events_of_pass(&ready(), &ready(), &done, &repairs(&done, &BeforeRepair::default()));
    let note = "Role pgai-x: policy by-hand of somebody else deleted.".to_owned();
    assert_eq!(news, [NewEvent { type_: EventType::Warning, reason: "DriftRepaired", note }]);
}
