//! `iam-policy`: the operator's own IAM policy.

use std::io::Write as _;

use clap::Args;

use super::{Failure, flags::BoundaryFlag, print};
use crate::{
    aws::{AccountId, Region, VpcId},
    guard::Globs,
    identity::InstallationId,
    permissions,
};

#[derive(Args, Debug)]
pub struct IamPolicy {
    /// The operator's installation id.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The operator's region, which has the partition of the ARNs. The policy is valid in all regions of that partition.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// The operator's account.
    #[arg(long)]
    account_id: AccountId,

    /// The VPCs that apps may name, as globs separated by commas, with the value of the operator. IAM reads the globs in the same
    /// way.
    #[arg(long, env = "PGAI_IMPLICIT_NETWORK_VPC_IDS", required = true)]
    implicit_network_vpc_ids: Vec<Globs<VpcId>>,

    #[command(flatten)]
    boundary: BoundaryFlag,
}

impl IamPolicy {
    pub fn execute(self) -> Result<(), Failure> {
        let operator = permissions::Operator {
            installation: self.installation_id,
            partition: self.region.partition(),
            account: self.account_id,
            vpcs: self.implicit_network_vpc_ids.into_iter().collect(),
            boundary: self.boundary.boundary(),
        };
        let document = operator.document();
        if let Some(notice) = permissions::too_long_for_a_managed_policy(&document) {
            // Standard output may go into a file.
            let written = writeln!(std::io::stderr(), "{notice}");
            written.map_err(|source| Failure::Write { path: "standard error".into(), source })?;
        }
        print(&format!("{document:#}\n"))
    }
}
