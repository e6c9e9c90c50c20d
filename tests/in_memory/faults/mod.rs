//! Every call that the operator makes meets every fault: what may pass heals, the rest is told with its remedy, costs a
//! few calls a minute, and heals once the cause is gone. The table is written to `.local/results/fault-table.txt`.

mod cells;
mod kinds;
mod lives;

pub use self::lives::tamper;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use private_genai_operator::aws::Operation;
use tokio::time::sleep;

use self::{
    cells::{ALL_CALLS_A_MINUTE, CALLS_A_MINUTE, Cell, HEALS_WITHIN, Lasting, live},
    kinds::{Kind, Trouble},
    lives::Part,
};
use crate::{figures, sampled, scene::scene};

/// A row: a call in one part of a life.
type Row = (Part, (&'static str, &'static str));

/// A call in one part of a life, and a fault that it meets.
type Meeting = (Row, Kind);

/// What was found in each cell, or why there is nothing to find.
type Table = BTreeMap<(Part, (&'static str, &'static str), Kind), Result<Cell, &'static str>>;

/// Runs one life under a clock of its own.
fn run<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scene(life))
}

/// The calls of a part when nothing fails, and whether each is a write.
fn calls_of(part: Part) -> BTreeMap<(&'static str, &'static str), bool> {
    run(async {
        let mut life = part.prepare().await;
        life.scene.forget();
        life.begin();
        if part == Part::Rest {
            sleep(Duration::from_mins(6)).await;
        }
        life.until_through(HEALS_WITHIN)
            .await
            .unwrap_or_else(|| panic!("{part:?} does not end: {:#?}", life.objects()));
        let journal = life.scene.aws.take_journal();
        assert_eq!(life.end().await, Vec::<String>::new());
        journal.iter().map(|call| ((call.service, call.operation), call.write)).collect()
    })
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(rows);

/// Every call, in the parts of life in which it means something else.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for part in Part::ALL {
        let whole = matches!(part, Part::Create | Part::Rest | Part::Delete);
        for (call, _) in calls_of(part) {
            if seen.insert(call) || whole {
                rows.push((part, call));
            }
        }
    }
    rows
}

/// What each sample of the table holds: every row, every fault in every part of a life, and of every service. Nothing of a cell
/// that makes no sense.
fn facets(((part, call), kind): &Meeting) -> Vec<String> {
    let (service, operation) = call;
    match kind.of(*call) {
        Ok(_) => {
            vec![format!("{part:?} {service}:{operation}"), format!("{part:?} {kind:?}"), format!("{service} {kind:?}")]
        }
        Err(_) => Vec::new(),
    }
}

/// All cells of the table.
fn cells() -> Vec<Meeting> {
    ROWS.iter().flat_map(|row| Kind::ALL.map(|kind| (*row, kind))).collect()
}

#[test]
fn the_sample_of_faults_holds_every_call_and_every_fault() {
    let sample = sampled::covering(&cells(), facets);
    let calls: BTreeSet<_> = sample.iter().map(|((_, call), _)| *call).collect();
    assert_eq!(calls, ROWS.iter().map(|(_, call)| *call).collect());
    let kinds: BTreeSet<_> = sample.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, Kind::ALL.into());
}

#[test]
fn every_call_meets_every_fault_and_heals_or_is_told_without_haste_and_heals_then() {
    let made: BTreeSet<String> =
        ROWS.iter().map(|(_, (service, operation))| format!("{service}:{operation}")).collect();
    let known: BTreeSet<String> = Operation::all().map(ToString::to_string).collect();
    assert_eq!(made, known, "a life makes every call of the table, and no other");

    let only = std::env::var("FAULTS").unwrap_or_default();
    let all = cells();
    let cells = sampled::chosen(&all, &only, facets);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Table::new()));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while let Some(((part, call), kind)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let found = kind.of(*call).map(|trouble| lived(*part, *call, *kind, &trouble));
                    results.lock().unwrap().insert((*part, *call, *kind), found);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    tell(&results);
    let amiss: Vec<String> = results
        .iter()
        .filter_map(|((part, (_, operation), kind), cell)| {
            let problems = &cell.as_ref().ok()?.problems;
            (!problems.is_empty()).then(|| format!("{part:?} {operation}, {}: {}", kind.title(), problems.join("; ")))
        })
        .collect();
    let how_many =
        format!("{} calls x {} faults: {} of {} cells", made.len(), Kind::ALL.len(), results.len(), all.len());
    figures::tell(figures::Part::Faults, "every AWS call meets every fault", &how_many, amiss.len());
    assert!(amiss.is_empty(), "{} of {} cells:\n{}", amiss.len(), results.len(), amiss.join("\n"));
    assert_eq!(results.len(), cells.len(), "no cell is empty");
}

