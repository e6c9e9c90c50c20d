//! The promises that need the wire: the operator's own binary against the real kube-apiserver and the stricter local AWS
//! of `tests/local`. The stack is built by `make test` (`python3 tests/local/stack.py build`).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing fails, and says where"
)]

mod crash;
mod credentials;
mod drift;
#[path = "../figures/mod.rs"]
mod figures;
mod health;
mod hostile;
mod http;
mod installations;
mod lifecycle;
mod manifests;
mod operation;
mod outages;
mod path;
mod refusals;
mod replicas;
mod resources;
#[path = "../sampled/mod.rs"]
mod sampled;
#[path = "../specs/mod.rs"]
mod specs;
mod stack;
mod uninstall;
