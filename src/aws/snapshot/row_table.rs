//! A table of rows: read by one paginated list, and kept true row by row. Our own write changes its row, by AWS's answer; what a
//! write leaves open is read by itself. A list is read at the start, at a resync, and when a row turns out to be another one than
//! the table said. So nobody's write makes anybody read the list again.

mod known;
mod state;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

pub use self::known::KeptRows;
pub(super) use self::known::{BELIEVED_FOR, Moment, Reading, RowEffect, TableRow};
use self::{
    known::{Agreement, KnownRows},
    state::{LastList, Need, State},
};
use super::MaxAge;
use crate::aws::{AwsError, Credentials, Failure};

/// What the calls behind a table cost, and what they show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// How many rows a page of the list has.
    pub(super) page: usize,
    /// How many calls one row takes that is read by itself.
    pub(super) row: usize,
    /// What a read of one row shows.
    pub(super) reading: Reading,
}

/// All rows of a list.
pub(super) struct Listing<K, R, X> {
    pub(super) rows: BTreeMap<K, R>,
    /// What is of interest of the resources that are not ours.
    pub(super) others: X,
    /// The number of all that the list went through.
    pub(super) size: usize,
}

/// The rows of one table.
pub(super) struct RowTable<K, R, X = ()> {
    credentials: Arc<Credentials>,
    cost: Cost,
    state: Mutex<State<K, R, X>>,
    /// Held while the list is read: whoever asks meanwhile waits, and takes the same answer (single flight).
    list: tokio::sync::Mutex<()>,
    /// Held while a row is read by itself.
    single: Mutex<BTreeMap<K, Arc<tokio::sync::Mutex<()>>>>,
}

impl<K: Ord + Clone, R: TableRow, X: Default> RowTable<K, R, X> {
    pub(super) fn new(credentials: &Arc<Credentials>, cost: Cost) -> Self {
        Self {
            credentials: Arc::clone(credentials),
            cost,
            state: Mutex::new(State::new()),
            list: tokio::sync::Mutex::default(),
            single: Mutex::default(),
        }
    }

    /// The list is read anew by whoever asks next. Our own writes stay.
    pub(super) fn invalidate(&self) {
        self.lock().forget_list();
    }

    /// Where the last list is an error, the list is read anew by whoever asks next, whatever was shared.
    pub(super) fn forget_error(&self) {
        let mut state = self.lock();
        if state.last.as_ref().is_some_and(|last| last.error.is_some()) {
            state.forget_list();
        }
    }

    /// The row may be another one by now: it is read before anybody relies on it.
    pub(super) fn forget_row(&self, key: &K) {
        self.lock().known.forget(key);
    }

    /// AWS refused a write as if the row were another one.
    pub(super) fn doubt(&self, key: &K) {
        self.lock().known.doubt(key);
    }

    /// A write of ours ended.
    pub(super) fn wrote(&self, key: &K, effect: RowEffect<'_, R>) {
        self.lock().known.wrote(key, effect, Instant::now());
    }

    /// The age of the last good list.
    pub(super) fn age(&self) -> Option<Duration> {
        self.lock().answered.map(|at| at.elapsed())
    }

    /// One row. `lists_all`: the list shows all of a row, so that it can stand in for reads of single rows.
    pub(super) async fn row<L, P>(
        &self,
        key: &K,
        max_age: MaxAge,
        lists_all: bool,
        list: impl FnOnce() -> L,
        read: impl FnOnce() -> P,
    ) -> Result<Option<R>, AwsError>
    where
        L: Future<Output = Result<Listing<K, R, X>, AwsError>>,
        P: Future<Output = Result<Option<R>, AwsError>>,
    {
        let which = std::slice::from_ref(key);
        let need = || self.need(Some(which), max_age, lists_all);
        match need() {
            Need::Nothing => {}
            Need::Failed(error) => return Err(error),
            Need::List => self.read_list(need, list).await?,
            Need::Rows(_) => {
                match self.read_row(key, self.cost.reading, || matches!(need(), Need::Rows(_)), read).await {
                    // Whoever may not ask for one may see all.
                    Err(error) if error.failure == Failure::AccessDenied => {
                        self.invalidate();
                        self.read_list(|| self.need(Some(which), MaxAge::Any, lists_all), list).await?;
                    }
                    answer => answer?,
                }
            }
        }
        Ok(self.lock().known.rows().get(key).cloned())
    }

