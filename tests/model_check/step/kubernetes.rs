//! The actions of the API server.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use private_genai_operator::{
    api::{
        DeletionPolicy, FINALIZER, IMPLICIT_LABEL, PrivateGenAIApp, PrivateGenAIAppStatus, PrivateGenAINetwork,
        PrivateGenAINetworkSpec, PrivateGenAINetworkStatus, condition::Leg, network::NetworkKey,
    },
    app::{self, StatusFacts},
    engine::{Pass, Released, is_held},
    identity::InstallationId,
    network,
};

use super::{
    super::state::{Object, State, uid},
    birth, caller, fixed,
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

    /// The present version of this object, if the object still exists.
    pub(super) fn app(&self, object: &Object<PrivateGenAIApp>) -> Option<(&'static str, &Object<PrivateGenAIApp>)> {
        let found = self.objects.apps.iter().find(|(_, now)| uid(now.get()) == uid(object.get()));
        found.map(|(name, now)| (*name, now))
    }

    pub(super) fn network(&self, object: &Object<PrivateGenAINetwork>) -> Option<&Object<PrivateGenAINetwork>> {
        self.objects.networks.values().find(|now| uid(now.get()) == uid(object.get()))
    }

    pub(super) fn is_there(&self, object: &Object<PrivateGenAINetwork>) -> bool {
        self.network(object).is_some()
    }

    /// `false`: a conflict, because the object changed meanwhile.
    pub(super) fn hold_app(&mut self, object: &Object<PrivateGenAIApp>) -> bool {
        if is_held(&object.get().metadata) {
            return true;
        }
        let Some((name, now)) = self.app(object).filter(|(_, now)| now.is(object)) else { return false };
        let mut app = now.get().clone();
        app.finalizers_mut().push(FINALIZER.to_owned());
        self.with_app(name, Some(app));
        true
    }

    pub(super) fn hold_network(&mut self, object: &Object<PrivateGenAINetwork>) -> bool {
        let Some(now) = self.network(object).filter(|now| now.is(object)) else { return false };
        let mut network = now.get().clone();
        network.finalizers_mut().push(FINALIZER.to_owned());
        self.with_network(&network.name_any(), Some(network));
        true
    }

    /// Records the installation on the object.
    pub(super) fn record_app(&mut self, object: &Object<PrivateGenAIApp>, installation: &InstallationId) {
        let Some((name, now)) = self.app(object) else { return };
        let mut app = now.get().clone();
        let status = app.status.get_or_insert_default();
        if status.installation_id.is_none() {
            status.installation_id = Some(installation.to_string());
            self.with_app(name, Some(app));
        }
    }

    pub(super) fn record_network(&mut self, object: &Object<PrivateGenAINetwork>, installation: &InstallationId) {
        let Some(now) = self.network(object) else { return };
        let mut network = now.get().clone();
        let status = network.status.get_or_insert_default();
        if status.installation_id.is_none() {
            status.installation_id = Some(installation.to_string());
            self.with_network(&network.name_any(), Some(network));
        }
    }

    pub(super) fn release_app(&mut self, object: &Object<PrivateGenAIApp>) {
        let Some((name, now)) = self.app(object).filter(|(_, now)| now.is(object)) else { return };
        let mut app = now.get().clone();
        app.finalizers_mut().clear();
        let gone = app.metadata.deletion_timestamp.is_some();
        self.with_app(name, Some(app).filter(|_| !gone));
    }

    pub(super) fn release_network(&mut self, object: &Object<PrivateGenAINetwork>) {
        let Some(now) = self.network(object).filter(|now| now.is(object)) else { return };
        let mut network = now.get().clone();
        network.finalizers_mut().clear();
        let gone = network.metadata.deletion_timestamp.is_some();
        self.with_network(&object.get().name_any(), Some(network).filter(|_| !gone));
    }

    pub(super) fn tell_app(&mut self, object: &Object<PrivateGenAIApp>, facts: StatusFacts, legs: &[Leg]) {
        let (before, generation) = (object.get().status.as_ref(), object.get().metadata.generation);
        let after = app::status(before, generation, facts, legs, fixed());
        if before.cloned().map(PrivateGenAIAppStatus::sorted) == Some(after.clone().sorted()) {
            return;
        }
        let Some((name, now)) = self.app(object) else { return };
        let mut app = now.get().clone();
        // A recorded installation stays recorded.
        let recorded = app.status.take().and_then(|status| status.installation_id);
        app.status =
            Some(PrivateGenAIAppStatus { installation_id: recorded.or(after.installation_id.clone()), ..after });
        self.with_app(name, Some(app));
    }

    pub(super) fn tell_network(
        &mut self,
        object: &Object<PrivateGenAINetwork>,
        observed: Option<&network::Observed>,
        legs: &[Leg],
    ) {
        let (before, generation) = (object.get().status.as_ref(), object.get().metadata.generation);
        let account = caller().account;
        let account = observed.map(|_| &account);
        let after = network::status(before, generation, account, observed, legs, fixed());
        if before.cloned().map(PrivateGenAINetworkStatus::sorted) == Some(after.clone().sorted()) {
            return;
        }
        let Some(now) = self.network(object) else { return };
        let mut network = now.get().clone();
        let recorded = network.status.take().and_then(|status| status.installation_id);
        let installation_id = recorded.or(after.installation_id.clone());
        network.status = Some(PrivateGenAINetworkStatus { installation_id, ..after });
        self.with_network(&network.name_any(), Some(network));
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

    pub(super) fn looked_after(&mut self, number: usize, departed: Released, pass: &Pass) {
        let empty = pass.errors().is_empty() && pass.done.is_empty() && pass.plan.legs.is_empty();
        self.operators[number].departures.insert(departed, empty);
    }
}
