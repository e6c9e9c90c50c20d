//! STS: the operator's own identity.

use std::sync::{Mutex, PoisonError};

use aws_sdk_sts::{Client, operation::get_caller_identity::GetCallerIdentityOutput};

use super::{
    calls::{Calls, RegionCalls},
    error::{Malformed, needed, parsed},
};
use crate::aws::{AwsError, Caller, Partition};

/// The calls to STS in one region.
pub(super) struct Sts {
    client: Client,
    calls: Calls,
    /// The ARN that was logged last.
    logged: Mutex<Option<String>>,
}

impl Sts {
    pub(super) fn new(client: Client, line: &RegionCalls) -> Self {
        Self { client, calls: Calls::of("sts", line), logged: Mutex::default() }
    }

    pub(super) async fn caller(&self) -> Result<Caller, AwsError> {
        const OPERATION: &str = "GetCallerIdentity";
        let answer = self.calls.observed(OPERATION, self.client.get_caller_identity().send()).await?;
        self.log_principal(answer.arn().unwrap_or_default());
        caller(&answer).map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }

    /// Logs the principal of the operator, whose policies decide what AWS allows: once, and again when the principal changes.
    fn log_principal(&self, arn: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.as_deref() != Some(arn) {
            tracing::info!(arn, "the operator calls AWS as this principal");
            *logged = Some(arn.to_owned());
        }
    }
}

fn caller(identity: &GetCallerIdentityOutput) -> Result<Caller, Malformed> {
    Ok(Caller {
        account: parsed(identity.account(), "Account")?,
        partition: partition(needed(identity.arn(), "Arn")?)?,
    })
}

/// The second part of an ARN.
fn partition(arn: &str) -> Result<Partition, Malformed> {
    match arn.split(':').nth(1) {
        Some("aws") => Ok(Partition::Aws),
        Some("aws-cn") => Ok(Partition::AwsCn),
        Some("aws-us-gov") => Ok(Partition::AwsUsGov),
        _ => Err(Malformed::wrong("Arn", &format_args!("{arn:?} is in a partition that this version does not know"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_an_account_in_a_partition() {
        let identity = |arn: &str| GetCallerIdentityOutput::builder().account("123456789012").arn(arn).build();
        let gov = caller(&identity("arn:aws-us-gov:sts::123456789012:assumed-role/operator/x")).expect("caller");
        assert_eq!((gov.account.as_str(), gov.partition), ("123456789012", Partition::AwsUsGov));
        assert!(caller(&identity("arn:aws-moon:sts::123456789012:assumed-role/operator/x")).is_err());
        assert_eq!(caller(&GetCallerIdentityOutput::builder().build()), Err(Malformed::missing("Account")));
    }
}
