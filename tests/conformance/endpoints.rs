//! Interface endpoints of PrivateLink: states, tokens, private DNS, subnets, groups, policies.

use private_genai_operator::aws::{
    Ec2Write, EndpointChange, EndpointState, Failure, NewVpcEndpoint, PolicyDocument, VpcEndpointId, Written,
};
use serde_json::json;

use super::{
    fact::facts,
    ground::{Ground, endpoint_policy},
};

facts! {
    "an endpoint is pending, then available, with one interface in each subnet and its regional name first",
    "EC2 API reference, VpcEndpoint (State, NetworkInterfaceIds, DnsEntries); PrivateLink guide, \"Access an AWS service\"",
    life;
    "an endpoint that is not available is not modified",
    "EC2 error codes, IncorrectState",
    not_available;
    "an endpoint that is being deleted can be deleted again, is deleted in the end, and is not found then",
    "EC2 API reference, DeleteVpcEndpoints (Unsuccessful); EC2 error codes, InvalidVpcEndpoint.NotFound for bulk requests",
    deletion;
    "a client token makes one endpoint, and gives the same one also when it is deleted; with other parameters it is refused",
    "EC2 API reference, \"Ensuring idempotency\"; error code IdempotentParameterMismatch",
    tokens;
    "of two endpoints of a service in a VPC one has private DNS; one that is deleting keeps the name",
    "EC2 API reference, CreateVpcEndpoint; InvalidParameter \"conflicting DNS domain\" (terraform-provider-aws#11801)",
    private_dns;
    "private DNS needs a VPC that resolves names and gives host names",
    "PrivateLink guide, \"Manage DNS names for VPC endpoints\": enableDnsSupport, enableDnsHostnames; InvalidParameter",
    vpc_dns;
    "an endpoint has subnets of its own VPC alone, and one in each zone that its service offers",
    "EC2 API reference, CreateVpcEndpoint; error codes DuplicateSubnetsInSameZone, InvalidSubnetId.NotFound, InvalidVpcId.NotFound",
    subnets;
    "an endpoint has at most five groups, and the VPC's default group if none is named, which nobody can delete",
    "VPC quotas, \"Security groups per network interface\"; SecurityGroupsPerInterfaceLimitExceeded; CannotDelete",
    groups;
    "a modification swaps groups and the policy; the last group is not taken away, nor one that it does not have",
    "EC2 API reference, ModifyVpcEndpoint; error codes InvalidParameter, InvalidGroup.NotFound",
    modification;
    "an endpoint's group is in use until the endpoint is deleted",
    "EC2 API reference, DeleteSecurityGroup: DependencyViolation",
    group_in_use;
    "an endpoint policy is JSON with a principal in each statement, and at most 20,480 characters",
    "PrivateLink quotas, \"VPC endpoint policy size\"; EC2 error codes, InvalidPolicyDocument",
    policies;
    "a service that is not offered is not found, and is left out of no list that is asked for others",
    "EC2 API reference, DescribeVpcEndpointServices; error code InvalidServiceName",
    services;
    "an interface of an endpoint is in use and cannot be deleted",
    "EC2 API reference, DeleteNetworkInterface: InvalidParameterValue \"is currently in use\"",
    interfaces;
}

fn create(new: &NewVpcEndpoint) -> Ec2Write {
    Ec2Write::CreateVpcEndpoint(new.clone())
}

fn delete(endpoint: &VpcEndpointId) -> Ec2Write {
    Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.clone() }
}

fn modify(endpoint: &VpcEndpointId, change: EndpointChange) -> Ec2Write {
    Ec2Write::ModifyVpcEndpoint { endpoint: endpoint.clone(), change }
}

