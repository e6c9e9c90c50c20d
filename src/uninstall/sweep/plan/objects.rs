//! The objects: each goes when what it stands for is gone, or says in AWS that it stays. Apps before networks.

use std::collections::BTreeMap;

use super::{
    Given, Memory, Plan, Unit,
    apps::{App, RetainedApps},
    networks::State,
};
use crate::{
    api::network::NetworkKey,
    plan::listed,
    uninstall::{Item, Kind},
};

/// What to do about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectStep {
    /// Delete it. One that is held stays until it is let go.
    Delete(Item),
    /// Take the operator's finalizer off.
    LetGo(Item),
}

/// How far what an object stands for is.
enum Progress {
    /// Nothing holds the object.
    Over,
    /// Something in AWS is still to go, or to be marked.
    UnderWay,
    /// The object stays until somebody acts.
    Held(String),
}

pub(super) fn plan(
    apps: &[App<'_>],
    kept: &RetainedApps,
    networks: &BTreeMap<NetworkKey, State>,
    given: &Given<'_>,
    plan: &mut Plan,
) {
    let Given { items, memory, .. } = given;
    let Some(first) = items.iter().map(|item| item.kind).min() else { return };
    for item in items.iter().filter(|item| item.kind == first) {
        let progress = match item.kind {
            Kind::App => of_app(item, apps, kept, memory),
            Kind::Network => of_network(item, networks, &plan.units),
        };
        match (progress, item.deleting, item.held) {
            (Progress::Held(problem), ..) => plan.object_problems.push(problem),
            // It is held: while it goes, no operator that comes builds it again.
            (_, false, true) | (Progress::Over, false, false) => plan.objects.push(ObjectStep::Delete(item.clone())),
            (Progress::Over, true, true) => plan.objects.push(ObjectStep::LetGo(item.clone())),
            (Progress::UnderWay, ..) => {}
            (Progress::Over, true, false) => plan.object_problems.push(format!(
                "The {item} is being deleted, and held by finalizers of others: {}. Remove what they stand for.",
                listed(&item.finalizers)
            )),
        }
    }
}

fn of_app(item: &Item, apps: &[App<'_>], kept: &RetainedApps, memory: &Memory) -> Progress {
    let mut mine = apps.iter().filter(|app| app.is_of(item)).peekable();
    if !item.retained {
        // What was retained of an earlier app of the name, in another VPC, is not this one's to take along.
        let is_left = mine.any(|app| !kept.names.contains(&app.name));
        return if is_left { Progress::UnderWay } else { Progress::Over };
    }
    if mine.peek().is_none() {
        // AWS may be late to show a role that an operator created just before: without the tag, it would be removed.
        return if memory.settled { Progress::Over } else { Progress::UnderWay };
    }
    let without_role: Vec<String> =
        mine.clone().filter(|app| app.role.is_none()).map(|app| app.name.to_string()).collect();
    if !without_role.is_empty() {
        return Progress::Held(format!(
            "The {item} is to be retained, but its role {} is gone: see above.",
            listed(without_role)
        ));
    }
    if mine.all(App::is_tagged_as_retained) { Progress::Over } else { Progress::UnderWay }
}

fn of_network(item: &Item, networks: &BTreeMap<NetworkKey, State>, units: &[Unit]) -> Progress {
    let state = match &item.network {
        Some(key) => networks.get(key).copied(),
        None if item.retained => {
            return Progress::Held(format!(
                "The {item} is to be retained, and it cannot be read which VPC it stands for: set spec.vpcId and spec.region, or \
                 set spec.deletionPolicy to Delete."
            ));
        }
        // It stands for a network that is not known: the last one to go may be it.
        None => (!units.is_empty()).then_some(State::Left),
    };
    match state {
        Some(State::Left) => Progress::UnderWay,
        Some(State::Stays) | None => Progress::Over,
    }
}
