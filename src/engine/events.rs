//! Events about a pass: its changes in AWS, its repairs of drift, and an object that became ready or stalled.

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

/// Publishes an Event. A failure (in a namespace that is being deleted, for example) is logged and not returned: nothing
/// depends on the Event.
pub(super) async fn publish<K>(ctx: &Context, object: &K, NewEvent { type_, reason, note }: NewEvent)
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
    // A recorder of its own for each repair: kube's recorder would merge two repairs of one object into one Event with a
    // count.
    let separate = (reason == DRIFT_REPAIRED).then(|| ctx.separate_events());
    let recorder = separate.as_ref().unwrap_or(&ctx.events);
    if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
        tracing::warn!(object = object.name_any(), %error, "an Event was not published");
    }
}

/// The reason of an Event about drift: a change in AWS from outside, and its repair. No condition has this reason.
pub const DRIFT_REPAIRED: &str = "DriftRepaired";

/// The reason of an Event about security groups without an owner mark that received this cluster's mark. No condition has
/// this reason.
pub const INSTALLATION_MARKED: &str = "InstallationMarked";

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    type_: EventType,
    reason: &'static str,
    note: String,
}

/// Publishes that the Kubernetes API refuses a request, where the API refuses the object's status too.
pub(super) async fn publish_refusal<K>(ctx: &Context, object: &K, note: String)
where
    K: Resource<DynamicType = ()>,
{
    publish(ctx, object, NewEvent { type_: EventType::Warning, reason: Reason::KubernetesRefused.as_str(), note })
        .await;
}

/// The Events of a pass: one for all changes in AWS, or one for each repaired resource; one for new owner marks; one when
/// `Ready` turns.
pub(super) fn events_of_pass(
    before: &[Condition],
    after: &[Condition],
    done: &[Write],
    repairs: &[Repair],
) -> Vec<NewEvent> {
    let mut news = match (repairs, done) {
        ([], []) => Vec::new(),
        ([], done) => {
            let done: Vec<String> =
                done.iter().map(|write| format!("{} {}", write.operation(), write.resource())).collect();
            vec![NewEvent { type_: EventType::Normal, reason: Reason::Applying.as_str(), note: done.join("; ") }]
        }
        (repairs, _) => repairs
            .iter()
            .map(|repair| NewEvent { type_: EventType::Warning, reason: DRIFT_REPAIRED, note: repair.note() })
            .collect(),
    };
    let marked: Vec<&str> = done.iter().filter_map(resource_marked_by).collect();
    if !marked.is_empty() {
        let note = format!(
            "Security groups without an owner mark are marked as this cluster's: {}. From now on an operator of another cluster \
             with the same installation id changes nothing here.",
            marked.join(", ")
        );
        news.push(NewEvent { type_: EventType::Normal, reason: INSTALLATION_MARKED, note });
    }
    let shown = |conditions: &[Condition]| {
        let stalled = find(conditions, ConditionType::Stalled).is_some();
        find(conditions, ConditionType::Ready).map(|ready| (ready.status.clone(), ready.reason.clone(), stalled))
    };
    let turned = shown(before) != shown(after);
    if let Some(ready) = find(after, ConditionType::Ready).filter(|_| turned) {
        let stalled = find(after, ConditionType::Stalled).is_some();
        if let Some(reason) = Reason::from_wire(&ready.reason).filter(|_| stalled || ready.status == "True") {
            let type_ = if stalled { EventType::Warning } else { EventType::Normal };
            news.push(NewEvent { type_, reason: reason.as_str(), note: ready.message.clone() });
        }
    }
    news
}

/// The resource that a write marks with the owner, where the write changes nothing else.
pub fn resource_marked_by(write: &Write) -> Option<&str> {
    match write {
        Write::Ec2(Ec2Write::CreateTags { resource, tags }) if tags.len() == 1 && tags.contains_key(TAG_OWNER) => {
            Some(resource)
        }
        _ => None,
    }
}
