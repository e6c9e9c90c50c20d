//! `PrivateGenAIApp`: the object that an app team writes.

mod validated;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{DeletionPolicy, EndpointStatus};

pub use validated::{App, Function, LogRetention};

/// A function that calls models in Amazon Bedrock over a private path.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "privategenai.dev",
    version = "v1alpha1",
    kind = "PrivateGenAIApp",
    plural = "privategenaiapps",
    shortname = "pgai",
    category = "privategenai",
    namespaced,
    status = "PrivateGenAIAppStatus",
    derive = "PartialEq",
    doc = "A function that calls models in Amazon Bedrock over a private path.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.models[0]"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoints[0].state"),
    printcolumn(name = "Function", type_ = "string", json_path = ".status.function.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "VPC", type_ = "string", priority = 1, json_path = ".spec.network.vpcId"),
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
    validation = Rule::new("has(self.network)").message(
        "spec.network is missing: name the VPC, as in network: {vpcId: vpc-0123456789abcdef0}"
    ),
    validation = Rule::new("has(self.models) && self.models.size() > 0").message(
        "spec.models is missing: list at least one model, as in models: [amazon.nova-lite-v1:0]"
    ),
    validation = Rule::new(
        "has(self.network) == has(oldSelf.network) && (!has(self.network) || self.network == oldSelf.network)"
    )
    .message("spec.network cannot be changed: create another PrivateGenAIApp for another network")
)]
pub struct PrivateGenAIAppSpec {
    /// The network that the function is attached to. Required; cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSpec>,
    /// The foundation models that the function may call, by their IDs; the first is the default one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 128)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(m, m.matches('^[a-z0-9-]+[.][A-Za-z0-9._:-]+$'))").message(Message::Expression(
            "'must be foundation model IDs, and ' + self.filter(m, \
             !m.matches('^[a-z0-9-]+[.][A-Za-z0-9._:-]+$'))[0] + ' is none: write each as the Bedrock console shows it, such as \
             amazon.nova-lite-v1:0'"
                .into()
        )),
        validation = Rule::new(
            "self.all(m, !m.matches('^(us|us-gov|eu|apac|au|ca|jp|sa|me|af|in|uk|global)[.]'))"
        )
        .message(Message::Expression(
            "'must be foundation model IDs, and ' + self.filter(m, \
             m.matches('^(us|us-gov|eu|apac|au|ca|jp|sa|me|af|in|uk|global)[.]'))[0] + ' is an inference profile: this version does not support \
             profiles: write the model\\'s own ID, such as amazon.nova-lite-v1:0'"
                .into()
        ))
    )]
    pub models: Vec<String>,
    /// The function. Without it, the built-in handler runs with defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionSpec>,
    /// About function, role and log group, and with Retain also the network that they need. The CRD shows the comment of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether the app is suspended; false by default. For a suspended app the operator changes nothing in AWS, and the status names
    /// the changes that it would make. The app keeps its place on its network, and deletion proceeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How the operator probes the path again after the first successful probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckSpec>,
}

/// The network of the function.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.vpcId)").message(
        "vpcId is missing: name the VPC, as in network: {vpcId: vpc-0123456789abcdef0}"
    )
)]
pub struct NetworkSpec {
    /// The VPC. The operator's configuration must allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new("self.matches('^vpc-([0-9a-f]{8}|[0-9a-f]{17})$')").message(
            "must be a VPC id: write it as AWS shows it, such as vpc-0123456789abcdef0"
        )
    )]
    pub vpc_id: Option<String>,
    /// The region of the VPC; by default the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.matches('^[a-z]{2,}(-[a-z]+)*-(central|east|north|northeast|northwest|south|southeast|southwest|west)-[0-9]+$')"
        )
        .message(Message::Expression(
            "'must be an AWS region, and ' + self + ' is none: write its code, such as us-east-1'".into()
        ))
    )]
    pub region: Option<String>,
    /// The private subnets of the function, in at least two availability zones; by default one for each zone that the
    /// service offers, chosen by the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 32)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(s, s.matches('^subnet-([0-9a-f]{8}|[0-9a-f]{17})$'))").message(Message::Expression(
            "'must be subnet ids, and ' + self.filter(s, \
             !s.matches('^subnet-([0-9a-f]{8}|[0-9a-f]{17})$'))[0] + ' is none: write each as AWS shows it, such as \
             subnet-0123456789abcdef0'"
                .into()
        ))
    )]
    pub subnet_ids: Vec<String>,
}

