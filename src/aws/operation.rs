//! The AWS operations that the operator calls, each with its IAM permissions and its rate limit: one row each, in
//! [`services`](super::services).

use std::fmt;

use super::{
    pacing::Rate,
    services::{ec2, iam, lambda, logs, sts},
};

/// One operation of an AWS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The service prefix, as IAM names it.
    pub service: &'static str,
    /// The name of the operation, as CloudTrail names it.
    pub name: &'static str,
    /// The permissions for the operation in the operator's own policy.
    pub permissions: &'static [Permission],
    /// AWS's rate limit of the operation.
    pub rate_limit: RateLimit,
    /// Whether the operation is a write.
    pub is_write: bool,
}

impl Operation {
    /// Every operation that the operator calls, in the order in which its policy names them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        [ec2::OPERATIONS, iam::OPERATIONS, lambda::OPERATIONS, logs::OPERATIONS, sts::OPERATIONS].into_iter().flatten()
    }

    /// The operation of this name.
    pub fn named(service: &str, name: &str) -> Option<&'static Self> {
        Self::all().find(|operation| operation.service == service && operation.name == name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.name)
    }
}

/// An action of IAM that an operation needs, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `SERVICE:ACTION`. `None`: the action has the service and the name of the operation.
    pub action: Option<&'static str>,
    /// The resources and the condition of the permission.
    pub scope: ResourceScope,
    /// The operations that need this permission besides their own, where it is such a permission.
    pub needed_by: Option<&'static str>,
}

impl Permission {
    /// The operation's own action.
    pub(super) const fn on(scope: ResourceScope) -> Self {
        Self { action: None, scope, needed_by: None }
    }

    /// Another action.
    pub(super) const fn of(action: &'static str, scope: ResourceScope) -> Self {
        Self { action: Some(action), scope, needed_by: None }
    }

    /// The permission, as one that AWS demands for these operations besides their own.
    pub(super) const fn needed_by(self, operations: &'static str) -> Self {
        Self { needed_by: Some(operations), ..self }
    }
}

/// The resources of a permission, and its condition. The order is that of the policy's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceScope {
    /// Anything: IAM knows no limit for the action, or the action only lists.
    Look,
    /// The VPCs that apps may name.
    Vpcs,
    /// The subnets of a new endpoint and, with private DNS, a hosted zone of AWS's own. `ec2:CreateVpcEndpoint` has no
    /// condition key there that names the subnets' VPC. AWS also asks for the VPC, which limits the call ([`Vpcs`](Self::Vpcs)), and
    /// EC2 takes no subnet of another VPC.
    AroundNewEndpoint,
    /// Subnets in those VPCs, and network interfaces: those that Lambda leaves behind carry no tag.
    InVpcs,
    /// A security group that has the installation's tag from its creation on.
    NewGroup,
    /// An endpoint that has the installation's tag from its creation on.
    NewEndpoint,
    /// Tags of a resource of EC2, in the call that creates the resource.
    TagsOfNew,
    /// Roles below the installation's path, for reading; and roles by name without a path. IAM does not know the path of a role
    /// that is gone, and would deny the call instead of answering that the role is gone.
    RolesToRead,
    /// Roles below the installation's path.
    OurRoles,
    /// [`Self::OurRoles`]; where a permissions boundary is configured, only roles under it: the operator writes permissions to no other
    /// role, and puts no role under another boundary (IAM User Guide, "Permissions boundaries for IAM entities", on delegating
    /// responsibility). `iam:PermissionsBoundary` is the boundary in the call, and without one the boundary of the role.
    BoundRoles,
    /// Roles below the installation's path, to be passed to Lambda.
    OurRolesForLambda,
    /// Functions with our prefix in their names and without another installation's tag, for reading.
    FunctionsToRead,
    /// Log groups with our prefix in their names, for reading: the owner of a group appears in its tags only.
    LogGroupsToRead,
    /// A function or a log group that has the installation's tag from its creation on. A resource with another installation's tag
    /// cannot be given ours. A resource without such a tag can: nothing distinguishes it from one that is being created. AWS's own
    /// example for functions (Lambda developer guide, "Secure your functions by tag") names both keys for the call and its tags, too.
    New,
    /// Security groups, endpoints, functions and log groups with the installation's tag. One statement for all, because each action
    /// acts on its own kind only, and the policy must fit.
    Ours,
}

/// AWS's rate limit of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// The operation has its own limit.
    Own(Rate),
    /// Several operations share a limit.
    Shared(SharedLimit),
    /// Several operations share a limit that AWS does not publish. The rate is a guess, which may be explored up to the ceiling.
    Unpublished(SharedLimit, Rate),
    /// The operation is not paced.
    None,
}

/// A limit for several operations together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimit {
    /// The name of the group of operations.
    pub name: &'static str,
    /// Whether one limit covers all regions.
    pub global: bool,
    /// The published rate.
    pub rate: Rate,
}

/// The table of a service's operations, a row each, and the function that finds the row of a write. A variant of the service's
/// enum of writes has the name of its operation: a variant without a row does not compile.
macro_rules! operations {
    (@is_write) => { false };
    (@is_write $write:ident) => { true };
    ($service:literal, $of:ident: $($name:ident $(: $write:ident)?, $limit:expr, $permissions:tt;)*) => {
        /// The operations of the service that the operator calls, in the order in which its policy names them.
        pub(in crate::aws) const OPERATIONS: &[Operation] = &[$(Operation {
            service: $service,
            name: stringify!($name),
            permissions: &$permissions,
            rate_limit: $limit,
            is_write: operations!(@is_write $($write)?),
        }),*];

        impl $of {
            /// The operation that makes the change.
            pub fn operation(&self) -> &'static Operation {
                match self {
                    $($($write::$name { .. } => const {
                        &Operation {
                            service: $service,
                            name: stringify!($name),
                            permissions: &$permissions,
                            rate_limit: $limit,
                            is_write: true,
                        }
                    },)?)*
                }
            }
        }
    };
}

pub(super) use operations;
