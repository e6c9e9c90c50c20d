//! Checks the operator's AWS credentials by STS: at the start, and after each call that makes them suspect.

use std::{convert::Infallible, time::Duration};

use crate::{
    aws::CredentialsState,
    engine::Context,
    server::{AwsAccess, Readiness},
};

/// How often STS is asked at most.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// Checks for ever. `wake` wakes all objects when the answer changes: to show that the credentials are refused, or to go on.
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
                ready.set_aws_access(AwsAccess::AcceptsCredentials);
            }
            CredentialsState::Refused(error) => {
                if changed {
                    tracing::error!(%error, "AWS does not take the operator's credentials");
                    ready.set_aws_access(AwsAccess::RefusesCredentials(error.to_string()));
                    wake();
                }
            }
            // An STS that does not answer refuses nothing. Conditions show it; another replica would not do better.
            CredentialsState::NotAnswered | CredentialsState::NotAsked => {
                ready.set_aws_access(AwsAccess::DoesNotAnswer);
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
        if now == CredentialsState::Accepted {
            credentials.suspected().await;
        }
    }
}
