//! One table of a snapshot: read at most once for everybody who asks at the same time, and kept until it is invalidated.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::aws::{AwsError, Class, Credentials};

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAge {
    /// As old as it is, if nothing of ours has changed it since.
    Any,
    /// At most this old.
    Under(Duration),
}

impl MaxAge {
    /// The stricter of this and a bound.
    #[must_use]
    pub fn bounded_by(self, bound: Duration) -> Duration {
        match self {
            Self::Any => bound,
            Self::Under(age) => age.min(bound),
        }
    }
}

impl PartialOrd for MaxAge {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Under(left), Self::Under(right)) => left.partial_cmp(right),
            (Self::Any, Self::Any) => Some(std::cmp::Ordering::Equal),
            (Self::Any, Self::Under(_)) => Some(std::cmp::Ordering::Greater),
            (Self::Under(_), Self::Any) => Some(std::cmp::Ordering::Less),
        }
    }
}

/// For how long an error is everybody's answer, the first time and at most: long enough that a hundred objects that wait
/// for the same table do not each make the failing call, short enough that a retry is a real one. It doubles each time, so
/// that a call that goes on failing is made about twice a minute, however many objects wait for it.
const ERROR_IS_SHARED_FOR: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The longest time for which a refusal that a person must correct is everybody's answer. A resync, or a touch, asks again at once.
const REFUSAL_IS_SHARED_FOR: Duration = Duration::from_secs(256);

/// A table goes on from what was kept elsewhere, if anything was.
pub(super) fn restore_if_any<T>(table: &Table<T>, kept: Option<Arc<T>>, aged: Duration) {
    if let Some(kept) = kept {
        table.restore(kept, aged);
    }
}

/// One table: its last answer and the generation that the answer is of.
pub(super) struct Table<T> {
    credentials: Arc<Credentials>,
    generation: AtomicU64,
    /// Held while reading: whoever asks meanwhile waits, and takes the same answer (single flight).
    last: tokio::sync::Mutex<Option<Answer<T>>>,
    /// When the last good answer came. A lock of its own: whoever asks for its age does not wait for a read.
    answered: Mutex<Option<Instant>>,
}

struct Answer<T> {
    generation: u64,
    at: Instant,
    /// How old it was at that moment already.
    aged: Duration,
    value: Option<Arc<T>>,
    error: Option<AwsError>,
    /// How often in a row it could not be read.
    failures: u32,
}

/// Until when an error is everybody's answer, after so many in a row.
pub(super) fn error_is_shared_for(error: &AwsError, failures: u32) -> Duration {
    let (first, longest) = ERROR_IS_SHARED_FOR;
    let longest = if error.failure.class() == Class::UserMustAct { REFUSAL_IS_SHARED_FOR } else { longest };
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest)
}

impl<T> Table<T> {
    pub(super) fn new(credentials: &Arc<Credentials>) -> Self {
        let (generation, last) = (AtomicU64::new(0), tokio::sync::Mutex::new(None));
        Self { credentials: Arc::clone(credentials), generation, last, answered: Mutex::default() }
    }

    pub(super) fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Where the last answer is an error, whoever asks next has everything read, whatever was shared.
    pub(super) async fn forget_error(&self) {
        if self.last.lock().await.as_ref().is_some_and(|answer| answer.error.is_some()) {
            self.invalidate();
        }
    }

    /// Puts rows that are read by themselves into the last answer, which stays as old as it is. `read` is given that answer. Where
    /// there is no good one, or the rows cannot be read, whoever asks next has everything read.
    pub(super) async fn amend<R, F: Future<Output = Result<R, AwsError>>>(
        &self,
        read: impl FnOnce(Arc<T>) -> F,
        put: impl FnOnce(&mut T, R),
    ) where
        T: Clone,
    {
        let mut last = self.last.lock().await;
        let generation = self.generation.load(Ordering::SeqCst);
        let good = last.as_mut().filter(|answer| answer.generation == generation && answer.error.is_none());
        let Some(value) = good.and_then(|answer| answer.value.as_mut()) else {
            self.invalidate();
            return;
        };
        match read(Arc::clone(value)).await {
            Ok(rows) => put(Arc::make_mut(value), rows),
            Err(error) => {
                self.credentials.suspect(&error);
                self.invalidate();
            }
        }
    }

    pub(super) fn age(&self) -> Option<Duration> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// The answer for a caller that takes any age; `None` where the table would be read, or is being read.
    pub(super) fn current(&self) -> Option<Arc<T>> {
        let last = self.last.try_lock().ok()?;
        let current = |answer: &&Answer<T>| answer.generation == self.generation.load(Ordering::SeqCst);
        last.as_ref().filter(current).filter(|answer| answer.error.is_none())?.value.clone()
    }

    /// The last good answer, whatever became of it since.
    pub(super) async fn last_good(&self) -> Option<Arc<T>> {
        self.last.lock().await.as_ref()?.value.clone()
    }

    /// Goes on from what was kept elsewhere, and is so old by now.
    pub(super) fn restore(&self, value: Arc<T>, aged: Duration) {
        if let Ok(mut last) = self.last.try_lock() {
            let (generation, at) = (self.generation.load(Ordering::SeqCst), Instant::now());
            *last = Some(Answer { generation, at, aged, value: Some(value), error: None, failures: 0 });
        }
    }

    /// The last answer if it will do, else a new one. `read` is given the last good answer.
    pub(super) async fn get<F: Future<Output = Result<T, AwsError>>>(
        &self,
        max_age: MaxAge,
        read: impl FnOnce(Option<Arc<T>>) -> F,
    ) -> Result<Arc<T>, AwsError> {
        let mut last = self.last.lock().await;
        // Taken before the read: a write that ends during the read makes its answer stale.
        let generation = self.generation.load(Ordering::SeqCst);
        if let Some(answer) = last.as_ref().filter(|answer| answer.generation == generation) {
            let age = answer.aged.saturating_add(answer.at.elapsed());
            match (&answer.error, &answer.value) {
                (Some(error), _) if age < error_is_shared_for(error, answer.failures) => return Err(error.clone()),
                (None, Some(value)) if max_age == MaxAge::Any || MaxAge::Under(age) < max_age => {
                    return Ok(Arc::clone(value));
                }
                _ => {}
            }
        }
        let failures = last.as_ref().map_or(0, |answer| answer.failures);
        let before = last.take().and_then(|answer| answer.value);
        let (at, aged) = (Instant::now, Duration::ZERO);
        match read(before.clone()).await {
            Ok(value) => {
                let value = Arc::new(value);
                *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(at());
                let kept = Some(Arc::clone(&value));
                *last = Some(Answer { generation, at: at(), aged, value: kept, error: None, failures: 0 });
                Ok(value)
            }
            Err(error) => {
                self.credentials.suspect(&error);
                let (kept, failures) = (Some(error.clone()), failures.saturating_add(1));
                *last = Some(Answer { generation, at: at(), aged, value: before, error: kept, failures });
                Err(error)
            }
        }
    }
}
