//! The stages of one reconcile of an app that is being deleted. Pure: the controller reads between two stages and carries out
//! their effects, and the model checker does the same in its own world.
//!
//! ```text
//! begin ─► in_places ─► (next ─► pass ─► ended), for each place ─► decision
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use k8s_openapi::jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _, api::DynamicObject};

use super::{
    super::{AppDeletion, Observed, decide::not_ours, status::Report},
    decide::{DeletionPass, is_young_and_unseen, places, too_young},
};
use crate::{
    api::{
        DeletionPolicy, PrivateGenAIApp, PrivateGenAIAppStatus, RecordedOwner,
        condition::{ConditionType, Leg, LegState, Reason},
    },
    aws::{AwsError, Caller, Role, RoleName},
    engine::{Converged, Decision, Effect, Guarded, Observation, Pace, Released, Settings, SettledParts, is_held},
    identity::AppIdentity,
    plan::explain_failure,
};

type AppDecision = Decision<PrivateGenAIAppStatus>;

/// An app that is being deleted, and what is known of its end so far.
#[derive(Clone, Debug, Hash)]
pub struct Removal {
    /// The facts in the object.
    pub deletion: AppDeletion,
    /// The report; `None` for an object that cannot be decoded.
    report: Option<Report>,
    caller: Option<Caller>,
    /// The places whose passes are still to be made.
    remaining: VecDeque<AppIdentity>,
    /// The places that concern the object.
    places: BTreeSet<AppIdentity>,
    legs: Vec<Leg>,
    pace: Pace,
}

