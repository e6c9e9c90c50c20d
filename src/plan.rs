//! What a controller decided: the next writes, and the state of each leg of the path.

mod denied;
mod failure;
mod order;
mod role;
mod rooms;
mod unread;

use std::{collections::BTreeMap, fmt};

use crate::{
    api::condition::{ConditionType, Leg, LegState, Reason},
    aws::{AwsError, Ec2Write, LambdaWrite, Write},
};

pub use failure::explain_failure;
pub use order::{gives_way, makes_room, stands_on};
pub use rooms::{Creation, Remains, Room, build, tear_down};
pub use unread::{MissedObservations, Source, Unread, unobserved};

/// Lists the first ten items for a message.
pub fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 10;
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let shown = items.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// One write, and the leg that shows a failure of the write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Step {
    pub leg: ConditionType,
    pub write: Write,
}

/// A decision.
///
/// # Guarantees
/// The same desired and observed state give the same plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    /// The writes that can be made now, in this order. Writes that depend on their answers come in the next plan.
    pub steps: Vec<Step>,
    /// The legs before the steps.
    pub legs: Vec<Leg>,
    /// The legs whose facts could not be read, and why.
    pub unread: BTreeMap<ConditionType, AwsError>,
}

impl Plan {
    /// There is nothing to do and nothing to wait for: the object can be released. An incomplete observation never says so.
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty() && self.legs.is_empty() && self.unread.is_empty()
    }

    /// Adds a write for a leg.
    pub fn step(&mut self, leg: ConditionType, write: impl Into<Write>) {
        self.steps.push(Step { leg, write: write.into() });
    }

    /// Drops all writes, because a fact on which every write stands could not be read. Nothing is claimed of the legs of the
    /// dropped writes; the other legs stay as they are.
    pub fn drop_steps(&mut self, error: &AwsError) {
        for step in std::mem::take(&mut self.steps) {
            self.unread(step.leg, Some(error));
        }
    }

    /// Moves the writes that only tag behind all others: AWS may refuse tags (a policy of the organization, the limit of fifty), and
    /// that must not delay a write that keeps the path private. The role's tags come last: they say that every other resource has
    /// its tags.
    pub fn order_tags_last(&mut self) {
        self.steps.sort_by_key(|step| step.write.tagging());
    }

    /// Whether a fresh observation may find a leg met that is not met now. A leg that waits for an event stays as it is, and so does a
    /// leg whose facts could not be read just now.
    pub fn needs_fresh_look(&self) -> bool {
        self.legs.iter().any(|leg| {
            leg.state != LegState::Met && !leg.reason.waits_for_event() && !self.unread.contains_key(&leg.kind)
        })
    }

    /// Drops all writes of a suspended app. Their legs list the dropped writes. A function that sleeps is not woken.
    pub fn suspend(&mut self) {
        let mut pending: BTreeMap<ConditionType, Vec<String>> = BTreeMap::new();
        for Step { leg, write } in self.steps.drain(..) {
            pending.entry(leg).or_default().push(format!("{} {}", write.operation(), write.resource()));
        }
        for (kind, writes) in pending {
            let message = format!("The app is suspended. To be done: {}. Set spec.suspend to false.", listed(writes));
            self.legs.retain(|leg| leg.kind != kind);
            self.legs.push(Leg::blocked(kind, Reason::Suspended, message));
        }
        for leg in self.legs.iter_mut().filter(|leg| leg.reason == Reason::FunctionInactive) {
            let message = "The app is suspended: its function sleeps and is not woken. Set spec.suspend to false.";
            *leg = Leg::blocked(leg.kind, Reason::Suspended, message);
        }
    }

    /// Drops the write that replaces a failed resource, because the last replacement was too recent. The leg asks somebody to find
    /// the cause. The other writes of the leg stay.
    pub fn postpone_replacement(&mut self, kind: ConditionType) {
        let replaces = |write: &Write| {
            matches!(
                write,
                Write::Lambda(LambdaWrite::DeleteFunction { .. }) | Write::Ec2(Ec2Write::DeleteVpcEndpoints { .. })
            )
        };
        self.steps.retain(|step| step.leg != kind || !replaces(&step.write));
        for leg in self.legs.iter_mut().filter(|leg| leg.kind == kind) {
            leg.state = LegState::Blocked;
            leg.message.text.push_str(
                " The last replacement failed too: correct the cause. The operator tries another replacement every five minutes.",
            );
        }
    }

    /// Replaces the leg of the same kind, or adds the leg. A leg that needs somebody to act stays.
    pub fn set_leg(&mut self, new: Leg) {
        match self.legs.iter_mut().find(|leg| leg.kind == new.kind) {
            Some(leg) if leg.state == LegState::Blocked => {}
            Some(leg) => *leg = new,
            None => self.legs.push(new),
        }
    }

    /// [`Plan::set_leg`], only if the leg of the same kind has this reason.
    pub fn set_leg_instead_of(&mut self, reason: Reason, new: Leg) {
        if self.legs.iter().any(|leg| leg.kind == new.kind && leg.reason == reason) {
            self.set_leg(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{IamWrite, LogsWrite};

    #[test]
    fn a_suspended_plan_has_no_writes_and_names_the_dropped_ones() {
        let (role, log_group) = ("pgai-x".parse().expect("a role"), "/aws/lambda/pgai-x".parse().expect("a group"));
        let steps = vec![
            Step { leg: ConditionType::ExecutionRoleReady, write: Write::Iam(IamWrite::DeleteRole { role }) },
            Step {
                leg: ConditionType::FunctionReady,
                write: Write::Logs(LogsWrite::DeleteLogGroup { name: log_group }),
            },
        ];
        let network = Leg::met(ConditionType::NetworkReady, "fine");
        let before = Leg::progressing(ConditionType::ExecutionRoleReady, Reason::Applying, "soon");
        let mut plan = Plan { steps, legs: vec![network.clone(), before], ..Plan::default() };
        plan.suspend();
        assert_eq!(plan.steps, []);
        let legs: Vec<_> = plan.legs.iter().map(|leg| (leg.kind, leg.state, leg.reason)).collect();
        let (blocked, suspended) = (LegState::Blocked, Reason::Suspended);
        assert_eq!(
            legs,
            [
                (ConditionType::NetworkReady, LegState::Met, Reason::Ready),
                (ConditionType::ExecutionRoleReady, blocked, suspended),
                (ConditionType::FunctionReady, blocked, suspended),
            ]
        );
        assert!(plan.legs[1].message.text.contains("iam:DeleteRole pgai-x"), "{}", plan.legs[1].message);
        let mut at_rest = Plan { legs: vec![network], ..Plan::default() };
        let same = at_rest.clone();
        at_rest.suspend();
        assert_eq!(at_rest, same);
    }

    #[test]
    fn a_message_names_ten_and_counts_the_rest() {
        assert_eq!(listed(["a", "b"]), "a, b");
        assert_eq!(listed(0..12), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }

    #[test]
    fn every_leg_that_is_not_met_needs_a_fresh_look_except_one_that_waits_for_an_object() {
        let needs_fresh_look = |leg: Leg| Plan { legs: vec![leg], ..Plan::default() }.needs_fresh_look();
        let kind = ConditionType::FunctionReady;
        assert!(!needs_fresh_look(Leg::met(kind, "")));
        assert!(
            !needs_fresh_look(Leg::progressing(kind, Reason::WaitingForNetwork, "")),
            "the network's status wakes the app"
        );
        assert!(needs_fresh_look(Leg::progressing(kind, Reason::FunctionPending, "")));
        assert!(needs_fresh_look(Leg::blocked(kind, Reason::NameTaken, "")));
        assert!(!needs_fresh_look(Leg::blocked(kind, Reason::Suspended, "")), "its object wakes it");
    }

    #[test]
    fn a_replacement_that_is_postponed_drops_no_other_write_of_its_leg() {
        let kind = ConditionType::FunctionReady;
        let mut plan =
            Plan { legs: vec![Leg::progressing(kind, Reason::FunctionFailed, "failed.")], ..Plan::default() };
        let name = "/aws/lambda/pgai-x".parse().expect("a log group");
        let retention = Write::Logs(LogsWrite::PutRetentionPolicy { name, days: 30 });
        plan.step(kind, Write::Lambda(LambdaWrite::DeleteFunction { name: "pgai-x".parse().expect("a function") }));
        plan.step(kind, retention.clone());
        plan.postpone_replacement(kind);
        assert_eq!(plan.steps, [Step { leg: kind, write: retention }]);
        assert_eq!(plan.legs[0].state, LegState::Blocked);
    }
}
