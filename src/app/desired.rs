//! What an app's resources should be, given its spec and what its network offers.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{PrivateGenAINetworkStatus, app::App},
    aws::{
        Architecture, Caller, Environment, FunctionConfiguration, Package, PolicyDocument, SecurityGroupId, SubnetId,
        Tags,
    },
    function,
    identity::AppIdentity,
    network::Service,
    policy::{ModelId, execution_policy, trust_policy},
};

/// The variable in which the built-in handler finds the models that it may call, as a JSON array.
const MODELS_VARIABLE: &str = "PRIVATE_GENAI_MODELS";

/// What the network offers to functions: read from its status, so from AWS and not from hope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The subnets for functions that name none.
    pub subnets: BTreeSet<SubnetId>,
    /// The group that functions carry.
    pub security_group: SecurityGroupId,
    /// Where to call each service instead of at its public name; without an entry the public name leads to the
    /// endpoint.
    pub endpoint_urls: BTreeMap<Service, String>,
}

impl Path {
    /// Reads the path from a network's status; `None` while there is none.
    pub fn new(status: &PrivateGenAINetworkStatus) -> Option<Self> {
        let mut endpoint_urls = BTreeMap::new();
        for service in Service::ALL {
            let endpoint = status.endpoints.iter().find(|endpoint| endpoint.service == service.as_str())?;
            if !endpoint.private_dns_enabled {
                endpoint_urls.insert(*service, format!("https://{}", endpoint.dns_names.first()?));
            }
        }
        let subnets: BTreeSet<SubnetId> =
            status.subnet_ids.iter().map(|id| id.parse().ok()).collect::<Option<_>>()?;
        if subnets.is_empty() {
            // A function without subnets is outside the VPC.
            return None;
        }
        Some(Self {
            subnets,
            security_group: status.security_groups.as_ref()?.functions.parse().ok()?,
            endpoint_urls,
        })
    }
}

/// What an app's resources should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Desired {
    /// Which app.
    pub identity: AppIdentity,
    /// The tags of everything of it.
    pub tags: Tags,
    /// Who may assume the role.
    pub trust_policy: PolicyDocument,
    /// What the role may do.
    pub execution_policy: PolicyDocument,
    /// For how many days the log is kept.
    pub retention_days: u32,
    /// The function; `None` while the network offers no path to attach it to.
    pub function: Option<DesiredFunction>,
}

/// What an app's function should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DesiredFunction {
    /// Its configuration.
    pub configuration: FunctionConfiguration,
    /// Its processor.
    pub architecture: Architecture,
    /// Its code.
    pub package: Package,
}

impl Desired {
    /// Decides what an app's resources should be.
    pub fn new(app: &App, identity: AppIdentity, caller: &Caller, path: Option<&Path>) -> Self {
        let models: BTreeSet<ModelId> = app.models.iter().cloned().collect();
        Self {
            tags: identity.tags(),
            trust_policy: trust_policy(),
            execution_policy: execution_policy(&identity, caller, &models),
            retention_days: app.function.retention_days,
            function: path.map(|path| DesiredFunction {
                configuration: FunctionConfiguration {
                    role_arn: identity.role_arn(caller),
                    runtime: function::RUNTIME.to_owned(),
                    handler: function::HANDLER.to_owned(),
                    memory_mib: app.function.memory_mib,
                    timeout_seconds: app.function.timeout_seconds,
                    environment: environment(app, path),
                    subnets: if app.subnets.is_empty() { path.subnets.clone() } else { app.subnets.clone() },
                    security_groups: [path.security_group.clone()].into(),
                },
                architecture: function::architecture(&identity.region),
                package: function::built_in().clone(),
            }),
            identity,
        }
    }
}

fn environment(app: &App, path: &Path) -> Environment {
    let mut variables = app.function.environment.variables().clone();
    let models: Vec<String> = app.models.iter().map(ToString::to_string).collect();
    variables.insert(MODELS_VARIABLE.to_owned(), serde_json::json!(models).to_string());
    for (service, url) in &path.endpoint_urls {
        variables.insert(service.endpoint_url_variable().to_owned(), url.clone());
    }
    Environment::new(variables)
}
