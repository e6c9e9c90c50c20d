//! The parts of a life in which something happens to Kubernetes: what was before, what sets it off, what is wanted.

use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::aws::VpcId;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::wanted::Wanted;
use crate::{
    drift::shape,
    faults::tamper,
    leadership::Replica,
    memory::{
        aws::{Delays, VpcShape},
        judge::live_endpoints,
        kubernetes::{APPS, NETWORKS},
    },
    scene::{LONG, MODEL, Scene, app, condition, explicit_network, network},
    simulate::witness::Witness,
};

/// A model that apps come to want.
pub const ANOTHER_MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";

/// A part of a life: what was before, what sets it off, and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An app comes to an empty account.
    Create,
    /// An app is at rest.
    Rest,
    /// The app goes, then its network.
    Delete,
    /// A network that somebody wrote takes the place of the implicit one.
    Handover,
    /// The network that stands for the VPC is deleted, and another one is there.
    Succession,
    /// An app wants other models and another environment.
    Change,
    /// Somebody changes in AWS what can be put right.
    Drift,
    /// An app comes while the network is on its way out.
    Return,
    /// An app and a network that nobody can read any more are deleted.
    Unreadable,
}

impl Part {
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Rest,
        Self::Delete,
        Self::Handover,
        Self::Succession,
        Self::Change,
        Self::Drift,
        Self::Return,
        Self::Unreadable,
    ];

    /// AWS takes some seconds for everything, so that there is a middle to each part.
    fn delays() -> Delays {
        Delays {
            endpoint_available: 5,
            endpoint_deleted: 5,
            function_active: 3,
            function_updated: 2,
            function_deleted: 4,
            interfaces_released: 20,
            ..Delays::default()
        }
    }

    /// An account, a cluster with a replica that leads, and everything as it is before the part begins.
    pub async fn prepare(self) -> Life {
        let scene = Scene::new(Self::delays()).bound();
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let (elsewhere, _) = scene.vpc(&VpcShape::default());
        let witness = Witness::default();
        witness.watch(&scene.aws);
        let wanted = Wanted::nothing();
        let mut life = Life { part: self, vpc, elsewhere, scene, replicas: Vec::new(), witness, wanted };
        if self == Self::Create {
            return life;
        }
        life.start("first").await;
        life.want(life.vpc.clone(), &json!({}));
        life.expect("before").await;
        match self {
            Self::Create | Self::Rest | Self::Delete | Self::Handover | Self::Change | Self::Drift => {}
            Self::Succession | Self::Unreadable => {
                life.write_network("prod");
                life.wanted.network = Some("prod".into());
                life.expect("with a network of somebody's").await;
                if self == Self::Succession {
                    life.write_network("spare");
                    let has_reason = |network: &Value| condition(network, "Accepted").1 == "VpcConflict";
                    life.scene.kubernetes.until("privategenainetworks/spare", LONG, has_reason).await;
                } else {
                    life.make_unreadable(&app("bot"));
                    life.make_unreadable("privategenainetworks/prod");
                }
            }
            Self::Return => {
                life.scene.kubernetes.delete(&app("bot"));
                life.scene.until_gone("bot").await;
            }
        }
        sleep(Duration::from_secs(5)).await;
        life
    }
}

/// A scene in one part of a life.
pub struct Life {
    pub part: Part,
    pub vpc: VpcId,
    /// Another VPC in which nothing is.
    pub elsewhere: VpcId,
    pub scene: Scene,
    pub replicas: Vec<Replica>,
    pub witness: Witness,
    pub wanted: Wanted,
}

impl Life {
    /// Starts a replica, and waits until it leads.
    pub async fn start(&mut self, name: &'static str) {
        let mut replica = Replica::start(&self.scene, name);
        replica.until_leads().await;
        self.replicas.push(replica);
    }

