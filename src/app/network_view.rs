//! The network of an app as the app sees it: by the network's status alone.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use super::{NetworkOffer, PrivatePath};
use crate::{
    api::{
        EndpointStatus, PrivateGenAINetwork, PrivateGenAINetworkStatus,
        app::App,
        condition::{ConditionType, Leg, LegState, Message, Reason, find, is_true},
        network::NetworkKey,
    },
    aws::{Caller, EndpointState},
    engine::KubernetesRefusal,
    guard::Refusal,
    identity::InstallationId,
    index::{implicit_name, is_implicit},
    network::{APP_SHARE_MAX, CapacityRefusal, PolicyCapacity, Service},
    plan::listed,
    policy::{ENDPOINT_POLICY_MAX, ModelId},
};

pub(super) fn waiting(message: String) -> Leg {
    Leg::progressing(ConditionType::NetworkReady, Reason::WaitingForNetwork, message)
}

/// The condition of an app that the operator's configuration does not allow. The message names the field and the setting.
pub(super) fn not_allowed(refusal: &Refusal) -> Leg {
    let (reason, message) = match refusal {
        Refusal::Region(region) => (
            Reason::RegionNotAllowed,
            format!(
                "spec.network.region: the operator does not let apps be in region {region}: create the app in another one, or ask \
                 whoever runs the operator to add it to regions (--regions)."
            ),
        ),
        Refusal::Vpc(vpc) => (
            Reason::VpcNotAllowed,
            format!(
                "spec.network.vpcId: the operator does not let apps use VPC {vpc}: ask whoever runs the operator to add it \
                 to implicitNetworks.vpcIds (--implicit-network-vpc-ids)."
            ),
        ),
        Refusal::Namespace(namespace) => (
            Reason::NamespaceNotAllowed,
            format!(
                "metadata.namespace: the operator does not let apps be in namespace {namespace}: write the app in another \
                 one, or ask whoever runs the operator to add it to implicitNetworks.allow.namespaces \
                 (--implicit-network-allow-namespaces)."
            ),
        ),
        Refusal::Models(models) => (
            Reason::ModelNotAllowed,
            format!(
                "spec.models: the operator does not let apps call {}: name other models, or ask whoever runs the operator \
                 to add them to implicitNetworks.allow.models (--implicit-network-allow-models).",
                listed(models)
            ),
        ),
    };
    Leg::blocked(ConditionType::Accepted, reason, message)
}

pub(super) fn name_conflict(name: &str, key: &NetworkKey) -> Leg {
    Leg::blocked(
        ConditionType::NetworkReady,
        Reason::NameConflict,
        format!(
            "PrivateGenAINetwork {name} is for another VPC than {}: delete that network, or apply it under another name.",
            key.vpc
        ),
    )
}

/// The implicit network of the VPC exists and cannot be decoded. A second one would have the same name.
pub(super) fn unreadable(name: &str) -> Leg {
    Leg::blocked(
        ConditionType::NetworkReady,
        Reason::InvalidSpec,
        format!(
            "PrivateGenAINetwork {name} cannot be read by this version of the operator: correct or delete the object."
        ),
    )
}

/// The condition of an app whose network the Kubernetes API does not let the operator create.
pub(super) fn network_refused(key: &NetworkKey, refusal: &KubernetesRefusal) -> Leg {
    let message = format!(
        "The Kubernetes API does not let the operator create PrivateGenAINetwork {} for VPC {}: {refusal} {} Or create a \
         PrivateGenAINetwork for the VPC yourself.",
        implicit_name(key),
        key.vpc,
        KubernetesRefusal::REMEDY
    );
    Leg::blocked(ConditionType::NetworkReady, Reason::KubernetesRefused, message)
}

/// The network of an app as the app sees it: by the network's status alone.
#[derive(Clone, Debug, Hash)]
pub struct NetworkView {
    /// The app's conditions about the network and the endpoint.
    pub legs: Vec<Leg>,
    /// The endpoints that the app uses.
    pub endpoints: Vec<EndpointStatus>,
    /// The part of the network that a function can use.
    pub offer: NetworkOffer,
}

impl NetworkView {
    /// The view of an app without a network, for this reason.
    pub(super) fn missing(leg: Leg) -> Self {
        Self { legs: vec![leg], endpoints: Vec::new(), offer: NetworkOffer::Unavailable(None) }
    }

