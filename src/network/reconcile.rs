//! The stages of one reconcile of a network. Pure: the controller reads between two stages and carries out their effects, and the
//! model checker does the same in its own world.
//!
//! ```text
//! begin ─► (what shows whose the VPC is) ─► hold ─► (pass) ─► decision
//! ```
//!
//! Each stage may end the reconcile with a [`Decision`].

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::ResourceExt as _;

use super::{
    Acceptance, Observed, acceptance,
    decide::{
        NetworkPass, Outcome, ends, identity, is_refused, is_to_be_held, is_to_be_recorded, outcome,
        retains_everything, wanted,
    },
    not_allowed,
    ownership::{refusal_by_aws, refusal_by_objects},
    status,
    undecodable::vpc_unknown,
};
use crate::{
    api::{
        PrivateGenAINetwork, PrivateGenAINetworkStatus,
        condition::{ConditionType, Leg, LegState, Reason, is_true, wait_state},
        network::NetworkKey,
    },
    aws::{AwsError, BeforeRepair, Caller, Failure, Write},
    engine::{
        Circumstances, Converged, Decision, Effect, Memory, Observation, ObservationResult, Pace, Part, Released,
        Settings, SettledParts,
        drift::{moves, repairs},
        is_held, report, write_status,
    },
    index::{Index, is_implicit},
    plan::{MissedObservations, Plan, Source, unobserved},
};

type NetworkEffect = Effect<PrivateGenAINetworkStatus>;
type NetworkDecision = Decision<PrivateGenAINetworkStatus>;

/// A network that is accepted for its VPC.
#[derive(Clone, Debug)]
pub struct NetworkReconcile {
    /// The VPC.
    pub key: NetworkKey,
    /// What the object must show before the operator creates anything for the network.
    pub missing: Missing,
    /// The object, with what this reconcile recorded in its status.
    pub object: PrivateGenAINetwork,
}

/// What an object must show before the operator creates anything for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// Nothing: the object is held and records the installation, or nothing is to be created.
    Nothing,
    /// The installation in the status.
    Record,
    /// The finalizer, and the installation in the status.
    FinalizerAndRecord,
}

