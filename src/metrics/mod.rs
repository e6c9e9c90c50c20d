//! The metrics, by their names in Prometheus.

mod labels;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

pub use self::labels::ProbeResult;
use crate::{
    api::{ObjectKind, ObjectName},
    aws::{DriftKind, pacing::Held},
};

/// The promise about a metric's name, type and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// A change is announced in CHANGELOG.md one minor version before.
    Stable,
    /// Any minor version may change it.
    Alpha,
}

/// The stability of each metric. The shipped alerts rest on stable metrics only.
pub const STABILITY: &[(&str, Stability)] = &[
    ("aws_calls", Stability::Stable),
    ("aws_call_duration_seconds", Stability::Alpha),
    ("aws_throttles", Stability::Stable),
    ("aws_held_back_seconds", Stability::Alpha),
    ("aws_put_off", Stability::Stable),
    ("reconciles", Stability::Stable),
    ("reconcile_duration_seconds", Stability::Stable),
    ("leader", Stability::Stable),
    ("objects", Stability::Stable),
    ("ready_after_seconds", Stability::Alpha),
    ("queue", Stability::Stable),
    ("snapshot_age_seconds", Stability::Stable),
    ("drift_repaired", Stability::Stable),
    ("probes", Stability::Stable),
    ("probe_duration_seconds", Stability::Alpha),
];

/// Sets the gauges that are not updated continuously.
type LookUp = Box<dyn Fn(&Metrics) + Send + Sync>;

