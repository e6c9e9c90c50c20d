//! AWS in memory: one pure [`step`] over plain data, and a handle around it that implements the operator's trait.
//!
//! The in-memory AWS is as strict as AWS where the operator relies on AWS's refusals, and answers with AWS's own error codes, so that
//! tests exercise the operator's classification too. Work that AWS does in its own time happens after [`Delays`] on tokio's
//! clock, which tests pause: no code here sleeps.
//!
//! ```text
//! MemoryAws (handle, answers, calls)        the trait, the clock, the journal, faults on demand
//!   └─ step(&mut World, &Action) (step)     writes, deeds by hand, time: pure, total, deterministic
//!        ├─ security_groups, endpoints, interfaces, lambda, iam, logs, tags, policy
//!        └─ by_hand, drift                  what somebody else does behind the operator's back
//!   └─ reads, pages                         what each read shows of a world
//!   └─ invoke                               what a function's probe finds in a world
//! world, setup                              the data, and what a test finds there at first
//! ```

mod answers;
pub mod by_hand;
pub mod calls;
pub mod drift;
mod endpoint_checks;
mod endpoints;
pub mod handle;
mod iam;
mod interfaces;
mod invoke;
mod lambda;
mod lambda_checks;
mod logs;
#[allow(dead_code, reason = "only what serves this AWS over HTTP has pages")]
pub mod pages;
mod policy;
pub mod reads;
mod security_groups;
pub mod setup;
mod step;
mod tags;
mod tests;
pub mod world;

pub use by_hand::ByHand;
pub use calls::{CallRecord, Fault};
pub use drift::{Drift, drifts};
pub use handle::MemoryAws;
#[allow(unused_imports, reason = "only what serves this AWS over HTTP sends answers")]
pub use invoke::{Answered, answered};
pub use invoke::{Behaviour, probe};
pub use setup::{Route, VpcShape, boundary};
pub use step::{Action, Outcome, step};
#[allow(unused_imports, reason = "not every test program makes AWS go on by single steps")]
pub use world::Transition;
pub use world::{Delays, World};
