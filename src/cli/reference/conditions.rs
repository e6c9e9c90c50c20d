//! Conditions and reasons, from the table of reasons.

use super::{code, document, section, table};
use crate::api::condition::{ConditionType, Reason};

/// The page.
pub fn page() -> String {
    let introduction = "`kubectl describe pgai NAME` shows the conditions and Events of an app. The reason of `Ready` is that of the first \
                        condition that needs a person, or else of the first that waits; `Reconciling` and `Stalled` repeat that \
                        reason. The message names the resource, the start of the wait, and AWS's message with the request id. \
                        [Troubleshooting](../troubleshooting.md) explains what AWS does not allow, and how a wait is counted.";
    let types = ConditionType::ALL.iter().map(|kind| [code(kind.as_str()), kind.meaning().to_owned()]);
    let rows = Reason::ALL.iter().map(|reason| reason.explanation());
    let reasons = rows.clone().map(|row| {
        let conditions = row.conditions.iter().map(|kind| code(kind.as_str())).collect::<Vec<_>>().join(", ");
        let bound = row.wait.map_or_else(|| "none".to_owned(), |wait| wait.bound_in_words());
        let (meaning, remedy) = (row.meaning.to_owned(), row.remedy.to_owned());
        [code(row.reason.as_str()), meaning, remedy, row.actor.to_string(), bound, conditions]
    });
    let waits = rows.filter_map(|row| {
        let wait = row.wait?;
        let becomes = wait.becomes().to_owned();
        Some([code(row.reason.as_str()), wait.bound_in_words(), becomes, wait.still.to_owned(), wait.who.to_owned()])
    });
    let of_reasons = "Where the column *what to do* says \"nothing\", the operator or AWS is at work. The last column has the conditions that give \
                      the reason at first hand; `NetworkReady` and `EndpointReady` of an app repeat any reason of its network.";
    let of_bounds = "A reason that waits has a generous bound. Past the bound the object is `Stalled` (for Argo CD *Degraded*, for kstatus \
                     *Failed*) with the same reason, and the message says what is still true and who can act. \
                     [How a wait is counted](../troubleshooting.md#how-a-wait-is-counted) has the exceptions.";
    document(
        "Conditions and reasons",
        introduction,
        &[
            section("Conditions", &[table(["condition", "true when"], types)]),
            section(
                "Reasons",
                &[
                    of_reasons.to_owned(),
                    table(
                        ["reason", "what it means", "what to do", "who acts", "bound of the wait", "conditions"],
                        reasons,
                    ),
                ],
            ),
            section(
                "Bounds of waits",
                &[
                    of_bounds.to_owned(),
                    table(["reason", "bound", "the object becomes", "what is still true", "who can act"], waits),
                ],
            ),
        ],
    )
}
