//! The users of a network: apps with an object that names the VPC, and apps in AWS without an object in this cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::{Demand, Observed, Requester, Service, check_subnets};
use crate::{
    api::{AppName, Guarded, PrivateGenAIApp, network::NetworkKey},
    aws::{Role, SubnetId},
    engine::{Memory, Unseen},
    identity::{AppIdentity, NetworkIdentity, TAG_APP_NAME, TAG_APP_NAMESPACE, app_of_role, is_retained},
    index::{Admission, AppDemand, Index, IndexedApp, created_seconds},
    plan::Source,
    policy::{ModelId, models_of_role},
};

/// The role's app has an object in this cluster that is responsible for the role. An object of the same name in another VPC
/// is not responsible, nor a refused one without the finalizer; an object that cannot be decoded may be.
pub(super) fn has_object(role: &Role, key: &NetworkKey, index: &Index) -> bool {
    let is_refused = |app: &IndexedApp| matches!(app.admission, Some(Admission::Refused(..)));
    app_of_tags(role).and_then(|name| index.app(&name)).is_some_and(|app| {
        app.network.as_ref().is_none_or(|here| here == key)
            && (app.is_held() || (!app.is_deleting() && !is_refused(app)))
    })
}

/// The app that the role's tags name.
fn app_of_tags(role: &Role) -> Option<AppName> {
    Some(AppName { namespace: role.tags.get(TAG_APP_NAMESPACE)?.clone(), name: role.tags.get(TAG_APP_NAME)?.clone() })
}

fn identity(
    AppName { namespace, name }: &AppName,
    NetworkKey { region, vpc }: &NetworkKey,
    index: &Index,
) -> AppIdentity {
    AppIdentity {
        installation: index.settings().installation.clone(),
        region: region.clone(),
        vpc: vpc.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
    }
}

/// An app in AWS without an object in this cluster.
pub(super) struct AppWithoutObject {
    /// The models in the role's policy that the configuration still allows in the app's namespace.
    pub(super) models: BTreeSet<ModelId>,
    /// The models in the role's policy that the configuration does not allow any more.
    pub(super) revoked: BTreeSet<ModelId>,
    /// The app's object was deleted with the policy `Retain`.
    pub(super) retained: bool,
}

/// The apps that have a role, and so most likely a function, but no object that demands for them. The object cannot be
/// decoded, is refused by the settings, lost its finalizer, or is not applied yet after the cluster was rebuilt; or the app
/// was retained. The models in their roles' policies are their demand, so their path stays.
///
/// Models that the settings do not allow any more are revoked. The list of allowed VPCs revokes none: it limits where the
/// operator builds and is empty by default, and an operator that runs without the list (a rebuilt cluster, a mistake) must
/// not cut off apps.
pub(super) fn apps_without_object(
    key: &NetworkKey,
    observed: &Observed,
    index: &Index,
    memory: &mut Memory,
) -> BTreeMap<String, AppWithoutObject> {
    observed
        .live_roles
        .iter()
        .filter_map(|role| {
            let app = app_of_tags(role);
            let object = app.as_ref().and_then(|app| index.app(app));
            if object.and_then(IndexedApp::accepted).is_some_and(|app| app.network == *key) {
                // The object demands. The policy of the role need not be read.
                return None;
            }
            let (given, allow) = (models_of_role(role, &key.region), &index.settings().implicit_networks.allow);
            let without_object = |models: BTreeSet<ModelId>, retained| {
                let revoked = given.difference(&models).cloned().collect();
                AppWithoutObject { models, revoked, retained }
            };
            let Some(app) = app else {
                // The role lost the tags that name its app, and that app may still exist.
                let models = allow.narrowed_anywhere(given.clone());
                return Some((app_of_role(&role.name), without_object(models, is_retained(&role.tags))));
            };
            let models = allow.narrowed(&app.namespace, given.clone());
            let retained =
                is_retained(&role.tags) || memory.may_be_invisible(&Unseen::RetainedRole(identity(&app, key, index)));
            Some((app.to_string(), without_object(models, retained)))
        })
        .collect()
}

/// The apps with an object that use a network, as `namespace/name`.
pub(super) fn user_names(key: &NetworkKey, index: &Index) -> BTreeSet<String> {
    index.users(key).map(|app| AppName::of(&*app.object).to_string()).collect()
}

/// The demands of the apps with an object: one for all apps that demand the same. An app with resources demands until it is gone, also
/// with an invalid spec or unusable subnets; an app without resources demands only if its subnets are usable.
pub(super) fn demands(key: &NetworkKey, observed: &Observed, identity: &NetworkIdentity, index: &Index) -> Vec<Demand> {
    // While the topology cannot be read, named subnets count as unusable: no app moves to them or begins with them.
    let usable = |subnets: &BTreeSet<SubnetId>| {
        let unknown = observed.unread.lacks(Source::Topology) && !subnets.is_empty();
        let fits = |service: &Service| {
            let (vpc, region) = (&identity.vpc, identity.region.as_str());
            check_subnets(vpc, region, &observed.topology, *service, subnets).is_ok()
        };
        !unknown && (observed.vpc().is_none() || Service::ALL.iter().all(fits))
    };
    let mut known: BTreeMap<&BTreeSet<SubnetId>, bool> = BTreeMap::new();
    let demands = index.demands(key).filter_map(|(AppDemand { held, models, subnets }, oldest, apps)| {
        let usable = *known.entry(subnets).or_insert_with(|| usable(subnets));
        (*held || usable).then(|| Demand {
            requester: requester(&oldest.object),
            apps,
            models: models.clone(),
            subnets: if usable { subnets.clone() } else { BTreeSet::new() },
        })
    });
    demands.collect()
}

/// The app as the requester of a demand, with the time of creation that orders demands.
fn requester(app: &Guarded<PrivateGenAIApp>) -> Requester {
    let AppName { namespace, name } = AppName::of(app);
    Requester::Object { created: created_seconds(app), namespace, name }
}
