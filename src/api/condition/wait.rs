//! The bounds of waits. After the bound the object is `Stalled`, and the message names what is still true and who can act.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::Reason;

/// The party that a reason waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// AWS, or people.
    Others,
    /// Another condition of the same object, or the network. While another condition explains the wait, the wait is never
    /// overdue.
    OtherConditions,
}

/// The bound of a reason, and the words about an overdue wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The party that the reason waits for.
    pub waits_for: WaitsFor,
    /// After this time the object is `Stalled`.
    pub bound: Duration,
    /// The fact that is still true then. Follows a colon.
    pub still: &'static str,
    /// Who can act, and how. Follows a colon.
    pub who: &'static str,
}

/// Whether an object makes progress by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitState {
    /// The object does not wait, or one of its waits is not overdue.
    WithinBounds,
    /// All waits of the object are overdue: the operator reads the object's resources as rarely as those of an object that needs
    /// a person.
    Overdue,
}

/// A reason that means only that AWS did not answer. Such a reason is no news about the earlier wait.
pub(super) fn says_nothing(reason: Reason) -> bool {
    matches!(reason, Reason::Throttled | Reason::AwsUnavailable | Reason::ObservationFailed)
}

impl Wait {
    /// A wait since that time is overdue.
    pub fn is_over(&self, since: Timestamp, now: Timestamp) -> bool {
        u64::try_from(now.as_second().saturating_sub(since.as_second()))
            .is_ok_and(|waited| waited >= self.bound.as_secs())
    }

    /// The bound in words.
    pub fn bound_in_words(&self) -> String {
        let minutes = self.bound.as_secs() / 60;
        match (minutes / 60, minutes % 60) {
            (1, 0) => "1 hour".to_owned(),
            (hours, 0) => format!("{hours} hours"),
            _ => format!("{minutes} minutes"),
        }
    }

    /// The state of the object after the bound, in Markdown.
    pub fn becomes(&self) -> &'static str {
        match self.waits_for {
            WaitsFor::Others => "`Stalled`",
            WaitsFor::OtherConditions => "`Stalled`, if no other condition explains the wait",
        }
    }

    /// The words about an overdue wait.
    pub fn words(&self) -> String {
        let Self { still, who, .. } = self;
        format!("That is overdue after {}. Still true: {still}. Who can act: {who}.", self.bound_in_words())
    }
}

#[cfg(test)]
mod tests;
