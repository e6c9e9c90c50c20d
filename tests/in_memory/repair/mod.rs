//! Repair never waits: what exists is kept exact, and what somebody else added goes, whatever else of the object is refused,
//! blocked, cannot be read, or is at a quota.

mod legs;
mod opened;
mod quotas;
mod table;

use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::aws::{RouteTarget, VpcId};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    drift::shape,
    memory::aws::{Action, ByHand, Delays, Drift, Fault, drifts},
    scene::{Scene, condition, network},
};

/// After the resync, this much is enough for what AWS does not take its time for.
const SOON: Duration = Duration::from_secs(30);

/// Route tables are read this often.
const TOPOLOGY: Duration = Duration::from_mins(31);

/// A scene with an app at rest, under a permissions boundary.
async fn at_rest() -> (Scene, VpcId) {
    let (scene, vpc) = Scene::new(Delays::default()).bound().and_app("bot").await;
    sleep(Duration::from_secs(5)).await;
    scene.forget();
    (scene, vpc)
}

fn named(scene: &Scene, name: &str) -> Vec<Drift> {
    drifts(&scene.aws.world(), &Scene::installation()).into_iter().filter(|drift| drift.name == name).collect()
}

/// Somebody does this to the first resource to which it can be done.
fn drift(scene: &Scene, name: &str) {
    let drift = named(scene, name).into_iter().next().unwrap_or_else(|| panic!("{name} cannot happen"));
    scene.aws.act(&drift.action).expect("AWS lets it happen");
}

fn by_hand(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

/// Every subnet of the VPC gets a route to an internet gateway: its placement is refused.
fn lead_out(scene: &Scene, vpc: &VpcId) {
    by_hand(scene, ByHand::AddRoute { vpc: vpc.clone(), target: RouteTarget::InternetGateway });
}

/// A call is denied until the faults are cleared.
fn deny(scene: &Scene, call: &str) {
    let service = call.split(':').next().unwrap_or_default();
    let code = if service == "ec2" { "UnauthorizedOperation" } else { "AccessDenied" };
    scene.aws.fail_next(call, Fault { times: u32::MAX, ..Fault::new(403, code, "no") });
}

/// Status and reason of a condition.
fn stands(object: &Value, kind: &str) -> (String, String) {
    let (status, reason, _) = condition(object, kind);
    (status, reason)
}

fn network_of(scene: &Scene, vpc: &VpcId) -> Value {
    scene.kubernetes.get(&network(vpc)).expect("the network")
}

/// Waits until AWS looks like this; gives how long that took.
async fn until_shape(scene: &Scene, wanted: &BTreeSet<String>, within: Duration) -> Option<Duration> {
    let began = Instant::now();
    while shape(&scene.aws.world()) != *wanted {
        if began.elapsed() > within {
            return None;
        }
        sleep(Duration::from_secs(1)).await;
    }
    Some(began.elapsed())
}

fn expect(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}
