//! VPC endpoints, and the services that they lead to.

use std::collections::BTreeSet;

use super::PolicyDocument;
use crate::ids::{NetworkInterfaceId, SecurityGroupId, SubnetId, Tags, VpcEndpointId, VpcId, ZoneName};

/// AWS's offer under an endpoint service name in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct EndpointService {
    pub name: String,
    /// The zones in which an interface endpoint can have a subnet.
    pub zones: BTreeSet<ZoneName>,
    /// Whether the service supports endpoint policies.
    pub policy_supported: bool,
    /// The public name that private DNS takes over.
    pub private_dns_name: Option<String>,
}

/// A VPC endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct VpcEndpoint {
    pub id: VpcEndpointId,
    pub vpc: VpcId,
    pub service_name: String,
    /// An interface endpoint, not a gateway or load balancer one.
    pub interface: bool,
    /// The state of the endpoint.
    pub state: EndpointState,
    /// Whether the endpoint serves the service's public DNS name in the VPC.
    pub private_dns: bool,
    /// The address families of its interfaces.
    pub address_families: AddressFamilies,
    /// The subnets, one for each zone.
    pub subnets: BTreeSet<SubnetId>,
    /// The groups of its interfaces.
    pub security_groups: BTreeSet<SecurityGroupId>,
    pub interfaces: BTreeSet<NetworkInterfaceId>,
    pub policy: Option<PolicyDocument>,
    /// Its DNS names in AWS's order: the regional one first.
    pub dns_names: Vec<String>,
    pub tags: Tags,
    /// The creation time in seconds since the epoch; 0 when AWS omits it.
    pub created_at: i64,
    /// The last error, in AWS's words (`LastError`).
    pub last_error: Option<String>,
}

/// The address families of an endpoint (`IpAddressType`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamilies {
    /// IPv4 alone, AWS's default.
    #[default]
    Ipv4,
    /// IPv4 and IPv6.
    DualStack,
    /// Another value, in AWS's spelling.
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
    /// A state that this version does not know: the operator waits.
    Unknown(String),
}

impl EndpointState {
    /// Reads AWS's spelling in any case.
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

    /// Whether the endpoint is deleting or gone: it serves no traffic, and another may take its place.
    pub fn is_ending(&self) -> bool {
        matches!(self, Self::Deleting | Self::Deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_states_are_read_in_either_spelling_and_unknown_ones_kept() {
        assert_eq!(EndpointState::from_wire("pendingAcceptance"), EndpointState::PendingAcceptance);
        assert_eq!(EndpointState::from_wire("PendingAcceptance"), EndpointState::PendingAcceptance);
        assert_eq!(EndpointState::from_wire("Available"), EndpointState::Available);
        assert_eq!(EndpointState::from_wire("Hibernating"), EndpointState::Unknown("Hibernating".into()));
    }
}
