//! The private-genai-operator: one `PrivateGenAIApp` becomes a private path to Amazon Bedrock, and stays one.
//!
//! ```text
//!  Kubernetes                                   the core: pure, synchronous, total               AWS
//!
//!  watch ──► shared reflectors ──► desired ──┐
//!            (operator)                      ├──► plan: steps + legs ──► writes ──────────────► aws::Aws
//!            aws::Snapshot ──────► observed ─┘         │            (engine::converge)            │
//!                 ▲                                    └──► effects ──► Kubernetes                │
//!                 │                                            (engine::carry_out)                │
//!                 └──────────── batched reads, invalidated by our own writes ◄────────────────────┘
//!
//!  apps make demands ──► a network is their union ──► its status ──► each app's role and function ──► app status
//! ```
//!
//! The modules below are in the order of dependency: a module imports only those above it. A test (`tests/in_memory/imports.rs`)
//! derives the order from this file. CONTRIBUTING.md has the steps. Where to add:
//!
//! - a field: [`api::app`] or [`api::network`] as the wire has it, its valid form beside it, then the room that it is about;
//! - a call to AWS: its row in `aws/services` (a change is also a variant of the service's write with its description), the call in
//!   [`aws::sdk`], the two fakes under `tests`, and a room that plans the call;
//! - a condition: a type in [`api::condition::ConditionType`] or a row in the table of [`api::condition::Reason`], then a leg:
//!   of a room, or of `app/decide.rs`, `app/network_view.rs` or `app/probe`;
//! - a resource: a room, which is a file or folder in [`app`] or [`network`] with a variant of `Room` in `mod.rs`;
//!   its ids in [`ids`], its facts in `aws/facts`, its table in `aws/snapshot`;
//! - a flag: [`cli`], and the settings of the module that reads its value.

// Who has a turn next.
pub mod rotation;

// Ids of AWS as validated types, and tags.
pub mod ids;

// How a resource is recognised as ours: names, tags, tokens, roles that are handed over.
pub mod identity;

// AWS: facts and writes as plain data, the trait with its SDK implementation, snapshots, pacing.
pub mod aws;

// Models become IAM and endpoint policies, and are read back from them.
pub mod policy;

// The built-in handler of functions.
pub mod function;

// What apps may ask for.
pub mod guard;

// Tags and the permissions boundary of everything that the operator creates.
pub mod governance;

// The configuration of a running operator.
pub mod settings;

// The two kinds on the wire, their conditions and reasons.
pub mod api;

// What a decision is: steps and legs.
pub mod plan;

// Objects in, lookups and who is concerned out.
pub mod index;

// Which replica acts, and until when it may write.
pub mod leadership;

// Metrics.
pub mod metrics;

// `/healthz`, `/readyz` and `/metrics`.
pub mod server;

// One pass of reading, deciding and writing; effects, pace, Events.
pub mod engine;

// A network: its VPC, security groups and endpoints.
pub mod network;

// An app: its role, log group and function, and the probe of its path.
pub mod app;

// Watches, the index, the queues and both controllers, wired together; late writes.
pub mod operator;

// Everything removed, or all objects released.
pub mod uninstall;

// The networks of a cluster that is gone, taken over.
pub mod takeover;

// The IAM policy of the operator itself.
pub mod permissions;

// The log.
pub mod telemetry;

// The command line: flags become the settings of the modules above.
pub mod cli;
