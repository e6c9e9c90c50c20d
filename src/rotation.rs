//! Everybody has a turn, whoever comes and goes.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

/// The next few after the last one, in a circle; nobody twice.
pub fn next_in_rotation<'a, T: Ord>(
    all: &'a BTreeSet<T>,
    last: Option<&T>,
    count: usize,
) -> impl Iterator<Item = &'a T> {
    let after = last.map_or(Unbounded, Excluded);
    all.range::<T, _>((after, Unbounded)).chain(all).take(count.min(all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_whoever_comes_and_goes() {
        let all = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let next = |names: &[&str], last: Option<&str>| {
            next_in_rotation(&all(names), last.map(str::to_owned).as_ref(), 1).next().cloned()
        };
        assert_eq!(next(&["a", "b"], None).as_deref(), Some("a"));
        assert_eq!(next(&["a", "b"], Some("a")).as_deref(), Some("b"));
        assert_eq!(next(&["a", "b"], Some("b")).as_deref(), Some("a"));
        assert_eq!(next(&["a", "c"], Some("b")).as_deref(), Some("c"));
        assert_eq!(next(&[], Some("b")), None);
    }

    #[test]
    fn a_few_at_a_time_come_round_too() {
        let all: BTreeSet<u32> = (0..12).collect();
        let turns = |last: Option<u32>| next_in_rotation(&all, last.as_ref(), 5).copied().collect::<Vec<_>>();
        assert_eq!(turns(None), [0, 1, 2, 3, 4]);
        assert_eq!(turns(Some(4)), [5, 6, 7, 8, 9]);
        assert_eq!(turns(Some(9)), [10, 11, 0, 1, 2]);
        assert_eq!(turns(Some(11)), [0, 1, 2, 3, 4]);
        assert_eq!(next_in_rotation(&BTreeSet::new(), Some(&3), 5).collect::<Vec<_>>(), Vec::<&i32>::new());
        let few = BTreeSet::from([0, 1]);
        assert_eq!(next_in_rotation(&few, Some(&0), 5).collect::<Vec<_>>(), [&1, &0], "nobody twice");
        assert_eq!(next_in_rotation(&few, Some(&7), 5).collect::<Vec<_>>(), [&0, &1], "whoever has gone since");
    }
}
