//! The demands for which the policy of an endpoint has capacity. AWS limits the length of that policy.
//!
//! # Guarantees
//! - Served models stay while an app demands them.
//! - Further models take the remaining capacity, the oldest app first.
//! - An app whose models do not fit holds up no other app.

use std::collections::BTreeSet;

use super::Demand;
use crate::{
    aws::{Caller, Region},
    identity::InstallationId,
    policy::{ENDPOINT_POLICY_MAX, ModelId, capacity_for_models, length_of_model},
};

/// The largest part of the policy for the models of one app: a quarter. That is more than 32 of Bedrock's longest IDs need, and
/// keeps one app from taking the whole policy.
pub const APP_SHARE_MAX: usize = ENDPOINT_POLICY_MAX / 4;

/// The app behind a demand. Requesters are served in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum Requester {
    /// An app with resources in AWS and without an object in Kubernetes, so of unknown age: `namespace/name`.
    WithoutObject(String),
    /// An app with an object.
    Object {
        /// The creation time of the object, in seconds since 1970.
        created: i64,
        namespace: String,
        name: String,
    },
}

impl Requester {
    /// The app, as `namespace/name`.
    pub fn app(&self) -> String {
        match self {
            Self::WithoutObject(app) => app.clone(),
            Self::Object { namespace, name, .. } => format!("{namespace}/{name}"),
        }
    }
}

/// The characters for models in the policy of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCapacity {
    region: Region,
    total: usize,
}

/// The reason why models do not fit into a policy. All lengths are in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapacityRefusal {
    /// The app's models exceed the share of one app.
    ShareExceeded {
        /// The length of all models of the app.
        models: usize,
    },
    /// The policy is full.
    PolicyFull {
        /// The models that the policy lacks.
        missing: BTreeSet<ModelId>,
        /// The length of the missing models.
        needed: usize,
        /// The remaining capacity.
        left: usize,
    },
}

/// The result of [`PolicyCapacity::admit`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmittedDemands {
    /// The models that the endpoint allows.
    pub models: BTreeSet<ModelId>,
    /// The apps, as `namespace/name`, with models that do not fit. Of apps with the same models this is the oldest, with the number
    /// of the others.
    pub waiting_apps: BTreeSet<String>,
}

impl PolicyCapacity {
    /// The capacity of the policy of an installation's endpoint for Bedrock's runtime.
    pub fn new(installation: &InstallationId, caller: &Caller, region: &Region) -> Self {
        Self { region: region.clone(), total: capacity_for_models(installation, caller, region) }
    }

    /// Admits demands.
    ///
    /// # Guarantees
    /// - Models in `served` stay while an app demands them; the first of the sets takes precedence.
    /// - Either all further models of a demand are admitted, or none.
    /// - The order of `demands` does not matter.
    pub fn admit(&self, served: &[BTreeSet<ModelId>], demands: &[Demand]) -> AdmittedDemands {
        let mut by_age: Vec<&Demand> = demands.iter().collect();
        by_age.sort_unstable();
        let mut models: BTreeSet<ModelId> = BTreeSet::new();
        let mut left = self.total;
        for served in served {
            for model in by_age.iter().flat_map(|demand| demand.models.intersection(served)) {
                let needed = length_of_model(model, &self.region);
                if !models.contains(model) && needed <= left {
                    left = left.saturating_sub(needed);
                    models.insert(model.clone());
                }
            }
        }
        let mut waiting_apps = BTreeSet::new();
        for demand in by_age {
            match self.refusal(&models, &demand.models) {
                None => models.extend(demand.models.iter().cloned()),
                Some(_) => drop(waiting_apps.insert(demand.named())),
            }
        }
        AdmittedDemands { models, waiting_apps }
    }

    /// The reason why the `models` of an app do not fit into a policy that has the `served` ones. `None` if the models fit.
    pub fn refusal(&self, served: &BTreeSet<ModelId>, models: &BTreeSet<ModelId>) -> Option<CapacityRefusal> {
        let missing: BTreeSet<ModelId> = models.difference(served).cloned().collect();
        if missing.is_empty() {
            return None;
        }
        let all = self.length_of(models);
        if all > APP_SHARE_MAX {
            return Some(CapacityRefusal::ShareExceeded { models: all });
        }
        let (needed, left) = (self.length_of(&missing), self.total.saturating_sub(self.length_of(served)));
        (needed > left).then_some(CapacityRefusal::PolicyFull { missing, needed, left })
    }

