//! AWS's Service Authorization Reference, pinned in `tests/reference/authorization.json`, and what was decided about each action.

use std::collections::{BTreeMap, BTreeSet};

use private_genai_operator::aws::Region;
use serde_json::Value;

use crate::judge::{Request, Resource};

/// The account of the app.
pub const ACCOUNT: &str = "123456789012";

/// Actions by what was decided about them.
pub struct Decided {
    /// They read or write prompts, answers, or what becomes part of them, or manage what does.
    pub prompts: BTreeSet<String>,
    /// They are denied from anywhere.
    pub never: BTreeSet<String>,
    /// Neither.
    pub neither: BTreeSet<String>,
}

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/authorization.json")).expect("the reference")
}

/// What `tests/reference/prompts.json` says, with the service prefix; an action that is listed twice is no decision.
pub fn decided() -> Decided {
    let file: Value = serde_json::from_str(include_str!("../reference/prompts.json")).expect("the decisions");
    let mut all = BTreeSet::new();
    let mut listed = |kind: &str| {
        let groups = file[kind].as_array().expect("groups").iter();
        let actions: Vec<String> = groups
            .flat_map(|group| group["actions"].as_array().expect("actions"))
            .map(|action| format!("bedrock:{}", action.as_str().expect("a name")))
            .collect();
        for action in &actions {
            assert!(all.insert(action.clone()), "{action} is decided twice");
        }
        actions.into_iter().collect()
    };
    Decided { prompts: listed("prompts"), never: listed("never"), neither: listed("neither") }
}

/// The actions of a service, with its prefix, and the types of resources that each asks about.
pub fn actions(service: &str) -> BTreeMap<String, Vec<String>> {
    let reference = reference();
    let actions = reference["services"][service]["actions"].as_object().expect("actions");
    let types = |action: &Value| action["resources"].as_object().expect("types").keys().cloned().collect();
    actions.iter().map(|(name, action)| (format!("{service}:{name}"), types(action))).collect()
}

/// The types of resources of a service, and ARNs of such resources in the account of the app: the templates filled in.
pub fn resources(service: &str, region: &Region) -> BTreeMap<String, BTreeSet<String>> {
    let reference = reference();
    let types = reference["services"][service]["resources"].as_object().expect("types");
    let partition = region.partition().to_string();
    let filled = |template: &str| {
        let mut arn = template
            .replace("${Partition}", &partition)
            .replace("${Region}", region.as_str())
            .replace("${Account}", ACCOUNT);
        while let Some((before, after)) = arn.split_once("${") {
            let (_, after) = after.split_once('}').expect("a name ends");
            arn = format!("{before}id-1:2.x{after}");
        }
        arn
    };
    types
        .iter()
        .map(|(name, it)| {
            let here = filled(it["arn"].as_str().expect("a template"));
            let mut arns = BTreeSet::from([here.clone()]);
            if name == "foundation-model" {
                // Global profiles name models without a region.
                arns.insert(here.replace(&format!(":{region}:"), "::"));
            }
            (name.clone(), arns)
        })
        .collect()
}

/// Each action of a service on each resource that it asks about by the reference, and on none where it need not ask.
pub fn legs(service: &str, region: &Region) -> Vec<Request> {
    let resources = resources(service, region);
    let mut legs = Vec::new();
    for (action, types) in actions(service) {
        if types.is_empty() {
            legs.push(Request::new(&action, Resource::None));
        }
        for arn in types.iter().flat_map(|kind| &resources[kind]) {
            legs.push(Request::new(&action, Resource::Arn(arn.clone())));
        }
    }
    legs
}
