//! The function, log group and role of each app.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plan, PlanInput, Unit, networks::functions_group};
use crate::{
    api::{condition::ConditionType, network::NetworkKey},
    app::{Observed, ObservedLogGroup, teardown},
    aws::{
        FunctionDetail, FunctionName, FunctionState, IamWrite, LambdaWrite, LogsWrite, NetworkInterfaceId, Region,
        Role, RoleName, Write,
    },
    identity::{AppIdentity, HandOver, TAG_RETAINED, is_retained, missing_tags},
    network::{held_by_lambda, interfaces_of_functions},
    plan::{Plan as Steps, listed},
    uninstall::{Kind, ObjectFacts},
};

/// The resources of one app in AWS. All of them have one name, which is unique in the account and region.
pub(super) struct App<'a> {
    pub(super) region: Region,
    pub(super) name: RoleName,
    /// The app's identity. `None` where the tags that name the app were lost.
    pub(super) identity: Option<AppIdentity>,
    /// The app's network, if tags or security groups show the network.
    pub(super) place: Option<NetworkKey>,
    /// The app's role, unless it was handed over to the network.
    pub(super) role: Option<&'a Role>,
    pub(super) function: Option<&'a FunctionDetail>,
    pub(super) log_group: Option<&'a ObservedLogGroup>,
}

impl App<'_> {
    /// A line for each resource.
    pub(super) fn resources(&self) -> BTreeSet<String> {
        let region = &self.region;
        let role = self.role.map(|role| format!("role {}", role.name));
        let function = self.function.map(|function| format!("{region}: function {}", function.listing.name));
        let log_group = self.log_group.map(|facts| format!("{region}: log group {}", facts.group.name));
        [role, function, log_group].into_iter().flatten().collect()
    }

    /// The app belongs to the object, in the VPC of the object or in another VPC.
    pub(super) fn is_of(&self, object: &ObjectFacts) -> bool {
        object.kind == Kind::App
            && self.identity.as_ref().is_some_and(|identity| {
                Some(&identity.namespace) == object.namespace.as_ref() && identity.name == object.name
            })
    }

    /// The app belongs to the object, in the VPC of the object.
    fn is_in_place_of(&self, object: &ObjectFacts) -> bool {
        self.is_of(object) && self.place.is_some() && self.place == object.network
    }

    pub(super) fn is_tagged_as_retained(&self) -> bool {
        self.role.is_some_and(|role| is_retained(&role.tags))
    }
}

/// All apps that have a resource, by region and name.
pub(super) fn of<'a>(input: &PlanInput<'a>) -> Vec<App<'a>> {
    let found = input.found;
    let mut names: BTreeSet<(Region, RoleName)> = BTreeSet::new();
    for (region, state) in &found.regions {
        let functions = state.functions.keys().map(FunctionName::as_str);
        let log_groups = state.log_groups.keys().filter_map(|group| group.as_str().strip_prefix("/aws/lambda/"));
        // Function, log group and role of an app have the same name.
        names.extend(functions.chain(log_groups).filter_map(|name| Some((region.clone(), name.parse().ok()?))));
    }
    for role in found.roles.values().filter(|role| HandOver::from_tags(&role.tags).is_none()) {
        let place = input.place_of_role(role).map(|place| place.region);
        match place.filter(|region| found.regions.contains_key(region)) {
            Some(region) => drop(names.insert((region, role.name.clone()))),
            None if names.iter().any(|(_, name)| *name == role.name) => {}
            None => drop(names.insert((input.scope.home.clone(), role.name.clone()))),
        }
    }
    names.into_iter().map(|(region, name)| app(region, name, input)).collect()
}