/// The function.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSpec {
    /// Memory in MiB, 128 to 10240; by default 512. Processor time grows with it.
    #[serde(rename = "memoryMiB", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 128, max = 10240))]
    pub memory_mib: Option<i32>,
    /// The time limit of one invocation in seconds, 1 to 900; by default 120.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 900))]
    pub timeout_seconds: Option<i32>,
    /// Environment variables, at most 4 KB in all. Not for secrets: everybody who can read the object can read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(
        validation = Rule::new("self.all(k, k.matches('^[a-zA-Z][a-zA-Z0-9_]{1,127}$'))").message(Message::Expression(
            "'must have names that Lambda allows, and ' + self.filter(k, \
             !k.matches('^[a-zA-Z][a-zA-Z0-9_]{1,127}$'))[0] + ' is none: a name is a letter, then letters, digits and underscores, \
             2 to 128 characters'"
                .into()
        )),
        validation = Rule::new(
            "self.all(k, !k.startsWith('AWS_') && !k.startsWith('LAMBDA_') && !k.startsWith('PRIVATE_GENAI_'))"
        )
        .message(Message::Expression(
            "'must not set AWS_…, LAMBDA_… or PRIVATE_GENAI_… variables, as ' + self.filter(k, k.startsWith('AWS_') || \
             k.startsWith('LAMBDA_') || k.startsWith('PRIVATE_GENAI_'))[0] + ': choose another name; these are set for you'"
                .into()
        )),
        validation = Rule::new("self.map(k, k.size() + self[k].size()).sum() <= 4096").message(
            "must have at most 4,096 characters in all, names included: Lambda takes no more"
        )
    )]
    pub environment: BTreeMap<String, String>,
    /// The log of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<LoggingSpec>,
}

/// The log of a function.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggingSpec {
    /// The retention of the log in days. A value that is set is kept exactly. By default 30, or longer where somebody gave the log group
    /// a longer retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new(
            "self in [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, \
             3288, 3653]"
        )
        .message(
            "must be a number of days that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, \
             545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653"
        )
    )]
    pub retention_days: Option<i32>,
}

/// How the operator probes the path again after the first successful probe.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckSpec {
    /// How often the function is invoked to probe the path, in seconds, 60 to 86400; by default the apps of a network are
    /// probed in turn, one at each resync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 86400))]
    pub interval_seconds: Option<i32>,
}

/// The observed state of an app.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateGenAIAppStatus {
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
    /// The network that the app is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<AppNetworkStatus>,
    /// The interface endpoints that the app uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["service".into()]))]
    pub endpoints: Vec<EndpointStatus>,
    /// The execution role of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<ExecutionRoleStatus>,
    /// The function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionStatus>,
}

impl PrivateGenAIAppStatus {
    /// The same status with sorted lists. The API server keeps the order in which members were added.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.conditions.sort_by(|left, right| left.type_.cmp(&right.type_));
        self.endpoints.sort_by(|left, right| left.service.cmp(&right.service));
        self
    }
}

/// The network that an app is on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppNetworkStatus {
    /// The name of the PrivateGenAINetwork.
    pub name: String,
    /// The VPC of the network.
    pub vpc_id: String,
    /// The region of the VPC.
    pub region: String,
}

/// The execution role of an app's function.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionRoleStatus {
    /// The ARN of the role.
    pub arn: String,
}

/// An app's function.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// The name of the function.
    pub name: String,
    /// The ARN of the function, for invoking it.
    pub arn: String,
    /// The state of the function in AWS, such as `Active`.
    pub state: String,
    /// The status of the last update in AWS, such as `Successful`.
    pub last_update_status: String,
    /// The SHA-256 of the function's code, in Base64.
    pub code_sha256: String,
    /// The unique id of the execution role that the function was configured with. A role that is created again under the same name
    /// is another principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role_id: Option<String>,
    /// When the function was last changed, as AWS reports. While this is unchanged, the fields above hold.
    pub last_modified: String,
    /// The log group of the function.
    pub log_group: String,
}

#[cfg(test)]
mod tests;
