//! What happens by itself.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use private_genai_operator::{
    aws::{SnapshotState, TopologyState},
    engine::Memory,
};

use super::{
    super::state::{NOW, Operator, State},
    birth,
};
use crate::memory::aws::{self, Transition, step as aws_step};

impl State {
    /// Lets AWS get on with something.
    pub fn happen(&self, transition: &Transition) -> State {
        let mut next = self.clone();
        let mut world = (*self.world).clone();
        aws_step(&mut world, &aws::Action::Happen(transition.clone())).expect("what is due happens");
        next.world = Arc::new(world);
        next
    }

    /// Whether what AWS shows within a minute is shown, and nobody is in the middle of anything.
    pub fn may_time_pass(&self) -> bool {
        let shown = !self.world.due.keys().any(|it| matches!(it, Transition::Visible(..) | Transition::RoleKnown(..)));
        shown && self.is_quiet() && self.operators.iter().all(|it| it.departures.values().all(|looked| *looked))
    }

    /// Lets time pass: a minute where somebody counts it, else more.
    pub fn time_passes(&self) -> State {
        let mut next = self.clone();
        let counts = |it: &Operator| !it.memory.unseen.is_empty() || !it.memory.refused_tokens.is_empty();
        let time = if self.operators.iter().any(counts) { Duration::from_secs(70) } else { Duration::from_mins(11) };
        for operator in &mut next.operators {
            operator.departures.clear();
            age(&mut operator.memory, time);
        }
        for (name, object) in &self.objects.apps {
            if object.get().metadata.creation_timestamp == Some(birth(0)) {
                let mut app = object.get().clone();
                app.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
                next.with_app(name, Some(app));
            }
        }
        next
    }

    /// Tables are read anew from now on.
    pub fn resync(&self, number: usize, all: bool) -> State {
        let mut next = self.clone();
        let operator = &mut next.operators[number];
        // All scenarios leave the shape of the VPC as it is: reading it anew would show the same.
        let topology = if all { TopologyState::default() } else { operator.kept.topology.clone() };
        operator.kept = Arc::new(SnapshotState { topology, ..SnapshotState::default() });
        next
    }
}

/// Makes everything in a memory older; what no longer counts is dropped, so that what is equal for all purposes is equal.
fn age(memory: &mut Memory, by: Duration) {
    let older = |at: &mut Duration| *at = at.saturating_sub(by);
    let age = |at: &Duration| NOW.saturating_sub(*at);
    memory.unseen.values_mut().for_each(older);
    memory.unseen.retain(|_, at| age(at) < Duration::from_mins(1));
    memory.replaced.values_mut().for_each(older);
    memory.replaced.retain(|_, at| age(at) < Duration::from_mins(5));
    for (first, last) in memory.refused_tokens.values_mut() {
        older(first);
        older(last);
        // Older than it must be makes no difference.
        *first = (*first).max(NOW.saturating_sub(Duration::from_mins(6)));
    }
    memory.refused_tokens.retain(|_, (_, last)| age(last) < Duration::from_mins(5));
    let longest = NOW.saturating_sub(Duration::from_mins(11));
    for at in memory.available.values_mut().flat_map(|available| available.0.values_mut()) {
        *at = at.saturating_sub(by).max(longest);
    }
}
