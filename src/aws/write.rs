//! Every change that the operator makes in AWS, as a value: what a plan consists of, what the shell carries out, and
//! what the in-memory AWS steps by.

mod ec2;
mod iam;
mod lambda;
mod logs;

use std::collections::BTreeSet;

pub use ec2::{Ec2Write, EndpointChange, NewVpcEndpoint};
pub use iam::IamWrite;
pub use lambda::{LambdaWrite, NewFunction, Package};
pub use logs::LogsWrite;

use super::{
    facts::{EndpointState, Rule},
    ids::{PolicyArn, SecurityGroupId, VpcEndpointId},
};

/// What a write tags, if that is all that it does. The role of an app is the last of its resources to be tagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tagging {
    /// It does something else.
    None,
    /// Something that is not a role.
    Other,
    /// A role.
    Role,
}

/// One mutating AWS call.
///
/// Each is safe to repeat: it is idempotent, or AWS refuses the second one with [`Failure::AlreadyExists`] or
/// [`Failure::NotFound`], which says that the work is done.
///
/// [`Failure::AlreadyExists`]: super::Failure::AlreadyExists
/// [`Failure::NotFound`]: super::Failure::NotFound
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the services")]
pub enum Write {
    Ec2(Ec2Write),
    Iam(IamWrite),
    Logs(LogsWrite),
    Lambda(LambdaWrite),
}

impl From<Ec2Write> for Write {
    fn from(write: Ec2Write) -> Self {
        Self::Ec2(write)
    }
}

impl From<IamWrite> for Write {
    fn from(write: IamWrite) -> Self {
        Self::Iam(write)
    }
}

impl From<LogsWrite> for Write {
    fn from(write: LogsWrite) -> Self {
        Self::Logs(write)
    }
}

impl From<LambdaWrite> for Write {
    fn from(write: LambdaWrite) -> Self {
        Self::Lambda(write)
    }
}

/// What AWS answered to a [`Write`] that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Written {
    /// Nothing that is needed further.
    Done,
    /// Of the rules that were to be revoked, these were there and are gone. The others were not.
    Revoked(BTreeSet<Rule>),
    /// The group that was created.
    SecurityGroup(SecurityGroupId),
    /// The endpoint that was created, or the one that was created with the same client token before: then it may be
    /// deleted already.
    VpcEndpoint(VpcEndpointId, EndpointState),
}

