//! What an app's resources should be, given its spec and what its network offers.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{
        PrivateGenAINetworkStatus,
        app::{App, LogRetention},
    },
    aws::{
        Architecture, Caller, Environment, FunctionConfiguration, Package, PolicyDocument, SecurityGroupId, SubnetId,
        Tags,
    },
    function,
    governance::Governance,
    identity::AppIdentity,
    network::Service,
    policy::{ModelId, execution_policy, trust_policy},
};

/// The variable in which the built-in handler finds the models that it may call, as a JSON array.
const MODELS_VARIABLE: &str = "PRIVATE_GENAI_MODELS";

/// What the network offers to functions: read from its status, so from AWS and not from hope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivatePath {
    /// The subnets for functions that name none.
    pub subnets: BTreeSet<SubnetId>,
    /// The group that functions carry.
    pub security_group: SecurityGroupId,
    /// Where to call each service instead of at its public name; without an entry the public name leads to the
    /// endpoint.
    pub endpoint_urls: BTreeMap<Service, String>,
}

impl PrivatePath {
    /// Reads the path from a network's status; `None` while there is none.
    pub fn new(status: &PrivateGenAINetworkStatus) -> Option<Self> {
        let mut endpoint_urls = BTreeMap::new();
        for service in Service::ALL {
            let endpoint = status.endpoints.iter().find(|endpoint| endpoint.service == service.as_str())?;
            if !endpoint.private_dns_enabled {
                endpoint_urls.insert(*service, format!("https://{}", endpoint.dns_names.first()?));
            }
        }
        let subnets: BTreeSet<SubnetId> = status.subnet_ids.iter().map(|id| id.parse().ok()).collect::<Option<_>>()?;
        if subnets.is_empty() {
            // A function without subnets is outside the VPC.
            return None;
        }
        Some(Self { subnets, security_group: status.security_groups.as_ref()?.functions.parse().ok()?, endpoint_urls })
    }
}

/// What a network offers now: whether anything may be created by it, and where functions are by what it recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkOffer {
    /// It is ready, and lets the app's models through: functions are created here, and moved here.
    Ready(PrivatePath),
    /// Its VPC can carry the path, which is being built or put right: a role and a log group are made in advance.
    Preparing(Option<PrivatePath>),
    /// Whether its VPC can carry the path is not known, or it cannot: nothing new is created.
    Unavailable(Option<PrivatePath>),
}

impl NetworkOffer {
    /// Where functions are, as far as it is recorded.
    pub fn path(&self) -> Option<&PrivatePath> {
        match self {
            Self::Ready(path) => Some(path),
            Self::Preparing(path) | Self::Unavailable(path) => path.as_ref(),
        }
    }
}

/// What may be done about an app's function by what its network offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttachmentSource {
    /// It is created, and moved to where the network says.
    Network,
    /// It is kept exact where it is. One that is missing waits, and one that somebody took out of the path comes back to it.
    Recorded,
    /// The same, and nobody knows where it should be: what attaches it to a VPC stays as it is.
    Unknown,
}

/// Whether what an app is missing is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Creation {
    /// Role and log group are.
    Allowed,
    /// Only what a function that is there needs.
    Stopped,
}

/// What an app's resources should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Desired {
    /// Which app.
    pub identity: AppIdentity,
    /// The tags of everything of it.
    pub tags: Tags,
    /// The execution role.
    pub role: DesiredRole,
    /// For how many days the log is kept.
    pub log_retention: LogRetention,
    /// The function.
    pub function: DesiredFunction,
    /// Whether what is missing is created.
    pub creation: Creation,
}

/// What an app's execution role should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DesiredRole {
    /// Who may assume it.
    pub trust_policy: PolicyDocument,
    /// What it may do.
    pub policy: PolicyDocument,
    /// Its permissions boundary, and tags beside those that identify it.
    pub governance: Governance,
}

