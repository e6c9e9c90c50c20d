use super::{
    Entry::{Back, Front},
    *,
};

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn owner(name: &str) -> Owner {
    Owner::Subject(name.to_owned())
}

/// A queue of a bucket that gives a token each second, and is empty now.
fn empty() -> Queue {
    let mut queue = Queue::full(Rate::per_second(1, 1), at(0));
    queue.ask(&owner("before"), (Urgency::Existing, Back), 1, at(0));
    queue.take(&owner("before"), at(0)).expect("a token");
    queue.in_a_row = 0;
    queue
}

/// The order in which these owners are served who all asked at once, each for one call.
fn served(queue: &mut Queue, owners: &[(&str, Urgency)]) -> Vec<String> {
    for (name, urgency) in owners {
        queue.ask(&owner(name), (*urgency, Back), 1, at(0));
    }
    let mut left: Vec<&str> = owners.iter().map(|(name, _)| *name).collect();
    let mut order = Vec::new();
    for second in 1..=owners.len() {
        let now = at(second as u64 * 1_000);
        // Whoever comes first, only the one whose turn has come gets the token.
        let next = left.iter().rev().copied().find(|name| queue.turn_of(name, now) <= now).expect("a turn");
        queue.take(&owner(next), now).expect("its turn");
        left.retain(|name| *name != next);
        order.push(next.to_owned());
    }
    order
}

impl Queue {
    fn turn_of(&self, name: &str, now: Duration) -> Duration {
        let (urgency, places) = &self.owners[&owner(name)];
        self.turn(*urgency, *places.first().expect("a place"), now)
    }
}

#[test]
fn who_exists_goes_first_and_every_fourth_token_is_a_new_app_s() {
    use Urgency::{Existing, New};
    let table: [(&[(&str, Urgency)], &str); 5] = [
        (&[("a", New), ("b", New), ("c", New)], "abc"),
        (&[("a", Existing), ("b", Existing)], "ab"),
        (&[("a", New), ("b", New), ("x", Existing)], "xab"),
        (&[("a", New), ("b", New), ("u", Existing), ("v", Existing), ("w", Existing), ("x", Existing)], "uvwaxb"),
        (&[("a", New), ("u", Existing), ("v", Existing), ("w", Existing), ("x", Existing), ("y", Existing)], "uvwaxy"),
    ];
    for (owners, order) in table {
        assert_eq!(served(&mut empty(), owners).concat(), order, "{owners:?}");
    }
}

#[test]
fn each_is_told_its_turn_and_who_asks_again_keeps_it() {
    let mut queue = empty();
    let asked: Vec<_> = ["a", "b", "c"].map(|name| queue.ask(&owner(name), (Urgency::New, Back), 1, at(0)).1).into();
    assert_eq!(asked, [at(1_000), at(2_000), at(3_000)]);
    assert_eq!(queue.ask(&owner("a"), (Urgency::New, Back), 1, at(500)).1, at(1_000));
    assert_eq!(queue.take(&owner("c"), at(1_000)), Err(at(3_000)), "a token of another owner is not taken");
    assert_eq!(queue.take(&owner("a"), at(1_000)), Ok(()));
    assert_eq!(queue.ask(&owner("d"), (Urgency::Existing, Back), 1, at(1_000)).1, at(2_000));
    assert_eq!(queue.ask(&owner("b"), (Urgency::New, Back), 1, at(1_000)).1, at(3_000), "a deletion came before it");
}

#[test]
fn all_calls_of_a_plan_have_places_but_no_more_than_the_bucket_holds() {
    let mut queue = Queue::full(Rate::per_second(4, 2), at(0));
    assert_eq!(queue.ask(&owner("a"), (Urgency::New, Back), 3, at(0)).1, at(0));
    assert_eq!(queue.ask(&owner("b"), (Urgency::New, Back), 3, at(0)).1, at(1_000), "four at once, two a second later");
    assert_eq!(
        queue.ask(&owner("c"), (Urgency::New, Back), 100, at(0)).1,
        at(3_000),
        "four places for a hundred calls"
    );
    for _ in 0..3 {
        queue.take(&owner("a"), at(0)).expect("a token");
    }
    assert_eq!(queue.ask(&owner("a"), (Urgency::New, Back), 1, at(0)).1, at(3_500), "it has used its places");
}

