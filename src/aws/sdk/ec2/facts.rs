//! EC2's answers as facts.

use aws_sdk_ec2::types;

use super::rules;
use crate::{
    aws::{
        AddressFamilies, EndpointService, EndpointState, FunctionName, InterfaceHolder, InterfaceState,
        NetworkInterface, PolicyDocument, RouteTable, RouteTarget, SecurityGroup, Subnet, Tags, Tenancy, VpcEndpoint,
        VpcEndpointId, VpcListing,
        sdk::error::{Malformed, all_parsed, counted, needed, parsed},
    },
    identity::TAG_INSTALLATION,
};

/// A VPC without its DNS attributes, which only `DescribeVpcAttribute` has.
pub(super) fn vpc(vpc: &types::Vpc) -> Result<VpcListing, Malformed> {
    let tenancy = match needed(vpc.instance_tenancy(), "Vpc.InstanceTenancy")? {
        types::Tenancy::Default => Tenancy::Default,
        other => Tenancy::Other(other.as_str().to_owned()),
    };
    Ok(VpcListing { id: parsed(vpc.vpc_id(), "Vpc.VpcId")?, owner: parsed(vpc.owner_id(), "Vpc.OwnerId")?, tenancy })
}

pub(super) fn subnet(subnet: &types::Subnet) -> Result<Subnet, Malformed> {
    Ok(Subnet {
        id: parsed(subnet.subnet_id(), "Subnet.SubnetId")?,
        vpc: parsed(subnet.vpc_id(), "Subnet.VpcId")?,
        zone: parsed(subnet.availability_zone(), "Subnet.AvailabilityZone")?,
        free_addresses: counted(subnet.available_ip_address_count(), "Subnet.AvailableIpAddressCount")?,
    })
}

pub(super) fn route_table(table: &types::RouteTable) -> Result<RouteTable, Malformed> {
    let associations = table.associations();
    Ok(RouteTable {
        vpc: parsed(table.vpc_id(), "RouteTable.VpcId")?,
        main: associations.iter().any(|association| association.main() == Some(true)),
        // Every subnet of ours has an id that can be read.
        subnets: associations
            .iter()
            .filter_map(types::RouteTableAssociation::subnet_id)
            .filter_map(|id| id.parse().ok())
            .collect(),
        targets: table.routes().iter().map(route_target).collect(),
    })
}

/// A blackhole counts as a route to its old target: the route works again as soon as the target is back.
///
/// A Gateway Load Balancer endpoint is a `vpce-` gateway too, but without a prefix list: the appliance behind the endpoint can
/// lead to any address.
fn route_target(route: &types::Route) -> RouteTarget {
    match route.gateway_id() {
        Some("local") => RouteTarget::Local,
        Some(id) if id.starts_with("igw-") => RouteTarget::InternetGateway,
        Some(id) if id.starts_with("vpce-") && route.destination_prefix_list_id().is_some() => {
            RouteTarget::GatewayEndpoint
        }
        _ => RouteTarget::Other,
    }
}

/// `None` for another type of endpoint: S3 offers a gateway under the same name.
pub(super) fn endpoint_service(service: &types::ServiceDetail) -> Result<Option<EndpointService>, Malformed> {
    let is_interface = service.service_type().iter().any(|kind| is(kind.service_type(), types::ServiceType::as_str));
    if !is_interface {
        return Ok(None);
    }
    Ok(Some(EndpointService {
        name: needed(service.service_name(), "ServiceDetail.ServiceName")?.to_owned(),
        zones: all_parsed(service.availability_zones(), "ServiceDetail.AvailabilityZones")?,
        policy_supported: service.vpc_endpoint_policy_supported().unwrap_or_default(),
        private_dns_name: service.private_dns_name().map(ToOwned::to_owned),
    }))
}

/// Compares the type, in any case of letters.
fn is<T>(kind: Option<&T>, as_str: fn(&T) -> &str) -> bool {
    kind.is_some_and(|kind| as_str(kind).eq_ignore_ascii_case("Interface"))
}

