//! The pace of AWS calls: token buckets at the rates in the tables of operations (`src/aws/services`). These are the rates that
//! AWS publishes, and for IAM, for which AWS publishes none, careful guesses. A bucket slows down when AWS throttles calls at its
//! rate.
//!
//! All callers in the account share AWS's rates. The operator therefore takes at most the rate of the table, or the configured
//! [`Share`] of that rate. Each throttled answer halves the rate; other answers raise the rate again, step by step. A call waits
//! for its turn in [`Pacer`]; everything else here is pure, and takes the time as an argument.

mod pacer;
mod queue;

use std::{fmt, str::FromStr, time::Duration};

pub use pacer::{Exploration, Held, OnHold, Pacer, PutOff};
pub use queue::{CLAIMED_WITHIN, Entry, Owner, Queue, Urgency};

use super::{InvalidId, Operation, RateLimit, SharedLimit};

/// The longest time for which a call waits in line. A call whose turn comes later is put off: its caller comes back at its turn.
pub const LONGEST_HOLD: Duration = Duration::from_secs(5);

/// The longest time for which a new app is let wait in line from the start. Whoever waits in line is reconciled meanwhile, and a new
/// app must not keep others from that.
const LONGEST_HOLD_OF_NEW: Duration = Duration::from_secs(1);

/// The shortest time between two changes of a rate: calls that were under way together are throttled together, and count once.
const CHANGES_APART: Duration = Duration::from_secs(1);

/// The shortest time between two steps above a guessed rate.
const EXPLORED_EVERY: Duration = Duration::from_secs(5);

/// The time after a throttled answer for which a rate stays no faster than the guess: other automation of the account comes first.
const RESTS_FOR: Duration = Duration::from_mins(10);

/// The slowest rate, as a divisor of the full rate.
const SLOWEST: u64 = 8;

/// The step by which a slowed rate rises, as a divisor of the full rate.
const RAISED_BY: u64 = 16;

/// One token. Levels count billionths of a token: a rate in thousandths of a token for each second yields billionths in a
/// microsecond.
const TOKEN: i64 = 1_000_000_000;

/// A rate of calls, as a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    /// The calls that can be made at once after a pause.
    burst: u32,
    /// The calls in a thousand seconds.
    sustained: u64,
}

impl Rate {
    /// A bucket of `burst` calls that refills by `sustained` calls a second.
    pub(super) const fn per_second(burst: u32, sustained: u32) -> Self {
        Self { burst, sustained: sustained as u64 * 1_000 }
    }

    /// A bucket of `burst` calls that refills by `sustained` calls in a thousand seconds.
    pub(super) const fn per_thousand_seconds(burst: u32, sustained: u32) -> Self {
        Self { burst, sustained: sustained as u64 }
    }

    /// A rate for which AWS publishes no bucket: the calls of one second may come at once.
    pub(super) const fn even(sustained: u32) -> Self {
        Self::per_second(sustained, sustained)
    }

    /// A share of this rate: at least one call at once, and one in a thousand seconds, so that every call can be made.
    fn scaled(self, share: Share) -> Self {
        let percent = u64::from(share.0);
        let burst = u64::from(self.burst) * percent / 100;
        Self {
            burst: u32::try_from(burst).unwrap_or(self.burst).max(1),
            sustained: (self.sustained.saturating_mul(percent) / 100).max(1),
        }
    }
}

/// The largest share of AWS's rates that the operator takes, in percent: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u8);

impl Share {
    /// The whole rate.
    pub const ALL: Self = Self(100);
}

impl FromStr for Share {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let percent = text.parse().ok().filter(|percent| (1..=100).contains(percent));
        percent.map(Self).ok_or_else(|| InvalidId { text: text.to_owned(), expected: "a percentage from 1 to 100" })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The calls that share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    /// The service prefix, as IAM names it.
    service: &'static str,
    /// The name of the calls: an operation, or a group of operations that share a limit.
    calls: &'static str,
    /// One bucket serves all regions.
    global: bool,
    /// The published rate, or a guess.
    rate: Rate,
    /// The rate up to which a guess may be explored.
    ceiling: Option<Rate>,
}

impl Family {
    /// The family of a call; `None` for a call that is not paced.
    pub fn of(service: &str, operation: &str) -> Option<Self> {
        let operation = Operation::named(service, operation)?;
        let (calls, global, rate, ceiling) = match operation.rate_limit {
            RateLimit::Own(rate) => (operation.name, false, rate, None),
            RateLimit::Shared(SharedLimit { name, global, rate }) => (name, global, rate, None),
            RateLimit::Unpublished(SharedLimit { name, global, rate }, ceiling) => (name, global, rate, Some(ceiling)),
            RateLimit::None => return None,
        };
        Some(Self { service: operation.service, calls, global, rate, ceiling })
    }
}