    /// Sets the part off.
    pub fn begin(&mut self) {
        let vpc = self.vpc.clone();
        match self.part {
            Part::Create => {
                if self.replicas.is_empty() {
                    self.replicas.push(Replica::start(&self.scene, "first"));
                }
                self.want(vpc, &json!({}));
            }
            Part::Return => self.want(vpc, &json!({})),
            Part::Rest => {}
            Part::Change => self.want(
                vpc,
                &json!({
                    "models": [MODEL, ANOTHER_MODEL],
                    "function": {"environment": {"LANGUAGE": "en"}, "logging": {"retentionDays": 7}},
                }),
            ),
            Part::Drift => {
                tamper(&self.scene);
                let world = self.scene.aws.world();
                world.regions[&Scene::region()].groups.keys().for_each(|group| self.witness.opened(group.clone()));
            }
            Part::Delete => self.want_nothing(),
            Part::Handover => {
                self.write_network("prod");
                self.wanted.network = Some("prod".into());
            }
            Part::Succession => {
                self.scene.kubernetes.delete("privategenainetworks/prod");
                self.wanted.network = Some("spare".into());
            }
            Part::Unreadable => {
                self.want_nothing();
                self.scene.kubernetes.delete("privategenainetworks/prod");
                self.wanted.network = None;
            }
        }
    }

