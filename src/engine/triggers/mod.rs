//! One shared watch for each kind feeds both controllers: first the store is changed, then whoever is concerned is
//! woken, so that no change is missed and none is looked at before it can be seen.

mod queues;
mod touches;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    channel::mpsc::unbounded,
    future::{LocalBoxFuture, join, join3, ready},
};
use kube::{
    Client, Resource, ResourceExt as _,
    runtime::{
        Config, applier,
        controller::{self, Action},
        reflector::{ObjectRef, Store, store::store},
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    queues::{Queues, key_of as key_of_network},
    touches::{ReadRequest as TouchedLook, Touched, Touches},
    watch::{Change, watch},
};
use super::{
    Context, DetailRead, Error, Guarded, Pace, ReadBy, Settings,
    context::{key, key_of},
    credentials, gauges, is_held,
    late_writes::look_after,
    network_of, with_timeout,
};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, network::NetworkKey},
    app,
    aws::{AccountId, Aws, Region},
    leadership::Leadership,
    metrics::Metrics,
    network,
    rotation::next_in_rotation,
    server::Readiness,
};

/// Watches, reconciles, and resyncs until `stop`; then ends what is under way and returns. `ready` is told once both kinds
/// have been listed, and whether AWS takes the operator's credentials. Nothing is written without `leadership`.
pub async fn run(
    client: Client,
    aws: Arc<dyn Aws>,
    settings: Settings,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    ready: Arc<Readiness>,
    stop: CancellationToken,
) {
    let client = leadership.fence(&with_timeout(&client));
    let (apps, app_writer) = store();
    let (networks, network_writer) = store();
    let (app_queue, app_requests) = unbounded();
    let (network_queue, network_requests) = unbounded();
    let (touch_queue, mut touch_requests) = unbounded();
    let resync = settings.resync;
    let concurrency = settings.concurrency;
    let queues = Queues {
        apps: apps.clone(),
        networks: networks.clone(),
        home: settings.region.clone(),
        app_queue,
        network_queue,
        touch_queue,
        seen: Mutex::default(),
        metrics: Arc::clone(&metrics),
    };
    let context = Arc::new(Context::new(
        client.clone(),
        aws,
        settings,
        apps.clone(),
        networks.clone(),
        metrics,
        leadership,
        stop.clone(),
    ));

    context.metrics.forget_queue();
    gauges::show(&context);

    let watch_apps = watch::<PrivateGenAIApp>(&client, app_writer, |change| {
        if let Change::Gone(app) = &change {
            let uid = app.uid().unwrap_or_default();
            context.written_apps.forget(&uid);
            context.gone(&key("app", app), &uid);
        }
        queues.app_changed(change);
    });
    let watch_networks = watch::<PrivateGenAINetwork>(&client, network_writer, |change| {
        if let Change::Gone(network) = &change {
            let uid = network.uid().unwrap_or_default();
            context.written_networks.forget(&uid);
            context.gone(&key("network", network), &uid);
        }
        if let Change::Listed = &change
            && let Some(account) = recorded_account(&networks)
        {
            context.snapshots.work_in(account);
        }
        queues.network_changed(change);
    });
    let resync = async {
        both_listed(&apps, &networks).await;
        ready.listed();
        let mut ticks = tokio::time::interval_at(Instant::now() + resync, resync);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looked_at = BTreeMap::new();
        loop {
            ticks.tick().await;
            context.snapshots.keep_regions(&regions_in_use(&context));
            context.snapshots.resync();
            // What no table shows is looked at in turn, one app of each network each time: the cost does not follow the
            // number of apps.
            let turns = held_apps(&apps, &queues.home).into_iter();
            let turns = turns.filter_map(|(network, apps)| {
                let next = next_in_rotation(&apps, looked_at.get(&network), 1).next()?.clone();
                Some((network, next))
            });
            looked_at = turns.collect();
            for app in looked_at.values() {
                context.request_detail(app.clone(), DetailRead::Rotation);
            }
            queues.everything();
        }
    };
    let look_for_touches = async {
        let (mut touches, started) = (Touches::default(), Instant::now());
        loop {
            if touches.is_empty() {
                match touch_requests.next().await {
                    Some(first) => queues.with_network(first).into_iter().for_each(|object| touches.touch(object)),
                    // The queues outlive the loop.
                    None => std::future::pending().await,
                }
            }
            while let Ok(more) = touch_requests.try_recv() {
                queues.with_network(more).into_iter().for_each(|object| touches.touch(object));
            }
            match touches.take(started.elapsed()) {
                Some(TouchedLook::Rows(objects)) => {
                    for object in &objects {
                        context.ask(object.key(), ReadBy::Rows);
                        look_at(object, &context, &queues);
                    }
                }
                Some(TouchedLook::Everything(objects)) => {
                    context.snapshots.resync();
                    for object in &objects {
                        context.ask(object.key(), ReadBy::Tables);
                        look_at(object, &context, &queues);
                    }
                }
                None => {}
            }
            tokio::time::sleep(TOUCHES_APART).await;
        }
    };
    let reconcile_apps = control(
        "app",
        |object, context| app::controller::reconcile(object, context).boxed_local(),
        &context,
        apps.clone(),
        app_requests.map(Ok).take_until(stop.clone().cancelled_owned()),
        concurrency,
    );
    let reconcile_networks = control(
        "network",
        |object, context| network::controller::reconcile(object, context).boxed_local(),
        &context,
        networks.clone(),
        network_requests.map(Ok).take_until(stop.clone().cancelled_owned()),
        concurrency,
    );
    let work = async {
        // Without the apps a network would look like nobody's. And a controller that runs before its store is filled does
        // not end before it is, whatever becomes of its queue.
        if stop.run_until_cancelled(both_listed(&apps, &networks)).await.is_some() {
            join3(reconcile_apps, reconcile_networks, look_after(&context)).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = join(watch_apps, watch_networks).map(|_| ()) => unreachable!("a watch never ends"),
        () = resync => unreachable!("the resync never ends"),
        () = look_for_touches => unreachable!("touches never end"),
        () = credentials::watch(&context, &ready, || queues.everything()) => unreachable!("credentials are always watched"),
    }
    context.metrics.forget_queue();
}

/// An object that was touched is reconciled, an app with a look at what no table shows.
fn look_at(object: &Touched, context: &Context, queues: &Queues) {
    if let Touched::App((namespace, name)) = object {
        context.request_detail(format!("{namespace}/{name}"), DetailRead::Requested);
    }
    queues.wake(object);
}

/// How long touches are gathered before AWS is looked at again for them.
const TOUCHES_APART: Duration = Duration::from_secs(1);

/// The apps (`namespace/name`) that have resources in AWS and can be read, by their network.
fn held_apps(apps: &Store<Guarded<PrivateGenAIApp>>, home: &Region) -> BTreeMap<NetworkKey, BTreeSet<String>> {
    let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for app in apps.state().iter().filter(|app| is_held(app.meta())) {
        if let Some(network) = network_of(app, home) {
            let name = format!("{}/{}", app.namespace().unwrap_or_default(), app.name_any());
            held.entry(network).or_default().insert(name);
        }
    }
    held
}

/// The regions in which AWS is asked for anybody: those that are allowed and named, and those where something was built before.
fn regions_in_use(context: &Context) -> BTreeSet<Region> {
    let Settings { region: home, regions: allowed, .. } = &context.settings;
    let (apps, networks) = (context.apps.state(), context.networks.state());
    let of_apps = apps.iter().filter_map(|app| Some((network_of(app, home)?.region, is_held(app.meta()))));
    let of_networks =
        networks.iter().filter_map(|network| Some((key_of_network(network)?.region, is_held(network.meta()))));
    let used = of_apps.chain(of_networks).filter(|(region, held)| *held || allowed.allows(region));
    used.map(|(region, _)| region).chain(context.late_writes.regions()).chain([home.clone()]).collect()
}

/// The account in which the networks were built, as their statuses say.
fn recorded_account(networks: &Store<Guarded<PrivateGenAINetwork>>) -> Option<AccountId> {
    let networks = networks.state();
    let mut statuses = networks.iter().filter_map(|network| network.0.as_ref().ok()?.status.as_ref());
    statuses.find_map(|status| status.account_id.as_ref()?.parse().ok())
}

async fn both_listed(apps: &Store<Guarded<PrivateGenAIApp>>, networks: &Store<Guarded<PrivateGenAINetwork>>) {
    let (apps, networks) = join(apps.wait_until_ready(), networks.wait_until_ready()).await;
    if apps.is_err() || networks.is_err() {
        // The watches live as long as the stores; without them there is nothing to act on.
        std::future::pending::<()>().await;
    }
}

/// Runs one controller over its queue until the queue ends, and what is under way with it.
async fn control<K>(
    kind: &'static str,
    reconcile: impl Fn(Arc<Guarded<K>>, Arc<Context>) -> LocalBoxFuture<'static, Result<Action, Error>>,
    context: &Arc<Context>,
    store: Store<Guarded<K>>,
    queue: impl Stream<Item = Result<ObjectRef<Guarded<K>>, Infallible>>,
    concurrency: u16,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
{
    applier(
        |object: Arc<Guarded<K>>, context: Arc<Context>| {
            let started = Instant::now();
            let (name, told) = (key(kind, &*object), Arc::clone(&context));
            told.metrics.begun(kind, name.clone());
            reconcile(object, context)
                .inspect(move |result| {
                    told.metrics.reconciled(kind, result.is_ok(), started.elapsed());
                    if result.is_ok() {
                        told.written(&name);
                    }
                })
                .boxed_local()
        },
        move |object, error, context| {
            let name = key(kind, &*object);
            tracing::warn!(object = name, %error, "the reconcile was not finished");
            Pace::Retry.action(context.refused(&name), &name)
        },
        Arc::clone(context),
        store,
        queue,
        Config::default().concurrency(concurrency),
    )
    .for_each(|result| {
        if let Err(error) = result {
            // What went while it waited is not looked at any more.
            if let controller::Error::ObjectNotFound(object) = &error {
                let (namespace, name) = (object.namespace.as_deref().unwrap_or_default(), &object.name);
                context.metrics.begun(kind, key_of(kind, namespace, name));
            }
            tracing::debug!(kind, %error, "a reconcile gave no result");
        }
        ready(())
    })
    .await;
}
