//! The desired function of an app.

use std::collections::BTreeSet;

use crate::{
    api::app::App,
    app::{NetworkOffer, PrivatePath},
    aws::{Architecture, Caller, Environment, FunctionConfiguration, Package},
    function,
    identity::AppIdentity,
    network::Service,
};

/// The variable in which the built-in handler finds its models, as a JSON array.
const MODELS_VARIABLE: &str = "PRIVATE_GENAI_MODELS";

/// The desired function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DesiredFunction {
    pub configuration: FunctionConfiguration,
    pub architecture: Architecture,
    pub package: Package,
    pub attachment: AttachmentSource,
}

/// Where the attachment to the VPC comes from, by the offer of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttachmentSource {
    /// The network is ready: the function is created, and moved where the network says.
    Network,
    /// The network recorded a path: an existing function keeps its attachment, or comes back to the path if somebody took it out. A
    /// missing function waits.
    Recorded,
    /// No path is recorded: an existing function keeps its attachment, and a missing one waits.
    Unknown,
}

impl DesiredFunction {
    /// The function of an app on a network with this offer, with this package of the built-in handler.
    pub(in crate::app) fn new(
        app: &App,
        identity: &AppIdentity,
        caller: &Caller,
        handler: &Package,
        offer: &NetworkOffer,
    ) -> Self {
        let path = offer.path();
        let subnets = match path {
            Some(path) if app.subnets.is_empty() => path.subnets.clone(),
            Some(_) => app.subnets.clone(),
            None => BTreeSet::new(),
        };
        Self {
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
            package: handler.clone(),
            attachment: match (offer, path) {
                (NetworkOffer::Ready(_), _) => AttachmentSource::Network,
                (NetworkOffer::Preparing(_) | NetworkOffer::Unavailable(_), Some(_)) => AttachmentSource::Recorded,
                (NetworkOffer::Preparing(_) | NetworkOffer::Unavailable(_), None) => AttachmentSource::Unknown,
            },
        }
    }

    /// The desired configuration of a function that has this one now. A move waits for the network.
    pub fn configuration_of(&self, found: &FunctionConfiguration) -> FunctionConfiguration {
        let desired = &self.configuration;
        // A group belongs to one VPC: a function that carries the functions' group alone is on the path.
        let is_attached = !found.subnets.is_empty() && found.security_groups == desired.security_groups;
        match self.attachment {
            AttachmentSource::Recorded if is_attached => {
                FunctionConfiguration { subnets: found.subnets.clone(), ..desired.clone() }
            }
            AttachmentSource::Network | AttachmentSource::Recorded => desired.clone(),
            AttachmentSource::Unknown => {
                let mut variables = desired.environment.variables().clone();
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
                    ..desired.clone()
                }
            }
        }
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
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{
        api::app::LogRetention,
        app::{
            Desired,
            fixtures::{app, caller, identity, listing, network_status, path, settings, smallest},
        },
        aws::SubnetId,
    };

    const URL_VARIABLE: &str = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME";

    fn function(app: &App, path: &PrivatePath) -> DesiredFunction {
        Desired::new(app, identity(), &caller(), &settings(), &NetworkOffer::Ready(path.clone())).function
    }

    fn environment_of(app: &App, path: &PrivatePath) -> BTreeMap<String, String> {
        function(app, path).configuration.environment.variables().clone()
    }

    #[test]
    fn the_environment_has_the_endpoint_s_address_iff_the_public_name_leads_elsewhere() {
        let public = environment_of(&smallest(), &path());
        assert_eq!(public.get(URL_VARIABLE), None);
        let own = environment_of(&smallest(), &PrivatePath::new(&network_status(false)).expect("a path"));
        assert_eq!(own.get(URL_VARIABLE).map(String::as_str), Some("https://vpce-1.example"), "the regional name");
    }

    #[test]
    fn the_handler_finds_models_in_the_user_s_order_and_the_user_s_variables() {
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
    fn a_function_is_attached_to_the_network_s_or_its_own_subnets_and_one_group_alone() {
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
        let desired = Desired::new(&app, identity(), &caller(), &settings(), &NetworkOffer::Ready(path()));
        let DesiredFunction { configuration, architecture, package, .. } = desired.function;
        assert_eq!((configuration.memory_mib, configuration.timeout_seconds), (256, 30));
        assert_eq!(desired.log_retention, LogRetention::Exactly(7));
        assert_eq!(configuration.role_arn, identity().role_arn(&caller()));
        assert_eq!((configuration.runtime.as_str(), configuration.handler.as_str()), ("nodejs24.x", "index.handler"));
        assert_eq!(architecture, Architecture::Arm64);
        assert_eq!(package, settings().handler);
    }

    #[test]
    fn a_function_is_moved_by_a_ready_network_and_brought_back_by_its_record() {
        let on = |offer: NetworkOffer| Desired::new(&smallest(), identity(), &caller(), &settings(), &offer);
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
        assert_eq!(unknown.configuration_of(&own), own, "the known address stays");
        assert_eq!(ready.configuration_of(&own), at_rest);
    }
}
