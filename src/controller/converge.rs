//! One pass over an object: look, decide, write, look again, until there is nothing left to do now.

use std::time::Duration;

use crate::{
    aws::{AwsError, MaxAge, Snapshot, Write, Written},
    plan::Plan,
};

/// A path is built in fewer stages than this. A plan that still has steps then is taken up again soon.
const STAGES: usize = 8;

/// Facts by which one decides to wait, or to ask somebody to act, are no older than this.
const FRESH: Duration = Duration::from_secs(1);

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
/// call failed.
pub async fn converge<O>(
    snapshot: &Snapshot,
    mut observe: impl AsyncFnMut(MaxAge) -> Result<O, AwsError>,
    mut decide: impl FnMut(&O) -> Plan,
    mut learn: impl FnMut(&Write, &Result<Written, AwsError>) -> bool,
) -> Converged<O> {
    let mut pass = Converged { observed: None, plan: Plan::default(), error: None, done: Vec::new() };
    let mut max_age = MaxAge::Any;
    'stages: for _ in 0..STAGES {
        match observe(max_age).await {
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
            if pass.plan.unsettled() && max_age == MaxAge::Any {
                max_age = MaxAge::Under(FRESH);
                continue;
            }
            return pass;
        }
        // What was done in this pass and does not show yet is not done again at once: AWS is consistent eventually.
        if pass.plan.steps.iter().any(|step| pass.done.contains(&step.write)) {
            return pass;
        }
        for step in pass.plan.steps.clone() {
            let (service, operation) = step.write.operation();
            let result = snapshot.write(&step.write).await;
            let again = learn(&step.write, &result);
            match result {
                Ok(_) => {
                    tracing::info!(service, operation, resource = step.write.resource(), "done");
                    pass.done.push(step.write);
                }
                Err(_) if again => continue 'stages,
                Err(error) => {
                    tracing::warn!(service, operation, resource = step.write.resource(), %error, "not done");
                    pass.plan.blame(step.leg, &step.write.resource(), &error);
                    pass.error = Some(error);
                    return pass;
                }
            }
        }
    }
    pass
}
