//! How long a condition may wait. After that the object is `Stalled`, and the message says what is still true and who can act.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::Reason;

/// What a reason waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// AWS, or people.
    Others,
    /// Another condition of the same object, or the network. While another condition says what is waited for, this one is never
    /// overdue.
    OtherConditions,
}

/// How long a reason may hold, and what a message says of one that holds for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whom the reason waits for.
    pub waits_for: WaitsFor,
    /// After this time the object is `Stalled`.
    pub bound: Duration,
    /// What still holds then. Follows a colon.
    pub still: &'static str,
    /// Who can act, and how. Follows a colon.
    pub who: &'static str,
}

/// Whether an object can be expected to go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitState {
    /// The object waits for nothing, or for something that is not overdue.
    WithinBounds,
    /// Everything that the object waits for is overdue: the operator looks at the object as rarely as at one for which somebody
    /// must act.
    Overdue,
}

/// Whether a reason tells only that AWS could not be asked, and nothing about what the condition waited for before.
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

    /// What the message of an overdue wait says.
    pub fn words(&self) -> String {
        let Self { still, who, .. } = self;
        format!("That is overdue after {}. Still true: {still}. Who can act: {who}.", self.bound_in_words())
    }
}

#[cfg(test)]
mod tests;
