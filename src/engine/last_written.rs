//! Read your writes: a store follows the API server through a watch, so for a moment the store is behind the operator's own writes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kube::{Resource, core::DeserializeGuard};

use super::Guarded;

/// The objects after the operator's own last writes, while the store does not show these yet.
pub struct LastWritten<K>(Mutex<BTreeMap<String, Arc<Guarded<K>>>>);

impl<K> Default for LastWritten<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource<DynamicType = ()>> LastWritten<K> {
    /// Remembers the answer of the API server to a write.
    pub fn remember(&self, object: K) {
        if let Some(uid) = object.meta().uid.clone() {
            let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            latest.insert(uid, Arc::new(DeserializeGuard(Ok(object))));
        }
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// The newer one of the stored and the written object.
    pub fn newest(&self, stored: Arc<Guarded<K>>) -> Arc<Guarded<K>> {
        let Some(uid) = &stored.meta().uid else {
            return stored;
        };
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.get(uid) {
            Some(written) if version(written) > version(&stored) => Arc::clone(written),
            _ => {
                latest.remove(uid);
                stored
            }
        }
    }
}

/// Resource versions of one object compare as numbers (KEP-5504). A version that is not a number is never newer.
fn version<K: Resource<DynamicType = ()>>(object: &Guarded<K>) -> Option<u128> {
    object.meta().resource_version.as_ref().and_then(|version| version.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PrivateGenAINetwork, PrivateGenAINetworkSpec};

    fn network(version: &str) -> PrivateGenAINetwork {
        let spec = PrivateGenAINetworkSpec {
            vpc_id: "vpc-0abc1234".into(),
            region: "us-east-1".into(),
            deletion_policy: None,
        };
        let mut network = PrivateGenAINetwork::new("n", spec);
        network.metadata.uid = Some("u".into());
        network.metadata.resource_version = Some(version.into());
        network
    }

    #[test]
    fn what_was_written_counts_until_the_store_has_caught_up() {
        let latest = LastWritten::default();
        let seen = |stored: &str| {
            let newest = latest.newest(Arc::new(DeserializeGuard(Ok(network(stored)))));
            newest.meta().resource_version.clone().unwrap_or_default()
        };
        assert_eq!(seen("9"), "9");
        latest.remember(network("10"));
        assert_eq!(seen("9"), "10", "numbers, not texts");
        assert_eq!(seen("11"), "11");
        assert_eq!(seen("9"), "9", "and is forgotten then");
    }
}
