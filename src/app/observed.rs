//! The observed state of an app.

use std::collections::BTreeSet;

use super::ObservedLogGroup;
use crate::{
    aws::{BeforeRepair, FunctionDetail, FunctionListing, NetworkInterfaceId, Role},
    network::VpcOwnership,
    plan::Unread,
};

/// The facts about one app, from the shared snapshot, and from `GetFunction` where the listing is not enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observed {
    /// The execution role.
    pub role: Option<Role>,
    /// The unique id of the role that the function was given, if known.
    pub given_role_id: Option<String>,
    /// The log group.
    pub log_group: Option<ObservedLogGroup>,
    /// The function, as listed.
    pub listing: Option<FunctionListing>,
    /// The function with state and tags, where `GetFunction` was needed.
    pub detail: Option<FunctionDetail>,
    /// Read only for an app that goes: the interfaces that Lambda may need the app's role to release. Where the role is gone, only
    /// the interfaces that nobody else would find.
    pub interfaces: BTreeSet<NetworkInterfaceId>,
    /// The cluster that owns the VPC.
    pub ownership: VpcOwnership,
    /// The sources that could not be read. Their facts are empty.
    pub unread: Unread,
}

impl Observed {
    /// The resources before a repair, as Events describe them.
    pub fn found(&self) -> BeforeRepair {
        BeforeRepair {
            function: self.listing.clone(),
            role: self.role.clone(),
            log_group: self.log_group.as_ref().map(|observed| observed.group.clone()),
        }
    }

    /// The role is another principal than the one that the function was given, although it has the same name.
    pub fn has_another_role(&self) -> bool {
        self.role.as_ref().zip(self.given_role_id.as_ref()).is_some_and(|(role, given)| role.id != *given)
    }
}
