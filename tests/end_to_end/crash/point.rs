//! Where the operator is killed.

use std::fmt;

use super::{call::Call, phase::Phase};

/// When, as seen from the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The call was not made.
    Before,
    /// The work is done, and nobody has heard of it.
    After,
    /// The same, and the next process does not see it at first: what it reads for the first time is what was read before
    /// the call. AWS is consistent eventually.
    Unseen,
}

/// A call and a moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    pub call: Call,
    pub moment: Moment,
}

impl Point {
    /// The points of a call. Kubernetes shows what was done to whoever looks next: there nothing is unseen. The answer to a
    /// watch has no end to be after. Who regrets waits for a minute, in which IAM may not list a role: so that is for the
    /// calls that make something, and only after them.
    pub fn of(call: &Call) -> Vec<Self> {
        if call.phase == Phase::Regret.name() {
            let after = call.asked.makes().then(|| Self { call: call.clone(), moment: Moment::After });
            return after.into_iter().collect();
        }
        let (after, unseen) = (!call.asked.streams, call.asked.is_of_aws() && call.asked.writes);
        let moments = [Some(Moment::Before), after.then_some(Moment::After), unseen.then_some(Moment::Unseen)];
        moments.into_iter().flatten().map(|moment| Self { call: call.clone(), moment }).collect()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
            Moment::Unseen => "unseen",
        };
        write!(f, "{} {moment}", self.call)
    }
}
