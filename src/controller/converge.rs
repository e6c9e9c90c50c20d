//! One pass over an object: look, decide, write, look again, until there is nothing left to do now.

use std::{collections::BTreeSet, time::Duration};

use tracing::{Instrument as _, field::Empty};

use crate::{
    api::condition::{ConditionType, Standing},
    aws::{AwsError, Failure, MaxAge, Snapshot, Write, Written},
    controller::Context,
    plan::{Plan, Step},
};

/// A path is built in fewer stages than this. A plan that still has steps then is taken up again soon.
const STAGES: usize = 8;

/// Facts by which one decides to wait, or to ask somebody to act, are no older than this.
const FRESH: Duration = Duration::from_secs(1);

/// Which facts must be fresh: those behind the legs that are not as they should be. The others may be as old as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Freshness(BTreeSet<ConditionType>);

impl Freshness {
    fn for_unsettled(plan: &Plan) -> Self {
        Self(plan.legs.iter().filter(|leg| leg.standing != Standing::Met).map(|leg| leg.kind).collect())
    }

    fn for_what_may_be_left() -> Self {
        use ConditionType::{EndpointsReady, ExecutionRoleReady, FunctionReady, SecurityGroupsReady};
        Self([EndpointsReady, SecurityGroupsReady, ExecutionRoleReady, FunctionReady].into())
    }

    fn for_role() -> Self {
        Self([ConditionType::ExecutionRoleReady].into())
    }

    /// How old facts may be that are behind two legs.
    pub fn of_either(&self, one: ConditionType, other: ConditionType) -> MaxAge {
        match self.of(one) {
            MaxAge::Any => self.of(other),
            under @ MaxAge::Under(_) => under,
        }
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

/// What a pass does next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Next {
    /// Looks at AWS, with facts as fresh as this, and decides.
    Look(Freshness),
    /// Makes a write.
    Write(Box<Step>),
    /// Nothing more.
    End,
}

/// A pass between two calls: what it does next follows from the answers so far. Plain data, so that it can be stopped,
/// compared and told apart wherever it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pass {
    /// What was decided last. A failed call shows on its leg.
    pub plan: Plan,
    /// The call that ended the pass.
    pub error: Option<AwsError>,
    /// The writes that were done, in order.
    pub done: Vec<Write>,
    position: Position,
    stages: usize,
    freshness: Freshness,
    looked_afresh: bool,
    /// A write that is judged by the role as it is was denied: the role was looked at again.
    denied: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Position {
    #[default]
    Look,
    /// At this step of the plan.
    Write(usize),
    End,
}

/// What an answer to a write was to a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Done,
    DoneBefore,
    /// It failed, and told something by which to decide anew.
    Taught,
    Failed,
}

impl Pass {
    /// What to do now.
    pub fn next(&self) -> Next {
        match self.position {
            Position::Look => Next::Look(self.freshness.clone()),
            Position::Write(index) => {
                self.plan.steps.get(index).cloned().map_or(Next::End, |step| Next::Write(Box::new(step)))
            }
            Position::End => Next::End,
        }
    }

    /// AWS could not be looked at. That nothing is left is not believed then: `false`, and what was seen before counts for
    /// nothing.
    #[must_use]
    pub fn unseen(&mut self, error: AwsError) -> bool {
        self.error = Some(error);
        self.position = Position::End;
        !self.nothing_left()
    }

    /// By this an object is let go.
    fn nothing_left(&self) -> bool {
        self.plan.steps.is_empty() && self.plan.legs.is_empty()
    }

    /// By what AWS showed, this was decided.
    pub fn decided(&mut self, plan: Plan) {
        self.plan = plan;
        self.stages += 1;
        // A table may have been read before AWS showed what was created, and not since.
        let nothing_left = self.nothing_left();
        self.position = if self.plan.steps.is_empty() {
            if (self.plan.unsettled() || nothing_left) && !self.looked_afresh {
                self.looked_afresh = true;
                self.freshness =
                    if nothing_left { Freshness::for_what_may_be_left() } else { Freshness::for_unsettled(&self.plan) };
                // However many stages there were: it is the last look.
                Position::Look
            } else {
                Position::End
            }
        } else if self.plan.steps.iter().any(|step| self.done.contains(&step.write)) {
            // What was done in this pass and does not show yet is not done again at once: AWS is consistent eventually.
            Position::End
        } else {
            Position::Write(0)
        };
    }

    /// AWS answered the write. `again`: the plan is to be made anew although the call failed.
    pub fn answered(&mut self, result: Result<&Written, &AwsError>, again: bool) {
        self.take(result, again);
    }

