use super::*;
use crate::{
    aws::EndpointState,
    network::fixtures::{
        RUNTIME, bare, demand, desired, desired_by, endpoint, main_table, subnet, subnet_id, subnet_ids, table_of,
        vpc_id, with_endpoints, zone,
    },
};

fn change_vpc(observed: &mut Observed, change: impl FnOnce(&mut crate::aws::Vpc)) {
    change(observed.topology.vpcs.get_mut(&vpc_id()).expect("the VPC"));
}

/// The subnets of the endpoint, by their numbers.
fn chosen(desired: &Desired, observed: &Observed) -> BTreeSet<SubnetId> {
    place(desired, observed, RUNTIME).expect("a placement").subnets
}

fn is_safe(observed: &Observed) -> bool {
    place(&desired(), observed, RUNTIME).expect("a placement").private_dns_is_safe
}

#[test]
fn a_vpc_that_cannot_carry_the_path_is_refused_with_the_resource_and_the_remedy() {
    type Case = (Reason, &'static str, &'static str, fn(&mut Observed));
    let cases: [Case; 11] = [
        (
            Reason::VpcNotFound,
            "VPC vpc-0abc1234 in account 123456789012",
            "delete the object, and create it again",
            |observed| {
                observed.topology.vpcs.clear();
            },
        ),
        (
            Reason::VpcNotOwned,
            "VPC vpc-0abc1234 belongs to account 999999999999, and the operator works in account 123456789012",
            "Create the app in a VPC that account 123456789012 owns",
            |observed| change_vpc(observed, |vpc| vpc.owner = "999999999999".parse().expect("an account")),
        ),
        (Reason::DedicatedTenancy, "VPC vpc-0abc1234 has dedicated", "a VPC of default tenancy", |observed| {
            change_vpc(observed, |vpc| vpc.tenancy = Tenancy::Other("dedicated".into()));
        }),
        (Reason::DnsDisabled, "VPC vpc-0abc1234", "set the VPC attribute enableDnsSupport to true", |observed| {
            change_vpc(observed, |vpc| vpc.dns.support = false);
        }),
        (Reason::ServiceNotOffered, "Region us-east-1", "create the app in a VPC of a region that does", |observed| {
            observed.topology.services.clear();
        }),
        (
            Reason::TooFewZones,
            "VPC vpc-0abc1234 has private subnets in us-east-1a of",
            "add private subnets",
            |observed| {
                observed.topology.subnets.retain(|subnet| subnet.zone == zone(0xa));
            },
        ),
        (
            Reason::TooFewZones,
            "private subnets in us-east-1a of the zones us-east-1a",
            "add private subnets",
            |observed| {
                for offer in observed.topology.services.values_mut() {
                    offer.zones = [zone(0xa)].into();
                }
            },
        ),
        (Reason::TooFewZones, "VPC vpc-0abc1234 has private subnets in none of", "add private subnets", |observed| {
            observed.topology.route_tables = vec![main_table(&[RouteTarget::InternetGateway])];
        }),
        (
            Reason::TooFewZones,
            "VPC vpc-0abc1234 has private subnets in us-east-1a of",
            "add private subnets",
            |observed| {
                observed.topology.route_tables.push(table_of(&[0xb1], &[RouteTarget::InternetGateway]));
            },
        ),
        (Reason::TooFewZones, "VPC vpc-0abc1234 has private subnets in none of", "add private subnets", |observed| {
            observed.topology.subnets.clear();
        }),
        (Reason::NoFreeAddresses, "VPC vpc-0abc1234", "free addresses, or add private subnets", |observed| {
            observed.topology.subnets[2].free_addresses = 1;
        }),
    ];
    for (reason, what, remedy, change) in cases {
        let mut observed = bare();
        change(&mut observed);
        let refusal = place(&desired(), &observed, RUNTIME).expect_err(what);
        assert_eq!(refusal.reason, reason, "{}", refusal.message);
        assert!(refusal.message.contains(what), "{}", refusal.message);
        assert!(refusal.message.contains(remedy), "{}", refusal.message);
    }
}

