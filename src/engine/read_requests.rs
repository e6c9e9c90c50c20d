//! Requests to read more of AWS in the next pass than the tables show, or to read it anew.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::ReadBy;
use crate::api::{AppName, ObjectName};

/// Why the details of an app are read that no table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DetailRead {
    /// It is the app's turn among the apps of its network.
    Rotation,
    /// Somebody touched the app.
    Requested,
}

/// The requests that no pass has taken yet.
#[derive(Default)]
pub struct ReadRequests {
    details: Mutex<BTreeMap<AppName, DetailRead>>,
    reads: Mutex<BTreeMap<ObjectName, ReadBy>>,
}

impl ReadRequests {
    /// Requests to read the details of an app: its function's tags and state, and what only a probe shows.
    pub fn request_detail(&self, app: AppName, why: DetailRead) {
        let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        details.entry(app).and_modify(|earlier| *earlier = why.max(*earlier)).or_insert(why);
    }

    /// Takes the request to read the details of an app.
    pub fn take_detail(&self, app: &AppName) -> Option<DetailRead> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).remove(app)
    }

    /// Requests to read what an object has in AWS: by its own rows, which are read anew, or by the tables, which were forgotten. Writes
    /// that were refused for the object are tried again.
    pub fn request(&self, object: ObjectName, by: ReadBy) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).insert(object, by);
    }

    /// Takes the request to read what an object has in AWS.
    pub fn take(&self, object: &ObjectName) -> Option<ReadBy> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).remove(object)
    }
}
