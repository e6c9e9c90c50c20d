//! The objects of both kinds, as far as uninstalling needs them, and the lines about them. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::Failure;
use crate::{
    api::{RecordedOwner, network::NetworkKey},
    aws::{AccountId, Region},
    identity::{AppIdentity, InstallationId},
    plan::listed,
};

/// The two kinds, in the order in which their objects are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    App,
    Network,
}

/// The facts about an object that uninstalling needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ObjectFacts {
    pub kind: Kind,
    /// The namespace of an app. Networks have none.
    pub namespace: Option<String>,
    pub name: String,
    pub uid: String,
    pub deleting: bool,
    /// The deletion policy is `Retain`: the resources in AWS stay.
    pub retained: bool,
    /// The object carries the operator's finalizer: resources in AWS may belong to the object.
    pub held: bool,
    pub version: Option<String>,
    pub finalizers: Vec<String>,
    /// The AWS account in the status.
    pub account: Option<AccountId>,
    /// The network that the object stands for, or the network of the app. `None` where the spec cannot be read.
    pub network: Option<NetworkKey>,
    /// The installation in the status.
    pub recorded: RecordedOwner,
}

impl fmt::Display for ObjectFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.namespace) {
            (Kind::App, Some(namespace)) => write!(f, "app {namespace}/{}", self.name),
            (Kind::App, None) => write!(f, "app {}", self.name),
            (Kind::Network, _) => write!(f, "network {}", self.name),
        }
    }
}

impl ObjectFacts {
    /// The region in which the object may have resources. `None` if nothing was ever created for the object: its author can name
    /// any region, also one that does not exist.
    pub fn region(&self) -> Option<&Region> {
        let has_record = self.recorded != RecordedOwner::Nobody || self.account.is_some();
        self.network.as_ref().filter(|_| self.held || has_record).map(|network| &network.region)
    }

    /// The identity of an app, if name and network can be read.
    pub fn identity(&self, installation: &InstallationId) -> Option<AppIdentity> {
        let NetworkKey { region, vpc } = self.network.clone().filter(|_| self.kind == Kind::App)?;
        let (namespace, name) = (self.namespace.clone()?, self.name.clone());
        Some(AppIdentity { installation: installation.clone(), region, vpc, namespace, name })
    }
}

/// Compares all objects with the installation `ours`.
///
/// # Errors
/// The status of an object names another installation.
pub fn of_this_installation(objects: &[ObjectFacts], ours: &InstallationId) -> Result<(), Failure> {
    let theirs: BTreeMap<&ObjectFacts, String> = objects
        .iter()
        .filter_map(|object| match &object.recorded {
            RecordedOwner::Ours | RecordedOwner::Nobody => None,
            RecordedOwner::Another(id) => Some((object, format!("installation {id}"))),
            RecordedOwner::AnotherUnnamed { evidence } => Some((object, evidence.clone())),
        })
        .collect();
    if theirs.is_empty() {
        return Ok(());
    }
    let recorded = theirs.values().collect::<BTreeSet<_>>();
    Err(Failure::AnotherInstallation { ours: ours.clone(), recorded: listed(recorded), objects: listed(theirs.keys()) })
}

/// The lines about the objects that would be deleted.
pub fn plan(objects: &[ObjectFacts]) -> Vec<String> {
    let mut lines = vec![format!("{} would be deleted:", both(objects))];
    lines.extend(sorted(objects).map(|object| {
        if object.retained {
            format!("  {object} (deletionPolicy is Retain: its resources in AWS stay)")
        } else {
            format!("  {object}")
        }
    }));
    lines
}

/// The line about the objects that are left.
pub fn left(objects: &[ObjectFacts]) -> String {
    format!("{} left.", both(objects))
}

fn sorted(objects: &[ObjectFacts]) -> impl Iterator<Item = &ObjectFacts> {
    objects.iter().collect::<BTreeSet<_>>().into_iter()
}

fn both(objects: &[ObjectFacts]) -> String {
    let count = |kind: Kind, one: &str| counted(objects.iter().filter(|object| object.kind == kind).count(), one);
    format!("{}, {}", count(Kind::App, "app"), count(Kind::Network, "network"))
}

/// `1 app`, `2 apps`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: Kind, name: &str, deleting: bool) -> ObjectFacts {
        ObjectFacts {
            kind,
            namespace: (kind == Kind::App).then(|| "team-a".into()),
            name: name.into(),
            uid: "u".into(),
            deleting,
            retained: name == "kept",
            held: true,
            version: None,
            finalizers: Vec::new(),
            account: None,
            network: None,
            recorded: RecordedOwner::Nobody,
        }
    }

    #[test]
    fn what_would_go_is_counted_and_named_and_what_stays_in_aws_is_said() {
        let objects =
            [object(Kind::Network, "n", false), object(Kind::App, "kept", false), object(Kind::App, "bot", false)];
        assert_eq!(
            plan(&objects),
            [
                "2 apps, 1 network would be deleted:",
                "  app team-a/bot",
                "  app team-a/kept (deletionPolicy is Retain: its resources in AWS stay)",
                "  network n",
            ]
        );
    }

    #[test]
    fn what_is_left_is_counted() {
        let objects = [object(Kind::App, "bot", true), object(Kind::Network, "n", false)];
        assert_eq!(left(&objects), "1 app, 1 network left.");
        assert_eq!(left(&[]), "0 apps, 0 networks left.");
    }
}
