use private_genai_operator::aws::{Failure, IamWrite, Write};

use super::{Account, ByHand, Delays, VpcShape, interface_policy};
use crate::memory::aws::reads;

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
