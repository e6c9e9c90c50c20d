//! The actions of the API server.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use private_genai_operator::{
    api::{
        DeletionPolicy, IMPLICIT_LABEL, PrivateGenAIApp, PrivateGenAINetwork, PrivateGenAINetworkSpec,
        network::NetworkKey,
    },
    engine::{LateWriteCheck, Released},
};

use super::{
    super::state::{Object, State},
    birth, fixed,
};

impl State {
    pub(super) fn with_app(&mut self, name: &'static str, app: Option<PrivateGenAIApp>) {
        let mut apps = self.objects.apps.clone();
        match app {
            Some(app) => drop(apps.insert(name, Object::new(app))),
            None => drop(apps.remove(name)),
        }
        self.objects = Arc::new(self.objects.with_apps(apps));
    }

    pub(super) fn with_network(&mut self, name: &str, network: Option<PrivateGenAINetwork>) {
        let mut networks = self.objects.networks.clone();
        match network {
            Some(network) => drop(networks.insert(name.to_owned(), Object::new(network))),
            None => drop(networks.remove(name)),
        }
        self.objects = Arc::new(self.objects.with_networks(networks));
    }

    fn new_uid(&mut self) -> String {
        self.created += 1;
        format!("uid-{:017}", self.created)
    }

    /// A user or the operator creates a network; an existing one stays.
    pub fn create_network(&mut self, name: &str, key: &NetworkKey, implicit: bool, retain: bool) {
        if self.objects.networks.contains_key(name) {
            return;
        }
        let mut network = PrivateGenAINetwork::new(name, PrivateGenAINetworkSpec::of(key));
        network.spec.deletion_policy = retain.then_some(DeletionPolicy::Retain);
        if implicit {
            network.labels_mut().insert(IMPLICIT_LABEL.to_owned(), "true".to_owned());
        }
        network.metadata.uid = Some(self.new_uid());
        network.metadata.generation = Some(1);
        network.metadata.creation_timestamp = Some(birth(0));
        self.with_network(name, Some(network));
    }

    /// A user creates an app.
    pub fn create_app(&mut self, name: &'static str, mut app: PrivateGenAIApp) {
        app.metadata.uid = Some(self.new_uid());
        app.metadata.namespace = Some("team-a".to_owned());
        app.metadata.generation = Some(1);
        app.metadata.creation_timestamp = Some(birth(0));
        self.with_app(name, Some(app));
    }

    /// A user changes the spec of an app.
    pub fn edit_app(&mut self, name: &'static str, edit: impl FnOnce(&mut PrivateGenAIApp)) {
        let Some(now) = self.objects.apps.get(name) else { return };
        let mut app = now.get().clone();
        edit(&mut app);
        app.metadata.generation = app.metadata.generation.map(|generation| generation + 1);
        self.with_app(name, Some(app));
    }

    /// A user deletes an app.
    pub fn delete_app(&mut self, name: &'static str) {
        let Some(now) = self.objects.apps.get(name) else { return };
        let mut app = now.get().clone();
        let held = !app.finalizers().is_empty();
        app.metadata.deletion_timestamp = Some(Time(fixed()));
        self.with_app(name, Some(app).filter(|_| held));
    }

    /// A user or the operator deletes a network.
    pub fn delete_network(&mut self, name: &str) {
        let Some(now) = self.objects.networks.get(name) else { return };
        let mut network = now.get().clone();
        let held = !network.finalizers().is_empty();
        network.metadata.deletion_timestamp = Some(Time(fixed()));
        self.with_network(name, Some(network).filter(|_| held));
    }

    pub(super) fn looked_after(&mut self, number: usize, departed: Released, check: &LateWriteCheck) {
        self.operators[number].departures.insert(departed, *check == LateWriteCheck::NothingLeft);
    }
}
