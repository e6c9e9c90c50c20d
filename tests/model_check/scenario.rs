//! Scenarios: a small world and the bounded events in it, small enough that every state can be visited.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use private_genai_operator::{
    api::{
        DeletionPolicy, PrivateGenAIApp, PrivateGenAIAppSpec,
        app::App,
        condition::{ConditionType, is_true},
        network::NetworkKey,
    },
    app::decide::identity,
    aws::{Ec2Write, EndpointState, NewVpcEndpoint, PolicyDocument, SubnetId, Tags, VpcId, Write, Written},
    engine::Settings,
    governance::Governance,
    identity::AppIdentity,
    index::is_implicit,
    network::Service,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    state::{Object, Objects, Operator, State},
    step::settings,
};
use crate::memory::{
    asked::{is_as_asked, opens_no_more},
    aws::{
        self, ByHand, Delays, Drift, VpcShape, World, boundary, by_hand::copy_of, drifts, reads::leftovers,
        step as aws_step,
    },
    judge::{Judge, installation, live_endpoints, region},
    somebody_else::install_somebody_else,
};

/// The models of apps at first and after an edit.
const MODELS: [&str; 2] = ["amazon.nova-lite-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"];

/// The conditions of an app at rest. Health is left out: the model checker runs no probe.
const LEGS: [ConditionType; 5] = [
    ConditionType::Accepted,
    ConditionType::NetworkReady,
    ConditionType::EndpointReady,
    ConditionType::ExecutionRoleReady,
    ConditionType::FunctionReady,
];

/// An app of a scenario, and the number of its VPC.
#[derive(Clone, Copy, Debug)]
pub struct AppOf {
    pub name: &'static str,
    pub vpc: usize,
}