pub(super) fn vpc_endpoint(endpoint: &types::VpcEndpoint) -> Result<VpcEndpoint, Malformed> {
    let interface = is(endpoint.vpc_endpoint_type(), types::VpcEndpointType::as_str);
    let (id, state) = endpoint_state(endpoint)?;
    Ok(VpcEndpoint {
        id,
        vpc: parsed(endpoint.vpc_id(), "VpcEndpoint.VpcId")?,
        service_name: endpoint_service_name(endpoint, interface)?,
        interface,
        state,
        private_dns: endpoint.private_dns_enabled().unwrap_or_default(),
        address_families: endpoint
            .ip_address_type()
            .map_or_else(AddressFamilies::default, |kind| AddressFamilies::from_wire(kind.as_str())),
        subnets: all_parsed(endpoint.subnet_ids(), "VpcEndpoint.SubnetIds")?,
        security_groups: endpoint
            .groups()
            .iter()
            .map(|group| parsed(group.group_id(), "VpcEndpoint.Groups.GroupId"))
            .collect::<Result<_, _>>()?,
        interfaces: all_parsed(endpoint.network_interface_ids(), "VpcEndpoint.NetworkInterfaceIds")?,
        policy: endpoint.policy_document().map(PolicyDocument::from_wire),
        dns_names: endpoint.dns_entries().iter().filter_map(|entry| entry.dns_name().map(ToOwned::to_owned)).collect(),
        tags: tags(endpoint.tags()),
        created_at: endpoint.creation_timestamp().map_or(0, aws_smithy_types::DateTime::secs),
        last_error: last_error(endpoint),
    })
}

/// The endpoint has the tag of an installation. If such an endpoint cannot be read, the whole answer is an error.
pub(super) fn is_tagged_endpoint(endpoint: &types::VpcEndpoint) -> bool {
    endpoint.tags().iter().any(|tag| tag.key() == Some(TAG_INSTALLATION))
}

/// Reads id and state from an answer to `CreateVpcEndpoint`.
pub(super) fn endpoint_state(endpoint: &types::VpcEndpoint) -> Result<(VpcEndpointId, EndpointState), Malformed> {
    Ok((
        parsed(endpoint.vpc_endpoint_id(), "VpcEndpoint.VpcEndpointId")?,
        EndpointState::from_wire(needed(endpoint.state(), "VpcEndpoint.State")?.as_str()),
    ))
}

/// Endpoints of the types `Resource` and `ServiceNetwork`, which other people may have in the VPC, have no service.
fn endpoint_service_name(endpoint: &types::VpcEndpoint, interface: bool) -> Result<String, Malformed> {
    match endpoint.service_name() {
        Some(name) => Ok(name.to_owned()),
        None if interface => Err(Malformed::missing("VpcEndpoint.ServiceName")),
        None => Ok(String::new()),
    }
}

fn last_error(endpoint: &types::VpcEndpoint) -> Option<String> {
    let error = endpoint.last_error()?;
    let words: Vec<&str> = [error.code(), error.message()].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(": "))
}

pub(super) fn network_interface(interface: &types::NetworkInterface) -> Result<NetworkInterface, Malformed> {
    let holder = interface_holder(interface);
    Ok(NetworkInterface {
        id: parsed(interface.network_interface_id(), "NetworkInterface.NetworkInterfaceId")?,
        subnet: parsed(interface.subnet_id(), "NetworkInterface.SubnetId")?,
        zone: parsed(interface.availability_zone(), "NetworkInterface.AvailabilityZone")?,
        private_ip: interface.private_ip_address().map(str::to_owned),
        ipv6: interface
            .ipv6_addresses()
            .iter()
            .filter_map(|address| Some(address.ipv6_address()?.to_owned()))
            .collect(),
        groups: interface
            .groups()
            .iter()
            .map(|group| parsed(group.group_id(), "NetworkInterface.Groups.GroupId"))
            .collect::<Result<_, _>>()?,
        state: InterfaceState::from_wire(needed(interface.status(), "NetworkInterface.Status")?.as_str()),
        function: made_for(interface.description().unwrap_or_default()).filter(|_| holder == InterfaceHolder::Lambda),
        holder,
    })
}

/// The interface is an endpoint's or Lambda's. If such an interface cannot be read, the whole answer is an error. A foreign
/// interface keeps its group from being deleted in any case.
pub(super) fn is_of_a_path(interface: &types::NetworkInterface) -> bool {
    matches!(interface_holder(interface), InterfaceHolder::Lambda | InterfaceHolder::Endpoint)
}

