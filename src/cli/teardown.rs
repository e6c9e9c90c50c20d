//! `teardown`: uninstall with everything.

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

/// Removes everything, objects and AWS.
#[derive(Args, Debug)]
pub struct Teardown {
    /// Whose resources these are: what the operator was given.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none: what the operator was given.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// A further region to look at; can be repeated. Those that objects name, and that roles are tagged with, are looked at anyway.
    #[arg(long)]
    also_region: Vec<Region>,

    // The policies of a role are deleted under the permissions boundary only.
    #[command(flatten)]
    governance: GovernanceFlags,

    /// Do it. Without this, what would be deleted is told, and the status is 2.
    #[arg(long)]
    yes: bool,

    /// The cluster is gone: remove what is in AWS by tag alone, without a Kubernetes API. Make sure that no operator runs.
    #[arg(long)]
    without_cluster: bool,

    /// The mark of the cluster whose resources are to go: what the tag privategenai.dev/owner of its security groups says. Needed
    /// without a cluster where there are marks; with one, it is that cluster's, and others' networks are left alone.
    #[arg(long)]
    owner: Option<OwnerMark>,

    #[command(flatten)]
    hold: HoldLeaseFlags,

    #[command(flatten)]
    log: LogFlags,
}

impl Teardown {
    /// Removes everything.
    ///
    /// # Errors
    /// When not everything is gone, and why.
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
