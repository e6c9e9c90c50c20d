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
    /// Reads it from an object that cannot be read otherwise. Whoever wrote `Retain` meant it, whatever else is wrong;
    /// anything else is what deletion means by itself.
    pub fn of_raw(object: &Value) -> Self {
        if object["spec"]["deletionPolicy"] == "Retain" { Self::Retain } else { Self::Delete }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_unreadable_object_the_policy_is_retain_only_where_it_says_so() {
        for (object, policy) in [
            (json!({"spec": {"deletionPolicy": "Retain", "models": 7}}), DeletionPolicy::Retain),
            (json!({"spec": {"deletionPolicy": "Delete"}}), DeletionPolicy::Delete),
            (json!({"spec": {"deletionPolicy": "retain"}}), DeletionPolicy::Delete),
            (json!({"spec": {"deletionPolicy": ["Retain"]}}), DeletionPolicy::Delete),
            (json!({"spec": "Retain"}), DeletionPolicy::Delete),
            (json!({}), DeletionPolicy::Delete),
        ] {
            assert_eq!(DeletionPolicy::of_raw(&object), policy, "{object}");
        }
    }
}
