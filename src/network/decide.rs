//! Decisions about networks, from the objects, the observation of AWS, and the memory. Pure, synchronous, total; the
//! controller reads, writes and reports.

use std::{collections::BTreeSet, mem};

use kube::ResourceExt as _;

use super::{
    Demand, Desired, Interfaces, Observed, Requester, Service, observe,
    ownership::{plan_marks, refusal_by_aws},
    plan, teardown,
    users::{AppWithoutObject, apps_without_object, demands, has_object, user_names},
};
use crate::{
    api::{
        DeletionPolicy, PrivateGenAINetwork, RecordedOwner,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    aws::{AwsError, Caller, Ec2Write, Failure, IamWrite, SecurityGroupId, Snapshot, Write, Written},
    engine::{Freshness, Knowledge, Memory, PassSubject, Reaction, Replaceable, Settings, Unseen, is_held},
    identity::{NetworkIdentity, is_retained, missing_tags},
    index::{Index, is_implicit},
    plan::{Plan, Source, listed},
    policy::{ModelId, models_of_endpoint},
};

/// A pass over a network that is accepted for its VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkPass {
    /// The uid of the object.
    pub uid: String,
    /// The VPC.
    pub key: NetworkKey,
    /// The network in AWS.
    pub identity: NetworkIdentity,
    /// The account and the partition in which the operator works.
    pub caller: Caller,
    /// A user requested this pass: refused writes may be made again after its first observation.
    pub retry_refused: bool,
    /// A security group that AWS refused to delete in this pass because a resource uses the group.
    pub group_in_use: Option<SecurityGroupId>,
}

impl PassSubject for NetworkPass {
    type Observed = Observed;

    fn key(&self) -> String {
        self.uid.clone()
    }

    async fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> Result<Observed, AwsError> {
        let place = (&self.key, &self.identity);
        let ending = ends(&self.key, &known.index());
        let observed = observe_place(snapshot, place, ending, fresh, known).await?;
        if ending && !ends(&self.key, &known.index()) {
            // An app came meanwhile. The pass did not read the facts that a network in use needs.
            return observe_place(snapshot, place, false, fresh, known).await;
        }
        Ok(observed)
    }

    fn names_to_retry(&mut self, observed: &Observed) -> Vec<String> {
        // Once: a later observation of this pass must not repeat the writes of this pass.
        if mem::take(&mut self.retry_refused) { observed.names() } else { Vec::new() }
    }

    /// Decides by the present demands, including apps that came or went since the pass began.
    fn decide(&mut self, observed: &Observed, index: &Index, memory: &mut Memory) -> Plan {
        let Self { key, identity, caller, .. } = &*self;
        for group in &observed.security_groups {
            memory.seen(&Unseen::SecurityGroup(key.clone(), group.id.clone()));
        }
        for endpoint in &observed.endpoints {
            memory.seen(&Unseen::Endpoint(key.clone(), endpoint.id.clone()));
        }
        if let Some(leg) = refusal_by_aws(key, observed, index) {
            return Plan { legs: vec![leg], ..Plan::default() };
        }
        // The app's own controller takes its role back; the network must not delete it meanwhile.
        let mut observed = observed.clone();
        observed.handed_over_roles.retain(|role| !has_object(role, key, index));
        memory.learn(key, |hints| hints.observe(&observed));
        let Some(desired) = wanted(key, identity, caller, &observed, index, memory) else {
            let mut plan = teardown(&observed, &index.settings().governance);
            if plan.is_nothing() && memory.may_be_invisible_in(key) {
                plan.legs.push(Leg::progressing(
                    ConditionType::EndpointsReady,
                    Reason::EndpointPending,
                    format!(
                        "AWS does not list yet the endpoint created in VPC {} a moment ago; the operator looks again.",
                        key.vpc
                    ),
                ));
                plan.legs.push(Leg::progressing(
                    ConditionType::SecurityGroupsReady,
                    Reason::Applying,
                    format!(
                        "AWS does not list yet the security groups created in VPC {} a moment ago; the operator looks again.",
                        key.vpc
                    ),
                ));
            }
            return plan;
        };
        let mut plan = plan(&desired, &observed, &memory.hints(key));
        plan_marks(&observed, &desired.owner, &mut plan);
        tag_roles(key, &observed, index, &mut plan);
        if plan.legs.iter().any(|leg| leg.reason == Reason::EndpointFailed)
            && !memory.may_replace(Replaceable::Endpoints(key.clone()))
        {
            plan.postpone_replacement(ConditionType::EndpointsReady);
        }
        plan
    }

