//! Releases all objects without touching AWS.

use std::fmt::Debug;

use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ListParams, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    lease::{LeaseWait, Print, holding_the_lease},
    list_objects, of_this_installation,
};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    engine::{is_held, remove_finalizer},
    identity::InstallationId,
    leadership::{Election, Leadership},
};

/// Releases all objects: removes the operator's finalizer, also from objects that cannot be read.
///
/// # Guarantees
/// No operator acts meanwhile. No object is deleted, and AWS is not called. Nothing is released when an object belongs to another
/// installation than the named one: no operator would take over the resources of that object.
///
/// # Errors
/// The objects belong to another installation, an operator runs or may run, or an object cannot be released.
pub async fn orphan(
    client: Client,
    election: Election,
    installation: &InstallationId,
    wait: LeaseWait,
    stop: CancellationToken,
    print: Print<'_>,
) -> Result<(), Failure> {
    of_this_installation(&list_objects(&client, None, installation).await?, installation)?;
    let work = async |leadership: Leadership| release_all(&leadership.fence(&client), installation).await;
    let released = holding_the_lease(&client, &election, wait, &stop, print, work).await?;
    for object in &released {
        print(&format!("Released {object}."))?;
    }
    print(&format!(
        "{} objects are released, and nothing in AWS was touched: a deletion of these objects now deletes nothing in AWS. The resources \
         in AWS keep their tags: an operator of this cluster with the installation id {installation} and the same manifests takes them \
         over again, and an operator of another cluster after take-over.",
        released.len()
    ))?;
    Ok(())
}

/// Returns the objects that were released.
async fn release_all(client: &Client, installation: &InstallationId) -> Result<Vec<String>, Failure> {
    // An operator may have recorded an installation until the release of the Lease.
    of_this_installation(&list_objects(client, None, installation).await?, installation)?;
    let mut released = Vec::new();
    loop {
        let (apps, networks) = (held::<PrivateGenAIApp>(client).await?, held::<PrivateGenAINetwork>(client).await?);
        if apps.is_empty() && networks.is_empty() {
            return Ok(released);
        }
        for app in apps {
            let namespace = app.namespace().unwrap_or_default();
            let name = format!("app {namespace}/{}", app.name_any());
            released.extend(release(client, &app).await?.then_some(name));
        }
        for network in networks {
            let name = format!("network {}", network.name_any());
            released.extend(release(client, &network).await?.then_some(name));
        }
    }
}

/// The metadata of all objects of a kind that carry the operator's finalizer. Metadata of any object can be read.
async fn held<K>(client: &Client) -> Result<Vec<PartialObjectMeta<K>>, Failure>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match Api::<K>::all(client.clone()).list_metadata(&ListParams::default()).await {
        Ok(list) => Ok(list.items.into_iter().filter(|object| is_held(&object.metadata)).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// `false` when the object changed meanwhile: the caller lists the object again.
async fn release<K>(client: &Client, object: &PartialObjectMeta<K>) -> Result<bool, Failure>
where
    K: Resource<DynamicType = ()>,
{
    match remove_finalizer::<K>(client, &object.metadata).await {
        Ok(()) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
