//! Runs a controller over its queue.

use std::{convert::Infallible, fmt::Debug, sync::Arc};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::{LocalBoxFuture, ready},
};
use kube::{
    Resource,
    runtime::{
        Config, applier,
        controller::{self, Action},
        reflector::{ObjectRef, Store},
    },
};
use tokio::time::Instant;

use crate::{
    api::{AppName, Guarded, ObjectKind, ObjectName},
    engine::{Attempt, Context, Error, Pace},
};

/// Runs one controller over its queue until the queue ends, and what is under way with it.
pub(super) async fn control<K>(
    kind: ObjectKind,
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
            let (name, counted_in) = (ObjectName::of(kind, &*object), Arc::clone(&context));
            context.metrics.begun(&name);
            if let Some(turn) = context.turns.of(&name, object.meta(), started) {
                // Nobody plans or reads for an object that waits for its turn.
                return ready(Ok(Action::requeue(turn.saturating_duration_since(started)))).boxed_local();
            }
            reconcile(object, context)
                .inspect(move |result| {
                    counted_in.metrics.reconciled(kind, result.is_ok(), started.elapsed());
                    if result.is_ok() {
                        counted_in.attempts.reset(&Attempt::KubernetesWrite(name));
                    }
                })
                .boxed_local()
        },
        move |object, error, context| {
            let name = ObjectName::of(kind, &*object);
            tracing::warn!(object = %name, %error, "the reconcile was not finished");
            let seed = name.to_string();
            Pace::Retry.action(context.attempts.count(Attempt::KubernetesWrite(name), Pace::Retry), &seed)
        },
        Arc::clone(context),
        store,
        queue,
        Config::default().concurrency(concurrency),
    )
    .for_each(|result| {
        if let Err(error) = result {
            // An object that went while it waited is not reconciled any more.
            if let controller::Error::ObjectNotFound(object) = &error {
                let (namespace, name) = (object.namespace.clone().unwrap_or_default(), object.name.clone());
                context.metrics.begun(&match kind {
                    ObjectKind::App => ObjectName::App(AppName { namespace, name }),
                    ObjectKind::Network => ObjectName::Network(name),
                });
            }
            tracing::debug!(kind = kind.as_str(), %error, "a reconcile gave no result");
        }
        ready(())
    })
    .await;
}
