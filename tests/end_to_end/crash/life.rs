//! One life: create, change, delete, with a kill in each phase, or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use private_genai_operator::{aws::VpcId, engine::owner_mark, identity::AppIdentity};
use serde_json::{Value, json};

use super::{
    call::Call,
    phase::Phase,
    point::Point,
    proxy::Proxy,
    site::{NAMESPACE, Site},
};
use crate::{
    figures, resources,
    stack::{Operator, eventually},
};

/// As long as a phase may take, restarts and all; and the minute for which an app that is deleted young is kept.
const DEADLINE: Duration = Duration::from_secs(150);
/// A phase is over when nothing was written for so long: what is told late, such as Events, is told in its own phase.
const QUIET: Duration = Duration::from_millis(150);
/// The same where nothing says what the end is to be.
const QUIET_UNKNOWN: Duration = Duration::from_secs(1);

/// What there may be of each kind at any time.
const MOST: [(&str, usize); 5] =
    [("endpoints", 1), ("securityGroups", 2), ("functions", 2), ("roles", 2), ("logGroups", 2)];

/// What there is at the end of each phase, without what differs from life to life.
pub type Record = BTreeMap<Phase, BTreeSet<String>>;

/// What came of a life.
#[derive(Default)]
pub struct Outcome {
    pub record: Record,
    pub calls: Vec<Call>,
    /// The points at which the operator was killed.
    pub reached: BTreeSet<Point>,
    pub restarts: usize,
    pub stale_answers: usize,
    /// The phase that did not end as it should, and how.
    pub lost: Option<(Phase, String)>,
}

/// A life under way.
pub struct Life<'a> {
    pub site: &'a Site,
    pub vpc: VpcId,
    pub proxy: Arc<Proxy>,
    operator: Option<Operator>,
    logs: Vec<PathBuf>,
    before: BTreeSet<String>,
    restarts: usize,
    /// The app that is regretted is deleted.
    regretted: bool,
}

impl<'a> Life<'a> {
    /// Leads a life in which the operator is killed where the plan says, and which is to end in each phase as was expected.
    pub async fn lead(site: &'a Site, plan: &BTreeMap<Phase, Point>, expected: Option<&Record>) -> Outcome {
        let mut life = Self::begin(site).await;
        let mut outcome = Outcome::default();
        let last = plan.keys().last().copied().unwrap_or(Phase::Delete);
        // What comes after the last kill is known from other lives; and each ends.
        let is_lived = |phase: Phase| match phase {
            Phase::Regret => plan.is_empty() || plan.contains_key(&phase),
            Phase::Delete => true,
            _ => phase <= last,
        };
        for phase in Phase::ALL.into_iter().filter(|phase| is_lived(*phase)) {
            life.proxy.begin(phase.name(), plan.get(&phase).cloned());
            if life.operator.is_none() {
                life.start().await;
            }
            phase.act(&life).await;
            let known = expected.map(|record| &record[&phase]).filter(|_| phase != Phase::Regret);
            // What somebody changed by hand is as it was before.
            let known = known.or(outcome.record.get(&Phase::Edit).filter(|_| phase.repairs()));
            let mut ended = life.settle(phase, known).await;
            if life.proxy.reached() {
                outcome.reached.extend(plan.get(&phase).cloned());
            }
            if phase == Phase::Regret && !life.regretted && ended.is_ok() {
                // Nobody was killed. What is asked now is asked again at the end of the life, and is no point here.
                life.proxy.begin("forget", None);
                life.regret().await;
                ended = life.settle(phase, None).await;
            }
            match ended {
                Ok(found) => outcome.record.insert(phase, found),
                Err(how) => {
                    outcome.lost = Some((phase, how));
                    break;
                }
            };
        }
        if let Some(operator) = life.operator.take() {
            life.proxy.shut();
            operator.kill().await;
        }
        if let Some((phase, _)) = &outcome.lost {
            life.keep_logs(*phase);
        }
        outcome.calls = life.proxy.calls();
        (outcome.restarts, outcome.stale_answers) = (life.restarts, life.proxy.stale_answers());
        outcome
    }

    async fn begin(site: &'a Site) -> Self {
        let (vpc, subnets) = site.stack.vpc(json!({"azs": ["a", "b"], "route": site.route})).await;
        let proxy = Proxy::new(&site.stack.aws, site.client.clone(), &MOST);
        // Where one may be as good as the other, their order by id differs from life to life.
        proxy.learn_all(&subnets, "subnet");
        proxy.learn(&vpc, "vpc");
        let cluster = owner_mark(&site.client).await.expect("the mark of the cluster");
        proxy.learn(&cluster.to_string(), "cluster");
        let vpc: VpcId = vpc.parse().expect("a VPC id");
        let before = site.account().await;
        let life = Self { site, vpc, proxy, operator: None, logs: Vec::new(), before, restarts: 0, regretted: false };
        for name in ["first", "second", "regretted"] {
            life.proxy.learn(life.identity(name).function_name().as_str(), name);
        }
        life
    }

