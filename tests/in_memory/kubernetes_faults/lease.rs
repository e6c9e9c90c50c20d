//! The Lease is lost while a step is in flight: the leader is cut off from the API server, or frozen, in the middle of a call
//! that is carried out all the same, long after another replica has taken over; then the old one is back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    cells::{Cell, ends_well},
    parts::{Life, Part},
};
use crate::{
    leadership::Replica,
    memory::{aws::handle::Lateness, kubernetes::Fault},
};

/// What is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Aws,
    Kubernetes,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is carried out when another leads already.
    BeforeTheWork,
    /// It is carried out, and its answer comes when another leads already.
    AfterTheWork,
}

/// Longer than the Lease: the other has been at work for half a minute.
const LATE: Duration = Duration::from_secs(95);

/// Lives through it once for each write of the part.
pub async fn live(part: Part, step: Step, how: How) -> Cell {
    let mut cell = Cell::default();
    let mut writes = 0;
    while let Some(life) = interrupted(part, step, how, writes).await {
        let before = cell.problems.len();
        ends_well(life, &mut cell).await;
        for problem in cell.problems.iter_mut().skip(before) {
            *problem = format!("in write {writes}: {problem}");
        }
        writes += 1;
    }
    if writes == 0 {
        cell.problems.push("nothing was interrupted".to_owned());
    }
    cell.note = Some(format!("in each of {writes} writes"));
    cell
}

/// A life in which the leader loses the Lease in the middle of its `nth` write, or nothing if it makes fewer.
async fn interrupted(part: Part, step: Step, how: How, nth: usize) -> Option<Life> {
    let mut life = part.prepare().await;
    if life.replicas.is_empty() {
        life.start("first").await;
    }
    let after_the_work = how == How::AfterTheWork;
    match step {
        Step::Aws => life.replicas[0].aws.be_late(Lateness { skips: nth, by: LATE, after_the_work }),
        Step::Kubernetes => {
            let fault = Fault::arrive_late(LATE).on_writes().on_objects().skipping(nth);
            life.scene.kubernetes.inject(if after_the_work { fault.after_the_work() } else { fault });
        }
    }
    let second = Replica::start(&life.scene, "second");
    life.replicas.push(second);
    let is_in_flight = |life: &Life| match step {
        Step::Aws => life.replicas[0].aws.is_late(),
        Step::Kubernetes => life.scene.kubernetes.faults_left() == 0,
    };
    life.begin();
    let began = Instant::now();
    while !is_in_flight(&life) {
        // Without a fault every part is over long before; drift is found at the resync.
        let over = Duration::from_mins(if part == Part::Drift { 7 } else { 2 });
        if began.elapsed() > over {
            assert_eq!(life.verdict(), Ok(()), "{part:?} does not end");
            return None;
        }
        sleep(Duration::from_millis(500)).await;
    }
    life.replicas[0].cut_off();
    life.replicas[1].until_leads().await;
    sleep(LATE).await;
    life.replicas[0].reconnect();
    sleep(Duration::from_secs(30)).await;
    // It stands by from now on; nothing more comes of that, and looking at the Lease every two seconds is dear.
    life.replicas.remove(0).kill().await;
    // What was carried out late shows at the next resync.
    sleep(Duration::from_mins(6)).await;
    Some(life)
}
