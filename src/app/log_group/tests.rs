use super::*;
use crate::app;
use crate::{
    api::app::LogRetention,
    api::condition::LegState,
    app::fixtures::{at_rest, decided, desired, foreign, function_stands, identity, leg, log_group, writes},
    aws::Write,
};

#[test]
fn a_log_that_is_kept_for_longer_is_left_unless_the_app_says_for_how_long() {
    use LogRetention::{AtLeast, Exactly};
    for (wanted, kept, stored_bytes, put) in [
        (AtLeast(30), Some(30), 1, None),
        (AtLeast(30), Some(365), 1, None),
        (AtLeast(30), Some(365), 0, None),
        (AtLeast(30), None, 1, None),
        (AtLeast(30), Some(14), 1, Some(30)),
        // Nothing is in it: the operator, or one before it, was about to write the retention.
        (AtLeast(30), None, 0, Some(30)),
        (Exactly(30), Some(30), 1, None),
        (Exactly(30), Some(365), 1, Some(30)),
        (Exactly(30), Some(14), 1, Some(30)),
        (Exactly(30), None, 1, Some(30)),
        (Exactly(30), None, 0, Some(30)),
    ] {
        let desired = Desired { log_retention: wanted, ..desired() };
        let mut facts = log_group(Some(identity().tags()));
        (facts.group.retention_days, facts.group.stored_bytes) = (kept, stored_bytes);
        let found = writes(app::plan(&desired, &Observed { log_group: Some(facts), ..at_rest() }));
        let expected: Vec<Write> = put
            .map(|days| Write::Logs(LogsWrite::PutRetentionPolicy { name: identity().log_group_name(), days }))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "{wanted:?}, {kept:?} days, {stored_bytes} bytes");
    }
}

#[test]
fn a_log_group_of_somebody_else_is_shown_and_not_used() {
    for tags in [Some(foreign()), None] {
        let mut theirs = log_group(tags);
        theirs.group.retention_days = Some(7);
        let plan = decided(&Observed { log_group: Some(theirs), listing: None, detail: None, ..at_rest() });
        assert_eq!(plan.steps, []);
        assert_eq!(function_stands(&plan), (LegState::Blocked, Reason::NameTaken));
        let message = &leg(&plan, ConditionType::FunctionReady).message;
        assert!(
            message.text.contains(identity().log_group_name().as_str()) && message.text.contains("remove the resource"),
            "{message}"
        );
    }
}
