//! The command line: the only place that parses flags. Each subcommand has a file, which makes the settings of a module from its
//! flags.

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
/// Turns each `PrivateGenAIApp` into security groups, interface VPC endpoints, an execution role and a VPC-attached Lambda
/// function, and keeps these exact. Every flag can also be set by the environment variable beside it. AWS credentials come from
/// the default chain (IRSA, EKS Pod Identity, environment, profile). The Kubernetes API is that of the operator's cluster, or the
/// one in `KUBECONFIG`.
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
    /// Uninstall and delete: delete all apps and networks, and wait until their resources in AWS are gone.
    Teardown(Box<Teardown>),
    /// Uninstall without touching AWS: release all apps and networks, so that their deletion deletes nothing in AWS.
    Orphan(Box<Orphan>),
    /// Take over the networks of a cluster that is gone: give their security groups this cluster's mark.
    TakeOver(Box<TakeOver>),
    /// Print the CustomResourceDefinitions, or write them to files.
    Crd(Crd),
    /// Print the IAM policy that the operator needs: only the operator's own calls, limited to its installation and VPCs.
    IamPolicy(IamPolicy),
}

/// The reason why the program ended early, as a sentence for a person.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names and messages say it")]
pub enum Failure {
    /// No Kubernetes API was found.
    #[error("no Kubernetes API: {0}. Run in a cluster, or set KUBECONFIG")]
    Kubernetes(#[from] kube::Error),
    /// The address for metrics cannot be used.
    #[error("cannot serve on {address}: {source}. Choose another --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// The built-in handler cannot be packed.
    #[error("cannot pack the built-in handler: {0}")]
    Handler(#[from] zip::result::ZipError),
    /// The log directives cannot be read.
    #[error("--log: {0}. Write tracing directives, such as info or private_genai_operator=debug")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// The API server did not identify the cluster.
    #[error("{0}")]
    Owner(#[from] engine::UnknownOwner),
    /// No signal handler could be installed.
    #[error("cannot listen to signals: {0}")]
    Signals(std::io::Error),
    /// The uninstall ended early.
    #[error("{0}")]
    Uninstall(#[from] uninstall::Failure),
    /// The take-over ended early.
    #[error("{0}")]
    TakeOver(#[from] takeover::Failure),
    /// Output cannot be written.
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    /// A definition could not be written as YAML.
    #[error("cannot write the definitions as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

impl Failure {
    /// The exit status of the program: 2 without consent and for wrong arguments, else 1.
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
    /// Parses the arguments of this process. Wrong arguments end the program with an explanation.
    pub fn from_arguments() -> Self {
        Self::parse()
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// The reason why the subcommand ended early.
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

/// Cancels the token at the first signal. The token stops the work in order: no new work begins, calls under way end, then the
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

/// Prints the output of a command. A closed pipe is no error, as in `crd | head`.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Failure::Write { path: "standard output".into(), source }),
    }
}

/// Prints a line for a person.
fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests;
