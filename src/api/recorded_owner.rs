//! The owner of an object's resources in AWS, as recorded in the object's status. Another installation id gives other names and
//! tags: an operator with a changed id would not find the resources, would build all of them a second time, and would leave the
//! first ones without an owner.

use kube::ResourceExt as _;
use serde_json::Value;

use super::{
    PrivateGenAIApp, PrivateGenAIAppStatus, PrivateGenAINetwork, PrivateGenAINetworkStatus,
    condition::{ConditionType, Leg, Reason},
    network::NetworkKey,
};
use crate::{
    aws::Region,
    identity::{AppIdentity, InstallationId},
};

/// The recorded owner of an object's resources, seen from one installation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordedOwner {
    /// This installation's.
    Ours,
    /// Another installation's.
    Another(InstallationId),
    /// Another installation, which the status does not name.
    AnotherUnnamed {
        /// The evidence in the status, such as `function pgai-a-b-0123456789abcdef`.
        evidence: String,
    },
    /// The status records no owner: any installation may work for the object.
    Nobody,
}

/// The parts of a status that identify the owner.
struct StatusOwner<'a> {
    installation_id: Option<&'a str>,
    role_arn: Option<&'a str>,
    function: Option<&'a str>,
    place: Option<NetworkKey>,
    namespace: &'a str,
    name: &'a str,
}

impl RecordedOwner {
    /// The owner in the status of an app, seen from the installation `ours`.
    pub fn of_app(status: Option<&PrivateGenAIAppStatus>, namespace: &str, name: &str, ours: &InstallationId) -> Self {
        let Some(status) = status else { return Self::Nobody };
        let place = status.network.as_ref().and_then(|network| {
            Some(NetworkKey { region: network.region.parse().ok()?, vpc: network.vpc_id.parse().ok()? })
        });
        Self::of(
            &StatusOwner {
                installation_id: status.installation_id.as_deref(),
                role_arn: status.execution_role.as_ref().map(|role| role.arn.as_str()),
                function: status.function.as_ref().map(|function| function.name.as_str()),
                place,
                namespace,
                name,
            },
            ours,
        )
    }

    /// The owner in the status of a network, seen from the installation `ours`. Older versions recorded no owner; then the tags
    /// of the recorded resources decide.
    pub fn of_network(status: Option<&PrivateGenAINetworkStatus>, ours: &InstallationId) -> Self {
        let installation_id = status.and_then(|status| status.installation_id.as_deref());
        let nothing_else =
            StatusOwner { installation_id, role_arn: None, function: None, place: None, namespace: "", name: "" };
        Self::of(&nothing_else, ours)
    }

    /// The owner in the status of an object of either kind that is not decoded. Each part is read alone, so a malformed part
    /// affects no other part. `home` is the region of a VPC for which the object names none, if known. Networks have no
    /// namespace.
    pub fn of_raw(
        object: &Value,
        namespace: Option<&str>,
        name: &str,
        home: Option<&Region>,
        ours: &InstallationId,
    ) -> Self {
        let status = &object["status"];
        let place = |network: &Value| NetworkKey::of_raw(network, home);
        Self::of(
            &StatusOwner {
                installation_id: status["installationId"].as_str(),
                role_arn: status["executionRole"]["arn"].as_str(),
                function: status["function"]["name"].as_str(),
                place: place(&status["network"]).or_else(|| place(&object["spec"]["network"])),
                namespace: namespace.unwrap_or_default(),
                name,
            },
            ours,
        )
    }

    /// A recorded installation id decides. Older versions recorded only the role, whose path contains the id, and the function,
    /// whose name depends on the id.
    fn of(says: &StatusOwner<'_>, ours: &InstallationId) -> Self {
        let named = |id: InstallationId| if id == *ours { Self::Ours } else { Self::Another(id) };
        if let Some(id) = says.installation_id {
            let unnamed = |_| Self::AnotherUnnamed { evidence: format!("installation id {id:?}") };
            return id.parse().map_or_else(unnamed, named);
        }
        if let Some(id) = says.role_arn.and_then(InstallationId::of_role_arn) {
            return named(id);
        }
        let (Some(function), Some(NetworkKey { region, vpc })) = (says.function, says.place.clone()) else {
            return Self::Nobody;
        };
        let (installation, namespace, name) = (ours.clone(), says.namespace.to_owned(), says.name.to_owned());
        let expected = AppIdentity { installation, region, vpc, namespace, name }.function_name();
        if expected.as_str() == function {
            Self::Ours
        } else {
            Self::AnotherUnnamed { evidence: format!("function {function}") }
        }
    }

    /// The installation may work for the object.
    pub fn may_be_ours(&self) -> bool {
        match self {
            Self::Ours | Self::Nobody => true,
            Self::Another(_) | Self::AnotherUnnamed { .. } => false,
        }
    }

    /// The condition of an object (named as `PrivateGenAIApp bot`) that belongs to another installation than `ours`; `None` where
    /// `ours` may work for the object.
    pub fn leg(&self, object: &str, ours: &InstallationId) -> Option<Leg> {
        let refusal = self.refusal(ours)?;
        let message = format!("{object} {refusal}");
        Some(Leg::blocked(ConditionType::Accepted, Reason::InstallationChanged, message))
    }

