//! Every change that the operator makes in AWS, as a value: what a plan consists of, what the shell carries out, and
//! what the in-memory AWS steps by.

use std::collections::BTreeSet;

use super::{
    description::{Description, Impact, ResourceKind},
    facts::{EndpointState, FunctionListing, Role, Rule},
    ids::{PolicyArn, SecurityGroupId, VpcEndpointId},
    operation::Operation,
    services::{Ec2Write, IamWrite, LambdaWrite, LogsWrite},
};

/// The resource that a write tags, if the write does nothing else. The role of an app is the last of its resources to be tagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tagging {
    /// The write does something else.
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

/// AWS's answer to a [`Write`] that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Written {
    /// Nothing that is needed further.
    Done,
    /// Of the rules that were to be revoked, these were there and are gone. The others were not.
    Revoked(BTreeSet<Rule>),
    /// The group that was created.
    SecurityGroup(SecurityGroupId),
    /// The endpoint of this client token: a new one, or the one of an earlier call with the same token, which may be deleted
    /// already.
    VpcEndpoint(VpcEndpointId, EndpointState),
}

/// AWS's answer to a [`Write`] that succeeded, with the resource as far as the answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The result.
    pub written: Written,
    /// The resource.
    pub shown: Shown,
}

/// The resource in AWS's answer to a [`Write`], where a table has a row for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the resources")]
pub enum Shown {
    Nothing,
    Role(Box<Role>),
    Function(Box<FunctionListing>),
}

impl From<Written> for Made {
    fn from(written: Written) -> Self {
        Self { written, shown: Shown::Nothing }
    }
}

impl Write {
    /// The operation that makes the change.
    pub fn operation(&self) -> &'static Operation {
        match self {
            Self::Ec2(write) => write.operation(),
            Self::Iam(write) => write.operation(),
            Self::Logs(write) => write.operation(),
            Self::Lambda(write) => write.operation(),
        }
    }

    /// The facts by which everything else decides about the change.
    pub fn describe(&self) -> Description<'_> {
        match self {
            Self::Ec2(write) => write.describe(),
            Self::Iam(write) => write.describe(),
            Self::Logs(write) => write.describe(),
            Self::Lambda(write) => write.describe(),
        }
    }

    /// The id, the name or the ARN of the resource that changes.
    pub fn resource(&self) -> String {
        self.describe().resource.into_owned()
    }

    /// Whether the write only sets tags, and on which resource.
    pub fn tagging(&self) -> Tagging {
        match self.describe() {
            Description { impact: Impact::Tags, kind: ResourceKind::Role, .. } => Tagging::Role,
            Description { impact: Impact::Tags, .. } => Tagging::Other,
            _ => Tagging::None,
        }
    }

    /// The permissions boundary that the call sets on a role.
    pub fn permissions_boundary(&self) -> Option<&PolicyArn> {
        match self {
            Self::Iam(IamWrite::CreateRole { permissions_boundary, .. }) => permissions_boundary.as_ref(),
            Self::Iam(IamWrite::PutRolePermissionsBoundary { boundary, .. }) => Some(boundary),
            _ => None,
        }
    }

    /// The effective change, by AWS's answer; `None` when AWS changed nothing.
    #[must_use]
    pub fn changed(&self, written: &Written) -> Option<Self> {
        match (self, written) {
            (_, Written::Revoked(rules)) if rules.is_empty() => None,
            (Self::Ec2(write), Written::Revoked(rules)) => Some(Self::Ec2(write.with_rules(rules))),
            (_, Written::Done | Written::Revoked(_) | Written::SecurityGroup(_) | Written::VpcEndpoint(..)) => {
                Some(self.clone())
            }
        }
    }
}