    fn learn(&mut self, write: &Write, result: Result<&Written, &AwsError>, memory: &mut Memory) -> Reaction {
        if let (Write::Ec2(Ec2Write::DeleteSecurityGroup { group }), Err(error)) = (write, result)
            && error.failure == Failure::InUse
        {
            self.group_in_use = Some(group.clone());
        }
        learn(&self.key, write, result, memory)
    }
}

/// Reads the resources of a network and remembers since when its interfaces are available.
///
/// # Errors
/// As [`observe`].
pub async fn observe_place(
    snapshot: &Snapshot,
    (key, identity): (&NetworkKey, &NetworkIdentity),
    ends: bool,
    fresh: &Freshness,
    known: &impl Knowledge,
) -> Result<Observed, AwsError> {
    let long_available = |interfaces: &Interfaces| known.memory().long_available(key, interfaces);
    observe(snapshot, identity, ends, fresh, long_available).await
}

/// The identity of the network of a VPC.
pub fn identity(key: &NetworkKey, caller: &Caller, settings: &Settings) -> NetworkIdentity {
    NetworkIdentity {
        installation: settings.installation.clone(),
        account: caller.account.clone(),
        region: key.region.clone(),
        vpc: key.vpc.clone(),
    }
}

/// Puts back missing tags on handed-over and retained roles. Roles are found by their tags, and no app object repairs the
/// tags of these roles.
fn tag_roles(key: &NetworkKey, observed: &Observed, index: &Index, plan: &mut Plan) {
    let retained = observed.live_roles.iter().filter(|role| is_retained(&role.tags) && !has_object(role, key, index));
    for role in observed.handed_over_roles.iter().chain(retained) {
        let tags = missing_tags(&observed.identity.tags(), &role.tags);
        if !tags.is_empty() {
            plan.step(
                ConditionType::SecurityGroupsReady,
                Write::Iam(IamWrite::TagRole { role: role.name.clone(), tags }),
            );
        }
    }
    plan.order_tags_last();
}

/// The desired network by the present demands; `None` without demand. While roles cannot be read, the demand of apps
/// without an object is unknown: the models that the status records for the endpoint stand for it, and nothing is deleted.
pub fn wanted(
    key: &NetworkKey,
    identity: &NetworkIdentity,
    caller: &Caller,
    observed: &Observed,
    index: &Index,
    memory: &mut Memory,
) -> Option<Desired> {
    let mut demands = demands(key, observed, identity, index);
    demands.extend(apps_without_object(key, observed, index, memory).into_iter().map(|(name, app)| Demand {
        requester: Requester::WithoutObject(name),
        apps: 1,
        models: app.models,
        subnets: BTreeSet::new(),
    }));
    let Settings { owner, governance, implicit_networks, .. } = index.settings().as_ref();
    let recorded = recorded_models(key, index);
    if observed.unread.lacks(Source::Roles) {
        let (turn, models) = (Requester::WithoutObject(String::new()), recorded.clone());
        demands.push(Demand {
            requester: turn,
            apps: 1,
            models: implicit_networks.allow.narrowed_anywhere(models),
            subnets: BTreeSet::new(),
        });
    }
    let served = [let_through(observed, identity), recorded];
    Desired::union(identity.clone(), owner.clone(), caller.clone(), governance, &served, &demands)
}

