//! Which writes put right what somebody changed behind the operator's back, in words and by kind.
//!
//! A write repairs drift when the same was wanted before, and was all there: see
//! [`Context::settled`](super::Context::settled).

use std::collections::BTreeSet;

use crate::aws::{EndpointChange, Peer, Rule, Tags, Write};

/// What somebody changed: bounded, so that it can be a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum Kind {
    Group,
    Rule,
    Endpoint,
    EndpointPolicy,
    EndpointGroups,
    EndpointSubnets,
    PrivateDns,
    Role,
    PermissionsBoundary,
    TrustPolicy,
    RolePolicy,
    ForeignPolicy,
    LogGroup,
    Retention,
    Function,
    FunctionConfiguration,
    FunctionSettings,
    FunctionCode,
    Tags,
}

impl Kind {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::Group,
        Self::Rule,
        Self::Endpoint,
        Self::EndpointPolicy,
        Self::EndpointGroups,
        Self::EndpointSubnets,
        Self::PrivateDns,
        Self::Role,
        Self::PermissionsBoundary,
        Self::TrustPolicy,
        Self::RolePolicy,
        Self::ForeignPolicy,
        Self::LogGroup,
        Self::Retention,
        Self::Function,
        Self::FunctionConfiguration,
        Self::FunctionSettings,
        Self::FunctionCode,
        Self::Tags,
    ];

    /// The value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Rule => "rule",
            Self::Endpoint => "endpoint",
            Self::EndpointPolicy => "endpoint_policy",
            Self::EndpointGroups => "endpoint_groups",
            Self::EndpointSubnets => "endpoint_subnets",
            Self::PrivateDns => "private_dns",
            Self::Role => "role",
            Self::PermissionsBoundary => "permissions_boundary",
            Self::TrustPolicy => "trust_policy",
            Self::RolePolicy => "role_policy",
            Self::ForeignPolicy => "foreign_policy",
            Self::LogGroup => "log_group",
            Self::Retention => "retention",
            Self::Function => "function",
            Self::FunctionConfiguration => "function_configuration",
            Self::FunctionSettings => "function_settings",
            Self::FunctionCode => "function_code",
            Self::Tags => "tags",
        }
    }

    /// The resource itself was gone: what else is written to the new one is part of that.
    fn is_whole(self) -> bool {
        match self {
            Self::Group | Self::Endpoint | Self::Role | Self::LogGroup | Self::Function => true,
            Self::Rule
            | Self::EndpointPolicy
            | Self::EndpointGroups
            | Self::EndpointSubnets
            | Self::PrivateDns
            | Self::PermissionsBoundary
            | Self::TrustPolicy
            | Self::RolePolicy
            | Self::ForeignPolicy
            | Self::Retention
            | Self::FunctionConfiguration
            | Self::FunctionSettings
            | Self::FunctionCode
            | Self::Tags => false,
        }
    }
}

