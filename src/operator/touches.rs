//! The users' requests to read AWS for an object (touches), and when each is served. A touch that is repeated in a loop
//! costs as much as two touches a minute. Many touched objects together cost at most [`ONE_BY_ONE`] reads of rows and one
//! read of everything in [`APART`].

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    time::Duration,
};

use futures::{StreamExt as _, channel::mpsc::UnboundedReceiver};
use tokio::time::Instant;

use super::queues::Queues;
use crate::{
    api::ObjectName,
    engine::{Context, DetailRead, ReadBy},
};

/// The shortest time between two reads for one object, and between two reads of everything.
pub(super) const APART: Duration = Duration::from_secs(30);

/// The number of objects that are read one by one in [`APART`]. For more objects, everything is read once for all of them.
const ONE_BY_ONE: usize = 10;

/// A read of AWS that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadRequest {
    /// The rows of these objects only.
    Rows(BTreeSet<ObjectName>),
    /// Everything, requested for these objects.
    Everything(BTreeSet<ObjectName>),
}

/// The touches that wait for a read, and the reads of the last half minute.
#[derive(Debug, Default)]
pub(super) struct Touches {
    waiting: BTreeSet<ObjectName>,
    looked_at: BTreeMap<ObjectName, (Duration, ReadBy)>,
    everything: Option<Duration>,
}

impl Touches {
    /// Adds an object that a user touched.
    pub(super) fn touch(&mut self, object: ObjectName) {
        self.waiting.insert(object);
    }

    /// No touch waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the read that is due at `now`, a time since any fixed moment. A touched object that was read in the last half
    /// minute waits.
    pub(super) fn take(&mut self, now: Duration) -> Option<ReadRequest> {
        let is_over = |at: Duration| now >= at.saturating_add(APART);
        self.looked_at.retain(|_, (at, _)| !is_over(*at));
        let due: BTreeSet<ObjectName> =
            self.waiting.iter().filter(|object| !self.looked_at.contains_key(*object)).cloned().collect();
        if due.is_empty() {
            return None;
        }
        let by_rows = self.looked_at.values().filter(|(_, by)| *by == ReadBy::Rows).count();
        let by = if by_rows.saturating_add(due.len()) <= ONE_BY_ONE {
            ReadBy::Rows
        } else if self.everything.is_none_or(is_over) {
            self.everything = Some(now);
            ReadBy::Tables
        } else {
            return None;
        };
        for object in &due {
            self.waiting.remove(object);
            self.looked_at.insert(object.clone(), (now, by));
        }
        Some(match by {
            ReadBy::Rows => ReadRequest::Rows(due),
            ReadBy::Tables => ReadRequest::Everything(due),
        })
    }
}

/// The time for which touches are gathered before AWS is read.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// Requests reads of AWS for touched objects and wakes the objects.
pub(super) async fn run(
    context: &Context,
    queues: &Queues<'_>,
    mut requests: UnboundedReceiver<ObjectName>,
) -> Infallible {
    let (mut touches, started) = (Touches::default(), Instant::now());
    loop {
        if touches.is_empty() {
            // The queues outlive the loop.
            let Some(first) = requests.next().await else { return std::future::pending().await };
            queues.with_network(first).into_iter().for_each(|object| touches.touch(object));
        }
        while let Ok(more) = requests.try_recv() {
            queues.with_network(more).into_iter().for_each(|object| touches.touch(object));
        }
        if let Some(request) = touches.take(started.elapsed()) {
            let (objects, by) = match request {
                ReadRequest::Rows(objects) => (objects, ReadBy::Rows),
                ReadRequest::Everything(objects) => {
                    context.snapshots.resync();
                    (objects, ReadBy::Tables)
                }
            };
            for object in objects {
                if let ObjectName::App(app) = &object {
                    context.requests.request_detail(app.clone(), DetailRead::Requested);
                }
                context.requests.request(object.clone(), by);
                queues.wake(&object);
            }
        }
        tokio::time::sleep(GATHERED_FOR).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AppName;

    fn app(n: usize) -> ObjectName {
        ObjectName::App(AppName { namespace: "team-a".to_owned(), name: format!("app-{n}") })
    }

    fn at(touches: &mut Touches, seconds: u64) -> Option<ReadRequest> {
        touches.take(Duration::from_secs(seconds))
    }

    #[test]
    fn a_loop_of_touches_is_a_look_at_once_then_every_half_minute_and_one_at_the_end() {
        let mut touches = Touches::default();
        let mut looks = Vec::new();
        for second in 0..200 {
            if second <= 100 {
                touches.touch(app(1));
            }
            if let Some(look) = at(&mut touches, second) {
                assert_eq!(look, ReadRequest::Rows([app(1)].into()));
                looks.push(second);
            }
        }
        assert_eq!(looks, [0, 30, 60, 90, 120]);
        assert!(touches.is_empty());
    }

    #[test]
    fn one_touched_object_waits_for_no_other_and_a_hundred_share_one_look() {
        let mut touches = Touches::default();
        touches.touch(app(0));
        assert_eq!(at(&mut touches, 0), Some(ReadRequest::Rows([app(0)].into())));
        let hundred: BTreeSet<ObjectName> = (1..=100).map(app).collect();
        hundred.iter().cloned().for_each(|app| touches.touch(app));
        assert_eq!(at(&mut touches, 1), Some(ReadRequest::Everything(hundred.clone())));
        touches.touch(app(101));
        assert_eq!(
            at(&mut touches, 2),
            Some(ReadRequest::Rows([app(101)].into())),
            "a hundred others are no reason to wait"
        );
        hundred.iter().cloned().for_each(|app| touches.touch(app));
        assert_eq!((3..31).filter_map(|second| at(&mut touches, second)).count(), 0);
        assert_eq!(at(&mut touches, 31), Some(ReadRequest::Everything(hundred)));
        assert!(touches.is_empty());
    }

    #[test]
    fn of_many_touched_in_turn_ten_are_looked_at_one_by_one_in_half_a_minute() {
        let mut touches = Touches::default();
        let (mut rows, mut everything, mut served) = (0, 0, BTreeSet::new());
        for second in 0..90 {
            touches.touch(app(usize::try_from(second).expect("a number")));
            match at(&mut touches, second) {
                Some(ReadRequest::Rows(objects)) => {
                    rows += objects.len();
                    served.extend(objects);
                }
                Some(ReadRequest::Everything(objects)) => {
                    everything += 1;
                    served.extend(objects);
                }
                None => {}
            }
        }
        assert!(rows <= 10 * 4 && everything <= 3, "{rows}, {everything}");
        (90..120).filter_map(|second| at(&mut touches, second)).for_each(|look| match look {
            ReadRequest::Rows(objects) | ReadRequest::Everything(objects) => served.extend(objects),
        });
        assert_eq!(served.len(), 90, "everybody in the end");
    }
}
