use std::collections::BTreeSet;

use private_genai_operator::aws::{Ec2Write, Failure, Peer, Protocol, Rule, SecurityGroupId, Write, Written};

use super::{Account, ByHand, Delays, VpcShape, new_group, our_tags};

fn https_from(range: &str) -> Rule {
    Rule::tcp(443, Peer::Ipv4(range.into()))
}

fn authorize(group: &SecurityGroupId, rules: impl Into<BTreeSet<Rule>>) -> Write {
    Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group.clone(), rules: rules.into() })
}

fn revoke(group: &SecurityGroupId, rules: impl Into<BTreeSet<Rule>>) -> Write {
    Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group.clone(), rules: rules.into() })
}

fn missing() -> SecurityGroupId {
    "sg-0123456789abcdef0".parse().expect("a group id")
}

#[test]
fn a_new_group_lets_everything_out_and_nothing_in() {
    for (ipv6, ranges) in [(false, 1), (true, 2)] {
        let mut account = Account::with(Delays::default(), &VpcShape { ipv6, ..VpcShape::default() });
        let id = account.group("new");
        let group = &account.world.regions[&account.region].groups[&id];
        assert!(group.ingress.is_empty());
        assert_eq!(group.egress.len(), ranges, "IPv6 too where the VPC has it: {:?}", group.egress);
        assert!(group.egress.iter().all(|rule| rule.protocol == Protocol::All));
    }
}

#[test]
fn a_groups_name_is_unique_in_its_vpc_and_of_ec2s_characters() {
    let mut account = Account::new();
    let vpc = account.vpc.clone();
    account.group("private-genai");
    account.refuses(new_group(&vpc, "private-genai"), "InvalidGroup.Duplicate", Failure::AlreadyExists);
    for name in ["", "default", "sg-mine", "semi;colons are fine, quotes \" are not", &"x".repeat(256)] {
        account.refuses(new_group(&vpc, name), "InvalidParameterValue", Failure::Invalid);
    }
    let elsewhere = "vpc-0123456789abcdef0".parse().expect("a VPC id");
    account.refuses(new_group(&elsewhere, "a"), "InvalidVpcID.NotFound", Failure::NotFound);
    let region = account.region.clone();
    let (other_vpc, _) = account.world.add_vpc(&region, &VpcShape::default());
    account.write(new_group(&other_vpc, "private-genai")).expect("another VPC, the same name");
}

#[test]
fn a_rule_is_granted_once_and_revoked_once() {
    let mut account = Account::new();
    let group = account.group("a");
    let rule = https_from("10.0.0.0/8");
    account.refuses(revoke(&group, [rule.clone()]), "InvalidPermission.NotFound", Failure::NotFound);
    account.write(authorize(&group, [rule.clone()])).expect("a new rule");
    account.refuses(authorize(&group, [rule.clone()]), "InvalidPermission.Duplicate", Failure::AlreadyExists);
    let with_another = [rule.clone(), https_from("10.1.0.0/16")];
    account.refuses(authorize(&group, with_another.clone()), "InvalidPermission.Duplicate", Failure::AlreadyExists);
    account.refuses(revoke(&group, with_another), "InvalidPermission.NotFound", Failure::NotFound);
    account.write(revoke(&group, [rule])).expect("a rule that is there");
    account.refuses(authorize(&missing(), [https_from("10.0.0.0/8")]), "InvalidGroup.NotFound", Failure::NotFound);
}

/// EC2 API reference, "`RevokeSecurityGroupIngress`".
#[test]
fn a_rule_that_is_not_there_is_refused_with_all_others_but_in_a_default_vpc_where_the_others_go() {
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
fn ec2_keeps_rules_in_its_own_spelling() {
    let mut account = Account::new();
    let group = account.group("a");
    let all = |peer| Rule { protocol: Protocol::All, ports: Some((443, 443)), peer };
    let given = [https_from("10.1.2.3/8"), all(Peer::Ipv6("2001:DB8:0:0::5/32".into()))];
    account.write(authorize(&group, given)).expect("new rules");
    let kept = &account.world.regions[&account.region].groups[&group].ingress;
    let without_ports = Rule { ports: None, ..all(Peer::Ipv6("2001:db8::/32".into())) };
    assert_eq!(*kept, [https_from("10.0.0.0/8"), without_ports].into());
    let same = [https_from("10.0.0.0/8")];
    account.refuses(authorize(&group, same), "InvalidPermission.Duplicate", Failure::AlreadyExists);
    let twice = [https_from("11.0.0.1/8"), https_from("11.0.0.2/8")];
    account.refuses(authorize(&group, twice), "InvalidParameterValue", Failure::Invalid);
    for range in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "all"] {
        account.refuses(authorize(&group, [https_from(range)]), "InvalidParameterValue", Failure::Invalid);
    }
    let no_ports = Rule { ports: None, ..https_from("10.0.0.0/8") };
    account.refuses(authorize(&group, [no_ports]), "InvalidParameterValue", Failure::Invalid);
}

