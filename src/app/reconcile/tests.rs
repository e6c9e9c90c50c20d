use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    api::{FINALIZER, ObjectName, PrivateGenAINetwork, PrivateGenAINetworkSpec, condition::conditions_of},
    app::fixtures::{at_rest, caller, denied, identity, network_status, settings},
    engine::{Attempt, AttemptCounts, Attempts, Guarded, Pass, SettledParts},
};

fn app(vpc: &str) -> PrivateGenAIApp {
    let spec = json!({"network": {"vpcId": vpc}, "models": ["amazon.nova-lite-v1:0"]});
    let mut app = PrivateGenAIApp::new(&identity().name, serde_json::from_value(spec).expect("a spec"));
    app.metadata.namespace = Some(identity().namespace);
    app.metadata.uid = Some("uid".to_owned());
    app.metadata.generation = Some(1);
    app
}

fn smallest() -> PrivateGenAIApp {
    app(identity().vpc.as_str())
}

fn held(mut app: PrivateGenAIApp) -> PrivateGenAIApp {
    app.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    app
}

/// The network of the app, ready.
fn network() -> PrivateGenAINetwork {
    let key = crate::api::network::NetworkKey { region: identity().region, vpc: identity().vpc };
    let mut network = PrivateGenAINetwork::new("n", PrivateGenAINetworkSpec::of(&key));
    let kinds = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady, ConditionType::EndpointsReady];
    let conditions = conditions_of(&kinds.map(|kind| Leg::met(kind, "")), &[], Some(1), now());
    let status =
        crate::api::PrivateGenAINetworkStatus { observed_generation: Some(1), conditions, ..network_status(true) };
    network.status = Some(status);
    network
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn circumstances() -> Circumstances {
    Circumstances { now: now(), observations: AttemptCounts::default(), settled: SettledParts::default() }
}

fn index(networks: impl IntoIterator<Item = PrivateGenAINetwork>) -> Index {
    let guarded = |network| -> Arc<Guarded<_>> { Arc::new(kube::core::DeserializeGuard(Ok(network))) };
    Index::of(Arc::new(settings()), [], networks.into_iter().map(guarded))
}

/// The kinds of effects, in order.
fn names<S>(effects: &[Effect<S>]) -> Vec<&'static str> {
    let name = |effect: &Effect<S>| match effect {
        Effect::Hold => "hold",
        Effect::CreateNetwork { .. } => "create network",
        Effect::WriteStatus(_) => "status",
        Effect::CountObservation(ObservationResult::Complete) => "complete",
        Effect::CountObservation(ObservationResult::Missed(_)) => "missed",
        Effect::Settle(_) => "settle",
        Effect::Publish(_) => "event",
        Effect::MeasureReady(_) => "ready",
        _ => "another",
    };
    effects.iter().map(name).collect()
}

fn reason(decision: &AppDecision) -> Option<String> {
    decision
        .effects
        .iter()
        .find_map(|effect| match effect {
            Effect::WriteStatus(status) => status.conditions.iter().find(|condition| condition.type_ == "Ready"),
            _ => None,
        })
        .map(|ready| ready.reason.clone())
}

#[test]
fn an_app_without_a_network_has_one_created_and_is_not_held_for_it() {
    let object = smallest();
    let (effects, reconcile) = AppReconcile::begin(&object, &index([]), now()).expect("an app that may be there");
    assert_eq!(names(&effects), ["create network"]);
    let decision = reconcile.with_network(&object, None, now()).expect_err("nothing to hold the object for");
    assert_eq!((names(&decision.effects), reason(&decision)), (vec!["status"], Some("WaitingForNetwork".to_owned())));
    assert_eq!(decision.requeue, Pace::Rest.into(), "the event of the network wakes the app");
}

#[test]
fn an_app_whose_network_kubernetes_refuses_says_so_and_tries_again() {
    let status = kube::core::Status::failure("no more networks", "").with_code(403).boxed();
    let error = crate::engine::Error::Create { object: String::new(), cause: kube::Error::Api(status) };
    let refusal = KubernetesRefusal::of(&error);
    let object = smallest();
    let (_, reconcile) = AppReconcile::begin(&object, &index([]), now()).expect("an app that may be there");
    let decision = reconcile.with_network(&object, refusal, now()).expect_err("nothing to hold the object for");
    assert_eq!((reason(&decision), decision.requeue.pace), (Some("KubernetesRefused".to_owned()), Pace::Blocked));
}

