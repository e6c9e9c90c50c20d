//! One shared watch for each kind feeds both controllers: first the store is changed, then whoever is concerned is
//! woken, so that no change is missed and none is looked at before it can be seen.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Debug,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    future::{LocalBoxFuture, join},
    stream,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        Config, WatchStreamExt as _, applier,
        controller::Action,
        reflector::{
            ObjectRef, Store,
            store::{Writer, store},
        },
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Context, Error, Guarded, Pace, Settings, context::key};
use crate::{
    api::{FINALIZER, PrivateGenAIApp, PrivateGenAINetwork, app::App, network::NetworkKey},
    app,
    aws::{Aws, Region},
    metrics::Metrics,
    network,
};

type AppRef = ObjectRef<Guarded<PrivateGenAIApp>>;
type NetworkRef = ObjectRef<Guarded<PrivateGenAINetwork>>;

/// Watches, reconciles, and resyncs until `stop`; then ends what is under way and returns. `ready` is cancelled (which
/// here means told) once both kinds have been listed.
pub async fn run(
    client: Client,
    aws: Arc<dyn Aws>,
    settings: Settings,
    metrics: Arc<Metrics>,
    ready: CancellationToken,
    stop: CancellationToken,
) {
    let (apps, app_writer) = store();
    let (networks, network_writer) = store();
    let (app_queue, app_requests) = unbounded();
    let (network_queue, network_requests) = unbounded();
    let resync = settings.resync;
    let concurrency = settings.concurrency;
    let queues = Queues {
        apps: apps.clone(),
        networks: networks.clone(),
        home: settings.region.clone(),
        app_queue,
        network_queue,
        seen: Mutex::default(),
    };
    let context =
        Arc::new(Context::new(client.clone(), aws, settings, apps.clone(), networks.clone(), metrics, stop.clone()));

    let watch_apps = watch::<PrivateGenAIApp>(&client, app_writer, |change| {
        if let Change::Gone(app) = &change {
            context.latest_apps.forget(app.uid().as_deref().unwrap_or_default());
            context.gone(&key("app", app));
        }
        queues.app_changed(change);
    });
    let watch_networks = watch::<PrivateGenAINetwork>(&client, network_writer, |change| {
        if let Change::Gone(network) = &change {
            context.latest_networks.forget(network.uid().as_deref().unwrap_or_default());
            context.gone(&key("network", network));
        }
        queues.network_changed(change);
    });
    let resync = async {
        both_listed(&apps, &networks).await;
        ready.cancel();
        let mut ticks = tokio::time::interval_at(Instant::now() + resync, resync);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            context.snapshots.resync();
            queues.everything();
        }
    };
    let reconcile_apps = control(
        "app",
        |object, context| app::controller::reconcile(object, context).boxed_local(),
        &context,
        apps.clone(),
        gate(&apps, &networks, app_requests).take_until(stop.clone().cancelled_owned()),
        concurrency,
    );
    let reconcile_networks = control(
        "network",
        |object, context| network::controller::reconcile(object, context).boxed_local(),
        &context,
        networks.clone(),
        gate(&apps, &networks, network_requests).take_until(stop.clone().cancelled_owned()),
        concurrency,
    );
    tokio::select! {
        _ = join(reconcile_apps, reconcile_networks) => {}
        () = join(watch_apps, watch_networks).map(|_| ()) => unreachable!("a watch never ends"),
        () = resync => unreachable!("the resync never ends"),
    }
}

async fn both_listed(apps: &Store<Guarded<PrivateGenAIApp>>, networks: &Store<Guarded<PrivateGenAINetwork>>) {
    let (apps, networks) = join(apps.wait_until_ready(), networks.wait_until_ready()).await;
    if apps.is_err() || networks.is_err() {
        // The watches live as long as the stores; without them there is nothing to act on.
        std::future::pending::<()>().await;
    }
}

/// Holds all work back until both kinds are listed: without the apps a network would look like nobody's.
fn gate<K: Resource<DynamicType = ()>>(
    apps: &Store<Guarded<PrivateGenAIApp>>,
    networks: &Store<Guarded<PrivateGenAINetwork>>,
    requests: UnboundedReceiver<ObjectRef<K>>,
) -> impl Stream<Item = Result<ObjectRef<K>, Infallible>> {
    let (apps, networks) = (apps.clone(), networks.clone());
    stream::once(async move {
        both_listed(&apps, &networks).await;
        requests
    })
    .flatten()
    .map(Ok)
}

