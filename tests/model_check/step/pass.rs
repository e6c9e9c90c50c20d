//! The actions of a pass, and the report at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use private_genai_operator::{
    api::condition::{ConditionType, Leg, Reason},
    app::{self, reconcile::ProbeReadiness},
    aws::{AwsError, Ec2Write, Failure, FunctionState, Made, Operation, SecurityGroupId, SubnetId, Write},
    engine::{Converged, Freshness, Observation, Pass, PassAction, PassSubject, Reaction, Released},
    network::{self, late_writes::LateWritePass},
    plan::Plan,
};

use super::{
    super::{
        scenario::Scenario,
        state::{Run, Seen, State, Subject, Worker},
    },
    How, Wrong, circumstances, fixed,
    look::learn,
};
use crate::memory::{
    aws::{
        self, step as aws_step,
        world::{Holder, Interface},
    },
    judge::{installation, live_endpoints, region},
};

fn failed(write: &Write, failure: Failure, message: &str) -> AwsError {
    let Operation { service, name: operation, .. } = write.operation();
    AwsError { service, operation, failure, code: None, message: message.to_owned(), request_id: None }
}

impl Scenario {
    /// A worker carries out the next action of its pass.
    pub fn go(&self, next: &mut State, number: usize, worker: &Worker, how: How) -> Result<(), Wrong> {
        let Some(run) = next.operators[number].runs.get(worker).cloned() else { return Ok(()) };
        let mut run = (*run).clone();
        match run.pass.next() {
            PassAction::Observe(fresh) => {
                let plan = self.look(next, number, &mut run.subject, &fresh);
                nobody_before(next, &plan)?;
                run.pass.decided(plan);
            }
            PassAction::Write(step) => {
                let answer = self.write(next, number, &step.write, how)?;
                let operator = &mut next.operators[number];
                learn(operator, &step.write, answer.as_ref());
                let result = answer.as_ref().map(|made| &made.written);
                let memory = &mut operator.memory;
                let reaction = match &mut run.subject {
                    Subject::Network { pass, .. } => pass.learn(&step.write, result, memory),
                    Subject::Keep { pass, .. } => pass.learn(&step.write, result, memory),
                    Subject::Remove { pass: Some(pass), .. } => pass.learn(&step.write, result, memory),
                    Subject::AfterApp(pass) => pass.learn(&step.write, result, memory),
                    Subject::AfterNetwork(pass) => pass.learn(&step.write, result, memory),
                    Subject::Remove { pass: None, .. } => Reaction::Continue,
                };
                run.pass.answered(result, reaction);
            }
            PassAction::End => {
                next.operators[number].runs.remove(worker);
                if let Some(run) = self.conclude(next, number, run) {
                    next.operators[number].runs.insert(worker.clone(), Arc::new(run));
                }
                return Ok(());
            }
        }
        next.operators[number].runs.insert(worker.clone(), Arc::new(run));
        Ok(())
    }

    fn write(&self, next: &mut State, number: usize, write: &Write, how: How) -> Result<Result<Made, AwsError>, Wrong> {
        if how == How::Refused {
            return Ok(Err(failed(write, Failure::Throttled, "too many calls")));
        }
        let mut world = (*next.world).clone();
        let answer = aws_step(&mut world, &aws::Action::Write(region(), write.clone()));
        if let Ok(written) = &answer {
            next.judge.judge(write, &next.world, written, &world).map_err(|wrong| format!("{wrong}: {write:?}"))?;
            others_stay(write, &next.world, &world).map_err(|wrong| format!("{wrong}: {write:?}"))?;
            next.world = Arc::new(world);
            for (other, operator) in next.operators.iter_mut().enumerate() {
                if other != number {
                    operator.departures.values_mut().for_each(|looked_at| *looked_at = false);
                }
            }
        }
        Ok(match how {
            How::Lost => Err(failed(write, Failure::Unavailable, "connection reset")),
            How::Answered | How::Refused => {
                let shown = || aws::reads::answered(&next.world, &region(), write);
                answer.map(|written| Made { written, shown: shown() })
            }
        })
    }

    /// Observes and decides.
    fn look(&self, next: &mut State, number: usize, subject: &mut Subject, fresh: &Freshness) -> Plan {
        match subject {
            Subject::Network { pass, observed, .. } => {
                let key = pass.key.clone();
                let (seen, plan) = self.decide(next, number, Some(&key), pass, fresh);
                *observed = Some(Seen(Arc::new(seen)));
                plan
            }
            Subject::AfterNetwork(pass) => {
                let key = pass.key.clone();
                self.decide(next, number, Some(&key), pass, fresh).1
            }
            Subject::Keep { pass, observed, .. } => {
                let (seen, plan) = self.decide(next, number, None, pass, fresh);
                *observed = Some(Arc::new(seen));
                plan
            }
            Subject::Remove { pass: Some(pass), .. } => self.decide(next, number, None, pass, fresh).1,
            Subject::Remove { pass: None, .. } => Plan::default(),
            Subject::AfterApp(pass) => self.decide(next, number, None, pass, fresh).1,
        }
    }