impl DesiredRole {
    /// The role of an app that calls these models.
    pub fn new(identity: &AppIdentity, caller: &Caller, models: &BTreeSet<ModelId>, governance: &Governance) -> Self {
        let policy = execution_policy(identity, caller, models);
        Self { trust_policy: trust_policy(), policy, governance: governance.clone() }
    }
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
    /// What may be done about it.
    pub attachment: AttachmentSource,
}

impl DesiredFunction {
    /// What the configuration of a function should be that is there like this. Moving it waits for the network.
    pub fn configuration_of(&self, found: &FunctionConfiguration) -> FunctionConfiguration {
        let wanted = &self.configuration;
        // A group is of one VPC: whatever carries the functions' group alone is on the path.
        let is_attached = !found.subnets.is_empty() && found.security_groups == wanted.security_groups;
        match self.attachment {
            AttachmentSource::Recorded if is_attached => {
                FunctionConfiguration { subnets: found.subnets.clone(), ..wanted.clone() }
            }
            AttachmentSource::Network | AttachmentSource::Recorded => wanted.clone(),
            AttachmentSource::Unknown => {
                let mut variables = wanted.environment.variables().clone();
                for name in Service::ALL.iter().map(|service| service.endpoint_url_variable()) {
                    match found.environment.variables().get(name) {
                        Some(url) => drop(variables.insert(name.to_owned(), url.clone())),
                        None => drop(variables.remove(name)),
                    }
                }
                FunctionConfiguration {
                    subnets: found.subnets.clone(),
                    security_groups: found.security_groups.clone(),
                    environment: Environment::new(variables),
                    ..wanted.clone()
                }
            }
        }
    }
}

impl Desired {
    /// Decides what an app's resources should be.
    pub fn new(
        app: &App,
        identity: AppIdentity,
        caller: &Caller,
        governance: &Governance,
        ground: &NetworkOffer,
    ) -> Self {
        let models: BTreeSet<ModelId> = app.models.iter().cloned().collect();
        let path = ground.path();
        let (anchor, making) = match (ground, path) {
            (NetworkOffer::Ready(_), _) => (AttachmentSource::Network, Creation::Allowed),
            (NetworkOffer::Preparing(_), Some(_)) => (AttachmentSource::Recorded, Creation::Allowed),
            (NetworkOffer::Preparing(_), None) => (AttachmentSource::Unknown, Creation::Allowed),
            (NetworkOffer::Unavailable(_), Some(_)) => (AttachmentSource::Recorded, Creation::Stopped),
            (NetworkOffer::Unavailable(_), None) => (AttachmentSource::Unknown, Creation::Stopped),
        };
        let subnets = match path {
            Some(path) if app.subnets.is_empty() => path.subnets.clone(),
            Some(_) => app.subnets.clone(),
            None => BTreeSet::new(),
        };
        Self {
            tags: governance.tagged(identity.tags()),
            role: DesiredRole::new(&identity, caller, &models, governance),
            log_retention: app.function.log_retention,
            function: DesiredFunction {
                configuration: FunctionConfiguration {
                    role_arn: identity.role_arn(caller),
                    runtime: function::RUNTIME.to_owned(),
                    handler: function::HANDLER.to_owned(),
                    memory_mib: app.function.memory_mib,
                    timeout_seconds: app.function.timeout_seconds,
                    environment: environment(app, path),
                    subnets,
                    security_groups: path.map(|path| path.security_group.clone()).into_iter().collect(),
                },
                architecture: function::architecture(&identity.region),
                package: function::built_in().clone(),
                attachment: anchor,
            },
            creation: making,
            identity,
        }
    }

    /// The same whatever the network offers for now: by this it is known whether what differs is drift.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let function = DesiredFunction { attachment: AttachmentSource::Network, ..self.function.clone() };
        Self { function, creation: Creation::Allowed, ..self.clone() }
    }
}

