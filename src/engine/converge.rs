//! One pass over an object: look, decide, write, look again, until there is nothing left to do now.

use std::{collections::BTreeSet, time::Duration};

use tracing::{Instrument as _, field::Empty};

use crate::{
    api::condition::{ConditionType, Leg, LegState, Reason},
    aws::{AwsError, Class, Failure, MaxAge, Operation, Snapshot, Write, Written},
    engine::{Context, Pace, effects::Novelty},
    plan::{Plan, Step, gives_way, makes_room, stands_on},
};

/// A path is built in fewer stages than this. A plan that still has steps then is taken up again soon.
const STAGES: usize = 8;

/// Facts by which one decides to wait, or to ask somebody to act, are no older than this.
pub const FRESH: Duration = Duration::from_secs(1);

/// Which facts must be fresh: those behind the legs that are not as they should be. The others may be as old as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Freshness(BTreeSet<ConditionType>);

impl Freshness {
    fn for_unsettled(plan: &Plan) -> Self {
        let unsettled = plan.legs.iter().filter(|leg| leg.state != LegState::Met).map(|leg| leg.kind);
        Self(unsettled.filter(|kind| !plan.unread.contains_key(kind)).collect())
    }

    /// Where nothing may be left: all that could be.
    pub fn for_what_may_be_left() -> Self {
        use ConditionType::{EndpointsReady, ExecutionRoleReady, FunctionReady, SecurityGroupsReady};
        Self([EndpointsReady, SecurityGroupsReady, ExecutionRoleReady, FunctionReady].into())
    }

    fn for_role() -> Self {
        Self([ConditionType::ExecutionRoleReady].into())
    }

    /// The same, but of roles, which may be as old as they are.
    #[must_use]
    pub fn but_of_roles(&self) -> Self {
        Self(self.0.iter().filter(|kind| **kind != ConditionType::ExecutionRoleReady).copied().collect())
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
    /// What was decided last. Failed calls show on their legs.
    pub plan: Plan,
    /// The calls that failed, and what could not be read, as far as it is still needed.
    pub errors: Vec<AwsError>,
    /// The writes that were done, in order.
    pub done: Vec<Write>,
    /// What of them changed anything, as far as it did: the rest was done before.
    pub changed: Vec<Write>,
    /// What was done before and does not show yet, so that it was not done again.
    pub held_back: BTreeSet<Write>,
    /// Those of them that were done before without effect, which is no news.
    pub repeated: BTreeSet<Write>,
    /// What is still to be done and was done a few times without effect.
    pub without_effect: BTreeSet<Write>,
}

impl<O> Converged<O> {
    /// The writes that are news: those that changed anything, but for what was done before without effect.
    pub fn news(&self) -> Vec<Write> {
        self.changed.iter().filter(|write| !self.repeated.contains(write)).cloned().collect()
    }

    /// When to look again: the soonest of what the failed calls ask for and what is waited for. A leg that waits only for
    /// writes that failed, or for what could not be read, is no wait of its own.
    pub fn pace(&self) -> Pace {
        let of_errors = self.errors.iter().map(Pace::after);
        // AWS does not show yet what was done.
        let open = || self.plan.steps.iter().filter(|step| !self.without_effect.contains(&step.write));
        let behind = open().any(|step| self.done.contains(&step.write) || self.held_back.contains(&step.write));
        let stopped = open().next().is_some() && self.errors.is_empty();
        let in_vain = (!self.without_effect.is_empty()).then_some(Pace::Blocked);
        let has_steps = |kind| self.plan.steps.iter().any(|step| step.leg == kind);
        let legs =
            self.plan.legs.iter().filter(|leg| !has_steps(leg.kind) && !self.plan.unread.contains_key(&leg.kind));
        let rest = Plan { legs: legs.cloned().collect(), ..Plan::default() };
        let waits = (behind || stopped).then_some(Pace::Wait);
        Pace::soonest(of_errors.chain(waits).chain(in_vain).chain([Pace::of(&rest)]))
    }
}

/// What a pass does next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassAction {
    /// Looks at AWS, with facts as fresh as this, and decides.
    Look(Freshness),
    /// Makes a write.
    Write(Box<Step>),
    /// Nothing more.
    End,
}