/// What was put right about one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repair {
    /// The resource: what it is, and its id or name.
    pub resource: String,
    /// Each kind of change that was found.
    pub kinds: BTreeSet<Kind>,
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
/// and what it deletes for good is no repair.
pub fn repairs(done: &[Write]) -> Vec<Repair> {
    let mut repairs: Vec<Repair> = Vec::new();
    for write in done {
        // A role and a function have the same name.
        let resource = format!("{} {}", noun(write), write.resource());
        for (kind, words) in describe(write) {
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

fn noun(write: &Write) -> &'static str {
    match write {
        Write::CreateSecurityGroup { .. }
        | Write::AuthorizeIngress { .. }
        | Write::AuthorizeEgress { .. }
        | Write::RevokeIngress { .. }
        | Write::RevokeEgress { .. }
        | Write::DeleteSecurityGroup { .. } => "Security group",
        Write::DeleteNetworkInterface { .. } => "Network interface",
        Write::CreateVpcEndpoint(_) => "Endpoint for",
        Write::TagEc2 { resource, .. } if resource.starts_with("sg-") => "Security group",
        Write::ModifyVpcEndpoint { .. } | Write::DeleteVpcEndpoint { .. } | Write::TagEc2 { .. } => "Endpoint",
        Write::CreateRole { .. }
        | Write::PutRolePermissionsBoundary { .. }
        | Write::UpdateTrustPolicy { .. }
        | Write::PutRolePolicy { .. }
        | Write::DeleteRolePolicy { .. }
        | Write::DetachRolePolicy { .. }
        | Write::TagRole { .. }
        | Write::UntagRole { .. }
        | Write::DeleteRole { .. } => "Role",
        Write::CreateLogGroup { .. }
        | Write::PutRetentionPolicy { .. }
        | Write::TagLogGroup { .. }
        | Write::DeleteLogGroup { .. } => "Log group",
        Write::CreateFunction(_)
        | Write::UpdateFunctionConfiguration { .. }
        | Write::UpdateFunctionCode { .. }
        | Write::DeleteFunction { .. }
        | Write::TagFunction { .. } => "Function",
    }
}

fn describe(write: &Write) -> Vec<(Kind, String)> {
    let again = |kind| vec![(kind, "it was gone, and was created again".to_owned())];
    let one = |kind, words: String| vec![(kind, words)];
    match write {
        Write::CreateSecurityGroup { .. } => again(Kind::Group),
        Write::AuthorizeIngress { rules, .. } => one(Kind::Rule, format!("added to ingress again: {}", list(rules))),
        Write::AuthorizeEgress { rules, .. } => one(Kind::Rule, format!("added to egress again: {}", list(rules))),
        Write::RevokeIngress { rules, .. } => one(Kind::Rule, format!("revoked from ingress: {}", list(rules))),
        Write::RevokeEgress { rules, .. } => one(Kind::Rule, format!("revoked from egress: {}", list(rules))),
        Write::CreateVpcEndpoint(_) => again(Kind::Endpoint),
        Write::ModifyVpcEndpoint { change, .. } => changed(change),
        Write::DeleteVpcEndpoint { .. } => one(Kind::Endpoint, "it had failed, and was deleted".to_owned()),
        Write::TagEc2 { tags, .. }
        | Write::TagRole { tags, .. }
        | Write::TagLogGroup { tags, .. }
        | Write::TagFunction { tags, .. } => one(Kind::Tags, format!("tagged again: {}", keys(tags))),
        Write::CreateRole { .. } => again(Kind::Role),
        Write::PutRolePermissionsBoundary { boundary, .. } => {
            one(Kind::PermissionsBoundary, format!("permissions boundary set back to {boundary}"))
        }
        Write::UpdateTrustPolicy { .. } => one(Kind::TrustPolicy, "trust policy set back".to_owned()),
        Write::PutRolePolicy { policy, .. } => one(Kind::RolePolicy, format!("policy {policy} set back")),
        Write::DeleteRolePolicy { policy, .. } => {
            one(Kind::ForeignPolicy, format!("policy {policy} of somebody else deleted"))
        }
        Write::DetachRolePolicy { policy_arn, .. } => {
            one(Kind::ForeignPolicy, format!("policy {policy_arn} of somebody else detached"))
        }
        Write::CreateLogGroup { .. } => again(Kind::LogGroup),
        Write::PutRetentionPolicy { days, .. } => one(Kind::Retention, format!("retention set back to {days} days")),
        Write::CreateFunction(_) => again(Kind::Function),
        Write::UpdateFunctionConfiguration { reset, .. } if reset.is_empty() => {
            one(Kind::FunctionConfiguration, "configuration set back".to_owned())
        }
        Write::UpdateFunctionConfiguration { reset, .. } => {
            let settings: Vec<&str> = reset.iter().map(|setting| setting.as_str()).collect();
            one(Kind::FunctionSettings, format!("configuration set back, with: {}", settings.join(", ")))
        }
        Write::UpdateFunctionCode { .. } => one(Kind::FunctionCode, "code set back".to_owned()),
        Write::DeleteFunction { .. } => one(Kind::Function, "it had failed, and was deleted".to_owned()),
        Write::UntagRole { .. }
        | Write::DeleteRole { .. }
        | Write::DeleteLogGroup { .. }
        | Write::DeleteNetworkInterface { .. }
        | Write::DeleteSecurityGroup { .. } => Vec::new(),
    }
}

fn changed(change: &EndpointChange) -> Vec<(Kind, String)> {
    let EndpointChange {
        add_subnets,
        remove_subnets,
        add_security_groups,
        remove_security_groups,
        policy,
        private_dns,
    } = change;
    let mut changed = Vec::new();
    if !(add_subnets.is_empty() && remove_subnets.is_empty()) {
        changed.push((Kind::EndpointSubnets, "subnets set back".to_owned()));
    }
    if !(add_security_groups.is_empty() && remove_security_groups.is_empty()) {
        changed.push((Kind::EndpointGroups, "security groups set back".to_owned()));
    }
    if policy.is_some() {
        changed.push((Kind::EndpointPolicy, "policy set back".to_owned()));
    }
    if let Some(enabled) = private_dns {
        let words = if *enabled { "private DNS enabled again" } else { "private DNS disabled again" };
        changed.push((Kind::PrivateDns, words.to_owned()));
    }
    changed
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
        Peer::Ipv4(peer) | Peer::Ipv6(peer) | Peer::PrefixList(peer) => peer.as_str(),
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
        Environment, FunctionConfiguration, FunctionName, PolicyDocument, Protocol, RoleName, SecurityGroupId, Setting,
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
        repairs(done)
            .iter()
            .map(|repair| (repair.note(), repair.kinds.iter().map(|kind| kind.as_str()).collect()))
            .collect()
    }

    #[test]
    fn each_repair_names_the_resource_and_what_was_changed_about_it() {
        let everywhere = Rule { protocol: Protocol::All, ports: None, peer: Peer::Ipv4("0.0.0.0/0".to_owned()) };
        let done = [
            Write::AuthorizeEgress { group: group(), rules: [Rule::tcp(443, Peer::Group(group()))].into() },
            Write::RevokeEgress { group: group(), rules: [everywhere].into() },
            Write::ModifyVpcEndpoint {
                endpoint: "vpce-00000001".parse().expect("an endpoint id"),
                change: EndpointChange {
                    policy: Some(document()),
                    private_dns: Some(true),
                    add_security_groups: [group()].into(),
                    ..EndpointChange::default()
                },
            },
            Write::PutRolePermissionsBoundary {
                role: role(),
                boundary: "arn:aws:iam::123456789012:policy/b".parse().expect("an ARN"),
            },
            Write::DetachRolePolicy { role: role(), policy_arn: "arn:aws:iam::aws:policy/X".to_owned() },
        ];
        let expected = [
            (
                "Security group sg-0000000f: added to egress again: tcp 443 sg-0000000f; revoked from egress: all protocols 0.0.0.0/0.",
                vec!["rule"],
            ),
            (
                "Endpoint vpce-00000001: security groups set back; policy set back; private DNS enabled again.",
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
            Write::CreateRole {
                name: role(),
                path: "/".to_owned(),
                trust_policy: document(),
                description: String::new(),
                permissions_boundary: None,
                tags: Tags::new(),
            },
            Write::PutRolePolicy { role: role(), policy: "p".to_owned(), document: document() },
            Write::UntagRole { role: role(), keys: ["k".to_owned()].into() },
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
            Write::UpdateFunctionConfiguration { name, configuration, reset: reset.iter().copied().collect() }
        };
        let words = |words: &str| format!("Function pgai-x: configuration set back{words}.");
        assert_eq!(told(&[update(&[])]), [(words(""), vec!["function_configuration"])]);
        let settings = [Setting::Tracing, Setting::Layers, Setting::DeadLetters];
        let expected = words(", with: dead-letter target, layers, tracing");
        assert_eq!(told(&[update(&settings)]), [(expected, vec!["function_settings"])]);
    }

    #[test]
    fn what_is_deleted_for_good_is_no_repair() {
        let done = [Write::DeleteRole { role: role() }, Write::DeleteSecurityGroup { group: group() }];
        assert_eq!(told(&done), []);
    }
}
