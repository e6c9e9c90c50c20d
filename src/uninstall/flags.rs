//! The two subcommands on the command line.

use std::{io::Write as _, sync::Arc, time::Duration};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, Lacking, Waiting, orphan, teardown};
use crate::{
    aws::{Aws, Region, sdk::SdkAws},
    cli::LogFormat,
    controller::{Settings, answered, owner_mark},
    governance::GovernanceFlags,
    guard::{AllowFlags, Globs, ImplicitNetworks},
    identity::InstallationId,
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

    #[command(flatten)]
    governance: GovernanceFlags,

    // What is retained may have to be put back first, and then with no more than it might have.
    #[command(flatten)]
    allow: AllowFlags,

    /// Do it. Without this, what would be deleted is told, and the status is 2.
    #[arg(long)]
    yes: bool,

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
        let client = answered(&kube::Client::try_default().await?);
        let aws: Arc<dyn Aws> = Arc::new(SdkAws::load(&self.region, Arc::new(|_| ())).await);
        let settings = Settings {
            installation: self.installation_id,
            owner: owner_mark(&client).await?,
            region: self.region,
            // No app gets anything any more.
            implicit_networks: ImplicitNetworks { vpcs: Globs::none(), allow: self.allow.into() },
            resync: Duration::from_mins(1),
            concurrency: 32,
            governance: self.governance.governance(),
        };
        let election = self.lease.election(&client);
        Box::pin(teardown(client, aws, settings, election, self.yes, stop, |line| say(&line))).await
    }
}

impl Orphan {
    /// Does it.
    ///
    /// # Errors
    /// When an operator runs, or may, or not all objects could be let go.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let client = answered(&kube::Client::try_default().await?);
        let election = self.lease.election(&client);
        orphan(client, election, &self.installation_id, self.waiting.waiting(), stop, |line| say(&line)).await
    }
}
