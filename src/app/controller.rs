//! Keeps the apps true: finds the network, looks at AWS, acts, and tells in the status.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{Api, Resource as _, ResourceExt as _, api::PostParams, runtime::controller::Action};

use super::{Desired, Facts, LogGroupFacts, Observed, Path, observed::needs_detail, plan, status, teardown};
use crate::{
    api::{
        FINALIZER, IMPLICIT_LABEL, PrivateGenAIApp, PrivateGenAIAppStatus, PrivateGenAINetwork,
        PrivateGenAINetworkSpec,
        app::{App, AppNetworkStatus, FunctionStatus},
        condition::{ConditionType, Leg, Reason, Standing, find, is_true},
        network::NetworkKey,
    },
    aws::{AwsError, Caller, EndpointState, FunctionDetail, MaxAge, NetworkInterfaceId, Snapshot, Write},
    controller::{
        Context, Converged, Error, Freshness, Guarded, Pace, add_finalizer, apply_status, context::key, converge,
        drift::repairs, explain_unreadable, remove_finalizer, tell,
    },
    identity::{AppIdentity, FUNCTIONS_GROUP, NetworkIdentity, TAG_RECREATED, missing_tags},
    network::{Service, accepted, check_subnets, implicit_name},
    plan::{explain, unseen},
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
    let pace = if object.meta().deletion_timestamp.is_some() {
        remove(&api, &object, &ctx).await?
    } else {
        match &object.0 {
            Ok(app) => keep(&api, app, &ctx).await?,
            Err(invalid) => {
                explain_unreadable::<PrivateGenAIApp>(&ctx.client, &invalid.metadata, &invalid.error).await?;
                Pace::Rest
            }
        }
    };
    if pace == Pace::Rest {
        ctx.rest(&name);
        return Ok(Action::await_change());
    }
    Ok(pace.action(ctx.attempt(&name, pace), &name))
}

/// Looks, acts and tells for an app that should be there.
async fn keep(api: &Api<PrivateGenAIApp>, object: &PrivateGenAIApp, ctx: &Context) -> Result<Pace, Error> {
    let mut report = Report::new(api, object, ctx);
    let app = match App::new(&object.spec, &ctx.settings.region) {
        Ok(app) => app,
        Err(problem) => {
            report.legs.push(Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, format!("{problem}.")));
            report.write().await?;
            return Ok(Pace::Rest);
        }
    };
    if !ctx.settings.allows(&app.network.vpc) {
        report.legs.push(not_allowed(&app.network));
        report.write().await?;
        return Ok(Pace::Rest);
    }
    report.legs.push(Leg::met(ConditionType::Accepted, format!("The app may use VPC {}.", app.network.vpc)));
    let all = ctx.networks.state();
    let networks = || all.iter().filter_map(|network| network.0.as_ref().ok());
    let Some(network) = accepted(networks(), &app.network) else {
        let name = implicit_name(&app.network);
        report.legs.push(if networks().any(|network| network.name_any() == name) {
            name_conflict(&name, &app.network)
        } else {
            create_network(&app.network, &name, ctx).await?;
            waiting(format!("PrivateGenAINetwork {name} is being created."))
        });
        report.write().await?;
        return Ok(Pace::Rest);
    };
    let view = View::new(network, &app);
    report.facts.network = Some(AppNetworkStatus {
        name: network.name_any(),
        vpc_id: app.network.vpc.to_string(),
        region: app.network.region.to_string(),
    });
    report.facts.endpoints.clone_from(&view.endpoints);
    if !view.vpc_is_ready {
        report.legs.extend(view.legs);
        report.write().await?;
        return Ok(Pace::Rest);
    }
    let held = object.finalizers().iter().any(|name| name == FINALIZER);
    let snapshot = ctx.snapshots.region(&app.network.region);
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return report.unseen(&error).await,
    };
    if !held && !app.subnets.is_empty() {
        match subnets_refused(&app, &snapshot).await {
            Ok(None) => {}
            Ok(Some(leg)) => {
                report.legs.push(leg);
                report.write().await?;
                return Ok(Pace::Blocked);
            }
            Err(error) => return report.unseen(&error).await,
        }
    }
    // Before anything is created, so that nothing created is ever forgotten.
    add_finalizer(api, &object.metadata).await?;
    let desired = Desired::new(&app, identity(object, &app.network, ctx), &caller, view.path.as_ref());
    let recorded = object.status.as_ref().and_then(|status| status.function.as_ref());
    // A function that was found without its tags stays in doubt until it is looked at again.
    let in_doubt = object.status.as_ref().is_some_and(|status| {
        find(&status.conditions, ConditionType::FunctionReady)
            .is_some_and(|leg| leg.reason == Reason::NameTaken.as_str())
    });
    let closely =
        ctx.takes_closer_look(&format!("{}/{}", desired.identity.namespace, desired.identity.name)) || in_doubt;
    let role = unseen_role(&desired.identity);
    let Converged { observed, plan, error, done } = converge(
        &snapshot,
        &ctx.stop,
        async |fresh| observe(&snapshot, &desired, &caller, recorded, closely, fresh).await,
        |observed| {
            if observed.role.is_some() {
                ctx.seen(&role);
            }
            let mut plan = plan(&desired, observed);
            if plan.legs.iter().any(|leg| leg.reason == Reason::FunctionFailed)
                && !plan.steps.is_empty()
                && !ctx.may_replace(&role)
            {
                plan.hold(ConditionType::FunctionReady);
            }
            plan
        },
        |write, result| {
            if matches!((write, result), (Write::CreateRole { .. }, Ok(_))) {
                ctx.created(&role);
            }
            false
        },
    )
    .await;
    let Some(observed) = observed else {
        let error = error.unwrap_or_else(|| unreachable!("a pass without observation ends with an error"));
        return report.unseen(&error).await;
    };
    ctx.rest(&looks(object));
    report.legs.extend(view.legs);
    report.legs.extend(plan.legs.iter().cloned());
    report.facts.observe(&desired.identity, &observed, recorded);
    report.done = done;
    let uid = object.uid().unwrap_or_default();
    report.was_settled = ctx.settled(&uid, &desired);
    if error.is_none() && plan.steps.is_empty() && report.legs.iter().all(|leg| leg.standing == Standing::Met) {
        ctx.settle(&uid, &desired);
    }
    report.write().await?;
    Ok(error.as_ref().map_or_else(|| Pace::of(&plan), Pace::after))
}