#[test]
fn an_app_deleted_while_a_call_fails_is_gone_without_a_trace_after_the_cause() {
    for (call, _) in calls_of(Part::Create) {
        for kind in [Kind::AccessDenied, Kind::ResetAfterTheWork] {
            let Ok(trouble) = kind.of(call) else { continue };
            run(async {
                let mut life = Part::Create.prepare().await;
                trouble.begin(&life.scene, call, u32::MAX);
                life.begin();
                sleep(Duration::from_mins(2)).await;
                life.give_up();
                sleep(Duration::from_mins(6)).await;
                trouble.end(&life.scene);
                let gone = life.until_through(HEALS_WITHIN).await;
                assert!(gone.is_some(), "{call:?}, {}: {:#?}", kind.title(), life.objects());
            });
        }
    }
}

fn lived(part: Part, call: (&'static str, &'static str), kind: Kind, trouble: &Trouble) -> Cell {
    catch_unwind(AssertUnwindSafe(|| run(live(part, call, kind, trouble)))).unwrap_or_else(|_| Cell {
        lasting: Lasting::Silent,
        calls: (0, 0),
        healed: None,
        thrice: None,
        problems: vec!["a panic".to_owned()],
    })
}

/// Writes the table to a file, and one line about it where the runner's capture does not swallow it.
fn tell(results: &Table) {
    let mut table = String::new();
    let mut before = None;
    for ((part, call, kind), cell) in results {
        if before != Some((part, call)) {
            let _ = writeln!(table, "\n{part:?}: {}:{}", call.0, call.1);
            before = Some((part, call));
        }
        let shown = cell.as_ref().map_or_else(|why| format!("— {why}"), Cell::shown);
        let _ = writeln!(table, "  {:<21}{shown}", kind.title());
    }
    let lived: Vec<&Cell> = results.values().filter_map(|cell| cell.as_ref().ok()).collect();
    let count = |is: fn(&Lasting) -> bool| lived.iter().filter(|cell| is(&cell.lasting)).count();
    let calls: BTreeSet<_> = results.keys().map(|(_, call, _)| call).collect();
    let most = |somebody: bool| {
        let these = results.iter().filter(|((_, _, kind), _)| kind.needs_somebody() == somebody);
        these.filter_map(|(_, cell)| Some(cell.as_ref().ok()?.calls.0)).max().unwrap_or_default()
    };
    let summary = format!(
        "fault table: {} calls x {} faults in {} rows: {} cells: {} lived, {} make no sense, 0 empty; while it lasts {} told, \
         {} wait, {} no matter; 3 times only: {} of {} through; healed afterwards {} of {}, after {} s at most (bound {} s); \
         in 5 min of steady state at most {} calls of an operation that somebody must see to (bound {}), {} of any other (bound \
         {}), {} of all (bound {}), no write to Kubernetes\n",
        calls.len(),
        Kind::ALL.len(),
        results.keys().map(|(part, call, _)| (part, call)).collect::<BTreeSet<_>>().len(),
        results.len(),
        lived.len(),
        results.len() - lived.len(),
        count(|lasting| matches!(lasting, Lasting::Reported(_))),
        count(|lasting| matches!(lasting, Lasting::Waits(_))),
        count(|lasting| matches!(lasting, Lasting::NoMatter)),
        lived.iter().filter(|cell| cell.thrice.is_some()).count(),
        results.iter().filter(|((_, _, kind), cell)| kind.is_passing() && cell.is_ok()).count(),
        lived.iter().filter(|cell| cell.healed.is_some()).count(),
        lived.len(),
        lived.iter().filter_map(|cell| cell.healed).max().unwrap_or_default().as_secs(),
        HEALS_WITHIN.as_secs(),
        most(true),
        CALLS_A_MINUTE.0 * 5,
        most(false),
        CALLS_A_MINUTE.1 * 5,
        lived.iter().map(|cell| cell.calls.1).max().unwrap_or_default(),
        ALL_CALLS_A_MINUTE * 5,
    );
    std::fs::write(figures::results().join("fault-table.txt"), format!("{summary}{table}"))
        .expect("the table is written");
    std::io::stdout().write_all(format!("\n{summary}").as_bytes()).expect("the summary is written");
}
