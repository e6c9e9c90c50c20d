//! The function, log group and role of each app.

use std::collections::{BTreeMap, BTreeSet};

use super::{Given, Plan, Unit, networks::functions_group};
use crate::{
    api::{condition::ConditionType, network::NetworkKey},
    app::{LogGroupFacts, Observed, teardown},
    aws::{
        FunctionDetail, FunctionName, FunctionState, IamWrite, LambdaWrite, LogsWrite, NetworkInterfaceId, Region,
        Role, RoleName, Write,
    },
    identity::{AppIdentity, HandOver, TAG_RETAINED, is_retained, missing_tags},
    network::{held_by_lambda, interfaces_of_functions},
    plan::{Plan as Steps, listed},
    uninstall::{Item, Kind},
};

/// What there is of one app: everything of it has one name, which is unique in the account and region.
pub(super) struct App<'a> {
    pub(super) region: Region,
    pub(super) name: RoleName,
    /// Which app it is; `None` where tags that say so were lost.
    pub(super) identity: Option<AppIdentity>,
    /// The network that it is on, as far as tags or groups tell.
    pub(super) place: Option<NetworkKey>,
    /// Its role, unless that was handed to the network.
    pub(super) role: Option<&'a Role>,
    pub(super) function: Option<&'a FunctionDetail>,
    pub(super) log_group: Option<&'a LogGroupFacts>,
}

impl App<'_> {
    /// Each resource in a line.
    pub(super) fn resources(&self) -> BTreeSet<String> {
        let region = &self.region;
        let role = self.role.map(|role| format!("role {}", role.name));
        let function = self.function.map(|it| format!("{region}: function {}", it.listing.name));
        let log_group = self.log_group.map(|it| format!("{region}: log group {}", it.group.name));
        [role, function, log_group].into_iter().flatten().collect()
    }

    /// It is what this object stands for, or stood for in another VPC.
    pub(super) fn is_of(&self, item: &Item) -> bool {
        item.kind == Kind::App
            && self.identity.as_ref().is_some_and(|identity| {
                Some(&identity.namespace) == item.namespace.as_ref() && identity.name == item.name
            })
    }

    /// It is what this object stands for, in the VPC that the object names.
    fn is_in_place_of(&self, item: &Item) -> bool {
        self.is_of(item) && self.place.is_some() && self.place == item.network
    }

    pub(super) fn is_tagged_as_retained(&self) -> bool {
        self.role.is_some_and(|role| is_retained(&role.tags))
    }
}

/// Everything that is something of an app's, by region and name.
pub(super) fn of<'a>(given: &Given<'a>) -> Vec<App<'a>> {
    let found = given.found;
    let mut names: BTreeSet<(Region, RoleName)> = BTreeSet::new();
    for (region, state) in &found.regions {
        let functions = state.functions.keys().map(FunctionName::as_str);
        let log_groups = state.log_groups.keys().filter_map(|group| group.as_str().strip_prefix("/aws/lambda/"));
        // What the installation names so is a role's name too.
        names.extend(functions.chain(log_groups).filter_map(|name| Some((region.clone(), name.parse().ok()?))));
    }
    for role in found.roles.values().filter(|role| HandOver::from_tags(&role.tags).is_none()) {
        let place = given.place_of_role(role).map(|place| place.region);
        match place.filter(|region| found.regions.contains_key(region)) {
            Some(region) => drop(names.insert((region, role.name.clone()))),
            None if names.iter().any(|(_, name)| *name == role.name) => {}
            None => drop(names.insert((given.scope.home.clone(), role.name.clone()))),
        }
    }
    names.into_iter().map(|(region, name)| app(region, name, given)).collect()
}

