//! The in-memory AWS and the in-memory Kubernetes API, what no write may do to the account, and what it must come to.

pub mod asked;
pub mod aws;
pub mod judge;
pub mod kubernetes;
pub mod somebody_else;
