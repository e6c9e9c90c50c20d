//! Elastic network interfaces.

use std::{collections::BTreeSet, fmt};

use crate::ids::{FunctionName, NetworkInterfaceId, SecurityGroupId, SubnetId, ZoneName};

/// An elastic network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct NetworkInterface {
    pub id: NetworkInterfaceId,
    pub subnet: SubnetId,
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
