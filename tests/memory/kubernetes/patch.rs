//! Patches and server-side apply: the object after the patch, and the owners of its fields.

use std::{mem, slice};

use json_patch::{PatchError, PatchOperation};
use serde_json::{Value, json};

use super::{
    fields::{self, Fields},
    kinds::{Key, Part},
    refusal::{self, Refusal},
};

/// A change relative to the current object.
#[derive(Clone, Debug)]
pub enum Patch {
    Merge(Value),
    Json(json_patch::Patch),
}

/// Server-side apply: the fields that one manager wants.
#[derive(Clone, Debug)]
pub struct Apply {
    pub object: Value,
    pub manager: String,
    /// Take fields from other managers instead of refusing.
    pub force: bool,
}

impl Patch {
    /// The object after the patch.
    pub fn patched(&self, key: &Key, current: &Value) -> Result<Value, Refusal> {
        let mut next = current.clone();
        match self {
            Patch::Merge(patch) => json_patch::merge(&mut next, patch),
            Patch::Json(operations) => operations
                .iter()
                .try_for_each(|operation| perform(operation, &mut next))
                .map_err(|error| refusal::invalid(key, &error.to_string()))?,
        }
        Ok(next)
    }
}

/// To the API server, an absent value is null: kube's finalizer helper tests for null.
fn perform(operation: &PatchOperation, object: &mut Value) -> Result<(), PatchError> {
    match operation {
        PatchOperation::Test(test) if test.value.is_null() && object.pointer(test.path.as_str()).is_none() => Ok(()),
        operation => json_patch::patch(object, slice::from_ref(operation)),
    }
}

/// The object after the apply: fields that the manager applied before and now leaves out are removed, applied fields are set, and
/// `managedFields` records both.
pub fn applied(key: &Key, part: Part, current: &Value, apply: &Apply) -> Result<Value, Refusal> {
    if apply.object.pointer("/metadata/managedFields").is_some_and(|managed| !managed.is_null()) {
        return Err(refusal::bad_request("metadata.managedFields must be nil"));
    }
    let sent = relevant(key, part, &apply.object);
    let owned = fields::of(&sent);
    let (mut mine, mut theirs) = (Fields::new(), Vec::new());
    for entry in managed_fields(current) {
        if entry["manager"] == apply.manager && entry["subresource"].as_str() == part.subresource() {
            mine = fields_in(&entry);
        } else {
            theirs.push(entry);
        }
    }

    let mut next = current.clone();
    let dropped =
        theirs.iter().fold(fields::minus(&mine, &owned), |dropped, entry| fields::minus(&dropped, &fields_in(entry)));
    fields::remove(&mut next, &dropped);
    fields::merge(&mut next, &sent);

    for entry in &theirs {
        let lost = fields::differing(&fields_in(entry), current, &next);
        if !apply.force && !lost.is_empty() {
            return Err(refusal::apply_conflict(&entry["manager"], &Value::Object(lost)));
        }
    }
    let mut managed = still_owned(theirs, current, &next);
    let api_version = key.kind.api_version();
    managed.extend(entry(&apply.manager, part, &api_version, owned));
    next["metadata"]["managedFields"] = Value::Array(managed);
    for precondition in ["uid", "resourceVersion"] {
        if let Some(wanted) = apply.object.pointer(&format!("/metadata/{precondition}")) {
            next["metadata"][precondition] = wanted.clone();
        }
    }
    Ok(next)
}

/// The owners after a write without a field manager: a field that was changed has no owner any more.
pub fn owners_after(current: &Value, next: &Value) -> Value {
    still_owned(managed_fields(current), current, next).into()
}

fn still_owned(entries: Vec<Value>, current: &Value, next: &Value) -> Vec<Value> {
    let keep = |mut entry: Value| {
        let fields = fields_in(&entry);
        let kept = fields::minus(&fields, &fields::differing(&fields, current, next));
        let any = !kept.is_empty();
        entry["fieldsV1"] = kept.into();
        any.then_some(entry)
    };
    entries.into_iter().filter_map(keep).collect()
}

fn entry(manager: &str, part: Part, api_version: &str, owned: Fields) -> Option<Value> {
    let mut entry = json!({
        "manager": manager,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
    });
    if let Some(subresource) = part.subresource() {
        entry["subresource"] = json!(subresource);
    }
    let any = !owned.is_empty();
    entry["fieldsV1"] = owned.into();
    any.then_some(entry)
}

fn managed_fields(object: &Value) -> Vec<Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn fields_in(entry: &Value) -> Fields {
    entry["fieldsV1"].as_object().cloned().unwrap_or_default()
}

/// The parts of a sent object that belong to this part of the object and can be owned.
fn relevant(key: &Key, part: Part, object: &Value) -> Value {
    let mut sent = object.clone();
    let Some(members) = sent.as_object_mut() else {
        return sent;
    };
    members.retain(|name, _| match part {
        Part::Main => !(matches!(name.as_str(), "apiVersion" | "kind") || (name == "status" && key.kind.has_status)),
        Part::Status => name == "status",
    });
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        let ownable = ["labels", "annotations", "finalizers", "ownerReferences"];
        *metadata = mem::take(metadata).into_iter().filter(|(name, _)| ownable.contains(&name.as_str())).collect();
    }
    if members.get("metadata") == Some(&json!({})) {
        members.remove("metadata");
    }
    without_nulls(&mut sent);
    sent
}

/// Removes members that are null, which count as absent.
pub fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
