//! The stages of one reconcile of an app that is not being deleted. Pure: the controller reads between two stages and carries out
//! their effects, and the model checker does the same in its own world.
//!
//! ```text
//! begin ─► with_network ─► prepare ─► (pass) ─► conclude ─► (probe) ─► decision
//! ```
//!
//! Each stage may end the reconcile with a [`Decision`].

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    Desired, NetworkOffer, NetworkView, Observed, ProbeSubject,
    decide::{AppPass, Principal, accepted_leg, identity, is_in_doubt, not_ours},
    network_view::{name_conflict, network_refused, not_allowed, unreadable, waiting},
    status::Report,
};
use crate::{
    api::{
        AppName, PrivateGenAIApp, PrivateGenAIAppStatus,
        app::{App, AppNetworkStatus},
        condition::{ConditionType, Leg, LegState, Reason},
    },
    aws::{AwsError, Caller, Class},
    engine::{
        Circumstances, Converged, Decision, DetailRead, Effect, KubernetesRefusal, Observation, ObservationResult,
        Pace, Part, Requeue, Settings, drift::repairs, is_held,
    },
    index::{Admission, Index, implicit_name},
    plan::{MissedObservations, Plan},
};

type AppEffect = Effect<PrivateGenAIAppStatus>;
type AppDecision = Decision<PrivateGenAIAppStatus>;

/// An app and its network, by the objects in the cluster.
#[derive(Clone, Debug, Hash)]
pub struct AppReconcile {
    /// The app.
    pub app: App,
    view: NetworkView,
    report: Report,
    /// Why the app's own subnets cannot be used, where the app's resources are kept exact nevertheless.
    subnets_refused: Option<Leg>,
    /// The Kubernetes API does not let the operator create the network: the app tries again although nothing changes.
    network_refused: Option<KubernetesRefusal>,
}

/// The end of a pass, before the probe.
#[derive(Clone, Debug)]
pub struct Concluded {
    /// What a probe would be about, by what will be in the status.
    pub subject: Option<ProbeSubject>,
    /// How far the path is that a probe would go.
    pub readiness: ProbeReadiness,
    report: Report,
    effects: Vec<AppEffect>,
    pace: Pace,
}

/// Whether the rest of the path is ready for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeReadiness {
    /// The app is suspended: its function is neither woken nor probed, and a proof of the same subject holds.
    Suspended,
    /// The network cannot be observed: a proof holds.
    Unseen,
    /// The network or the function is not ready: the path must be proven anew afterwards.
    Building,
    /// The function sleeps: an invocation wakes it.
    Asleep,
    /// The function is ready, and another part of the app is not.
    Amiss,
    /// All of the path is ready.
    Built,
}

