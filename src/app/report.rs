//! The report about an app: its status and Events.

use kube::{Api, ResourceExt as _};

use super::{ProbeSubject, Probes, StatusFacts, probe::pending, status};
use crate::{
    api::{
        AppName, ObjectKind, ObjectName, PrivateGenAIApp, PrivateGenAIAppStatus, RecordedOwner,
        condition::{ConditionType, Leg, Message, find, is_true, wait_state},
    },
    aws::{AwsError, BeforeRepair, Region, Write},
    engine::{Attempt, Context, Error, Pace, apply_status, drift::repairs, observe_ready, publish_events},
    plan::unobserved,
};

/// The key under which missed observations are counted.
pub(super) fn observation_attempt(object: &PrivateGenAIApp) -> Attempt {
    Attempt::Observation(ObjectName::App(AppName::of(object)))
}

/// The report about an app, collected during a reconcile.
pub(super) struct Report<'a> {
    pub(super) api: &'a Api<PrivateGenAIApp>,
    pub(super) object: &'a PrivateGenAIApp,
    pub(super) ctx: &'a Context,
    pub(super) probes: &'a Probes,
    pub(super) legs: Vec<Leg>,
    pub(super) facts: StatusFacts,
    pub(super) new_changes: Vec<Write>,
    /// The resources before the first write.
    pub(super) found: BeforeRepair,
    /// All was there before, and the same was wanted.
    pub(super) was_settled: bool,
}

impl<'a> Report<'a> {
    /// Begins with the facts that were recorded before: they hold until something else is seen.
    pub(super) fn new(
        api: &'a Api<PrivateGenAIApp>,
        object: &'a PrivateGenAIApp,
        ctx: &'a Context,
        probes: &'a Probes,
    ) -> Self {
        let before = object.status.clone().unwrap_or_default();
        Self {
            api,
            object,
            ctx,
            probes,
            legs: Vec::new(),
            facts: StatusFacts {
                installation_id: before.installation_id,
                network: before.network,
                endpoints: before.endpoints,
                execution_role: before.execution_role,
                function: before.function,
            },
            new_changes: Vec::new(),
            found: BeforeRepair::default(),
            was_settled: false,
        }
    }

    /// Records for which installation the operator works, before anything is created: one that is given another id meanwhile is to
    /// see it. Where older versions recorded what tells, the status is written when the pass ends.
    pub(super) async fn record(&mut self) -> Result<(), Error> {
        let installation = &self.ctx.settings.installation;
        let recorded = self.object.recorded_owner(installation);
        if self.facts.installation_id.is_some() {
            return Ok(());
        }
        self.facts.installation_id = Some(installation.to_string());
        if recorded == RecordedOwner::Nobody {
            let installation_id = self.facts.installation_id.clone();
            let status = PrivateGenAIAppStatus { installation_id, ..self.object.status.clone().unwrap_or_default() };
            if let Some(written) = apply_status(self.api, &self.object.metadata, &status).await? {
                self.ctx.written_apps.remember(written);
            }
        }
        Ok(())
    }

    /// What was proven of a path is no less true for AWS's API being out of reach.
    pub(super) fn keep_proof(&mut self) {
        let before = self.object.status.as_ref();
        let proof = before.filter(|status| status.endpoints == self.facts.endpoints).and_then(|status| {
            find(&status.conditions, ConditionType::Healthy).filter(|condition| condition.status == "True")
        });
        self.legs.push(match proof {
            Some(proof) => Leg::met(ConditionType::Healthy, Message::of(proof)),
            None => pending("The path is probed once AWS can be looked at."),
        });
    }

    /// Reports that AWS could not be observed. The recorded facts hold for three missed observations, then the status
    /// claims nothing. Returns the pace of the next attempt.
    pub(super) async fn report_unobserved(mut self, error: &AwsError, pace: Pace) -> Result<Pace, Error> {
        let conditions = self.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        if !is_true(conditions, ConditionType::Ready)
            || self.ctx.attempts.count(observation_attempt(self.object), pace) >= 3
        {
            let kinds = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady];
            self.legs.extend(unobserved(&kinds, &self.object.name_any(), error));
            self.keep_proof();
            let pace = self.paced(pace);
            self.write().await?;
            return Ok(pace);
        }
        Ok(pace)
    }

    /// The pace of the app, given the pace without overdue waits.
    pub(super) fn paced(&self, pace: Pace) -> Pace {
        let before = self.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        pace.with(wait_state(&self.legs, before, self.object.metadata.generation, self.ctx.time()))
    }

    /// What a probe would be about, by what will be in the status.
    pub(super) fn subject(&self, region: &Region) -> Option<ProbeSubject> {
        self.facts.function.as_ref().and_then(|function| ProbeSubject::new(region, &self.facts.endpoints, function))
    }

    /// Writes the status if it differs, and Events for what is new.
    pub(super) async fn write(self) -> Result<(), Error> {
        if !self.legs.iter().any(|leg| leg.kind == ConditionType::Healthy) {
            // Nothing is claimed of the path any more: if it comes back, it is proven anew.
            self.probes.forget(&self.object.uid().unwrap_or_default());
        }
        let before = self.object.status.as_ref();
        let after = status(before, self.object.metadata.generation, self.facts, &self.legs, self.ctx.time());
        let old = before.map_or(&[][..], |status| &status.conditions);
        if before.cloned().map(PrivateGenAIAppStatus::sorted) != Some(after.clone().sorted())
            && let Some(written) = apply_status(self.api, &self.object.metadata, &after).await?
        {
            self.ctx.written_apps.remember(written);
        }
        let repairs = if self.was_settled { repairs(&self.new_changes, &self.found) } else { Vec::new() };
        observe_ready(self.ctx, ObjectKind::App, &self.object.metadata, (old, &after.conditions));
        publish_events(self.ctx, self.object, (old, &after.conditions), &self.new_changes, &repairs).await;
        Ok(())
    }
}
