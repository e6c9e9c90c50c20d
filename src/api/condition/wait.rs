//! The bounds of waits. After its bound the object is `Stalled`, and the message says what still holds and who can act.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::Reason;

/// The party that a reason waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// AWS, or people.
    Others,
    /// Another condition of the same object, or the network. While another condition explains the wait, this one is never
    /// overdue.
    OtherConditions,
}

/// The bound of a reason, and the words about a wait beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whom the reason waits for.
    pub waits_for: WaitsFor,
    /// After this time the object is `Stalled`.
    pub bound: Duration,
    /// The fact that still holds then. Follows a colon.
    pub still: &'static str,
    /// Who can act, and how. Follows a colon.
    pub who: &'static str,
}

/// Whether an object will go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitState {
    /// The object does not wait, or one of its waits is not overdue.
    WithinBounds,
    /// All waits of the object are overdue: the operator looks at the object as rarely as at one for which a person must act.
    Overdue,
}

/// Whether a reason means only that AWS did not answer, and is no news about the earlier wait.
pub(super) fn says_nothing(reason: Reason) -> bool {
    matches!(reason, Reason::Throttled | Reason::AwsUnavailable | Reason::ObservationFailed)
}

impl Wait {
    /// Whether a wait since that time is overdue.
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

    /// What the object becomes after the bound, in Markdown.
    pub fn becomes(&self) -> &'static str {
        match self.waits_for {
            WaitsFor::Others => "`Stalled`",
            WaitsFor::OtherConditions => "`Stalled`, if no other condition says what is waited for",
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
