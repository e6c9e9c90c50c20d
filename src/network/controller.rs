//! Keeps the networks true: gathers what the apps demand, looks at AWS, acts, and tells in the status.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    runtime::controller::Action,
};

use super::{Demand, Desired, Observed, Service, accepted, check_subnets, is_implicit, plan, status, teardown};
use crate::{
    api::{
        FINALIZER, PrivateGenAIApp, PrivateGenAINetwork, PrivateGenAINetworkStatus,
        app::App,
        condition::{ConditionType, Leg, Reason, Standing as LegStanding, is_true},
        network::NetworkKey,
    },
    aws::{AwsError, Caller, Failure, MaxAge, Role, Snapshot, Write, Written},
    controller::{
        Context, Converged, Error, Freshness, Guarded, Pace, add_finalizer, apply_status, converge, drift::repairs,
        explain_unreadable, remove_finalizer, tell,
    },
    identity::{FUNCTIONS_GROUP, NetworkIdentity, Retirement},
    plan::explain,
    policy::ModelId,
};

/// One look at one network, and what follows from it.
///
/// # Errors
/// The Kubernetes API's. AWS's become conditions.
pub async fn reconcile(object: Arc<Guarded<PrivateGenAINetwork>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let api = Api::<PrivateGenAINetwork>::all(ctx.client.clone());
    let object = ctx.latest_networks.newest(object);
    let network = match &object.0 {
        Ok(network) => network,
        Err(invalid) => {
            explain_unreadable::<PrivateGenAINetwork>(&ctx.client, &invalid.metadata, &invalid.error).await?;
            return Ok(Action::await_change());
        }
    };
    let name = format!("network {}", network.name_any());
    let key = match NetworkKey::try_from(&network.spec) {
        Ok(key) => key,
        Err(problem) => {
            let problem = problem.to_string();
            explain_unreadable::<PrivateGenAINetwork>(&ctx.client, &network.metadata, &problem).await?;
            return Ok(Action::await_change());
        }
    };
    let standing = standing(network, &key, &ctx);
    let pace = match standing {
        Standing::Loses { to } => {
            yield_to(&api, network, &to, &ctx).await?;
            Pace::Rest
        }
        Standing::Released => {
            remove_finalizer(&api, &network.metadata).await?;
            Pace::Rest
        }
        Standing::Keeps => keep(&api, network, &key, &ctx).await?,
    };
    if pace == Pace::Rest {
        ctx.rest(&name);
        return Ok(Action::await_change());
    }
    Ok(pace.action(ctx.attempt(&name), &name))
}

/// What an object is to its VPC.
enum Standing {
    /// Another object stands for the VPC. This one writes nothing to AWS.
    Loses {
        /// The one that does.
        to: String,
    },
    /// An implicit network was deleted while apps use it: it goes untouched, and they bring up another.
    Released,
    /// It stands for the VPC.
    Keeps,
}

fn standing(network: &PrivateGenAINetwork, key: &NetworkKey, ctx: &Context) -> Standing {
    let all = ctx.networks.state();
    let winner = accepted(all.iter().filter_map(|other| other.0.as_ref().ok()), key).map(kube::ResourceExt::name_any);
    match winner {
        Some(winner) if winner != network.name_any() => Standing::Loses { to: winner },
        _ if network.metadata.deletion_timestamp.is_some()
            && is_implicit(network)
            && !Users::of(key, ctx).apps.is_empty() =>
        {
            Standing::Released
        }
        _ => Standing::Keeps,
    }
}

/// A network that another one stands before: an implicit one goes, an explicit one says why it does nothing.
async fn yield_to(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    winner: &str,
    ctx: &Context,
) -> Result<(), Error> {
    if network.metadata.deletion_timestamp.is_some() {
        return remove_finalizer(api, &network.metadata).await;
    }
    if is_implicit(network) {
        return delete(api, network).await;
    }
    let message =
        format!("PrivateGenAINetwork {winner} stands for VPC {} already: delete one of the two.", network.spec.vpc_id);
    let legs = [Leg::blocked(ConditionType::Accepted, Reason::VpcConflict, message)];
    let status = status(network.status.as_ref(), network.metadata.generation, None, None, &legs, Timestamp::now());
    write_status(api, network, status, ctx).await
}