/// The function for which Lambda made an interface, from the description:
/// `AWS Lambda VPC ENI-my-function-01234567-89ab-cdef-0123-456789abcdef`.
fn made_for(description: &str) -> Option<FunctionName> {
    const UUID: usize = 36;
    let rest = description.strip_prefix("AWS Lambda VPC ENI-")?;
    let (name, uuid) = rest.split_at_checked(rest.len().checked_sub(UUID)?)?;
    let is_uuid = uuid.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    name.strip_suffix('-').filter(|_| is_uuid)?.parse().ok()
}

/// Lambda's interfaces have their own type. The older ones have only the description. An interface that is attached to an
/// instance is never Lambda's, whatever its description.
///
/// Source: Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC": "AWS Lambda VPC ENI".
fn interface_holder(interface: &types::NetworkInterface) -> InterfaceHolder {
    let kind = interface.interface_type().map(types::NetworkInterfaceType::as_str).unwrap_or_default();
    let description = interface.description().unwrap_or_default();
    if let Some(instance) = interface.attachment().and_then(|attachment| attachment.instance_id()) {
        return InterfaceHolder::Instance(instance.to_owned());
    }
    match kind {
        "lambda" => InterfaceHolder::Lambda,
        "vpc_endpoint" => InterfaceHolder::Endpoint,
        "interface" if description.starts_with("AWS Lambda VPC ENI") && interface.requester_id().is_some() => {
            InterfaceHolder::Lambda
        }
        _ if description.is_empty() => InterfaceHolder::Other(format!("an interface of type {kind}")),
        _ => InterfaceHolder::Other(format!("\"{description}\"")),
    }
}

pub(super) fn security_group(group: &types::SecurityGroup) -> Result<SecurityGroup, Malformed> {
    Ok(SecurityGroup {
        id: parsed(group.group_id(), "SecurityGroup.GroupId")?,
        vpc: parsed(group.vpc_id(), "SecurityGroup.VpcId")?,
        name: needed(group.group_name(), "SecurityGroup.GroupName")?.to_owned(),
        ingress: rules::flatten(group.ip_permissions())?,
        egress: rules::flatten(group.ip_permissions_egress())?,
        tags: tags(group.tags()),
    })
}