#[test]
fn subnets_that_an_app_cannot_have_are_refused_by_their_id_and_with_a_remedy() {
    let mut observed = bare();
    observed.topology.subnets.extend([subnet(0xb2), subnet(0xd1)]);
    observed.topology.subnets.push(Subnet { vpc: "vpc-0def5678".parse().expect("a VPC"), ..subnet(0xc1) });
    observed.topology.route_tables.push(table_of(&[0xb2], &[RouteTarget::InternetGateway]));
    let check =
        |numbers: &[u32]| check_subnets(&vpc_id(), "us-east-1", &observed.topology, RUNTIME, &subnet_ids(numbers));
    assert_eq!(check(&[]), Ok(()), "an app that names none leaves the choice to the network");
    assert_eq!(check(&[0xa1, 0xb1]), Ok(()));
    assert_eq!(check(&[0xa1, 0xa2, 0xb1]), Ok(()), "a function may be in two subnets of one zone");
    let remedy = "create another app whose spec.network.subnetIds names";
    for (numbers, reason, what, remedy) in [
        (&[0xa1, 0xc1][..], Reason::SubnetNotInVpc, "Subnet subnet-000000c1 is not in VPC vpc-0abc1234", remedy),
        (&[0xa1, 0xee], Reason::SubnetNotInVpc, "Subnet subnet-000000ee is not in VPC vpc-0abc1234", remedy),
        (&[0xa1, 0xb2], Reason::SubnetNotPrivate, "Subnet subnet-000000b2 has a route to an internet gateway", remedy),
        (&[0xa1, 0xd1], Reason::SubnetZoneNotOffered, "Subnet subnet-000000d1 is in us-east-1d", remedy),
        (&[0xa1, 0xa2], Reason::TooFewZones, "all in us-east-1a", remedy),
    ] {
        let refusal = check(numbers).expect_err(what);
        assert_eq!(refusal.reason, reason, "{}", refusal.message);
        assert!(refusal.message.contains(what) && refusal.message.contains(remedy), "{}", refusal.message);
    }
}

#[test]
fn the_remedy_for_a_zone_without_the_service_lists_the_zones_that_have_it() {
    let mut observed = bare();
    observed.topology.subnets.push(subnet(0xd1));
    let refusal =
        check_subnets(&vpc_id(), "us-east-1", &observed.topology, RUNTIME, &subnet_ids(&[0xd1])).expect_err("refused");
    assert!(refusal.message.contains("us-east-1a, us-east-1b, us-east-1c"), "{}", refusal.message);
}

#[test]
fn an_endpoint_gets_one_subnet_in_each_zone_in_whatever_order_aws_lists_them() {
    let mut observed = bare();
    observed.topology.subnets.extend([subnet(0xc2), subnet(0xc1), subnet(0xd1)]);
    for _ in 0..observed.topology.subnets.len() {
        observed.topology.subnets.rotate_left(1);
        assert_eq!(chosen(&desired(), &observed), subnet_ids(&[0xa1, 0xb1, 0xc1]), "d does not offer the service");
    }
}

#[test]
fn public_and_full_subnets_are_passed_over_while_others_will_do() {
    let mut observed = bare();
    observed.topology.subnets.extend([subnet(0xb2), subnet(0xc1)]);
    observed.topology.subnets[0].free_addresses = 1;
    observed.topology.route_tables.push(table_of(&[0xb1], &[RouteTarget::InternetGateway]));
    assert_eq!(chosen(&desired(), &observed), subnet_ids(&[0xa2, 0xb2, 0xc1]));
}

#[test]
fn a_subnet_that_names_its_own_route_table_is_judged_by_that_one() {
    let mut observed = bare();
    observed.topology.route_tables =
        vec![main_table(&[RouteTarget::InternetGateway]), table_of(&[0xa2, 0xb1], &[RouteTarget::Other])];
    assert_eq!(chosen(&desired(), &observed), subnet_ids(&[0xa2, 0xb1]), "a1 follows the main table");
}

#[test]
fn subnets_that_apps_name_come_first() {
    let both = desired_by(&[demand(&["a.b"], &[]), demand(&["a.b"], &[0xa2, 0xb1])]);
    assert_eq!(chosen(&both, &bare()), subnet_ids(&[0xa2, 0xb1]));
}

#[test]
fn an_endpoint_reaches_only_the_zones_that_apps_name_when_all_of_them_name_some() {
    let mut observed = bare();
    observed.topology.subnets.push(subnet(0xc1));
    let named = desired_by(&[demand(&["a.b"], &[0xa2, 0xb1])]);
    assert_eq!(chosen(&named, &observed), subnet_ids(&[0xa2, 0xb1]));
}

