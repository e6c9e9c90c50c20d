//! The begin of a pass: the decision to begin, and the knowledge at that time.

use std::sync::Arc;

use kube::ResourceExt as _;
use private_genai_operator::{
    api::{
        PrivateGenAIApp, PrivateGenAINetwork,
        app::App,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    app::{
        self, NetworkOffer, NetworkView, StatusFacts,
        decide::{AppPass, NetworkBinding},
        removal::decide::{DeletionPass, RemovalCause, RemovalPass},
    },
    aws::{MaxAge, SnapshotState},
    engine::{Freshness, Pass, Released, is_held},
    identity::is_retained,
    index::is_implicit,
    network::{self, Acceptance, decide::NetworkPass, late_writes::LateWritePass},
};

use super::{
    super::{
        scenario::Scenario,
        state::{Network, Object, Run, State, Subject, Worker},
    },
    How, Wrong, caller,
    look::with_snapshot,
    network_identity,
};

fn key_of(network: &PrivateGenAINetwork) -> NetworkKey {
    NetworkKey::try_from(&network.spec).expect("a network that can be read")
}

impl Scenario {
    /// A worker begins a pass. `None` if the worker has no reason for a pass.
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
        match network::acceptance(network, &key, index) {
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
            Acceptance::Accepted if network::decide::retains_everything(network, &key, index) => {
                next.operators[number].covered.remove(&key.vpc);
                next.operators[number].memory.forget(&key);
                next.operators[number].departures.remove(&Released::Network(key));
                next.release_network(&object);
            }
            Acceptance::Accepted => {
                let pass = NetworkPass {
                    uid: network.metadata.uid.clone().unwrap_or_default(),
                    identity: network_identity(&key),
                    key: key.clone(),
                    caller: caller(),
                    retry_refused: false,
                    group_in_use: None,
                };
                let to_be_held = network::decide::is_to_be_held(network, &key, index);
                if to_be_held || network::decide::is_to_be_recorded(network, &self.settings) {
                    let seen = self.observe(next, number, Some(&key), async |snapshot, known| {
                        let place = (&key, &pass.identity);
                        network::decide::observe_place(snapshot, place, false, &Freshness::default(), known).await
                    });
                    if network::ownership::refusal_by_aws(&key, &seen, index).is_none() {
                        if to_be_held && !next.hold_network(&object) {
                            return Ok(());
                        }
                        next.record_network(&object, &self.settings.installation);
                    }
                }
                return self.start(next, number, worker, Subject::Network { object, pass, observed: None });
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
        let mut facts = StatusFacts {
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
            NetworkBinding::Unbound { app: wanted, leg, network_to_create } => {
                if let Some(name) = network_to_create {
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
        (wanted, facts, view, network): (App, StatusFacts, NetworkView, Network),
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
        let recorded = app.status.as_ref().and_then(|status| status.function.clone());
        let pass = AppPass {
            uid: app.metadata.uid.clone().unwrap_or_default(),
            desired: Arc::new(desired),
            principal: app::decide::Principal::of(recorded.as_ref()),
            recorded,
            suspended,
            read_detail: closely || app::decide::is_in_doubt(app),
        };
        self.start(next, number, worker, Subject::Keep { object, network, pass, observed: None })
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
        let deletion = app::AppDeletion::of(object.get(), &self.settings.region);
        let places = app::removal::decide::places(&object.guarded, &deletion, &roles, &self.settings);
        let rest: Vec<_> = places.iter().cloned().collect();
        let pass = rest.first().map(|identity| DeletionPass::new(identity, &deletion, &caller(), &self.settings));
        let (deletion, places) = (Arc::new(deletion), Arc::new(places));
        let subject = Subject::Remove { object, deletion, pass, places, rest, legs: Vec::new() };
        self.start(next, number, worker, subject)
    }

    fn begin_after(&self, next: &mut State, number: usize, worker: &Worker, departed: &Released) -> Result<(), Wrong> {
        let objects = Arc::clone(&next.objects);
        let index = &objects.index;
        let world = Arc::clone(&next.world);
        let operator = &mut next.operators[number];
        // Another operator's writes do not invalidate our tables, so a check for late writes reads them anew.
        operator.kept =
            Arc::new(SnapshotState { topology: operator.kept.topology.clone(), ..SnapshotState::default() });
        let (seen_to, subject) = match departed {
            Released::App(identity) => {
                let mut memory = next.operators[number].memory.clone();
                let is_taken_up = app::removal::decide::is_taken_up(identity, index, &mut memory);
                let mut retained = || {
                    let roles = with_snapshot(&mut next.operators[number], &world, None, async |snapshot| {
                        snapshot.roles(MaxAge::Any).await
                    });
                    roles.get(&identity.role_name()).is_some_and(|role| is_retained(&role.tags))
                };
                let pass = RemovalPass::new(identity, &caller(), RemovalCause::LateWrite);
                (is_taken_up || retained(), Subject::AfterApp(pass))
            }
            Released::Network(key) => {
                let pass = LateWritePass { key: key.clone(), identity: network_identity(key) };
                (network::late_writes::is_taken_up(key, index), Subject::AfterNetwork(pass))
            }
        };
        if seen_to {
            next.operators[number].departures.insert(departed.clone(), true);
            return Ok(());
        }
        self.start(next, number, worker, subject)
    }
}
