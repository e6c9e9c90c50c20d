//! Uninstalling: [`teardown`] removes all resources, [`orphan`] releases the objects and leaves AWS unchanged. Both can be
//! interrupted anywhere and run again: AWS and the objects have all facts that the commands need.

pub mod lease;
mod objects;
mod orphan;
pub mod sweep;
mod teardown;

use kube::{
    Client, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams},
};

pub use lease::{LeaseWait, MissingLease, Print};
pub use objects::{Kind, ObjectFacts, left, of_this_installation, plan};
pub use orphan::orphan;
pub use sweep::{Consent, TeardownRequest};
pub use teardown::{Cluster, teardown};

use objects::counted;

use crate::{
    api::{DeletionPolicy, PrivateGenAIApp, PrivateGenAINetwork, RecordedOwner, network::NetworkKey},
    aws::{AccountId, AwsError, Region},
    engine::{self, UnknownOwner, in_words, is_held},
    identity::{InstallationId, OwnerMark},
};

/// The reason why uninstalling ended early, as a sentence for a person.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names and messages say it")]
pub enum Failure {
    #[error("nothing was deleted: add --yes to delete the objects above, and their resources in AWS")]
    NotConfirmed,

    #[error("interrupted before the end; run the command again to go on from here")]
    Interrupted,
    /// Objects belong to another installation than the named one.
    #[error(
        "nothing was done: {objects} belong to another installation than {ours}, as their statuses say ({recorded}): give this \
         command the installation id that the operator has"
    )]
    AnotherInstallation {
        ours: InstallationId,
        /// The words of the statuses, such as `installation try`.
        recorded: String,
        /// The objects, the first of them by name.
        objects: String,
    },
    /// The API server did not tell which cluster this is.
    #[error("nothing was done: {0}")]
    Owner(#[from] UnknownOwner),
    /// Another process holds the Lease.
    #[error("{leader} still holds Lease {lease}: scale the operator to zero, then run this again")]
    Led {
        /// The holder. Empty when the holder is unknown.
        leader: String,
        lease: String,
    },
    /// There is no Lease, so that nobody knows whether an operator runs.
    #[error(
        "there is no Lease {0}, so an operator may run: name the operator's Lease by --lease-namespace and \
         --lease-name, or add --no-lease if you have made sure that none runs"
    )]
    NoLease(String),
    /// The Kubernetes API refused a call, or could not be reached.
    #[error("the Kubernetes API: {}", in_words(.0))]
    Kubernetes(#[from] kube::Error),
    /// An object could not be released.
    #[error("{0}")]
    Object(#[from] engine::Error),
    /// The credentials are of another account than the one in which an object's resources are.
    #[error(
        "nothing more was done: the status of {object} says that its resources are in AWS account {recorded}, and the credentials \
         are of account {here}: give this command credentials of {recorded}"
    )]
    AnotherAccount { object: String, recorded: String, here: AccountId },
    /// `--owner` names another cluster than the one that the kubeconfig leads to.
    #[error(
        "nothing was done: --owner is {named}, and the mark of the cluster of this kubeconfig is {here}: use the kubeconfig of the \
         cluster with the mark {named}; or, if that cluster is gone, add --without-cluster"
    )]
    NotThisCluster { named: OwnerMark, here: OwnerMark },
    /// The objects name no installation, AWS has nothing of the named one, and other installations have roles.
    #[error(
        "nothing was done: AWS has nothing of installation {installation}, the objects record no installation, and these installations \
         have roles in this account: {others}. Name the right installation by --installation-id. If {installation} is the right one, \
         delete the objects with kubectl: they have no resources in AWS"
    )]
    NothingOfThis { installation: InstallationId, others: String },
    /// Another cluster has the same installation id in the account.
    #[error(
        "nothing more was done: this cluster's mark is {here}, and security groups of installation {installation} carry another \
         cluster's: {marks}. If this cluster was rebuilt and that mark is its earlier one, take the networks over with take-over, then \
         run this command again. If that cluster is another one, add --owner {here} to remove only resources with this cluster's mark"
    )]
    InstallationInUse {
        installation: InstallationId,
        here: String,
        /// The marks of the other clusters, and the VPCs that have them.
        marks: String,
    },
    /// Nobody named the cluster whose resources are to be removed.
    #[error(
        "nothing was deleted: security groups of the installation carry marks of clusters: {marks}. Name the mark of the cluster that \
         is gone by --owner MARK"
    )]
    OwnerUnnamed {
        /// The marks, and the VPCs that have them.
        marks: String,
    },
    /// Only a person can remove the rest.
    #[error(
        "something is left that needs a person: act on the lines printed last, then run the command again to go on from here"
    )]
    Left,
    /// All that may be removed is gone, and other resources of the installation are left.
    #[error(
        "all that this cluster may remove is gone, and the resources listed above are left: they carry another value of the tag {tag}, \
         or none while another cluster has the installation id"
    )]
    Others {
        /// The key of the tag with the owner mark.
        tag: &'static str,
    },
    /// AWS could not be read.
    #[error("AWS could not be read, so that the state of the resources is unknown: {0}")]
    Look(AwsError),
    /// A line could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Lists the objects of both kinds without decoding them: an object that cannot be read is uninstalled like any other. A kind
/// that is not installed has no objects. `home` is the region of VPCs for which an object names none, if known. The statuses are
/// compared with the installation `ours`.
///
/// # Errors
/// The Kubernetes API's.
pub async fn list_objects(
    client: &Client,
    home: Option<&Region>,
    ours: &InstallationId,
) -> Result<Vec<ObjectFacts>, kube::Error> {
    let mut objects = of_kind::<PrivateGenAIApp>(client, Kind::App, home, ours).await?;
    objects.extend(of_kind::<PrivateGenAINetwork>(client, Kind::Network, home, ours).await?);
    Ok(objects)
}

async fn of_kind<K>(
    client: &Client,
    kind: Kind,
    home: Option<&Region>,
    ours: &InstallationId,
) -> Result<Vec<ObjectFacts>, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    match engine::raw::<K>(client, None).list(&ListParams::default()).await {
        Ok(list) => Ok(list.items.into_iter().map(|object| facts(kind, &object, home, ours)).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn facts(kind: Kind, object: &DynamicObject, home: Option<&Region>, ours: &InstallationId) -> ObjectFacts {
    let network = match kind {
        Kind::App => NetworkKey::of_raw(&object.data["spec"]["network"], home),
        Kind::Network => NetworkKey::of_raw_network(object),
    };
    let status = &object.data["status"];
    // The account is the fifth part of an ARN.
    let of_arn = |arn: &serde_json::Value| arn.as_str()?.split(':').nth(4)?.parse().ok();
    let accounts = [&status["executionRole"]["arn"], &status["function"]["arn"]];
    let account = status["accountId"].as_str().and_then(|account| account.parse().ok());
    ObjectFacts {
        kind,
        namespace: object.namespace(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        retained: DeletionPolicy::of_raw(&object.data) == DeletionPolicy::Retain,
        held: is_held(&object.metadata),
        version: object.resource_version(),
        finalizers: object.finalizers().to_vec(),
        account: account.or_else(|| accounts.into_iter().find_map(of_arn)),
        network,
        recorded: RecordedOwner::of_raw(&object.data, object.namespace().as_deref(), &object.name_any(), home, ours),
    }
}
