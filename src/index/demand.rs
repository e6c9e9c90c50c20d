//! The demands of apps on their network, counted: apps that demand the same are one entry, so that the union of ten thousand demands
//! costs as much as the demands differ.

use std::collections::{BTreeMap, BTreeSet};

use super::{Admission, Index, IndexedApp, Seniority};
use crate::{api::network::NetworkKey, aws::SubnetId, policy::ModelId};

/// What an app demands of its network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppDemand {
    /// AWS may have resources of the app: the app demands until it is gone, also where its subnets cannot be used.
    pub held: bool,
    /// The models that the app calls.
    pub models: BTreeSet<ModelId>,
    /// The subnets that the app names.
    pub subnets: BTreeSet<SubnetId>,
}

/// The apps that demand the same of a network, the oldest first.
pub(super) type CountedDemands = BTreeMap<NetworkKey, BTreeMap<AppDemand, BTreeSet<Seniority>>>;

impl AppDemand {
    /// The demand of an app that uses its network; `None` where the object says nothing about a demand. A refused app gets no models by
    /// its spec: the policy of its role, if there is one, counts as the demand of an app without an object.
    pub(super) fn of(app: &IndexedApp) -> Option<Self> {
        if !app.uses_network {
            return None;
        }
        let held = app.is_held();
        match app.admission.as_ref()? {
            Admission::Accepted(app) => {
                Some(Self { held, models: app.models.iter().cloned().collect(), subnets: app.subnets.clone() })
            }
            Admission::Refused(app, _) => Some(Self { held, models: BTreeSet::new(), subnets: app.subnets.clone() }),
            Admission::Unreadable(_) => held.then(|| Self { held, models: BTreeSet::new(), subnets: BTreeSet::new() }),
        }
    }
}

impl Index {
    /// The different demands of the apps that use a network, each with the oldest of its apps and their number.
    pub fn demands(&self, key: &NetworkKey) -> impl Iterator<Item = (&AppDemand, &IndexedApp, usize)> {
        let demands = self.demands_on.get(key).into_iter().flatten();
        demands.filter_map(|(demand, apps)| Some((demand, self.app(&apps.first()?.name)?, apps.len())))
    }
}
