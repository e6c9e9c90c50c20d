//! What is known of the rows of one table: the last list, and on top of it our own writes and reads of single rows. Pure: the
//! time is an argument.

mod kept;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use kept::KeptRows;

/// AWS is consistent eventually: for so long after our own write, an answer that shows the row as it was before the write is
/// an old one.
pub(in crate::aws::snapshot) const BELIEVED_FOR: Duration = Duration::from_mins(1);

/// The rows of a table.
pub(in crate::aws::snapshot) trait TableRow: Clone + Eq {
    /// Whether both show the same, but for what changes all the time.
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

/// The order in which reads begin and writes end.
pub(in crate::aws::snapshot) type Moment = u64;

/// The effect of our own write on a row.
pub(in crate::aws::snapshot) enum RowEffect<'a, R> {
    /// The row is this.
    Is(R),
    /// The row, where it is known, is changed so.
    Edited(&'a dyn Fn(&mut R)),
    /// The row is gone.
    Gone,
    /// The row is gone, or goes soon: a read of the row tells.
    Ends,
    /// A read of the row tells.
    Unknown,
}

/// Whether a read of a row explains itself by what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The row was known so, or our own writes explain the difference.
    Agrees,
    /// Somebody else changed the row: the list may be old in other rows too.
    Disagrees,
}

/// Whether an answer can be older than our last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::aws::snapshot) enum Reading {
    /// It shows every write that ended before.
    Current,
    /// It may be a copy that lags behind.
    Lagging,
}

/// The rows of one table.
#[derive(Clone, Debug)]
pub(super) struct KnownRows<K, R> {
    rows: Arc<BTreeMap<K, R>>,
    marks: BTreeMap<K, Mark<R>>,
    moment: Moment,
    /// When the first mark gets too old.
    next: Option<Instant>,
}

/// What is known of a row beside the list.
#[derive(Clone, Debug)]
struct Mark<R> {
    own: Option<Own<R>>,
    /// Since when the row is to be read before anybody relies on it.
    open: Option<Moment>,
    /// We had AWS delete the row, and nobody saw yet that it is gone.
    ends: bool,
    read: Option<ReadAt>,
}

/// Our own writes to a row.
#[derive(Clone, Debug)]
struct Own<R> {
    moment: Moment,
    at: Instant,
    /// What the row was before each of them.
    before: Vec<Option<R>>,
    /// An answer showed one of those since.
    contested: bool,
    /// AWS refused a write as if the row were another one.
    doubted: bool,
}

/// The last read of the row by itself.
#[derive(Clone, Copy, Debug)]
struct ReadAt {
    begun: Moment,
    at: Instant,
}

impl<R> Mark<R> {
    fn is_empty(&self) -> bool {
        self.own.is_none() && self.open.is_none() && !self.ends && self.read.is_none()
    }
}

// Not derived: a derivation would ask for `R: Default`.
impl<R> Default for Mark<R> {
    fn default() -> Self {
        Self { own: None, open: None, ends: false, read: None }
    }
}

impl<R: TableRow> Own<R> {
    /// The answer is an older one: it shows the row as it was before one of our writes.
    fn was_before(&self, shown: Option<&R>) -> bool {
        !self.doubted && self.before.iter().any(|before| before.as_ref() == shown)
    }

    fn is_believed(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < BELIEVED_FOR
    }
}

impl<K: Ord + Clone, R: TableRow> Default for KnownRows<K, R> {
    fn default() -> Self {
        Self { rows: Arc::default(), marks: BTreeMap::new(), moment: 0, next: None }
    }
}

impl<K: Ord + Clone, R: TableRow> KnownRows<K, R> {
    pub(super) fn rows(&self) -> &Arc<BTreeMap<K, R>> {
        &self.rows
    }

    /// A read begins.
    pub(super) fn begin(&mut self) -> Moment {
        self.moment = self.moment.saturating_add(1);
        self.moment
    }

