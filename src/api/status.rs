//! Parts of the status of both kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The observed state of an interface endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// The service that the endpoint leads to, such as `bedrock-runtime`.
    pub service: String,
    /// The id of the endpoint.
    pub vpc_endpoint_id: String,
    /// The state of the endpoint in AWS, such as `available`.
    pub state: String,
    /// Whether the endpoint has taken over the service's public DNS name in the VPC.
    pub private_dns_enabled: bool,
    /// The DNS names of the endpoint, the regional one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// The private addresses that those names resolve to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ip_addresses: Vec<String>,
    /// The network interfaces of the endpoint, one in each availability zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceStatus>,
    /// The models that the endpoint's policy allows; in the status of an app, only the app's models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// A network interface of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceStatus {
    /// The id of the interface.
    pub network_interface_id: String,
    /// The subnet of the interface.
    pub subnet_id: String,
    /// The availability zone of that subnet.
    pub availability_zone: String,
    /// The private IPv4 address of the interface.
    pub private_ip_address: String,
}

/// The two security groups of a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupsStatus {
    /// The group of the functions: nothing in, HTTPS to the endpoints out.
    pub functions: String,
    /// The group of the endpoints: HTTPS from functions in, nothing out.
    pub endpoints: String,
}
