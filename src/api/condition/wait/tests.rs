use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::{SignedDuration, Timestamp},
};

use super::*;
use crate::api::condition::{ConditionType, Leg, LegState, Message, conditions_of, find, wait_state};

const KIND: ConditionType = ConditionType::FunctionReady;

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(seconds).expect("a time"))
}

fn refused() -> [Leg; 1] {
    let text = "pgai-bot: AWS refuses. The call is made again.".to_owned();
    let message = Message { text, request_id: Some("1".to_owned()), since: None };
    [Leg::progressing(KIND, Reason::RolePropagating, message)]
}

fn shown(conditions: &[Condition], kind: ConditionType) -> String {
    find(conditions, kind)
        .map(|found| format!("{}/{}: {}", found.status, found.reason, found.message))
        .unwrap_or_default()
}

fn is_stalled(conditions: &[Condition]) -> bool {
    let reconciles = find(conditions, ConditionType::Reconciling).is_some();
    let stalled = find(conditions, ConditionType::Stalled).is_some();
    assert!(!(stalled && reconciles), "one of the two at most");
    stalled
}

#[test]
fn an_overdue_wait_needs_somebody_and_says_what_is_still_true_and_who_can_act() {
    let bound = 15 * 60;
    let first = conditions_of(&refused(), &[], Some(1), at(100));
    let before = conditions_of(&refused(), &first, Some(1), at(100 + bound - 1));
    assert_eq!(before, first, "nothing is written while the wait lasts");
    assert!(!is_stalled(&before));
    let over = conditions_of(&refused(), &before, Some(1), at(100 + bound));
    assert!(is_stalled(&over));
    for kind in [KIND, ConditionType::Ready] {
        let text = shown(&over, kind);
        assert!(text.starts_with("False/RolePropagating: pgai-bot: AWS refuses"), "{text}");
        for part in [
            "overdue after 15 minutes",
            "Still true: existing resources",
            "Who can act: whoever",
            "service control policy",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.ends_with(" Since 1970-01-01T00:01:40Z."), "{text}");
    }
    assert_eq!(
        conditions_of(&refused(), &over, Some(1), at(100 + 100 * bound)),
        over,
        "the conditions stay, also for an operator that started since"
    );
}

#[test]
fn what_fails_each_time_it_is_created_again_stays_failed_and_has_one_bound() {
    let failed = |state| [Leg { state, ..Leg::progressing(KIND, Reason::FunctionFailed, "f failed: no memory.") }];
    let anew = [Leg::progressing(KIND, Reason::FunctionPending, "f is being created.")];
    let first = conditions_of(&failed(LegState::Progressing), &[], Some(1), at(0));
    let again = conditions_of(&anew, &first, Some(1), at(60));
    assert_eq!(again, first, "the condition does not turn True");
    let held = conditions_of(&failed(LegState::Blocked), &again, Some(1), at(120));
    assert!(is_stalled(&held));
    assert_eq!(conditions_of(&anew, &held, Some(1), at(300)), held, "it does not flap");
    let over = conditions_of(&anew, &again, Some(1), at(30 * 60));
    assert!(
        is_stalled(&over) && shown(&over, KIND).starts_with("False/FunctionFailed: f failed: no memory."),
        "{over:?}"
    );
    assert!(shown(&over, KIND).contains("overdue after 30 minutes"), "{over:?}");
    assert_eq!(conditions_of(&anew, &over, Some(1), at(40 * 60)), over);
    let changed = shown(&conditions_of(&anew, &held, Some(2), at(300)), KIND);
    assert!(changed.starts_with("False/FunctionPending: f is being created."), "somebody changed the spec: {changed}");
    let well = conditions_of(&[Leg::met(KIND, "f is active.")], &held, Some(1), at(300));
    assert!(!is_stalled(&well) && shown(&well, KIND).starts_with("True/"), "{well:?}");
}

#[test]
fn an_overdue_wait_that_ends_is_not_stalled_and_another_wait_begins_anew() {
    let first = conditions_of(&refused(), &[], Some(1), at(0));
    let over = conditions_of(&refused(), &first, Some(1), at(3600));
    assert!(is_stalled(&over));
    assert!(!is_stalled(&conditions_of(&[Leg::met(KIND, "")], &over, Some(1), at(3601))));
    let pending = [Leg::progressing(KIND, Reason::FunctionPending, "It starts.")];
    let pending = conditions_of(&pending, &over, Some(1), at(3601));
    assert!(!is_stalled(&pending));
    assert!(shown(&pending, KIND).ends_with("It starts. Since 1970-01-01T01:00:01Z."));
}