    /// A write of ours ended.
    pub(super) fn wrote(&mut self, key: &K, effect: RowEffect<'_, R>, now: Instant) {
        self.settle(now);
        let moment = self.begin();
        let is_open = self.marks.get(key).is_some_and(|mark| mark.open.is_some());
        match effect {
            RowEffect::Is(row) => self.set_own(key, Some(row), moment, now),
            RowEffect::Gone => self.set_own(key, None, moment, now),
            RowEffect::Edited(edit) => match self.rows.get(key).cloned() {
                Some(mut row) if !is_open => {
                    edit(&mut row);
                    self.set_own(key, Some(row), moment, now);
                }
                _ => self.open(key, moment),
            },
            RowEffect::Ends => {
                self.open(key, moment);
                self.marks.entry(key.clone()).or_default().ends = true;
            }
            RowEffect::Unknown => self.open(key, moment),
        }
    }

    /// The row may be another one by now: it is read before anybody relies on it.
    pub(super) fn forget(&mut self, key: &K) {
        let moment = self.begin();
        self.open(key, moment);
    }

    /// AWS refused a write as if the row were another one: who asks for a fresh row does not get our own, and the next answer is
    /// believed.
    pub(super) fn doubt(&mut self, key: &K) {
        if let Some(own) = self.marks.get_mut(key).and_then(|mark| mark.own.as_mut()) {
            own.doubted = true;
        }
    }

    fn open(&mut self, key: &K, moment: Moment) {
        self.marks.entry(key.clone()).or_default().open = Some(moment);
    }

    fn set_own(&mut self, key: &K, row: Option<R>, moment: Moment, now: Instant) {
        let before = self.set(key, row);
        let mark = self.marks.entry(key.clone()).or_default();
        let mut versions = mark.own.take().map(|own| own.before).unwrap_or_default();
        versions.push(before);
        let own = Own { moment, at: now, before: versions, contested: false, doubted: false };
        *mark = Mark { own: Some(own), ..Mark::default() };
        self.expires(now);
    }

    fn set(&mut self, key: &K, row: Option<R>) -> Option<R> {
        if self.rows.get(key) == row.as_ref() {
            return row;
        }
        let rows = Arc::make_mut(&mut self.rows);
        match row {
            Some(row) => rows.insert(key.clone(), row),
            None => rows.remove(key),
        }
    }

    /// The row, read by itself by a read that began at this moment.
    pub(super) fn shown(
        &mut self,
        key: &K,
        found: Option<R>,
        begun: Moment,
        reading: Reading,
        now: Instant,
    ) -> Agreement {
        self.settle(now);
        let is_same = is_same(self.rows.get(key), found.as_ref());
        let mark = self.marks.entry(key.clone()).or_default();
        // What a list showed is told from what we know by our own writes: of that, the read says nothing about the list.
        let was_listed = mark.open.is_none() && mark.own.is_none();
        if mark.open.is_some_and(|open| open < begun) {
            mark.open = None;
        }
        // A write ended while this was read.
        if mark.own.as_ref().is_some_and(|own| own.moment > begun) {
            return Agreement::Agrees;
        }
        if let Some(own) = mark.own.as_mut().filter(|_| reading == Reading::Lagging && !is_same)
            && own.was_before(found.as_ref())
        {
            own.contested = true;
            return Agreement::Agrees;
        }
        let ended = mark.ends && found.is_none() && mark.open.is_none();
        mark.read = Some(ReadAt { begun, at: now });
        if ended {
            // From now on, an answer that lists the row is an old one.
            let moment = self.begin();
            self.set_own(key, None, moment, now);
            return Agreement::Agrees;
        }
        if !is_same {
            mark.own = None;
        }
        self.expires(now);
        self.set(key, found);
        if is_same || !was_listed { Agreement::Agrees } else { Agreement::Disagrees }
    }

