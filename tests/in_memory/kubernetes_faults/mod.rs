//! Whatever happens to Kubernetes, in each part of a life: what was asked for comes true all the same, nothing is made twice
//! or left over, nobody is asked in haste, and then nothing is written any more. Requests that fail (`calls`), things that
//! happen to objects, watches and the API server (`events`), and a Lease that is lost while a step is in flight (`lease`).
//! The tables are written to `.local/results/kubernetes-fault-table-*.txt`.

mod calls;
mod cells;
mod events;
mod lease;
mod parts;
mod table;
mod wanted;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::sleep;

use self::{
    calls::{Call, Kind, permitted},
    cells::HEALS_WITHIN,
    events::Event,
    lease::{How, Step},
    parts::Part,
    table::Table,
};
use crate::{memory::kubernetes::LEASES, sampled, scene::scene};

/// Runs one life under a clock of its own.
fn run<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scene(life))
}

/// The requests of a part when nothing fails, those included by which watches begin anew.
fn calls_of(part: Part) -> BTreeSet<Call> {
    run(async {
        let mut life = part.prepare().await;
        // Before anything is there, the operator comes to hold the Lease: that belongs to the first part.
        if part != Part::Create {
            life.scene.forget();
        }
        life.scene.kubernetes.forget_history();
        life.scene.kubernetes.break_watches();
        life.begin();
        life.until_through(HEALS_WITHIN).await.unwrap_or_else(|wrong| panic!("{part:?} does not end: {wrong}"));
        sleep(Duration::from_secs(30)).await;
        life.scene.kubernetes.take_journal().iter().map(Call::of).collect()
    })
}

/// Every request, in the parts of life in which it means something else.
fn rows() -> Vec<(Part, Call)> {
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for part in Part::ALL {
        let whole = matches!(part, Part::Create | Part::Rest | Part::Delete | Part::Handover);
        for call in calls_of(part) {
            // Leases are the same whatever happens meanwhile.
            if seen.insert(call) || (whole && call.plural != LEASES) {
                rows.push((part, call));
            }
        }
    }
    rows
}

#[test]
fn every_request_to_kubernetes_meets_every_fault_and_what_was_asked_for_comes_true() {
    let rows = rows();
    let made: BTreeSet<Call> = rows.iter().map(|(_, call)| *call).collect();
    assert_eq!(
        made,
        permitted().into_iter().collect(),
        "a life makes every request that the chart permits, and no other"
    );
    let cells: Vec<_> = rows.iter().flat_map(|(part, call)| Kind::ALL.map(|kind| (*part, *call, kind))).collect();
    // Every request of each part, every fault in each part, and every fault of each verb and of each kind of object.
    let facets = |(part, call, kind): &(Part, Call, Kind)| match kind.of(*call) {
        Ok(_) => vec![
            format!("{part:?} {}", call.name()),
            format!("{part:?} {kind:?}"),
            format!("{} {kind:?}", call.verb),
            format!("{} {kind:?}", call.plural),
        ],
        Err(_) => Vec::new(),
    };
    let sample = sampled::covering(&cells, facets);
    assert_eq!(
        sample.iter().map(|(_, call, _)| *call).collect::<BTreeSet<_>>(),
        made,
        "every request is in the sample"
    );
    assert_eq!(sample.iter().map(|(.., kind)| *kind).collect::<BTreeSet<_>>(), Kind::ALL.into(), "and every fault");
    let table = Table::live(&cells, facets, |part, call, kind| {
        let fault = kind.of(call)?;
        Ok(async move { calls::live(part, call, &fault).await })
    });
    let tried = format!("every request meets every fault ({} requests x {} faults)", made.len(), Kind::ALL.len());
    table.tell("calls", &tried, Call::name, |kind| kind.title().to_owned());
}

#[test]
fn whatever_happens_to_kubernetes_what_was_asked_for_last_comes_true() {
    let lasts: BTreeMap<Part, Duration> =
        Part::ALL.into_iter().map(|part| (part, run(events::undisturbed(part)))).collect();
    let events = Event::all();
    let cells: Vec<_> = Part::ALL.iter().flat_map(|part| events.iter().map(|event| (*part, (), *event))).collect();
    // Every event, and every family of events in each part.
    let facets = |(part, (), event): &(Part, (), Event)| match event.cannot(*part) {
        Ok(()) => vec![format!("{event:?}"), format!("{part:?} {}", event.family())],
        Err(_) => Vec::new(),
    };
    let sample = sampled::covering(&cells, facets);
    assert_eq!(sample.iter().map(|(.., event)| *event).collect::<BTreeSet<_>>(), events.iter().copied().collect());
    assert_eq!(sample.iter().map(|(part, ..)| *part).collect::<BTreeSet<_>>(), Part::ALL.into(), "every part is in it");
    let table = Table::live(&cells, facets, |part, (), event| {
        event.cannot(part)?;
        let lasts = lasts[&part];
        Ok(async move { events::live(part, event, lasts).await })
    });
    let tried = format!("{} things happen to Kubernetes in {} parts of a life", events.len(), Part::ALL.len());
    table.tell("events", &tried, |()| String::new(), Event::title);
}

#[test]
fn a_lease_lost_in_the_middle_of_any_write_leaves_no_duplicate_and_no_orphan() {
    let cells: Vec<_> = Part::ALL
        .into_iter()
        .flat_map(|part| {
            let steps = [Step::Aws, Step::Kubernetes].into_iter();
            steps.flat_map(move |step| [How::BeforeTheWork, How::AfterTheWork].map(|how| (part, step, how)))
        })
        .collect();
    let senseless = |part, step| match (part, step) {
        (Part::Rest, _) => Some("nothing is written"),
        (Part::Handover | Part::Succession, Step::Aws) => Some("nothing is written to AWS"),
        _ => None,
    };
    // Both kinds of write in each part, and each moment of each kind of write.
    let facets = |(part, step, how): &(Part, Step, How)| match senseless(*part, *step) {
        None => vec![format!("{part:?} {step:?}"), format!("{step:?} {how:?}")],
        Some(_) => Vec::new(),
    };
    let table = Table::live(&cells, facets, |part, step, how| match senseless(part, step) {
        Some(why) => Err(why),
        None => Ok(async move { lease::live(part, step, how).await }),
    });
    let tried = "the Lease is lost in the middle of each write";
    table.tell("lease", tried, |step| format!("a write to {step:?}"), |how| format!("{how:?}"));
}
