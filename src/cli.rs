//! The command line: the only place that parses flags. One file a subcommand, each of which fills the settings of a module.

mod crd;
mod flags;
mod iam_policy;
mod orphan;
mod run;
mod take_over;
mod teardown;

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use self::{crd::Crd, iam_policy::IamPolicy, orphan::Orphan, run::Run, take_over::TakeOver, teardown::Teardown};
use crate::{engine, takeover, uninstall};

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
        /// The cause.
        source: std::io::Error,
    },
    /// The log directives cannot be read.
    #[error("--log: {0}. Write tracing directives, such as info or private_genai_operator=debug")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// The API server did not tell which cluster this is.
    #[error("{0}")]
    Owner(#[from] engine::UnknownOwner),
    /// No signal handler can be installed.
    #[error("cannot listen to signals: {0}")]
    Signals(std::io::Error),
    /// Uninstalling ended early.
    #[error("{0}")]
    Uninstall(#[from] uninstall::Failure),
    /// Taking over ended early.
    #[error("{0}")]
    TakeOver(#[from] takeover::Failure),
    /// Output cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or stream.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A definition cannot be turned into YAML.
    #[error("cannot write the definitions as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

impl Failure {
    /// The exit status of the program: 2 without consent, as for wrong arguments, else 1.
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
    /// Parses the arguments of this process. Arguments that cannot be read end the program with an explanation.
    pub fn from_arguments() -> Self {
        Self::parse()
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// Why the subcommand ended early.
    pub async fn execute(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(run) => Box::pin(run.execute()).await,
            Command::Teardown(teardown) => teardown.execute(until_signal()?).await,
            Command::Orphan(orphan) => orphan.execute(until_signal()?).await,
            Command::TakeOver(take_over) => take_over.execute(until_signal()?).await,
            Command::Crd(crd) => crd.execute(),
            Command::IamPolicy(policy) => policy.execute(),
        }
    }
}

/// A token that a signal cancels.
fn until_signal() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone())?);
    Ok(stop)
}

/// Cancels the token at the first signal. The token stops everything in order: no new work begins, calls under way end, then the
/// program ends.
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

/// Prints the output of a command. A reader that closed the pipe has seen enough, as in `crd | head`.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Failure::Write { path: "standard output".into(), source }),
    }
}

/// Prints a line for people.
fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests;
