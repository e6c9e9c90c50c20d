//! The in-memory AWS alone, without the in-memory Kubernetes.

#[path = "../memory/aws/mod.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are those of other programs")]
pub mod aws;