    /// One row as far as the list shows it; the outer `None` where the row is to be read by itself.
    pub(super) async fn listed_row<L>(
        &self,
        key: &K,
        max_age: MaxAge,
        list: impl FnOnce() -> L,
    ) -> Result<Option<Option<R>>, AwsError>
    where
        L: Future<Output = Result<Listing<K, R, X>, AwsError>>,
    {
        let which = std::slice::from_ref(key);
        let need = || self.need(Some(which), max_age, true);
        // Where there is no good list, one is read for everybody.
        if self.is_open(key) && self.lock().is_good() {
            return Ok(None);
        }
        match need() {
            Need::Nothing => {}
            Need::Failed(error) => return Err(error),
            Need::List => self.read_list(need, list).await?,
            Need::Rows(_) => return Ok(None),
        }
        Ok(Some(self.lock().known.rows().get(key).cloned()))
    }

    /// Reads the list for a row that is to be read before anybody relies on it.
    pub(super) async fn read_open<L>(&self, key: &K, list: impl FnOnce() -> L) -> Result<(), AwsError>
    where
        L: Future<Output = Result<Listing<K, R, X>, AwsError>>,
    {
        let which = std::slice::from_ref(key);
        self.read_list(|| self.need(Some(which), MaxAge::Any, true), list).await
    }

    /// All rows.
    pub(super) async fn all<L, P>(
        &self,
        max_age: MaxAge,
        lists_all: bool,
        list: impl FnOnce() -> L,
        read: impl Fn(K) -> P,
    ) -> Result<Arc<BTreeMap<K, R>>, AwsError>
    where
        L: Future<Output = Result<Listing<K, R, X>, AwsError>>,
        P: Future<Output = Result<Option<R>, AwsError>>,
    {
        let need = || self.need(None, max_age, lists_all);
        match need() {
            Need::Nothing => {}
            Need::Failed(error) => return Err(error),
            Need::List => self.read_list(need, list).await?,
            Need::Rows(keys) => {
                let mut denied = None;
                for key in keys {
                    match self.read_row(&key, self.cost.reading, || self.is_open(&key), || read(key.clone())).await {
                        Err(error) if error.failure == Failure::AccessDenied => denied = Some(error),
                        answer => answer?,
                    }
                }
                if denied.is_some() {
                    self.invalidate();
                    self.read_list(need, list).await?;
                }
            }
        }
        Ok(Arc::clone(self.lock().known.rows()))
    }

    /// What the list shows of others, by a list that is at most so old.
    pub(super) async fn others<L>(&self, max_age: MaxAge, list: impl FnOnce() -> L) -> Result<Arc<X>, AwsError>
    where
        L: Future<Output = Result<Listing<K, R, X>, AwsError>>,
    {
        let need = || self.need(Some(&[]), max_age, true);
        match need() {
            Need::Nothing | Need::Rows(_) => {}
            Need::Failed(error) => return Err(error),
            Need::List => self.read_list(need, list).await?,
        }
        Ok(Arc::clone(&self.lock().others))
    }

    /// Reads a row by itself because somebody wants to know what is there now, and believes the answer. Where the list is not good,
    /// or the row cannot be read so, the list is read anew by whoever asks next.
    pub(super) async fn reread<P>(&self, key: &K, read: impl FnOnce() -> P)
    where
        P: Future<Output = Result<Option<R>, AwsError>>,
    {
        let is_good = self.lock().is_good();
        if !is_good || self.read_row(key, Reading::Current, || true, read).await.is_err() {
            self.invalidate();
        }
    }

    /// What a read of the row by itself showed, which began at that moment.
    pub(super) fn saw(&self, key: &K, found: Option<R>, begun: Moment, reading: Reading) {
        let mut state = self.lock();
        let agreement = state.known.shown(key, found, begun, reading, Instant::now());
        if agreement == Agreement::Disagrees && state.is_good() {
            state.forget_list();
        }
    }

    /// A read of a row by itself begins.
    pub(super) fn begin(&self) -> Moment {
        self.lock().known.begin()
    }

    /// The row is to be read before anybody relies on it.
    pub(super) fn is_open(&self, key: &K) -> bool {
        let mut state = self.lock();
        state.known.settle(Instant::now());
        state.known.is_open(key)
    }

    /// We created the row a moment ago.
    pub(super) fn was_created(&self, key: &K) -> bool {
        self.lock().known.was_created(key, Instant::now())
    }

