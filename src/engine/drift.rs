//! Which writes put right what somebody changed behind the operator's back, in words and by kind.
//!
//! A write repairs drift when the same was wanted before, and was all there: see
//! [`Context::settled`](super::Context::settled).

use std::{collections::BTreeSet, fmt};

use crate::{
    aws::{
        BeforeRepair, Description, DriftKind, Ec2Write, EndpointChange, FunctionConfiguration, FunctionListing, Peer,
        Repair as DriftRepair, Rule, Setting, Tags, Write,
    },
    plan::listed,
};

/// What was put right about one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repair {
    /// The resource: what it is, and its id or name.
    pub resource: String,
    /// Each kind of change that was found.
    pub kinds: BTreeSet<DriftKind>,
    /// What was done about it. Names and rules; never a value of the environment.
    pub done: Vec<String>,
}

impl Repair {
    /// A sentence for people.
    pub fn note(&self) -> String {
        format!("{}: {}.", self.resource, self.done.join("; "))
    }
}

/// The repairs that these writes were, one for each resource, in the order of their first write. A plan's housekeeping
/// and what it deletes for good is no repair. `found` is what was there before.
pub fn repairs(done: &[Write], found: &BeforeRepair) -> Vec<Repair> {
    let mut repairs: Vec<Repair> = Vec::new();
    for write in done {
        // A role and a function have the same name.
        let Description { kind, resource, repair, .. } = write.describe();
        let resource = format!("{} {resource}", kind.noun());
        for (kind, words) in words(&repair, found) {
            let index = repairs.iter().position(|repair| repair.resource == resource).unwrap_or_else(|| {
                repairs.push(Repair { resource: resource.clone(), kinds: BTreeSet::new(), done: Vec::new() });
                repairs.len() - 1
            });
            let repair = &mut repairs[index];
            if !repair.kinds.iter().any(|kind| kind.is_whole()) {
                repair.kinds.insert(kind);
                repair.done.push(words);
            }
        }
    }
    repairs
}

fn words(repair: &DriftRepair<'_>, before: &BeforeRepair) -> Vec<(DriftKind, String)> {
    let one = |kind, words| vec![(kind, words)];
    match repair {
        DriftRepair::Never => Vec::new(),
        DriftRepair::Recreates(kind) => one(*kind, "it was gone, and was created again".to_owned()),
        DriftRepair::DeletesFailed(kind) => one(*kind, "it had failed, and was deleted".to_owned()),
        DriftRepair::Rules(words, rules) => one(DriftKind::Rule, format!("{words}: {}", list(rules))),
        DriftRepair::Endpoint(change) => changed(change),
        DriftRepair::Policy(kind, policy, words) => one(*kind, format!("policy {policy} {words}")),
        DriftRepair::Attribute { drift, name, before: value, after } => {
            let shown = |word, value: Option<String>| value.map(|value| format!(" {word} {value}")).unwrap_or_default();
            one(*drift, format!("{name} set back{}{}", shown("from", value(before)), shown("to", after.clone())))
        }
        DriftRepair::Configuration(configuration, reset) => {
            let kind = if reset.is_empty() { DriftKind::FunctionConfiguration } else { DriftKind::FunctionSettings };
            one(kind, set_back(before.function.as_ref(), configuration, reset))
        }
        DriftRepair::Tags(tags) => one(DriftKind::Tags, format!("tagged again: {}", keys(tags))),
    }
}

fn changed(change: &EndpointChange) -> Vec<(DriftKind, String)> {
    let EndpointChange {
        add_subnets,
        remove_subnets,
        add_security_groups,
        remove_security_groups,
        policy,
        private_dns,
        address_families,
    } = change;
    let mut changed = Vec::new();
    if !(add_subnets.is_empty() && remove_subnets.is_empty()) {
        changed.push((
            DriftKind::EndpointSubnets,
            format!("subnets set back: {}", plus_minus(add_subnets, remove_subnets)),
        ));
    }
    if !(add_security_groups.is_empty() && remove_security_groups.is_empty()) {
        let words = plus_minus(add_security_groups, remove_security_groups);
        changed.push((DriftKind::EndpointGroups, format!("security groups set back: {words}")));
    }
    if policy.is_some() {
        changed.push((DriftKind::EndpointPolicy, "policy set back".to_owned()));
    }
    if let Some(enabled) = private_dns {
        let words = if *enabled { "private DNS enabled again" } else { "private DNS disabled again" };
        changed.push((DriftKind::PrivateDns, words.to_owned()));
    }
    if let Some(families) = address_families {
        changed.push((DriftKind::AddressFamilies, format!("addresses set back to {}", families.as_str())));
    }
    changed
}

/// Whether the write moves an endpoint between subnets.
pub fn moves(write: &Write) -> bool {
    matches!(write, Write::Ec2(Ec2Write::ModifyVpcEndpoint { change, .. }) if !(change.add_subnets.is_empty() && change.remove_subnets.is_empty()))
}

fn plus_minus<T: fmt::Display>(added: &BTreeSet<T>, removed: &BTreeSet<T>) -> String {
    let words = |what: &str, items: &BTreeSet<T>| (!items.is_empty()).then(|| format!("{what} {}", listed(items)));
    words("added", added).into_iter().chain(words("removed", removed)).collect::<Vec<_>>().join(", ")
}

