//! The resources of many apps, copied from the resources of one app: ten thousand converged apps exist at once, where the operator
//! would take an hour within AWS's rates. The names are the operator's own.

use private_genai_operator::{
    aws::{Environment, PolicyDocument, Tags},
    identity::{AppIdentity, TAG_APP_NAME},
};
use serde_json::{Value, json};

use crate::memory::aws::{
    World,
    world::{FunctionRecord, LogGroupRecord, RoleRecord},
};

/// Copies role, log group and function of the app `from` for each app in `to`; returns the number of copies.
pub fn make(world: &mut World, asked: &Value) -> Value {
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let app = |name: &str| AppIdentity {
        installation: text("installation").parse().expect("an installation"),
        region: text("region").parse().expect("a region"),
        vpc: text("vpc").parse().expect("a VPC"),
        namespace: text("namespace").to_owned(),
        name: name.to_owned(),
    };
    let from = app(text("from"));
    let role = world.roles[&from.role_name()].clone();
    let state = &world.regions[&from.region];
    let (function, group) =
        (state.functions[&from.function_name()].clone(), state.log_groups[&from.log_group_name()].clone());
    let names = asked["to"].as_array().expect("names").iter().map(|name| name.as_str().expect("a name"));
    let mut made = 0;
    for to in names.map(app) {
        copy(world, (&from, &to), (&role, &function, &group));
        made += 1;
    }
    json!({"made": made})
}

fn copy(
    world: &mut World,
    (from, to): (&AppIdentity, &AppIdentity),
    (role, function, group): (&RoleRecord, &FunctionRecord, &LogGroupRecord),
) {
    let (old, new) = (from.function_name().to_string(), to.function_name().to_string());
    let renamed = |text: &str| text.replace(&old, &new);
    let document = |document: &PolicyDocument| PolicyDocument::from_wire(&renamed(document.as_str()));
    let tags = |tags: &Tags| -> Tags {
        let of = |(key, value): (&String, &String)| {
            let value = if key == TAG_APP_NAME { to.name.clone() } else { renamed(value) };
            (key.clone(), value)
        };
        tags.iter().map(of).collect()
    };

    let mut role = role.clone();
    role.principal = world.count(format!("role {}", to.role_name()));
    role.role.name = to.role_name();
    role.role.id = format!("AROA-{}-{}", to.role_name(), role.principal);
    role.role.arn = renamed(&role.role.arn);
    role.role.trust_policy = document(&role.role.trust_policy);
    role.role.inline_policies =
        role.role.inline_policies.iter().map(|(name, policy)| (renamed(name), document(policy))).collect();
    role.role.tags = tags(&role.role.tags);

    let mut group = group.clone();
    group.group.name = to.log_group_name();
    group.group.arn = renamed(&group.group.arn);
    group.tags = tags(&group.tags);

    let mut function = function.clone();
    function.principal = role.principal;
    function.detail.tags = tags(&function.detail.tags);
    let listing = &mut function.detail.listing;
    listing.name = to.function_name();
    listing.arn = renamed(&listing.arn);
    listing.configuration.role_arn = renamed(&listing.configuration.role_arn);
    let variables = listing.configuration.environment.variables();
    let variables = variables.iter().map(|(name, value)| (name.clone(), renamed(value))).collect();
    listing.configuration.environment = Environment::new(variables);

    world.roles.insert(to.role_name(), role);
    let state = world.region_mut(&from.region);
    state.log_groups.insert(to.log_group_name(), group);
    state.functions.insert(to.function_name(), function);
}
