//! The private-genai-operator: one `PrivateGenAIApp` becomes a private path to Amazon Bedrock, and stays one.
//!
//! ```text
//!  Kubernetes                                   the core: pure, synchronous, total               AWS
//!
//!  watch ──► shared reflectors ──► desired ──┐
//!            (engine::triggers)              ├──► plan: steps + legs ──► writes ──────────────► aws::Aws
//!            aws::Snapshot ──────► observed ─┘         │            (engine::converge)            │
//!                 ▲                                    └──► status ──► patch, only if it differs  │
//!                 └──────────── batched reads, invalidated by our own writes ◄────────────────────┘
//!
//!  apps make demands ──► a network is their union ──► its status ──► each app's role and function ──► app status
//! ```
//!
//! In the order of dependency:
//!
//! - [`aws`]: ids, facts and writes as plain data, the narrow trait, its SDK implementation, the batched snapshot;
//! - [`identity`]: how a resource is recognised as ours; [`policy`]: models become IAM statements; [`guard`]: what apps may ask
//!   for; [`governance`]: what everything that is created has besides;
//! - [`api`]: the two kinds and their conditions; [`plan`]: what a decision is; [`function`]: the built-in handler;
//! - [`settings`]: how the operator is configured; [`index`]: objects in, lookups and who is concerned out;
//! - [`network`] and [`app`]: two controllers with one floor plan — desired, observed, plan, status, controller;
//! - [`engine`]: what both share — the context, one pass of look–decide–write, pace, Events;
//! - [`operator`]: wires the watches, the index, the queues and both controllers;
//! - [`leadership`]: which replica acts, and until when it may write;
//! - [`uninstall`]: everything removed, or everything let go; [`takeover`]: the networks of a cluster that is gone, taken over;
//! - [`permissions`]: the operator's own IAM policy;
//! - [`metrics`], [`telemetry`], [`server`], [`cli`].

pub mod api;
pub mod app;
pub mod aws;
pub mod cli;
pub mod engine;
pub mod function;
pub mod governance;
pub mod guard;
pub mod identity;
pub mod index;
pub mod leadership;
pub mod metrics;
pub mod network;
pub mod operator;
pub mod permissions;
pub mod plan;
pub mod policy;
pub mod rotation;
pub mod server;
pub mod settings;
pub mod takeover;
pub mod telemetry;
pub mod uninstall;