impl Removal {
    /// Reads the facts in the object. `stored` is the object as JSON, which is read only where the object cannot be decoded; `None` if
    /// the object is gone.
    ///
    /// # Errors
    /// The decision about an object that is not held, is gone, or belongs to another installation.
    pub fn begin(
        object: &Guarded<PrivateGenAIApp>,
        stored: Option<&DynamicObject>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Self, AppDecision> {
        if !is_held(object.meta()) {
            return Err(Decision::rest(Vec::new()));
        }
        let Settings { region: home, installation: ours, .. } = settings;
        let (deletion, not_ours, report) = match (&object.0, stored) {
            (Ok(app), _) => (AppDeletion::of(app, home), not_ours(app, settings), Some(Report::new(app))),
            (Err(_), None) => return Err(Decision::rest(Vec::new())),
            (Err(_), Some(stored)) => {
                let (namespace, name) = (stored.namespace().unwrap_or_default(), stored.name_any());
                let recorded = RecordedOwner::of_raw(&stored.data, Some(&namespace), &name, Some(home), ours);
                let leg = recorded.leg(&format!("PrivateGenAIApp {namespace}/{name}"), ours);
                (AppDeletion::of_raw(&stored.data, home), leg, None)
            }
        };
        let removal = Self {
            deletion,
            report,
            caller: None,
            remaining: VecDeque::new(),
            places: BTreeSet::new(),
            legs: Vec::new(),
            pace: Pace::Rest,
        };
        match not_ours {
            None => Ok(removal),
            // Nothing is looked for, and nothing is released.
            Some(leg) => Err(Decision::rest(removal.show(object, vec![leg], now))),
        }
    }

    /// AWS did not identify the caller. In another account the resources would be absent, and still exist in theirs.
    pub fn not_identified(&mut self, object: &Guarded<PrivateGenAIApp>, error: &AwsError) {
        self.fails(explain_failure(ConditionType::FunctionReady, &object.name_any(), error), error);
    }

    /// Finds the places of the app's resources. Roles that cannot be read may show further places: the resources in the known places
    /// go, and the object stays.
    pub fn in_places(
        &mut self,
        object: &Guarded<PrivateGenAIApp>,
        caller: &Caller,
        roles: Result<&BTreeMap<RoleName, Role>, &AwsError>,
        settings: &Settings,
    ) {
        self.caller = Some(caller.clone());
        let none = BTreeMap::new();
        if let Err(error) = roles {
            self.fails(explain_failure(ConditionType::ExecutionRoleReady, &object.name_any(), error), error);
        }
        self.places = places(object, &self.deletion, roles.unwrap_or(&none), settings);
        self.remaining = self.places.iter().cloned().collect();
    }

    fn fails(&mut self, leg: Leg, error: &AwsError) {
        self.legs.push(leg);
        self.pace = Pace::after(error);
    }

    /// The places of the app's resources.
    pub fn places(&self) -> &BTreeSet<AppIdentity> {
        &self.places
    }

    /// The pass over the next place.
    pub fn next(&mut self, settings: &Settings) -> Option<DeletionPass> {
        let caller = self.caller.as_ref()?;
        let place = self.remaining.pop_front()?;
        Some(DeletionPass::new(&place, &self.deletion, caller, settings))
    }

    /// Takes in the end of the pass over a place.
    pub fn ended(&mut self, pass: DeletionPass, converged: &Converged<Observed>) {
        let identity = pass.identity().clone();
        let is_about = self.deletion.is_about(&identity);
        self.pace = Pace::soonest([self.pace, converged.pace()]);
        if let Some(report) = &mut self.report {
            report.new_changes.extend(converged.new_changes());
            let given = pass.given_role_id().filter(|_| is_about);
            if let Some(function) = report.facts.function.as_mut().filter(|_| given.is_some()) {
                function.execution_role_id = given;
            }
        }
        let plan = &converged.plan;
        // Resources of the same name on another network may belong to another cluster, and then do not concern this object.
        let is_another_s = plan.legs.iter().any(|leg| leg.reason == Reason::InstallationInUse);
        if is_another_s && self.deletion.network.is_some() && !is_about {
            self.places.remove(&identity);
            return;
        }
        let name = identity.function_name();
        for (kind, error) in &plan.unread {
            let is_shown = |leg: &Leg| leg.kind == *kind && leg.state == LegState::Blocked;
            if !plan.legs.iter().any(is_shown) {
                self.legs.push(explain_failure(*kind, name.as_str(), error));
            }
        }
        let is_unread = |leg: &&Leg| leg.state != LegState::Blocked && plan.unread.contains_key(&leg.kind);
        self.legs.extend(plan.legs.iter().filter(|leg| !is_unread(leg)).cloned());
        if let Observation::Unobserved(error) = &converged.observation {
            self.legs.push(explain_failure(ConditionType::FunctionReady, name.as_str(), error));
        }
    }

    /// The decision after all places: the object is released where nothing is left, and shows what is left otherwise.
    pub fn decision(mut self, object: &Guarded<PrivateGenAIApp>, now: Timestamp) -> AppDecision {
        if self.legs.is_empty() && is_young_and_unseen(object, now.as_second()) {
            self.legs.push(too_young());
            self.pace = Pace::Wait;
        }
        if !self.legs.is_empty() {
            let legs = one_of_each_kind(std::mem::take(&mut self.legs));
            let before = object.0.as_ref().ok();
            let pace = match (&mut self.report, before) {
                (Some(report), Some(app)) => {
                    report.legs.clone_from(&legs);
                    report.paced(app, self.pace, now)
                }
                _ => self.pace,
            };
            return Decision { effects: self.show(object, legs, now), requeue: pace.into() };
        }
        // The watch begins first: the object may be gone although the API server's answer is lost.
        let watch = |place| match self.deletion.policy {
            DeletionPolicy::Delete => Effect::WatchLateWrites(Released::App(place)),
            DeletionPolicy::Retain => Effect::IgnoreLateWrites(Released::App(place)),
        };
        let watched = self.places.into_iter().map(watch);
        Decision::rest(watched.chain([Effect::Settle(SettledParts::default()), Effect::Release]).collect())
    }

    fn show(
        self,
        object: &Guarded<PrivateGenAIApp>,
        mut legs: Vec<Leg>,
        now: Timestamp,
    ) -> Vec<Effect<PrivateGenAIAppStatus>> {
        let shown = if let (Some(mut report), Ok(app)) = (self.report, &object.0) {
            report.legs = legs;
            report.effects(app, now)
        } else {
            if legs.iter().all(|leg| leg.kind != ConditionType::Accepted) {
                legs.insert(0, deleted_unread(self.deletion.policy));
            }
            vec![Effect::ShowConditions(legs)]
        };
        [Effect::Settle(SettledParts::default())].into_iter().chain(shown).collect()
    }
}

/// The condition of an app that is being deleted and cannot be decoded.
fn deleted_unread(policy: DeletionPolicy) -> Leg {
    let what = match policy {
        DeletionPolicy::Delete => "its function, role and log group in AWS are deleted",
        DeletionPolicy::Retain => "its function, role and log group in AWS stay, as spec.deletionPolicy says",
    };
    let message = format!(
        "The object is being deleted, and this version of the operator cannot read all of it: by its namespace, name and VPC, {what}."
    );
    Leg::progressing(ConditionType::Accepted, Reason::Deleting, message)
}

/// Keeps one leg of each kind for an app with several places: blocked before progressing.
fn one_of_each_kind(legs: Vec<Leg>) -> Vec<Leg> {
    let mut by_kind: BTreeMap<ConditionType, Leg> = BTreeMap::new();
    for leg in legs {
        match by_kind.entry(leg.kind) {
            Entry::Vacant(entry) => drop(entry.insert(leg)),
            Entry::Occupied(mut entry) if entry.get().state < leg.state => drop(entry.insert(leg)),
            Entry::Occupied(_) => {}
        }
    }
    by_kind.into_values().collect()
}

#[cfg(test)]
mod tests;
