//! Security groups: rules, names, references, tags.

use std::collections::BTreeSet;

use private_genai_operator::aws::{Ec2Write, Failure, Peer, Protocol, Rule, SecurityGroupId};

use super::{fact::facts, ground::Ground};

facts! {
    "a new group lets everything out over IPv4, and nothing in",
    "VPC User Guide, \"Create a security group\": outbound rules by default",
    new_group;
    "a group's name is unique in its VPC, and neither `default` nor begins with `sg-`",
    "EC2 API reference, CreateSecurityGroup; error code InvalidGroup.Duplicate",
    names;
    "a rule is there once, however it is spelled: EC2 keeps ranges in a spelling of its own",
    "EC2 API reference, AuthorizeSecurityGroupIngress (CidrIp: canonical form); error code InvalidPermission.Duplicate",
    spelling;
    "a call with a rule that is there, or twice the same, changes nothing",
    "EC2 error codes, InvalidPermission.Duplicate; InvalidParameterValue for the same rule twice in a request",
    all_or_nothing;
    "a range that is none is refused",
    "EC2 API reference, IpRange; error code InvalidParameterValue",
    ranges;
    "outside a default VPC, a revoke that names a rule which is not there takes none",
    "EC2 API reference, RevokeSecurityGroupIngress: InvalidPermission.NotFound",
    revoking;
    "a group has at most sixty rules each way",
    "VPC quotas, \"Inbound or outbound rules per security group\"; RulesPerSecurityGroupLimitExceeded",
    sixty_rules;
    "a group that a rule of another group names is not deleted; a rule of its own does not hold it",
    "EC2 API reference, DeleteSecurityGroup: DependencyViolation",
    references;
    "a group that is gone is not found, neither to change it nor to name it in a rule",
    "EC2 error codes, InvalidGroup.NotFound",
    gone;
    "tags are set beside those that are there; reserved keys, and more than fifty, are refused",
    "EC2 API reference, CreateTags; EC2 User Guide, \"Tag restrictions\"; TagLimitExceeded",
    tags;
    "groups are found by a tag, by a tag in one VPC, and by the group that their rules name",
    "EC2 API reference, DescribeSecurityGroups: filters tag:KEY, vpc-id, ip-permission.group-id",
    filters;
}

fn https_from(range: &str) -> Rule {
    Rule::tcp(443, Peer::Ipv4(range.into()))
}

fn allow(group: &SecurityGroupId, rules: impl Into<BTreeSet<Rule>>) -> Ec2Write {
    Ec2Write::AuthorizeSecurityGroupIngress { group: group.clone(), rules: rules.into() }
}

fn revoke(group: &SecurityGroupId, rules: impl Into<BTreeSet<Rule>>) -> Ec2Write {
    Ec2Write::RevokeSecurityGroupIngress { group: group.clone(), rules: rules.into() }
}

fn delete(group: &SecurityGroupId) -> Ec2Write {
    Ec2Write::DeleteSecurityGroup { group: group.clone() }
}

async fn new_group(on: &Ground) {
    let id = on.group("new").await;
    let group = on.see_group(&id, |_| true).await;
    assert_eq!(group.ingress, BTreeSet::new());
    let everything = Rule { protocol: Protocol::All, ports: None, peer: Peer::Ipv4("0.0.0.0/0".into()) };
    assert_eq!(group.egress, [everything.clone()].into());
    on.takes(Ec2Write::RevokeSecurityGroupEgress { group: id.clone(), rules: [everything].into() }).await;
    on.see_group(&id, |group| group.egress.is_empty()).await;
}

async fn names(on: &Ground) {
    on.group("taken").await;
    on.refuses(on.new_group(&on.called("taken")), "InvalidGroup.Duplicate", Failure::AlreadyExists).await;
    for name in ["default", "sg-mine"] {
        on.refuses(on.new_group(name), "InvalidParameterValue", Failure::Invalid).await;
    }
    let nowhere = "vpc-0123456789abcdef0".parse().expect("a VPC id");
    on.refuses(on.new_group_in(&nowhere, "nowhere"), "InvalidVpcID.NotFound", Failure::NotFound).await;
    if let Some((elsewhere, _)) = &on.elsewhere {
        on.takes(on.new_group_in(elsewhere, &on.called("taken"))).await;
    }
}

async fn spelling(on: &Ground) {
    let group = on.group("spelling").await;
    on.takes(allow(&group, [https_from("10.1.2.3/8")])).await;
    on.see_group(&group, |seen| seen.ingress == [https_from("10.0.0.0/8")].into()).await;
    for same in ["10.0.0.0/8", "10.9.9.9/8"] {
        on.refuses(allow(&group, [https_from(same)]), "InvalidPermission.Duplicate", Failure::AlreadyExists).await;
    }
}

