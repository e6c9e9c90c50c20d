//! Keeps the apps true: finds the network, looks at AWS, acts, and tells in the status.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc, time::Duration};

use kube::{Api, Resource as _, ResourceExt as _, api::PostParams, runtime::controller::Action};

use super::{
    Desired, LogGroupFacts, Observed,
    decide::{Footing, Principal, accepted_leg, begins, decide, footing, identity, is_in_doubt, learn},
    observed::needs_detail,
    probing::{Probe, Stage},
    removal::remove,
    report::{Report, looks},
};
use crate::{
    api::{
        IMPLICIT_LABEL, PrivateGenAIApp, PrivateGenAINetwork, PrivateGenAINetworkSpec,
        app::{App, FunctionStatus},
        condition::{ConditionType, Leg, Reason, Standing},
        network::NetworkKey,
    },
    aws::{AwsError, Class, MaxAge, Snapshot},
    controller::{
        Context, Converged, Error, Freshness, Guarded, Pace, Settings, add_finalizer, context::key, converge,
        explain_unreadable, is_held,
    },
    identity::{AppIdentity, missing_tags},
    network::{Claim, Service, check_subnets},
    plan::Plan,
};

/// One look at one app, and what follows from it.
///
/// # Errors
/// The Kubernetes API's. AWS's become conditions.
pub async fn reconcile(object: Arc<Guarded<PrivateGenAIApp>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let object = ctx.latest_apps.newest(object);
    let namespace = object.namespace().unwrap_or_default();
    let name = key("app", &*object);
    let api = Api::<PrivateGenAIApp>::namespaced(ctx.client.clone(), &namespace);
    let next = if object.meta().deletion_timestamp.is_some() {
        remove(&api, &object, &ctx).await?.into()
    } else {
        match &object.0 {
            Ok(app) => keep(&api, app, &ctx).await?,
            Err(invalid) => {
                explain_unreadable::<PrivateGenAIApp>(&ctx.client, &invalid.metadata, &invalid.error).await?;
                Pace::Rest.into()
            }
        }
    };
    if next.pace == Pace::Rest {
        ctx.rest(&name);
        return Ok(next.probe.map_or_else(Action::await_change, Action::requeue));
    }
    Ok(next.pace.action(ctx.attempt(&name, next.pace), &name))
}

/// When to come back to an app.
struct Next {
    pace: Pace,
    /// For the next probe, where nothing else is to do.
    probe: Option<Duration>,
}

impl From<Pace> for Next {
    fn from(pace: Pace) -> Self {
        Self { pace, probe: None }
    }
}

