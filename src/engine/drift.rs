//! Repairs of drift, by kind and in words for Events.
//!
//! A write repairs drift when the same state was desired before and all of it was there: see [`Settled`](super::Settled).

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

use crate::{
    aws::{
        BeforeRepair, Description, DriftKind, Ec2Write, EndpointChange, FunctionConfiguration, FunctionListing, Peer,
        Repair as DriftRepair, Rule, Setting, Tags, Write,
    },
    plan::listed,
};

/// What was repaired of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repair {
    /// The kind of the resource, and its id or name.
    pub resource: String,
    /// The kinds of the changes that were repaired.
    pub kinds: BTreeSet<DriftKind>,
    /// The repairs in words: names and rules, never a value of the environment.
    pub done: Vec<String>,
}

impl Repair {
    /// A sentence for people.
    pub fn note(&self) -> String {
        format!("{}: {}.", self.resource, self.done.join("; "))
    }
}

/// The repairs among these writes, one for each resource, in the order of their first write. Housekeeping and deletions for good are
/// no repairs. `found` is the state before the repairs.
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

/// The settings of a function that were set back, with the value before and after. Of the environment only names.
fn set_back(found: Option<&FunctionListing>, wanted: &FunctionConfiguration, reset: &BTreeSet<Setting>) -> String {
    let mut words = found.map(|found| differences(found, wanted)).unwrap_or_default();
    if !reset.is_empty() {
        let settings: Vec<&str> = reset.iter().map(|setting| setting.as_str()).collect();
        words.push(format!("to Lambda's defaults: {}", settings.join(", ")));
    }
    match (words.is_empty(), found) {
        (false, _) => format!("configuration set back: {}", words.join(", ")),
        // By its name the role is the same.
        (true, Some(_)) => {
            "configuration set back: the role was created anew, and the function got the new role".to_owned()
        }
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
                .filter(|(name, value)| before.get(*name).is_some_and(|found| found != *value))
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
