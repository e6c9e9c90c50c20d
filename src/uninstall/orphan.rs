//! Letting the objects go without touching AWS.

use std::{fmt::Debug, time::Duration};

use futures::future::join;
use k8s_openapi::{NamespaceResourceScope, api::coordination::v1::Lease};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ListParams, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    controller::{Error, is_held, remove_finalizer},
    identity::InstallationId,
    leadership::{Election, Leadership, Standing},
};

/// Holds the Lease, so that no operator acts, and takes our finalizer off all objects, also those that cannot be read. No
/// object is deleted, and AWS is not even asked. `timeout` is how long an operator that holds the Lease is waited for; without
/// `lease` it does not matter that there is none yet.
///
/// # Errors
/// When an operator runs, or may, or not all objects could be let go.
pub async fn orphan(
    client: Client,
    election: Election,
    installation: &InstallationId,
    timeout: Duration,
    lease: bool,
    stop: CancellationToken,
    mut tell: impl FnMut(String) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let leases = Api::<Lease>::namespaced(client.clone(), &election.namespace);
    if lease && leases.get_opt(&election.name).await?.is_none() {
        return Err(Failure::NoLease(election.to_string()));
    }
    let (standing, mut told) = watch::channel(Standing::default());
    let given_up = stop.child_token();
    let mut released = None;
    let mut leader = String::new();
    let work = async |leadership: Leadership, _: CancellationToken| {
        released = Some(release_all(&leadership.fence(&client)).await);
    };
    let waiting = async {
        let leads = async {
            loop {
                match told.borrow_and_update().clone() {
                    Standing::Leads => return Ok(()),
                    Standing::Unknown => {}
                    Standing::StandsBy { leader: other } => {
                        if leader != other {
                            tell(format!(
                                "Waiting for Lease {election}, which {other} holds. If that operator runs, scale it to zero: \
                                 kubectl -n {} scale deployment NAME --replicas=0",
                                election.namespace
                            ))?;
                        }
                        leader = other;
                    }
                }
                if told.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        if let Ok(result) = tokio::time::timeout(timeout, leads).await {
            return result;
        }
        given_up.cancel();
        Ok::<(), std::io::Error>(())
    };
    let ((), waited) = join(election.campaign(&standing, &given_up, work), waiting).await;
    waited?;
    let Some(released) = released else {
        return Err(if stop.is_cancelled() {
            Failure::Interrupted
        } else {
            Failure::Led { leader, lease: election.to_string() }
        });
    };
    let released = released?;
    for object in &released {
        tell(format!("Released {object}."))?;
    }
    tell(format!(
        "{} objects are released, and nothing in AWS was touched: deleting them now deletes nothing there. What is in AWS \
         stays tagged; an operator with the installation id {installation} and the same manifests takes it over again.",
        released.len()
    ))?;
    Ok(())
}

/// Gives the objects that were released.
async fn release_all(client: &Client) -> Result<Vec<String>, Failure> {
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
