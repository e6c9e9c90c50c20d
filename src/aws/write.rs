//! Every change that the operator makes in AWS, as a value: what a plan consists of, what the shell carries out, and
//! what the in-memory AWS steps by.

use std::{collections::BTreeSet, fmt};

use super::{
    facts::{AddressFamilies, Architecture, EndpointState, FunctionConfiguration, PolicyDocument, Rule, Setting, Tags},
    ids::{
        FunctionName, LogGroupName, NetworkInterfaceId, PolicyArn, RoleName, SecurityGroupId, SubnetId, VpcEndpointId,
        VpcId,
    },
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
pub enum Write {
    /// `ec2:CreateSecurityGroup`. A new group has a rule that lets everything out; see [`Write::RevokeEgress`].
    CreateSecurityGroup {
        /// Where.
        vpc: VpcId,
        /// Unique in the VPC.
        name: String,
        /// What the console shows.
        description: String,
        /// Tags from the first moment on.
        tags: Tags,
    },
    /// `ec2:AuthorizeSecurityGroupIngress`.
    AuthorizeIngress {
        /// The group.
        group: SecurityGroupId,
        /// Rules that it does not have.
        rules: BTreeSet<Rule>,
    },
    /// `ec2:AuthorizeSecurityGroupEgress`.
    AuthorizeEgress {
        /// The group.
        group: SecurityGroupId,
        /// Rules that it does not have.
        rules: BTreeSet<Rule>,
    },
    /// `ec2:RevokeSecurityGroupIngress`.
    RevokeIngress {
        /// The group.
        group: SecurityGroupId,
        /// Rules that it has.
        rules: BTreeSet<Rule>,
    },
    /// `ec2:RevokeSecurityGroupEgress`.
    RevokeEgress {
        /// The group.
        group: SecurityGroupId,
        /// Rules that it has.
        rules: BTreeSet<Rule>,
    },
    /// `ec2:DeleteSecurityGroup`; [`Failure::InUse`](super::Failure::InUse) while anything refers to it.
    DeleteSecurityGroup {
        /// The group.
        group: SecurityGroupId,
    },
    /// `ec2:DeleteNetworkInterface`; [`Failure::InUse`](super::Failure::InUse) while anything uses it.
    DeleteNetworkInterface {
        /// The interface.
        interface: NetworkInterfaceId,
    },
    /// `ec2:CreateVpcEndpoint` of type Interface.
    CreateVpcEndpoint(NewVpcEndpoint),
    /// `ec2:ModifyVpcEndpoint`.
    ModifyVpcEndpoint {
        /// The endpoint.
        endpoint: VpcEndpointId,
        /// What changes.
        change: EndpointChange,
    },
    /// `ec2:DeleteVpcEndpoints` of one endpoint. An `Unsuccessful` item in the answer is an error here.
    DeleteVpcEndpoint {
        /// The endpoint.
        endpoint: VpcEndpointId,
    },
    /// `ec2:CreateTags` on a security group or an endpoint.
    TagEc2 {
        /// The id of the resource.
        resource: String,
        /// Tags to set.
        tags: Tags,
    },
    /// `iam:CreateRole`.
    CreateRole {
        /// Unique in the account.
        name: RoleName,
        /// Starts and ends with `/`.
        path: String,
        /// Who may assume it.
        trust_policy: PolicyDocument,
        /// What the console shows.
        description: String,
        /// The managed policy beyond which it may do nothing, from the first moment on.
        permissions_boundary: Option<PolicyArn>,
        /// Tags from the first moment on.
        tags: Tags,
    },
    /// `iam:PutRolePermissionsBoundary`, which replaces another one.
    PutRolePermissionsBoundary {
        /// The role.
        role: RoleName,
        /// The managed policy beyond which it may do nothing.
        boundary: PolicyArn,
    },
    /// `iam:UpdateAssumeRolePolicy`.
    UpdateTrustPolicy {
        /// The role.
        role: RoleName,
        /// Who may assume it.
        trust_policy: PolicyDocument,
    },
    /// `iam:PutRolePolicy`.
    PutRolePolicy {
        /// The role.
        role: RoleName,
        /// The name of the inline policy.
        policy: String,
        /// Its document, at most 10,240 characters together with the role's other inline policies.
        document: PolicyDocument,
    },
    /// `iam:DeleteRolePolicy`.
    DeleteRolePolicy {
        /// The role.
        role: RoleName,
        /// The name of the inline policy.
        policy: String,
    },
    /// `iam:DetachRolePolicy`.
    DetachRolePolicy {
        /// The role.
        role: RoleName,
        /// The ARN of the managed policy.
        policy_arn: String,
    },
    /// `iam:TagRole`.
    TagRole {
        /// The role.
        role: RoleName,
        /// Tags to set.
        tags: Tags,
    },
    /// `iam:UntagRole`.
    UntagRole {
        /// The role.
        role: RoleName,
        /// The keys of tags to remove.
        keys: BTreeSet<String>,
    },
    /// `iam:DeleteRole`; its policies must be gone.
    DeleteRole {
        /// The role.
        role: RoleName,
    },
    /// `logs:CreateLogGroup`.
    CreateLogGroup {
        /// Unique in the account and region.
        name: LogGroupName,
        /// Tags from the first moment on.
        tags: Tags,
    },
    /// `logs:PutRetentionPolicy`.
    PutRetentionPolicy {
        /// The group.
        name: LogGroupName,
        /// One of the numbers of days that CloudWatch Logs allows.
        days: u32,
    },
    /// `logs:TagResource`.
    TagLogGroup {
        /// The group's ARN, without `:*` behind it.
        arn: String,
        /// Tags to set.
        tags: Tags,
    },
    /// `logs:DeleteLogGroup`.
    DeleteLogGroup {
        /// The group.
        name: LogGroupName,
    },
    /// `lambda:CreateFunction`.
    CreateFunction(NewFunction),
    /// `lambda:UpdateFunctionConfiguration`; the function is updating until its last update status says otherwise.
    UpdateFunctionConfiguration {
        /// The function.
        name: FunctionName,
        /// The whole configuration.
        configuration: FunctionConfiguration,
        /// The settings to put back to what they are in a new function. What is not sent stays as it was.
        reset: BTreeSet<Setting>,
    },
    /// `lambda:UpdateFunctionCode`; the function is updating until its last update status says otherwise.
    UpdateFunctionCode {
        /// The function.
        name: FunctionName,
        /// The new package.
        package: Package,
        /// The processor that it is for.
        architecture: Architecture,
    },
    /// `lambda:DeleteFunction` with all its versions.
    DeleteFunction {
        /// The function.
        name: FunctionName,
    },
    /// `lambda:TagResource`.
    TagFunction {
        /// The function's ARN.
        arn: String,
        /// Tags to set.
        tags: Tags,
    },
}

/// An interface endpoint to create. Nothing is left to AWS's defaults, which are a Gateway endpoint, the VPC's default
/// group and a policy that allows everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewVpcEndpoint {
    /// Where.
    pub vpc: VpcId,
    /// The service name, `com.amazonaws.REGION.SERVICE`.
    pub service_name: String,
    /// One subnet per zone.
    pub subnets: BTreeSet<SubnetId>,
    /// The groups of its interfaces.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Take over the service's public DNS name in the VPC.
    pub private_dns: bool,
    /// Its policy.
    pub policy: PolicyDocument,
    /// The same token never creates a second endpoint. At most 64 characters.
    pub client_token: String,
    /// Tags from the first moment on.
    pub tags: Tags,
}

