use serde_json::json;

use super::*;
use crate::{
    api::FINALIZER,
    app::fixtures::{at_rest, caller, identity, settings},
    engine::Pass,
};

fn deleted(policy: DeletionPolicy) -> Guarded<PrivateGenAIApp> {
    let spec = json!({
        "network": {"vpcId": identity().vpc.as_str()}, "models": ["amazon.nova-lite-v1:0"], "deletionPolicy": policy,
    });
    let mut app = PrivateGenAIApp::new(&identity().name, serde_json::from_value(spec).expect("a spec"));
    app.metadata.namespace = Some(identity().namespace);
    app.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    kube::core::DeserializeGuard(Ok(app))
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("a time")
}

/// The decision after one place, where a pass ended with this plan.
fn decided(policy: DeletionPolicy, plan: crate::plan::Plan) -> AppDecision {
    let object = deleted(policy);
    let mut removal = Removal::begin(&object, None, &settings(), now()).expect("an app of ours that is held");
    removal.in_places(&object, &caller(), Ok(&BTreeMap::new()), &settings());
    let pass = removal.next(&settings()).expect("the place that the object names");
    let mut ended = Pass::default();
    ended.decided(plan);
    let observation = Observation::Observed { first: None, last: at_rest() };
    removal.ended(pass, &Converged::of(ended, observation, BTreeSet::new()));
    assert_eq!(removal.next(&settings()), None);
    removal.decision(&object, now())
}

#[test]
fn an_app_with_nothing_left_is_watched_for_late_writes_and_then_released() {
    let place = Released::App(identity());
    for (policy, first) in [
        (DeletionPolicy::Delete, Effect::WatchLateWrites(place.clone())),
        (DeletionPolicy::Retain, Effect::IgnoreLateWrites(place.clone())),
    ] {
        let decision = decided(policy, crate::plan::Plan::default());
        assert_eq!(decision.effects, [first, Effect::Settle(SettledParts::default()), Effect::Release]);
        assert_eq!(decision.requeue, Pace::Rest.into());
    }
}

#[test]
fn an_app_with_something_left_stays_and_shows_it() {
    let leg = Leg::progressing(ConditionType::FunctionReady, Reason::Deleting, "The function is being deleted.");
    let plan = crate::plan::Plan { legs: vec![leg], ..crate::plan::Plan::default() };
    let decision = decided(DeletionPolicy::Delete, plan);
    assert!(!decision.effects.contains(&Effect::Release), "{decision:?}");
    assert!(decision.effects.iter().any(|effect| matches!(effect, Effect::WriteStatus(_))), "{decision:?}");
    assert_eq!(decision.requeue.pace, Pace::Wait);
}

#[test]
fn an_app_stays_while_aws_does_not_say_in_which_account_the_operator_is() {
    let object = deleted(DeletionPolicy::Delete);
    let mut removal = Removal::begin(&object, None, &settings(), now()).expect("an app of ours that is held");
    removal.not_identified(&object, &crate::app::fixtures::denied());
    assert_eq!(removal.next(&settings()), None);
    let decision = removal.decision(&object, now());
    assert!(!decision.effects.contains(&Effect::Release), "{decision:?}");
}

#[test]
fn an_object_that_is_not_held_or_is_another_installation_s_is_left_alone() {
    let mut object = deleted(DeletionPolicy::Delete);
    let app = object.0.as_mut().expect("an app");
    let status = json!({"installationId": "another"});
    app.status = Some(serde_json::from_value(status).expect("a status"));
    let decision = Removal::begin(&object, None, &settings(), now()).expect_err("another installation's");
    assert!(!decision.effects.contains(&Effect::Release), "{decision:?}");
    object.0.as_mut().expect("an app").metadata.finalizers = None;
    let decision = Removal::begin(&object, None, &settings(), now()).expect_err("an object that is not held");
    assert_eq!(decision.effects, []);
}
