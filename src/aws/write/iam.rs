//! Changes of IAM: roles, their policies and their tags.

use std::collections::BTreeSet;

use super::super::{
    facts::{PolicyDocument, Tags},
    ids::{PolicyArn, RoleName},
};

/// One mutating call of IAM. Each variant has the name of its operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the operation and of its parameters")]
pub enum IamWrite {
    CreateRole {
        /// Unique in the account.
        name: RoleName,
        /// Starts and ends with `/`.
        path: String,
        trust_policy: PolicyDocument,
        description: String,
        /// The managed policy that limits what the role may do, from its creation on.
        permissions_boundary: Option<PolicyArn>,
        tags: Tags,
    },
    /// Replaces a boundary that the role has.
    PutRolePermissionsBoundary {
        role: RoleName,
        boundary: PolicyArn,
    },
    UpdateAssumeRolePolicy {
        role: RoleName,
        trust_policy: PolicyDocument,
    },
    PutRolePolicy {
        role: RoleName,
        policy: String,
        /// At most 10,240 characters together with the role's other inline policies.
        document: PolicyDocument,
    },
    DeleteRolePolicy {
        role: RoleName,
        policy: String,
    },
    DetachRolePolicy {
        role: RoleName,
        policy_arn: String,
    },
    TagRole {
        role: RoleName,
        tags: Tags,
    },
    UntagRole {
        role: RoleName,
        keys: BTreeSet<String>,
    },
    /// The role's policies must be gone.
    DeleteRole {
        role: RoleName,
    },
}
