//! The status of an app, and the report that ends in the status.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::ResourceExt as _;

use super::{Observed, probe::pending};
use crate::{
    api::{
        EndpointStatus, PrivateGenAIApp, PrivateGenAIAppStatus, RecordedOwner,
        app::{AppNetworkStatus, ExecutionRoleStatus, FunctionStatus},
        condition::{ConditionType, Leg, Message, conditions_of, find, is_true, wait_state},
    },
    aws::{AwsError, Write},
    engine::{self, Circumstances, Decision, Effect, ObservationResult, Pace, Settings, drift::Repair},
    identity::AppIdentity,
    plan::{Source, unobserved},
};

/// The facts that the status records beside the conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
    /// The recorded facts.
    fn recorded(status: Option<&PrivateGenAIAppStatus>) -> Self {
        let recorded = status.cloned().unwrap_or_default();
        Self {
            installation_id: recorded.installation_id,
            network: recorded.network,
            endpoints: recorded.endpoints,
            execution_role: recorded.execution_role,
            function: recorded.function,
        }
    }

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

/// The report about an app, collected during a reconcile. Pure.
#[derive(Clone, Debug, Hash)]
pub(super) struct Report {
    pub(super) legs: Vec<Leg>,
    pub(super) facts: StatusFacts,
    pub(super) new_changes: Vec<Write>,
    pub(super) repairs: Vec<Repair>,
}

impl Report {
    /// A report that begins with the recorded facts. They hold until an observation shows others.
    pub(super) fn new(object: &PrivateGenAIApp) -> Self {
        let facts = StatusFacts::recorded(object.status.as_ref());
        Self { legs: Vec::new(), facts, new_changes: Vec::new(), repairs: Vec::new() }
    }

    /// Holds the object and records the installation before the operator creates anything: an operator that gets another installation
    /// id finds the recorded one. Where older versions recorded the owner otherwise, the status is written at the end only.
    pub(super) fn hold(&mut self, object: &PrivateGenAIApp, settings: &Settings) -> Vec<Effect<PrivateGenAIAppStatus>> {
        let mut effects = vec![Effect::Hold];
        if self.facts.installation_id.is_none() {
            let installation_id = Some(settings.installation.to_string());
            self.facts.installation_id.clone_from(&installation_id);
            if object.recorded_owner(&settings.installation) == RecordedOwner::Nobody {
                let recorded = object.status.clone().unwrap_or_default();
                let status = PrivateGenAIAppStatus { installation_id, ..recorded };
                effects.push(Effect::WriteStatus(Box::new(status)));
            }
        }
        effects
    }

    /// The proof of the path holds while AWS cannot be read.
    pub(super) fn keep_proof(&mut self, object: &PrivateGenAIApp) {
        let before = object.status.as_ref();
        let proof = before.filter(|status| status.endpoints == self.facts.endpoints).and_then(|status| {
            find(&status.conditions, ConditionType::Healthy).filter(|condition| condition.status == "True")
        });
        self.legs.push(match proof {
            Some(proof) => Leg::met(ConditionType::Healthy, Message::of(proof)),
            None => pending("The path is probed once AWS can be looked at."),
        });
    }

    /// The decision about an app that could not be observed in AWS. The recorded status holds for three missed observations, then
    /// the status claims nothing.
    pub(super) fn unobserved(
        mut self,
        object: &PrivateGenAIApp,
        error: &AwsError,
        pace: Pace,
        circumstances: &Circumstances,
    ) -> Decision<PrivateGenAIAppStatus> {
        let mut effects = Vec::new();
        if is_true(conditions(object), ConditionType::Ready) {
            effects.push(Effect::CountObservation(ObservationResult::Missed(pace)));
            if circumstances.observations.at(pace) < 3 {
                return Decision { effects, requeue: pace.into() };
            }
        }
        let kinds = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady];
        self.legs.extend(unobserved(&kinds, &object.name_any(), error));
        self.keep_proof(object);
        let pace = self.paced(object, pace, circumstances.now);
        effects.extend(self.effects(object, circumstances.now));
        Decision { effects, requeue: pace.into() }
    }

    /// The pace of the app, given the pace without overdue waits.
    pub(super) fn paced(&self, object: &PrivateGenAIApp, pace: Pace, now: Timestamp) -> Pace {
        pace.with(wait_state(&self.legs, conditions(object), object.metadata.generation, now))
    }

    /// Writes the status, where the status differs, and tells what is new.
    pub(super) fn effects(self, object: &PrivateGenAIApp, now: Timestamp) -> Vec<Effect<PrivateGenAIAppStatus>> {
        let generation = object.metadata.generation;
        let after = PrivateGenAIAppStatus {
            observed_generation: generation,
            conditions: conditions_of(&self.legs, conditions(object), generation, now),
            installation_id: self.facts.installation_id,
            network: self.facts.network,
            endpoints: self.facts.endpoints,
            execution_role: self.facts.execution_role,
            function: self.facts.function,
        };
        engine::report(&object.metadata, object.status.as_ref(), &after, &self.new_changes, &self.repairs, now)
    }
}

fn conditions(object: &PrivateGenAIApp) -> &[Condition] {
    object.status.as_ref().map_or(&[][..], |status| &status.conditions)
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
