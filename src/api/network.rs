//! `PrivateGenAINetwork`: the private path inside one VPC, shared by all apps there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt as _, api::DynamicObject};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DeletionPolicy, EndpointStatus, IMPLICIT_LABEL, InvalidSpec, SecurityGroupsStatus};
use crate::aws::{Region, VpcId};

/// The private path inside one VPC, shared by all apps there: two security groups and the interface endpoints.
///
/// The operator creates one for apps that name an allowed VPC, and removes it after the last of them.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "privategenai.dev",
    version = "v1alpha1",
    kind = "PrivateGenAINetwork",
    plural = "privategenainetworks",
    shortname = "pgain",
    category = "privategenai",
    status = "PrivateGenAINetworkStatus",
    derive = "PartialEq",
    doc = "The private path inside one VPC, shared by all apps there: two security groups and the interface endpoints.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "VPC", type_ = "string", json_path = ".spec.vpcId"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Endpoint-ID",
        type_ = "string",
        priority = 1,
        json_path = ".status.endpoints[0].vpcEndpointId"
    ),
    printcolumn(
        name = "Private-IPs",
        type_ = "string",
        priority = 1,
        json_path = ".status.endpoints[0].privateIpAddresses"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.vpcId == oldSelf.vpcId && self.region == oldSelf.region").message(
        "spec.vpcId and spec.region cannot be changed: a network is its VPC; \
         write a new PrivateGenAINetwork for another VPC"
    )
)]
pub struct PrivateGenAINetworkSpec {
    /// The VPC.
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new("self.matches('^vpc-([0-9a-f]{8}|[0-9a-f]{17})$')").message(
            "must be a VPC id: write it as AWS shows it, such as vpc-0123456789abcdef0"
        )
    )]
    pub vpc_id: String,
    /// The region of the VPC.
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.matches('^[a-z]{2,}(-[a-z]+)*-(central|east|north|northeast|northwest|south|southeast|southwest|west)-[0-9]+$')"
        )
        .message(Message::Expression(
            "'must be an AWS region, and ' + self + ' is none: write its code, such as us-east-1'".into()
        ))
    )]
    pub region: String,
    /// About endpoints and security groups, once no app uses them. The CRD shows the comment of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

impl PrivateGenAINetworkSpec {
    /// A network for a VPC, with defaults.
    pub fn of(key: &NetworkKey) -> Self {
        Self { vpc_id: key.vpc.to_string(), region: key.region.to_string(), deletion_policy: None }
    }
}

/// The observed state of a network.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateGenAINetworkStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One condition for each part of the path, and `Ready`, which summarizes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The installation id of the operator that manages this object. Operators with another id do nothing for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// The VPC of the network, as it was last read. By this the network can be deleted when its spec cannot be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// The region of that VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The account of the VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The subnets of the endpoints, and of the functions whose apps name no subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnet_ids: Vec<String>,
    /// The two security groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<SecurityGroupsStatus>,
    /// The interface endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["service".into()]))]
    pub endpoints: Vec<EndpointStatus>,
}

impl PrivateGenAINetworkStatus {
    /// The same status with sorted lists. The API server keeps the order in which members were added.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.conditions.sort_by(|left, right| left.type_.cmp(&right.type_));
        self.endpoints.sort_by(|left, right| left.service.cmp(&right.service));
        self
    }
}

/// The VPC of a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkKey {
    /// The region of the VPC.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcId,
}

impl NetworkKey {
    /// Reads the key from a part of an object that cannot be decoded. `home` is the default region; `None` where the region is
    /// required.
    pub fn of_raw(part: &Value, home: Option<&Region>) -> Option<Self> {
        let region = match &part["region"] {
            Value::Null => home?.clone(),
            region => region.as_str()?.parse().ok()?,
        };
        Some(Self { region, vpc: part["vpcId"].as_str()?.parse().ok()? })
    }

    /// Reads the key of a `PrivateGenAINetwork` that cannot be decoded: from its spec, else from its status, else from the name
    /// that the operator gave to the object.
    pub fn of_raw_network(network: &DynamicObject) -> Option<Self> {
        let (spec, status) = (&network.data["spec"], &network.data["status"]);
        Self::of_raw(spec, None).or_else(|| Self::of_raw(status, None)).or_else(|| {
            network.labels().get(IMPLICIT_LABEL).filter(|value| *value == "true")?;
            let name = network.name_any();
            // `vpc-0123456789abcdef0-us-east-1`
            let (at, _) = name.match_indices('-').nth(1)?;
            Some(Self { region: name.get(at + 1..)?.parse().ok()?, vpc: name.get(..at)?.parse().ok()? })
        })
    }
}

impl TryFrom<&PrivateGenAINetworkSpec> for NetworkKey {
    type Error = InvalidSpec;

    fn try_from(spec: &PrivateGenAINetworkSpec) -> Result<Self, InvalidSpec> {
        Ok(Self {
            region: spec.region.parse().map_err(|error| InvalidSpec::new("spec.region", error))?,
            vpc: spec.vpc_id.parse().map_err(|error| InvalidSpec::new("spec.vpcId", error))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_vpc_of_an_unreadable_network_is_read_from_spec_then_status_then_name() {
        let key = |spec: Value, status: Value, name: &str, implicit: bool| {
            let labels = if implicit { json!({IMPLICIT_LABEL: "true"}) } else { json!({}) };
            let object = json!({
                "apiVersion": "privategenai.dev/v1alpha1", "kind": "PrivateGenAINetwork",
                "metadata": {"name": name, "labels": labels}, "spec": spec, "status": status,
            });
            let object: DynamicObject = serde_json::from_value(object).expect("an object");
            NetworkKey::of_raw_network(&object).map(|key| format!("{} {}", key.vpc, key.region))
        };
        let place = |vpc: &str| json!({"vpcId": vpc, "region": "eu-west-1"});
        let (a, b) = ("vpc-0000000a", "vpc-0000000b");
        assert_eq!(key(place(a), place(b), "n", false).as_deref(), Some("vpc-0000000a eu-west-1"));
        assert_eq!(
            key(json!({"vpc": {"create": {}}}), place(b), "n", false).as_deref(),
            Some("vpc-0000000b eu-west-1")
        );
        let named = "vpc-0123456789abcdef0-us-gov-west-1";
        let key_of_name = Some("vpc-0123456789abcdef0 us-gov-west-1");
        assert_eq!(key(json!({"vpcId": a}), json!(7), named, true).as_deref(), key_of_name);
        assert_eq!(key(json!({}), json!({}), named, false), None, "people choose the names of their own networks");
        for other in ["", "vpc", "vpc-0000000a", "vpc-0000000a-", "prod-eu-west-1"] {
            assert_eq!(key(json!({}), json!({}), other, true), None, "{other}");
        }
    }
}
