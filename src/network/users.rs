//! Who uses a network: the apps that name it, and those that live in AWS without an object here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::{Resource as _, ResourceExt as _, runtime::reflector::ObjectRef};

use super::{Demand, Observed, Requester, Service, check_subnets};
use crate::{
    api::{PrivateGenAIApp, app::App, network::NetworkKey},
    app::{Admission, retained_role},
    aws::Role,
    engine::{Cluster, Guarded, Memory, is_held, network_of},
    identity::{AppIdentity, NetworkIdentity, TAG_APP_NAME, TAG_APP_NAMESPACE, app_of_role, is_retained},
    plan::Source,
    policy::{ModelId, models_of_role},
};

/// The app that a role on a network belongs to has an object here, which still has to do with it. One of its name in another VPC
/// has not, nor one that may not be there and never was; one that cannot be read may have.
pub(super) fn has_object(role: &Role, key: &NetworkKey, cluster: &Cluster<'_>) -> bool {
    let is_refused = |app: &Guarded<PrivateGenAIApp>| {
        let admission = app.0.as_ref().ok().map(|app| Admission::of(app, cluster.settings));
        matches!(admission, Some(Admission::Refused(..)))
    };
    named_on(role, key, cluster).is_some_and(|identity| {
        let object = ObjectRef::new(&identity.name).within(&identity.namespace);
        cluster.apps.get(&object).is_some_and(|app| {
            network_of(&app, &cluster.settings.region).is_none_or(|here| here == *key)
                && (is_held(app.meta()) || (app.meta().deletion_timestamp.is_none() && !is_refused(&app)))
        })
    })
}

/// The app that the tags of a role on a network name.
fn named_on(role: &Role, key: &NetworkKey, cluster: &Cluster<'_>) -> Option<AppIdentity> {
    let NetworkKey { region, vpc } = key.clone();
    let installation = cluster.settings.installation.clone();
    let (namespace, name) = (role.tags.get(TAG_APP_NAMESPACE)?.clone(), role.tags.get(TAG_APP_NAME)?.clone());
    Some(AppIdentity { installation, region, vpc, namespace, name })
}

/// An app that lives in AWS without an object here.
pub(super) struct WithoutObject {
    /// The models that the operator let its role call, as far as an app in its namespace may call them today.
    pub(super) models: BTreeSet<ModelId>,
    /// Those that it may not call any more.
    pub(super) revoked: BTreeSet<ModelId>,
    /// Its object was deleted so that it stays.
    pub(super) retained: bool,
}

/// Apps that have a role, and so most likely a function, but no object that could demand for them: one that cannot be
/// read, may not be there by the settings, or is not applied yet after the cluster was rebuilt, or lost its finalizer. What their roles were
/// given is their demand, and their path stays. So it is for apps that were retained.
///
/// Models that the settings do not allow any more are revoked. The list of VPCs revokes none: it says where the operator may
/// build, is empty by default, and an operator that is not told it (a rebuilt cluster, a mistake) must cut nobody off.
pub(super) fn apps_without_object(
    key: &NetworkKey,
    observed: &Observed,
    cluster: &Cluster<'_>,
    memory: &mut Memory,
) -> BTreeMap<String, WithoutObject> {
    observed
        .live_roles
        .iter()
        .filter_map(|role| {
            let (given, allow) = (models_of_role(role, &key.region), &cluster.settings.implicit_networks.allow);
            let without_object = |models: BTreeSet<ModelId>, retained| {
                let revoked = given.difference(&models).cloned().collect();
                WithoutObject { models, revoked, retained }
            };
            let Some(identity) = named_on(role, key, cluster) else {
                // It lost the tags that say whose it is: nobody knows whether that app is gone.
                let models = allow.narrowed_anywhere(given.clone());
                return Some((app_of_role(&role.name), without_object(models, is_retained(&role.tags))));
            };
            let object = cluster.apps.get(&ObjectRef::new(&identity.name).within(&identity.namespace));
            let retained = is_retained(&role.tags) || memory.may_be_invisible(&retained_role(&identity));
            let app = identity.app();
            let models = allow.narrowed(&identity.namespace, given.clone());
            let demands_itself = object.is_some_and(|object| {
                let app = object.0.as_ref().ok().and_then(|app| Admission::of(app, cluster.settings).accepted());
                app.is_some_and(|app| app.network == *key)
            });
            (!demands_itself).then(|| (app, without_object(models, retained)))
        })
        .collect()
}