/// The models that the endpoints' policies in AWS allow.
fn let_through(observed: &Observed, identity: &NetworkIdentity) -> BTreeSet<ModelId> {
    let endpoints = Service::ALL.iter().filter_map(|service| observed.endpoints_of(*service).first().copied());
    let policies = endpoints.filter_map(|endpoint| endpoint.policy.as_ref());
    policies.flat_map(|policy| models_of_endpoint(policy, &identity.region)).collect()
}

/// The models that the endpoints allow according to the network's status.
fn recorded_models(key: &NetworkKey, index: &Index) -> BTreeSet<ModelId> {
    let endpoints =
        index.accepted(key).and_then(|network| network.status.as_ref()).map(|status| status.endpoints.iter());
    let models = endpoints.into_iter().flatten().flat_map(|endpoint| &endpoint.models);
    models.filter_map(|model| model.parse().ok()).collect()
}

/// Remembers from AWS's answer to a write what the next observation may not show.
fn learn(key: &NetworkKey, write: &Write, result: Result<&Written, &AwsError>, memory: &mut Memory) -> Reaction {
    match result {
        Ok(Written::SecurityGroup(id)) => memory.created(Unseen::SecurityGroup(key.clone(), id.clone())),
        Ok(Written::VpcEndpoint(id, state)) if !state.is_ending() => {
            memory.created(Unseen::Endpoint(key.clone(), id.clone()));
        }
        Ok(Written::VpcEndpoint(..) | Written::Revoked(_) | Written::Done) | Err(_) => {}
    }
    if let (Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint }), Ok(_)) = (write, result) {
        memory.learn(key, |hints| hints.deleted(endpoint));
    }
    let Write::Ec2(Ec2Write::CreateVpcEndpoint(new)) = write else {
        return Reaction::Continue;
    };
    let Some(service) = Service::ALL.iter().find(|service| new.service_name == service.endpoint_service(&key.region))
    else {
        return Reaction::Continue;
    };
    match result {
        Ok(Written::VpcEndpoint(id, state)) if state.is_ending() => {
            memory.learn(key, |hints| drop(hints.used_tokens.insert(*service, id.to_string())));
            Reaction::Continue
        }
        // An endpoint exists for the token, created with other parameters; the pass waits for that endpoint to show. An
        // endpoint that does not show for so long is gone, and AWS would refuse its token for ever.
        Err(error) if error.failure == Failure::TokenMismatch && memory.token_is_used(&new.client_token) => {
            memory.learn(key, |hints| drop(hints.used_tokens.insert(*service, new.client_token.clone())));
            Reaction::PlanAnew
        }
        Err(error) if error.failure == Failure::PrivateDnsConflict && new.private_dns => {
            memory.learn(key, |hints| {
                hints.private_dns_conflict.insert(*service);
            });
            Reaction::PlanAnew
        }
        _ => Reaction::Continue,
    }
}

/// The result of a pass for the network's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No resource is left and no app uses the network: the object is released.
    Gone,
    /// The object stays, with these conditions.
    Kept(Vec<Leg>),
}

