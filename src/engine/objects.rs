//! The few ways in which the operator writes to its objects. `spec` is not among them.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, ObjectMeta, Status},
    runtime::events::{Event, EventType},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{Context, Error, drift::Repair};
use crate::api::{
    FINALIZER,
    condition::{ConditionType, Leg, Reason, find, fold},
    is_held,
};
use crate::aws::Write;
use crate::network::ownership::resource_marked_by;

/// The longest note that the API takes is 1 kB.
const NOTE_MAX: usize = 1_000;

/// The field manager of everything that the operator writes.
const MANAGER: &str = "private-genai-operator";

/// Access to objects of a kind as they are stored, readable or not.
pub fn raw<K>(client: &Client, namespace: Option<&str>) -> Api<DynamicObject>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Holds an object until its resources in AWS are gone. Nothing is written when it is held already.
///
/// # Errors
/// The Kubernetes API's; a conflict when the object changed meanwhile.
pub async fn add_finalizer<K>(api: &Api<K>, meta: &ObjectMeta) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    if is_held(meta) {
        return Ok(());
    }
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    finalizers.push(FINALIZER.to_owned());
    set_finalizers(api, meta, &finalizers).await
}

/// Lets an object go. An object that is gone already is what was wanted.
///
/// # Errors
/// The Kubernetes API's; a conflict when the object changed meanwhile.
pub async fn remove_finalizer<K>(api: &Api<K>, meta: &ObjectMeta) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    if !is_held(meta) {
        return Ok(());
    }
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    match set_finalizers(api, meta, &finalizers).await {
        Err(Error::Kubernetes(kube::Error::Api(status))) if status.is_not_found() => Ok(()),
        other => other,
    }
}

/// With the resource version, so that a finalizer which somebody else set meanwhile is never lost.
async fn set_finalizers<K>(api: &Api<K>, meta: &ObjectMeta, finalizers: &[String]) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let patch = json!({
        "metadata": {"resourceVersion": meta.resource_version, "uid": meta.uid, "finalizers": finalizers}
    });
    let name = meta.name.as_deref().unwrap_or_default();
    api.patch_metadata(
        name,
        &PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() },
        &Patch::Merge(patch),
    )
    .await?;
    Ok(())
}

