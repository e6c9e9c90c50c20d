//! Every state that small worlds can reach, with the operator's own decisions in them: each call done, refused, or done with
//! its answer lost, crashes, stale tables, AWS at its own pace, and what people do meanwhile, in every order. In every state the
//! invariants of DESIGN.md section 5 hold, and from every state everything comes to rest as it should be once nothing goes wrong
//! any more.
//!
//! ```text
//! scenario    a small world, what may happen in it, and what must hold
//! state       what is compared: account, objects, and all that operators hold in their heads
//! step        what can happen next; decisions are app::decide, network::decide, controller::Pass, and the tables'
//! fingerprint which states are the same but for the names of things
//! explore     visits all states, and follows each to its end
//! ```

mod explore;
mod fingerprint;
mod scenario;
mod state;
mod step;

use std::{io::Write as _, time::Instant};

use self::{
    explore::{Counterexample, explore},
    scenario::{Chance, Scenario},
};
use crate::memory::aws::Delays;

const MOST: usize = 3_000_000;

fn run(scenario: &Scenario) {
    let began = Instant::now();
    match explore(scenario, MOST) {
        Ok(figures) => {
            drop(writeln!(std::io::stderr(), "{}: {figures:?} in {:?}", scenario.name, began.elapsed()));
            assert!(figures.exhausted);
        }
        Err(Counterexample(told)) => panic!("{told}"),
    }
}

#[test]
fn one_app_comes_and_goes_whatever_is_lost() {
    run(&Scenario::new(
        "one app",
        Delays::default(),
        &["ada"],
        &[(Chance::Create("ada"), 1), (Chance::Delete("ada"), 1), (Chance::Crash, 1), (Chance::Lost, 1)],
    ));
}
