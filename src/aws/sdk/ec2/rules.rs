//! `IpPermission`s, which bundle peers under one protocol and range of ports, as rules with one peer each, and back.
//!
//! Source: EC2 API reference, "`IpPermission`".

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};

use crate::aws::{
    Peer, Protocol, Rule,
    sdk::error::{Malformed, needed},
};

/// The rules in these permissions.
pub(super) fn flatten(permissions: &[IpPermission]) -> Result<BTreeSet<Rule>, Malformed> {
    let mut rules = BTreeSet::new();
    for permission in permissions {
        let protocol = Protocol::from_wire(needed(permission.ip_protocol(), "IpPermission.IpProtocol")?);
        let ports = ports(&protocol, permission);
        for peer in peers(permission)? {
            rules.insert(Rule { protocol: protocol.clone(), ports, peer });
        }
    }
    Ok(rules)
}

/// `-1` means all types of ICMP, and stands for missing ports of other protocols.
fn ports(protocol: &Protocol, permission: &IpPermission) -> Option<(i32, i32)> {
    if *protocol == Protocol::All {
        return None;
    }
    permission.from_port().zip(permission.to_port()).filter(|ports| *ports != (-1, -1))
}

fn peers(permission: &IpPermission) -> Result<Vec<Peer>, Malformed> {
    let mut peers = Vec::new();
    for range in permission.ip_ranges() {
        peers.push(Peer::Ipv4(needed(range.cidr_ip(), "IpRange.CidrIp")?.to_owned()));
    }
    for range in permission.ipv6_ranges() {
        peers.push(Peer::Ipv6(needed(range.cidr_ipv6(), "Ipv6Range.CidrIpv6")?.to_owned()));
    }
    for pair in permission.user_id_group_pairs() {
        let named = needed(pair.group_id().or(pair.group_name()), "UserIdGroupPair.GroupId")?;
        peers.push(named.parse().map_or_else(|_| Peer::Unreadable(named.to_owned()), Peer::Group));
    }
    for list in permission.prefix_list_ids() {
        peers.push(Peer::PrefixList(needed(list.prefix_list_id(), "PrefixListId.PrefixListId")?.to_owned()));
    }
    Ok(peers)
}

/// Permissions with the meaning of these rules, one for each protocol and range of ports.
pub(super) fn group(rules: &BTreeSet<Rule>) -> Vec<IpPermission> {
    let mut groups: BTreeMap<_, Vec<&Peer>> = BTreeMap::new();
    for rule in rules {
        groups.entry((&rule.protocol, rule.ports)).or_default().push(&rule.peer);
    }
    groups.into_iter().map(|((protocol, ports), peers)| permission(protocol, ports, peers)).collect()
}

fn permission(protocol: &Protocol, ports: Option<(i32, i32)>, peers: Vec<&Peer>) -> IpPermission {
    let ports = ports.or_else(|| is_icmp(protocol).then_some((-1, -1)));
    let permission = IpPermission::builder()
        .ip_protocol(protocol.as_str())
        .set_from_port(ports.map(|(from, _)| from))
        .set_to_port(ports.map(|(_, to)| to));
    peers
        .into_iter()
        .fold(permission, |permission, peer| match peer {
            Peer::Ipv4(cidr) => permission.ip_ranges(IpRange::builder().cidr_ip(cidr).build()),
            Peer::Ipv6(cidr) => permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).build()),
            Peer::Group(id) => permission.user_id_group_pairs(UserIdGroupPair::builder().group_id(id.as_str()).build()),
            Peer::Unreadable(named) if named.starts_with("sg-") => {
                permission.user_id_group_pairs(UserIdGroupPair::builder().group_id(named).build())
            }
            Peer::Unreadable(named) => {
                permission.user_id_group_pairs(UserIdGroupPair::builder().group_name(named).build())
            }
            Peer::PrefixList(id) => permission.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).build()),
        })
        .build()
}

/// EC2 wants types and codes for ICMP, and ports for TCP and UDP (EC2 refuses those without). Other protocols have no ports.
fn is_icmp(protocol: &Protocol) -> bool {
    matches!(protocol.as_str(), "icmp" | "1" | "icmpv6" | "58")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, ports: Option<(i32, i32)>, peer: Peer) -> Rule {
        Rule { protocol: Protocol::from_wire(protocol), ports, peer }
    }

    fn all_kinds() -> BTreeSet<Rule> {
        let group: Peer = Peer::Group("sg-0123456789abcdef0".parse().expect("id"));
        [
            Rule::tcp(443, group.clone()),
            Rule::tcp(443, Peer::Ipv4("10.0.0.0/16".into())),
            Rule::tcp(443, Peer::Ipv6("2001:db8::/32".into())),
            Rule::tcp(443, Peer::PrefixList("pl-63a5400a".into())),
            Rule::tcp(80, group),
            rule("udp", Some((1000, 2000)), Peer::Ipv4("10.0.0.0/16".into())),
            rule("icmp", None, Peer::Ipv4("10.0.0.0/16".into())),
            rule("icmp", Some((8, -1)), Peer::Ipv4("10.0.0.0/16".into())),
            rule("50", None, Peer::Ipv4("10.0.0.0/16".into())),
            rule("-1", None, Peer::Ipv4("0.0.0.0/0".into())),
            rule("-1", None, Peer::Ipv6("::/0".into())),
        ]
        .into()
    }

    #[test]
    fn rules_survive_being_grouped() {
        let rules = all_kinds();
        let permissions = group(&rules);
        assert_eq!(flatten(&permissions), Ok(rules));
        assert_eq!(permissions.len(), 7, "one for each protocol and range of ports: {permissions:?}");
    }

    #[test]
    fn everything_is_written_without_ports_and_all_of_icmp_with_minus_one() {
        let ports = |rule| {
            let permission = group(&[rule].into()).remove(0);
            (permission.from_port(), permission.to_port())
        };
        let anywhere = Peer::Ipv4("0.0.0.0/0".into());
        assert_eq!(ports(rule("-1", None, anywhere.clone())), (None, None));
        assert_eq!(ports(rule("icmp", None, anywhere.clone())), (Some(-1), Some(-1)));
        assert_eq!(ports(rule("tcp", Some((443, 443)), anywhere)), (Some(443), Some(443)));
    }

    #[test]
    fn the_default_egress_reads_alike_whatever_ports_come_with_it() {
        let range = IpRange::builder().cidr_ip("0.0.0.0/0").build();
        for (from, to) in [(None, None), (Some(-1), Some(-1)), (Some(0), Some(65535))] {
            let permission = IpPermission::builder()
                .ip_protocol("-1")
                .set_from_port(from)
                .set_to_port(to)
                .ip_ranges(range.clone())
                .build();
            let rules = flatten(&[permission]).expect("rules");
            assert_eq!(rules, [rule("-1", None, Peer::Ipv4("0.0.0.0/0".into()))].into());
        }
    }

    #[test]
    fn a_permission_without_a_protocol_is_malformed() {
        assert!(flatten(&[IpPermission::builder().build()]).is_err());
    }

    #[test]
    fn a_foreign_group_that_is_named_in_another_way_is_revoked_by_that_name() {
        for pair in
            [UserIdGroupPair::builder().group_name("default"), UserIdGroupPair::builder().group_id("sg-of-others")]
        {
            let permission = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(pair.build()).build();
            let rules = flatten(std::slice::from_ref(&permission)).expect("it keeps nobody from seeing the others");
            assert_eq!(group(&rules), [permission]);
        }
    }
}
