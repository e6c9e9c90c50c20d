//! The description of a change before it is made. All decisions about the change read it.

use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

use super::{
    Failure,
    facts::{FunctionConfiguration, FunctionListing, LogGroup, Role, Rule, Setting},
    ids::{AccountId, FunctionName, LogGroupName, Region, RoleName, Tags},
    services::EndpointChange,
};

/// The description of one [`Write`](super::Write).
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// The kind of the resource that changes.
    pub kind: ResourceKind,
    /// The id, the name or the ARN of the resource.
    pub resource: Cow<'a, str>,
    /// The impact of the change on the resource.
    pub impact: Impact,
    /// The tables of a [`Snapshot`](super::Snapshot) that the change makes obsolete, or the row that it changes.
    pub invalidates: Invalidates<'a>,
    /// The refusal that means that an earlier call did the work. `None` where every refusal may have another cause, such as a
    /// foreign resource of the same name.
    pub done_already: Option<Failure>,
    /// Whether IAM judges the change by the role's current state: by its boundary (`iam:PermissionsBoundary`) and by its path,
    /// which IAM does not know of a role that is gone. IAM may deny such a change because the known state of the role is out of
    /// date.
    pub is_judged_by_role: bool,
    /// The repair that the change makes, if it repairs drift.
    pub repair: Repair<'a>,
}

impl<'a> Description<'a> {
    /// A change that repairs nothing. A deletion counts as done when the resource does not exist.
    pub(super) fn new(
        kind: ResourceKind,
        resource: impl Into<Cow<'a, str>>,
        impact: Impact,
        invalidates: Invalidates<'a>,
    ) -> Self {
        Self {
            kind,
            resource: resource.into(),
            impact,
            invalidates,
            done_already: (impact == Impact::TakesAway).then_some(Failure::NotFound),
            is_judged_by_role: false,
            repair: Repair::Never,
        }
    }

    /// Whether the change creates a resource whose name is unique in AWS: AWS refuses a second one.
    pub fn creates_by_name(&self) -> bool {
        self.impact == Impact::Creates && self.kind != ResourceKind::NewEndpoint
    }

    /// Whether the change needs `creation`, which creates the same resource, to be done first.
    pub fn is_of_what_is_created_by(&self, creation: &Self) -> bool {
        creation.impact == Impact::Creates
            && matches!(self.impact, Impact::Changes | Impact::Tags)
            && (self.kind, &self.resource) == (creation.kind, &creation.resource)
    }
}

/// The kind of a resource in AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum ResourceKind {
    SecurityGroup,
    NetworkInterface,
    /// An endpoint without an id yet: its service and its VPC name it.
    NewEndpoint,
    Endpoint,
    Role,
    LogGroup,
    Function,
}

impl ResourceKind {
    /// The words for people, before the id or the name.
    pub fn noun(self) -> &'static str {
        match self {
            Self::SecurityGroup => "Security group",
            Self::NetworkInterface => "Network interface",
            Self::NewEndpoint => "Endpoint for",
            Self::Endpoint => "Endpoint",
            Self::Role => "Role",
            Self::LogGroup => "Log group",
            Self::Function => "Function",
        }
    }
}

/// The impact of a change on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// The resource is created.
    Creates,
    /// The resource is changed.
    Changes,
    /// The resource gets tags, and no other change.
    Tags,
    /// The resource, or a part of it, is deleted; no permission grows.
    TakesAway,
}

/// The tables of a snapshot that a change makes obsolete, or the row that it changes in a table of rows.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the tables")]
pub enum Invalidates<'a> {
    /// No table shows the change.
    Nothing,
    SecurityGroups,
    Endpoints,
    EndpointsAndSecurityGroups,
    Role(&'a RoleName, RowChange<'a, Role>),
    LogGroup(&'a LogGroupName, RowChange<'a, LogGroup>),
    Function(&'a FunctionName, RowChange<'a, FunctionListing>),
}

/// A new row, by the account and the region in which it is.
pub type NewRow<'a, R> = dyn Fn(&AccountId, &Region) -> R + Send + Sync + 'a;

/// The effect of a change on the row of its resource, where AWS made the change.
#[derive(Clone)]
pub enum RowChange<'a, R> {
    /// AWS's answer shows the row.
    Answered,
    /// The row is new, and follows from the account and the region in which it is.
    New(Arc<NewRow<'a, R>>),
    /// The row is changed so.
    Edited(Arc<dyn Fn(&mut R) + Send + Sync + 'a>),
    /// The row is gone.
    Gone,
    /// AWS deletes the resource in its own time.
    Ends,
}

impl<'a, R> RowChange<'a, R> {
    /// The row is changed so.
    pub(super) fn edited(edit: impl Fn(&mut R) + Send + Sync + 'a) -> Self {
        Self::Edited(Arc::new(edit))
    }
}

impl<R> fmt::Debug for RowChange<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "Answered",
            Self::New(_) => "New",
            Self::Edited(_) => "Edited",
            Self::Gone => "Gone",
            Self::Ends => "Ends",
        })
    }
}

