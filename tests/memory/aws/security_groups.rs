//! Security groups, as strict as EC2 is.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use private_genai_operator::aws::{Peer, Protocol, Region, Rule, SecurityGroup, SecurityGroupId, Tags, VpcId, Written};

use super::{
    step::{Answer, refuse},
    tags,
    world::{Ec2Id, RegionState, Transition, World},
};

/// VPC quotas: "Inbound or outbound rules per security group", each way.
const RULES_EACH_WAY: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

fn rules_mut(group: &mut SecurityGroup, direction: Direction) -> &mut BTreeSet<Rule> {
    match direction {
        Direction::In => &mut group.ingress,
        Direction::Out => &mut group.egress,
    }
}

pub(super) fn create(
    world: &mut World,
    region: &Region,
    vpc: &VpcId,
    name: &str,
    description: &str,
    tags: &Tags,
) -> Answer {
    // CreateSecurityGroup: "Up to 255 characters in length. Cannot start with `sg-`. Valid characters: a-z, A-Z, 0-9,
    // spaces, and ._-:/()#,@[]+=&;{}!$*"
    let valid = |text: &str| {
        (1..=255).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
    };
    if !valid(name) || name.starts_with("sg-") || name == "default" {
        return refuse("InvalidParameterValue", format!("Invalid security group name: {name}"));
    }
    if !valid(description) {
        return refuse("InvalidParameterValue", format!("Invalid security group description: {description}"));
    }
    tags::check(tags, "InvalidParameterValue")?;
    let state = world.region_mut(region);
    if !state.vpcs.contains_key(vpc) {
        return refuse("InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist"));
    }
    // A group holds its name even before a call finds the group.
    if state.groups.values().any(|group| group.vpc == *vpc && group.name == name) {
        return refuse("InvalidGroup.Duplicate", format!("The security group '{name}' already exists for VPC '{vpc}'"));
    }
    let group = world.new_group(region, vpc, name, tags.clone());
    let id = group.id.clone();
    let state = world.region_mut(region);
    state.groups.insert(id.clone(), group);
    state.invisible.insert(Ec2Id::Group(id.clone()));
    world.schedule(Transition::Visible(region.clone(), Ec2Id::Group(id.clone())), world.delays.ec2_visible);
    Ok(Written::SecurityGroup(id))
}

pub(super) fn authorize(
    world: &mut World,
    region: &Region,
    id: &SecurityGroupId,
    direction: Direction,
    rules: &BTreeSet<Rule>,
) -> Answer {
    let state = world.region_mut(region);
    let mut group = found(state, id)?.clone();
    for rule in canonical(rules)? {
        if let Peer::Group(peer) = &rule.peer
            && found(state, peer)?.vpc != group.vpc
        {
            return refuse(
                "InvalidGroup.NotFound",
                format!("You have specified two resources that belong to different networks: {id}, {peer}"),
            );
        }
        if !rules_mut(&mut group, direction).insert(rule.clone()) {
            return refuse("InvalidPermission.Duplicate", format!("the specified rule \"{rule:?}\" already exists"));
        }
    }
    if rules_mut(&mut group, direction).len() > RULES_EACH_WAY {
        return refuse(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        );
    }
    state.groups.insert(id.clone(), group);
    Ok(Written::Done)
}

/// In a default VPC, AWS revokes the rules that exist and names the others in its answer (`unknownIpPermissionSet`). In every
/// other VPC it revokes all of the rules or none.
///
/// Source: EC2 API reference, "`RevokeSecurityGroupIngress`". For egress, the reference has the first sentence only; the second
/// is assumed.
pub(super) fn revoke(
    world: &mut World,
    region: &Region,
    id: &SecurityGroupId,
    direction: Direction,
    rules: &BTreeSet<Rule>,
) -> Answer {
    let state = world.region_mut(region);
    let mut group = found(state, id)?.clone();
    let is_default = state.default_vpcs.contains(&group.vpc);
    let mut revoked = BTreeSet::new();
    for rule in canonical(rules)? {
        if rules_mut(&mut group, direction).remove(&rule) {
            revoked.insert(rule);
        } else if !is_default {
            return refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.");
        }
    }
    state.groups.insert(id.clone(), group);
    Ok(Written::Revoked(revoked))
}