impl Write {
    /// The service prefix and the operation, as IAM and CloudTrail name them.
    pub fn operation(&self) -> (&'static str, &'static str) {
        match self {
            Write::Ec2(Ec2Write::CreateSecurityGroup { .. }) => ("ec2", "CreateSecurityGroup"),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { .. }) => ("ec2", "AuthorizeSecurityGroupIngress"),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { .. }) => ("ec2", "AuthorizeSecurityGroupEgress"),
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { .. }) => ("ec2", "RevokeSecurityGroupIngress"),
            Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { .. }) => ("ec2", "RevokeSecurityGroupEgress"),
            Write::Ec2(Ec2Write::DeleteSecurityGroup { .. }) => ("ec2", "DeleteSecurityGroup"),
            Write::Ec2(Ec2Write::DeleteNetworkInterface { .. }) => ("ec2", "DeleteNetworkInterface"),
            Write::Ec2(Ec2Write::CreateVpcEndpoint(_)) => ("ec2", "CreateVpcEndpoint"),
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { .. }) => ("ec2", "ModifyVpcEndpoint"),
            Write::Ec2(Ec2Write::DeleteVpcEndpoints { .. }) => ("ec2", "DeleteVpcEndpoints"),
            Write::Ec2(Ec2Write::CreateTags { .. }) => ("ec2", "CreateTags"),
            Write::Iam(IamWrite::CreateRole { .. }) => ("iam", "CreateRole"),
            Write::Iam(IamWrite::PutRolePermissionsBoundary { .. }) => ("iam", "PutRolePermissionsBoundary"),
            Write::Iam(IamWrite::UpdateAssumeRolePolicy { .. }) => ("iam", "UpdateAssumeRolePolicy"),
            Write::Iam(IamWrite::PutRolePolicy { .. }) => ("iam", "PutRolePolicy"),
            Write::Iam(IamWrite::DeleteRolePolicy { .. }) => ("iam", "DeleteRolePolicy"),
            Write::Iam(IamWrite::DetachRolePolicy { .. }) => ("iam", "DetachRolePolicy"),
            Write::Iam(IamWrite::TagRole { .. }) => ("iam", "TagRole"),
            Write::Iam(IamWrite::UntagRole { .. }) => ("iam", "UntagRole"),
            Write::Iam(IamWrite::DeleteRole { .. }) => ("iam", "DeleteRole"),
            Write::Logs(LogsWrite::CreateLogGroup { .. }) => ("logs", "CreateLogGroup"),
            Write::Logs(LogsWrite::PutRetentionPolicy { .. }) => ("logs", "PutRetentionPolicy"),
            Write::Logs(LogsWrite::TagResource { .. }) => ("logs", "TagResource"),
            Write::Logs(LogsWrite::DeleteLogGroup { .. }) => ("logs", "DeleteLogGroup"),
            Write::Lambda(LambdaWrite::CreateFunction(_)) => ("lambda", "CreateFunction"),
            Write::Lambda(LambdaWrite::UpdateFunctionConfiguration { .. }) => ("lambda", "UpdateFunctionConfiguration"),
            Write::Lambda(LambdaWrite::UpdateFunctionCode { .. }) => ("lambda", "UpdateFunctionCode"),
            Write::Lambda(LambdaWrite::DeleteFunction { .. }) => ("lambda", "DeleteFunction"),
            Write::Lambda(LambdaWrite::TagResource { .. }) => ("lambda", "TagResource"),
        }
    }

    /// What the write changed, by AWS's answer; `None` where it changed nothing.
    #[must_use]
    pub fn changed(&self, written: &Written) -> Option<Self> {
        match (self, written) {
            (_, Written::Revoked(rules)) if rules.is_empty() => None,
            (Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group, .. }), Written::Revoked(rules)) => {
                Some(Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group.clone(), rules: rules.clone() }))
            }
            (Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group, .. }), Written::Revoked(rules)) => {
                Some(Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: group.clone(), rules: rules.clone() }))
            }
            (_, Written::Done | Written::Revoked(_) | Written::SecurityGroup(_) | Written::VpcEndpoint(..)) => {
                Some(self.clone())
            }
        }
    }

    /// Whether IAM allows it depends on the role as it is now: on the boundary that it has (`iam:PermissionsBoundary`), and on
    /// its path, which IAM does not know of a role that is gone. So what is denied may not have been, had it been read just now.
    pub fn is_judged_by_role(&self) -> bool {
        matches!(
            self,
            Write::Iam(
                IamWrite::UpdateAssumeRolePolicy { .. }
                    | IamWrite::PutRolePolicy { .. }
                    | IamWrite::PutRolePermissionsBoundary { .. }
                    | IamWrite::DeleteRolePolicy { .. }
                    | IamWrite::DetachRolePolicy { .. }
                    | IamWrite::TagRole { .. }
                    | IamWrite::UntagRole { .. }
                    | IamWrite::DeleteRole { .. }
            )
        )
    }

    /// Whether the write only tags something, and what.
    pub fn tagging(&self) -> Tagging {
        match self {
            Write::Iam(IamWrite::TagRole { .. }) => Tagging::Role,
            Write::Ec2(Ec2Write::CreateTags { .. })
            | Write::Logs(LogsWrite::TagResource { .. })
            | Write::Lambda(LambdaWrite::TagResource { .. }) => Tagging::Other,
            _ => Tagging::None,
        }
    }

    /// The permissions boundary that the call gives a role.
    pub fn permissions_boundary(&self) -> Option<&PolicyArn> {
        match self {
            Write::Iam(IamWrite::CreateRole { permissions_boundary, .. }) => permissions_boundary.as_ref(),
            Write::Iam(IamWrite::PutRolePermissionsBoundary { boundary, .. }) => Some(boundary),
            _ => None,
        }
    }

    /// The resource that the call is about, by id or name.
    pub fn resource(&self) -> String {
        match self {
            Write::Ec2(Ec2Write::CreateSecurityGroup { name, .. }) => name.clone(),
            Write::Ec2(
                Ec2Write::AuthorizeSecurityGroupIngress { group, .. }
                | Ec2Write::AuthorizeSecurityGroupEgress { group, .. }
                | Ec2Write::RevokeSecurityGroupIngress { group, .. }
                | Ec2Write::RevokeSecurityGroupEgress { group, .. }
                | Ec2Write::DeleteSecurityGroup { group },
            ) => group.to_string(),
            Write::Ec2(Ec2Write::DeleteNetworkInterface { interface }) => interface.to_string(),
            Write::Ec2(Ec2Write::CreateVpcEndpoint(new)) => format!("{} in {}", new.service_name, new.vpc),
            Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint, .. } | Ec2Write::DeleteVpcEndpoints { endpoint }) => {
                endpoint.to_string()
            }
            Write::Ec2(Ec2Write::CreateTags { resource, .. }) => resource.clone(),
            Write::Iam(IamWrite::CreateRole { name, .. }) => name.to_string(),
            Write::Iam(
                IamWrite::PutRolePermissionsBoundary { role, .. }
                | IamWrite::UpdateAssumeRolePolicy { role, .. }
                | IamWrite::PutRolePolicy { role, .. }
                | IamWrite::DeleteRolePolicy { role, .. }
                | IamWrite::DetachRolePolicy { role, .. }
                | IamWrite::TagRole { role, .. }
                | IamWrite::UntagRole { role, .. }
                | IamWrite::DeleteRole { role },
            ) => role.to_string(),
            Write::Logs(
                LogsWrite::CreateLogGroup { name, .. }
                | LogsWrite::PutRetentionPolicy { name, .. }
                | LogsWrite::DeleteLogGroup { name },
            ) => name.to_string(),
            Write::Lambda(LambdaWrite::CreateFunction(new)) => new.name.to_string(),
            Write::Lambda(
                LambdaWrite::UpdateFunctionConfiguration { name, .. }
                | LambdaWrite::UpdateFunctionCode { name, .. }
                | LambdaWrite::DeleteFunction { name },
            ) => name.to_string(),
            Write::Lambda(LambdaWrite::TagResource { arn, .. }) | Write::Logs(LogsWrite::TagResource { arn, .. }) => {
                arn.clone()
            }
        }
    }
}
