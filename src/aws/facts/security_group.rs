//! Security groups and their rules.

use std::collections::BTreeSet;

use crate::ids::{SecurityGroupId, Tags, VpcId};

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct SecurityGroup {
    pub id: SecurityGroupId,
    pub vpc: VpcId,
    /// Its name, unique in the VPC.
    pub name: String,
    /// The rules of incoming traffic.
    pub ingress: BTreeSet<Rule>,
    /// The rules of outgoing traffic.
    pub egress: BTreeSet<Rule>,
    pub tags: Tags,
}

/// One rule of a security group: one protocol, one range of ports, one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Rule {
    pub protocol: Protocol,
    /// First and last port; `None` for all (or for protocols without ports).
    pub ports: Option<(i32, i32)>,
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
    /// Another value, in AWS's spelling.
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
    /// A foreign group in an unusual notation: the id in AWS's spelling, or the name.
    Unreadable(String),
}
