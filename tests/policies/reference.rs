//! A judge by AWS's Service Authorization Reference: which actions there are, on which types of resources, with which condition
//! keys (`tests/reference/make.py` says where the file is from).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Finding, Judge,
    written::{Family, Written},
};

/// Keys that each request has or may have, whatever the action (IAM User Guide, "AWS global condition context keys"). Those about
/// tags are not among them: the reference lists them by action.
const GLOBAL_KEYS: [&str; 5] =
    ["aws:PrincipalAccount", "aws:PrincipalArn", "aws:ResourceAccount", "aws:SourceVpc", "aws:SourceVpce"];

/// The reference.
#[derive(Deserialize)]
pub struct Reference {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    actions: BTreeMap<String, Action>,
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
struct Action {
    keys: Vec<String>,
    required: Vec<String>,
    resources: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Resource {
    arn: String,
    keys: Vec<String>,
}

/// An action of a statement.
struct Named<'a> {
    /// As `ec2:CreateTags`.
    name: String,
    action: &'a Action,
    types: &'a BTreeMap<String, Resource>,
}

impl Named<'_> {
    /// The types of resource that the action knows and that the pattern may mean.
    fn types(&self, pattern: &str) -> impl Iterator<Item = &str> {
        self.action
            .resources
            .keys()
            .map(String::as_str)
            .filter(move |kind| pattern == "*" || arns_overlap(pattern, &self.types[*kind].arn))
    }

    /// The action has the condition key on this type; `None` for an action without resources. A type without keys of its own for
    /// the action has those of the type, such as `aws:ResourceTag` of a function.
    fn has(&self, key: &str, kind: Option<&str>) -> bool {
        let of_type = kind.map_or(&[][..], |kind| match self.action.resources[kind].as_slice() {
            [] => &self.types[kind].keys,
            own => own,
        });
        let all = GLOBAL_KEYS.into_iter().chain(self.action.keys.iter().chain(of_type).map(String::as_str));
        all.into_iter().any(|known| overlap(&key.to_lowercase(), &globbed(&known.to_lowercase())))
    }
}

impl Reference {
    /// As it is committed.
    pub fn read() -> Self {
        serde_json::from_str(include_str!("../reference/authorization.json")).expect("the reference")
    }

    /// What is wrong with a policy.
    pub fn judge(&self, written: &Written) -> Vec<Finding> {
        let mut found = Vec::new();
        let statements: Vec<&Value> = one_or_many(&written.document["Statement"]);
        for statement in &statements {
            let mut tell = |issue: &str, about: String| {
                found.push(Finding {
                    judge: Judge::Reference,
                    family: written.family,
                    statement: statement["Sid"].as_str().unwrap_or_default().to_owned(),
                    issue: issue.to_owned(),
                    about,
                });
            };
            self.judge_statement(written.family, statement, &mut tell);
        }
        found.extend(self.never_whole(written.family, &statements));
        found
    }

    fn judge_statement(&self, family: Family, statement: &Value, tell: &mut impl FnMut(&str, String)) {
        if !statement["NotAction"].is_null() {
            tell("NotJudged", "NotAction".to_owned());
            return;
        }
        let named = self.named(statement, tell);
        if family == Family::Trust {
            return; // It has no resource, and its actions are those of one service.
        }
        // NotResource is all but these: what the action knows is meant, and each exception must be one of something.
        let exceptions = texts(&statement["NotResource"]);
        let resources = if exceptions.is_empty() { texts(&statement["Resource"]) } else { vec!["*"] };
        for named in &named {
            if named.action.resources.is_empty() {
                if !resources.contains(&"*") {
                    tell("NeedsStar", named.name.clone());
                }
            } else if resources.iter().all(|resource| named.types(resource).next().is_none()) {
                tell("NoResourceOfAction", named.name.clone());
            }
        }
        for resource in resources.iter().chain(&exceptions) {
            if *resource != "*" && named.iter().all(|named| named.types(resource).next().is_none()) {
                tell("ResourceOfNoAction", (*resource).to_owned());
            }
        }
        for key in keys(statement) {
            for named in &named {
                if named.action.resources.is_empty() && !named.has(key, None) {
                    tell("UnknownKey", format!("{key} of {}", named.name));
                }
                for kind in resources.iter().flat_map(|resource| named.types(resource)) {
                    if !named.has(key, Some(kind)) {
                        tell("UnknownKey", format!("{key} of {} on {kind}", named.name));
                    }
                }
            }
        }
    }

