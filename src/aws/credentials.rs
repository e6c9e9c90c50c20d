//! Whether AWS takes the operator's credentials. STS decides, because it asks for nothing but valid credentials: another
//! service that refuses them (a region that is not enabled, say) only makes them suspect.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::{AwsError, Caller, Failure};

/// How the credentials stand by what STS said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialsState {
    /// STS was not asked yet.
    #[default]
    NotAsked,
    /// They are valid.
    Accepted,
    /// STS never answered: nothing is known.
    NotAnswered,
    /// There are none, or they are expired, wrong, or of another account.
    Refused(AwsError),
}

impl CredentialsState {
    /// How they stand after another answer. That STS cannot be reached for a while changes nothing, and the same refusal
    /// stays the same: its request id is another one each time.
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

/// What is known of the credentials, for everybody who makes calls.
#[derive(Default)]
pub struct Credentials {
    standing: Mutex<CredentialsState>,
    suspicion: Notify,
}

impl Credentials {
    /// Why no call is worth making.
    pub(super) fn refusal(&self) -> Option<AwsError> {
        match &*self.standing.lock().unwrap_or_else(PoisonError::into_inner) {
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

    /// Learns what STS said; gives how they stood before and how they stand now.
    pub fn learn(&self, answer: &Result<Arc<Caller>, AwsError>) -> (CredentialsState, CredentialsState) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = standing.clone();
        *standing = before.clone().after(answer);
        if *standing == CredentialsState::Accepted {
            // What was suspected before STS answered is answered.
            let _ = self.suspicion.notified().now_or_never();
        }
        (before, standing.clone())
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