/// The apps that name a network.
pub(super) struct Users {
    pub(super) apps: Vec<Arc<Guarded<PrivateGenAIApp>>>,
}

impl Users {
    pub(super) fn of(key: &NetworkKey, cluster: &Cluster<'_>) -> Self {
        let uses = |app: &PrivateGenAIApp| {
            let comes = || {
                // One that goes and is not held by us has nothing in AWS any more.
                app.metadata.deletion_timestamp.is_none() && Admission::of(app, cluster.settings).accepted().is_some()
            };
            App::network(&app.spec, &cluster.settings.region).as_ref() == Ok(key) && (is_held(&app.metadata) || comes())
        };
        // Another installation's app has its network there, and nothing on this one.
        let is_ours = |app: &PrivateGenAIApp| app.recorded(&cluster.settings.installation).may_be_ours();
        let counts = |app: &Arc<Guarded<PrivateGenAIApp>>| app.0.as_ref().is_ok_and(|app| uses(app) && is_ours(app));
        Self { apps: cluster.apps.state().into_iter().filter(counts).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    /// The apps, as `namespace/name`, in order.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.apps.iter().map(|app| format!("{}/{}", app.namespace().unwrap_or_default(), app.name_any())).collect()
    }

    /// Some app will create the implicit network again when this object is gone.
    pub(super) fn bring_another(&self, cluster: &Cluster<'_>) -> bool {
        self.apps.iter().filter_map(|app| app.0.as_ref().ok()).any(|app| {
            app.metadata.deletion_timestamp.is_none() && Admission::of(app, cluster.settings).accepted().is_some()
        })
    }

    /// What they demand. An app that has resources demands for them until it is gone, whatever becomes of its spec and subnets;
    /// one that has none yet demands nothing that it could not use.
    pub(super) fn demands(
        &self,
        observed: &Observed,
        identity: &NetworkIdentity,
        cluster: &Cluster<'_>,
    ) -> Vec<Demand> {
        self.apps
            .iter()
            .filter_map(|app| app.0.as_ref().ok())
            .filter_map(|object| {
                let held = is_held(&object.metadata);
                // Of an app that may not be there, what its role allows is told by the role, if that is there: it keeps what
                // it has, and gets no more by what it says now.
                let app = match Admission::of(object, cluster.settings) {
                    Admission::Accepted(app) => app,
                    Admission::Refused(app, _) => App { models: Vec::new(), ..app },
                    Admission::Unreadable(_) => {
                        let (models, subnets) = (BTreeSet::new(), BTreeSet::new());
                        return held.then(|| Demand { requester: requester(object), models, subnets });
                    }
                };
                // Whether subnets can be used is not known: nobody is moved to them, or begins with them, by that.
                let unknown = observed.unread.lacks(Source::Topology) && !app.subnets.is_empty();
                let fits = |service: &Service| {
                    let (vpc, region) = (&identity.vpc, identity.region.as_str());
                    check_subnets(vpc, region, &observed.topology, *service, &app.subnets).is_ok()
                };
                let usable = !unknown && (observed.vpc().is_none() || Service::ALL.iter().all(fits));
                if !held && !usable {
                    return None;
                }
                let subnets = if usable { app.subnets } else { BTreeSet::new() };
                Some(Demand { requester: requester(object), models: app.models.into_iter().collect(), subnets })
            })
            .collect()
    }
}

/// When it is an app's turn.
fn requester(object: &PrivateGenAIApp) -> Requester {
    Requester::Object {
        created: object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}