/// A pass between two calls: what it does next follows from the answers so far. Plain data, so that it can be stopped,
/// compared and told apart wherever it stands.
///
/// A write that fails ends only the writes that [stand on](stands_on) it. It is not made again in the pass, but once where a
/// quota refused it and something that [leaves room](makes_room) was removed since. Two failures end more: while AWS does not
/// take the credentials, nothing is tried any more; and of a service that throttles, or does not answer, nothing else is
/// asked in this pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pass {
    /// What was decided last. At the end, failed calls show on their legs.
    pub plan: Plan,
    /// The writes that were done, in order.
    pub done: Vec<Write>,
    /// What of that changed anything, as far as it did: the rest was done before.
    pub changed: Vec<Write>,
    /// Why AWS could not be looked at at all.
    unseen: Option<AwsError>,
    failed: Vec<Failed>,
    position: Position,
    stages: usize,
    freshness: Freshness,
    looked_afresh: bool,
    /// A write that is judged by the role as it is was denied: the role was looked at again.
    denied: bool,
    /// What was done in earlier stages, or before this pass, and the last look does not show.
    behind: BTreeSet<Write>,
    /// For the sake of what was held back, AWS was looked at once more.
    looked_behind: bool,
    /// What was done since the last look.
    done_since: Vec<Write>,
    /// What was done a few times, in this pass and before, and the last look does not show.
    without_effect: BTreeSet<Write>,
}

/// A step that failed in this pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Failed {
    step: Step,
    error: AwsError,
    again: Again,
}

/// Whether a step that failed is made again in the same pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Again {
    /// Not unless room is made.
    No,
    /// Room was made for it.
    Once,
    /// It was, and failed again.
    NoMore,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Position {
    #[default]
    Look,
    /// At the first of these steps.
    Write(Vec<Step>),
    End,
}

/// What an answer to a write was to a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteAnswer {
    Done,
    DoneBefore,
    /// It failed, and told something by which to decide anew.
    PlanAnew,
    Failed,
}

impl Pass {
    /// What to do now.
    pub fn next(&self) -> PassAction {
        match &self.position {
            Position::Look => PassAction::Look(self.freshness.clone()),
            Position::Write(steps) => {
                steps.first().cloned().map_or(PassAction::End, |step| PassAction::Write(Box::new(step)))
            }
            Position::End => PassAction::End,
        }
    }

    /// The calls that failed and are still needed, and what could not be read.
    pub fn errors(&self) -> Vec<AwsError> {
        let failed = self.failed.iter().filter(|failed| self.plan.steps.contains(&failed.step));
        let unread = self.plan.unread.values();
        self.unseen.iter().chain(failed.map(|failed| &failed.error)).chain(unread).cloned().collect()
    }

    /// AWS could not be looked at. That nothing is left is not believed then: `false`, and what was seen before counts for
    /// nothing.
    #[must_use]
    pub fn unseen(&mut self, error: AwsError) -> bool {
        self.unseen = Some(error);
        self.end();
        !self.plan.is_nothing()
    }

    /// By what AWS showed, this was decided.
    pub fn decided(&mut self, plan: Plan) {
        self.plan = plan;
        self.stages += 1;
        self.done_since.clear();
        // AWS is consistent eventually: what was done in this pass and does not show yet is not done again at once, nor what
        // stands on it.
        let planned = self.plan.steps.iter().map(|step| &step.write);
        self.behind = planned.filter(|write| self.done.contains(write)).cloned().collect();
        let steps: Vec<Step> = self.plan.steps.iter().filter(|step| self.may_be_made(step)).cloned().collect();
        if !steps.is_empty() {
            self.position = Position::Write(steps);
            return;
        }
        // A table may have been read before AWS showed what was created, and not since.
        let nothing_left = self.plan.is_nothing();
        if self.plan.steps.is_empty() && (self.plan.needs_fresh_look() || nothing_left) && !self.looked_afresh {
            self.looked_afresh = true;
            self.freshness =
                if nothing_left { Freshness::for_what_may_be_left() } else { Freshness::for_unsettled(&self.plan) };
            // However many stages there were: it is the last look.
            self.position = Position::Look;
        } else {
            self.end();
        }
    }

