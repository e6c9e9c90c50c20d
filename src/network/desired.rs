//! What a network should be: the union of what the apps on it demand.

use std::collections::BTreeSet;

use crate::{
    aws::{Caller, PolicyDocument, Service, SubnetId},
    governance::Governance,
    identity::{NetworkIdentity, OwnerMark},
    network::{AdmittedDemands, PolicyCapacity, Requester},
    policy::{ModelId, bedrock_runtime_endpoint_policy},
};

/// What one app asks of its network. Demands are in the order of their turns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// Whose it is.
    pub requester: Requester,
    /// The models that it calls.
    pub models: BTreeSet<ModelId>,
    /// The subnets that it names; empty: whichever the network chooses.
    pub subnets: BTreeSet<SubnetId>,
}

/// What a network should be while anybody demands it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Desired {
    /// Which network.
    pub identity: NetworkIdentity,
    /// The cluster that the network belongs to.
    pub owner: OwnerMark,
    /// Who the operator is to AWS.
    pub caller: Caller,
    /// The models demanded, as far as the policy of the endpoint has room for them.
    pub models: BTreeSet<ModelId>,
    /// The apps, as `namespace/name`, some of whose models find no room.
    pub waiting_apps: BTreeSet<String>,
    /// All subnets that apps name.
    pub subnets: BTreeSet<SubnetId>,
    /// At least one app leaves the choice of subnets to the network.
    pub chooses_subnets: bool,
    /// What everything of it has in common.
    pub governance: Governance,
}

impl Desired {
    /// The union of demands, of models as far as there is room for them beside those that are `served` ([`PolicyCapacity::admit`]); `None`
    /// when there is no demand, and nothing is to exist.
    pub fn union(
        identity: NetworkIdentity,
        owner: OwnerMark,
        caller: Caller,
        governance: &Governance,
        served: &[BTreeSet<ModelId>],
        demands: &[Demand],
    ) -> Option<Self> {
        if demands.is_empty() {
            return None;
        }
        let room = PolicyCapacity::new(&identity.installation, &caller, &identity.region);
        let AdmittedDemands { models, waiting_apps: waiting } = room.admit(served, demands);
        Some(Self {
            identity,
            owner,
            caller,
            models,
            waiting_apps: waiting,
            subnets: demands.iter().flat_map(|demand| demand.subnets.iter().cloned()).collect(),
            chooses_subnets: demands.iter().any(|demand| demand.subnets.is_empty()),
            governance: governance.clone(),
        })
    }

    /// The policy of the endpoint of a service: never longer than AWS allows.
    pub fn endpoint_policy(&self, service: Service) -> PolicyDocument {
        match service {
            Service::BedrockRuntime => bedrock_runtime_endpoint_policy(
                &self.identity.installation,
                &self.caller,
                &self.identity.region,
                &self.models,
            ),
        }
    }
}