/// Looks, acts and tells for an app that should be there.
async fn keep(api: &Api<PrivateGenAIApp>, object: &PrivateGenAIApp, ctx: &Context) -> Result<Next, Error> {
    let mut report = Report::new(api, object, ctx);
    let (app, network, view) = match footing(object, &ctx.cluster()) {
        Footing::Refused(leg) => {
            report.legs.push(leg);
            report.write().await?;
            return Ok(Pace::Rest.into());
        }
        Footing::WithoutNetwork { app, leg, bring } => {
            if let Some(name) = bring {
                create_network(&app.network, &name, ctx).await?;
            }
            report.legs.push(accepted_leg(&app));
            report.legs.push(leg);
            report.write().await?;
            return Ok(Pace::Rest.into());
        }
        Footing::OnNetwork { app, network, view } => (app, network, view),
    };
    report.legs.push(accepted_leg(&app));
    report.facts.network = Some(network);
    report.facts.endpoints.clone_from(&view.endpoints);
    if !view.vpc_is_ready {
        report.legs.extend(view.legs);
        if report.legs.iter().any(|leg| leg.standing == Standing::Unknown) {
            report.keep_proof();
        }
        report.write().await?;
        return Ok(Pace::Rest.into());
    }
    let held = is_held(&object.metadata);
    let snapshot = ctx.snapshots.region(&app.network.region);
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return report.unseen(&error).await.map(Next::from),
    };
    let own_subnets = if app.subnets.is_empty() { Ok(None) } else { subnets_refused(&app, &snapshot).await };
    let refused = match own_subnets {
        Ok(None) => None,
        // What the app has stays where it is, and is kept exact; that its subnets are not what they were is told.
        Ok(Some(leg)) if held => Some(leg),
        Ok(Some(leg)) => {
            report.legs.push(leg);
            report.write().await?;
            return Ok(Pace::Blocked.into());
        }
        // The network looks at the same tables, and says that they cannot be read.
        Err(_) if held => None,
        Err(error) => return report.unseen(&error).await.map(Next::from),
    };
    let suspended = object.spec.suspend.unwrap_or_default();
    if !suspended {
        // Before anything is created, so that nothing created is ever forgotten.
        add_finalizer(api, &object.metadata).await?;
        report.record().await?;
    }
    let identity = identity(object, &app.network, &ctx.settings);
    let desired = Desired::new(&app, identity, &caller, &ctx.settings.governance, view.path.as_ref());
    let recorded = object.status.as_ref().and_then(|status| status.function.as_ref());
    let look = ctx.takes_closer_look(&desired.identity.app());
    let closely = look.is_some() || is_in_doubt(object);
    let principal = RefCell::new(Principal::of(recorded));
    begins(&desired, &mut ctx.memory());
    let Converged { observed, plan, error, done } = converge(
        &snapshot,
        ctx,
        async |fresh| {
            let given = principal.borrow().given.clone();
            observe(&snapshot, &desired, recorded, given, closely, fresh, &ctx.settings).await
        },
        |observed| decide(&desired, observed, suspended, &mut principal.borrow_mut(), &mut ctx.memory()),
        |write, result| {
            learn(&desired.identity, write, result.as_ref(), &mut principal.borrow_mut(), &mut ctx.memory());
            false
        },
    )
    .await;
    let Some(observed) = observed else {
        // What only a closer look shows was not seen: the next attempt takes that look, or its failure would be forgotten.
        let must_act = error.as_ref().is_some_and(|error| error.failure.class() == Class::UserMustAct);
        if let Some(look) = look.filter(|_| must_act) {
            ctx.look_closely(desired.identity.app(), look);
        }
        let error = error.unwrap_or_else(|| unreachable!("a pass without observation ends with an error"));
        return report.unseen(&error).await.map(Next::from);
    };
    ctx.rest(&looks(object));
    if suspended && (observed.role.is_some() || observed.listing.is_some()) {
        // What is there goes with the object when that is deleted.
        add_finalizer(api, &object.metadata).await?;
        report.record().await?;
    }
    if plan.legs.iter().any(|leg| leg.kind == ConditionType::Accepted) {
        report.legs.retain(|leg| leg.kind != ConditionType::Accepted);
    }
    let is_told = |leg: &Leg| refused.as_ref().is_some_and(|refused| refused.kind == leg.kind);
    report.legs.extend(view.legs.into_iter().filter(|leg| !is_told(leg)));
    report.legs.extend(refused.iter().cloned());
    report.legs.extend(plan.legs.iter().cloned());
    report.facts.observe(&desired.identity, &observed, recorded);
    report.done = done;
    let uid = object.uid().unwrap_or_default();
    report.was_settled = ctx.settled(&uid, &desired);
    if error.is_none() && plan.steps.is_empty() && report.legs.iter().all(|leg| leg.standing == Standing::Met) {
        ctx.settle(&uid, &desired);
    }
    let pace = match (&error, &refused) {
        (Some(error), _) => Pace::after(error),
        (None, Some(_)) if Pace::of(&plan) == Pace::Rest => Pace::Blocked,
        (None, _) => Pace::of(&plan),
    };
    let subject = report.subject(&app.network.region);
    let stage = if suspended { Stage::Suspended } else { stage(&report.legs, &plan, error.is_some()) };
    let probe = Probe {
        ctx,
        snapshot: &snapshot,
        region: &app.network.region,
        uid: &uid,
        function: &desired.identity.function_name(),
        interval: app.probe_interval,
        before: object.status.as_ref(),
    };
    let (leg, probe) = probe.leg(subject, stage, look).await;
    report.legs.push(leg);
    report.write().await?;
    Ok(Next { pace, probe })
}

/// How far the path is that a probe would go.
fn stage(legs: &[Leg], plan: &Plan, failed: bool) -> Stage {
    let function = legs.iter().find(|leg| leg.kind == ConditionType::FunctionReady);
    match function {
        Some(leg) if leg.reason == Reason::FunctionInactive && !failed => Stage::Asleep,
        Some(leg) if leg.standing == Standing::Met => {
            let all = !failed && plan.steps.is_empty() && legs.iter().all(|leg| leg.standing == Standing::Met);
            if all { Stage::Built } else { Stage::Amiss }
        }
        Some(_) | None if legs.iter().any(|leg| leg.standing == Standing::Unknown) => Stage::Unseen,
        Some(_) | None => Stage::Building,
    }
}

