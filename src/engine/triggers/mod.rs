//! One shared watch for each kind feeds both controllers: first the store is changed, then whoever is concerned is
//! woken, so that no change is missed and none is looked at before it can be seen.

mod queues;
mod touches;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt::Debug,
    sync::Arc,
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
    queues::Queues,
    touches::{ReadRequest as TouchedLook, Touches},
    watch::{Change, watch},
};
use super::{
    Context, DetailRead, Error, Guarded, Pace, ReadBy, Settings,
    context::{key, key_of},
    credentials, gauges,
    late_writes::look_after,
    with_timeout,
};
use crate::{
    api::{AppName, ObjectName, PrivateGenAIApp, PrivateGenAINetwork, network::NetworkKey},
    app,
    aws::{AccountId, Aws, Region},
    index::Index,
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
    let context = Arc::new(Context::new(client.clone(), aws, settings, metrics, leadership, stop.clone()));
    let queues = Queues { context: &context, apps: app_queue, networks: network_queue, touched: touch_queue };

    context.metrics.forget_queue();
    gauges::show(&context);

    let watch_apps = watch::<PrivateGenAIApp>(&client, app_writer, |change| {
        if let Change::Gone(app) = &change {
            let uid = app.uid().unwrap_or_default();
            context.written_apps.forget(&uid);
            context.gone(&key("app", &**app), &uid);
        }
        queues.app_changed(change);
    });
    let watch_networks = watch::<PrivateGenAINetwork>(&client, network_writer, |change| {
        if let Change::Gone(network) = &change {
            let uid = network.uid().unwrap_or_default();
            context.written_networks.forget(&uid);
            context.gone(&key("network", &**network), &uid);
        }
        let listed = matches!(change, Change::Listed(_));
        queues.network_changed(change);
        if listed && let Some(account) = recorded_account(&context.index()) {
            context.snapshots.work_in(account);
        }
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
            let turns = held_apps(&context.index()).into_iter();
            let turns = turns.filter_map(|(network, apps)| {
                let next = next_in_rotation(&apps, looked_at.get(&network), 1).next()?.clone();
                Some((network, next))
            });
            looked_at = turns.collect();
            for app in looked_at.values() {
                context.request_detail(app.to_string(), DetailRead::Rotation);
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
                        context.ask(object.to_string(), ReadBy::Rows);
                        look_at(object, &context, &queues);
                    }
                }
                Some(TouchedLook::Everything(objects)) => {
                    context.snapshots.resync();
                    for object in &objects {
                        context.ask(object.to_string(), ReadBy::Tables);
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
fn look_at(object: &ObjectName, context: &Context, queues: &Queues<'_>) {
    if let ObjectName::App(app) = object {
        context.request_detail(app.to_string(), DetailRead::Requested);
    }
    queues.wake(object);
}

/// How long touches are gathered before AWS is looked at again for them.
const TOUCHES_APART: Duration = Duration::from_secs(1);

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

/// The regions in which AWS is asked for anybody: those that are allowed and named, and those where something was built before.
fn regions_in_use(context: &Context) -> BTreeSet<Region> {
    let index = context.index();
    let Settings { region: home, regions: allowed, .. } = index.settings().as_ref();
    let used = index.regions().filter(|(region, held)| *held || allowed.allows(region));
    used.map(|(region, _)| region.clone()).chain(context.late_writes.regions()).chain([home.clone()]).collect()
}

/// The account in which the networks were built, as their statuses say.
fn recorded_account(index: &Index) -> Option<AccountId> {
    let mut statuses = index.networks().filter_map(|network| network.decoded()?.status.as_ref());
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
