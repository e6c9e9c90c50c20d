//! What is counted, in the names under which Prometheus finds it.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::controller::drift;

/// All metrics of the operator. Labels are bounded: operations and codes of AWS, the two kinds, never a name.
pub struct Metrics {
    registry: Registry,
    aws_calls: Family<AwsCall, Counter>,
    aws_latency: Family<AwsOperation, Histogram>,
    reconciles: Family<Reconcile, Counter>,
    reconcile_duration: Family<Kind, Histogram>,
    drift_repaired: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AwsCall {
    service: &'static str,
    operation: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AwsOperation {
    service: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// From 5 ms to 40 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("private_genai_operator");
        let metrics = Self {
            aws_calls: Family::default(),
            aws_latency: Family::new_with_constructor(latency),
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(latency),
            drift_repaired: Family::default(),
            registry: Registry::default(),
        };
        registry.register("aws_calls", "AWS API calls, by their error code or \"OK\"", metrics.aws_calls.clone());
        registry.register_with_unit(
            "aws_call_duration",
            "How long AWS API calls take",
            Unit::Seconds,
            metrics.aws_latency.clone(),
        );
        registry.register("reconciles", "Reconciles, by how they ended", metrics.reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "How long reconciles take",
            Unit::Seconds,
            metrics.reconcile_duration.clone(),
        );
        registry.register(
            "drift_repaired",
            "Changes that somebody made in AWS and the operator put right, by what was changed",
            metrics.drift_repaired.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts an AWS call; `code` is AWS's error code, or `OK`.
    pub fn aws_called(&self, service: &'static str, operation: &'static str, code: &str, took: Duration) {
        self.aws_calls.get_or_create(&AwsCall { service, operation, code: code.to_owned() }).inc();
        self.aws_latency.get_or_create(&AwsOperation { service, operation }).observe(took.as_secs_f64());
    }

    /// Counts a reconcile of an object of a kind.
    pub fn reconciled(&self, kind: &'static str, finished: bool, took: Duration) {
        let result = if finished { "finished" } else { "error" };
        self.reconciles.get_or_create(&Reconcile { kind, result }).inc();
        self.reconcile_duration.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// Counts one kind of change to one resource that was put right.
    pub fn drift_repaired(&self, kind: drift::Kind) {
        self.drift_repaired.get_or_create(&Kind { kind: kind.as_str() }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be a bug of the library.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_reconciles_are_counted_under_stable_names() {
        let metrics = Metrics::default();
        metrics.aws_called("ec2", "CreateVpcEndpoint", "OK", Duration::from_millis(30));
        metrics.aws_called("ec2", "CreateVpcEndpoint", "RequestLimitExceeded", Duration::from_millis(30));
        metrics.reconciled("app", true, Duration::from_millis(3));
        metrics.drift_repaired(drift::Kind::EndpointPolicy);
        let text = metrics.text().expect("text");
        for line in [
            "private_genai_operator_aws_calls_total{service=\"ec2\",operation=\"CreateVpcEndpoint\",code=\"OK\"} 1",
            "private_genai_operator_aws_call_duration_seconds_count{service=\"ec2\",operation=\"CreateVpcEndpoint\"} 2",
            "private_genai_operator_reconciles_total{kind=\"app\",result=\"finished\"} 1",
            "private_genai_operator_reconcile_duration_seconds_count{kind=\"app\"} 1",
            "private_genai_operator_drift_repaired_total{kind=\"endpoint_policy\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\\n{text}");
        }
    }
}
