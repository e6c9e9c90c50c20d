//! The decision about the Lease, from its content and the time since its last change. The semantics are those of client-go's
//! `leaderelection`: a Lease has run out when it has not changed for its duration *by the observer's own clock*. The times that
//! other candidates wrote into the Lease are for people. The clocks of two machines are never compared.

use std::time::Duration;

/// A moment of this process's own clock, which never jumps: the time since a fixed moment of the process.
pub type Moment = Duration;

/// The content of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The holder; empty after a release.
    pub holder: String,
    /// The time for which the Lease is valid after a renewal.
    pub duration: Duration,
    /// The time of acquisition, by the holder's wall clock, in microseconds since the epoch.
    pub acquired: Option<i64>,
    /// The time of the last renewal, by the holder's wall clock.
    pub renewed: Option<i64>,
    /// The number of changes of the holder.
    pub transitions: i32,
}

/// A record, and the moment since which it is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sighting {
    /// The content of the Lease.
    pub record: Record,
    /// The moment at which this candidate first saw this content.
    pub since: Moment,
}

impl Sighting {
    /// The sighting after another read of the Lease.
    #[must_use]
    pub fn of(record: Record, now: Moment, before: Option<Self>) -> Self {
        match before {
            Some(before) if before.record == record => before,
            Some(_) | None => Self { record, since: now },
        }
    }
}

/// The next action about the Lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseAction {
    /// The Lease does not exist: create it.
    Create,
    /// The Lease has no holder, or has run out: take it.
    Take,
    /// This candidate holds the Lease: renew it.
    Renew,
    /// Another candidate holds the Lease: wait.
    Wait {
        /// The moment at which the Lease runs out unless it changes.
        until: Moment,
    },
}

/// Decides the next action of `me`, from the last read of the Lease.
pub fn decide(now: Moment, me: &str, seen: Option<&Sighting>) -> LeaseAction {
    let Some(Sighting { record, since }) = seen else {
        return LeaseAction::Create;
    };
    let until = since.saturating_add(record.duration);
    if record.holder == me {
        LeaseAction::Renew
    } else if record.holder.is_empty() || now >= until {
        LeaseAction::Take
    } else {
        LeaseAction::Wait { until }
    }
}

/// The content of the Lease after `me` acquires or renews it. `wall` is the time of the wall clock.
#[must_use]
pub fn held(before: Option<&Record>, me: &str, duration: Duration, wall: i64) -> Record {
    let ours = before.filter(|before| before.holder == me);
    Record {
        holder: me.to_owned(),
        duration,
        acquired: ours.map_or(Some(wall), |before| before.acquired),
        renewed: Some(wall),
        transitions: match (before, ours) {
            (None, _) => 0,
            (Some(before), Some(_)) => before.transitions,
            (Some(before), None) => before.transitions.saturating_add(1),
        },
    }
}

/// The content of the Lease after its release. The short duration is for candidates that read only the duration.
#[must_use]
pub fn released(before: &Record, wall: i64) -> Record {
    Record {
        holder: String::new(),
        duration: Duration::from_secs(1),
        acquired: Some(wall),
        renewed: Some(wall),
        transitions: before.transitions,
    }
}

/// The time until a candidate reads the Lease again, after this number of reads. The candidate's name varies the time, so that
/// candidates do not collide each time.
pub fn look_again(every: Duration, candidate: &str, looks: u64) -> Duration {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (candidate, looks).hash(&mut hasher);
    // The addition is at most a quarter.
    every + every / 256 * u32::try_from(hasher.finish() % 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn record(holder: &str, renewed: i64) -> Record {
        Record { holder: holder.into(), duration: MINUTE, acquired: Some(1), renewed: Some(renewed), transitions: 3 }
    }

    fn seen(holder: &str, since: u64) -> Sighting {
        Sighting { record: record(holder, 7), since: at(since) }
    }

    #[test]
    fn a_lease_is_taken_when_nobody_holds_it_and_waited_for_until_it_runs_out() {
        for (now, seen, next) in [
            (0, None, LeaseAction::Create),
            (0, Some(seen("", 0)), LeaseAction::Take),
            (100, Some(seen("me", 0)), LeaseAction::Renew),
            (100, Some(seen("other", 100)), LeaseAction::Wait { until: at(160) }),
            (159, Some(seen("other", 100)), LeaseAction::Wait { until: at(160) }),
            (160, Some(seen("other", 100)), LeaseAction::Take),
            (9999, Some(seen("other", 100)), LeaseAction::Take),
        ] {
            assert_eq!(decide(at(now), "me", seen.as_ref()), next, "at {now} s, {seen:?}");
        }
    }

    #[test]
    fn the_clocks_of_others_do_not_count_only_whether_the_lease_changed() {
        for renewed in [i64::MIN, 0, i64::MAX] {
            let first = Sighting::of(record("other", renewed), at(10), None);
            let again = Sighting::of(record("other", renewed), at(50), Some(first.clone()));
            assert_eq!(again, first, "seen unchanged since 10 s");
            assert_eq!(decide(at(69), "me", Some(&again)), LeaseAction::Wait { until: at(70) });
            assert_eq!(decide(at(70), "me", Some(&again)), LeaseAction::Take);
            let renewed = Sighting::of(record("other", 8), at(69), Some(again));
            assert_eq!(decide(at(70), "me", Some(&renewed)), LeaseAction::Wait { until: at(129) });
        }
        // A clock that is set back writes an older time. That is still a renewal.
        let set_back = Sighting::of(record("other", -5), at(40), Some(seen("other", 0)));
        assert_eq!(set_back.since, at(40));
    }

    #[test]
    fn the_duration_that_counts_is_the_one_that_the_holder_wrote() {
        let long = Record { duration: Duration::from_mins(5), ..record("other", 7) };
        let seen = Sighting { record: long, since: at(0) };
        assert_eq!(decide(at(299), "me", Some(&seen)), LeaseAction::Wait { until: at(300) });
    }

    #[test]
    fn a_lease_tells_people_since_when_who_holds_it_and_how_often_it_went_over() {
        let first = held(None, "a", MINUTE, 10);
        assert_eq!((first.acquired, first.renewed, first.transitions), (Some(10), Some(10), 0));
        let renewed = held(Some(&first), "a", MINUTE, 20);
        assert_eq!((renewed.acquired, renewed.renewed, renewed.transitions), (Some(10), Some(20), 0));
        let taken = held(Some(&renewed), "b", MINUTE, 90);
        assert_eq!((taken.holder.as_str(), taken.acquired, taken.transitions), ("b", Some(90), 1));
        let free = released(&taken, 95);
        assert_eq!((free.holder.as_str(), free.duration, free.transitions), ("", Duration::from_secs(1), 1));
        assert_eq!(held(Some(&free), "a", MINUTE, 96).transitions, 2);
    }

    #[test]
    fn candidates_look_at_different_moments() {
        let looks = |name: &str| (0..5).map(|n| look_again(at(2), name, n)).collect::<Vec<_>>();
        assert_ne!(looks("a"), looks("b"));
        assert!(looks("a").iter().all(|look| *look >= at(2) && *look <= Duration::from_millis(2500)));
    }
}
