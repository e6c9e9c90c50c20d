//! Functions of Lambda.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::NetworkInterface;
use crate::ids::{FunctionName, SecurityGroupId, SubnetId, Tags};

/// The environment of a function. Its values never leave memory: `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// An environment of these variables.
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }

    /// The length by Lambda's measure: the JSON of all variables, in bytes. Lambda's limit is 4,096.
    pub fn measured(&self) -> usize {
        serde_json::json!(self.0).to_string().len()
    }

    /// The variables, values included: for the AWS call, never for a log.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The processor that a function runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are AWS's own")]
pub enum Architecture {
    Arm64,
    X86_64,
}

/// The part of a function's configuration that the operator decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct FunctionConfiguration {
    /// The ARN of the execution role.
    pub role_arn: String,
    /// The runtime, such as `nodejs24.x`; empty for images.
    pub runtime: String,
    /// File and export that are called.
    pub handler: String,
    pub memory_mib: u32,
    /// Time limit of one invocation in seconds.
    pub timeout_seconds: u32,
    pub environment: Environment,
    /// The subnets of its attachment.
    pub subnets: BTreeSet<SubnetId>,
    /// The security groups of its interfaces.
    pub security_groups: BTreeSet<SecurityGroupId>,
}

impl FunctionConfiguration {
    /// The attachment of the function.
    pub fn attachment(&self) -> Attachment {
        Attachment { groups: self.security_groups.clone(), subnets: self.subnets.clone() }
    }
}

/// The attachment of a function to a VPC; both sets are empty without one. Functions that share a set of groups and a subnet
/// share an interface (Lambda developer guide, "Understanding Hyperplane Elastic Network Interfaces").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// The groups of its interfaces.
    pub groups: BTreeSet<SecurityGroupId>,
    /// The subnets, with an interface in each.
    pub subnets: BTreeSet<SubnetId>,
}

impl Attachment {
    /// Whether the function reaches the VPC through this interface, if Lambda holds it.
    pub fn uses(&self, interface: &NetworkInterface) -> bool {
        self.groups == interface.groups && self.subnets.contains(&interface.subnet)
    }
}

/// A setting of a function beside its [configuration](FunctionConfiguration). The operator keeps each at the value that Lambda
/// gives a new function.
///
/// All that `UpdateFunctionConfiguration` can change is here, in the configuration, or among the settings that the operator
/// leaves alone (`docs/comparison.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// The queue or topic for events that failed; none.
    DeadLetters,
    /// The size of `/tmp`; 512 MiB.
    EphemeralStorage,
    /// Mounted file systems of EFS or S3 Files; none.
    FileSystems,
    /// Outbound IPv6 in subnets that have it (`Ipv6AllowedForDualStack`); off.
    Ipv6,
    /// The key that encrypts the environment; Lambda's own.
    Key,
    /// Code that is put before the function's own; none.
    Layers,
    /// Format and group of the log; text, in the group of the function's name.
    Logging,
    /// Snapshots of published versions; none.
    SnapStart,
    /// Whether requests are sampled for X-Ray; only where the caller does (`PassThrough`).
    Tracing,
}

impl Setting {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::DeadLetters,
        Self::EphemeralStorage,
        Self::FileSystems,
        Self::Ipv6,
        Self::Key,
        Self::Layers,
        Self::Logging,
        Self::SnapStart,
        Self::Tracing,
    ];

    /// The MiB of `/tmp` in a new function.
    pub const EPHEMERAL_STORAGE_MIB: u32 = 512;

    /// The setting in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead-letter target",
            Self::EphemeralStorage => "ephemeral storage",
            Self::FileSystems => "file systems",
            Self::Ipv6 => "outbound IPv6",
            Self::Key => "KMS key",
            Self::Layers => "layers",
            Self::Logging => "log configuration",
            Self::SnapStart => "SnapStart",
            Self::Tracing => "tracing",
        }
    }
}

/// A property that only the creation of a function can set: a function that has one is foreign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fixed {
    /// The function runs on instances of a capacity provider, in the provider's VPC.
    CapacityProvider,
    /// The function is durable: Lambda stores its payloads. "You can only enable durable execution when creating a function"
    /// (Lambda developer guide, "Configure Lambda durable functions").
    Durable,
    /// Its package is an image.
    Image,
    /// Each invocation is for a tenant.
    TenantIsolation,
}

impl Fixed {
    /// The property in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CapacityProvider => "a capacity provider",
            Self::Durable => "durable execution",
            Self::Image => "an image instead of a zip file",
            Self::TenantIsolation => "tenant isolation",
        }
    }
}

/// A function in `ListFunctions`: without state, tags and reserved concurrency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct FunctionListing {
    pub name: FunctionName,
    /// Its ARN, without a version.
    pub arn: String,
    pub configuration: FunctionConfiguration,
    /// The error code when Lambda cannot decrypt the environment (`EnvironmentResponse.Error`): the configuration then has no
    /// variables.
    pub unreadable_environment: Option<String>,
    /// The settings that are not as in a new function.
    pub altered: BTreeSet<Setting>,
    /// The properties from its creation that none of the operator's functions has.
    pub fixed: BTreeSet<Fixed>,
    pub architecture: Architecture,
    /// Base64 of the SHA-256 of the deployment package.
    pub code_sha256: String,
    /// The time of the last change, in AWS's spelling: only compared, never computed with.
    pub last_modified: String,
}

/// A function in `GetFunction`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct FunctionDetail {
    pub listing: FunctionListing,
    /// The state, which decides whether it can be invoked.
    pub state: FunctionState,
    /// The reason of the state (`StateReasonCode: StateReason`).
    pub state_reason: Option<String>,
    /// The status of the last update.
    pub last_update: UpdateStatus,
    /// The reason of that status (`LastUpdateStatusReasonCode: LastUpdateStatusReason`).
    pub last_update_reason: Option<String>,
    pub tags: Tags,
}

/// The state of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are AWS's own")]
pub enum FunctionState {
    Pending,
    Active,
    Inactive,
    Failed,
    Deleting,
    /// A state without a meaning of its own in this version (Deactivated, …): the operator waits.
    Other(String),
}

impl FunctionState {
    /// Reads AWS's spelling.
    pub fn from_wire(text: &str) -> Self {
        match text {
            "Pending" => Self::Pending,
            "Active" => Self::Active,
            "Inactive" => Self::Inactive,
            "Failed" => Self::Failed,
            "Deleting" => Self::Deleting,
            other => Self::Other(other.to_owned()),
        }
    }

    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Inactive => "Inactive",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
            Self::Other(text) => text,
        }
    }
}

/// The status of the last update of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are AWS's own")]
pub enum UpdateStatus {
    Successful,
    InProgress,
    Failed,
    /// A status that this version does not know: the operator waits.
    Other(String),
}

impl UpdateStatus {
    /// Reads AWS's spelling.
    pub fn from_wire(text: &str) -> Self {
        match text {
            "Successful" => Self::Successful,
            "InProgress" => Self::InProgress,
            "Failed" => Self::Failed,
            other => Self::Other(other.to_owned()),
        }
    }

    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Successful => "Successful",
            Self::InProgress => "InProgress",
            Self::Failed => "Failed",
            Self::Other(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_shows_names_and_never_values() {
        let environment = Environment::new([("API_KEY".to_owned(), "hunter2".to_owned())].into());
        assert_eq!(format!("{environment:?}"), "{\"API_KEY\"}");
    }
}
