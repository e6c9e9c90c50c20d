//! The facts that a deletion needs about an app, also of an object that this version cannot decode.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{DesiredRole, decide::Principal};
use crate::{
    api::{DeletionPolicy, PrivateGenAIApp, app::App, network::NetworkKey},
    aws::{Caller, Region, Role},
    governance::Governance,
    guard::Allow,
    identity::AppIdentity,
    policy::{ModelId, models_of_role},
};

/// The facts in the object of an app that is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppDeletion {
    /// The policy for the app's resources.
    pub policy: DeletionPolicy,
    /// The network that the app names.
    pub network: Option<NetworkKey>,
    /// The models that the app names; `None` where they cannot be read.
    pub models: Option<BTreeSet<ModelId>>,
    /// The unique id of the role that the function was given, from the status.
    pub given_role_id: Option<String>,
}

impl AppDeletion {
    /// The facts in an object. `home` is the region of an object that names none.
    pub fn of(app: &PrivateGenAIApp, home: &Region) -> Self {
        Self {
            policy: app.spec.deletion_policy.unwrap_or_default(),
            network: App::network(&app.spec, home).ok(),
            models: models(app.spec.models.iter().map(|model| Some(model.as_str()))),
            given_role_id: Principal::of(app.status.as_ref().and_then(|status| status.function.as_ref())).given,
        }
    }

    /// The facts in an object that cannot be decoded. Each field is read by itself, so that an invalid field hides no
    /// other.
    pub fn of_raw(object: &Value, home: &Region) -> Self {
        let (spec, status) = (&object["spec"], &object["status"]);
        let network = |network| NetworkKey::of_raw(network, Some(home));
        Self {
            policy: DeletionPolicy::of_raw(object),
            network: network(&spec["network"]).or_else(|| network(&status["network"])),
            models: spec["models"].as_array().and_then(|ids| models(ids.iter().map(Value::as_str))),
            given_role_id: status["function"]["executionRoleId"].as_str().map(ToOwned::to_owned),
        }
    }

    /// The app as it is to be left in one of its places. The object's models count only in the network that the object
    /// names, and only where the operator allows them.
    pub fn retention(
        &self,
        identity: &AppIdentity,
        caller: &Caller,
        allow: &Allow,
        governance: &Governance,
    ) -> RetainedApp {
        let allowed = |models: &BTreeSet<ModelId>| allow.refusal(&identity.namespace, models).is_none();
        let models = self.models.clone().filter(|models| self.is_about(identity) && allowed(models));
        let (identity, caller, governance) = (identity.clone(), caller.clone(), governance.clone());
        RetainedApp { identity, caller, models, allow: allow.clone(), governance }
    }

    /// The principal of the app's function in one of its places.
    pub fn principal(&self, identity: &AppIdentity) -> Principal {
        Principal { given: self.given_role_id.clone().filter(|_| self.is_about(identity)), found: None }
    }

    /// The app names the network of this place.
    pub fn is_about(&self, identity: &AppIdentity) -> bool {
        self.network.as_ref().is_some_and(|key| key.region == identity.region && key.vpc == identity.vpc)
    }
}

/// The model ids; `None` if one is invalid or there is none.
fn models<'a>(ids: impl Iterator<Item = Option<&'a str>>) -> Option<BTreeSet<ModelId>> {
    let models: Option<BTreeSet<ModelId>> = ids.map(|id| id?.parse().ok()).collect();
    models.filter(|models| !models.is_empty())
}

/// An app whose object goes and whose resources stay in AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetainedApp {
    /// The app and its place.
    pub identity: AppIdentity,
    /// The account and the partition in which the operator works.
    pub caller: Caller,
    /// The models that the function may call; `None` where the object does not tell.
    pub models: Option<BTreeSet<ModelId>>,
    /// The limits of the operator's configuration.
    pub allow: Allow,
    /// The tags and settings of all resources.
    pub governance: Governance,
}

impl RetainedApp {
    /// The desired execution role. Where the object's models cannot be read, the role keeps those of its models that the
    /// operator still allows; a missing role is created again without models, so that Lambda can still manage its
    /// interfaces.
    pub(super) fn role(&self, found: Option<&Role>) -> DesiredRole {
        let Self { identity, allow, .. } = self;
        let given = || found.map(|role| models_of_role(role, &identity.region)).unwrap_or_default();
        let models = self.models.clone().unwrap_or_else(|| allow.narrowed(&identity.namespace, given()));
        DesiredRole::new(&self.identity, &self.caller, &models, &self.governance)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        app::fixtures::{caller, identity, role},
        aws::PolicyDocument,
    };

    fn of_raw(object: &Value) -> AppDeletion {
        AppDeletion::of_raw(object, &identity().region)
    }

    fn here() -> NetworkKey {
        NetworkKey { region: identity().region, vpc: identity().vpc }
    }

    fn nova() -> BTreeSet<ModelId> {
        ["amazon.nova-lite-v1:0".parse().expect("a model")].into()
    }