    /// The next write was made a moment ago, before this pass, and does not show yet: it is not made again, nor what stands on it.
    /// What was read before AWS showed the write would hide it for ever: whoever holds it back forgets that, and the pass looks again.
    pub fn hold_back(&mut self) {
        let Position::Write(steps) = &self.position else { return };
        let Some((step, rest)) = steps.split_first().map(|(step, rest)| (step.clone(), rest.to_vec())) else { return };
        self.behind.insert(step.write);
        self.go_on(rest);
    }

    /// Which of the planned writes were made a few times, and do not show.
    pub fn made_in_vain(&mut self, is_without_effect: impl Fn(&Write) -> bool) {
        let planned = self.plan.steps.iter().map(|step| &step.write);
        self.without_effect = planned.filter(|write| is_without_effect(write)).cloned().collect();
    }

    /// AWS answered the write. `again`: the plan is to be made anew although the call failed.
    pub fn answered(&mut self, result: Result<&Written, &AwsError>, again: bool) {
        self.take(result, again);
    }

    fn take(&mut self, result: Result<&Written, &AwsError>, again: bool) -> WriteAnswer {
        let Position::Write(steps) = &self.position else { return WriteAnswer::Done };
        let Some((step, rest)) = steps.split_first().map(|(step, rest)| (step.clone(), rest.to_vec())) else {
            return WriteAnswer::Done;
        };
        let answered = match result {
            Ok(_) => WriteAnswer::Done,
            Err(error) if is_done_already(&step.write, error) => WriteAnswer::DoneBefore,
            Err(_) if again => WriteAnswer::PlanAnew,
            // Since it was read, somebody may have deleted the role, or taken it from under its boundary.
            Err(error)
                if error.failure == Failure::AccessDenied
                    && step.write.describe().is_judged_by_role
                    && !self.denied =>
            {
                self.denied = true;
                self.freshness = Freshness::for_role();
                WriteAnswer::PlanAnew
            }
            Err(error) => {
                self.fail(step.clone(), error);
                WriteAnswer::Failed
            }
        };
        if let Ok(written) = result {
            self.changed.extend(step.write.changed(written));
        }
        match answered {
            WriteAnswer::Done | WriteAnswer::DoneBefore => {
                self.done_since.push(step.write.clone());
                self.failed.retain(|failed| failed.step != step);
                for failed in &mut self.failed {
                    let full = failed.error.failure == Failure::QuotaReached && failed.again == Again::No;
                    if full && makes_room(&step.write, &failed.step.write) {
                        failed.again = Again::Once;
                    }
                }
                self.done.push(step.write);
                self.go_on(rest);
            }
            WriteAnswer::PlanAnew => self.look_again(),
            WriteAnswer::Failed if self.ends_all() => self.end(),
            WriteAnswer::Failed => self.go_on(rest),
        }
        answered
    }

    /// A quota refused the step in this pass, and room was made for it.
    fn has_room_for(&self, step: &Step) -> bool {
        self.failed.iter().any(|failed| failed.step == *step && failed.again == Again::Once)
    }

    /// The next step would fail as it did a moment ago: it is not made.
    fn fail_at_once(&mut self, error: &AwsError) {
        let Position::Write(steps) = &self.position else { return };
        let Some((step, rest)) = steps.split_first().map(|(step, rest)| (step.clone(), rest.to_vec())) else { return };
        self.fail(step, error);
        self.go_on(rest);
    }

    fn fail(&mut self, step: Step, error: &AwsError) {
        let again = match self.failed.iter().find(|failed| failed.step == step) {
            Some(_) => Again::NoMore,
            None => Again::No,
        };
        self.failed.retain(|failed| failed.step != step);
        self.failed.push(Failed { step, error: error.clone(), again });
    }

    /// While AWS does not take the credentials, every other call would fail too.
    fn ends_all(&self) -> bool {
        self.failed.iter().any(|failed| failed.error.failure == Failure::Credentials)
    }

    /// Goes on with what can still be made of these steps, then with another look where anything was done.
    fn go_on(&mut self, rest: Vec<Step>) {
        let steps: Vec<Step> = rest.into_iter().filter(|step| self.may_be_made(step)).collect();
        if !steps.is_empty() {
            self.position = Position::Write(steps);
            return;
        }
        if !self.done_since.is_empty() {
            self.look_again();
            return;
        }
        if self.held_back().next().is_none() || self.looked_behind {
            self.end();
        } else {
            self.looked_behind = true;
            self.position = Position::Look;
        }
    }

