//! What can happen next, and what comes of it. Every decision is the operator's own code; what is written here is what the
//! controllers do between two decisions: look, write, tell.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::executor::block_on;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::ResourceExt as _;
use private_genai_operator::{
    api::{
        DeletionPolicy, FINALIZER, IMPLICIT_LABEL, PrivateGenAIApp, PrivateGenAIAppStatus, PrivateGenAINetwork,
        PrivateGenAINetworkSpec, PrivateGenAINetworkStatus,
        app::{App, FunctionStatus},
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    app::{self, Facts, View, decide::Footing},
    aws::{AwsError, Caller, Failure, FunctionState, Kept, MaxAge, Snapshot, Snapshots, SubnetId, Write, Written},
    controller::{Departed, Freshness, Next, Pass, Settings, is_held},
    identity::{AppIdentity, NetworkIdentity},
    network::{
        self,
        decide::{Outcome, Standing},
    },
    plan::Plan,
};

use super::{
    scenario::{Chance, Scenario},
    state::{NOW, Object, Objects, Operator, Run, Seen, State, Subject, Worker, uid},
};
use crate::memory::{
    aws::{self, MemoryAws, Transition, step as aws_step},
    judge::{installation, live_endpoints, region},
};

/// How old what a table keeps is at least when it is looked at again, other than by who read it.
const AGED: Duration = Duration::from_mins(1);

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A worker begins a pass, and looks.
    Begin(usize, Worker),
    /// The same at a resync: tables are read anew, and the app is looked at closely.
    Resync(usize, Worker),
    /// A worker does what comes next.
    Go(usize, Worker),
    /// It makes its next call, which is refused.
    Refused(usize, Worker),
    /// It makes its next call, which is carried out, and never learns of it.
    Lost(usize, Worker),
    /// An operator is killed and starts anew.
    Crash(usize),
    /// AWS gets on with something.
    Happen(Transition),
    /// More time passes than AWS takes to show what was written.
    TimePasses,
    /// Somebody else does something: the number of the chance in the scenario.
    Chance(usize, String),
}

/// Something that must not be.
pub type Wrong = String;

fn fixed() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("a time")
}

/// When objects are created that are young.
fn birth(object: u32) -> Time {
    Time(Timestamp::from_second(fixed().as_second() - 30 + i64::from(object)).expect("a time"))
}

fn caller() -> Caller {
    Caller { account: "123456789012".parse().expect("an account"), partition: region().partition() }
}

fn network_identity(key: &NetworkKey) -> NetworkIdentity {
    NetworkIdentity {
        installation: installation(),
        account: caller().account,
        region: key.region.clone(),
        vpc: key.vpc.clone(),
    }
}

fn key_of(network: &PrivateGenAINetwork) -> NetworkKey {
    NetworkKey::try_from(&network.spec).expect("a network that can be read")
}

/// Looks at AWS through the operator's own snapshot, which keeps what it kept before.
fn with_snapshot<T>(
    operator: &mut Operator,
    world: &aws::World,
    key: Option<&NetworkKey>,
    look: impl AsyncFnOnce(&Snapshot) -> Result<T, AwsError>,
) -> T {
    let aws = Arc::new(MemoryAws::of(world.clone()));
    let snapshots = Snapshots::new(aws, installation(), region());
    let snapshot = snapshots.region(&region());
    for vpc in &operator.covered {
        snapshot.cover(vpc);
    }
    snapshot.keep((*operator.kept).clone(), AGED);
    if let Some(key) = key {
        snapshot.cover(&key.vpc);
        operator.covered.insert(key.vpc.clone());
    }
    let seen = block_on(look(&snapshot)).expect("nothing makes a look fail here");
    let kept = snapshot.kept();
    if kept != *operator.kept {
        operator.kept = Arc::new(kept);
    }
    seen
}

/// Forgets what a write made stale.
fn forget(operator: &mut Operator, write: &Write, error: Option<&AwsError>) {
    let nothing = aws::World::new(caller().account, aws::Delays::default());
    with_snapshot(operator, &nothing, None, async |snapshot| {
        snapshot.forget(write, error);
        Ok(())
    });
}

fn failed(write: &Write, failure: Failure, message: &str) -> AwsError {
    let (service, operation) = write.operation();
    AwsError { service, operation, failure, code: None, message: message.to_owned(), request_id: None }
}

