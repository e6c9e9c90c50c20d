//! The in-memory AWS and the in-memory Kubernetes API, and what no write may do to the account.

pub mod aws;
pub mod judge;
pub mod kubernetes;
pub mod somebody_else;
