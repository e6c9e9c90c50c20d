//! Calls that no table serves, and writes, which make tables obsolete.

use std::collections::{BTreeMap, BTreeSet};

use super::Snapshot;
use crate::aws::{
    AwsError, Failure, FunctionDetail, FunctionName, Invalidates, Invocation, LogGroup, NetworkInterface,
    NetworkInterfaceId, SecurityGroupId, Tags, VpcId, Write, Written,
};

impl Snapshot {
    /// The interfaces that carry a group: never cached, and asked for only when that cannot be deleted.
    ///
    /// # Errors
    /// As `DescribeNetworkInterfaces`.
    pub async fn group_interfaces(
        &self,
        group: &SecurityGroupId,
    ) -> Result<BTreeMap<NetworkInterfaceId, NetworkInterface>, AwsError> {
        let interfaces = self.suspect_credentials(self.aws.group_interfaces(&self.region, group).await)?;
        Ok(interfaces.into_iter().map(|interface| (interface.id.clone(), interface)).collect())
    }

    /// The interfaces of a VPC: never cached, and asked for only while something is to go.
    ///
    /// # Errors
    /// As `DescribeNetworkInterfaces`.
    pub async fn vpc_interfaces(
        &self,
        vpc: &VpcId,
    ) -> Result<BTreeMap<NetworkInterfaceId, NetworkInterface>, AwsError> {
        let interfaces = self.suspect_credentials(self.aws.vpc_interfaces(&self.region, vpc).await)?;
        Ok(interfaces.into_iter().map(|interface| (interface.id.clone(), interface)).collect())
    }

    /// The groups that have a rule which names a group: never cached, and asked for only when that cannot be deleted.
    ///
    /// # Errors
    /// As `DescribeSecurityGroups`.
    pub async fn referring_groups(&self, group: &SecurityGroupId) -> Result<BTreeSet<SecurityGroupId>, AwsError> {
        let groups = self.suspect_credentials(self.aws.referring_groups(&self.region, group).await)?;
        Ok(groups.into_iter().map(|group| group.id).collect())
    }

    /// One function with its state and tags: never cached, so ask only where a listing does not do.
    ///
    /// # Errors
    /// As `GetFunction`.
    pub async fn function(&self, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        self.suspect_credentials(self.aws.function(&self.region, name).await)
    }

    /// Invokes a function's probe: it runs the function, so ask only when it is due.
    ///
    /// # Errors
    /// As `Invoke`.
    pub async fn probe(&self, name: &FunctionName) -> Result<Invocation, AwsError> {
        self.suspect_credentials(self.aws.probe(&self.region, name).await)
    }

    /// The tags of a log group: never cached; needed before a group that was there already is written to, and for a
    /// closer look.
    ///
    /// # Errors
    /// As `ListTagsForResource`.
    pub async fn log_group_tags(&self, group: &LogGroup) -> Result<Option<Tags>, AwsError> {
        self.suspect_credentials(self.aws.log_group_tags(&self.region, group).await)
    }

    /// A call that was refused because of its credentials makes them suspect.
    fn suspect_credentials<T>(&self, answer: Result<T, AwsError>) -> Result<T, AwsError> {
        answer.inspect_err(|error| self.credentials.suspect(error))
    }

    /// Carries out a change, and forgets what it may have changed, whether it succeeded or not.
    ///
    /// # Errors
    /// As the call.
    pub async fn write(&self, write: &Write) -> Result<Written, AwsError> {
        let result = self.suspect_credentials(self.aws.write(&self.region, write).await);
        self.forget(write, result.as_ref().err());
        result
    }

    /// Forgets what a write may have changed, by how it failed, if it did.
    pub fn forget(&self, write: &Write, error: Option<&AwsError>) {
        if error.is_some_and(changed_nothing) {
            return;
        }
        match write.describe().invalidates {
            Invalidates::Nothing => {}
            Invalidates::SecurityGroups => self.security_groups.invalidate(),
            Invalidates::Endpoints => self.endpoints.invalidate(),
            Invalidates::EndpointsAndSecurityGroups => {
                self.endpoints.invalidate();
                self.security_groups.invalidate();
            }
            Invalidates::Role(role) => {
                self.role_reader.wrote(role);
                self.roles.invalidate();
            }
            Invalidates::LogGroups => self.log_groups.invalidate(),
            Invalidates::Functions => self.functions.invalidate(),
        }
    }
}

/// Whether AWS refused a write before it looked at the resource: then nothing has changed, and no table is obsolete.
fn changed_nothing(error: &AwsError) -> bool {
    match error.failure {
        Failure::Throttled | Failure::Credentials | Failure::QuotaReached | Failure::AccessDenied => true,
        Failure::Unavailable
        | Failure::NotFound
        | Failure::AlreadyExists
        | Failure::NameTaken
        | Failure::InUse
        | Failure::NotYet
        | Failure::RoleNotUsable
        | Failure::TokenMismatch
        | Failure::PrivateDnsConflict
        | Failure::BoundaryMissing
        | Failure::KeyUnusable
        | Failure::Invalid
        | Failure::Malformed => false,
    }
}
