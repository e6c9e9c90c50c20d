//! The rules of freshness, on rows.

use super::*;

impl TableRow for u32 {}

const KEY: &str = "role";

/// Rows after a list of this one, and the time.
fn listed(row: Option<u32>) -> (KnownRows<&'static str, u32>, Instant) {
    let (mut known, now) = (KnownRows::default(), Instant::now());
    list(&mut known, row, now);
    (known, now)
}

fn rows(row: Option<u32>) -> BTreeMap<&'static str, u32> {
    row.map(|row| (KEY, row)).into_iter().collect()
}

fn list(known: &mut KnownRows<&'static str, u32>, row: Option<u32>, now: Instant) {
    let begun = known.begin();
    known.listed(rows(row), begun, now);
}

fn read(known: &mut KnownRows<&'static str, u32>, row: Option<u32>, reading: Reading, now: Instant) -> Agreement {
    let begun = known.begin();
    known.shown(&KEY, row, begun, reading, now)
}

fn row(known: &KnownRows<&'static str, u32>) -> Option<u32> {
    known.rows().get(KEY).copied()
}

const SOON: Duration = Duration::from_secs(59);

#[test]
fn a_list_that_began_before_our_write_ended_does_not_undo_the_row() {
    for shown in [None, Some(1), Some(7)] {
        let (mut known, now) = listed(Some(1));
        let begun = known.begin();
        known.wrote(&KEY, RowEffect::Is(2), now);
        known.listed(rows(shown), begun, now);
        assert_eq!(row(&known), Some(2), "{shown:?}");
        // Nor does it settle what a write left open.
        let begun = known.begin();
        known.wrote(&KEY, RowEffect::Unknown, now);
        known.listed(rows(shown), begun, now);
        assert!(known.is_open(&KEY), "{shown:?}");
    }
}

#[test]
fn our_write_is_believed_for_a_minute_against_what_was_there_before() {
    let (mut known, now) = listed(None);
    known.wrote(&KEY, RowEffect::Is(1), now);
    known.wrote(&KEY, RowEffect::Edited(&|row| *row = 2), now);
    for old in [None, Some(1)] {
        list(&mut known, old, now + SOON);
        assert_eq!(row(&known), Some(2), "a list shows {old:?}");
        assert_eq!(read(&mut known, old, Reading::Lagging, now + SOON), Agreement::Agrees);
        assert_eq!(row(&known), Some(2), "a read shows {old:?}");
    }
    let later = now + BELIEVED_FOR;
    known.settle(later);
    assert!(known.is_open(&KEY), "AWS never showed it: it is read again");
    list(&mut known, Some(1), later);
    assert_eq!((row(&known), known.is_open(&KEY)), (Some(1), false));
}

#[test]
fn what_is_neither_our_write_nor_what_was_before_is_somebody_else_s_and_newer() {
    let written = || {
        let (mut known, now) = listed(None);
        known.wrote(&KEY, RowEffect::Is(1), now);
        (known, now)
    };
    let (mut known, now) = written();
    list(&mut known, Some(7), now);
    assert_eq!(row(&known), Some(7));
    let (mut known, now) = written();
    assert_eq!(read(&mut known, Some(7), Reading::Lagging, now), Agreement::Agrees, "the list showed none of it");
    assert_eq!(row(&known), Some(7));
    // A read that shows every write is believed also where it shows what was there before.
    let (mut known, now) = written();
    read(&mut known, None, Reading::Current, now);
    assert_eq!(row(&known), None);
}

#[test]
fn a_row_that_lies_is_told_by_a_read_of_it_and_one_that_was_open_is_no_lie() {
    let (mut known, now) = listed(Some(1));
    assert_eq!(read(&mut known, Some(1), Reading::Lagging, now), Agreement::Agrees);
    assert_eq!(read(&mut known, Some(2), Reading::Lagging, now), Agreement::Disagrees);
    known.wrote(&KEY, RowEffect::Unknown, now);
    assert!(known.is_open(&KEY));
    assert_eq!(read(&mut known, Some(3), Reading::Lagging, now), Agreement::Agrees);
    assert_eq!((row(&known), known.is_open(&KEY)), (Some(3), false));
}

