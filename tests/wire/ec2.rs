//! EC2, in its own XML protocol.

mod shapes;

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    AddressFamilies, AwsError, Ec2Write, EndpointChange, EndpointService, NewVpcEndpoint, PolicyDocument, Rule,
    SecurityGroupId, Tags, VpcId, Written,
};

use super::{
    Reply, Wire,
    request::Call,
    unreadable,
    xml::{Xml, ec2_answer},
};
use crate::memory::aws::{reads, world::RegionState};

/// At most so many in a page; route tables 100.
const PAGE: usize = 1_000;
const ROUTE_TABLES_PAGE: usize = 100;

pub(super) fn answer(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    match call.operation {
        "DescribeVpcAttribute" => attribute(wire, call),
        "DescribeVpcEndpointServices" => services(wire, call),
        operation if operation.starts_with("Describe") => describe(wire, call),
        _ => write(wire, call),
    }
}

/// The values of a filter.
fn filter(call: &Call, name: &str) -> Option<Vec<String>> {
    let filters = call.items("Filter");
    let filter = filters.iter().find(|filter| call.query(&format!("{filter}.Name")) == Some(name))?;
    let values = call.items(&format!("{filter}.Value"));
    Some(values.iter().filter_map(|value| call.query(value)).map(ToOwned::to_owned).collect())
}

/// The ids in a filter.
fn ids<T: std::str::FromStr + Ord>(call: &Call, name: &str) -> Result<Option<BTreeSet<T>>, AwsError> {
    let ids = filter(call, name).map(|ids| ids.iter().map(|id| call.parsed(id, name)).collect());
    ids.transpose()
}

/// The tag in a filter.
fn tag(call: &Call) -> Option<(String, String)> {
    let mut names = call.items("Filter").into_iter();
    names.find_map(|filter| {
        let key = call.query(&format!("{filter}.Name"))?.strip_prefix("tag:")?;
        Some((key.to_owned(), call.query(&format!("{filter}.Value.1"))?.to_owned()))
    })
}

/// A page of what was found. The token is where the next page begins.
fn page<T>(call: &Call, set: &str, found: &[T], most: usize, shape: fn(&mut Xml, &T)) -> Reply {
    let begin: usize = call.query("NextToken").and_then(|token| token.parse().ok()).unwrap_or_default();
    let begin = begin.min(found.len());
    let end = (begin + call.page_size("MaxResults", most, most)).min(found.len());
    Reply::new(ec2_answer(call.operation, |xml| {
        xml.list(set, "item", &found[begin..end], shape);
        xml.maybe("nextToken", (end < found.len()).then_some(end));
    }))
}

fn describe(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let vpcs: Option<BTreeSet<VpcId>> = ids(call, "vpc-id")?;
    let everything = BTreeSet::new();
    let in_vpcs = vpcs.as_ref().unwrap_or(&everything);
    let tag = tag(call);
    let tag = tag.as_ref().map(|(key, value)| (key.as_str(), value.as_str()));
    let empty = RegionState::default();
    wire.aws.look(|world| {
        let state = world.regions.get(&call.region).unwrap_or(&empty);
        Ok(match call.operation {
            "DescribeVpcs" => page(call, "vpcSet", &reads::vpcs(state, in_vpcs), PAGE, shapes::vpc),
            "DescribeSubnets" => page(call, "subnetSet", &reads::subnets(state, in_vpcs), PAGE, shapes::subnet),
            "DescribeRouteTables" => {
                let found = reads::route_tables(state, in_vpcs);
                page(call, "routeTableSet", &found, ROUTE_TABLES_PAGE, shapes::route_table)
            }
            "DescribeVpcEndpoints" => {
                let found = match tag {
                    Some(tag) => reads::tagged_endpoints(state, tag),
                    None => reads::vpc_endpoints(state, in_vpcs),
                };
                page(call, "vpcEndpointSet", &found, PAGE, shapes::endpoint)
            }
            "DescribeNetworkInterfaces" => {
                let found = if let Some(ids) = ids(call, "network-interface-id")? {
                    reads::network_interfaces(state, &ids)
                } else if let Some(groups) = ids::<SecurityGroupId>(call, "group-id")? {
                    groups.iter().flat_map(|group| reads::group_interfaces(state, group)).collect()
                } else {
                    in_vpcs.iter().flat_map(|vpc| reads::vpc_interfaces(state, vpc)).collect()
                };
                page(call, "networkInterfaceSet", &found, PAGE, shapes::interface)
            }
            "DescribeSecurityGroups" => {
                let found = if let Some(tag) = tag {
                    let mut found = reads::security_groups(state, tag);
                    found.retain(|group| vpcs.as_ref().is_none_or(|vpcs| vpcs.contains(&group.vpc)));
                    found
                } else {
                    let mut found = Vec::new();
                    for (name, egress) in [("ip-permission.group-id", false), ("egress.ip-permission.group-id", true)] {
                        for group in ids::<SecurityGroupId>(call, name)?.unwrap_or_default() {
                            found.extend(reads::referring_groups(state, &group, egress));
                        }
                    }
                    found
                };
                page(call, "securityGroupInfo", &found, PAGE, shapes::group)
            }
            _ => return Err(unreadable(call, "the operation")),
        })
    })
}

fn attribute(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let vpc: VpcId = call.required("VpcId")?;
    let name = call.query("Attribute").unwrap_or_default();
    let Some(dns) = wire.aws.look(|world| reads::vpc_dns(world.regions.get(&call.region)?, &vpc)) else {
        let code = Some("InvalidVpcID.NotFound".to_owned());
        let message = format!("The vpc ID '{vpc}' does not exist");
        return Err(AwsError { code, message, ..unreadable(call, "the VPC") });
    };
    let value = if name == "enableDnsHostnames" { dns.hostnames } else { dns.support };
    Ok(Reply::new(ec2_answer(call.operation, |xml| {
        xml.text("vpcId", &vpc).element(name, |xml| {
            xml.text("value", value);
        });
    })))
}