#[test]
fn an_object_that_asks_for_something_else_waits_anew() {
    let first = conditions_of(&refused(), &[], Some(1), at(0));
    let over = conditions_of(&refused(), &first, Some(1), at(3600));
    let asked = conditions_of(&refused(), &over, Some(2), at(3700));
    assert!(!is_stalled(&asked), "{asked:?}");
    assert!(is_stalled(&conditions_of(&refused(), &asked, Some(2), at(3700 + 900))));
}

#[test]
fn a_call_that_is_throttled_now_and_then_does_not_make_what_is_overdue_flap() {
    let first = conditions_of(&refused(), &[], Some(1), at(0));
    let over = conditions_of(&refused(), &first, Some(1), at(3600));
    for leg in [
        Leg::progressing(KIND, Reason::Throttled, "too many"),
        Leg::progressing(KIND, Reason::AwsUnavailable, "unwell"),
        Leg::unknown(KIND, Reason::ObservationFailed, "not read"),
    ] {
        assert_eq!(conditions_of(std::slice::from_ref(&leg), &over, Some(1), at(3700)), over, "{leg:?}");
        let soon = conditions_of(std::slice::from_ref(&leg), &first, Some(1), at(30));
        assert!(!shown(&soon, KIND).contains("RolePropagating"), "within its bound, the other leg is shown: {soon:?}");
    }
}

#[test]
fn what_cannot_be_read_for_hours_stays_unknown_and_needs_somebody() {
    let unread = [Leg::unknown(KIND, Reason::ObservationFailed, "not read.")];
    let first = conditions_of(&unread, &[], Some(1), at(0));
    assert!(!is_stalled(&first));
    let over = conditions_of(&unread, &first, Some(1), at(2 * 3600));
    assert!(is_stalled(&over));
    assert!(shown(&over, KIND).starts_with("Unknown/ObservationFailed: not read. That is overdue after 2 hours."));
}

#[test]
fn what_waits_for_an_earlier_leg_is_late_only_where_no_other_leg_says_why() {
    let network = ConditionType::NetworkReady;
    let waits = |leg: Leg| [leg, Leg::progressing(KIND, Reason::WaitingForNetwork, "Later.")];
    let pending = waits(Leg::progressing(network, Reason::EndpointPending, "AWS is at work."));
    let first = conditions_of(&pending, &[], Some(1), at(0));
    let over = conditions_of(&pending, &first, Some(1), at(3600));
    assert!(shown(&over, network).contains("overdue") && !shown(&over, KIND).contains("overdue"), "{over:?}");
    let met = waits(Leg::met(network, ""));
    let there = conditions_of(&met, &over, Some(1), at(7000));
    assert!(!is_stalled(&there), "it waits since the network is there: {there:?}");
    assert!(!is_stalled(&conditions_of(&met, &there, Some(1), at(7000 + 3599))));
    assert!(is_stalled(&conditions_of(&met, &there, Some(1), at(7000 + 3600))));
}

#[test]
fn an_object_is_overdue_once_everything_that_it_waits_for_is() {
    let other = Leg::progressing(ConditionType::ExecutionRoleReady, Reason::FunctionPending, "AWS is at work.");
    let [refused] = refused();
    let both = [refused.clone(), other];
    let first = conditions_of(&both, &[], Some(1), at(0));
    let of = |legs: &[Leg], seconds| wait_state(legs, &first, Some(1), at(seconds));
    assert_eq!(of(&both, 60), WaitState::WithinBounds);
    assert_eq!(of(&both, 1000), WaitState::WithinBounds, "AWS is still at work on the other");
    assert_eq!(of(&both, 3600), WaitState::Overdue);
    assert_eq!(of(&[refused], 1000), WaitState::Overdue);
    assert_eq!(of(&[Leg::met(KIND, "")], 3600), WaitState::WithinBounds);
    assert_eq!(of(&[], 3600), WaitState::WithinBounds);
}

#[test]
fn a_reason_that_waits_has_a_generous_bound_and_one_that_needs_somebody_has_none() {
    for reason in Reason::ALL {
        let Some(wait) = reason.wait() else { continue };
        assert!((900..=16 * 3600).contains(&wait.bound.as_secs()), "{reason}");
        assert!(wait.bound.as_secs().is_multiple_of(60) && !wait.bound_in_words().starts_with('0'), "{reason}");
        let leg = [Leg::progressing(KIND, *reason, "It waits.")];
        let first = conditions_of(&leg, &[], None, at(0));
        assert_eq!(leg[0].state, LegState::Progressing);
        assert!(is_stalled(&conditions_of(&leg, &first, None, at(wait.bound.as_secs()))), "{reason} ends");
    }
    assert_eq!(Reason::AccessDenied.wait(), None);
}
