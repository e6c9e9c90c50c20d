//! The services of AWS that the operator calls. Of each: the table of its operations, and its changes with their descriptions.

pub(super) mod ec2;
pub(super) mod iam;
pub(super) mod lambda;
pub(super) mod logs;
pub(super) mod sts;

pub use ec2::{Ec2Write, EndpointChange, NewVpcEndpoint};
pub use iam::IamWrite;
pub use lambda::{LambdaWrite, NewFunction, Package};
pub use logs::LogsWrite;
