//! The resources of a network in AWS.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    aws::{
        EndpointState, Endpoints, NetworkInterface, NetworkInterfaceId, Role, SecurityGroup, SecurityGroupId, SubnetId,
        Topology, Vpc, VpcEndpoint, VpcEndpointId,
    },
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, NetworkIdentity},
    network::{OtherFunctions, Service},
    plan::Unread,
};

/// The facts about one VPC from the shared snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observed {
    /// The identity of the network.
    pub identity: NetworkIdentity,
    /// The VPC with its subnets and route tables, and the services that the region offers.
    pub topology: Topology,
    /// The security groups of this network.
    pub security_groups: Vec<SecurityGroup>,
    /// The security groups of the last successful read. Their owner marks name the cluster that owns the network.
    pub known_groups: Vec<SecurityGroup>,
    /// The endpoints of this network, whatever their state.
    pub endpoints: Vec<VpcEndpoint>,
    /// The endpoints of other owners in the VPC.
    pub foreign_endpoints: Vec<VpcEndpoint>,
    /// The roles of apps on this network, which most likely have functions.
    pub live_roles: Vec<Role>,
    /// The roles of deleted apps, kept while Lambda still holds their interfaces.
    pub handed_over_roles: Vec<Role>,
    /// The interfaces that carry the functions' group or were made for functions of this network; empty if the pass had no
    /// reason to read them.
    pub function_interfaces: BTreeMap<NetworkInterfaceId, NetworkInterface>,
    /// The function interfaces that Lambda left behind.
    pub left_interfaces: BTreeSet<NetworkInterfaceId>,
    /// The other functions on the network, as far as the deletion of handed-over roles depends on them.
    pub other_functions: OtherFunctions,
    /// The interfaces of our endpoints.
    pub interfaces: BTreeMap<NetworkInterfaceId, NetworkInterface>,
    /// The sources that could not be read, whose facts are empty here.
    pub unread: Unread,
}

impl Observed {
    /// The subnets of each endpoint.
    pub fn endpoint_subnets(&self) -> BTreeMap<VpcEndpointId, BTreeSet<SubnetId>> {
        self.endpoints.iter().map(|endpoint| (endpoint.id.clone(), endpoint.subnets.clone())).collect()
    }

