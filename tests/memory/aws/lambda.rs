//! Lambda functions: checked when they are written, then busy for a while.

use std::collections::BTreeSet;

use private_genai_operator::aws::{
    Architecture, Environment, Fixed, FunctionConfiguration, FunctionDetail, FunctionListing, FunctionName,
    FunctionState, LambdaWrite, NewFunction, Package, Region, Setting, Tags, UpdateStatus, Written,
};

use super::{
    interfaces::{self, Attached},
    invoke::Behaviour,
    lambda_checks::{INVALID, check_configuration, check_package},
    step::{Answer, refuse_with},
    tags,
    world::{FunctionRecord, Transition, World},
};

/// Carries out a change.
pub(super) fn carry_out(world: &mut World, region: &Region, write: &LambdaWrite) -> Answer {
    match write {
        LambdaWrite::CreateFunction(new) => create(world, region, new),
        LambdaWrite::UpdateFunctionConfiguration { name, configuration, reset } => {
            update_configuration(world, region, name, configuration, reset)
        }
        LambdaWrite::UpdateFunctionCode { name, package, architecture } => {
            update_code(world, region, name, package, *architecture)
        }
        LambdaWrite::DeleteFunction { name } => delete(world, region, name),
        LambdaWrite::TagResource { arn, tags } => tag(world, region, arn, tags),
    }
}

pub(super) fn create(world: &mut World, region: &Region, new: &NewFunction) -> Answer {
    if world.region_mut(region).functions.contains_key(&new.name) {
        return refuse_with(409, "ResourceConflictException", format!("Function already exist: {}", new.name));
    }
    tags::check(&new.tags, INVALID)?;
    check_package(&new.package)?;
    let principal = check_configuration(world, region, &new.configuration)?;
    let listing = FunctionListing {
        name: new.name.clone(),
        arn: format!("arn:{}:lambda:{region}:{}:function:{}", region.partition(), world.account, new.name),
        configuration: new.configuration.clone(),
        unreadable_environment: None,
        altered: BTreeSet::new(),
        fixed: BTreeSet::new(),
        architecture: new.architecture,
        code_sha256: new.package.sha256().to_owned(),
        last_modified: timestamp(world, &new.name),
    };
    let detail = FunctionDetail {
        listing,
        state: FunctionState::Pending,
        state_reason: Some("Creating: The function is being created.".into()),
        last_update: UpdateStatus::InProgress,
        last_update_reason: Some("Creating: The function is being created.".into()),
        tags: new.tags.clone(),
    };
    let Attached { created, doomed } = interfaces::attach(world, region, &new.name, &new.configuration);
    let record = FunctionRecord { detail, principal, doomed, behaviour: Behaviour::default() };
    world.region_mut(region).functions.insert(new.name.clone(), record);
    let delay = world.delays.function_active.saturating_add(if created { world.delays.interfaces_created } else { 0 });
    world.schedule(Transition::FunctionActive(region.clone(), new.name.clone()), delay);
    Ok(Written::Done)
}

pub(super) fn update_configuration(
    world: &mut World,
    region: &Region,
    name: &FunctionName,
    configuration: &FunctionConfiguration,
    reset: &BTreeSet<Setting>,
) -> Answer {
    let mut record = idle(world, region, name)?;
    // Fields that the call leaves out stay as they were.
    record.detail.listing.altered.retain(|setting| !reset.contains(setting));
    if reset.contains(&Setting::Key) {
        record.detail.listing.unreadable_environment = None;
    }
    if !record.detail.listing.fixed.is_empty() {
        return refuse_with(400, INVALID, format!("{:?} of {name} cannot be changed", record.detail.listing.fixed));
    }
    // Lambda Developer Guide, "Improving startup performance with Lambda SnapStart": not for Node.js.
    if record.detail.listing.altered.contains(&Setting::SnapStart) && configuration.runtime.starts_with("nodejs") {
        let message = format!("{} is not supported for SnapStart enabled functions.", configuration.runtime);
        return refuse_with(400, INVALID, message);
    }
    record.principal = check_configuration(world, region, configuration)?;
    record.detail.listing.configuration = configuration.clone();
    let attached = interfaces::attach(world, region, name, configuration);
    begin_update(world, region, record, attached);
    Ok(Written::Done)
}

/// A foreign change of a setting.
pub(super) fn alter(world: &mut World, region: &Region, name: &FunctionName, setting: Setting) -> Answer {
    let mut record = idle(world, region, name)?;
    record.detail.listing.altered.insert(setting);
    record.detail.listing.last_modified = timestamp(world, name);
    world.region_mut(region).functions.insert(name.clone(), record);
    Ok(Written::Done)
}

/// The KMS key that encrypts the environment of a function can be used no more, or again.
pub(super) fn lock_environment(
    world: &mut World,
    region: &Region,
    name: &FunctionName,
    code: Option<&String>,
) -> Answer {
    let mut record = found(world, region, name)?;
    record.detail.listing.unreadable_environment = code.cloned();
    world.region_mut(region).functions.insert(name.clone(), record);
    Ok(Written::Done)
}

/// A function as Lambda shows it: without an environment that Lambda cannot decrypt.
pub(super) fn shown(listing: &FunctionListing) -> FunctionListing {
    let mut shown = listing.clone();
    if shown.unreadable_environment.is_some() {
        shown.configuration.environment = Environment::default();
    }
    shown
}

