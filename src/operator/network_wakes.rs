//! Wakes a network at most once a second for its apps, however many of them come, change and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future,
    time::Duration,
};

use futures::{StreamExt as _, channel::mpsc::UnboundedReceiver};
use tokio::time::{Instant, sleep_until};

use super::queues::Queues;
use crate::api::ObjectName;

/// The shortest time between two wakes of one network.
const APART: Duration = Duration::from_secs(1);

/// The networks to wake. All times are on one clock.
#[derive(Debug, Default)]
struct NetworkWakes {
    waiting: BTreeSet<String>,
    /// The last wakes of the last second.
    last: BTreeMap<String, Duration>,
}

impl NetworkWakes {
    /// Takes the networks that are due.
    fn take(&mut self, now: Duration) -> BTreeSet<String> {
        self.last.retain(|_, at| now < at.saturating_add(APART));
        let due: BTreeSet<String> =
            self.waiting.iter().filter(|name| !self.last.contains_key(*name)).cloned().collect();
        for name in &due {
            self.waiting.remove(name);
            self.last.insert(name.clone(), now);
        }
        due
    }

    /// When the next network is due; `None` while none waits.
    fn next(&self) -> Option<Duration> {
        self.waiting.iter().filter_map(|name| self.last.get(name)).min().map(|at| at.saturating_add(APART))
    }
}

/// Wakes the networks that apps ask for.
pub(super) async fn run(queues: &Queues<'_>, mut asked: UnboundedReceiver<String>) -> Infallible {
    let began = Instant::now();
    let mut wakes = NetworkWakes::default();
    loop {
        let due = wakes.next().map(|at| began + at);
        tokio::select! {
            name = asked.next() => match name {
                Some(name) => drop(wakes.waiting.insert(name)),
                // The queues are closed: nobody asks any more.
                None => return future::pending().await,
            },
            () = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => future::pending().await,
                }
            } => {}
        }
        for name in wakes.take(began.elapsed()) {
            queues.wake(&ObjectName::Network(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_woken_at_once_and_then_once_a_second_and_never_forgotten() {
        let mut wakes = NetworkWakes::default();
        let mut at = |millis: u64, asked: &[&str]| -> Vec<String> {
            wakes.waiting.extend(asked.iter().map(|name| (*name).to_owned()));
            let woken = wakes.take(Duration::from_millis(millis));
            let waits = !wakes.waiting.is_empty();
            assert_eq!(wakes.next().is_some(), waits, "whoever waits has a time");
            woken.into_iter().collect()
        };
        assert_eq!(at(0, &["a"]), ["a"]);
        assert_eq!(at(100, &["a"]), [""; 0]);
        assert_eq!(at(200, &["a", "b"]), ["b"], "another network");
        assert_eq!(at(1_000, &[]), ["a"], "once for both");
        assert_eq!(at(1_500, &[]), [""; 0]);
        assert_eq!(at(2_500, &["a"]), ["a"], "nobody asked for a second");
    }
}