/// Removes what an app stands for in AWS, then lets the object go. Neither a readable spec nor a network is needed.
async fn remove(api: &Api<PrivateGenAIApp>, object: &Guarded<PrivateGenAIApp>, ctx: &Context) -> Result<Pace, Error> {
    let meta = object.meta();
    if !meta.finalizers.iter().flatten().any(|name| name == FINALIZER) {
        return Ok(Pace::Rest);
    }
    ctx.unsettle(meta.uid.as_deref().unwrap_or_default());
    let mut report = object.0.as_ref().ok().map(|object| Report::new(api, object, ctx));
    let mut legs = Vec::new();
    let mut pace = Pace::Rest;
    let result = match identities(object, ctx).await {
        Ok(identities) => match ctx.snapshots.caller().await {
            Ok(caller) => Ok((identities, caller)),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match result {
        Err(error) => {
            legs.push(explain(ConditionType::FunctionReady, &object.name_any(), &error));
            pace = Pace::after(&error);
        }
        Ok((identities, caller)) => {
            for identity in identities {
                let pass = remove_one(&identity, &caller, ctx).await;
                if let Some(report) = &mut report {
                    report.done.extend(pass.done);
                }
                legs.extend(pass.plan.legs.iter().cloned());
                if let Some(error) = &pass.error {
                    if pass.observed.is_none() {
                        legs.push(explain(ConditionType::FunctionReady, identity.function_name().as_str(), error));
                    }
                    pace = pace.max(Pace::after(error));
                } else {
                    pace = pace.max(Pace::of(&pass.plan));
                }
            }
        }
    }
    if legs.is_empty() && is_young_and_unseen(object) {
        let message = "The app is so young that AWS may not list what was created for it; it is looked for again.";
        legs.push(Leg::progressing(ConditionType::ExecutionRoleReady, Reason::RolePropagating, message));
        pace = Pace::Wait;
    }
    if legs.is_empty() {
        remove_finalizer(api, meta).await?;
        return Ok(Pace::Rest);
    }
    if let Some(mut report) = report {
        report.legs = legs;
        report.write().await?;
    } else {
        let why: Vec<String> = legs.into_iter().map(|leg| leg.message).collect();
        let problem = format!("it is being deleted: {}", why.join(" "));
        explain_unreadable::<PrivateGenAIApp>(&ctx.client, meta, &problem).await?;
    }
    Ok(pace)
}

/// Right after a restart nobody remembers what was created just before it. An app of less than a minute on which no role
/// was recorded may have one that IAM does not list yet.
fn is_young_and_unseen(object: &Guarded<PrivateGenAIApp>) -> bool {
    const IAM_LISTS_WITHIN_SECONDS: i64 = 60;
    let recorded = object.0.as_ref().ok().and_then(|app| app.status.as_ref()?.execution_role.as_ref()).is_some();
    let created = object.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    !recorded && Timestamp::now().as_second() - created < IAM_LISTS_WITHIN_SECONDS
}

/// Under what a role that was created is remembered until it is seen.
fn unseen_role(identity: &AppIdentity) -> String {
    format!("role {}", identity.role_name())
}

/// Under what missed looks are counted.
fn looks(object: &PrivateGenAIApp) -> String {
    format!("look {}", key("app", object))
}

async fn remove_one(identity: &AppIdentity, caller: &Caller, ctx: &Context) -> Converged<Observed> {
    let snapshot = ctx.snapshots.region(&identity.region);
    let network = NetworkIdentity {
        installation: identity.installation.clone(),
        account: caller.account.clone(),
        region: identity.region.clone(),
        vpc: identity.vpc.clone(),
    };
    let role = unseen_role(identity);
    converge(
        &snapshot,
        &ctx.stop,
        async |fresh| {
            let log_groups = snapshot.log_groups(fresh.of(ConditionType::FunctionReady)).await?;
            let log_group = match log_groups.get(&identity.log_group_name()) {
                Some(group) => {
                    let tags = snapshot.log_group_tags(caller, &group.name).await?;
                    tags.map(|tags| LogGroupFacts {
                        group: group.clone(),
                        ours: Some(identity.installation.owns(&tags)),
                    })
                }
                None => None,
            };
            Ok(Observed {
                role: snapshot
                    .roles(fresh.of(ConditionType::ExecutionRoleReady))
                    .await?
                    .get(&identity.role_name())
                    .cloned(),
                log_group,
                listing: None,
                interfaces: interfaces(&snapshot, &network).await?,
                detail: snapshot.function(&identity.function_name()).await?,
            })
        },
        |observed| {
            if observed.role.is_some() {
                ctx.seen(&role);
            }
            let mut plan = teardown(identity, observed);
            if plan.legs.is_empty() && ctx.may_be_invisible(&role) {
                plan.legs.push(Leg::progressing(
                    ConditionType::ExecutionRoleReady,
                    Reason::RolePropagating,
                    format!(
                        "Role {} was created just now and is not listed yet; it is looked for again.",
                        identity.role_name()
                    ),
                ));
            }
            plan
        },
        |_, _| false,
    )
    .await
}

/// The interfaces that Lambda holds for functions on a network.
async fn interfaces(snapshot: &Snapshot, network: &NetworkIdentity) -> Result<BTreeSet<NetworkInterfaceId>, AwsError> {
    let groups = snapshot.security_groups(MaxAge::Any).await?;
    match groups.iter().find(|group| network.is_group(group, FUNCTIONS_GROUP)) {
        Some(group) => snapshot.group_interfaces(&group.id).await,
        None => Ok(BTreeSet::new()),
    }
}

/// Where an app's resources are: where its spec says, and where the tags of roles say that it was.
async fn identities(object: &Guarded<PrivateGenAIApp>, ctx: &Context) -> Result<BTreeSet<AppIdentity>, AwsError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let mut identities = BTreeSet::new();
    if let Ok(app) = &object.0
        && let Ok(key) = App::network(&app.spec, &ctx.settings.region)
    {
        identities.insert(identity(app, &key, ctx));
    }
    let roles = ctx.snapshots.region(&ctx.settings.region).roles(MaxAge::Any).await?;
    identities.extend(
        roles
            .values()
            .filter_map(|role| AppIdentity::from_tags(&ctx.settings.installation, &role.tags))
            .filter(|identity| identity.namespace == namespace && identity.name == name),
    );
    Ok(identities)
}

fn identity(object: &PrivateGenAIApp, key: &NetworkKey, ctx: &Context) -> AppIdentity {
    AppIdentity {
        installation: ctx.settings.installation.clone(),
        region: key.region.clone(),
        vpc: key.vpc.clone(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

async fn observe(
    snapshot: &Snapshot,
    desired: &Desired,
    caller: &Caller,
    recorded: Option<&FunctionStatus>,
    closely: bool,
    fresh: &Freshness,
) -> Result<Observed, AwsError> {
    let name = desired.identity.function_name();
    let role =
        snapshot.roles(fresh.of(ConditionType::ExecutionRoleReady)).await?.get(&desired.identity.role_name()).cloned();
    let group = snapshot.log_groups(MaxAge::Any).await?.get(&desired.identity.log_group_name()).cloned();
    let mut listing = snapshot.functions(MaxAge::Any).await?.get(&name).cloned();
    if listing.is_none() {
        listing = snapshot.functions(fresh.of(ConditionType::FunctionReady)).await?.get(&name).cloned();
    }
    let role_is_new = role.as_ref().is_none_or(|role| role.tags.contains_key(TAG_RECREATED));
    let needed =
        (listing.is_some() && role_is_new) || needs_detail(listing.as_ref(), desired.function.as_ref(), recorded);
    let (listing, detail) = if needed || (closely && listing.is_some()) {
        let detail = snapshot.function(&name).await?;
        let listing = detail.as_ref().map(|detail| detail.listing.clone());
        // A closer look is for tags. That a function went idle is not acted on: it sleeps well until it is invoked.
        let tells = |detail: &FunctionDetail| needed || !missing_tags(&desired.tags, &detail.tags).is_empty();
        (listing, detail.filter(tells))
    } else {
        (listing, None)
    };
    let log_group = match group {
        Some(group) if group.retention_days != Some(desired.retention_days) => {
            let tags = snapshot.log_group_tags(caller, &group.name).await?;
            tags.map(|tags| LogGroupFacts { group, ours: Some(desired.identity.installation.owns(&tags)) })
        }
        group => group.map(|group| LogGroupFacts { group, ours: None }),
    };
    Ok(Observed { role, log_group, listing, detail, interfaces: BTreeSet::new() })
}

/// Why the app's own subnets cannot be used, if they cannot.
async fn subnets_refused(app: &App, snapshot: &Snapshot) -> Result<Option<Leg>, AwsError> {
    let NetworkKey { region, vpc } = &app.network;
    let services: BTreeSet<String> = Service::ALL.iter().map(|service| service.endpoint_service(region)).collect();
    let mut refusal = None;
    // A subnet that is missing may be new: topology is looked at anew before the app is refused.
    for max_age in [MaxAge::Any, MaxAge::Under(SUBNETS_MAX_AGE)] {
        let topology = snapshot.topology(max_age, &services).await?;
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
    let spec = PrivateGenAINetworkSpec { vpc_id: key.vpc.to_string(), region: key.region.to_string() };
    let mut network = PrivateGenAINetwork::new(name, spec);
    network.labels_mut().insert(IMPLICIT_LABEL.to_owned(), "true".to_owned());
    match Api::all(ctx.client.clone()).create(&PostParams::default(), &network).await {
        Ok(_) => Ok(()),
        // Another app was quicker, or the watch is behind: the network's own event goes on from here.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn waiting(message: String) -> Leg {
    Leg::progressing(ConditionType::NetworkReady, Reason::WaitingForNetwork, message)
}

fn not_allowed(key: &NetworkKey) -> Leg {
    Leg::blocked(
        ConditionType::Accepted,
        Reason::VpcNotAllowed,
        format!(
            "spec.network.vpcId: the operator does not let apps use VPC {}: ask whoever runs the operator to add it to \
             implicitNetworks.vpcIds (--implicit-network-vpc-ids).",
            key.vpc
        ),
    )
}

fn name_conflict(name: &str, key: &NetworkKey) -> Leg {
    Leg::blocked(
        ConditionType::NetworkReady,
        Reason::NameConflict,
        format!(
            "PrivateGenAINetwork {name} stands for another VPC than {}: delete it, or give it another name.",
            key.vpc
        ),
    )
}

/// What an app sees of its network: only its status.
struct View {
    legs: Vec<Leg>,
    endpoints: Vec<crate::api::EndpointStatus>,
    vpc_is_ready: bool,
    /// Where functions are attached, once the endpoint lets this app's models through.
    path: Option<Path>,
}

impl View {
    fn new(network: &PrivateGenAINetwork, app: &App) -> Self {
        let name = network.name_any();
        let nothing = |leg| Self { legs: vec![leg], endpoints: Vec::new(), vpc_is_ready: false, path: None };
        if network.metadata.deletion_timestamp.is_some() && crate::network::is_implicit(network) {
            return nothing(Leg::progressing(
                ConditionType::NetworkReady,
                Reason::NetworkDeleting,
                format!("PrivateGenAINetwork {name} is being deleted and comes anew."),
            ));
        }
        let Some(status) = network.status.as_ref().filter(|status| status.observed_generation.is_some()) else {
            return nothing(waiting(format!("PrivateGenAINetwork {name} is being looked at.")));
        };
        let groups_are_ready = is_true(&status.conditions, ConditionType::SecurityGroupsReady);
        let vpc_is_ready = is_true(&status.conditions, ConditionType::VpcReady);
        let network_leg = if vpc_is_ready && groups_are_ready {
            Leg::met(ConditionType::NetworkReady, format!("PrivateGenAINetwork {name} is ready."))
        } else {
            inherited(ConditionType::NetworkReady, &name, &status.conditions)
        };
        let models: BTreeSet<String> = app.models.iter().map(ToString::to_string).collect();
        let missing = Service::ALL.iter().find(|service| {
            !status.endpoints.iter().any(|endpoint| {
                endpoint.service == service.as_str()
                    && endpoint.state == EndpointState::Available.as_str()
                    && models.iter().all(|model| endpoint.models.contains(model))
            })
        });
        let endpoint_leg = match missing {
            None => {
                Leg::met(ConditionType::EndpointReady, "The endpoint is available and lets the app's models through.")
            }
            Some(_) if is_true(&status.conditions, ConditionType::EndpointsReady) => Leg::progressing(
                ConditionType::EndpointReady,
                Reason::EndpointUpdating,
                "The endpoint does not let all of the app's models through yet; its policy is being changed.",
            ),
            Some(_) => inherited(ConditionType::EndpointReady, &name, &status.conditions),
        };
        let path = (network_leg.standing == Standing::Met && endpoint_leg.standing == Standing::Met)
            .then(|| Path::new(status))
            .flatten();
        Self { legs: vec![network_leg, endpoint_leg], endpoints: status.endpoints.clone(), vpc_is_ready, path }
    }
}

/// A leg that stands as the network stands.
fn inherited(kind: ConditionType, network: &str, conditions: &[Condition]) -> Leg {
    let Some(ready) = find(conditions, ConditionType::Ready).filter(|ready| ready.status != "True") else {
        return Leg::progressing(
            kind,
            Reason::WaitingForNetwork,
            format!("PrivateGenAINetwork {network} is being built."),
        );
    };
    let reason = Reason::from_wire(&ready.reason).unwrap_or(Reason::WaitingForNetwork);
    let message = format!("PrivateGenAINetwork {network}: {}", ready.message);
    if find(conditions, ConditionType::Stalled).is_some() {
        Leg::blocked(kind, reason, message)
    } else if ready.status == "Unknown" {
        Leg::unknown(kind, reason, message)
    } else {
        Leg::progressing(kind, reason, message)
    }
}

/// What will be told about an app: in its status, and in Events.
struct Report<'a> {
    api: &'a Api<PrivateGenAIApp>,
    object: &'a PrivateGenAIApp,
    ctx: &'a Context,
    legs: Vec<Leg>,
    facts: Facts,
    done: Vec<Write>,
    /// All was there before, and the same was wanted.
    was_settled: bool,
}

impl<'a> Report<'a> {
    /// Begins with the facts that were recorded before: they hold until something else is seen.
    fn new(api: &'a Api<PrivateGenAIApp>, object: &'a PrivateGenAIApp, ctx: &'a Context) -> Self {
        let before = object.status.clone().unwrap_or_default();
        Self {
            api,
            object,
            ctx,
            legs: Vec::new(),
            facts: Facts {
                network: before.network,
                endpoints: before.endpoints,
                execution_role: before.execution_role,
                function: before.function,
            },
            done: Vec::new(),
            was_settled: false,
        }
    }

    /// AWS could not be looked at: what was recorded holds for three looks, then nothing is claimed any more.
    async fn unseen(mut self, error: &AwsError) -> Result<Pace, Error> {
        let conditions = self.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let pace = Pace::after(error);
        if !is_true(conditions, ConditionType::Ready) || self.ctx.attempt(&looks(self.object), pace) >= 3 {
            let kinds = [ConditionType::ExecutionRoleReady, ConditionType::FunctionReady];
            self.legs.extend(unseen(&kinds, &self.object.name_any(), error));
            self.write().await?;
        }
        Ok(pace)
    }

    /// Writes the status if it differs, and Events for what is new.
    async fn write(self) -> Result<(), Error> {
        let before = self.object.status.as_ref();
        let after = status(before, self.object.metadata.generation, self.facts, &self.legs, Timestamp::now());
        let old = before.map_or(&[][..], |status| &status.conditions);
        if before.cloned().map(PrivateGenAIAppStatus::sorted) != Some(after.clone().sorted())
            && let Some(written) = apply_status(self.api, &self.object.metadata, &after).await?
        {
            self.ctx.latest_apps.remember(written);
        }
        let repairs = if self.was_settled { repairs(&self.done) } else { Vec::new() };
        tell(self.ctx, self.object, (old, &after.conditions), &self.done, &repairs).await;
        Ok(())
    }
}