/// A foreign deletion of a function and creation of a similar one, which differs in properties that no update changes.
pub(super) fn rebuild(world: &mut World, region: &Region, name: &FunctionName, fixed: Fixed) -> Answer {
    let mut record = idle(world, region, name)?;
    record.detail.listing.fixed.insert(fixed);
    record.detail.listing.last_modified = timestamp(world, name);
    world.region_mut(region).functions.insert(name.clone(), record);
    Ok(Written::Done)
}

pub(super) fn update_code(
    world: &mut World,
    region: &Region,
    name: &FunctionName,
    package: &Package,
    architecture: Architecture,
) -> Answer {
    let mut record = idle(world, region, name)?;
    check_package(package)?;
    package.sha256().clone_into(&mut record.detail.listing.code_sha256);
    record.detail.listing.architecture = architecture;
    begin_update(world, region, record, Attached { created: false, doomed: None });
    Ok(Written::Done)
}

fn begin_update(world: &mut World, region: &Region, mut record: FunctionRecord, attached: Attached) {
    let name = record.detail.listing.name.clone();
    record.detail.listing.last_modified = timestamp(world, &name);
    record.detail.last_update = UpdateStatus::InProgress;
    record.detail.last_update_reason = Some("Updating: The function is being updated.".into());
    record.doomed = attached.doomed;
    let role_arn = record.detail.listing.configuration.role_arn.clone();
    world.region_mut(region).functions.insert(name.clone(), record);
    interfaces::release_unused(world, region, Some(&role_arn));
    let more = if attached.created { world.delays.interfaces_created } else { 0 };
    let delay = world.delays.function_updated.saturating_add(more);
    world.schedule(Transition::FunctionUpdated(region.clone(), name), delay);
}

/// Lambda Developer Guide, "Lambda function states": while a function is pending, "any invocations or other API actions that
/// operate on the function" fail. Here a delete counts as such an action.
pub(super) fn delete(world: &mut World, region: &Region, name: &FunctionName) -> Answer {
    let mut record = found(world, region, name)?;
    match &record.detail.state {
        FunctionState::Pending => return is_in_state(&record.detail.state),
        FunctionState::Deleting => return Ok(Written::Done),
        _ => {}
    }
    record.detail.state = FunctionState::Deleting;
    world.region_mut(region).functions.insert(name.clone(), record);
    world.due.remove(&Transition::FunctionUpdated(region.clone(), name.clone()));
    world.schedule(Transition::FunctionDeleted(region.clone(), name.clone()), world.delays.function_deleted);
    Ok(Written::Done)
}

pub(super) fn tag(world: &mut World, region: &Region, arn: &str, new: &Tags) -> Answer {
    tags::check(new, INVALID)?;
    let functions = &mut world.region_mut(region).functions;
    let Some(record) = functions.values_mut().find(|record| record.detail.listing.arn == arn) else {
        return refuse_with(404, "ResourceNotFoundException", format!("Function not found: {arn}"));
    };
    let mut after = record.detail.tags.clone();
    after.extend(new.clone());
    tags::check(&after, INVALID)?;
    record.detail.tags = after;
    Ok(Written::Done)
}

pub(super) fn become_active(world: &mut World, region: &Region, name: &FunctionName) {
    let Some(record) = world.region_mut(region).functions.get_mut(name) else { return };
    let doomed = record.doomed.take();
    record.detail.state = if doomed.is_none() { FunctionState::Active } else { FunctionState::Failed };
    record.detail.last_update = if doomed.is_none() { UpdateStatus::Successful } else { UpdateStatus::Failed };
    record.detail.state_reason = doomed.clone();
    record.detail.last_update_reason = doomed;
}

pub(super) fn finish_update(world: &mut World, region: &Region, name: &FunctionName) {
    let Some(record) = world.region_mut(region).functions.get_mut(name) else { return };
    let doomed = record.doomed.take();
    record.detail.last_update = if doomed.is_none() { UpdateStatus::Successful } else { UpdateStatus::Failed };
    record.detail.last_update_reason = doomed;
}

pub(super) fn be_gone(world: &mut World, region: &Region, name: &FunctionName) {
    let Some(record) = world.region_mut(region).functions.remove(name) else { return };
    interfaces::release_unused(world, region, Some(&record.detail.listing.configuration.role_arn));
}

pub(super) fn found(world: &mut World, region: &Region, name: &FunctionName) -> Answer<FunctionRecord> {
    match world.region_mut(region).functions.get(name) {
        Some(record) => Ok(record.clone()),
        None => refuse_with(404, "ResourceNotFoundException", format!("Function not found: {name}")),
    }
}

/// The function, if it accepts an update now: one update at a time, and none while the function is being created or deleted, or
/// has failed.
fn idle(world: &mut World, region: &Region, name: &FunctionName) -> Answer<FunctionRecord> {
    let record = found(world, region, name)?;
    match (&record.detail.state, &record.detail.last_update) {
        (FunctionState::Active | FunctionState::Inactive, UpdateStatus::InProgress) => refuse_with(
            409,
            "ResourceConflictException",
            format!("The operation cannot be performed at this time. An update is in progress for resource: {name}"),
        ),
        (FunctionState::Active | FunctionState::Inactive, _) => Ok(record),
        (state, _) => is_in_state(state),
    }
}

fn is_in_state<T>(state: &FunctionState) -> Answer<T> {
    refuse_with(
        409,
        "ResourceConflictException",
        format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {}",
            state.as_str()
        ),
    )
}

/// Different for every change of a function, as Lambda's time stamps are.
fn timestamp(world: &mut World, name: &FunctionName) -> String {
    let (second, change) = (world.now, world.count(format!("function {name}")));
    format!("{second}.{change:06}")
}
