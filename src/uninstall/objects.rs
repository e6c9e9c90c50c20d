//! What to do next about what is left, and how to tell it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::Failure;
use crate::{
    api::{Recorded, network::NetworkKey},
    aws::{AccountId, Region},
    identity::{AppIdentity, InstallationId},
    plan::listed,
};

/// One of the two kinds, in the order in which they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A `PrivateGenAIApp`.
    App,
    /// A `PrivateGenAINetwork`.
    Network,
}

/// An object as far as uninstalling goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; networks have none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Which object under that name.
    pub uid: String,
    /// It is being deleted.
    pub deleting: bool,
    /// Its resources in AWS are to stay.
    pub retained: bool,
    /// The operator's finalizer is on it: something in AWS may belong to it.
    pub held: bool,
    /// Which version of the object this is.
    pub version: Option<String>,
    /// All its finalizers.
    pub finalizers: Vec<String>,
    /// The AWS account that its status names.
    pub account: Option<AccountId>,
    /// The network that it is, or is on; `None` if that cannot be read.
    pub network: Option<NetworkKey>,
    /// Whose its resources are, as its status says.
    pub recorded: Recorded,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.namespace) {
            (Kind::App, Some(namespace)) => write!(f, "app {namespace}/{}", self.name),
            (Kind::App, None) => write!(f, "app {}", self.name),
            (Kind::Network, _) => write!(f, "network {}", self.name),
        }
    }
}

impl Item {
    /// The region in which something of it may be. Of an object for which nothing was ever made it says nothing: whoever may write one
    /// can name any region, also one that does not exist.
    pub fn region(&self) -> Option<&Region> {
        let has_record = self.recorded != Recorded::Nothing || self.account.is_some();
        self.network.as_ref().filter(|_| self.held || has_record).map(|network| &network.region)
    }

    /// The app that it is, as far as that can be read.
    pub fn identity(&self, installation: &InstallationId) -> Option<AppIdentity> {
        let NetworkKey { region, vpc } = self.network.clone().filter(|_| self.kind == Kind::App)?;
        let (namespace, name) = (self.namespace.clone()?, self.name.clone());
        Some(AppIdentity { installation: installation.clone(), region, vpc, namespace, name })
    }
}

/// Compares all objects with the installation that was named, before anything is done for any of them.
///
/// # Errors
/// When the status of one says that it belongs to another installation.
pub fn of_this_installation(items: &[Item], ours: &InstallationId) -> Result<(), Failure> {
    let theirs: BTreeMap<&Item, String> = items
        .iter()
        .filter_map(|item| match &item.recorded {
            Recorded::Ours | Recorded::Nothing => None,
            Recorded::Another(id) => Some((item, format!("installation {id}"))),
            Recorded::AnotherUnnamed { evidence } => Some((item, evidence.clone())),
        })
        .collect();
    if theirs.is_empty() {
        return Ok(());
    }
    let recorded = theirs.values().collect::<BTreeSet<_>>();
    Err(Failure::AnotherInstallation { ours: ours.clone(), recorded: listed(recorded), objects: listed(theirs.keys()) })
}

/// What would be deleted.
pub fn plan(items: &[Item]) -> Vec<String> {
    let mut lines = vec![format!("{} would be deleted:", both(items))];
    lines.extend(sorted(items).map(|item| {
        if item.retained {
            format!("  {item} (deletionPolicy is Retain: its resources in AWS stay)")
        } else {
            format!("  {item}")
        }
    }));
    lines
}

/// What is left.
pub fn left(items: &[Item]) -> String {
    format!("{} left.", both(items))
}

fn sorted(items: &[Item]) -> impl Iterator<Item = &Item> {
    items.iter().collect::<BTreeSet<_>>().into_iter()
}

fn both(items: &[Item]) -> String {
    let count = |kind: Kind, one: &str| counted(items.iter().filter(|item| item.kind == kind).count(), one);
    format!("{}, {}", count(Kind::App, "app"), count(Kind::Network, "network"))
}

/// `1 app`, `2 apps`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: Kind, name: &str, deleting: bool) -> Item {
        Item {
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
            recorded: Recorded::Nothing,
        }
    }

    #[test]
    fn what_would_go_is_counted_and_named_and_what_stays_in_aws_is_said() {
        let items = [item(Kind::Network, "n", false), item(Kind::App, "kept", false), item(Kind::App, "bot", false)];
        assert_eq!(
            plan(&items),
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
        let items = [item(Kind::App, "bot", true), item(Kind::Network, "n", false)];
        assert_eq!(left(&items), "1 app, 1 network left.");
        assert_eq!(left(&[]), "0 apps, 0 networks left.");
    }
}