    /// Selects the facts about one network from a snapshot.
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
            .partition(|endpoint| identity.installation.owns(&endpoint.tags));
        let security_groups: Vec<SecurityGroup> =
            security_groups.iter().filter(|group| identity.is_own_group(group)).cloned().collect();
        Self {
            identity: identity.clone(),
            topology: topology.of(&identity.vpc),
            known_groups: security_groups.clone(),
            security_groups,
            live_roles: Vec::new(),
            handed_over_roles: Vec::new(),
            function_interfaces: BTreeMap::new(),
            left_interfaces: BTreeSet::new(),
            other_functions: OtherFunctions::Absent,
            interfaces: endpoints.interfaces.clone(),
            endpoints: ours,
            foreign_endpoints: foreign,
            unread: Unread::default(),
        }
    }

    /// Sets the groups of the last successful read.
    #[must_use]
    pub fn known_by(self, known_groups: Vec<SecurityGroup>) -> Self {
        Self { known_groups, ..self }
    }

    /// Adds the roles of apps and the interfaces of functions.
    #[must_use]
    pub fn with_roles(
        self,
        live_roles: Vec<Role>,
        handed_over_roles: Vec<Role>,
        function_interfaces: BTreeMap<NetworkInterfaceId, NetworkInterface>,
    ) -> Self {
        Self { live_roles, handed_over_roles, function_interfaces, ..self }
    }

    /// The ids of the network's security groups and endpoints.
    pub fn ids(&self) -> Vec<String> {
        let groups = self.security_groups.iter().map(|group| group.id.to_string());
        groups.chain(self.endpoints.iter().map(|endpoint| endpoint.id.to_string())).collect()
    }

    /// The names and ids that the network's writes have in their resources.
    pub fn names(&self) -> Vec<String> {
        let roles = self.handed_over_roles.iter().map(|role| role.name.to_string());
        let interfaces = self.left_interfaces.iter().map(ToString::to_string);
        let groups = [FUNCTIONS_GROUP, ENDPOINTS_GROUP].map(|component| self.identity.group_name(component));
        let others = roles.chain(interfaces).chain(groups).chain([self.identity.vpc.to_string()]);
        self.ids().into_iter().chain(others).collect()
    }

    /// The VPC; `None` if the VPC does not exist.
    pub fn vpc(&self) -> Option<&Vpc> {
        self.topology.vpcs.values().next()
    }

    /// The group of a component, such as [`FUNCTIONS_GROUP`](crate::identity::FUNCTIONS_GROUP), by its name, which is
    /// unique in a VPC and immutable.
    pub fn group(&self, component: &str) -> Option<&SecurityGroup> {
        self.security_groups.iter().find(|group| self.identity.is_group(group, component))
    }

    /// An endpoint of a service that carries our endpoints' group and lacks our tag. No other owner has a reason to use the
    /// group, so the endpoint is ours and lost its tags.
    pub fn untagged_endpoint(&self, service: Service, group: &SecurityGroupId) -> Option<&VpcEndpoint> {
        self.foreign_endpoints.iter().find(|endpoint| {
            !endpoint.state.is_ending() && endpoint.security_groups.contains(group) && Self::serves(endpoint, service)
        })
    }

    /// Our endpoints of a service that are not ending. The first is the one to keep: available ones come before pending
    /// ones, failed ones come last, and the older comes first.
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

    /// The newest of our deleting and deleted endpoints of a service that carried this group. An endpoint whose groups AWS
    /// does not show any more counts too.
    pub fn last_deleted(&self, service: Service, group: &SecurityGroupId) -> Option<&VpcEndpoint> {
        let has_it = |groups: &BTreeSet<SecurityGroupId>| groups.is_empty() || groups.contains(group);
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.state.is_ending() && Self::serves(endpoint, service))
            .filter(|endpoint| has_it(&endpoint.security_groups))
            .max_by_key(|endpoint| (endpoint.created_at, endpoint.id.clone()))
    }

    /// Our deleting endpoint of a service that still holds the service's public DNS name.
    pub fn deleting_with_private_dns(&self, service: Service) -> Option<&VpcEndpoint> {
        self.endpoints.iter().find(|endpoint| {
            endpoint.state == EndpointState::Deleting && endpoint.private_dns && Self::serves(endpoint, service)
        })
    }

    fn serves(endpoint: &VpcEndpoint, service: Service) -> bool {
        endpoint.service_name.rsplit('.').next() == Some(service.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::{
        at_rest, bare, endpoint, endpoint_id, exact_groups, group_id, identity, subnet, vpc_id,
    };

    #[test]
    fn a_network_sees_what_is_in_its_vpc_and_owns_only_what_carries_its_tags() {
        let elsewhere = "vpc-0def5678".parse().expect("a VPC");
        let mut topology = bare().topology;
        topology.subnets.push(crate::aws::Subnet { vpc: elsewhere, ..subnet(0xc1) });
        let other = NetworkIdentity { installation: "other".parse().expect("an id"), ..identity() };
        let mut theirs = endpoint(2);
        theirs.tags.extend(other.tags());
        let mut abroad = endpoint(3);
        abroad.vpc = "vpc-0def5678".parse().expect("a VPC");
        let mut groups = exact_groups();
        groups[0].tags.extend(other.tags());
        let endpoints = Endpoints { endpoints: vec![theirs.clone(), endpoint(1), abroad], interfaces: BTreeMap::new() };
        let observed = Observed::new(&identity(), &topology, &endpoints, &groups);
        assert_eq!(observed.endpoints, [endpoint(1)]);
        assert_eq!(observed.foreign_endpoints, [theirs]);
        assert_eq!(observed.topology, bare().topology);
        assert_eq!(observed.vpc().map(|vpc| &vpc.id), Some(&vpc_id()));
        assert_eq!(observed.group(FUNCTIONS_GROUP), None);
        assert_eq!(observed.group(ENDPOINTS_GROUP), Some(&groups[1]));
    }

    #[test]
    fn endpoints_on_their_way_out_serve_nobody_and_the_last_of_the_group_is_told() {
        let ended = |number, state| VpcEndpoint { state, ..endpoint(number) };
        let mut observed = at_rest();
        observed.endpoints.extend([ended(3, EndpointState::Deleting), ended(2, EndpointState::Deleted)]);
        let serving: Vec<_> =
            observed.endpoints_of(Service::BedrockRuntime).iter().map(|endpoint| endpoint.id.clone()).collect();
        assert_eq!(serving, [endpoint_id(1)]);
        let last = |observed: &Observed, group: &str| {
            let group = group.parse().expect("a group");
            observed.last_deleted(Service::BedrockRuntime, &group).map(|endpoint| endpoint.id.clone())
        };
        let ours = group_id(ENDPOINTS_GROUP).to_string();
        assert_eq!(last(&observed, &ours), Some(endpoint_id(3)));
        assert_eq!(last(&at_rest(), &ours), None);
        assert_eq!(last(&observed, "sg-0000001e"), None, "that of a network that was removed meanwhile");
        observed.endpoints[1].security_groups.clear();
        assert_eq!(last(&observed, "sg-0000001e"), Some(endpoint_id(3)), "AWS does not tell");
    }

    #[test]
    fn an_endpoint_of_ours_for_another_service_is_not_taken_for_this_one() {
        let mut observed = at_rest();
        observed.endpoints[0].service_name = "com.amazonaws.us-east-1.sqs".to_owned();
        assert_eq!(observed.endpoints_of(Service::BedrockRuntime), Vec::<&VpcEndpoint>::new());
    }
}