/// A tag without a value has the empty value.
fn tags(tags: &[types::Tag]) -> Tags {
    tags.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(gateway: Option<&str>, prefix_list: Option<&str>) -> types::Route {
        types::Route::builder()
            .set_gateway_id(gateway.map(Into::into))
            .set_destination_prefix_list_id(prefix_list.map(Into::into))
            .build()
    }

    #[test]
    fn a_route_leads_where_its_target_says() {
        let target = |gateway, prefix_list| route_target(&route(gateway, prefix_list));
        assert_eq!(target(Some("local"), None), RouteTarget::Local);
        assert_eq!(target(Some("igw-0123456789abcdef0"), None), RouteTarget::InternetGateway);
        assert_eq!(target(Some("vpce-0123456789abcdef0"), Some("pl-63a5400a")), RouteTarget::GatewayEndpoint);
        assert_eq!(target(Some("vpce-0123456789abcdef0"), None), RouteTarget::Other, "a load balancer's appliance");
        assert_eq!(target(Some("vgw-0123456789abcdef0"), None), RouteTarget::Other);
        assert_eq!(target(None, None), RouteTarget::Other, "NAT, transit gateway, peering, …");
    }

    #[test]
    fn the_gateway_that_s3_offers_under_the_same_name_is_left_out() {
        let service = |kind: &str| {
            types::ServiceDetail::builder()
                .service_name("com.amazonaws.us-east-1.s3")
                .service_type(types::ServiceTypeDetail::builder().service_type(kind.into()).build())
                .availability_zones("us-east-1a")
                .build()
        };
        assert_eq!(endpoint_service(&service("Gateway")), Ok(None));
        let offered = endpoint_service(&service("Interface")).expect("service").expect("interface");
        assert_eq!(offered.zones.len(), 1);
    }

    #[test]
    fn a_foreign_interface_without_an_address_does_not_hide_the_others() {
        let wire = types::NetworkInterface::builder()
            .network_interface_id("eni-0123456789abcdef0")
            .subnet_id("subnet-0abc1234")
            .availability_zone("us-east-1a")
            .interface_type(types::NetworkInterfaceType::EfaOnly)
            .status(types::NetworkInterfaceStatus::InUse)
            .build();
        assert_eq!(network_interface(&wire).expect("an interface").private_ip, None);
    }

    #[test]
    fn an_interface_is_lambda_s_only_where_aws_says_so_and_nobody_else_uses_it() {
        let interface = |kind: &str, description: &str, instance: Option<&str>| {
            let attachment = instance.map(|id| types::NetworkInterfaceAttachment::builder().instance_id(id).build());
            let wire = types::NetworkInterface::builder()
                .network_interface_id("eni-0123456789abcdef0")
                .subnet_id("subnet-0abc1234")
                .availability_zone("us-east-1a")
                .private_ip_address("10.0.0.4")
                .interface_type(kind.into())
                .description(description)
                .set_requester_id(description.contains("ENI").then(|| "AROA1:f".to_owned()))
                .set_attachment(attachment)
                .groups(types::GroupIdentifier::builder().group_id("sg-0abc1234").build())
                .status(types::NetworkInterfaceStatus::Available)
                .build();
            network_interface(&wire).expect("an interface")
        };
        let lambda = interface("lambda", "AWS Lambda VPC ENI-f-1", None);
        assert_eq!(lambda.function, None, "an older description");
        assert_eq!((lambda.holder, lambda.state), (InterfaceHolder::Lambda, InterfaceState::Available));
        assert_eq!(lambda.groups, ["sg-0abc1234".parse().expect("a group")].into());
        let holder = |kind, description, instance| interface(kind, description, instance).holder;
        let named = "AWS Lambda VPC ENI-pgai-a-b_c-0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d";
        let function = |kind, description| interface(kind, description, None).function;
        assert_eq!(function("lambda", named), Some("pgai-a-b_c".parse().expect("a function")));
        assert_eq!(function("vpc_endpoint", named), None, "not Lambda's");
        for other in ["AWS Lambda VPC ENI-", "AWS Lambda VPC ENI-0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d", "x"] {
            assert_eq!(function("lambda", other), None, "{other}");
        }
        assert_eq!(holder("interface", "AWS Lambda VPC ENI-f-1", None), InterfaceHolder::Lambda, "an old one");
        assert_eq!(holder("vpc_endpoint", "VPC Endpoint Interface vpce-1", None), InterfaceHolder::Endpoint);
        assert_eq!(holder("interface", "AWS Lambda VPC ENI", Some("i-1")), InterfaceHolder::Instance("i-1".to_owned()));
        assert_eq!(holder("interface", "a spare", None), InterfaceHolder::Other("\"a spare\"".to_owned()));
        let nameless = InterfaceHolder::Other("an interface of type efa".to_owned());
        assert_eq!(holder("efa", "", None), nameless);
    }

    #[test]
    fn an_endpoint_is_read_in_either_spelling_with_its_last_error() {
        let wire = types::VpcEndpoint::builder()
            .vpc_endpoint_id("vpce-0123456789abcdef0")
            .vpc_id("vpc-0abc1234")
            .vpc_endpoint_type("interface".into())
            .service_name("com.amazonaws.us-east-1.bedrock-runtime")
            .state("failed".into())
            .policy_document("{ \"Statement\": [] }")
            .last_error(types::LastError::builder().code("InternalError").message("try again").build());
        let endpoint = vpc_endpoint(&wire.clone().build()).expect("endpoint");
        assert!(endpoint.interface);
        assert_eq!(endpoint.state, EndpointState::Failed);
        assert_eq!(endpoint.policy, Some(PolicyDocument::new(&serde_json::json!({"Statement": []}))));
        assert_eq!(endpoint.last_error.as_deref(), Some("InternalError: try again"));
        let nameless = wire.clone().set_service_name(None).build();
        assert_eq!(vpc_endpoint(&nameless), Err(Malformed::missing("VpcEndpoint.ServiceName")));
        let resource = wire.set_service_name(None).vpc_endpoint_type(types::VpcEndpointType::Resource).build();
        assert!(vpc_endpoint(&resource).is_ok_and(|endpoint| !endpoint.interface));
    }
}