impl NetworkReconcile {
    /// Decides by the objects in the cluster whether this one is the network of its VPC.
    ///
    /// # Errors
    /// The decision about an object for which the operator does nothing in AWS.
    pub fn begin(
        object: &PrivateGenAINetwork,
        index: &Index,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(Vec<NetworkEffect>, Self), NetworkDecision> {
        let deleting = object.metadata.deletion_timestamp.is_some();
        let key = NetworkKey::try_from(&object.spec);
        if let Some(leg) = refusal_by_objects(object, key.as_ref().ok(), index) {
            return Err(Decision::rest(show(object, &[leg], now)));
        }
        let key = key.map_err(|problem| {
            let policy = object.spec.deletion_policy.unwrap_or_default();
            Decision::rest(vec![vpc_unknown(&object.metadata, policy, &problem.to_string())])
        })?;
        match acceptance(object, &key, index) {
            Acceptance::Superseded { by } => return Err(Decision::rest(supersede(object, &by, now))),
            Acceptance::Released => return Err(Decision::rest(vec![Effect::Release])),
            Acceptance::Accepted => {}
        }
        if let Some(leg) = not_allowed(object, &key, index) {
            return Err(Decision::rest(match (is_abandoned(object, &key, index), deleting) {
                (true, _) => vec![Effect::Delete],
                (false, false) => show(object, &[leg], now),
                (false, true) => Vec::new(),
            }));
        }
        if retains_everything(object, &key, index) {
            memory.forget(&key);
            let ignored = Effect::IgnoreLateWrites(Released::Network(key.clone()));
            return Err(Decision::rest(vec![Effect::ExcludeVpc(key), ignored, Effect::Release]));
        }
        let missing = if is_to_be_held(object, &key, index) {
            Missing::FinalizerAndRecord
        } else if is_to_be_recorded(object, index.settings()) {
            Missing::Record
        } else {
            Missing::Nothing
        };
        let effects = vec![Effect::IncludeVpc(key.clone())];
        Ok((effects, Self { key, missing, object: object.clone() }))
    }

    /// Holds the object and records the installation, by an observation of AWS. Not before AWS was read: so a network in a region that
    /// does not exist can be deleted, and a network of another installation is not held.
    ///
    /// # Errors
    /// The decision about a network of which AWS does not show whose it is.
    pub fn hold(
        &mut self,
        observed: &Observed,
        index: &Index,
        circumstances: &Circumstances,
    ) -> Result<Vec<NetworkEffect>, NetworkDecision> {
        // Endpoints and groups show whose the network is.
        let tells = [Source::Endpoints, Source::SecurityGroups];
        let unread = tells.into_iter().find_map(|source| observed.unread.of(source));
        if let Some(error) = unread.or_else(|| observed.unread.first().filter(|_| observed.ids().is_empty())) {
            return Err(self.unobserved(error, index, circumstances));
        }
        if refusal_by_aws(&self.key, observed, index).is_some() {
            return Ok(Vec::new());
        }
        let hold = match self.missing {
            Missing::Nothing => return Ok(Vec::new()),
            Missing::Record => None,
            Missing::FinalizerAndRecord => Some(Effect::Hold),
        };
        let before = self.object.status.clone();
        let status = self.object.status.get_or_insert_default();
        status.installation_id = Some(index.settings().installation.to_string());
        status.vpc_id = Some(self.object.spec.vpc_id.clone());
        status.region = Some(self.object.spec.region.clone());
        Ok(hold.into_iter().chain(write_status(before.as_ref(), status)).collect())
    }

    /// The pass over the network.
    pub fn pass(&self, caller: &Caller, retry_refused: bool, settings: &Settings) -> NetworkPass {
        NetworkPass {
            uid: self.object.uid().unwrap_or_default(),
            key: self.key.clone(),
            identity: identity(&self.key, caller, settings),
            caller: caller.clone(),
            retry_refused,
            group_in_use: None,
        }
    }

    /// The decision after the pass. `group_in_use` names the users of a group that AWS refused to delete.
    pub fn decision(
        self,
        pass: &NetworkPass,
        mut converged: Converged<Observed>,
        group_in_use: Option<Leg>,
        index: &Index,
        memory: &mut Memory,
        circumstances: &Circumstances,
    ) -> NetworkDecision {
        let Self { key, object, .. } = &self;
        let now = circumstances.now;
        let new_changes = converged.new_changes();
        let (first, observed) = match converged.observation.clone() {
            Observation::Observed { first, last } => (first, last),
            Observation::Unobserved(error) => return self.unobserved(&error, index, circumstances),
        };
        if !converged.plan.unread.is_empty() && is_abandoned(object, key, index) {
            return Decision::rest(vec![Effect::Delete]);
        }
        if let Some(leg) = group_in_use {
            // The leg explains the failure and has its own pace.
            converged.errors.retain(|error| error.failure != Failure::InUse);
            converged.plan.steps.retain(|step| step.leg != leg.kind);
            converged.plan.legs.retain(|other| other.kind != leg.kind);
            converged.plan.legs.push(leg);
        }
        let (pace, is_clean) = (converged.pace(), converged.is_clean());
        let Converged { plan, .. } = converged;
        let (missed, result) = if plan.unread.is_empty() {
            (MissedObservations::Few, ObservationResult::Complete)
        } else {
            (MissedObservations::after(circumstances.observations.at(pace)), ObservationResult::Missed(pace))
        };
        let mut effects = vec![Effect::CountObservation(result)];
        let desired = wanted(key, &pass.identity, &pass.caller, &observed, index, memory);
        let shown = Plan { legs: plan.legs_to_show(&object.spec.vpc_id, conditions(object), missed), ..plan.clone() };
        let legs = match outcome(object, key, &observed, &shown, index, memory) {
            Outcome::Gone => {
                memory.forget(key);
                // Deleted first: an app that comes now sees that this object goes, and creates another when the object is gone.
                let deleting = object.metadata.deletion_timestamp.is_some();
                effects.extend([
                    Effect::ExcludeVpc(key.clone()),
                    Effect::Settle(SettledParts::default()),
                    Effect::WatchLateWrites(Released::Network(key.clone())),
                    if deleting { Effect::Release } else { Effect::Delete },
                ]);
                return Decision { effects, requeue: Pace::Rest.into() };
            }
            Outcome::Kept(legs) => legs,
        };
        let status = status(
            object.status.as_ref(),
            object.metadata.generation,
            Some(&pass.caller.account),
            // What is recorded of another's network stays: the record shows whose the network is.
            Some(&observed).filter(|_| !is_refused(&plan)),
            &legs,
            now,
        );
        let settled = &circumstances.settled;
        let found = first.as_ref().unwrap_or(&observed).endpoint_subnets();
        let repairs = if desired.as_ref().is_some_and(|desired| settled.is_same(Part::Everything, desired)) {
            // What a network writes to IAM is the end of roles that apps left to it, and no repair. Nor is it one that an endpoint
            // follows its VPC into a zone, where nobody changed the endpoint's own subnets.
            let is_as_it_was = settled.is_same(Part::EndpointSubnets, &found);
            let is_repair = |write: &&Write| write.operation().service == "ec2" && !(is_as_it_was && moves(write));
            repairs(&new_changes.iter().filter(is_repair).cloned().collect::<Vec<_>>(), &BeforeRepair::default())
        } else {
            Vec::new()
        };
        let is_settled = is_clean && plan.legs.iter().all(|leg| leg.state == LegState::Met);
        if let Some(desired) = desired.filter(|_| is_settled) {
            let parts = settled.clone().with(Part::Everything, &desired);
            effects.push(Effect::Settle(parts.with(Part::EndpointSubnets, &observed.endpoint_subnets())));
        }
        effects.extend(report(&object.metadata, object.status.as_ref(), &status, &new_changes, &repairs, now));
        let wait = wait_state(&legs, conditions(object), object.metadata.generation, now);
        Decision { effects, requeue: pace.with(wait).into() }
    }

    /// The decision about a network that could not be observed in AWS. The recorded status holds for three missed observations, then
    /// the status claims nothing.
    pub fn unobserved(&self, error: &AwsError, index: &Index, circumstances: &Circumstances) -> NetworkDecision {
        let (object, pace, now) = (&self.object, Pace::after(error), circumstances.now);
        if is_abandoned(object, &self.key, index) {
            return Decision::rest(vec![Effect::Delete]);
        }
        let mut effects = Vec::new();
        if is_true(conditions(object), ConditionType::Ready) {
            effects.push(Effect::CountObservation(ObservationResult::Missed(pace)));
            if circumstances.observations.at(pace) < 3 {
                return Decision { effects, requeue: pace.into() };
            }
        }
        let kinds = [ConditionType::VpcReady, ConditionType::SecurityGroupsReady, ConditionType::EndpointsReady];
        let mut legs =
            vec![Leg::met(ConditionType::Accepted, format!("This network stands for VPC {}.", object.spec.vpc_id))];
        legs.extend(unobserved(&kinds, &object.spec.vpc_id, error));
        effects.extend(show(object, &legs, now));
        let wait = wait_state(&legs, conditions(object), object.metadata.generation, now);
        Decision { effects, requeue: pace.with(wait).into() }
    }
}

/// Shows these legs beside the recorded facts, which stay: the operator does nothing in AWS for the network, or cannot read AWS.
fn show(object: &PrivateGenAINetwork, legs: &[Leg], now: Timestamp) -> Vec<NetworkEffect> {
    let before = object.status.as_ref();
    let after = status(before, object.metadata.generation, None, None, legs, now);
    report(&object.metadata, before, &after, &[], &[], now)
}

/// Another network is accepted for the VPC: an implicit network is deleted, an explicit one gets a condition.
fn supersede(object: &PrivateGenAINetwork, winner: &str, now: Timestamp) -> Vec<NetworkEffect> {
    if object.metadata.deletion_timestamp.is_some() {
        return vec![Effect::Release];
    }
    if is_implicit(object) {
        return vec![Effect::Delete];
    }
    let message =
        format!("PrivateGenAINetwork {winner} stands for VPC {} already: delete one of the two.", object.spec.vpc_id);
    let legs = [Leg::blocked(ConditionType::Accepted, Reason::VpcConflict, message)];
    let after = status(object.status.as_ref(), object.metadata.generation, None, None, &legs, now);
    write_status(object.status.as_ref(), &after).into_iter().collect()
}

/// The operator created the network for an app that is gone, and created nothing in AWS for the network.
fn is_abandoned(object: &PrivateGenAINetwork, key: &NetworkKey, index: &Index) -> bool {
    let held = is_held(&object.metadata) || object.metadata.deletion_timestamp.is_some();
    is_implicit(object) && !held && ends(key, index)
}

fn conditions(object: &PrivateGenAINetwork) -> &[Condition] {
    object.status.as_ref().map_or(&[][..], |status| &status.conditions)
}

#[cfg(test)]
mod tests;