impl Scenario {
    /// A worker begins. `None` when there is nothing for it to begin with.
    pub fn begin(&self, state: &State, number: usize, worker: &Worker, closely: bool) -> Result<Option<State>, Wrong> {
        let mut next = state.clone();
        match worker {
            Worker::Network(name) => {
                let Some(object) = state.objects.networks.get(name).cloned() else { return Ok(None) };
                self.begin_network(&mut next, number, worker, object)
            }
            Worker::App(name) => {
                let Some(object) = state.objects.apps.get(name).cloned() else { return Ok(None) };
                if object.get().metadata.deletion_timestamp.is_some() {
                    if !is_held(&object.get().metadata) {
                        return Ok(None);
                    }
                    self.begin_removal(&mut next, number, worker, object)
                } else {
                    self.begin_app(&mut next, number, worker, object, closely)
                }
            }
            Worker::After(departed) => self.begin_after(&mut next, number, worker, departed),
        }
        .map(|()| Some(next))
    }

    fn start(&self, next: &mut State, number: usize, worker: &Worker, subject: Subject) -> Result<(), Wrong> {
        let run = Run { pass: Pass::default(), subject };
        next.operators[number].runs.insert(worker.clone(), Arc::new(run));
        self.go(next, number, worker, How::Answered)
    }

    fn begin_network(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAINetwork>,
    ) -> Result<(), Wrong> {
        let network = object.get();
        let (key, deleting) = (key_of(network), network.metadata.deletion_timestamp.is_some());
        let objects = Arc::clone(&next.objects);
        let cluster = objects.cluster(&self.settings);
        match network::decide::standing(network, &key, &cluster) {
            Standing::Loses { .. } if deleting => next.release_network(&object),
            Standing::Loses { .. } if network::is_implicit(network) => next.delete_network(&object.get().name_any()),
            Standing::Loses { to } => {
                let message = format!("PrivateGenAINetwork {to} stands for VPC {} already.", key.vpc);
                next.tell_network(
                    &object,
                    None,
                    &[Leg::blocked(ConditionType::Accepted, Reason::VpcConflict, message)],
                );
            }
            Standing::Released => next.release_network(&object),
            Standing::Keeps if network::decide::leaves_everything(network, &key, &cluster) => {
                next.operators[number].covered.remove(&key.vpc);
                next.operators[number].memory.forget(&key);
                next.operators[number].departures.remove(&Departed::Network(key));
                next.release_network(&object);
            }
            Standing::Keeps => {
                if network::decide::is_to_be_held(network, &key, &cluster) {
                    let subject = Subject::Network { object: object.clone(), key: key.clone(), observed: None };
                    self.look_at_network(next, number, &subject, &Freshness::default(), false);
                    if !next.hold_network(&object) {
                        return Ok(());
                    }
                }
                return self.start(next, number, worker, Subject::Network { object, key, observed: None });
            }
        }
        Ok(())
    }

    fn begin_app(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
        closely: bool,
    ) -> Result<(), Wrong> {
        let app = object.get();
        let objects = Arc::clone(&next.objects);
        let cluster = objects.cluster(&self.settings);
        let before = app.status.clone().unwrap_or_default();
        let mut facts = Facts {
            network: before.network,
            endpoints: before.endpoints,
            execution_role: before.execution_role,
            function: before.function,
        };
        match app::decide::footing(app, &cluster) {
            Footing::Refused(leg) => next.tell_app(&object, facts, &[leg]),
            Footing::WithoutNetwork { app, leg, bring } => {
                if let Some(name) = bring {
                    next.create_network(&name, &app.network, true, false);
                }
                next.tell_app(&object, facts, &[app::decide::accepted_leg(&app), leg]);
            }
            Footing::OnNetwork { app: wanted, network, view } => {
                let by = objects.networks[&network.name].clone();
                if !view.vpc_is_ready {
                    facts.network = Some(network);
                    facts.endpoints.clone_from(&view.endpoints);
                    let mut legs = vec![app::decide::accepted_leg(&wanted)];
                    legs.extend(view.legs);
                    next.tell_app(&object, facts, &legs);
                    return Ok(());
                }
                let suspended = app.spec.suspend.unwrap_or_default();
                if !suspended && !next.hold_app(&object) {
                    return Ok(());
                }
                let identity = app::decide::identity(app, &wanted.network, &self.settings);
                let desired = app::Desired::new(&wanted, identity, &caller(), view.path.as_ref());
                let operator = &mut next.operators[number];
                let closely = closely || app::decide::is_in_doubt(app);
                app::decide::begins(&desired, &mut operator.memory);
                let recorded = app.status.as_ref().and_then(|status| status.function.as_ref());
                let principal = app::decide::Principal::of(recorded);
                let subject = Subject::Keep {
                    object: object.clone(),
                    network: by,
                    desired: Arc::new(desired),
                    suspended,
                    closely,
                    principal,
                    observed: None,
                };
                return self.start(next, number, worker, subject);
            }
        }
        Ok(())
    }

