//! VPC endpoints, and the services that they lead to.

use std::collections::BTreeSet;

use super::PolicyDocument;
use crate::ids::{NetworkInterfaceId, SecurityGroupId, SubnetId, Tags, VpcEndpointId, VpcId, ZoneName};

/// What AWS offers under an endpoint service name in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct EndpointService {
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
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct VpcEndpoint {
    pub id: VpcEndpointId,
    pub vpc: VpcId,
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
    pub interfaces: BTreeSet<NetworkInterfaceId>,
    pub policy: Option<PolicyDocument>,
    /// Its DNS names in AWS's order: the regional one first.
    pub dns_names: Vec<String>,
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