    /// Reads the status of a network for an app.
    pub fn new(network: &PrivateGenAINetwork, app: &App, installation: &InstallationId) -> Self {
        let name = network.name_any();
        let recorded = || network.status.as_ref().and_then(PrivatePath::new);
        let nothing =
            |leg| Self { legs: vec![leg], endpoints: Vec::new(), offer: NetworkOffer::Unavailable(recorded()) };
        if network.metadata.deletion_timestamp.is_some() && is_implicit(network) {
            return nothing(Leg::progressing(
                ConditionType::NetworkReady,
                Reason::NetworkDeleting,
                format!(
                    "PrivateGenAINetwork {name} is being deleted; the operator creates another one for VPC {} afterwards.",
                    app.network.vpc
                ),
            ));
        }
        let Some(status) = network.status.as_ref().filter(|status| status.observed_generation.is_some()) else {
            let conditions = network.status.as_ref().map_or(&[][..], |status| &status.conditions);
            // The network's controller may be blocked before the first observation, and the status names the reason.
            return nothing(if find(conditions, ConditionType::Stalled).is_some() {
                inherited(ConditionType::NetworkReady, &name, conditions, &[])
            } else {
                waiting(format!("PrivateGenAINetwork {name} exists; the operator has not observed its VPC yet."))
            });
        };
        let groups_are_ready = is_true(&status.conditions, ConditionType::SecurityGroupsReady);
        let vpc_is_ready = is_true(&status.conditions, ConditionType::VpcReady);
        let network_leg = if vpc_is_ready && groups_are_ready {
            Leg::met(ConditionType::NetworkReady, ready_message(&name, &status.conditions))
        } else {
            let of = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady];
            inherited(ConditionType::NetworkReady, &name, &status.conditions, &of)
        };
        let models: BTreeSet<ModelId> = app.models.iter().cloned().collect();
        let missing = Service::ALL.iter().find(|service| {
            !status.endpoints.iter().any(|endpoint| {
                endpoint.service == service.as_str()
                    && endpoint.state == EndpointState::Available.as_str()
                    && let_through(endpoint).is_superset(&models)
            })
        });
        let ids = listed(status.endpoints.iter().map(|endpoint| &endpoint.vpc_endpoint_id));
        let endpoint_leg = match missing {
            None => Leg::met(
                ConditionType::EndpointReady,
                format!("Endpoint {ids} is available and lets the app's models through."),
            ),
            Some(service) if is_true(&status.conditions, ConditionType::EndpointsReady) => no_room(
                *service,
                &app.network,
                status,
                &models,
                installation,
            )
            .unwrap_or_else(|| {
                Leg::progressing(
                    ConditionType::EndpointReady,
                    Reason::EndpointUpdating,
                    format!(
                        "Endpoint {ids} does not let all of the app's models through yet; its policy is being changed."
                    ),
                )
            }),
            Some(_) => {
                inherited(ConditionType::EndpointReady, &name, &status.conditions, &[ConditionType::EndpointsReady])
            }
        };
        let is_met = network_leg.state == LegState::Met && endpoint_leg.state == LegState::Met;
        let offer = match PrivatePath::new(status) {
            Some(path) if is_met => NetworkOffer::Ready(path),
            recorded if vpc_is_ready => NetworkOffer::Preparing(recorded),
            recorded => NetworkOffer::Unavailable(recorded),
        };
        let endpoints = status.endpoints.iter().map(|endpoint| of_app(endpoint, app)).collect();
        Self { legs: vec![network_leg, endpoint_leg], endpoints, offer }
    }
}

/// The endpoint in the status of an app: with the app's own models alone, so that the models of one app change the status of no other.
fn of_app(endpoint: &EndpointStatus, app: &App) -> EndpointStatus {
    let own = |model: &&String| app.models.iter().any(|own| own.as_str() == model.as_str());
    EndpointStatus { models: endpoint.models.iter().filter(own).cloned().collect(), ..endpoint.clone() }
}

fn let_through(endpoint: &EndpointStatus) -> BTreeSet<ModelId> {
    endpoint.models.iter().filter_map(|model| model.parse().ok()).collect()
}

/// The condition of an app whose models do not fit into the endpoint's policy beside the models in it; `None` if they fit.
fn no_room(
    service: Service,
    NetworkKey { region, vpc }: &NetworkKey,
    status: &PrivateGenAINetworkStatus,
    models: &BTreeSet<ModelId>,
    installation: &InstallationId,
) -> Option<Leg> {
    let account = status.account_id.as_ref()?.parse().ok()?;
    let caller = Caller { account, partition: region.partition() };
    let endpoint = status.endpoints.iter().find(|endpoint| endpoint.service == service.as_str())?;
    let message = match PolicyCapacity::new(installation, &caller, region).refusal(&let_through(endpoint), models)? {
        CapacityRefusal::ShareExceeded { models } => format!(
            "The models of this app take {models} characters in the policy of the {} endpoint of VPC {vpc}, and one app gets \
             {APP_SHARE_MAX}, so that others find room too: name fewer models, or divide them among several apps.",
            service.as_str()
        ),
        CapacityRefusal::PolicyFull { missing: lacks, needed, left } => format!(
            "The policy of the {} endpoint of VPC {vpc} has no room for {}: they take {needed} characters, and {left} of the \
             {ENDPOINT_POLICY_MAX} that AWS allows are left. Name fewer models here or in other apps of the VPC, or create the app in another \
             VPC, whose network has an endpoint of its own.",
            service.as_str(),
            listed(&lacks)
        ),
    };
    Some(Leg::blocked(ConditionType::EndpointReady, Reason::PolicyTooLong, message))
}