    /// Somebody applies the app in this VPC: the three lines, and this.
    pub fn want(&mut self, vpc: VpcId, more: &Value) {
        let mut spec = json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL]});
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        self.scene.apply("bot", spec.clone());
        self.wanted = Wanted { app: Some((vpc, spec)), network: self.wanted.network.take() };
    }

    /// Somebody deletes the app.
    pub fn want_nothing(&mut self) {
        if self.scene.kubernetes.get(&app("bot")).is_some() {
            self.scene.kubernetes.delete(&app("bot"));
        }
        self.wanted = Wanted { app: None, network: self.wanted.network.take() };
    }

    fn write_network(&self, name: &str) {
        self.scene.kubernetes.apply(explicit_network(name, &self.vpc));
    }

    /// What is stored is not what this version can read.
    pub fn make_unreadable(&self, path: &str) {
        self.scene.kubernetes.overwrite(path, |object| {
            // Where an app or a network is can still be seen, and nothing says that what is in AWS is to stay.
            let member = if path.starts_with(APPS) { "models" } else { "region" };
            object["spec"][member] = json!({"written": "by another version"});
        });
    }

    /// The app's network as it is now: its path.
    pub fn network_path(&self) -> Option<String> {
        let networks = self.scene.kubernetes.list(NETWORKS);
        let here = networks.iter().find(|network| network["spec"]["vpcId"] == self.vpc.as_str())?;
        Some(format!("{NETWORKS}/{}", here["metadata"]["name"].as_str()?))
    }

    /// What was asked for is true, in Kubernetes and in AWS. Otherwise: what is not.
    pub fn verdict(&self) -> Result<(), String> {
        let kubernetes = &self.scene.kubernetes;
        let Some((vpc, spec)) = &self.wanted.app else {
            // A network that somebody wrote stays without apps, and has nothing in AWS then.
            if let Some(object) = kubernetes.list(APPS).first() {
                return Err(format!("still there: {}", unmet_conditions(object)));
            }
            if let Some(object) = kubernetes.list(NETWORKS).iter().find(|network| Self::is_to_go(network)) {
                return Err(format!("still there: {}", unmet_conditions(object)));
            }
            let left = self.scene.aws.leftovers(&Scene::installation());
            return if left.is_empty() { Ok(()) } else { Err(format!("left in AWS: {left:?}")) };
        };
        let is_ready = |object: &Value| {
            condition(object, "Ready").0 == "True"
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        let object = kubernetes.get(&app("bot")).ok_or("no app")?;
        if !is_ready(&object) {
            return Err(unmet_conditions(&object));
        }
        let network = match &self.wanted.network {
            Some(name) if *vpc == self.vpc => format!("{NETWORKS}/{name}"),
            _ => network(vpc),
        };
        let found = kubernetes.get(&network).ok_or_else(|| format!("no {network}"))?;
        if !is_ready(&found) {
            return Err(unmet_conditions(&found));
        }
        if object["status"]["network"]["name"] != found["metadata"]["name"] {
            return Err(format!("the app is not on {network}"));
        }
        if let Some(other) =
            kubernetes.list(NETWORKS).iter().find(|network| *network != &found && Self::is_to_go(network))
        {
            return Err(format!("still there: {}", unmet_conditions(other)));
        }
        let (expected, found) = (Wanted::shape(vpc, spec), shape(&self.scene.aws.world()));
        if expected == found {
            return Ok(());
        }
        let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| these.difference(those).cloned().collect();
        let (missing, other): (Vec<String>, Vec<String>) = (only(&expected, &found), only(&found, &expected));
        Err(format!("AWS lacks {missing:?}, and has {other:?}"))
    }

    /// A network that the operator made, or that somebody deleted, goes.
    fn is_to_go(network: &Value) -> bool {
        network["metadata"]["labels"]["privategenai.dev/implicit"] == "true"
            || network["metadata"]["deletionTimestamp"].is_string()
    }

    /// Waits until what was asked for is true; gives how long that took, or what is not true in the end.
    pub async fn until_through(&self, within: Duration) -> Result<Duration, String> {
        let began = Instant::now();
        loop {
            match self.verdict() {
                Ok(()) => return Ok(began.elapsed()),
                Err(wrong) if began.elapsed() > within => return Err(wrong),
                // A look is dear where a thousand lives are lived.
                Err(_) => sleep(Duration::from_secs(3)).await,
            }
        }
    }

    async fn expect(&self, when: &str) {
        self.until_through(LONG).await.unwrap_or_else(|wrong| panic!("{:?}, {when}: {wrong}", self.part));
        sleep(Duration::from_secs(5)).await;
    }

    /// What no write may have done: endpoints beyond one for each VPC, and what the witness saw.
    pub fn wrongs(&self) -> Vec<String> {
        let live = live_endpoints(&self.scene.aws.world().regions[&Scene::region()]);
        let vpcs: BTreeSet<_> = live.iter().map(|(vpc, _, _)| vpc).collect();
        let mut wrongs: Vec<String> = self.witness.verdict().err().into_iter().collect();
        if vpcs.len() < live.len() {
            wrongs.push(format!("more than one endpoint: {live:?}"));
        }
        wrongs
    }

    /// Deletes what is there, retained or not; gives what is left.
    pub async fn end(mut self) -> Vec<String> {
        self.want_nothing();
        for network in self.scene.kubernetes.list(NETWORKS) {
            if network["metadata"]["labels"]["privategenai.dev/implicit"] != "true" {
                let name = network["metadata"]["name"].as_str().unwrap_or_default();
                self.scene.kubernetes.delete(&format!("{NETWORKS}/{name}"));
            }
        }
        let through = self.until_through(LONG).await;
        // Whoever is late comes now.
        sleep(Duration::from_mins(3)).await;
        let mut left: Vec<String> = through.err().into_iter().collect();
        left.extend(self.verdict().err());
        left.extend(self.wrongs());
        left
    }
}

/// What an object says of itself.
fn unmet_conditions(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let unmet = conditions.filter(|condition| condition["status"] != "True" && condition["type"] != "Ready");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let unmet: Vec<String> = unmet
        .map(|condition| {
            format!("{} {}: {}", text(&condition["type"]), text(&condition["reason"]), text(&condition["message"]))
        })
        .collect();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let (seen, generation) = (&object["status"]["observedGeneration"], &object["metadata"]["generation"]);
    format!("{kind} {name} (seen {seen} of {generation}): {}", unmet.join(" | "))
}
