//! The running operator: wires the watches, the index, the queues, both controllers and what runs beside them.
//!
//! One shared watch for each kind feeds both controllers. A change goes to the store and the index first, then whoever it concerns is
//! woken, so that no change is missed and none is reconciled before it can be seen.

mod control;
mod credentials;
mod late_writes;
mod network_wakes;
mod queues;
mod resync;
mod touches;
mod turns;
mod watch;

use std::sync::Arc;

use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc::unbounded,
    future::{join, join3},
};
use kube::{
    Client, ResourceExt as _,
    runtime::reflector::{Store, store::store},
};
use tokio_util::sync::CancellationToken;

use self::{
    control::control,
    queues::Queues,
    watch::{Change, watch},
};
use crate::{
    api::{AppName, Guarded, ObjectKind, ObjectName, PrivateGenAIApp, PrivateGenAINetwork},
    app::{self, Probes},
    aws::{AccountId, Aws},
    engine::{Context, show_gauges, with_timeout},
    index::Index,
    leadership::Leadership,
    metrics::Metrics,
    network,
    server::Readiness,
    settings::Settings,
};

/// Watches, reconciles and resyncs until `stop`; then ends what is under way and returns. `ready` learns when both kinds have been
/// listed, and whether AWS takes the operator's credentials.
///
/// # Guarantees
/// Nothing is written without `leadership`.
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
    let (asked_network_queue, asked_networks) = unbounded();
    let (touch_queue, touch_requests) = unbounded();
    let concurrency = settings.concurrency;
    let context = Arc::new(Context::new(client.clone(), aws, settings, metrics, leadership, stop.clone()));
    let probes = Arc::new(Probes::default());
    let queues = Queues {
        context: &context,
        apps: app_queue,
        networks: network_queue,
        asked_networks: asked_network_queue,
        touched: touch_queue,
    };

    context.metrics.forget_queue();
    show_gauges(&context);

    let watch_apps = watch::<PrivateGenAIApp>(&client, app_writer, |change| {
        if let Change::Gone(app) = &change {
            let uid = app.uid().unwrap_or_default();
            context.written_apps.forget(&uid);
            probes.forget(&uid);
            context.forget(&ObjectName::App(AppName::of(&**app)), &uid);
        }
        queues.app_changed(change);
    });
    let watch_networks = watch::<PrivateGenAINetwork>(&client, network_writer, |change| {
        if let Change::Gone(network) = &change {
            let uid = network.uid().unwrap_or_default();
            context.written_networks.forget(&uid);
            context.forget(&ObjectName::Network(network.name_any()), &uid);
        }
        let listed = matches!(change, Change::Listed(_));
        queues.network_changed(change);
        if listed && let Some(account) = recorded_account(&context.index()) {
            context.snapshots.work_in(account);
        }
    });
    let resync = async {
        both_listed(&apps, &networks).await;
        ready.set_listed();
        resync::run(&context, &queues).await
    };
    let reconcile_apps = control(
        ObjectKind::App,
        |object, context| app::controller::reconcile(object, context, Arc::clone(&probes)).boxed_local(),
        &context,
        apps.clone(),
        app_requests.map(Ok).take_until(stop.clone().cancelled_owned()),
        concurrency,
    );
    let reconcile_networks = control(
        ObjectKind::Network,
        |object, context| network::controller::reconcile(object, context).boxed_local(),
        &context,
        networks.clone(),
        network_requests.map(Ok).take_until(stop.clone().cancelled_owned()),
        concurrency,
    );
    let work = async {
        // Without the apps a network would look unused. A controller that runs before its store is filled does not end before the
        // store is filled, also when its queue ends.
        if stop.run_until_cancelled(both_listed(&apps, &networks)).await.is_some() {
            join3(reconcile_apps, reconcile_networks, late_writes::run(&context)).await;
        }
    };
    tokio::select! {
        () = work => {}
        never = watch_apps => match never {},
        never = watch_networks => match never {},
        never = resync => match never {},
        never = network_wakes::run(&queues, asked_networks) => match never {},
        never = turns::run(&context, &queues) => match never {},
        never = touches::run(&context, &queues, touch_requests) => match never {},
        never = credentials::run(&context, &ready, || queues.everything()) => match never {},
    }
    context.metrics.forget_queue();
}

/// The account in which the networks were built, as their statuses record.
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
