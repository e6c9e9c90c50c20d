//! One shared watch for each kind feeds both controllers: first the store is changed, then whoever is concerned is
//! woken, so that no change is missed and none is looked at before it can be seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt::Debug,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    future::{LocalBoxFuture, join, join3},
    stream,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::ObjectMeta,
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

use super::{
    Context, Error, Guarded, Look, Pace, Settings, context::key, credentials, departed::look_after, gauges, is_held,
};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, app::App, network::NetworkKey},
    app,
    aws::{Aws, Region},
    leadership::Leadership,
    metrics::Metrics,
    network,
    server::Readiness,
};

type AppRef = ObjectRef<Guarded<PrivateGenAIApp>>;
type NetworkRef = ObjectRef<Guarded<PrivateGenAINetwork>>;

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
    let client = leadership.fence(&client);
    let (apps, app_writer) = store();
    let (networks, network_writer) = store();
    let (app_queue, app_requests) = unbounded();
    let (network_queue, network_requests) = unbounded();
    let (touch_queue, mut touches) = unbounded();
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

    gauges::show(&context);

    let watch_apps = watch::<PrivateGenAIApp>(&client, app_writer, |change| {
        if let Change::Gone(app) = &change {
            let uid = app.uid().unwrap_or_default();
            context.latest_apps.forget(&uid);
            context.gone(&key("app", app), &uid);
        }
        queues.app_changed(change);
    });
    let watch_networks = watch::<PrivateGenAINetwork>(&client, network_writer, |change| {
        if let Change::Gone(network) = &change {
            let uid = network.uid().unwrap_or_default();
            context.latest_networks.forget(&uid);
            context.gone(&key("network", network), &uid);
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
            context.snapshots.resync();
            // What no table shows is looked at in turn, one app of each network each time: the cost does not follow the
            // number of apps.
            let turns = held_apps(&apps, &queues.home).into_iter();
            let turns = turns.filter_map(|(network, apps)| {
                let next = next_in_turn(&apps, looked_at.get(&network))?;
                Some((network, next))
            });
            looked_at = turns.collect();
            for app in looked_at.values() {
                context.look_closely(app.clone(), Look::InTurn);
            }
            queues.everything();
        }
    };
    let look_for_touches = async {
        while let Some(first) = touches.next().await {
            // Whoever touches a thousand objects gets one look a second at AWS, each after the touch that it is for.
            let mut all = BTreeSet::from([first]);
            while let Ok(more) = touches.try_recv() {
                all.insert(more);
            }
            context.snapshots.resync();
            for touch in all {
                if let Touched::App(app) = &touch {
                    context.look_closely(format!("{}/{}", app.0, app.1), Look::Asked);
                }
                queues.wake(&touch);
            }
            tokio::time::sleep(TOUCHES_APART).await;
        }
        // The queues outlive the loop.
        std::future::pending::<()>().await;
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
        _ = join3(reconcile_apps, reconcile_networks, look_after(&context)) => {}
        () = join(watch_apps, watch_networks).map(|_| ()) => unreachable!("a watch never ends"),
        () = resync => unreachable!("the resync never ends"),
        () = look_for_touches => unreachable!("touches never end"),
        () = credentials::watch(&context, &ready, || queues.everything()) => unreachable!("credentials are always watched"),
    }
}

/// How long touches are gathered before AWS is looked at again for them.
const TOUCHES_APART: Duration = Duration::from_secs(1);

/// An object whose labels or annotations somebody changed, and nothing else: a request to look at AWS now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    /// Namespace and name.
    App((String, String)),
    /// Name.
    Network(String),
}

/// The apps (`namespace/name`) that have resources in AWS and can be read, by their network.
fn held_apps(apps: &Store<Guarded<PrivateGenAIApp>>, home: &Region) -> BTreeMap<NetworkKey, BTreeSet<String>> {
    let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for app in apps.state().iter().filter(|app| is_held(app.meta())) {
        if let Some(network) = app.0.as_ref().ok().and_then(|app| App::network(&app.spec, home).ok()) {
            let name = format!("{}/{}", app.namespace().unwrap_or_default(), app.name_any());
            held.entry(network).or_default().insert(name);
        }
    }
    held
}

/// The one after the last one, in a circle.
fn next_in_turn(all: &BTreeSet<String>, last: Option<&String>) -> Option<String> {
    let after = last.and_then(|last| all.range::<String, _>((Bound::Excluded(last), Bound::Unbounded)).next());
    after.or_else(|| all.first()).cloned()
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
    touch_queue: UnboundedSender<Touched>,
    seen: Mutex<BTreeMap<String, Seen>>,
    metrics: Arc<Metrics>,
}

/// What was seen of an object. Status and finalizers are left out: what the operator itself writes wakes nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Which object, which spec, whether it is to go, and whether only others hold it still: what it demanded is free.
    itself: (Option<String>, Option<i64>, bool, bool),
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Seen {
    fn of(meta: &ObjectMeta) -> Self {
        let goes = meta.deletion_timestamp.is_some();
        let released = goes && !is_held(meta);
        Self {
            itself: (meta.uid.clone(), meta.generation, goes, released),
            labels: meta.labels.clone(),
            annotations: meta.annotations.clone(),
        }
    }

    /// How it differs from what was seen before.
    fn since(&self, before: Option<&Self>) -> Difference {
        match before {
            Some(before) if before == self => Difference::None,
            Some(before) if before.itself == self.itself => Difference::Touched,
            _ => Difference::Changed,
        }
    }
}

