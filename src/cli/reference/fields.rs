//! The fields of both kinds, from their definitions.

use serde_json::{Value, json};

use super::{code, document, section, table};
use crate::api::{
    DeletionPolicy, PrivateGenAIAppSpec,
    app::{App, LogRetention},
    crd,
};

/// The page.
pub fn page() -> String {
    let introduction = "`apiVersion: privategenai.dev/v1alpha1`. The schema has no defaults: a missing value is not stored, and the \
                        operator uses the value in the column *default*. The API server checks bounds and rules when an object is written. \
                        [Apps and their status](../concepts/apps.md) explains the fields.";
    let sections = crd::definitions().map(|definition| {
        let definition = serde_json::to_value(definition).expect("JSON");
        let kind = definition["spec"]["names"]["kind"].as_str().expect("a kind").to_owned();
        let short = definition["spec"]["names"]["shortNames"][0].as_str().expect("a short name");
        let scope = definition["spec"]["scope"].as_str().expect("a scope");
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let fields = |part: &str| {
            let mut fields = Vec::new();
            collect(&schema["properties"][part], part, false, &mut fields);
            fields
        };
        let (spec, status) = (fields("spec"), fields("status"));
        let names = format!("{}, short {}. Scope: {}.", code(&kind), code(short), scope.to_lowercase());
        section(
            &kind,
            &[
                names,
                "### spec of ".to_owned() + &kind,
                table(
                    ["field", "type", "default", "bounds", "can change", ""],
                    spec.iter().skip(1).map(|field| {
                        let change = if field.is_immutable { "no" } else { "yes" };
                        [
                            code(&field.path),
                            kind_of(field.schema),
                            default_of(field),
                            bounds(field.schema),
                            change.to_owned(),
                            about(field.schema),
                        ]
                    }),
                ),
                "### Rules of ".to_owned() + &kind,
                "The API server refuses an object that breaks a rule, with the sentence of the rule. A sentence in CEL names the wrong \
                 value."
                    .to_owned(),
                table(["at", "rule (CEL)", "sentence"], spec.iter().flat_map(rules)),
                "### status of ".to_owned() + &kind,
                table(
                    ["field", "type", ""],
                    status.iter().skip(1).map(|field| [code(&field.path), kind_of(field.schema), about(field.schema)]),
                ),
            ],
        )
    });
    document("Fields", introduction, &sections)
}

/// One field.
struct Field<'a> {
    path: String,
    schema: &'a Value,
    is_required: bool,
    is_immutable: bool,
}

/// Adds the field, then the fields below it.
fn collect<'a>(schema: &'a Value, path: &str, is_immutable: bool, fields: &mut Vec<Field<'a>>) {
    // docs/reference/conditions.md explains the conditions.
    let is_condition = path.ends_with("conditions");
    fields.push(Field { path: path.to_owned(), schema, is_required: false, is_immutable });
    let below = if schema["items"].is_object() { &schema["items"] } else { schema };
    let Some(properties) = below["properties"].as_object().filter(|_| !is_condition) else { return };
    let rules: Vec<&str> = validations(below).iter().filter_map(|rule| rule["rule"].as_str()).collect();
    for (name, property) in properties {
        let path = if below == schema { format!("{path}.{name}") } else { format!("{path}[].{name}") };
        let names = |pattern: &str| rules.iter().any(|rule| rule.contains(pattern));
        let is_fixed = rules.iter().any(|rule| {
            rule.split(|c: char| c != '.' && !c.is_alphanumeric()).any(|word| word == format!("oldSelf.{name}"))
        });
        let first = fields.len();
        collect(property, &path, is_immutable || is_fixed, fields);
        fields[first].is_required = names(&format!("has(self.{name})"))
            || below["required"].as_array().is_some_and(|required| required.contains(&json!(name)));
    }
}

fn validations(schema: &Value) -> &[Value] {
    schema["x-kubernetes-validations"].as_array().map_or(&[], Vec::as_slice)
}

fn rules(field: &Field<'_>) -> Vec<[String; 3]> {
    let row = |rule: &Value| {
        let text = |name: &str| rule[name].as_str().map(super::one_line);
        let sentence = text("message").or_else(|| text("messageExpression").map(|expression| code(&expression)));
        [code(&field.path), code(&text("rule").expect("a rule")), sentence.expect("a sentence")]
    };
    validations(field.schema).iter().map(row).collect()
}

fn kind_of(schema: &Value) -> String {
    let name = |schema: &Value| schema["type"].as_str().expect("a type").to_owned();
    match name(schema).as_str() {
        "array" => format!("list of {}", name(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", name(&schema["additionalProperties"]))
        }
        other => other.to_owned(),
    }
}

fn bounds(schema: &Value) -> String {
    let number = |name: &str| schema[name].as_f64();
    let mut bounds = Vec::new();
    if let (Some(least), Some(most)) = (number("minimum"), number("maximum")) {
        bounds.push(format!("{least} to {most}"));
    }
    if let Some(values) = schema["enum"].as_array() {
        bounds.push(values.iter().filter_map(Value::as_str).map(code).collect::<Vec<_>>().join(", "));
    }
    let each = [&schema["items"], &schema["additionalProperties"]].map(|below| below["maxLength"].as_u64());
    for (most, what) in [
        (schema["maxLength"].as_u64(), "characters"),
        (schema["maxItems"].as_u64(), "entries"),
        (schema["maxProperties"].as_u64(), "entries"),
        (each[0].or(each[1]), "characters each"),
    ] {
        bounds.extend(most.map(|most| format!("at most {most} {what}")));
    }
    bounds.join(", ")
}

fn about(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

/// The value that the operator fills in, read from an app with the required fields alone.
fn default_of(field: &Field<'_>) -> String {
    let least = json!({"network": {"vpcId": "vpc-0abc1234"}, "models": ["amazon.nova-lite-v1:0"]});
    let spec: PrivateGenAIAppSpec = serde_json::from_value(least).expect("a spec");
    let app = App::new(&spec, &"us-east-1".parse().expect("a region")).expect("an app");
    match field.path.as_str() {
        _ if field.is_required => "required".to_owned(),
        "spec.function.memoryMiB" => app.function.memory_mib.to_string(),
        "spec.function.timeoutSeconds" => app.function.timeout_seconds.to_string(),
        "spec.function.logging.retentionDays" => match app.function.log_retention {
            LogRetention::AtLeast(days) => format!("at least {days}"),
            LogRetention::Exactly(days) => days.to_string(),
        },
        "spec.network.region" => "the operator's".to_owned(),
        "spec.network.subnetIds" => "one private subnet for each zone".to_owned(),
        "spec.deletionPolicy" => code(&format!("{:?}", DeletionPolicy::default())),
        "spec.suspend" => code(&spec.suspend.unwrap_or_default().to_string()),
        "spec.healthCheck.intervalSeconds" => "in turn, one app of each network at each resync".to_owned(),
        _ => "none".to_owned(),
    }
}
