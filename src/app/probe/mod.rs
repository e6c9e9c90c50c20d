//! The probe of an app's path: invokes the function when a probe is due, and keeps the outcome. The probe stands on all rooms of
//! the app, and on the network.

mod last;
mod subject;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use subject::suspended;

pub use last::LastProbe;
pub(super) use subject::pending;
pub use subject::{ProbeOutcome, ProbeSubject};

use super::reconcile::ProbeReadiness;
use crate::{
    api::{
        PrivateGenAIAppStatus,
        condition::{ConditionType, Leg, LegState, find},
    },
    aws::{FunctionName, MaxAge, Snapshot},
    engine::{Context, DetailRead, FRESH},
    metrics::ProbeResult,
};

/// The last probes, by the uid of the app. They are lost when the operator stops; the status records a proof.
#[derive(Default)]
pub struct Probes(Mutex<BTreeMap<String, (LastProbe, Instant)>>);

impl Probes {
    fn last(&self, uid: &str) -> Option<(LastProbe, Duration)> {
        let probes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        probes.get(uid).map(|(last, at)| (last.clone(), at.elapsed()))
    }

    fn remember(&self, uid: &str, last: LastProbe) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), (last, Instant::now()));
    }

    /// Forgets a deleted app, or an app whose path must be proven anew.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The shell of one app's probe.
pub(super) struct Probe<'a> {
    pub(super) ctx: &'a Context,
    pub(super) probes: &'a Probes,
    pub(super) snapshot: &'a Snapshot,
    pub(super) uid: &'a str,
    pub(super) function: &'a FunctionName,
    pub(super) interval: Option<Duration>,
    pub(super) before: Option<&'a PrivateGenAIAppStatus>,
}

impl Probe<'_> {
    /// The leg, and the time until the next probe. Invokes the function only if a probe is due and the operator leads and does
    /// not stop.
    pub(super) async fn leg(
        &self,
        subject: Option<ProbeSubject>,
        readiness: ProbeReadiness,
        look: Option<DetailRead>,
    ) -> (Leg, Option<Duration>) {
        if readiness == ProbeReadiness::Building {
            self.probes.forget(self.uid);
        }
        if readiness == ProbeReadiness::Suspended {
            let last = subject.and_then(|subject| self.last(&subject, false));
            return (last.map_or_else(suspended, |(last, _)| last.leg), None);
        }
        let Some(subject) = subject.filter(|_| readiness != ProbeReadiness::Building) else {
            return (pending("The path is probed once the network is ready and the function active."), None);
        };
        let asleep = readiness == ProbeReadiness::Asleep;
        let last = self.last(&subject, asleep);
        if matches!(readiness, ProbeReadiness::Amiss | ProbeReadiness::Unseen) {
            return (
                last.map_or_else(
                    || pending("The path is probed once the other conditions of the app are met."),
                    |(last, _)| last.leg,
                ),
                None,
            );
        }
        let is_due = last.as_ref().is_none_or(|(last, age)| last.is_due(*age, self.interval, look));
        if is_due && !self.ctx.stop.is_cancelled() && self.ctx.leadership.may_write() {
            let last = self.invoke(subject, asleep, last.map(|(last, _)| last)).await;
            return (last.leg.clone(), last.due_in(Duration::ZERO, self.interval));
        }
        match last {
            Some((last, age)) => {
                let next = last.due_in(age, self.interval);
                (last.leg, next)
            }
            None => (pending("The path is probed once a replica holds the Lease again."), None),
        }
    }

    /// The last outcome for exactly this subject. A recorded proof counts as an outcome.
    fn last(&self, subject: &ProbeSubject, asleep: bool) -> Option<(LastProbe, Duration)> {
        let probes = &self.probes;
        let same = |(last, _): &(LastProbe, Duration)| last.subject == *subject && last.asleep == asleep;
        // A status that claims nothing of the path ended the proof: the path is proven anew.
        let is_claimed = self.before.is_some_and(|status| find(&status.conditions, ConditionType::Healthy).is_some());
        probes.last(self.uid).filter(|last| is_claimed && same(last)).or_else(|| {
            let region = self.snapshot.region();
            let on_record = !asleep && self.before.is_some_and(|status| subject.is_proven_by(region, status));
            on_record.then(|| {
                let last = LastProbe::on_record(subject.clone(), self.interval);
                probes.remember(self.uid, last.clone());
                (last, Duration::ZERO)
            })
        })
    }

    /// AWS shows by now that all these unknown addresses belong to the endpoint.
    async fn belong_to_endpoint(&self, subject: &ProbeSubject, unknown: &BTreeSet<IpAddr>) -> bool {
        if unknown.is_empty() {
            return false;
        }
        let Ok(seen) = self.snapshot.endpoints(MaxAge::Under(FRESH)).await else { return false };
        let endpoint = seen.endpoints.iter().find(|endpoint| endpoint.id.as_str() == subject.endpoint());
        let interfaces = endpoint.into_iter().flat_map(|endpoint| &endpoint.interfaces);
        let addresses: BTreeSet<IpAddr> = interfaces
            .filter_map(|id| seen.interfaces.get(id))
            .flat_map(|interface| interface.private_ip.iter().chain(&interface.ipv6))
            .filter_map(|address| address.parse().ok())
            .collect();
        unknown.is_subset(&addresses)
    }

    async fn invoke(&self, subject: ProbeSubject, asleep: bool, before: Option<LastProbe>) -> LastProbe {
        let failures = before.as_ref().map_or(0, |before| before.failures);
        let began = Instant::now();
        let result = self.snapshot.probe(self.function).await;
        let mut outcome = subject.judge(&result, failures);
        if outcome.result == ProbeResult::NotPrivate
            && self.belong_to_endpoint(&subject, &subject.unknown_addresses(&result)).await
        {
            outcome = subject.endpoint_changes(failures);
        }
        self.ctx.metrics.probed(outcome.result, began.elapsed());
        let request_id = match &result {
            Ok(invocation) => invocation.request_id.as_deref(),
            Err(error) => error.request_id.as_deref(),
        };
        tracing::info!(function = %self.function, result = outcome.result.as_str(), request_id, "probed");
        let proven = outcome.result == ProbeResult::Proven;
        if let Some(before) = before {
            outcome.leg = before.leg_after(&result, outcome.leg);
        }
        if asleep && outcome.leg.state != LegState::Blocked {
            outcome.leg = pending("The path is probed once the function is awake.");
            // One call wakes the function. If the call was lost, the next one can wait.
            outcome.retry = Some((crate::engine::Pace::Blocked, failures));
        }
        let last = LastProbe {
            asleep,
            failures: if proven && !asleep { 0 } else { failures.saturating_add(1) },
            leg: outcome.leg,
            wait: outcome.retry.and_then(|(pace, attempt)| pace.delay(attempt, self.function.as_str())),
            subject,
        };
        self.probes.remember(self.uid, last.clone());
        last
    }
}

#[cfg(test)]
mod tests;
