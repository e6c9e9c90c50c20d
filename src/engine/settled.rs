//! The desired resources when all of them were last found in AWS. A later difference is a change from outside.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Mutex, PoisonError},
};

/// A part of an object's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All resources.
    Everything,
    /// The subnets of a network's endpoints.
    EndpointSubnets,
}

/// Fingerprints of the desired resources of one object, by part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettledParts(BTreeMap<Part, u64>);

impl SettledParts {
    /// All desired resources of the part exist.
    #[must_use]
    pub fn with(mut self, part: Part, desired: &impl Hash) -> Self {
        self.0.insert(part, fingerprint(desired));
        self
    }

    /// The desired resources are those of the last complete observation, so a difference is a change from outside. `false`
    /// if there was no complete observation since the operator started: a new version of the operator may desire something
    /// else.
    pub fn is_same(&self, part: Part, desired: &impl Hash) -> bool {
        self.0.get(&part) == Some(&fingerprint(desired))
    }
}

/// The settled parts of all objects, by uid.
#[derive(Default)]
pub struct Settled(Mutex<BTreeMap<String, SettledParts>>);

impl Settled {
    /// Records the settled parts of an object.
    pub fn record(&self, uid: &str, parts: SettledParts) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), parts);
    }

    /// The settled parts of an object.
    pub fn of(&self, uid: &str) -> SettledParts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned().unwrap_or_default()
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

fn fingerprint(desired: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    desired.hash(&mut hasher);
    hasher.finish()
}