    /// The reason why the installation `ours` does nothing for the object, with the remedy, as sentences that follow the name of
    /// the object. `None` where `ours` may work for the object.
    pub fn refusal(&self, ours: &InstallationId) -> Option<String> {
        let (theirs, id) = match self {
            Self::Ours | Self::Nobody => return None,
            Self::Another(id) => (format!("belongs to installation {id}"), format!("id {id}")),
            Self::AnotherUnnamed { evidence } => (
                format!("belongs to another installation ({evidence} is not of installation {ours})"),
                "id that it had".to_owned(),
            ),
        };
        Some(format!(
            "{theirs}, and this is installation {ours}: the operator does nothing for the object, and keeps its finalizer. Give the \
             operator the installation {id} again. To change the id on purpose, see \"Changing the \
             installation id on purpose\" in docs/troubleshooting.md."
        ))
    }
}

impl PrivateGenAIApp {
    /// The recorded owner of the app's resources, seen from the installation `ours`.
    pub fn recorded_owner(&self, ours: &InstallationId) -> RecordedOwner {
        RecordedOwner::of_app(self.status.as_ref(), &self.namespace().unwrap_or_default(), &self.name_any(), ours)
    }
}

impl PrivateGenAINetwork {
    /// The recorded owner of the network's resources, seen from the installation `ours`.
    pub fn recorded_owner(&self, ours: &InstallationId) -> RecordedOwner {
        RecordedOwner::of_network(self.status.as_ref(), ours)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(id: &str) -> InstallationId {
        id.parse().expect("an installation id")
    }

    fn home() -> Region {
        "us-east-1".parse().expect("a region")
    }

    /// The function of app team-a/support-bot in vpc-0abc1234, as installation prod names it.
    const FUNCTION: &str = "pgai-team-a-support-bot-932ec4a46b04a0f8";

    fn says(status: &Value) -> RecordedOwner {
        let object = json!({"spec": {"network": {"vpcId": "vpc-0abc1234"}}, "status": status});
        let raw = RecordedOwner::of_raw(&object, Some("team-a"), "support-bot", Some(&home()), &id("prod"));
        if let Ok(status) = serde_json::from_value::<PrivateGenAIAppStatus>(status.clone()) {
            let read = RecordedOwner::of_app(Some(&status), "team-a", "support-bot", &id("prod"));
            assert_eq!(read, raw, "decoded or not, the owner is the same: {status:?}");
        }
        raw
    }

    fn network() -> Value {
        json!({"name": "n", "vpcId": "vpc-0abc1234", "region": "us-east-1"})
    }

    fn function(name: &str) -> Value {
        json!({
            "name": name, "arn": "arn", "state": "Active", "lastUpdateStatus": "Successful", "codeSha256": "x",
            "lastModified": "now", "logGroup": "group",
        })
    }

    fn role(installation: &str) -> Value {
        json!({"arn": format!("arn:aws:iam::123456789012:role/private-genai/{installation}/{FUNCTION}")})
    }

    #[test]
    fn the_recorded_id_counts_and_then_the_role_and_then_the_function_s_name() {
        let unnamed = |evidence: &str| RecordedOwner::AnotherUnnamed { evidence: evidence.to_owned() };
        for (status, recorded) in [
            (json!({}), RecordedOwner::Nobody),
            (json!({"installationId": "prod"}), RecordedOwner::Ours),
            (json!({"installationId": "test"}), RecordedOwner::Another(id("test"))),
            (json!({"installationId": "No id"}), unnamed("installation id \"No id\"")),
            (json!({"installationId": "prod", "executionRole": role("test")}), RecordedOwner::Ours),
            (json!({"executionRole": role("prod")}), RecordedOwner::Ours),
            (json!({"executionRole": role("test")}), RecordedOwner::Another(id("test"))),
            (json!({"network": network(), "function": function(FUNCTION)}), RecordedOwner::Ours),
            (
                json!({"network": network(), "function": function("pgai-team-a-x-0")}),
                unnamed("function pgai-team-a-x-0"),
            ),
            (json!({"network": network()}), RecordedOwner::Nobody),
        ] {
            assert_eq!(says(&status), recorded, "{status}");
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_as_a_whole_says_what_its_parts_say() {
        for (object, recorded) in [
            (json!({"status": {"installationId": "test", "conditions": 7}}), RecordedOwner::Another(id("test"))),
            (json!({"status": {"executionRole": role("test"), "endpoints": 7}}), RecordedOwner::Another(id("test"))),
            (
                json!({"spec": {"network": {"vpcId": "vpc-0abc1234"}, "models": 7}, "status": {"function": function(FUNCTION)}}),
                RecordedOwner::Ours,
            ),
            (json!({"spec": 7, "status": {"function": function(FUNCTION)}}), RecordedOwner::Nobody),
            (json!({"status": 7}), RecordedOwner::Nobody),
            (json!({}), RecordedOwner::Nobody),
        ] {
            let raw = RecordedOwner::of_raw(&object, Some("team-a"), "support-bot", Some(&home()), &id("prod"));
            assert_eq!(raw, recorded, "{object}");
        }
    }

    #[test]
    fn a_refusal_names_both_ids_and_the_remedy_and_needs_a_contradiction() {
        let refusal = RecordedOwner::Another(id("try")).refusal(&id("tyr")).expect("a refusal");
        for part in ["installation try", "installation tyr", "Give the operator the installation id try again"] {
            assert!(refusal.contains(part), "{refusal}");
        }
        assert_eq!(RecordedOwner::Ours.refusal(&id("tyr")), None);
        assert_eq!(RecordedOwner::Nobody.refusal(&id("tyr")), None);
    }
}
