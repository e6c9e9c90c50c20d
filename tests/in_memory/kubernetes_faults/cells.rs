//! What was found in a cell, and what every life has to lead to.

use std::time::Duration;

use tokio::time::sleep;

use super::parts::Life;
use crate::{memory::kubernetes::LEASES, scene::writes};

/// How soon everything is as it was asked for, once nothing is wrong any more: a resync, the longest pauses, and what AWS
/// itself takes.
pub const HEALS_WITHIN: Duration = Duration::from_mins(12);

/// A resync and more, and the end of a watch's time.
const RESTS: Duration = Duration::from_secs(315);

/// Requests a minute at most, of all kinds, Leases apart: an app and a network that each try, and tell.
pub const KUBERNETES_A_MINUTE: usize = 24;
/// The same to AWS.
pub const AWS_A_MINUTE: usize = 40;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// How long after it was over; the longest, where it happened at several moments.
    pub healed: Option<Duration>,
    /// How long a life took in which it happened three times.
    pub thrice: Option<Duration>,
    /// Calls of the one that fails, while it lasted.
    pub failing: Option<usize>,
    /// Requests a minute to Kubernetes and to AWS, while it lasted.
    pub rates: Option<(usize, usize)>,
    /// How many lives were lived.
    pub lives: usize,
    /// Something to know of it.
    pub note: Option<String>,
    pub problems: Vec<String>,
}

impl Cell {
    /// Counts requests of so many minutes.
    pub fn count(&mut self, minutes: usize, kubernetes: usize, aws: usize) {
        if kubernetes > KUBERNETES_A_MINUTE * minutes {
            self.problems.push(format!("{kubernetes} requests to Kubernetes in {minutes} minutes"));
        }
        if aws > AWS_A_MINUTE * minutes {
            self.problems.push(format!("{aws} calls to AWS in {minutes} minutes"));
        }
        let (most_kubernetes, most_aws) = self.rates.unwrap_or_default();
        self.rates = Some((most_kubernetes.max(kubernetes.div_ceil(minutes)), most_aws.max(aws.div_ceil(minutes))));
    }

    /// As the table shows it.
    pub fn shown(&self) -> String {
        let seconds = |time: Duration| format!("{} s", time.as_secs());
        let mut shown = Vec::new();
        shown.extend(self.thrice.map(|time| format!("3x: through in {}", seconds(time))));
        shown.extend(self.rates.map(|(kubernetes, aws)| format!("{kubernetes}+{aws}/min")));
        shown.push(self.healed.map_or_else(|| "NOT HEALED".into(), |time| format!("healed in {}", seconds(time))));
        shown.extend(self.note.clone());
        let amiss = if self.problems.is_empty() { String::new() } else { format!(" !! {}", self.problems.join("; ")) };
        shown.join(", ") + &amiss
    }
}

/// Nothing is wrong any more: all that was asked for comes true, then nobody writes anything, and when all is deleted
/// nothing is left.
pub async fn ends_well(life: Life, cell: &mut Cell) {
    cell.lives += 1;
    match life.until_through(HEALS_WITHIN).await {
        Ok(time) => cell.healed = Some(cell.healed.unwrap_or_default().max(time)),
        Err(wrong) => {
            cell.healed = None;
            cell.problems.push(format!("not healed: {wrong}"));
        }
    }
    // Lambda's interfaces go, and the roles that were kept for them.
    sleep(Duration::from_mins(2)).await;
    rests(&life, cell).await;
    cell.problems.extend(life.wrongs());
    cell.problems.extend(life.end().await.into_iter().map(|left| format!("in the end: {left}")));
}

/// Nobody writes anything, and few ask.
pub async fn rests(life: &Life, cell: &mut Cell) {
    life.scene.forget();
    sleep(RESTS).await;
    let (kubernetes, aws) = (life.scene.kubernetes.take_journal(), life.scene.aws.take_journal());
    let written = writes(&aws);
    if !written.is_empty() {
        cell.problems.push(format!("at rest AWS is written to: {written:?}"));
    }
    let written = kubernetes.only(|call| call.verb.writes() && call.plural != LEASES);
    if !written.is_empty() {
        cell.problems.push(format!("at rest Kubernetes is written to:\n{written}"));
    }
}
