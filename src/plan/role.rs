//! Writes to roles that both kinds plan: the permissions boundary, policies of others, the reduction to interfaces, deletion.

use super::Plan;
use crate::{
    api::condition::ConditionType,
    aws::{IamWrite, Role},
    governance::Governance,
    policy::{POLICY_NAME, handed_over_policy, trust_policy},
};

impl Plan {
    /// Puts a role under the permissions boundary. Comes before other writes to the role: the operator may write the policies of no
    /// role outside the boundary.
    pub fn set_permissions_boundary(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        if let Some(write) = governance.bound(role) {
            self.step(leg, write);
        }
    }

    /// Removes what others gave a role: inline policies beside the operator's own, and attached policies. Stands on nothing.
    pub fn remove_foreign_policies(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        let foreign: Vec<&String> = role.inline_policies.keys().filter(|policy| *policy != POLICY_NAME).collect();
        if foreign.is_empty() && role.attached_policies.is_empty() {
            return;
        }
        self.set_permissions_boundary(leg, role, governance);
        for policy in foreign {
            self.step(leg, IamWrite::DeleteRolePolicy { role: role.name.clone(), policy: policy.clone() });
        }
        self.detach_all_policies(leg, role);
    }

    /// Restricts a role that is handed over to what Lambda needs to release interfaces.
    pub fn restrict_to_interfaces(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        self.set_permissions_boundary(leg, role, governance);
        let (name, document) = (role.name.clone(), handed_over_policy());
        for policy in role.inline_policies.keys().filter(|policy| *policy != POLICY_NAME) {
            self.step(leg, IamWrite::DeleteRolePolicy { role: name.clone(), policy: policy.clone() });
        }
        self.detach_all_policies(leg, role);
        // Another trust policy would keep Lambda from assuming the role.
        let trust_policy = trust_policy();
        if role.trust_policy != trust_policy {
            self.step(leg, IamWrite::UpdateAssumeRolePolicy { role: name.clone(), trust_policy });
        }
        if role.inline_policies.get(POLICY_NAME) != Some(&document) {
            self.step(leg, IamWrite::PutRolePolicy { role: name, policy: POLICY_NAME.to_owned(), document });
        }
    }

    /// Deletes a role and its policies.
    pub fn delete_role(&mut self, leg: ConditionType, role: &Role, governance: &Governance) {
        if !(role.inline_policies.is_empty() && role.attached_policies.is_empty()) {
            self.set_permissions_boundary(leg, role, governance);
        }
        for policy in role.inline_policies.keys() {
            self.step(leg, IamWrite::DeleteRolePolicy { role: role.name.clone(), policy: policy.clone() });
        }
        self.detach_all_policies(leg, role);
        self.step(leg, IamWrite::DeleteRole { role: role.name.clone() });
    }

    fn detach_all_policies(&mut self, leg: ConditionType, role: &Role) {
        for policy_arn in &role.attached_policies {
            self.step(leg, IamWrite::DetachRolePolicy { role: role.name.clone(), policy_arn: policy_arn.clone() });
        }
    }
}