/// Looks, acts and tells for a network that stands for its VPC.
async fn keep(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    key: &NetworkKey,
    ctx: &Context,
) -> Result<Pace, Error> {
    let users = Users::of(key, ctx);
    let deleting = network.metadata.deletion_timestamp.is_some();
    if !deleting && !users.apps.is_empty() {
        // Before anything is created, so that nothing created is ever forgotten.
        add_finalizer(api, &network.metadata).await?;
    }
    let snapshot = ctx.snapshots.region(&key.region);
    snapshot.cover(&key.vpc);
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return unseen(api, network, ctx, &error).await,
    };
    let identity = NetworkIdentity {
        installation: ctx.settings.installation.clone(),
        account: caller.account.clone(),
        region: key.region.clone(),
        vpc: key.vpc.clone(),
    };
    let pass = converge(
        &snapshot,
        async |fresh| observe(&snapshot, &identity, users.apps.is_empty(), fresh).await,
        |observed| match wanted(&users, &identity, &caller, observed, network, ctx) {
            Some(desired) => plan(&desired, observed, &ctx.hints(key)),
            None => teardown(observed),
        },
        |write, result| learn(key, write, result, ctx),
    )
    .await;
    let Converged { observed: Some(observed), plan, error, done } = pass else {
        let error = pass.error.unwrap_or_else(|| unreachable!("a pass without observation ends with an error"));
        return unseen(api, network, ctx, &error).await;
    };
    let uid = network.uid().unwrap_or_default();
    let desired = wanted(&users, &identity, &caller, &observed, network, ctx);
    let gone = plan.steps.is_empty() && plan.legs.is_empty();
    if gone && (deleting || (is_implicit(network) && users.apps.is_empty())) {
        snapshot.uncover(&key.vpc);
        ctx.forget(key);
        ctx.unsettle(&uid);
        // Deleted first: an app that comes now sees that this object goes, and brings up another when it is gone.
        if deleting {
            remove_finalizer(api, &network.metadata).await?;
        } else {
            delete(api, network).await?;
        }
        return Ok(Pace::Rest);
    }
    let mut legs = vec![Leg::met(ConditionType::Accepted, format!("This network stands for VPC {}.", key.vpc))];
    if gone {
        legs.push(Leg::met(ConditionType::VpcReady, "No app demands anything of this network."));
    }
    if deleting && !users.apps.is_empty() {
        legs[0] = Leg::progressing(
            ConditionType::Accepted,
            Reason::ResourceInUse,
            format!("The network is kept until its {} apps are gone: delete them, or move them.", users.apps.len()),
        );
    }
    legs.extend(plan.legs.iter().cloned());
    let status = status(
        network.status.as_ref(),
        network.metadata.generation,
        Some(&caller.account),
        Some(&observed),
        &legs,
        Timestamp::now(),
    );
    let repairs = if desired.as_ref().is_some_and(|desired| ctx.settled(&uid, desired)) {
        // What a network writes to IAM is the end of roles that apps left to it, and no repair.
        repairs(&done.iter().filter(|write| write.operation().0 == "ec2").cloned().collect::<Vec<_>>())
    } else {
        Vec::new()
    };
    tell(ctx, network, (conditions(network), &status.conditions), &done, &repairs).await;
    if let Some(desired) = desired.filter(|_| {
        error.is_none() && plan.steps.is_empty() && plan.legs.iter().all(|leg| leg.standing == LegStanding::Met)
    }) {
        ctx.settle(&uid, &desired);
    }
    write_status(api, network, status, ctx).await?;
    Ok(error.as_ref().map_or_else(|| Pace::of(&plan), Pace::after))
}

async fn observe(
    snapshot: &Snapshot,
    identity: &NetworkIdentity,
    ends: bool,
    fresh: &Freshness,
) -> Result<Observed, AwsError> {
    let services: BTreeSet<String> =
        Service::ALL.iter().map(|service| service.endpoint_service(&identity.region)).collect();
    let topology = snapshot.topology(fresh.of(ConditionType::VpcReady), &services).await?;
    let endpoints = snapshot.endpoints(fresh.of(ConditionType::EndpointsReady)).await?;
    let groups = snapshot.security_groups(fresh.of(ConditionType::SecurityGroupsReady)).await?;
    let observed = Observed::new(identity, &topology, &endpoints, &groups);
    let roles = snapshot.roles(MaxAge::Any).await?;
    let retired: Vec<Role> = roles
        .values()
        .filter(|role| identity.owns(&role.tags) && Retirement::from_tags(&role.tags).is_some())
        .cloned()
        .collect();
    // Only what is to go must know what is still in its way.
    let interfaces = match observed.group(FUNCTIONS_GROUP).filter(|_| ends || !retired.is_empty()) {
        Some(group) => snapshot.group_interfaces(&group.id).await?,
        None => BTreeSet::new(),
    };
    Ok(observed.with_remains(retired, interfaces))
}

/// What the network should be; `None` when nobody demands it.
fn wanted(
    users: &Users,
    identity: &NetworkIdentity,
    caller: &Caller,
    observed: &Observed,
    network: &PrivateGenAINetwork,
    ctx: &Context,
) -> Option<Desired> {
    let mut demands = users.demands(observed, identity, ctx);
    if users.unreadable {
        // Whoever cannot be read may demand what was demanded before: nothing is taken away on a guess.
        let recorded = network.status.iter().flat_map(|status| &status.endpoints).flat_map(|endpoint| &endpoint.models);
        let models: BTreeSet<ModelId> = recorded.filter_map(|model| model.parse().ok()).collect();
        if !models.is_empty() {
            demands.push(Demand { models, subnets: BTreeSet::new() });
        }
    }
    Desired::union(identity.clone(), caller.clone(), &demands)
}

