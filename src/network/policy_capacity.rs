//! Which demands find room in the policy of an endpoint, which AWS limits: who is served stays, and what is new takes the room
//! that is left, the oldest app first. One app that does not fit holds up no other. Pure.

use std::collections::BTreeSet;

use super::Demand;
use crate::{
    aws::{Caller, Region},
    identity::InstallationId,
    policy::{ENDPOINT_POLICY_MAX, ModelId, capacity_for_models, length_of_model},
};

/// How many characters of the policy the models of one app may take, a quarter of all: more than 32 IDs as long as those of
/// Bedrock need, and too few for one app to take everything.
pub const APP_SHARE_MAX: usize = ENDPOINT_POLICY_MAX / 4;

/// Whose turn it is: the order in which demands are served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requester {
    /// An app that has resources in AWS, and no object here that could say how old it is.
    WithoutObject(String),
    /// An app with an object.
    Object {
        /// When it was created, in seconds since 1970.
        created: i64,
        /// Its namespace.
        namespace: String,
        /// Its name.
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

/// The room for models in the policy of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCapacity {
    region: Region,
    /// In characters.
    total: usize,
}

/// Why models find no room. All lengths are in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapacityRefusal {
    /// The app names more than one app may.
    ShareExceeded {
        /// How long its models are together.
        models: usize,
    },
    /// The policy is full.
    PolicyFull {
        /// The models that the policy lacks.
        missing: BTreeSet<ModelId>,
        /// How long they are together.
        needed: usize,
        /// How much is left.
        left: usize,
    },
}

/// What came of the demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmittedDemands {
    /// The models that the endpoint lets through.
    pub models: BTreeSet<ModelId>,
    /// The apps, as `namespace/name`, some of whose models find no room.
    pub waiting_apps: BTreeSet<String>,
}

impl PolicyCapacity {
    /// The room in the policy of an installation's endpoint for Bedrock's runtime.
    pub fn new(installation: &InstallationId, caller: &Caller, region: &Region) -> Self {
        Self { region: region.clone(), total: capacity_for_models(installation, caller, region) }
    }

    /// Admits demands. What is in `served` stays while somebody demands it, the first of the sets before the next. All further
    /// models of a demand are admitted, or none of them. The order of `demands` does not matter.
    pub fn admit(&self, served: &[BTreeSet<ModelId>], demands: &[Demand]) -> AdmittedDemands {
        let mut in_turn: Vec<&Demand> = demands.iter().collect();
        in_turn.sort_unstable();
        let mut models: BTreeSet<ModelId> = BTreeSet::new();
        let mut left = self.total;
        for served in served {
            for model in in_turn.iter().flat_map(|demand| demand.models.intersection(served)) {
                let needed = length_of_model(model, &self.region);
                if !models.contains(model) && needed <= left {
                    left = left.saturating_sub(needed);
                    models.insert(model.clone());
                }
            }
        }
        let mut waiting = BTreeSet::new();
        for demand in in_turn {
            match self.refusal(&models, &demand.models) {
                None => models.extend(demand.models.iter().cloned()),
                Some(_) => drop(waiting.insert(demand.requester.app())),
            }
        }
        AdmittedDemands { models, waiting_apps: waiting }
    }

