//! Keeps an eye on the operator's AWS credentials: asks STS at the start and whenever a call makes them suspect, and tells
//! everybody when the answer is another one.

use std::{convert::Infallible, time::Duration};

use crate::{
    aws::CredentialsState,
    engine::Context,
    server::{Aws, Readiness},
};

/// How often STS is asked at most.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// Asks for ever. `wake` wakes every object: once to tell that the credentials are refused, once to go on.
pub(super) async fn run(context: &Context, ready: &Readiness, wake: impl Fn()) -> Infallible {
    let credentials = context.snapshots.credentials();
    loop {
        let (before, now) = credentials.learn(&context.snapshots.identify().await);
        let changed = before != now;
        match &now {
            CredentialsState::Accepted => {
                if matches!(before, CredentialsState::Refused(_)) {
                    tracing::info!("AWS takes the operator's credentials again");
                    context.snapshots.resync();
                    wake();
                }
                ready.aws(Aws::TakesCredentials);
            }
            CredentialsState::Refused(error) => {
                if changed {
                    tracing::error!(%error, "AWS does not take the operator's credentials");
                    ready.aws(Aws::RefusesCredentials(error.to_string()));
                    wake();
                }
            }
            // Not to be reached is no refusal: conditions tell it, and nobody else would do better.
            CredentialsState::NotAnswered | CredentialsState::NotAsked => ready.aws(Aws::DoesNotAnswer),
        }
        tokio::time::sleep(ASK_EVERY).await;
        if now == CredentialsState::Accepted {
            credentials.suspected().await;
        }
    }
}
