//! Networks that retained apps go on using. One that is torn down would wait for those apps for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Item, Kind};
use crate::{
    api::network::NetworkKey,
    aws::{Aws, MaxAge, Region, Role, Snapshots},
    controller::Settings,
    identity::{AppIdentity, InstallationId, app_of_role, is_retained},
    plan::listed,
};

/// How old the roles may be by which retained apps are found.
const ROLES_MAX_AGE: Duration = Duration::from_secs(30);

/// Retained apps: those that were seen here, and those that roles tell of.
pub(super) struct Retained {
    snapshots: Snapshots,
    installation: InstallationId,
    home: Region,
    /// IAM may be late to show the tags of these.
    seen: BTreeSet<(String, String)>,
    /// Networks by their uid.
    kept: BTreeSet<String>,
}

impl Retained {
    pub(super) fn new(aws: Arc<dyn Aws>, settings: &Settings) -> Self {
        let (installation, home) = (settings.installation.clone(), settings.region.clone());
        let snapshots = Snapshots::new(aws, installation.clone(), home.clone());
        Self { snapshots, installation, home, seen: BTreeSet::new(), kept: BTreeSet::new() }
    }

    /// The networks that are still to be told to go without their resources, and the retained apps on them. None as long as there
    /// are apps: they are to say in AWS first that they are retained.
    pub(super) async fn networks<'a>(&mut self, items: &'a [Item]) -> Vec<(&'a Item, String)> {
        let apps = items.iter().filter(|item| item.kind == Kind::App);
        self.seen.extend(
            apps.clone()
                .filter(|app| app.retained)
                .map(|app| (app.namespace.clone().unwrap_or_default(), app.name.clone())),
        );
        if apps.count() > 0 || items.iter().all(|network| network.retained || self.kept.contains(&network.uid)) {
            return Vec::new();
        }
        let roles = match self.snapshots.region(&self.home).roles(MaxAge::Under(ROLES_MAX_AGE)).await {
            Ok(roles) => roles,
            // The networks wait, and say for whom: it is looked again.
            Err(error) => {
                tracing::warn!(%error, "whether retained apps use the networks could not be looked at");
                return Vec::new();
            }
        };
        let users = users(roles.values(), &self.installation, &self.seen);
        items
            .iter()
            .filter(|network| !network.retained && !self.kept.contains(&network.uid))
            .filter_map(|network| Some((network, listed(users.get(network.network.as_ref()?)?))))
            .collect()
    }

    /// This network is to go without its resources, and says so.
    pub(super) fn keeps(&mut self, network: &Item) {
        self.kept.insert(network.uid.clone());
    }
}

/// The retained apps that have a role, by their network.
fn users<'a>(
    roles: impl Iterator<Item = &'a Role>,
    installation: &InstallationId,
    seen: &BTreeSet<(String, String)>,
) -> BTreeMap<NetworkKey, BTreeSet<String>> {
    let mut users = BTreeMap::<_, BTreeSet<String>>::new();
    for role in roles {
        // Also where it lost the tags that name its app.
        let Some((region, vpc)) = installation.place_of(&role.tags) else { continue };
        let app = AppIdentity::from_tags(installation, &role.tags);
        let name = app.as_ref().map_or_else(|| app_of_role(&role.name), AppIdentity::app);
        let is_seen = app.is_some_and(|app| seen.contains(&(app.namespace, app.name)));
        if is_retained(&role.tags) || is_seen {
            users.entry(NetworkKey { region, vpc }).or_default().insert(name);
        }
    }
    users
}
