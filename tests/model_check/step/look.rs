//! Reads of AWS through the operator's own tables.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::executor::block_on;
use private_genai_operator::{
    api::network::NetworkKey,
    aws::{AwsError, Made, Snapshot, Snapshots, Write},
    engine::{Freshness, Knowledge, Memory, PassSubject},
    index::Index,
    plan::Plan,
};

use super::{
    super::{
        scenario::Scenario,
        state::{Operator, State},
    },
    caller,
};
use crate::memory::{
    aws::{self, MemoryAws},
    judge::{installation, region},
};

/// The least age of a table's contents when a later pass reads the table.
const AGED: Duration = Duration::from_mins(1);

/// Reads AWS through the operator's own snapshot, which starts with the tables kept before.
pub(super) fn with_snapshot<T>(
    operator: &mut Operator,
    world: &Arc<aws::World>,
    key: Option<&NetworkKey>,
    look: impl AsyncFnOnce(&Snapshot) -> Result<T, AwsError>,
) -> T {
    let aws = Arc::new(MemoryAws::of(Arc::clone(world)));
    let snapshots = Snapshots::new(aws, installation(), region());
    // The ARN of a new log group follows from it.
    snapshots.work_in(caller().account);
    let snapshot = snapshots.region(&region());
    for vpc in &operator.covered {
        snapshot.include_vpc(vpc);
    }
    snapshot.restore((*operator.kept).clone(), AGED);
    if let Some(key) = key {
        snapshot.include_vpc(&key.vpc);
        operator.covered.insert(key.vpc.clone());
    }
    let seen = block_on(look(&snapshot)).expect("nothing makes a look fail here");
    let kept = snapshot.state();
    if kept != *operator.kept {
        operator.kept = Arc::new(kept);
    }
    seen
}

/// Learns from AWS's answer to a write, as the operator's snapshot does.
pub(super) fn learn(operator: &mut Operator, write: &Write, answer: Result<&Made, &AwsError>) {
    let nothing = Arc::new(aws::World::new(caller().account, aws::Delays::default()));
    with_snapshot(operator, &nothing, None, async |snapshot| {
        snapshot.learn(write, answer);
        Ok(())
    });
}

/// The knowledge of an operator besides AWS.
pub(super) struct Head {
    index: Arc<Index>,
    memory: Mutex<Memory>,
}

impl Knowledge for Head {
    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("nobody panics while holding it")
    }
}

impl Scenario {
    /// Observes AWS through the operator's tables. `key` is the observed network, if the subject is one.
    pub(super) fn observe<T>(
        &self,
        next: &mut State,
        number: usize,
        key: Option<&NetworkKey>,
        observe: impl AsyncFnOnce(&Snapshot, &Head) -> Result<T, AwsError>,
    ) -> T {
        let (world, index) = (Arc::clone(&next.world), Arc::clone(&next.objects.index));
        let operator = &mut next.operators[number];
        let head = Head { index, memory: Mutex::new(operator.memory.clone()) };
        let observed = with_snapshot(operator, &world, key, async |snapshot| observe(snapshot, &head).await);
        operator.memory = head.memory.into_inner().expect("nobody panics while holding it");
        observed
    }

    /// Observes the subject of a pass and decides.
    pub(super) fn decide<S: PassSubject>(
        &self,
        next: &mut State,
        number: usize,
        key: Option<&NetworkKey>,
        subject: &mut S,
        fresh: &Freshness,
    ) -> (S::Observed, Plan) {
        let observed =
            self.observe(next, number, key, async |snapshot, head| subject.observe(snapshot, fresh, head).await);
        let objects = Arc::clone(&next.objects);
        let plan = subject.decide(&observed, &objects.index, &mut next.operators[number].memory);
        (observed, plan)
    }
}
