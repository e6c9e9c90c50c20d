//! The queue for the tokens of one bucket. Pure: all functions take the time as an argument.
//!
//! Who asks gets a place, and with it the time of the turn. Places are served in the order of asking, in two lanes: calls for what
//! exists (deletions, repairs, changes, networks, reads) go before calls for new apps. After [`KEPT_IN_A_ROW`] calls for what
//! exists, one call for a new app goes first, so that new apps always get a quarter of the rate at least.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Bucket, Rate};

/// The number of calls for what exists that go in a row while new apps wait.
const KEPT_IN_A_ROW: usize = 3;

/// The time after its turn for which a place, or a token that was handed out, is kept for its owner.
pub const CLAIMED_WITHIN: Duration = Duration::from_secs(30);

/// The lane of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// The call is for what exists: a deletion, a repair, a change, a network, a read.
    Existing,
    /// The call creates the resources of a new app.
    New,
}

/// Where a new place is in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Behind all others.
    Back,
    /// Before all others: the owner has begun, and gets to the end.
    Front,
}

/// The owner of a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The subject of a pass, by its key.
    Subject(String),
    /// One call that waits in line, by its number.
    Call(u64),
}

/// A place in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    owner: Owner,
    /// The turn that the owner was told.
    told: Duration,
}

/// A bucket with the queue for its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    bucket: Bucket,
    existing: BTreeMap<i64, Place>,
    new: BTreeMap<i64, Place>,
    owners: BTreeMap<Owner, (Urgency, BTreeSet<i64>)>,
    /// The places at the front and at the back that are given next.
    next: (i64, i64),
    /// The calls for what exists since the last call for a new app.
    in_a_row: usize,
    /// Tokens that were handed out for calls that are about to be made: the operation, and the time.
    handed_out: Vec<(&'static str, Duration)>,
}

impl Queue {
    /// A full bucket without a queue.
    pub fn full(rate: Rate, now: Duration) -> Self {
        Self::of(Bucket::full(rate, now))
    }

    /// A bucket without a queue.
    pub fn of(bucket: Bucket) -> Self {
        Self {
            bucket,
            existing: BTreeMap::new(),
            new: BTreeMap::new(),
            owners: BTreeMap::new(),
            next: (-1, 0),
            in_a_row: 0,
            handed_out: Vec::new(),
        }
    }

    /// Gives the owner at least this many places, and tells the turns of the first and of the last of them. An owner keeps the places
    /// that it has. A bucket never holds more tokens than its burst, so nobody gets more places than that.
    pub fn ask(
        &mut self,
        owner: &Owner,
        (urgency, entry): (Urgency, Entry),
        calls: usize,
        now: Duration,
    ) -> (Duration, Duration) {
        self.drop_unclaimed(now);
        if self.owners.get(owner).is_some_and(|(lane, _)| *lane != urgency) {
            self.leave(owner);
        }
        let calls = calls.clamp(1, self.bucket.burst());
        let has = self.owners.get(owner).map_or(0, |(_, places)| places.len());
        for _ in has..calls {
            let number = match entry {
                Entry::Back => self.next.1,
                Entry::Front => self.next.0,
            };
            match entry {
                Entry::Back => self.next.1 += 1,
                Entry::Front => self.next.0 -= 1,
            }
            let turn = self.turn(urgency, number, now);
            self.owners.entry(owner.clone()).or_insert_with(|| (urgency, BTreeSet::new())).1.insert(number);
            self.lane(urgency).insert(number, Place { owner: owner.clone(), told: turn });
        }
        let place = |nth: usize| self.owners.get(owner).and_then(|(_, places)| places.iter().nth(nth));
        let turn = |nth| place(nth).map_or(now, |place| self.turn(urgency, *place, now));
        (turn(0), turn(calls - 1))
    }

    /// Tells the owner the turn: the places are kept until some time after it.
    pub fn tell(&mut self, owner: &Owner, turn: Duration) {
        let Some((urgency, places)) = self.owners.get(owner).cloned() else { return };
        let lane = self.lane(urgency);
        for place in places {
            if let Some(place) = lane.get_mut(&place) {
                place.told = turn;
            }
        }
    }