    fn begin_removal(
        &self,
        next: &mut State,
        number: usize,
        worker: &Worker,
        object: Object<PrivateGenAIApp>,
    ) -> Result<(), Wrong> {
        let world = Arc::clone(&next.world);
        let roles = with_snapshot(&mut next.operators[number], &world, None, async |snapshot| {
            snapshot.roles(MaxAge::Any).await
        });
        let departing = app::Departing::of(object.get(), &self.settings.region);
        let places = app::decide::places(&object.it, &departing, &roles, &self.settings);
        let rest: Vec<_> = places.iter().cloned().collect();
        let principal = rest.first().map(|identity| departing.principal(identity)).unwrap_or_default();
        let (departing, places) = (Arc::new(departing), Arc::new(places));
        let subject = Subject::Remove { object, departing, principal, places, rest, legs: Vec::new() };
        self.start(next, number, worker, subject)
    }

    fn begin_after(&self, next: &mut State, number: usize, worker: &Worker, departed: &Departed) -> Result<(), Wrong> {
        let objects = Arc::clone(&next.objects);
        let cluster = objects.cluster(&self.settings);
        let world = Arc::clone(&next.world);
        let operator = &mut next.operators[number];
        // What another operator writes does not make our tables stale: whoever looks after a place has them read.
        operator.kept = Arc::new(Kept { topology: operator.kept.topology.clone(), ..Kept::default() });
        let (seen_to, subject) = match departed {
            Departed::App(identity) => {
                let mut retained = || {
                    let roles = with_snapshot(&mut next.operators[number], &world, None, async |snapshot| {
                        snapshot.roles(MaxAge::Any).await
                    });
                    app::decide::is_retained(identity, &roles)
                };
                (app::decide::is_back(identity, &cluster) || retained(), Subject::AfterApp(identity.clone()))
            }
            Departed::Network(key) => (network::decide::is_back(key, &cluster), Subject::AfterNetwork(key.clone())),
        };
        if seen_to {
            next.operators[number].departures.insert(departed.clone(), true);
            return Ok(());
        }
        self.start(next, number, worker, subject)
    }

    /// A worker does what comes next in its pass.
    pub fn go(&self, next: &mut State, number: usize, worker: &Worker, how: How) -> Result<(), Wrong> {
        let Some(run) = next.operators[number].runs.get(worker).cloned() else { return Ok(()) };
        let mut run = (*run).clone();
        match run.pass.next() {
            Next::Look(fresh) => {
                let plan = self.look(next, number, &mut run.subject, &fresh);
                nobody_before(next, &plan)?;
                run.pass.decided(plan);
            }
            Next::Write(step) => {
                let answer = self.write(next, number, &step.write, how)?;
                let result = answer.as_ref();
                let operator = &mut next.operators[number];
                forget(operator, &step.write, result.err());
                let again = match &mut run.subject {
                    Subject::Network { key, .. } => {
                        network::decide::learn(key, &step.write, result, &mut operator.memory)
                    }
                    Subject::Keep { desired, principal, .. } => {
                        app::decide::learn(desired, &step.write, result, principal, &mut operator.memory);
                        false
                    }
                    Subject::Remove { departing, rest, principal, .. }
                        if departing.policy == DeletionPolicy::Retain =>
                    {
                        let memory = &mut operator.memory;
                        app::decide::learn_retention(&rest[0], &step.write, result, principal, memory);
                        false
                    }
                    Subject::Remove { .. } | Subject::AfterApp(_) | Subject::AfterNetwork(_) => false,
                };
                run.pass.answered(result, again);
            }
            Next::End => {
                next.operators[number].runs.remove(worker);
                if let Some(run) = self.conclude(next, number, run) {
                    next.operators[number].runs.insert(worker.clone(), Arc::new(run));
                }
                return Ok(());
            }
        }
        next.operators[number].runs.insert(worker.clone(), Arc::new(run));
        Ok(())
    }

