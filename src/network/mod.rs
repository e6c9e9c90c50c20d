//! The private path inside one VPC: what the apps there demand, what there is, what to do about it.

pub mod controller;
pub mod decide;
mod desired;
#[cfg(test)]
mod fixtures;
mod handed_over_roles;
mod interfaces;
mod observe;
mod observed;
pub mod ownership;
mod placement;
mod plan;
mod policy_capacity;
mod status;
mod users;

pub use crate::aws::Service;
pub use desired::{Demand, Desired};
pub use handed_over_roles::{OtherFunctions, can_be_deleted, depend_on_other_functions, interfaces_that_need};
pub use interfaces::{Interfaces, group_in_use, held_by_lambda, interfaces_of_functions, left_behind};
pub use observe::observe;
pub use observed::Observed;
pub use ownership::VpcOwnership;
pub use placement::{PlacementRefusal, check_subnets};
pub use plan::{plan, teardown};
pub use policy_capacity::{APP_SHARE_MAX, AdmittedDemands, CapacityRefusal, PolicyCapacity, Requester};
pub use status::status;
