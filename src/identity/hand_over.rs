//! Roles of deleted apps that Lambda may still need.

use std::collections::BTreeSet;

use super::TAG_HANDED_OVER;
use crate::ids::{InvalidId, NetworkInterfaceId, Tags};

/// The interfaces for which the role of a deleted app is kept. Lambda releases interfaces with the role of the function that
/// caused them, and shares interfaces between functions, so Lambda may still need that role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandOver {
    /// These interfaces, which existed at the deletion of the app.
    Interfaces(BTreeSet<NetworkInterfaceId>),
    /// More interfaces than a tag can hold: the role is kept until no function's interface is left.
    Any,
}

impl HandOver {
    /// The longest value of a tag.
    const LONGEST: usize = 256;

    /// Writes the value of [`TAG_HANDED_OVER`].
    pub fn tag(interfaces: &BTreeSet<NetworkInterfaceId>) -> String {
        let ids: Vec<&str> = interfaces.iter().map(NetworkInterfaceId::as_str).collect();
        let text = ids.join(" ");
        if text.len() <= Self::LONGEST { text } else { "any".to_owned() }
    }

    /// Reads the tags of a role. `None` for a role in use. An unreadable value counts as [`Self::Any`].
    pub fn from_tags(tags: &Tags) -> Option<Self> {
        let text = tags.get(TAG_HANDED_OVER)?;
        let ids: Result<BTreeSet<NetworkInterfaceId>, InvalidId> = text.split_whitespace().map(str::parse).collect();
        Some(ids.map_or(Self::Any, Self::Interfaces))
    }

    /// The role is not needed any more, for these existing interfaces.
    pub fn is_over(&self, interfaces: &BTreeSet<NetworkInterfaceId>) -> bool {
        match self {
            Self::Interfaces(needed) => needed.is_disjoint(interfaces),
            Self::Any => interfaces.is_empty(),
        }
    }
}
