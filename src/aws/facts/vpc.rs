//! VPCs, subnets and route tables.

use std::collections::BTreeSet;

use crate::ids::{AccountId, SubnetId, VpcId, ZoneName};

/// What a list shows of a VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct VpcListing {
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
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Vpc {
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
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Subnet {
    pub id: SubnetId,
    pub vpc: VpcId,
    pub zone: ZoneName,
    /// How many IPv4 addresses are free (`AvailableIpAddressCount`).
    pub free_addresses: u32,
}

/// A route table, reduced to where it can lead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct RouteTable {
    pub vpc: VpcId,
    /// It holds for every subnet that names no other.
    pub main: bool,
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
