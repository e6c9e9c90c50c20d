//! What a network should be: the union of what the apps on it demand.

use std::collections::BTreeSet;

use crate::{
    aws::{Caller, Partition, PolicyDocument, Region, SubnetId},
    governance::Governance,
    identity::{NetworkIdentity, OwnerMark},
    network::{AdmittedDemands, PolicyCapacity, Requester},
    policy::{ModelId, bedrock_runtime_endpoint_policy},
};

/// A service that an endpoint leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Model invocation in Amazon Bedrock.
    BedrockRuntime,
}

impl Service {
    /// Every service.
    pub const ALL: &[Self] = &[Self::BedrockRuntime];

    /// The short name, as status and tags show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BedrockRuntime => "bedrock-runtime",
        }
    }

    /// The name of the endpoint service in a region.
    pub fn endpoint_service(self, region: &Region) -> String {
        format!("com.amazonaws.{region}.{}", self.as_str())
    }

    /// The region of an endpoint service of that name, if it is this service's.
    pub fn region_of(self, endpoint_service: &str) -> Option<Region> {
        let region = endpoint_service.strip_prefix("com.amazonaws.")?.strip_suffix(self.as_str())?;
        region.strip_suffix('.')?.parse().ok()
    }

    /// The service's public name in a region ("Service endpoints" of the AWS General Reference).
    pub fn public_name(self, region: &Region) -> String {
        let domain = match region.partition() {
            Partition::Aws | Partition::AwsUsGov => "amazonaws.com",
            Partition::AwsCn => "amazonaws.com.cn",
        };
        format!("{}.{region}.{domain}", self.as_str())
    }

    /// The variable by which AWS SDKs take another address for the service ("Service-specific endpoints" of the AWS
    /// SDKs and Tools reference guide).
    pub fn endpoint_url_variable(self) -> &'static str {
        match self {
            Self::BedrockRuntime => "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        }
    }
}

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