/// Looks at what there is of an app.
///
/// # Errors
/// As the reads behind it.
pub async fn observe(
    snapshot: &Snapshot,
    desired: &Desired,
    recorded: Option<&FunctionStatus>,
    given_role_id: Option<String>,
    closely: bool,
    fresh: &Freshness,
    settings: &Settings,
) -> Result<Observed, AwsError> {
    let name = desired.identity.function_name();
    let role_age = fresh.of(ConditionType::ExecutionRoleReady);
    if closely || role_age != MaxAge::Any {
        snapshot.doubt_role(&desired.identity.role_name());
    }
    let role = snapshot.roles(role_age).await?.get(&desired.identity.role_name()).cloned();
    // The role lacks tags that everything of the app is to have: the setting may have changed, and no table shows the others'.
    let ours = role.as_ref().filter(|role| desired.identity.installation.owns(&role.tags));
    let untagged = ours.is_some_and(|role| !missing_tags(&desired.tags, &role.tags).is_empty());
    let closely = closely || untagged;
    let group = snapshot.log_groups(MaxAge::Any).await?.get(&desired.identity.log_group_name()).cloned();
    let mut listing = snapshot.functions(MaxAge::Any).await?.get(&name).cloned();
    if listing.is_none() {
        listing = snapshot.functions(fresh.of(ConditionType::FunctionReady)).await?.get(&name).cloned();
    }
    let another_role = role.as_ref().map(|role| &role.id) != given_role_id.as_ref();
    let needed =
        (listing.is_some() && another_role) || needs_detail(listing.as_ref(), desired.function.as_ref(), recorded);
    let (listing, detail) = if needed || (closely && listing.is_some()) {
        let detail = snapshot.function(&name).await?;
        (detail.as_ref().map(|detail| detail.listing.clone()), detail)
    } else {
        (listing, None)
    };
    let log_group = match group {
        // A group that was there before its function may be somebody else's. While the function waits for its network,
        // that can wait too: else each look of each app would cost a call.
        Some(group)
            if closely
                || (listing.is_none() && desired.function.is_some())
                || !desired.log_retention.is_met_by(&group) =>
        {
            snapshot.log_group_tags(&group).await?.map(|tags| LogGroupFacts { group, tags: Some(tags) })
        }
        group => group.map(|group| LogGroupFacts { group, tags: None }),
    };
    let claim = claim(snapshot, &desired.identity, fresh, settings).await?;
    Ok(Observed { role, given_role_id, log_group, listing, detail, interfaces: BTreeSet::new(), claim })
}

/// What the groups of an app's VPC say of the cluster that it belongs to: the network's controller reads them anyway.
///
/// # Errors
/// As `DescribeSecurityGroups`.
pub(super) async fn claim(
    snapshot: &Snapshot,
    identity: &AppIdentity,
    fresh: &Freshness,
    settings: &Settings,
) -> Result<Claim, AwsError> {
    let key = NetworkKey { region: identity.region.clone(), vpc: identity.vpc.clone() };
    let claim = Claim::of(&snapshot.security_groups(fresh.of(ConditionType::Accepted)).await?, &key, settings);
    match claim {
        Claim::Ours | Claim::Another(_) => Ok(claim),
        // Another replica may have created the groups, or marked them.
        Claim::Open => Ok(Claim::of(&snapshot.security_groups(MaxAge::Under(CLAIM_MAX_AGE)).await?, &key, settings)),
    }
}

/// How old the groups may be by which an app waits for its network to be this cluster's.
const CLAIM_MAX_AGE: Duration = Duration::from_secs(10);

/// Why the app's own subnets cannot be used, if they cannot.
async fn subnets_refused(app: &App, snapshot: &Snapshot) -> Result<Option<Leg>, AwsError> {
    let NetworkKey { region, vpc } = &app.network;
    let services: BTreeSet<String> = Service::ALL.iter().map(|service| service.endpoint_service(region)).collect();
    let mut refusal = None;
    // A subnet that is missing may be new: topology is looked at anew before the app is refused.
    for max_age in [MaxAge::Any, MaxAge::Under(SUBNETS_MAX_AGE)] {
        let topology = snapshot.topology(vpc, max_age, &services).await?;
        refusal = Service::ALL
            .iter()
            .find_map(|service| check_subnets(vpc, region.as_str(), &topology, *service, &app.subnets).err());
        if refusal.is_none() {
            break;
        }
    }
    Ok(refusal.map(|refusal| Leg::blocked(ConditionType::NetworkReady, refusal.reason, refusal.message)))
}

/// How old the topology may be by which an app's subnets are refused.
const SUBNETS_MAX_AGE: Duration = Duration::from_secs(10);

async fn create_network(key: &NetworkKey, name: &str, ctx: &Context) -> Result<(), Error> {
    let mut network = PrivateGenAINetwork::new(name, PrivateGenAINetworkSpec::of(key));
    network.labels_mut().insert(IMPLICIT_LABEL.to_owned(), "true".to_owned());
    match Api::all(ctx.client.clone()).create(&PostParams::default(), &network).await {
        Ok(_) => Ok(()),
        // Another app was quicker, or the watch is behind: the network's own event goes on from here.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