    fn take(&mut self, result: Result<&Written, &AwsError>, again: bool) -> Answered {
        let Position::Write(index) = self.position else { return Answered::Done };
        let Some(step) = self.plan.steps.get(index).cloned() else { return Answered::Done };
        let answered = match result {
            Ok(_) => Answered::Done,
            Err(error) if is_done_already(&step.write, error) => Answered::DoneBefore,
            Err(_) if again => Answered::Taught,
            // Since it was read, somebody may have deleted the role, or taken it from under its boundary.
            Err(error) if error.failure == Failure::AccessDenied && step.write.is_judged_by_role() && !self.denied => {
                self.denied = true;
                self.freshness = Freshness::for_role();
                Answered::Taught
            }
            Err(error) => {
                self.plan.blame(step.leg, &step.write, error);
                self.error = Some(error.clone());
                Answered::Failed
            }
        };
        self.position = match answered {
            Answered::Done | Answered::DoneBefore => {
                self.done.push(step.write);
                if index + 1 < self.plan.steps.len() { Position::Write(index + 1) } else { self.another_stage() }
            }
            Answered::Taught => self.another_stage(),
            Answered::Failed => Position::End,
        };
        answered
    }

    fn another_stage(&self) -> Position {
        if self.stages < STAGES { Position::Look } else { Position::End }
    }
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
    let mut pass = Pass::default();
    let mut observed = None;
    loop {
        match pass.next() {
            Next::End => break,
            Next::Look(freshness) => match observe(&freshness).await {
                Ok(seen) => {
                    pass.decided(decide(&seen));
                    observed = Some(seen);
                }
                Err(error) => {
                    let stands = pass.unseen(error);
                    observed = observed.filter(|_| stands);
                }
            },
            Next::Write(step) => {
                if ctx.stop.is_cancelled() {
                    break;
                }
                let (service, operation) = step.write.operation();
                let resource = step.write.resource();
                // The call writes its request id into the step.
                let span = tracing::info_span!("step", service, operation, resource, request_id = Empty);
                let Ok(result) = ctx.leadership.write(snapshot.write(&step.write).instrument(span.clone())).await
                else {
                    break;
                };
                let again = learn(&step.write, &result);
                let answered = pass.take(result.as_ref(), again);
                span.in_scope(|| match (answered, &pass.error) {
                    (Answered::Done, _) => tracing::info!("done"),
                    (Answered::Failed, Some(error)) => tracing::warn!(%error, "not done"),
                    _ => {}
                });
            }
        }
    }
    let Pass { plan, error, done, .. } = pass;
    Converged { observed, plan, error, done }
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
        | Write::PutRolePermissionsBoundary { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failure: Failure) -> AwsError {
        AwsError { service: "", operation: "", failure, code: None, message: String::new(), request_id: None }
    }

    #[test]
    fn that_nothing_is_left_is_believed_after_a_fresh_look_only() {
        let mut pass = Pass::default();
        assert_eq!(pass.next(), Next::Look(Freshness::default()));
        pass.decided(Plan::default());
        let Next::Look(fresh) = pass.next() else { panic!("{:?}", pass.next()) };
        for leg in [
            ConditionType::EndpointsReady,
            ConditionType::SecurityGroupsReady,
            ConditionType::ExecutionRoleReady,
            ConditionType::FunctionReady,
        ] {
            assert_eq!(fresh.of(leg), MaxAge::Under(FRESH), "{}", leg.as_str());
        }
        pass.decided(Plan::default());
        assert_eq!(pass.next(), Next::End);
    }

    #[test]
    fn a_denied_write_to_a_role_s_policies_is_decided_about_anew_once_and_then_told() {
        let write = Write::DeleteRolePolicy { role: "pgai-x".parse().expect("a role"), policy: "p".to_owned() };
        let denied = failed(Failure::AccessDenied);
        let mut plan = Plan::default();
        plan.step(ConditionType::ExecutionRoleReady, write);
        let mut pass = Pass::default();
        for last in [false, true] {
            pass.decided(plan.clone());
            pass.answered(Err(&denied), false);
            assert_eq!(pass.error.is_some(), last);
            assert_eq!(pass.next() == Next::End, last);
        }
        assert_eq!(pass.plan.legs.len(), 1, "it is told");
    }

    #[test]
    fn that_nothing_is_left_is_not_believed_where_the_fresh_look_fails() {
        let mut pass = Pass::default();
        pass.decided(Plan::default());
        assert!(!pass.unseen(failed(Failure::Throttled)), "what was seen before counts for nothing");
        assert_eq!(pass.next(), Next::End);
    }
}
