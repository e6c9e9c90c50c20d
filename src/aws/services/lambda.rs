//! Lambda: functions, their code and their tags.

use std::{collections::BTreeSet, fmt};

use super::super::{
    description::{Description, DriftKind, Impact, Invalidates, Repair, ResourceKind, RowChange},
    facts::{Architecture, FunctionConfiguration, Setting},
    ids::{FunctionName, Tags},
    operation::{
        Operation, Permission, RateLimit,
        ResourceScope::{FunctionsToRead, Look, New, OurRolesForLambda, Ours, Vpcs},
        SharedLimit, operations,
    },
    pacing::Rate,
};

/// One mutating call of Lambda. Each variant has the name of its operation.
///
/// After an update, the function is updating until its last update status changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the operation and of its parameters")]
pub enum LambdaWrite {
    CreateFunction(NewFunction),
    UpdateFunctionConfiguration {
        name: FunctionName,
        /// The whole configuration.
        configuration: FunctionConfiguration,
        /// The settings to put back to the values of a new function. A setting that is not sent stays as it was.
        reset: BTreeSet<Setting>,
    },
    UpdateFunctionCode {
        name: FunctionName,
        package: Package,
        architecture: Architecture,
    },
    /// Deletes all versions.
    DeleteFunction {
        name: FunctionName,
    },
    TagResource {
        /// The function's ARN.
        arn: String,
        tags: Tags,
    },
}

/// A function to create.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the parameters of CreateFunction")]
pub struct NewFunction {
    /// Unique in the account and region.
    pub name: FunctionName,
    pub description: String,
    pub configuration: FunctionConfiguration,
    pub architecture: Architecture,
    pub package: Package,
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

/// "Lambda quotas", `lambda/latest/dg/gettingstarted-limits.html`: one limit for all calls of the control plane except
/// `GetFunction`.
const CONTROL_PLANE: RateLimit =
    RateLimit::Shared(SharedLimit { name: "control plane", global: false, rate: Rate::even(15) });

/// The operations that give a function its role and its VPC.
const ATTACHING: &str = "lambda:CreateFunction, lambda:UpdateFunctionConfiguration";

operations! { "lambda", LambdaWrite:
    ListFunctions, CONTROL_PLANE, [Permission::on(Look)];
    GetFunction, RateLimit::Own(Rate::even(100)), [
        Permission::on(FunctionsToRead),
        Permission::of("lambda:ListTags", FunctionsToRead).needed_by("lambda:GetFunction, for the tags in its answer"),
    ];
    // The Lambda developer guide says: whoever attaches a function to a VPC also needs ec2:DescribeSecurityGroups,
    // ec2:DescribeSubnets and ec2:DescribeVpcs; and ec2:GetSecurityGroupsForVpc, which perhaps only Lambda's console needs
    // (unknown).
    CreateFunction: LambdaWrite, CONTROL_PLANE, [
        Permission::on(New),
        Permission::of("ec2:GetSecurityGroupsForVpc", Vpcs).needed_by(ATTACHING),
        Permission::of("iam:PassRole", OurRolesForLambda).needed_by(ATTACHING),
    ];
    DeleteFunction: LambdaWrite, CONTROL_PLANE, [Permission::on(Ours)];
    // The call counts against the function's concurrency.
    Invoke, RateLimit::None, [Permission::of("lambda:InvokeFunction", Ours)];
    // Tags that somebody removed are put back on a resource that still has the installation's tag.
    TagResource: LambdaWrite, CONTROL_PLANE, [
        Permission::on(New).needed_by("lambda:CreateFunction"),
        Permission::on(Ours),
    ];
    UpdateFunctionCode: LambdaWrite, CONTROL_PLANE, [Permission::on(Ours)];
    UpdateFunctionConfiguration: LambdaWrite, CONTROL_PLANE, [Permission::on(Ours)];
}

impl LambdaWrite {
    /// The facts about the change on which all other modules rest.
    pub(in crate::aws) fn describe<'a>(&'a self) -> Description<'a> {
        let function = |name: &'a FunctionName, impact, row| {
            Description::new(ResourceKind::Function, name.as_str(), impact, Invalidates::Function(name, row))
        };
        match self {
            Self::CreateFunction(new) => Description {
                repair: Repair::Recreates(DriftKind::Function),
                ..function(&new.name, Impact::Creates, RowChange::Answered)
            },
            Self::UpdateFunctionConfiguration { name, configuration, reset } => Description {
                repair: Repair::Configuration(configuration, reset),
                ..function(name, Impact::Changes, RowChange::Answered)
            },
            Self::UpdateFunctionCode { name, package, .. } => Description {
                repair: Repair::Attribute {
                    drift: DriftKind::FunctionCode,
                    name: "code",
                    before: |before| Some(format!("SHA-256 {}", before.function.as_ref()?.code_sha256)),
                    after: Some(format!("SHA-256 {}", package.sha256())),
                },
                ..function(name, Impact::Changes, RowChange::Answered)
            },
            Self::DeleteFunction { name } => Description {
                repair: Repair::DeletesFailed(DriftKind::Function),
                ..function(name, Impact::TakesAway, RowChange::Ends)
            },
            // The table of functions shows no tags.
            Self::TagResource { arn, tags } => Description {
                repair: Repair::Tags(tags),
                ..Description::new(ResourceKind::Function, arn, Impact::Tags, Invalidates::Nothing)
            },
        }
    }
}
