use std::collections::BTreeSet;

use private_genai_operator::aws::{Ec2Write, EndpointState, LambdaWrite, RouteTarget, Write};

use super::{Account, ByHand, Delays, installation, our_tags};
use crate::memory::aws::{VpcShape, by_hand::Tagged, reads, setup::zone_of};

#[test]
fn a_deleted_group_is_replaced_by_the_default_group_and_its_rules_are_gone() {
    let mut account = Account::new();
    let endpoint = account.endpoint("token");
    let group = account.see(&endpoint).expect("the endpoint").security_groups.first().expect("a group").clone();
    let function = account.function("one", &group);
    account.by_hand(ByHand::DeleteGroup(group.clone())).expect("the group");
    let state = &account.world.regions[&account.region];
    let default = BTreeSet::from([state.default_group(&account.vpc).expect("every VPC has one")]);
    assert!(!state.groups.contains_key(&group));
    assert_eq!(state.endpoints[&endpoint].security_groups, default);
    assert_eq!(state.functions[&function].detail.listing.configuration.security_groups, default);
    assert!(state.interfaces.values().all(|interface| state.groups_of(interface) == Some(&default)));
    account.by_hand(ByHand::DeleteGroup(group)).expect_err("it is gone");
}

#[test]
fn a_group_that_lambda_still_has_interfaces_with_cannot_be_deleted() {
    let delays = Delays { interfaces_released: 1_200, ..Delays::default() };
    let mut account = Account::with(delays, &VpcShape::default());
    let group = account.group("a");
    let function = account.function("one", &group);
    account.write(Write::Lambda(LambdaWrite::DeleteFunction { name: function })).expect("the function");
    let refused = account.by_hand(ByHand::DeleteGroup(group)).expect_err("interfaces are released late");
    assert!(format!("{refused:?}").contains("DependencyViolation"), "{refused:?}");
}

#[test]
fn tags_are_removed_one_by_one_or_all() {
    let mut account = Account::new();
    let group = account.group("a");
    let more = [("owner".to_owned(), "team".to_owned())].into();
    account.write(Write::Ec2(Ec2Write::CreateTags { resource: group.to_string(), tags: more })).expect("the group");
    let mut remove = |keys| {
        account.by_hand(ByHand::RemoveTags { from: Tagged::Group(group.clone()), keys }).expect("the group");
        account.world.regions[&account.region].groups[&group].tags.clone()
    };
    assert_eq!(remove(Some(["owner".to_owned()].into())), our_tags());
    assert!(remove(None).is_empty());
    assert!(!reads::leftovers(&account.world, &installation()).iter().any(|left| left.contains("(a)")));
}

#[test]
fn the_shape_of_a_vpc_and_what_aws_offers_can_change() {
    let mut account = Account::new();
    let vpc = account.vpc.clone();
    let name = "com.amazonaws.us-east-1.bedrock-runtime".to_owned();
    account.by_hand(ByHand::AddRoute { vpc: vpc.clone(), target: RouteTarget::Other }).expect("the VPC");
    let tables = reads::route_tables(&account.world.regions[&account.region], &[vpc.clone()].into());
    assert!(tables.iter().all(|table| table.targets.contains(&RouteTarget::Other)));

    let mut service = account.world.regions[&account.region].services[&name].clone();
    service.zones = [zone_of(&account.region, 'd')].into();
    account.by_hand(ByHand::Offer(service.clone())).expect("always possible");
    let offered =
        |account: &Account| reads::endpoint_services(&account.world.regions[&account.region], &[name.clone()].into());
    assert_eq!(offered(&account), [service]);
    account.by_hand(ByHand::Withdraw(name.clone())).expect("always possible");
    assert_eq!(offered(&account), []);

    let group = account.group("a");
    account.by_hand(ByHand::DeleteVpc(vpc.clone())).expect_err("a group is in it");
    account.write(Write::Ec2(Ec2Write::DeleteSecurityGroup { group })).expect("nothing carries it");
    account.by_hand(ByHand::DeleteSubnet(account.subnets[0].clone())).expect("an empty subnet");
    account.by_hand(ByHand::DeleteVpc(vpc.clone())).expect("an empty VPC");
    assert!(reads::vpcs(&account.world.regions[&account.region], &[vpc].into()).is_empty());
}

#[test]
fn aws_can_be_slow_and_show_states_that_nobody_knows() {
    let mut account = Account::with(Delays::default(), &VpcShape::default());
    account.by_hand(ByHand::SetDelays(Delays { endpoint_available: u64::MAX, ..Delays::default() })).expect("always");
    let endpoint = account.endpoint("token");
    account.advance(u64::MAX);
    assert_eq!(account.see(&endpoint).map(|endpoint| &endpoint.state), Some(&EndpointState::Pending), "never is never");
    let state = EndpointState::Unknown("Hibernating".into());
    let set = ByHand::SetEndpointState { endpoint: endpoint.clone(), state: state.clone(), last_error: None };
    account.by_hand(set).expect("the endpoint");
    assert_eq!(account.see(&endpoint).map(|endpoint| &endpoint.state), Some(&state));
}
