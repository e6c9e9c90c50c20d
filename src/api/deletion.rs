//! The deletion policy of an object's resources in AWS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happens to resources in AWS when their object is deleted: Delete (the default), or Retain, which keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The resources are deleted with the object.
    #[default]
    Delete,
    /// The resources stay as they are.
    Retain,
}

impl DeletionPolicy {
    /// Reads the policy of an object that cannot be decoded. A missing value is `Delete`. Any other value, such as one of a later
    /// version, retains the resources.
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
    fn an_unreadable_object_is_deleted_only_where_it_says_so_or_says_nothing() {
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
