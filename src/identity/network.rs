//! A network in AWS: its tags, the names of its groups, the tokens of its endpoints.

use super::{InstallationId, TAG_INSTALLATION, TAG_REGION, TAG_VPC, hash};
use crate::ids::{AccountId, Region, SecurityGroupId, Tags, VpcId};

/// A network, identified by its VPC and never by the name of its object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkIdentity {
    /// The installation that owns the network.
    pub installation: InstallationId,
    /// The account of the VPC.
    pub account: AccountId,
    /// The region of the VPC.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcId,
}

impl NetworkIdentity {
    /// The tags of all resources of the network.
    pub fn tags(&self) -> Tags {
        [
            (TAG_INSTALLATION, self.installation.to_string()),
            (TAG_REGION, self.region.to_string()),
            (TAG_VPC, self.vpc.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The tags name this network.
    pub fn owns(&self, tags: &Tags) -> bool {
        self.tags().iter().all(|(key, value)| tags.get(key) == Some(value))
    }

    /// The name of a security group: unique in the VPC, which makes a second one impossible.
    pub fn group_name(&self, component: &str) -> String {
        self.installation.group_name(component)
    }

    /// The client token for the creation of an endpoint. The same purpose gives the same token, so that a repeated call finds the
    /// endpoint of the first call. AWS remembers a token for longer than it shows the endpoint, so each token is used once. A
    /// network that was removed and is built again has another `group` (that of the endpoints, whose id AWS never uses twice),
    /// and thereby other tokens. With the same group, `after` makes the difference: the id of the deleted endpoint, or the used
    /// token if that id is not known any more.
    pub fn endpoint_token(&self, service: &str, group: &SecurityGroupId, after: Option<&str>) -> String {
        hash(&[
            &self.installation.0,
            self.account.as_str(),
            self.region.as_str(),
            self.vpc.as_str(),
            service,
            group.as_str(),
            after.unwrap_or_default(),
        ])
    }
}
