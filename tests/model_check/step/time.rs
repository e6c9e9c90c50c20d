//! The steps that happen without an actor.

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
    /// Lets AWS finish a pending transition.
    pub fn happen(&self, transition: &Transition) -> State {
        let mut next = self.clone();
        let mut world = (*self.world).clone();
        aws_step(&mut world, &aws::Action::Happen(transition.clone())).expect("what is due happens");
        next.world = Arc::new(world);
        next
    }

    /// AWS shows all recent writes, and no pass is under way.
    pub fn may_time_pass(&self) -> bool {
        let shown = !self
            .world
            .due
            .keys()
            .any(|transition| matches!(transition, Transition::Visible(..) | Transition::RoleKnown(..)));
        shown
            && self.is_quiet()
            && self.operators.iter().all(|operator| operator.departures.values().all(|looked| *looked))
    }

    /// Lets time pass: a minute if a memory counts minutes, else more.
    pub fn time_passes(&self) -> State {
        let mut next = self.clone();
        let wrote = |kept: &SnapshotState| *kept != kept.settled();
        let counts = |operator: &Operator| {
            let Memory { unseen, refused_tokens, .. } = &operator.memory;
            !unseen.is_empty() || !refused_tokens.is_empty() || wrote(&operator.kept)
        };
        let time = if self.operators.iter().any(counts) { Duration::from_secs(70) } else { Duration::from_mins(11) };
        for operator in &mut next.operators {
            operator.departures.clear();
            operator.kept = Arc::new(operator.kept.settled());
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

    /// Clears the tables, but for what the operator wrote a moment ago.
    pub fn resync(&self, number: usize, all: bool) -> State {
        let mut next = self.clone();
        let operator = &mut next.operators[number];
        // No scenario changes the shape of the VPC, so reading the topology anew would show the same.
        let topology = if all { TopologyState::default() } else { operator.kept.topology.clone() };
        operator.kept = Arc::new(SnapshotState { topology, ..operator.kept.resynced() });
        next
    }
}

/// Ages all entries of a memory and drops those that no longer count, so that memories with the same effect are equal.
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
        // Ages beyond the limit make no difference.
        *first = (*first).max(NOW.saturating_sub(Duration::from_mins(6)));
    }
    memory.refused_tokens.retain(|_, (_, last)| age(last) < Duration::from_mins(5));
    let longest = NOW.saturating_sub(Duration::from_mins(11));
    for at in memory.available.values_mut().flat_map(|available| available.0.values_mut()) {
        *at = at.saturating_sub(by).max(longest);
    }
}
