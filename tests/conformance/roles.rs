//! IAM roles: names, policies, boundaries, tags, what shows of them.

use std::collections::BTreeSet;

use private_genai_operator::aws::{Failure, IamWrite, PolicyDocument, RoleName};
use serde_json::json;

use super::{
    fact::facts,
    ground::{Ground, PATH, endpoint_policy, interface_policy, role_policy, trust_policy},
};

facts! {
    "a role's name is unique in the account, whatever its case and its path",
    "IAM User Guide, \"IAM and AWS STS quotas\": names are not distinguished by case; EntityAlreadyExists",
    names;
    "a path begins and ends with a slash",
    "IAM API reference, CreateRole (Path); ValidationError",
    paths;
    "a role goes after its policies, and is not found then",
    "IAM API reference, DeleteRole: DeleteConflict, NoSuchEntity",
    deletion;
    "the inline policies of a role have at most 10,240 characters together",
    "IAM quotas, \"Role inline policies\"; LimitExceeded",
    sizes;
    "an inline policy names no principal, and a trust policy does",
    "IAM API reference, PutRolePolicy, UpdateAssumeRolePolicy: MalformedPolicyDocument",
    documents;
    "a permissions boundary is a managed policy that exists; another one replaces it",
    "IAM API reference, PutRolePermissionsBoundary: NoSuchEntity \"does not exist or is not attachable\"",
    boundaries;
    "tags are set beside those that are there, and removed by key",
    "IAM API reference, TagRole, UntagRole",
    tags;
    "one role, all roles, and their list show the same",
    "IAM API reference, GetRole, GetAccountAuthorizationDetails, ListRoles (which shows neither tags nor boundary)",
    reads;
}

fn missing(on: &Ground) -> RoleName {
    on.role_name("missing")
}

async fn names(on: &Ground) {
    let name = on.bare_role("name").await;
    on.refuses(on.new_role(&name), "EntityAlreadyExists", Failure::AlreadyExists).await;
    let shouted: RoleName = name.as_str().to_ascii_uppercase().parse().expect("a role name");
    on.refuses(on.new_role(&shouted), "EntityAlreadyExists", Failure::AlreadyExists).await;
}

async fn paths(on: &Ground) {
    for path in ["/open", "open/", "/a b/"] {
        let IamWrite::CreateRole { name, trust_policy, description, permissions_boundary, tags, .. } =
            on.new_role(&on.role_name("path"))
        else {
            panic!("a role")
        };
        let path = path.into();
        let role = IamWrite::CreateRole { name, path, trust_policy, description, permissions_boundary, tags };
        on.refuses(role, "ValidationError", Failure::Invalid).await;
    }
}

async fn deletion(on: &Ground) {
    let role = on.bare_role("deletion").await;
    on.takes(interface_policy(&role)).await;
    let delete = || IamWrite::DeleteRole { role: role.clone() };
    let delete_policy = || IamWrite::DeleteRolePolicy { role: role.clone(), policy: "interfaces".into() };
    on.refuses(delete(), "DeleteConflict", Failure::InUse).await;
    on.takes(delete_policy()).await;
    on.refuses(delete_policy(), "NoSuchEntity", Failure::NotFound).await;
    let policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned();
    let detach = IamWrite::DetachRolePolicy { role: role.clone(), policy_arn };
    on.refuses(detach, "NoSuchEntity", Failure::NotFound).await;
    on.takes(delete()).await;
    on.refuses(delete(), "NoSuchEntity", Failure::NotFound).await;
    on.refuses(interface_policy(&role), "NoSuchEntity", Failure::NotFound).await;
}