    /// A list whose read began at this moment.
    pub(super) fn listed(&mut self, mut listed: BTreeMap<K, R>, begun: Moment, now: Instant) {
        self.settle(now);
        let mut marks = std::mem::take(&mut self.marks);
        for (key, mark) in &mut marks {
            let ours = self.rows.get(key);
            let shown = listed.get(key);
            if mark.open.is_some_and(|open| open < begun) {
                mark.open = None;
            }
            let is_after = mark.own.as_ref().is_some_and(|own| own.moment > begun)
                || mark.read.is_some_and(|read| read.begun > begun);
            let is_same = is_same(ours, shown);
            let is_old = !is_same
                && mark.own.as_mut().is_some_and(|own| {
                    let is_old = own.was_before(shown);
                    own.contested |= is_old;
                    is_old
                });
            if is_after || is_old {
                match ours.cloned() {
                    Some(row) => drop(listed.insert(key.clone(), row)),
                    None => drop(listed.remove(key)),
                }
                continue;
            }
            mark.read = None;
            if !is_same {
                mark.own = None;
            }
            if mark.ends && mark.open.is_none() && shown.is_none() {
                mark.ends = false;
                let before = vec![ours.cloned()];
                mark.own = Some(Own { moment: begun, at: now, before, contested: false, doubted: false });
            }
        }
        marks.retain(|_, mark| !mark.is_empty());
        self.marks = marks;
        self.rows = Arc::new(listed);
        if !self.marks.is_empty() {
            self.expires(now);
        }
    }

    /// Ends what is too old: a row of our own that AWS contested to the end is read again.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.moment = self.moment.saturating_add(1);
        for mark in self.marks.values_mut() {
            if let Some(own) = mark.own.take_if(|own| !own.is_believed(now))
                && own.contested
            {
                mark.open = Some(self.moment);
            }
            mark.read = mark.read.filter(|read| now.saturating_duration_since(read.at) < BELIEVED_FOR);
        }
        self.marks.retain(|_, mark| !mark.is_empty());
        let times =
            |mark: &Mark<R>| mark.own.as_ref().map(|own| own.at).into_iter().chain(mark.read.map(|read| read.at)).min();
        self.next = self.marks.values().filter_map(times).min().map(|first| first + BELIEVED_FOR);
    }

    /// Something is known from this time on that gets too old.
    fn expires(&mut self, from: Instant) {
        let at = from + BELIEVED_FOR;
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// The row is to be read before anybody relies on it.
    pub(super) fn is_open(&self, key: &K) -> bool {
        self.marks.get(key).is_some_and(|mark| mark.open.is_some())
    }

    /// All rows that are to be read before anybody relies on the whole. What AWS is deleting for us is there until that is seen.
    pub(super) fn all_open(&self) -> Vec<K> {
        let open = self.marks.iter().filter(|(_, mark)| mark.open.is_some() && !mark.ends);
        open.map(|(key, _)| key.clone()).collect()
    }

    /// The row is known as it was at most so long ago, whatever the list's age: by a read of its own, or by our own write.
    pub(super) fn is_fresh(&self, key: &K, age: Duration, now: Instant) -> bool {
        let Some(mark) = self.marks.get(key) else { return false };
        let by_own = mark.own.as_ref().is_some_and(|own| own.is_believed(now) && !own.doubted);
        let by_read = mark.read.is_some_and(|read| now.saturating_duration_since(read.at) < age);
        mark.open.is_none() && (by_own || by_read)
    }

    /// We created the row a moment ago.
    pub(super) fn was_created(&self, key: &K, now: Instant) -> bool {
        let own = self.marks.get(key).filter(|mark| mark.open.is_none()).and_then(|mark| mark.own.as_ref());
        let created = own.is_some_and(|own| own.is_believed(now) && own.before.contains(&None));
        created && self.rows.contains_key(key)
    }

    /// We had AWS delete the row, and nobody saw yet that it is gone.
    pub(super) fn ends(&self, key: &K) -> bool {
        self.marks.get(key).is_some_and(|mark| mark.ends)
    }

    /// Since when it is known that the row is gone, where we had AWS delete it a moment ago.
    pub(super) fn gone_since(&self, key: &K, now: Instant) -> Option<Moment> {
        let mark = self.marks.get(key).filter(|mark| mark.open.is_none() && !mark.ends)?;
        let own = mark.own.as_ref().filter(|own| own.is_believed(now) && !own.doubted)?;
        (!self.rows.contains_key(key)).then_some(own.moment)
    }
}

fn is_same<R: TableRow>(one: Option<&R>, other: Option<&R>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests;
