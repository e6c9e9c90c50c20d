//! The begin of a pass: the decision to begin, and the knowledge at that time.

use std::sync::Arc;

use private_genai_operator::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    app::{
        self, AppReconcile,
        removal::{
            decide::{RemovalCause, RemovalPass},
            reconcile::Removal,
        },
    },
    aws::{MaxAge, SnapshotState},
    engine::{Freshness, Pass, Released, is_held},
    identity::is_retained,
    network::{self, NetworkReconcile, late_writes::LateWritePass, reconcile::Missing},
};

use super::{
    super::{
        scenario::Scenario,
        state::{Object, Run, State, Subject, Worker},
    },
    How, Wrong, caller, circumstances,
    effect::CarriedOut,
    fixed,
    look::with_snapshot,
    network_identity,
};

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
        let index = Arc::clone(&next.objects.index);
        let memory = &mut next.operators[number].memory;
        let (effects, mut reconcile) = match NetworkReconcile::begin(object.get(), &index, memory, fixed()) {
            Ok(begun) => begun,
            Err(decision) => {
                self.carry_out(next, number, &object, decision.effects);
                return Ok(());
            }
        };
        self.carry_out(next, number, &object, effects);
        if reconcile.missing != Missing::Nothing {
            let (key, identity) = (reconcile.key.clone(), network_identity(&reconcile.key));
            let seen = self.observe(next, number, Some(&key), async |snapshot, known| {
                let place = (&key, &identity);
                network::decide::observe_place(snapshot, place, false, &Freshness::default(), known).await
            });
            let effects = match reconcile.hold(&seen, &index, &circumstances()) {
                Ok(effects) => effects,
                Err(decision) => {
                    self.carry_out(next, number, &object, decision.effects);
                    return Ok(());
                }
            };
            let CarriedOut::All = self.carry_out(next, number, &object, effects) else { return Ok(()) };
        }
        let pass = reconcile.pass(&caller(), false, &self.settings);
        let reconcile = Arc::new(reconcile);
        self.start(next, number, worker, Subject::Network { object, reconcile, pass, observed: None })
    }

    fn begin_app(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
        closely: bool,
    ) -> Result<(), Wrong> {
        let index = Arc::clone(&next.objects.index);
        let app = object.get();
        let held = AppReconcile::begin(app, &index, fixed()).and_then(|(effects, reconcile)| {
            self.carry_out(next, number, &object, effects);
            let reconcile = reconcile.with_network(app, None, fixed())?;
            reconcile.prepare(app, Ok(&caller()), Ok(None), &self.settings, &circumstances())
        });
        let (effects, reconcile, mut pass) = match held {
            Ok(held) => held,
            Err(decision) => {
                self.carry_out(next, number, &object, decision.effects);
                return Ok(());
            }
        };
        let CarriedOut::All = self.carry_out(next, number, &object, effects) else { return Ok(()) };
        pass.read_detail |= closely;
        let reconcile = Arc::new(reconcile);
        self.start(next, number, worker, Subject::Keep { object, reconcile, pass, observed: None })
    }

    fn begin_removal(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
    ) -> Result<(), Wrong> {
        let mut removal = match Removal::begin(&object.guarded, None, &self.settings, fixed()) {
            Ok(removal) => removal,
            Err(decision) => {
                self.carry_out(next, number, &object, decision.effects);
                return Ok(());
            }
        };
        let world = Arc::clone(&next.world);
        let roles = with_snapshot(&mut next.operators[number], &world, None, async |snapshot| {
            snapshot.roles(MaxAge::Any).await
        });
        removal.in_places(&object.guarded, &caller(), Ok(&roles), &self.settings);
        let pass = removal.next(&self.settings);
        self.start(next, number, worker, Subject::Remove { object, removal: Arc::new(removal), pass })
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
