//! The objects: each is deleted when its resources are gone, or are tagged as retained. Apps before networks.

use std::collections::BTreeMap;

use super::{
    Memory, Plan, PlanInput, Unit,
    apps::{App, RetainedApps},
    networks::State,
};
use crate::{
    api::{condition::Message, network::NetworkKey},
    plan::listed,
    uninstall::{Kind, ObjectFacts},
};

/// A write about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectStep {
    /// Delete the object. An object with our finalizer stays until its release.
    Delete(ObjectFacts),
    /// Release the object: remove the operator's finalizer.
    Release(ObjectFacts),
}

/// The progress of the removal of an object's resources.
enum Removed {
    /// Nothing in AWS holds the object.
    Completely,
    /// A resource in AWS is still to be removed or to be tagged.
    NotYet,
    /// The object stays until a person acts, for this reason.
    Never(String),
}

pub(super) fn plan(
    apps: &[App<'_>],
    retained: &RetainedApps,
    networks: &BTreeMap<NetworkKey, State>,
    input: &PlanInput<'_>,
    plan: &mut Plan,
) {
    let PlanInput { objects, memory, .. } = input;
    let Some(first) = objects.iter().map(|object| object.kind).min() else { return };
    for object in objects.iter().filter(|object| object.kind == first) {
        let removed = match object.kind {
            Kind::App => of_app(object, apps, retained, memory),
            Kind::Network => of_network(object, networks, &plan.units),
        };
        match (removed, object.deleting, object.held) {
            (Removed::Never(problem), ..) => plan.object_problems.push(problem.into()),
            // While an object is held and is being deleted, an operator that starts now builds nothing for the object.
            (_, false, true) | (Removed::Completely, false, false) => {
                plan.objects.push(ObjectStep::Delete(object.clone()));
            }
            (Removed::Completely, true, true) => plan.objects.push(ObjectStep::Release(object.clone())),
            (Removed::NotYet, ..) => {}
            (Removed::Completely, true, false) => plan.object_problems.push(Message::from(format!(
                "The {object} is being deleted, and finalizers of others hold it: {}. Remove the cause of each finalizer.",
                listed(&object.finalizers)
            ))),
        }
    }
}

fn of_app(object: &ObjectFacts, apps: &[App<'_>], retained: &RetainedApps, memory: &Memory) -> Removed {
    let mut mine = apps.iter().filter(|app| app.is_of(object)).peekable();
    if !object.retained {
        // The object does not take along what an earlier app of the same name, in another VPC, retained.
        let is_left = mine.any(|app| !retained.names.contains(&app.name));
        return if is_left { Removed::NotYet } else { Removed::Completely };
    }
    if mine.peek().is_none() {
        // AWS may show a role late that an operator created a moment ago. Without the tag, the role would be removed.
        return if memory.settled { Removed::Completely } else { Removed::NotYet };
    }
    let without_role: Vec<String> =
        mine.clone().filter(|app| app.role.is_none()).map(|app| app.name.to_string()).collect();
    if !without_role.is_empty() {
        return Removed::Never(format!(
            "The {object} is to be retained, but its role {} is gone, and only the role's tags can retain the app in AWS.",
            listed(without_role)
        ));
    }
    if mine.all(App::is_tagged_as_retained) { Removed::Completely } else { Removed::NotYet }
}

fn of_network(object: &ObjectFacts, networks: &BTreeMap<NetworkKey, State>, units: &[Unit]) -> Removed {
    let state = match &object.network {
        Some(key) => networks.get(key).copied(),
        None if object.retained => {
            return Removed::Never(format!(
                "The {object} is to be retained, and its VPC cannot be read: set spec.vpcId and spec.region, or set \
                 spec.deletionPolicy to Delete."
            ));
        }
        // The object's network is unknown: any network that is left may be this one.
        None => (!units.is_empty()).then_some(State::Left),
    };
    match state {
        Some(State::Left) => Removed::NotYet,
        Some(State::Stays) | None => Removed::Completely,
    }
}
