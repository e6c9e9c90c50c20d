//! The private path inside one VPC: what the apps there demand, what there is, what to do about it.

mod acceptance;
pub mod controller;
pub mod decide;
mod desired;
#[cfg(test)]
mod fixtures;
mod lingering;
mod observed;
mod plan;
mod preflight;
mod room;
mod status;
mod users;
pub mod whose;

pub use acceptance::{accepted, implicit_name, is_implicit};
pub use desired::{Demand, Desired, Service};
pub use lingering::{
    Available, Interfaces, Remaining, depend_on_functions, is_needed_no_more, keeps, left_behind, of_functions,
    of_lambda, released_by,
};
pub use observed::Observed;
pub use plan::{Hints, plan, teardown};
pub use preflight::{Refusal, check_subnets};
pub use room::{APP_ROOM_MAX, Admitted, NoRoom, Room, Turn};
pub use status::status;
pub use whose::Claim;
