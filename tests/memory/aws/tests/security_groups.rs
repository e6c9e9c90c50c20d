use std::collections::BTreeSet;

use private_genai_operator::aws::{Ec2Write, Failure, Peer, Rule, SecurityGroupId, Write, Written};

use super::{Account, ByHand, Delays, VpcShape, new_group};

fn https_from(range: &str) -> Rule {
    Rule::tcp(443, Peer::Ipv4(range.into()))
}

fn authorize(group: &SecurityGroupId, rules: impl Into<BTreeSet<Rule>>) -> Write {
    Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group.clone(), rules: rules.into() })
}

fn revoke(group: &SecurityGroupId, rules: impl Into<BTreeSet<Rule>>) -> Write {
    Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group.clone(), rules: rules.into() })
}

/// EC2 API reference, "`RevokeSecurityGroupIngress`".
#[test]
fn a_revoke_of_a_missing_rule_is_refused_but_in_a_default_vpc_the_others_go() {
    for default in [false, true] {
        let mut account = Account::with(Delays::default(), &VpcShape { default, ..VpcShape::default() });
        let group = account.group("a");
        let (there, missing) = (https_from("10.0.0.0/8"), https_from("11.0.0.0/8"));
        account.write(authorize(&group, [there.clone()])).expect("a rule");
        let both = revoke(&group, [there.clone(), missing]);
        if default {
            let revoked = account.write(both).expect("no error is returned");
            assert_eq!(revoked, Written::Revoked([there].into()));
        } else {
            account.refuses(both, "InvalidPermission.NotFound", Failure::NotFound);
        }
        let kept = &account.world.regions[&account.region].groups[&group].ingress;
        assert_eq!(kept.is_empty(), default);
    }
}

#[test]
fn a_new_group_may_not_be_found_at_first_but_holds_its_name() {
    let mut account = Account::with(Delays { ec2_visible: 5, ..Delays::default() }, &VpcShape::default());
    let vpc = account.vpc.clone();
    let group = account.group("a");
    account.refuses(authorize(&group, [https_from("10.0.0.0/8")]), "InvalidGroup.NotFound", Failure::NotFound);
    account.refuses(new_group(&vpc, "a"), "InvalidGroup.Duplicate", Failure::AlreadyExists);
    account.advance(5);
    account.write(authorize(&group, [https_from("10.0.0.0/8")])).expect("found by now");
}

#[test]
fn a_new_group_lets_out_ipv6_too_where_the_vpc_has_it() {
    for (ipv6, ranges) in [(false, 1), (true, 2)] {
        let mut account = Account::with(Delays::default(), &VpcShape { ipv6, ..VpcShape::default() });
        let id = account.group("new");
        assert_eq!(account.world.regions[&account.region].groups[&id].egress.len(), ranges);
    }
}

#[test]
fn a_group_that_an_instance_carries_is_not_deleted() {
    let mut account = Account::new();
    let (group, subnet) = (account.group("a"), account.subnets[0].clone());
    account.by_hand(ByHand::RunInstance { subnet, groups: [group.clone()].into() }).expect("an instance");
    let delete = Write::Ec2(Ec2Write::DeleteSecurityGroup { group });
    account.refuses(delete, "DependencyViolation", Failure::InUse);
}