async fn all_or_nothing(on: &Ground) {
    let group = on.group("all-or-nothing").await;
    on.takes(allow(&group, [https_from("10.0.0.0/8")])).await;
    let both = [https_from("10.0.0.0/8"), https_from("11.0.0.0/8")];
    on.refuses(allow(&group, both), "InvalidPermission.Duplicate", Failure::AlreadyExists).await;
    let twice = [https_from("12.0.0.1/8"), https_from("12.0.0.2/8")];
    on.refuses(allow(&group, twice), "InvalidParameterValue", Failure::Invalid).await;
    on.see_group(&group, |seen| seen.ingress == [https_from("10.0.0.0/8")].into()).await;
}

async fn ranges(on: &Ground) {
    let group = on.group("ranges").await;
    for range in ["10.0.0.0/33", "10.0.0/8", "all"] {
        on.refuses(allow(&group, [https_from(range)]), "InvalidParameterValue", Failure::Invalid).await;
    }
}

async fn revoking(on: &Ground) {
    let group = on.group("revoking").await;
    on.takes(allow(&group, [https_from("10.0.0.0/8")])).await;
    let both = [https_from("10.0.0.0/8"), https_from("11.0.0.0/8")];
    on.refuses(revoke(&group, both), "InvalidPermission.NotFound", Failure::NotFound).await;
    on.see_group(&group, |seen| seen.ingress.len() == 1).await;
    on.takes(revoke(&group, [https_from("10.0.0.0/8")])).await;
    on.see_group(&group, |seen| seen.ingress.is_empty()).await;
    on.refuses(revoke(&group, [https_from("10.0.0.0/8")]), "InvalidPermission.NotFound", Failure::NotFound).await;
}

async fn sixty_rules(on: &Ground) {
    const CODE: &str = "RulesPerSecurityGroupLimitExceeded";
    let group = on.group("sixty").await;
    let rules = |count: u8| (0..count).map(|n| https_from(&format!("10.{n}.0.0/16"))).collect::<BTreeSet<_>>();
    on.refuses(allow(&group, rules(61)), CODE, Failure::QuotaReached).await;
    on.takes(allow(&group, rules(60))).await;
    on.refuses(allow(&group, [https_from("192.168.0.0/16")]), CODE, Failure::QuotaReached).await;
}

async fn references(on: &Ground) {
    let (named, other) = (on.group("named").await, on.group("other").await);
    let from_named = [Rule::tcp(443, Peer::Group(named.clone()))];
    on.takes(allow(&other, from_named.clone())).await;
    on.takes(allow(&named, from_named.clone())).await;
    on.refuses(delete(&named), "DependencyViolation", Failure::InUse).await;
    on.takes(revoke(&other, from_named)).await;
    on.takes(delete(&named)).await;
}

async fn gone(on: &Ground) {
    let (gone, other) = (on.group("gone").await, on.group("other").await);
    on.takes(delete(&gone)).await;
    on.refuses(delete(&gone), "InvalidGroup.NotFound", Failure::NotFound).await;
    let rule = [https_from("10.0.0.0/8")];
    on.refuses(allow(&gone, rule), "InvalidGroup.NotFound", Failure::NotFound).await;
    let from_gone = [Rule::tcp(443, Peer::Group(gone))];
    on.refuses(allow(&other, from_gone), "InvalidGroup.NotFound", Failure::NotFound).await;
}

async fn tags(on: &Ground) {
    let group = on.group("tags").await;
    let tag = |resource: &str, key: &str| Ec2Write::CreateTags {
        resource: resource.into(),
        tags: [(key.to_owned(), "value".to_owned())].into(),
    };
    on.takes(tag(group.as_str(), "owner")).await;
    on.see_group(&group, |seen| seen.tags.len() == 2 && seen.tags["owner"] == "value").await;
    on.refuses(tag(group.as_str(), "aws:mine"), "InvalidParameterValue", Failure::Invalid).await;
    on.refuses(tag("sg-0123456789abcdef0", "a"), "InvalidGroup.NotFound", Failure::NotFound).await;
    on.refuses(tag("vpce-0123456789abcdef0", "a"), "InvalidVpcEndpointId.NotFound", Failure::NotFound).await;
    let many = (0..50).map(|n| (format!("tag-{n}"), String::new())).collect();
    let many = Ec2Write::CreateTags { resource: group.to_string(), tags: many };
    on.refuses(many, "TagLimitExceeded", Failure::QuotaReached).await;
}

async fn filters(on: &Ground) {
    let (named, other) = (on.group("named").await, on.group("other").await);
    on.takes(allow(&other, [Rule::tcp(443, Peer::Group(named.clone()))])).await;
    let tag = ("privategenai.dev/conformance", on.mark.as_str());
    on.until("both groups are found by their tag and VPC", async || {
        let found = on.aws.vpc_security_groups(&on.region, tag, &on.vpc).await.expect("groups");
        (found.len() == 2).then_some(())
    })
    .await;
    on.until("the group is found by the rule that it has", async || {
        let found = on.aws.referring_groups(&on.region, &named).await.expect("groups");
        found.iter().any(|group| group.id == other).then_some(())
    })
    .await;
}