impl AppReconcile {
    /// Finds the network of the app. Where no network is accepted for the VPC, the effect creates one.
    ///
    /// # Errors
    /// The decision about an app for which the operator does nothing.
    pub fn begin(
        object: &PrivateGenAIApp,
        index: &Index,
        now: Timestamp,
    ) -> Result<(Vec<AppEffect>, Self), AppDecision> {
        let settings = index.settings();
        let mut report = Report::new(object);
        let admitted = match not_ours(object, settings) {
            Some(leg) => Err(leg),
            None => match Admission::of(object, settings) {
                Admission::Accepted(app) => Ok(app),
                Admission::Refused(_, refusal) => Err(not_allowed(&refusal)),
                Admission::Unreadable(problem) => {
                    Err(Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, format!("{problem}.")))
                }
            },
        };
        let app = match admitted {
            Ok(app) => app,
            Err(leg) => {
                report.legs.push(leg);
                return Err(Decision::rest(report.effects(object, now)));
            }
        };
        report.legs.push(accepted_leg(&app));
        let (view, effects) = if let Some(network) = index.accepted(&app.network) {
            let view = NetworkView::new(network, &app, &settings.installation);
            report.facts.network = Some(AppNetworkStatus {
                name: network.name_any(),
                vpc_id: app.network.vpc.to_string(),
                region: app.network.region.to_string(),
            });
            report.facts.endpoints.clone_from(&view.endpoints);
            (view, Vec::new())
        } else {
            let (name, key) = (implicit_name(&app.network), app.network.clone());
            let (leg, effects) = match index.network(&name).map(|network| network.decoded().is_some()) {
                Some(true) => (name_conflict(&name, &key), Vec::new()),
                Some(false) => (unreadable(&name), Vec::new()),
                None => (
                    waiting(format!("PrivateGenAINetwork {name} is being created.")),
                    vec![Effect::CreateNetwork { name, key }],
                ),
            };
            (NetworkView::missing(leg), effects)
        };
        Ok((effects, Self { app, view, report, subnets_refused: None, network_refused: None }))
    }

    /// Goes on with the network. `refusal` is the answer of the Kubernetes API where the operator was to create one.
    ///
    /// # Errors
    /// The decision about an app that has nothing in AWS and cannot get anything there now.
    pub fn with_network(
        mut self,
        object: &PrivateGenAIApp,
        refusal: Option<KubernetesRefusal>,
        now: Timestamp,
    ) -> Result<Self, AppDecision> {
        if let Some(refusal) = &refusal {
            self.view = NetworkView::missing(network_refused(&self.app.network, refusal));
        }
        self.network_refused = refusal;
        if is_held(&object.metadata) || !matches!(self.view.offer, NetworkOffer::Unavailable(_)) {
            return Ok(self);
        }
        let pace = if self.network_refused.is_some() { Pace::Blocked } else { Pace::Rest };
        let mut report = self.report;
        report.legs.extend(self.view.legs);
        if report.legs.iter().any(|leg| leg.state == LegState::Unknown) {
            report.keep_proof(object);
        }
        Err(Decision { effects: report.effects(object, now), requeue: pace.into() })
    }

    /// Prepares the pass: holds the object and records the installation before anything is created, so that nothing created is ever
    /// forgotten, and decides the desired state. Returns the effects and the pass that follows them. `subnets` is the reason why the app's own subnets cannot be used.
    ///
    /// # Errors
    /// The decision about an app for which AWS could not be read, or whose own subnets cannot be used.
    pub fn prepare(
        mut self,
        object: &PrivateGenAIApp,
        caller: Result<&Caller, &AwsError>,
        subnets: Result<Option<Leg>, AwsError>,
        settings: &Settings,
        circumstances: &Circumstances,
    ) -> Result<(Vec<AppEffect>, Self, AppPass), AppDecision> {
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => {
                self.report.legs.extend(self.view.legs);
                return Err(self.report.unobserved(object, error, Pace::after(error), circumstances));
            }
        };
        let is_held = is_held(&object.metadata);
        match subnets {
            Ok(None) => {}
            // What the app has stays where it is, and is kept exact. The condition says that the subnets are not what they were.
            Ok(Some(leg)) if is_held => self.subnets_refused = Some(leg),
            Ok(Some(leg)) => {
                self.report.legs.push(leg);
                let effects = self.report.effects(object, circumstances.now);
                return Err(Decision { effects, requeue: Pace::Blocked.into() });
            }
            // The network's controller reads the same tables, and reports that they cannot be read.
            Err(_) if is_held => {}
            Err(error) => return Err(self.report.unobserved(object, &error, Pace::after(&error), circumstances)),
        }
        let suspended = object.spec.suspend.unwrap_or_default();
        let effects = if suspended { Vec::new() } else { self.report.hold(object, settings) };
        let identity = identity(object, &self.app.network, settings);
        let desired = Desired::new(&self.app, identity, caller, settings, &self.view.offer);
        let recorded = object.status.as_ref().and_then(|status| status.function.as_ref());
        let pass = AppPass {
            uid: object.uid().unwrap_or_default(),
            desired: Arc::new(desired),
            principal: Principal::of(recorded),
            recorded: recorded.cloned(),
            suspended,
            read_detail: is_in_doubt(object),
        };
        Ok((effects, self, pass))
    }

    /// Takes in the end of the pass. A probe follows, where the path is ready for one.
    ///
    /// # Errors
    /// The decision about an app that could not be observed in AWS.
    pub fn conclude(
        self,
        object: &PrivateGenAIApp,
        pass: &AppPass,
        converged: Converged<Observed>,
        detail: Option<DetailRead>,
        settings: &Settings,
        circumstances: &Circumstances,
    ) -> Result<Concluded, AppDecision> {
        let Self { app, view, mut report, subnets_refused, network_refused } = self;
        let desired = &pass.desired;
        let mut effects = Vec::new();
        // A detail that was not read is read by the next pass, or its failure would be forgotten.
        let is_unread =
            matches!(converged.observation, Observation::Unobserved(_)) || !converged.plan.unread.is_empty();
        if is_unread
            && converged.errors.iter().any(|error| error.failure.class() == Class::UserMustAct)
            && let Some(detail) = detail
        {
            effects.push(Effect::RequestDetail(AppName::of(object), detail));
        }
        let network = NetworkState::of(&view.legs);
        // While AWS does not show the network either, the change of its status wakes the app, or the resync.
        let pace = match (network, converged.pace()) {
            (NetworkState::Unseen, Pace::Retry) => Pace::Rest,
            (_, pace) => pace,
        };
        let (new_changes, is_clean) = (converged.new_changes(), converged.is_clean());
        let Converged { observation, plan, .. } = converged;
        let (first, observed) = match observation {
            Observation::Observed { first, last } => (first, last),
            Observation::Unobserved(error) => {
                report.legs.extend(view.legs);
                let mut decision = report.unobserved(object, &error, pace, circumstances);
                decision.effects.splice(0..0, effects);
                return Err(decision);
            }
        };
        let missed = MissedObservations::after(circumstances.observations.at(pace));
        let (missed, result) = if plan.unread.is_empty() {
            (MissedObservations::Few, ObservationResult::Complete)
        } else {
            (missed, ObservationResult::Missed(pace))
        };
        effects.push(Effect::CountObservation(result));
        if pass.suspended && (observed.role.is_some() || observed.listing.is_some()) {
            // The resources go with the object when the object is deleted.
            effects.extend(report.hold(object, settings));
        }
        let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let shown = plan.legs_to_show(&object.name_any(), conditions, missed);
        if shown.iter().any(|leg| leg.kind == ConditionType::Accepted) {
            report.legs.retain(|leg| leg.kind != ConditionType::Accepted);
        }
        let is_replaced = |leg: &Leg| subnets_refused.as_ref().is_some_and(|refused| refused.kind == leg.kind);
        report.legs.extend(view.legs.into_iter().filter(|leg| !is_replaced(leg)));
        report.legs.extend(subnets_refused.iter().cloned());
        report.legs.extend(shown);
        report.facts.observe(&desired.identity, &observed, pass.recorded.as_ref());
        if circumstances.settled.is_same(Part::Everything, &desired.lasting()) {
            report.repairs = repairs(&new_changes, &first.as_ref().unwrap_or(&observed).found());
        }
        report.new_changes = new_changes;
        if is_clean && report.legs.iter().all(|leg| leg.state == LegState::Met) {
            effects.push(Effect::Settle(circumstances.settled.clone().with(Part::Everything, &desired.lasting())));
        }
        // The network's status does not show that its groups carry the mark again: the app asks.
        let waits = plan.legs.iter().any(|leg| leg.reason == Reason::WaitingForNetwork);
        let pace = if waits && network == NetworkState::Ready && pace == Pace::Rest { Pace::Wait } else { pace };
        // What the app's own subnets lack, AWS shows at the next resync. What Kubernetes refuses, the API may accept then.
        let has_refusal = subnets_refused.is_some() || network_refused.is_some();
        let pace = if has_refusal && pace == Pace::Rest { Pace::Blocked } else { pace };
        let readiness = if pass.suspended {
            ProbeReadiness::Suspended
        } else if !plan.unread.is_empty() {
            ProbeReadiness::Unseen
        } else {
            probe_readiness(network, &report.legs, &plan, is_clean)
        };
        let subject = report.facts.function.as_ref();
        let subject =
            subject.and_then(|function| ProbeSubject::new(&app.network.region, &report.facts.endpoints, function));
        Ok(Concluded { subject, readiness, report, effects, pace })
    }
}

