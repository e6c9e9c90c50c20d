use private_genai_operator::aws::{Failure, IamWrite, LogsWrite, PolicyDocument, RoleName, Write};
use serde_json::json;

use super::{
    Account, ByHand, Delays, VpcShape, endpoint_policy, installation, interface_policy, log_group, new_role, our_tags,
    policy, trust_policy,
};
use crate::memory::aws::reads;

#[test]
fn a_roles_name_is_unique_in_the_account_whatever_its_case_and_path() {
    let mut account = Account::new();
    account.write(new_role("app")).expect("a new role");
    let elsewhere = |name: &str, path: &str| {
        Write::Iam(IamWrite::CreateRole {
            name: name.parse().expect("a role name"),
            path: path.into(),
            trust_policy: trust_policy(),
            description: String::new(),
            permissions_boundary: None,
            tags: our_tags(),
        })
    };
    account.refuses(new_role("app"), "EntityAlreadyExists", Failure::AlreadyExists);
    account.refuses(elsewhere("APP", "/"), "EntityAlreadyExists", Failure::AlreadyExists);
    for path in ["", "/open", "open/", "/a b/"] {
        account.refuses(elsewhere("other", path), "ValidationError", Failure::Invalid);
    }
}

#[test]
fn policies_are_checked_for_form_and_size() {
    let mut account = Account::new();
    let role = account.bare_role("app");
    let put = |name: &str, document| {
        Write::Iam(IamWrite::PutRolePolicy { role: role.clone(), policy: name.into(), document })
    };
    let padded = |to: usize| {
        let document = |pad: usize| policy(&json!({"Effect": "Allow", "Action": "*", "Resource": "x".repeat(pad)}));
        document(1 + to - document(1).as_str().len())
    };
    account.refuses(put("app", padded(10_241)), "LimitExceeded", Failure::QuotaReached);
    account.write(put("app", padded(10_000))).expect("it fits");
    account.refuses(put("more", padded(241)), "LimitExceeded", Failure::QuotaReached);
    account.write(put("more", padded(240))).expect("both fit");
    for wrong in [PolicyDocument::from_wire("not json"), PolicyDocument::new(&json!({})), endpoint_policy()] {
        account.refuses(put("app", wrong), "MalformedPolicyDocument", Failure::Invalid);
    }
    let trust = |trust_policy| Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: role.clone(), trust_policy });
    account.refuses(trust(padded(100)), "MalformedPolicyDocument", Failure::Invalid);
    account.write(trust(trust_policy())).expect("the role");
    let missing: RoleName = "missing".parse().expect("a role name");
    account.refuses(interface_policy(&missing), "NoSuchEntity", Failure::NotFound);
}

#[test]
fn a_role_is_deleted_after_its_policies() {
    let mut account = Account::new();
    let role = account.role("app");
    let policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess".to_owned();
    let attach = ByHand::AttachRolePolicy { role: role.clone(), policy_arn: policy_arn.clone() };
    account.by_hand(attach).expect("the role");
    let delete = Write::Iam(IamWrite::DeleteRole { role: role.clone() });
    let delete_policy = Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy: "app".into() });
    let detach = Write::Iam(IamWrite::DetachRolePolicy { role, policy_arn });
    account.refuses(delete.clone(), "DeleteConflict", Failure::InUse);
    account.write(detach.clone()).expect("it is attached");
    account.refuses(detach, "NoSuchEntity", Failure::NotFound);
    account.refuses(delete.clone(), "DeleteConflict", Failure::InUse);
    account.write(delete_policy.clone()).expect("it is there");
    account.refuses(delete_policy, "NoSuchEntity", Failure::NotFound);
    account.write(delete.clone()).expect("nothing is left");
    account.refuses(delete, "NoSuchEntity", Failure::NotFound);
}

#[test]
fn iams_reads_lag_behind_its_writes() {
    let mut account = Account::with(Delays { role_visible: 10, ..Delays::default() }, &VpcShape::default());
    let role = account.bare_role("app");
    assert_eq!(reads::roles(&account.world), []);
    account.advance(10);
    account.write(interface_policy(&role)).expect("writes see the role at once");
    let policies = |account: &Account| reads::roles(&account.world)[0].inline_policies.len();
    assert_eq!(policies(&account), 0);
    account.advance(10);
    assert_eq!(policies(&account), 1);
    account.by_hand(ByHand::DeleteRole(role)).expect("the role");
    assert_eq!(policies(&account), 1, "a role that is gone is still shown");
    account.advance(10);
    assert_eq!(reads::roles(&account.world), []);
}

#[test]
fn a_log_group_is_created_once_with_one_of_the_allowed_retentions() {
    let mut account = Account::new();
    let name = log_group("/aws/lambda/pgai-app");
    let create = Write::Logs(LogsWrite::CreateLogGroup { name: name.clone(), tags: our_tags() });
    let keep = |days| Write::Logs(LogsWrite::PutRetentionPolicy { name: name.clone(), days });
    let delete = Write::Logs(LogsWrite::DeleteLogGroup { name: name.clone() });
    account.refuses(keep(30), "ResourceNotFoundException", Failure::NotFound);
    account.refuses(delete.clone(), "ResourceNotFoundException", Failure::NotFound);
    account.write(create.clone()).expect("a new group");
    account.refuses(create, "ResourceAlreadyExistsException", Failure::AlreadyExists);
    let shown = |account: &Account| reads::log_groups(&account.world.regions[&account.region], "/aws/lambda/pgai-");
    assert_eq!(shown(&account)[0].retention_days, None, "for ever, until somebody says otherwise");
    for days in [0, 2, 31, 10_000] {
        account.refuses(keep(days), "InvalidParameterException", Failure::Invalid);
    }
    account.write(keep(30)).expect("an allowed number");
    assert_eq!(shown(&account)[0].retention_days, Some(30));
    assert_eq!(reads::leftovers(&account.world, &installation()).len(), 1);
    account.write(delete).expect("the group");
    assert_eq!(reads::leftovers(&account.world, &installation()), [""; 0]);
}
