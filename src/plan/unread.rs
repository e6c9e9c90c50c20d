//! Facts that could not be read from AWS, and what the legs that rest on them say.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Plan, explain_failure};
use crate::{
    api::condition::{ConditionType, Leg, LegState, Message, Reason, find},
    aws::{AwsError, Class, Failure},
};

/// A part of an observation that is read from AWS by itself. A part that cannot be read holds up only what stands on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// VPCs, subnets, route tables, and the endpoint services on offer.
    Topology,
    /// Endpoints and their interfaces.
    Endpoints,
    /// Security groups.
    SecurityGroups,
    /// Roles with their policies.
    Roles,
    /// Interfaces of functions.
    Interfaces,
    /// Functions.
    Functions,
    /// Log groups and their tags.
    LogGroups,
}

/// The sources that could not be read, and why. The facts of such a source are empty: nothing may be concluded from that.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unread {
    errors: BTreeMap<Source, AwsError>,
    read: BTreeSet<Source>,
}

impl Unread {
    /// Returns the facts of an answer, or remembers its error and returns `None`.
    ///
    /// # Errors
    /// When AWS does not accept the credentials, throttles the operator, or denies the first two services that were asked: further
    /// reads are useless then.
    pub fn take<T>(&mut self, source: Source, answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
        match answer {
            Ok(facts) => {
                self.read.insert(source);
                Ok(Some(facts))
            }
            Err(error) if matches!(error.failure, Failure::Credentials | Failure::Throttled) => Err(error),
            Err(error) => {
                let first = self.errors.values().find(|before| {
                    let denied = [&error, before].iter().all(|error| error.failure == Failure::AccessDenied);
                    denied && before.service != error.service
                });
                if let Some(first) = first.filter(|_| self.read.is_empty()) {
                    return Err(first.clone());
                }
                self.errors.entry(source).or_insert(error);
                Ok(None)
            }
        }
    }

    /// Why a source could not be read; `None` where it was.
    pub fn of(&self, source: Source) -> Option<&AwsError> {
        self.errors.get(&source)
    }

    /// Whether a source could not be read.
    pub fn lacks(&self, source: Source) -> bool {
        self.errors.contains_key(&source)
    }

    /// Every source was read.
    pub fn is_complete(&self) -> bool {
        self.errors.is_empty()
    }

    /// The first error; `None` where every source was read.
    pub fn first(&self) -> Option<&AwsError> {
        self.errors.values().next()
    }
}

/// Whether the status still holds although AWS could not be observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedObservations {
    /// At most three in a row were missed: the status holds.
    Few,
    /// More were missed: nothing is claimed.
    Many,
}

impl MissedObservations {
    /// Judges by how many observations in a row were missed before this one.
    pub fn after(before: u32) -> Self {
        if before < 3 { Self::Few } else { Self::Many }
    }
}

impl Plan {
    /// Records that facts of a leg could not be read. An error that somebody must correct takes precedence.
    pub fn unread(&mut self, kind: ConditionType, error: Option<&AwsError>) {
        let Some(error) = error else { return };
        let user_must_act = |error: &AwsError| error.failure.class() == Class::UserMustAct;
        if self.unread.get(&kind).is_none_or(|before| !user_must_act(before) && user_must_act(error)) {
            self.unread.insert(kind, error.clone());
        }
    }

    /// All legs in their order. A leg whose facts could not be read repeats the recorded condition while few observations were
    /// missed, and claims nothing afterwards. A leg that needs somebody to act stays as it is.
    pub fn legs_to_show(&self, resource: &str, recorded: &[Condition], missed: MissedObservations) -> Vec<Leg> {
        let mut legs = self.legs.clone();
        let mut explained: Vec<&AwsError> = Vec::new();
        for (kind, error) in &self.unread {
            if legs.iter().any(|leg| leg.kind == *kind && leg.state == LegState::Blocked) {
                continue;
            }
            legs.retain(|leg| leg.kind != *kind);
            let held = find(recorded, *kind).filter(|leg| leg.status == "True" && missed == MissedObservations::Few);
            legs.push(match (held, error.failure.class()) {
                (Some(leg), _) => Leg::met(*kind, Message::of(leg)),
                (None, Class::UserMustAct) if !explained.contains(&error) => {
                    explained.push(error);
                    explain_failure(*kind, resource, error)
                }
                (None, Class::UserMustAct | Class::Wait | Class::Retry) => {
                    let message = explain_failure(*kind, resource, error).message;
                    Leg::unknown(*kind, Reason::ObservationFailed, message)
                }
            });
        }
        legs.sort_by_key(|leg| leg.kind);
        legs
    }
}

