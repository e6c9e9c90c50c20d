//! What to do next about what is left, and how to tell it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::Failure;
use crate::{
    api::{Recorded, network::NetworkKey},
    identity::InstallationId,
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
    /// The message of its condition `Ready`.
    pub says: String,
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

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Delete these.
    Delete(Vec<&'a Item>),
    /// Wait until those that are being deleted are gone.
    Wait,
    /// Nothing is left.
    Done,
}

/// Apps first, networks after the last of them: a network whose apps are there only waits for them.
pub fn next(items: &[Item]) -> Next<'_> {
    let Some(first) = items.iter().map(|item| item.kind).min() else {
        return Next::Done;
    };
    let to_delete: Vec<&Item> = items.iter().filter(|item| item.kind == first && !item.deleting).collect();
    if to_delete.is_empty() { Next::Wait } else { Next::Delete(to_delete) }
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
    let mut lines = vec![format!("{} would be deleted:", counted(items))];
    lines.extend(sorted(items).map(|item| {
        if item.retained {
            format!("  {item} (deletionPolicy is Retain: its resources in AWS stay)")
        } else {
            format!("  {item}")
        }
    }));
    lines
}

/// What is left, and what each waits for.
pub fn left(items: &[Item]) -> Vec<String> {
    let mut lines = vec![format!("{} left.", counted(items))];
    lines.extend(
        sorted(items)
            .filter(|item| item.deleting && !item.says.is_empty())
            .map(|item| format!("  {item}: {}", item.says)),
    );
    lines
}

fn sorted(items: &[Item]) -> impl Iterator<Item = &Item> {
    items.iter().collect::<BTreeSet<_>>().into_iter()
}

fn counted(items: &[Item]) -> String {
    let count = |kind: Kind, one: &str| match items.iter().filter(|item| item.kind == kind).count() {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    format!("{}, {}", count(Kind::App, "app"), count(Kind::Network, "network"))
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
            says: format!("{name} waits."),
            network: None,
            recorded: Recorded::Nothing,
        }
    }

    #[test]
    fn apps_are_deleted_first_and_networks_after_the_last_of_them() {
        let (app, going_app) = (item(Kind::App, "a", false), item(Kind::App, "b", true));
        let (network, going_network) = (item(Kind::Network, "n", false), item(Kind::Network, "m", true));
        assert_eq!(next(&[]), Next::Done);
        assert_eq!(next(&[network.clone(), going_app.clone(), app.clone()]), Next::Delete(vec![&app]));
        assert_eq!(next(&[network.clone(), going_app]), Next::Wait);
        assert_eq!(next(&[network.clone(), going_network.clone()]), Next::Delete(vec![&network]));
        assert_eq!(next(&[going_network]), Next::Wait);
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
    fn what_is_left_says_what_it_waits_for_once_it_is_being_deleted() {
        let items = [item(Kind::App, "bot", true), item(Kind::Network, "n", false)];
        assert_eq!(left(&items), ["1 app, 1 network left.", "  app team-a/bot: bot waits."]);
        assert_eq!(left(&[]), ["0 apps, 0 networks left."]);
    }
}
