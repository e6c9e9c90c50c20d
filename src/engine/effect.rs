//! Effects as values: what a decision about an object asks for besides calls to AWS. One shell carries out the effects
//! ([`carry_out`](super::carry_out())); the model checker interprets the same effects in its own world.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Resource,
    core::{ObjectMeta, object::HasStatus},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    AttemptCounts, Context, DetailRead, LastWritten, NewEvent, Pace, Released, SettledParts, drift::Repair,
    events::events_of_pass, gauges::became_ready,
};
use crate::{
    api::{
        AppName, ObjectKind, PrivateGenAIApp, PrivateGenAIAppStatus, PrivateGenAINetwork, PrivateGenAINetworkStatus,
        condition::Leg, network::NetworkKey,
    },
    aws::{DriftKind, Write},
};

/// One of the two kinds, as the engine needs it.
pub trait Kind:
    Resource<DynamicType = ()> + HasStatus<Status: ObjectStatus> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// The kind.
    const KIND: ObjectKind;

    /// The objects of the kind as the operator's own last writes left them.
    fn last_written(ctx: &Context) -> &LastWritten<Self>;
}

impl Kind for PrivateGenAIApp {
    const KIND: ObjectKind = ObjectKind::App;

    fn last_written(ctx: &Context) -> &LastWritten<Self> {
        &ctx.written_apps
    }
}

impl Kind for PrivateGenAINetwork {
    const KIND: ObjectKind = ObjectKind::Network;

    fn last_written(ctx: &Context) -> &LastWritten<Self> {
        &ctx.written_networks
    }
}

/// The status of one of the two kinds.
pub trait ObjectStatus: Serialize + Clone + PartialEq + Send + Sync {
    /// The conditions.
    fn conditions(&self) -> &[Condition];

    /// The same status with its lists in one order.
    #[must_use]
    fn in_order(self) -> Self;
}

impl ObjectStatus for PrivateGenAIAppStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn in_order(self) -> Self {
        self.sorted()
    }
}

impl ObjectStatus for PrivateGenAINetworkStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn in_order(self) -> Self {
        self.sorted()
    }
}

/// One effect on the object of a reconcile, on another object, or on what the operator remembers. `S` is the status of the
/// object's kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<S> {
    /// Adds the finalizer, where the object does not have the finalizer.
    Hold,
    /// Removes the finalizer, where the object has the finalizer.
    Release,
    /// Deletes the object.
    Delete,
    /// Creates an implicit network. A lasting refusal of the Kubernetes API is an answer and no error.
    CreateNetwork {
        /// The name of the network.
        name: String,
        /// The VPC of the network.
        key: NetworkKey,
    },
    /// Writes the status.
    WriteStatus(Box<S>),
    /// Shows conditions on an object that cannot be decoded. The rest of its status stays.
    ShowConditions(Vec<Leg>),
    /// Publishes an Event.
    Publish(NewEvent),
    /// Observes the time that an object took to become ready.
    MeasureReady(Duration),
    /// Counts a repair of drift.
    CountRepair(DriftKind),
    /// Counts an observation of all that belongs to the object in AWS.
    CountObservation(ObservationResult),
    /// Records which desired resources all exist.
    Settle(SettledParts),
    /// Requests to read the details of an app in the next pass.
    RequestDetail(AppName, DetailRead),
    /// Includes the VPC of a network in what is read of AWS.
    IncludeVpc(NetworkKey),
    /// Leaves the VPC of a network out of what is read of AWS.
    ExcludeVpc(NetworkKey),
    /// Watches a place for late writes.
    WatchLateWrites(Released),
    /// Watches a place for late writes no longer.
    IgnoreLateWrites(Released),
}

/// Whether an observation of AWS was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationResult {
    /// The observation was complete.
    Complete,
    /// A part could not be read. The next attempt has this pace.
    Missed(Pace),
}

/// The end of a reconcile.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<S> {
    /// The effects, in order. An effect that fails ends the reconcile: the effects after it are not carried out.
    pub effects: Vec<Effect<S>>,
    /// The next reconcile.
    pub requeue: Requeue,
}

impl<S> Decision<S> {
    /// A decision with these effects, after which only a change or the resync wakes the object.
    pub fn rest(effects: Vec<Effect<S>>) -> Self {
        Self { effects, requeue: Pace::Rest.into() }
    }
}

/// The time of the next reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// How soon the object needs a reconcile.
    pub pace: Pace,
    /// The time until the next probe, for an object at rest.
    pub probe: Option<Duration>,
}

impl From<Pace> for Requeue {
    fn from(pace: Pace) -> Self {
        Self { pace, probe: None }
    }
}

/// What a decision may know besides the object, the index and AWS.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The time that conditions show.
    pub now: Timestamp,
    /// The observations since the last complete one.
    pub observations: AttemptCounts,
    /// The desired resources that all existed at the end of the last pass that found them so.
    pub settled: SettledParts,
}

/// Writes the status, where the new status differs.
pub fn write_status<S: ObjectStatus>(before: Option<&S>, after: &S) -> Option<Effect<S>> {
    let same = before.cloned().map(S::in_order) == Some(after.clone().in_order());
    (!same).then(|| Effect::WriteStatus(Box::new(after.clone())))
}

/// Writes the status where the new status differs, and then tells what is new: Events and metrics.
pub fn report<S: ObjectStatus>(
    meta: &ObjectMeta,
    before: Option<&S>,
    after: &S,
    changes: &[Write],
    repairs: &[Repair],
    now: Timestamp,
) -> Vec<Effect<S>> {
    let (old, new) = (before.map_or(&[][..], S::conditions), after.conditions());
    let ready = became_ready(meta.creation_timestamp.as_ref(), old, new, now);
    let repaired = repairs.iter().flat_map(|repair| &repair.kinds).copied();
    write_status(before, after)
        .into_iter()
        .chain(ready.map(Effect::MeasureReady))
        .chain(events_of_pass(old, new, changes, repairs).into_iter().map(Effect::Publish))
        .chain(repaired.map(Effect::CountRepair))
        .collect()
}
