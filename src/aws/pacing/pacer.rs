//! Where calls wait for their tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Bucket, Family, LONGEST_HOLD, Share};
use crate::aws::{AwsError, Failure, Region};

/// A call that had to wait for its token, or that was not made because its token would have come too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The service prefix, as IAM names it.
    pub service: &'static str,
    /// The operation, as AWS's API reference names it.
    pub operation: &'static str,
    /// The wait; `None` when the call is not made.
    pub wait: Option<Duration>,
}

/// Called with every call that is held back; must not block.
pub type OnHold = Arc<dyn Fn(Held) + Send + Sync>;

/// The buckets of all regions. A process has one pacer, because AWS has one set of buckets for the whole account.
pub struct Pacer {
    started: Instant,
    buckets: Mutex<BTreeMap<(Option<Region>, Family), Bucket>>,
    share: Share,
    on_hold: OnHold,
}

impl Pacer {
    /// A pacer with full buckets, at this share of the rates.
    pub fn new(share: Share, on_hold: OnHold) -> Self {
        Self { started: Instant::now(), buckets: Mutex::default(), share, on_hold }
    }

    /// Waits until a call may be made, for at most [`LONGEST_HOLD`]. The calls of a family go in the order of asking, for all
    /// callers.
    ///
    /// # Errors
    /// [`Failure::Throttled`] when the wait would be longer. The caller must not make the call then.
    pub async fn turn(&self, region: &Region, service: &'static str, operation: &'static str) -> Result<(), AwsError> {
        let take = |bucket: &mut Bucket, now| bucket.take(now, LONGEST_HOLD);
        match self.with_bucket(region, service, operation, take) {
            None | Some(Ok(Duration::ZERO)) => Ok(()),
            Some(Ok(wait)) => {
                (self.on_hold)(Held { service, operation, wait: Some(wait) });
                sleep(wait).await;
                Ok(())
            }
            Some(Err(_)) => {
                (self.on_hold)(Held { service, operation, wait: None });
                // The message leaves out the wait: a status shows the message, and must not change at each attempt.
                Err(AwsError {
                    service,
                    operation,
                    failure: Failure::Throttled,
                    code: None,
                    message: format!(
                        "the operator itself holds the call back, to stay below the account's rate of {service}:{operation}"
                    ),
                    request_id: None,
                })
            }
        }
    }

    /// Forgets the pace of calls in all other regions.
    pub fn keep_regions(&self, used: &BTreeSet<Region>) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|(region, _), _| region.as_ref().is_none_or(|region| used.contains(region)));
    }

    /// Learns from the end of a call; `failure` is `None` when the call succeeded.
    pub fn ended(&self, region: &Region, service: &'static str, operation: &'static str, failure: Option<Failure>) {
        self.with_bucket(region, service, operation, |bucket, now| match failure {
            Some(Failure::Throttled) => bucket.throttled(now),
            // These answers do not show whether AWS accepted the call.
            Some(Failure::Unavailable | Failure::Malformed | Failure::Credentials) => {}
            None
            | Some(
                Failure::NotFound
                | Failure::AlreadyExists
                | Failure::NameTaken
                | Failure::InUse
                | Failure::NotYet
                | Failure::RoleNotUsable
                | Failure::TokenMismatch
                | Failure::PrivateDnsConflict
                | Failure::BoundaryMissing
                | Failure::AccessDenied
                | Failure::KeyUnusable
                | Failure::QuotaReached
                | Failure::Invalid,
            ) => bucket.accepted(now),
        });
    }

    fn with_bucket<T>(
        &self,
        region: &Region,
        service: &'static str,
        operation: &'static str,
        change: impl FnOnce(&mut Bucket, Duration) -> T,
    ) -> Option<T> {
        let family = Family::of(service, operation)?;
        let now = self.started.elapsed();
        let region = (!family.global).then(|| region.clone());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket =
            buckets.entry((region, family)).or_insert_with(|| Bucket::full(family.rate.scaled(self.share), now));
        Some(change(bucket, now))
    }
}

impl Default for Pacer {
    /// A pacer that takes the whole rates and reports no held call.
    fn default() -> Self {
        Self::new(Share::ALL, Arc::new(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().expect("a region")
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_a_family_go_in_the_order_of_asking_and_another_region_s_at_once() {
        let held = Arc::new(Mutex::new(Vec::new()));
        let holds = Arc::clone(&held);
        let pacer = Pacer::new(Share::ALL, Arc::new(move |one| holds.lock().expect("a lock").push(one)));
        let (here, there) = (region("us-east-1"), region("eu-west-1"));
        let order = Mutex::new(Vec::new());
        // Five logs calls a second, and five at once.
        let all = (0..32).map(async |n| {
            let turn = pacer.turn(&here, "logs", "PutRetentionPolicy").await;
            order.lock().expect("a lock").push((n, turn.is_ok()));
        });
        let begun = Instant::now();
        futures::future::join_all(all).await;
        assert_eq!(begun.elapsed(), LONGEST_HOLD);
        let order = order.into_inner().expect("a lock");
        let made: Vec<i32> = order.iter().filter(|(_, made)| *made).map(|(n, _)| *n).collect();
        assert_eq!(made, (0..30).collect::<Vec<_>>(), "five at once, five in each second");
        let held = std::mem::take(&mut *held.lock().expect("a lock"));
        assert_eq!(held.iter().filter(|held| held.wait.is_some()).count(), 25);
        assert_eq!(
            held.iter().filter(|held| held.wait.is_none()).count(),
            2,
            "the last two are refused and come back later"
        );
        let begun = Instant::now();
        pacer.turn(&there, "logs", "PutRetentionPolicy").await.expect("another region has its own bucket");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_rates_is_half_as_many_calls_at_once_and_half_as_many_later() {
        let made = async |share| {
            let (pacer, region) = (Pacer::new(share, Arc::new(|_| ())), region("us-east-1"));
            let all = (0..500).map(|_| pacer.turn(&region, "ec2", "DescribeVpcs"));
            futures::future::join_all(all).await.into_iter().flatten().count()
        };
        assert_eq!(made(Share::ALL).await, 100 + 20 * 5);
        assert_eq!(made("50".parse().expect("a share")).await, 50 + 10 * 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_held_back_too_long_fails_and_says_that_the_operator_does_it() {
        let pacer = Pacer::default();
        let region = region("us-east-1");
        let all = (0..6).map(|_| pacer.turn(&region, "ec2", "CreateVpcEndpoint"));
        let error = futures::future::join_all(all).await.into_iter().find_map(Result::err).expect("one too many");
        assert_eq!((error.failure, error.code.clone()), (Failure::Throttled, None));
        let message = error.to_string();
        assert!(
            message.contains("the operator itself holds") && message.contains("ec2:CreateVpcEndpoint"),
            "{message}"
        );
    }
}
