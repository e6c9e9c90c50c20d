//! The in-memory AWS and the in-memory Kubernetes API, the writes that are never allowed, and the state that must be reached.

pub mod asked;
pub mod aws;
pub mod judge;
pub mod kubernetes;
pub mod somebody_else;
