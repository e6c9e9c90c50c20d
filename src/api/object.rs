//! Names and metadata of objects.

use std::fmt;

use kube::{
    ResourceExt,
    core::{DeserializeGuard, ObjectMeta},
};

use super::FINALIZER;
use crate::identity::AppIdentity;

/// An object that may be unreadable. Such an object keeps its metadata and does not stop the watch.
pub type Guarded<K> = DeserializeGuard<K>;

/// The operator holds the object: resources in AWS may belong to the object.
pub fn is_held(meta: &ObjectMeta) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// One of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum ObjectKind {
    App,
    Network,
}

impl ObjectKind {
    /// Both kinds.
    pub const ALL: &[Self] = &[Self::App, Self::Network];

    /// The kind in logs and in labels of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Network => "network",
        }
    }
}

/// The name of a `PrivateGenAIApp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct AppName {
    pub namespace: String,
    pub name: String,
}

impl AppName {
    /// The name of this object.
    pub fn of(app: &impl ResourceExt) -> Self {
        Self { namespace: app.namespace().unwrap_or_default(), name: app.name_any() }
    }
}

impl From<&AppIdentity> for AppName {
    fn from(identity: &AppIdentity) -> Self {
        Self { namespace: identity.namespace.clone(), name: identity.name.clone() }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// The name of an object of either kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// A `PrivateGenAIApp`.
    App(AppName),
    /// A `PrivateGenAINetwork`, which has no namespace.
    Network(String),
}

impl ObjectName {
    /// The name of this object, which has that kind.
    pub fn of(kind: ObjectKind, object: &impl ResourceExt) -> Self {
        match kind {
            ObjectKind::App => Self::App(AppName::of(object)),
            ObjectKind::Network => Self::Network(object.name_any()),
        }
    }

    /// The kind of the object.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::App(_) => ObjectKind::App,
            Self::Network(_) => ObjectKind::Network,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app) => write!(formatter, "app {app}"),
            Self::Network(name) => write!(formatter, "network /{name}"),
        }
    }
}
