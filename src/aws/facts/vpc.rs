//! VPCs, subnets and route tables.

use std::collections::BTreeSet;

use crate::ids::{AccountId, SubnetId, VpcId, ZoneName};

/// A VPC in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct VpcListing {
    pub id: VpcId,
    /// The owner's account: another account where that one shares its subnets with ours (AWS RAM).
    pub owner: AccountId,
    /// The tenancy of its instances.
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
    /// The owner's account, which alone can create endpoints in the VPC.
    pub owner: AccountId,
    /// The tenancy of its instances. Lambda attaches to `Default` only.
    pub tenancy: Tenancy,
    /// The DNS attributes, which private DNS names of endpoints need.
    pub dns: VpcDns,
}

/// The instance tenancy of a VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tenancy {
    /// Shared hardware.
    Default,
    /// Hardware for this account only (`dedicated`, `host`), in AWS's spelling.
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
    /// The number of free IPv4 addresses (`AvailableIpAddressCount`).
    pub free_addresses: u32,
}

/// A route table, reduced to the targets of its routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct RouteTable {
    pub vpc: VpcId,
    /// Whether the table is the main one, which holds for every subnet without its own.
    pub main: bool,
    pub subnets: BTreeSet<SubnetId>,
    /// The targets of its routes.
    pub targets: BTreeSet<RouteTarget>,
}

/// The target of a route.
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