    fn write(
        &self,
        next: &mut State,
        number: usize,
        write: &Write,
        how: How,
    ) -> Result<Result<Written, AwsError>, Wrong> {
        if how == How::Refused {
            return Ok(Err(failed(write, Failure::Throttled, "too many calls")));
        }
        let mut world = (*next.world).clone();
        let answer = aws_step(&mut world, &aws::Action::Write(region(), write.clone()));
        if let Ok(written) = &answer {
            next.judge.judge(write, &next.world, written, &world).map_err(|wrong| format!("{wrong}: {write:?}"))?;
            next.world = Arc::new(world);
            for (other, operator) in next.operators.iter_mut().enumerate() {
                if other != number {
                    operator.departures.values_mut().for_each(|looked_at| *looked_at = false);
                }
            }
        }
        Ok(match how {
            How::Lost => Err(failed(write, Failure::Unavailable, "connection reset")),
            How::Answered | How::Refused => answer,
        })
    }

    fn look_at_network(
        &self,
        next: &mut State,
        number: usize,
        subject: &Subject,
        fresh: &Freshness,
        ends: bool,
    ) -> network::Observed {
        let (Subject::Network { key, .. } | Subject::AfterNetwork(key)) = subject else {
            panic!("only networks are looked at so");
        };
        let world = Arc::clone(&next.world);
        let operator = &mut next.operators[number];
        let mut memory = operator.memory.clone();
        let observed = with_snapshot(operator, &world, Some(key), async |snapshot| {
            let long = |interfaces: &network::Interfaces| memory.long_available(key, interfaces);
            network::controller::observe(snapshot, &network_identity(key), ends, fresh, long).await
        });
        operator.memory = memory;
        observed
    }

    /// Looks, and decides.
    fn look(&self, next: &mut State, number: usize, subject: &mut Subject, fresh: &Freshness) -> Plan {
        let (world, objects) = (Arc::clone(&next.world), Arc::clone(&next.objects));
        let cluster = objects.cluster(&self.settings);
        match subject {
            Subject::Network { key, .. } => {
                let key = key.clone();
                let ends = network::decide::ends(&key, &cluster);
                let seen = self.look_at_network(next, number, subject, fresh, ends);
                let memory = &mut next.operators[number].memory;
                let plan = network::decide::decide(&key, &network_identity(&key), &caller(), &seen, &cluster, memory);
                if let Subject::Network { observed, .. } = subject {
                    *observed = Some(Seen(Arc::new(seen)));
                }
                plan
            }
            Subject::AfterNetwork(key) => {
                let key = key.clone();
                let seen = self.look_at_network(next, number, subject, fresh, true);
                network::decide::decide_after(&key, &seen, &cluster)
            }
            Subject::Keep { object, desired, suspended, closely, principal, observed, .. } => {
                let operator = &mut next.operators[number];
                let recorded = object.get().status.as_ref().and_then(|status| status.function.as_ref());
                let given = principal.given.clone();
                let seen = with_snapshot(operator, &world, None, async |snapshot| {
                    app::controller::observe(snapshot, desired, recorded, given, *closely, fresh).await
                });
                let plan = app::decide::decide(desired, &seen, *suspended, principal, &mut operator.memory);
                *observed = Some(Arc::new(seen));
                plan
            }
            Subject::Remove { departing, rest, principal, .. } => {
                let operator = &mut next.operators[number];
                let Some(identity) = rest.first() else { return Plan::default() };
                match departing.policy {
                    DeletionPolicy::Retain => {
                        let given = principal.given.clone();
                        let seen = with_snapshot(operator, &world, None, async |snapshot| {
                            app::observe_retained(snapshot, identity, given, fresh).await
                        });
                        let retention = departing.retention(identity, &caller());
                        app::decide::decide_retention(&retention, &seen, principal, &mut operator.memory)
                    }
                    DeletionPolicy::Delete => {
                        let seen = look_at_remains(operator, &world, identity, fresh);
                        app::decide::decide_removal(identity, &seen, false, &mut operator.memory)
                    }
                }
            }
            Subject::AfterApp(identity) => {
                let operator = &mut next.operators[number];
                let seen = look_at_remains(operator, &world, identity, fresh);
                let is_back = app::decide::is_back(identity, &cluster);
                app::decide::decide_removal(identity, &seen, is_back, &mut operator.memory)
            }
        }
    }

