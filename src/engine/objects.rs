//! The few ways in which the operator writes to its objects. `spec` is not among them.

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
    condition::{ConditionType, Leg, Reason, conditions_of},
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

/// The kind, the namespace and the name of an object, for people.
pub fn full_name<K>(meta: &ObjectMeta) -> String
where
    K: Resource<DynamicType = ()>,
{
    let namespace = meta.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{} {namespace}{}", K::kind(&()), name(meta))
}

fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// Holds an object until its resources in AWS are gone. Writes nothing when the object is held already.
///
/// # Errors
/// [`Error::Finalizers`]; a conflict when the object changed meanwhile.
pub async fn add_finalizer<K>(client: &Client, meta: &ObjectMeta) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    if is_held(meta) {
        return Ok(());
    }
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    finalizers.push(FINALIZER.to_owned());
    set_finalizers::<K>(client, meta, &finalizers).await
}

/// Releases an object. An object that is gone already is released.
///
/// # Errors
/// [`Error::Finalizers`]; a conflict when the object changed meanwhile.
pub async fn remove_finalizer<K>(client: &Client, meta: &ObjectMeta) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    if !is_held(meta) {
        return Ok(());
    }
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    match set_finalizers::<K>(client, meta, &finalizers).await {
        Err(error) if error.status().is_some_and(Status::is_not_found) => Ok(()),
        result => result,
    }
}

/// The patch carries the resource version, so that a finalizer which somebody else adds meanwhile is not lost.
async fn set_finalizers<K>(client: &Client, meta: &ObjectMeta, finalizers: &[String]) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let patch = json!({
        "metadata": {"resourceVersion": meta.resource_version, "uid": meta.uid, "finalizers": finalizers}
    });
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let api = raw::<K>(client, meta.namespace.as_deref());
    match api.patch_metadata(name(meta), &parameters, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(cause) => Err(Error::Finalizers { object: full_name::<K>(meta), cause }),
    }
}

/// Writes a status by server-side apply: members that the status does not have any more are removed. Gives the object as the API server
/// has it then, if it can be decoded. Leaves alone an object that is gone, or another one under the same name.
///
/// # Errors
/// [`Error::Status`].
pub async fn apply_status<K>(client: &Client, meta: &ObjectMeta, status: &impl Serialize) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let written = patch_status::<K>(client, meta, status).await?;
    Ok(written.and_then(|object| object.try_parse().ok()))
}

/// The rest of the object may be nothing that this version can decode.
async fn patch_status<K>(
    client: &Client,
    meta: &ObjectMeta,
    status: &impl Serialize,
) -> Result<Option<DynamicObject>, Error>
where
    K: Resource<DynamicType = ()>,
{
    let object = || full_name::<K>(meta);
    let status = serde_json::to_value(status).map_err(|cause| Error::Serialise { object: object(), cause })?;
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name(meta), "uid": meta.uid},
        "status": status,
    });
    let api = raw::<K>(client, meta.namespace.as_deref());
    match api.patch_status(name(meta), &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if is_gone(&status) => Ok(None),
        Err(cause) => Err(Error::Status { object: object(), cause }),
    }
}

fn is_gone(status: &Status) -> bool {
    status.is_not_found() || (status.is_conflict() && status.message.contains("uid"))
}

/// An object as it is stored, decoded or not; `None` when the object is gone, though another one may have its name.
///
/// # Errors
/// [`Error::Read`].
pub async fn stored<K>(client: &Client, meta: &ObjectMeta) -> Result<Option<DynamicObject>, Error>
where
    K: Resource<DynamicType = ()>,
{
    match raw::<K>(client, meta.namespace.as_deref()).get_opt(name(meta)).await {
        Ok(stored) => Ok(stored.filter(|stored| stored.metadata.uid == meta.uid)),
        Err(cause) => Err(Error::Read { object: full_name::<K>(meta), cause }),
    }
}

/// The condition of an object that this version cannot decode. The object keeps its resources and the rest of its status.
pub fn unreadable(problem: &str) -> Leg {
    let problem = without_values(problem);
    let message = format!(
        "This version of the operator cannot read the object ({problem}): correct it; or, where the field cannot be changed, \
         delete the object and create it anew. Its resources in AWS stay as they are until it is deleted."
    );
    Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, message)
}

/// Shows conditions on an object that is not decoded. The object keeps the rest of its status.
///
/// # Errors
/// [`Error::Read`] and [`Error::Status`].
pub async fn explain_undecoded<K>(client: &Client, meta: &ObjectMeta, legs: &[Leg]) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let Some(current) = stored::<K>(client, meta).await? else {
        return Ok(());
    };
    let mut status = current.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let old = serde_json::from_value::<Vec<_>>(status["conditions"].clone()).unwrap_or_default();
    let mut conditions = conditions_of(legs, &old, meta.generation, k8s_openapi::jiff::Timestamp::now());
    // `observedGeneration` tells clients that the conditions are about this generation (kstatus, Argo CD).
    let observed = json!(meta.generation);
    let new: Vec<String> = conditions.iter().map(|condition| condition.type_.clone()).collect();
    // These two exist only while they are true.
    let passing = [ConditionType::Reconciling, ConditionType::Stalled].map(ConditionType::as_str);
    let stays =
        |condition: &&Condition| !new.contains(&condition.type_) && !passing.contains(&condition.type_.as_str());
    conditions.extend(old.iter().filter(stays).cloned());
    let is_shown = conditions.len() == old.len() && conditions.iter().all(|condition| old.contains(condition));
    if is_shown && status["observedGeneration"] == observed {
        return Ok(());
    }
    status["observedGeneration"] = observed;
    status["conditions"] =
        serde_json::to_value(conditions).map_err(|cause| Error::Serialise { object: full_name::<K>(meta), cause })?;
    patch_status::<K>(client, meta, &status).await.map(drop)
}

/// A decoder's complaint without the values that it quotes, which may be a user's secrets.
pub fn without_values(problem: &str) -> String {
    let parts = problem.split(['`', '"']).enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part } else { "…" }).collect()
}
