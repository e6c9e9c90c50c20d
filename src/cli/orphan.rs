//! `orphan`: uninstall without touching AWS.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    flags::{HoldLeaseFlags, LogFlags},
    say,
};
use crate::{engine::with_timeout, identity::InstallationId, uninstall::orphan};

/// Releases the objects, and leaves AWS unchanged.
#[derive(Args, Debug)]
pub struct Orphan {
    /// The operator's installation id. An operator with the same id can take the resources over again.
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
    /// An operator runs or may run, or an object could not be released.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let client = with_timeout(&kube::Client::try_default().await?);
        let (election, wait) = self.hold.election(&client);
        Ok(orphan(client, election, &self.installation_id, wait, stop, &say).await?)
    }
}
