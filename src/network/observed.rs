//! What there is of a network in AWS.

use std::collections::BTreeMap;

use crate::{
    aws::{EndpointState, Endpoints, NetworkInterface, NetworkInterfaceId, SecurityGroup, Topology, Vpc, VpcEndpoint},
    identity::{NetworkIdentity, TAG_COMPONENT, TAG_SERVICE},
    network::Service,
};

/// The facts about one VPC, taken out of the shared snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observed {
    /// The VPC with its subnets and route tables, and what is on offer in the region.
    pub topology: Topology,
    /// The security groups of this network.
    pub security_groups: Vec<SecurityGroup>,
    /// The endpoints of this network, whatever their state.
    pub endpoints: Vec<VpcEndpoint>,
    /// The endpoints of everybody else in the VPC.
    pub foreign_endpoints: Vec<VpcEndpoint>,
    /// The interfaces of our endpoints.
    pub interfaces: BTreeMap<NetworkInterfaceId, NetworkInterface>,
}

impl Observed {
    /// Takes out of a snapshot what concerns one network.
    pub fn new(
        identity: &NetworkIdentity,
        topology: &Topology,
        endpoints: &Endpoints,
        security_groups: &[SecurityGroup],
    ) -> Self {
        let (ours, foreign): (Vec<VpcEndpoint>, Vec<VpcEndpoint>) = endpoints
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.vpc == identity.vpc)
            .cloned()
            .partition(|endpoint| identity.owns(&endpoint.tags));
        Self {
            topology: topology.of(&identity.vpc),
            security_groups: security_groups
                .iter()
                .filter(|group| group.vpc == identity.vpc && identity.owns(&group.tags))
                .cloned()
                .collect(),
            interfaces: endpoints.interfaces.clone(),
            endpoints: ours,
            foreign_endpoints: foreign,
        }
    }

    /// The VPC; `None` when there is no such VPC.
    pub fn vpc(&self) -> Option<&Vpc> {
        self.topology.vpcs.values().next()
    }

    /// The group of a component, such as [`FUNCTIONS_GROUP`](crate::identity::FUNCTIONS_GROUP).
    pub fn group(&self, component: &str) -> Option<&SecurityGroup> {
        self.security_groups.iter().find(|group| group.tags.get(TAG_COMPONENT).is_some_and(|value| value == component))
    }

    /// Our endpoints of a service that are not on their way out, the one to keep first: available before those that may
    /// become it, those that never will last, then the oldest.
    pub fn endpoints_of(&self, service: Service) -> Vec<&VpcEndpoint> {
        let mut endpoints: Vec<&VpcEndpoint> = self
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.state.is_ending() && Self::serves(endpoint, service))
            .collect();
        endpoints.sort_by_key(|endpoint| {
            let rank = match endpoint.state {
                EndpointState::Available => 0,
                EndpointState::Failed | EndpointState::Rejected | EndpointState::Expired => 2,
                _ => 1,
            };
            (rank, endpoint.created_at, endpoint.id.clone())
        });
        endpoints
    }

    /// The last of our endpoints of a service that is being deleted, or was.
    pub fn last_ended(&self, service: Service) -> Option<&VpcEndpoint> {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.state.is_ending() && Self::serves(endpoint, service))
            .max_by_key(|endpoint| (endpoint.created_at, endpoint.id.clone()))
    }

    /// Our endpoint of a service that is being deleted and still holds the service's public DNS name.
    pub fn still_holds_the_name(&self, service: Service) -> Option<&VpcEndpoint> {
        self.endpoints.iter().find(|endpoint| {
            endpoint.state == EndpointState::Deleting && endpoint.private_dns && Self::serves(endpoint, service)
        })
    }

    fn serves(endpoint: &VpcEndpoint, service: Service) -> bool {
        endpoint.tags.get(TAG_SERVICE).is_some_and(|value| value == service.as_str())
    }
}