#[test]
fn a_group_has_at_most_sixty_rules_each_way() {
    let mut account = Account::new();
    let group = account.group("a");
    let rules = |count: u8| (0..count).map(|n| https_from(&format!("10.{n}.0.0/16"))).collect::<BTreeSet<_>>();
    account.refuses(authorize(&group, rules(61)), "RulesPerSecurityGroupLimitExceeded", Failure::QuotaReached);
    account.write(authorize(&group, rules(60))).expect("sixty rules");
    let one_more = [https_from("192.168.0.0/16")];
    account.refuses(authorize(&group, one_more), "RulesPerSecurityGroupLimitExceeded", Failure::QuotaReached);
}

#[test]
fn a_group_that_anything_refers_to_is_not_deleted() {
    let mut account = Account::new();
    let delete = |group: &SecurityGroupId| Write::Ec2(Ec2Write::DeleteSecurityGroup { group: group.clone() });
    let (one, two) = (account.group("one"), account.group("two"));
    let from_one = [Rule::tcp(443, Peer::Group(one.clone()))];
    account.write(authorize(&two, from_one.clone())).expect("a rule that names the other group");
    account.write(authorize(&one, from_one.clone())).expect("a rule that names the group itself");
    account.refuses(delete(&one), "DependencyViolation", Failure::InUse);
    account.write(revoke(&two, from_one)).expect("the reference");
    account.write(delete(&one)).expect("its own rule does not hold it");
    account.refuses(delete(&one), "InvalidGroup.NotFound", Failure::NotFound);
    let from_missing = [Rule::tcp(443, Peer::Group(one))];
    account.refuses(authorize(&two, from_missing), "InvalidGroup.NotFound", Failure::NotFound);

    let subnet = account.subnets[0].clone();
    account.by_hand(ByHand::RunInstance { subnet, groups: [two.clone()].into() }).expect("an instance");
    account.refuses(delete(&two), "DependencyViolation", Failure::InUse);
    let default = account.world.regions[&account.region].default_group(&account.vpc).expect("every VPC has one");
    account.refuses(delete(&default), "CannotDelete", Failure::Invalid);
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
fn tags_are_added_to_what_is_there_and_checked() {
    let mut account = Account::new();
    let group = account.group("a");
    let tag = |resource: String, key: &str| {
        Write::Ec2(Ec2Write::CreateTags { resource, tags: [(key.into(), "value".into())].into() })
    };
    account.write(tag(group.to_string(), "owner")).expect("a tag");
    assert_eq!(account.world.regions[&account.region].groups[&group].tags.len(), our_tags().len() + 1);
    account.refuses(tag(group.to_string(), "aws:mine"), "InvalidParameterValue", Failure::Invalid);
    account.refuses(tag(group.to_string(), &"k".repeat(129)), "InvalidParameterValue", Failure::Invalid);
    account.refuses(tag(missing().to_string(), "owner"), "InvalidGroup.NotFound", Failure::NotFound);
    account.refuses(tag("vpce-0123456789abcdef0".into(), "a"), "InvalidVpcEndpointId.NotFound", Failure::NotFound);
    account.refuses(tag("i-0123456789abcdef0".into(), "a"), "InvalidID", Failure::Invalid);
    let many = (0..50).map(|n| (format!("tag-{n}"), String::new())).collect();
    let too_many = Write::Ec2(Ec2Write::CreateTags { resource: group.to_string(), tags: many });
    account.refuses(too_many, "TagLimitExceeded", Failure::QuotaReached);
}
