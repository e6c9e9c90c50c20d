//! Cells, each lived through on one of two threads, and the table that shows them.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    cells::{AWS_A_MINUTE, Cell, HEALS_WITHIN, KUBERNETES_A_MINUTE},
    parts::Part,
    run,
};
use crate::{figures, sampled};

/// What was found in each cell, by part and row and column, or why there is nothing to find.
pub struct Table<R, C> {
    found: BTreeMap<(Part, R, C), Result<Cell, &'static str>>,
    /// How many cells there are in all.
    all: usize,
}

impl<R, C> Table<R, C>
where
    R: Copy + Ord + Sync + Send + std::fmt::Debug,
    C: Copy + Ord + Sync + Send + std::fmt::Debug,
{
    /// Lives through a sample of the cells, or all of them, or those whose name contains what the variable
    /// `KUBERNETES_FAULTS` says.
    pub fn live<L>(
        all: &[(Part, R, C)],
        facets: impl Fn(&(Part, R, C)) -> Vec<String>,
        live: impl Fn(Part, R, C) -> Result<L, &'static str> + Sync,
    ) -> Self
    where
        L: Future<Output = Cell>,
    {
        let cells = sampled::chosen(all, &env::var("KUBERNETES_FAULTS").unwrap_or_default(), facets);
        let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    while let Some(cell @ (part, row, column)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                        // What backs off in kube does so by this.
                        fastrand::seed(7);
                        let lived = live(*part, *row, *column).map(|life| {
                            catch_unwind(AssertUnwindSafe(|| run(life))).unwrap_or_else(|panic| {
                                let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                                Cell { problems: vec![format!("a panic: {message}")], ..Cell::default() }
                            })
                        });
                        found.lock().unwrap_or_else(PoisonError::into_inner).insert(*cell, lived);
                    }
                });
            }
        });
        Self { found: found.into_inner().unwrap_or_else(PoisonError::into_inner), all: all.len() }
    }

    /// Writes the table to a file, one line about it where the runner's capture does not swallow it, and its row among the
    /// figures.
    ///
    /// # Panics
    /// When anything was not as it is promised.
    pub fn tell(&self, name: &str, tried: &str, row: impl Fn(R) -> String, column: impl Fn(C) -> String) {
        let lived: Vec<&Cell> = self.found.values().filter_map(|cell| cell.as_ref().ok()).collect();
        let mut shown = String::new();
        let mut before = None;
        for ((part, this, kind), cell) in &self.found {
            if before != Some((part, this)) {
                let _ = writeln!(shown, "\n{part:?}: {}", row(*this));
                before = Some((part, this));
            }
            let cell = cell.as_ref().map_or_else(|why| format!("— {why}"), Cell::shown);
            let _ = writeln!(shown, "  {:<28}{cell}", column(*kind));
        }
        let longest = |times: Vec<Duration>| times.into_iter().max().unwrap_or_default().as_secs();
        let most = |which: fn((usize, usize)) -> usize| {
            lived.iter().filter_map(|cell| cell.rates.map(which)).max().unwrap_or_default()
        };
        let in_all: usize = lived.iter().map(|cell| cell.lives).sum();
        let summary = format!(
            "fault table: {tried}: {} cells: {} lived in {in_all} lives, {} make no sense, 0 empty; as asked for afterwards {} of {}, \
             after {} s at most (bound {} s), with nothing written from then on; while it lasts at most {} requests a \
             minute to Kubernetes (bound {KUBERNETES_A_MINUTE}), {} to AWS (bound {AWS_A_MINUTE})\n",
            self.found.len(),
            lived.len(),
            self.found.len() - lived.len(),
            lived.iter().filter(|cell| cell.healed.is_some()).count(),
            lived.len(),
            longest(lived.iter().filter_map(|cell| cell.healed).collect()),
            HEALS_WITHIN.as_secs(),
            most(|(kubernetes, _)| kubernetes),
            most(|(_, aws)| aws),
        );
        let file = figures::results().join(format!("kubernetes-fault-table-{name}.txt"));
        std::fs::write(file, format!("{summary}{shown}\n")).expect("the table is written");
        std::io::stdout().write_all(format!("\n{summary}").as_bytes()).expect("the summary is written");
        let amiss: Vec<String> = self
            .found
            .iter()
            .filter_map(|((part, this, kind), cell)| {
                let problems = &cell.as_ref().ok()?.problems;
                let what = || format!("{part:?} {}, {}: {}", row(*this), column(*kind), problems.join("; "));
                (!problems.is_empty()).then(what)
            })
            .collect();
        let how_many = format!("{} of {} cells, {in_all} lives", self.found.len(), self.all);
        figures::tell(figures::Part::KubernetesFaults, tried, &how_many, amiss.len());
        assert!(amiss.is_empty(), "{} of {} cells:\n{}", amiss.len(), self.found.len(), amiss.join("\n"));
    }
}
