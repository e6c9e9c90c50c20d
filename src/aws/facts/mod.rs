//! AWS's answers as plain data: no SDK type, no float, ordered and hashable, so that the in-memory AWS, the simulator and the
//! model checker can keep them in their states.

mod endpoint;
mod function;
mod interface;
mod log_group;
mod role;
mod security_group;
mod vpc;

pub use endpoint::{AddressFamilies, EndpointService, EndpointState, VpcEndpoint};
pub use function::{
    Architecture, Attachment, Environment, Fixed, FunctionConfiguration, FunctionDetail, FunctionListing,
    FunctionState, Setting, UpdateStatus,
};
pub use interface::{InterfaceHolder, InterfaceState, NetworkInterface};
pub use log_group::LogGroup;
pub use role::{PolicyDocument, Role, RoleListing};
pub use security_group::{Peer, Protocol, Rule, SecurityGroup};
pub use vpc::{RouteTable, RouteTarget, Subnet, Tenancy, Vpc, VpcDns, VpcListing};
