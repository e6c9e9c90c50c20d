//! A cluster, an account, and the operator between them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use private_genai_operator::{
    aws::{Region, SubnetId, VpcId},
    function,
    governance::Governance,
    guard::{Globs, ImplicitNetworks},
    identity::{InstallationId, OwnerMark},
    leadership::Leadership,
    metrics::Metrics,
    operator,
    server::Readiness,
    settings::Settings,
};
use serde_json::{Value, json};
use tokio::{
    task::{JoinHandle, LocalSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::memory::{
    aws::{Action, ByHand, CallRecord, Delays, MemoryAws, VpcShape, boundary},
    judge,
    kubernetes::{APPS, ApiServer, NETWORKS, Rules},
};

/// The model that apps of these tests call.
pub const MODEL: &str = "amazon.nova-lite-v1:0";

/// How often the operator looks at AWS although nothing happened.
pub const RESYNC: Duration = Duration::from_mins(5);

/// As long as any of these tests may take, in virtual time.
pub const LONG: Duration = Duration::from_hours(1);

pub struct Scene {
    pub kubernetes: ApiServer,
    pub aws: MemoryAws,
    /// Of every operator that runs in the scene.
    pub metrics: Arc<Metrics>,
    /// Of the operator that was started last.
    pub ready: Arc<Readiness>,
    operator: Option<(JoinHandle<()>, CancellationToken)>,
    /// Where an operator that is started lets apps and networks be.
    pub regions: Globs<Region>,
    /// What an operator that is started lets apps ask for.
    pub allowed: ImplicitNetworks,
    /// How often an operator of the scene looks at AWS although nothing happened.
    pub resync: Duration,
    /// What an operator of the scene is told to give everything.
    pub governance: Governance,
    /// The installation id that an operator of the scene is given.
    pub id: InstallationId,
    /// The cluster.
    pub owner: OwnerMark,
}

impl Scene {
    /// An empty cluster and account. The operator does not run yet.
    pub fn new(delays: Delays) -> Self {
        let pending = json!({"conditions": [{
            "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator.",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }]});
        let rules = Rules::default().default_status(APPS, pending.clone()).default_status(NETWORKS, pending);
        Self {
            kubernetes: ApiServer::new(rules),
            aws: MemoryAws::new(&"123456789012".parse().expect("an account"), delays).paced(),
            metrics: Arc::default(),
            ready: Arc::default(),
            operator: None,
            regions: Globs::only(&Self::region()),
            allowed: ImplicitNetworks::in_vpcs(Globs::all()),
            resync: RESYNC,
            governance: Governance::default(),
            id: judge::installation(),
            owner: judge::owner(),
        }
    }

    /// Another cluster, whose operator works in the same account.
    pub fn beside(&self) -> Self {
        let another = Self::new(Delays::default());
        Self { aws: self.aws.seen_by("beside"), owner: "another-cluster".parse().expect("a mark"), ..another }
    }

    /// The same with an operator that is told to put roles under the permissions boundary, and may write to no other role.
    pub fn bound(self) -> Self {
        self.aws.act(&Action::ByHand(Self::region(), ByHand::DemandBoundary(boundary()))).expect("AWS lets it happen");
        Self { governance: Governance { permissions_boundary: Some(boundary()), ..self.governance.clone() }, ..self }
    }

    /// A running operator, and an app that is ready, in a VPC of its own.
    pub async fn with_app(name: &str, delays: Delays) -> (Self, VpcId) {
        Self::new(delays).and_app(name).await
    }

    /// The same where the scene is prepared already.
    pub async fn and_app(self, name: &str) -> (Self, VpcId) {
        let mut scene = self;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app(name, &vpc);
        scene.until_ready(name).await;
        (scene, vpc)
    }

    pub fn region() -> Region {
        judge::region()
    }

    pub fn installation() -> InstallationId {
        judge::installation()
    }

    pub fn vpc(&self, shape: &VpcShape) -> (VpcId, Vec<SubnetId>) {
        self.aws.add_vpc(&Self::region(), shape)
    }

    /// What an operator of the scene is told.
    pub fn settings(&self) -> Settings {
        Settings {
            installation: self.id.clone(),
            owner: self.owner.clone(),
            region: Self::region(),
            regions: self.regions.clone(),
            implicit_networks: self.allowed.clone(),
            resync: self.resync,
            concurrency: 32,
            governance: self.governance.clone(),
            handler: function::built_in().expect("a package"),
            clock: now,
        }
    }

    /// Starts the operator, as a new process would.
    pub fn start(&mut self) {
        let stop = CancellationToken::new();
        self.ready = Arc::default();
        let settings = self.settings();
        let run = operator::run(
            self.kubernetes.client(),
            Arc::new(self.aws.clone()),
            settings,
            Arc::clone(&self.metrics),
            Leadership::always(),
            Arc::clone(&self.ready),
            stop.clone(),
        );
        self.operator = Some((tokio::task::spawn_local(run), stop));
    }

    /// Stops it in order, and waits until nothing is under way.
    pub async fn stop(&mut self) {
        let (operator, stop) = self.operator.take().expect("the operator runs");
        stop.cancel();
        tokio::time::timeout(LONG, operator).await.expect("the operator ends").expect("the operator does not panic");
    }

    /// Kills it, wherever it is.
    pub async fn kill(&mut self) {
        let (operator, _) = self.operator.take().expect("the operator runs");
        operator.abort();
        drop(operator.await);
    }

    /// Somebody deletes all roles of the installation; the operator does not know of it before the next resync.
    pub fn delete_roles(&self) {
        for role in self.aws.world().roles.keys().cloned() {
            self.aws.act(&Action::ByHand(Self::region(), ByHand::DeleteRole(role))).expect("AWS lets it happen");
        }
    }

    /// Applies the three-line app.
    pub fn apply_app(&self, name: &str, vpc: &VpcId) {
        self.apply(name, json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL]}));
    }

    /// Applies an app with this spec.
    pub fn apply(&self, name: &str, spec: impl Into<Value>) {
        self.kubernetes.apply(json!({
            "apiVersion": "privategenai.dev/v1alpha1",
            "kind": "PrivateGenAIApp",
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": spec.into(),
        }));
    }

    pub async fn until_ready(&self, name: &str) -> Value {
        self.kubernetes.until(&app(name), LONG, |app| condition(app, "Ready").0 == "True").await
    }

    /// Waits until `Ready` is false for this reason; gives the message.
    pub async fn until_refused(&self, name: &str, reason: &str) -> String {
        let object = self.kubernetes.until(&app(name), LONG, |app| condition(app, "Ready").1 == reason).await;
        assert_eq!(condition(&object, "Ready").0, "False");
        assert_eq!(condition(&object, "Stalled").0, "True", "somebody must act: {object:#}");
        condition(&object, "Ready").2
    }

    pub async fn until_gone(&self, name: &str) {
        self.kubernetes.until_gone(&app(name), LONG).await;
    }

    /// Waits until the implicit network of a VPC is gone.
    pub async fn until_network_gone(&self, vpc: &VpcId) {
        self.kubernetes.until_gone(&network(vpc), LONG).await;
    }

    /// Waits until an app and the implicit network of its VPC are gone; then nothing of ours is in AWS.
    pub async fn until_nothing_is_left(&self, name: &str, vpc: &VpcId) {
        self.until_gone(name).await;
        self.until_network_gone(vpc).await;
        self.assert_aws_is_empty();
    }

    /// Lets this much virtual time pass.
    pub async fn pass(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            tokio::time::advance(Duration::from_secs(1)).await;
            // Whoever was woken by the clock gets its turn.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// What was asked of AWS since the last time, and of Kubernetes: forgets both.
    pub fn forget(&self) {
        self.aws.take_journal();
        self.kubernetes.take_journal();
    }

    /// Nothing in AWS carries our tags or names.
    #[track_caller]
    pub fn assert_aws_is_empty(&self) {
        assert_eq!(self.aws.leftovers(&Self::installation()), Vec::<String>::new());
    }
}