#[test]
fn an_existing_endpoint_keeps_its_subnets_whatever_comes_to_be_around_it() {
    type Case = (&'static str, fn(&mut Observed), Desired);
    let cases: [Case; 5] = [
        ("a subnet with a lower id", |observed| observed.topology.subnets.insert(0, subnet(0xa0)), desired()),
        (
            "no free address left",
            |observed| observed.topology.subnets.iter_mut().for_each(|observed| observed.free_addresses = 0),
            desired(),
        ),
        (
            "another app that names another subnet",
            |_| {},
            desired_by(&[demand(&["a.b"], &[]), demand(&["a.b"], &[0xa1, 0xb1])]),
        ),
        ("only an app that names another subnet of the zone", |_| {}, desired_by(&[demand(&["a.b"], &[0xa1, 0xb1])])),
        ("a way out", |observed| observed.topology.route_tables = vec![main_table(&[RouteTarget::Other])], desired()),
    ];
    for (what, change, desired) in cases {
        let kept = VpcEndpoint { subnets: subnet_ids(&[0xa2, 0xb1]), ..endpoint(1) };
        let mut observed = with_endpoints(vec![kept.clone()]);
        change(&mut observed);
        assert_eq!(chosen(&desired, &observed), kept.subnets, "{what}");
    }
}

#[test]
fn an_endpoint_grows_into_a_zone_with_a_first_subnet_and_leaves_an_unwanted_one() {
    let mut observed = with_endpoints(vec![endpoint(1)]);
    observed.topology.subnets.push(subnet(0xc1));
    assert_eq!(chosen(&desired(), &observed), subnet_ids(&[0xa1, 0xb1, 0xc1]));
    observed.endpoints[0].subnets.insert(subnet_id(0xc1));
    let named = desired_by(&[demand(&["a.b"], &[0xa1, 0xb1])]);
    assert_eq!(chosen(&named, &observed), subnet_ids(&[0xa1, 0xb1]));
}

#[test]
fn private_dns_is_safe_exactly_where_nobody_can_be_using_another_way_to_the_service() {
    type Case = (&'static str, bool, fn(&mut Observed));
    let foreign = |private_dns, state| VpcEndpoint { state, private_dns, ..endpoint(9) };
    let cases: [Case; 9] = [
        ("an isolated VPC", true, |_| {}),
        ("a gateway endpoint for S3", true, |observed| {
            observed.topology.route_tables = vec![main_table(&[RouteTarget::GatewayEndpoint])];
        }),
        ("a NAT gateway in the main table", false, |observed| {
            observed.topology.route_tables = vec![main_table(&[RouteTarget::Other])];
        }),
        ("an internet gateway for some other subnet", false, |observed| {
            observed.topology.subnets.push(subnet(0xc1));
            observed.topology.route_tables.push(table_of(&[0xc1], &[RouteTarget::InternetGateway]));
        }),
        ("a transit gateway in a table that no subnet names", false, |observed| {
            observed.topology.route_tables.push(table_of(&[], &[RouteTarget::Other]));
        }),
        ("a gateway endpoint beside a peering", false, |observed| {
            observed.topology.route_tables.push(table_of(&[0xa1], &[RouteTarget::GatewayEndpoint, RouteTarget::Other]));
        }),
        ("DNS host names off", false, |observed| change_vpc(observed, |vpc| vpc.dns.hostnames = false)),
        ("no foreign endpoint of this service", true, |observed| {
            let name = "com.amazonaws.us-east-1.sqs".to_owned();
            observed.foreign_endpoints.push(VpcEndpoint { service_name: name, ..endpoint(9) });
        }),
        ("our own endpoint", true, |observed| observed.endpoints.push(endpoint(1))),
    ];
    for (what, safe, change) in cases {
        let mut observed = bare();
        change(&mut observed);
        assert_eq!(is_safe(&observed), safe, "{what}");
    }
    for (safe, endpoint) in [
        (false, foreign(true, EndpointState::Available)),
        (false, foreign(true, EndpointState::Pending)),
        (false, foreign(true, EndpointState::Deleting)),
        (true, foreign(true, EndpointState::Deleted)),
        (true, foreign(false, EndpointState::Available)),
    ] {
        let state = format!("{} {}", endpoint.state.as_str(), endpoint.private_dns);
        let observed = Observed { foreign_endpoints: vec![endpoint], ..bare() };
        assert_eq!(is_safe(&observed), safe, "somebody else's endpoint: {state}");
    }
}
