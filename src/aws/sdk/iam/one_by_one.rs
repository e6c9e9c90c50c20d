//! Reads roles one by one, for operators that may not read all roles of the account at once.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::{
    operation::{
        list_attached_role_policies::ListAttachedRolePoliciesOutput, list_role_policies::ListRolePoliciesOutput,
        list_roles::ListRolesOutput,
    },
    types::{self, AttachedPolicy},
};

use super::{super::calls::pages, Iam, PAGE, boundary, document};
use crate::aws::{
    AwsError, Failure, PolicyDocument, Role, RoleListing, RoleName,
    sdk::error::{Malformed, needed, parsed},
};

pages! {
    ListAttachedRolePoliciesOutput: marker,
    ListRolePoliciesOutput: marker,
    ListRolesOutput: marker,
}

impl Iam {
    /// `ListRoles` filters by path. `GetAccountAuthorizationDetails` shows all roles of the account.
    pub(in crate::aws::sdk) async fn role_listings(&self, path: &str) -> Result<Vec<RoleListing>, AwsError> {
        const OPERATION: &str = "ListRoles";
        let pages = self.client.list_roles().path_prefix(path).into_paginator().page_size(PAGE).send();
        self.calls.list(OPERATION, pages, ListRolesOutput::roles, listing).await
    }

    /// `None` when the role is deleted while its parts are read.
    pub(in crate::aws::sdk) async fn role(&self, name: &RoleName) -> Result<Option<Role>, AwsError> {
        match self.found_role(name).await {
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    }

    async fn found_role(&self, name: &RoleName) -> Result<Role, AwsError> {
        const OPERATION: &str = "GetRole";
        let malformed = |malformed| self.calls.malformed(OPERATION, malformed);
        let answer = self.calls.observed(OPERATION, self.client.get_role().role_name(name.as_str()).send()).await?;
        let shown = needed(answer.role(), "Role").map_err(malformed)?;
        let RoleListing { name, id, arn, trust_policy } = listing(shown).map_err(malformed)?;
        let tags = shown.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
        let pages = self.client.list_role_policies().role_name(name.as_str()).into_paginator().page_size(PAGE).send();
        let policies: Vec<String> = self
            .calls
            .list("ListRolePolicies", pages, ListRolePoliciesOutput::policy_names, |name| Ok(name.clone()))
            .await?;
        let mut inline_policies = BTreeMap::new();
        for policy in policies {
            let document = self.policy(&name, &policy).await?;
            inline_policies.insert(policy, document);
        }
        let pages = self.client.list_attached_role_policies().role_name(name.as_str());
        let pages = pages.into_paginator().page_size(PAGE).send();
        let attached = ListAttachedRolePoliciesOutput::attached_policies;
        let attached: Vec<String> = self.calls.list("ListAttachedRolePolicies", pages, attached, policy_arn).await?;
        let attached_policies = attached.into_iter().collect::<BTreeSet<_>>();
        // `ListRoles` does not show the boundary.
        let permissions_boundary = boundary(shown.permissions_boundary());
        Ok(Role { name, id, arn, trust_policy, inline_policies, attached_policies, permissions_boundary, tags })
    }

    async fn policy(&self, role: &RoleName, policy: &str) -> Result<PolicyDocument, AwsError> {
        const OPERATION: &str = "GetRolePolicy";
        let call = self.client.get_role_policy().role_name(role.as_str()).policy_name(policy).send();
        let answer = self.calls.observed(OPERATION, call).await?;
        document(Some(answer.policy_document()), "PolicyDocument")
            .map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }
}

fn listing(role: &types::Role) -> Result<RoleListing, Malformed> {
    Ok(RoleListing {
        name: parsed(Some(role.role_name()), "Role.RoleName")?,
        id: role.role_id().to_owned(),
        arn: role.arn().to_owned(),
        trust_policy: document(role.assume_role_policy_document(), "Role.AssumeRolePolicyDocument")?,
    })
}

fn policy_arn(policy: &AttachedPolicy) -> Result<String, Malformed> {
    needed(policy.policy_arn(), "AttachedPolicy.PolicyArn").map(ToOwned::to_owned)
}