/// A repair, in words for an Event.
#[derive(Clone, Debug)]
pub enum Repair<'a> {
    /// The change is never a repair: housekeeping, or a deletion for good.
    Never,
    /// The resource was gone, and is created again.
    Recreates(DriftKind),
    /// The resource had failed, and is deleted, to be created again.
    DeletesFailed(DriftKind),
    /// Rules of a security group, and the verb for their change.
    Rules(&'static str, &'a BTreeSet<Rule>),
    /// Parts of an endpoint.
    Endpoint(&'a EndpointChange),
    /// A policy of a role, by name or ARN, and the verb for its change.
    Policy(DriftKind, &'a str, &'static str),
    /// One attribute of a resource.
    Attribute {
        /// The kind of drift.
        drift: DriftKind,
        /// The attribute.
        name: &'static str,
        /// The value before the repair, where it is known and may be shown.
        before: fn(&BeforeRepair) -> Option<String>,
        /// Its value now, where that can be shown.
        after: Option<String>,
    },
    /// The configuration of a function, and settings that are put back to those of a new function.
    Configuration(&'a FunctionConfiguration, &'a BTreeSet<Setting>),
    /// The tags of a resource.
    Tags(&'a Tags),
}

/// The state of an app before any repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct BeforeRepair {
    pub function: Option<FunctionListing>,
    pub role: Option<Role>,
    pub log_group: Option<LogGroup>,
}

/// The kind of a foreign change: bounded, so that it can be a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum DriftKind {
    Group,
    Rule,
    Endpoint,
    EndpointPolicy,
    EndpointGroups,
    EndpointSubnets,
    PrivateDns,
    AddressFamilies,
    Role,
    PermissionsBoundary,
    TrustPolicy,
    RolePolicy,
    ForeignPolicy,
    LogGroup,
    Retention,
    Function,
    FunctionConfiguration,
    FunctionSettings,
    FunctionCode,
    Tags,
}

impl DriftKind {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::Group,
        Self::Rule,
        Self::Endpoint,
        Self::EndpointPolicy,
        Self::EndpointGroups,
        Self::EndpointSubnets,
        Self::PrivateDns,
        Self::AddressFamilies,
        Self::Role,
        Self::PermissionsBoundary,
        Self::TrustPolicy,
        Self::RolePolicy,
        Self::ForeignPolicy,
        Self::LogGroup,
        Self::Retention,
        Self::Function,
        Self::FunctionConfiguration,
        Self::FunctionSettings,
        Self::FunctionCode,
        Self::Tags,
    ];

    /// The value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Rule => "rule",
            Self::Endpoint => "endpoint",
            Self::EndpointPolicy => "endpoint_policy",
            Self::EndpointGroups => "endpoint_groups",
            Self::EndpointSubnets => "endpoint_subnets",
            Self::PrivateDns => "private_dns",
            Self::AddressFamilies => "address_families",
            Self::Role => "role",
            Self::PermissionsBoundary => "permissions_boundary",
            Self::TrustPolicy => "trust_policy",
            Self::RolePolicy => "role_policy",
            Self::ForeignPolicy => "foreign_policy",
            Self::LogGroup => "log_group",
            Self::Retention => "retention",
            Self::Function => "function",
            Self::FunctionConfiguration => "function_configuration",
            Self::FunctionSettings => "function_settings",
            Self::FunctionCode => "function_code",
            Self::Tags => "tags",
        }
    }

    /// Whether the resource itself was missing. Further writes to the new resource are part of that repair.
    pub fn is_whole(self) -> bool {
        match self {
            Self::Group | Self::Endpoint | Self::Role | Self::LogGroup | Self::Function => true,
            Self::Rule
            | Self::EndpointPolicy
            | Self::EndpointGroups
            | Self::EndpointSubnets
            | Self::PrivateDns
            | Self::AddressFamilies
            | Self::PermissionsBoundary
            | Self::TrustPolicy
            | Self::RolePolicy
            | Self::ForeignPolicy
            | Self::Retention
            | Self::FunctionConfiguration
            | Self::FunctionSettings
            | Self::FunctionCode
            | Self::Tags => false,
        }
    }
}