/// What of a function's configuration was set back, from what, to what. Of the environment the names, never a value.
fn set_back(found: Option<&FunctionListing>, wanted: &FunctionConfiguration, reset: &BTreeSet<Setting>) -> String {
    let mut words = found.map(|found| differences(found, wanted)).unwrap_or_default();
    if !reset.is_empty() {
        let settings: Vec<&str> = reset.iter().map(|setting| setting.as_str()).collect();
        words.push(format!("to Lambda's defaults: {}", settings.join(", ")));
    }
    match (words.is_empty(), found) {
        (false, _) => format!("configuration set back: {}", words.join(", ")),
        // By its name the role is the same.
        (true, Some(_)) => "configuration set back: the execution role is another one of its name".to_owned(),
        (true, None) => "configuration set back".to_owned(),
    }
}

fn differences(listing: &FunctionListing, wanted: &FunctionConfiguration) -> Vec<String> {
    let found = &listing.configuration;
    let text =
        |what: &str, found: &str, wanted: &str| (found != wanted).then(|| format!("{what} from {found} to {wanted}"));
    let number = |what: &str, found: u32, wanted: u32, unit: &str| {
        (found != wanted).then(|| format!("{what} from {found} {unit} to {wanted} {unit}"))
    };
    let set = |what: &str, added: String| (!added.is_empty()).then(|| format!("{what} {added}"));
    let after = wanted.environment.variables();
    // Of an environment that Lambda could not decrypt nobody knows what it was.
    let before = if listing.unreadable_environment.is_some() { after } else { found.environment.variables() };
    let names = |what: &str, names: Vec<&String>| (!names.is_empty()).then(|| format!("{what} {}", listed(names)));
    [
        text("role", &found.role_arn, &wanted.role_arn),
        text("runtime", &found.runtime, &wanted.runtime),
        text("handler", &found.handler, &wanted.handler),
        number("memory", found.memory_mib, wanted.memory_mib, "MiB"),
        number("timeout", found.timeout_seconds, wanted.timeout_seconds, "s"),
        names("environment variables added again:", after.keys().filter(|name| !before.contains_key(*name)).collect()),
        names("environment variables removed:", before.keys().filter(|name| !after.contains_key(*name)).collect()),
        names(
            "environment variables with their value set back:",
            after
                .iter()
                .filter(|(name, value)| before.get(*name).is_some_and(|it| it != *value))
                .map(|(name, _)| name)
                .collect(),
        ),
        set("subnets", exchanged(&found.subnets, &wanted.subnets)),
        set("security groups", exchanged(&found.security_groups, &wanted.security_groups)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn exchanged<T: fmt::Display + Ord + Clone>(found: &BTreeSet<T>, wanted: &BTreeSet<T>) -> String {
    plus_minus(&(wanted - found), &(found - wanted))
}

fn list(rules: &BTreeSet<Rule>) -> String {
    let words: Vec<String> = rules.iter().map(in_words).collect();
    words.join(", ")
}

fn in_words(Rule { protocol, ports, peer }: &Rule) -> String {
    let protocol = if protocol.as_str() == "-1" { "all protocols" } else { protocol.as_str() };
    let ports = match ports {
        None => String::new(),
        Some((first, last)) if first == last => format!(" {first}"),
        Some((first, last)) => format!(" {first}-{last}"),
    };
    let peer = match peer {
        Peer::Ipv4(peer) | Peer::Ipv6(peer) | Peer::PrefixList(peer) | Peer::Unreadable(peer) => peer.as_str(),
        Peer::Group(peer) => peer.as_str(),
    };
    format!("{protocol}{ports} {peer}")
}

fn keys(tags: &Tags) -> String {
    let keys: Vec<&str> = tags.keys().map(String::as_str).collect();
    keys.join(", ")
}

#[cfg(test)]
mod tests {
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

    fn told(done: &[Write]) -> Vec<(String, Vec<&'static str>)> {
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
        assert_eq!(told(&done), expected.map(|(note, kinds)| (note.to_owned(), kinds)));
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
        assert_eq!(told(&done), [("Role pgai-x: it was gone, and was created again.".to_owned(), vec!["role"])]);
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
        assert_eq!(told(&[update(&[])]), [(words(""), vec!["function_configuration"])]);
        let settings = [Setting::Tracing, Setting::Layers, Setting::DeadLetters];
        let expected = words(": to Lambda's defaults: dead-letter target, layers, tracing");
        assert_eq!(told(&[update(&settings)]), [(expected, vec!["function_settings"])]);
    }

    #[test]
    fn what_was_changed_of_a_function_is_told_from_what_to_what_and_of_its_environment_the_names_alone() {
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
        let told = set_back(Some(&listing(found.clone(), None)), &wanted, &[Setting::Layers].into());
        assert_eq!(
            told,
            "configuration set back: memory from 128 MiB to 512 MiB, timeout from 3 s to 120 s, environment variables added again: GONE, \
             environment variables removed: MORE, environment variables with their value set back: CHANGED, subnets added \
             subnet-0000000a, removed subnet-0000000b, to Lambda's defaults: layers"
        );
        assert!(!told.contains("secret"), "{told}");
        let same = listing(wanted.clone(), None);
        assert!(set_back(Some(&same), &wanted, &BTreeSet::new()).contains("another one of its name"));
        let sealed = listing(found, Some("KMSDisabledException".to_owned()));
        let told = set_back(Some(&sealed), &wanted, &BTreeSet::new());
        assert!(told.contains("memory from 128 MiB to 512 MiB") && !told.contains("environment"), "{told}");
    }

    #[test]
    fn what_is_deleted_for_good_is_no_repair() {
        let done = [
            Write::Iam(IamWrite::DeleteRole { role: role() }),
            Write::Ec2(Ec2Write::DeleteSecurityGroup { group: group() }),
        ];
        assert_eq!(told(&done), []);
    }
}
