//! The command line.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    api::crd,
    aws::{
        AccountId, Aws, Region, VpcId,
        pacing::{Pacer, Share},
        sdk::{CallRecord, SdkAws},
    },
    engine::{self, Settings},
    governance::{BoundaryFlag, GovernanceFlags},
    guard::{AllowFlags, Globs, ImplicitNetworks},
    identity::{InstallationId, OwnerMark},
    leadership::{CandidateState, Leadership, LeaseFlags},
    metrics::Metrics,
    permissions, server,
    takeover::{self, TakeOver},
    telemetry,
    uninstall::{self, Orphan, Teardown},
};

/// Keeps the path from applications to Amazon Bedrock private.
///
/// Turns each `PrivateGenAIApp` into security groups, interface VPC endpoints, an execution role and a VPC-attached
/// Lambda function, and keeps them true. Every flag can be given by the environment variable named beside it. AWS
/// credentials come from the default chain (IRSA, EKS Pod Identity, environment, profile); the Kubernetes API from
/// the cluster that the operator runs in, or from `KUBECONFIG`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Uninstall with everything: delete all apps and networks, and wait until their resources in AWS are gone.
    Teardown(Box<Teardown>),
    /// Uninstall without touching AWS: let all apps and networks go, so that deleting them deletes nothing there.
    Orphan(Box<Orphan>),
    /// Take over the networks of a cluster that is gone: mark their security groups as this cluster's.
    TakeOver(Box<TakeOver>),
    /// Print the CustomResourceDefinitions, or write them to files.
    Crd(Crd),
    /// Print the IAM policy that the operator needs: exactly what it calls, limited to its installation and VPCs.
    IamPolicy(IamPolicy),
}

#[derive(Args, Debug)]
struct Run {
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
    guards: Guards,

    #[command(flatten)]
    governance: GovernanceFlags,

    /// How often AWS is looked at although nothing happened, in seconds, 10 to 86400.
    #[arg(long, env = "PGAI_RESYNC_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    resync_seconds: u64,

    /// How many objects of each kind are worked on at once, 1 to 1000.
    #[arg(long, env = "PGAI_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// Which share of the rates that AWS publishes for the account is taken at most, in percent, 1 to 100. Whoever else calls
    /// AWS from the account has the rest.
    #[arg(long, env = "PGAI_AWS_RATE_PERCENT", default_value_t = Share::ALL)]
    aws_rate_percent: Share,

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

/// What apps may ask for.
#[derive(Args, Debug)]
struct Guards {
    /// The regions in which apps and networks may be, as globs separated by commas, such as `us-east-1,eu-*`. The operator's own
    /// by default, or when it is empty. Elsewhere nothing is created, and AWS is not asked.
    #[arg(long, env = "PGAI_REGIONS")]
    regions: Vec<Globs<Region>>,

    /// The VPCs that apps may name, as globs separated by commas, such as `vpc-0abc1234,vpc-0def*`. None by default, or
    /// when it is empty: then every app is refused.
    #[arg(long = "implicit-network-vpc-ids", env = "PGAI_IMPLICIT_NETWORK_VPC_IDS")]
    vpc_ids: Vec<Globs<VpcId>>,

