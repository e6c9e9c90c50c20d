//! What decisions know of Kubernetes: the objects as the watches last showed them, and how the operator was told to work.

use kube::runtime::reflector::Store;

use super::{Guarded, Settings};
use crate::api::{PrivateGenAIApp, PrivateGenAINetwork};

/// The objects of both kinds, and the settings.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// All apps.
    pub apps: &'a Store<Guarded<PrivateGenAIApp>>,
    /// All networks.
    pub networks: &'a Store<Guarded<PrivateGenAINetwork>>,
    /// How the operator was told to work.
    pub settings: &'a Settings,
}
