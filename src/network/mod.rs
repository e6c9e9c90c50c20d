//! The private path inside one VPC. Its resources are rooms, in the order of building; they are deleted in the reverse order:
//!
//! 1. the [`placement`] in the VPC, which has nothing to delete;
//! 2. the two [`security_groups`], which stand on the placement;
//! 3. the [`endpoints`], which stand on the security groups, and each on its own placement.
//!
//! [`handed_over_roles`] is a room that is never built: it only goes, after the endpoints and before the security groups.
//! [`ownership`] says whose the network is, before anything is written.

mod acceptance;
pub mod controller;
pub mod decide;
mod desired;
mod endpoints;
#[cfg(test)]
pub(crate) mod fixtures;
mod handed_over_roles;
mod interfaces;
pub mod late_writes;
mod observe;
mod observed;
pub mod ownership;
mod placement;
mod policy_capacity;
pub mod reconcile;
mod security_groups;
mod status;
#[cfg(test)]
mod tests;
mod undecodable;
mod users;

use crate::{
    api::condition::ConditionType,
    aws::{Ec2Write, Tags},
    engine::EndpointHistory,
    governance::Governance,
    identity::missing_tags,
    plan::{Creation, Plan, Remains, Source, build, tear_down},
};

pub use crate::aws::Service;
pub use acceptance::{Acceptance, acceptance, not_allowed};
pub use desired::{Demand, Desired};
pub use handed_over_roles::{
    OtherFunctions, can_be_deleted, depend_on_other_functions, functions_of, interfaces_that_need,
};
pub use interfaces::{Interfaces, group_in_use, held_by_lambda, interfaces_of_functions, left_behind};
pub use observe::observe;
pub use observed::Observed;
pub use ownership::VpcOwnership;
pub use placement::{PlacementRefusal, check_subnets};
pub use policy_capacity::{APP_SHARE_MAX, AdmittedDemands, CapacityRefusal, PolicyCapacity, Requester};
pub use reconcile::NetworkReconcile;
use status::status;

/// The rooms of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Placement,
    SecurityGroups,
    Endpoints,
}

impl crate::plan::Room for Room {
    const ALL: &'static [Self] = &[Self::Placement, Self::SecurityGroups, Self::Endpoints];

    fn stands_on(self) -> &'static [Self] {
        match self {
            Self::Placement => &[],
            Self::SecurityGroups => &[Self::Placement],
            Self::Endpoints => &[Self::SecurityGroups],
        }
    }
}

/// Plans a network that is demanded.
///
/// # Guarantees
/// - An endpoint is created only on groups that have exactly their rules, so no step opens another way.
/// - Existing resources are kept exact, and foreign changes are removed, although the placement is refused or something cannot be
///   read.
/// - Tags come last.
pub fn plan(desired: &Desired, observed: &Observed, history: &EndpointHistory) -> Plan {
    let mut plan = Plan::default();
    build(Creation::Allowed, |room, creation| match room {
        Room::Placement => placement::plan(desired, observed, &mut plan),
        Room::SecurityGroups => security_groups::plan(desired, observed, creation, &mut plan),
        Room::Endpoints => endpoints::plan(desired, observed, history, creation, &mut plan),
    });
    handed_over_roles::plan(observed, &desired.governance, &mut plan);
    plan.order_tags_last();
    plan
}

/// Plans the end of a network that nobody demands.
///
/// # Guarantees
/// - A network that is gone has neither steps nor legs. An incomplete observation never looks like that.
/// - A source that cannot be read holds up only the deletion of what stands on it.
pub fn teardown(observed: &Observed, governance: &Governance) -> Plan {
    let mut plan = Plan::default();
    tear_down(|room, above| match room {
        Room::Endpoints => endpoints::tear_down(observed, &mut plan),
        Room::SecurityGroups => security_groups::tear_down(observed, governance, above, &mut plan),
        Room::Placement => {
            plan.unread(ConditionType::VpcReady, observed.unread.of(Source::Topology));
            Remains::Nothing
        }
    });
    plan
}

/// Restores tags that somebody removed or changed. A resource without the installation's tag is not found in the first place.
fn restore_tags(leg: ConditionType, resource: &str, wanted: &Tags, found: &Tags, plan: &mut Plan) {
    let tags = missing_tags(wanted, found);
    if !tags.is_empty() {
        plan.step(leg, Ec2Write::CreateTags { resource: resource.to_owned(), tags });
    }
}
