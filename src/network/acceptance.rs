//! The relation of a network object to its VPC: accepted, superseded by another object, or not allowed.

use kube::ResourceExt as _;

use super::decide::ends;
use crate::{
    api::{
        PrivateGenAINetwork,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    engine::is_held,
    index::{Index, IndexedApp, is_implicit},
};

/// The relation of a network object to its VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Another object is accepted for the VPC. This one writes nothing to AWS.
    Superseded {
        /// The name of the accepted object.
        by: String,
    },
    /// A user deleted an implicit network while apps use it. The object is released, the resources stay, and the apps
    /// create another object.
    Released,
    /// The object is accepted for the VPC.
    Accepted,
}

/// The relation of an object to its VPC, by the objects in the cluster.
pub fn acceptance(network: &PrivateGenAINetwork, key: &NetworkKey, index: &Index) -> Acceptance {
    match index.accepted(key).map(kube::ResourceExt::name_any) {
        Some(winner) if winner != network.name_any() => Acceptance::Superseded { by: winner },
        _ if network.metadata.deletion_timestamp.is_some()
            && is_implicit(network)
            // One of the apps creates another network when this one is gone.
            && index.users(key).any(IndexedApp::is_coming) =>
        {
            Acceptance::Released
        }
        _ => Acceptance::Accepted,
    }
}

/// The condition of a network, explicit or implicit, whose region the operator's configuration does not allow. A network
/// that has the finalizer or is in use was allowed once and is kept, so that no app loses its path.
pub fn not_allowed(network: &PrivateGenAINetwork, key: &NetworkKey, index: &Index) -> Option<Leg> {
    if index.settings().regions.allows(&key.region) || is_held(&network.metadata) || !ends(key, index) {
        return None;
    }
    let message = format!(
        "spec.region: the operator does not let networks be in region {}: ask whoever runs the operator to add it to regions \
         (--regions), or delete this network.",
        key.region
    );
    Some(Leg::blocked(ConditionType::Accepted, Reason::RegionNotAllowed, message))
}
