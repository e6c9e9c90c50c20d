//! Models, read back from documents in AWS.
//!
//! A document is read back only if the operator wrote it: the name of the policy, the id of the statement, and all other parts of
//! the statement except the models are the operator's own. Every other document may have another meaning (a denial, a condition,
//! another resource), and yields no models.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    CALL_MODELS, LEAVE_INTERFACES_ALONE, ModelId, OUR_ROLES_CALL_THEIR_MODELS, POLICY_NAME, call_models, prompts,
    through_endpoint,
};
use crate::{
    aws::{PolicyDocument, Region, Role, VpcId},
    identity::{AppIdentity, InstallationId, NetworkIdentity, TAG_APP_NAME, TAG_APP_NAMESPACE},
};

/// The network of a role of an installation. `None` for another owner's role, and for a role without evidence. The tags decide.
/// If tags are missing or contradict the role's name, the policy alone decides.
pub fn place_of_role(installation: &InstallationId, role: &Role) -> Option<(Region, VpcId)> {
    if !installation.owns(&role.tags) {
        return None;
    }
    match installation.place_of(&role.tags) {
        Some(place) if is_named_for(installation, role, &place) != Some(false) => Some(place),
        Some(_) | None => written_place(role),
    }
}

/// The app of a role of an installation; `None` for another owner's role, and for a role without evidence.
pub fn app_of_role(installation: &InstallationId, role: &Role) -> Option<AppIdentity> {
    let (region, vpc) = place_of_role(installation, role)?;
    named(installation, role, &(region, vpc))
}

/// The role belongs to an app on the network: by its name, which depends on the VPC and the region too, or else by
/// [`place_of_role`].
pub fn is_role_of(network: &NetworkIdentity, role: &Role) -> bool {
    let NetworkIdentity { installation, region, vpc, .. } = network;
    let here = (region.clone(), vpc.clone());
    installation.owns(&role.tags)
        && (is_named_for(installation, role, &here) == Some(true) || {
            let tagged = installation.place_of(&role.tags);
            tagged.is_none_or(|place| place == here) && place_of_role(installation, role) == Some(here)
        })
}

/// The app in the tags of a role, on this network.
fn named(installation: &InstallationId, role: &Role, (region, vpc): &(Region, VpcId)) -> Option<AppIdentity> {
    Some(AppIdentity {
        installation: installation.clone(),
        region: region.clone(),
        vpc: vpc.clone(),
        namespace: role.tags.get(TAG_APP_NAMESPACE)?.clone(),
        name: role.tags.get(TAG_APP_NAME)?.clone(),
    })
}

/// The role's name is that of the app in its tags, on this network. `None` if the tags name no app.
fn is_named_for(installation: &InstallationId, role: &Role, place: &(Region, VpcId)) -> Option<bool> {
    named(installation, role, place).map(|app| app.role_name() == role.name)
}

/// The region and the VPC in the role's policy, if the operator wrote that policy.
fn written_place(role: &Role) -> Option<(Region, VpcId)> {
    let statements = statements(role.inline_policies.get(POLICY_NAME)?);
    let statement = |sid: &str| only(statements.iter().filter(|statement| statement["Sid"] == sid));
    let function = &statement(LEAVE_INTERFACES_ALONE)?["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"];
    let mut arn = function.as_str()?.splitn(7, ':').skip(3);
    let region = arn.next()?.parse().ok()?;
    // The role and the function of an app have one name.
    arn.nth(2).filter(|name| *name == role.name.as_str())?;
    let vpc = &statement(prompts::THROUGH_THE_VPC_ONLY)?["Condition"]["StringNotEquals"]["aws:SourceVpc"];
    Some((region, vpc.as_str()?.parse().ok()?))
}

/// The models that the operator allowed to a role, in the region of its app.
pub fn models_of_role(role: &Role, region: &Region) -> BTreeSet<ModelId> {
    let policy = role.inline_policies.get(POLICY_NAME);
    let statements = policy.map(statements).unwrap_or_default();
    only(statements.iter().filter(|statement| statement["Sid"] == CALL_MODELS))
        .and_then(|found| models(found, region, |models| call_models(models, region)))
        .unwrap_or_default()
}

/// The models that an endpoint in a region allows, if its policy is the operator's own. The principals may differ: they do not
/// affect the models.
pub fn models_of_endpoint(policy: &PolicyDocument, region: &Region) -> BTreeSet<ModelId> {
    let statements = statements(policy);
    only(statements.iter())
        .filter(|found| found["Sid"] == OUR_ROLES_CALL_THEIR_MODELS)
        .and_then(|found| {
            let principals = found["Condition"]["ArnLike"]["aws:PrincipalArn"].as_str()?;
            models(found, region, |models| through_endpoint(models, region, principals))
        })
        .unwrap_or_default()
}

fn statements(policy: &PolicyDocument) -> Vec<Value> {
    let mut document: Value = serde_json::from_str(policy.as_str()).unwrap_or_default();
    match document.get_mut("Statement").map(Value::take) {
        Some(Value::Array(statements)) => statements,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    }
}

