//! The objects that wait for the turn of a call that pacing put off. Until then nothing but a change of its own wakes an object.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use kube::core::ObjectMeta;
use tokio::time::Instant;

use crate::api::ObjectName;

/// The objects that wait for a turn. Losing them costs reconciles, never correctness.
#[derive(Default)]
pub struct Turns(Mutex<BTreeMap<ObjectName, Waiting>>);

/// An object that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    until: Instant,
    version: Version,
}

/// What the object was when it began to wait. Status, labels and annotations do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    is_deleted: bool,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        Self { uid: meta.uid.clone(), generation: meta.generation, is_deleted: meta.deletion_timestamp.is_some() }
    }
}

impl Turns {
    /// The object waits from now on.
    pub fn wait(&self, object: ObjectName, meta: &ObjectMeta, until: Instant) {
        let waiting = Waiting { until, version: Version::of(meta) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(object, waiting);
    }

    /// The turn for which the object still waits. An object whose turn has come, or whose spec changed, or which is to be deleted, waits
    /// no longer.
    pub fn of(&self, object: &ObjectName, meta: &ObjectMeta, now: Instant) -> Option<Instant> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = waiting.get(object)?;
        if now < found.until && found.version == Version::of(meta) {
            return Some(found.until);
        }
        waiting.remove(object);
        None
    }

    /// Ends the wait of the objects with these uids, whose turns came earlier than told. Returns the objects.
    pub fn end(&self, uids: &BTreeSet<String>) -> Vec<ObjectName> {
        if uids.is_empty() {
            return Vec::new();
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early =
            |_: &ObjectName, found: &mut Waiting| found.version.uid.as_ref().is_some_and(|uid| uids.contains(uid));
        waiting.extract_if(.., is_early).map(|(object, _)| object).collect()
    }

    /// No object waits.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The object is gone.
    pub fn forget(&self, object: &ObjectName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_object_waits_until_its_turn_unless_it_changes_or_is_to_be_deleted() {
        let meta = ObjectMeta { uid: Some("1".to_owned()), generation: Some(3), ..ObjectMeta::default() };
        let annotations = Some([("look".to_owned(), "now".to_owned())].into());
        let began = Instant::now();
        let until = began + Duration::from_mins(1);
        let table = [
            ("the same", meta.clone(), 59, true),
            ("touched", ObjectMeta { annotations, ..meta.clone() }, 1, true),
            ("its turn has come", meta.clone(), 60, false),
            ("another spec", ObjectMeta { generation: Some(4), ..meta.clone() }, 1, false),
            ("deleted", ObjectMeta { deletion_timestamp: Some(Time(Timestamp::UNIX_EPOCH)), ..meta.clone() }, 1, false),
            ("another object", ObjectMeta { uid: Some("2".to_owned()), ..meta.clone() }, 1, false),
        ];
        for (what, now, seconds, waits) in table {
            let (turns, name) = (Turns::default(), ObjectName::Network("n".to_owned()));
            turns.wait(name.clone(), &meta, until);
            let found = turns.of(&name, &now, began + Duration::from_secs(seconds));
            assert_eq!(found, waits.then_some(until), "{what}");
            assert_eq!(turns.of(&name, &meta, began).is_some(), waits, "{what}: whoever was woken waits no longer");
        }
    }
}