async fn life(on: &Ground) {
    let group = on.group("life").await;
    let written = on.takes(create(&on.new_endpoint("life", &group))).await;
    let Written::VpcEndpoint(id, state) = written else { panic!("{written:?} is no endpoint") };
    assert_eq!(state, EndpointState::Pending);
    let endpoint = on.see_endpoint(&id, |endpoint| endpoint.state == EndpointState::Available).await;
    assert_eq!((&endpoint.subnets, &endpoint.security_groups), (&on.subnets, &[group.clone()].into()));
    assert!(endpoint.interface && !endpoint.private_dns, "{endpoint:?}");
    assert!(endpoint.dns_names[0].starts_with(id.as_str()), "{:?}", endpoint.dns_names);
    let suffix = format!(".bedrock-runtime.{}.vpce.amazonaws.com", on.region);
    assert!(endpoint.dns_names.iter().all(|name| name.ends_with(&suffix)), "{:?}", endpoint.dns_names);
    let interfaces = on.aws.network_interfaces(&on.region, &endpoint.interfaces).await.expect("interfaces");
    assert_eq!(
        interfaces.iter().map(|interface| interface.subnet.clone()).collect::<std::collections::BTreeSet<_>>(),
        on.subnets
    );
    assert!(
        interfaces.iter().all(|interface| interface.groups == [group.clone()].into() && interface.private_ip.is_some()),
        "{interfaces:?}"
    );
}

async fn not_available(on: &Ground) {
    let group = on.group("not-available").await;
    let id = on.create_endpoint(on.new_endpoint("not-available", &group)).await;
    let change = || EndpointChange {
        policy: Some(endpoint_policy("arn:aws:bedrock:*::foundation-model/x")),
        ..EndpointChange::default()
    };
    on.see_endpoint(&id, |endpoint| endpoint.state == EndpointState::Pending).await;
    on.refuses(modify(&id, change()), "IncorrectState", Failure::NotYet).await;
    on.see_endpoint(&id, |endpoint| endpoint.state == EndpointState::Available).await;
    on.takes(delete(&id)).await;
    on.refuses(modify(&id, change()), "IncorrectState", Failure::NotYet).await;
    on.until_deleted(&id).await;
    on.refuses(modify(&id, change()), "InvalidVpcEndpointId.NotFound", Failure::NotFound).await;
}

async fn deletion(on: &Ground) {
    let group = on.group("deletion").await;
    let id = on.endpoint(on.new_endpoint("deletion", &group)).await.id;
    on.takes(delete(&id)).await;
    on.takes(delete(&id)).await;
    on.see_endpoint(&id, |endpoint| endpoint.state.is_ending()).await;
    on.until_deleted(&id).await;
    on.refuses(delete(&id), "InvalidVpcEndpoint.NotFound", Failure::NotFound).await;
    let nobodys = "vpce-0123456789abcdef0".parse().expect("an endpoint id");
    on.refuses(delete(&nobodys), "InvalidVpcEndpoint.NotFound", Failure::NotFound).await;
}

async fn tokens(on: &Ground) {
    let group = on.group("tokens").await;
    let new = on.new_endpoint("token", &group);
    let id = on.endpoint(new.clone()).await.id;
    let same = |written: Written| matches!(written, Written::VpcEndpoint(other, _) if other == id);
    assert!(same(on.takes(create(&new)).await), "the same parameters, the same endpoint");
    let other = NewVpcEndpoint { policy: endpoint_policy("arn:aws:bedrock:*::foundation-model/x"), ..new.clone() };
    on.refuses(create(&other), "IdempotentParameterMismatch", Failure::TokenMismatch).await;
    on.takes(delete(&id)).await;
    on.until_deleted(&id).await;
    let written = on.takes(create(&new)).await;
    assert_eq!(written, Written::VpcEndpoint(id.clone(), EndpointState::Deleted), "also when it is deleted");
    let next = NewVpcEndpoint { client_token: on.called("next"), ..new };
    assert_ne!(on.create_endpoint(next).await, id, "another token, another endpoint");
}

async fn private_dns(on: &Ground) {
    let group = on.group("private-dns").await;
    let with = |token: &str| NewVpcEndpoint { private_dns: true, ..on.new_endpoint(token, &group) };
    let first = on.endpoint(with("first")).await;
    let public = format!("bedrock-runtime.{}.amazonaws.com", on.region);
    assert!(first.private_dns && first.dns_names.contains(&public), "{first:?}");
    on.refuses(create(&with("second")), "InvalidParameter", Failure::PrivateDnsConflict).await;
    let second = on.endpoint(on.new_endpoint("without", &group)).await.id;
    let switch = |on| EndpointChange { private_dns: Some(on), ..EndpointChange::default() };
    on.refuses(modify(&second, switch(true)), "InvalidParameter", Failure::PrivateDnsConflict).await;
    on.takes(delete(&first.id)).await;
    on.refuses(modify(&second, switch(true)), "InvalidParameter", Failure::PrivateDnsConflict).await;
    on.until_deleted(&first.id).await;
    on.takes(modify(&second, switch(true))).await;
    let switched = |is: bool| {
        move |seen: &private_genai_operator::aws::VpcEndpoint| {
            seen.private_dns == is && seen.state == EndpointState::Available
        }
    };
    let seen = on.see_endpoint(&second, switched(true)).await;
    assert!(seen.dns_names.contains(&public), "{:?}", seen.dns_names);
    on.takes(modify(&second, switch(false))).await;
    let seen = on.see_endpoint(&second, switched(false)).await;
    assert!(!seen.dns_names.contains(&public), "{:?}", seen.dns_names);
}

