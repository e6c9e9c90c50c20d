//! The few ways in which the operator writes to its objects. `spec` is not among them.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, ObjectMeta, Status},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::Error;
use crate::api::{
    FINALIZER,
    condition::{ConditionType, Leg, Reason, fold},
    is_held,
};

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