    /// What was done before this pass, and the last look does not show either.
    fn held_back(&self) -> impl Iterator<Item = &Write> {
        self.behind.iter().filter(|write| !self.done.contains(write))
    }

    fn look_again(&mut self) {
        if self.stages < STAGES {
            self.position = Position::Look;
        } else {
            self.end();
        }
    }

    /// Nothing more is done: what failed shows on its leg. Of several on one leg, what somebody must see to comes first, then
    /// what failed first.
    fn end(&mut self) {
        self.position = Position::End;
        let needed = |failed: &&Failed| self.plan.steps.contains(&failed.step);
        let (somebody, others): (Vec<Failed>, Vec<Failed>) = (self.failed.iter().filter(needed).cloned())
            .partition(|failed| failed.error.failure.class() == Class::UserMustAct);
        for Failed { step, error, .. } in others.iter().rev().chain(&somebody) {
            self.plan.show_failure(step.leg, &step.write, error);
        }
        let told: Vec<Leg> = self.plan.steps.iter().filter_map(|step| self.in_vain(step)).collect();
        for leg in told {
            self.plan.set_leg(leg);
        }
        let told: Vec<Leg> = self.plan.steps.iter().filter_map(|step| self.waits_for_another_leg(step)).collect();
        for leg in told {
            self.plan.set_leg_instead_of(Reason::Applying, leg);
        }
    }

    /// The step was made a few times, and nothing shows.
    fn in_vain(&self, step: &Step) -> Option<Leg> {
        if !self.without_effect.contains(&step.write) || self.failed.iter().any(|failed| failed.step == *step) {
            return None;
        }
        let (operation, resource) = (step.write.operation(), step.write.resource());
        let message = format!(
            "{resource}: {operation} succeeds, and AWS shows no change afterwards. See in CloudTrail what changes it back (another \
             controller, Terraform, a rule of AWS Config), or what keeps AWS from showing it. The call is made again every five minutes \
             at most."
        );
        Some(Leg::blocked(step.leg, Reason::WriteHasNoEffect, message))
    }

    /// The step stands on one of another leg that failed: that one tells why.
    fn waits_for_another_leg(&self, step: &Step) -> Option<Leg> {
        let first = self.held_up_by(step).filter(|first| first.leg != step.leg)?;
        let (operation, resource) = (step.write.operation(), step.write.resource());
        let message = format!(
            "{resource}: {operation} waits for {} of {}; condition {} says what keeps that.",
            first.write.operation(),
            first.write.resource(),
            first.leg.as_str()
        );
        Some(Leg::progressing(step.leg, Reason::DependencyNotReady, message))
    }

    /// The step that failed, or was made in vain, on which this one stands in the end.
    fn held_up_by(&self, step: &Step) -> Option<&Step> {
        let before = self.plan.steps.iter().take_while(|other| *other != step);
        before.filter(|other| stands_on(&step.write, &other.write)).find_map(|other| {
            let is_cause =
                self.without_effect.contains(&other.write) || self.failed.iter().any(|failed| failed.step == *other);
            if is_cause { Some(other) } else { self.held_up_by(other) }
        })
    }

    /// The step was not made yet in this pass, or is to be made once more, and nothing that it stands on failed.
    fn may_be_made(&self, step: &Step) -> bool {
        !self.has_failed(step)
            && !self.behind.contains(&step.write)
            && !self.is_held_up(step)
            && !self.done_since.iter().any(|done| gives_way(&step.write, done))
            && !self.failed.iter().any(|failed| failed.error.silences_service() && is_of_service(step, &failed.error))
    }

    fn has_failed(&self, step: &Step) -> bool {
        self.failed.iter().any(|failed| failed.step == *step && failed.again != Again::Once)
    }

    /// A step before this one, on which it stands, is not done.
    fn is_held_up(&self, step: &Step) -> bool {
        let before = self.plan.steps.iter().take_while(|other| *other != step);
        before.filter(|other| stands_on(&step.write, &other.write)).any(|other| !self.may_be_made(other))
    }
}

fn is_of_service(step: &Step, error: &AwsError) -> bool {
    step.write.operation().service == error.service
}

