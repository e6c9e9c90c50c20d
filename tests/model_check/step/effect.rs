//! Interprets the effects of decisions in the model's world.

use std::sync::Arc;

use kube::ResourceExt as _;
use private_genai_operator::{
    api::{FINALIZER, PrivateGenAIApp, PrivateGenAIAppStatus, PrivateGenAINetwork, PrivateGenAINetworkStatus},
    engine::{Effect, Kind, is_held},
};
use serde::Serialize;

use super::{
    super::{
        scenario::Scenario,
        state::{Object, State, uid},
    },
    look::with_snapshot,
};

/// How far a list of effects was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedOut {
    All,
    /// The object changed since the reconcile read it: the effects from there on were not carried out.
    Conflict,
}

/// A kind of object in the model's API server.
pub trait InWorld: Kind + Serialize {
    /// The present version of this object, if the object still exists.
    fn present(state: &State, object: &Object<Self>) -> Option<Object<Self>>;

    /// Replaces the present version of this object.
    fn put(state: &mut State, object: &Object<Self>, new: Option<Self>);

    fn set_status(&mut self, status: Self::Status);
}

impl InWorld for PrivateGenAIApp {
    fn present(state: &State, object: &Object<Self>) -> Option<Object<Self>> {
        state.objects.apps.values().find(|now| uid(now.get()) == uid(object.get())).cloned()
    }

    fn put(state: &mut State, object: &Object<Self>, new: Option<Self>) {
        let name =
            state.objects.apps.iter().find(|(_, now)| uid(now.get()) == uid(object.get())).map(|(name, _)| *name);
        if let Some(name) = name {
            state.with_app(name, new);
        }
    }

    fn set_status(&mut self, status: PrivateGenAIAppStatus) {
        self.status = Some(status);
    }
}

impl InWorld for PrivateGenAINetwork {
    fn present(state: &State, object: &Object<Self>) -> Option<Object<Self>> {
        state.objects.networks.values().find(|now| uid(now.get()) == uid(object.get())).cloned()
    }

    fn put(state: &mut State, object: &Object<Self>, new: Option<Self>) {
        state.with_network(&object.get().name_any(), new);
    }

    fn set_status(&mut self, status: PrivateGenAINetworkStatus) {
        self.status = Some(status);
    }
}

impl Scenario {
    /// Carries out effects in their order, up to a conflict.
    pub(super) fn carry_out<K: InWorld>(
        &self,
        next: &mut State,
        number: usize,
        object: &Object<K>,
        effects: Vec<Effect<K::Status>>,
    ) -> CarriedOut {
        for effect in effects {
            match effect {
                Effect::Hold if is_held(object.get().meta()) => {}
                Effect::Hold => match K::present(next, object).filter(|now| now.is(object)) {
                    None => return CarriedOut::Conflict,
                    Some(now) => {
                        let mut held = now.get().clone();
                        held.finalizers_mut().push(FINALIZER.to_owned());
                        K::put(next, object, Some(held));
                    }
                },
                Effect::Release => match K::present(next, object).filter(|now| now.is(object)) {
                    None => return CarriedOut::Conflict,
                    Some(now) => {
                        let mut released = now.get().clone();
                        released.finalizers_mut().clear();
                        let is_deleting = released.meta().deletion_timestamp.is_some();
                        K::put(next, object, Some(released).filter(|_| !is_deleting));
                    }
                },
                Effect::Delete => {
                    if K::present(next, object).is_some() {
                        next.delete_network(&object.get().name_any());
                    }
                }
                Effect::CreateNetwork { name, key } => next.create_network(&name, &key, true, false),
                Effect::WriteStatus(status) => {
                    if let Some(now) = K::present(next, object) {
                        let mut written = now.get().clone();
                        written.set_status(*status);
                        K::put(next, object, Some(written));
                    }
                }
                Effect::ShowConditions(legs) => panic!("every object here can be decoded: {legs:?}"),
                Effect::IncludeVpc(key) => {
                    let (operator, world) = (&mut next.operators[number], Arc::clone(&next.world));
                    if !operator.covered.contains(&key.vpc) {
                        with_snapshot(operator, &world, Some(&key), async |_| Ok(()));
                    }
                }
                Effect::ExcludeVpc(key) => drop(next.operators[number].covered.remove(&key.vpc)),
                Effect::WatchLateWrites(released) => {
                    if self.looks_after {
                        next.operators[number].departures.insert(released, false);
                    }
                }
                Effect::IgnoreLateWrites(released) => drop(next.operators[number].departures.remove(&released)),
                // The model has no Events and no metrics, every read succeeds, and each detail is read at a resync.
                Effect::Publish(_)
                | Effect::MeasureReady(_)
                | Effect::CountRepair(_)
                | Effect::CountObservation(_)
                | Effect::Settle(_)
                | Effect::RequestDetail(..) => {}
            }
        }
        CarriedOut::All
    }
}
