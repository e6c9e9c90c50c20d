//! The cells of a table that `make test` lives through: a sample that holds every value of the table, chosen the same way
//! each time. `make test-full` lives through all cells (docs/reliability.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

/// `make test-full` sets this variable.
const EVERY_CELL: &str = "PGAI_EVERY_CELL";

/// All cells are to be lived through.
pub fn is_full() -> bool {
    env::var_os(EVERY_CELL).is_some()
}

/// The cells to live through: those that contain `filter` if there is one, all of them in `make test-full`, and else a sample in
/// which each facet of any cell occurs.
pub fn chosen<C: Clone + std::fmt::Debug>(cells: &[C], filter: &str, facets: impl Fn(&C) -> Vec<String>) -> Vec<C> {
    if !filter.is_empty() {
        return cells.iter().filter(|cell| format!("{cell:?}").contains(filter)).cloned().collect();
    }
    if is_full() { cells.to_vec() } else { covering(cells, facets) }
}

/// Few cells in which each facet of any cell occurs: again and again the first cell that has the most facets that are missing.
pub fn covering<C: Clone>(cells: &[C], facets: impl Fn(&C) -> Vec<String>) -> Vec<C> {
    let mut numbers = BTreeMap::new();
    let numbered: Vec<Vec<usize>> = cells
        .iter()
        .map(|cell| {
            let distinct: BTreeSet<String> = facets(cell).into_iter().collect();
            let number = |facet| {
                let next = numbers.len();
                *numbers.entry(facet).or_insert(next)
            };
            distinct.into_iter().map(number).collect()
        })
        .collect();
    let mut missing = vec![true; numbers.len()];
    let mut taken = BTreeSet::new();
    loop {
        let gain = |at: &usize| numbered[*at].iter().filter(|facet| missing[**facet]).count();
        let Some(best) = (0..cells.len()).rev().max_by_key(gain).filter(|at| gain(at) > 0) else { break };
        numbered[best].iter().for_each(|facet| missing[*facet] = false);
        taken.insert(best);
    }
    taken.into_iter().map(|at| cells[at].clone()).collect()
}

#[test]
fn a_sample_holds_every_facet_and_far_fewer_cells_than_the_table() {
    let table: Vec<(u8, u8, u8)> =
        (0..9).flat_map(|a| (0..9).flat_map(move |b| (0..9).map(move |c| (a, b, c)))).collect();
    let pairs = |(a, b, c): &(u8, u8, u8)| vec![format!("a{a} b{b}"), format!("a{a} c{c}"), format!("b{b} c{c}")];
    let sample = covering(&table, pairs);
    let of = |cells: &[(u8, u8, u8)]| cells.iter().flat_map(pairs).collect::<BTreeSet<String>>();
    assert_eq!(of(&sample), of(&table));
    assert!(sample.len() < table.len() / 4, "{} of {} cells", sample.len(), table.len());
    assert_eq!(covering(&table, pairs), sample, "the same each time");
}
