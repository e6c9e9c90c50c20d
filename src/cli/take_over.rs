//! `take-over`: the networks of a cluster that is gone become this cluster's.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    flags::{HoldLeaseFlags, LogFlags},
    say,
};
use crate::{
    aws::{Aws, Region, sdk::SdkAws},
    engine::{owner_mark, with_timeout},
    identity::{InstallationId, OwnerMark},
    takeover::{self, TakeOverRequest, take_over},
    uninstall::Consent,
};

/// Marks the security groups of a cluster that is gone as this cluster's.
#[derive(Args, Debug)]
pub struct TakeOver {
    /// Whose resources these are: what the operator of the cluster that is gone was given, and this cluster's is.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none: what the operator is given.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// A further region to look in. Those that the objects here and the roles of the installation name are looked in anyway.
    #[arg(long = "also-region")]
    also_regions: Vec<Region>,

    /// The owner mark of the cluster that is gone, as the condition InstallationInUse names it.
    #[arg(long)]
    from: OwnerMark,

    /// Do it. Without this, what would be changed is told, and the status is 2.
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    hold: HoldLeaseFlags,

    #[command(flatten)]
    log: LogFlags,
}

impl TakeOver {
    /// Marks the groups.
    ///
    /// # Errors
    /// When not everything is taken over, and why.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let client = with_timeout(&kube::Client::try_default().await?);
        let aws: Arc<dyn Aws> = Arc::new(SdkAws::load(&self.region, Arc::new(|_| ())).await);
        let request = TakeOverRequest {
            installation: self.installation_id,
            ours: owner_mark(&client).await.map_err(takeover::Failure::from)?,
            from: self.from,
            home: self.region,
            also: self.also_regions.into_iter().collect(),
            consent: Consent::of(self.yes),
        };
        let (election, wait) = self.hold.election(&client);
        Ok(take_over(client, aws, &request, election, wait, stop, &say).await?)
    }
}