    /// A pass has ended: what is told of it. Gives the pass that follows it at once, if one does.
    fn conclude(&self, next: &mut State, number: usize, run: Run) -> Option<Run> {
        let objects = Arc::clone(&next.objects);
        let cluster = objects.cluster(&self.settings);
        let Run { pass, subject } = run;
        match subject {
            Subject::Network { object, key, observed } => {
                let (network, Seen(observed)) = (object.get(), observed.expect("a pass that ends has looked"));
                let operator = &mut next.operators[number];
                match network::decide::outcome(network, &key, &observed, &pass.plan, &cluster, &mut operator.memory) {
                    Outcome::Gone => {
                        operator.covered.remove(&key.vpc);
                        operator.memory.forget(&key);
                        if self.looks_after {
                            operator.departures.insert(Departed::Network(key), false);
                        }
                        if network.metadata.deletion_timestamp.is_some() {
                            next.release_network(&object);
                        } else if next.is_there(&object) {
                            next.delete_network(&network.name_any());
                        }
                    }
                    Outcome::Stands(legs) => next.tell_network(&object, Some(&observed), &legs),
                }
            }
            Subject::Keep { object, network, desired, suspended, observed, .. } => {
                let (app, observed) = (object.get(), observed.expect("a pass that ends has looked"));
                if suspended && (observed.role.is_some() || observed.listing.is_some()) {
                    next.hold_app(&object);
                }
                let wanted = App::new(&app.spec, &self.settings.region).expect("an app that can be read");
                let view = View::new(network.get(), &wanted);
                let before = app.status.clone().unwrap_or_default();
                let mut facts = Facts {
                    network: Some(private_genai_operator::api::app::AppNetworkStatus {
                        name: network.get().name_any(),
                        vpc_id: wanted.network.vpc.to_string(),
                        region: wanted.network.region.to_string(),
                    }),
                    endpoints: view.endpoints,
                    execution_role: before.execution_role,
                    function: before.function.clone(),
                };
                facts.observe(&desired.identity, &observed, before.function.as_ref());
                let mut legs = vec![app::decide::accepted_leg(&wanted)];
                legs.extend(view.legs);
                legs.extend(pass.plan.legs);
                next.tell_app(&object, facts, &legs);
            }
            Subject::Remove { object, departing, principal, places, mut rest, mut legs } => {
                legs.extend(pass.plan.legs);
                let given = rest.first().and_then(|it| principal.given.filter(|_| departing.is_about(it)));
                if rest.len() > 1 {
                    rest.remove(0);
                    let principal = departing.principal(&rest[0]);
                    let subject = Subject::Remove { object, departing, principal, places, rest, legs };
                    return Some(Run { pass: Pass::default(), subject });
                }
                if legs.is_empty() && app::decide::is_young_and_unseen(&object.it, fixed().as_second()) {
                    legs.push(app::decide::too_young());
                }
                if legs.is_empty() {
                    next.release_app(&object);
                    for place in places.iter().filter(|_| self.looks_after) {
                        let departed = Departed::App(place.clone());
                        let departures = &mut next.operators[number].departures;
                        match departing.policy {
                            DeletionPolicy::Retain => departures.remove(&departed),
                            DeletionPolicy::Delete => departures.insert(departed, false),
                        };
                    }
                } else {
                    let before = object.get().status.clone().unwrap_or_default();
                    let facts = Facts {
                        network: before.network,
                        endpoints: before.endpoints,
                        execution_role: before.execution_role,
                        function: before.function.map(|function| {
                            let execution_role_id = given.or(function.execution_role_id.clone());
                            FunctionStatus { execution_role_id, ..function }
                        }),
                    };
                    next.tell_app(&object, facts, &legs);
                }
            }
            Subject::AfterApp(identity) => next.looked_after(number, Departed::App(identity), &pass),
            Subject::AfterNetwork(key) => {
                if !network::decide::is_taken(&key, &cluster) {
                    next.operators[number].covered.remove(&key.vpc);
                }
                next.looked_after(number, Departed::Network(key), &pass);
            }
        }
        None
    }
}

/// The last one out turns off the light, and nobody before: the only endpoint of a VPC does not go while a function there
/// lives (DESIGN.md section 5, invariant 6).
fn nobody_before(state: &State, plan: &Plan) -> Result<(), Wrong> {
    let here = &state.world.regions[&region()];
    let live = live_endpoints(here);
    for step in &plan.steps {
        let Write::DeleteVpcEndpoint { endpoint } = &step.write else { continue };
        let Some((vpc, ..)) = live.iter().find(|(_, _, id)| id == endpoint) else { continue };
        let is_in_vpc = |subnet: &SubnetId| here.subnets.get(subnet).is_some_and(|subnet| subnet.vpc == *vpc);
        let function = here.functions.values().map(|function| &function.detail).find(|function| {
            installation().owns(&function.tags)
                && function.state == FunctionState::Active
                && function.listing.configuration.subnets.iter().any(is_in_vpc)
        });
        if let Some(function) = function.filter(|_| live.iter().filter(|(it, ..)| it == vpc).count() == 1) {
            return Err(format!("{endpoint} is to go although {} lives", function.listing.name));
        }
    }
    Ok(())
}

