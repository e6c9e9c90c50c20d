//! Wakes objects whose turn came earlier than they were told, because others left the queue or the rate rose.

use std::{convert::Infallible, time::Duration};

use super::queues::Queues;
use crate::engine::Context;

/// The time between two looks at the queues.
const EVERY: Duration = Duration::from_secs(1);

/// Wakes the objects, for ever.
pub(super) async fn run(context: &Context, queues: &Queues<'_>) -> Infallible {
    let Some(pacer) = &context.pacer else { return std::future::pending().await };
    loop {
        tokio::time::sleep(EVERY).await;
        if context.turns.is_empty() {
            continue;
        }
        context.turns.end(&pacer.early()).iter().for_each(|object| queues.wake(object));
    }
}