#[test]
fn a_place_that_nobody_claims_within_half_a_minute_of_its_turn_goes_back() {
    let mut queue = empty();
    queue.ask(&owner("a"), (Urgency::New, Back), 1, at(0));
    assert_eq!(queue.ask(&owner("b"), (Urgency::New, Back), 1, at(0)).1, at(2_000));
    assert_eq!(queue.ask(&owner("b"), (Urgency::New, Back), 1, at(2_000)).1, at(3_000), "the first may come yet");
    assert_eq!(queue.take(&owner("b"), at(2_000)), Ok(()), "nobody waits for it while tokens are lost");
    assert_eq!(queue.ask(&owner("c"), (Urgency::New, Back), 1, at(31_000)).1, at(32_000));
    let after = at(31_001);
    assert_eq!(queue.ask(&owner("c"), (Urgency::New, Back), 1, after).1, after, "the place of the first is free");
    assert!(!queue.owners.contains_key(&owner("a")));
}

#[test]
fn who_leaves_makes_room_and_an_owner_changes_its_lane_with_its_need() {
    let mut queue = empty();
    queue.ask(&owner("a"), (Urgency::New, Back), 1, at(0));
    queue.ask(&owner("b"), (Urgency::New, Back), 1, at(0));
    queue.leave(&owner("a"));
    assert_eq!(queue.ask(&owner("b"), (Urgency::New, Back), 1, at(0)).1, at(1_000));
    queue.ask(&owner("c"), (Urgency::New, Back), 1, at(0));
    assert_eq!(queue.ask(&owner("c"), (Urgency::Existing, Back), 1, at(0)).1, at(1_000));
    assert_eq!(queue.ask(&owner("b"), (Urgency::New, Back), 1, at(0)).1, at(2_000));
}

#[test]
fn a_token_that_is_handed_out_is_for_one_call_of_its_operation() {
    let mut queue = Queue::full(Rate::per_second(2, 1), at(0));
    for name in ["a", "b"] {
        queue.ask(&owner(name), (Urgency::New, Back), 1, at(0));
        queue.take(&owner(name), at(0)).expect("a token");
        queue.hand_out("CreateRole", at(0));
    }
    assert!(!queue.use_handed_out("PutRolePolicy", at(0)));
    assert!(queue.use_handed_out("CreateRole", at(0)));
    assert!(queue.use_handed_out("CreateRole", at(30_000)));
    assert!(!queue.use_handed_out("CreateRole", at(30_000)));
    let mut queue = empty();
    queue.hand_out("CreateRole", at(0));
    assert!(!queue.use_handed_out("CreateRole", at(30_001)), "too late");
}

#[test]
fn a_throttled_answer_makes_all_turns_later() {
    let mut queue = Queue::full(Rate::per_second(2, 2), at(0));
    assert_eq!(queue.ask(&owner("a"), (Urgency::New, Back), 2, at(0)).1, at(0));
    queue.throttled(at(0));
    assert_eq!(queue.ask(&owner("a"), (Urgency::New, Back), 2, at(0)).1, at(2_000));
}

#[test]
fn who_has_begun_gets_to_the_end_before_others_of_its_lane_begin() {
    let mut queue = empty();
    for name in ["a", "b", "c"] {
        queue.ask(&owner(name), (Urgency::Existing, Back), 1, at(0));
    }
    queue.take(&owner("a"), at(1_000)).expect("its turn");
    assert_eq!(queue.ask(&owner("a"), (Urgency::Existing, Front), 1, at(1_000)).0, at(2_000));
    assert_eq!(queue.ask(&owner("b"), (Urgency::Existing, Back), 1, at(1_000)).0, at(3_000));
}

#[test]
fn a_turn_that_comes_earlier_than_it_was_told_is_noticed() {
    let mut queue = empty();
    for name in ["a", "b", "c"] {
        let (_, turn) = queue.ask(&owner(name), (Urgency::New, Back), 1, at(0));
        queue.tell(&owner(name), turn);
    }
    assert!(queue.early(at(1_000)).is_empty(), "all as told");
    queue.leave(&owner("a"));
    assert_eq!(queue.early(at(1_000)), ["b".to_owned()].into());
    assert_eq!(queue.last_turn(&owner("c"), at(1_000)), Some(at(2_000)));
}
