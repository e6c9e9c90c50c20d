//! The controller of apps: finds the network, observes AWS, writes, and reports in the status.

use std::{sync::Arc, time::Duration};

use kube::{Api, Resource as _, ResourceExt as _, api::PostParams, runtime::controller::Action};

use super::{
    Desired, NetworkOffer, NetworkView, Probes,
    decide::{AppPass, NetworkBinding, Principal, accepted_leg, identity, is_in_doubt, network_binding},
    observe::subnets_refused,
    probe::{Probe, ProbeReadiness},
    removal::remove,
    report::{Report, observation_attempt},
};
use crate::{
    api::{
        AppName, IMPLICIT_LABEL, ObjectKind, ObjectName, PrivateGenAIApp, PrivateGenAINetwork, PrivateGenAINetworkSpec,
        condition::{ConditionType, Leg, LegState, Reason},
        network::NetworkKey,
    },
    aws::Class,
    engine::{
        Attempt, Context, Converged, Error, Guarded, KubernetesRefusal, Observation, Pace, Part, ReadBy, add_finalizer,
        converge, explain_unreadable, is_held, report_refusal,
    },
    identity::AppIdentity,
    plan::{MissedObservations, Plan},
};

/// Reconciles one app.
///
/// # Errors
/// Errors of the Kubernetes API. Errors of AWS become conditions.
pub async fn reconcile(
    object: Arc<Guarded<PrivateGenAIApp>>,
    ctx: Arc<Context>,
    probes: Arc<Probes>,
) -> Result<Action, Error> {
    let result = Box::pin(reconcile_object(Arc::clone(&object), &ctx, &probes)).await;
    report_refusal(ObjectKind::App, result, &*object, &ctx).await
}

async fn reconcile_object(
    object: Arc<Guarded<PrivateGenAIApp>>,
    ctx: &Context,
    probes: &Probes,
) -> Result<Action, Error> {
    let object = ctx.written_apps.newest(object);
    let namespace = object.namespace().unwrap_or_default();
    let name = ObjectName::App(AppName::of(&*object));
    let api = Api::<PrivateGenAIApp>::namespaced(ctx.client.clone(), &namespace);
    let next = if object.meta().deletion_timestamp.is_some() {
        remove(&api, &object, ctx, probes).await?.into()
    } else {
        match &object.0 {
            Ok(app) => Box::pin(reconcile_present(&api, app, ctx, probes)).await?,
            Err(invalid) => {
                explain_unreadable::<PrivateGenAIApp>(&ctx.client, &invalid.metadata, &invalid.error).await?;
                Pace::Rest.into()
            }
        }
    };
    if next.pace == Pace::Rest {
        ctx.attempts.reset(&Attempt::Reconcile(name));
        return Ok(next.probe.map_or_else(Action::await_change, Action::requeue));
    }
    let seed = name.to_string();
    Ok(next.pace.action(ctx.attempts.count(Attempt::Reconcile(name), next.pace), &seed))
}

/// The time of an app's next reconcile.
struct Requeue {
    pace: Pace,
    /// For the next probe, where nothing else is to do.
    probe: Option<Duration>,
}

impl From<Pace> for Requeue {
    fn from(pace: Pace) -> Self {
        Self { pace, probe: None }
    }
}

