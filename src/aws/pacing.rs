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

pub use pacer::{Held, OnHold, Pacer, PutOff};
pub use queue::{CLAIMED_WITHIN, Entry, Owner, Queue, Urgency};

use super::{InvalidId, Operation, RateLimit, SharedLimit};

/// The longest time for which a call waits in line. A call whose turn comes later is put off: its caller comes back at its turn.
pub const LONGEST_HOLD: Duration = Duration::from_secs(5);

/// The longest time for which a new app is let wait in line from the start. Whoever waits in line is reconciled meanwhile, and a new
/// app must not keep others from that.
const LONGEST_HOLD_OF_NEW: Duration = Duration::from_secs(1);

/// The shortest time between two changes of a rate: calls that were under way together are throttled together, and count once.
const CHANGES_APART: Duration = Duration::from_secs(1);

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
    /// The full rate.
    rate: Rate,
}

impl Family {
    /// The family of a call; `None` for a call that is not paced.
    pub fn of(service: &str, operation: &str) -> Option<Self> {
        let operation = Operation::named(service, operation)?;
        let (calls, global, rate) = match operation.rate_limit {
            RateLimit::Own(rate) => (operation.name, false, rate),
            RateLimit::Shared(SharedLimit { name, global, rate }) => (name, global, rate),
            RateLimit::None => return None,
        };
        Some(Self { service: operation.service, calls, global, rate })
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
}

impl Bucket {
    /// A full bucket. All times are since the same moment.
    pub fn full(published: Rate, now: Duration) -> Self {
        let level = i64::from(published.burst).saturating_mul(TOKEN);
        Self { published, sustained: published.sustained, level, at: now, changed: None }
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

    /// Records a throttled call: AWS's own bucket is empty, and other callers take from that bucket too.
    pub fn throttled(&mut self, now: Duration) {
        self.fill(now);
        self.level = self.level.min(0);
        if self.may_change(now) {
            self.sustained = (self.sustained / 2).max(self.published.sustained / SLOWEST).max(1);
        }
    }

    /// Records a call that AWS accepted.
    pub fn accepted(&mut self, now: Duration) {
        self.fill(now);
        let raised = self.sustained + (self.published.sustained / RAISED_BY).max(1);
        if self.sustained < self.published.sustained && self.may_change(now) {
            self.sustained = raised.min(self.published.sustained);
        }
    }

    fn may_change(&mut self, now: Duration) -> bool {
        let may = self.changed.is_none_or(|changed| now.saturating_sub(changed) >= CHANGES_APART);
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
mod tests {
    use super::*;

    const ENDPOINTS: Rate = Rate::per_thousand_seconds(4, 300);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Takes a token that comes within a time, and tells the wait for it.
    fn take(bucket: &mut Bucket, now: Duration, at_most: Duration) -> Result<Duration, Duration> {
        let wait = bucket.wait_for(1, now);
        if wait > at_most {
            return Err(wait);
        }
        bucket.spend(now);
        Ok(wait)
    }

    /// The number of tokens that a caller gets within a time if it always waits.
    fn within(bucket: &mut Bucket, from: Duration, time: Duration) -> usize {
        (0..1_000).take_while(|_| take(bucket, from, time).is_ok()).count()
    }

    #[test]
    fn every_call_has_the_rate_of_its_table_of_operations() {
        let table = [
            ("ec2", "CreateVpcEndpoint", Some((4, 300))),
            ("ec2", "ModifyVpcEndpoint", Some((4, 300))),
            ("ec2", "DeleteVpcEndpoints", Some((4, 300))),
            ("ec2", "DescribeVpcEndpoints", Some((100, 20_000))),
            ("ec2", "DescribeSecurityGroups", Some((100, 20_000))),
            ("ec2", "CreateSecurityGroup", Some((50, 5_000))),
            ("ec2", "AuthorizeSecurityGroupIngress", Some((50, 5_000))),
            ("ec2", "CreateTags", Some((100, 10_000))),
            ("ec2", "DeleteNetworkInterface", Some((100, 5_000))),
            ("lambda", "GetFunction", Some((100, 100_000))),
            ("lambda", "ListFunctions", Some((15, 15_000))),
            ("lambda", "CreateFunction", Some((15, 15_000))),
            ("lambda", "Invoke", None),
            ("logs", "CreateLogGroup", Some((10, 10_000))),
            ("logs", "DescribeLogGroups", Some((10, 10_000))),
            ("logs", "PutRetentionPolicy", Some((5, 5_000))),
            ("logs", "ListTagsForResource", Some((5, 5_000))),
            ("sts", "GetCallerIdentity", Some((600, 600_000))),
        ];
        for (service, operation, rate) in table {
            let family = Family::of(service, operation);
            assert_eq!(family.map(|family| (family.rate.burst, family.rate.sustained)), rate, "{service}:{operation}");
        }
    }

    #[test]
    fn a_share_of_a_rate_is_that_part_of_burst_and_of_what_follows_and_never_nothing() {
        let share = |percent: u8| percent.to_string().parse::<Share>().expect("a share");
        let rate = |service, operation| Family::of(service, operation).expect("a family").rate;
        let scaled = |rate: Rate, percent| (rate.scaled(share(percent)).burst, rate.scaled(share(percent)).sustained);
        let describes = rate("ec2", "DescribeVpcs");
        let table = [
            (describes, 100, (100, 20_000)),
            (describes, 50, (50, 10_000)),
            (describes, 1, (1, 200)),
            (ENDPOINTS, 100, (4, 300)),
            (ENDPOINTS, 50, (2, 150)),
            (ENDPOINTS, 30, (1, 90)),
            (ENDPOINTS, 1, (1, 3)),
            (rate("sts", "GetCallerIdentity"), 25, (150, 150_000)),
            (Rate::per_thousand_seconds(1, 1), 1, (1, 1)),
            (Rate::even(u32::MAX), 100, (u32::MAX, u64::from(u32::MAX) * 1_000)),
        ];
        for (rate, percent, expected) in table {
            assert_eq!(scaled(rate, percent), expected, "{percent} % of {rate:?}");
        }
        assert_eq!(share(100), Share::ALL);
        for wrong in ["", "0", "101", "256", "-1", "50%", "0.5"] {
            let message = wrong.parse::<Share>().expect_err(wrong).to_string();
            assert!(message.contains("1 to 100"), "{message}");
        }
    }

    #[test]
    fn lambda_calls_share_a_bucket_ec2_calls_have_their_own_and_iam_has_no_region() {
        let family = |service, operation| Family::of(service, operation).expect("a family");
        assert_eq!(family("lambda", "ListFunctions"), family("lambda", "CreateFunction"));
        assert_ne!(family("lambda", "ListFunctions"), family("lambda", "GetFunction"));
        assert_ne!(family("ec2", "DescribeVpcs"), family("ec2", "DescribeSubnets"));
        assert_eq!(family("iam", "CreateRole"), family("iam", "PutRolePolicy"));
        assert_ne!(family("iam", "CreateRole"), family("iam", "GetRole"));
        assert!(family("iam", "GetRole").global && !family("ec2", "DescribeVpcs").global);
    }

    #[test]
    fn as_many_as_fit_go_at_once_and_the_others_one_after_the_other() {
        let mut bucket = Bucket::full(Rate::per_second(3, 2), at(0));
        let waits: Vec<_> = (0..6).map(|_| take(&mut bucket, at(0), LONGEST_HOLD)).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1_000, 1_500].map(|wait| Ok(at(wait))), "in the order of asking");
        assert_eq!(take(&mut bucket, at(1_500), LONGEST_HOLD), Ok(at(500)), "promised tokens are not given twice");
        assert_eq!(take(&mut bucket, at(10_000), LONGEST_HOLD), Ok(at(0)), "and it fills up again");
        let mut bucket = Bucket::full(Rate::per_second(3, 2), at(0));
        assert_eq!(within(&mut bucket, at(86_400_000), at(0)), 3, "but not to more than it holds");
    }

    #[test]
    fn a_token_that_would_come_too_late_is_not_taken() {
        let mut bucket = Bucket::full(ENDPOINTS, at(0));
        assert_eq!(within(&mut bucket, at(0), LONGEST_HOLD), 5, "four at once, one within five seconds");
        let refused = take(&mut bucket, at(0), LONGEST_HOLD).expect_err("too late");
        assert!(refused > at(6_000) && refused < at(7_000), "{refused:?}");
        let before = bucket.clone();
        assert!(take(&mut bucket, at(0), LONGEST_HOLD).is_err());
        assert_eq!(bucket, before, "whoever is refused takes nothing from those who wait");
        assert_eq!(take(&mut bucket, at(7_000), LONGEST_HOLD), Ok(at(0)));
    }

    #[test]
    fn a_throttled_answer_halves_the_rate_once_a_second_and_never_to_nothing() {
        let mut bucket = Bucket::full(Rate::per_second(8, 8), at(0));
        let seen: Vec<u64> = [0, 10, 20, 1_000, 1_100, 2_000, 3_000, 4_000]
            .map(|now| {
                bucket.throttled(at(now));
                bucket.sustained
            })
            .into();
        assert_eq!(seen, [4_000, 4_000, 4_000, 2_000, 2_000, 1_000, 1_000, 1_000]);
        assert_eq!(take(&mut bucket, at(4_000), LONGEST_HOLD), Ok(at(1_000)), "AWS's own bucket is empty");
    }

    #[test]
    fn answers_raise_the_rate_again_step_by_step_to_what_is_published_and_no_further() {
        let mut bucket = Bucket::full(Rate::per_second(16, 16), at(0));
        bucket.throttled(at(0));
        let mut seen = Vec::new();
        for second in 1..=9 {
            bucket.accepted(at(second * 1_000));
            bucket.accepted(at(second * 1_000 + 1));
            seen.push(bucket.sustained / 1_000);
        }
        assert_eq!(seen, [9, 10, 11, 12, 13, 14, 15, 16, 16]);
        bucket.throttled(at(9_500));
        assert_eq!(bucket.sustained, 8_000, "it slows down at once: full speed was no change");
    }

    #[test]
    fn no_time_and_no_rate_overflows() {
        let mut bucket = Bucket::full(Rate::even(u32::MAX), at(0));
        let far = Duration::from_secs(u64::MAX / 2);
        assert_eq!(take(&mut bucket, far, LONGEST_HOLD), Ok(at(0)));
        bucket.throttled(far);
        assert_eq!(
            take(&mut bucket, at(0), LONGEST_HOLD).map(|wait| wait < at(1)),
            Ok(true),
            "a clock never goes back"
        );
    }
}
