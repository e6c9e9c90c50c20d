//! The in-memory AWS alone, without the in-memory Kubernetes.

#[path = "../memory/aws/mod.rs"]
#[allow(dead_code, unused_imports, reason = "facts are about what an AWS does when somebody asks it")]
pub mod aws;
