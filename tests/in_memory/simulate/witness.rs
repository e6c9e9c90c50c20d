//! Who looks at every write of the operator as it happens, and says which one should not have been.

use std::sync::{Arc, Mutex, PoisonError};

use private_genai_operator::aws::{SecurityGroupId, VpcEndpointId};

use crate::memory::{aws::MemoryAws, judge::Judge};

/// What was seen, and what must be known to judge it. Clones share it.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    wrong: Vec<String>,
    writes: u64,
    judge: Judge,
}

impl Witness {
    pub fn watch(&self, aws: &MemoryAws) {
        let seen = Arc::clone(&self.0);
        aws.watched_by(Box::new(move |before, write, written, after| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.writes += 1;
            if let Err(wrong) = seen.judge.judge(write, before, written, after) {
                seen.wrong.push(format!("{wrong}: {write:?}"));
            }
        }));
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Somebody else opened this group.
    pub fn opened(&self, group: SecurityGroupId) {
        self.seen(|seen| seen.judge.opened.insert(group));
    }

    /// Somebody else made this endpoint.
    pub fn copied(&self, endpoint: VpcEndpointId) {
        self.seen(|seen| seen.judge.copies.insert(endpoint));
    }

    pub fn writes(&self) -> u64 {
        self.seen(|seen| seen.writes)
    }

    /// The first thing that should not have been, if there was one.
    pub fn verdict(&self) -> Result<(), String> {
        self.seen(|seen| seen.wrong.first().cloned().map_or(Ok(()), Err))
    }
}
