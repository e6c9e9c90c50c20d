//! Makes a failing history as short as it gets within a bounded number of attempts.

use super::history::{Action, History};

/// Leaves out ever smaller parts, as long as the rest `fails` too (delta debugging); at most so many attempts.
pub fn shorten(history: &History, attempts: usize, fails: impl Fn(&History) -> bool) -> History {
    let mut shortest = history.clone();
    let mut left = attempts;
    let mut part = shortest.actions.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < shortest.actions.len() && left > 0 {
            let mut actions = shortest.actions.clone();
            actions.drain(at..(at + part).min(actions.len()));
            let candidate = History { actions, ..shortest.clone() };
            left -= 1;
            if fails(&candidate) {
                shortest = candidate;
                shorter = true;
            } else {
                at += part;
            }
        }
        if left == 0 {
            break;
        }
        if !shorter || part > 1 {
            part /= 2;
        }
    }
    shortest
}

#[test]
fn what_does_not_matter_is_left_out() {
    let history = super::history::draw(7);
    let mut long = History { actions: [&history.actions[..]; 3].concat(), ..history };
    long.actions.insert(20, Action::DeleteNamespace);
    long.actions.retain(|action| *action != Action::HoldWatches);
    long.actions.insert(40, Action::HoldWatches);
    let fails = |history: &History| {
        let place = |wanted: &Action| history.actions.iter().position(|action| action == wanted);
        matches!((place(&Action::DeleteNamespace), place(&Action::HoldWatches)), (Some(first), Some(second)) if first < second)
    };
    assert!(fails(&long));
    assert_eq!(shorten(&long, 1_000, fails).actions, [Action::DeleteNamespace, Action::HoldWatches]);
}
