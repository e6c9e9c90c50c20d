//! What a table knows, and what must be read before a question is answered by it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Cost,
    known::{KnownRows, Moment, TableRow},
};
use crate::aws::{
    AwsError,
    snapshot::{MaxAge, table::error_is_shared_for},
};

/// What must be read before a question is answered.
pub(super) enum Need<K> {
    Nothing,
    /// Nothing: the list could not be read a moment ago.
    Failed(AwsError),
    List,
    Rows(Vec<K>),
}

pub(super) struct State<K, R, X> {
    pub(super) known: KnownRows<K, R>,
    /// What the last good list showed of others.
    pub(super) others: Arc<X>,
    /// The number of all that the last good list went through.
    pub(super) size: usize,
    /// A list of an earlier generation is obsolete.
    pub(super) generation: u64,
    pub(super) last: Option<LastList>,
    /// When the last good list came.
    pub(super) answered: Option<Instant>,
}

/// The last list.
pub(super) struct LastList {
    pub(super) generation: u64,
    pub(super) begun: Moment,
    pub(super) at: Instant,
    /// How old it was at that moment already.
    pub(super) aged: Duration,
    pub(super) error: Option<AwsError>,
    /// How often in a row it could not be read.
    pub(super) failures: u32,
}

impl<K: Ord + Clone, R: TableRow, X: Default> State<K, R, X> {
    pub(super) fn new() -> Self {
        let known = KnownRows::default();
        Self { known, others: Arc::default(), size: 0, generation: 0, last: None, answered: None }
    }

    /// The list is read anew by whoever asks next.
    pub(super) fn forget_list(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// The last list was read, and is not obsolete.
    pub(super) fn is_good(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.generation == self.generation && last.error.is_none())
    }

    /// What must be read before it is known what these rows are, or all, or what others have. Where a list shows all of a row,
    /// it stands in for reads of single rows that cost more calls.
    pub(super) fn need(&mut self, keys: Option<&[K]>, max_age: MaxAge, cost: &Cost, lists_all: bool) -> Need<K> {
        let now = Instant::now();
        self.known.settle(now);
        let Some(last) = self.last.as_ref().filter(|last| last.generation == self.generation) else {
            return Need::List;
        };
        let age = last.aged.saturating_add(now.saturating_duration_since(last.at));
        if let Some(error) = &last.error {
            let is_shared = age < error_is_shared_for(error, last.failures);
            return if is_shared { Need::Failed(error.clone()) } else { Need::List };
        }
        let is_young = max_age == MaxAge::Any || MaxAge::Under(age) < max_age;
        let keys: Vec<K> = match (keys, max_age) {
            // Whether others are there, only a list tells.
            (None | Some([]), MaxAge::Under(_)) if !is_young => return Need::List,
            (None, _) => self.known.all_open(),
            (Some(keys), MaxAge::Under(bound)) if !is_young => {
                keys.iter().filter(|key| !self.known.is_fresh(key, bound, now)).cloned().collect()
            }
            (Some(keys), _) => keys.iter().filter(|key| self.known.is_open(key)).cloned().collect(),
        };
        if keys.is_empty() {
            return Need::Nothing;
        }
        let pages = self.size.div_ceil(cost.page).max(1);
        if lists_all && pages <= cost.row.saturating_mul(keys.len()) { Need::List } else { Need::Rows(keys) }
    }
}
