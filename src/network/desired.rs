//! The desired network: the union of its apps' demands.

use std::collections::BTreeSet;

use crate::{
    aws::{Caller, PolicyDocument, Service, SubnetId},
    governance::Governance,
    identity::{NetworkIdentity, OwnerMark},
    network::{AdmittedDemands, PolicyCapacity, Requester},
    policy::{ModelId, bedrock_runtime_endpoint_policy},
};

/// The demand of one app, or of several apps that demand the same. Demands are ordered by their requester.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// The app that demands, or the oldest of the apps.
    pub requester: Requester,
    /// The number of apps that demand the same: at least 1.
    pub apps: usize,
    /// The models that the app calls.
    pub models: BTreeSet<ModelId>,
    /// The subnets that the app names; empty if the app leaves the choice to the network.
    pub subnets: BTreeSet<SubnetId>,
}

impl Demand {
    /// The apps that demand, for people.
    pub(super) fn named(&self) -> String {
        let app = self.requester.app();
        match self.apps.saturating_sub(1) {
            0 => app,
            others => format!("{app} (and {others} more with the same models)"),
        }
    }
}

/// The desired network while there is demand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Desired {
    /// The identity of the network.
    pub identity: NetworkIdentity,
    /// The cluster that the network belongs to.
    pub owner: OwnerMark,
    /// The account and the partition in which the operator works.
    pub caller: Caller,
    /// The demanded models that fit into the endpoint's policy.
    pub models: BTreeSet<ModelId>,
    /// The apps with models that do not fit, as [`Demand::named`] gives them.
    pub waiting_apps: BTreeSet<String>,
    /// The subnets that apps name.
    pub subnets: BTreeSet<SubnetId>,
    /// At least one app leaves the choice of subnets to the network.
    pub chooses_subnets: bool,
    /// The tags and settings of all resources.
    pub governance: Governance,
}

impl Desired {
    /// The union of the demands; `None` without demand, when no resource is to exist. [`PolicyCapacity::admit`] chooses the
    /// models that fit beside those that are `served`.
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

    /// The policy of a service's endpoint, within AWS's limit of length.
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
