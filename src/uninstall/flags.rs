//! The two subcommands on the command line.

use std::{io::Write as _, sync::Arc, time::Duration};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Cluster, Failure, Lacking, Order, Waiting, orphan, teardown};
use crate::{
    aws::{
        Region,
        pacing::{Pacer, Share},
        sdk::SdkAws,
    },
    cli::LogFormat,
    engine::{owner_mark, with_timeout},
    governance::GovernanceFlags,
    identity::{InstallationId, OwnerMark},
    leadership::LeaseFlags,
    telemetry,
};

/// How the Lease of the operator is waited for.
#[derive(Args, Debug)]
pub struct WaitingFlags {
    /// How long an operator that holds the Lease is waited for, in seconds. One that was killed holds it for a minute.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// Go on although there is no Lease, because you have made sure that no operator runs.
    #[arg(long)]
    no_lease: bool,
}

impl WaitingFlags {
    /// What they say.
    pub fn waiting(&self) -> Waiting {
        let lacking = if self.no_lease { Lacking::Accepted } else { Lacking::Refused };
        Waiting { timeout: Duration::from_secs(self.timeout), lacking }
    }
}

/// How the log is written; what is for people goes to standard output.
#[derive(Args, Debug)]
pub struct Log {
    /// The form of the log on standard error.
    #[arg(long, env = "PGAI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// What is logged, as `tracing` directives, such as `info` or `private_genai_operator=debug`.
    #[arg(long, env = "PGAI_LOG", default_value = "warn")]
    log: String,
}

impl Log {
    /// Begins to log.
    ///
    /// # Errors
    /// When the directives are not such.
    pub fn start(&self) -> Result<(), Failure> {
        Ok(telemetry::start(&self.log, self.log_format)?)
    }
}

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
    waiting: WaitingFlags,

    #[command(flatten)]
    lease: LeaseFlags,

    #[command(flatten)]
    log: Log,
}

/// Lets the objects go, and leaves AWS as it is.
#[derive(Args, Debug)]
pub struct Orphan {
    /// Whose resources these are: what the operator was given, and is to be given again to take them over.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    #[command(flatten)]
    waiting: WaitingFlags,

    #[command(flatten)]
    lease: LeaseFlags,

    #[command(flatten)]
    log: Log,
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

impl Teardown {
    /// Does it.
    ///
    /// # Errors
    /// When not all is gone, and why.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let order = Order {
            installation: self.installation_id,
            home: self.region.clone(),
            regions: self.also_region.into_iter().collect(),
            owner: self.owner,
            governance: self.governance.governance(),
            confirmed: self.yes,
        };
        let cluster = if self.without_cluster {
            None
        } else {
            let client = with_timeout(&kube::Client::try_default().await?);
            let owner = owner_mark(&client).await?;
            let (election, waiting) = (self.lease.election(&client), self.waiting.waiting());
            Some(Cluster { client, owner, election, waiting })
        };
        let pacer = Pacer::new(Share::ALL, Arc::new(|_| ()));
        let aws = SdkAws::load(&self.region, Arc::new(|_| ())).await.paced_by(Arc::new(pacer));
        Box::pin(teardown(cluster, Arc::new(aws), order, stop, |line| say(&line))).await
    }
}

impl Orphan {
    /// Does it.
    ///
    /// # Errors
    /// When an operator runs, or may, or not all objects could be let go.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let client = with_timeout(&kube::Client::try_default().await?);
        let election = self.lease.election(&client);
        orphan(client, election, &self.installation_id, self.waiting.waiting(), stop, |line| say(&line)).await
    }
}