/// Makes a pass for an object, whatever it is called. `learn` is told every answer to a write, and says whether the plan is to be made anew although the
/// call failed. No step is begun once the operator is told to stop, or without the right to write: the next operator
/// takes it up. What AWS refused a moment ago until somebody acts is not asked for again so soon, however often the object
/// comes back for something else.
pub async fn converge<O>(
    object: &str,
    snapshot: &Snapshot,
    ctx: &Context,
    mut observe: impl AsyncFnMut(&Freshness) -> Result<O, AwsError>,
    mut decide: impl FnMut(&O) -> Plan,
    mut learn: impl FnMut(&Write, &Result<Written, AwsError>) -> bool,
) -> Converged<O> {
    let mut pass = Pass::default();
    let mut observed = None;
    let mut repeated = BTreeSet::new();
    loop {
        match pass.next() {
            PassAction::End => break,
            PassAction::Look(freshness) => match observe(&freshness).await {
                Ok(seen) => {
                    pass.decided(decide(&seen));
                    ctx.refusals.looked(object, &pass.plan);
                    pass.made_in_vain(|write| ctx.refusals.is_without_effect(object, write));
                    observed = Some(seen);
                }
                Err(error) => {
                    let stands = pass.unseen(error);
                    observed = observed.filter(|_| stands);
                }
            },
            PassAction::Write(step) => {
                if ctx.stop.is_cancelled() {
                    pass.end();
                    break;
                }
                if !pass.has_room_for(&step)
                    && let Some(error) = ctx.refusals.of(&step.write)
                {
                    pass.fail_at_once(&error);
                    continue;
                }
                if ctx.refusals.holds_back(object, &step.write) {
                    snapshot.forget(&step.write, None);
                    pass.hold_back();
                    continue;
                }
                let Operation { service, name: operation, .. } = step.write.operation();
                let resource = step.write.resource();
                // The call writes its request id into the step.
                let span = tracing::info_span!("step", service, operation, resource, request_id = Empty);
                let Ok(result) = ctx.leadership.write(snapshot.write(&step.write).instrument(span.clone())).await
                else {
                    pass.end();
                    break;
                };
                let result = result.map_err(|error| ctx.refusals.judged(object, &step.write, error));
                let again = learn(&step.write, &result);
                let answered = pass.take(result.as_ref(), again);
                span.in_scope(|| match (answered, &result) {
                    (WriteAnswer::Done, _) => {
                        ctx.refusals.forget(object, &step.write);
                        if ctx.refusals.made(object, &step) == Novelty::Repeated {
                            repeated.insert(step.write.clone());
                        }
                        tracing::info!("done");
                    }
                    (WriteAnswer::Failed, Err(error)) => {
                        ctx.refusals.remember(&step.write, error);
                        tracing::warn!(%error, "not done");
                    }
                    _ => {}
                });
            }
        }
    }
    let (errors, held_back) = (pass.errors(), pass.held_back().cloned().collect());
    let Pass { plan, done, changed, without_effect, .. } = pass;
    let without_effect = without_effect.into_iter().filter(|write| plan.steps.iter().any(|step| step.write == *write));
    let without_effect = without_effect.collect();
    Converged { observed, plan, errors, done, changed, held_back, repeated, without_effect }
}

