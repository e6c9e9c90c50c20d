//! What AWS says there is, as plain data: no SDK type, no float, ordered and hashable, so that the in-memory AWS, the
//! simulator and the model checker can keep it in their states.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::ids::{
    AccountId, FunctionName, LogGroupName, NetworkInterfaceId, RoleName, SecurityGroupId, SubnetId, Tags,
    VpcEndpointId, VpcId, ZoneName,
};

/// An IAM policy document, kept in one canonical spelling so that two documents that say the same in another order of
/// keys, or with other white space, are equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyDocument(String);

impl PolicyDocument {
    /// The canonical document for a JSON value.
    pub fn new(document: &serde_json::Value) -> Self {
        Self(document.to_string())
    }

    /// Reads what AWS returned. A text that is not JSON is kept as it is: it differs from every document of ours.
    pub fn from_wire(text: &str) -> Self {
        serde_json::from_str::<serde_json::Value>(text)
            .map_or_else(|_| Self(text.to_owned()), |value| Self::new(&value))
    }

    /// The document as compact JSON; its length in characters is what AWS's limits count.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a list shows of a VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VpcListing {
    /// Its id.
    pub id: VpcId,
    /// The account that owns it: another one where its subnets are shared with ours (AWS RAM).
    pub owner: AccountId,
    /// Where its instances run.
    pub tenancy: Tenancy,
}

impl VpcListing {
    /// The VPC, with the attributes that no list shows.
    pub fn with(self, dns: VpcDns) -> Vpc {
        let Self { id, owner, tenancy } = self;
        Vpc { id, owner, tenancy, dns }
    }
}

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// The account that owns it, which alone can create endpoints in it.
    pub owner: AccountId,
    /// Where its instances run. Lambda attaches to `Default` only.
    pub tenancy: Tenancy,
    /// The DNS attributes, which private DNS names of endpoints need.
    pub dns: VpcDns,
}

/// The instance tenancy of a VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tenancy {
    /// Shared hardware.
    Default,
    /// Hardware of this account only (`dedicated`, `host`), as AWS spells it.
    Other(String),
}

/// `enableDnsSupport` and `enableDnsHostnames` of a VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VpcDns {
    /// The Amazon resolver answers in the VPC.
    pub support: bool,
    /// Private DNS names resolve.
    pub hostnames: bool,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// The VPC that it is in.
    pub vpc: VpcId,
    /// Its availability zone.
    pub zone: ZoneName,
    /// How many IPv4 addresses are free (`AvailableIpAddressCount`).
    pub free_addresses: u32,
}

/// A route table, reduced to where it can lead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteTable {
    /// The VPC that it is in.
    pub vpc: VpcId,
    /// It holds for every subnet that names no other.
    pub main: bool,
    /// The subnets that name it.
    pub subnets: BTreeSet<SubnetId>,
    /// The targets of its routes.
    pub targets: BTreeSet<RouteTarget>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteTarget {
    /// Inside the VPC.
    Local,
    /// A gateway endpoint (S3, DynamoDB), by prefix list.
    GatewayEndpoint,
    /// An internet gateway: a subnet with such a route is public.
    InternetGateway,
    /// Any other way out: NAT, egress-only or transit gateway, peering, VPN, an appliance.
    Other,
}

/// What AWS offers under an endpoint service name in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointService {
    /// The service name, `com.amazonaws.REGION.SERVICE`.
    pub name: String,
    /// The zones in which an interface endpoint can have a subnet.
    pub zones: BTreeSet<ZoneName>,
    /// The service looks at endpoint policies.
    pub policy_supported: bool,
    /// The public name that private DNS takes over.
    pub private_dns_name: Option<String>,
}

/// A VPC endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VpcEndpoint {
    /// Its id.
    pub id: VpcEndpointId,
    /// The VPC that it is in.
    pub vpc: VpcId,
    /// The service name, `com.amazonaws.REGION.SERVICE`.
    pub service_name: String,
    /// An interface endpoint, not a gateway or load balancer one.
    pub interface: bool,
    /// Where it is in its life.
    pub state: EndpointState,
    /// It has taken over the service's public DNS name in the VPC.
    pub private_dns: bool,
    /// Which addresses its interfaces have.
    pub address_families: AddressFamilies,
    /// One subnet per zone.
    pub subnets: BTreeSet<SubnetId>,
    /// The groups of its interfaces.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// Its interfaces.
    pub interfaces: BTreeSet<NetworkInterfaceId>,
    /// Its policy.
    pub policy: Option<PolicyDocument>,
    /// Its DNS names in AWS's order: the regional one first.
    pub dns_names: Vec<String>,
    /// Its tags.
    pub tags: Tags,
    /// Creation time in seconds since the epoch; 0 when AWS did not say.
    pub created_at: i64,
    /// What went wrong, in AWS's words (`LastError`).
    pub last_error: Option<String>,
}

