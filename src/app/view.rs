//! What an app sees of its network: only its status.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use super::{Ground, Path};
use crate::{
    api::{
        EndpointStatus, PrivateGenAINetwork, PrivateGenAINetworkStatus,
        app::App,
        condition::{ConditionType, Leg, Reason, Standing, find, is_true},
        network::NetworkKey,
    },
    aws::{Caller, EndpointState},
    guard::Refusal,
    identity::InstallationId,
    network::{APP_ROOM_MAX, NoRoom, Room, Service, is_implicit},
    plan::listed,
    policy::{ENDPOINT_POLICY_MAX, ModelId},
};

pub(super) fn waiting(message: String) -> Leg {
    Leg::progressing(ConditionType::NetworkReady, Reason::WaitingForNetwork, message)
}

/// What of an app is not allowed, which field says it, and who can allow it.
pub(super) fn not_allowed(refusal: &Refusal) -> Leg {
    let (reason, message) = match refusal {
        Refusal::Region(region) => (
            Reason::RegionNotAllowed,
            format!(
                "spec.network.region: the operator does not let apps be in region {region}: use a VPC in another one, or ask \
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
            "PrivateGenAINetwork {name} stands for another VPC than {}: delete it, or give it another name.",
            key.vpc
        ),
    )
}

/// The network that was made for the VPC is there and cannot be read: another one would have the same name.
pub(super) fn unreadable(name: &str) -> Leg {
    Leg::blocked(
        ConditionType::NetworkReady,
        Reason::InvalidSpec,
        format!("PrivateGenAINetwork {name} cannot be read by this version of the operator: correct it, or delete it."),
    )
}

/// What an app sees of its network: only its status.
pub struct View {
    /// How the app stands as far as its network goes.
    pub legs: Vec<Leg>,
    /// The endpoints that it uses.
    pub endpoints: Vec<EndpointStatus>,
    /// What the network offers.
    pub ground: Ground,
}

impl View {
    /// What an app of the installation sees of this network.
    pub fn new(network: &PrivateGenAINetwork, app: &App, installation: &InstallationId) -> Self {
        let name = network.name_any();
        let recorded = || network.status.as_ref().and_then(Path::new);
        let nothing = |leg| Self { legs: vec![leg], endpoints: Vec::new(), ground: Ground::Closed(recorded()) };
        if network.metadata.deletion_timestamp.is_some() && is_implicit(network) {
            return nothing(Leg::progressing(
                ConditionType::NetworkReady,
                Reason::NetworkDeleting,
                format!("PrivateGenAINetwork {name} is being deleted and comes anew."),
            ));
        }
        let Some(status) = network.status.as_ref().filter(|status| status.observed_generation.is_some()) else {
            return nothing(waiting(format!("PrivateGenAINetwork {name} is being looked at.")));
        };
        let groups_are_ready = is_true(&status.conditions, ConditionType::SecurityGroupsReady);
        let vpc_is_ready = is_true(&status.conditions, ConditionType::VpcReady);
        let network_leg = if vpc_is_ready && groups_are_ready {
            Leg::met(ConditionType::NetworkReady, format!("PrivateGenAINetwork {name} is ready."))
        } else {
            inherited(ConditionType::NetworkReady, &name, &status.conditions)
        };
        let models: BTreeSet<ModelId> = app.models.iter().cloned().collect();
        let missing = Service::ALL.iter().find(|service| {
            !status.endpoints.iter().any(|endpoint| {
                endpoint.service == service.as_str()
                    && endpoint.state == EndpointState::Available.as_str()
                    && let_through(endpoint).is_superset(&models)
            })
        });
        let endpoint_leg = match missing {
            None => {
                Leg::met(ConditionType::EndpointReady, "The endpoint is available and lets the app's models through.")
            }
            Some(service) if is_true(&status.conditions, ConditionType::EndpointsReady) => {
                no_room(*service, &app.network, status, &models, installation).unwrap_or_else(|| {
                    Leg::progressing(
                        ConditionType::EndpointReady,
                        Reason::EndpointUpdating,
                        "The endpoint does not let all of the app's models through yet; its policy is being changed.",
                    )
                })
            }
            Some(_) => inherited(ConditionType::EndpointReady, &name, &status.conditions),
        };
        let is_met = network_leg.standing == Standing::Met && endpoint_leg.standing == Standing::Met;
        let ground = match Path::new(status) {
            Some(path) if is_met => Ground::Ready(path),
            recorded if vpc_is_ready => Ground::Rising(recorded),
            recorded => Ground::Closed(recorded),
        };
        Self { legs: vec![network_leg, endpoint_leg], endpoints: status.endpoints.clone(), ground }
    }
}

fn let_through(endpoint: &EndpointStatus) -> BTreeSet<ModelId> {
    endpoint.models.iter().filter_map(|model| model.parse().ok()).collect()
}

/// Why the policy of the endpoint does not take these models, if it has no room for them beside those that it lets through: the
/// network admits none of them then.
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
    let message = match Room::new(installation, &caller, region).refusal(&let_through(endpoint), models)? {
        NoRoom::OverShare { models } => format!(
            "The models of this app take {models} characters in the policy of the {} endpoint of VPC {vpc}, and one app gets \
             {APP_ROOM_MAX}, so that others find room too: name fewer models, or divide them among several apps.",
            service.as_str()
        ),
        NoRoom::Full { lacks, needed, left } => format!(
            "The policy of the {} endpoint of VPC {vpc} has no room for {}: they take {needed} characters, and {left} of the \
             {ENDPOINT_POLICY_MAX} that AWS allows are left. Name fewer models here or in other apps of the VPC, or use another \
             VPC, whose network has an endpoint of its own.",
            service.as_str(),
            listed(&lacks)
        ),
    };
    Some(Leg::blocked(ConditionType::EndpointReady, Reason::PolicyTooLong, message))
}

/// A leg that stands as the network stands.
fn inherited(kind: ConditionType, network: &str, conditions: &[Condition]) -> Leg {
    let Some(ready) = find(conditions, ConditionType::Ready).filter(|ready| ready.status != "True") else {
        return Leg::progressing(
            kind,
            Reason::WaitingForNetwork,
            format!("PrivateGenAINetwork {network} is being built."),
        );
    };
    let reason = Reason::from_wire(&ready.reason).unwrap_or(Reason::WaitingForNetwork);
    let message = format!("PrivateGenAINetwork {network}: {}", ready.message);
    if find(conditions, ConditionType::Stalled).is_some() {
        Leg::blocked(kind, reason, message)
    } else if ready.status == "Unknown" {
        Leg::unknown(kind, reason, message)
    } else {
        Leg::progressing(kind, reason, message)
    }
}
