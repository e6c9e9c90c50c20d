//! What becomes of resources in AWS when the object that stands for them is deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What becomes of resources in AWS when the object that stands for them is deleted: Delete (the default) or Retain, which
/// leaves them as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They go with it.
    #[default]
    Delete,
    /// They stay as they are.
    Retain,
}

impl DeletionPolicy {
    /// Reads it from an object that cannot be read otherwise. Where nothing is written, deletion means what it means by itself.
    /// Whoever wrote anything else than `Delete` (a value of a later version, say) did not mean that: what is there stays.
    pub fn of_raw(object: &Value) -> Self {
        match &object["spec"]["deletionPolicy"] {
            Value::Null => Self::Delete,
            policy if *policy == "Delete" => Self::Delete,
            _ => Self::Retain,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_unreadable_object_the_policy_is_delete_only_where_it_says_so_or_nothing() {
        for (object, policy) in [
            (json!({"spec": {"deletionPolicy": "Retain", "models": 7}}), DeletionPolicy::Retain),
            (json!({"spec": {"deletionPolicy": "Delete"}}), DeletionPolicy::Delete),
            (json!({"spec": {"deletionPolicy": null}}), DeletionPolicy::Delete),
            (json!({"spec": {"models": 7}}), DeletionPolicy::Delete),
            (json!({"spec": {"deletionPolicy": "Orphan"}}), DeletionPolicy::Retain),
            (json!({"spec": {"deletionPolicy": {"after": "30d"}}}), DeletionPolicy::Retain),
            (json!({"spec": "Retain"}), DeletionPolicy::Delete),
            (json!({}), DeletionPolicy::Delete),
        ] {
            assert_eq!(DeletionPolicy::of_raw(&object), policy, "{object}");
        }
    }
}