/// The time that conditions tell: it goes on with the virtual clock of the test's thread, whoever starts another operator.
pub fn now() -> Timestamp {
    thread_local! {
        static BEGAN: (Timestamp, Instant) = (Timestamp::now(), Instant::now());
    }
    BEGAN.with(|(time, instant)| *time + instant.elapsed())
}

/// Runs a test with tasks that need not be `Send`.
pub async fn scene<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

pub fn app(name: &str) -> String {
    format!("privategenaiapps/team-a/{name}")
}

/// Somebody asks for a look at an app.
pub fn touch(scene: &Scene, name: &str) {
    scene.kubernetes.edit(&app(name), |object| object["metadata"]["annotations"] = json!({"look": "now"}));
}

pub fn network(vpc: &VpcId) -> String {
    format!("privategenainetworks/{vpc}-us-east-1")
}

/// Status, reason and message of a condition; empty where there is none.
pub fn condition(object: &Value, kind: &str) -> (String, String, String) {
    let condition = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .cloned()
        .unwrap_or_default();
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// The names of calls, in order.
pub fn names(calls: &[CallRecord]) -> Vec<String> {
    calls.iter().map(CallRecord::name).collect()
}

/// The names of the writes among them.
pub fn writes(calls: &[CallRecord]) -> Vec<String> {
    names(&calls.iter().filter(|call| call.write).cloned().collect::<Vec<_>>())
}

/// The names of the reads among them.
pub fn reads(calls: &[CallRecord]) -> Vec<String> {
    names(&calls.iter().filter(|call| !call.write).cloned().collect::<Vec<_>>())
}

/// Each of these calls was made at most so often, and no other was made: fewer reads are no loss, more are.
#[track_caller]
pub fn assert_at_most<'a>(calls: &[String], bounds: impl IntoIterator<Item = (&'a str, usize)>) {
    let bounds: BTreeMap<&str, usize> = bounds.into_iter().collect();
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *made.entry(call).or_default() += 1;
    }
    let bound = |call: &str| bounds.get(call).copied().unwrap_or_default();
    let beyond: Vec<_> = made.iter().filter(|(call, count)| **count > bound(call)).collect();
    assert!(beyond.is_empty(), "more often than {bounds:?}: {beyond:?}");
}

/// A network that a platform team writes for a VPC.
pub fn explicit_network(name: &str, vpc: &VpcId) -> Value {
    json!({
        "apiVersion": "privategenai.dev/v1alpha1",
        "kind": "PrivateGenAINetwork",
        "metadata": {"name": name},
        "spec": {"vpcId": vpc.as_str(), "region": "us-east-1"},
    })
}
