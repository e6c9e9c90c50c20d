//! The controllers' real shell — watches, reflectors, queues, status — against an in-memory AWS and an in-memory
//! Kubernetes API, under a virtual clock. Counts are exact; nothing sleeps.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing fails, and says where"
)]

mod boundary;
mod bounded;
mod converges;
mod counts;
mod credentials;
mod deletion;
mod denials;
mod documented;
mod drift;
mod dual_stack;
mod environment;
mod eyes;
mod faults;
#[path = "../figures/mod.rs"]
mod figures;
mod fresh;
mod health;
mod imports;
mod installations;
mod kubernetes_faults;
mod leadership;
#[path = "../memory/mod.rs"]
mod memory;
mod previews;
mod private_dns;
mod read_back;
mod refusals;
mod repair;
mod retaining;
mod retention;
mod roles;
mod rows;
#[path = "../sampled/mod.rs"]
mod sampled;
mod scale;
mod scene;
mod sharing;
mod simulate;
mod sweep;
mod tags;
mod teardown;
mod tenants;
mod turns;
mod two_writers;
mod uninstall;
mod waits;