    #[command(flatten)]
    allow: AllowFlags,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

#[derive(Args, Debug)]
struct Crd {
    /// Write one file for each definition into this folder instead of printing them.
    #[arg(long)]
    output_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct IamPolicy {
    /// Whose resources these are: what the operator is given.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The operator's region, which tells the partition of ARNs. The policy holds for all regions of that partition.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// The account in which the operator works.
    #[arg(long)]
    account_id: AccountId,

    /// The VPCs that apps may name, as globs separated by commas: what the operator is given. IAM reads them as it does.
    #[arg(long, env = "PGAI_IMPLICIT_NETWORK_VPC_IDS", required = true)]
    implicit_network_vpc_ids: Vec<Globs<VpcId>>,

    #[command(flatten)]
    boundary: BoundaryFlag,
}

/// Why the program ends early. Each is a sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No Kubernetes API to talk to.
    #[error("no Kubernetes API: {0}. Run in a cluster, or set KUBECONFIG")]
    Kubernetes(#[from] kube::Error),
    /// The address for metrics cannot be used.
    #[error("cannot serve on {address}: {source}. Choose another --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The log directives are not such.
    #[error("--log: {0}. Write tracing directives, such as info or private_genai_operator=debug")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// Which cluster this is, is not known.
    #[error("{0}")]
    Owner(#[from] engine::UnknownOwner),
    /// A signal handler cannot be installed.
    #[error("cannot listen to signals: {0}")]
    Signals(std::io::Error),
    /// Not uninstalled.
    #[error("{0}")]
    Uninstall(#[from] uninstall::Failure),
    /// Not taken over.
    #[error("{0}")]
    TakeOver(#[from] takeover::Failure),
    /// A definition cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A definition has no YAML.
    #[error("cannot write the definitions as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

impl Failure {
    /// What the program ends with: 2 when it was not told to go on, like for wrong arguments, and else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Uninstall(uninstall::Failure::NotConfirmed) | Self::TakeOver(takeover::Failure::NotConfirmed) => {
                ExitCode::from(2)
            }
            _ => ExitCode::FAILURE,
        }
    }
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub async fn execute(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(run) => run.execute().await,
            Command::Teardown(teardown) => Ok(teardown.execute(until_signal()?).await?),
            Command::Orphan(orphan) => Ok(orphan.execute(until_signal()?).await?),
            Command::TakeOver(take_over) => Ok(take_over.execute(until_signal()?).await?),
            Command::Crd(crd) => crd.execute(),
            Command::IamPolicy(policy) => policy.execute(),
        }
    }
}

impl Guards {
    /// In which regions apps and networks may be, of an operator in this one, and what apps may ask for there.
    fn of_operator_in(self, home: &Region) -> (Globs<Region>, ImplicitNetworks) {
        let named: Globs<Region> = self.regions.into_iter().collect();
        let regions = if named.is_empty() { Globs::only(home) } else { named };
        (regions, ImplicitNetworks { vpcs: self.vpc_ids.into_iter().collect(), allow: self.allow.into() })
    }
}

impl Run {
    async fn execute(self) -> Result<(), Failure> {
        telemetry::start(&self.log, self.log_format)?;
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
            engine::run(client, aws, settings, Arc::clone(&metrics), leadership, ready.clone(), stop).await;
        };
        if self.leader_elect {
            let (standing, told) = watch::channel(CandidateState::default());
            tokio::spawn(tell_standing(told, Arc::clone(&metrics), ready.clone()));
            self.lease.election(&client).campaign(&standing, &stop, work).await;
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

/// How often the Kubernetes API is asked which cluster this is, while it does not serve.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Which cluster this is. An API server that is out of reach or too busy is asked again, as it is for everything else; `None` when
/// the operator is told to stop before it answered.
async fn which_cluster(client: &kube::Client, stop: &CancellationToken) -> Result<Option<OwnerMark>, Failure> {
    let client = engine::with_timeout(client);
    loop {
        let Some(answer) = stop.run_until_cancelled(engine::owner_mark(&client)).await else {
            return Ok(None);
        };
        match answer {
            Ok(owner) => return Ok(Some(owner)),
            Err(unknown) if unknown.passes() => tracing::warn!(%unknown, "it is asked again which cluster this is"),
            Err(unknown) => return Err(unknown.into()),
        }
        if stop.run_until_cancelled(tokio::time::sleep(ASK_AGAIN)).await.is_none() {
            return Ok(None);
        }
    }
}

/// Counts who leads. A replica that stands by is ready: it has seen the Lease, and there is nothing more for it to do. So a
/// rolling update goes on, although the new replica does not lead before the old one has gone.
async fn tell_standing(
    mut standing: watch::Receiver<CandidateState>,
    metrics: Arc<Metrics>,
    ready: Arc<server::Readiness>,
) {
    loop {
        let now = standing.borrow_and_update().clone();
        metrics.leads(now == CandidateState::Leader);
        match now {
            CandidateState::Standby { .. } => ready.stands_by(),
            CandidateState::Unknown | CandidateState::Leader => {}
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

/// A token that a signal cancels.
fn until_signal() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone())?);
    Ok(stop)
}

/// One token stops everything, in order: no more work is taken, what is under way ends, then the program does.
fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        stop.cancel();
    })
}

impl Crd {
    fn execute(self) -> Result<(), Failure> {
        for (name, manifest) in crd::manifests()? {
            match &self.output_dir {
                None => print(&format!("---\n{manifest}"))?,
                Some(folder) => {
                    let path = folder.join(name);
                    std::fs::write(&path, manifest).map_err(|source| Failure::Write { path, source })?;
                }
            }
        }
        Ok(())
    }
}

impl IamPolicy {
    fn execute(self) -> Result<(), Failure> {
        let operator = permissions::Operator {
            installation: self.installation_id,
            partition: self.region.partition(),
            account: self.account_id,
            vpcs: self.implicit_network_vpc_ids.into_iter().collect(),
            boundary: self.boundary.boundary(),
        };
        let document = operator.document();
        if let Some(notice) = permissions::too_long_for_a_managed_policy(&document) {
            // What is printed goes into a file.
            let told = writeln!(std::io::stderr(), "{notice}");
            told.map_err(|source| Failure::Write { path: "standard error".into(), source })?;
        }
        print(&format!("{document:#}\n"))
    }
}

/// Prints what was asked for. Whoever read it has seen enough, as in `crd | head`.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Failure::Write { path: "standard output".into(), source }),
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::{governance::Governance, guard::Allow};