/// The message about a network whose VPC and security groups are ready. Other unmet conditions of the network either do not
/// concern the app or show in the app's `EndpointReady`.
fn ready_message(network: &str, conditions: &[Condition]) -> String {
    match find(conditions, ConditionType::Ready).filter(|ready| ready.status != "True") {
        None => format!("PrivateGenAINetwork {network} is ready."),
        Some(ready) => format!(
            "The VPC and the security groups of PrivateGenAINetwork {network} are ready; the network as a whole is not ({}).",
            ready.reason
        ),
    }
}

/// A leg that takes over the first unmet one of these conditions of the network, or the network's `Ready` where all are
/// met.
fn inherited(kind: ConditionType, network: &str, conditions: &[Condition], of: &[ConditionType]) -> Leg {
    let Some(ready) = find(conditions, ConditionType::Ready).filter(|ready| ready.status != "True") else {
        return Leg::progressing(
            kind,
            Reason::WaitingForNetwork,
            format!(
                "PrivateGenAINetwork {network} is being built; its conditions (kubectl describe pgain {network}) say more."
            ),
        );
    };
    let unmet = of.iter().filter_map(|kind| find(conditions, *kind)).find(|condition| condition.status != "True");
    let condition = unmet.unwrap_or(ready);
    let reason = Reason::from_wire(&condition.reason).unwrap_or(Reason::WaitingForNetwork);
    let of_network = Message::of(condition);
    let text = format!("PrivateGenAINetwork {network}: {}", of_network.text);
    // `Stalled` repeats the message of the condition that stalls. For another condition, the reason and its wait decide.
    let stalled = find(conditions, ConditionType::Stalled);
    let is_stalled = stalled.is_some_and(|stalled| Message::of(stalled).text == of_network.text)
        || reason.wait().is_none_or(|wait| of_network.text.contains(&wait.words()));
    let message = Message { text, ..of_network };
    if condition.status == "Unknown" {
        Leg::unknown(kind, reason, message)
    } else if is_stalled {
        Leg::blocked(kind, reason, message)
    } else {
        Leg::progressing(kind, reason, message)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::api::condition::conditions_of;

    const OF_THE_NETWORK: [ConditionType; 2] = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady];

    #[test]
    fn an_app_s_leg_says_of_its_network_what_it_is_about_and_not_what_another_leg_lacks() {
        let from_legs = |legs: &[Leg]| conditions_of(legs, &[], Some(1), Timestamp::UNIX_EPOCH);
        let conditions = from_legs(&[
            Leg::unknown(ConditionType::VpcReady, Reason::ObservationFailed, "The VPC is not read."),
            Leg::met(ConditionType::SecurityGroupsReady, ""),
            Leg::blocked(ConditionType::EndpointsReady, Reason::PolicyTooLong, "Too long."),
        ]);
        let network = inherited(ConditionType::NetworkReady, "n", &conditions, &OF_THE_NETWORK);
        assert_eq!((network.state, network.reason), (LegState::Unknown, Reason::ObservationFailed));
        let endpoint = inherited(ConditionType::EndpointReady, "n", &conditions, &[ConditionType::EndpointsReady]);
        assert_eq!((endpoint.state, endpoint.reason), (LegState::Blocked, Reason::PolicyTooLong));
        let waits = from_legs(&[
            Leg::blocked(ConditionType::VpcReady, Reason::TooFewZones, "Add subnets."),
            Leg::progressing(ConditionType::EndpointsReady, Reason::WaitingForNetwork, "Later."),
        ]);
        let endpoint = inherited(ConditionType::EndpointReady, "n", &waits, &[ConditionType::EndpointsReady]);
        assert_eq!((endpoint.state, endpoint.reason), (LegState::Progressing, Reason::WaitingForNetwork));
        let refused = from_legs(&[Leg::blocked(ConditionType::Accepted, Reason::VpcConflict, "Another one.")]);
        let network = inherited(ConditionType::NetworkReady, "n", &refused, &OF_THE_NETWORK);
        assert_eq!((network.state, network.reason), (LegState::Blocked, Reason::VpcConflict));
    }

    #[test]
    fn what_is_overdue_of_a_network_is_so_for_its_apps() {
        let legs = [Leg::progressing(ConditionType::EndpointsReady, Reason::EndpointPending, "AWS is at work.")];
        let first = conditions_of(&legs, &[], Some(1), Timestamp::UNIX_EPOCH);
        let later = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        let over = conditions_of(&legs, &first, Some(1), later);
        for (conditions, standing) in [(&first, LegState::Progressing), (&over, LegState::Blocked)] {
            let leg = inherited(ConditionType::EndpointReady, "n", conditions, &[ConditionType::EndpointsReady]);
            assert_eq!((leg.state, leg.reason), (standing, Reason::EndpointPending), "{}", leg.message);
        }
    }
}