/// The result of the pass that ended with this plan.
pub fn outcome(
    network: &PrivateGenAINetwork,
    key: &NetworkKey,
    observed: &Observed,
    plan: &Plan,
    index: &Index,
    memory: &mut Memory,
) -> Outcome {
    let deleting = network.metadata.deletion_timestamp.is_some();
    let is_used = index.is_used(key);
    // Another owner has the VPC: only an object for which the operator created nothing may go.
    if is_refused(plan) {
        let was_for_nothing = is_implicit(network) && !is_used && !is_held(&network.metadata);
        return if was_for_nothing { Outcome::Gone } else { Outcome::Kept(plan.legs.clone()) };
    }
    let gone = plan.is_nothing();
    if gone && (deleting || (is_implicit(network) && !is_used)) {
        return Outcome::Gone;
    }
    let mut legs = vec![Leg::met(ConditionType::Accepted, format!("This network stands for VPC {}.", key.vpc))];
    if gone {
        legs.push(Leg::met(
            ConditionType::VpcReady,
            "No app needs this network now: the operator observes its VPC when an app does.",
        ));
    }
    let (retained, lost): (Vec<_>, Vec<_>) =
        apps_without_object(key, observed, index, memory).into_iter().partition(|(_, app)| app.retained);
    let names = |apps: &[(String, AppWithoutObject)]| listed(apps.iter().map(|(name, _)| name));
    let revoked = |apps: &[(String, AppWithoutObject)]| {
        let models: BTreeSet<_> = apps.iter().flat_map(|(_, app)| &app.revoked).collect();
        if models.is_empty() {
            return String::new();
        }
        format!(
            " The endpoint lets models {} through for them no more: have them, or the apps' namespaces, allowed in \
             implicitNetworks.allow if they are to be called.",
            listed(models)
        )
    };
    if deleting && is_used {
        let message = format!(
            "PrivateGenAINetwork {} is kept until its apps are gone: delete {} first.",
            network.name_any(),
            listed(user_names(key, index))
        );
        legs[0] = Leg::progressing(ConditionType::Accepted, Reason::InUse, message);
    } else if !is_used && !lost.is_empty() {
        let message = format!(
            "PrivateGenAINetwork {} is kept for apps {}: each has a role in AWS, and no object here that can be read and is allowed. \
             Apply them again, have them allowed, or delete their functions and roles.{}",
            network.name_any(),
            names(&lost),
            revoked(&lost)
        );
        legs[0] = Leg::blocked(ConditionType::Accepted, Reason::InUse, message);
    } else if !is_used && !retained.is_empty() {
        let message = format!(
            "This network stands for VPC {}, and is kept for retained apps {}: delete their functions and roles, or apply \
             them again with deletionPolicy: Delete and delete them.{}",
            key.vpc,
            names(&retained),
            revoked(&retained)
        );
        legs[0] = if deleting {
            Leg::progressing(ConditionType::Accepted, Reason::InUse, message)
        } else {
            Leg::met(ConditionType::Accepted, message)
        };
    }
    legs.extend(plan.legs.iter().cloned());
    Outcome::Kept(legs)
}

/// The object is released now, and all resources stay in AWS, also those that apps without an object need.
pub fn retains_everything(network: &PrivateGenAINetwork, key: &NetworkKey, index: &Index) -> bool {
    let retains = network.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain;
    network.metadata.deletion_timestamp.is_some() && retains && !index.is_used(key)
}

/// The object needs the finalizer before the operator creates resources for it.
pub fn is_to_be_held(network: &PrivateGenAINetwork, key: &NetworkKey, index: &Index) -> bool {
    let deleting = network.metadata.deletion_timestamp.is_some();
    !deleting && !is_held(&network.metadata) && index.is_used(key)
}

/// The plan says nothing but that the network is another installation's, or another cluster's.
pub fn is_refused(plan: &Plan) -> bool {
    plan.legs.iter().any(|leg| leg.kind == ConditionType::Accepted)
}

/// The status must record the installation before the operator creates more resources for the object.
pub fn is_to_be_recorded(network: &PrivateGenAINetwork, settings: &Settings) -> bool {
    let deleting = network.metadata.deletion_timestamp.is_some();
    !deleting && is_held(&network.metadata) && network.recorded_owner(&settings.installation) == RecordedOwner::Nobody
}

/// No app uses the network. The pass then also reads the facts that a teardown needs.
pub fn ends(key: &NetworkKey, index: &Index) -> bool {
    !index.is_used(key)
}

/// A decodable object is accepted for the VPC, whatever its state.
pub fn is_taken(key: &NetworkKey, index: &Index) -> bool {
    index.accepted(key).is_some()
}
