//! Whether AWS has what an app asks for: judged by its spec alone, independently of the operator.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{
        EndpointState, FunctionState, Peer, PolicyDocument, Rule, SecurityGroup, SecurityGroupId, VpcEndpoint, VpcId,
    },
    identity::{AppIdentity, ENDPOINTS_GROUP, FUNCTIONS_GROUP},
};
use serde_json::Value;

use super::{
    aws::{World, world::RegionState},
    judge::{installation, region},
};

/// The memory of an app that sets none (docs/reference/fields.md).
const MEMORY_MIB: u64 = 512;

/// The least retention of the log in days, for an app that sets none.
const RETENTION_DAYS: u64 = 30;

/// AWS has all resources that a ready app asks for, if the app is not suspended.
///
/// # Errors
/// The first difference.
pub fn is_as_asked(app: &Value, world: &World) -> Result<(), String> {
    let state = &world.regions[&region()];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &app["spec"];
    let vpc: VpcId = text(&spec["network"]["vpcId"]).parse().map_err(|_| "no VPC")?;
    let identity = AppIdentity {
        installation: installation(),
        region: region(),
        vpc: vpc.clone(),
        namespace: text(&app["metadata"]["namespace"]),
        name: text(&app["metadata"]["name"]),
    };
    let models: BTreeSet<String> = spec["models"].as_array().into_iter().flatten().map(text).collect();
    let (functions, endpoints) = groups(state, &vpc)?;

    let function = state.functions.get(&identity.function_name()).ok_or("no function")?;
    let role = &world.roles.get(&identity.role_name()).ok_or("no role")?.role;
    let configuration = &function.detail.listing.configuration;
    is("the function's state", &function.detail.state, &FunctionState::Active)?;
    is("the function's role", &configuration.role_arn, &role.arn)?;
    is("the function's groups", &configuration.security_groups, &BTreeSet::from([functions.clone()]))?;
    let memory = spec["function"]["memoryMiB"].as_u64().unwrap_or(MEMORY_MIB);
    is("the function's memory", &u64::from(configuration.memory_mib), &memory)?;
    let password = spec["function"]["environment"]["PASSWORD"].as_str();
    // Values are compared without being shown.
    is(
        "the function's variable is as asked",
        &(configuration.environment.variables().get("PASSWORD").map(String::as_str) == password),
        &true,
    )?;
    is("the function's settings", &function.detail.listing.altered, &BTreeSet::new())?;
    let wanted: BTreeSet<String> = spec["network"]["subnetIds"].as_array().into_iter().flatten().map(text).collect();
    let attached: BTreeSet<String> = configuration.subnets.iter().map(ToString::to_string).collect();
    if !wanted.is_empty() {
        is("the function's subnets", &attached, &wanted)?;
    }
    if attached.len() < 2 {
        return Err(format!("attached to {attached:?}"));
    }

    is("the role's models", &allowed_models(role.inline_policies.values()), &models)?;
    is("how many inline policies", &role.inline_policies.len(), &1)?;
    is("the role's further policies", &role.attached_policies, &BTreeSet::new())?;
    if let Some(boundary) = &world.demanded_boundary {
        is("the role's permissions boundary", &role.permissions_boundary.as_deref(), &Some(boundary.as_str()))?;
    }
    let log_group = &state.log_groups.get(&identity.log_group_name()).ok_or("no log group")?.group;
    let days = spec["function"]["logging"]["retentionDays"].as_u64();
    let kept = log_group.retention_days.map(u64::from);
    match days {
        Some(days) => is("the log group's retention", &kept, &Some(days))?,
        // A longer retention of somebody else stays.
        None => is("the log is kept for a month at least", &kept.is_some_and(|kept| kept >= RETENTION_DAYS), &true)?,
    }

    let serves = state.endpoints.values().any(|endpoint| {
        let allowed = allowed_models(&endpoint.policy);
        endpoint.vpc == vpc
            && installation().owns(&endpoint.tags)
            && endpoint.state == EndpointState::Available
            && endpoint.security_groups == BTreeSet::from([endpoints.clone()])
            && configuration.subnets.is_subset(&endpoint.subnets)
            && models.is_subset(&allowed)
    });
    if serves { Ok(()) } else { Err(format!("no endpoint serves it: {:#?}", state.endpoints)) }
}

