//! What a network's status says.

use std::collections::BTreeSet;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use super::{Observed, Service};
use crate::{
    api::{
        EndpointStatus, InterfaceStatus, PrivateGenAINetworkStatus, SecurityGroupsStatus,
        condition::{Leg, fold},
    },
    aws::{AccountId, PolicyDocument, VpcEndpoint},
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP},
};

/// Writes down how a network stands. `observed` is `None` where AWS could not be looked at: then what was recorded
/// before is kept.
pub fn status(
    before: Option<&PrivateGenAINetworkStatus>,
    generation: Option<i64>,
    account: Option<&AccountId>,
    observed: Option<&Observed>,
    legs: &[Leg],
    now: Timestamp,
) -> PrivateGenAINetworkStatus {
    let old: &[Condition] = before.map_or(&[], |status| &status.conditions);
    let conditions = fold(legs, old, generation, now);
    let Some(observed) = observed else {
        return PrivateGenAINetworkStatus {
            observed_generation: generation,
            conditions,
            ..before.cloned().unwrap_or_default()
        };
    };
    let endpoints: Vec<(Service, &VpcEndpoint)> = Service::ALL
        .iter()
        .filter_map(|service| Some((*service, observed.endpoints_of(*service).first().copied()?)))
        .collect();
    PrivateGenAINetworkStatus {
        observed_generation: generation,
        conditions,
        account_id: account.map(ToString::to_string),
        subnet_ids: endpoints
            .iter()
            .flat_map(|(_, endpoint)| endpoint.subnets.iter().map(ToString::to_string))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        security_groups: observed.group(FUNCTIONS_GROUP).zip(observed.group(ENDPOINTS_GROUP)).map(
            |(functions, endpoints)| SecurityGroupsStatus {
                functions: functions.id.to_string(),
                endpoints: endpoints.id.to_string(),
            },
        ),
        endpoints: endpoints.iter().map(|(service, endpoint)| endpoint_status(*service, endpoint, observed)).collect(),
    }
}

fn endpoint_status(service: Service, endpoint: &VpcEndpoint, observed: &Observed) -> EndpointStatus {
    let interfaces: Vec<InterfaceStatus> = endpoint
        .interfaces
        .iter()
        .filter_map(|id| observed.interfaces.get(id))
        .map(|interface| InterfaceStatus {
            network_interface_id: interface.id.to_string(),
            subnet_id: interface.subnet.to_string(),
            availability_zone: interface.zone.to_string(),
            private_ip_address: interface.private_ip.clone(),
        })
        .collect();
    EndpointStatus {
        service: service.as_str().to_owned(),
        vpc_endpoint_id: endpoint.id.to_string(),
        state: endpoint.state.as_str().to_owned(),
        private_dns_enabled: endpoint.private_dns,
        dns_names: endpoint.dns_names.clone(),
        private_ip_addresses: interfaces.iter().map(|interface| interface.private_ip_address.clone()).collect(),
        interfaces,
        models: endpoint.policy.as_ref().map(allowed_models).unwrap_or_default(),
    }
}

/// The foundation models that a policy of ours names, read back from what AWS has.
fn allowed_models(policy: &PolicyDocument) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(policy.as_str()).unwrap_or_default();
    let models: BTreeSet<String> = document["Statement"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|statement| match &statement["Resource"] {
            serde_json::Value::Array(resources) => resources.clone(),
            one => vec![one.clone()],
        })
        .filter_map(|resource| Some(resource.as_str()?.split_once(":foundation-model/")?.1.to_owned()))
        .collect();
    models.into_iter().collect()
}
