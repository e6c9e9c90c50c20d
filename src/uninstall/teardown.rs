//! Removing everything: the objects of both kinds, and by that their resources in AWS.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc, time::Duration};

use futures::future::join;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Item, Kind, Next,
    audit::{Places, audit},
    left, next, objects, plan,
    retained::Retained,
};
use crate::{
    api::{DeletionPolicy, PrivateGenAIApp, PrivateGenAINetwork, network::NetworkKey},
    aws::{Aws, Region},
    controller::{self, Settings, raw},
    identity::InstallationId,
    leadership::{Election, Leadership, Standing},
};

/// How often what is left is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Deletes all apps, then all networks, and waits until they are gone; then tells what AWS still has. Whoever holds the Lease
/// does the work in AWS: an operator that runs, or this process once it holds it. `tell` is given lines for people.
///
/// # Errors
/// When not all is gone, and why.
pub async fn teardown(
    client: Client,
    aws: Arc<dyn Aws>,
    settings: Settings,
    election: Election,
    confirmed: bool,
    stop: CancellationToken,
    mut tell: impl FnMut(String) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let items = objects(&client, Some(&settings.region), &settings.installation).await?;
    if !confirmed && !items.is_empty() {
        plan(&items).into_iter().try_for_each(&mut tell)?;
        return Err(Failure::NotConfirmed);
    }
    let mut places = Places::new();
    if !items.is_empty() {
        let done = stop.child_token();
        let (standing, _) = watch::channel(Standing::default());
        let work = async |leadership: Leadership, stop: CancellationToken| {
            let (client, aws, ready) = (client.clone(), Arc::clone(&aws), Arc::default());
            controller::run(client, aws, settings.clone(), Arc::default(), leadership, ready, stop).await;
        };
        let removing = async {
            let _over = done.clone().drop_guard();
            let retained = Retained::new(Arc::clone(&aws), &settings);
            let (places, told) = (&mut places, Vec::new());
            let (home, installation) = (&settings.region, &settings.installation);
            let removal = Removal { client: &client, home, installation, places, retained, told };
            removal.finish(&stop, &mut tell).await
        };
        join(election.campaign(&standing, &done, work), removing).await.1?;
    }
    tell("No app and no network is left.".to_owned())?;
    let found = audit(aws, &settings.installation, &settings.region, places).await.map_err(Failure::Audit)?;
    let (tag, id) = settings.installation.tag();
    if found.is_empty() {
        tell(format!("Nothing in AWS carries the tag {tag}={id} where this installation has been."))?;
    } else {
        tell(format!("In AWS these still carry the tag {tag}={id}; nobody looks after them now:"))?;
        found.into_iter().map(|what| format!("  {what}")).try_for_each(&mut tell)?;
    }
    Ok(())
}

/// What is under way until all objects are gone.
struct Removal<'a> {
    client: &'a Client,
    home: &'a Region,
    installation: &'a InstallationId,
    places: &'a mut Places,
    retained: Retained,
    /// What is left, as it was told last.
    told: Vec<String>,
}

impl Removal<'_> {
    /// It may take an hour: an API server that is out of reach or too busy meanwhile is no reason to give up.
    async fn finish(
        mut self,
        stop: &CancellationToken,
        tell: &mut impl FnMut(String) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        loop {
            match self.step(tell).await {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => {}
                Err(Failure::Kubernetes(error)) if passes(&error) => {
                    tracing::warn!(%error, "the Kubernetes API does not serve now; it is tried again");
                }
                Err(failure) => return Err(failure),
            }
            pause(stop).await?;
        }
    }

    /// Deletes what can be deleted now; breaks when nothing is left.
    async fn step(&mut self, tell: &mut impl FnMut(String) -> std::io::Result<()>) -> Result<ControlFlow<()>, Failure> {
        let items = objects(self.client, Some(self.home), self.installation).await?;
        for item in &items {
            if let Some(NetworkKey { region, vpc }) = item.network.clone() {
                self.places.entry(region).or_default().insert(vpc);
            }
        }
        // Before it is deleted: without resources to remove, nothing holds it.
        for (item, apps) in self.retained.networks(&items).await {
            keep_resources(self.client, item).await?;
            self.retained.keeps(item);
            tell(format!(
                "{item}: deletionPolicy is set to Retain, because its endpoints and security groups are those of retained \
                 apps {apps} too."
            ))?;
        }
        match next(&items) {
            Next::Done => return Ok(ControlFlow::Break(())),
            Next::Wait => {}
            Next::Delete(items) => {
                for item in items.into_iter().collect::<BTreeSet<_>>() {
                    delete(self.client, item).await?;
                    tell(format!("Deleting {item}."))?;
                }
            }
        }
        // What is told already is not told again.
        let now = left(&items);
        if now != self.told {
            now.iter().filter(|line| !self.told.contains(line)).cloned().try_for_each(tell)?;
            self.told = now;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Whether the same request may be answered later: nobody answered, or the API server is too busy or unwell.
fn passes(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}

async fn pause(stop: &CancellationToken) -> Result<(), Failure> {
    tokio::select! {
        () = stop.cancelled() => Err(Failure::Interrupted),
        () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
    }
}

/// Lets a network go without its resources; one that is gone, or another one of its name, is left alone.
async fn keep_resources(client: &Client, item: &Item) -> Result<(), Failure> {
    let api = Api::<PrivateGenAINetwork>::all(client.clone());
    let patch = json!({"metadata": {"uid": item.uid}, "spec": {"deletionPolicy": DeletionPolicy::Retain}});
    // Its metadata is all that is asked back, so that it need not be readable.
    match api.patch_metadata(&item.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Deletes an object; one that is gone, or another one of its name, is left alone.
async fn delete(client: &Client, item: &Item) -> Result<(), Failure> {
    let api = match item.kind {
        Kind::App => raw::<PrivateGenAIApp>(client, item.namespace.as_deref()),
        Kind::Network => raw::<PrivateGenAINetwork>(client, None),
    };
    let same = Preconditions { uid: Some(item.uid.clone()), resource_version: None };
    match api.delete(&item.name, &DeleteParams::default().preconditions(same)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
