//! Where rows are.

use super::{AccountId, Partition, Region};

/// An account in a partition, and one of the partition's regions: what is in one scope has nothing to do with what is in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The account; `None` for that of the operator's own credentials, which is the only one for now.
    pub account: Option<AccountId>,
    /// The region, which tells the partition.
    pub region: Region,
}

impl Scope {
    /// A region of the operator's own account.
    pub fn own(region: &Region) -> Self {
        Self { account: None, region: region.clone() }
    }

    /// The partition.
    pub fn partition(&self) -> Partition {
        self.region.partition()
    }
}
