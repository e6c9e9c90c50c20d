//! A fact about AWS: a sentence, where it is written, and what shows it.

use std::panic::AssertUnwindSafe;

use futures::{
    FutureExt as _,
    future::{LocalBoxFuture, join_all},
};

use super::ground::Ground;

/// A sentence about AWS that is true.
pub struct Fact {
    pub sentence: &'static str,
    /// Where AWS says so, or who saw it.
    pub source: &'static str,
    /// Panics where the sentence is not true.
    pub shown_by: for<'a> fn(&'a Ground) -> LocalBoxFuture<'a, ()>,
}

/// A table of facts: sentence, source, function.
macro_rules! facts {
    ($($sentence:literal, $source:literal, $shown_by:path;)+) => {
        pub const FACTS: &[$crate::fact::Fact] = &[$($crate::fact::Fact {
            sentence: $sentence,
            source: $source,
            shown_by: |ground| Box::pin($shown_by(ground)),
        }),+];
    };
}
pub(crate) use facts;

/// Tries each fact on its ground, all at the same time, and removes what was created; tells which are not true.
pub async fn failures(tried: &[(&Fact, Ground)]) -> Vec<String> {
    let all = tried.iter().map(async |(fact, ground)| {
        let shown = AssertUnwindSafe((fact.shown_by)(ground)).catch_unwind().await;
        let left = AssertUnwindSafe(ground.clean()).catch_unwind().await;
        let why = [shown, left].into_iter().filter_map(Result::err).map(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
        });
        let why: Vec<String> = why.collect();
        (!why.is_empty()).then(|| format!("- {}\n  ({})\n  {}", fact.sentence, fact.source, why.join("\n  and: ")))
    });
    join_all(all).await.into_iter().flatten().collect()
}