    /// We had AWS delete the row, and nobody saw yet that it is gone.
    pub(super) fn ends(&self, key: &K) -> bool {
        self.lock().known.ends(key)
    }

    /// Since when it is known that the row is gone, where we had AWS delete it a moment ago.
    pub(super) fn gone_since(&self, key: &K) -> Option<Moment> {
        self.lock().known.gone_since(key, Instant::now())
    }

    /// Of these rows, those that are there and those that AWS is deleting for us, and when the list began.
    pub(super) fn standing<'a>(&self, keys: impl Iterator<Item = &'a K>) -> (Vec<K>, Vec<K>, Option<Moment>)
    where
        K: 'a,
    {
        let state = self.lock();
        let listed = keys.filter(|key| state.known.rows().contains_key(key)).cloned();
        let (ends, there) = listed.partition(|key| state.known.ends(key));
        (there, ends, state.last.as_ref().map(|last| last.begun))
    }

    /// Whether one page has the whole list.
    pub(super) fn is_one_page(&self) -> bool {
        self.lock().size <= self.cost.page
    }

    /// The content, as plain data.
    pub(super) fn state(&self) -> KeptRows<K, R> {
        let mut state = self.lock();
        state.known.settle(Instant::now());
        state.known.keep(state.is_good())
    }

    /// What the last good list showed of others.
    pub(super) fn last_others(&self) -> Arc<X> {
        Arc::clone(&self.lock().others)
    }

    fn need(&self, keys: Option<&[K]>, max_age: MaxAge, lists_all: bool) -> Need<K> {
        self.lock().need(keys, max_age, &self.cost, lists_all)
    }

    /// Reads the list, unless somebody else did so meanwhile.
    async fn read_list<L>(&self, need: impl Fn() -> Need<K>, list: impl FnOnce() -> L) -> Result<(), AwsError>
    where
        L: Future<Output = Result<Listing<K, R, X>, AwsError>>,
    {
        let _turn = self.list.lock().await;
        match need() {
            Need::List => {}
            Need::Failed(error) => return Err(error),
            Need::Nothing | Need::Rows(_) => return Ok(()),
        }
        let (generation, begun) = {
            let mut state = self.lock();
            (state.generation, state.known.begin())
        };
        let answer = list().await;
        let mut state = self.lock();
        let (at, aged) = (Instant::now(), Duration::ZERO);
        match answer {
            Ok(Listing { rows, others, size }) => {
                state.known.listed(rows, begun, at);
                (state.others, state.size, state.answered) = (Arc::new(others), size, Some(at));
                state.last = Some(LastList { generation, begun, at, aged, error: None, failures: 0 });
                Ok(())
            }
            Err(error) => {
                self.credentials.suspect(&error);
                let failures = state.last.as_ref().map_or(0, |last| last.failures).saturating_add(1);
                state.last = Some(LastList { generation, begun, at, aged, error: Some(error.clone()), failures });
                Err(error)
            }
        }
    }

    /// Reads a row by itself, unless somebody else did so meanwhile.
    async fn read_row<P>(
        &self,
        key: &K,
        reading: Reading,
        is_needed: impl Fn() -> bool,
        read: impl FnOnce() -> P,
    ) -> Result<(), AwsError>
    where
        P: Future<Output = Result<Option<R>, AwsError>>,
    {
        let turn = Arc::clone(self.singles().entry(key.clone()).or_default());
        let answer = {
            let _turn = turn.lock().await;
            if is_needed() {
                let begun = self.begin();
                let answer = read().await;
                answer
                    .map(|found| self.saw(key, found, begun, reading))
                    .inspect_err(|error| self.credentials.suspect(error))
            } else {
                Ok(())
            }
        };
        let mut singles = self.singles();
        drop(turn);
        if singles.get(key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            singles.remove(key);
        }
        answer
    }

    fn singles(&self) -> MutexGuard<'_, BTreeMap<K, Arc<tokio::sync::Mutex<()>>>> {
        self.single.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State<K, R, X>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from what was kept elsewhere: the list is so old by now.
    pub(super) fn restore(&self, kept: KeptRows<K, R>, others: Arc<X>, aged: Duration) {
        let mut state = self.lock();
        let now = Instant::now();
        state.size = kept.rows.len();
        if kept.is_listed {
            let (generation, at) = (state.generation, now);
            state.last = Some(LastList { generation, begun: 0, at, aged, error: None, failures: 0 });
        }
        state.known = KnownRows::of(kept, now);
        state.others = others;
    }
}
