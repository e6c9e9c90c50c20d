//! The part of the IAM policy language that the in-memory AWS needs: the validity of a policy, and whether it allows an action.

use private_genai_operator::aws::PolicyDocument;
use serde_json::Value;

/// The kind of attachment, which decides the elements of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A role, as its trust policy: a principal and no resource.
    Trust,
    /// A role's permissions: a resource and no principal.
    Identity,
    /// An endpoint: both.
    Endpoint,
}

/// The document has the form of a policy: a version and statements, each with the elements that its kind needs.
///
/// Source: IAM User Guide, "Grammar of the IAM JSON policy language".
pub(super) fn is_well_formed(document: &PolicyDocument, kind: Kind) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document.as_str()) else {
        return false;
    };
    let has_one_of = |statement: &Value, keys: [&str; 2]| {
        keys.iter().filter(|key| !statement[key].is_null() && !is_empty(&statement[key])).count() == 1
    };
    let statement_is_well_formed = |statement: &Value| {
        matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"))
            && has_one_of(statement, ["Action", "NotAction"])
            && has_one_of(statement, ["Principal", "NotPrincipal"]) == (kind != Kind::Identity)
            && has_one_of(statement, ["Resource", "NotResource"]) == (kind != Kind::Trust)
    };
    let statements = one_or_many(&document["Statement"]);
    matches!(document["Version"].as_str(), Some("2012-10-17" | "2008-10-17"))
        && !statements.is_empty()
        && statements.into_iter().all(statement_is_well_formed)
}

/// Whether a statement allows the action and no unconditional statement denies it.
///
/// Simplified: resources are ignored, and conditional denials never apply. That is right for the denial that matters, with
/// `lambda:SourceFunctionArn`: the key exists only when a function's own code makes the call.
pub(super) fn allows(document: &PolicyDocument, action: &str) -> Verdict {
    let Ok(document) = serde_json::from_str::<Value>(document.as_str()) else {
        return Verdict::Silent;
    };
    let mut verdict = Verdict::Silent;
    for statement in one_or_many(&document["Statement"]) {
        if !strings(&statement["Action"]).into_iter().any(|pattern| matches(pattern, action)) {
            continue;
        }
        match statement["Effect"].as_str() {
            Some("Deny") if statement["Condition"].is_null() => return Verdict::Denied,
            Some("Allow") => verdict = Verdict::Allowed,
            _ => {}
        }
    }
    verdict
}

/// A policy's verdict on an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    Silent,
}

/// The trust policy lets Lambda assume the role.
pub(super) fn trusts_lambda(document: &PolicyDocument) -> bool {
    let is_lambda = |statement: &Value| {
        strings(&statement["Principal"]["Service"]).contains(&"lambda.amazonaws.com") || statement["Principal"] == "*"
    };
    allows(document, "sts:AssumeRole") == Verdict::Allowed
        && serde_json::from_str::<Value>(document.as_str())
            .is_ok_and(|document| one_or_many(&document["Statement"]).into_iter().any(is_lambda))
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => Vec::new(),
        value => vec![value],
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn strings(value: &Value) -> Vec<&str> {
    one_or_many(value).into_iter().filter_map(Value::as_str).collect()
}

/// The comparison ignores case; `*` stands for any characters, `?` for one.
fn matches(pattern: &str, action: &str) -> bool {
    fn rest(pattern: &[u8], action: &[u8]) -> bool {
        match (pattern.split_first(), action.split_first()) {
            (None, None) => true,
            (Some((b'*', after)), _) => {
                rest(after, action) || action.split_first().is_some_and(|(_, a)| rest(pattern, a))
            }
            (Some((b'?', after)), Some((_, a))) => rest(after, a),
            (Some((p, after)), Some((c, a))) => p.eq_ignore_ascii_case(c) && rest(after, a),
            _ => false,
        }
    }
    rest(pattern.as_bytes(), action.as_bytes())
}