/// Reconciles an app that is not being deleted. The app's resources are kept exact, whatever the state of its network.
async fn reconcile_present(
    api: &Api<PrivateGenAIApp>,
    object: &PrivateGenAIApp,
    ctx: &Context,
    probes: &Probes,
) -> Result<Requeue, Error> {
    let mut report = Report::new(api, object, ctx, probes);
    let mut refused_network = false;
    let (app, network, view) = match network_binding(object, &ctx.index()) {
        NetworkBinding::Refused(leg) => {
            report.legs.push(leg);
            report.write().await?;
            return Ok(Pace::Rest.into());
        }
        NetworkBinding::Unbound { app, mut leg, network_to_create } => {
            if let Some(name) = network_to_create
                && let Err(refusal) = create_network(&app.network, &name, ctx).await?
            {
                leg = network_refused(&name, &app.network, &refusal);
                refused_network = true;
            }
            (
                app,
                None,
                NetworkView {
                    legs: vec![leg],
                    endpoints: report.facts.endpoints.clone(),
                    offer: NetworkOffer::Unavailable(None),
                },
            )
        }
        NetworkBinding::Bound { app, network, view } => (app, Some(network), view),
    };
    report.legs.push(accepted_leg(&app));
    if let Some(network) = network {
        report.facts.network = Some(network);
        report.facts.endpoints.clone_from(&view.endpoints);
    }
    let held = is_held(&object.metadata);
    if !held && matches!(view.offer, NetworkOffer::Unavailable(_)) {
        // Nothing was ever made for it, and nothing is to be made now.
        report.legs.extend(view.legs);
        if report.legs.iter().any(|leg| leg.state == LegState::Unknown) {
            report.keep_proof();
        }
        report.write().await?;
        return Ok(if refused_network { Pace::Blocked } else { Pace::Rest }.into());
    }
    let snapshot = ctx.snapshots.region(&app.network.region);
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => {
            let pace = Pace::after(&error);
            report.legs.extend(view.legs);
            return Ok(report.report_unobserved(&error, pace).await?.into());
        }
    };
    let own_subnets = if app.subnets.is_empty() { Ok(None) } else { subnets_refused(&app, &snapshot).await };
    let refused = match own_subnets {
        Ok(None) => None,
        // Of a VPC that the network's controller did not look at yet, nothing is known.
        Ok(Some(_)) if held && !snapshot.includes_vpc(&app.network.vpc) => None,
        // What the app has stays where it is, and is kept exact; that its subnets are not what they were is told.
        Ok(Some(leg)) if held => Some(leg),
        Ok(Some(leg)) => {
            report.legs.push(leg);
            report.write().await?;
            return Ok(Pace::Blocked.into());
        }
        // The network's controller reads the same tables, and says that they cannot be read.
        Err(_) if held => None,
        Err(error) => {
            let pace = Pace::after(&error);
            return Ok(report.report_unobserved(&error, pace).await?.into());
        }
    };
    let suspended = object.spec.suspend.unwrap_or_default();
    if !suspended {
        // Before anything is created, so that nothing created is ever forgotten.
        add_finalizer(api, &object.metadata).await?;
        report.record().await?;
    }
    let identity = identity(object, &app.network, &ctx.settings);
    let desired = Arc::new(Desired::new(&app, identity, &caller, &ctx.settings.governance, &view.offer));
    let recorded = object.status.as_ref().and_then(|status| status.function.as_ref());
    let look = ctx.requests.take_detail(&AppName::from(&desired.identity));
    let closely = look.is_some() || is_in_doubt(object);
    if let Some(by) = ctx.requests.take(&ObjectName::App(AppName::of(object))) {
        retry_on_request(&desired.identity, by, ctx).await;
    }
    let uid = object.uid().unwrap_or_default();
    let mut subject = AppPass {
        uid: uid.clone(),
        desired: Arc::clone(&desired),
        recorded: recorded.cloned(),
        suspended,
        read_detail: closely,
        principal: Principal::of(recorded),
    };
    let pass = converge(&mut subject, &snapshot, ctx).await;
    // What only a closer look shows was not seen: the next attempt takes that look, or its failure would be forgotten.
    let unread = matches!(pass.observation, Observation::Unobserved(_)) || !pass.plan.unread.is_empty();
    if unread
        && pass.errors.iter().any(|error| error.failure.class() == Class::UserMustAct)
        && let Some(look) = look
    {
        ctx.requests.request_detail(AppName::from(&desired.identity), look);
    }
    let network = Network::of(&view.legs);
    // While AWS does not even show the network, that is asked again often enough: its status wakes the app, or the resync.
    let pace = match (network, pass.pace()) {
        (Network::Unseen, Pace::Retry) => Pace::Rest,
        (_, pace) => pace,
    };
    let (new_changes, is_clean) = (pass.new_changes(), pass.is_clean());
    let Converged { observation, plan, .. } = pass;
    let (first, observed) = match observation {
        Observation::Observed { first, last } => (first, last),
        Observation::Unobserved(error) => {
            report.legs.extend(view.legs);
            return Ok(report.report_unobserved(&error, pace).await?.into());
        }
    };
    let missed = if plan.unread.is_empty() {
        ctx.attempts.reset(&observation_attempt(object));
        MissedObservations::Few
    } else {
        MissedObservations::after(ctx.attempts.count(observation_attempt(object), pace))
    };
    if suspended && (observed.role.is_some() || observed.listing.is_some()) {
        // What is there goes with the object when that is deleted.
        add_finalizer(api, &object.metadata).await?;
        report.record().await?;
    }
    let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let shown = plan.legs_to_show(&object.name_any(), conditions, missed);
    if shown.iter().any(|leg| leg.kind == ConditionType::Accepted) {
        report.legs.retain(|leg| leg.kind != ConditionType::Accepted);
    }
    let is_refused = |leg: &Leg| refused.as_ref().is_some_and(|refused| refused.kind == leg.kind);
    report.legs.extend(view.legs.into_iter().filter(|leg| !is_refused(leg)));
    report.legs.extend(refused.iter().cloned());
    report.legs.extend(shown);
    report.facts.observe(&desired.identity, &observed, recorded);
    report.new_changes = new_changes;
    report.found = first.as_ref().unwrap_or(&observed).found();
    report.was_settled = ctx.settled.is_same(&uid, Part::Everything, &desired.lasting());
    if is_clean && report.legs.iter().all(|leg| leg.state == LegState::Met) {
        ctx.settled.record(&uid, Part::Everything, &desired.lasting());
    }
    // The network's status does not tell that its groups carry the mark again: the app asks.
    let waits = plan.legs.iter().any(|leg| leg.reason == Reason::WaitingForNetwork);
    let pace = if waits && network == Network::Ready && pace == Pace::Rest { Pace::Wait } else { pace };
    // What the app's own subnets lack, AWS shows at the next resync; what Kubernetes refuses, it may take then.
    let pace = if (refused.is_some() || refused_network) && pace == Pace::Rest { Pace::Blocked } else { pace };
    let subject = report.subject(&app.network.region);
    let readiness = if suspended {
        ProbeReadiness::Suspended
    } else if !plan.unread.is_empty() {
        ProbeReadiness::Unseen
    } else {
        probe_readiness(network, &report.legs, &plan, !is_clean)
    };
    let probe = Probe {
        ctx,
        probes,
        snapshot: &snapshot,
        region: &app.network.region,
        uid: &uid,
        function: &desired.identity.function_name(),
        interval: app.probe_interval,
        before: object.status.as_ref(),
    };
    let (leg, probe) = probe.leg(subject, readiness, look).await;
    report.legs.push(leg);
    let pace = report.paced(pace);
    report.write().await?;
    Ok(Requeue { pace, probe })
}

