//! What a network should be: the union of what the apps on it demand.

use std::collections::BTreeSet;

use crate::{
    aws::{Caller, Partition, PolicyDocument, Region, SubnetId},
    governance::Governance,
    identity::{NetworkIdentity, OwnerMark},
    policy::{ENDPOINT_POLICY_MAX, ModelId, bedrock_runtime_endpoint_policy, models_of_endpoint},
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

/// What one app asks of its network.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
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
    /// All models demanded.
    pub models: BTreeSet<ModelId>,
    /// All subnets that apps name.
    pub subnets: BTreeSet<SubnetId>,
    /// At least one app leaves the choice of subnets to the network.
    pub chooses_subnets: bool,
    /// What everything of it has in common.
    pub governance: Governance,
}

impl Desired {
    /// The union of demands; `None` when there is none, and nothing is to exist.
    pub fn union(
        identity: NetworkIdentity,
        owner: OwnerMark,
        caller: Caller,
        governance: &Governance,
        demands: &[Demand],
    ) -> Option<Self> {
        if demands.is_empty() {
            return None;
        }
        Some(Self {
            identity,
            owner,
            caller,
            models: demands.iter().flat_map(|demand| demand.models.iter().cloned()).collect(),
            subnets: demands.iter().flat_map(|demand| demand.subnets.iter().cloned()).collect(),
            chooses_subnets: demands.iter().any(|demand| demand.subnets.is_empty()),
            governance: governance.clone(),
        })
    }

    /// The policy of the endpoint of a service.
    pub fn endpoint_policy(&self, service: Service) -> PolicyDocument {
        self.policy_for(service, &self.models)
    }

    /// The policy where the one for all models would be longer than AWS allows: whoever is served stays so, as far as it is
    /// demanded, and what is new waits. Where what the endpoint has is none of ours, as many models as there is room for.
    pub fn policy_that_fits(&self, service: Service, found: Option<&PolicyDocument>) -> PolicyDocument {
        let served: BTreeSet<ModelId> =
            found.map(|policy| models_of_endpoint(policy, &self.identity.region)).unwrap_or_default();
        let mut served: BTreeSet<ModelId> = served.intersection(&self.models).cloned().collect();
        let fits = |policy: &PolicyDocument| policy.as_str().len() <= ENDPOINT_POLICY_MAX;
        let mut policy = self.policy_for(service, &served);
        if !served.is_empty() && fits(&policy) {
            return policy;
        }
        served.clear();
        for model in &self.models {
            served.insert(model.clone());
            let more = self.policy_for(service, &served);
            if !fits(&more) {
                break;
            }
            policy = more;
        }
        policy
    }

    fn policy_for(&self, service: Service, models: &BTreeSet<ModelId>) -> PolicyDocument {
        match service {
            Service::BedrockRuntime => bedrock_runtime_endpoint_policy(
                &self.identity.installation,
                &self.caller,
                &self.identity.region,
                models,
            ),
        }
    }
}
