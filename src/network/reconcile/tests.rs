use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    api::{DeletionPolicy, FINALIZER, IMPLICIT_LABEL, PrivateGenAIApp, PrivateGenAINetworkSpec},
    engine::{AttemptCounts, Pass},
    identity::TAG_OWNER,
    network::fixtures::{bare, caller, denied, exact_groups, identity, settings, unread},
};

fn key() -> NetworkKey {
    NetworkKey { region: identity().region, vpc: identity().vpc }
}

/// The implicit network of the VPC.
fn implicit() -> PrivateGenAINetwork {
    let mut network = PrivateGenAINetwork::new("implicit", PrivateGenAINetworkSpec::of(&key()));
    network.metadata.labels = Some([(IMPLICIT_LABEL.to_owned(), "true".to_owned())].into());
    network
}

fn held(mut network: PrivateGenAINetwork) -> PrivateGenAINetwork {
    network.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    network
}

fn deleted(mut network: PrivateGenAINetwork) -> PrivateGenAINetwork {
    network.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    network
}

/// The objects: the network, and an app on it where there is one.
fn index(network: &PrivateGenAINetwork, apps: usize) -> Index {
    let app = |number| {
        let spec = json!({"network": {"vpcId": key().vpc.as_str()}, "models": ["amazon.nova-lite-v1:0"]});
        let mut app = PrivateGenAIApp::new(&format!("app-{number}"), serde_json::from_value(spec).expect("a spec"));
        app.metadata.namespace = Some("team-a".to_owned());
        Arc::new(kube::core::DeserializeGuard(Ok(app)))
    };
    let network = Arc::new(kube::core::DeserializeGuard(Ok(network.clone())));
    Index::of(Arc::new(settings()), (0..apps).map(app), [network])
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn circumstances() -> Circumstances {
    Circumstances { now: now(), observations: AttemptCounts::default(), settled: SettledParts::default() }
}

fn begun(
    network: &PrivateGenAINetwork,
    apps: usize,
) -> Result<(Vec<NetworkEffect>, NetworkReconcile), NetworkDecision> {
    NetworkReconcile::begin(network, &index(network, apps), &mut Memory::default(), now())
}

#[test]
fn a_network_is_held_before_any_creation_and_once_aws_shows_whose_it_is() {
    let network = implicit();
    let (effects, mut reconcile) = begun(&network, 1).expect("an accepted network");
    assert_eq!(effects, [Effect::IncludeVpc(key())]);
    assert_eq!(reconcile.missing, Missing::FinalizerAndRecord);
    let index = index(&network, 1);
    let unread = Observed { unread: unread(Source::SecurityGroups), ..bare() };
    let decision = reconcile.hold(&unread, &index, &circumstances()).expect_err("nobody knows whose it is");
    assert!(!decision.effects.contains(&Effect::Hold), "{decision:?}");
    let mut groups = exact_groups();
    groups[0].tags.insert(TAG_OWNER.to_owned(), "another-cluster".to_owned());
    let foreign = Observed { security_groups: groups.clone(), known_groups: groups, ..bare() };
    assert_eq!(reconcile.hold(&foreign, &index, &circumstances()).expect("a pass"), [], "another cluster's");
    let effects = reconcile.hold(&bare(), &index, &circumstances()).expect("a pass");
    assert!(matches!(&effects[..], [Effect::Hold, Effect::WriteStatus(_)]), "{effects:?}");
}

#[test]
fn a_network_that_ends_is_watched_for_late_writes_before_its_object_goes() {
    for (network, last) in [(held(implicit()), Effect::Delete), (deleted(held(implicit())), Effect::Release)] {
        let (_, reconcile) = begun(&network, 0).expect("an accepted network");
        let pass = reconcile.pass(&caller(), false, &settings());
        let observation = Observation::Observed { first: None, last: bare() };
        let converged = Converged::of(Pass::default(), observation, BTreeSet::new());
        let decision =
            reconcile.decision(&pass, converged, None, &index(&network, 0), &mut Memory::default(), &circumstances());
        let expected = [
            Effect::CountObservation(ObservationResult::Complete),
            Effect::ExcludeVpc(key()),
            Effect::Settle(SettledParts::default()),
            Effect::WatchLateWrites(Released::Network(key())),
            last,
        ];
        assert_eq!(decision.effects, expected);
    }
}

#[test]
fn an_implicit_network_that_a_user_deletes_while_apps_use_it_is_released_untouched() {
    let decision = begun(&deleted(held(implicit())), 1).expect_err("a network that is created again");
    assert_eq!(decision, Decision::rest(vec![Effect::Release]));
}

#[test]
fn a_retained_network_is_released_without_a_look_at_aws() {
    let mut network = deleted(held(implicit()));
    network.spec.deletion_policy = Some(DeletionPolicy::Retain);
    let decision = begun(&network, 0).expect_err("nothing is to be done in AWS");
    let ignored = Effect::IgnoreLateWrites(Released::Network(key()));
    assert_eq!(decision.effects, [Effect::ExcludeVpc(key()), ignored, Effect::Release]);
}

#[test]
fn an_abandoned_network_goes_although_aws_cannot_be_read() {
    let network = implicit();
    let (_, reconcile) = begun(&network, 1).expect("an accepted network");
    let without_app = reconcile.unobserved(&denied(), &index(&network, 0), &circumstances());
    assert_eq!(without_app.effects, [Effect::Delete]);
    let with_app = reconcile.unobserved(&denied(), &index(&network, 1), &circumstances());
    assert!(matches!(with_app.effects.first(), Some(Effect::WriteStatus(_))), "{with_app:?}");
}