fn app<'a>(region: Region, name: RoleName, given: &Given<'a>) -> App<'a> {
    let found = given.found;
    let state = found.regions.get(&region);
    let function = state.and_then(|state| state.functions.iter().find(|(it, _)| it.as_str() == name.as_str()));
    let function = function.map(|(_, detail)| detail);
    let log_group_name = format!("/aws/lambda/{name}");
    let log_group = state.and_then(|state| state.log_groups.iter().find(|(it, _)| it.as_str() == log_group_name));
    let log_group = log_group.map(|(_, facts)| facts);
    let role = found.roles.get(&name).filter(|role| HandOver::from_tags(&role.tags).is_none());
    let tags = [
        role.map(|role| &role.tags),
        function.map(|function| &function.tags),
        log_group.and_then(|facts| facts.tags.as_ref()),
    ];
    let tags = || tags.into_iter().flatten();
    // Tags that name another app than the name does were changed by somebody, and say nothing.
    let tagged = tags().filter_map(|tags| AppIdentity::from_tags(&given.scope.installation, tags));
    let told = given.items.iter().filter_map(|item| item.identity(&given.scope.installation));
    let identity = tagged.chain(told).find(|identity| identity.role_name() == name);
    let place = match &identity {
        Some(identity) => Some(NetworkKey { region: identity.region.clone(), vpc: identity.vpc.clone() }),
        None => tags()
            .filter_map(|tags| given.place_of(tags))
            .find(|place| place.region == region)
            .or_else(|| found.vpc_of(&region, function?)),
    };
    App { region, name, identity, place, role, function, log_group }
}

/// What stays with the apps that are retained.
#[derive(Default)]
pub(super) struct RetainedApps {
    /// The apps, by name.
    pub(super) names: BTreeSet<RoleName>,
    /// The networks that they use, and who uses them.
    pub(super) networks: BTreeMap<NetworkKey, BTreeSet<String>>,
    /// Apps that use a network which nobody can tell: all networks stay.
    pub(super) anywhere: BTreeSet<String>,
}