fn app<'a>(region: Region, name: RoleName, input: &PlanInput<'a>) -> App<'a> {
    let found = input.found;
    let state = found.regions.get(&region);
    let function =
        state.and_then(|state| state.functions.iter().find(|(function, _)| function.as_str() == name.as_str()));
    let function = function.map(|(_, detail)| detail);
    let log_group_name = format!("/aws/lambda/{name}");
    let log_group = state.and_then(|state| state.log_groups.iter().find(|(group, _)| group.as_str() == log_group_name));
    let log_group = log_group.map(|(_, facts)| facts);
    let role = found.roles.get(&name).filter(|role| HandOver::from_tags(&role.tags).is_none());
    let tags = [
        role.map(|role| &role.tags),
        function.map(|function| &function.tags),
        log_group.and_then(|facts| facts.tags.as_ref()),
    ];
    let tags = || tags.into_iter().flatten();
    // If the tags name another app than the name does, somebody changed the tags.
    let tagged = tags().filter_map(|tags| AppIdentity::from_tags(&input.scope.installation, tags));
    let named = input.objects.iter().filter_map(|object| object.identity(&input.scope.installation));
    let identity = tagged.chain(named).find(|identity| identity.role_name() == name);
    let place = match &identity {
        Some(identity) => Some(NetworkKey { region: identity.region.clone(), vpc: identity.vpc.clone() }),
        None => tags()
            .filter_map(|tags| input.place_of(tags))
            .find(|place| place.region == region)
            .or_else(|| found.vpc_of(&region, function?)),
    };
    App { region, name, identity, place, role, function, log_group }
}

/// The apps that are retained, and the networks that stay with them.
#[derive(Default)]
pub(super) struct RetainedApps {
    /// The apps, by name.
    pub(super) names: BTreeSet<RoleName>,
    /// The networks of the apps, each with its apps.
    pub(super) networks: BTreeMap<NetworkKey, BTreeSet<String>>,
    /// The apps whose network is unknown: because of them all networks stay.
    pub(super) anywhere: BTreeSet<String>,
}

