//! How old the facts may be by which a pass decides.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    api::condition::{ConditionType, LegState},
    aws::MaxAge,
    plan::Plan,
};

/// The age of facts that count as fresh: a decision to wait, or to ask somebody to act, needs such facts.
pub const FRESH: Duration = Duration::from_secs(1);

/// The conditions whose facts must be fresh. The facts of the others may be of any age.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Freshness(BTreeSet<ConditionType>);

impl Freshness {
    /// The conditions that are not met.
    pub(super) fn for_unsettled(plan: &Plan) -> Self {
        let unsettled = plan.legs.iter().filter(|leg| leg.state != LegState::Met).map(|leg| leg.kind);
        Self(unsettled.filter(|kind| !plan.unread.contains_key(kind)).collect())
    }

    /// Every condition of a resource: for the decision that nothing is left.
    pub fn for_what_may_be_left() -> Self {
        use ConditionType::{EndpointsReady, ExecutionRoleReady, FunctionReady, SecurityGroupsReady};
        Self([EndpointsReady, SecurityGroupsReady, ExecutionRoleReady, FunctionReady].into())
    }

    /// The execution role alone.
    pub(super) fn for_role() -> Self {
        Self([ConditionType::ExecutionRoleReady].into())
    }

    /// The same conditions without the execution role.
    #[must_use]
    pub fn without_role(&self) -> Self {
        Self(self.0.iter().filter(|kind| **kind != ConditionType::ExecutionRoleReady).copied().collect())
    }

    /// The age that two conditions allow together.
    pub fn of_either(&self, one: ConditionType, other: ConditionType) -> MaxAge {
        match self.of(one) {
            MaxAge::Any => self.of(other),
            under @ MaxAge::Under(_) => under,
        }
    }

    /// The age that a condition allows.
    pub fn of(&self, leg: ConditionType) -> MaxAge {
        if self.0.contains(&leg) { MaxAge::Under(FRESH) } else { MaxAge::Any }
    }
}