fn environment(app: &App, path: Option<&PrivatePath>) -> Environment {
    let mut variables = app.function.environment.variables().clone();
    let models: Vec<String> = app.models.iter().map(ToString::to_string).collect();
    variables.insert(MODELS_VARIABLE.to_owned(), serde_json::json!(models).to_string());
    for (service, url) in path.into_iter().flat_map(|path| &path.endpoint_urls) {
        variables.insert(service.endpoint_url_variable().to_owned(), url.clone());
    }
    Environment::new(variables)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::fixtures::{app, caller, identity, listing, network_status, path, smallest};

    const URL_VARIABLE: &str = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME";

    fn function(app: &App, path: &PrivatePath) -> DesiredFunction {
        Desired::new(app, identity(), &caller(), &Governance::default(), &NetworkOffer::Ready(path.clone())).function
    }

    fn environment_of(app: &App, path: &PrivatePath) -> BTreeMap<String, String> {
        function(app, path).configuration.environment.variables().clone()
    }

    #[test]
    fn the_endpoint_s_address_is_in_the_environment_exactly_when_the_public_name_does_not_lead_there() {
        let public = environment_of(&smallest(), &path());
        assert_eq!(public.get(URL_VARIABLE), None);
        let own = environment_of(&smallest(), &PrivatePath::new(&network_status(false)).expect("a path"));
        assert_eq!(own.get(URL_VARIABLE).map(String::as_str), Some("https://vpce-1.example"), "the regional name");
    }

    #[test]
    fn the_handler_finds_its_models_in_the_user_s_order_and_the_user_s_own_variables_beside_them() {
        let app = app(json!({
            "network": {"vpcId": "vpc-0abc1234"},
            "models": ["z.model", "a.model"],
            "function": {"environment": {"GREETING": "hello", "PRIVATE_GENAI_MODELS": "[]"}},
        }));
        let variables = environment_of(&app, &path());
        let expected = [("GREETING", "hello"), ("PRIVATE_GENAI_MODELS", r#"["z.model","a.model"]"#)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables, expected.into(), "nothing that is set for the user can be set by them");
    }

    #[test]
    fn a_function_is_attached_to_the_network_s_subnets_or_to_its_own_and_always_to_the_functions_group_alone() {
        let ids = |ids: &[&str]| -> BTreeSet<SubnetId> { ids.iter().map(|id| id.parse().expect("a subnet")).collect() };
        let shared = function(&smallest(), &path()).configuration;
        assert_eq!(shared.subnets, ids(&["subnet-000000a1", "subnet-000000b1"]));
        assert_eq!(shared.security_groups, ["sg-0000000f".parse().expect("a group")].into());
        let app = app(json!({
            "network": {"vpcId": "vpc-0abc1234", "subnetIds": ["subnet-000000b2", "subnet-000000a2"]},
            "models": ["a.model"],
        }));
        let own = function(&app, &path()).configuration;
        assert_eq!(own.subnets, ids(&["subnet-000000a2", "subnet-000000b2"]));
        assert_eq!(own.security_groups, shared.security_groups);
    }

    #[test]
    fn a_function_is_what_the_spec_says_and_runs_the_built_in_handler_as_its_own_role() {
        let app = app(json!({
            "network": {"vpcId": "vpc-0abc1234"},
            "models": ["a.model"],
            "function": {"memoryMiB": 256, "timeoutSeconds": 30, "logging": {"retentionDays": 7}},
        }));
        let desired = Desired::new(&app, identity(), &caller(), &Governance::default(), &NetworkOffer::Ready(path()));
        let DesiredFunction { configuration, architecture, package, .. } = desired.function;
        assert_eq!((configuration.memory_mib, configuration.timeout_seconds), (256, 30));
        assert_eq!(desired.log_retention, LogRetention::Exactly(7));
        assert_eq!(configuration.role_arn, identity().role_arn(&caller()));
        assert_eq!((configuration.runtime.as_str(), configuration.handler.as_str()), ("nodejs24.x", "index.handler"));
        assert_eq!(architecture, Architecture::Arm64);
        assert_eq!(package, *function::built_in());
    }

    #[test]
    fn a_role_and_a_log_group_need_no_path_and_a_function_does() {
        let on =
            |ground: NetworkOffer| Desired::new(&smallest(), identity(), &caller(), &Governance::default(), &ground);
        let (rising, ready) = (on(NetworkOffer::Preparing(None)), on(NetworkOffer::Ready(path())));
        assert_eq!((rising.creation, rising.function.attachment), (Creation::Allowed, AttachmentSource::Unknown));
        assert_eq!(Desired { function: rising.function.clone(), ..ready }, rising);
        assert_eq!(on(NetworkOffer::Unavailable(None)).creation, Creation::Stopped);
    }

    #[test]
    fn a_function_is_moved_by_a_network_that_is_ready_and_brought_back_by_what_it_recorded() {
        let on =
            |ground: NetworkOffer| Desired::new(&smallest(), identity(), &caller(), &Governance::default(), &ground);
        let (ready, recorded) =
            (on(NetworkOffer::Ready(path())).function, on(NetworkOffer::Unavailable(Some(path()))).function);
        let unknown = on(NetworkOffer::Unavailable(None)).function;
        let at_rest = listing().configuration;
        for function in [&ready, &recorded, &unknown] {
            assert_eq!(function.configuration_of(&at_rest), at_rest, "{:?}", function.attachment);
            let grown = FunctionConfiguration { memory_mib: 10_240, ..at_rest.clone() };
            assert_eq!(function.configuration_of(&grown), at_rest, "{:?}: what somebody changed", function.attachment);
        }
        let elsewhere =
            FunctionConfiguration { subnets: ["subnet-000000a2".parse().expect("a subnet")].into(), ..at_rest.clone() };
        assert_eq!(ready.configuration_of(&elsewhere), at_rest, "moved");
        assert_eq!(recorded.configuration_of(&elsewhere), elsewhere, "stays where it is");
        let other_group = FunctionConfiguration {
            security_groups: ["sg-00000001".parse().expect("a group")].into(),
            ..at_rest.clone()
        };
        let detached = FunctionConfiguration { subnets: [].into(), security_groups: [].into(), ..at_rest.clone() };
        for taken_out in [other_group, detached] {
            assert_eq!(recorded.configuration_of(&taken_out), at_rest, "back on the path");
            assert_eq!(unknown.configuration_of(&taken_out), taken_out, "nobody knows where to");
        }
        let mut variables = at_rest.environment.variables().clone();
        variables.insert(URL_VARIABLE.to_owned(), "https://vpce-1.example".to_owned());
        let own = FunctionConfiguration { environment: Environment::new(variables), ..at_rest.clone() };
        assert_eq!(unknown.configuration_of(&own), own, "the address that it was told stays");
        assert_eq!(ready.configuration_of(&own), at_rest);
    }

    #[test]
    fn there_is_no_path_until_the_network_shows_all_of_it() {
        type Case = (&'static str, fn(&mut PrivateGenAINetworkStatus));
        let cases: [Case; 6] = [
            ("no endpoint", |it| it.endpoints.clear()),
            ("an endpoint of another service", |it| it.endpoints[0].service = "sqs".to_owned()),
            ("no groups", |it| it.security_groups = None),
            ("no subnets, which would leave the function outside the VPC", |it| it.subnet_ids.clear()),
            ("a subnet that is none", |it| it.subnet_ids.push("subnet".to_owned())),
            ("no DNS name where one is needed", |it| it.endpoints[0].dns_names.clear()),
        ];
        for (what, change) in cases {
            let mut status = network_status(false);
            change(&mut status);
            assert_eq!(PrivatePath::new(&status), None, "{what}");
        }
        let mut unnamed = network_status(true);
        unnamed.endpoints[0].dns_names.clear();
        assert!(PrivatePath::new(&unnamed).is_some(), "the public name leads to the endpoint");
    }
}