    fn length_of(&self, models: &BTreeSet<ModelId>) -> usize {
        models.iter().map(|model| length_of_model(model, &self.region)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        network::fixtures::{caller, demand_of, identity},
        policy::bedrock_runtime_endpoint_policy,
    };

    fn capacity() -> PolicyCapacity {
        let identity = identity();
        PolicyCapacity::new(&identity.installation, &caller(), &identity.region)
    }

    /// `count` models with the longest possible IDs: each takes 175 characters.
    fn long(of: char, count: usize) -> BTreeSet<ModelId> {
        (0..count).map(|n| format!("{of}.{n:0>126}").parse().expect("a model")).collect()
    }

    fn app(created: i64, name: &str, models: BTreeSet<ModelId>) -> Demand {
        demand_of(created, name, models)
    }

    fn union(demands: &[&Demand]) -> BTreeSet<ModelId> {
        demands.iter().flat_map(|demand| demand.models.iter().cloned()).collect()
    }

    fn waiting(admitted: &AdmittedDemands) -> Vec<&str> {
        admitted.waiting_apps.iter().map(String::as_str).collect()
    }

    #[test]
    fn the_capacity_is_exact_to_the_character() {
        let (identity, capacity) = (identity(), capacity());
        let rest = capacity.total - capacity.length_of(&long('a', 110));
        for (length, fits) in [(rest, true), (rest + 1, false)] {
            // The ARN, the quotation marks and the comma take 47 characters of each model.
            let id = |n: usize, length: usize| format!("b.{n:0>width$}", width = length - 47 - 2);
            let mut models = long('a', 110);
            models.extend((0..5).map(|n| id(n, length / 6).parse().expect("a model")));
            models.insert(id(5, length - length / 6 * 5).parse().expect("a model"));
            let policy = bedrock_runtime_endpoint_policy(&identity.installation, &caller(), &identity.region, &models);
            assert_eq!(policy.as_str().len(), if fits { ENDPOINT_POLICY_MAX } else { ENDPOINT_POLICY_MAX + 1 });
            assert_eq!(capacity.length_of(&models) <= capacity.total, fits);
        }
    }

    #[test]
    fn served_models_stay_and_new_ones_take_the_remaining_capacity_oldest_app_first() {
        let full = ['a', 'b', 'c', 'd'].map(|of| app(9, &of.to_string(), long(of, 22)));
        let served = [union(&full.iter().collect::<Vec<_>>())];
        let (older, old, small) =
            (app(1, "older", long('x', 23)), app(2, "old", long('y', 23)), app(3, "small", long('z', 1)));
        let mut demands = full.to_vec();
        demands.extend([small.clone(), old.clone(), older.clone()]);
        let admitted = capacity().admit(&served, &demands);
        assert_eq!(waiting(&admitted), ["team-a/old"], "the older one takes what is left, and a small one fits beside");
        assert!(admitted.models.is_superset(&served[0]), "whoever is served stays, however young");
        assert!(admitted.models.is_superset(&older.models) && admitted.models.is_superset(&small.models));
        // The result is stable.
        assert_eq!(capacity().admit(std::slice::from_ref(&admitted.models), &demands), admitted);
        // The deletion of the first app makes room.
        let admitted = capacity().admit(&[admitted.models], &demands[1..]);
        assert!(admitted.waiting_apps.is_empty() && admitted.models.is_superset(&old.models));
    }

    #[test]
    fn one_app_takes_no_more_than_its_share_and_a_model_that_is_served_costs_nothing() {
        let greedy = app(1, "greedy", long('a', 30));
        let admitted = capacity().admit(&[], std::slice::from_ref(&greedy));
        assert_eq!((admitted.models.len(), waiting(&admitted)), (0, vec!["team-a/greedy"]));
        let refusal = capacity().refusal(&BTreeSet::new(), &greedy.models);
        assert_eq!(refusal, Some(CapacityRefusal::ShareExceeded { models: 30 * 175 }));
        // The models of another app were admitted.
        assert_eq!(
            capacity().admit(std::slice::from_ref(&greedy.models), std::slice::from_ref(&greedy)).models,
            greedy.models
        );
        let halves =
            [app(2, "one", long('a', 15)), app(2, "two", greedy.models.difference(&long('a', 15)).cloned().collect())];
        let all = [greedy.clone(), halves[0].clone(), halves[1].clone()];
        let first = capacity().admit(&[], &all);
        assert_eq!((waiting(&first), &first.models), (vec!["team-a/greedy"], &greedy.models));
        assert!(capacity().admit(&[first.models], &all).waiting_apps.is_empty());
    }

    #[test]
    fn models_in_the_policy_precede_recorded_models_and_both_precede_new_ones() {
        let shown = app(5, "shown", long('s', 60));
        let recorded = app(4, "recorded", long('r', 60));
        let served = [shown.models.clone(), recorded.models.clone()];
        let admitted = capacity().admit(&served, &[recorded.clone(), shown.clone(), app(1, "new", long('n', 1))]);
        assert!(admitted.models.is_superset(&shown.models));
        assert_eq!(admitted.models.intersection(&recorded.models).count(), 115 - 60);
        assert_eq!(waiting(&admitted), ["team-a/new", "team-a/recorded"]);
        let nobody = capacity().admit(&served, &[]);
        assert_eq!(nobody, AdmittedDemands::default(), "what nobody demands is not served");
    }
}
