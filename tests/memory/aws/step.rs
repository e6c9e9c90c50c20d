//! The one way in which a world changes: a pure, total function of the world and an action.

use private_genai_operator::aws::{AwsError, Ec2Write, Failure, Region, Write, Written};

use super::{
    by_hand::{self, ByHand},
    endpoints, iam, interfaces, lambda, logs, security_groups, tags,
    world::{Transition, World},
};

/// An event in a world.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A call by the operator, or a foreign call of the same kind.
    Write(Region, Write),
    /// A foreign change by a call that the operator does not have.
    ByHand(Region, ByHand),
    /// Time passes; due transitions happen in the order of their times.
    Advance { seconds: u64 },
    /// A transition happens before its time: a model checker, whose clock stands still, lets AWS make progress in this way.
    Happen(Transition),
}

/// The result of an action. An error leaves the world unchanged.
pub type Outcome = Result<Written, AwsError>;

/// AWS's refusal of a call.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

/// The answer of a part of AWS.
pub(super) type Answer<T = Written> = Result<T, Refusal>;

/// A refusal with the HTTP status of most client errors.
pub(super) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Answer<T> {
    refuse_with(400, code, message)
}

/// A refusal.
pub(super) fn refuse_with<T>(status: u16, code: &'static str, message: impl Into<String>) -> Answer<T> {
    Err(Refusal { status, code, message: message.into() })
}

/// Changes the world by one action. Transitions that become due at once happen after the answer and before the next action: the
/// answer shows a new endpoint as `pending` even if it takes no time.
pub fn step(world: &mut World, action: &Action) -> Outcome {
    let (service, operation) = match action {
        Action::Write(_, write) => (write.operation().service, write.operation().name),
        Action::ByHand(_, by_hand) => by_hand.operation(),
        Action::Advance { .. } | Action::Happen(_) => ("aws", "TimePasses"),
    };
    let answer = match action {
        Action::Write(region, write) => carry_out(world, region, write),
        Action::ByHand(region, by_hand) => by_hand::carry_out(world, region, by_hand),
        Action::Advance { seconds } => {
            advance(world, *seconds);
            Ok(Written::Done)
        }
        Action::Happen(transition) => match world.due.remove(transition) {
            Some(_) => {
                happen(world, transition);
                Ok(Written::Done)
            }
            None => refuse("NothingToHappen", format!("{transition:?} is not due")),
        },
    };
    advance(world, 0);
    answer.map_err(|refusal| refused((service, operation), refusal))
}

/// The error that the operator sees.
pub(super) fn refused((service, operation): (&'static str, &'static str), refusal: Refusal) -> AwsError {
    let Refusal { status, code, message } = refusal;
    let failure = Failure::classify(status, code, &message);
    AwsError { service, operation, failure, code: Some(code.to_owned()), message, request_id: None }
}

fn carry_out(world: &mut World, region: &Region, write: &Write) -> Answer {
    match write {
        Write::Ec2(write) => write_ec2(world, region, write),
        Write::Iam(write) => iam::carry_out(world, region, write),
        Write::Logs(write) => logs::carry_out(world, region, write),
        Write::Lambda(write) => lambda::carry_out(world, region, write),
    }
}

/// Carries out a change of EC2.
fn write_ec2(world: &mut World, region: &Region, write: &Ec2Write) -> Answer {
    match write {
        Ec2Write::CreateSecurityGroup { vpc, name, description, tags } => {
            security_groups::create(world, region, vpc, name, description, tags)
        }
        Ec2Write::AuthorizeSecurityGroupIngress { group, rules } => {
            security_groups::authorize(world, region, group, security_groups::Direction::In, rules)
        }
        Ec2Write::AuthorizeSecurityGroupEgress { group, rules } => {
            security_groups::authorize(world, region, group, security_groups::Direction::Out, rules)
        }
        Ec2Write::RevokeSecurityGroupIngress { group, rules } => {
            security_groups::revoke(world, region, group, security_groups::Direction::In, rules)
        }
        Ec2Write::RevokeSecurityGroupEgress { group, rules } => {
            security_groups::revoke(world, region, group, security_groups::Direction::Out, rules)
        }
        Ec2Write::DeleteSecurityGroup { group } => security_groups::delete(world, region, group),
        Ec2Write::DeleteNetworkInterface { interface } => interfaces::delete(world, region, interface),
        Ec2Write::CreateVpcEndpoint(new) => endpoints::create(world, region, new),
        Ec2Write::ModifyVpcEndpoint { endpoint, change } => endpoints::modify(world, region, endpoint, change),
        Ec2Write::DeleteVpcEndpoints { endpoint } => endpoints::delete(world, region, endpoint),
        Ec2Write::CreateTags { resource, tags } => tags::tag_ec2(world, region, resource, tags),
    }
}

/// Moves the clock. Each due transition happens at its own time, from which its consequences count.
pub(super) fn advance(world: &mut World, seconds: u64) {
    let until = world.now.saturating_add(seconds);
    while let Some((transition, at)) = next_due(world).filter(|(_, at)| *at <= until) {
        world.now = world.now.max(at);
        world.due.remove(&transition);
        happen(world, &transition);
    }
    world.now = until;
}

fn next_due(world: &World) -> Option<(Transition, u64)> {
    let (transition, at) = world.due.iter().min_by_key(|(transition, at)| (**at, *transition))?;
    // `u64::MAX` is never, even for a clock that got there.
    (*at < u64::MAX).then(|| (transition.clone(), *at))
}

fn happen(world: &mut World, transition: &Transition) {
    match transition {
        Transition::Visible(region, id) => drop(world.region_mut(region).invisible.remove(id)),
        Transition::EndpointAvailable(region, id) => endpoints::become_available(world, region, id),
        Transition::EndpointDeleted(region, id) => endpoints::become_deleted(world, region, id),
        Transition::EndpointForgotten(region, id) => endpoints::be_forgotten(world, region, id),
        Transition::FunctionActive(region, name) => lambda::become_active(world, region, name),
        Transition::FunctionUpdated(region, name) => lambda::finish_update(world, region, name),
        Transition::FunctionDeleted(region, name) => lambda::be_gone(world, region, name),
        Transition::InterfaceReleased(region, id) => interfaces::release(world, region, id),
        Transition::RoleKnown(reader, name) => drop(world.believed.remove(&(*reader, name.clone()))),
    }
}
