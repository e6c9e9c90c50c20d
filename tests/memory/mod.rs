//! The in-memory AWS and the in-memory Kubernetes API.

pub mod aws;
pub mod kubernetes;