    /// Who an app is in AWS.
    pub fn identity(&self, name: &str) -> AppIdentity {
        AppIdentity {
            installation: self.site.installation.clone(),
            region: self.site.region.clone(),
            vpc: self.vpc.clone(),
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Keeps what the operators of a life that was lost have logged.
    fn keep_logs(&self, phase: Phase) {
        let folder = figures::results().join("crash");
        std::fs::create_dir_all(&folder).expect("a folder");
        let all: String = self.logs.iter().map(|log| std::fs::read_to_string(log).expect("a log")).collect();
        std::fs::write(folder.join(format!("{}-{}.log", self.vpc, phase.name())), all).expect("a log is kept");
    }

    async fn regret(&mut self) {
        self.regretted = true;
        self.site.delete("regretted").await;
    }

    async fn start(&mut self) {
        self.site.let_the_lease_run_out().await;
        let url = self.proxy.open().await;
        let arguments =
            ["--permissions-boundary-arn", self.site.boundary.as_str(), "--tags", "team=ai,cost center=a/b:4711"];
        let operator = self.site.stack.operator_through(&url, "crash", &arguments);
        self.logs.push(operator.log.clone());
        self.operator = Some(operator);
    }

    /// The operator is dead as far as anybody can tell: it is killed, and another one started.
    async fn restart(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.kill().await;
        }
        eventually("what was under way is over", async || self.proxy.is_idle().then_some(())).await;
        self.restarts += 1;
        self.start().await;
    }

    /// Waits until a phase is over; gives what there is then.
    async fn settle(&mut self, phase: Phase, known: Option<&BTreeSet<String>>) -> Result<BTreeSet<String>, String> {
        let quiet = if known.is_some() { QUIET } else { QUIET_UNKNOWN };
        let began = Instant::now();
        let proxy = Arc::clone(&self.proxy);
        loop {
            tokio::select! {
                () = proxy.crashed() => {
                    if phase == Phase::Regret {
                        self.regret().await;
                    }
                    self.restart().await;
                }
                () = tokio::time::sleep(Duration::from_millis(60)) => {}
            }
            let amiss = proxy.amiss();
            if !amiss.is_empty() {
                return Err(amiss.join("; "));
            }
            let why = if proxy.quiet_for(quiet) {
                match self.ended(phase, known).await {
                    Ok(found) if proxy.quiet_for(quiet) => return Ok(found),
                    Ok(_) => "it goes on writing".to_owned(),
                    Err(why) => why,
                }
            } else {
                "it goes on writing".to_owned()
            };
            if began.elapsed() > DEADLINE {
                return Err(format!("not so after {DEADLINE:?}: {why}"));
            }
        }
    }

    async fn ended(&self, phase: Phase, known: Option<&BTreeSet<String>>) -> Result<BTreeSet<String>, String> {
        let objects = self.site.objects().await;
        let apps = objects.iter().filter(|object| object["kind"] == "PrivateGenAIApp");
        let there: Vec<&str> = apps.filter_map(|app| app["metadata"]["name"].as_str()).collect();
        let gone = phase == Phase::Delete || (phase == Phase::Regret && self.regretted);
        if there != if gone { &[][..] } else { phase.apps() } {
            return Err(format!("there are the apps {there:?}: {}", statuses(&objects)));
        }
        if let Some(object) = objects.iter().find(|object| !is_at_rest(object, phase)) {
            return Err(format!("not at rest: {}", statuses(std::slice::from_ref(object))));
        }
        if gone {
            if !objects.is_empty() {
                return Err(statuses(&objects));
            }
            let now = self.site.account().await;
            let differs: Vec<&String> = now.symmetric_difference(&self.before).collect();
            return if differs.is_empty() { Ok(BTreeSet::new()) } else { Err(format!("left or lost: {differs:#?}")) };
        }
        let Site { aws, region, installation, .. } = self.site;
        let names = self.proxy.names();
        let mut found: BTreeSet<String> =
            resources::of(aws, region, installation, &self.vpc).await.iter().map(|fact| names.plain(fact)).collect();
        found.extend(objects.into_iter().map(|object| names.plain(&without_what_differs(object).to_string())));
        match known.map(|known| found.symmetric_difference(known).collect::<Vec<_>>()) {
            Some(differs) if !differs.is_empty() => Err(format!("{differs:#?}")),
            _ => Ok(found),
        }
    }
}

fn is_at_rest(object: &Value, phase: Phase) -> bool {
    let reason = if object["kind"] == "PrivateGenAIApp" { phase.reason() } else { "Ready" };
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["reason"] == reason)
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// What objects say about themselves.
fn statuses(objects: &[Value]) -> String {
    let all: Vec<Value> =
        objects.iter().map(|object| json!([object["metadata"]["name"], object["status"]["conditions"]])).collect();
    Value::Array(all).to_string()
}

/// An object without times, addresses and ids that are given anew. The messages are for people, and some name times.
fn without_what_differs(object: Value) -> Value {
    const DIFFER: [&str; 14] = [
        "annotations",
        "creationTimestamp",
        "dnsNames",
        "executionRoleId",
        "generation",
        "lastModified",
        "lastTransitionTime",
        "managedFields",
        "message",
        "networkInterfaceId",
        "observedGeneration",
        "privateIpAddress",
        "resourceVersion",
        "uid",
    ];
    match object {
        Value::Object(members) => members
            .into_iter()
            .filter(|(key, _)| !DIFFER.contains(&key.as_str()))
            .map(|(key, value)| {
                let value =
                    if key == "privateIpAddresses" { value.as_array().map_or(0, Vec::len).into() } else { value };
                (key, without_what_differs(value))
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(without_what_differs).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        other => other,
    }
}