    /// EC2 asks about each resource of a call by itself, so an action is allowed only where something allows it on each type that
    /// it requires. (Of other services, the required types of an action may be alternatives.)
    fn never_whole(&self, family: Family, statements: &[&Value]) -> Vec<Finding> {
        let mut found = Vec::new();
        let allows: Vec<(&Value, Vec<Named<'_>>)> = statements
            .iter()
            .filter(|statement| statement["Effect"] == "Allow")
            .map(|statement| (*statement, self.named(statement, &mut |_, _| {})))
            .collect();
        for named in allows.iter().flat_map(|(_, named)| named).filter(|named| named.name.starts_with("ec2:")) {
            for kind in &named.action.required {
                let is_allowed = allows.iter().any(|(statement, others)| {
                    others.iter().filter(|other| other.name == named.name).any(|other| {
                        texts(&statement["Resource"])
                            .iter()
                            .any(|resource| other.types(resource).any(|type_| type_ == kind))
                    })
                });
                if !is_allowed {
                    found.push(Finding {
                        judge: Judge::Reference,
                        family,
                        statement: String::new(),
                        issue: "NeverWhole".to_owned(),
                        about: format!("{} on {kind}", named.name),
                    });
                }
            }
        }
        found
    }

    /// The actions that a statement names, its patterns spelled out. `*` is any action of any service: there is nothing to judge.
    fn named(&self, statement: &Value, tell: &mut impl FnMut(&str, String)) -> Vec<Named<'_>> {
        let mut all = Vec::new();
        for pattern in texts(&statement["Action"]) {
            if pattern == "*" {
                continue;
            }
            let (prefix, name) = pattern.split_once(':').expect("service:Action");
            let Some(service) = self.services.get(prefix) else {
                tell("UnknownService", pattern.to_owned());
                continue;
            };
            let before = all.len();
            let is_pattern = name.contains(['*', '?']);
            let means = |action: &str| {
                if is_pattern { overlap(&name.to_lowercase(), &action.to_lowercase()) } else { name == action }
            };
            let matching = service.actions.iter().filter(|(action, _)| means(action));
            all.extend(matching.map(|(action, row)| Named {
                name: format!("{prefix}:{action}"),
                action: row,
                types: &service.resources,
            }));
            if all.len() == before {
                tell("UnknownAction", pattern.to_owned());
            }
        }
        all
    }
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    one_or_many(value).into_iter().filter_map(Value::as_str).collect()
}

fn keys(statement: &Value) -> impl Iterator<Item = &str> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators.filter_map(|(_, keys)| keys.as_object()).flatten().map(|(key, _)| key.as_str())
}

/// The ARN of a policy and the one of the reference may mean the same resource. The five fields before the resource are compared one
/// by one: no wildcard reaches from one field to the next (IAM User Guide, "IAM JSON policy elements: Resource").
fn arns_overlap(pattern: &str, template: &str) -> bool {
    const FIELDS: usize = 6;
    let template = globbed(template);
    let (pattern, template) = (pattern.splitn(FIELDS, ':'), template.splitn(FIELDS, ':'));
    let (pattern, template): (Vec<&str>, Vec<&str>) = (pattern.collect(), template.collect());
    pattern.len() == FIELDS && pattern.iter().zip(&template).all(|(pattern, template)| overlap(pattern, template))
}

/// With `*` for each variable such as `${Account}`.
fn globbed(template: &str) -> String {
    let mut parts = template.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}*{}", part.split_once('}').expect("a variable ends").1))
}

/// Some text matches both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // reaches[j]: what is left of `one` overlaps with what is left of `other` from j on. From the end to the beginning.
    let mut reaches = vec![false; other.len() + 1];
    for i in (0..=one.len()).rev() {
        let below = reaches.clone();
        for j in (0..=other.len()).rev() {
            reaches[j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                (Some(b'*'), _) if below[j] => true,
                (_, Some(b'*')) if reaches[j + 1] => true,
                (Some(b'*'), Some(_)) => reaches[j + 1],
                (Some(_), Some(b'*')) => below[j],
                (Some(a), Some(b)) => (a == b || *a == b'?' || *b == b'?') && below[j + 1],
                (Some(_), None) | (None, Some(_)) => false,
            };
        }
    }
    reaches[0]
}

#[test]
fn patterns_overlap_where_some_text_matches_both() {
    for (one, other) in [
        ("a", "a"),
        ("*", ""),
        ("a*", "*b"),
        ("vpc/vpc-?", "vpc/*"),
        ("*/*", "a/b*"),
        ("log-group:/x*", "log-group:*:log-stream:*"),
    ] {
        assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
    }
    for (one, other) in [("a", ""), ("a*", "b*"), ("vpc/*", "subnet/*"), ("*a", "*b"), ("a?", "a")] {
        assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
    }
    assert!(arns_overlap("arn:aws:ec2:*:1:vpc/vpc-1", "arn:${Partition}:ec2:${Region}:${Account}:vpc/${VpcId}"));
    assert!(!arns_overlap("arn:aws:ec2:*:1:vpc/vpc-1", "arn:${Partition}:ec2:${Region}:${Account}:subnet/${SubnetId}"));
    assert!(!arns_overlap("arn:aws:iam::1:role/a:b", "arn:${Partition}:ec2:${Region}:${Account}:vpc/${VpcId}"));
}
