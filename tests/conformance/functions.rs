//! Lambda functions: roles, states, configurations, and the interfaces that outlive them.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    Architecture, Ec2Write, Environment, Failure, FunctionConfiguration, FunctionName, IamWrite, InterfaceHolder,
    InterfaceState, LambdaWrite, NetworkInterface, NewFunction, Package, SecurityGroupId, Written,
};

use super::{
    fact::facts,
    ground::{Ground, interface_policy, package, trust_policy},
};

facts! {
    "a function's role must exist, and trust Lambda",
    "Lambda API reference, CreateFunction: InvalidParameterValueException \"cannot be assumed by Lambda\"",
    roles;
    "the role of a function in a VPC must allow the three calls for interfaces; outside a VPC it need not",
    "Lambda Developer Guide, \"Giving Lambda functions access to resources in a VPC\": required permissions",
    interface_permissions;
    "a function is pending, then active; meanwhile its configuration is not changed",
    "Lambda Developer Guide, \"Function states\": ResourceConflictException",
    pending;
    "one update at a time is made, and shows: configuration, code, processor",
    "Lambda Developer Guide, \"Function states\" (LastUpdateStatus): ResourceConflictException",
    updates;
    "a function's name is unique, and a function that is missing is not found",
    "Lambda API reference: ResourceConflictException, ResourceNotFoundException",
    names;
    "what Lambda would not run is refused: memory, time, runtime, environment, package",
    "Lambda API reference, CreateFunction; Lambda Developer Guide, \"Environment variables\"; Lambda quotas",
    bounds;
    "a function is attached to subnets and groups of one VPC of default tenancy, to both or to neither, to five groups at most",
    "Lambda API reference, VpcConfig (lengths: ValidationException); Developer Guide, \"VPC\": InvalidParameterValueException",
    network;
    "functions with the same subnets and groups share interfaces, which outlive them and hold the group for a while",
    "Lambda Developer Guide, \"Understanding Hyperplane Elastic Network Interfaces\"",
    interfaces;
    "a function that is detached releases its interfaces too",
    "Lambda Developer Guide, \"Understanding Hyperplane Elastic Network Interfaces\"",
    detached;
    "interfaces whose role went before they were released stay, belong to nobody, and can be deleted",
    "AWS re:Post, \"How do I delete a network interface that Lambda created?\": the execution role was deleted too early",
    left_behind;
    "tags are set beside those that are there",
    "Lambda API reference, TagResource",
    tags;
}

fn create(new: &NewFunction) -> LambdaWrite {
    LambdaWrite::CreateFunction(new.clone())
}

fn configure(name: &FunctionName, configuration: &FunctionConfiguration) -> LambdaWrite {
    let (name, configuration) = (name.clone(), configuration.clone());
    LambdaWrite::UpdateFunctionConfiguration { name, configuration, reset: BTreeSet::new() }
}

fn delete(name: &FunctionName) -> LambdaWrite {
    LambdaWrite::DeleteFunction { name: name.clone() }
}

/// A function outside VPCs that Lambda can run, not yet created.
async fn outside(on: &Ground, name: &str) -> NewFunction {
    let role = on.bare_role(name).await;
    on.new_function(name, &role)
}

async fn roles(on: &Ground) {
    const CODE: &str = "InvalidParameterValueException";
    let missing = on.new_function("roles", &on.role_name("missing"));
    on.refuses(create(&missing), CODE, Failure::RoleNotUsable).await;
    let other = on.bare_role("of-ec2").await;
    on.takes(IamWrite::UpdateAssumeRolePolicy { role: other.clone(), trust_policy: trust_policy("ec2.amazonaws.com") })
        .await;
    let distrusts = on.new_function("roles", &other);
    on.until("Lambda knows that the role does not trust it", async || match on.write(create(&distrusts)).await {
        Ok(_) => {
            on.takes(delete(&distrusts.name)).await;
            None
        }
        Err(error) => {
            assert_eq!((error.code.as_deref(), error.failure), (Some(CODE), Failure::RoleNotUsable), "{error}");
            Some(())
        }
    })
    .await;
    on.takes(create(&outside(on, "usable").await)).await;
}

async fn interface_permissions(on: &Ground) {
    let group = on.group("permissions").await;
    let outside = outside(on, "permissions").await;
    let inside = NewFunction {
        configuration: FunctionConfiguration {
            subnets: on.subnets.clone(),
            security_groups: [group].into(),
            ..outside.configuration.clone()
        },
        ..outside.clone()
    };
    // First, so that Lambda knows the role by then.
    on.takes(create(&outside)).await;
    on.until_active(&outside.name).await;
    on.refuses(
        configure(&inside.name, &inside.configuration),
        "InvalidParameterValueException",
        Failure::RoleNotUsable,
    )
    .await;
    on.takes(interface_policy(&on.role_name("permissions"))).await;
    on.takes(configure(&inside.name, &inside.configuration)).await;
    assert_eq!(on.until_active(&inside.name).await.listing.configuration, inside.configuration);
}

