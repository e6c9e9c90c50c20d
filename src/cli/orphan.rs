//! `orphan`: uninstall without touching AWS.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    flags::{HoldLeaseFlags, LogFlags},
    say,
};
use crate::{engine::with_timeout, identity::InstallationId, uninstall::orphan};

/// Lets the objects go, and leaves AWS as it is.
#[derive(Args, Debug)]
pub struct Orphan {
    /// Whose resources these are: what the operator was given, and is to be given again to take them over.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    #[command(flatten)]
    hold: HoldLeaseFlags,

    #[command(flatten)]
    log: LogFlags,
}

impl Orphan {
    /// Releases all objects.
    ///
    /// # Errors
    /// When an operator runs or may run, or when an object could not be released.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let client = with_timeout(&kube::Client::try_default().await?);
        let (election, wait) = self.hold.election(&client);
        Ok(orphan(client, election, &self.installation_id, wait, stop, &say).await?)
    }
}
