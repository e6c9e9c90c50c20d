use private_genai_operator::aws::{
    Ec2Write, EndpointChange, EndpointState, Failure, NewVpcEndpoint, PolicyDocument, VpcDns, VpcEndpointId, Write,
    Written,
};
use serde_json::json;

use super::{Account, ByHand, Delays, Transition, VpcShape, endpoint_policy};
use crate::memory::aws::Route;

fn slow() -> Delays {
    Delays { endpoint_available: 60, endpoint_deleted: 30, endpoint_forgotten: 600, ..Delays::default() }
}

fn create(new: &NewVpcEndpoint) -> Write {
    Write::Ec2(Ec2Write::CreateVpcEndpoint(new.clone()))
}

fn delete(endpoint: &VpcEndpointId) -> Write {
    Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.clone() })
}

#[test]
fn an_endpoint_is_pending_then_available_then_deleting_then_deleted_then_forgotten() {
    let mut account = Account::with(slow(), &VpcShape::default());
    let id = account.endpoint("token");
    let state = |account: &Account| account.see(&id).map(|endpoint| endpoint.state.clone());
    assert_eq!(state(&account), Some(EndpointState::Pending));
    account.advance(59);
    assert_eq!(state(&account), Some(EndpointState::Pending));
    account.advance(1);
    assert_eq!(state(&account), Some(EndpointState::Available));
    let endpoint = account.see(&id).expect("the endpoint");
    assert_eq!(endpoint.interfaces.len(), 2, "one interface for each subnet");
    assert!(endpoint.dns_names[0].starts_with(id.as_str()), "{:?}", endpoint.dns_names);
    assert_eq!(endpoint.dns_names.last().map(String::as_str), Some("bedrock-runtime.us-east-1.amazonaws.com"));

    account.write(delete(&id)).expect("it is there");
    account.write(delete(&id)).expect("it is on its way");
    assert_eq!(state(&account), Some(EndpointState::Deleting));
    account.advance(30);
    assert_eq!(state(&account), Some(EndpointState::Deleted));
    assert!(account.world.regions[&account.region].interfaces.is_empty());
    account.refuses(delete(&id), "InvalidVpcEndpoint.NotFound", Failure::NotFound);
    account.advance(600);
    assert_eq!(state(&account), None);
}

#[test]
fn a_client_token_makes_one_endpoint_only() {
    let mut account = Account::with(slow(), &VpcShape::default());
    let new = account.new_endpoint("token");
    let first = account.write(create(&new)).expect("an endpoint");
    assert_eq!(account.write(create(&new)), Ok(first.clone()), "the same parameters, the same endpoint");
    let other = NewVpcEndpoint { private_dns: false, ..new.clone() };
    account.refuses(create(&other), "IdempotentParameterMismatch", Failure::TokenMismatch);

    let Written::VpcEndpoint(id, _) = first else { panic!("{first:?}") };
    account.write(delete(&id)).expect("it is there");
    account.advance(30);
    let deleted = Ok(Written::VpcEndpoint(id.clone(), EndpointState::Deleted));
    assert_eq!(account.write(create(&new)), deleted, "even if it is deleted");
    account.advance(600);
    assert_eq!(account.write(create(&new)), deleted, "or no longer listed");
    let next = NewVpcEndpoint { client_token: "next".into(), ..new.clone() };
    assert!(matches!(account.write(create(&next)), Ok(Written::VpcEndpoint(other, _)) if other != id));
    for token in [String::new(), "x".repeat(65), "ä".into()] {
        let new = NewVpcEndpoint { client_token: token, ..new.clone() };
        account.refuses(create(&new), "InvalidParameterValue", Failure::Invalid);
    }
}

#[test]
fn private_dns_needs_the_vpcs_dns_and_a_name_that_nobody_holds() {
    for dns in [VpcDns { support: false, hostnames: true }, VpcDns { support: true, hostnames: false }] {
        let mut account = Account::with(slow(), &VpcShape { dns, ..VpcShape::default() });
        let new = account.new_endpoint("token");
        account.refuses(create(&new), "InvalidParameter", Failure::Invalid);
        let without = NewVpcEndpoint { private_dns: false, ..new };
        let id = account.create_endpoint(without);
        account.advance(60);
        let enable = EndpointChange { private_dns: Some(true), ..EndpointChange::default() };
        let enable = Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: id, change: enable });
        account.refuses(enable.clone(), "InvalidParameter", Failure::Invalid);
        let dns = VpcDns { support: true, hostnames: true };
        account.by_hand(ByHand::SetVpcDns { vpc: account.vpc.clone(), dns }).expect("the VPC");
        account.write(enable).expect("the VPC's DNS is on");
    }

    let mut account = Account::with(slow(), &VpcShape::default());
    let foreign = account.endpoint("somebody else");
    let new = account.new_endpoint("token");
    account.refuses(create(&new), "InvalidParameter", Failure::PrivateDnsConflict);
    account.write(delete(&foreign)).expect("it is there");
    account.refuses(create(&new), "InvalidParameter", Failure::PrivateDnsConflict);
    account.advance(30);
    account.write(create(&new)).expect("the name is free once the other endpoint is deleted");
}

