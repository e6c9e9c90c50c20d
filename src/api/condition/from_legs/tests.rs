use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn shown(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
}

#[test]
fn ready_is_true_exactly_when_every_leg_is_met() {
    let legs = [Leg::met(ConditionType::Accepted, ""), Leg::met(ConditionType::VpcReady, "")];
    assert_eq!(
        shown(&conditions_of(&legs, &[], Some(1), at(0))),
        ["Ready=True/Ready", "Accepted=True/Accepted", "VpcReady=True/Ready"]
    );
}

#[test]
fn somebody_who_must_act_is_told_before_anybody_who_must_wait() {
    let legs = [
        Leg::progressing(ConditionType::NetworkReady, Reason::WaitingForNetwork, "wait"),
        Leg::blocked(ConditionType::ExecutionRoleReady, Reason::AccessDenied, "act"),
    ];
    assert_eq!(
        shown(&conditions_of(&legs, &[], Some(1), at(0))),
        [
            "Ready=False/AccessDenied",
            "NetworkReady=False/WaitingForNetwork",
            "ExecutionRoleReady=False/AccessDenied",
            "Stalled=True/AccessDenied"
        ]
    );
}

#[test]
fn a_condition_keeps_its_time_with_its_status_and_the_same_legs_change_nothing() {
    let waiting = [Leg::progressing(ConditionType::VpcReady, Reason::Applying, "a")];
    let first = conditions_of(&waiting, &[], Some(1), at(10));
    assert_eq!(conditions_of(&waiting, &first, Some(1), at(20)), first);
    let met = conditions_of(&[Leg::met(ConditionType::VpcReady, "")], &first, Some(1), at(30));
    assert!(met.iter().all(|condition| condition.last_transition_time == Time(at(30))));
    assert_eq!(find(&met, ConditionType::Reconciling), None, "Reconciling is present only while it is true");
}

#[test]
fn a_call_that_keeps_failing_changes_nothing_whatever_its_request_ids() {
    let failed = |text: &str, id: &str| {
        let message = Message { text: text.to_owned(), request_id: Some(id.to_owned()), since: None };
        [Leg::blocked(ConditionType::VpcReady, Reason::AccessDenied, message)]
    };
    let first = conditions_of(&failed("No. Allow it.", "a"), &[], Some(1), at(10));
    assert_eq!(conditions_of(&failed("No. Allow it.", "b"), &first, Some(1), at(20)), first);
    let other = failed("Not at all. Allow it.", "c");
    assert_ne!(conditions_of(&other, &first, Some(1), at(20)), first);
}

#[test]
fn a_wait_says_since_when_for_as_long_as_its_reason_holds() {
    let kind = ConditionType::SecurityGroupsReady;
    let waits = |reason, message: &str| [Leg::progressing(kind, reason, message)];
    let message_of = |conditions: &[Condition]| find(conditions, kind).expect("the leg").message.clone();
    let first = conditions_of(&waits(Reason::ResourceInUse, "eni-1 is there."), &[], Some(1), at(10));
    assert_eq!(message_of(&first), "eni-1 is there. Since 1970-01-01T00:00:10Z.");
    for kind in [ConditionType::Ready, ConditionType::Reconciling] {
        assert_eq!(find(&first, kind).expect("a condition").message, message_of(&first));
    }
    assert_eq!(conditions_of(&waits(Reason::ResourceInUse, "eni-1 is there."), &first, Some(1), at(20)), first);
    let less = conditions_of(&waits(Reason::ResourceInUse, "eni-2 is there."), &first, Some(1), at(30));
    assert_eq!(message_of(&less), "eni-2 is there. Since 1970-01-01T00:00:10Z.", "other words for the same wait");
    let blocked = conditions_of(&[Leg::blocked(kind, Reason::ResourceInUse, "i-1.")], &less, Some(1), at(40));
    assert_eq!(message_of(&blocked), "i-1. Since 1970-01-01T00:00:10Z.");
    let other = conditions_of(&waits(Reason::Deleting, "It goes."), &less, Some(1), at(40));
    assert_eq!(message_of(&other), "It goes. Since 1970-01-01T00:00:40Z.", "another wait");
    let own = conditions_of(&waits(Reason::Applying, "Soon."), &less, Some(1), at(40));
    assert_eq!(message_of(&own), "Soon. Since 1970-01-01T00:00:40Z.", "its own work");
    let pending = conditions_of(&waits(Reason::Pending, "Nobody looked."), &less, Some(1), at(40));
    assert_eq!(message_of(&pending), "Nobody looked.", "the operator does not wait for itself");
    let text = "Network n: eni-1 is there.".to_owned();
    let repeated = Message { text, request_id: None, since: Some(at(5)) };
    let repeated = [Leg::progressing(kind, Reason::ResourceInUse, repeated)];
    assert_eq!(
        message_of(&conditions_of(&repeated, &[], Some(1), at(50))),
        repeated[0].message.to_string(),
        "as the network says"
    );
    let silent = |old: &Condition| Condition { message: "An older version message_of no time.".into(), ..old.clone() };
    let old: Vec<Condition> = first.iter().map(silent).collect();
    let dated = conditions_of(&waits(Reason::ResourceInUse, "eni-1 is there."), &old, Some(1), at(60));
    assert_eq!(message_of(&dated), "eni-1 is there. Since 1970-01-01T00:00:10Z.");
}
