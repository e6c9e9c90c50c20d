//! The rules of freshness, on rows.