/// How the network of an app stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// The path through it is there.
    Ready,
    /// It is not.
    Amiss,
    /// It could not be looked at.
    Unseen,
}

impl Network {
    /// As its legs say.
    fn of(legs: &[Leg]) -> Self {
        let stands = |standing: LegState| legs.iter().any(|leg| leg.state == standing);
        if stands(LegState::Progressing) || stands(LegState::Blocked) {
            Self::Amiss
        } else if stands(LegState::Unknown) {
            Self::Unseen
        } else {
            Self::Ready
        }
    }
}

/// How far the path is that a probe would go.
fn probe_readiness(network: Network, legs: &[Leg], plan: &Plan, failed: bool) -> ProbeReadiness {
    match network {
        Network::Amiss => return ProbeReadiness::Building,
        Network::Unseen => return ProbeReadiness::Unseen,
        Network::Ready => {}
    }
    let function = legs.iter().find(|leg| leg.kind == ConditionType::FunctionReady);
    match function {
        Some(leg) if leg.reason == Reason::FunctionInactive && !failed => ProbeReadiness::Asleep,
        Some(leg) if leg.state == LegState::Met => {
            let all = !failed && plan.steps.is_empty() && legs.iter().all(|leg| leg.state == LegState::Met);
            if all { ProbeReadiness::Built } else { ProbeReadiness::Amiss }
        }
        Some(_) | None if legs.iter().any(|leg| leg.state == LegState::Unknown) => ProbeReadiness::Unseen,
        Some(_) | None => ProbeReadiness::Building,
    }
}

/// Serves a user's request to read an app: refused writes may be made again, and the app's rows are read anew unless the
/// tables are.
pub(super) async fn retry_on_request(identity: &AppIdentity, by: ReadBy, ctx: &Context) {
    // The log group and the ARNs have the name of the function in theirs, which is the role's.
    ctx.refusals.forget_about(&[identity.function_name().to_string()]);
    match by {
        ReadBy::Rows => ctx.snapshots.region(&identity.region).reread_app(identity).await,
        ReadBy::Tables => {}
    }
}

/// Creates the implicit network of a VPC; the inner `Err` is a lasting refusal of the Kubernetes API.
async fn create_network(key: &NetworkKey, name: &str, ctx: &Context) -> Result<Result<(), KubernetesRefusal>, Error> {
    let mut network = PrivateGenAINetwork::new(name, PrivateGenAINetworkSpec::of(key));
    network.labels_mut().insert(IMPLICIT_LABEL.to_owned(), "true".to_owned());
    match Api::all(ctx.client.clone()).create(&PostParams::default(), &network).await {
        Ok(_) => Ok(Ok(())),
        // Another app was quicker, or the watch is behind: the network's own event goes on from here.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Ok(())),
        Err(error) => {
            let error = Error::Create { object: format!("PrivateGenAINetwork {name}"), cause: error };
            KubernetesRefusal::of(&error).map(Err).ok_or(error)
        }
    }
}

/// The condition of an app whose network the Kubernetes API does not let the operator create.
fn network_refused(name: &str, key: &NetworkKey, refused: &KubernetesRefusal) -> Leg {
    let message = format!(
        "The Kubernetes API does not let the operator create PrivateGenAINetwork {name} for VPC {}: {refused} {} Or create a \
         PrivateGenAINetwork for the VPC yourself.",
        key.vpc,
        KubernetesRefusal::REMEDY
    );
    Leg::blocked(ConditionType::NetworkReady, Reason::KubernetesRefused, message)
}
