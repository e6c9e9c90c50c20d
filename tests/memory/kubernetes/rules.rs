//! The limits of writes, and the values that the server sets: pure functions from one object to the next.

use std::{collections::BTreeMap, mem};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    kinds::{Key, NAMESPACES, Part},
    patch,
    refusal::{self, Refusal},
};

/// The conditions on an object under which a write is done.
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// Decides whether an object may be stored: the key, the stored object, the new object. A refusal has the reason.
pub type Admission = Box<dyn Fn(&Key, Option<&Value>, &Value) -> Result<(), String> + Send>;

/// The rules of the resources' definitions, besides the rules for all resources.
pub struct Rules {
    default_status: BTreeMap<&'static str, Value>,
    admission: Vec<Admission>,
}

impl Default for Rules {
    fn default() -> Rules {
        let default_status = BTreeMap::from([(NAMESPACES, json!({"phase": "Active"}))]);
        Rules { default_status, admission: Vec::new() }
    }
}

impl Rules {
    /// The `status` of a new object, from the `default` of its definition.
    pub fn default_status(mut self, plural: &'static str, status: Value) -> Rules {
        self.default_status.insert(plural, status);
        self
    }

    pub fn admission(
        mut self,
        admission: impl Fn(&Key, Option<&Value>, &Value) -> Result<(), String> + Send + 'static,
    ) -> Rules {
        self.admission.push(Box::new(admission));
        self
    }

    /// Sets defaults, and brings an object into its stored form.
    pub fn complete(&self, key: &Key, object: &mut Value) {
        patch::without_nulls(object);
        if let Some(metadata) = object["metadata"].as_object_mut() {
            let optional = ["labels", "annotations", "finalizers", "ownerReferences", "managedFields"];
            metadata.retain(|name, value| !(optional.contains(&name.as_str()) && is_empty(value)));
        }
        if let Some(status) = self.default_status.get(key.kind.plural)
            && object.get("status").is_none()
        {
            object["status"] = status.clone();
        }
    }

    pub fn admit(&self, key: &Key, before: Option<&Value>, after: &Value) -> Result<(), Refusal> {
        self.admission
            .iter()
            .try_for_each(|admission| admission(key, before, after))
            .map_err(|why| refusal::invalid(key, &why))
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// An object with only its address.
pub fn blank(key: &Key) -> Value {
    let mut blank = json!({
        "apiVersion": key.kind.api_version(),
        "kind": key.kind.name,
        "metadata": {"name": key.name},
    });
    if key.kind.namespaced {
        blank["metadata"]["namespace"] = json!(key.namespace);
    }
    blank
}

/// Completes a name from `generateName`.
pub fn name(object: &mut Value, salt: u64) -> Result<(), Refusal> {
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return Err(refusal::bad_request("the object has no metadata"));
    };
    if metadata.get("name").is_none_or(Value::is_null) {
        let Some(prefix) = metadata.get("generateName").and_then(Value::as_str) else {
            return Err(refusal::bad_request("name or generateName is required"));
        };
        metadata.insert("name".to_owned(), json!(format!("{prefix}{salt:05}")));
    }
    Ok(())
}

/// The sent object must have the address of the URL.
pub fn fits(key: &Key, object: &Value) -> Result<(), Refusal> {
    let address = blank(key);
    for pointer in ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"] {
        let (sent, wanted) = (object.pointer(pointer), address.pointer(pointer));
        if sent.is_some_and(|sent| !sent.is_null() && Some(sent) != wanted) {
            let message = format!("{pointer} of the object is {sent:?}, that of the request {wanted:?}");
            return Err(refusal::bad_request(&message));
        }
    }
    Ok(())
}