impl Concluded {
    /// The last decision, with the leg of the probe and the time until the next probe.
    pub fn decision(
        self,
        object: &PrivateGenAIApp,
        (leg, probe): (Leg, Option<Duration>),
        now: Timestamp,
    ) -> AppDecision {
        let Self { mut report, mut effects, pace, .. } = self;
        report.legs.push(leg);
        let pace = report.paced(object, pace, now);
        effects.extend(report.effects(object, now));
        Decision { effects, requeue: Requeue { pace, probe } }
    }
}

/// The network of an app, by its legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetworkState {
    /// The path through the network exists.
    Ready,
    /// The path does not exist.
    Amiss,
    /// AWS could not be read.
    Unseen,
}

impl NetworkState {
    fn of(legs: &[Leg]) -> Self {
        let has = |state: LegState| legs.iter().any(|leg| leg.state == state);
        if has(LegState::Progressing) || has(LegState::Blocked) {
            Self::Amiss
        } else if has(LegState::Unknown) {
            Self::Unseen
        } else {
            Self::Ready
        }
    }
}

fn probe_readiness(network: NetworkState, legs: &[Leg], plan: &Plan, is_clean: bool) -> ProbeReadiness {
    match network {
        NetworkState::Amiss => return ProbeReadiness::Building,
        NetworkState::Unseen => return ProbeReadiness::Unseen,
        NetworkState::Ready => {}
    }
    let function = legs.iter().find(|leg| leg.kind == ConditionType::FunctionReady);
    match function {
        Some(leg) if leg.reason == Reason::FunctionInactive && is_clean => ProbeReadiness::Asleep,
        Some(leg) if leg.state == LegState::Met => {
            let is_built = is_clean && plan.steps.is_empty() && legs.iter().all(|leg| leg.state == LegState::Met);
            if is_built { ProbeReadiness::Built } else { ProbeReadiness::Amiss }
        }
        Some(_) | None if legs.iter().any(|leg| leg.state == LegState::Unknown) => ProbeReadiness::Unseen,
        Some(_) | None => ProbeReadiness::Building,
    }
}

#[cfg(test)]
mod tests;