    #[test]
    fn an_object_says_the_same_of_itself_whether_it_is_read_as_a_whole_or_by_its_parts() {
        let whole = json!({
            "apiVersion": "privategenai.dev/v1alpha1",
            "kind": "PrivateGenAIApp",
            "metadata": {"name": "bot", "namespace": "team-a"},
            "spec": {
                "network": {"vpcId": "vpc-0abc1234"},
                "models": ["amazon.nova-lite-v1:0"],
                "deletionPolicy": "Retain",
            },
            "status": {"function": {
                "name": "pgai", "arn": "arn", "state": "Active", "lastUpdateStatus": "Successful", "codeSha256": "x",
                "executionRoleId": "AROA1", "lastModified": "now", "logGroup": "group",
            }},
        });
        let app: PrivateGenAIApp = serde_json::from_value(whole.clone()).expect("an app");
        let says = AppDeletion {
            policy: DeletionPolicy::Retain,
            network: Some(here()),
            models: Some(nova()),
            given_role_id: Some("AROA1".to_owned()),
        };
        assert_eq!(AppDeletion::of(&app, &identity().region), says);
        assert_eq!(of_raw(&whole), says);
    }

    #[test]
    fn what_is_wrong_with_one_part_of_an_object_takes_no_other_along() {
        let status = json!({"network": {"name": "n", "vpcId": "vpc-0abc1234", "region": "us-east-1"}});
        let unknown = |spec: Value| of_raw(&json!({"spec": spec, "status": status}));
        assert_eq!(unknown(json!({"network": 7, "models": ["amazon.nova-lite-v1:0"]})).models, Some(nova()));
        assert_eq!(unknown(json!({"network": 7})).network, Some(here()), "where it was seen last");
        assert_eq!(unknown(json!({"network": {"vpcId": "vpc-0abc1234", "region": 7}})).network, Some(here()));
        assert_eq!(of_raw(&json!({"spec": "none"})), AppDeletion::default());
        for models in [json!([]), json!(["amazon.nova-lite-v1:0", 7]), json!(["a*"]), json!({"not": "a list"})] {
            assert_eq!(of_raw(&json!({"spec": {"models": models}})).models, None, "{models}");
        }
    }

    #[test]
    fn what_an_app_says_of_itself_is_not_said_of_what_it_has_in_another_vpc() {
        let says = AppDeletion {
            network: Some(here()),
            models: Some(nova()),
            given_role_id: Some("AROA1".to_owned()),
            ..AppDeletion::default()
        };
        let elsewhere = AppIdentity { vpc: "vpc-0def5678".parse().expect("a VPC"), ..identity() };
        let models = |identity: &AppIdentity| {
            says.retention(identity, &caller(), &Allow::default(), &Governance::default()).models
        };
        assert_eq!(models(&identity()), Some(nova()));
        assert_eq!(says.principal(&identity()).given.as_deref(), Some("AROA1"));
        assert_eq!(models(&elsewhere), None);
        assert_eq!(says.principal(&elsewhere), Principal::default());
    }

    #[test]
    fn an_app_does_not_get_on_its_way_out_what_it_may_not_have() {
        let says = AppDeletion { network: Some(here()), models: Some(nova()), ..AppDeletion::default() };
        for (namespaces, models) in [("*", "anthropic.*"), ("another", "*"), ("", "*")] {
            let allow =
                Allow { namespaces: namespaces.parse().expect("globs"), models: models.parse().expect("globs") };
            let retention = says.retention(&identity(), &caller(), &allow, &Governance::default());
            assert_eq!(retention.models, None, "{allow:?}");
        }
    }

    #[test]
    fn where_the_models_cannot_be_read_the_role_goes_on_allowing_what_it_allows() {
        let retention = RetainedApp {
            identity: identity(),
            caller: caller(),
            models: None,
            allow: Allow::default(),
            governance: Governance::default(),
        };
        assert_eq!(Some(&retention.role(Some(&role())).policy), role().inline_policies.get("private-genai"));
        let gone = retention.role(None).policy;
        assert!(!gone.as_str().contains("foundation-model/a") && gone.as_str().contains("ec2:DeleteNetworkInterface"));
    }

    #[test]
    fn what_the_role_allows_in_our_own_statement_stays_allowed_as_far_as_it_may_be() {
        let narrow = |namespaces: &str, models: &str| RetainedApp {
            identity: identity(),
            caller: caller(),
            models: None,
            allow: Allow { namespaces: namespaces.parse().expect("globs"), models: models.parse().expect("globs") },
            governance: Governance::default(),
        };
        let names_it =
            |retention: &RetainedApp, role: &Role| retention.role(Some(role)).policy.as_str().contains("nova");
        assert!(names_it(&narrow("*", "amazon.nova-*"), &role()));
        assert!(!names_it(&narrow("*", "anthropic.*"), &role()));
        assert!(!names_it(&narrow("another", "*"), &role()));
        let denied = |policy: &PolicyDocument| {
            policy.as_str().replace(
                r#""Effect":"Allow","Resource":["arn:aws:bedrock"#,
                r#""Effect":"Deny","Resource":["arn:aws:bedrock"#,
            )
        };
        let mut by_hand = role();
        let policy = by_hand.inline_policies.values_mut().next().expect("a policy");
        let changed = PolicyDocument::from_wire(&denied(policy));
        assert_ne!(*policy, changed);
        *policy = changed;
        assert!(!names_it(&narrow("*", "*"), &by_hand), "a denial is no allowance");
    }
}