/// Remembers what only answers tell; `true` asks for another plan at once.
fn learn(key: &NetworkKey, write: &Write, result: &Result<Written, AwsError>, ctx: &Context) -> bool {
    let Write::CreateVpcEndpoint(new) = write else {
        return false;
    };
    let Some(service) = Service::ALL.iter().find(|service| new.service_name == service.endpoint_service(&key.region))
    else {
        return false;
    };
    match result {
        Ok(Written::VpcEndpoint(id, state)) if state.is_ending() => {
            ctx.learn(key, |hints| drop(hints.replaced.insert(*service, id.clone())));
            false
        }
        Err(error) if error.failure == Failure::PrivateDnsConflict && new.private_dns => {
            ctx.learn(key, |hints| {
                hints.private_dns_conflict.insert(*service);
            });
            true
        }
        _ => false,
    }
}

/// The apps that name a network.
struct Users {
    apps: Vec<Arc<Guarded<PrivateGenAIApp>>>,
    /// Some app cannot be read, and could be a user.
    unreadable: bool,
}

impl Users {
    fn of(key: &NetworkKey, ctx: &Context) -> Self {
        let all = ctx.apps.state();
        let names = |app: &PrivateGenAIApp| {
            App::network(&app.spec, &ctx.settings.region).as_ref() == Ok(key)
                && (ctx.settings.allows(&key.vpc) || app.finalizers().iter().any(|name| name == FINALIZER))
        };
        Self {
            unreadable: all.iter().any(|app| app.0.is_err() && app.finalizers().iter().any(|name| name == FINALIZER)),
            apps: all.into_iter().filter(|app| app.0.as_ref().is_ok_and(names)).collect(),
        }
    }

    /// What they demand. An app that has resources demands for them until it is gone, whatever becomes of its subnets;
    /// one that has none yet demands nothing that it could not use.
    fn demands(&self, observed: &Observed, identity: &NetworkIdentity, ctx: &Context) -> Vec<Demand> {
        self.apps
            .iter()
            .filter_map(|app| app.0.as_ref().ok())
            .filter_map(|object| {
                let app = App::new(&object.spec, &ctx.settings.region).ok()?;
                let held = object.finalizers().iter().any(|name| name == FINALIZER);
                let usable = observed.vpc().is_none()
                    || Service::ALL.iter().all(|service| {
                        check_subnets(
                            &identity.vpc,
                            identity.region.as_str(),
                            &observed.topology,
                            *service,
                            &app.subnets,
                        )
                        .is_ok()
                    });
                if !held && !usable {
                    return None;
                }
                let subnets = if usable { app.subnets } else { BTreeSet::new() };
                Some(Demand { models: app.models.into_iter().collect(), subnets })
            })
            .collect()
    }
}

/// AWS could not be looked at: what was recorded holds for some attempts, then nothing is claimed any more.
async fn unseen(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    ctx: &Context,
    error: &AwsError,
) -> Result<Pace, Error> {
    if is_true(conditions(network), ConditionType::Ready) && ctx.attempt(&format!("look {}", network.name_any())) < 3 {
        return Ok(Pace::after(error));
    }
    let legs = [
        Leg::met(ConditionType::Accepted, format!("This network stands for VPC {}.", network.spec.vpc_id)),
        explain(ConditionType::VpcReady, &network.spec.vpc_id, error),
    ];
    let status = status(network.status.as_ref(), network.metadata.generation, None, None, &legs, Timestamp::now());
    tell(ctx, network, (conditions(network), &status.conditions), &[], &[]).await;
    write_status(api, network, status, ctx).await?;
    Ok(Pace::after(error))
}

fn conditions(network: &PrivateGenAINetwork) -> &[Condition] {
    network.status.as_ref().map_or(&[][..], |status| &status.conditions)
}

async fn write_status(
    api: &Api<PrivateGenAINetwork>,
    network: &PrivateGenAINetwork,
    status: PrivateGenAINetworkStatus,
    ctx: &Context,
) -> Result<(), Error> {
    if network.status.clone().map(PrivateGenAINetworkStatus::sorted) == Some(status.clone().sorted()) {
        return Ok(());
    }
    if let Some(written) = apply_status(api, &network.metadata, &status).await? {
        ctx.latest_networks.remember(written);
    }
    Ok(())
}

async fn delete(api: &Api<PrivateGenAINetwork>, network: &PrivateGenAINetwork) -> Result<(), Error> {
    let same = Preconditions { uid: network.uid(), resource_version: None };
    match api.delete(&network.name_any(), &DeleteParams::default().preconditions(same)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