#[test]
fn the_object_is_held_and_records_the_installation_before_the_pass() {
    let held_first = |object: &PrivateGenAIApp| {
        let (_, reconcile) = AppReconcile::begin(object, &index([network()]), now()).expect("an app on a network");
        let reconcile = reconcile.with_network(object, None, now()).expect("a network that is ready");
        let (effects, _, pass) =
            reconcile.prepare(object, Ok(&caller()), Ok(None), &settings(), &circumstances()).expect("a pass");
        (names(&effects), pass.suspended)
    };
    assert_eq!(held_first(&smallest()), (vec!["hold", "status"], false));
    let mut suspended = smallest();
    suspended.spec.suspend = Some(true);
    assert_eq!(held_first(&suspended), (vec![], true), "nothing is created, so nothing is held");
    let mut recorded = smallest();
    let installation_id = Some(settings().installation.to_string());
    recorded.status = Some(PrivateGenAIAppStatus { installation_id, ..PrivateGenAIAppStatus::default() });
    assert_eq!(held_first(&recorded), (vec!["hold"], false));
}

#[test]
fn subnets_that_cannot_be_used_stop_a_new_app_and_not_one_that_has_resources() {
    let refusal = || Leg::blocked(ConditionType::NetworkReady, Reason::SubnetNotInVpc, "No such subnet.");
    let entered = |object: &PrivateGenAIApp| {
        let (_, reconcile) = AppReconcile::begin(object, &index([network()]), now()).expect("an app on a network");
        let reconcile = reconcile.with_network(object, None, now()).expect("a network that is ready");
        reconcile.prepare(object, Ok(&caller()), Ok(Some(refusal())), &settings(), &circumstances())
    };
    let decision = entered(&smallest()).expect_err("an app without subnets");
    assert_eq!((reason(&decision), decision.requeue.pace), (Some("SubnetNotInVpc".to_owned()), Pace::Blocked));
    let (_, reconcile, _) = entered(&held(smallest())).expect("an app that is kept exact");
    assert_eq!(reconcile.subnets_refused, Some(refusal()));
}

#[test]
fn an_app_that_cannot_be_observed_keeps_its_status_three_times() {
    let mut object = held(smallest());
    let legs = [Leg::met(ConditionType::FunctionReady, "")];
    let conditions = conditions_of(&legs, &[], Some(1), now());
    object.status = Some(PrivateGenAIAppStatus { conditions, ..PrivateGenAIAppStatus::default() });
    let mut circumstances = circumstances();
    let (attempts, attempt) = (Attempts::default(), || Attempt::Observation(ObjectName::App(AppName::of(&object))));
    for missed in 0..5 {
        let (_, reconcile) = AppReconcile::begin(&object, &index([network()]), now()).expect("an app on a network");
        let decision = reconcile
            .prepare(&object, Err(&denied()), Ok(None), &settings(), &circumstances)
            .expect_err("AWS cannot be read");
        let expected = if missed < 3 { vec!["missed"] } else { vec!["missed", "status", "event"] };
        assert_eq!(names(&decision.effects), expected, "after {missed}");
        attempts.count(attempt(), Pace::Blocked);
        circumstances.observations = attempts.of(&attempt());
    }
}

#[test]
fn what_is_settled_is_recorded_only_when_all_is_met() {
    let object = held(smallest());
    let concluded = |network: PrivateGenAINetwork| {
        let (_, reconcile) = AppReconcile::begin(&object, &index([network]), now()).expect("an app on a network");
        let reconcile = reconcile.with_network(&object, None, now()).expect("an app that has resources");
        let (_, reconcile, subject) =
            reconcile.prepare(&object, Ok(&caller()), Ok(None), &settings(), &circumstances()).expect("a pass");
        let mut pass = Pass::default();
        pass.decided(crate::app::plan(&subject.desired, &at_rest()));
        let observation = Observation::Observed { first: None, last: at_rest() };
        let converged = Converged::of(pass, observation, std::collections::BTreeSet::new());
        let concluded = reconcile
            .conclude(&object, &subject, converged, None, &settings(), &circumstances())
            .expect("AWS was observed");
        (names(&concluded.effects), concluded.readiness)
    };
    assert_eq!(concluded(network()), (vec!["complete", "settle"], ProbeReadiness::Built));
    let mut unready = network();
    unready.status.as_mut().expect("a status").endpoints[0].state = "pending".to_owned();
    assert_eq!(concluded(unready), (vec!["complete"], ProbeReadiness::Building));
}
