//! Plays a history: the real shell between the in-memory Kubernetes and the in-memory AWS, and what must hold meanwhile
//! and in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use private_genai_operator::{
    aws::{Ec2Write, EndpointState, SecurityGroup, SubnetId, VpcId, Write, Written},
    identity::{TAG_OWNER, TAG_RETAINED},
};
use serde_json::{Value, json};
use tokio::task::{LocalSet, yield_now};

use super::{
    history::{APPS, Action, AppSpec, AwsFault, History, KubernetesFault, MODELS, NETWORKS},
    witness::Witness,
};
use crate::{
    memory::{
        asked::{is_as_asked, opens_no_more},
        aws::{self, ByHand, Delays, Drift, Fault, Route, VpcShape, by_hand::copy_of, drifts},
        judge::{live_endpoints, not_ours},
        kubernetes::{self, Verb},
        somebody_else::install_somebody_else,
    },
    scene::{RESYNC, Scene, app, condition, explicit_network, network},
};

/// After so long without faults everything is as it should be, whatever AWS takes for its own part.
const SETTLED: Duration = Duration::from_hours(2);

/// Within this time there are two resyncs, and some more time for what follows from them.
const A_LOOK: Duration = Duration::from_secs(2 * RESYNC.as_secs() + 30);

/// The value of a variable that must not be seen anywhere.
const SECRET: &str = "correct-horse-battery-staple";

