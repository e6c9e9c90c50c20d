//! IAM: roles, their policies and their tags.

use std::collections::BTreeSet;

use super::super::{
    Failure,
    description::{Description, DriftKind, Impact, Invalidates, Repair, ResourceKind, RowChange},
    facts::{PolicyDocument, Role},
    ids::{PolicyArn, RoleName, Tags},
    operation::{
        Operation, Permission, RateLimit,
        ResourceScope::{BoundRoles, Look, OurRoles, RolesToRead},
        SharedLimit, operations,
    },
    pacing::Rate,
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
        /// The managed policy that limits the role's permissions from its creation on.
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

/// AWS publishes no rates for IAM. These rates are guesses, on the low side of the rates that other operators report as accepted. Where
/// the platform team allows it, the operator explores them up to four times as much.
const READS: RateLimit = RateLimit::Unpublished(
    SharedLimit { name: "reads", global: true, rate: Rate::per_second(20, 10) },
    Rate::per_second(20, 40),
);
const WRITES: RateLimit = RateLimit::Unpublished(
    SharedLimit { name: "writes", global: true, rate: Rate::per_second(10, 5) },
    Rate::per_second(10, 20),
);

operations! { "iam", IamWrite:
    GetAccountAuthorizationDetails, READS, [Permission::on(Look)];
    // If AWS denies this call, the roles below our path are listed, and read one by one.
    ListRoles, READS, [Permission::on(Look)];
    GetRole, READS, [Permission::on(RolesToRead)];
    GetRolePolicy, READS, [Permission::on(RolesToRead)];
    ListAttachedRolePolicies, READS, [Permission::on(RolesToRead)];
    ListRolePolicies, READS, [Permission::on(RolesToRead)];
    DeleteRole: IamWrite, WRITES, [Permission::on(OurRoles)];
    TagRole: IamWrite, WRITES, [Permission::on(OurRoles)];
    UntagRole: IamWrite, WRITES, [Permission::on(OurRoles)];
    UpdateAssumeRolePolicy: IamWrite, WRITES, [Permission::on(OurRoles)];
    CreateRole: IamWrite, WRITES, [Permission::on(BoundRoles)];
    DeleteRolePolicy: IamWrite, WRITES, [Permission::on(BoundRoles)];
    DetachRolePolicy: IamWrite, WRITES, [Permission::on(BoundRoles)];
    PutRolePermissionsBoundary: IamWrite, WRITES, [Permission::on(BoundRoles)];
    PutRolePolicy: IamWrite, WRITES, [Permission::on(BoundRoles)];
}

impl IamWrite {
    /// The facts about the change on which all other modules rest.
    pub(in crate::aws) fn describe<'a>(&'a self) -> Description<'a> {
        let of = |role, impact, repair, row: RowChange<'a, Role>| Description {
            is_judged_by_role: impact != Impact::Creates,
            repair,
            ..Description::new(ResourceKind::Role, RoleName::as_str(role), impact, Invalidates::Role(role, row))
        };
        match self {
            Self::CreateRole { name, .. } => {
                of(name, Impact::Creates, Repair::Recreates(DriftKind::Role), RowChange::Answered)
            }
            Self::PutRolePermissionsBoundary { role, boundary } => {
                let repair = Repair::Attribute {
                    drift: DriftKind::PermissionsBoundary,
                    name: "permissions boundary",
                    before: |before| {
                        let boundary = before.role.as_ref()?.permissions_boundary.as_deref();
                        Some(boundary.unwrap_or("none").to_owned())
                    },
                    after: Some(boundary.to_string()),
                };
                let row = RowChange::edited(|row: &mut Role| row.permissions_boundary = Some(boundary.to_string()));
                of(role, Impact::Changes, repair, row)
            }
            Self::UpdateAssumeRolePolicy { role, trust_policy } => {
                let (drift, name) = (DriftKind::TrustPolicy, "trust policy");
                let repair = Repair::Attribute { drift, name, before: |_| None, after: None };
                let row = RowChange::edited(|row: &mut Role| row.trust_policy = trust_policy.clone());
                of(role, Impact::Changes, repair, row)
            }
            Self::PutRolePolicy { role, policy, document } => {
                let row = RowChange::edited(|row: &mut Role| {
                    row.inline_policies.insert(policy.clone(), document.clone());
                });
                of(role, Impact::Changes, Repair::Policy(DriftKind::RolePolicy, policy, "set back"), row)
            }
            Self::DeleteRolePolicy { role, policy } => {
                let repair = Repair::Policy(DriftKind::ForeignPolicy, policy, "of somebody else deleted");
                let row = RowChange::edited(|row: &mut Role| drop(row.inline_policies.remove(policy)));
                of(role, Impact::TakesAway, repair, row)
            }
            Self::DetachRolePolicy { role, policy_arn } => {
                let repair = Repair::Policy(DriftKind::ForeignPolicy, policy_arn, "of somebody else detached");
                let row = RowChange::edited(|row: &mut Role| {
                    row.attached_policies.remove(policy_arn);
                });
                of(role, Impact::TakesAway, repair, row)
            }
            Self::TagRole { role, tags } => {
                let row = RowChange::edited(|row: &mut Role| row.tags.extend(tags.clone()));
                of(role, Impact::Tags, Repair::Tags(tags), row)
            }
            Self::UntagRole { role, keys } => {
                let row = RowChange::edited(|row: &mut Role| row.tags.retain(|key, _| !keys.contains(key)));
                Description { done_already: Some(Failure::NotFound), ..of(role, Impact::Changes, Repair::Never, row) }
            }
            Self::DeleteRole { role } => of(role, Impact::TakesAway, Repair::Never, RowChange::Gone),
        }
    }
}
