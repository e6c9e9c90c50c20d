//! Which object stands for a VPC when several do, and how an implicit one is named.

use kube::ResourceExt as _;

use super::created_seconds;
use crate::api::{IMPLICIT_LABEL, PrivateGenAINetwork, network::NetworkKey};

/// The network was created by the operator, for apps that name its VPC.
pub fn is_implicit(network: &PrivateGenAINetwork) -> bool {
    network.labels().get(IMPLICIT_LABEL).is_some_and(|value| value == "true")
}

/// The name of the implicit network of a VPC: one for each VPC, whatever the number of apps that ask for it at once.
pub fn implicit_name(key: &NetworkKey) -> String {
    format!("{}-{}", key.vpc, key.region)
}

/// The place of a network among those of its VPC; the first is accepted: one that stays before one that is being deleted, explicit
/// before implicit, then the oldest, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    deleting: bool,
    implicit: bool,
    created_seconds: i64,
    pub(super) name: String,
}

impl Rank {
    pub(super) fn of(network: &PrivateGenAINetwork) -> Self {
        Self {
            deleting: network.metadata.deletion_timestamp.is_some(),
            implicit: is_implicit(network),
            created_seconds: created_seconds(network),
            name: network.name_any(),
        }
    }
}
