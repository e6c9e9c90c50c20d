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

/// Fingerprints of the desired resources, by the uid of the object.
#[derive(Default)]
pub struct Settled(Mutex<BTreeMap<(String, Part), u64>>);

impl Settled {
    /// Records that all desired resources of the part exist.
    pub fn record(&self, uid: &str, part: Part, wanted: &impl Hash) {
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert((uid.to_owned(), part), fingerprint(wanted));
    }

    /// The desired resources are those of the last complete observation, so a difference is a change from outside. `false`
    /// if there was no complete observation since the operator started: a new version of the operator may desire something
    /// else.
    pub fn is_same(&self, uid: &str, part: Part, wanted: &impl Hash) -> bool {
        let settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(&(uid.to_owned(), part)) == Some(&fingerprint(wanted))
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != uid);
    }
}

fn fingerprint(wanted: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    hasher.finish()
}