/// No endpoint of ours allows a model that nobody on its network may call: neither an app with the model, nor the role of an app
/// without an object. An endpoint that was retained with its network stays unchanged.
///
/// # Errors
/// The endpoint that allows more.
pub fn opens_no_more(apps: &[Value], networks: &[Value], world: &World) -> Result<(), String> {
    let mut called: BTreeSet<(Option<String>, String)> = BTreeSet::new();
    for app in apps {
        let vpc = app["spec"]["network"]["vpcId"].as_str().map(ToOwned::to_owned);
        let models = app["spec"]["models"].as_array().into_iter().flatten().filter_map(Value::as_str);
        called.extend(models.map(|model| (vpc.clone(), model.to_owned())));
    }
    for role in world.roles.values().map(|record| &record.role) {
        // An app without its tags may be on any network.
        let vpc = AppIdentity::from_tags(&installation(), &role.tags).map(|app| app.vpc.to_string());
        called.extend(allowed_models(role.inline_policies.values()).into_iter().map(|model| (vpc.clone(), model)));
    }
    let ours = world.regions[&region()].endpoints.values().filter(|endpoint| installation().owns(&endpoint.tags));
    let kept =
        |endpoint: &&VpcEndpoint| networks.iter().any(|network| network["spec"]["vpcId"] == endpoint.vpc.as_str());
    for endpoint in ours.filter(|endpoint| !endpoint.state.is_ending()).filter(kept) {
        let vpc = Some(endpoint.vpc.to_string());
        let is_called =
            |model: &String| [&vpc, &None].into_iter().any(|at| called.contains(&(at.clone(), model.clone())));
        if let Some(model) = allowed_models(&endpoint.policy).iter().find(|model| !is_called(model)) {
            return Err(format!("{} lets through {model}, which nobody calls there", endpoint.id));
        }
    }
    Ok(())
}

/// The two groups of a VPC, which allow only what a path needs.
fn groups(state: &RegionState, vpc: &VpcId) -> Result<(SecurityGroupId, SecurityGroupId), String> {
    let group = |component: &str| -> Result<&SecurityGroup, String> {
        let name = installation().group_name(component);
        let found = state.groups.values().find(|group| group.vpc == *vpc && group.name == name);
        found.ok_or(format!("no group for {component}"))
    };
    let (functions, endpoints) = (group(FUNCTIONS_GROUP)?, group(ENDPOINTS_GROUP)?);
    let https = |peer: &SecurityGroupId| BTreeSet::from([Rule::tcp(443, Peer::Group(peer.clone()))]);
    is("what functions may send", &functions.egress, &https(&endpoints.id))?;
    is("what functions may receive", &functions.ingress, &BTreeSet::new())?;
    is("what endpoints may send", &endpoints.egress, &BTreeSet::new())?;
    is("what endpoints may receive", &endpoints.ingress, &https(&functions.id))?;
    Ok((functions.id.clone(), endpoints.id.clone()))
}

/// The models that policies allow, by the end of their ARNs.
fn allowed_models<'a>(policies: impl IntoIterator<Item = &'a PolicyDocument>) -> BTreeSet<String> {
    let mut models = BTreeSet::new();
    for policy in policies {
        let policy: Value = serde_json::from_str(policy.as_str()).expect("a policy is JSON");
        let statements = policy["Statement"].as_array().expect("statements").iter();
        for statement in statements.filter(|statement| statement["Effect"] == "Allow") {
            let resources = statement["Resource"].to_string();
            let arns = resources.split('"').filter_map(|arn| arn.split_once(":foundation-model/"));
            models.extend(arns.map(|(_, model)| model.to_owned()));
        }
    }
    models
}

fn is<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}")) }
}
