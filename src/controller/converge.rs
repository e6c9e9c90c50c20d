//! One pass over an object: look, decide, write, look again, until there is nothing left to do now.

use std::{collections::BTreeSet, time::Duration};

use tracing::{Instrument as _, field::Empty};

use crate::{
    api::condition::{ConditionType, Standing},
    aws::{AwsError, Failure, MaxAge, Snapshot, Write, Written},
    controller::Context,
    leadership::NotLeading,
    plan::Plan,
};

/// A path is built in fewer stages than this. A plan that still has steps then is taken up again soon.
const STAGES: usize = 8;

/// Facts by which one decides to wait, or to ask somebody to act, are no older than this.
const FRESH: Duration = Duration::from_secs(1);

/// Which facts must be fresh: those behind the legs that are not as they should be. The others may be as old as they are.
#[derive(Debug, Default)]
pub struct Freshness(BTreeSet<ConditionType>);

impl Freshness {
    fn for_unsettled(plan: &Plan) -> Self {
        Self(plan.legs.iter().filter(|leg| leg.standing != Standing::Met).map(|leg| leg.kind).collect())
    }

    /// How old the facts behind a leg may be.
    pub fn of(&self, leg: ConditionType) -> MaxAge {
        if self.0.contains(&leg) { MaxAge::Under(FRESH) } else { MaxAge::Any }
    }
}

/// Where a pass ended.
pub struct Converged<O> {
    /// What was observed last; `None` when AWS could not be looked at.
    pub observed: Option<O>,
    /// What was decided last. A failed call shows on its leg.
    pub plan: Plan,
    /// The call that ended the pass.
    pub error: Option<AwsError>,
    /// The writes that were done, in order.
    pub done: Vec<Write>,
}

/// Makes a pass. `learn` is told every answer to a write, and says whether the plan is to be made anew although the
/// call failed. No step is begun once the operator is told to stop, or without the right to write: the next operator
/// takes it up.
pub async fn converge<O>(
    snapshot: &Snapshot,
    ctx: &Context,
    mut observe: impl AsyncFnMut(&Freshness) -> Result<O, AwsError>,
    mut decide: impl FnMut(&O) -> Plan,
    mut learn: impl FnMut(&Write, &Result<Written, AwsError>) -> bool,
) -> Converged<O> {
    let mut pass = Converged { observed: None, plan: Plan::default(), error: None, done: Vec::new() };
    let mut freshness = Freshness::default();
    let mut looked_afresh = false;
    'stages: for _ in 0..STAGES {
        match observe(&freshness).await {
            Err(error) => {
                pass.error = Some(error);
                return pass;
            }
            Ok(observed) => {
                pass.plan = decide(&observed);
                pass.observed = Some(observed);
            }
        }
        if pass.plan.steps.is_empty() {
            if pass.plan.unsettled() && !looked_afresh {
                looked_afresh = true;
                freshness = Freshness::for_unsettled(&pass.plan);
                continue;
            }
            return pass;
        }
        // What was done in this pass and does not show yet is not done again at once: AWS is consistent eventually.
        if pass.plan.steps.iter().any(|step| pass.done.contains(&step.write)) {
            return pass;
        }
        for step in pass.plan.steps.clone() {
            if ctx.stop.is_cancelled() {
                return pass;
            }
            let (service, operation) = step.write.operation();
            // The call writes its request id into the step.
            let span =
                tracing::info_span!("step", service, operation, resource = step.write.resource(), request_id = Empty);
            let result = match ctx.leadership.write(snapshot.write(&step.write).instrument(span.clone())).await {
                Ok(result) => result,
                Err(NotLeading) => return pass,
            };
            let again = learn(&step.write, &result);
            match result {
                Ok(_) => {
                    span.in_scope(|| tracing::info!("done"));
                    pass.done.push(step.write);
                }
                Err(error) if is_done_already(&step.write, &error) => pass.done.push(step.write),
                Err(_) if again => continue 'stages,
                Err(error) => {
                    span.in_scope(|| tracing::warn!(%error, "not done"));
                    pass.plan.blame(step.leg, &step.write.resource(), &error);
                    pass.error = Some(error);
                    return pass;
                }
            }
        }
    }
    pass
}

/// The refusal says that an earlier call, whose answer was lost or does not show yet, has done the work.
fn is_done_already(write: &Write, error: &AwsError) -> bool {
    match write {
        Write::RevokeIngress { .. }
        | Write::RevokeEgress { .. }
        | Write::DeleteSecurityGroup { .. }
        | Write::DeleteNetworkInterface { .. }
        | Write::DeleteVpcEndpoint { .. }
        | Write::DeleteRolePolicy { .. }
        | Write::DetachRolePolicy { .. }
        | Write::UntagRole { .. }
        | Write::DeleteRole { .. }
        | Write::DeleteLogGroup { .. }
        | Write::DeleteFunction { .. } => error.failure == Failure::NotFound,
        Write::AuthorizeIngress { .. } | Write::AuthorizeEgress { .. } => error.failure == Failure::AlreadyExists,
        // Others of these could be somebody else's of the same name: that is for the next look to tell.
        Write::CreateSecurityGroup { .. }
        | Write::CreateVpcEndpoint(_)
        | Write::ModifyVpcEndpoint { .. }
        | Write::TagEc2 { .. }
        | Write::CreateRole { .. }
        | Write::UpdateTrustPolicy { .. }
        | Write::PutRolePolicy { .. }
        | Write::TagRole { .. }
        | Write::CreateLogGroup { .. }
        | Write::PutRetentionPolicy { .. }
        | Write::TagLogGroup { .. }
        | Write::CreateFunction(_)
        | Write::UpdateFunctionConfiguration { .. }
        | Write::UpdateFunctionCode { .. }
        | Write::TagFunction { .. } => false,
    }
}
