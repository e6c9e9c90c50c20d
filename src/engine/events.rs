//! Events: what a pass did in AWS, what it repaired, and whether an object became ready or needs somebody.

#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource, ResourceExt as _,
    runtime::events::{Event, EventType},
};

use super::{Context, drift::Repair};
use crate::{
    api::condition::{ConditionType, Reason, find},
    aws::{Ec2Write, Write},
    identity::TAG_OWNER,
};

/// The longest note that the API takes is 1 kB.
const NOTE_MAX: usize = 1_000;

/// Publishes an Event. An Event that is lost (in a namespace that is being deleted, say) loses nothing else, so the
/// failure is logged and not returned.
async fn publish<K>(ctx: &Context, object: &K, News { type_, reason, note }: News)
where
    K: Resource<DynamicType = ()>,
{
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note[..note.floor_char_boundary(NOTE_MAX)].to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    // Two repairs of one object are two things to know of, and not the first one twice.
    let separate = (reason == DRIFT_REPAIRED).then(|| ctx.separate_events());
    let recorder = separate.as_ref().unwrap_or(&ctx.events);
    if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
        tracing::warn!(object = object.name_any(), %error, "an Event was not published");
    }
}

/// The reason of an Event that tells what somebody changed in AWS and what was done about it. No condition has it.
pub const DRIFT_REPAIRED: &str = "DriftRepaired";

/// The reason of an Event that tells that security groups without an owner mark were given this cluster's. No condition has it.
pub const INSTALLATION_MARKED: &str = "InstallationMarked";

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct News {
    type_: EventType,
    reason: &'static str,
    note: String,
}

/// Publishes that the Kubernetes API refuses what would tell it on the object.
pub(super) async fn publish_refused<K>(ctx: &Context, object: &K, note: String)
where
    K: Resource<DynamicType = ()>,
{
    publish(ctx, object, News { type_: EventType::Warning, reason: Reason::KubernetesRefused.as_str(), note }).await;
}

/// Publishes and counts what a pass did in AWS and what turned. `repairs` are what of it was drift.
pub async fn tell<K>(
    ctx: &Context,
    object: &K,
    (before, after): (&[Condition], &[Condition]),
    done: &[Write],
    repairs: &[Repair],
) where
    K: Resource<DynamicType = ()>,
{
    for news in news(before, after, done, repairs) {
        publish(ctx, object, news).await;
    }
    repairs.iter().flat_map(|repair| &repair.kinds).for_each(|kind| ctx.metrics.drift_repaired(*kind));
}

/// What is worth an Event: what was done in AWS (if it was repairs, what was changed, for each resource), and `Ready`
/// turning.
fn news(before: &[Condition], after: &[Condition], done: &[Write], repairs: &[Repair]) -> Vec<News> {
    let mut news = match (repairs, done) {
        ([], []) => Vec::new(),
        ([], done) => {
            let done: Vec<String> =
                done.iter().map(|write| format!("{} {}", write.operation(), write.resource())).collect();
            vec![News { type_: EventType::Normal, reason: Reason::Applying.as_str(), note: done.join("; ") }]
        }
        (repairs, _) => repairs
            .iter()
            .map(|repair| News { type_: EventType::Warning, reason: DRIFT_REPAIRED, note: repair.note() })
            .collect(),
    };
    let marked: Vec<&str> = done.iter().filter_map(resource_marked_by).collect();
    if !marked.is_empty() {
        let note = format!(
            "Security groups without an owner mark are marked as this cluster's: {}. From now on an operator of another cluster \
             with the same installation id changes nothing here.",
            marked.join(", ")
        );
        news.push(News { type_: EventType::Normal, reason: INSTALLATION_MARKED, note });
    }
    let told = |conditions: &[Condition]| {
        let stalled = find(conditions, ConditionType::Stalled).is_some();
        find(conditions, ConditionType::Ready).map(|ready| (ready.status.clone(), ready.reason.clone(), stalled))
    };
    let turned = told(before) != told(after);
    if let Some(ready) = find(after, ConditionType::Ready).filter(|_| turned) {
        let stalled = find(after, ConditionType::Stalled).is_some();
        if let Some(reason) = Reason::from_wire(&ready.reason).filter(|_| stalled || ready.status == "True") {
            let type_ = if stalled { EventType::Warning } else { EventType::Normal };
            news.push(News { type_, reason: reason.as_str(), note: ready.message.clone() });
        }
    }
    news
}

/// The resource that a write marks, where the write does nothing else.
pub fn resource_marked_by(write: &Write) -> Option<&str> {
    match write {
        Write::Ec2(Ec2Write::CreateTags { resource, tags }) if tags.len() == 1 && tags.contains_key(TAG_OWNER) => {
            Some(resource)
        }
        _ => None,
    }
}