/// Which addresses an endpoint has (`IpAddressType`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamilies {
    /// IPv4 alone, as AWS has it where nobody asks for more.
    #[default]
    Ipv4,
    /// IPv4 and IPv6.
    DualStack,
    /// Others, as AWS spells it.
    Other(String),
}

impl AddressFamilies {
    /// Reads AWS's spelling.
    pub fn from_wire(text: &str) -> Self {
        match text {
            "ipv4" => Self::Ipv4,
            "dualstack" => Self::DualStack,
            other => Self::Other(other.to_owned()),
        }
    }

    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::DualStack => "dualstack",
            Self::Other(text) => text,
        }
    }
}

/// The state of a VPC endpoint. AWS spells it in camelCase or PascalCase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are AWS's own")]
pub enum EndpointState {
    PendingAcceptance,
    Pending,
    Available,
    Deleting,
    Deleted,
    Rejected,
    Failed,
    Expired,
    Partial,
    /// A state that this version does not know: it is waited for.
    Unknown(String),
}

impl EndpointState {
    /// Reads AWS's spelling, whatever its case.
    pub fn from_wire(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "pendingacceptance" => Self::PendingAcceptance,
            "pending" => Self::Pending,
            "available" => Self::Available,
            "deleting" => Self::Deleting,
            "deleted" => Self::Deleted,
            "rejected" => Self::Rejected,
            "failed" => Self::Failed,
            "expired" => Self::Expired,
            "partial" => Self::Partial,
            _ => Self::Unknown(text.to_owned()),
        }
    }

    /// The name that status shows.
    pub fn as_str(&self) -> &str {
        match self {
            Self::PendingAcceptance => "pendingAcceptance",
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Partial => "partial",
            Self::Unknown(text) => text,
        }
    }

    /// The endpoint is going or gone: it serves nobody any more and another may take its place.
    pub fn is_ending(&self) -> bool {
        matches!(self, Self::Deleting | Self::Deleted)
    }
}

/// An elastic network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkInterface {
    /// Its id.
    pub id: NetworkInterfaceId,
    /// The subnet that it is in.
    pub subnet: SubnetId,
    /// The zone of that subnet.
    pub zone: ZoneName,
    /// Its primary private IPv4 address. Those for EFA only have none, nor those in subnets of IPv6 only.
    pub private_ip: Option<String>,
    /// Its IPv6 addresses.
    pub ipv6: BTreeSet<String>,
    /// The groups that it carries.
    pub groups: BTreeSet<SecurityGroupId>,
    /// Whether anything uses it.
    pub state: InterfaceState,
    /// Who made it, or uses it.
    pub holder: InterfaceHolder,
    /// The function that Lambda made it for: the first of all that share it.
    pub function: Option<FunctionName>,
}

/// Whether anything uses a network interface (`Status`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceState {
    /// Nothing does: it can be deleted.
    Available,
    /// Something does.
    InUse,
    /// On its way from one to the other, as AWS spells it.
    Other(String),
}

