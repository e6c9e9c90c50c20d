//! `run`: the operator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::{ArgAction, Args};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Failure,
    flags::{GovernanceFlags, GuardFlags, LeaseFlags, LogFormat},
    stop_on_signal,
};
use crate::{
    aws::{
        Aws, Region,
        pacing::{Pacer, Share},
        sdk::{CallRecord, SdkAws},
    },
    engine,
    identity::{InstallationId, OwnerMark},
    leadership::{CandidateState, Leadership},
    metrics::Metrics,
    operator, server,
    settings::Settings,
    telemetry,
};

#[derive(Args, Debug)]
pub struct Run {
    /// Whose resources these are, in tags, names and role paths: 1 to 32 lower-case letters, digits and inner hyphens.
    ///
    /// Choose it once, and another one for each cluster of an account: the operator does nothing for objects that were built
    /// with another id, and changes nothing in a VPC where another cluster uses this one. A cluster that is built anew takes over
    /// by take-over.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    #[command(flatten)]
    pub(super) guards: GuardFlags,

    #[command(flatten)]
    pub(super) governance: GovernanceFlags,

    /// How often AWS is looked at although nothing happened, in seconds, 10 to 86400.
    #[arg(long, env = "PGAI_RESYNC_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    resync_seconds: u64,

    /// How many objects of each kind are worked on at once, 1 to 1000.
    #[arg(long, env = "PGAI_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// Which share of the rates that AWS publishes for the account is taken at most, in percent, 1 to 100. Whoever else calls
    /// AWS from the account has the rest.
    #[arg(long, env = "PGAI_AWS_RATE_PERCENT", default_value_t = Share::ALL)]
    pub(super) aws_rate_percent: Share,

    /// Where `/healthz`, `/readyz` and `/metrics` are served. Port 0 takes a free one, which the log tells.
    #[arg(long, env = "PGAI_LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,

    /// Act only while holding a Lease, so that of several replicas one acts. Without it, run one.
    #[arg(long, env = "PGAI_LEADER_ELECT", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    leader_elect: bool,

    #[command(flatten)]
    lease: LeaseFlags,

    /// The form of the log on standard error.
    #[arg(long, env = "PGAI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,

    /// What is logged, as `tracing` directives, such as `info` or `private_genai_operator=debug`.
    #[arg(long, env = "PGAI_LOG", default_value = "info")]
    log: String,
}

impl Run {
    pub async fn execute(self) -> Result<(), Failure> {
        telemetry::start(&self.log, self.log_format.into())?;
        let (ready, stop) = (Arc::<server::Readiness>::default(), CancellationToken::new());
        let metrics = Arc::new(Metrics::default());
        let listener =
            server::listen(self.listen).await.map_err(|source| Failure::Listen { address: self.listen, source })?;
        let address = listener.local_addr().unwrap_or(self.listen);
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), installation = %self.installation_id, "started");
        let server = tokio::spawn(server::serve(listener, Arc::clone(&metrics), Arc::clone(&ready), stop.clone()));
        tokio::spawn(stop_on_signal(stop.clone())?);

        let client = kube::Client::try_default().await?;
        let counted = Arc::clone(&metrics);
        let count = move |call: &CallRecord| {
            counted.aws_called(call.service, call.operation, &call.code, call.duration);
            if call.throttled {
                counted.aws_throttled(call.service, call.operation);
            }
        };
        let counted = Arc::clone(&metrics);
        let pacer = Pacer::new(self.aws_rate_percent, Arc::new(move |held| counted.aws_held_back(held)));
        let aws = SdkAws::load(&self.region, Arc::new(count)).await.paced_by(Arc::new(pacer));
        let Some(owner) = which_cluster(&client, &stop).await? else {
            return Ok(());
        };
        let (regions, implicit_networks) = self.guards.of_operator_in(&self.region);
        let settings = Settings {
            installation: self.installation_id,
            owner,
            region: self.region,
            regions,
            implicit_networks,
            resync: Duration::from_secs(self.resync_seconds),
            concurrency: self.concurrency,
            governance: self.governance.governance(),
            clock: Timestamp::now,
        };
        let aws: Arc<dyn Aws> = Arc::new(aws);
        let work = async |leadership: Leadership, stop: CancellationToken| {
            let (client, aws, settings) = (client.clone(), Arc::clone(&aws), settings.clone());
            operator::run(client, aws, settings, Arc::clone(&metrics), leadership, ready.clone(), stop).await;
        };
        if self.leader_elect {
            let (sender, states) = watch::channel(CandidateState::default());
            tokio::spawn(report_state(states, Arc::clone(&metrics), ready.clone()));
            self.lease.election(&client).campaign(&sender, &stop, work).await;
        } else {
            metrics.leads(true);
            work(Leadership::always(), stop.clone()).await;
        }
        tracing::info!("stopped: nothing is under way any more");
        stop.cancel();
        if let Err(error) = server.await {
            tracing::warn!(%error, "the server for metrics did not end in order");
        }
        Ok(())
    }
}

/// The pause between two attempts to read which cluster this is.
const CLUSTER_RETRY: Duration = Duration::from_secs(2);

/// Which cluster this is. An API server that is out of reach or busy is asked again. `None` when a signal came before the answer.
async fn which_cluster(client: &kube::Client, stop: &CancellationToken) -> Result<Option<OwnerMark>, Failure> {
    let client = engine::with_timeout(client);
    loop {
        let Some(answer) = stop.run_until_cancelled(engine::owner_mark(&client)).await else {
            return Ok(None);
        };
        match answer {
            Ok(owner) => return Ok(Some(owner)),
            Err(unknown) if unknown.passes() => {
                tracing::warn!(%unknown, "the API server did not say which cluster this is: it is asked again");
            }
            Err(unknown) => return Err(unknown.into()),
        }
        if stop.run_until_cancelled(tokio::time::sleep(CLUSTER_RETRY)).await.is_none() {
            return Ok(None);
        }
    }
}

/// Reports the state of this replica to metrics and readiness. A standby is ready: it has seen the Lease, and has nothing more to do.
/// So a rolling update goes on, although the new replica does not lead before the old one has ended.
async fn report_state(
    mut states: watch::Receiver<CandidateState>,
    metrics: Arc<Metrics>,
    ready: Arc<server::Readiness>,
) {
    loop {
        let now = states.borrow_and_update().clone();
        metrics.leads(now == CandidateState::Leader);
        match now {
            CandidateState::Standby { .. } => ready.set_standby(),
            CandidateState::Unknown | CandidateState::Leader => {}
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}
