//! Has AWS read anew every few minutes, although nothing happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::queues::Queues;
use crate::{
    api::{AppName, network::NetworkKey},
    aws::Region,
    engine::{Context, DetailRead},
    index::Index,
    rotation::next_in_rotation,
    settings::Settings,
};

/// Forgets the tables and wakes all objects, at each interval of the settings.
pub(super) async fn run(context: &Context, queues: &Queues<'_>) -> Infallible {
    let every = context.settings.resync;
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = BTreeMap::new();
    loop {
        ticks.tick().await;
        context.snapshots.keep_regions(&regions_in_use(context));
        context.snapshots.resync();
        // The details that no table shows are read in rotation, of one app of each network each time: the cost does not follow the
        // number of apps.
        let next = held_apps(&context.index()).into_iter().filter_map(|(network, apps)| {
            let next = next_in_rotation(&apps, last.get(&network), 1).next()?.clone();
            Some((network, next))
        });
        last = next.collect();
        for app in last.values() {
            context.requests.request_detail(app.clone(), DetailRead::Rotation);
        }
        queues.everything();
    }
}

/// The apps that have resources in AWS and can be read, by their network.
fn held_apps(index: &Index) -> BTreeMap<NetworkKey, BTreeSet<AppName>> {
    let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for app in index.apps().filter(|app| app.is_held()) {
        if let Some(network) = &app.network {
            held.entry(network.clone()).or_default().insert(AppName::of(&*app.object));
        }
    }
    held
}

/// The regions in which AWS is read: those that objects name and the settings allow, and those where something was built before.
fn regions_in_use(context: &Context) -> BTreeSet<Region> {
    let index = context.index();
    let Settings { region: home, regions: allowed, .. } = index.settings().as_ref();
    let used = index.regions().filter(|(region, held)| *held || allowed.allows(region));
    used.map(|(region, _)| region.clone()).chain(context.late_writes.regions()).chain([home.clone()]).collect()
}
