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
        pacing::{Exploration, Pacer, Share},
        sdk::{CallRecord, SdkAws},
    },
    engine, function,
    identity::{InstallationId, OwnerMark},
    leadership::{CandidateState, Leadership},
    metrics::Metrics,
    operator, server,
    settings::Settings,
    telemetry,
};

#[derive(Args, Debug)]
pub struct Run {
    /// The installation id in tags, names and role paths of all resources: 1 to 32 lower-case letters, digits and inner hyphens.
    ///
    /// Choose the id once, and another one for each cluster of an account: the operator does nothing for objects that were built
    /// with another id, and changes nothing in a VPC where another cluster uses the same id. A rebuilt cluster takes the networks
    /// over by take-over.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    #[command(flatten)]
    pub(super) guards: GuardFlags,

    #[command(flatten)]
    pub(super) governance: GovernanceFlags,

    /// The time between two complete reads of AWS when nothing happens, in seconds, 10 to 86400.
    #[arg(long, env = "PGAI_RESYNC_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    resync_seconds: u64,

    /// The number of objects of each kind that are reconciled at once, 1 to 1000.
    #[arg(long, env = "PGAI_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// The largest share of AWS's rates that the operator takes, in percent, 1 to 100. Other callers in the account have the
    /// rest. The rates are those that AWS publishes for the account; AWS publishes none for IAM, so the rates of IAM are careful
    /// guesses.
    #[arg(long, env = "PGAI_AWS_RATE_PERCENT", default_value_t = Share::ALL)]
    pub(super) aws_rate_percent: Share,

    /// Explore how fast IAM may be called, whose rates AWS does not publish: step by step from 5 to 20 changes and from 10 to 40 reads a
    /// second, or the share of these that `--aws-rate-percent` leaves. A throttled answer ends this for ten minutes.
    #[arg(long, env = "PGAI_EXPLORE_IAM_RATES", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(super) explore_iam_rates: bool,

    /// The address that serves `/healthz`, `/readyz` and `/metrics`. Port 0 takes a free port, which the log shows.
    #[arg(long, env = "PGAI_LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,

    /// Act only while holding a Lease, so that one of several replicas acts. Without the Lease, run one replica only.
    #[arg(long, env = "PGAI_LEADER_ELECT", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    leader_elect: bool,

    #[command(flatten)]
    lease: LeaseFlags,

    /// The form of the log on standard error.
    #[arg(long, env = "PGAI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,

    /// The filter of the log, as `tracing` directives, such as `info` or `private_genai_operator=debug`.
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
        let exploration = if self.explore_iam_rates { Exploration::On } else { Exploration::Off };
        let pacer = Pacer::new(self.aws_rate_percent, Arc::new(move |held| counted.aws_held_back(held)));
        let pacer = pacer.exploring(exploration);
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
            handler: function::built_in()?,
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
        tracing::info!("stopped: all work has ended");
        stop.cancel();
        if let Err(error) = server.await {
            tracing::warn!(%error, "the server of metrics ended with an error");
        }
        Ok(())
    }
}

/// The pause between two attempts to identify the cluster.
const CLUSTER_RETRY: Duration = Duration::from_secs(2);

/// Identifies the cluster. When the API server is busy or out of reach, the operator tries again. `None` when a signal came
/// first.
async fn which_cluster(client: &kube::Client, stop: &CancellationToken) -> Result<Option<OwnerMark>, Failure> {
    let client = engine::with_timeout(client);
    loop {
        let Some(answer) = stop.run_until_cancelled(engine::owner_mark(&client)).await else {
            return Ok(None);
        };
        match answer {
            Ok(owner) => return Ok(Some(owner)),
            Err(unknown) if unknown.passes() => {
                tracing::warn!(%unknown, "the API server did not identify the cluster: the operator tries again");
            }
            Err(unknown) => return Err(unknown.into()),
        }
        if stop.run_until_cancelled(tokio::time::sleep(CLUSTER_RETRY)).await.is_none() {
            return Ok(None);
        }
    }
}

/// Reports the state of this replica to metrics and readiness. A standby that knows the holder of the Lease is ready, so that a
/// rolling update goes on although the new replica leads only after the old one has ended.
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