/// Plays a history on a clock of its own. Gives how many writes AWS carried out.
///
/// # Errors
/// What does not hold.
pub fn play(history: &History) -> Result<u64, String> {
    // What backs off in kube does so by this.
    fastrand::seed(history.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    LocalSet::new().block_on(&runtime, async {
        let mut player = Player::new(history);
        let outcome = player.play(history).await;
        if player.running {
            player.scene.kill().await;
        }
        outcome.map(|()| player.witness.writes())
    })
}

struct Player {
    scene: Scene,
    vpcs: Vec<(VpcId, Vec<SubnetId>)>,
    witness: Witness,
    running: bool,
    /// The subnets of apps that are there: these cannot be changed.
    subnets: BTreeMap<&'static str, Vec<usize>>,
    slowest: Duration,
    /// Something was to be retained at some time.
    retained: bool,
}

fn by_hand(deed: ByHand) -> aws::Action {
    aws::Action::ByHand(Scene::region(), deed)
}

impl Player {
    fn new(history: &History) -> Self {
        let mut scene = Scene::new(Delays::default());
        let shapes =
            [VpcShape::default(), VpcShape { zones: "abc", route: Route::Nat, ipv6: true, ..VpcShape::default() }];
        let vpcs: Vec<_> = shapes.iter().map(|shape| scene.vpc(shape)).collect();
        for (vpc, subnets) in &vpcs {
            install_somebody_else(vpc, subnets, |write| {
                scene.aws.act(&aws::Action::Write(Scene::region(), write)).expect("AWS lets it happen")
            });
        }
        // Half of the histories are those of an operator that was told a permissions boundary.
        if history.seed.is_multiple_of(2) {
            scene = scene.bound();
        }
        let witness = Witness::default();
        witness.watch(&scene.aws);
        let mut player = Self {
            scene,
            vpcs,
            witness,
            running: false,
            subnets: BTreeMap::new(),
            slowest: Duration::ZERO,
            retained: false,
        };
        player.set_delays(history.delays);
        player
    }

    async fn play(&mut self, history: &History) -> Result<(), String> {
        let foreign = not_ours(&self.scene.aws.world());
        for (at, action) in history.actions.iter().enumerate() {
            self.act(action).await;
            self.check().map_err(|wrong| format!("at action {at}, {action:?}: {wrong}"))?;
        }
        self.heal();
        self.settle().await?;
        self.delete_everything().await?;
        let now = not_ours(&self.scene.aws.world());
        if foreign != now {
            return Err(format!("what is not ours changed from\n{foreign:#?}\nto\n{now:#?}"));
        }
        Ok(())
    }

    /// Waits until everything is as it should be and nobody writes any more, for as long as that may take.
    async fn settle(&mut self) -> Result<(), String> {
        let mut waited = Duration::ZERO;
        loop {
            self.scene.forget();
            tokio::time::sleep(A_LOOK).await;
            waited += A_LOOK;
            self.check().map_err(|wrong| format!("while all settled: {wrong}"))?;
            let wrong = match self.check_settled().and_then(|()| self.check_rest()) {
                Ok(()) => return Ok(()),
                Err(wrong) => wrong,
            };
            if waited > SETTLED + 2 * self.slowest {
                return Err(format!("after {waited:?} without faults: {wrong}"));
            }
        }
    }

    async fn act(&mut self, action: &Action) {
        let (kubernetes, aws) = (self.scene.kubernetes.clone(), self.scene.aws.clone());
        match action {
            Action::Pass(time) => tokio::time::sleep(*time).await,
            Action::Jump(time) => tokio::time::advance(*time).await,
            Action::Apply { app, spec } => self.apply(app, spec),
            Action::Delete { app: name } => self.delete(&app(name)),
            Action::DeleteNamespace => self.delete("namespaces/team-a"),
            Action::ApplyNetwork { network, retain } => {
                self.retained |= retain;
                self.apply_network(network, *retain);
            }
            Action::DeleteNetwork { network } => self.delete(&format!("privategenainetworks/{network}")),
            Action::DeleteImplicit { vpc } => self.delete(&network(&self.vpcs[*vpc].0)),
            Action::Touch { app: name } => {
                if let Some(object) = kubernetes.get(&app(name)) {
                    let version = object["metadata"]["resourceVersion"].clone();
                    kubernetes.edit(&app(name), |object| object["metadata"]["annotations"] = json!({"look": version}));
                }
            }
            Action::WipeStatus => {
                for (path, _) in self.objects() {
                    kubernetes.edit_status(&path, |status| *status = json!({}));
                }
            }
            Action::Drift { name, pick } => self.drift(name, *pick),
            Action::CopyEndpoint { pick } => self.copy_endpoint(*pick),
            Action::EndpointFails { pick } => {
                if let Some((_, _, endpoint)) = self.pick_endpoint(*pick) {
                    let (state, last_error) = (EndpointState::Failed, Some("InternalError: it broke".to_owned()));
                    drop(aws.act(&by_hand(ByHand::SetEndpointState { endpoint, state, last_error })));
                }
            }
            Action::Close { vpc, closed } => self.close(*vpc, *closed),
            Action::Mark { vpc, another } => self.mark(*vpc, *another),
            Action::Delays(delays) => self.set_delays(*delays),
            Action::AwsFails { operation, fault, times } => {
                let fault = match fault {
                    AwsFault::Throttled => Fault::throttled(),
                    AwsFault::Unavailable => Fault::unavailable(),
                    AwsFault::Unreachable => Fault::unreachable(),
                    AwsFault::AnswerLost => Fault::answer_lost(),
                    AwsFault::AccessDenied => Fault::access_denied(),
                    AwsFault::Malformed => Fault::malformed(),
                };
                aws.fail_next(operation, fault.times(*times));
            }
            Action::AwsRecovers => aws.clear_faults(),
            Action::KubernetesFails { fault, times } => {
                let fault = match fault {
                    KubernetesFault::Conflict => kubernetes::Fault::answer(409).on_writes(),
                    KubernetesFault::TooManyRequests => kubernetes::Fault::answer(429),
                    KubernetesFault::Unavailable => kubernetes::Fault::answer(503),
                    KubernetesFault::WriteAnswerLost => kubernetes::Fault::disconnect().on_writes().after_the_work(),
                    KubernetesFault::StatusAnswerLost => {
                        kubernetes::Fault::disconnect().on(Verb::Patch).on_status().after_the_work()
                    }
                    KubernetesFault::Slow(by) => kubernetes::Fault::delay(*by),
                };
                kubernetes.inject(fault.times(*times));
            }
            Action::KubernetesRecovers => kubernetes.clear_faults(),
            Action::BreakWatches { history_forgotten } => {
                if *history_forgotten {
                    kubernetes.forget_history();
                }
                kubernetes.break_watches();
            }
            Action::HoldWatches => kubernetes.hold_watches(),
            Action::ReleaseWatches => kubernetes.release_watches(),
            Action::Kill { after } => {
                for _ in 0..*after {
                    yield_now().await;
                }
                if std::mem::take(&mut self.running) {
                    self.scene.kill().await;
                }
            }
            Action::Stop => {
                if std::mem::take(&mut self.running) {
                    self.scene.stop().await;
                }
            }
            Action::Start => self.start(),
        }
    }

    fn start(&mut self) {
        if !self.running {
            self.scene.start();
            self.running = true;
        }
    }

    fn set_delays(&mut self, delays: Delays) {
        let Delays { endpoint_deleted, endpoint_forgotten, interfaces_released, .. } = delays;
        let slowest = endpoint_deleted.max(endpoint_forgotten).max(interfaces_released);
        self.slowest = self.slowest.max(Duration::from_secs(slowest));
        self.scene.aws.act(&by_hand(ByHand::SetDelays(delays))).expect("AWS takes the time that it takes");
    }

    fn close(&self, vpc: usize, closed: bool) {
        let vpc = self.vpcs[vpc].0.clone();
        drop(self.scene.aws.act(&by_hand(ByHand::CloseNetwork { vpc, closed })));
    }

    /// Marks the groups that our network has in a VPC.
    fn mark(&self, vpc: usize, another: bool) {
        let (world, vpc) = (self.scene.aws.world(), &self.vpcs[vpc].0);
        let owner = if another { "another-cluster".to_owned() } else { self.scene.owner.to_string() };
        let ours = |group: &&SecurityGroup| group.vpc == *vpc && Scene::installation().owns(&group.tags);
        for group in world.regions[&Scene::region()].groups.values().filter(ours) {
            let tags = [(TAG_OWNER.to_owned(), owner.clone())].into();
            let write = Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags });
            drop(self.scene.aws.act(&aws::Action::Write(Scene::region(), write)));
        }
    }

    /// Deletes an object if it is there.
    fn delete(&self, path: &str) {
        if self.scene.kubernetes.get(path).is_some() {
            self.scene.kubernetes.delete(path);
        }
    }

    fn apply(&mut self, name: &'static str, spec: &AppSpec) {
        self.retained |= spec.retain;
        let (_, vpc) = APPS.into_iter().find(|(it, _)| *it == name).expect("an app of the list");
        if self.scene.kubernetes.get(&app(name)).is_none() {
            self.subnets.insert(name, spec.subnets.clone());
        }
        let (vpc, all) = &self.vpcs[vpc];
        let models: Vec<&str> = spec.models.iter().map(|model| MODELS[*model]).collect();
        let mut network = json!({"vpcId": vpc.as_str()});
        if let Some(subnets) = self
            .subnets
            .get(name)
            .filter(|chosen| !chosen.is_empty() && chosen.iter().all(|subnet| *subnet < all.len()))
        {
            network["subnetIds"] = subnets.iter().map(|subnet| json!(all[*subnet].as_str())).collect();
        }
        let mut function = json!({});
        if let Some(memory) = spec.memory_mib {
            function["memoryMiB"] = json!(memory);
        }
        if let Some(days) = spec.retention_days {
            function["logging"] = json!({"retentionDays": days});
        }
        if spec.secret {
            function["environment"] = json!({"PASSWORD": SECRET});
        }
        let mut written = json!({"network": network, "models": models, "function": function, "suspend": spec.suspend});
        if let Some(seconds) = spec.interval_seconds {
            written["healthCheck"] = json!({"intervalSeconds": seconds});
        }
        written["deletionPolicy"] = json!(if spec.retain { "Retain" } else { "Delete" });
        let object = json!({
            "apiVersion": "privategenai.dev/v1alpha1",
            "kind": "PrivateGenAIApp",
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": written,
        });
        // A namespace that is going takes nothing new.
        drop(self.scene.kubernetes.try_apply(object));
    }

    fn apply_network(&self, name: &str, retain: bool) {
        let (_, vpc) = NETWORKS.into_iter().find(|(it, _)| *it == name).expect("a network of the list");
        let mut network = explicit_network(name, &self.vpcs[vpc].0);
        network["spec"]["deletionPolicy"] = json!(if retain { "Retain" } else { "Delete" });
        self.scene.kubernetes.apply(network);
    }

    fn drift(&self, name: &str, pick: usize) {
        let world = self.scene.aws.world();
        let mut possible = drifts(&world, &Scene::installation());
        // A retained app is known by its role, and nobody is left who could put it back.
        let retained = |action: &aws::Action| match action {
            aws::Action::ByHand(_, ByHand::DeleteRole(role)) => {
                world.roles.get(role).is_some_and(|record| record.role.tags.contains_key(TAG_RETAINED))
            }
            _ => false,
        };
        possible.retain(|drift| drift.name == name && !retained(&drift.action));
        if possible.is_empty() {
            return;
        }
        let Drift { action, .. } = possible.swap_remove(pick % possible.len());
        if let aws::Action::Write(_, Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, .. })) = &action {
            self.witness.opened(group.clone());
        }
        drop(self.scene.aws.act(&action));
    }

    fn pick_endpoint(&self, pick: usize) -> Option<(VpcId, String, private_genai_operator::aws::VpcEndpointId)> {
        let world = self.scene.aws.world();
        let mut live = live_endpoints(world.regions.get(&Scene::region())?);
        (!live.is_empty()).then(|| live.swap_remove(pick % live.len()))
    }

    fn copy_endpoint(&self, pick: usize) {
        let Some((_, _, id)) = self.pick_endpoint(pick) else { return };
        let endpoint = self.scene.aws.world().regions[&Scene::region()].endpoints[&id].clone();
        let Some(copy) = copy_of(endpoint, format!("copy {pick} of {id}")) else { return };
        let made =
            self.scene.aws.act(&aws::Action::Write(Scene::region(), Write::Ec2(Ec2Write::CreateVpcEndpoint(copy))));
        if let Ok(Written::VpcEndpoint(id, _)) = made {
            self.witness.copied(id);
        }
    }

    /// Faults end, and the operator runs.
    fn heal(&mut self) {
        self.scene.aws.clear_faults();
        self.scene.kubernetes.clear_faults();
        self.scene.kubernetes.release_watches();
        for vpc in 0..self.vpcs.len() {
            self.close(vpc, false);
            // The other cluster is gone, and its networks are taken over.
            self.mark(vpc, false);
        }
        self.start();
    }

    /// Apps and networks, each with its path.
    fn objects(&self) -> Vec<(String, Value)> {
        let apps = self.scene.kubernetes.list(kubernetes::APPS);
        let apps =
            apps.into_iter().map(|object| (app(object["metadata"]["name"].as_str().unwrap_or_default()), object));
        let networks = self.scene.kubernetes.list(kubernetes::NETWORKS);
        let path = |it: &Value| format!("privategenainetworks/{}", it["metadata"]["name"].as_str().unwrap_or_default());
        let mut all: Vec<_> = apps.chain(networks.into_iter().map(|object| (path(&object), object))).collect();
        for (_, object) in &mut all {
            // Nobody reads it, and it is long.
            object["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
        }
        all
    }

    /// What holds at any time.
    fn check(&self) -> Result<(), String> {
        self.witness.verdict()?;
        self.check_secrets()
    }

    /// No status that there is now and no Event that there ever was tells a secret. (Events are never deleted here.)
    fn check_secrets(&self) -> Result<(), String> {
        let statuses = self.objects().into_iter().map(|(path, object)| (path, object["status"].to_string()));
        let events = self.scene.kubernetes.list(kubernetes::EVENTS).into_iter();
        for (path, text) in statuses.chain(events.map(|event| ("an Event".to_owned(), event.to_string()))) {
            if text.contains(SECRET) {
                return Err(format!("{path} tells a secret: {text}"));
            }
        }
        Ok(())
    }

    /// What holds once everything had its time.
    fn check_settled(&self) -> Result<(), String> {
        let world = self.scene.aws.world();
        let live = live_endpoints(&world.regions[&Scene::region()]);
        let distinct: BTreeSet<_> = live.iter().map(|(vpc, service, _)| (vpc, service)).collect();
        if distinct.len() < live.len() {
            return Err(format!("more than one endpoint: {live:?}"));
        }
        for (path, object) in self.objects() {
            let (status, reason, _) = condition(&object, "Ready");
            let deleting = object["metadata"]["deletionTimestamp"].is_string();
            let implicit_or_explicit_loses = condition(&object, "Accepted").1 == "VpcConflict";
            // Held, because apps use it or functions were retained on it: it says so.
            let kept = condition(&object, "Accepted").1 == "InUse";
            let as_wanted = status == "True" || object["spec"]["suspend"] == true;
            let fine = if deleting { kept } else { as_wanted || kept || implicit_or_explicit_loses };
            if !fine {
                return Err(format!("{path} is {status} {reason}, deleting: {deleting}: {object:#}"));
            }
            if object["kind"] == "PrivateGenAIApp" && !deleting && object["spec"]["suspend"] != true {
                is_as_asked(&object, &world).map_err(|wrong| format!("{path}: {wrong}"))?;
            }
        }
        let list = |kind| self.scene.kubernetes.list(kind);
        opens_no_more(&list(kubernetes::APPS), &list(kubernetes::NETWORKS), &world)
    }

    fn check_rest(&self) -> Result<(), String> {
        let writes: Vec<_> = self.scene.aws.take_journal().into_iter().filter(|call| call.write).collect();
        let journal = self.scene.kubernetes.take_journal();
        let (written, events) = (journal.writes(), journal.events());
        if writes.is_empty() && written.is_empty() && events.is_empty() {
            return Ok(());
        }
        Err(format!("written to AWS: {writes:?}; to Kubernetes:\n{written}{events}"))
    }

    async fn delete_everything(&mut self) -> Result<(), String> {
        // What was retained comes back under its name, to be deleted: the remedy that the messages tell.
        if self.retained {
            for (name, _) in APPS {
                self.apply(name, &AppSpec { models: vec![0], ..AppSpec::default() });
            }
            for (_, object) in self.objects() {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                if NETWORKS.iter().any(|(it, _)| *it == name) {
                    self.apply_network(name, false);
                }
            }
            self.settle().await.map_err(|wrong| format!("once what was retained is back: {wrong}"))?;
        }
        for (path, object) in self.objects() {
            if !object["metadata"]["labels"]["privategenai.dev/implicit"].is_string() {
                self.delete(&path);
            }
        }
        let mut waited = Duration::ZERO;
        loop {
            tokio::time::sleep(A_LOOK).await;
            waited += A_LOOK;
            self.check().map_err(|wrong| format!("while all was deleted: {wrong}"))?;
            match self.check_gone() {
                Err(wrong) if waited > SETTLED + 2 * self.slowest => {
                    return Err(format!("{waited:?} after all was deleted: {wrong}"));
                }
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }

    fn check_gone(&self) -> Result<(), String> {
        if let Some((path, object)) = self.objects().into_iter().next() {
            return Err(format!("{path} still is there: {object:#}"));
        }
        let left = self.scene.aws.leftovers(&Scene::installation());
        if left.is_empty() { Ok(()) } else { Err(format!("left in AWS: {left:#?}")) }
    }
}