#[test]
fn subnets_are_of_the_vpc_one_in_each_zone_that_the_service_offers() {
    let mut account = Account::with(Delays::default(), &VpcShape { zones: "aad", ..VpcShape::default() });
    let [one, same_zone, not_offered] = account.subnets.clone().try_into().expect("three subnets");
    let region = account.region.clone();
    let (_, elsewhere) = account.world.add_vpc(&region, &VpcShape::default());
    let new = account.new_endpoint("token");
    let missing = "subnet-0123456789abcdef0".parse().expect("a subnet id");
    let table = [
        (vec![one.clone(), same_zone.clone()], "DuplicateSubnetsInSameZone", Failure::Invalid),
        (vec![not_offered], "InvalidParameter", Failure::Invalid),
        (vec![elsewhere[0].clone()], "InvalidParameter", Failure::Invalid),
        (vec![missing], "InvalidSubnetId.NotFound", Failure::NotFound),
        (vec![], "MissingParameter", Failure::Invalid),
    ];
    for (subnets, code, failure) in table {
        account.refuses(
            create(&NewVpcEndpoint { subnets: subnets.into_iter().collect(), ..new.clone() }),
            code,
            failure,
        );
    }
    account.by_hand(ByHand::SetAddresses { subnet: one.clone(), addresses: 0 }).expect("the subnet");
    let full = NewVpcEndpoint { subnets: [one.clone()].into(), ..new.clone() };
    account.refuses(create(&full), "InsufficientFreeAddressesInSubnet", Failure::Invalid);

    let id = account.create_endpoint(NewVpcEndpoint { subnets: [same_zone.clone()].into(), ..new });
    account.by_hand(ByHand::SetAddresses { subnet: one.clone(), addresses: 10 }).expect("the subnet");
    let add = EndpointChange { add_subnets: [one].into(), ..EndpointChange::default() };
    let modify = |change| Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: id.clone(), change });
    account.refuses(modify(add.clone()), "DuplicateSubnetsInSameZone", Failure::Invalid);
    account.write(modify(EndpointChange { remove_subnets: [same_zone].into(), ..add })).expect("one for the other");
    assert_eq!(account.see(&id).map(|endpoint| endpoint.interfaces.len()), Some(1));
}

#[test]
fn groups_services_policies_and_vpcs_are_checked() {
    let mut account = Account::new();
    let new = account.new_endpoint("token");
    let region = account.region.clone();
    let (other_vpc, _) = account.world.add_vpc(&region, &VpcShape { route: Route::Nat, ..VpcShape::default() });
    let foreign_group = account.world.regions[&region].default_group(&other_vpc).expect("every VPC has one");
    let six = (0..6).map(|n| account.group(&format!("group {n}"))).collect();
    let padded = |to: usize| {
        let statement =
            |pad: usize| json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "x".repeat(pad)});
        let document = |pad| PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement(pad)]}));
        document(1 + to - document(1).as_str().len())
    };
    assert_eq!(padded(20_480).as_str().len(), 20_480);
    let missing = "sg-0123456789abcdef0".parse().expect("a group id");
    let table = [
        (
            NewVpcEndpoint { security_groups: [missing].into(), ..new.clone() },
            "InvalidGroup.NotFound",
            Failure::NotFound,
        ),
        (
            NewVpcEndpoint { security_groups: [foreign_group].into(), ..new.clone() },
            "InvalidParameter",
            Failure::Invalid,
        ),
        (
            NewVpcEndpoint { security_groups: six, ..new.clone() },
            "SecurityGroupsPerInterfaceLimitExceeded",
            Failure::QuotaReached,
        ),
        (
            NewVpcEndpoint { service_name: "com.amazonaws.us-east-1.nothing".into(), ..new.clone() },
            "InvalidServiceName",
            Failure::Invalid,
        ),
        (NewVpcEndpoint { policy: padded(20_481), ..new.clone() }, "InvalidPolicyDocument", Failure::Invalid),
        (
            NewVpcEndpoint { policy: PolicyDocument::from_wire("not json"), ..new.clone() },
            "InvalidPolicyDocument",
            Failure::Invalid,
        ),
        (
            NewVpcEndpoint { vpc: "vpc-0123456789abcdef0".parse().expect("a VPC id"), ..new.clone() },
            "InvalidVpcId.NotFound",
            Failure::NotFound,
        ),
    ];
    for (new, code, failure) in table {
        account.refuses(create(&new), code, failure);
    }
    account.write(create(&NewVpcEndpoint { policy: padded(20_480), ..new.clone() })).expect("as long as it may be");
    let without_groups =
        NewVpcEndpoint { security_groups: [].into(), private_dns: false, client_token: "without groups".into(), ..new };
    let id = account.create_endpoint(without_groups);
    let default = account.world.regions[&region].default_group(&account.vpc).expect("every VPC has one");
    assert_eq!(account.see(&id).map(|endpoint| endpoint.security_groups.clone()), Some([default].into()));
}