async fn sizes(on: &Ground) {
    let role = on.bare_role("sizes").await;
    let any = |length| role_policy("*", &format!("arn:aws:s3:::{}", "x".repeat(length)));
    let padded = |to: usize| any(to - any(0).as_str().len());
    let put = |name: &str, document| IamWrite::PutRolePolicy { role: role.clone(), policy: name.into(), document };
    on.refuses(put("one", padded(10_241)), "LimitExceeded", Failure::QuotaReached).await;
    on.takes(put("one", padded(10_000))).await;
    on.refuses(put("two", padded(241)), "LimitExceeded", Failure::QuotaReached).await;
    on.takes(put("two", padded(240))).await;
}

async fn documents(on: &Ground) {
    let role = on.bare_role("documents").await;
    let put = |document| IamWrite::PutRolePolicy { role: role.clone(), policy: "p".into(), document };
    for wrong in [PolicyDocument::new(&json!({})), endpoint_policy("*")] {
        on.refuses(put(wrong), "MalformedPolicyDocument", Failure::Invalid).await;
    }
    let trust = |trust_policy| IamWrite::UpdateAssumeRolePolicy { role: role.clone(), trust_policy };
    on.refuses(trust(role_policy("sts:AssumeRole", "*")), "MalformedPolicyDocument", Failure::Invalid).await;
    let other = trust_policy("ec2.amazonaws.com");
    on.takes(trust(other.clone())).await;
    on.see_role(&role, |seen| seen.trust_policy == other).await;
}

async fn boundaries(on: &Ground) {
    let role = on.bare_role("boundaries").await;
    let put = |boundary: &str| IamWrite::PutRolePermissionsBoundary {
        role: role.clone(),
        boundary: boundary.parse().expect("an ARN"),
    };
    let missing = put("arn:aws:iam::aws:policy/no-such-policy-of-conformance");
    on.refuses(missing, "NoSuchEntity", Failure::BoundaryMissing).await;
    let boundary = "arn:aws:iam::aws:policy/PowerUserAccess";
    on.takes(put(boundary)).await;
    on.see_role(&role, |seen| seen.permissions_boundary.as_deref() == Some(boundary)).await;
}

async fn tags(on: &Ground) {
    let role = on.bare_role("tags").await;
    let tags = [("owner".to_owned(), "team".to_owned())].into();
    on.takes(IamWrite::TagRole { role: role.clone(), tags }).await;
    on.see_role(&role, |seen| seen.tags.len() == 2 && seen.tags["owner"] == "team").await;
    on.takes(IamWrite::UntagRole { role: role.clone(), keys: ["owner".to_owned()].into() }).await;
    on.see_role(&role, |seen| seen.tags == on.tags()).await;
    let tags = [("owner".to_owned(), "team".to_owned())].into();
    on.refuses(IamWrite::TagRole { role: missing(on), tags }, "NoSuchEntity", Failure::NotFound).await;
}

async fn reads(on: &Ground) {
    let role = on.bare_role("reads").await;
    on.takes(interface_policy(&role)).await;
    let one = on.see_role(&role, |seen| !seen.inline_policies.is_empty()).await;
    assert_eq!((&one.arn, &one.tags), (&on.role_arn(&role), &on.tags()));
    on.until("all roles show the same", async || {
        let all = on.aws.roles(&on.region, PATH).await.expect("roles");
        (all.iter().find(|other| other.name == role)? == &one).then_some(())
    })
    .await;
    on.until("the list shows the same", async || {
        let all = on.aws.role_listings(&on.region, PATH).await.expect("roles");
        let listed = all.into_iter().find(|other| other.name == role)?;
        ((listed.id, listed.arn, listed.trust_policy) == (one.id.clone(), one.arn.clone(), one.trust_policy.clone()))
            .then_some(())
    })
    .await;
    assert_eq!(on.aws.role(&on.region, &missing(on)).await.expect("an answer"), None);
    let elsewhere = on.aws.roles(&on.region, "/private-genai-conformance-elsewhere/").await.expect("roles");
    assert_eq!(elsewhere.into_iter().map(|role| role.name).collect::<BTreeSet<_>>(), BTreeSet::new());
}
