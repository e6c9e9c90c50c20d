//! The parts of a life in which the operator makes its calls.

use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::aws::{Tags, VpcId};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    drift::shape,
    memory::aws::{Action, ByHand, Delays, Drift, Fault, VpcShape, by_hand::Tagged, drifts},
    scene::{LONG, MODEL, Scene, app, condition, network},
};

/// A part of a life: what was before, what sets it off, and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An app comes to an empty account.
    Create,
    /// An app is at rest.
    Rest,
    /// An app wants other models and another environment.
    Change,
    /// Somebody changes in AWS what can be put right.
    Drift,
    /// The app goes, then its network; Lambda's interfaces linger.
    Delete,
    /// An app comes again while its role is kept for the interfaces.
    Return,
    /// Lambda left interfaces behind.
    LeftBehind,
    /// An app comes where IAM never shows all roles at once.
    OneByOne,
}

impl Part {
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Rest,
        Self::Delete,
        Self::Change,
        Self::Drift,
        Self::Return,
        Self::LeftBehind,
        Self::OneByOne,
    ];

    /// It ends with nothing left.
    fn ends(self) -> bool {
        matches!(self, Self::Delete | Self::LeftBehind)
    }

    /// An account and a cluster in which this part is about to begin.
    pub async fn prepare(self) -> Life {
        let (linger, come) = match self {
            Self::Return | Self::LeftBehind => (1200, 0),
            Self::Delete => (60, 0),
            Self::Create | Self::OneByOne => (0, 5),
            Self::Rest | Self::Change | Self::Drift => (0, 0),
        };
        let delays = Delays {
            interfaces_released: linger,
            endpoint_available: come,
            function_active: come,
            ..Delays::default()
        };
        let mut scene = Scene::new(delays);
        if self == Self::Drift {
            scene = scene.bound();
        }
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let mut life = Life { part: self, vpc: vpc.clone(), shape: BTreeSet::new(), scene };
        scene = {
            if !matches!(self, Self::Create | Self::OneByOne) {
                life.scene.start();
                life.scene.apply_app("bot", &vpc);
                life.scene.until_ready("bot").await;
                sleep(Duration::from_secs(5)).await;
            }
            life.scene
        };
        match self {
            Self::Create | Self::Rest | Self::Change | Self::Delete | Self::OneByOne => {}
            Self::Drift => life.shape = shape(&scene.aws.world()),
            Self::Return => {
                scene.apply_app("other", &vpc);
                scene.until_ready("other").await;
                scene.kubernetes.delete(&app("bot"));
                scene.until_gone("bot").await;
            }
            Self::LeftBehind => {
                scene.kubernetes.delete(&app("bot"));
                scene.until_gone("bot").await;
                let waits = |network: &Value| condition(network, "SecurityGroupsReady").1 == "ResourceInUse";
                scene.kubernetes.until(&network(&vpc), LONG, waits).await;
                for role in scene.aws.world().roles.into_keys() {
                    act(&scene, &Action::ByHand(Scene::region(), ByHand::DeleteRole(role)));
                }
                let left = |network: &Value| condition(network, "SecurityGroupsReady").2.contains("left behind");
                scene.kubernetes.until(&network(&vpc), LONG, left).await;
                sleep(Duration::from_mins(9)).await;
            }
        }
        Life { scene, ..life }
    }
}

fn act(scene: &Scene, action: &Action) {
    scene.aws.act(action).expect("AWS lets it happen");
}

/// A scene in one part of a life.
pub struct Life {
    part: Part,
    vpc: VpcId,
    /// What AWS is to look like again.
    shape: BTreeSet<String>,
    pub scene: Scene,
}

impl Life {
    /// Sets the part off.
    pub fn begin(&mut self) {
        let Self { scene, vpc, .. } = self;
        match self.part {
            Part::Create => {
                scene.start();
                scene.apply_app("bot", vpc);
            }
            Part::OneByOne => {
                let denied = Fault::new(403, "AccessDenied", "AWS's words").times(u32::MAX);
                scene.aws.fail_next("iam:GetAccountAuthorizationDetails", denied);
                scene.start();
                scene.apply_app("bot", vpc);
            }
            Part::Rest | Part::LeftBehind => {}
            Part::Change => scene.apply(
                "bot",
                json!({
                    "network": {"vpcId": vpc.as_str()},
                    "models": [MODEL, "anthropic.claude-3-haiku-20240307-v1:0"],
                    "function": {"environment": {"LANGUAGE": "en"}, "logging": {"retentionDays": 7}},
                }),
            ),
            Part::Drift => tamper(scene),
            Part::Delete => scene.kubernetes.delete(&app("bot")),
            Part::Return => scene.apply_app("bot", vpc),
        }
    }

