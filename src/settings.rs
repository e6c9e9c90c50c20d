//! How the operator is configured.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::{
    aws::{Package, Region},
    governance::Governance,
    guard::{Globs, ImplicitNetworks},
    identity::{InstallationId, OwnerMark},
};

/// The configuration of a running operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose resources these are.
    pub installation: InstallationId,
    /// Which cluster the operator belongs to.
    pub owner: OwnerMark,
    /// The region of networks that name none, and of calls that have none.
    pub region: Region,
    /// In which regions apps and networks may be: elsewhere nothing is created, and AWS is not asked.
    pub regions: Globs<Region>,
    /// Which VPCs apps may name, and what they may ask for there.
    pub implicit_networks: ImplicitNetworks,
    /// How often AWS is read although nothing happened.
    pub resync: Duration,
    /// How many objects of each kind are reconciled at once.
    pub concurrency: u16,
    /// What everything that is created has in common.
    pub governance: Governance,
    /// The deployment package of the built-in handler.
    pub handler: Package,
    /// The time that conditions show.
    pub clock: fn() -> Timestamp,
}
