//! The rates of the operator's own pacer: `make bench` shows beside a time how long the calls take at least.

use std::time::Duration;

use private_genai_operator::aws::{
    Operation, RateLimit, SharedLimit,
    pacing::{Bucket, Rate},
};
use serde_json::{Value, json};

/// Each paced operation: the name of its bucket, the calls that the bucket holds, and the calls that come back in a second.
pub fn all() -> Value {
    let paced = Operation::all().filter_map(|operation| {
        let (family, rate) = match operation.rate_limit {
            RateLimit::Own(rate) => (operation.to_string(), rate),
            RateLimit::Shared(SharedLimit { name, rate, .. })
            | RateLimit::Unpublished(SharedLimit { name, rate, .. }, _) => {
                (format!("{} {name}", operation.service), rate)
            }
            RateLimit::None => return None,
        };
        let (burst, per_second) = measured(rate);
        let row = json!({"family": family, "burst": burst, "perSecond": per_second, "write": operation.is_write});
        Some((operation.to_string(), row))
    });
    paced.collect::<serde_json::Map<_, _>>().into()
}

/// The calls that a full bucket gives at once, and those that it gives in each second after that.
fn measured(rate: Rate) -> (usize, f64) {
    let begin = Duration::ZERO;
    let mut bucket = Bucket::full(rate, begin);
    let burst = bucket.burst();
    for _ in 0..burst {
        bucket.spend(begin);
    }
    let wait = bucket.wait_for(1, begin);
    (burst, (1_000.0 / wait.as_secs_f64()).round() / 1_000.0)
}