impl InterfaceState {
    /// Reads AWS's spelling.
    pub fn from_wire(text: &str) -> Self {
        match text {
            "available" => Self::Available,
            "in-use" => Self::InUse,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Who made a network interface, or uses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceHolder {
    /// Lambda, for functions with its subnet and set of groups.
    Lambda,
    /// A VPC endpoint.
    Endpoint,
    /// An instance, by its id.
    Instance(String),
    /// Anybody else, in AWS's words.
    Other(String),
}

impl fmt::Display for InterfaceHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lambda => f.write_str("Lambda"),
            Self::Endpoint => f.write_str("a VPC endpoint"),
            Self::Instance(id) => write!(f, "instance {id}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// The VPC that it is in.
    pub vpc: VpcId,
    /// Its name, unique in the VPC.
    pub name: String,
    /// What may come in.
    pub ingress: BTreeSet<Rule>,
    /// What may go out.
    pub egress: BTreeSet<Rule>,
    /// Its tags.
    pub tags: Tags,
}

/// One rule of a security group: one protocol, one range of ports, one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The IP protocol.
    pub protocol: Protocol,
    /// First and last port; `None` for all (or for protocols without ports).
    pub ports: Option<(i32, i32)>,
    /// The other side.
    pub peer: Peer,
}

impl Rule {
    /// TCP on one port.
    pub fn tcp(port: u16, peer: Peer) -> Self {
        Self { protocol: Protocol::Tcp, ports: Some((i32::from(port), i32::from(port))), peer }
    }
}

/// The IP protocol of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `-1` on the wire.
    All,
    /// `tcp` or `6`.
    Tcp,
    /// Any other, as AWS spells it.
    Other(String),
}

impl Protocol {
    /// Reads AWS's spelling.
    pub fn from_wire(text: &str) -> Self {
        match text {
            "-1" => Self::All,
            "tcp" | "6" => Self::Tcp,
            other => Self::Other(other.to_owned()),
        }
    }

    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "-1",
            Self::Tcp => "tcp",
            Self::Other(text) => text,
        }
    }
}

/// The other side of a rule, in EC2's canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// An IPv4 range.
    Ipv4(String),
    /// An IPv6 range.
    Ipv6(String),
    /// Whatever carries a security group.
    Group(SecurityGroupId),
    /// A prefix list.
    PrefixList(String),
    /// A group of others that is named in a way of its own: by the id that AWS shows, or by its name.
    Unreadable(String),
}

/// The environment of a function. Its values never leave memory: `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// An environment of these variables.
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }

    /// How long it is as Lambda measures it: the JSON of all variables, in bytes. Lambda takes 4,096.
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

/// The configuration of a function, as far as the operator decides it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionConfiguration {
    /// The ARN of the execution role.
    pub role_arn: String,
    /// The runtime, such as `nodejs24.x`; empty for images.
    pub runtime: String,
    /// File and export that are called.
    pub handler: String,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Time limit of one invocation in seconds.
    pub timeout_seconds: u32,
    /// Environment variables.
    pub environment: Environment,
    /// The subnets that it is attached to.
    pub subnets: BTreeSet<SubnetId>,
    /// The security groups of its interfaces.
    pub security_groups: BTreeSet<SecurityGroupId>,
}

impl FunctionConfiguration {
    /// Where the function is attached.
    pub fn attachment(&self) -> Attachment {
        Attachment { groups: self.security_groups.clone(), subnets: self.subnets.clone() }
    }
}

/// Where a function is attached to a VPC; both sets are empty where it is not. Functions that share a set of groups and a subnet
/// share an interface (Lambda developer guide, "Understanding Hyperplane Elastic Network Interfaces").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// The groups of its interfaces.
    pub groups: BTreeSet<SecurityGroupId>,
    /// The subnets, with an interface in each.
    pub subnets: BTreeSet<SubnetId>,
}

impl Attachment {
    /// The function reaches the VPC through this interface, if Lambda holds it.
    pub fn uses(&self, interface: &NetworkInterface) -> bool {
        self.groups == interface.groups && self.subnets.contains(&interface.subnet)
    }
}

/// A setting of a function beside its [configuration](FunctionConfiguration). The operator gives none of them a value: each
/// is to be as Lambda has it in a new function.
///
/// All that `UpdateFunctionConfiguration` can change is here, in the configuration, or among what is left alone
/// (`docs/comparison.md`).
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

    /// What people call it.
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

/// What a function can only be created with: one that has it was created by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fixed {
    /// It runs on instances of a capacity provider, in that one's VPC.
    CapacityProvider,
    /// It is a durable function, whose payloads Lambda stores. "You can only enable durable execution when creating a function"
    /// (Lambda developer guide, "Configure Lambda durable functions").
    Durable,
    /// Its package is an image.
    Image,
    /// Each invocation is for a tenant.
    TenantIsolation,
}

impl Fixed {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CapacityProvider => "a capacity provider",
            Self::Durable => "durable execution",
            Self::Image => "an image instead of a zip file",
            Self::TenantIsolation => "tenant isolation",
        }
    }
}

