//! IAM: the roles below one path. IAM is global; the region of the client selects the partition.

mod one_by_one;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::{
    Client,
    operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput,
    types::{AttachedPermissionsBoundary, EntityType, RoleDetail, Tag},
};
use percent_encoding::percent_decode_str;

use super::{
    calls::{Calls, RegionCalls, pages},
    error::{Malformed, needed, parsed},
};
use crate::aws::{AwsError, IamWrite, Made, PolicyArn, PolicyDocument, Role, RoleName, Shown, Tags, Written};

pages! { GetAccountAuthorizationDetailsOutput: marker }

/// A page of `GetAccountAuthorizationDetails` has at most 1,000 roles.
const PAGE: i32 = 1_000;

/// The calls to IAM.
pub(super) struct Iam {
    client: Client,
    calls: Calls,
}

impl Iam {
    pub(super) fn new(client: Client, line: &RegionCalls) -> Self {
        Self { client, calls: Calls::of("iam", line) }
    }

    /// Reads roles with all their policies and tags by one paginated call. `ListRoles` needs three more calls for each role.
    pub(super) async fn roles(&self, path: &str) -> Result<Vec<Role>, AwsError> {
        const OPERATION: &str = "GetAccountAuthorizationDetails";
        let call = self.client.get_account_authorization_details().filter(EntityType::Role);
        let pages = call.into_paginator().page_size(PAGE).send();
        let mut texts = BTreeSet::new();
        let ours = |detail: &RoleDetail| (detail.path() == Some(path)).then(|| role(detail, &mut texts));
        self.calls.rows(OPERATION, pages, GetAccountAuthorizationDetailsOutput::role_detail_list, ours).await
    }

    pub(super) async fn write(&self, write: &IamWrite) -> Result<Made, AwsError> {
        let written = match write {
            IamWrite::CreateRole { name, path, trust_policy, description, permissions_boundary, tags } => {
                let boundary = permissions_boundary.as_ref();
                return self.create_role(name, path, trust_policy, description, boundary, tags).await;
            }
            IamWrite::PutRolePermissionsBoundary { role, boundary } => self.put_boundary(role, boundary).await,
            IamWrite::UpdateAssumeRolePolicy { role, trust_policy } => {
                self.update_trust_policy(role, trust_policy).await
            }
            IamWrite::PutRolePolicy { role, policy, document } => self.put_role_policy(role, policy, document).await,
            IamWrite::DeleteRolePolicy { role, policy } => self.delete_role_policy(role, policy).await,
            IamWrite::DetachRolePolicy { role, policy_arn } => self.detach_role_policy(role, policy_arn).await,
            IamWrite::TagRole { role, tags } => self.tag_role(role, tags).await,
            IamWrite::UntagRole { role, keys } => self.untag_role(role, keys).await,
            IamWrite::DeleteRole { role } => self.delete_role(role).await,
        };
        written.map(Made::from)
    }

    async fn create_role(
        &self,
        name: &RoleName,
        path: &str,
        trust_policy: &PolicyDocument,
        description: &str,
        boundary: Option<&PolicyArn>,
        tags: &Tags,
    ) -> Result<Made, AwsError> {
        const OPERATION: &str = "CreateRole";
        let wire: Result<Vec<Tag>, _> =
            tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let call = self
            .client
            .create_role()
            .role_name(name.as_str())
            .path(path)
            .assume_role_policy_document(trust_policy.as_str())
            .description(description)
            .set_permissions_boundary(boundary.map(ToString::to_string))
            .set_tags(Some(wire.map_err(|error| self.calls.invalid(OPERATION, &error))?))
            .send();
        let answer = self.calls.observed(OPERATION, call).await?;
        // The answer has the id and the ARN; the role has what the call gave it, and no policies.
        let shown = answer.role().map_or(Shown::Nothing, |role| {
            Shown::Role(Box::new(Role {
                name: name.clone(),
                id: role.role_id().to_owned(),
                arn: role.arn().to_owned(),
                trust_policy: trust_policy.clone(),
                inline_policies: BTreeMap::new(),
                attached_policies: BTreeSet::new(),
                permissions_boundary: boundary.map(ToString::to_string),
                tags: tags.clone(),
            }))
        });
        Ok(Made { written: Written::Done, shown })
    }

    async fn put_boundary(&self, role: &RoleName, boundary: &PolicyArn) -> Result<Written, AwsError> {
        let call = self.client.put_role_permissions_boundary().role_name(role.as_str());
        let call = call.permissions_boundary(boundary.as_str()).send();
        self.calls.observed("PutRolePermissionsBoundary", call).await.map(|_| Written::Done)
    }

    async fn update_trust_policy(&self, role: &RoleName, trust_policy: &PolicyDocument) -> Result<Written, AwsError> {
        let call = self.client.update_assume_role_policy().role_name(role.as_str());
        let call = call.policy_document(trust_policy.as_str()).send();
        self.calls.observed("UpdateAssumeRolePolicy", call).await.map(|_| Written::Done)
    }

    async fn put_role_policy(
        &self,
        role: &RoleName,
        policy: &str,
        document: &PolicyDocument,
    ) -> Result<Written, AwsError> {
        let call = self.client.put_role_policy().role_name(role.as_str()).policy_name(policy);
        let call = call.policy_document(document.as_str()).send();
        self.calls.observed("PutRolePolicy", call).await.map(|_| Written::Done)
    }

    async fn delete_role_policy(&self, role: &RoleName, policy: &str) -> Result<Written, AwsError> {
        let call = self.client.delete_role_policy().role_name(role.as_str()).policy_name(policy).send();
        self.calls.observed("DeleteRolePolicy", call).await.map(|_| Written::Done)
    }

