//! What is told about an app: its status, and Events.

use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt as _};

use super::{Facts, status};
use crate::{
    api::{
        PrivateGenAIApp, PrivateGenAIAppStatus,
        condition::{ConditionType, Leg, is_true},
    },
    aws::{AwsError, Write},
    controller::{Context, Error, Pace, apply_status, context::key, drift::repairs, observe_ready, tell},
    plan::unseen,
};

/// Under what missed looks are counted.
pub(super) fn looks(object: &PrivateGenAIApp) -> String {
    format!("look {}", key("app", object))
}

/// What will be told about an app: in its status, and in Events.
pub(super) struct Report<'a> {
    pub(super) api: &'a Api<PrivateGenAIApp>,
    pub(super) object: &'a PrivateGenAIApp,
    pub(super) ctx: &'a Context,
    pub(super) legs: Vec<Leg>,
    pub(super) facts: Facts,
    pub(super) done: Vec<Write>,
    /// All was there before, and the same was wanted.
    pub(super) was_settled: bool,
}

impl<'a> Report<'a> {
    /// Begins with the facts that were recorded before: they hold until something else is seen.
    pub(super) fn new(api: &'a Api<PrivateGenAIApp>, object: &'a PrivateGenAIApp, ctx: &'a Context) -> Self {
        let before = object.status.clone().unwrap_or_default();
        Self {
            api,
            object,
            ctx,
            legs: Vec::new(),
            facts: Facts {
                network: before.network,
                endpoints: before.endpoints,
                execution_role: before.execution_role,
                function: before.function,
            },
            done: Vec::new(),
            was_settled: false,
        }
    }

    /// AWS could not be looked at: what was recorded holds for three looks, then nothing is claimed any more.
    pub(super) async fn unseen(mut self, error: &AwsError) -> Result<Pace, Error> {
        let conditions = self.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let pace = Pace::after(error);
        if !is_true(conditions, ConditionType::Ready) || self.ctx.attempt(&looks(self.object), pace) >= 3 {
            let kinds = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady];
            self.legs.extend(unseen(&kinds, &self.object.name_any(), error));
            self.write().await?;
        }
        Ok(pace)
    }

    /// Writes the status if it differs, and Events for what is new.
    pub(super) async fn write(self) -> Result<(), Error> {
        let before = self.object.status.as_ref();
        let after = status(before, self.object.metadata.generation, self.facts, &self.legs, Timestamp::now());
        let old = before.map_or(&[][..], |status| &status.conditions);
        if before.cloned().map(PrivateGenAIAppStatus::sorted) != Some(after.clone().sorted())
            && let Some(written) = apply_status(self.api, &self.object.metadata, &after).await?
        {
            self.ctx.latest_apps.remember(written);
        }
        let repairs = if self.was_settled { repairs(&self.done) } else { Vec::new() };
        observe_ready(self.ctx, "app", &self.object.metadata, (old, &after.conditions));
        tell(self.ctx, self.object, (old, &after.conditions), &self.done, &repairs).await;
        Ok(())
    }
}
