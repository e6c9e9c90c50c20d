//! The ownership of security groups.

use super::SecurityGroup;
use crate::identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, NetworkIdentity};

impl NetworkIdentity {
    /// Whether the group is the network's group for a component, such as [`FUNCTIONS_GROUP`].
    pub fn is_group(&self, group: &SecurityGroup, component: &str) -> bool {
        group.vpc == self.vpc && self.installation.owns(&group.tags) && group.name == self.group_name(component)
    }

    /// Whether the group is one of the network's two groups. Any other group with the installation's tag is a foreign one with
    /// copied tags: the operator neither changes nor deletes it.
    pub fn is_own_group(&self, group: &SecurityGroup) -> bool {
        [FUNCTIONS_GROUP, ENDPOINTS_GROUP].iter().any(|component| self.is_group(group, component))
    }
}
