//! `take-over`: this cluster takes over the networks of a cluster that is gone.

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

/// Gives the security groups of a cluster that is gone this cluster's mark.
#[derive(Args, Debug)]
pub struct TakeOver {
    /// The installation id of the cluster that is gone, which this cluster's operator has too.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none, as the operator has it.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// A further region to read; can be repeated. The regions of the objects here and of the installation's roles are always
    /// read.
    #[arg(long = "also-region")]
    also_regions: Vec<Region>,

    /// The owner mark of the cluster that is gone, from the message of the reason InstallationInUse.
    #[arg(long)]
    from: OwnerMark,

    /// Make the changes. Without this flag, the command only lists them and ends with status 2.
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
    /// The reason why the take-over is not complete.
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
