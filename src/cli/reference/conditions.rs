//! Conditions and reasons.

use super::{code, document, section, table};
use crate::api::condition::{ConditionType, Reason};

/// The page.
pub fn page() -> String {
    let introduction = "`kubectl describe pgai NAME` shows the conditions and Events of an app. The reason of `Ready` is that of the first \
                        condition which needs somebody, or else waits. The message names the resource, since when it waits, and AWS's words \
                        with the request id. [Troubleshooting](../troubleshooting.md) explains further.";
    let waits = Reason::ALL.iter().filter_map(|reason| {
        let wait = reason.wait()?;
        let becomes = wait.becomes().to_owned();
        Some([code(reason.as_str()), wait.bound_in_words(), becomes, wait.still.to_owned(), wait.who.to_owned()])
    });
    let bounds = "A reason that waits does so for a while that is generous. Past the bound the object is `Stalled` (for Argo CD *Degraded*, \
                  for kstatus *Failed*) with the same reason, and the message says what is still true and who can act. \
                  [How long each reason waits](../troubleshooting.md#how-long-each-reason-waits) says how the wait is counted.";
    document(
        "Conditions and reasons",
        introduction,
        &[
            section(
                "Conditions",
                &[ConditionType::ALL
                    .iter()
                    .map(|kind| format!("- {}", code(kind.as_str())))
                    .collect::<Vec<_>>()
                    .join("\n")],
            ),
            section(
                "Bounds of waits",
                &[
                    bounds.to_owned(),
                    table(["reason", "bound", "the object becomes", "what is still true", "who can act"], waits),
                ],
            ),
        ],
    )
}