/// A new object, with the values that only the server sets.
pub fn born(key: &Key, mut object: Value, uid: u64, now: Timestamp) -> Value {
    if key.kind.has_status {
        object.as_object_mut().map(|members| members.remove("status"));
    }
    let mut metadata = mem::take(&mut object["metadata"]);
    for of_the_server in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        metadata.as_object_mut().map(|members| members.remove(of_the_server));
    }
    metadata["uid"] = json!(format!("00000000-0000-4000-8000-{uid:012x}"));
    metadata["creationTimestamp"] = timestamp(now);
    if key.kind.has_generation {
        metadata["generation"] = json!(1);
    }
    for (name, value) in blank(key).as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "metadata" => json_patch::merge(&mut metadata, value),
            _ => object[name] = value.clone(),
        }
    }
    object["metadata"] = metadata;
    object
}

/// One part of an object after a write. All other parts stay.
pub fn next(key: &Key, part: Part, current: &Value, sent: Value) -> Result<Value, Refusal> {
    unmet(key, &sent, Some(current))?;
    if part == Part::Status {
        let mut next = current.clone();
        next["status"] = sent["status"].clone();
        return Ok(next);
    }
    let mut next = sent;
    if key.kind.has_status {
        next["status"] = current["status"].clone();
    }
    for name in ["apiVersion", "kind"] {
        next[name] = current[name].clone();
    }
    let of_the_user = ["labels", "annotations", "finalizers", "ownerReferences"];
    let mut metadata = current["metadata"].clone();
    for name in of_the_user {
        metadata[name] = next["metadata"][name].clone();
    }
    next["metadata"] = metadata;
    let added = |name: &Value| !finalizers(current).contains(name);
    if is_deleting(current) && finalizers(&next).iter().any(added) {
        let why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
        return Err(refusal::invalid(key, why));
    }
    Ok(next)
}

/// Refuses an object of another version or another incarnation.
pub fn unmet(key: &Key, sent: &Value, current: Option<&Value>) -> Result<(), Refusal> {
    let text =
        |name: &str| sent.pointer(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let wanted = Preconditions { uid: text("/metadata/uid"), resource_version: text("/metadata/resourceVersion") };
    preconditions(key, current.unwrap_or(&Value::Null), &wanted)
}

pub fn preconditions(key: &Key, current: &Value, wanted: &Preconditions) -> Result<(), Refusal> {
    let differs = |name: &str, wanted: &Option<String>| {
        wanted.as_deref().is_some_and(|wanted| current.pointer(name).and_then(Value::as_str) != Some(wanted))
    };
    if differs("/metadata/uid", &wanted.uid) {
        return Err(refusal::conflict(key, "Precondition failed: UID in precondition is not that of the object"));
    }
    if differs("/metadata/resourceVersion", &wanted.resource_version) {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(refusal::conflict(key, why));
    }
    Ok(())
}

/// An object that waits for its finalizers, or, as a namespace, for the deletion of its objects. The deletion counts as a change
/// of the generation.
pub fn marked(current: &Value, now: Timestamp) -> Value {
    let mut marked = current.clone();
    marked["metadata"]["deletionTimestamp"] = timestamp(now);
    marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    if current["kind"] == "Namespace" {
        marked["status"]["phase"] = json!("Terminating");
    }
    if let Some(generation) = current["metadata"]["generation"].as_u64() {
        marked["metadata"]["generation"] = json!(generation + 1);
    }
    marked
}

/// Counts a change of the desired state.
pub fn count_generation(key: &Key, current: &Value, next: &mut Value) {
    let mut names = current.as_object().into_iter().chain(next.as_object()).flat_map(Map::keys);
    let asks = |name: &String| name != "metadata" && name != "status";
    if key.kind.has_generation && names.any(|name| asks(name) && current.get(name) != next.get(name)) {
        let generation = current["metadata"]["generation"].as_u64().unwrap_or_default();
        next["metadata"]["generation"] = json!(generation + 1);
    }
}

pub fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

pub fn finalizers(object: &Value) -> &[Value] {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn set_version(object: &mut Value, version: u64) {
    object["metadata"]["resourceVersion"] = json!(version.to_string());
}

/// Times in Kubernetes have whole seconds.
fn timestamp(now: Timestamp) -> Value {
    let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
    json!(seconds.to_string())
}