/// All metrics of the operator. Labels are bounded: operations and codes of AWS, the two kinds, never a name.
pub struct Metrics {
    registry: Registry,
    aws_calls: Family<AwsCall, Counter>,
    aws_latency: Family<AwsOperation, Histogram>,
    aws_throttles: Family<AwsOperation, Counter>,
    aws_held_back: Family<AwsService, Histogram>,
    aws_put_off: Family<AwsOperation, Counter>,
    reconciles: Family<Reconcile, Counter>,
    reconcile_duration: Family<Kind, Histogram>,
    drift_repaired: Family<Kind, Counter>,
    ready_after: Family<Kind, Histogram>,
    queue: Family<Kind, Gauge>,
    waiting: Mutex<BTreeSet<ObjectName>>,
    objects: Family<ConditionLabels, Gauge>,
    snapshot_age: Family<Table, Gauge<f64, AtomicU64>>,
    before_scrape: Mutex<Option<LookUp>>,
    probes: Family<Probe, Counter>,
    probe_duration: Histogram,
    leader: Gauge,
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
struct AwsService {
    service: &'static str,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    kind: &'static str,
    condition: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    region: String,
    table: &'static str,
}

/// From half a second, the wait on the local stack, to a quarter of a day.
fn waits() -> Histogram {
    Histogram::new(exponential_buckets(0.5, 2.0, 16))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Probe {
    result: &'static str,
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
            aws_throttles: Family::default(),
            aws_held_back: Family::new_with_constructor(latency),
            aws_put_off: Family::default(),
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(latency),
            drift_repaired: Family::default(),
            ready_after: Family::new_with_constructor(waits),
            queue: Family::default(),
            waiting: Mutex::default(),
            objects: Family::default(),
            snapshot_age: Family::default(),
            before_scrape: Mutex::default(),
            probes: Family::default(),
            probe_duration: latency(),
            leader: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("aws_calls", "AWS API calls, by their error code or \"OK\"", metrics.aws_calls.clone());
        registry.register_with_unit(
            "aws_call_duration",
            "Duration of AWS API calls",
            Unit::Seconds,
            metrics.aws_latency.clone(),
        );
        registry.register("aws_throttles", "AWS API calls that AWS throttled", metrics.aws_throttles.clone());
        registry.register_with_unit(
            "aws_held_back",
            "Waits of AWS API calls for their turn, to stay below AWS's rates; calls without a wait are left out",
            Unit::Seconds,
            metrics.aws_held_back.clone(),
        );
        registry.register(
            "aws_put_off",
            "AWS API calls that were not made because their turn would have come too late",
            metrics.aws_put_off.clone(),
        );
        registry.register("reconciles", "Reconciles, by their results", metrics.reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of reconciles",
            Unit::Seconds,
            metrics.reconcile_duration.clone(),
        );
        registry.register(
            "drift_repaired",
            "Changes by others in AWS that the operator repaired, by the kind of the change",
            metrics.drift_repaired.clone(),
        );
        registry.register_with_unit(
            "ready_after",
            "Time from the creation of an object, or from the end of its readiness, until it was ready",
            Unit::Seconds,
            metrics.ready_after.clone(),
        );
        registry.register("queue", "Objects that wait for a reconcile", metrics.queue.clone());
        registry.register("objects", "Objects by the status of each of their conditions", metrics.objects.clone());
        registry.register_with_unit(
            "snapshot_age",
            "Age of the last good answer of AWS, by table",
            Unit::Seconds,
            metrics.snapshot_age.clone(),
        );
        registry.register("probes", "Invocations of functions to probe their path, by result", metrics.probes.clone());
        registry.register_with_unit(
            "probe_duration",
            "Duration of invocations of functions to probe their path",
            Unit::Seconds,
            metrics.probe_duration.clone(),
        );
        registry.register("leader", "1 while this replica holds the Lease, else 0", metrics.leader.clone());
        metrics.count_from_zero();
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts from zero: to Prometheus, a counter that begins with one has not increased, so no alert would fire for the first
    /// probe that finds a path which is not private.
    fn count_from_zero(&self) {
        for kind in ObjectKind::ALL.iter().map(|kind| kind.as_str()) {
            for result in ["finished", "error"] {
                drop(self.reconciles.get_or_create(&Reconcile { kind, result }));
            }
        }
        for kind in DriftKind::ALL {
            drop(self.drift_repaired.get_or_create(&Kind { kind: kind.as_str() }));
        }
        for found in ProbeResult::ALL {
            drop(self.probes.get_or_create(&Probe { result: found.as_str() }));
        }
    }

    /// Counts an AWS call; `code` is AWS's error code, or `OK`.
    pub fn aws_called(&self, service: &'static str, operation: &'static str, code: &str, took: Duration) {
        self.aws_calls.get_or_create(&AwsCall { service, operation, code: code.to_owned() }).inc();
        self.aws_latency.get_or_create(&AwsOperation { service, operation }).observe(took.as_secs_f64());
    }

    /// Counts an AWS call that AWS throttled.
    pub fn aws_throttled(&self, service: &'static str, operation: &'static str) {
        self.aws_throttles.get_or_create(&AwsOperation { service, operation }).inc();
    }

    /// Counts an AWS call that had to wait for its turn, or was not made.
    pub fn aws_held_back(&self, held: Held) {
        let Held { service, operation, wait } = held;
        match wait {
            Some(wait) => self.aws_held_back.get_or_create(&AwsService { service }).observe(wait.as_secs_f64()),
            None => drop(self.aws_put_off.get_or_create(&AwsOperation { service, operation }).inc()),
        }
    }

    /// Counts a reconcile of an object of a kind.
    pub fn reconciled(&self, kind: ObjectKind, finished: bool, took: Duration) {
        let (kind, result) = (kind.as_str(), if finished { "finished" } else { "error" });
        self.reconciles.get_or_create(&Reconcile { kind, result }).inc();
        self.reconcile_duration.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// Counts one kind of repaired drift of one resource.
    pub fn drift_repaired(&self, kind: DriftKind) {
        self.drift_repaired.get_or_create(&Kind { kind: kind.as_str() }).inc();
    }

    /// Records that an object became ready, and the time since its creation or since it was last ready.
    pub fn ready_after(&self, kind: ObjectKind, waited: Duration) {
        self.ready_after.get_or_create(&Kind { kind: kind.as_str() }).observe(waited.as_secs_f64());
    }

    /// An object waits for its reconcile. Each object waits once at most.
    pub fn woken(&self, object: &ObjectName) {
        if self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(object.clone()) {
            self.queue.get_or_create(&Kind { kind: object.kind().as_str() }).inc();
        }
    }

    /// The reconcile of an object began.
    pub fn begun(&self, object: &ObjectName) {
        if self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(object) {
            self.queue.get_or_create(&Kind { kind: object.kind().as_str() }).dec();
        }
    }

    /// Calls `look_up` at each scrape, to set the gauges that are not updated continuously. Replaces the earlier function.
    pub fn before_scrape(&self, look_up: impl Fn(&Self) + Send + Sync + 'static) {
        *self.before_scrape.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(look_up));
    }

    /// Forgets the gauges of objects and of the ages of tables.
    pub fn forget_objects(&self) {
        self.objects.clear();
        self.snapshot_age.clear();
    }

    /// Empties the queue: another replica takes the waiting objects over.
    pub fn forget_queue(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.queue.clear();
    }

    /// Counts a condition of an object; `status` is `True`, `False` or `Unknown`.
    pub fn count_object(&self, kind: ObjectKind, condition: &'static str, status: &'static str) {
        let kind = kind.as_str();
        self.objects.get_or_create(&ConditionLabels { kind, condition, status }).inc();
    }

    /// The age of the last good answer for a table.
    pub fn snapshot_is(&self, region: &str, table: &'static str, age: Duration) {
        self.snapshot_age.get_or_create(&Table { region: region.to_owned(), table }).set(age.as_secs_f64());
    }

    /// Counts a probe by its result.
    pub fn probed(&self, found: ProbeResult, took: Duration) {
        self.probes.get_or_create(&Probe { result: found.as_str() }).inc();
        self.probe_duration.observe(took.as_secs_f64());
    }

    /// This replica acts.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// A metric cannot be written, which would be a bug of the library.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        if let Some(look_up) = &*self.before_scrape.lock().unwrap_or_else(PoisonError::into_inner) {
            look_up(self);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