/// Which apps are retained: those whose role says so, and those whose object does. An object that is there and says otherwise
/// is the later word about what it stands for.
pub(super) fn kept(apps: &[App<'_>], given: &Given<'_>) -> RetainedApps {
    let Given { found, items, memory, .. } = given;
    let mut kept = RetainedApps::default();
    for app in apps {
        let object_retains = items.iter().any(|item| item.retained && app.is_of(item));
        let object_deletes = items.iter().any(|item| !item.retained && app.is_in_place_of(item));
        let is_tagged = app.is_tagged_as_retained() || memory.retained.contains(&app.name);
        if !(object_retains || (is_tagged && !object_deletes)) {
            continue;
        }
        kept.names.insert(app.name.clone());
        let user = app.identity.as_ref().map_or_else(|| app.name.to_string(), AppIdentity::app);
        let place = app.function.and_then(|function| found.vpc_of(&app.region, function));
        let places: BTreeSet<NetworkKey> = place.into_iter().chain(app.place.clone()).collect();
        if places.is_empty() {
            kept.anywhere.insert(user.clone());
        }
        for place in places {
            kept.networks.entry(place).or_default().insert(user.clone());
        }
    }
    kept
}

pub(super) fn plan(apps: &[App<'_>], kept: &RetainedApps, given: &Given<'_>, plan: &mut Plan) {
    for app in apps {
        let whose = given.whose(app.place.as_ref());
        let others: BTreeSet<String> = app.resources().iter().filter_map(|resource| whose.told(resource)).collect();
        if !others.is_empty() {
            plan.others.extend(others);
        } else if kept.names.contains(&app.name) {
            plan.stays.extend(app.resources());
            let unit = retain(app, given);
            plan.units.extend((unit != Unit::default()).then_some(unit));
        } else {
            plan.units.push(remove(app, given));
        }
    }
}

/// The role says in AWS that this is on purpose, before the object that says so goes.
fn retain(app: &App<'_>, given: &Given<'_>) -> Unit {
    let mut unit = Unit::default();
    match app.role {
        Some(role) if is_retained(&role.tags) => {}
        Some(role) if given.owns(&role.tags) => {
            let message = format!("Role {} is tagged as retained; AWS takes seconds to show it.", role.name);
            unit.waits.push(message);
            if !given.memory.retained.contains(&role.name) {
                let mut tags = app.identity.as_ref().map(|it| missing_tags(&it.tags(), &role.tags)).unwrap_or_default();
                tags.insert(TAG_RETAINED.to_owned(), "true".to_owned());
                unit.step(&app.region, Write::Iam(IamWrite::TagRole { role: role.name.clone(), tags }));
            }
        }
        Some(role) => unit.problems.push(untagged("Role", role.name.as_str(), given)),
        None => unit.problems.push(format!(
            "App {} is to be retained, but its role {} is gone, and the role is what would say so in AWS: let the operator run \
             until the app is ready, which puts the role back, or set spec.deletionPolicy to Delete.",
            app.identity.as_ref().map_or_else(|| app.name.to_string(), AppIdentity::app),
            app.name
        )),
    }
    unit
}

fn remove(app: &App<'_>, given: &Given<'_>) -> Unit {
    let mut unit = Unit { resources: app.resources(), ..Unit::default() };
    let interfaces = interfaces(app, given);
    match &app.identity {
        Some(identity) => {
            let observed = Observed {
                role: app.role.cloned(),
                log_group: app.log_group.cloned(),
                detail: app.function.cloned(),
                // Without its role, nothing is put back: what Lambda leaves behind is deleted as the network's.
                interfaces: app.role.map(|_| interfaces).unwrap_or_default(),
                ..Observed::default()
            };
            unit.take(&app.region, teardown(identity, &observed, &given.scope.governance));
        }
        None => by_name(app, &interfaces, given, &mut unit),
    }
    let owned = |tags| given.owns(tags);
    if let Some(function) = app.function.filter(|function| !owned(&function.tags)) {
        unit.problems.push(untagged("Function", function.listing.name.as_str(), given));
    }
    if let Some(facts) = app.log_group.filter(|facts| !facts.tags.as_ref().is_some_and(owned)) {
        unit.problems.push(untagged("Log group", facts.group.name.as_str(), given));
    }
    if let Some(role) = app.role.filter(|role| !owned(&role.tags)) {
        unit.problems.push(untagged("Role", role.name.as_str(), given));
    }
    unit.problems.sort();
    unit.problems.dedup();
    unit
}

/// What Lambda may need the app's role for.
fn interfaces(app: &App<'_>, given: &Given<'_>) -> BTreeSet<NetworkInterfaceId> {
    if let Some(key) = &app.place {
        let state = given.found.regions.get(&key.region);
        let group = state.and_then(|state| functions_group(state, given.scope, key));
        let all = given.function_interfaces(key);
        return held_by_lambda(&interfaces_of_functions(all, group, |function| function.as_str() == app.name.as_str()));
    }
    // On which network it was cannot be known: it may be any.
    given.places().iter().flat_map(|key| held_by_lambda(&given.function_interfaces(key))).collect()
}

/// The same as the operator would do, for what lost the tags that name its app.
fn by_name(app: &App<'_>, interfaces: &BTreeSet<NetworkInterfaceId>, given: &Given<'_>, unit: &mut Unit) {
    let owned = |tags| given.owns(tags);
    if let Some(function) = app.function {
        let name = function.listing.name.clone();
        if owned(&function.tags) {
            unit.waits.push(format!("Function {name} is being deleted."));
            if function.state != FunctionState::Deleting {
                unit.step(&app.region, Write::Lambda(LambdaWrite::DeleteFunction { name }));
            }
        }
        return;
    }
    if let Some(facts) = app.log_group.filter(|facts| facts.tags.as_ref().is_some_and(owned)) {
        unit.waits.push(format!("Log group {} is being deleted.", facts.group.name));
        unit.step(&app.region, Write::Logs(LogsWrite::DeleteLogGroup { name: facts.group.name.clone() }));
    }
    let Some(role) = app.role.filter(|role| owned(&role.tags)) else { return };
    if interfaces.is_empty() {
        let mut steps = Steps::default();
        steps.delete_role(ConditionType::ExecutionRoleReady, role, &given.scope.governance);
        unit.take(&app.region, steps);
        unit.waits.push(format!("Role {} is being deleted.", role.name));
    } else {
        unit.waits.push(format!(
            "Role {} is kept until Lambda has released interfaces {}: within twenty minutes or more.",
            role.name,
            listed(interfaces)
        ));
    }
}

pub(super) fn untagged(what: &str, name: &str, given: &Given<'_>) -> String {
    let installation = &given.scope.installation;
    format!(
        "{what} {name} has a name of installation {installation} and does not carry its tag: {}, or remove it by hand.",
        installation.how_to_tag()
    )
}