#[test]
fn a_change_of_a_row_that_is_not_known_leaves_it_open() {
    let (mut known, now) = listed(None);
    known.wrote(&KEY, RowEffect::Edited(&|row| *row = 2), now);
    assert!(known.is_open(&KEY), "there was none");
    let (mut known, now) = listed(Some(1));
    known.forget(&KEY);
    known.wrote(&KEY, RowEffect::Edited(&|row| *row = 2), now);
    assert_eq!((row(&known), known.is_open(&KEY)), (Some(1), true), "it was open");
}

#[test]
fn a_read_is_newer_than_a_list_that_began_before_it() {
    let (mut known, now) = listed(Some(1));
    let begun = known.begin();
    read(&mut known, Some(2), Reading::Lagging, now);
    known.listed(rows(Some(1)), begun, now);
    assert_eq!(row(&known), Some(2));
    list(&mut known, Some(3), now);
    assert_eq!(row(&known), Some(3), "and older than one that began after it");
}

#[test]
fn what_we_delete_is_gone_once_it_is_seen_to_be_and_no_old_list_brings_it_back() {
    let (mut known, now) = listed(Some(1));
    known.wrote(&KEY, RowEffect::Ends, now);
    assert!(known.ends(&KEY) && known.is_open(&KEY));
    assert_eq!(read(&mut known, Some(1), Reading::Current, now), Agreement::Agrees);
    assert!(known.ends(&KEY) && known.gone_since(&KEY, now).is_none(), "AWS is at it");
    let before = known.begin();
    assert_eq!(read(&mut known, None, Reading::Current, now), Agreement::Agrees);
    assert!(known.gone_since(&KEY, now).is_some_and(|since| since > before));
    list(&mut known, Some(1), now + SOON);
    assert_eq!(row(&known), None);
    assert!(known.gone_since(&KEY, now + SOON).is_some());
    known.settle(now + BELIEVED_FOR);
    assert!(known.gone_since(&KEY, now + BELIEVED_FOR).is_none(), "a minute later somebody may have made another one");

    // By a list, it is gone as of the begin of that list.
    let (mut known, now) = listed(Some(1));
    known.wrote(&KEY, RowEffect::Ends, now);
    let begun = known.begin();
    known.listed(rows(None), begun, now);
    assert_eq!(known.gone_since(&KEY, now), Some(begun));
}

#[test]
fn a_row_is_fresh_by_our_write_or_a_read_unless_aws_refused_as_if_it_were_another() {
    let second = Duration::from_secs(1);
    let (mut known, now) = listed(Some(1));
    assert!(!known.is_fresh(&KEY, second, now), "the list's age is asked for elsewhere");
    read(&mut known, Some(1), Reading::Lagging, now);
    assert!(known.is_fresh(&KEY, second, now) && !known.is_fresh(&KEY, second, now + second));
    known.wrote(&KEY, RowEffect::Is(2), now);
    assert!(known.is_fresh(&KEY, second, now + SOON) && !known.is_fresh(&KEY, second, now + BELIEVED_FOR));
    known.doubt(&KEY);
    assert!(!known.is_fresh(&KEY, second, now));
    list(&mut known, Some(1), now);
    assert_eq!(row(&known), Some(1), "what AWS shows is believed");
}

#[test]
fn what_was_kept_goes_on_with_our_own_writes() {
    let (mut known, now) = listed(Some(1));
    known.wrote(&KEY, RowEffect::Is(2), now);
    let kept = known.keep(true);
    let mut known = KnownRows::of(kept.without_list(), now);
    assert_eq!(known.keep(false), kept.without_list());
    list(&mut known, Some(1), now);
    assert_eq!(row(&known), Some(2), "what was before is known to be old");
    let mut known = KnownRows::of(kept.settled(), now);
    list(&mut known, Some(1), now);
    assert_eq!(row(&known), Some(1), "AWS has had its time");
}