    #[test]
    fn the_command_line_is_consistent_and_every_flag_is_explained() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        command.build();
        for sub in command.get_subcommands() {
            for argument in sub.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {} has no help", sub.get_name(), argument.get_id());
            }
        }
    }

    fn run(arguments: &[&str]) -> Run {
        let required = ["private-genai-operator", "run", "--installation-id", "prod", "--region", "us-east-1"];
        match Cli::try_parse_from([&required, arguments].concat()).expect("arguments").command {
            Command::Run(run) => *run,
            other => panic!("another command: {other:?}"),
        }
    }

    fn home() -> Region {
        "us-east-1".parse().expect("a region")
    }

    #[test]
    fn the_regions_are_those_that_are_named_or_else_the_operator_s_own() {
        let given = |arguments: &[&str]| run(arguments).guards.of_operator_in(&home()).0;
        for own in [&[][..], &["--regions="], &["--regions", " ,"]] {
            assert_eq!(given(own), Globs::only(&home()), "{own:?}");
        }
        assert_eq!(given(&["--regions", "eu-*,", "--regions=us-west-2"]), "eu-*,us-west-2".parse().expect("globs"));
    }

    #[test]
    fn an_empty_list_is_none_and_a_list_may_end_in_a_comma_or_be_given_in_parts() {
        let given = |value: &str| {
            let flags = ["vpc-ids", "allow-namespaces", "allow-models"];
            let flags = flags.map(|flag| format!("--implicit-network-{flag}={value}"));
            run(&flags.each_ref().map(String::as_str)).guards.of_operator_in(&home()).1
        };
        let none = Allow { namespaces: Globs::none(), models: Globs::none() };
        for empty in ["", " ", ","] {
            assert_eq!(given(empty), ImplicitNetworks { vpcs: Globs::none(), allow: none.clone() }, "{empty:?}");
        }
        assert_eq!(given("*,"), ImplicitNetworks::in_vpcs(Globs::all()));
        let parts = run(&["--implicit-network-allow-models=a.*", "--implicit-network-allow-models=b.*,c.*"]).guards;
        assert_eq!(parts.of_operator_in(&home()).1.allow.models, "a.*,b.*,c.*".parse().expect("globs"));
    }

    #[test]
    fn an_installation_id_is_required_and_no_vpc_is_allowed_by_default() {
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["private-genai-operator", "run"], arguments].concat());
        let refused = parse(&["--region", "us-east-1"]);
        if std::env::var_os("PGAI_INSTALLATION_ID").is_none() {
            assert!(refused.is_err_and(|error| error.to_string().contains("--installation-id")));
        }
        let guards = run(&[]).guards.of_operator_in(&home()).1;
        assert_eq!(guards, ImplicitNetworks::in_vpcs(Globs::none()));
        let required = [["--installation-id", "prod"], ["--region", "us-east-1"]];
        for wrong in [
            ["--installation-id", "Prod"],
            ["--region", "nowhere"],
            ["--resync-seconds", "1"],
            ["--aws-rate-percent", "0"],
            ["--implicit-network-vpc-ids", "subnet-0abc1234"],
            ["--implicit-network-allow-namespaces", "Team"],
            ["--implicit-network-allow-models", "nova lite"],
        ] {
            let others = required.into_iter().filter(|flag| flag[0] != wrong[0]);
            let error = parse(&others.chain([wrong]).flatten().collect::<Vec<_>>()).expect_err(wrong[0]);
            assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{wrong:?}: {error}");
        }
        assert_eq!(run(&[]).aws_rate_percent, Share::ALL);
    }

    #[test]
    fn what_is_no_tag_or_no_boundary_ends_the_program_with_a_sentence_and_an_empty_value_is_none() {
        let run = |arguments: &[&str]| {
            let always = ["private-genai-operator", "run", "--installation-id", "prod", "--region", "us-east-1"];
            Cli::try_parse_from([&always[..], arguments].concat()).map(|cli| match cli.command {
                Command::Run(run) => run.governance.governance(),
                other => panic!("{other:?}"),
            })
        };
        let refused = |arguments: &[&str]| run(arguments).expect_err("refused").to_string();
        let told = refused(&["--tags", "team=ai,Name=x"]);
        assert!(told.contains("the tag \"Name=x\" has a key that the operator sets itself"), "{told}");
        let told = refused(&["--permissions-boundary-arn", "boundary"]);
        assert!(told.contains("\"boundary\" is not the ARN of a managed IAM policy such as"), "{told}");
        assert_eq!(run(&["--tags", "", "--permissions-boundary-arn", ""]).expect("none"), Governance::default());
        let both =
            run(&["--tags", "team=ai", "--permissions-boundary-arn", "arn:aws:iam::aws:policy/X"]).expect("both");
        assert_eq!(both.tags.tags().len(), 1);
        assert_eq!(both.permissions_boundary.expect("a boundary").as_str(), "arn:aws:iam::aws:policy/X");
    }
}
