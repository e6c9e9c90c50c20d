use private_genai_operator::aws::{Ec2Write, EndpointState, Failure, NewVpcEndpoint, VpcEndpointId, Write, Written};

use super::{Account, ByHand, Delays, VpcShape};

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
fn a_token_is_remembered_longer_than_its_endpoint_is_listed() {
    let mut account = Account::with(slow(), &VpcShape::default());
    let new = account.new_endpoint("token");
    let id = account.create_endpoint(new.clone());
    account.write(delete(&id)).expect("it is there");
    account.advance(630);
    assert_eq!(account.see(&id), None);
    assert_eq!(account.write(create(&new)), Ok(Written::VpcEndpoint(id, EndpointState::Deleted)));
    for token in [String::new(), "x".repeat(65), "ä".into()] {
        let new = NewVpcEndpoint { client_token: token, ..new.clone() };
        account.refuses(create(&new), "InvalidParameterValue", Failure::Invalid);
    }
}

#[test]
fn a_subnet_without_a_free_address_takes_no_endpoint() {
    let mut account = Account::new();
    let subnet = account.subnets[0].clone();
    account.by_hand(ByHand::SetAddresses { subnet, addresses: 0 }).expect("the subnet");
    let new = account.new_endpoint("token");
    account.refuses(create(&new), "InsufficientFreeAddressesInSubnet", Failure::Invalid);
}
