//! The message of a condition in parts: a text that is the same at each attempt, and parts that vary.

use std::fmt;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use crate::aws::AwsError;

/// The words between the text and the request id.
const REQUEST_ID: &str = " Request id ";
/// The word before the time, at the end.
const SINCE: &str = " Since ";

/// The message of a condition. Rendered, it is `TEXT[ Request id ID.][ Since TIME.]`.
///
/// # Guarantees
/// Rendering and reading back gives an equal message. So two attempts are compared by `text` alone, without their request ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Sentences that do not vary from attempt to attempt.
    pub text: String,
    /// The request id of the failed call.
    pub request_id: Option<String>,
    /// The start of the wait, in whole seconds.
    pub since: Option<Timestamp>,
}

impl Message {
    /// A message about a failed call. The text has the error without the request id.
    pub fn of_call(text: impl Into<String>, error: &AwsError) -> Self {
        Self { text: text.into(), request_id: error.request_id.clone(), since: None }
    }

    /// The message of a stored condition.
    pub fn of(condition: &Condition) -> Self {
        Self::read(&condition.message)
    }

    fn read(stored: &str) -> Self {
        let suffix = |text: &str, marker: &str| {
            let (before, suffix) = text.rsplit_once(marker)?;
            Some((before.to_owned(), suffix.strip_suffix('.')?.to_owned()))
        };
        let mut message = Self { text: stored.to_owned(), ..Self::default() };
        if let Some((text, time)) = suffix(&message.text, SINCE)
            && let Ok(since) = time.parse()
        {
            message = Self { text, since: Some(since), ..message };
        }
        if let Some((text, id)) = suffix(&message.text, REQUEST_ID)
            && !id.contains(char::is_whitespace)
        {
            message = Self { text, request_id: Some(id), ..message };
        }
        message
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some(id) = &self.request_id {
            write!(f, "{REQUEST_ID}{id}.")?;
        }
        if let Some(since) = self.since {
            write!(f, "{SINCE}{since}.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_read_back_is_the_same() {
        let since = Some(Timestamp::UNIX_EPOCH);
        for text in ["", "A sentence.", "Since Monday. Request id of nobody.", "A Since B."] {
            for (request_id, since) in [(None, None), (None, since), (Some("4f7-9a"), None), (Some("4f7-9a"), since)] {
                let message = Message { text: text.to_owned(), request_id: request_id.map(str::to_owned), since };
                assert_eq!(Message::read(&message.to_string()), message, "{message}");
            }
        }
    }
}
