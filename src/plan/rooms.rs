//! Rooms: the resources of an object. Each room has three parts of its own: the desired state, the observed state, and the plan
//! that leads from one to the other.
//!
//! # Guarantees
//! - Rooms are built in the order of their list, and deleted in the reverse order.
//! - A room that waits or fails holds up only the rooms that stand on it, and of those only creation and deletion. Existing resources
//!   are kept exact, and foreign changes are removed, whatever happens to other rooms.

use std::collections::BTreeSet;

/// The rooms of one kind of object.
pub trait Room: Copy + Ord + 'static {
    /// The rooms in the order of building. A room stands on earlier rooms only.
    const ALL: &'static [Self];

    /// The rooms that must be ready before this room creates anything, and that stay until this room is gone.
    fn stands_on(self) -> &'static [Self];
}

/// Whether a room may create missing resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Creation {
    Allowed,
    Stopped,
}

/// What a teardown leaves of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing: the steps of this plan delete the last of it.
    Nothing,
    /// Something that the rooms below must outlive, or nobody can tell.
    Something,
}

/// Plans the rooms in the order of building.
///
/// `plan` plans one room, and returns whether rooms that stand on it may be created.
pub fn build<R: Room>(creation: Creation, mut plan: impl FnMut(R, Creation) -> Creation) {
    let mut stopped = BTreeSet::new();
    for room in R::ALL {
        let is_stopped = room.stands_on().iter().any(|below| stopped.contains(below));
        if plan(*room, if is_stopped { Creation::Stopped } else { creation }) == Creation::Stopped {
            stopped.insert(*room);
        }
    }
}

/// Plans the rooms in the order of deletion.
///
/// `plan` plans the deletion of one room. `above` says whether a room that stands on it remains: then the room must stay, and only
/// loses what is foreign.
pub fn tear_down<R: Room>(mut plan: impl FnMut(R, Remains) -> Remains) {
    let mut remaining: BTreeSet<R> = BTreeSet::new();
    for room in R::ALL.iter().rev() {
        let is_needed = remaining.iter().any(|above| above.stands_on().contains(room));
        let above = if is_needed { Remains::Something } else { Remains::Nothing };
        if plan(*room, above) == Remains::Something || is_needed {
            remaining.insert(*room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Storey {
        Cellar,
        Ground,
        Garage,
        Attic,
    }

    impl Room for Storey {
        const ALL: &'static [Self] = &[Self::Cellar, Self::Ground, Self::Garage, Self::Attic];

        fn stands_on(self) -> &'static [Self] {
            match self {
                Self::Cellar | Self::Garage => &[],
                Self::Ground => &[Self::Cellar],
                Self::Attic => &[Self::Ground],
            }
        }
    }

    #[test]
    fn a_room_that_waits_holds_up_only_the_rooms_that_stand_on_it() {
        use Creation::{Allowed, Stopped};
        let mut built = Vec::new();
        build(Allowed, |room, creation| {
            built.push((room, creation));
            if room == Storey::Ground { Stopped } else { creation }
        });
        assert_eq!(
            built,
            [(Storey::Cellar, Allowed), (Storey::Ground, Allowed), (Storey::Garage, Allowed), (Storey::Attic, Stopped)]
        );
        let mut kept = Vec::new();
        tear_down(|room: Storey, above| {
            if above == Remains::Something {
                kept.push(room);
            }
            if room == Storey::Attic { Remains::Something } else { Remains::Nothing }
        });
        assert_eq!(kept, [Storey::Ground, Storey::Cellar], "what stands on a room outlives it");
    }
}
