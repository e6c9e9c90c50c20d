//! Uninstalling: [`teardown`] removes everything, [`orphan`] lets the objects go and leaves AWS as it is. Both can be
//! interrupted anywhere and run again, because all that they know is in the objects.

pub mod audit;
pub mod flags;
mod objects;
mod orphan;
mod retained;
mod teardown;

use kube::{
    Client, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams},
};

pub use flags::{Orphan, Teardown};
pub use objects::{Item, Kind, Next, left, next, plan};
pub use orphan::orphan;
pub use teardown::teardown;

use crate::{
    api::{DeletionPolicy, PrivateGenAIApp, PrivateGenAINetwork, network::NetworkKey},
    aws::{AwsError, Region},
    controller,
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
/// installed, there are none of it. `home` is the region of VPCs for which an object names none.
///
/// # Errors
/// The Kubernetes API's.
pub async fn objects(client: &Client, home: &Region) -> Result<Vec<Item>, kube::Error> {
    let mut items = of_kind::<PrivateGenAIApp>(client, Kind::App, home).await?;
    items.extend(of_kind::<PrivateGenAINetwork>(client, Kind::Network, home).await?);
    Ok(items)
}

async fn of_kind<K>(client: &Client, kind: Kind, home: &Region) -> Result<Vec<Item>, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    match controller::raw::<K>(client, None).list(&ListParams::default()).await {
        Ok(list) => Ok(list.items.into_iter().map(|object| item(kind, &object, home)).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn item(kind: Kind, object: &DynamicObject, home: &Region) -> Item {
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
        network: NetworkKey::of_raw(place, Some(home)),
    }
}
