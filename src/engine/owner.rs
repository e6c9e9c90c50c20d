//! Which cluster this is: the mark that its operator puts on the security groups of its networks.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _};

use crate::{aws::InvalidId, identity::OwnerMark};

/// The namespace whose UID tells a cluster from every other one: Kubernetes creates it with the cluster, and refuses to delete it.
const NAMESPACE: &str = "kube-system";

/// The reason why the cluster's mark is unknown, as a message for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum UnknownOwner {
    /// RBAC does not let the operator read the namespace.
    #[error(
        "the Kubernetes API does not let this ServiceAccount get namespace {NAMESPACE}, whose UID tells this cluster from another \
         one with the same installation id: give it a ClusterRole with the rule apiGroups [\"\"], resources [namespaces], \
         resourceNames [{NAMESPACE}], verbs [get], as the chart does"
    )]
    Forbidden,
    /// The cluster has no such namespace.
    #[error(
        "the cluster has no namespace {NAMESPACE}, whose UID tells this cluster from another one: Kubernetes creates it soon"
    )]
    NotThere,
    /// The namespace has a UID that is none.
    #[error("the UID of namespace {NAMESPACE}: {0}")]
    Invalid(#[from] InvalidId),
    /// The Kubernetes API refused the call otherwise, or could not be reached.
    #[error("the Kubernetes API, asked for namespace {NAMESPACE}: {0}")]
    Kubernetes(kube::Error),
}

impl UnknownOwner {
    /// A later attempt may succeed without a user's action.
    pub fn passes(&self) -> bool {
        match self {
            Self::Forbidden | Self::Invalid(_) => false,
            Self::Kubernetes(kube::Error::Api(status)) => status.code == 429 || status.code >= 500,
            Self::NotThere | Self::Kubernetes(_) => true,
        }
    }
}

/// Reads which cluster this is.
///
/// # Errors
/// When that is not known, and why.
pub async fn owner_mark(client: &Client) -> Result<OwnerMark, UnknownOwner> {
    match Api::<Namespace>::all(client.clone()).get_metadata(NAMESPACE).await {
        Ok(namespace) => Ok(namespace.uid().unwrap_or_default().parse()?),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Err(UnknownOwner::Forbidden),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(UnknownOwner::NotThere),
        Err(error) => Err(UnknownOwner::Kubernetes(error)),
    }
}