/// A function as `ListFunctions` shows it: no state, no tags, no reserved concurrency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionListing {
    /// Its name.
    pub name: FunctionName,
    /// Its ARN, without a version.
    pub arn: String,
    /// Its configuration.
    pub configuration: FunctionConfiguration,
    /// Why Lambda cannot decrypt the environment, by its error code (`EnvironmentResponse.Error`): the configuration shows none then.
    pub unreadable_environment: Option<String>,
    /// The settings that are not as in a new function.
    pub altered: BTreeSet<Setting>,
    /// What it was created with that no function of ours has.
    pub fixed: BTreeSet<Fixed>,
    /// Its processor.
    pub architecture: Architecture,
    /// Base64 of the SHA-256 of the deployment package.
    pub code_sha256: String,
    /// When it was last changed, as AWS spells it: told apart, never computed with.
    pub last_modified: String,
}

/// A function as `GetFunction` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionDetail {
    /// What a listing shows too.
    pub listing: FunctionListing,
    /// Whether it can be invoked.
    pub state: FunctionState,
    /// Why it is in that state (`StateReasonCode: StateReason`).
    pub state_reason: Option<String>,
    /// How the last update went.
    pub last_update: UpdateStatus,
    /// Why the update went so (`LastUpdateStatusReasonCode: LastUpdateStatusReason`).
    pub last_update_reason: Option<String>,
    /// Its tags.
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
    /// A state that this version gives no meaning of its own (Deactivated, …): it is waited for.
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

/// How the last update of a function went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are AWS's own")]
pub enum UpdateStatus {
    Successful,
    InProgress,
    Failed,
    /// A status that this version does not know: it is waited for.
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

/// A CloudWatch Logs group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogGroup {
    /// Its name.
    pub name: LogGroupName,
    /// Its ARN as tagging takes it, without `:*` behind it.
    pub arn: String,
    /// How many days events are kept; `None` is for ever.
    pub retention_days: Option<u32>,
    /// How many bytes are kept. AWS counts them late: those of the last hours may be missing.
    pub stored_bytes: u64,
}

/// An IAM role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// Its unique id (`AROA…`). A role that is created again under its name has another one: it is another principal (IAM
    /// User Guide, "IAM identifiers").
    pub id: String,
    /// Its ARN, path included.
    pub arn: String,
    /// Who may assume it.
    pub trust_policy: PolicyDocument,
    /// Its inline policies by name.
    pub inline_policies: BTreeMap<String, PolicyDocument>,
    /// The ARNs of the managed policies attached to it.
    pub attached_policies: BTreeSet<String>,
    /// The ARN of the managed policy beyond which it may do nothing.
    pub permissions_boundary: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// What a list shows of an IAM role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleListing {
    /// Its name.
    pub name: RoleName,
    /// Its unique id, as [`Role::id`].
    pub id: String,
    /// Its ARN, path included.
    pub arn: String,
    /// Who may assume it.
    pub trust_policy: PolicyDocument,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_say_the_same_are_equal_whatever_the_order_of_keys_and_the_white_space() {
        let ours = PolicyDocument::new(&serde_json::json!({"Version": "2012-10-17", "Statement": []}));
        assert_eq!(ours, PolicyDocument::from_wire("{ \"Statement\": [],\n \"Version\":\"2012-10-17\" }"));
        assert_ne!(ours, PolicyDocument::from_wire("{\"Statement\": [{}], \"Version\": \"2012-10-17\"}"));
        assert_ne!(ours, PolicyDocument::from_wire("not json"));
    }

    #[test]
    fn endpoint_states_are_read_in_either_spelling_and_unknown_ones_kept() {
        assert_eq!(EndpointState::from_wire("pendingAcceptance"), EndpointState::PendingAcceptance);
        assert_eq!(EndpointState::from_wire("PendingAcceptance"), EndpointState::PendingAcceptance);
        assert_eq!(EndpointState::from_wire("Available"), EndpointState::Available);
        assert_eq!(EndpointState::from_wire("Hibernating"), EndpointState::Unknown("Hibernating".into()));
    }

    #[test]
    fn an_environment_shows_names_and_never_values() {
        let environment = Environment::new([("API_KEY".to_owned(), "hunter2".to_owned())].into());
        assert_eq!(format!("{environment:?}"), "{\"API_KEY\"}");
    }
}