/// The refusal says that an earlier call, whose answer was lost or does not show yet, has done the work.
fn is_done_already(write: &Write, error: &AwsError) -> bool {
    write.describe().done_already == Some(error.failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Ec2Write, IamWrite, LogsWrite};

    fn failed(failure: Failure) -> AwsError {
        AwsError { service: "", operation: "", failure, code: None, message: String::new(), request_id: None }
    }

    #[test]
    fn that_nothing_is_left_is_believed_after_a_fresh_look_only() {
        let mut pass = Pass::default();
        assert_eq!(pass.next(), PassAction::Look(Freshness::default()));
        pass.decided(Plan::default());
        let PassAction::Look(fresh) = pass.next() else { panic!("{:?}", pass.next()) };
        for leg in [
            ConditionType::EndpointsReady,
            ConditionType::SecurityGroupsReady,
            ConditionType::ExecutionRoleReady,
            ConditionType::FunctionReady,
        ] {
            assert_eq!(fresh.of(leg), MaxAge::Under(FRESH), "{}", leg.as_str());
        }
        pass.decided(Plan::default());
        assert_eq!(pass.next(), PassAction::End);
    }

    #[test]
    fn a_denied_write_to_a_role_s_policies_is_decided_about_anew_once_and_then_told() {
        let write =
            Write::Iam(IamWrite::DeleteRolePolicy { role: "pgai-x".parse().expect("a role"), policy: "p".to_owned() });
        let denied = failed(Failure::AccessDenied);
        let mut plan = Plan::default();
        plan.step(ConditionType::ExecutionRoleReady, write);
        let mut pass = Pass::default();
        for last in [false, true] {
            pass.decided(plan.clone());
            pass.answered(Err(&denied), false);
            assert_eq!(pass.errors().len(), usize::from(last));
            assert_eq!(pass.next() == PassAction::End, last);
        }
        assert_eq!(pass.plan.legs.len(), 1, "it is told");
    }

    #[test]
    fn that_nothing_is_left_is_not_believed_where_the_fresh_look_fails() {
        let mut pass = Pass::default();
        pass.decided(Plan::default());
        assert!(!pass.unseen(failed(Failure::Throttled)), "what was seen before counts for nothing");
        assert_eq!(pass.next(), PassAction::End);
    }

    /// The steps of a role: two foreign policies, its own, and a log group beside it.
    fn steps() -> [Write; 4] {
        let role = || "pgai-x".parse().expect("a role");
        [
            Write::Iam(IamWrite::DeleteRolePolicy { role: role(), policy: "foreign".to_owned() }),
            Write::Iam(IamWrite::DetachRolePolicy { role: role(), policy_arn: "arn".to_owned() }),
            Write::Iam(IamWrite::DeleteRole { role: role() }),
            Write::Logs(LogsWrite::DeleteLogGroup { name: "/aws/lambda/pgai-x".parse().expect("a log group") }),
        ]
    }

    fn planned(writes: &[Write]) -> Plan {
        let mut plan = Plan::default();
        for write in writes {
            let leg = match write.operation().service {
                "iam" => ConditionType::ExecutionRoleReady,
                "logs" => ConditionType::FunctionReady,
                _ => ConditionType::SecurityGroupsReady,
            };
            plan.step(leg, write.clone());
        }
        plan
    }

    /// Makes what the pass wants to make, with these answers; gives what it made, until it looks or ends.
    fn make(pass: &mut Pass, answer: impl Fn(&Write) -> Option<AwsError>) -> Vec<Write> {
        let mut made = Vec::new();
        while let PassAction::Write(step) = pass.next() {
            match answer(&step.write) {
                None => pass.answered(Ok(&Written::Done), false),
                Some(error) => pass.answered(Err(&error), false),
            }
            made.push(step.write);
        }
        made
    }

    fn ended(plan: Plan, errors: Vec<AwsError>) -> Converged<()> {
        let (done, changed) = (Vec::new(), Vec::new());
        let (held_back, repeated, without_effect) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Converged { observed: None, plan, errors, done, changed, held_back, repeated, without_effect }
    }

    fn of(service: &'static str, failure: Failure) -> AwsError {
        AwsError { service, code: Some("Code".to_owned()), ..failed(failure) }
    }

    #[test]
    fn a_write_that_fails_ends_only_what_stands_on_it_and_each_failure_is_told_on_its_leg() {
        let [delete, detach, role, log_group] = steps();
        let all = [delete.clone(), detach.clone(), role, log_group.clone()];
        let mut pass = Pass::default();
        pass.decided(planned(&all));
        let refused = |write: &Write| (*write != detach).then(|| of(write.operation().service, Failure::Invalid));
        assert_eq!(make(&mut pass, refused), [delete, detach.clone(), log_group], "the role stands on its policies");
        assert_eq!(pass.next(), PassAction::Look(Freshness::default()), "something was done: the next look tells");
        let rest: Vec<Write> = all.iter().filter(|write| **write != detach).cloned().collect();
        pass.decided(planned(&rest));
        assert_eq!(pass.next(), PassAction::End, "what failed is not made again");
        assert_eq!(pass.errors().len(), 2);
        let blocked = |kind| pass.plan.legs.iter().any(|leg| leg.kind == kind && leg.state == LegState::Blocked);
        assert!(blocked(ConditionType::ExecutionRoleReady) && blocked(ConditionType::FunctionReady));
    }

    #[test]
    fn while_aws_does_not_take_the_credentials_nothing_is_tried_and_a_service_that_throttles_is_asked_no_more() {
        let all = steps();
        for (failure, made, ends) in [(Failure::Credentials, 1, true), (Failure::Throttled, 2, false)] {
            let mut pass = Pass::default();
            pass.decided(planned(&all));
            let answer = |write: &Write| (write.operation().service == "iam").then(|| of("iam", failure));
            assert_eq!(make(&mut pass, answer).len(), made, "{failure:?}");
            assert_eq!(pass.next() == PassAction::End, ends, "{failure:?}");
        }
    }

    #[test]
    fn what_a_quota_refused_is_made_once_more_after_something_made_room_for_it() {
        let group = || "sg-00000001".parse().expect("a group");
        let rules = |peer: &str| [crate::aws::Rule::tcp(443, crate::aws::Peer::Ipv4(peer.to_owned()))].into();
        let grant = Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group(), rules: rules("10.0.0.0/8") });
        let revoke = Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group(), rules: rules("0.0.0.0/0") });
        let full = |write: &Write| (*write == grant).then(|| of("ec2", Failure::QuotaReached));
        let mut pass = Pass::default();
        pass.decided(planned(&[grant.clone(), revoke.clone()]));
        assert_eq!(make(&mut pass, full), [grant.clone(), revoke.clone()]);
        pass.decided(planned(std::slice::from_ref(&grant)));
        assert_eq!(make(&mut pass, full), std::slice::from_ref(&grant), "once");
        assert_eq!(pass.next(), PassAction::End, "and no more");
        let mut pass = Pass::default();
        pass.decided(planned(std::slice::from_ref(&grant)));
        assert_eq!(make(&mut pass, full), [grant], "nothing made room");
        assert_eq!(pass.next(), PassAction::End);
    }

    #[test]
    fn what_was_done_and_does_not_show_yet_is_not_done_again_nor_what_stands_on_it() {
        let [delete, _, role, log_group] = steps();
        let mut pass = Pass::default();
        pass.decided(planned(std::slice::from_ref(&delete)));
        make(&mut pass, |_| None);
        pass.decided(planned(&[delete.clone(), role, log_group.clone()]));
        assert_eq!(make(&mut pass, |_| None), [log_group]);
    }

    #[test]
    fn what_was_done_before_changed_nothing_and_of_what_was_done_in_part_that_part() {
        let rule = |peer: &str| crate::aws::Rule::tcp(443, crate::aws::Peer::Ipv4(peer.to_owned()));
        let revoke = |peers: &[&str]| {
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress {
                group: "sg-00000001".parse().expect("a group"),
                rules: peers.iter().map(|peer| rule(peer)).collect(),
            })
        };
        let gone = failed(Failure::NotFound);
        let some = Written::Revoked([rule("0.0.0.0/0")].into());
        let none = Written::Revoked(std::collections::BTreeSet::new());
        let both = revoke(&["10.0.0.0/8", "0.0.0.0/0"]);
        for (answer, changed) in [
            (Ok(&Written::Done), vec![both.clone()]),
            (Ok(&some), vec![revoke(&["0.0.0.0/0"])]),
            (Ok(&none), vec![]),
            (Err(&gone), vec![]),
        ] {
            let mut pass = Pass::default();
            pass.decided(planned(std::slice::from_ref(&both)));
            pass.answered(answer, false);
            assert_eq!((&pass.done, &pass.changed), (&vec![both.clone()], &changed), "{answer:?}");
        }
    }

    #[test]
    fn of_several_failures_on_one_leg_the_one_that_somebody_must_see_to_is_told() {
        let [delete, detach, _, _] = steps();
        let mut pass = Pass::default();
        pass.decided(planned(&[delete.clone(), detach]));
        let answer = |write: &Write| {
            let failure = if *write == delete { Failure::NotYet } else { Failure::Invalid };
            Some(of("iam", failure))
        };
        make(&mut pass, answer);
        assert_eq!(pass.plan.legs.iter().map(|leg| leg.state).collect::<Vec<_>>(), [LegState::Blocked]);
        let ended = ended(pass.plan.clone(), pass.errors());
        assert_eq!(ended.pace(), Pace::Wait, "the soonest");
    }

    #[test]
    fn a_leg_that_waits_only_for_writes_that_failed_brings_its_object_back_no_sooner_than_they_do() {
        use crate::api::condition::{Leg, Reason};
        let plan = Plan {
            legs: vec![Leg::progressing(ConditionType::ExecutionRoleReady, Reason::Applying, "soon")],
            ..planned(&steps()[..1])
        };
        let ended = |errors| ended(plan.clone(), errors);
        assert_eq!(ended(vec![failed(Failure::AccessDenied)]).pace(), Pace::Blocked);
        assert_eq!(ended(vec![failed(Failure::AccessDenied), failed(Failure::Throttled)]).pace(), Pace::Retry);
        assert_eq!(ended(vec![]).pace(), Pace::Wait, "it was stopped");
    }

    #[test]
    fn what_was_made_in_vain_needs_somebody_and_brings_its_object_back_as_rarely_as_what_is_refused() {
        let [delete, _, role, log_group] = steps();
        let mut pass = Pass::default();
        pass.decided(planned(&[delete.clone(), role, log_group.clone()]));
        pass.made_in_vain(|write| *write == delete);
        assert_eq!(
            pass.next(),
            PassAction::Write(Box::new(Step { leg: ConditionType::ExecutionRoleReady, write: delete.clone() }))
        );
        pass.hold_back();
        assert_eq!(make(&mut pass, |_| None), std::slice::from_ref(&log_group), "what stands on it is not made either");
        for last in [PassAction::Look(Freshness::default()), PassAction::End] {
            pass.decided(planned(std::slice::from_ref(&delete)));
            pass.made_in_vain(|write| *write == delete);
            pass.hold_back();
            assert_eq!(pass.next(), last, "AWS is looked at once more before the end");
        }
        let [leg] = &pass.plan.legs[..] else { panic!("{:?}", pass.plan.legs) };
        assert_eq!((leg.state, leg.reason), (LegState::Blocked, Reason::WriteHasNoEffect));
        assert!(
            leg.message.starts_with("pgai-x: iam:DeleteRolePolicy succeeds, and AWS shows no change"),
            "{}",
            leg.message
        );
        let in_vain = Converged { without_effect: [delete].into(), ..ended(pass.plan.clone(), pass.errors()) };
        assert_eq!(in_vain.pace(), Pace::Blocked);
        let waits = Converged { without_effect: BTreeSet::new(), ..ended(pass.plan, vec![]) };
        assert_eq!(waits.pace(), Pace::Wait, "it may show soon");
    }

    #[test]
    fn a_leg_whose_call_waits_for_one_of_another_leg_that_failed_does_not_say_that_it_is_being_done() {
        let create = Write::Iam(IamWrite::CreateRole {
            name: "pgai-x".parse().expect("a role"),
            path: "/".to_owned(),
            trust_policy: crate::aws::PolicyDocument::from_wire("{}"),
            description: String::new(),
            permissions_boundary: None,
            tags: crate::aws::Tags::new(),
        });
        let group = Write::Logs(LogsWrite::CreateLogGroup {
            name: "/aws/lambda/pgai-x".parse().expect("a log group"),
            tags: crate::aws::Tags::new(),
        });
        let mut plan = planned(&[create.clone(), group]);
        plan.legs = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady]
            .map(|kind| Leg::progressing(kind, Reason::Applying, "It is being created."))
            .into();
        let mut pass = Pass::default();
        pass.decided(plan);
        assert_eq!(make(&mut pass, |_| Some(of("iam", Failure::AccessDenied))), [create]);
        let legs: Vec<_> = pass.plan.legs.iter().map(|leg| (leg.kind, leg.state, leg.reason)).collect();
        assert_eq!(
            legs,
            [
                (ConditionType::ExecutionRoleReady, LegState::Blocked, Reason::AccessDenied),
                (ConditionType::FunctionReady, LegState::Progressing, Reason::DependencyNotReady)
            ]
        );
        let message = &pass.plan.legs[1].message;
        assert!(message.contains("waits for iam:CreateRole of pgai-x; condition ExecutionRoleReady"), "{message}");
    }

    #[test]
    fn that_nothing_is_left_is_never_believed_of_a_look_that_is_not_complete() {
        let mut pass = Pass::default();
        let mut plan = Plan::default();
        plan.unread(ConditionType::VpcReady, Some(&failed(Failure::AccessDenied)));
        pass.decided(plan);
        assert_eq!((pass.next(), pass.errors().len()), (PassAction::End, 1));
        assert!(!pass.plan.is_nothing());
    }
}
