//! What a table knows, as plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

use super::{KnownRows, Mark, Own, TableRow};

/// The rows as plain data, from which a model checker continues.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeptRows<K: Ord, R> {
    /// All rows, where the next caller causes no read of the list; else those of our own writes.
    pub rows: Arc<BTreeMap<K, R>>,
    /// The next caller causes no read of the list.
    pub is_listed: bool,
    /// The rows that were written a moment ago: what each was before, and whether AWS showed that again since.
    pub written: BTreeMap<K, (Vec<Option<R>>, bool)>,
    /// The rows that are to be read before anybody relies on them.
    pub open: BTreeSet<K>,
    /// The rows that AWS is deleting for us.
    pub ends: BTreeSet<K>,
}

impl<K: Ord, R> Default for KeptRows<K, R> {
    fn default() -> Self {
        let (written, open, ends) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { rows: Arc::default(), is_listed: false, written, open, ends }
    }
}

impl<K: Ord + Clone, R: Clone> KeptRows<K, R> {
    /// What a resync leaves: our own writes.
    #[must_use]
    pub fn without_list(&self) -> Self {
        let rows = self.written.keys().filter_map(|key| self.rows.get_key_value(key));
        let rows = rows.map(|(key, row)| (key.clone(), row.clone())).collect();
        Self { rows: Arc::new(rows), is_listed: false, ..self.clone() }
    }

    /// What remains when AWS has had the time to show every write.
    #[must_use]
    pub fn settled(&self) -> Self {
        let contested = self.written.iter().filter(|(_, (_, contested))| *contested).map(|(key, _)| key.clone());
        let open = self.open.iter().cloned().chain(contested).collect();
        let settled = Self { written: BTreeMap::new(), open, ..self.clone() };
        if self.is_listed { settled } else { settled.without_list() }
    }
}

impl<K: Ord + Clone, R: TableRow> KnownRows<K, R> {
    /// The rows as plain data.
    pub(in crate::aws::snapshot::row_table) fn keep(&self, is_listed: bool) -> KeptRows<K, R> {
        let of = |is: fn(&Mark<R>) -> bool| {
            self.marks.iter().filter(|(_, mark)| is(mark)).map(|(key, _)| key.clone()).collect()
        };
        let written = self.marks.iter().filter_map(|(key, mark)| {
            let own = mark.own.as_ref()?;
            Some((key.clone(), (own.before.clone(), own.contested)))
        });
        let kept = KeptRows {
            rows: Arc::clone(&self.rows),
            is_listed,
            written: written.collect(),
            open: of(|mark| mark.open.is_some()),
            ends: of(|mark| mark.ends),
        };
        if is_listed { kept } else { kept.without_list() }
    }

    /// Goes on from what was kept elsewhere, where our own writes count as made just now.
    pub(in crate::aws::snapshot::row_table) fn of(kept: KeptRows<K, R>, now: Instant) -> Self {
        let KeptRows { rows, is_listed: _, written, open, ends } = kept;
        let mut known = Self { rows, marks: BTreeMap::new(), moment: 1, next: None };
        for (key, (before, contested)) in written {
            let own = Own { moment: 1, at: now, before, contested, doubted: false };
            known.marks.entry(key).or_default().own = Some(own);
            known.expires(now);
        }
        for key in open {
            known.marks.entry(key).or_default().open = Some(1);
        }
        for key in ends {
            known.marks.entry(key).or_default().ends = true;
        }
        known
    }
}
