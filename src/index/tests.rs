use std::{sync::Arc, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::core::{DeserializeGuard, ObjectMeta, error_boundary::InvalidObject};
use proptest::{collection, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    api::{EndpointStatus, FINALIZER, IMPLICIT_LABEL, PrivateGenAINetworkSpec, PrivateGenAINetworkStatus},
    function,
    governance::Governance,
    guard::{Globs, ImplicitNetworks},
};

fn settings() -> Arc<Settings> {
    let region: Region = "us-east-1".parse().expect("a region");
    Arc::new(Settings {
        installation: "prod".parse().expect("an installation id"),
        owner: "0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6".parse().expect("an owner mark"),
        regions: Globs::only(&region),
        region,
        implicit_networks: ImplicitNetworks::in_vpcs(Globs::all()),
        resync: Duration::from_mins(5),
        concurrency: 1,
        governance: Governance::default(),
        handler: function::built_in().expect("a package"),
        clock: || Timestamp::UNIX_EPOCH,
    })
}

/// What a test varies of an object.
#[derive(Clone, Debug)]
struct Shape {
    name: u8,
    /// The VPC that the object names; `None`: the object cannot be read.
    vpc: Option<u8>,
    created: i64,
    generation: i64,
    label: bool,
    held: bool,
    deleting: bool,
}

impl Shape {
    fn new(name: u8, vpc: u8) -> Self {
        Self { name, vpc: Some(vpc), created: 0, generation: 1, label: false, held: false, deleting: false }
    }

    fn meta(&self, namespace: Option<&str>) -> ObjectMeta {
        let time = |seconds| Some(Time(Timestamp::from_second(seconds).expect("a time")));
        ObjectMeta {
            name: Some(format!("object-{}", self.name)),
            namespace: namespace.map(ToOwned::to_owned),
            creation_timestamp: time(self.created),
            deletion_timestamp: time(1_000).filter(|_| self.deleting),
            generation: Some(self.generation),
            labels: self.label.then(|| BTreeMap::from([(IMPLICIT_LABEL.to_owned(), "true".to_owned())])),
            finalizers: self.held.then(|| vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        }
    }

    fn app(&self) -> Arc<Guarded<PrivateGenAIApp>> {
        let metadata = self.meta(Some("team-a"));
        Arc::new(DeserializeGuard(match self.vpc {
            None => Err(InvalidObject { error: "unreadable".to_owned(), metadata }),
            Some(vpc) => {
                let spec = json!({
                    "network": {"vpcId": format!("vpc-{vpc:08x}"), "region": "us-east-1"},
                    "models": ["amazon.nova-lite-v1:0"],
                });
                let mut app = PrivateGenAIApp::new("", serde_json::from_value(spec).expect("a spec"));
                app.metadata = metadata;
                Ok(app)
            }
        }))
    }

    fn network(&self) -> Arc<Guarded<PrivateGenAINetwork>> {
        let metadata = self.meta(None);
        Arc::new(DeserializeGuard(match self.vpc {
            None => Err(InvalidObject { error: "unreadable".to_owned(), metadata }),
            Some(vpc) => {
                let key = NetworkKey {
                    region: "us-east-1".parse().expect("a region"),
                    vpc: format!("vpc-{vpc:08x}").parse().expect("a VPC"),
                };
                let mut network = PrivateGenAINetwork::new("", PrivateGenAINetworkSpec::of(&key));
                network.metadata = metadata;
                Ok(network)
            }
        }))
    }
}

fn key(vpc: u8) -> NetworkKey {
    NetworkKey { region: "us-east-1".parse().expect("a region"), vpc: format!("vpc-{vpc:08x}").parse().expect("a VPC") }
}

fn name(name: u8) -> AppName {
    AppName { namespace: "team-a".to_owned(), name: format!("object-{name}") }
}

#[derive(Clone, Debug)]
enum Change {
    App(Shape),
    AppGone(u8),
    Network(Shape),
    NetworkGone(u8),
}

impl Change {
    fn apply(&self, index: &mut Index) -> Concerned {
        match self {
            Self::App(shape) => index.apply_app(shape.app()),
            Self::AppGone(gone) => index.remove_app(&name(*gone)),
            Self::Network(shape) => index.apply_network(shape.network()),
            Self::NetworkGone(gone) => index.remove_network(&format!("object-{gone}")),
        }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let object = (0..4_u8, prop::option::weighted(0.9, 0..3_u8), 0..3_i64, 1..3_i64);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (object, flags).prop_map(|((name, vpc, created, generation), (label, held, deleting))| Shape {
        name,
        vpc,
        created,
        generation,
        label,
        held,
        deleting,
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => shape().prop_map(Change::App),
        1 => (0..4_u8).prop_map(Change::AppGone),
        3 => shape().prop_map(Change::Network),
        1 => (0..4_u8).prop_map(Change::NetworkGone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_one_by_one_make_the_same_index_as_all_objects_at_once(changes in collection::vec(change(), 0..40)) {
        let mut index = Index::new(settings());
        let (mut apps, mut networks) = (BTreeMap::new(), BTreeMap::new());
        for change in &changes {
            change.apply(&mut index);
            match change {
                Change::App(shape) => drop(apps.insert(shape.name, shape.app())),
                Change::AppGone(gone) => drop(apps.remove(gone)),
                Change::Network(shape) => drop(networks.insert(shape.name, shape.network())),
                Change::NetworkGone(gone) => drop(networks.remove(gone)),
            }
        }
        let at_once = Index::of(settings(), apps.values().cloned(), networks.values().cloned());
        prop_assert_eq!(format!("{index:?}"), format!("{at_once:?}"));
    }

    #[test]
    fn lookups_find_what_a_scan_over_all_objects_finds(changes in collection::vec(change(), 0..40), vpc in 0..3_u8) {
        let mut index = Index::new(settings());
        for change in &changes {
            change.apply(&mut index);
        }
        let names = |apps: &mut dyn Iterator<Item = &IndexedApp>| -> BTreeSet<String> {
            apps.map(|app| app.object.name_any()).collect()
        };
        let key = key(vpc);
        let on_it = |app: &&IndexedApp| {
            app.decoded().is_some_and(|app| App::network(&app.spec, &settings().region).as_ref() == Ok(&key))
        };
        let uses = |app: &&IndexedApp| on_it(app) && (app.is_held() || !app.is_deleting());
        prop_assert_eq!(names(&mut index.apps_on(&key)), names(&mut index.apps().filter(on_it)));
        prop_assert_eq!(names(&mut index.users(&key)), names(&mut index.apps().filter(uses)));
        let of_vpc = index.networks().filter_map(IndexedNetwork::decoded);
        let of_vpc = of_vpc.filter(|network| NetworkKey::try_from(&network.spec).as_ref() == Ok(&key));
        let first = of_vpc.min_by_key(|network| {
            let deleting = network.metadata.deletion_timestamp.is_some();
            (deleting, is_implicit(network), network.creation_timestamp(), network.name_any())
        });
        let name = |network: &PrivateGenAINetwork| network.name_any();
        prop_assert_eq!(index.accepted(&key).map(name), first.map(name));
    }
}

#[test]
fn explicit_comes_before_implicit_then_the_oldest_then_the_name() {
    let network = |name, label, created| Shape { created, label, ..Shape::new(name, 1) };
    let accepted = |networks: &[Shape], vpc| {
        let index = Index::of(settings(), [], networks.iter().map(Shape::network));
        index.accepted(&key(vpc)).map(kube::ResourceExt::name_any)
    };
    let object = |name: u8| Some(format!("object-{name}"));
    assert_eq!(accepted(&[], 1), None);
    assert_eq!(accepted(&[network(1, true, 1), network(2, false, 2)], 1), object(2));
    assert_eq!(accepted(&[network(1, false, 3), network(2, false, 2)], 1), object(2));
    assert_eq!(accepted(&[network(2, false, 2), network(1, false, 2)], 1), object(1));
    let deleting = Shape { deleting: true, ..network(1, false, 1) };
    assert_eq!(accepted(&[deleting, network(2, true, 2)], 1), object(2), "one that stays");
    assert_eq!(accepted(&[network(1, false, 1)], 2), None, "another VPC");
}

#[test]
fn a_touch_is_a_change_of_labels_or_annotations_and_of_nothing_else() {
    let seen = |uid: &str, generation: i64, note: &str| ObjectMeta {
        uid: Some(uid.to_owned()),
        generation: Some(generation),
        annotations: Some([("note".to_owned(), note.to_owned())].into()),
        ..ObjectMeta::default()
    };
    let before = seen("u", 1, "a");
    for (now, difference) in [
        (seen("u", 1, "a"), Difference::Nothing),
        (seen("u", 1, "b"), Difference::Touched),
        (seen("u", 2, "b"), Difference::Changed),
        (seen("v", 1, "b"), Difference::Changed),
    ] {
        assert_eq!(Difference::between(Some(&before), &now), difference, "{now:?}");
    }
    assert_eq!(Difference::between(None, &before), Difference::Changed);
}

#[test]
fn a_change_wakes_its_own_vpc_and_an_unreadable_object_whoever_it_could_concern() {
    let app = |n, vpc| (ObjectName::App(name(n)), Shape { vpc, ..Shape::new(n, 0) });
    let network = |n: u8, vpc| (ObjectName::Network(format!("object-{n}")), Shape { vpc, ..Shape::new(n, 0) });
    let ((app_1, in_1), (app_2, in_2)) = (app(1, Some(1)), app(2, Some(2)));
    let ((network_1, of_1), (network_2, of_2)) = (network(1, Some(1)), network(2, Some(2)));
    let mut index = Index::of(settings(), [in_1.app(), in_2.app()], [of_1.network(), of_2.network()]);
    let woken = |names: &[&ObjectName]| Concerned::Woken(names.iter().map(|name| (*name).clone()).collect());

    assert_eq!(index.apply_app(in_1.app()), woken(&[]), "its status");
    assert_eq!(index.apply_network(of_1.network()), woken(&[]), "nothing is new in it");
    let with_status = |vpc: &str| {
        let mut network = (*of_1.network()).clone();
        let status = PrivateGenAINetworkStatus { vpc_id: Some(vpc.to_owned()), ..PrivateGenAINetworkStatus::default() };
        network.0.as_mut().expect("a network").status = Some(status);
        Arc::new(network)
    };
    assert_eq!(index.apply_network(with_status("a")), woken(&[&app_1]), "a new status concerns the apps");
    assert_eq!(index.apply_network(with_status("a")), woken(&[]));
    assert_eq!(index.apply_network(of_1.network()), woken(&[&app_1]));
    let labelled = |shape: &Shape| Shape { label: true, ..shape.clone() };
    assert_eq!(index.apply_app(labelled(&in_1).app()), Concerned::Touched(app_1.clone()));
    assert_eq!(index.apply_network(labelled(&of_1).network()), Concerned::Touched(network_1.clone()));
    assert_eq!(index.with_network(app_1.clone()), [app_1.clone(), network_1.clone()].into());
    assert_eq!(index.with_network(network_1.clone()), [network_1.clone()].into());
    let another = |shape: &Shape| Shape { generation: 2, ..labelled(shape) };
    assert_eq!(index.apply_app(another(&in_1).app()), woken(&[&app_1, &network_1]));
    assert_eq!(index.apply_network(another(&of_1).network()), woken(&[&app_1, &network_1]));

    let (app_3, unreadable) = app(3, None);
    assert_eq!(index.apply_app(unreadable.app()), woken(&[&app_3, &network_1, &network_2]));
    assert_eq!(index.remove_app(&name(3)), woken(&[&network_1, &network_2]));
    let (network_3, unreadable) = network(3, None);
    assert_eq!(index.apply_network(unreadable.network()), woken(&[&app_1, &app_2, &network_3]));
    assert_eq!(index.remove_network("object-3"), woken(&[&app_1, &app_2]));
    assert_eq!(index.remove_network("object-2"), woken(&[&app_2]));
    assert_eq!(index.remove_app(&name(1)), woken(&[&network_1]));
    assert_eq!(index.remove_app(&name(1)), woken(&[]), "it is gone already");
}

/// An app that names the model, on the network of VPC 1.
fn calling(n: u8, model: &str) -> Arc<Guarded<PrivateGenAIApp>> {
    let mut app = (*Shape::new(n, 1).app()).clone();
    app.0.as_mut().expect("an app").spec.models = vec![model.to_owned()];
    Arc::new(app)
}

/// The network of VPC 1, whose endpoint lets these models through.
fn letting_through(models: &[&str]) -> Arc<Guarded<PrivateGenAINetwork>> {
    let mut network = (*Shape::new(9, 1).network()).clone();
    let endpoint = serde_json::from_value::<EndpointStatus>(json!({
        "service": "bedrock-runtime", "vpcEndpointId": "vpce-1", "state": "available", "privateDnsEnabled": false,
        "models": models,
    }));
    let endpoints = vec![endpoint.expect("an endpoint")];
    network.0.as_mut().expect("a network").status =
        Some(PrivateGenAINetworkStatus { endpoints, ..PrivateGenAINetworkStatus::default() });
    Arc::new(network)
}

#[test]
fn a_model_that_comes_or_goes_wakes_only_the_apps_that_call_it_or_wait_for_room() {
    let models = ["a.served", "b.served", "c.waiting"];
    let apps = models.iter().zip(0..).map(|(model, n)| calling(n, model));
    let mut index = Index::of(settings(), apps, [letting_through(&["a.served"])]);
    let mut woken = |models: &[&str]| match index.apply_network(letting_through(models)) {
        Concerned::Woken(woken) => woken,
        other @ Concerned::Touched(_) => panic!("{other:?}"),
    };
    let apps = |numbers: &[u8]| numbers.iter().map(|n| ObjectName::App(name(*n))).collect::<BTreeSet<_>>();
    assert_eq!(woken(&["a.served", "b.served"]), apps(&[1, 2]), "the app that is served now, and the one that waits");
    assert_eq!(woken(&["b.served", "a.served"]), apps(&[2]), "another order is no change for those who are served");
    assert_eq!(woken(&["b.served"]), apps(&[0, 2]), "the app that lost its model");
}

#[test]
fn apps_that_demand_the_same_are_one_demand_of_the_oldest() {
    let app = |n: u8, created: i64, held: bool| Shape { created, held, ..Shape::new(n, 1) }.app();
    let mut index = Index::of(settings(), [app(0, 5, true), app(1, 3, true), app(2, 4, false), app(3, 1, false)], []);
    let demands = |index: &Index| -> Vec<(bool, String, usize)> {
        let key = key(1);
        let demands = index.demands(&key);
        demands.map(|(demand, oldest, apps)| (demand.held, oldest.object.name_any(), apps)).collect()
    };
    let object = |n: u8| format!("object-{n}");
    assert_eq!(demands(&index), [(false, object(3), 2), (true, object(1), 2)]);
    index.remove_app(&name(1));
    index.apply_app(app(2, 4, true));
    assert_eq!(demands(&index), [(false, object(3), 1), (true, object(2), 2)]);
    for n in [0, 2, 3] {
        index.remove_app(&name(n));
    }
    assert_eq!(demands(&index), []);
    assert!(!index.is_used(&key(1)));
}