/// How an object differs from what was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// In nothing that matters.
    None,
    /// In its labels or annotations only.
    Touched,
    /// It is new, or wants something else, or is to go.
    Changed,
}

impl Queues {
    fn wake_app(&self, app: &Guarded<PrivateGenAIApp>) {
        self.metrics.woken("app", key("app", app));
        // A closed queue belongs to an operator that is shutting down.
        drop(self.app_queue.unbounded_send(ObjectRef::from_obj(app)));
    }

    fn wake_network(&self, network: &Guarded<PrivateGenAINetwork>) {
        self.metrics.woken("network", key("network", network));
        drop(self.network_queue.unbounded_send(ObjectRef::from_obj(network)));
    }

    fn wake(&self, touched: &Touched) {
        match touched {
            Touched::App((namespace, name)) => {
                if let Some(app) = self.apps.get(&ObjectRef::new(name).within(namespace)) {
                    self.wake_with_network(&app);
                }
            }
            Touched::Network(name) => {
                if let Some(network) = self.networks.get(&ObjectRef::new(name)) {
                    self.wake_around(&network, true);
                }
            }
        }
    }

    /// Wakes an app and its network; one that cannot be read could be on any network.
    fn wake_with_network(&self, app: &Guarded<PrivateGenAIApp>) {
        self.wake_app(app);
        self.wake_network_of(app);
    }

    fn wake_network_of(&self, app: &Guarded<PrivateGenAIApp>) {
        let key = app.0.as_ref().ok().and_then(|app| App::network(&app.spec, &self.home).ok());
        for network in self.networks.state() {
            if key.is_none() || key == key_of(&network) {
                self.wake_network(&network);
            }
        }
    }

    fn touch(&self, touched: Touched) {
        drop(self.touch_queue.unbounded_send(touched));
    }

    /// Everything is listed anew: what is seen from here on is compared with this.
    fn listed(&self) {
        self.apps.state().iter().for_each(|app| {
            self.difference(app);
        });
        self.networks.state().iter().for_each(|network| {
            self.difference(network);
        });
        self.everything();
    }

    fn everything(&self) {
        self.networks.state().iter().for_each(|network| self.wake_network(network));
        self.apps.state().iter().for_each(|app| self.wake_app(app));
    }

    /// An app that changed wakes itself and its network.
    fn app_changed(&self, change: Change<PrivateGenAIApp>) {
        match change {
            Change::Listed => self.listed(),
            Change::One(app) => match self.difference(&app) {
                Difference::None => {}
                Difference::Touched => {
                    self.touch(Touched::App((app.namespace().unwrap_or_default(), app.name_any())));
                }
                Difference::Changed => self.wake_with_network(&app),
            },
            Change::Gone(app) => {
                self.forget(&app);
                self.wake_network_of(&app);
            }
        }
    }

    /// A network that changed, in its status too, wakes its apps. One that went frees the VPC for another.
    fn network_changed(&self, change: Change<PrivateGenAINetwork>) {
        let (network, concerns_networks) = match change {
            Change::Listed => return self.listed(),
            Change::One(network) => match self.difference(&network) {
                Difference::None => (network, false),
                Difference::Touched => return self.touch(Touched::Network(network.name_any())),
                Difference::Changed => (network, true),
            },
            Change::Gone(network) => {
                self.forget(&network);
                (network, true)
            }
        };
        self.wake_around(&network, concerns_networks);
    }

    /// Wakes the apps on a network, and the networks that stand for the same VPC, itself included.
    fn wake_around(&self, network: &Guarded<PrivateGenAINetwork>, networks_too: bool) {
        let key = key_of(network);
        if networks_too {
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

    fn difference<K: Resource<DynamicType = ()>>(&self, object: &Guarded<K>) -> Difference {
        let now = Seen::of(object.meta());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = now.since(seen.get(&name_of(object)));
        seen.insert(name_of(object), now);
        difference
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
    .for_each(|result| async move {
        if let Err(error) = result {
            tracing::debug!(kind, %error, "a reconcile gave no result");
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_is_a_change_of_labels_or_annotations_and_of_nothing_else() {
        let seen = |uid: &str, generation: i64, note: &str| {
            Seen::of(&ObjectMeta {
                uid: Some(uid.to_owned()),
                generation: Some(generation),
                annotations: Some([("note".to_owned(), note.to_owned())].into()),
                ..ObjectMeta::default()
            })
        };
        let before = seen("u", 1, "a");
        for (now, difference) in [
            (seen("u", 1, "a"), Difference::None),
            (seen("u", 1, "b"), Difference::Touched),
            (seen("u", 2, "b"), Difference::Changed),
            (seen("v", 1, "b"), Difference::Changed),
        ] {
            assert_eq!(now.since(Some(&before)), difference, "{now:?}");
        }
        assert_eq!(before.since(None), Difference::Changed);
    }

    #[test]
    fn everybody_has_a_turn_whoever_comes_and_goes() {
        let all = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let next = |names: &[&str], last: Option<&str>| next_in_turn(&all(names), last.map(str::to_owned).as_ref());
        assert_eq!(next(&["a", "b"], None).as_deref(), Some("a"));
        assert_eq!(next(&["a", "b"], Some("a")).as_deref(), Some("b"));
        assert_eq!(next(&["a", "b"], Some("b")).as_deref(), Some("a"));
        assert_eq!(next(&["a", "c"], Some("b")).as_deref(), Some("c"));
        assert_eq!(next(&[], Some("b")), None);
    }
}
