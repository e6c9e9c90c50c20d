//! The resources of the server: one row each, and the address of an object.

use std::fmt;

use serde_json::Value;

/// A resource, in the words of its URL, and the two properties that change how writes work.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    /// The `kind` of its objects.
    pub name: &'static str,
    pub namespaced: bool,
    /// `status` is written only through the `/status` subresource.
    pub has_status: bool,
    /// `metadata.generation` counts the changes outside of `metadata` and `status`.
    pub has_generation: bool,
}

pub const APPS: &str = "privategenaiapps";
pub const NETWORKS: &str = "privategenainetworks";
pub const CONFIG_MAPS: &str = "configmaps";
pub const EVENTS: &str = "events";
pub const LEASES: &str = "leases";
pub const NAMESPACES: &str = "namespaces";

static KINDS: [Kind; 6] = [
    Kind::new("privategenai.dev", "v1alpha1", APPS, "PrivateGenAIApp").namespaced().with_status().with_generation(),
    Kind::new("privategenai.dev", "v1alpha1", NETWORKS, "PrivateGenAINetwork").with_status().with_generation(),
    Kind::new("", "v1", CONFIG_MAPS, "ConfigMap").namespaced(),
    Kind::new("", "v1", NAMESPACES, "Namespace").with_status(),
    Kind::new("events.k8s.io", "v1", EVENTS, "Event").namespaced(),
    Kind::new("coordination.k8s.io", "v1", LEASES, "Lease").namespaced(),
];

impl Kind {
    const fn new(group: &'static str, version: &'static str, plural: &'static str, name: &'static str) -> Kind {
        Kind { group, version, plural, name, namespaced: false, has_status: false, has_generation: false }
    }

    const fn namespaced(self) -> Kind {
        Kind { namespaced: true, ..self }
    }

    const fn with_status(self) -> Kind {
        Kind { has_status: true, ..self }
    }

    const fn with_generation(self) -> Kind {
        Kind { has_generation: true, ..self }
    }

    pub fn by_plural(plural: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.plural == plural)
    }

    /// The kind in the text of an object.
    pub fn of(object: &Value) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| object["kind"] == kind.name && object["apiVersion"] == kind.api_version())
    }

    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The name of the resource in messages, such as `privategenaiapps.privategenai.dev`.
    pub fn resource(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

/// The part of an object that a write changes. All other parts of the sent object are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Main,
    Status,
}

impl Part {
    pub fn subresource(self) -> Option<&'static str> {
        match self {
            Part::Main => None,
            Part::Status => Some("status"),
        }
    }
}

/// The address of one object. Keys sort as the API server lists: by namespace, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: &'static Kind,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: &'static Kind, namespace: &str, name: &str) -> Key {
        Key { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Reads `plural/namespace/name`, or `plural/name` for a cluster-scoped kind.
    ///
    /// # Panics
    /// A test names a resource that the server does not have. The mistake is in the test.
    #[track_caller]
    pub fn parse(path: &str) -> Key {
        let parts: Vec<&str> = path.split('/').collect();
        let kind = Kind::by_plural(parts[0]).unwrap_or_else(|| panic!("{path}: no such resource in kinds.rs"));
        match (kind.namespaced, &parts[1..]) {
            (true, &[namespace, name]) => Key::new(kind, namespace, name),
            (false, &[name]) => Key::new(kind, "", name),
            (true, _) => panic!("{path}: should be {}/<namespace>/<name>", kind.plural),
            (false, _) => panic!("{path}: should be {}/<name>", kind.plural),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.namespaced {
            write!(out, "{}/{}/{}", self.kind.plural, self.namespace, self.name)
        } else {
            write!(out, "{}/{}", self.kind.plural, self.name)
        }
    }
}
