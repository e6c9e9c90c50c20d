//! The in-memory AWS, and the judge of its writes and of its state at rest.

#[path = "../memory/asked.rs"]
pub mod asked;
#[allow(dead_code, reason = "there is no operator that calls it here")]
#[path = "../memory/aws/mod.rs"]
pub mod aws;
#[allow(dead_code, reason = "each write is compared here with what is not ours, not the whole account at the end")]
#[path = "../memory/judge.rs"]
pub mod judge;
#[path = "../memory/somebody_else.rs"]
pub mod somebody_else;