fn look_at_remains(
    operator: &mut Operator,
    world: &aws::World,
    identity: &AppIdentity,
    fresh: &Freshness,
) -> app::Observed {
    let key = NetworkKey { region: identity.region.clone(), vpc: identity.vpc.clone() };
    with_snapshot(operator, world, None, async |snapshot| {
        app::observe_remains(snapshot, identity, &network_identity(&key), fresh).await
    })
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Answered,
    Refused,
    Lost,
}

/// What the API server does.
impl State {
    fn with_app(&mut self, name: &'static str, app: Option<PrivateGenAIApp>) {
        let mut apps = self.objects.apps.clone();
        match app {
            Some(app) => drop(apps.insert(name, Object::new(app))),
            None => drop(apps.remove(name)),
        }
        self.objects = Arc::new(Objects::new(apps, self.objects.networks.clone()));
    }

    fn with_network(&mut self, name: &str, network: Option<PrivateGenAINetwork>) {
        let mut networks = self.objects.networks.clone();
        match network {
            Some(network) => drop(networks.insert(name.to_owned(), Object::new(network))),
            None => drop(networks.remove(name)),
        }
        self.objects = Arc::new(Objects::new(self.objects.apps.clone(), networks));
    }

    /// The app of this object as it is now, if it is there still.
    fn app(&self, object: &Object<PrivateGenAIApp>) -> Option<(&'static str, &Object<PrivateGenAIApp>)> {
        let found = self.objects.apps.iter().find(|(_, now)| uid(now.get()) == uid(object.get()));
        found.map(|(name, now)| (*name, now))
    }

    fn network(&self, object: &Object<PrivateGenAINetwork>) -> Option<&Object<PrivateGenAINetwork>> {
        self.objects.networks.values().find(|now| uid(now.get()) == uid(object.get()))
    }

    fn is_there(&self, object: &Object<PrivateGenAINetwork>) -> bool {
        self.network(object).is_some()
    }

    /// `false`: a conflict, because somebody changed the object meanwhile.
    fn hold_app(&mut self, object: &Object<PrivateGenAIApp>) -> bool {
        if is_held(&object.get().metadata) {
            return true;
        }
        let Some((name, now)) = self.app(object).filter(|(_, now)| now.is(object)) else { return false };
        let mut app = now.get().clone();
        app.finalizers_mut().push(FINALIZER.to_owned());
        self.with_app(name, Some(app));
        true
    }

    fn hold_network(&mut self, object: &Object<PrivateGenAINetwork>) -> bool {
        let Some(now) = self.network(object).filter(|now| now.is(object)) else { return false };
        let mut network = now.get().clone();
        network.finalizers_mut().push(FINALIZER.to_owned());
        self.with_network(&network.name_any(), Some(network));
        true
    }

    fn release_app(&mut self, object: &Object<PrivateGenAIApp>) {
        let Some((name, now)) = self.app(object).filter(|(_, now)| now.is(object)) else { return };
        let mut app = now.get().clone();
        app.finalizers_mut().clear();
        let gone = app.metadata.deletion_timestamp.is_some();
        self.with_app(name, Some(app).filter(|_| !gone));
    }

    fn release_network(&mut self, object: &Object<PrivateGenAINetwork>) {
        let Some(now) = self.network(object).filter(|now| now.is(object)) else { return };
        let mut network = now.get().clone();
        network.finalizers_mut().clear();
        let gone = network.metadata.deletion_timestamp.is_some();
        self.with_network(&object.get().name_any(), Some(network).filter(|_| !gone));
    }

    fn tell_app(&mut self, object: &Object<PrivateGenAIApp>, facts: Facts, legs: &[Leg]) {
        let (before, generation) = (object.get().status.as_ref(), object.get().metadata.generation);
        let after = app::status(before, generation, facts, legs, fixed());
        if before.cloned().map(PrivateGenAIAppStatus::sorted) == Some(after.clone().sorted()) {
            return;
        }
        let Some((name, now)) = self.app(object) else { return };
        let mut app = now.get().clone();
        app.status = Some(after);
        self.with_app(name, Some(app));
    }