async fn vpc_dns(on: &Ground) {
    let Some((vpc, subnet)) = &on.elsewhere else { return };
    let group = on.group("unused").await;
    let (vpc, subnets) = (vpc.clone(), [subnet.clone()].into());
    let new = on.new_endpoint("vpc-dns", &group);
    let new = NewVpcEndpoint { vpc, subnets, security_groups: [].into(), private_dns: true, ..new };
    on.refuses(create(&new), "InvalidParameter", Failure::Invalid).await;
}

async fn subnets(on: &Ground) {
    let group = on.group("subnets").await;
    let new = on.new_endpoint("subnets", &group);
    let with = |subnet: &str| NewVpcEndpoint { subnets: [subnet.parse().expect("a subnet id")].into(), ..new.clone() };
    let missing = create(&with("subnet-0123456789abcdef0"));
    on.refuses(missing, "InvalidSubnetId.NotFound", Failure::NotFound).await;
    let nowhere = NewVpcEndpoint { vpc: "vpc-0123456789abcdef0".parse().expect("a VPC id"), ..new.clone() };
    on.refuses(create(&nowhere), "InvalidVpcId.NotFound", Failure::NotFound).await;
    for wrong in on.elsewhere.iter().map(|(_, subnet)| subnet).chain(&on.unoffered) {
        on.refuses(create(&with(wrong.as_str())), "InvalidParameter", Failure::Invalid).await;
    }
    let Some(twin) = &on.twin else { return };
    let mut both = on.subnets.clone();
    both.insert(twin.clone());
    let doubled = NewVpcEndpoint { subnets: both, ..new.clone() };
    on.refuses(create(&doubled), "DuplicateSubnetsInSameZone", Failure::Invalid).await;
    let id = on.endpoint(new).await.id;
    let add = EndpointChange { add_subnets: [twin.clone()].into(), ..EndpointChange::default() };
    on.refuses(modify(&id, add.clone()), "DuplicateSubnetsInSameZone", Failure::Invalid).await;
    on.takes(modify(&id, EndpointChange { remove_subnets: on.subnets.clone(), ..add })).await;
    let moved = on.see_endpoint(&id, |seen| seen.state == EndpointState::Available && seen.subnets.len() == 1).await;
    assert_eq!((moved.subnets, moved.interfaces.len()), ([twin.clone()].into(), 1));
}

async fn groups(on: &Ground) {
    let group = on.group("groups").await;
    let mut six = std::collections::BTreeSet::new();
    for n in 0..6 {
        six.insert(on.group(&format!("group-{n}")).await);
    }
    let new = on.new_endpoint("groups", &group);
    let many = NewVpcEndpoint { security_groups: six, ..new.clone() };
    on.refuses(create(&many), "SecurityGroupsPerInterfaceLimitExceeded", Failure::QuotaReached).await;
    let missing = "sg-0123456789abcdef0".parse().expect("a group id");
    let missing = NewVpcEndpoint { security_groups: [missing].into(), ..new.clone() };
    on.refuses(create(&missing), "InvalidGroup.NotFound", Failure::NotFound).await;
    if let Some((elsewhere, _)) = &on.elsewhere {
        let written = on.takes(on.new_group_in(elsewhere, &on.called("foreign"))).await;
        let Written::SecurityGroup(foreign) = written else { panic!("{written:?} is no group") };
        on.see_group(&foreign, |_| true).await;
        let foreign = NewVpcEndpoint { security_groups: [foreign].into(), ..new.clone() };
        on.refuses(create(&foreign), "InvalidParameter", Failure::Invalid).await;
    }
    let none = on.endpoint(NewVpcEndpoint { security_groups: [].into(), ..new }).await;
    let default = none.security_groups.into_iter().next().expect("the default group");
    on.refuses(Ec2Write::DeleteSecurityGroup { group: default }, "CannotDelete", Failure::Invalid).await;
}