/// The legs of an object of which AWS showed nothing: the first explains the error, and the others refer to the first.
pub fn unobserved(kinds: &[ConditionType], resource: &str, error: &AwsError) -> Vec<Leg> {
    let cause = explain_failure(ConditionType::Ready, resource, error);
    kinds
        .iter()
        .enumerate()
        .map(|(index, kind)| match error.failure.class() {
            Class::UserMustAct if index == 0 => Leg { kind: *kind, ..cause.clone() },
            Class::Wait | Class::Retry if index == 0 => {
                Leg::unknown(*kind, Reason::ObservationFailed, cause.message.clone())
            }
            Class::UserMustAct | Class::Wait | Class::Retry => {
                let message = format!(
                    "The operator cannot read {resource} from AWS: condition {} has the error.",
                    kinds[0].as_str()
                );
                Leg::unknown(*kind, Reason::ObservationFailed, message)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::failure::tests::failed;

    #[test]
    fn where_aws_cannot_be_read_one_leg_has_the_error_and_the_others_name_that_leg() {
        let kinds = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady];
        for failure in [Failure::Credentials, Failure::Unavailable] {
            let [first, second] = &unobserved(&kinds, "bot", &failed(failure))[..] else { panic!("two legs") };
            assert!(first.message.text.contains("AWS's words"), "{first:?}");
            assert!(
                second.message.text.contains("ExecutionRoleReady") && !second.message.text.contains("AWS's words"),
                "{second:?}"
            );
        }
    }

    #[test]
    fn a_leg_that_cannot_be_read_holds_for_a_few_observations_and_then_claims_nothing() {
        use crate::api::condition::conditions_of;
        use k8s_openapi::jiff::Timestamp;
        let kinds = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady, ConditionType::EndpointsReady];
        let recorded = conditions_of(&kinds.map(|kind| Leg::met(kind, "as it was")), &[], None, Timestamp::UNIX_EPOCH);
        let mut plan = Plan { legs: vec![Leg::met(ConditionType::SecurityGroupsReady, "exact")], ..Plan::default() };
        plan.unread(ConditionType::VpcReady, Some(&failed(Failure::Unavailable)));
        plan.unread(ConditionType::EndpointsReady, None);
        let stands = |missed, recorded: &[Condition]| -> Vec<_> {
            plan.legs_to_show("vpc", recorded, missed)
                .iter()
                .map(|leg| (leg.kind, leg.state, leg.message.text.len()))
                .collect()
        };
        let groups = (ConditionType::SecurityGroupsReady, LegState::Met, 5);
        assert_eq!(stands(MissedObservations::Few, &recorded), [(ConditionType::VpcReady, LegState::Met, 9), groups]);
        for unclaimed in [stands(MissedObservations::Many, &recorded), stands(MissedObservations::Few, &[])] {
            assert_eq!((unclaimed[0].1, unclaimed[1]), (LegState::Unknown, groups));
        }
        assert_eq!(
            (MissedObservations::after(2), MissedObservations::after(3)),
            (MissedObservations::Few, MissedObservations::Many)
        );
    }

    #[test]
    fn an_error_that_somebody_must_correct_is_explained_once_with_its_reason() {
        let (denied, unwell) = (failed(Failure::AccessDenied), failed(Failure::Unavailable));
        let mut plan = Plan::default();
        for error in [&unwell, &denied, &unwell] {
            plan.unread(ConditionType::VpcReady, Some(error));
        }
        plan.unread(ConditionType::EndpointsReady, Some(&denied));
        let legs = plan.legs_to_show("vpc", &[], MissedObservations::Many);
        let stands: Vec<_> = legs.iter().map(|leg| (leg.state, leg.reason)).collect();
        let unknown = (LegState::Unknown, Reason::ObservationFailed);
        assert_eq!(stands, [(LegState::Blocked, Reason::AccessDenied), unknown]);
        assert!(legs.iter().all(|leg| leg.message.text.contains("Allow the operator's role")), "{legs:?}");
    }

    #[test]
    fn an_observation_ends_where_aws_allows_nothing_and_otherwise_remembers_errors() {
        let mut unread = Unread::default();
        for failure in [Failure::Credentials, Failure::Throttled] {
            assert!(unread.take::<()>(Source::Roles, Err(failed(failure))).is_err());
        }
        assert!(unread.is_complete());
        assert_eq!(unread.take(Source::Roles, Ok(7)).expect("no matter of credentials"), Some(7));
        let denied = failed(Failure::AccessDenied);
        assert_eq!(unread.take::<()>(Source::Topology, Err(denied.clone())).expect("no matter of credentials"), None);
        assert_eq!((unread.of(Source::Topology), unread.lacks(Source::Roles)), (Some(&denied), false));
        let elsewhere = AwsError { service: "iam", ..denied.clone() };
        let ends =
            |unread: &mut Unread, error: &AwsError| unread.take::<()>(Source::Roles, Err(error.clone())).is_err();
        assert!(!ends(&mut unread, &elsewhere), "something was read");
        let mut nothing = Unread::default();
        assert!(!ends(&mut nothing, &denied) && !ends(&mut nothing, &denied) && ends(&mut nothing, &elsewhere));
    }
}
