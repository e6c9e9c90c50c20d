//! EC2's shapes, in answers and in requests.

use std::collections::BTreeSet;

use aws_smithy_types::{DateTime, date_time::Format};
use private_genai_operator::aws::{
    AwsError, EndpointService, InterfaceHolder, InterfaceState, NetworkInterface, Peer, Protocol, RouteTable,
    RouteTarget, Rule, SecurityGroup, Subnet, Tags, Tenancy, VpcEndpoint, VpcListing,
};

use super::super::{request::Call, unreadable, xml::Xml};

fn tags(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", "item", tags, |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

pub(super) fn vpc(xml: &mut Xml, vpc: &VpcListing) {
    let tenancy = match &vpc.tenancy {
        Tenancy::Default => "default",
        Tenancy::Other(other) => other,
    };
    xml.text("vpcId", &vpc.id).text("ownerId", &vpc.owner).text("instanceTenancy", tenancy).text("state", "available");
}

pub(super) fn subnet(xml: &mut Xml, subnet: &Subnet) {
    xml.text("subnetId", &subnet.id)
        .text("vpcId", &subnet.vpc)
        .text("availabilityZone", &subnet.zone)
        .text("availableIpAddressCount", subnet.free_addresses)
        .text("state", "available");
}

pub(super) fn route_table(xml: &mut Xml, table: &RouteTable) {
    xml.text("vpcId", &table.vpc);
    let main = table.main.then_some(None);
    let associations = main.into_iter().chain(table.subnets.iter().map(Some));
    xml.list("associationSet", "item", associations, |xml, subnet| {
        xml.text("main", subnet.is_none()).maybe("subnetId", subnet);
    });
    xml.list("routeSet", "item", &table.targets, |xml, target| {
        match target {
            RouteTarget::Local => xml.text("gatewayId", "local"),
            RouteTarget::GatewayEndpoint => {
                xml.text("gatewayId", "vpce-0123456789abcdef0").text("destinationPrefixListId", "pl-63a5400a")
            }
            RouteTarget::InternetGateway => xml.text("gatewayId", "igw-0123456789abcdef0"),
            RouteTarget::Other => xml.text("natGatewayId", "nat-0123456789abcdef0"),
        };
    });
}

pub(super) fn service(xml: &mut Xml, service: &EndpointService) {
    xml.text("serviceName", &service.name);
    xml.list("serviceType", "item", ["Interface"], |xml, kind| {
        xml.text("serviceType", kind);
    });
    xml.texts("availabilityZoneSet", "item", &service.zones)
        .text("vpcEndpointPolicySupported", service.policy_supported)
        .maybe("privateDnsName", service.private_dns_name.as_ref());
}

pub(super) fn endpoint(xml: &mut Xml, endpoint: &VpcEndpoint) {
    let kind = if endpoint.interface { "Interface" } else { "Gateway" };
    let created = DateTime::from_secs(endpoint.created_at).fmt(Format::DateTime).unwrap_or_default();
    xml.text("vpcEndpointId", &endpoint.id)
        .text("vpcEndpointType", kind)
        .text("vpcId", &endpoint.vpc)
        .text("serviceName", &endpoint.service_name)
        .text("state", endpoint.state.as_str())
        .maybe("policyDocument", endpoint.policy.as_ref().map(|policy| policy.as_str().to_owned()))
        .texts("subnetIdSet", "item", &endpoint.subnets)
        .list("groupSet", "item", &endpoint.security_groups, |xml, group| {
            xml.text("groupId", group);
        })
        .text("ipAddressType", endpoint.address_families.as_str())
        .text("privateDnsEnabled", endpoint.private_dns)
        .texts("networkInterfaceIdSet", "item", &endpoint.interfaces)
        .list("dnsEntrySet", "item", &endpoint.dns_names, |xml, name| {
            xml.text("dnsName", name);
        })
        .text("creationTimestamp", created);
    if let Some((code, message)) = endpoint.last_error.as_deref().and_then(|error| error.split_once(": ")) {
        xml.element("lastError", |xml| {
            xml.text("code", code).text("message", message);
        });
    }
    tags(xml, &endpoint.tags);
}

pub(super) fn interface(xml: &mut Xml, interface: &NetworkInterface) {
    const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";
    let (kind, description) = match (&interface.holder, &interface.function) {
        (InterfaceHolder::Lambda, Some(function)) => ("lambda", format!("AWS Lambda VPC ENI-{function}-{UUID}")),
        (InterfaceHolder::Lambda, None) => ("lambda", "AWS Lambda VPC ENI".to_owned()),
        (InterfaceHolder::Endpoint, _) => ("vpc_endpoint", "VPC Endpoint Interface".to_owned()),
        (InterfaceHolder::Instance(_), _) => ("interface", String::new()),
        (InterfaceHolder::Other(words), _) => ("interface", words.clone()),
    };
    let status = match &interface.state {
        InterfaceState::Available => "available",
        InterfaceState::InUse => "in-use",
        InterfaceState::Other(other) => other,
    };
    xml.text("networkInterfaceId", &interface.id)
        .text("subnetId", &interface.subnet)
        .text("availabilityZone", &interface.zone)
        .text("interfaceType", kind)
        .text("description", description)
        .text("status", status)
        .maybe("privateIpAddress", interface.private_ip.as_ref())
        .list("ipv6AddressesSet", "item", &interface.ipv6, |xml, address| {
            xml.text("ipv6Address", address);
        })
        .list("groupSet", "item", &interface.groups, |xml, group| {
            xml.text("groupId", group);
        });
    if let InterfaceHolder::Instance(id) = &interface.holder {
        xml.element("attachment", |xml| {
            xml.text("instanceId", id);
        });
    }
}

pub(super) fn group(xml: &mut Xml, group: &SecurityGroup) {
    xml.text("groupId", &group.id).text("vpcId", &group.vpc).text("groupName", &group.name);
    permissions(xml, "ipPermissions", &group.ingress);
    permissions(xml, "ipPermissionsEgress", &group.egress);
    tags(xml, &group.tags);
}

/// Rules as permissions, one each: AWS bundles them, and the SDK's reader takes both.
pub(super) fn permissions(xml: &mut Xml, name: &str, rules: &BTreeSet<Rule>) {
    xml.list(name, "item", rules, |xml, rule| {
        xml.text("ipProtocol", rule.protocol.as_str());
        if let Some((from, to)) = rule.ports {
            xml.text("fromPort", from).text("toPort", to);
        }
        let (set, member, value) = match &rule.peer {
            Peer::Ipv4(range) => ("ipRanges", "cidrIp", range.clone()),
            Peer::Ipv6(range) => ("ipv6Ranges", "cidrIpv6", range.clone()),
            Peer::Group(id) => ("groups", "groupId", id.to_string()),
            Peer::PrefixList(id) => ("prefixListIds", "prefixListId", id.clone()),
            Peer::Unreadable(named) => ("groups", "groupId", named.clone()),
        };
        xml.list(set, "item", [value], |xml, value| {
            xml.text(member, value);
        });
    });
}

/// The permissions of a request as rules, with one peer each.
pub(super) fn rules(call: &Call) -> Result<BTreeSet<Rule>, AwsError> {
    let mut rules = BTreeSet::new();
    for permission in call.items("IpPermissions") {
        let value = |name: &str| call.query(&format!("{permission}.{name}"));
        let protocol = Protocol::from_wire(value("IpProtocol").unwrap_or_default());
        let port = |name: &str| -> Option<i32> { value(name)?.parse().ok() };
        let ports = port("FromPort").zip(port("ToPort")).filter(|ports| *ports != (-1, -1));
        let ports = ports.filter(|_| protocol != Protocol::All);
        let peers = |list: &str, member: &str| -> Vec<String> {
            let items = call.items(&format!("{permission}.{list}"));
            items.iter().filter_map(|item| call.query(&format!("{item}.{member}"))).map(ToOwned::to_owned).collect()
        };
        let group = |id: String| id.parse().map_or_else(|_| Peer::Unreadable(id.clone()), Peer::Group);
        let all = peers("IpRanges", "CidrIp").into_iter().map(Peer::Ipv4);
        let all = all.chain(peers("Ipv6Ranges", "CidrIpv6").into_iter().map(Peer::Ipv6));
        let all = all.chain(peers("PrefixListIds", "PrefixListId").into_iter().map(Peer::PrefixList));
        let all = all.chain(peers("Groups", "GroupId").into_iter().map(group));
        let all = all.chain(peers("Groups", "GroupName").into_iter().map(Peer::Unreadable));
        let before = rules.len();
        rules.extend(all.map(|peer| Rule { protocol: protocol.clone(), ports, peer }));
        if rules.len() == before {
            return Err(unreadable(call, "a permission without a peer"));
        }
    }
    Ok(rules)
}