/// The apps that are retained, by the tag of the role or by the object. If an object exists, the object decides.
pub(super) fn retained(apps: &[App<'_>], input: &PlanInput<'_>) -> RetainedApps {
    let PlanInput { found, objects, memory, .. } = input;
    let mut retained = RetainedApps::default();
    for app in apps {
        let object_retains = objects.iter().any(|object| object.retained && app.is_of(object));
        let object_deletes = objects.iter().any(|object| !object.retained && app.is_in_place_of(object));
        let is_tagged = app.is_tagged_as_retained() || memory.retained.contains(&app.name);
        if !(object_retains || (is_tagged && !object_deletes)) {
            continue;
        }
        retained.names.insert(app.name.clone());
        let user = app.identity.as_ref().map_or_else(|| app.name.to_string(), AppIdentity::app);
        let place = app.function.and_then(|function| found.vpc_of(&app.region, function));
        let places: BTreeSet<NetworkKey> = place.into_iter().chain(app.place.clone()).collect();
        if places.is_empty() {
            retained.anywhere.insert(user.clone());
        }
        for place in places {
            retained.networks.entry(place).or_default().insert(user.clone());
        }
    }
    retained
}

pub(super) fn plan(apps: &[App<'_>], retained: &RetainedApps, input: &PlanInput<'_>, plan: &mut Plan) {
    for app in apps {
        let whose = input.whose(app.place.as_ref());
        let others: BTreeSet<String> =
            app.resources().iter().filter_map(|resource| whose.reason_to_leave(resource)).collect();
        if !others.is_empty() {
            plan.foreign.extend(others);
        } else if retained.names.contains(&app.name) {
            plan.retained.extend(app.resources());
            let unit = retain(app, input);
            plan.units.extend((unit != Unit::default()).then_some(unit));
        } else {
            plan.units.push(remove(app, input));
        }
    }
}

/// Tags the role as retained, before the object is deleted.
fn retain(app: &App<'_>, input: &PlanInput<'_>) -> Unit {
    let mut unit = Unit::default();
    match app.role {
        Some(role) if is_retained(&role.tags) => {}
        Some(role) if input.owns(&role.tags) => {
            let message = format!("Role {} is tagged as retained; AWS shows the tag within seconds.", role.name);
            unit.wait(message);
            if !input.memory.retained.contains(&role.name) {
                let mut tags = app.identity.as_ref().map(|identity| missing_tags(&identity.tags(), &role.tags)).unwrap_or_default();
                tags.insert(TAG_RETAINED.to_owned(), "true".to_owned());
                unit.step(&app.region, Write::Iam(IamWrite::TagRole { role: role.name.clone(), tags }));
            }
        }
        Some(role) => unit.problem(untagged("Role", role.name.as_str(), input)),
        None => unit.problem(format!(
            "App {} is to be retained, but its role {} is gone, and only the tags of the role can retain the app in AWS: let the \
             operator run until the app is ready, which puts the role back, or set spec.deletionPolicy to Delete.",
            app.identity.as_ref().map_or_else(|| app.name.to_string(), AppIdentity::app),
            app.name
        )),
    }
    unit
}

fn remove(app: &App<'_>, input: &PlanInput<'_>) -> Unit {
    let mut unit = Unit { resources: app.resources(), ..Unit::default() };
    let interfaces = interfaces(app, input);
    match &app.identity {
        Some(identity) => {
            let observed = Observed {
                role: app.role.cloned(),
                log_group: app.log_group.cloned(),
                detail: app.function.cloned(),
                // Without the app's role, nothing is put back: Lambda's interfaces are deleted with the network.
                interfaces: app.role.map(|_| interfaces).unwrap_or_default(),
                ..Observed::default()
            };
            unit.take(&app.region, teardown(identity, &observed, &input.scope.governance));
        }
        None => by_name(app, &interfaces, input, &mut unit),
    }
    let owned = |tags| input.owns(tags);
    if let Some(function) = app.function.filter(|function| !owned(&function.tags)) {
        unit.problem(untagged("Function", function.listing.name.as_str(), input));
    }
    if let Some(facts) = app.log_group.filter(|facts| !facts.tags.as_ref().is_some_and(owned)) {
        unit.problem(untagged("Log group", facts.group.name.as_str(), input));
    }
    if let Some(role) = app.role.filter(|role| !owned(&role.tags)) {
        unit.problem(untagged("Role", role.name.as_str(), input));
    }
    unit.problems.sort();
    unit.problems.dedup();
    unit
}

/// The interfaces for whose release Lambda may need the app's role.
fn interfaces(app: &App<'_>, input: &PlanInput<'_>) -> BTreeSet<NetworkInterfaceId> {
    if let Some(key) = &app.place {
        let state = input.found.regions.get(&key.region);
        let group = state.and_then(|state| functions_group(state, input.scope, key));
        let all = input.function_interfaces(key);
        return held_by_lambda(&interfaces_of_functions(all, group, |function| function.as_str() == app.name.as_str()));
    }
    // The app's network is unknown: any network may be the app's.
    input.places().iter().flat_map(|key| held_by_lambda(&input.function_interfaces(key))).collect()
}

/// Removes resources without the tags that name their app, in the operator's order.
fn by_name(app: &App<'_>, interfaces: &BTreeSet<NetworkInterfaceId>, input: &PlanInput<'_>, unit: &mut Unit) {
    let owned = |tags| input.owns(tags);
    if let Some(function) = app.function {
        let name = function.listing.name.clone();
        if owned(&function.tags) {
            unit.wait(format!("Function {name} is being deleted."));
            if function.state != FunctionState::Deleting {
                unit.step(&app.region, Write::Lambda(LambdaWrite::DeleteFunction { name }));
            }
        }
        return;
    }
    if let Some(facts) = app.log_group.filter(|facts| facts.tags.as_ref().is_some_and(owned)) {
        unit.wait(format!("Log group {} is being deleted.", facts.group.name));
        unit.step(&app.region, Write::Logs(LogsWrite::DeleteLogGroup { name: facts.group.name.clone() }));
    }
    let Some(role) = app.role.filter(|role| owned(&role.tags)) else { return };
    if interfaces.is_empty() {
        let mut steps = Steps::default();
        steps.delete_role(ConditionType::ExecutionRoleReady, role, &input.scope.governance);
        unit.take(&app.region, steps);
        unit.wait(format!("Role {} is being deleted.", role.name));
    } else {
        unit.wait(format!(
            "Role {} is kept until Lambda has released interfaces {}: within twenty minutes or more.",
            role.name,
            listed(interfaces)
        ));
    }
}

pub(super) fn untagged(what: &str, name: &str, input: &PlanInput<'_>) -> String {
    let installation = &input.scope.installation;
    format!(
        "{what} {name} has a name of installation {installation}, and lacks the tag of that installation: {}, or remove the resource by \
         hand.",
        installation.how_to_tag()
    )
}
