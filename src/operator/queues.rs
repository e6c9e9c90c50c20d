//! Wakes the objects that a change concerns.

use std::{collections::BTreeSet, sync::Arc};

use futures::channel::mpsc::UnboundedSender;
use kube::runtime::reflector::ObjectRef;

use super::watch::Change;
use crate::{
    api::{AppName, Guarded, ObjectName, PrivateGenAIApp, PrivateGenAINetwork},
    engine::Context,
    index::{Concerned, Index},
};

type AppRef = ObjectRef<Guarded<PrivateGenAIApp>>;
type NetworkRef = ObjectRef<Guarded<PrivateGenAINetwork>>;

/// The queues of both controllers, that of networks which apps ask for, and that of objects that were touched.
pub(super) struct Queues<'a> {
    pub(super) context: &'a Context,
    pub(super) apps: UnboundedSender<AppRef>,
    pub(super) networks: UnboundedSender<NetworkRef>,
    pub(super) asked_networks: UnboundedSender<String>,
    pub(super) touched: UnboundedSender<ObjectName>,
}

impl Queues<'_> {
    /// Wakes one object. An object that is gone meanwhile is not reconciled.
    pub(super) fn wake(&self, object: &ObjectName) {
        self.context.metrics.woken(object);
        // A closed queue belongs to an operator that is shutting down, or does not lead any more.
        match object {
            ObjectName::App(AppName { namespace, name }) => {
                drop(self.apps.unbounded_send(ObjectRef::new(name).within(namespace)));
            }
            ObjectName::Network(name) => drop(self.networks.unbounded_send(ObjectRef::new(name))),
        }
    }

    /// Wakes all objects.
    pub(super) fn everything(&self) {
        self.context.index().names().for_each(|object| self.wake(&object));
    }

    /// An object that was touched, with the network that it rests on.
    pub(super) fn with_network(&self, touched: ObjectName) -> BTreeSet<ObjectName> {
        self.context.index().with_network(touched)
    }

    pub(super) fn app_changed(&self, change: Change<PrivateGenAIApp>) {
        match change {
            Change::Listed(apps) => self.listed(apps, Index::apply_app),
            Change::One(app) => {
                self.concern(self.context.change_index(|index| index.apply_app(app)), Self::wake_for_app);
            }
            Change::Gone(app) => {
                let concerned = self.context.change_index(|index| index.remove_app(&AppName::of(&*app)));
                self.concern(concerned, Self::wake_for_app);
            }
        }
    }

    pub(super) fn network_changed(&self, change: Change<PrivateGenAINetwork>) {
        match change {
            Change::Listed(networks) => self.listed(networks, Index::apply_network),
            Change::One(network) => {
                self.concern(self.context.change_index(|index| index.apply_network(network)), Self::wake);
            }
            Change::Gone(network) => {
                let name = kube::ResourceExt::name_any(&*network);
                self.concern(self.context.change_index(|index| index.remove_network(&name)), Self::wake);
            }
        }
    }

    /// All objects of a kind are listed anew: changes are told by comparison with these from here on.
    fn listed<K>(&self, objects: Vec<Arc<Guarded<K>>>, apply: fn(&mut Index, Arc<Guarded<K>>) -> Concerned) {
        self.context.change_index(|index| {
            for object in objects {
                apply(index, object);
            }
        });
        self.everything();
    }

    /// A change of an app wakes the networks that the change concerns at most once a second.
    fn wake_for_app(&self, object: &ObjectName) {
        match object {
            ObjectName::App(_) => self.wake(object),
            ObjectName::Network(name) => drop(self.asked_networks.unbounded_send(name.clone())),
        }
    }

    fn concern(&self, concerned: Concerned, wake: fn(&Self, &ObjectName)) {
        match concerned {
            Concerned::Touched(object) => drop(self.touched.unbounded_send(object)),
            Concerned::Woken(objects) => objects.iter().for_each(|object| wake(self, object)),
        }
    }
}