async fn pending(on: &Ground) {
    let group = on.group("pending").await;
    let name = on.attached("pending", &group).await;
    let seen = on.see_function(&name, |_| true).await;
    let configuration = seen.listing.configuration;
    on.refuses(configure(&name, &configuration), "ResourceConflictException", Failure::NotYet).await;
    on.until_active(&name).await;
}

async fn updates(on: &Ground) {
    let new = outside(on, "updates").await;
    on.takes(create(&new)).await;
    let before = on.until_active(&new.name).await;
    assert_eq!(before.listing.code_sha256, new.package.sha256());
    let bigger = FunctionConfiguration {
        memory_mib: 256,
        environment: Environment::new([("KEY".to_owned(), "value".to_owned())].into()),
        ..new.configuration.clone()
    };
    on.takes(configure(&new.name, &bigger)).await;
    let (name, package, architecture) = (new.name.clone(), package("two"), Architecture::X86_64);
    let code = LambdaWrite::UpdateFunctionCode { name, package: package.clone(), architecture };
    on.refuses(code.clone(), "ResourceConflictException", Failure::NotYet).await;
    on.takes(code).await;
    let after = on.until_active(&new.name).await.listing;
    assert_eq!((after.configuration, after.architecture), (bigger, Architecture::X86_64));
    assert_eq!(after.code_sha256, package.sha256());
    assert_ne!(after.last_modified, before.listing.last_modified);
    let listed = on.aws.functions(&on.region).await.expect("functions");
    let listed = listed.into_iter().find(|listing| listing.name == new.name).expect("the function");
    assert_eq!(listed.code_sha256, package.sha256());
}

async fn names(on: &Ground) {
    let new = outside(on, "names").await;
    on.takes(create(&new)).await;
    on.until_active(&new.name).await;
    on.refuses(create(&new), "ResourceConflictException", Failure::AlreadyExists).await;
    on.takes(delete(&new.name)).await;
    on.until("the function is gone", async || {
        on.aws.function(&on.region, &new.name).await.expect("an answer").is_none().then_some(())
    })
    .await;
    on.refuses(delete(&new.name), "ResourceNotFoundException", Failure::NotFound).await;
    let configured = configure(&new.name, &new.configuration);
    on.refuses(configured, "ResourceNotFoundException", Failure::NotFound).await;
}

async fn bounds(on: &Ground) {
    const VALIDATION: &str = "ValidationException";
    const INVALID: &str = "InvalidParameterValueException";
    let new = outside(on, "bounds").await;
    let base = || new.configuration.clone();
    let environment = |name: &str, size| Environment::new([(name.to_owned(), "x".repeat(size))].into());
    let table = [
        (FunctionConfiguration { memory_mib: 127, ..base() }, VALIDATION),
        (FunctionConfiguration { memory_mib: 10_241, ..base() }, VALIDATION),
        (FunctionConfiguration { timeout_seconds: 0, ..base() }, VALIDATION),
        (FunctionConfiguration { timeout_seconds: 901, ..base() }, VALIDATION),
        (FunctionConfiguration { environment: environment("1", 1), ..base() }, VALIDATION),
        (FunctionConfiguration { runtime: "cobol".into(), ..base() }, INVALID),
        (FunctionConfiguration { environment: environment("AWS_REGION", 1), ..base() }, INVALID),
        (FunctionConfiguration { environment: environment("KEY", 4_087), ..base() }, INVALID),
    ];
    for (configuration, code) in table {
        on.refuses(create(&NewFunction { configuration, ..new.clone() }), code, Failure::Invalid).await;
    }
    let empty = NewFunction { package: Package::new(Vec::new()), ..new.clone() };
    on.refuses(create(&empty), INVALID, Failure::Invalid).await;
    // {"KEY":"…"} has ten characters besides the value.
    let fits = FunctionConfiguration { environment: environment("KEY", 4_086), ..base() };
    on.takes(create(&NewFunction { configuration: fits, ..new })).await;
}

