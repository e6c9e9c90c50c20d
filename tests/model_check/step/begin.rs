//! Whether a worker begins a pass, and what it knows then.

use std::sync::Arc;

use kube::ResourceExt as _;
use private_genai_operator::{
    api::{
        PrivateGenAIApp, PrivateGenAINetwork,
        app::App,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    app::{self, NetworkOffer, NetworkView, RecordedFacts, decide::NetworkBinding},
    aws::{MaxAge, SnapshotState},
    engine::{Freshness, Pass, Released, is_held},
    identity::is_retained,
    index::is_implicit,
    network::{self, decide::Acceptance},
};

use super::{
    super::{
        scenario::Scenario,
        state::{Network, Object, Run, State, Subject, Worker},
    },
    How, Wrong, caller,
    look::with_snapshot,
};

fn key_of(network: &PrivateGenAINetwork) -> NetworkKey {
    NetworkKey::try_from(&network.spec).expect("a network that can be read")
}

impl Scenario {
    /// A worker begins. `None` when there is nothing for it to begin with.
    pub fn begin(&self, state: &State, number: usize, worker: &Worker, closely: bool) -> Result<Option<State>, Wrong> {
        let mut next = state.clone();
        match worker {
            Worker::Network(name) => {
                let Some(object) = state.objects.networks.get(name).cloned() else { return Ok(None) };
                self.begin_network(&mut next, number, worker, object)
            }
            Worker::App(name) => {
                let Some(object) = state.objects.apps.get(name).cloned() else { return Ok(None) };
                if object.get().metadata.deletion_timestamp.is_some() {
                    if !is_held(&object.get().metadata) {
                        return Ok(None);
                    }
                    self.begin_removal(&mut next, number, worker, object)
                } else {
                    self.begin_app(&mut next, number, worker, object, closely)
                }
            }
            Worker::After(departed) => self.begin_after(&mut next, number, worker, departed),
        }
        .map(|()| Some(next))
    }

    fn start(&self, next: &mut State, number: usize, worker: &Worker, subject: Subject) -> Result<(), Wrong> {
        let run = Run { pass: Pass::default(), subject };
        next.operators[number].runs.insert(worker.clone(), Arc::new(run));
        self.go(next, number, worker, How::Answered)
    }

    fn begin_network(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAINetwork>,
    ) -> Result<(), Wrong> {
        let network = object.get();
        let (key, deleting) = (key_of(network), network.metadata.deletion_timestamp.is_some());
        let objects = Arc::clone(&next.objects);
        let index = &objects.index;
        if let Some(leg) = network::ownership::refusal_by_objects(network, Some(&key), index) {
            next.tell_network(&object, None, &[leg]);
            return Ok(());
        }
        match network::decide::acceptance(network, &key, index) {
            Acceptance::Superseded { .. } if deleting => next.release_network(&object),
            Acceptance::Superseded { .. } if is_implicit(network) => next.delete_network(&object.get().name_any()),
            Acceptance::Superseded { by: to } => {
                let message = format!("PrivateGenAINetwork {to} stands for VPC {} already.", key.vpc);
                next.tell_network(
                    &object,
                    None,
                    &[Leg::blocked(ConditionType::Accepted, Reason::VpcConflict, message)],
                );
            }
            Acceptance::Released => next.release_network(&object),
            Acceptance::Accepted if network::decide::leaves_everything(network, &key, index) => {
                next.operators[number].covered.remove(&key.vpc);
                next.operators[number].memory.forget(&key);
                next.operators[number].departures.remove(&Released::Network(key));
                next.release_network(&object);
            }
            Acceptance::Accepted => {
                let to_be_held = network::decide::is_to_be_held(network, &key, index);
                if to_be_held || network::decide::is_to_be_recorded(network, &self.settings) {
                    let subject = Subject::Network { object: object.clone(), key: key.clone(), observed: None };
                    let seen = self.look_at_network(next, number, &subject, &Freshness::default(), false);
                    if network::ownership::refusal_by_aws(&key, &seen, index).is_none() {
                        if to_be_held && !next.hold_network(&object) {
                            return Ok(());
                        }
                        next.record_network(&object, &self.settings.installation);
                    }
                }
                return self.start(next, number, worker, Subject::Network { object, key, observed: None });
            }
        }
        Ok(())
    }

    fn begin_app(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
        closely: bool,
    ) -> Result<(), Wrong> {
        let app = object.get();
        let objects = Arc::clone(&next.objects);
        let index = &objects.index;
        let before = app.status.clone().unwrap_or_default();
        let mut facts = RecordedFacts {
            installation_id: before.installation_id,
            network: before.network,
            endpoints: before.endpoints,
            execution_role: before.execution_role,
            function: before.function,
        };
        match app::decide::network_binding(app, index) {
            NetworkBinding::Refused(leg) => {
                next.tell_app(&object, facts, &[leg]);
                Ok(())
            }
            NetworkBinding::Unbound { app: wanted, leg, bring } => {
                if let Some(name) = bring {
                    next.create_network(&name, &wanted.network, true, false);
                }
                let view = NetworkView {
                    legs: vec![leg.clone()],
                    endpoints: facts.endpoints.clone(),
                    offer: NetworkOffer::Unavailable(None),
                };
                self.keep(next, number, worker, object, (wanted, facts, view, Network::Missing(leg)), closely)
            }
            NetworkBinding::Bound { app: wanted, network, view } => {
                let by = Network::Found(objects.networks[&network.name].clone());
                facts.network = Some(network);
                facts.endpoints.clone_from(&view.endpoints);
                self.keep(next, number, worker, object, (wanted, facts, view, by), closely)
            }
        }
    }

    fn keep(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
        (wanted, facts, view, network): (App, RecordedFacts, NetworkView, Network),
        closely: bool,
    ) -> Result<(), Wrong> {
        let app = object.get();
        if !is_held(&app.metadata) && matches!(view.offer, NetworkOffer::Unavailable(_)) {
            let mut legs = vec![app::decide::accepted_leg(&wanted)];
            legs.extend(view.legs);
            next.tell_app(&object, facts, &legs);
            return Ok(());
        }
        let suspended = app.spec.suspend.unwrap_or_default();
        if !suspended && !next.hold_app(&object) {
            return Ok(());
        }
        if !suspended {
            next.record_app(&object, &self.settings.installation);
        }
        let identity = app::decide::identity(app, &wanted.network, &self.settings);
        let desired = app::Desired::new(&wanted, identity, &caller(), &self.settings.governance, &view.offer);
        let operator = &mut next.operators[number];
        let closely = closely || app::decide::is_in_doubt(app);
        app::decide::begins(&desired, &mut operator.memory);
        let recorded = app.status.as_ref().and_then(|status| status.function.as_ref());
        let principal = app::decide::Principal::of(recorded);
        let desired = Arc::new(desired);
        let subject = Subject::Keep { object, network, desired, suspended, closely, principal, observed: None };
        self.start(next, number, worker, subject)
    }

    fn begin_removal(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
    ) -> Result<(), Wrong> {
        let world = Arc::clone(&next.world);
        let roles = with_snapshot(&mut next.operators[number], &world, None, async |snapshot| {
            snapshot.roles(MaxAge::Any).await
        });
        let departing = app::AppDeletion::of(object.get(), &self.settings.region);
        let places = app::decide::places(&object.it, &departing, &roles, &self.settings);
        let rest: Vec<_> = places.iter().cloned().collect();
        let principal = rest.first().map(|identity| departing.principal(identity)).unwrap_or_default();
        let (departing, places) = (Arc::new(departing), Arc::new(places));
        let subject = Subject::Remove { object, departing, principal, places, rest, legs: Vec::new() };
        self.start(next, number, worker, subject)
    }

    fn begin_after(&self, next: &mut State, number: usize, worker: &Worker, departed: &Released) -> Result<(), Wrong> {
        let objects = Arc::clone(&next.objects);
        let index = &objects.index;
        let world = Arc::clone(&next.world);
        let operator = &mut next.operators[number];
        // What another operator writes does not make our tables stale: whoever looks after a place has them read.
        operator.kept =
            Arc::new(SnapshotState { topology: operator.kept.topology.clone(), ..SnapshotState::default() });
        let (seen_to, subject) = match departed {
            Released::App(identity) => {
                let mut retained = || {
                    let roles = with_snapshot(&mut next.operators[number], &world, None, async |snapshot| {
                        snapshot.roles(MaxAge::Any).await
                    });
                    roles.get(&identity.role_name()).is_some_and(|role| is_retained(&role.tags))
                };
                (app::decide::is_back(identity, index) || retained(), Subject::AfterApp(identity.clone()))
            }
            Released::Network(key) => (network::decide::is_back(key, index), Subject::AfterNetwork(key.clone())),
        };
        if seen_to {
            next.operators[number].departures.insert(departed.clone(), true);
            return Ok(());
        }
        self.start(next, number, worker, subject)
    }
}
