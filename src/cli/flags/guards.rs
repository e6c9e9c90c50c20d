//! The flags that limit apps.

use clap::Args;

use crate::{
    aws::{Region, VpcId},
    guard::{Allow, Globs, ImplicitNetworks, Namespace},
    policy::ModelId,
};

/// The limits of apps.
#[derive(Args, Debug)]
pub struct GuardFlags {
    /// The regions in which apps and networks may be, as globs separated by commas, such as `us-east-1,eu-*`. By default, or when
    /// empty, only the operator's own region. In other regions the operator creates nothing and does not call AWS.
    #[arg(long, env = "PGAI_REGIONS")]
    regions: Vec<Globs<Region>>,

    /// The VPCs that apps may name, as globs separated by commas, such as `vpc-0abc1234,vpc-0def*`. By default, or when empty,
    /// none: every app is refused.
    #[arg(long = "implicit-network-vpc-ids", env = "PGAI_IMPLICIT_NETWORK_VPC_IDS")]
    vpc_ids: Vec<Globs<VpcId>>,

    #[command(flatten)]
    allow: AllowFlags,
}

impl GuardFlags {
    /// The regions in which apps and networks may be, for an operator in the region `home`, and the limits of apps there.
    pub fn of_operator_in(self, home: &Region) -> (Globs<Region>, ImplicitNetworks) {
        let named: Globs<Region> = self.regions.into_iter().collect();
        let regions = if named.is_empty() { Globs::only(home) } else { named };
        (regions, ImplicitNetworks { vpcs: self.vpc_ids.into_iter().collect(), allow: self.allow.into() })
    }
}

/// [`Allow`] on the command line.
#[derive(Args, Debug)]
pub struct AllowFlags {
    /// The namespaces in which apps may be, as globs separated by commas, such as `prod,team-*`. All by default; none when empty.
    #[arg(
        long = "implicit-network-allow-namespaces",
        env = "PGAI_IMPLICIT_NETWORK_ALLOW_NAMESPACES",
        default_value = "*"
    )]
    allow_namespaces: Vec<Globs<Namespace>>,

    /// The models that apps may call, as globs separated by commas, such as `amazon.nova-*`. All by default; none when empty.
    #[arg(long = "implicit-network-allow-models", env = "PGAI_IMPLICIT_NETWORK_ALLOW_MODELS", default_value = "*")]
    allow_models: Vec<Globs<ModelId>>,
}

impl From<AllowFlags> for Allow {
    fn from(flags: AllowFlags) -> Self {
        Self {
            namespaces: flags.allow_namespaces.into_iter().collect(),
            models: flags.allow_models.into_iter().collect(),
        }
    }
}