    /// The part is through.
    pub fn is_through(&self) -> bool {
        let Self { scene, vpc, .. } = self;
        if self.part.ends() {
            return scene.kubernetes.get(&app("bot")).is_none()
                && scene.kubernetes.get(&network(vpc)).is_none()
                && scene.aws.leftovers(&Scene::installation()).is_empty();
        }
        let is_ready = |object: Option<Value>| {
            object.is_some_and(|object| {
                condition(&object, "Ready").0 == "True"
                    && object["status"]["observedGeneration"] == object["metadata"]["generation"]
            })
        };
        is_ready(scene.kubernetes.get(&app("bot")))
            && is_ready(scene.kubernetes.get(&network(vpc)))
            && (self.part != Part::Drift || shape(&scene.aws.world()) == self.shape)
    }

    /// Waits until it is; gives how long that took.
    pub async fn until_through(&self, within: Duration) -> Option<Duration> {
        let began = Instant::now();
        while !self.is_through() {
            if began.elapsed() > within {
                return None;
            }
            sleep(Duration::from_secs(1)).await;
        }
        Some(began.elapsed())
    }

    /// What the objects say that are there.
    pub fn objects(&self) -> Vec<Value> {
        [app("bot"), network(&self.vpc)].iter().filter_map(|path| self.scene.kubernetes.get(path)).collect()
    }

    /// Deletes the app, wherever it is.
    pub fn give_up(&mut self) {
        self.scene.kubernetes.delete(&app("bot"));
        self.part = Part::Delete;
    }

    /// Endpoints beyond the one that there may be.
    pub fn duplicates(&self) -> Vec<String> {
        let world = self.scene.aws.world();
        let region = &world.regions[&Scene::region()];
        let live = region.endpoints.values().filter(|endpoint| !endpoint.state.is_ending());
        live.skip(1).map(|endpoint| format!("a second endpoint, {}", endpoint.id)).collect()
    }

    /// Deletes what is there; gives what is left.
    pub async fn end(self) -> Vec<String> {
        for name in ["bot", "other"] {
            if self.scene.kubernetes.get(&app(name)).is_some() {
                self.scene.kubernetes.delete(&app(name));
            }
        }
        let ended = Self { part: Part::Delete, ..self };
        let began = Instant::now();
        while began.elapsed() < LONG {
            if ended.is_through() && ended.scene.kubernetes.get(&app("other")).is_none() {
                return Vec::new();
            }
            sleep(Duration::from_secs(5)).await;
        }
        let mut left = ended.scene.aws.leftovers(&Scene::installation());
        left.extend(ended.objects().iter().map(|object| format!("{object}")));
        left
    }
}

/// Changes one resource of each kind in each way that is put right by a call of its own.
pub fn tamper(scene: &Scene) {
    const DRIFTS: [&str; 8] = [
        "code replaced",
        "egress opened",
        "foreign inline policy added",
        "foreign policy attached",
        "ingress opened",
        "permissions boundary removed",
        "retention changed",
        "trust policy changed",
    ];
    let world = scene.aws.world();
    let all = drifts(&world, &Scene::installation());
    for name in DRIFTS {
        let is_it = |drift: &&Drift| drift.name == name;
        act(scene, &all.iter().find(is_it).expect("it can be changed").action);
    }
    let region = &world.regions[&Scene::region()];
    let untag = |from: Tagged, tags: &Tags| {
        let keys = tags.keys().filter(|key| *key != private_genai_operator::identity::TAG_INSTALLATION);
        // One tag that only tells people something.
        let keys = keys.filter(|key| **key != "Name").take(1).cloned().collect();
        act(scene, &Action::ByHand(Scene::region(), ByHand::RemoveTags { from, keys: Some(keys) }));
    };
    for group in region.groups.values().filter(|group| Scene::installation().owns(&group.tags)).take(1) {
        untag(Tagged::Group(group.id.clone()), &group.tags);
    }
    for record in region.functions.values() {
        untag(Tagged::Function(record.detail.listing.name.clone()), &record.detail.tags);
    }
    for record in region.log_groups.values() {
        untag(Tagged::LogGroup(record.group.name.clone()), &record.tags);
    }
    for record in world.roles.values() {
        untag(Tagged::Role(record.role.name.clone()), &record.role.tags);
    }
}