    /// Takes a token for the owner's first place, if its turn has come.
    ///
    /// # Errors
    /// The turn of the first place, if it is still to come.
    pub fn take(&mut self, owner: &Owner, now: Duration) -> Result<(), Duration> {
        let first = self.owners.get(owner).and_then(|(urgency, places)| Some((*urgency, *places.first()?)));
        let Some((urgency, place)) = first else { return Err(now) };
        let turn = self.turn(urgency, place, now);
        // Those before a place may come late. Who comes in time does not wait for them while tokens are lost.
        let is_in_time = self.lane(urgency).get(&place).is_some_and(|place| place.told <= now);
        if turn > now && !(is_in_time && self.bucket.is_full(now)) {
            return Err(turn);
        }
        self.remove(owner, urgency, place);
        self.bucket.spend(now);
        self.in_a_row = match urgency {
            Urgency::Existing => (self.in_a_row + 1).min(KEPT_IN_A_ROW),
            Urgency::New => 0,
        };
        Ok(())
    }

    /// The subjects whose turn came although they were told a later one, because others left or the rate rose.
    pub fn early(&self, now: Duration) -> BTreeSet<String> {
        let mut early = BTreeSet::new();
        for (urgency, lane) in [(Urgency::Existing, &self.existing), (Urgency::New, &self.new)] {
            let due = lane.iter().take_while(|(number, _)| self.turn(urgency, **number, now) <= now);
            early.extend(due.filter(|(_, place)| place.told > now).filter_map(|(_, place)| match &place.owner {
                Owner::Subject(subject) => Some(subject.clone()),
                Owner::Call(_) => None,
            }));
        }
        early
    }

    /// The turn of the last place of an owner; `None` for an owner without places.
    pub fn last_turn(&self, owner: &Owner, now: Duration) -> Option<Duration> {
        let (urgency, places) = self.owners.get(owner)?;
        Some(self.turn(*urgency, *places.last()?, now))
    }

    /// The owner needs its places no more.
    pub fn leave(&mut self, owner: &Owner) {
        let Some((urgency, places)) = self.owners.remove(owner) else { return };
        let lane = self.lane(urgency);
        for place in places {
            lane.remove(&place);
        }
    }

    /// Hands out a token that was taken, for a call of this operation that is about to be made.
    pub fn hand_out(&mut self, operation: &'static str, now: Duration) {
        self.handed_out.push((operation, now));
    }

    /// Uses a token that was handed out for this operation, if there is one.
    pub fn use_handed_out(&mut self, operation: &'static str, now: Duration) -> bool {
        self.drop_unclaimed(now);
        let position = self.handed_out.iter().position(|(of, _)| *of == operation);
        position.map(|position| self.handed_out.swap_remove(position)).is_some()
    }

    /// AWS throttled a call.
    pub fn throttled(&mut self, now: Duration) {
        self.bucket.throttled(now);
    }

    /// AWS took a call.
    pub fn accepted(&mut self, now: Duration) {
        let is_waited_for = !self.owners.is_empty();
        self.bucket.accepted(now, is_waited_for);
    }

    /// The turn of a place, if all before it are claimed in their turns.
    fn turn(&self, urgency: Urgency, place: i64, now: Duration) -> Duration {
        let (lane, others) = match urgency {
            Urgency::Existing => (&self.existing, self.new.len()),
            Urgency::New => (&self.new, self.existing.len()),
        };
        let in_lane = lane.range(..place).count();
        let before = match urgency {
            Urgency::Existing => in_lane + ((self.in_a_row + in_lane) / KEPT_IN_A_ROW).min(others),
            Urgency::New => in_lane + (KEPT_IN_A_ROW * (in_lane + 1) - self.in_a_row).min(others),
        };
        now + self.bucket.wait_for(before + 1, now)
    }

    fn lane(&mut self, urgency: Urgency) -> &mut BTreeMap<i64, Place> {
        match urgency {
            Urgency::Existing => &mut self.existing,
            Urgency::New => &mut self.new,
        }
    }

    fn remove(&mut self, owner: &Owner, urgency: Urgency, place: i64) {
        self.lane(urgency).remove(&place);
        if let Some((_, places)) = self.owners.get_mut(owner) {
            places.remove(&place);
            if places.is_empty() {
                self.owners.remove(owner);
            }
        }
    }

    /// Gives back what nobody claimed in time.
    fn drop_unclaimed(&mut self, now: Duration) {
        let is_over = |since: Duration| now > since.saturating_add(CLAIMED_WITHIN);
        for urgency in [Urgency::Existing, Urgency::New] {
            // The turns of a lane rise, so only its first places are looked at.
            while let Some((first, place)) = self.lane(urgency).first_key_value()
                && is_over(place.told)
            {
                let (first, owner) = (*first, place.owner.clone());
                self.remove(&owner, urgency, first);
            }
        }
        let unused = self.handed_out.iter().filter(|(_, at)| is_over(*at)).count();
        self.handed_out.retain(|(_, at)| !is_over(*at));
        (0..unused).for_each(|_| self.bucket.give_back(now));
    }
}

#[cfg(test)]
mod tests;