    async fn detach_role_policy(&self, role: &RoleName, policy_arn: &str) -> Result<Written, AwsError> {
        let call = self.client.detach_role_policy().role_name(role.as_str()).policy_arn(policy_arn).send();
        self.calls.observed("DetachRolePolicy", call).await.map(|_| Written::Done)
    }

    async fn tag_role(&self, role: &RoleName, tags: &Tags) -> Result<Written, AwsError> {
        const OPERATION: &str = "TagRole";
        let tags: Result<Vec<Tag>, _> =
            tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let tags = tags.map_err(|error| self.calls.invalid(OPERATION, &error))?;
        let call = self.client.tag_role().role_name(role.as_str()).set_tags(Some(tags)).send();
        self.calls.observed(OPERATION, call).await.map(|_| Written::Done)
    }

    async fn untag_role(&self, role: &RoleName, keys: &BTreeSet<String>) -> Result<Written, AwsError> {
        let keys = Some(keys.iter().cloned().collect());
        let call = self.client.untag_role().role_name(role.as_str()).set_tag_keys(keys).send();
        self.calls.observed("UntagRole", call).await.map(|_| Written::Done)
    }

    async fn delete_role(&self, role: &RoleName) -> Result<Written, AwsError> {
        let call = self.client.delete_role().role_name(role.as_str()).send();
        self.calls.observed("DeleteRole", call).await.map(|_| Written::Done)
    }
}

/// Equal documents are one text in memory: the trust policies of all roles are.
fn role(role: &RoleDetail, texts: &mut BTreeSet<PolicyDocument>) -> Result<Role, Malformed> {
    let trust_policy = document(role.assume_role_policy_document(), "RoleDetail.AssumeRolePolicyDocument")?;
    if !texts.contains(&trust_policy) {
        texts.insert(trust_policy.clone());
    }
    let mut inline_policies = BTreeMap::new();
    for policy in role.role_policy_list() {
        let name = needed(policy.policy_name(), "PolicyDetail.PolicyName")?.to_owned();
        inline_policies.insert(name, document(policy.policy_document(), "PolicyDetail.PolicyDocument")?);
    }
    Ok(Role {
        name: parsed(role.role_name(), "RoleDetail.RoleName")?,
        id: needed(role.role_id(), "RoleDetail.RoleId")?.to_owned(),
        arn: needed(role.arn(), "RoleDetail.Arn")?.to_owned(),
        trust_policy: texts.get(&trust_policy).cloned().unwrap_or(trust_policy),
        inline_policies,
        attached_policies: role
            .attached_managed_policies()
            .iter()
            .map(|policy| needed(policy.policy_arn(), "AttachedPolicy.PolicyArn").map(ToOwned::to_owned))
            .collect::<Result<_, _>>()?,
        permissions_boundary: boundary(role.permissions_boundary()),
        tags: role.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
    })
}

/// A boundary is a managed policy. The answer has its ARN.
fn boundary(attached: Option<&AttachedPermissionsBoundary>) -> Option<String> {
    attached.and_then(AttachedPermissionsBoundary::permissions_boundary_arn).map(ToOwned::to_owned)
}

/// IAM returns policies URL-encoded by RFC 3986 (a plus is a plus). The SDK does not decode them.
fn document(encoded: Option<&str>, member: &str) -> Result<PolicyDocument, Malformed> {
    let text = percent_decode_str(needed(encoded, member)?).decode_utf8();
    text.map(|text| PolicyDocument::from_wire(&text)).map_err(|error| Malformed::wrong(member, &error))
}

#[cfg(test)]
mod tests {
    use aws_sdk_iam::types::{AttachedPolicy, PolicyDetail};

    use super::*;

    #[test]
    fn policies_are_decoded() {
        let encoded = "%7B%22Sid%22%3A%20%22a%2Bb%20%25c+d%22%7D";
        assert_eq!(
            document(Some(encoded), "PolicyDocument"),
            Ok(PolicyDocument::new(&serde_json::json!({"Sid": "a+b %c+d"})))
        );
        assert!(document(Some("%ff"), "PolicyDocument").is_err(), "not UTF-8");
        assert_eq!(document(None, "PolicyDocument"), Err(Malformed::missing("PolicyDocument")));
    }

    #[test]
    fn a_role_is_read_with_its_policies_and_tags() {
        let wire = RoleDetail::builder()
            .role_name("pgai-a")
            .role_id("AROAEXAMPLE")
            .arn("arn:aws:iam::123456789012:role/private-genai/prod/pgai-a")
            .assume_role_policy_document("%7B%7D")
            .role_policy_list(PolicyDetail::builder().policy_name("p").policy_document("%7B%7D").build())
            .attached_managed_policies(AttachedPolicy::builder().policy_arn("arn:aws:iam::aws:policy/X").build())
            .permissions_boundary(
                AttachedPermissionsBoundary::builder().permissions_boundary_arn("arn:aws:iam::aws:policy/Y").build(),
            )
            .tags(Tag::builder().key("k").value("v").build().expect("tag"))
            .build();
        let mut texts = BTreeSet::new();
        let role = role(&wire, &mut texts).expect("role");
        assert_eq!(role.inline_policies, [("p".to_owned(), PolicyDocument::from_wire("{}"))].into());
        assert_eq!(role.attached_policies, ["arn:aws:iam::aws:policy/X".to_owned()].into());
        assert_eq!(role.permissions_boundary.as_deref(), Some("arn:aws:iam::aws:policy/Y"));
        assert_eq!(role.tags, [("k".to_owned(), "v".to_owned())].into());
    }
}