/// Writes a status by server-side apply: members that are no longer in it go. Gives the object as it is then, if it can be
/// read. An object that is gone, or another one under the same name, is left alone.
///
/// # Errors
/// The Kubernetes API's.
pub async fn apply_status<K>(api: &Api<K>, meta: &ObjectMeta, status: &impl Serialize) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = meta.name.as_deref().unwrap_or_default();
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": meta.uid},
        "status": serde_json::to_value(status)?,
    });
    // The rest of an object that is being deleted may be nothing that this version can read.
    let api = raw::<K>(&api.clone().into_client(), meta.namespace.as_deref());
    match api.patch_status(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await {
        Ok(object) => Ok(object.try_parse().ok()),
        Err(kube::Error::Api(status)) if gone(&status) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An object as it is stored, readable or not; `None` when it is gone, though another one may have its name.
///
/// # Errors
/// The Kubernetes API's.
pub async fn stored<K>(client: &Client, meta: &ObjectMeta) -> Result<Option<DynamicObject>, Error>
where
    K: Resource<DynamicType = ()>,
{
    let api = raw::<K>(client, meta.namespace.as_deref());
    let stored = api.get_opt(meta.name.as_deref().unwrap_or_default()).await?;
    Ok(stored.filter(|stored| stored.metadata.uid == meta.uid))
}

fn gone(status: &Status) -> bool {
    status.is_not_found() || (status.is_conflict() && status.message.contains("uid"))
}

/// Tells on an unreadable object that it cannot be read. It keeps its resources and its other status.
///
/// # Errors
/// The Kubernetes API's.
pub async fn explain_unreadable<K>(client: &Client, meta: &ObjectMeta, problem: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let problem = without_values(problem);
    let message = format!(
        "This version of the operator cannot read the object ({problem}): correct it; or, where the field cannot be changed, \
         delete the object and create it anew. Its resources in AWS stay as they are until it is deleted."
    );
    explain_undecoded::<K>(client, meta, &[Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, message)]).await
}

/// Tells conditions on an object that is not decoded. It keeps its other status.
///
/// # Errors
/// The Kubernetes API's.
pub async fn explain_undecoded<K>(client: &Client, meta: &ObjectMeta, legs: &[Leg]) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let Some(current) = stored::<K>(client, meta).await? else {
        return Ok(());
    };
    let mut status = current.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let old = serde_json::from_value::<Vec<_>>(status["conditions"].clone()).unwrap_or_default();
    let mut conditions = fold(legs, &old, meta.generation, k8s_openapi::jiff::Timestamp::now());
    // By this, whoever waits for the object knows that the conditions are about it as it is now (kstatus, Argo CD).
    let observed = json!(meta.generation);
    let told: Vec<String> = conditions.iter().map(|condition| condition.type_.clone()).collect();
    // These two are there while they are true.
    let passing = [ConditionType::Reconciling, ConditionType::Stalled].map(ConditionType::as_str);
    let stays =
        |condition: &&Condition| !told.contains(&condition.type_) && !passing.contains(&condition.type_.as_str());
    conditions.extend(old.iter().filter(stays).cloned());
    let is_told = conditions.len() == old.len() && conditions.iter().all(|condition| old.contains(condition));
    if is_told && status["observedGeneration"] == observed {
        return Ok(());
    }
    status["observedGeneration"] = observed;
    status["conditions"] = serde_json::to_value(conditions)?;
    let name = meta.name.as_deref().unwrap_or_default();
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": meta.uid},
        "status": status,
    });
    let api = raw::<K>(client, meta.namespace.as_deref());
    match api.patch_status(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if gone(&status) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A decoder's complaint without the values that it quotes, which may be a user's secrets.
pub fn without_values(problem: &str) -> String {
    let mut told = String::new();
    for (index, part) in problem.split(['`', '"']).enumerate() {
        told.push_str(if index % 2 == 0 { part } else { "…" });
    }
    told
}

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

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::{
        aws::{BeforeRepair, IamWrite},
        engine::drift::repairs,
    };

    fn shown(leg: Leg) -> Vec<Condition> {
        fold(&[leg], &[], Some(1), Timestamp::UNIX_EPOCH)
    }

    fn ready() -> Vec<Condition> {
        shown(Leg::met(ConditionType::FunctionReady, ""))
    }

    fn waiting(reason: Reason) -> Vec<Condition> {
        shown(Leg::progressing(ConditionType::FunctionReady, reason, "AWS is at work"))
    }

    fn refused(reason: Reason) -> Vec<Condition> {
        shown(Leg::blocked(ConditionType::FunctionReady, reason, "somebody must act"))
    }

    fn told(before: &[Condition], after: &[Condition]) -> Option<(EventType, Reason)> {
        let mut news = news(before, after, &[], &[]);
        assert!(news.len() <= 1, "{news:?}");
        news.pop().map(|News { type_, reason, .. }| (type_, Reason::from_wire(reason).expect("a condition's reason")))
    }

    #[test]
    fn an_event_tells_when_an_object_becomes_ready_or_needs_somebody_and_never_that_it_waits() {
        let normal = Some((EventType::Normal, Reason::Ready));
        let denied = Some((EventType::Warning, Reason::AccessDenied));
        let pending = || waiting(Reason::FunctionPending);
        assert_eq!(told(&[], &ready()), normal);
        assert_eq!(told(&pending(), &ready()), normal);
        assert_eq!(told(&refused(Reason::AccessDenied), &ready()), normal);
        assert_eq!(told(&ready(), &refused(Reason::AccessDenied)), denied);
        assert_eq!(told(&refused(Reason::QuotaReached), &refused(Reason::AccessDenied)), denied, "for another reason");
        assert_eq!(told(&[], &pending()), None);
        assert_eq!(told(&ready(), &pending()), None);
        assert_eq!(told(&refused(Reason::AccessDenied), &pending()), None);
        let overdue = || {
            let later = Timestamp::UNIX_EPOCH + std::time::Duration::from_hours(1);
            fold(
                &[Leg::progressing(ConditionType::FunctionReady, Reason::FunctionPending, "AWS is at work")],
                &pending(),
                Some(1),
                later,
            )
        };
        assert_eq!(told(&pending(), &overdue()), Some((EventType::Warning, Reason::FunctionPending)), "it is overdue");
        assert_eq!(told(&overdue(), &overdue()), None);
    }

    #[test]
    fn what_was_told_already_is_not_told_again() {
        for same in [ready(), waiting(Reason::FunctionPending), refused(Reason::AccessDenied)] {
            assert_eq!(told(&same, &same), None);
        }
        let other_words =
            shown(Leg::blocked(ConditionType::FunctionReady, Reason::AccessDenied, "somebody must act, still"));
        assert_eq!(told(&refused(Reason::AccessDenied), &other_words), None);
    }

    #[test]
    fn what_was_done_in_aws_is_one_event_that_names_the_calls_and_the_resources() {
        let name = || "pgai-x".parse().expect("a role name");
        let done = [
            Write::Iam(IamWrite::DeleteRolePolicy { role: name(), policy: "private-genai".to_owned() }),
            Write::Iam(IamWrite::DeleteRole { role: name() }),
        ];
        let news = news(&ready(), &ready(), &done, &[]);
        let note = "iam:DeleteRolePolicy pgai-x; iam:DeleteRole pgai-x".to_owned();
        assert_eq!(news, [News { type_: EventType::Normal, reason: "Applying", note }]);
    }

    #[test]
    fn what_somebody_changed_is_a_warning_for_each_resource_that_was_put_right() {
        let name = || "pgai-x".parse().expect("a role name");
        let done = [Write::Iam(IamWrite::DeleteRolePolicy { role: name(), policy: "by-hand".to_owned() })];
        let news = news(&ready(), &ready(), &done, &repairs(&done, &BeforeRepair::default()));
        let note = "Role pgai-x: policy by-hand of somebody else deleted.".to_owned();
        assert_eq!(news, [News { type_: EventType::Warning, reason: "DriftRepaired", note }]);
    }
}