    fn tell_network(
        &mut self,
        object: &Object<PrivateGenAINetwork>,
        observed: Option<&network::Observed>,
        legs: &[Leg],
    ) {
        let (before, generation) = (object.get().status.as_ref(), object.get().metadata.generation);
        let account = caller().account;
        let account = observed.map(|_| &account);
        let after = network::status(before, generation, account, observed, legs, fixed());
        if before.cloned().map(PrivateGenAINetworkStatus::sorted) == Some(after.clone().sorted()) {
            return;
        }
        let Some(now) = self.network(object) else { return };
        let mut network = now.get().clone();
        network.status = Some(after);
        self.with_network(&network.name_any(), Some(network));
    }

    fn new_uid(&mut self) -> String {
        self.created += 1;
        format!("uid-{}", self.created)
    }

    /// Somebody, or the operator, creates a network; one that is there already stays.
    pub fn create_network(&mut self, name: &str, key: &NetworkKey, implicit: bool, retain: bool) {
        if self.objects.networks.contains_key(name) {
            return;
        }
        let mut network = PrivateGenAINetwork::new(name, PrivateGenAINetworkSpec::of(key));
        network.spec.deletion_policy = retain.then_some(DeletionPolicy::Retain);
        if implicit {
            network.labels_mut().insert(IMPLICIT_LABEL.to_owned(), "true".to_owned());
        }
        network.metadata.uid = Some(self.new_uid());
        network.metadata.generation = Some(1);
        network.metadata.creation_timestamp = Some(birth(0));
        self.with_network(name, Some(network));
    }

    /// Somebody creates an app.
    pub fn create_app(&mut self, name: &'static str, mut app: PrivateGenAIApp) {
        app.metadata.uid = Some(self.new_uid());
        app.metadata.namespace = Some("team-a".to_owned());
        app.metadata.generation = Some(1);
        app.metadata.creation_timestamp = Some(birth(0));
        self.with_app(name, Some(app));
    }

    /// Somebody changes the spec of an app.
    pub fn edit_app(&mut self, name: &'static str, edit: impl FnOnce(&mut PrivateGenAIApp)) {
        let Some(now) = self.objects.apps.get(name) else { return };
        let mut app = now.get().clone();
        edit(&mut app);
        app.metadata.generation = app.metadata.generation.map(|generation| generation + 1);
        self.with_app(name, Some(app));
    }

    /// Somebody deletes an app.
    pub fn delete_app(&mut self, name: &'static str) {
        let Some(now) = self.objects.apps.get(name) else { return };
        let mut app = now.get().clone();
        let held = !app.finalizers().is_empty();
        app.metadata.deletion_timestamp = Some(Time(fixed()));
        self.with_app(name, Some(app).filter(|_| held));
    }

    /// Somebody, or the operator, deletes a network.
    pub fn delete_network(&mut self, name: &str) {
        let Some(now) = self.objects.networks.get(name) else { return };
        let mut network = now.get().clone();
        let held = !network.finalizers().is_empty();
        network.metadata.deletion_timestamp = Some(Time(fixed()));
        self.with_network(name, Some(network).filter(|_| held));
    }

    fn looked_after(&mut self, number: usize, departed: Departed, pass: &Pass) {
        let empty = pass.error.is_none() && pass.done.is_empty() && pass.plan.legs.is_empty();
        self.operators[number].departures.insert(departed, empty);
    }
}

/// What happens by itself.
impl State {
    /// Lets AWS get on with something.
    pub fn happen(&self, transition: &Transition) -> State {
        let mut next = self.clone();
        let mut world = (*self.world).clone();
        aws_step(&mut world, &aws::Action::Happen(transition.clone())).expect("what is due happens");
        next.world = Arc::new(world);
        next
    }

    /// Whether what AWS shows within a minute is shown, and nobody is in the middle of anything.
    pub fn may_time_pass(&self) -> bool {
        let shown = !self.world.due.keys().any(|it| matches!(it, Transition::Visible(..) | Transition::RoleKnown(..)));
        shown && self.is_quiet() && self.operators.iter().all(|it| it.departures.values().all(|looked| *looked))
    }

    /// Lets time pass: a minute where somebody counts it, else more.
    pub fn time_passes(&self) -> State {
        let mut next = self.clone();
        let counts = |it: &Operator| !it.memory.unseen.is_empty() || !it.memory.refused_tokens.is_empty();
        let time = if self.operators.iter().any(counts) { Duration::from_secs(70) } else { Duration::from_mins(11) };
        for operator in &mut next.operators {
            operator.departures.clear();
            age(&mut operator.memory, time);
        }
        for (name, object) in &self.objects.apps {
            if object.get().metadata.creation_timestamp == Some(birth(0)) {
                let mut app = object.get().clone();
                app.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
                next.with_app(name, Some(app));
            }
        }
        next
    }

