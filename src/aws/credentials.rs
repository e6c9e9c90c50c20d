//! The state of the operator's credentials. STS decides it, because an STS call needs nothing but valid credentials. A refusal by
//! another service (in a region that is not enabled, for example) only makes the credentials suspect.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::{AwsError, Caller, Failure};

/// The state of the credentials, by STS's last answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialsState {
    /// STS was not asked yet.
    #[default]
    NotAsked,
    /// They are valid.
    Accepted,
    /// STS never answered: the state is unknown.
    NotAnswered,
    /// There are none, or they are expired, wrong, or of another account.
    Refused(AwsError),
}

impl CredentialsState {
    /// The state after another answer. A failure to reach STS changes nothing. A repeated refusal keeps the earlier error,
    /// because the request id differs at each attempt.
    #[must_use]
    pub fn after(self, answer: &Result<Arc<Caller>, AwsError>) -> Self {
        match (answer, self) {
            (Ok(_), _) => Self::Accepted,
            (Err(error), Self::Refused(before)) if error.failure == Failure::Credentials => {
                let same = (&before.code, &before.message) == (&error.code, &error.message);
                Self::Refused(if same { before } else { error.clone() })
            }
            (Err(error), _) if error.failure == Failure::Credentials => Self::Refused(error.clone()),
            (Err(_), Self::NotAsked) => Self::NotAnswered,
            (Err(_), before) => before,
        }
    }
}

/// The state of the credentials, shared by all callers of AWS.
#[derive(Default)]
pub struct Credentials {
    state: Mutex<CredentialsState>,
    suspicion: Notify,
}

impl Credentials {
    /// The error that makes every call pointless.
    pub(super) fn refusal(&self) -> Option<AwsError> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            CredentialsState::Refused(error) => Some(error.clone()),
            CredentialsState::NotAsked | CredentialsState::Accepted | CredentialsState::NotAnswered => None,
        }
    }

    /// A call failed: perhaps because of the credentials.
    pub(super) fn suspect(&self, error: &AwsError) {
        if error.failure == Failure::Credentials {
            self.suspicion.notify_one();
        }
    }

    /// Waits until a call fails because of the credentials; one that has failed since this was last asked counts.
    pub async fn suspected(&self) {
        self.suspicion.notified().await;
    }

    /// Learns STS's answer; returns the state before and the state now.
    pub fn learn(&self, answer: &Result<Arc<Caller>, AwsError>) -> (CredentialsState, CredentialsState) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.clone();
        *state = before.clone().after(answer);
        if *state == CredentialsState::Accepted {
            // STS's answer settles every suspicion that is older.
            let _ = self.suspicion.notified().now_or_never();
        }
        (before, state.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Partition;

    fn failed(failure: Failure, message: &str, request_id: &str) -> Result<Arc<Caller>, AwsError> {
        Err(AwsError {
            service: "sts",
            operation: "GetCallerIdentity",
            failure,
            code: Some("Code".to_owned()),
            message: message.to_owned(),
            request_id: Some(request_id.to_owned()),
        })
    }

    fn refused(message: &str, request_id: &str) -> CredentialsState {
        CredentialsState::Refused(failed(Failure::Credentials, message, request_id).expect_err("an error"))
    }

    #[test]
    fn only_an_answer_changes_how_the_credentials_stand() {
        let caller = Caller { account: "123456789012".parse().expect("an account"), partition: Partition::Aws };
        let accepted = Ok(Arc::new(caller));
        let expired = |id| failed(Failure::Credentials, "expired", id);
        let unreachable = failed(Failure::Unavailable, "unreachable", "c");
        let table = [
            (CredentialsState::NotAsked, &accepted, CredentialsState::Accepted),
            (CredentialsState::NotAsked, &unreachable, CredentialsState::NotAnswered),
            (CredentialsState::NotAsked, &expired("a"), refused("expired", "a")),
            (CredentialsState::NotAnswered, &accepted, CredentialsState::Accepted),
            (CredentialsState::NotAnswered, &unreachable, CredentialsState::NotAnswered),
            (CredentialsState::Accepted, &unreachable, CredentialsState::Accepted),
            (CredentialsState::Accepted, &expired("a"), refused("expired", "a")),
            (refused("expired", "a"), &expired("b"), refused("expired", "a")),
            (refused("wrong", "a"), &expired("b"), refused("expired", "b")),
            (refused("expired", "a"), &unreachable, refused("expired", "a")),
            (refused("expired", "a"), &accepted, CredentialsState::Accepted),
        ];
        for (before, answer, after) in table {
            assert_eq!(before.clone().after(answer), after, "{before:?} and then {answer:?}");
        }
    }
}
