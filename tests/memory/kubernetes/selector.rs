//! The label and field selectors that controllers use: equality, presence, absence.

use serde_json::Value;

use super::refusal::{self, Refusal};

#[derive(Clone, Debug, Default)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug)]
struct Requirement {
    /// A JSON pointer into the object.
    pointer: String,
    /// `None`: any value matches.
    value: Option<String>,
    negated: bool,
}

impl Selector {
    /// Reads `labelSelector=` and `fieldSelector=`. Set-based requirements are refused.
    pub fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Selector, Refusal> {
        let labels = terms(labels).map(|term| requirement(term, label_pointer));
        let fields = terms(fields).map(|term| requirement(term, field_pointer));
        labels.chain(fields).collect::<Result<_, _>>().map(Selector)
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let found = object.pointer(&requirement.pointer).and_then(Value::as_str);
            let holds = match &requirement.value {
                Some(value) => found == Some(value),
                None => found.is_some(),
            };
            holds != requirement.negated
        })
    }
}

fn terms(selector: Option<&str>) -> impl Iterator<Item = &str> {
    selector.unwrap_or_default().split(',').map(str::trim).filter(|term| !term.is_empty())
}

fn requirement(term: &str, pointer: fn(&str) -> Option<String>) -> Result<Requirement, Refusal> {
    let (name, value, negated) = if let Some((name, value)) = term.split_once("!=") {
        (name, Some(value), true)
    } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (name, Some(value), false)
    } else if let Some(name) = term.strip_prefix('!') {
        (name, None, true)
    } else {
        (term, None, false)
    };
    let pointer = pointer(name.trim()).ok_or_else(|| {
        refusal::bad_request(&format!("selector {term:?} is not supported by the in-memory API server"))
    })?;
    Ok(Requirement { pointer, value: value.map(|value| value.trim().to_owned()), negated })
}

fn label_pointer(name: &str) -> Option<String> {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    (!name.contains([' ', '('])).then(|| format!("/metadata/labels/{escaped}"))
}

/// The two fields by which every resource can be selected.
fn field_pointer(name: &str) -> Option<String> {
    matches!(name, "metadata.name" | "metadata.namespace").then(|| format!("/{}", name.replace('.', "/")))
}
