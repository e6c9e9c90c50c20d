//! The in-memory AWS, what no write may do to the account, and what it must come to.

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