pub(super) fn delete(world: &mut World, region: &Region, id: &SecurityGroupId) -> Answer {
    let state = world.region_mut(region);
    if found(state, id)?.name == "default" {
        return refuse(
            "CannotDelete",
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"),
        );
    }
    if is_in_use(state, id) {
        return refuse("DependencyViolation", format!("resource {id} has a dependent object"));
    }
    state.groups.remove(id);
    Ok(Written::Done)
}

/// Whether an interface carries the group, or a rule of another group names it.
fn is_in_use(state: &RegionState, id: &SecurityGroupId) -> bool {
    let carries = |interface| state.groups_of(interface).is_some_and(|groups| groups.contains(id));
    let names = |group: &SecurityGroup| {
        group.id != *id && group.ingress.union(&group.egress).any(|rule| rule.peer == Peer::Group(id.clone()))
    };
    state.interfaces.values().any(carries) || state.groups.values().any(names)
}

fn found<'a>(state: &'a RegionState, id: &SecurityGroupId) -> Answer<&'a SecurityGroup> {
    match state.group(id) {
        Some(group) => Ok(group),
        None => refuse("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")),
    }
}

/// The rules as EC2 keeps them: the network address of a range, no ports where the protocol has none. Two rules that
/// are one rule to EC2 are a duplicate within the call.
fn canonical(rules: &BTreeSet<Rule>) -> Answer<BTreeSet<Rule>> {
    if rules.is_empty() {
        return refuse("MissingParameter", "The request must contain the parameter ipPermissions");
    }
    let canonical: BTreeSet<Rule> = rules.iter().map(canonical_rule).collect::<Answer<_>>()?;
    if canonical.len() < rules.len() {
        return refuse("InvalidParameterValue", "The same permission must not appear multiple times");
    }
    Ok(canonical)
}

fn canonical_rule(rule: &Rule) -> Answer<Rule> {
    let ports = match (&rule.protocol, rule.ports) {
        (Protocol::All, _) => None,
        (Protocol::Tcp, Some((first, last))) if (0..=65535).contains(&first) && (first..=65535).contains(&last) => {
            rule.ports
        }
        (Protocol::Tcp, _) => return refuse("InvalidParameterValue", "Invalid value for portRange"),
        (Protocol::Other(_), ports) => ports,
    };
    let peer = match &rule.peer {
        Peer::Ipv4(range) => Peer::Ipv4(canonical_ipv4(range)?),
        Peer::Ipv6(range) => Peer::Ipv6(canonical_ipv6(range)?),
        Peer::Group(_) | Peer::Unreadable(_) => rule.peer.clone(),
        Peer::PrefixList(id) if id.starts_with("pl-") => rule.peer.clone(),
        Peer::PrefixList(id) => {
            return refuse("InvalidPrefixListID.NotFound", format!("The prefix list ID '{id}' does not exist"));
        }
    };
    Ok(Rule { protocol: rule.protocol.clone(), ports, peer })
}

/// `10.0.0.5/8` is `10.0.0.0/8` to EC2.
fn canonical_ipv4(range: &str) -> Answer<String> {
    let parsed = range.split_once('/').and_then(|(address, length)| {
        let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
        Some(format!("{}/{length}", Ipv4Addr::from_bits(address.to_bits() & mask)))
    });
    parsed.map_or_else(|| refuse("InvalidParameterValue", format!("CIDR block {range} is malformed")), Ok)
}

fn canonical_ipv6(range: &str) -> Answer<String> {
    let parsed = range.split_once('/').and_then(|(address, length)| {
        let (address, length): (Ipv6Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let mask = u128::MAX.checked_shl(128_u32.checked_sub(length)?).unwrap_or(0);
        Some(format!("{}/{length}", Ipv6Addr::from_bits(address.to_bits() & mask)))
    });
    parsed.map_or_else(|| refuse("InvalidParameterValue", format!("CIDR block {range} is malformed")), Ok)
}
