use std::collections::BTreeSet;

use private_genai_operator::aws::{
    Architecture, Ec2Write, Failure, FunctionConfiguration, FunctionDetail, FunctionName, FunctionState, LambdaWrite,
    NewFunction, Package, RoleName, UpdateStatus, Write,
};

use super::{Account, ByHand, Delays, VpcShape, interface_policy, new_role, unattached_function};
use crate::memory::aws::reads;

fn create(new: &NewFunction) -> Write {
    Write::Lambda(LambdaWrite::CreateFunction(new.clone()))
}

fn configure(name: &FunctionName, configuration: &FunctionConfiguration) -> Write {
    Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
        name: name.clone(),
        configuration: configuration.clone(),
        reset: BTreeSet::new(),
    })
}

fn delete(name: &FunctionName) -> Write {
    Write::Lambda(LambdaWrite::DeleteFunction { name: name.clone() })
}

fn detail(account: &Account, name: &FunctionName) -> FunctionDetail {
    reads::function(&account.world.regions[&account.region], name).expect("the function")
}

fn interfaces(account: &Account) -> usize {
    account.world.regions[&account.region].interfaces.len()
}

#[test]
fn a_function_is_pending_then_active_and_takes_no_other_call_meanwhile() {
    let delays = Delays { function_active: 10, interfaces_created: 60, function_updated: 5, ..Delays::default() };
    let mut account = Account::with(delays, &VpcShape::default());
    let group = account.group("functions");
    let name = account.function("one", &group);
    let configuration = detail(&account, &name).listing.configuration;
    account.refuses(configure(&name, &configuration), "ResourceConflictException", Failure::NotYet);
    account.refuses(delete(&name), "ResourceConflictException", Failure::NotYet);
    account.advance(69);
    assert_eq!(detail(&account, &name).state, FunctionState::Pending);
    account.advance(1);
    assert_eq!(detail(&account, &name).state, FunctionState::Active);
    assert_eq!(detail(&account, &name).last_update, UpdateStatus::Successful);

    let second = account.function("two", &group);
    assert_eq!(interfaces(&account), 2, "functions with the same subnets and groups share their interfaces");
    account.advance(10);
    assert_eq!(detail(&account, &second).state, FunctionState::Active, "and so the second is active sooner");

    let before = detail(&account, &name).listing.last_modified;
    let bigger = FunctionConfiguration { memory_mib: 512, ..configuration };
    account.write(configure(&name, &bigger)).expect("idle");
    assert_ne!(detail(&account, &name).listing.last_modified, before);
    let package = Package::new(b"new code".to_vec());
    let code = Write::Lambda(LambdaWrite::UpdateFunctionCode {
        name: name.clone(),
        package: package.clone(),
        architecture: Architecture::X86_64,
    });
    account.refuses(code.clone(), "ResourceConflictException", Failure::NotYet);
    account.advance(5);
    account.write(code).expect("one update at a time");
    account.advance(5);
    let after = detail(&account, &name);
    assert_eq!((after.listing.code_sha256.as_str(), after.last_update), (package.sha256(), UpdateStatus::Successful));
}

#[test]
fn a_function_in_a_full_subnet_fails_and_can_only_be_deleted() {
    let mut account = Account::new();
    let group = account.group("functions");
    account.by_hand(ByHand::SetAddresses { subnet: account.subnets[0].clone(), addresses: 0 }).expect("the subnet");
    let name = account.function("one", &group);
    let failed = detail(&account, &name);
    assert_eq!(failed.state, FunctionState::Failed);
    assert!(failed.state_reason.is_some_and(|reason| reason.starts_with("SubnetOutOfIPAddresses: ")));
    let configuration = failed.listing.configuration;
    account.refuses(configure(&name, &configuration), "ResourceConflictException", Failure::NotYet);
    account.write(delete(&name)).expect("delete, create again");
}

#[test]
fn interfaces_outlive_functions_and_hold_their_group() {
    let delays = Delays { interfaces_released: 1_200, ..Delays::default() };
    let mut account = Account::with(delays, &VpcShape::default());
    let group = account.group("functions");
    let delete_group = Write::Ec2(Ec2Write::DeleteSecurityGroup { group: group.clone() });
    let name = account.function("one", &group);
    account.write(delete(&name)).expect("it is there");
    account.advance(1_199);
    account.refuses(delete_group.clone(), "DependencyViolation", Failure::InUse);
    let again = account.function("two", &group);
    account.advance(10_000);
    assert_eq!(interfaces(&account), 2, "a function that came in time keeps them");
    let detached = FunctionConfiguration {
        subnets: [].into(),
        security_groups: [].into(),
        ..detail(&account, &again).listing.configuration
    };
    account.write(configure(&again, &detached)).expect("idle");
    account.refuses(delete_group.clone(), "DependencyViolation", Failure::InUse);
    account.advance(1_200);
    assert_eq!(interfaces(&account), 0, "a function that was detached releases them too");
    account.write(delete_group).expect("nothing carries it any more");
}

#[test]
fn a_role_that_is_created_again_is_another_principal_until_it_is_set_again() {
    let mut account = Account::new();
    let group = account.group("functions");
    let name = account.function("one", &group);
    let role: RoleName = "one".parse().expect("a role name");
    let without = |account: &Account| account.world.functions_without_their_role(&account.region);
    assert_eq!(without(&account), []);
    account.by_hand(ByHand::DeleteRole(role.clone())).expect("the role");
    assert_eq!(without(&account), std::slice::from_ref(&name));
    account.write(new_role("one")).expect("the name is free");
    account.write(interface_policy(&role)).expect("the role");
    assert_eq!(without(&account), std::slice::from_ref(&name));
    let configuration = detail(&account, &name).listing.configuration;
    account.write(configure(&name, &configuration)).expect("idle");
    assert_eq!(without(&account), []);
}

#[test]
fn a_function_may_take_a_while_to_go() {
    let mut account = Account::with(Delays { function_deleted: 20, ..Delays::default() }, &VpcShape::default());
    let group = account.group("functions");
    let name = account.function("one", &group);
    let new = NewFunction { configuration: account.configuration("one", &group), ..unattached_function("one") };
    account.write(delete(&name)).expect("it is there");
    account.write(delete(&name)).expect("it is on its way");
    assert_eq!(detail(&account, &name).state, FunctionState::Deleting);
    account.refuses(create(&new), "ResourceConflictException", Failure::AlreadyExists);
    account.refuses(configure(&name, &new.configuration), "ResourceConflictException", Failure::NotYet);
    account.advance(20);
    account.refuses(delete(&name), "ResourceNotFoundException", Failure::NotFound);
}