async fn network(on: &Ground) {
    let group = on.group("network").await;
    let name = on.attached("network", &group).await;
    let there = on.until_active(&name).await.listing.configuration;
    let mut six = BTreeSet::new();
    for n in 0..6 {
        six.insert(on.group(&format!("network-{n}")).await);
    }
    let subnet = |id: &str| BTreeSet::from([id.parse().expect("a subnet id")]);
    let many = FunctionConfiguration { security_groups: six, ..there.clone() };
    on.refuses(configure(&name, &many), "ValidationException", Failure::Invalid).await;
    let mut wrong = vec![
        FunctionConfiguration { security_groups: BTreeSet::new(), ..there.clone() },
        FunctionConfiguration { subnets: subnet("subnet-0123456789abcdef0"), ..there.clone() },
        FunctionConfiguration {
            security_groups: ["sg-0123456789abcdef0".parse().expect("a group id")].into(),
            ..there.clone()
        },
    ];
    wrong.extend(
        on.elsewhere
            .iter()
            .map(|(_, other)| FunctionConfiguration { subnets: subnet(other.as_str()), ..there.clone() }),
    );
    if let Some((vpc, dedicated)) = &on.dedicated {
        let written = on.takes(on.new_group_in(vpc, &on.called("dedicated"))).await;
        let Written::SecurityGroup(group) = written else { panic!("{written:?} is no group") };
        on.see_group(&group, |_| true).await;
        let (subnets, security_groups) = (subnet(dedicated.as_str()), [group].into());
        wrong.push(FunctionConfiguration { subnets, security_groups, ..there.clone() });
    }
    for configuration in wrong {
        on.refuses(configure(&name, &configuration), "InvalidParameterValueException", Failure::Invalid).await;
    }
}

/// How many interfaces carry the group.
async fn held(on: &Ground, group: &SecurityGroupId) -> usize {
    on.aws.group_interfaces(&on.region, group).await.expect("interfaces").len()
}

async fn until_released(on: &Ground, group: &SecurityGroupId) {
    on.until("Lambda has released its interfaces", async || (held(on, group).await == 0).then_some(())).await;
}

async fn interfaces(on: &Ground) {
    let group = on.group("interfaces").await;
    let delete_group = || Ec2Write::DeleteSecurityGroup { group: group.clone() };
    let one = on.attached("one", &group).await;
    on.until_active(&one).await;
    let two = on.attached("two", &group).await;
    on.until_active(&two).await;
    let found = on.aws.group_interfaces(&on.region, &group).await.expect("interfaces");
    assert_eq!(found.len(), on.subnets.len(), "shared: {found:?}");
    assert!(found.iter().all(|interface| interface.holder == InterfaceHolder::Lambda), "{found:?}");
    let interface = found[0].id.clone();
    on.refuses(Ec2Write::DeleteNetworkInterface { interface }, "InvalidParameterValue", Failure::InUse).await;
    on.takes(delete(&one)).await;
    on.takes(delete(&two)).await;
    on.refuses(delete_group(), "DependencyViolation", Failure::InUse).await;
    until_released(on, &group).await;
    on.takes(delete_group()).await;
}

async fn detached(on: &Ground) {
    let group = on.group("detached").await;
    let name = on.attached("detached", &group).await;
    let there = on.until_active(&name).await.listing.configuration;
    let none = FunctionConfiguration { subnets: BTreeSet::new(), security_groups: BTreeSet::new(), ..there };
    on.takes(configure(&name, &none)).await;
    let seen = on.until_active(&name).await.listing.configuration;
    assert_eq!(seen, none);
    until_released(on, &group).await;
    on.takes(Ec2Write::DeleteSecurityGroup { group }).await;
}

async fn left_behind(on: &Ground) {
    let group = on.group("left").await;
    let name = on.attached("left", &group).await;
    on.until_active(&name).await;
    on.takes(delete(&name)).await;
    let role = on.role_name("left");
    on.takes(IamWrite::DeleteRolePolicy { role: role.clone(), policy: "interfaces".into() }).await;
    on.takes(IamWrite::DeleteRole { role }).await;
    let left = on
        .until("Lambda has given up", async || {
            let found = on.aws.group_interfaces(&on.region, &group).await.expect("interfaces");
            let free = |interface: &NetworkInterface| interface.state == InterfaceState::Available;
            (!found.is_empty() && found.iter().all(free)).then_some(found)
        })
        .await;
    assert_eq!(left.len(), on.subnets.len(), "{left:?}");
    for interface in left {
        on.takes(Ec2Write::DeleteNetworkInterface { interface: interface.id }).await;
    }
    on.takes(Ec2Write::DeleteSecurityGroup { group }).await;
}

async fn tags(on: &Ground) {
    let new = outside(on, "tags").await;
    on.takes(create(&new)).await;
    let arn = on.until_active(&new.name).await.listing.arn;
    let tag = |arn: String| LambdaWrite::TagResource { arn, tags: [("owner".to_owned(), "team".to_owned())].into() };
    on.refuses(tag(format!("{arn}-missing")), "ResourceNotFoundException", Failure::NotFound).await;
    on.takes(tag(arn)).await;
    let seen = on.see_function(&new.name, |seen| seen.tags.contains_key("owner")).await;
    assert_eq!(seen.tags.len(), new.tags.len() + 1);
}
