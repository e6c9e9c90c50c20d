//! Calls that no table serves, and writes, which change rows and make tables obsolete.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use super::{
    RowName, Snapshot,
    row_table::{Reading, RowEffect},
};
use crate::aws::{
    AccountId, AwsError, Failure, FunctionDetail, FunctionName, Invalidates, Invocation, LogGroup, Made,
    NetworkInterface, NetworkInterfaceId, Region, RowChange, SecurityGroupId, Shown, Tags, VpcId, Write, Written,
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

    /// One function with its state and tags: asked for each time, so ask only where a listing does not do.
    ///
    /// # Errors
    /// As `GetFunction`.
    pub async fn function(&self, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        let begun = self.functions.begin();
        let detail = self.suspect_credentials(self.aws.function(&self.region, name).await)?;
        let listing = detail.as_ref().map(|detail| detail.listing.clone());
        self.functions.saw(name, listing, begun, Reading::Current);
        Ok(detail)
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

    /// Carries out a change, and learns from AWS's answer.
    ///
    /// # Errors
    /// As the call.
    pub async fn write(&self, write: &Write) -> Result<Written, AwsError> {
        let result = self.suspect_credentials(self.aws.make(&self.region, write).await);
        self.learn(write, result.as_ref());
        result.map(|made| made.written)
    }

    /// Learns from AWS's answer to a change: its row is as the change made it. What the answer leaves open is read.
    pub fn learn(&self, write: &Write, result: Result<&Made, &AwsError>) {
        let description = write.describe();
        let made = match result {
            Ok(made) => made,
            Err(error) => {
                if speaks_of_resource(error, description.is_judged_by_role) {
                    match &description.invalidates {
                        Invalidates::Role(name, _) => self.roles.doubt(name),
                        Invalidates::Function(name, _) => self.functions.doubt(name),
                        Invalidates::LogGroup(name, _) => self.log_groups.doubt(name),
                        Invalidates::Nothing
                        | Invalidates::SecurityGroups
                        | Invalidates::Endpoints
                        | Invalidates::EndpointsAndSecurityGroups => {}
                    }
                }
                return self.forget(write, Some(error));
            }
        };
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let place = account.as_ref().map(|account| (account, &self.region));
        match description.invalidates {
            Invalidates::Role(name, change) => {
                self.role_reader.wrote(name);
                let shown = match &made.shown {
                    Shown::Role(role) => Some(&**role),
                    Shown::Function(_) | Shown::Nothing => None,
                };
                with_effect(&change, shown, place, |effect| self.roles.wrote(name, effect));
            }
            Invalidates::Function(name, change) => {
                let shown = match &made.shown {
                    Shown::Function(function) => Some(&**function),
                    Shown::Role(_) | Shown::Nothing => None,
                };
                with_effect(&change, shown, place, |effect| self.functions.wrote(name, effect));
            }
            Invalidates::LogGroup(name, change) => {
                with_effect(&change, None, place, |effect| self.log_groups.wrote(name, effect));
            }
            Invalidates::Nothing
            | Invalidates::SecurityGroups
            | Invalidates::Endpoints
            | Invalidates::EndpointsAndSecurityGroups => self.forget(write, None),
        }
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
            Invalidates::Role(name, _) => {
                self.role_reader.wrote(name);
                self.forget_row(&RowName::Role(name.clone()));
            }
            Invalidates::LogGroup(name, _) => self.forget_row(&RowName::LogGroup(name.clone())),
            Invalidates::Function(name, _) => self.forget_row(&RowName::Function(name.clone())),
        }
    }
}

/// Tells the effect of a change on its row, by the row in AWS's answer and by where the row is.
fn with_effect<R: Clone>(
    change: &RowChange<'_, R>,
    shown: Option<&R>,
    place: Option<(&AccountId, &Region)>,
    tell: impl FnOnce(RowEffect<'_, R>),
) {
    tell(match (change, shown, place) {
        (RowChange::Answered, Some(row), _) => RowEffect::Is(row.clone()),
        (RowChange::New(row), _, Some((account, region))) => RowEffect::Is(row(account, region)),
        (RowChange::Answered, None, _) | (RowChange::New(_), _, None) => RowEffect::Unknown,
        (RowChange::Edited(edit), ..) => RowEffect::Edited(&**edit),
        (RowChange::Gone, ..) => RowEffect::Gone,
        (RowChange::Ends, ..) => RowEffect::Ends,
    });
}

/// Whether AWS refused a write because of what the resource is: it may be another one than our own writes made it.
fn speaks_of_resource(error: &AwsError, is_judged_by_role: bool) -> bool {
    match error.failure {
        Failure::NotFound | Failure::AlreadyExists | Failure::NameTaken | Failure::InUse | Failure::Invalid => true,
        Failure::AccessDenied => is_judged_by_role,
        Failure::Throttled
        | Failure::Credentials
        | Failure::QuotaReached
        | Failure::Unavailable
        | Failure::NotYet
        | Failure::RoleNotUsable
        | Failure::TokenMismatch
        | Failure::PrivateDnsConflict
        | Failure::BoundaryMissing
        | Failure::KeyUnusable
        | Failure::Malformed => false,
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