/// What a watch saw.
enum Change<K> {
    /// All objects of the kind are in the store.
    Listed,
    /// One appeared or changed.
    One(Guarded<K>),
    /// One went. It looks as it did before: its last finalizer and itself go in one step.
    Gone(Guarded<K>),
}

/// Keeps a store up to date, and tells of each change after the store has it. Field managers are not kept: nothing
/// reads them, and they are a third of an object.
async fn watch<K>(client: &Client, writer: Writer<Guarded<K>>, mut tell: impl FnMut(Change<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut events = watcher(Api::<Guarded<K>>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(watcher::Event::InitDone) => tell(Change::Listed),
            Ok(watcher::Event::Apply(object)) => tell(Change::One(object)),
            Ok(watcher::Event::Delete(object)) => tell(Change::Gone(object)),
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "the watch broke; it is taken up again"),
        }
    }
}

/// Who is woken by what.
struct Queues {
    apps: Store<Guarded<PrivateGenAIApp>>,
    networks: Store<Guarded<PrivateGenAINetwork>>,
    home: Region,
    app_queue: UnboundedSender<AppRef>,
    network_queue: UnboundedSender<NetworkRef>,
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Queues {
    fn wake_app(&self, app: &Guarded<PrivateGenAIApp>) {
        // A closed queue belongs to an operator that is shutting down.
        drop(self.app_queue.unbounded_send(ObjectRef::from_obj(app)));
    }

    fn wake_network(&self, network: &Guarded<PrivateGenAINetwork>) {
        drop(self.network_queue.unbounded_send(ObjectRef::from_obj(network)));
    }

    fn everything(&self) {
        self.networks.state().iter().for_each(|network| self.wake_network(network));
        self.apps.state().iter().for_each(|app| self.wake_app(app));
    }

    /// An app that changed wakes itself and its network; one that cannot be read could be on any network.
    fn app_changed(&self, change: Change<PrivateGenAIApp>) {
        let app = match change {
            Change::Listed => return self.everything(),
            Change::One(app) if !self.differs(&app) => return,
            Change::One(app) => {
                self.wake_app(&app);
                app
            }
            Change::Gone(app) => {
                self.forget(&app);
                app
            }
        };
        let key = app.0.as_ref().ok().and_then(|app| App::network(&app.spec, &self.home).ok());
        for network in self.networks.state() {
            if key.is_none() || key == key_of(&network) {
                self.wake_network(&network);
            }
        }
    }

    /// A network that changed, in its status too, wakes its apps. One that went frees the VPC for another.
    fn network_changed(&self, change: Change<PrivateGenAINetwork>) {
        let (network, concerns_networks) = match change {
            Change::Listed => return self.everything(),
            Change::One(network) => {
                let differs = self.differs(&network);
                (network, differs)
            }
            Change::Gone(network) => {
                self.forget(&network);
                (network, true)
            }
        };
        let key = key_of(&network);
        if concerns_networks {
            self.networks
                .state()
                .iter()
                .filter(|other| key_of(other) == key)
                .for_each(|other| self.wake_network(other));
        }
        for app in self.apps.state() {
            let on = app.0.as_ref().ok().and_then(|app| App::network(&app.spec, &self.home).ok());
            if key.is_none() || on == key {
                self.wake_app(&app);
            }
        }
    }

    /// Something differs from what was seen last, other than the status and the finalizer: what the operator itself writes
    /// wakes nobody.
    fn differs<K: Resource<DynamicType = ()>>(&self, object: &Guarded<K>) -> bool {
        let meta = object.meta();
        let mut hasher = DefaultHasher::new();
        let deletion = meta.deletion_timestamp.as_ref().map(|time| time.0);
        // An object that goes and is held by somebody else only: what it demanded is free.
        let released = deletion.is_some() && !meta.finalizers.iter().flatten().any(|name| name == FINALIZER);
        (&meta.uid, meta.generation, deletion, released, &meta.labels, &meta.annotations).hash(&mut hasher);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(name_of(object), hasher.finish()) != Some(hasher.finish())
    }

    fn forget<K: Resource<DynamicType = ()>>(&self, object: &Guarded<K>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&name_of(object));
    }
}

fn name_of<K: Resource<DynamicType = ()>>(object: &Guarded<K>) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

fn key_of(network: &Guarded<PrivateGenAINetwork>) -> Option<NetworkKey> {
    network.0.as_ref().ok().and_then(|network| NetworkKey::try_from(&network.spec).ok())
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
    .for_each(|result| async move {
        if let Err(error) = result {
            tracing::debug!(kind, %error, "a reconcile gave no result");
        }
    })
    .await;
}
