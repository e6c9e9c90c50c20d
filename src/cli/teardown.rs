//! `teardown`: uninstall and delete the resources in AWS.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    flags::{GovernanceFlags, HoldLeaseFlags, LogFlags},
    say,
};
use crate::{
    aws::{
        Region,
        pacing::{Pacer, Share},
        sdk::SdkAws,
    },
    engine::{owner_mark, with_timeout},
    identity::{InstallationId, OwnerMark},
    uninstall::{self, Cluster, Consent, TeardownRequest, teardown},
};

/// Deletes the objects, and all resources in AWS.
#[derive(Args, Debug)]
pub struct Teardown {
    /// The operator's installation id.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none, as the operator has it.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// A further region to read; can be repeated. The regions of the objects and of the installation's roles are always read.
    #[arg(long)]
    also_region: Vec<Region>,

    // The policies of a role can be deleted only under the permissions boundary.
    #[command(flatten)]
    governance: GovernanceFlags,

    /// Make the deletions. Without this flag, the command only lists them and ends with status 2.
    #[arg(long)]
    yes: bool,

    /// The cluster is gone: delete the resources in AWS by tag alone, without a Kubernetes API. Make sure that no operator runs.
    #[arg(long)]
    without_cluster: bool,

    /// The owner mark of the cluster whose resources are to be deleted: the value of the tag privategenai.dev/owner of its
    /// security groups. Required with --without-cluster if there are marks. With a cluster, this is the mark of that cluster, and
    /// the networks of other clusters are left alone.
    #[arg(long)]
    owner: Option<OwnerMark>,

    #[command(flatten)]
    hold: HoldLeaseFlags,

    #[command(flatten)]
    log: LogFlags,
}

impl Teardown {
    /// Deletes the objects and the resources.
    ///
    /// # Errors
    /// The reason why something is left.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let request = TeardownRequest {
            installation: self.installation_id,
            home: self.region.clone(),
            regions: self.also_region.into_iter().collect(),
            owner: self.owner,
            governance: self.governance.governance(),
            consent: Consent::of(self.yes),
        };
        let cluster = if self.without_cluster {
            None
        } else {
            let client = with_timeout(&kube::Client::try_default().await?);
            let owner = owner_mark(&client).await.map_err(uninstall::Failure::from)?;
            let (election, wait) = self.hold.election(&client);
            Some(Cluster { client, owner, election, wait })
        };
        let pacer = Pacer::new(Share::ALL, Arc::new(|_| ()));
        let aws = SdkAws::load(&self.region, Arc::new(|_| ())).await.paced_by(Arc::new(pacer));
        Ok(Box::pin(teardown(cluster, Arc::new(aws), request, stop, &say)).await?)
    }
}
