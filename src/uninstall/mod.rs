//! Uninstalling: [`teardown`] removes everything, [`orphan`] lets the objects go and leaves AWS as it is. Both can be
//! interrupted anywhere and run again, because all that they know is in the objects.

pub mod audit;
pub mod flags;
pub mod lease;
mod objects;
mod orphan;
mod retained;
mod teardown;

use kube::{
    Client, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams},
};

pub use flags::{Orphan, Teardown};
pub use lease::{Lacking, Waiting};
pub use objects::{Item, Kind, Next, left, next, of_this_installation, plan};
pub use orphan::orphan;
pub use teardown::teardown;

use crate::{
    api::{DeletionPolicy, PrivateGenAIApp, PrivateGenAINetwork, Recorded, network::NetworkKey},
    aws::{AwsError, Region},
    controller::{self, UnknownOwner},
    identity::InstallationId,
};

/// Why uninstalling ends early. Each is a sentence for whoever asked for it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody has said yes to deleting these.
    #[error("nothing was deleted: add --yes to delete all of this, and its resources in AWS")]
    NotConfirmed,

    /// Told to stop before the end.
    #[error("interrupted before the end: run it again, it goes on from here")]
    Interrupted,
    /// Objects belong to another installation than the one that was named.
    #[error(
        "nothing was done: {objects} belong to another installation than {ours}, as their statuses say ({recorded}): give this \
         command the installation id that the operator has"
    )]
    AnotherInstallation {
        /// The installation that was named.
        ours: InstallationId,
        /// What the statuses say, such as `installation try`.
        recorded: String,
        /// The objects, the first of them by name.
        objects: String,
    },
    /// Which cluster this is, is not known.
    #[error("nothing was done: {0}")]
    Owner(#[from] UnknownOwner),
    /// An operator runs.
    #[error("{leader} still holds Lease {lease}: scale the operator to zero, then run this again")]
    Led {
        /// Who holds the Lease; empty when that could not be found out.
        leader: String,
        /// Which.
        lease: String,
    },
    /// Whether an operator runs cannot be known.
    #[error(
        "there is no Lease {0}, so it cannot be known that no operator runs: name the operator's by --lease-namespace and \
         --lease-name, or add --no-lease if you have made sure that none runs"
    )]
    NoLease(String),
    /// The Kubernetes API refused a call, or could not be reached.
    #[error("the Kubernetes API: {0}")]
    Kubernetes(#[from] kube::Error),
    /// An object could not be let go.
    #[error("{0}")]
    Object(#[from] controller::Error),
    /// AWS refused a call of the audit.
    #[error("all objects are gone, but what is left in AWS could not be looked at: {0}")]
    Audit(AwsError),
    /// The log directives are not such.
    #[error("--log: {0}. Write tracing directives, such as warn or private_genai_operator=debug")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// A line could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// All objects of both kinds. They are not decoded: one that cannot be read is uninstalled like any other. Where a kind is not
/// installed, there are none of it. `home` is the region of VPCs for which an object names none, where that is known; `ours` is the installation to which
/// their statuses are compared.
///
/// # Errors
/// The Kubernetes API's.
pub async fn objects(client: &Client, home: Option<&Region>, ours: &InstallationId) -> Result<Vec<Item>, kube::Error> {
    let mut items = of_kind::<PrivateGenAIApp>(client, Kind::App, home, ours).await?;
    items.extend(of_kind::<PrivateGenAINetwork>(client, Kind::Network, home, ours).await?);
    Ok(items)
}

async fn of_kind<K>(
    client: &Client,
    kind: Kind,
    home: Option<&Region>,
    ours: &InstallationId,
) -> Result<Vec<Item>, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    match controller::raw::<K>(client, None).list(&ListParams::default()).await {
        Ok(list) => Ok(list.items.into_iter().map(|object| item(kind, &object, home, ours)).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn item(kind: Kind, object: &DynamicObject, home: Option<&Region>, ours: &InstallationId) -> Item {
    let place = match kind {
        Kind::App => &object.data["spec"]["network"],
        Kind::Network => &object.data["spec"],
    };
    let conditions = object.data.pointer("/status/conditions").and_then(|conditions| conditions.as_array());
    let message = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    Item {
        kind,
        namespace: object.namespace(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        retained: DeletionPolicy::of_raw(&object.data) == DeletionPolicy::Retain,
        says: message.and_then(|ready| Some(ready["message"].as_str()?.to_owned())).unwrap_or_default(),
        network: NetworkKey::of_raw(place, home),
        recorded: Recorded::of_raw(&object.data, object.namespace().as_deref(), &object.name_any(), home, ours),
    }
}