/// The only element. `None` for several.
fn only<'a>(mut found: impl Iterator<Item = &'a Value>) -> Option<&'a Value> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The models in `found`, if `written` gives `found` for these models.
fn models(found: &Value, region: &Region, written: impl Fn(&BTreeSet<ModelId>) -> Value) -> Option<BTreeSet<ModelId>> {
    let prefix = ModelId::arn_prefix(region);
    let named = found["Resource"].as_array()?.iter();
    let models: Option<BTreeSet<ModelId>> =
        named.map(|resource| resource.as_str()?.strip_prefix(&prefix)?.parse().ok()).collect();
    models.filter(|models| written(models) == *found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{TAG_REGION, TAG_VPC};
    use crate::policy::{bedrock_runtime_endpoint_policy, document, execution_policy, tests as fixtures};

    const NOVA: &str = "amazon.nova-lite-v1:0";

    fn region() -> Region {
        "us-east-1".parse().expect("a region")
    }

    fn nova() -> BTreeSet<ModelId> {
        fixtures::models(&[NOVA])
    }

    fn role(policies: &[(&str, PolicyDocument)]) -> Role {
        Role {
            name: "pgai".parse().expect("a name"),
            id: "AROA1".to_owned(),
            arn: "arn:aws:iam::123456789012:role/pgai".to_owned(),
            trust_policy: PolicyDocument::from_wire("{}"),
            inline_policies: policies.iter().map(|(name, policy)| ((*name).to_owned(), policy.clone())).collect(),
            attached_policies: BTreeSet::new(),
            permissions_boundary: None,
            tags: crate::aws::Tags::new(),
        }
    }

    fn ours() -> PolicyDocument {
        execution_policy(&fixtures::app(), &fixtures::caller(), &nova())
    }

    /// The document, with a change of the statement of that id.
    fn changed(policy: &PolicyDocument, sid: &str, change: &dyn Fn(&mut Value)) -> PolicyDocument {
        let mut statements = super::statements(policy);
        change(statements.iter_mut().find(|statement| statement["Sid"] == sid).expect("the statement"));
        PolicyDocument::new(&document(&statements))
    }

    /// A change of a statement, with its name.
    type Change = (&'static str, Box<dyn Fn(&mut Value)>);

    /// Changes that give a statement another meaning.
    fn changes() -> Vec<Change> {
        let other = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0";
        vec![
            ("denied", Box::new(|statement| statement["Effect"] = json!("Deny"))),
            ("under another id", Box::new(|statement| statement["Sid"] = json!("Mine"))),
            ("without an id", Box::new(|statement| drop(statement.as_object_mut().expect("an object").remove("Sid")))),
            (
                "all but the models",
                Box::new(|statement| {
                    let models = statement.as_object_mut().expect("an object").remove("Resource").expect("models");
                    statement["NotResource"] = models;
                }),
            ),
            ("both", Box::new(|statement| statement["NotResource"] = statement["Resource"].clone())),
            (
                "under a condition",
                Box::new(|statement| statement["Condition"]["Bool"]["aws:ViaAWSService"] = json!("true")),
            ),
            ("with another action", Box::new(|statement| statement["Action"] = json!("bedrock:*"))),
            ("with all other actions", Box::new(|statement| statement["NotAction"] = json!("bedrock:*"))),
            ("on everything", Box::new(|statement| statement["Resource"] = json!("*"))),
            ("on no list", Box::new(move |statement| statement["Resource"] = json!(other))),
            (
                "on more than models",
                Box::new(|statement| statement["Resource"].as_array_mut().expect("a list").push(json!("*"))),
            ),
            (
                "on a model of another region",
                Box::new(|statement| {
                    statement["Resource"] = json!([format!("arn:aws:bedrock:eu-west-1::foundation-model/{NOVA}")]);
                }),
            ),
            (
                "on models by a pattern",
                Box::new(|statement| {
                    statement["Resource"] = json!(["arn:aws:bedrock:us-east-1::foundation-model/amazon.*"]);
                }),
            ),
            (
                "on what only ends like a model",
                Box::new(|statement| {
                    statement["Resource"] = json!([format!("arn:aws:s3:::a:foundation-model/{NOVA}")]);
                }),
            ),
        ]
    }

    #[test]
    fn the_models_of_a_role_are_read_from_our_own_policy_and_statement_alone() {
        assert_eq!(models_of_role(&role(&[(POLICY_NAME, ours())]), &region()), nova());
        let none = BTreeSet::new();
        assert_eq!(models_of_role(&role(&[]), &region()), none, "no policy");
        assert_eq!(models_of_role(&role(&[("by-hand", ours())]), &region()), none, "another policy");
        for (how, change) in changes() {
            let policy = changed(&ours(), CALL_MODELS, &change);
            assert_eq!(models_of_role(&role(&[(POLICY_NAME, policy)]), &region()), none, "{how}");
        }
        let mut twice = super::statements(&ours());
        twice.push(twice[2].clone());
        let twice = PolicyDocument::new(&document(&twice));
        assert_eq!(models_of_role(&role(&[(POLICY_NAME, twice)]), &region()), none, "twice");
        for broken in ["", "[]", "{}", r#"{"Statement": {"Sid": "CallModels"}}"#, r#"{"Statement": [7]}"#] {
            let broken = PolicyDocument::from_wire(broken);
            assert_eq!(models_of_role(&role(&[(POLICY_NAME, broken)]), &region()), none);
        }
    }

    #[test]
    fn what_else_a_policy_says_takes_nothing_from_what_we_wrote() {
        let mut statements = super::statements(&ours());
        let all = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0";
        statements.push(json!({"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": [all]}));
        let policies = [
            (POLICY_NAME, PolicyDocument::new(&document(&statements))),
            ("by-hand", execution_policy(&fixtures::app(), &fixtures::caller(), &fixtures::models(&["a.model"]))),
        ];
        assert_eq!(models_of_role(&role(&policies), &region()), nova());
    }

    #[test]
    fn the_models_of_an_endpoint_are_read_where_nothing_but_our_statement_stands() {
        let policy = bedrock_runtime_endpoint_policy(
            &"prod".parse().expect("an id"),
            &fixtures::caller(),
            &region(),
            &fixtures::models(&["b.two", "a.one"]),
        );
        assert_eq!(models_of_endpoint(&policy, &region()), fixtures::models(&["a.one", "b.two"]));
        let none = BTreeSet::new();
        for (how, change) in changes() {
            let policy = changed(&policy, OUR_ROLES_CALL_THEIR_MODELS, &change);
            assert_eq!(models_of_endpoint(&policy, &region()), none, "{how}");
        }
        let mut more = super::statements(&policy);
        more.push(json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}));
        assert_eq!(models_of_endpoint(&PolicyDocument::new(&document(&more)), &region()), none, "nothing gets through");
    }

    fn tagged(without: &[&str], policy: PolicyDocument) -> Role {
        let mut tags = fixtures::app().tags();
        tags.retain(|key, _| !without.contains(&key.as_str()));
        Role { name: fixtures::app().role_name(), tags, ..role(&[(POLICY_NAME, policy)]) }
    }

    fn network(vpc: &str) -> NetworkIdentity {
        let AppIdentity { installation, region, .. } = fixtures::app();
        NetworkIdentity { installation, account: fixtures::caller().account, region, vpc: vpc.parse().expect("a VPC") }
    }

    #[test]
    fn the_network_of_a_role_is_told_by_its_tags_its_name_or_its_policy() {
        let prod = fixtures::app().installation;
        let here = network(fixtures::app().vpc.as_str());
        let elsewhere = network("vpc-0def5678");
        let retired = crate::policy::handed_over_policy;
        let app = [TAG_APP_NAMESPACE, TAG_APP_NAME];
        let place = [TAG_REGION, TAG_VPC];
        for (lost, policy, has_place) in [
            (vec![], retired(), true),
            (app.to_vec(), retired(), true),
            (place.to_vec(), ours(), true),
            (vec![TAG_VPC], ours(), true),
            // The name confirms a given network, but yields none.
            (place.to_vec(), retired(), false),
            ([app, place].concat(), ours(), true),
        ] {
            let role = tagged(&lost, policy);
            assert!(is_role_of(&here, &role), "{lost:?}");
            assert!(!is_role_of(&elsewhere, &role), "{lost:?}");
            assert_eq!(place_of_role(&prod, &role).is_some(), has_place, "{lost:?}");
        }
        let nothing_tells = tagged(&[app, place].concat(), retired());
        assert!(!is_role_of(&here, &nothing_tells));
        let mut changed = tagged(&[], ours());
        changed.tags.insert(TAG_VPC.to_owned(), elsewhere.vpc.to_string());
        assert!(is_role_of(&here, &changed) && !is_role_of(&elsewhere, &changed), "its name contradicts its tags");
        assert_eq!(app_of_role(&prod, &changed), Some(fixtures::app()));
        let mut retired = tagged(&[], crate::policy::handed_over_policy());
        retired.tags.insert(TAG_VPC.to_owned(), elsewhere.vpc.to_string());
        assert!(is_role_of(&here, &retired), "its name tells");
        assert!(!is_role_of(&elsewhere, &retired), "a role is on one network");
        assert_eq!(place_of_role(&prod, &retired), None, "its name contradicts its tags, and its policy tells nothing");
        let theirs = tagged(&[crate::identity::TAG_INSTALLATION], ours());
        assert!(!is_role_of(&here, &theirs), "without that tag it is nobody's");
        assert_eq!(place_of_role(&prod, &theirs), None);
    }

    #[test]
    fn a_policy_that_names_another_function_tells_nothing_of_a_role() {
        let other = AppIdentity { name: "other".into(), ..fixtures::app() };
        let lost = [TAG_REGION, TAG_VPC];
        let copied = tagged(&lost, execution_policy(&other, &fixtures::caller(), &nova()));
        assert_eq!(place_of_role(&fixtures::app().installation, &copied), None);
    }
}
