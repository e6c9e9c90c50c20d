use std::collections::BTreeSet;

use private_genai_operator::aws::{
    Architecture, Ec2Write, Environment, Failure, FunctionConfiguration, FunctionDetail, FunctionName, FunctionState,
    IamWrite, LambdaWrite, NewFunction, Package, RoleName, SecurityGroupId, Tenancy, UpdateStatus, Write,
};

use super::{Account, ByHand, Delays, VpcShape, installation, interface_policy, new_role, unattached_function};
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
fn a_functions_name_is_unique_and_a_missing_function_is_not_found() {
    let mut account = Account::new();
    let group = account.group("functions");
    let name = account.function("one", &group);
    let new =
        NewFunction { configuration: detail(&account, &name).listing.configuration, ..unattached_function("one") };
    account.refuses(create(&new), "ResourceConflictException", Failure::AlreadyExists);
    let missing = "missing".parse().expect("a function name");
    account.refuses(delete(&missing), "ResourceNotFoundException", Failure::NotFound);
    account.refuses(configure(&missing, &new.configuration), "ResourceNotFoundException", Failure::NotFound);
    let tag =
        |arn: String| Write::Lambda(LambdaWrite::TagResource { arn, tags: [("owner".into(), "team".into())].into() });
    account.refuses(
        tag(format!("{}x", detail(&account, &name).listing.arn)),
        "ResourceNotFoundException",
        Failure::NotFound,
    );
    account.write(tag(detail(&account, &name).listing.arn)).expect("the function");
    assert_eq!(detail(&account, &name).tags["owner"], "team");
}

#[test]
fn a_role_must_exist_trust_lambda_and_allow_the_interface_actions() {
    let mut account = Account::with(Delays { role_usable: 10, ..Delays::default() }, &VpcShape::default());
    let group = account.group("functions");
    let new = NewFunction { configuration: account.configuration("one", &group), ..unattached_function("one") };
    let cannot =
        |account: &mut Account| account.refuses(create(&new), "InvalidParameterValueException", Failure::RoleNotUsable);
    cannot(&mut account);
    let role = account.bare_role("one");
    cannot(&mut account);
    account.advance(10);
    cannot(&mut account); // no permission
    account.write(create(&unattached_function("one"))).expect("a function outside VPCs needs none");
    account.write(delete(&new.name)).expect("it is there");
    account.write(interface_policy(&role)).expect("the role");
    cannot(&mut account); // Lambda does not know yet
    account.advance(10);
    account.write(create(&new)).expect("Lambda knows");
}

#[test]
fn what_lambda_would_not_run_is_refused() {
    let mut account = Account::with(Delays::default(), &VpcShape { zones: "abc", ..VpcShape::default() });
    let group = account.group("functions");
    let new = account.new_function("one", &group);
    let region = account.region.clone();
    let (other_vpc, _) = account.world.add_vpc(&region, &VpcShape::default());
    let dedicated = VpcShape { tenancy: Tenancy::Other("dedicated".into()), ..VpcShape::default() };
    let (_, dedicated_subnets) = account.world.add_vpc(&region, &dedicated);
    let dedicated_vpc = account.world.regions[&region].subnets[&dedicated_subnets[0]].vpc.clone();
    let default_of =
        |account: &Account, vpc| account.world.regions[&region].default_group(vpc).expect("a default group");
    let (foreign_group, dedicated_group) = (default_of(&account, &other_vpc), default_of(&account, &dedicated_vpc));
    let environment = |name: &str, size| Environment::new([(name.to_owned(), "x".repeat(size))].into());
    let six: Vec<SecurityGroupId> = (0..6).map(|n| account.group(&format!("group {n}"))).collect();
    let base = || new.configuration.clone();
    let table = [
        (FunctionConfiguration { memory_mib: 127, ..base() }, "ValidationException"),
        (FunctionConfiguration { memory_mib: 10_241, ..base() }, "ValidationException"),
        (FunctionConfiguration { timeout_seconds: 0, ..base() }, "ValidationException"),
        (FunctionConfiguration { timeout_seconds: 901, ..base() }, "ValidationException"),
        (FunctionConfiguration { handler: String::new(), ..base() }, "ValidationException"),
        (FunctionConfiguration { runtime: "cobol".into(), ..base() }, "InvalidParameterValueException"),
        (FunctionConfiguration { environment: environment("KEY", 4_094), ..base() }, "InvalidParameterValueException"),
        (
            FunctionConfiguration { environment: environment("AWS_REGION", 1), ..base() },
            "InvalidParameterValueException",
        ),
        (FunctionConfiguration { environment: environment("1", 1), ..base() }, "ValidationException"),
        (FunctionConfiguration { security_groups: [].into(), ..base() }, "InvalidParameterValueException"),
        (
            FunctionConfiguration { security_groups: six.into_iter().collect(), ..base() },
            "InvalidParameterValueException",
        ),
        (FunctionConfiguration { security_groups: [foreign_group].into(), ..base() }, "InvalidParameterValueException"),
        (
            FunctionConfiguration {
                subnets: ["subnet-0123456789abcdef0".parse().expect("a subnet id")].into(),
                ..base()
            },
            "InvalidParameterValueException",
        ),
        (
            FunctionConfiguration {
                security_groups: ["sg-0123456789abcdef0".parse().expect("a group id")].into(),
                ..base()
            },
            "InvalidParameterValueException",
        ),
        (
            FunctionConfiguration {
                subnets: dedicated_subnets.into_iter().collect(),
                security_groups: [dedicated_group].into(),
                ..base()
            },
            "InvalidParameterValueException",
        ),
    ];
    for (configuration, code) in table {
        account.refuses(create(&NewFunction { configuration, ..new.clone() }), code, Failure::Invalid);
    }
    let empty = NewFunction { package: Package::new(Vec::new()), ..new.clone() };
    account.refuses(create(&empty), "InvalidParameterValueException", Failure::Invalid);
    let fits = FunctionConfiguration { environment: environment("KEY", 4_086), ..base() };
    account.write(create(&NewFunction { configuration: fits, ..new.clone() })).expect("4 KB exactly");
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
fn interfaces_stay_for_ever_when_the_role_that_caused_them_is_gone_too_early() {
    let delays = Delays { interfaces_released: 1_200, ..Delays::default() };
    let mut account = Account::with(delays, &VpcShape::default());
    let group = account.group("functions");
    let name = account.function("one", &group);
    let role: RoleName = "one".parse().expect("a role name");
    account.write(delete(&name)).expect("it is there");
    account
        .write(Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy: "app".into() }))
        .expect("the policy");
    account.write(Write::Iam(IamWrite::DeleteRole { role })).expect("an empty role");
    account.advance(1_200);
    assert_eq!(interfaces(&account), 2);
    account.refuses(Write::Ec2(Ec2Write::DeleteSecurityGroup { group }), "DependencyViolation", Failure::InUse);
    let state = &account.world.regions[&account.region];
    let stuck: Vec<_> = state.interfaces.keys().cloned().collect();
    assert_eq!(reads::leftovers(&account.world, &installation()).len(), 3, "two interfaces and a group");
    for interface in stuck {
        account.by_hand(ByHand::DeleteInterface(interface)).expect("an interface that Lambda let go");
    }
    assert_eq!(interfaces(&account), 0);
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