#[test]
fn a_vpc_holds_fifty_endpoints() {
    let mut account = Account::new();
    let new = NewVpcEndpoint { private_dns: false, ..account.new_endpoint("0") };
    for n in 0..50 {
        account.create_endpoint(NewVpcEndpoint { client_token: n.to_string(), ..new.clone() });
    }
    let one_more = NewVpcEndpoint { client_token: "50".into(), ..new };
    account.refuses(create(&one_more), "VpcEndpointLimitExceeded", Failure::QuotaReached);
}

#[test]
fn an_available_endpoint_is_modified_and_no_other() {
    let mut account = Account::with(slow(), &VpcShape::default());
    let id = account.endpoint("token");
    let modify = |change| Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: id.clone(), change });
    let other_policy = || EndpointChange { policy: Some(endpoint_policy()), ..EndpointChange::default() };
    account.refuses(modify(other_policy()), "IncorrectState", Failure::NotYet);
    account.happen(Transition::EndpointAvailable(account.region.clone(), id.clone())).expect("it is due");
    account.refuses(modify(EndpointChange::default()), "MissingParameter", Failure::Invalid);
    account.modify(&id, other_policy()).expect("available");
    assert_eq!(account.see(&id).map(|endpoint| &endpoint.state), Some(&EndpointState::Available));

    let (old, new) = (account.see(&id).expect("the endpoint").security_groups.clone(), account.group("new"));
    let remove = EndpointChange { remove_security_groups: old.clone(), ..EndpointChange::default() };
    account.refuses(modify(remove.clone()), "InvalidParameter", Failure::Invalid);
    account.modify(&id, EndpointChange { add_security_groups: [new].into(), ..remove.clone() }).expect("one is left");
    account.refuses(modify(remove), "InvalidGroup.NotFound", Failure::NotFound);
    for group in old {
        account.write(Write::Ec2(Ec2Write::DeleteSecurityGroup { group })).expect("no interface carries it any more");
    }
    let switch = EndpointChange { private_dns: Some(false), ..EndpointChange::default() };
    account.modify(&id, switch).expect("available");
    assert_eq!(account.see(&id).map(|endpoint| &endpoint.state), Some(&EndpointState::Pending));
    account.advance(60);
    assert_eq!(account.see(&id).map(|endpoint| &endpoint.state), Some(&EndpointState::Available));
    account.write(delete(&id)).expect("it is there");
    account.refuses(modify(other_policy()), "IncorrectState", Failure::NotYet);
    account.by_hand(ByHand::ForgetEndpoint(id.clone())).expect("it is there");
    account.refuses(modify(other_policy()), "InvalidVpcEndpointId.NotFound", Failure::NotFound);
}

#[test]
fn an_endpoints_group_is_in_use_until_the_endpoint_is_deleted() {
    let mut account = Account::with(slow(), &VpcShape::default());
    let new = account.new_endpoint("token");
    let group = new.security_groups.first().expect("a group").clone();
    let delete_group = Write::Ec2(Ec2Write::DeleteSecurityGroup { group });
    let id = account.create_endpoint(new);
    account.write(delete(&id)).expect("it is there");
    account.refuses(delete_group.clone(), "DependencyViolation", Failure::InUse);
    account.advance(30);
    account.write(delete_group).expect("its interfaces are gone");
}
