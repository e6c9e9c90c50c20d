//! Gauges of objects and snapshots: computed at each scrape, so that nothing has to be kept up to date.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::Context;
use crate::{
    api::{
        ObjectKind,
        condition::{ConditionType, find, is_true},
    },
    metrics::Metrics,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// From now on each scrape shows the objects and snapshots of this context, until the context is dropped: a replica that does not lead
/// any more shows none.
pub fn show_gauges(context: &Arc<Context>) {
    let watched: Weak<Context> = Arc::downgrade(context);
    context.metrics.before_scrape(move |metrics| {
        metrics.forget_objects();
        if let Some(context) = watched.upgrade() {
            count(metrics, &context);
        }
    });
}

fn count(metrics: &Metrics, context: &Context) {
    let index = context.index();
    for app in index.apps() {
        let status = app.decoded().and_then(|app| app.status.as_ref());
        count_conditions(metrics, ObjectKind::App, status.map_or(&[][..], |status| &status.conditions));
    }
    for network in index.networks() {
        let status = network.decoded().and_then(|network| network.status.as_ref());
        count_conditions(metrics, ObjectKind::Network, status.map_or(&[][..], |status| &status.conditions));
    }
    for (region, table, age) in context.snapshots.ages() {
        metrics.snapshot_is(region.as_str(), table, age);
    }
}

/// An object without conditions, or one that cannot be decoded, counts as one whose `Ready` is unknown.
fn count_conditions(metrics: &Metrics, kind: ObjectKind, conditions: &[Condition]) {
    for condition in ConditionType::ALL {
        let shown = conditions.iter().find(|shown| shown.type_ == condition.as_str());
        let status = match shown.map(|shown| shown.status.as_str()) {
            Some("True") => "True",
            Some("False") => "False",
            Some(_) => "Unknown",
            None if *condition == ConditionType::Ready => "Unknown",
            None => continue,
        };
        metrics.count_object(kind, condition.as_str(), status);
    }
}

/// How long an object that became ready was not ready: since its creation, or since it was ready last.
pub(super) fn became_ready(
    created: Option<&Time>,
    before: &[Condition],
    after: &[Condition],
    now: Timestamp,
) -> Option<Duration> {
    if is_true(before, ConditionType::Ready) || !is_true(after, ConditionType::Ready) {
        return None;
    }
    // The first condition is the default of the definition, with a time of 1970.
    let turned = find(before, ConditionType::Ready).map(|ready| ready.last_transition_time.0);
    let since = turned.max(created.map(|created| created.0))?;
    Some(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{Leg, Reason, conditions_of};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn ready(second: i64) -> Vec<Condition> {
        conditions_of(&[Leg::met(ConditionType::FunctionReady, "")], &[], Some(1), at(second))
    }

    fn waiting(second: i64) -> Vec<Condition> {
        conditions_of(&[Leg::progressing(ConditionType::FunctionReady, Reason::Applying, "")], &[], Some(1), at(second))
    }

    #[test]
    fn the_time_to_ready_counts_from_creation_or_from_when_it_was_ready_last() {
        let created = Time(at(100));
        let after = |before: &[Condition], after: &[Condition]| {
            became_ready(Some(&created), before, after, at(160)).map(|waited| waited.as_secs())
        };
        assert_eq!(after(&[], &ready(160)), Some(60));
        assert_eq!(after(&waiting(0), &ready(160)), Some(60), "as the definition's default says it");
        assert_eq!(after(&waiting(150), &ready(160)), Some(10), "it was ready until then");
        assert_eq!(after(&ready(150), &ready(150)), None, "it was ready all the time");
        assert_eq!(after(&waiting(150), &waiting(150)), None);
        assert_eq!(after(&waiting(900), &ready(160)), Some(0), "a clock that was set back");
    }
}
