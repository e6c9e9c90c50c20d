//! Who uses a network: the apps that name it, and those that live in AWS without an object here.

use std::collections::{BTreeMap, BTreeSet};

use super::{Demand, Observed, Requester, Service, check_subnets};
use crate::{
    api::{AppName, Guarded, PrivateGenAIApp, network::NetworkKey},
    aws::Role,
    engine::{Memory, Unseen},
    identity::{AppIdentity, NetworkIdentity, TAG_APP_NAME, TAG_APP_NAMESPACE, app_of_role, is_retained},
    index::{Admission, Index, IndexedApp, created_seconds},
    plan::Source,
    policy::{ModelId, models_of_role},
};

/// The app that a role on a network belongs to has an object here, which still has to do with it. One of its name in another VPC
/// has not, nor one that may not be there and never was; one that cannot be read may have.
pub(super) fn has_object(role: &Role, key: &NetworkKey, index: &Index) -> bool {
    let is_refused = |app: &IndexedApp| matches!(app.admission, Some(Admission::Refused(..)));
    named_on(role, key, index).and_then(|identity| index.app(&AppName::from(&identity))).is_some_and(|app| {
        app.network.as_ref().is_none_or(|here| here == key)
            && (app.is_held() || (!app.is_deleting() && !is_refused(app)))
    })
}

/// The app that the tags of a role on a network name.
fn named_on(role: &Role, key: &NetworkKey, index: &Index) -> Option<AppIdentity> {
    let NetworkKey { region, vpc } = key.clone();
    let installation = index.settings().installation.clone();
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
    index: &Index,
    memory: &mut Memory,
) -> BTreeMap<String, WithoutObject> {
    observed
        .live_roles
        .iter()
        .filter_map(|role| {
            let (given, allow) = (models_of_role(role, &key.region), &index.settings().implicit_networks.allow);
            let without_object = |models: BTreeSet<ModelId>, retained| {
                let revoked = given.difference(&models).cloned().collect();
                WithoutObject { models, revoked, retained }
            };
            let Some(identity) = named_on(role, key, index) else {
                // It lost the tags that say whose it is: nobody knows whether that app is gone.
                let models = allow.narrowed_anywhere(given.clone());
                return Some((app_of_role(&role.name), without_object(models, is_retained(&role.tags))));
            };
            let retained = is_retained(&role.tags) || memory.may_be_invisible(&Unseen::RetainedRole(identity.clone()));
            let app = identity.app();
            let models = allow.narrowed(&identity.namespace, given.clone());
            let object = index.app(&AppName::from(&identity));
            let demands_itself = object.and_then(IndexedApp::accepted).is_some_and(|app| app.network == *key);
            (!demands_itself).then(|| (app, without_object(models, retained)))
        })
        .collect()
}

/// The apps that use a network, as `namespace/name`, in order.
pub(super) fn user_names(key: &NetworkKey, index: &Index) -> BTreeSet<String> {
    index.users(key).map(|app| AppName::of(&*app.object).to_string()).collect()
}

/// What the apps that use a network demand. An app that has resources demands for them until it is gone, whatever becomes of its
/// spec and subnets; one that has none yet demands nothing that it could not use.
pub(super) fn demands(key: &NetworkKey, observed: &Observed, identity: &NetworkIdentity, index: &Index) -> Vec<Demand> {
    let demand = |user: &IndexedApp| {
        let held = user.is_held();
        let requester = requester(&user.object);
        // Of an app that may not be there, what its role allows is told by the role, if that is there: it keeps what
        // it has, and gets no more by what it says now.
        let (models, subnets) = match user.admission.as_ref()? {
            Admission::Accepted(app) => (app.models.iter().cloned().collect(), &app.subnets),
            Admission::Refused(app, _) => (BTreeSet::new(), &app.subnets),
            Admission::Unreadable(_) => {
                return held.then(|| Demand { requester, models: BTreeSet::new(), subnets: BTreeSet::new() });
            }
        };
        // Whether subnets can be used is not known: nobody is moved to them, or begins with them, by that.
        let unknown = observed.unread.lacks(Source::Topology) && !subnets.is_empty();
        let fits = |service: &Service| {
            let (vpc, region) = (&identity.vpc, identity.region.as_str());
            check_subnets(vpc, region, &observed.topology, *service, subnets).is_ok()
        };
        let usable = !unknown && (observed.vpc().is_none() || Service::ALL.iter().all(fits));
        if !held && !usable {
            return None;
        }
        Some(Demand { requester, models, subnets: if usable { subnets.clone() } else { BTreeSet::new() } })
    };
    index.users(key).filter_map(demand).collect()
}

/// When it is an app's turn.
fn requester(app: &Guarded<PrivateGenAIApp>) -> Requester {
    let AppName { namespace, name } = AppName::of(app);
    Requester::Object { created: created_seconds(app), namespace, name }
}