/// What changes on an endpoint; empty members change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of ModifyVpcEndpoint")]
pub struct EndpointChange {
    pub add_subnets: BTreeSet<SubnetId>,
    pub remove_subnets: BTreeSet<SubnetId>,
    pub add_security_groups: BTreeSet<SecurityGroupId>,
    pub remove_security_groups: BTreeSet<SecurityGroupId>,
    pub policy: Option<PolicyDocument>,
    pub private_dns: Option<bool>,
    pub address_families: Option<AddressFamilies>,
}

/// A function to create.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewFunction {
    /// Unique in the account and region.
    pub name: FunctionName,
    /// What the console shows.
    pub description: String,
    /// Its configuration.
    pub configuration: FunctionConfiguration,
    /// Its processor.
    pub architecture: Architecture,
    /// Its code.
    pub package: Package,
    /// Tags from the first moment on.
    pub tags: Tags,
}

/// A deployment package: a zip file and the hash by which Lambda reports it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    zip: Vec<u8>,
    sha256: String,
}

impl Package {
    /// A package of this zip file.
    pub fn new(zip: Vec<u8>) -> Self {
        use base64::Engine as _;
        use sha2::Digest as _;
        let sha256 = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&zip));
        Self { zip, sha256 }
    }

    /// The bytes of the zip file.
    pub fn zip(&self) -> &[u8] {
        &self.zip
    }

    /// Base64 of the SHA-256 of the zip file: what Lambda shows as `CodeSha256`.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Package({}, {} bytes)", self.sha256, self.zip.len())
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
            Self::CreateSecurityGroup { .. } => ("ec2", "CreateSecurityGroup"),
            Self::AuthorizeIngress { .. } => ("ec2", "AuthorizeSecurityGroupIngress"),
            Self::AuthorizeEgress { .. } => ("ec2", "AuthorizeSecurityGroupEgress"),
            Self::RevokeIngress { .. } => ("ec2", "RevokeSecurityGroupIngress"),
            Self::RevokeEgress { .. } => ("ec2", "RevokeSecurityGroupEgress"),
            Self::DeleteSecurityGroup { .. } => ("ec2", "DeleteSecurityGroup"),
            Self::DeleteNetworkInterface { .. } => ("ec2", "DeleteNetworkInterface"),
            Self::CreateVpcEndpoint(_) => ("ec2", "CreateVpcEndpoint"),
            Self::ModifyVpcEndpoint { .. } => ("ec2", "ModifyVpcEndpoint"),
            Self::DeleteVpcEndpoint { .. } => ("ec2", "DeleteVpcEndpoints"),
            Self::TagEc2 { .. } => ("ec2", "CreateTags"),
            Self::CreateRole { .. } => ("iam", "CreateRole"),
            Self::PutRolePermissionsBoundary { .. } => ("iam", "PutRolePermissionsBoundary"),
            Self::UpdateTrustPolicy { .. } => ("iam", "UpdateAssumeRolePolicy"),
            Self::PutRolePolicy { .. } => ("iam", "PutRolePolicy"),
            Self::DeleteRolePolicy { .. } => ("iam", "DeleteRolePolicy"),
            Self::DetachRolePolicy { .. } => ("iam", "DetachRolePolicy"),
            Self::TagRole { .. } => ("iam", "TagRole"),
            Self::UntagRole { .. } => ("iam", "UntagRole"),
            Self::DeleteRole { .. } => ("iam", "DeleteRole"),
            Self::CreateLogGroup { .. } => ("logs", "CreateLogGroup"),
            Self::PutRetentionPolicy { .. } => ("logs", "PutRetentionPolicy"),
            Self::TagLogGroup { .. } => ("logs", "TagResource"),
            Self::DeleteLogGroup { .. } => ("logs", "DeleteLogGroup"),
            Self::CreateFunction(_) => ("lambda", "CreateFunction"),
            Self::UpdateFunctionConfiguration { .. } => ("lambda", "UpdateFunctionConfiguration"),
            Self::UpdateFunctionCode { .. } => ("lambda", "UpdateFunctionCode"),
            Self::DeleteFunction { .. } => ("lambda", "DeleteFunction"),
            Self::TagFunction { .. } => ("lambda", "TagResource"),
        }
    }

    /// What the write changed, by AWS's answer; `None` where it changed nothing.
    #[must_use]
    pub fn changed(&self, written: &Written) -> Option<Self> {
        match (self, written) {
            (_, Written::Revoked(rules)) if rules.is_empty() => None,
            (Self::RevokeIngress { group, .. }, Written::Revoked(rules)) => {
                Some(Self::RevokeIngress { group: group.clone(), rules: rules.clone() })
            }
            (Self::RevokeEgress { group, .. }, Written::Revoked(rules)) => {
                Some(Self::RevokeEgress { group: group.clone(), rules: rules.clone() })
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
            Self::UpdateTrustPolicy { .. }
                | Self::PutRolePolicy { .. }
                | Self::PutRolePermissionsBoundary { .. }
                | Self::DeleteRolePolicy { .. }
                | Self::DetachRolePolicy { .. }
                | Self::TagRole { .. }
                | Self::UntagRole { .. }
                | Self::DeleteRole { .. }
        )
    }

    /// Whether the write only tags something, and what.
    pub fn tagging(&self) -> Tagging {
        match self {
            Self::TagRole { .. } => Tagging::Role,
            Self::TagEc2 { .. } | Self::TagLogGroup { .. } | Self::TagFunction { .. } => Tagging::Other,
            _ => Tagging::None,
        }
    }

    /// The permissions boundary that the call gives a role.
    pub fn permissions_boundary(&self) -> Option<&PolicyArn> {
        match self {
            Self::CreateRole { permissions_boundary, .. } => permissions_boundary.as_ref(),
            Self::PutRolePermissionsBoundary { boundary, .. } => Some(boundary),
            _ => None,
        }
    }

    /// The resource that the call is about, by id or name.
    pub fn resource(&self) -> String {
        match self {
            Self::CreateSecurityGroup { name, .. } => name.clone(),
            Self::AuthorizeIngress { group, .. }
            | Self::AuthorizeEgress { group, .. }
            | Self::RevokeIngress { group, .. }
            | Self::RevokeEgress { group, .. }
            | Self::DeleteSecurityGroup { group } => group.to_string(),
            Self::DeleteNetworkInterface { interface } => interface.to_string(),
            Self::CreateVpcEndpoint(new) => format!("{} in {}", new.service_name, new.vpc),
            Self::ModifyVpcEndpoint { endpoint, .. } | Self::DeleteVpcEndpoint { endpoint } => endpoint.to_string(),
            Self::TagEc2 { resource, .. } => resource.clone(),
            Self::CreateRole { name, .. } => name.to_string(),
            Self::PutRolePermissionsBoundary { role, .. }
            | Self::UpdateTrustPolicy { role, .. }
            | Self::PutRolePolicy { role, .. }
            | Self::DeleteRolePolicy { role, .. }
            | Self::DetachRolePolicy { role, .. }
            | Self::TagRole { role, .. }
            | Self::UntagRole { role, .. }
            | Self::DeleteRole { role } => role.to_string(),
            Self::CreateLogGroup { name, .. }
            | Self::PutRetentionPolicy { name, .. }
            | Self::DeleteLogGroup { name } => name.to_string(),
            Self::CreateFunction(new) => new.name.to_string(),
            Self::UpdateFunctionConfiguration { name, .. }
            | Self::UpdateFunctionCode { name, .. }
            | Self::DeleteFunction { name } => name.to_string(),
            Self::TagFunction { arn, .. } | Self::TagLogGroup { arn, .. } => arn.clone(),
        }
    }
}
