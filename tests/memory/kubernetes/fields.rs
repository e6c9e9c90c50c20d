//! Sets of fields in `managedFields` of server-side apply: trees in the `FieldsV1` notation, in which `f:name` is a member,
//! `k:{"type":"Ready"}` an item of a keyed list, `v:"x"` an item of a list that is a set.

use serde_json::{Map, Value, json};

pub type Fields = Map<String, Value>;

/// How the items of a list are identified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Items {
    /// Items have no identity: the list has one owner and is replaced as a whole.
    Atomic,
    Set,
    KeyedBy(&'static str),
}

/// The keyed lists and sets that the kinds have in common. All other lists count as atomic.
fn items_at(path: &str) -> Items {
    match path {
        ".metadata.finalizers" => Items::Set,
        ".metadata.ownerReferences" => Items::KeyedBy("uid"),
        ".status.conditions" => Items::KeyedBy("type"),
        _ => Items::Atomic,
    }
}

impl Items {
    /// The step that leads to an item. `None` for items without a step.
    fn step(self, item: &Value) -> Option<String> {
        match self {
            Items::Atomic => None,
            Items::Set => Some(format!("v:{item}")),
            Items::KeyedBy(key) => Some(format!("k:{}", json!({key: item[key]}))),
        }
    }
}

/// Every field of a value.
pub fn of(value: &Value) -> Fields {
    of_path(value, "")
}

fn of_path(value: &Value, path: &str) -> Fields {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (format!("f:{name}"), of_path(member, &format!("{path}.{name}")).into()))
            .collect(),
        Value::Array(items) => {
            items.iter().filter_map(|item| Some((items_at(path).step(item)?, of_path(item, "").into()))).collect()
        }
        _ => Fields::new(),
    }
}

/// The fields of the first set that are not in the second.
pub fn minus(fields: &Fields, others: &Fields) -> Fields {
    prune(fields, |step, below| match others.get(step).and_then(Value::as_object) {
        None => Some(below.clone()),
        Some(other) => Some(minus(below, other)).filter(|rest| !rest.is_empty()),
    })
}

/// The fields whose values differ between the two objects.
pub fn differing(fields: &Fields, before: &Value, after: &Value) -> Fields {
    prune(fields, |step, below| match (child(before, step), child(after, step)) {
        (Some(before), Some(after)) if !below.is_empty() => {
            Some(differing(below, before, after)).filter(|rest| !rest.is_empty())
        }
        (before, after) => (before != after).then(|| below.clone()),
    })
}

fn prune(fields: &Fields, keep: impl Fn(&str, &Fields) -> Option<Fields>) -> Fields {
    let below = |fields: &Value| fields.as_object().cloned().unwrap_or_default();
    fields.iter().filter_map(|(step, fields)| Some((step.clone(), keep(step, &below(fields))?.into()))).collect()
}

/// Removes the fields from the value, and then empty parents.
pub fn remove(value: &mut Value, fields: &Fields) {
    for (step, below) in fields {
        let Some(found) = child_mut(value, step) else { continue };
        let below = below.as_object().filter(|below| !below.is_empty());
        let gone = below.is_none_or(|below| {
            let keys = keys_of(step);
            let others = minus(below, &of(&keys.clone().into()));
            remove(found, &others);
            match found {
                Value::Object(members) => members.keys().all(|name| keys.contains_key(name)),
                Value::Array(items) => items.is_empty(),
                _ => false,
            }
        });
        if gone {
            remove_child(value, step);
        }
    }
}

/// Merges the applied value into another: members and keyed items are merged, all other values are replaced.
pub fn merge(value: &mut Value, applied: &Value) {
    merge_path(value, applied, "");
}

fn merge_path(value: &mut Value, applied: &Value, path: &str) {
    match (value, applied) {
        (Value::Object(members), Value::Object(applied)) => {
            for (name, applied) in applied {
                match members.get_mut(name) {
                    Some(member) => merge_path(member, applied, &format!("{path}.{name}")),
                    None => drop(members.insert(name.clone(), applied.clone())),
                }
            }
        }
        (value @ Value::Array(_), Value::Array(applied)) if items_at(path) != Items::Atomic => {
            for item in applied {
                let step = items_at(path).step(item).expect("items that are not atomic have steps");
                match child_mut(value, &step) {
                    Some(found) => merge_path(found, item, ""),
                    None => value.as_array_mut().expect("matched as an array").push(item.clone()),
                }
            }
        }
        (value, applied) => *value = applied.clone(),
    }
}

/// The members that identify an item of a keyed list.
fn keys_of(step: &str) -> Map<String, Value> {
    step.strip_prefix("k:").and_then(|keys| serde_json::from_str(keys).ok()).unwrap_or_default()
}

fn position(items: &[Value], step: &str) -> Option<usize> {
    if let Some(value) = step.strip_prefix("v:") {
        let value: Value = serde_json::from_str(value).ok()?;
        return items.iter().position(|item| *item == value);
    }
    let keys = keys_of(step);
    items.iter().position(|item| keys.iter().all(|(name, value)| item.get(name) == Some(value)))
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match step.strip_prefix("f:") {
        Some(name) => value.get(name),
        None => value.as_array().and_then(|items| items.get(position(items, step)?)),
    }
}

fn child_mut<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if let Some(name) = step.strip_prefix("f:") {
        return value.get_mut(name);
    }
    let at = position(value.as_array()?, step)?;
    value.get_mut(at)
}

fn remove_child(value: &mut Value, step: &str) {
    match value {
        Value::Object(members) => drop(members.remove(step.trim_start_matches("f:"))),
        Value::Array(items) => {
            if let Some(at) = position(items, step) {
                items.remove(at);
            }
        }
        _ => {}
    }
}