async fn modification(on: &Ground) {
    let (old, new) = (on.group("old").await, on.group("new").await);
    let id = on.endpoint(on.new_endpoint("modification", &old)).await.id;
    let remove = EndpointChange { remove_security_groups: [old.clone()].into(), ..EndpointChange::default() };
    on.refuses(modify(&id, remove.clone()), "InvalidParameter", Failure::Invalid).await;
    let swap = EndpointChange {
        add_security_groups: [new.clone()].into(),
        policy: Some(endpoint_policy("arn:aws:bedrock:*::foundation-model/x")),
        ..remove.clone()
    };
    on.takes(modify(&id, swap.clone())).await;
    let is = |seen: &private_genai_operator::aws::VpcEndpoint| seen.security_groups == [new.clone()].into();
    assert_eq!(on.see_endpoint(&id, is).await.policy, swap.policy);
    on.refuses(modify(&id, remove), "InvalidGroup.NotFound", Failure::NotFound).await;
    on.takes(Ec2Write::DeleteSecurityGroup { group: old }).await;
}

async fn group_in_use(on: &Ground) {
    let group = on.group("in-use").await;
    let delete_group = || Ec2Write::DeleteSecurityGroup { group: group.clone() };
    let id = on.endpoint(on.new_endpoint("in-use", &group)).await.id;
    on.refuses(delete_group(), "DependencyViolation", Failure::InUse).await;
    on.takes(delete(&id)).await;
    on.refuses(delete_group(), "DependencyViolation", Failure::InUse).await;
    on.until_deleted(&id).await;
    on.takes(delete_group()).await;
}

async fn policies(on: &Ground) {
    let group = on.group("policies").await;
    let with = |policy| NewVpcEndpoint { policy, ..on.new_endpoint("policies", &group) };
    let model = |length| endpoint_policy(&format!("arn:aws:bedrock:*::foundation-model/{}", "x".repeat(length)));
    let padded = |to: usize| model(to - model(0).as_str().len());
    assert_eq!(padded(20_480).as_str().len(), 20_480);
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let without_principal = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [statement]}));
    for wrong in [padded(20_481), PolicyDocument::from_wire("not json"), without_principal] {
        on.refuses(create(&with(wrong)), "InvalidPolicyDocument", Failure::Invalid).await;
    }
    let policy = padded(20_480);
    assert_eq!(on.endpoint(with(policy.clone())).await.policy, Some(policy));
}

async fn services(on: &Ground) {
    let group = on.group("services").await;
    let unknown = format!("com.amazonaws.{}.no-such-service", on.region);
    let new = NewVpcEndpoint { service_name: unknown.clone(), ..on.new_endpoint("services", &group) };
    on.refuses(create(&new), "InvalidServiceName", Failure::Invalid).await;
    let known = format!("com.amazonaws.{}.bedrock-runtime", on.region);
    let names = [unknown, known.clone()].into();
    let offered = on.aws.endpoint_services(&on.region, &names).await.expect("a list");
    let [service] = offered.as_slice() else { panic!("{offered:?}") };
    assert_eq!((&service.name, service.policy_supported), (&known, true));
    assert_eq!(service.private_dns_name, Some(format!("bedrock-runtime.{}.amazonaws.com", on.region)));
}

async fn interfaces(on: &Ground) {
    let group = on.group("interfaces").await;
    let endpoint = on.endpoint(on.new_endpoint("interfaces", &group)).await;
    let interface = endpoint.interfaces.into_iter().next().expect("an interface");
    on.refuses(Ec2Write::DeleteNetworkInterface { interface }, "InvalidParameterValue", Failure::InUse).await;
    let missing = "eni-0123456789abcdef0".parse().expect("an interface id");
    let missing = Ec2Write::DeleteNetworkInterface { interface: missing };
    on.refuses(missing, "InvalidNetworkInterfaceID.NotFound", Failure::NotFound).await;
}