    /// Why an app that names `models` finds no room where the policy has `served` already, if it finds none.
    pub fn refusal(&self, served: &BTreeSet<ModelId>, models: &BTreeSet<ModelId>) -> Option<CapacityRefusal> {
        let lacks: BTreeSet<ModelId> = models.difference(served).cloned().collect();
        if lacks.is_empty() {
            return None;
        }
        let all = self.length_of(models);
        if all > APP_SHARE_MAX {
            return Some(CapacityRefusal::ShareExceeded { models: all });
        }
        let (needed, left) = (self.length_of(&lacks), self.total.saturating_sub(self.length_of(served)));
        (needed > left).then_some(CapacityRefusal::PolicyFull { missing: lacks, needed, left })
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

    fn room() -> PolicyCapacity {
        let identity = identity();
        PolicyCapacity::new(&identity.installation, &caller(), &identity.region)
    }

    /// So many models whose IDs are as long as they can be: each takes 175 characters.
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
    fn the_room_is_what_a_policy_leaves_to_the_character() {
        let (identity, room) = (identity(), room());
        let rest = room.total - room.length_of(&long('a', 110));
        for (length, fits) in [(rest, true), (rest + 1, false)] {
            // Of each model 47 characters are the ARN, the quotation marks and the comma.
            let id = |n: usize, length: usize| format!("b.{n:0>width$}", width = length - 47 - 2);
            let mut models = long('a', 110);
            models.extend((0..5).map(|n| id(n, length / 6).parse().expect("a model")));
            models.insert(id(5, length - length / 6 * 5).parse().expect("a model"));
            let policy = bedrock_runtime_endpoint_policy(&identity.installation, &caller(), &identity.region, &models);
            assert_eq!(policy.as_str().len(), if fits { ENDPOINT_POLICY_MAX } else { ENDPOINT_POLICY_MAX + 1 });
            assert_eq!(room.length_of(&models) <= room.total, fits);
        }
    }

    #[test]
    fn who_is_served_stays_and_what_is_new_takes_the_room_that_is_left_the_oldest_first() {
        let full = ['a', 'b', 'c', 'd'].map(|of| app(9, &of.to_string(), long(of, 22)));
        let served = [union(&full.iter().collect::<Vec<_>>())];
        let (older, old, small) =
            (app(1, "older", long('x', 23)), app(2, "old", long('y', 23)), app(3, "small", long('z', 1)));
        let mut demands = full.to_vec();
        demands.extend([small.clone(), old.clone(), older.clone()]);
        let admitted = room().admit(&served, &demands);
        assert_eq!(waiting(&admitted), ["team-a/old"], "the older one takes what is left, and a small one fits beside");
        assert!(admitted.models.is_superset(&served[0]), "whoever is served stays, however young");
        assert!(admitted.models.is_superset(&older.models) && admitted.models.is_superset(&small.models));
        // The same again, and from then on for ever.
        assert_eq!(room().admit(std::slice::from_ref(&admitted.models), &demands), admitted);
        // The first that is gone makes room.
        let admitted = room().admit(&[admitted.models], &demands[1..]);
        assert!(admitted.waiting_apps.is_empty() && admitted.models.is_superset(&old.models));
    }

    #[test]
    fn one_app_takes_no_more_than_its_share_and_what_is_there_already_costs_nothing() {
        let greedy = app(1, "greedy", long('a', 30));
        let admitted = room().admit(&[], std::slice::from_ref(&greedy));
        assert_eq!((admitted.models.len(), waiting(&admitted)), (0, vec!["team-a/greedy"]));
        let told = room().refusal(&BTreeSet::new(), &greedy.models);
        assert_eq!(told, Some(CapacityRefusal::ShareExceeded { models: 30 * 175 }));
        // Others named them.
        assert_eq!(
            room().admit(std::slice::from_ref(&greedy.models), std::slice::from_ref(&greedy)).models,
            greedy.models
        );
        let halves =
            [app(2, "one", long('a', 15)), app(2, "two", greedy.models.difference(&long('a', 15)).cloned().collect())];
        let all = [greedy.clone(), halves[0].clone(), halves[1].clone()];
        let first = room().admit(&[], &all);
        assert_eq!((waiting(&first), &first.models), (vec!["team-a/greedy"], &greedy.models));
        assert!(room().admit(&[first.models], &all).waiting_apps.is_empty());
    }

    #[test]
    fn what_the_policy_shows_comes_before_what_was_recorded_and_both_before_what_is_new() {
        let shown = app(5, "shown", long('s', 60));
        let recorded = app(4, "recorded", long('r', 60));
        let served = [shown.models.clone(), recorded.models.clone()];
        let admitted = room().admit(&served, &[recorded.clone(), shown.clone(), app(1, "new", long('n', 1))]);
        assert!(admitted.models.is_superset(&shown.models));
        assert_eq!(admitted.models.intersection(&recorded.models).count(), 115 - 60);
        assert_eq!(waiting(&admitted), ["team-a/new", "team-a/recorded"]);
        let nobody = room().admit(&served, &[]);
        assert_eq!(nobody, AdmittedDemands::default(), "what nobody demands is not served");
    }
}