/// A token bucket. The [`Queue`] of the bucket decides whose tokens they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    published: Rate,
    /// The current rate, in tokens for each thousand seconds.
    sustained: u64,
    /// The current level, in billionths of a token.
    level: i64,
    /// The time of that level.
    at: Duration,
    /// The time of the last change of the rate.
    changed: Option<Duration>,
    /// The fastest rate, in tokens for each thousand seconds.
    ceiling: u64,
    /// When AWS throttled a call last.
    throttled: Option<Duration>,
}

impl Bucket {
    /// A full bucket. All times are since the same moment.
    pub fn full(published: Rate, now: Duration) -> Self {
        let level = i64::from(published.burst).saturating_mul(TOKEN);
        let sustained = published.sustained;
        Self { published, sustained, level, at: now, changed: None, ceiling: sustained, throttled: None }
    }

    /// The same, with a rate that may be explored up to this one.
    #[must_use]
    pub fn explored_to(self, ceiling: Rate) -> Self {
        Self { ceiling: ceiling.sustained.max(self.published.sustained), ..self }
    }

    /// The number of tokens that the bucket holds at most.
    pub fn burst(&self) -> usize {
        usize::try_from(self.published.burst).unwrap_or(usize::MAX).max(1)
    }

    /// The bucket holds as many tokens as it can: further ones would be lost.
    pub fn is_full(&self, now: Duration) -> bool {
        self.level_at(now) >= self.full_level()
    }

    /// The wait until there were this many tokens, if nobody took any and the bucket held them all.
    pub fn wait_for(&self, tokens: usize, now: Duration) -> Duration {
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX).saturating_mul(TOKEN);
        let lacking = u64::try_from(tokens.saturating_sub(self.level_at(now))).unwrap_or(0);
        Duration::from_micros(lacking.div_ceil(self.sustained.max(1)))
    }

    /// Takes a token.
    pub fn spend(&mut self, now: Duration) {
        self.fill(now);
        self.level = self.level.saturating_sub(TOKEN);
    }

    /// Puts a token back.
    pub fn give_back(&mut self, now: Duration) {
        self.fill(now);
        self.level = self.level.saturating_add(TOKEN).min(self.full_level());
    }

    /// Records a throttled call: AWS's own bucket is empty, and other callers take from that bucket too. A rate that was explored is no
    /// faster than the guess from then on.
    pub fn throttled(&mut self, now: Duration) {
        self.fill(now);
        self.level = self.level.min(0);
        self.throttled = Some(now);
        if self.may_change(now, CHANGES_APART) {
            let half = (self.sustained / 2).min(self.published.sustained);
            self.sustained = half.max(self.published.sustained / SLOWEST).max(1);
        }
    }

    /// Records a call that AWS accepted. `is_waited_for`: more calls wait for tokens.
    pub fn accepted(&mut self, now: Duration, is_waited_for: bool) {
        self.fill(now);
        let is_slowed = self.sustained < self.published.sustained;
        let bound = if is_slowed { self.published.sustained } else { self.ceiling };
        let is_rested = self.throttled.is_none_or(|at| now.saturating_sub(at) >= RESTS_FOR);
        let may_rise = is_slowed || (is_waited_for && is_rested);
        let apart = if is_slowed { CHANGES_APART } else { EXPLORED_EVERY };
        if self.sustained < bound && may_rise && self.may_change(now, apart) {
            self.sustained = (self.sustained + (self.published.sustained / RAISED_BY).max(1)).min(bound);
        }
    }

    fn may_change(&mut self, now: Duration, apart: Duration) -> bool {
        let may = self.changed.is_none_or(|changed| now.saturating_sub(changed) >= apart);
        if may {
            self.changed = Some(now);
        }
        may
    }

    fn fill(&mut self, now: Duration) {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
    }

    fn level_at(&self, now: Duration) -> i64 {
        let elapsed = u64::try_from(now.saturating_sub(self.at).as_micros()).unwrap_or(u64::MAX);
        let more = i64::try_from(elapsed.saturating_mul(self.sustained)).unwrap_or(i64::MAX);
        self.level.saturating_add(more).min(self.full_level())
    }

    fn full_level(&self) -> i64 {
        i64::from(self.published.burst).saturating_mul(TOKEN)
    }
}

#[cfg(test)]
mod tests;