/// An event that can happen a bounded number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chance {
    /// An operator is killed and starts anew.
    Crash,
    /// A write is done and its answer lost.
    Lost,
    /// A write is refused.
    Refused,
    /// A user applies an app.
    Create(&'static str),
    /// A user changes the app's model and log retention.
    Edit(&'static str),
    Suspend(&'static str),
    Resume(&'static str),
    /// A user deletes an app.
    Delete(&'static str),
    /// A user deletes an app with the policy `Retain`.
    DeleteRetaining(&'static str),
    /// A platform team applies a network for a VPC.
    CreateNetwork(&'static str, usize),
    DeleteNetwork(&'static str),
    /// A user deletes the implicit networks.
    DeleteImplicit,
    /// A user changes a resource in AWS.
    Drift(&'static str),
    /// AWS fails an endpoint of ours.
    EndpointFails,
    /// A user copies an endpoint of ours, with its tags.
    CopyEndpoint,
    /// A user creates an endpoint of their own in a VPC, which holds the service's name there.
    ForeignEndpoint(usize),
    /// The user deletes that endpoint.
    ForeignEndpointGoes,
}

/// A small world and the events that may happen in it.
pub struct Scenario {
    pub name: &'static str,
    pub apps: Vec<AppOf>,
    pub vpcs: usize,
    /// The apps that exist, at rest, in the first state.
    pub built: Vec<&'static str>,
    pub delays: Delays,
    pub operators: usize,
    pub somebody_else: bool,
    /// The operator checks the places of released objects for late writes, which matters with two operators.
    pub looks_after: bool,
    pub chances: Vec<(Chance, u8)>,
    pub settings: Settings,
}

impl Scenario {
    pub fn new(name: &'static str, delays: Delays, apps: &[&'static str], chances: &[(Chance, u8)]) -> Self {
        Self {
            name,
            apps: apps.iter().map(|name| AppOf { name, vpc: 0 }).collect(),
            vpcs: 1,
            built: Vec::new(),
            delays,
            operators: 1,
            somebody_else: false,
            looks_after: false,
            chances: chances.to_vec(),
            settings: settings(),
        }
    }

    /// Puts each app into a VPC of its own.
    pub fn apart(self) -> Self {
        let apps = self.apps.iter().enumerate().map(|(vpc, app)| AppOf { vpc, ..*app });
        Self { vpcs: self.apps.len(), apps: apps.collect(), ..self }
    }

    /// The operator is configured with a permissions boundary and may write only to roles under the boundary.
    pub fn bound(self) -> Self {
        let governance = Governance { permissions_boundary: Some(boundary()), ..Governance::default() };
        Self { settings: Settings { governance, ..self.settings }, ..self }
    }

    /// Begins with these apps, at rest.
    pub fn built(self, apps: &[&'static str]) -> Self {
        Self { built: apps.to_vec(), ..self }
    }

    fn vpc_ids(world: &World) -> Vec<VpcId> {
        world.regions[&region()].vpcs.keys().cloned().collect()
    }

    fn key(world: &World, vpc: usize) -> NetworkKey {
        NetworkKey { region: region(), vpc: Self::vpc_ids(world)[vpc].clone() }
    }

    /// An account without resources of the operator.
    pub fn initial(&self) -> State {
        let mut world = World::new("123456789012".parse().expect("an account"), Delays::default());
        let vpcs: Vec<(VpcId, Vec<SubnetId>)> =
            (0..self.vpcs).map(|_| world.add_vpc(&region(), &VpcShape::default())).collect();
        if self.somebody_else {
            for (vpc, subnets) in &vpcs {
                install_somebody_else(vpc, subnets, |write| {
                    aws_step(&mut world, &aws::Action::Write(region(), write)).expect("AWS lets it happen")
                });
            }
        }
        world.delays = self.delays;
        world.demanded_boundary.clone_from(&self.settings.governance.permissions_boundary);
        State {
            world: Arc::new(world),
            objects: Arc::new(Objects::new(&Arc::new(self.settings.clone()), BTreeMap::new(), BTreeMap::new())),
            operators: (0..self.operators).map(|_| Operator::new()).collect(),
            judge: Arc::new(Judge::default()),
            left: self.chances.iter().map(|(_, times)| *times).collect(),
            created: 0,
        }
    }

    /// The number of this chance, if the chance is left.
    pub fn chance(&self, state: &State, chance: &Chance) -> Option<usize> {
        let index = self.chances.iter().position(|(known, _)| known == chance)?;
        (state.left[index] > 0).then_some(index)
    }

    fn spec(&self, world: &World, name: &str) -> PrivateGenAIAppSpec {
        let app = self.apps.iter().find(|app| app.name == name).expect("an app of the scenario");
        let vpc = &Self::vpc_ids(world)[app.vpc];
        serde_json::from_value(json!({"network": {"vpcId": vpc.as_str()}, "models": [MODELS[0]]})).expect("a spec")
    }

    /// A user applies an app.
    pub fn create(&self, state: &mut State, name: &'static str) {
        state.create_app(name, PrivateGenAIApp::new(name, self.spec(&state.world, name)));
    }

    /// The possible outside changes: the number of the chance, a description, and the next state.
    pub fn deeds(&self, state: &State) -> Vec<(usize, String, State)> {
        let mut found = Vec::new();
        for (index, (chance, _)) in self.chances.iter().enumerate() {
            if state.left[index] == 0 {
                continue;
            }
            for (what, mut next) in self.outcomes(state, chance) {
                next.left[index] -= 1;
                found.push((index, what, next));
            }
        }
        found
    }

    fn outcomes(&self, state: &State, chance: &Chance) -> Vec<(String, State)> {
        let label = format!("{chance:?}");
        let one = |change: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            change(&mut next);
            vec![(label.clone(), next)]
        };
        let going =
            |name: &str| state.objects.apps.get(name).map(|app| app.get().metadata.deletion_timestamp.is_some());
        let stays = |name: &str| going(name) == Some(false);
        match chance {
            Chance::Create(name) if going(name).is_none() => one(&|next| self.create(next, name)),
            Chance::Edit(name) if stays(name) => one(&|next| {
                next.edit_app(name, |app| {
                    app.spec.models = vec![MODELS[1].to_owned()];
                    app.spec.function = serde_json::from_value(json!({"logging": {"retentionDays": 7}})).ok();
                });
            }),
            Chance::Suspend(name) if stays(name) => {
                one(&|next| next.edit_app(name, |app| app.spec.suspend = Some(true)))
            }
            Chance::Resume(name) if stays(name) => one(&|next| next.edit_app(name, |app| app.spec.suspend = None)),
            Chance::Delete(name) if stays(name) => one(&|next| next.delete_app(name)),
            Chance::DeleteRetaining(name) if stays(name) => one(&|next| {
                next.edit_app(name, |app| app.spec.deletion_policy = Some(DeletionPolicy::Retain));
                next.delete_app(name);
            }),
            Chance::CreateNetwork(name, vpc) if !state.objects.networks.contains_key(*name) => one(&|next| {
                let key = Self::key(&next.world, *vpc);
                next.create_network(name, &key, false, false);
            }),
            Chance::DeleteNetwork(name)
                if state
                    .objects
                    .networks
                    .get(*name)
                    .is_some_and(|network| network.get().metadata.deletion_timestamp.is_none()) =>
            {
                one(&|next| next.delete_network(name))
            }
            Chance::DeleteImplicit => {
                let networks = state.objects.networks.values().map(Object::get);
                let implicit =
                    networks.filter(|network| is_implicit(network) && network.metadata.deletion_timestamp.is_none());
                let names: Vec<String> = implicit.map(kube::ResourceExt::name_any).collect();
                names.iter().flat_map(|name| one(&|next| next.delete_network(name))).collect()
            }
            Chance::Drift(name) => self.drifts(state, name),
            Chance::EndpointFails => self
                .live(state)
                .filter_map(|endpoint| {
                    let (state_of, last_error) = (EndpointState::Failed, Some("InternalError: it broke".to_owned()));
                    let deed = ByHand::SetEndpointState { endpoint, state: state_of, last_error };
                    carry_out(state, &label, &aws::Action::ByHand(region(), deed)).map(|(label, next, _)| (label, next))
                })
                .collect(),
            Chance::CopyEndpoint => self
                .live(state)
                .filter_map(|id| {
                    let endpoint = state.world.regions[&region()].endpoints[&id].clone();
                    let copy = copy_of(endpoint, "a copy".to_owned())?;
                    let action = aws::Action::Write(region(), Write::Ec2(Ec2Write::CreateVpcEndpoint(copy)));
                    let (label, mut next, written) = carry_out(state, &label, &action)?;
                    if let Written::VpcEndpoint(id, _) = written {
                        Arc::make_mut(&mut next.judge).copies.insert(id);
                    }
                    Some((label, next))
                })
                .collect(),
            Chance::ForeignEndpoint(vpc) => {
                let new = self.foreign_endpoint(&state.world, *vpc);
                let action = aws::Action::Write(region(), Write::Ec2(Ec2Write::CreateVpcEndpoint(new)));
                carry_out(state, &label, &action).map(|(label, next, _)| (label, next)).into_iter().collect()
            }
            Chance::ForeignEndpointGoes => state.world.regions[&region()]
                .endpoints
                .values()
                .filter(|endpoint| endpoint.tags.is_empty() && !endpoint.state.is_ending())
                .filter_map(|endpoint| {
                    let action = aws::Action::Write(
                        region(),
                        Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.id.clone() }),
                    );
                    carry_out(state, &label, &action).map(|(label, next, _)| (label, next))
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn foreign_endpoint(&self, world: &World, vpc: usize) -> NewVpcEndpoint {
        let vpc = &Self::vpc_ids(world)[vpc];
        let here = &world.regions[&region()];
        let subnets = here.subnets.iter().filter(|(_, subnet)| subnet.vpc == *vpc).map(|(id, _)| id.clone());
        let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "bedrock:*", "Resource": "*"});
        NewVpcEndpoint {
            vpc: vpc.clone(),
            service_name: Service::ALL[0].endpoint_service(&region()),
            subnets: subnets.collect(),
            security_groups: here.default_group(vpc).into_iter().collect(),
            private_dns: true,
            policy: PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]})),
            client_token: format!("somebody's in {vpc}"),
            tags: Tags::new(),
        }
    }

    fn live(&self, state: &State) -> impl Iterator<Item = private_genai_operator::aws::VpcEndpointId> {
        live_endpoints(&state.world.regions[&region()]).into_iter().map(|(_, _, id)| id)
    }

    fn drifts(&self, state: &State, name: &str) -> Vec<(String, State)> {
        let possible = drifts(&state.world, &installation());
        let those = possible.into_iter().filter(|drift| drift.name == name);
        those
            .filter_map(|Drift { action, .. }| {
                let (label, mut next, _) = carry_out(state, name, &action)?;
                if let aws::Action::Write(_, Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, .. })) = &action
                {
                    Arc::make_mut(&mut next.judge).opened.insert(group.clone());
                }
                Some((label, next))
            })
            .collect()
    }

    /// Checks the invariants of every state. The state before fulfils them.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self, before: &State, state: &State) -> Result<(), String> {
        if Arc::ptr_eq(&before.world, &state.world) {
            return Ok(());
        }
        let live: Vec<_> = live_endpoints(&state.world.regions[&region()])
            .into_iter()
            .filter(|(_, _, id)| !state.judge.copies.contains(id))
            .map(|(vpc, service, _)| (vpc, service))
            .collect();
        let distinct: BTreeSet<_> = live.iter().collect();
        if distinct.len() < live.len() {
            return Err(format!("more than one endpoint: {live:?}"));
        }
        Ok(())
    }

    /// Checks a state at rest.
    ///
    /// # Errors
    /// The first violation.
    pub fn check_rest(&self, state: &State) -> Result<(), String> {
        let here = &state.world.regions[&region()];
        let apps = as_written(state.objects.apps.values().map(Object::get))?;
        for ((name, object), written) in state.objects.apps.iter().zip(&apps) {
            let app = object.get();
            if app.metadata.deletion_timestamp.is_some() {
                return Err(format!("app {name} does not go"));
            }
            if app.spec.suspend == Some(true) {
                continue;
            }
            let conditions = app.status.as_ref().map_or(&[][..], |status| &status.conditions);
            for leg in LEGS {
                if !is_true(conditions, leg) {
                    return Err(format!("app {name}: {} is not met: {conditions:#?}", leg.as_str()));
                }
            }
            is_as_asked(written, &state.world).map_err(|wrong| format!("app {name}: {wrong}"))?;
            if !state.world.functions_without_their_role(&region()).is_empty() {
                return Err(format!("the function of app {name} does not work"));
            }
        }
        let networks = as_written(state.objects.networks.values().map(Object::get))?;
        opens_no_more(&apps, &networks, &state.world)?;
        for (name, object) in &state.objects.networks {
            let network = object.get();
            let of_vpc = |app: &PrivateGenAIApp| {
                App::network(&app.spec, &region()).is_ok_and(|key| key.vpc.as_str() == network.spec.vpc_id)
            };
            let used = state.objects.apps.values().any(|app| of_vpc(app.get()));
            let retained = state
                .world
                .roles
                .values()
                .any(|role| role.role.tags.contains_key(private_genai_operator::identity::TAG_RETAINED));
            if is_implicit(network) && !used && !retained {
                return Err(format!("network {name} stays without an app"));
            }
            if network.metadata.deletion_timestamp.is_some() && !used && !retained {
                return Err(format!("network {name} does not go"));
            }
        }
        let left = leftovers(&state.world, &installation());
        let retained =
            |role: &aws::world::RoleRecord| role.role.tags.contains_key(private_genai_operator::identity::TAG_RETAINED);
        if state.objects.apps.is_empty() && !left.is_empty() && !state.world.roles.values().any(retained) {
            return Err(format!("left in AWS: {left:#?}"));
        }
        // Functions and log groups exist only with their app.
        let apps = state.objects.apps.values().map(Object::get);
        let there: Vec<AppIdentity> = apps
            .filter_map(|app| Some(identity(app, &App::network(&app.spec, &region()).ok()?, &self.settings)))
            .collect();
        if !state.world.roles.values().any(retained) {
            let mut functions =
                here.functions.iter().filter(|(_, resource)| installation().owns(&resource.detail.tags));
            if let Some((name, _)) =
                functions.find(|(name, _)| !there.iter().any(|resource| resource.function_name() == **name))
            {
                return Err(format!("function {name} has no app"));
            }
            let mut logs = here.log_groups.iter().filter(|(_, resource)| installation().owns(&resource.tags));
            if let Some((name, _)) =
                logs.find(|(name, _)| !there.iter().any(|resource| resource.log_group_name() == **name))
            {
                return Err(format!("log group {name} has no app"));
            }
        }
        Ok(())
    }
}

fn as_written<'a, K: Serialize + 'a>(objects: impl Iterator<Item = &'a K>) -> Result<Vec<Value>, String> {
    objects.map(serde_json::to_value).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Carries out an action in AWS; `None` if AWS refuses the action.
fn carry_out(state: &State, label: &str, action: &aws::Action) -> Option<(String, State, Written)> {
    let mut world = (*state.world).clone();
    let written = aws_step(&mut world, action).ok()?;
    let next = State { world: Arc::new(world), ..state.clone() };
    Some((format!("{label}: {action:?}"), next, written))
}
