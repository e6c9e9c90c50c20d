use super::*;
use crate::aws::{
    Environment, FunctionConfiguration, FunctionName, IamWrite, LambdaWrite, PolicyDocument, Protocol, RoleName,
    SecurityGroupId, Setting,
};

fn group() -> SecurityGroupId {
    "sg-0000000f".parse().expect("a group id")
}

fn role() -> RoleName {
    "pgai-x".parse().expect("a role name")
}

fn document() -> PolicyDocument {
    PolicyDocument::new(&serde_json::json!({}))
}

fn notes(done: &[Write]) -> Vec<(String, Vec<&'static str>)> {
    repairs(done, &BeforeRepair::default())
        .iter()
        .map(|repair| (repair.note(), repair.kinds.iter().map(|kind| kind.as_str()).collect()))
        .collect()
}

#[test]
fn each_repair_names_the_resource_and_what_was_changed_about_it() {
    let everywhere = Rule { protocol: Protocol::All, ports: None, peer: Peer::Ipv4("0.0.0.0/0".to_owned()) };
    let done = [
        Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress {
            group: group(),
            rules: [Rule::tcp(443, Peer::Group(group()))].into(),
        }),
        Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: group(), rules: [everywhere].into() }),
        Write::Ec2(Ec2Write::ModifyVpcEndpoint {
            endpoint: "vpce-00000001".parse().expect("an endpoint id"),
            change: EndpointChange {
                policy: Some(document()),
                private_dns: Some(true),
                add_security_groups: [group()].into(),
                ..EndpointChange::default()
            },
        }),
        Write::Iam(IamWrite::PutRolePermissionsBoundary {
            role: role(),
            boundary: "arn:aws:iam::123456789012:policy/b".parse().expect("an ARN"),
        }),
        Write::Iam(IamWrite::DetachRolePolicy { role: role(), policy_arn: "arn:aws:iam::aws:policy/X".to_owned() }),
    ];
    let expected = [
        (
            "Security group sg-0000000f: added to egress again: tcp 443 sg-0000000f; revoked from egress: all protocols 0.0.0.0/0.",
            vec!["rule"],
        ),
        (
            "Endpoint vpce-00000001: security groups set back: added sg-0000000f; policy set back; private DNS enabled again.",
            vec!["endpoint_policy", "endpoint_groups", "private_dns"],
        ),
        (
            "Role pgai-x: permissions boundary set back to arn:aws:iam::123456789012:policy/b; policy \
             arn:aws:iam::aws:policy/X of somebody else detached.",
            vec!["permissions_boundary", "foreign_policy"],
        ),
    ];
    assert_eq!(notes(&done), expected.map(|(note, kinds)| (note.to_owned(), kinds)));
}

#[test]
fn what_is_written_to_a_resource_that_was_gone_is_one_repair_with_its_creation() {
    let done = [
        Write::Iam(IamWrite::CreateRole {
            name: role(),
            path: "/".to_owned(),
            trust_policy: document(),
            description: String::new(),
            permissions_boundary: None,
            tags: Tags::new(),
        }),
        Write::Iam(IamWrite::PutRolePolicy { role: role(), policy: "p".to_owned(), document: document() }),
        Write::Iam(IamWrite::UntagRole { role: role(), keys: ["k".to_owned()].into() }),
    ];
    assert_eq!(notes(&done), [("Role pgai-x: it was gone, and was created again.".to_owned(), vec!["role"])]);
}

#[test]
fn a_function_whose_settings_were_changed_is_told_with_their_names() {
    let configuration = FunctionConfiguration {
        role_arn: String::new(),
        runtime: String::new(),
        handler: String::new(),
        memory_mib: 512,
        timeout_seconds: 120,
        environment: Environment::default(),
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
    };
    let name: FunctionName = "pgai-x".parse().expect("a name");
    let update = |reset: &[Setting]| {
        let (name, configuration) = (name.clone(), configuration.clone());
        Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
            name,
            configuration,
            reset: reset.iter().copied().collect(),
        })
    };
    let words = |words: &str| format!("Function pgai-x: configuration set back{words}.");
    assert_eq!(notes(&[update(&[])]), [(words(""), vec!["function_configuration"])]);
    let settings = [Setting::Tracing, Setting::Layers, Setting::DeadLetters];
    let expected = words(": to Lambda's defaults: dead-letter target, layers, tracing");
    assert_eq!(notes(&[update(&settings)]), [(expected, vec!["function_settings"])]);
}

#[test]
fn a_changed_function_is_told_from_what_to_what_and_of_variables_the_names_alone() {
    let variables = |pairs: &[(&str, &str)]| {
        Environment::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    let wanted = FunctionConfiguration {
        role_arn: "arn:aws:iam::123456789012:role/ours".to_owned(),
        runtime: "nodejs24.x".to_owned(),
        handler: "index.handler".to_owned(),
        memory_mib: 512,
        timeout_seconds: 120,
        environment: variables(&[("KEPT", "a"), ("GONE", "secret-1"), ("CHANGED", "secret-2")]),
        subnets: ["subnet-0000000a".parse().expect("a subnet")].into(),
        security_groups: [group()].into(),
    };
    let found = FunctionConfiguration {
        memory_mib: 128,
        timeout_seconds: 3,
        environment: variables(&[("KEPT", "a"), ("CHANGED", "secret-3"), ("MORE", "secret-4")]),
        subnets: ["subnet-0000000b".parse().expect("a subnet")].into(),
        ..wanted.clone()
    };
    let listing = |configuration, unreadable_environment| FunctionListing {
        name: "pgai-x".parse().expect("a name"),
        arn: String::new(),
        configuration,
        unreadable_environment,
        altered: BTreeSet::new(),
        fixed: BTreeSet::new(),
        architecture: crate::aws::Architecture::Arm64,
        code_sha256: String::new(),
        last_modified: String::new(),
    };
    let text = set_back(Some(&listing(found.clone(), None)), &wanted, &[Setting::Layers].into());
    assert_eq!(
        text,
        "configuration set back: memory from 128 MiB to 512 MiB, timeout from 3 s to 120 s, environment variables added again: GONE, \
         environment variables removed: MORE, environment variables with their value set back: CHANGED, subnets added \
         subnet-0000000a, removed subnet-0000000b, to Lambda's defaults: layers"
    );
    assert!(!text.contains("secret"), "{text}");
    let same = listing(wanted.clone(), None);
    assert!(set_back(Some(&same), &wanted, &BTreeSet::new()).contains("the role was created anew"));
    let sealed = listing(found, Some("KMSDisabledException".to_owned()));
    let text = set_back(Some(&sealed), &wanted, &BTreeSet::new());
    assert!(text.contains("memory from 128 MiB to 512 MiB") && !text.contains("environment"), "{text}");
}

#[test]
fn what_is_deleted_for_good_is_no_repair() {
    let done = [
        Write::Iam(IamWrite::DeleteRole { role: role() }),
        Write::Ec2(Ec2Write::DeleteSecurityGroup { group: group() }),
    ];
    assert_eq!(notes(&done), []);
}
