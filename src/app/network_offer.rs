//! What a network offers to functions.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::PrivateGenAINetworkStatus,
    aws::{SecurityGroupId, SubnetId},
    network::Service,
};

/// The private path of a network, as its status recorded it from AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivatePath {
    /// The subnets for functions that name none.
    pub subnets: BTreeSet<SubnetId>,
    /// The group that functions carry.
    pub security_group: SecurityGroupId,
    /// The address of each service whose public name does not lead to the endpoint.
    pub endpoint_urls: BTreeMap<Service, String>,
}

impl PrivatePath {
    /// Reads the path from the status of a network; `None` while the status does not have all of it.
    pub fn new(status: &PrivateGenAINetworkStatus) -> Option<Self> {
        let mut endpoint_urls = BTreeMap::new();
        for service in Service::ALL {
            let endpoint = status.endpoints.iter().find(|endpoint| endpoint.service == service.as_str())?;
            if !endpoint.private_dns_enabled {
                endpoint_urls.insert(*service, format!("https://{}", endpoint.dns_names.first()?));
            }
        }
        let subnets: BTreeSet<SubnetId> = status.subnet_ids.iter().map(|id| id.parse().ok()).collect::<Option<_>>()?;
        if subnets.is_empty() {
            // A function without subnets is outside the VPC.
            return None;
        }
        Some(Self { subnets, security_group: status.security_groups.as_ref()?.functions.parse().ok()?, endpoint_urls })
    }
}

/// What a network offers now: whether resources may be created on it, and the recorded path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkOffer {
    /// The network is ready and lets the app's models through: functions are created on the path and moved to it.
    Ready(PrivatePath),
    /// The VPC can carry the path, which is being built or repaired: the role and the log group are created in advance.
    Preparing(Option<PrivatePath>),
    /// The VPC cannot carry the path, or nobody can tell: nothing is created.
    Unavailable(Option<PrivatePath>),
}

impl NetworkOffer {
    /// The recorded path.
    pub fn path(&self) -> Option<&PrivatePath> {
        match self {
            Self::Ready(path) => Some(path),
            Self::Preparing(path) | Self::Unavailable(path) => path.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixtures::network_status;

    #[test]
    fn there_is_no_path_until_the_network_shows_all_of_it() {
        type Case = (&'static str, fn(&mut PrivateGenAINetworkStatus));
        let cases: [Case; 6] = [
            ("no endpoint", |status| status.endpoints.clear()),
            ("an endpoint of another service", |status| status.endpoints[0].service = "sqs".to_owned()),
            ("no groups", |status| status.security_groups = None),
            ("no subnets, which would leave the function outside the VPC", |status| status.subnet_ids.clear()),
            ("a subnet that is none", |status| status.subnet_ids.push("subnet".to_owned())),
            ("no DNS name where one is needed", |status| status.endpoints[0].dns_names.clear()),
        ];
        for (what, change) in cases {
            let mut status = network_status(false);
            change(&mut status);
            assert_eq!(PrivatePath::new(&status), None, "{what}");
        }
        let mut unnamed = network_status(true);
        unnamed.endpoints[0].dns_names.clear();
        assert!(PrivatePath::new(&unnamed).is_some(), "the public name leads to the endpoint");
    }
}
