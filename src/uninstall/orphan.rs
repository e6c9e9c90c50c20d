//! Letting the objects go without touching AWS.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ListParams, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    lease::{Waiting, holding_the_lease},
    objects, of_this_installation,
};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    engine::{Error, is_held, remove_finalizer},
    identity::InstallationId,
    leadership::{Election, Leadership},
};

/// Holds the Lease, so that no operator acts, and takes our finalizer off all objects, also those that cannot be read. No
/// object is deleted, and AWS is not even asked. Before the first is released, all are compared with the installation that was
/// named: with another one, nobody would take over what they leave.
///
/// # Errors
/// When the objects are another installation's, an operator runs, or may, or not all objects could be let go.
pub async fn orphan(
    client: Client,
    election: Election,
    installation: &InstallationId,
    waiting: Waiting,
    stop: CancellationToken,
    mut tell: impl FnMut(String) -> std::io::Result<()>,
) -> Result<(), Failure> {
    of_this_installation(&objects(&client, None, installation).await?, installation)?;
    let work = async |leadership: Leadership| release_all(&leadership.fence(&client), installation).await;
    let released = holding_the_lease(&client, &election, waiting, &stop, &mut tell, work).await?;
    for object in &released {
        tell(format!("Released {object}."))?;
    }
    tell(format!(
        "{} objects are released, and nothing in AWS was touched: deleting them now deletes nothing there. What is in AWS \
         stays tagged; an operator of this cluster with the installation id {installation} and the same manifests takes it over \
         again, and one of another cluster after take-over.",
        released.len()
    ))?;
    Ok(())
}

/// Gives the objects that were released.
async fn release_all(client: &Client, installation: &InstallationId) -> Result<Vec<String>, Failure> {
    // An operator may have recorded something until it let the Lease go.
    of_this_installation(&objects(client, None, installation).await?, installation)?;
    let mut released = Vec::new();
    loop {
        let (apps, networks) = (held::<PrivateGenAIApp>(client).await?, held::<PrivateGenAINetwork>(client).await?);
        if apps.is_empty() && networks.is_empty() {
            return Ok(released);
        }
        for app in apps {
            let namespace = app.namespace().unwrap_or_default();
            let name = format!("app {namespace}/{}", app.name_any());
            released.extend(release(&namespaced::<PrivateGenAIApp>(client, &namespace), &app).await?.then_some(name));
        }
        for network in networks {
            let name = format!("network {}", network.name_any());
            released.extend(release(&Api::<PrivateGenAINetwork>::all(client.clone()), &network).await?.then_some(name));
        }
    }
}

fn namespaced<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    client: &Client,
    namespace: &str,
) -> Api<K> {
    Api::namespaced(client.clone(), namespace)
}

/// The metadata of all objects of a kind that we hold: it is all that is needed, and can always be read.
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

/// `false` when the object changed meanwhile: it is looked at again.
async fn release<K>(api: &Api<K>, object: &PartialObjectMeta<K>) -> Result<bool, Failure>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match remove_finalizer(api, &object.metadata).await {
        Ok(()) => Ok(true),
        Err(Error::Kubernetes(kube::Error::Api(status))) if status.is_conflict() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
