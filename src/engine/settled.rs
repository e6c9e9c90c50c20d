//! What was wanted when all of it was found in AWS last: whatever differs later, somebody else changed.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::{Mutex, PoisonError},
};

/// Which part of an object's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All resources.
    Everything,
    /// The subnets of a network's endpoints.
    EndpointSubnets,
}

/// Fingerprints of what was wanted, by the uid of the object.
#[derive(Default)]
pub struct Settled(Mutex<BTreeMap<(String, Part), u64>>);

impl Settled {
    /// All that is wanted of the part was found to be there.
    pub fn record(&self, uid: &str, part: Part, wanted: &impl Hash) {
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert((uid.to_owned(), part), fingerprint(wanted));
    }

    /// The same was wanted when all was last there: what is missing now, somebody else took away or changed. `false` for what was
    /// never seen at rest since the operator started, so a new version that wants something else blames nobody.
    pub fn is_same(&self, uid: &str, part: Part, wanted: &impl Hash) -> bool {
        let settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(&(uid.to_owned(), part)) == Some(&fingerprint(wanted))
    }

    /// Nothing is wanted for the object any more.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != uid);
    }
}

fn fingerprint(wanted: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    hasher.finish()
}
