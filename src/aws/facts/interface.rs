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
    /// The state, which shows whether the interface is in use.
    pub state: InterfaceState,
    /// The creator or user of the interface.
    pub holder: InterfaceHolder,
    /// The function for which Lambda created the interface: the first of all that share it.
    pub function: Option<FunctionName>,
}

/// The use of a network interface (`Status`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceState {
    /// The interface is unused and can be deleted.
    Available,
    /// Something does.
    InUse,
    /// A state between the two, in AWS's spelling.
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

/// The creator or user of a network interface.
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