    /// Tables are read anew from now on.
    pub fn resync(&self, number: usize, all: bool) -> State {
        let mut next = self.clone();
        let operator = &mut next.operators[number];
        // The topology has its own, slower clock.
        let topology = operator.kept.topology.clone().filter(|_| !all);
        operator.kept = Arc::new(Kept { topology, ..Kept::default() });
        next
    }
}

/// Makes everything in a memory older; what no longer counts is dropped, so that what is equal for all purposes is equal.
fn age(memory: &mut private_genai_operator::controller::Memory, by: Duration) {
    let older = |at: &mut Duration| *at = at.saturating_sub(by);
    let age = |at: &Duration| NOW.saturating_sub(*at);
    memory.unseen.values_mut().for_each(older);
    memory.unseen.retain(|_, at| age(at) < Duration::from_mins(1));
    memory.replaced.values_mut().for_each(older);
    memory.replaced.retain(|_, at| age(at) < Duration::from_mins(5));
    for (first, last) in memory.refused_tokens.values_mut() {
        older(first);
        older(last);
        // Older than it must be makes no difference.
        *first = (*first).max(NOW.saturating_sub(Duration::from_mins(6)));
    }
    memory.refused_tokens.retain(|_, (_, last)| age(last) < Duration::from_mins(5));
    let longest = NOW.saturating_sub(Duration::from_mins(11));
    for at in memory.available.values_mut().flat_map(|available| available.0.values_mut()) {
        *at = at.saturating_sub(by).max(longest);
    }
}

/// What can happen in a state, by the scenario's bounds, and what comes of each.
pub fn successors(scenario: &Scenario, state: &State) -> Vec<(Action, Result<State, Wrong>)> {
    let mut found = Vec::new();
    for number in 0..state.operators.len() {
        let operator = &state.operators[number];
        for worker in operator.runs.keys() {
            let mut go = |action, how, chance: Option<usize>| {
                let mut next = state.clone();
                if let Some(chance) = chance {
                    next.left[chance] -= 1;
                }
                let outcome = scenario.go(&mut next, number, worker, how).map(|()| next);
                found.push((action, outcome));
            };
            go(Action::Go(number, worker.clone()), How::Answered, None);
            if matches!(operator.runs[worker].pass.next(), Next::Write(_)) {
                if let Some(chance) = scenario.chance(state, &Chance::Lost) {
                    go(Action::Lost(number, worker.clone()), How::Lost, Some(chance));
                }
                if let Some(chance) = scenario.chance(state, &Chance::Refused) {
                    go(Action::Refused(number, worker.clone()), How::Refused, Some(chance));
                }
            }
        }
        for worker in workers(state, number) {
            let begun = scenario.begin(state, number, &worker, false).transpose();
            found.extend(begun.map(|next| (Action::Begin(number, worker.clone()), next)));
            if *operator.kept != Kept::default() {
                let begun = scenario.begin(&state.resync(number, false), number, &worker, true).transpose();
                found.extend(begun.map(|next| (Action::Resync(number, worker.clone()), next)));
            }
        }
        if let Some(chance) = scenario.chance(state, &Chance::Crash) {
            let mut next = state.clone();
            next.left[chance] -= 1;
            next.operators[number] = Operator::new();
            found.push((Action::Crash(number), Ok(next)));
        }
    }
    for transition in state.world.due.keys() {
        found.push((Action::Happen(transition.clone()), Ok(state.happen(transition))));
    }
    if state.may_time_pass() {
        found.push((Action::TimePasses, Ok(state.time_passes())));
    }
    for (index, what, next) in scenario.deeds(state) {
        found.push((Action::Chance(index, what), Ok(next)));
    }
    found
}

/// Who could begin a pass.
pub fn workers(state: &State, number: usize) -> BTreeSet<Worker> {
    let operator = &state.operators[number];
    let apps = state.objects.apps.keys().map(|name| Worker::App(name));
    let networks = state.objects.networks.keys().cloned().map(Worker::Network);
    let departed = operator.departures.keys().cloned().map(Worker::After);
    apps.chain(networks).chain(departed).filter(|worker| !operator.runs.contains_key(worker)).collect()
}

/// The settings that all scenarios have.
pub fn settings() -> Settings {
    Settings {
        installation: installation(),
        region: region(),
        allowed_vpcs: vec![wildmatch::WildMatch::new("vpc-*")],
        resync: Duration::from_mins(5),
        concurrency: 1,
    }
}
