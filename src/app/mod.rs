//! One app. Its resources are rooms, in the order of building; they are deleted in the reverse order:
//!
//! 1. the execution role ([`execution_role`]);
//! 2. the log group ([`log_group`]);
//! 3. the function ([`function`]), which stands on both.
//!
//! The [`probe`] of the path comes after them: it invokes the function, and writes nothing. [`retain`] decides about an app that
//! leaves its resources.

pub mod controller;
pub mod decide;
mod deletion;
mod desired;
mod execution_role;
#[cfg(test)]
mod fixtures;
mod function;
mod log_group;
mod network_offer;
mod network_view;
mod observe;
mod observed;
mod probe;
pub mod reconcile;
pub mod removal;
mod retain;
mod status;
#[cfg(test)]
mod tests;

use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{FunctionDetail, LambdaWrite, Tagging, Write},
    governance::Governance,
    identity::{AppIdentity, missing_tags},
    plan::{Plan, Source, build, tear_down},
};

pub use deletion::{AppDeletion, RetainedApp};
pub use desired::Desired;
pub use execution_role::DesiredRole;
pub use function::{AttachmentSource, DesiredFunction};
pub use log_group::ObservedLogGroup;
pub use network_offer::{NetworkOffer, PrivatePath};
pub use network_view::NetworkView;
pub use observe::{observe, observe_remains, observe_retained};
pub use observed::Observed;
pub use probe::{LastProbe, ProbeOutcome, ProbeSubject, Probes};
pub use reconcile::AppReconcile;
pub use removal::check_late_writes;
pub use retain::retain;
pub use status::StatusFacts;

/// The rooms of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    ExecutionRole,
    LogGroup,
    Function,
}

impl crate::plan::Room for Room {
    const ALL: &'static [Self] = &[Self::ExecutionRole, Self::LogGroup, Self::Function];

    fn stands_on(self) -> &'static [Self] {
        match self {
            Self::ExecutionRole => &[],
            // The tags of the role tell where the rest of the app is.
            Self::LogGroup => &[Self::ExecutionRole],
            Self::Function => &[Self::ExecutionRole, Self::LogGroup],
        }
    }
}

/// Plans an app that should exist.
///
/// # Guarantees
/// - One plan creates all of an app on a network that is ready.
/// - Existing resources are kept exact whatever the network offers, and whatever of the app is somebody else's or cannot be read.
/// - Tags come last, and those of the role after those of the function.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    build(desired.creation, |room, creation| match room {
        Room::ExecutionRole => execution_role::plan(desired, observed, creation, &mut plan),
        Room::LogGroup => log_group::plan(desired, observed, creation, &mut plan),
        Room::Function => function::plan(desired, observed, creation, &mut plan),
    });
    // The listed tags of the role say that the function has its tags too.
    let has_tags = |detail: &FunctionDetail| missing_tags(&desired.tags, &detail.tags).is_empty();
    let is_absent = observed.listing.is_none() && !observed.unread.lacks(Source::Functions);
    let is_tagged = is_absent || observed.detail.as_ref().is_some_and(has_tags);
    let gets_tags = plan.steps.iter().any(|step| matches!(step.write, Write::Lambda(LambdaWrite::TagResource { .. })));
    if !is_tagged && !gets_tags {
        plan.steps.retain(|step| step.write.tagging() != Tagging::Role);
    }
    plan.order_tags_last();
    plan
}

/// Plans the end of an app. An app that is gone has neither steps nor legs.
pub fn teardown(identity: &AppIdentity, observed: &Observed, governance: &Governance) -> Plan {
    let mut plan = Plan::default();
    tear_down(|room, above| match room {
        Room::Function => function::tear_down(identity, observed, &mut plan),
        Room::LogGroup => log_group::tear_down(identity, observed, above, &mut plan),
        Room::ExecutionRole => execution_role::tear_down(identity, observed, governance, above, &mut plan),
    });
    plan
}

/// The leg of a resource of somebody else that has the name of an app's resource.
fn not_ours(identity: &AppIdentity, kind: ConditionType, what: &str, name: &str) -> Leg {
    Leg::blocked(
        kind,
        Reason::NameTaken,
        format!(
            "{what} {name} exists and does not carry this installation's tag: remove the resource, or {}.",
            identity.installation.how_to_tag()
        ),
    )
}

/// The description that the AWS console shows. Lambda takes 256 characters, and Kubernetes names can be longer; the tags have the
/// whole names.
fn resource_description(identity: &AppIdentity) -> String {
    let whole = format!("private-genai-operator: PrivateGenAIApp {}/{}", identity.namespace, identity.name);
    whole.chars().take(256).collect()
}