    /// Carries out the decision after an ended pass. Returns the pass that follows at once, if there is one.
    fn conclude(&self, next: &mut State, number: usize, run: Run) -> Option<Run> {
        let index = Arc::clone(&next.objects.index);
        let Run { pass, subject } = run;
        match subject {
            Subject::Network { object, reconcile, pass: subject, observed } => {
                let Seen(observed) = observed.expect("a pass that ends has looked");
                let (reconcile, converged) = (Arc::unwrap_or_clone(reconcile), converged(pass, (*observed).clone()));
                let memory = &mut next.operators[number].memory;
                let decision = reconcile.decision(&subject, converged, None, &index, memory, &circumstances());
                self.carry_out(next, number, &object, decision.effects);
            }
            Subject::Keep { object, reconcile, pass: subject, observed } => {
                let observed = observed.expect("a pass that ends has looked");
                let (reconcile, converged) = (Arc::unwrap_or_clone(reconcile), converged(pass, (*observed).clone()));
                let (app, settings) = (object.get(), &self.settings);
                let decision = match reconcile.conclude(app, &subject, converged, None, settings, &circumstances()) {
                    Ok(concluded) => {
                        let probed = probed(concluded.readiness);
                        concluded.decision(app, (probed, None), fixed())
                    }
                    Err(decision) => decision,
                };
                self.carry_out(next, number, &object, decision.effects);
            }
            Subject::Remove { object, removal, pass: subject } => {
                let mut removal = Arc::unwrap_or_clone(removal);
                if let Some(subject) = subject {
                    removal.ended(subject, &converged(pass, app::Observed::default()));
                }
                if let Some(pass) = removal.next(&self.settings) {
                    let subject = Subject::Remove { object, removal: Arc::new(removal), pass: Some(pass) };
                    return Some(Run { pass: Pass::default(), subject });
                }
                let decision = removal.decision(&object.guarded, fixed());
                self.carry_out(next, number, &object, decision.effects);
            }
            Subject::AfterApp(subject) => {
                next.looked_after(number, Released::App(subject.identity), &converged(pass, ()).into());
            }
            Subject::AfterNetwork(LateWritePass { key, .. }) => {
                if !network::decide::is_taken(&key, &index) {
                    next.operators[number].covered.remove(&key.vpc);
                }
                next.looked_after(number, Released::Network(key), &converged(pass, ()).into());
            }
        }
        None
    }
}

fn converged<O>(pass: Pass, last: O) -> Converged<O> {
    Converged::of(pass, Observation::Observed { first: None, last }, BTreeSet::new())
}

/// The model has no probe: a path that is built is proven.
fn probed(readiness: ProbeReadiness) -> Leg {
    match readiness {
        ProbeReadiness::Built => Leg::met(ConditionType::Healthy, ""),
        ProbeReadiness::Suspended
        | ProbeReadiness::Unseen
        | ProbeReadiness::Building
        | ProbeReadiness::Asleep
        | ProbeReadiness::Amiss => Leg::progressing(ConditionType::Healthy, Reason::ProbePending, ""),
    }
}

/// The only endpoint of a VPC is not deleted while a function there is active.
fn nobody_before(state: &State, plan: &Plan) -> Result<(), Wrong> {
    let here = &state.world.regions[&region()];
    let live = live_endpoints(here);
    for step in &plan.steps {
        let Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint }) = &step.write else { continue };
        let Some((vpc, ..)) = live.iter().find(|(_, _, id)| id == endpoint) else { continue };
        let is_in_vpc = |subnet: &SubnetId| here.subnets.get(subnet).is_some_and(|subnet| subnet.vpc == *vpc);
        let function = here.functions.values().map(|function| &function.detail).find(|function| {
            installation().owns(&function.tags)
                && function.state == FunctionState::Active
                && function.listing.configuration.subnets.iter().any(is_in_vpc)
        });
        if let Some(function) = function.filter(|_| live.iter().filter(|(of_vpc, ..)| of_vpc == vpc).count() == 1) {
            return Err(format!("{endpoint} is to go although {} lives", function.listing.name));
        }
    }
    Ok(())
}

/// A resource without our tag never changes.
fn others_stay(write: &Write, before: &aws::World, after: &aws::World) -> Result<(), Wrong> {
    fn stay<K: Ord + fmt::Debug, V: PartialEq>(
        before: &BTreeMap<K, V>,
        after: &BTreeMap<K, V>,
        is_ours: impl Fn(&V) -> bool,
    ) -> Result<(), Wrong> {
        match before.iter().find(|(key, item)| !is_ours(item) && after.get(*key) != Some(*item)) {
            Some((key, _)) => Err(format!("{key:?} is not ours, and changed")),
            None => Ok(()),
        }
    }
    let ours = installation();
    stay(&before.roles, &after.roles, |item| ours.owns(&item.role.tags))?;
    let (before, after) = (&before.regions[&region()], &after.regions[&region()]);
    stay(&before.groups, &after.groups, |item| ours.owns(&item.tags))?;
    stay(&before.endpoints, &after.endpoints, |item| ours.owns(&item.tags))?;
    stay(&before.functions, &after.functions, |item| ours.owns(&item.detail.tags))?;
    stay(&before.log_groups, &after.log_groups, |item| ours.owns(&item.tags))?;
    // AWS itself deletes interfaces that are not needed any more, so only our own deletions are checked.
    if matches!(write, Write::Ec2(Ec2Write::DeleteNetworkInterface { .. })) {
        let our_group = |id: &SecurityGroupId| before.groups.get(id).is_some_and(|item| ours.owns(&item.tags));
        let carries_ours =
            |item: &Interface| before.groups_of(item).is_some_and(|groups| groups.iter().any(&our_group));
        stay(&before.interfaces, &after.interfaces, |item| {
            matches!(item.holder, Holder::Lambda { .. }) && carries_ours(item)
        })?;
    }
    if before.vpcs == after.vpcs && before.subnets == after.subnets && before.route_tables == after.route_tables {
        Ok(())
    } else {
        Err("the shape of a VPC changed".to_owned())
    }
}
