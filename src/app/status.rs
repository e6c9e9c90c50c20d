//! The status of an app.

use k8s_openapi::jiff::Timestamp;

use super::Observed;
use crate::{
    api::{
        EndpointStatus, PrivateGenAIAppStatus,
        app::{AppNetworkStatus, ExecutionRoleStatus, FunctionStatus},
        condition::{Leg, conditions_of},
    },
    identity::AppIdentity,
    plan::Source,
};

/// The facts that the status records beside the conditions.
#[derive(Clone, Debug, Default)]
pub struct StatusFacts {
    /// The installation that works for the app.
    pub installation_id: Option<String>,
    /// The network that the app is on.
    pub network: Option<AppNetworkStatus>,
    /// The endpoints that it uses.
    pub endpoints: Vec<EndpointStatus>,
    /// The execution role.
    pub execution_role: Option<ExecutionRoleStatus>,
    /// The function.
    pub function: Option<FunctionStatus>,
}

impl StatusFacts {
    /// Records the observation of the app. Facts that were not read, or could not be read, stay as recorded.
    pub fn observe(&mut self, identity: &AppIdentity, observed: &Observed, before: Option<&FunctionStatus>) {
        if !observed.unread.lacks(Source::Roles) {
            self.execution_role = observed.role.as_ref().map(|role| ExecutionRoleStatus { arn: role.arn.clone() });
        }
        if observed.unread.lacks(Source::Functions) {
            return;
        }
        let given_role_id = observed.given_role_id.clone().or(observed.role.as_ref().map(|role| role.id.clone()));
        self.function = match (&observed.detail, &observed.listing) {
            (Some(detail), _) => Some(FunctionStatus {
                name: detail.listing.name.to_string(),
                arn: detail.listing.arn.clone(),
                state: detail.state.as_str().to_owned(),
                last_update_status: detail.last_update.as_str().to_owned(),
                code_sha256: detail.listing.code_sha256.clone(),
                execution_role_id: given_role_id,
                last_modified: detail.listing.last_modified.clone(),
                log_group: identity.log_group_name().to_string(),
            }),
            (None, Some(_)) => {
                before.cloned().map(|function| FunctionStatus { execution_role_id: given_role_id, ..function })
            }
            (None, None) => None,
        };
    }
}

/// Makes the status of an app.
pub fn status(
    before: Option<&PrivateGenAIAppStatus>,
    generation: Option<i64>,
    facts: StatusFacts,
    legs: &[Leg],
    now: Timestamp,
) -> PrivateGenAIAppStatus {
    PrivateGenAIAppStatus {
        observed_generation: generation,
        conditions: conditions_of(legs, before.map_or(&[], |status| &status.conditions), generation, now),
        installation_id: facts.installation_id,
        network: facts.network,
        endpoints: facts.endpoints,
        execution_role: facts.execution_role,
        function: facts.function,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixtures::{at_rest, identity, nothing, recorded, role};

    fn observed(observed: &Observed, before: Option<&FunctionStatus>) -> StatusFacts {
        let mut facts = StatusFacts::default();
        facts.observe(&identity(), observed, before);
        facts
    }

    #[test]
    fn facts_are_what_aws_shows_and_stay_as_recorded_while_nobody_needed_to_ask_again() {
        let facts = observed(&at_rest(), None);
        assert_eq!(facts.function, Some(recorded()));
        assert_eq!(facts.execution_role, Some(ExecutionRoleStatus { arn: role().arn }));
        let unasked = Observed { detail: None, ..at_rest() };
        assert_eq!(observed(&unasked, Some(&recorded())).function, Some(recorded()));
    }

    #[test]
    fn what_is_gone_in_aws_goes_from_the_status() {
        let facts = observed(&nothing(), Some(&recorded()));
        assert_eq!((facts.function, facts.execution_role), (None, None));
    }

    #[test]
    fn what_a_look_could_not_read_stays_as_it_was_recorded() {
        use crate::{
            aws::{AwsError, Failure},
            plan::Unread,
        };
        let without = |source| {
            let error = AwsError {
                service: "iam",
                operation: "",
                failure: Failure::AccessDenied,
                code: None,
                message: String::new(),
                request_id: None,
            };
            let mut unread = Unread::default();
            unread.take::<()>(source, Err(error)).expect("no matter of credentials");
            let mut facts = observed(&at_rest(), None);
            facts.observe(&identity(), &Observed { unread, ..nothing() }, Some(&recorded()));
            (facts.function.is_some(), facts.execution_role.is_some())
        };
        assert_eq!(without(Source::Functions), (true, false));
        assert_eq!(without(Source::Roles), (false, true));
        assert_eq!(without(Source::LogGroups), (false, false));
    }
}