fn services(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let names: BTreeSet<String> = call.ids("ServiceName")?;
    // A region that nobody asked about yet offers its services all the same.
    let found: Vec<EndpointService> =
        wire.aws.alter(|world| reads::endpoint_services(world.region_mut(&call.region), &names));
    if let Some(unknown) = names.iter().find(|name| found.iter().all(|service| service.name != **name)) {
        let code = Some("InvalidServiceName".to_owned());
        let message = format!("The Vpc Endpoint Service '{unknown}' does not exist");
        return Err(AwsError { code, message, ..unreadable(call, "the service") });
    }
    Ok(page(call, "serviceDetailSet", &found, PAGE, shapes::service))
}

fn write(wire: &Wire, call: &Call) -> Result<Reply, AwsError> {
    let change = change(call)?;
    let asked = match &change {
        Ec2Write::RevokeSecurityGroupIngress { rules, .. } | Ec2Write::RevokeSecurityGroupEgress { rules, .. } => {
            rules.clone()
        }
        _ => BTreeSet::new(),
    };
    let written = match (wire.write(&call.region, change), call.operation) {
        // DeleteVpcEndpoints answers 200 and lists each failure.
        (Err(error), "DeleteVpcEndpoints") => {
            return Ok(Reply::new(ec2_answer(call.operation, |xml| {
                xml.list("unsuccessful", "item", [&error], |xml, error| {
                    xml.element("error", |xml| {
                        xml.text("code", error.code.as_deref().unwrap_or_default()).text("message", &error.message);
                    });
                });
            })));
        }
        (written, _) => written?,
    };
    Ok(Reply::new(ec2_answer(call.operation, |xml| match &written {
        Written::Done => {
            xml.text("return", true);
        }
        Written::Revoked(rules) => {
            let unknown: BTreeSet<Rule> = asked.difference(rules).cloned().collect();
            xml.text("return", true);
            shapes::permissions(xml, "unknownIpPermissionSet", &unknown);
        }
        Written::SecurityGroup(id) => {
            xml.text("return", true).text("groupId", id);
        }
        Written::VpcEndpoint(id, state) => {
            xml.element("vpcEndpoint", |xml| {
                xml.text("vpcEndpointId", id).text("state", state.as_str());
            });
        }
    })))
}

/// The tags that a creation sets.
fn tags_of_new(call: &Call) -> Tags {
    call.items("TagSpecification").iter().flat_map(|one| call.tag_list(&format!("{one}.Tag"))).collect()
}

fn change(call: &Call) -> Result<Ec2Write, AwsError> {
    let text = |name: &str| call.query(name).unwrap_or_default().to_owned();
    let group = || call.required::<SecurityGroupId>("GroupId");
    let rules = || shapes::rules(call);
    let truth = |name: &str| call.query(name).map(|value| value == "true");
    Ok(match call.operation {
        "CreateSecurityGroup" => Ec2Write::CreateSecurityGroup {
            vpc: call.required("VpcId")?,
            name: text("GroupName"),
            description: text("GroupDescription"),
            tags: tags_of_new(call),
        },
        "AuthorizeSecurityGroupIngress" => Ec2Write::AuthorizeSecurityGroupIngress { group: group()?, rules: rules()? },
        "AuthorizeSecurityGroupEgress" => Ec2Write::AuthorizeSecurityGroupEgress { group: group()?, rules: rules()? },
        "RevokeSecurityGroupIngress" => Ec2Write::RevokeSecurityGroupIngress { group: group()?, rules: rules()? },
        "RevokeSecurityGroupEgress" => Ec2Write::RevokeSecurityGroupEgress { group: group()?, rules: rules()? },
        "DeleteSecurityGroup" => Ec2Write::DeleteSecurityGroup { group: group()? },
        "DeleteNetworkInterface" => {
            Ec2Write::DeleteNetworkInterface { interface: call.required("NetworkInterfaceId")? }
        }
        "CreateVpcEndpoint" => Ec2Write::CreateVpcEndpoint(NewVpcEndpoint {
            vpc: call.required("VpcId")?,
            service_name: text("ServiceName"),
            subnets: call.ids("SubnetId")?,
            security_groups: call.ids("SecurityGroupId")?,
            private_dns: truth("PrivateDnsEnabled").unwrap_or_default(),
            policy: PolicyDocument::from_wire(&text("PolicyDocument")),
            client_token: text("ClientToken"),
            tags: tags_of_new(call),
        }),
        "ModifyVpcEndpoint" => Ec2Write::ModifyVpcEndpoint {
            endpoint: call.required("VpcEndpointId")?,
            change: EndpointChange {
                add_subnets: call.ids("AddSubnetId")?,
                remove_subnets: call.ids("RemoveSubnetId")?,
                add_security_groups: call.ids("AddSecurityGroupId")?,
                remove_security_groups: call.ids("RemoveSecurityGroupId")?,
                policy: call.query("PolicyDocument").map(PolicyDocument::from_wire),
                private_dns: truth("PrivateDnsEnabled"),
                address_families: call.query("IpAddressType").map(AddressFamilies::from_wire),
            },
        },
        "DeleteVpcEndpoints" => Ec2Write::DeleteVpcEndpoints { endpoint: call.required("VpcEndpointId.1")? },
        "CreateTags" => Ec2Write::CreateTags { resource: text("ResourceId.1"), tags: call.tag_list("Tag") },
        _ => return Err(unreadable(call, "the operation")),
    })
}
