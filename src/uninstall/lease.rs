//! Holds the operator's Lease, so that no operator of this cluster acts meanwhile.

use std::time::Duration;

use futures::future::join;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::leadership::{CandidateState, Election, Leadership};

/// The reaction of a command to a missing Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingLease {
    /// The command ends: without a Lease, an operator may run.
    Refused,
    /// The command goes on: a person has made sure that no operator runs.
    Accepted,
}

/// How a command waits for the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseWait {
    /// How long the command waits for an operator that holds the Lease.
    pub timeout: Duration,
    /// The reaction to a missing Lease.
    pub missing: MissingLease,
}

/// Prints a line for a person.
pub type Print<'a> = &'a dyn Fn(&str) -> std::io::Result<()>;

/// Does the work while holding the Lease, and returns its result.
///
/// # Errors
/// An operator runs or may run, or the work failed.
pub async fn holding_the_lease<T, E: From<Failure>>(
    client: &Client,
    election: &Election,
    LeaseWait { timeout, missing }: LeaseWait,
    stop: &CancellationToken,
    print: Print<'_>,
    mut work: impl AsyncFnMut(Leadership) -> Result<T, E>,
) -> Result<T, E> {
    let leases = Api::<Lease>::namespaced(client.clone(), &election.namespace);
    if missing == MissingLease::Refused && leases.get_opt(&election.name).await.map_err(Failure::from)?.is_none() {
        return Err(Failure::NoLease(election.to_string()).into());
    }
    let (sender, mut states) = watch::channel(CandidateState::default());
    let given_up = stop.child_token();
    let mut done = None;
    let mut leader = String::new();
    let once = async |leadership: Leadership, _: CancellationToken| {
        done = Some(work(leadership).await);
    };
    let waiting = async {
        let leads = async {
            loop {
                match states.borrow_and_update().clone() {
                    CandidateState::Leader => return Ok(()),
                    CandidateState::Unknown => {}
                    CandidateState::Standby { leader: other } => {
                        if leader != other {
                            print(&format!(
                                "Waiting for Lease {election}, which {other} holds. If that operator runs, scale it to zero: \
                                 kubectl -n {} scale deployment NAME --replicas=0",
                                election.namespace
                            ))?;
                        }
                        leader = other;
                    }
                }
                if states.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        if let Ok(result) = tokio::time::timeout(timeout, leads).await {
            return result;
        }
        given_up.cancel();
        Ok::<(), std::io::Error>(())
    };
    let ((), waited) = join(election.campaign(&sender, &given_up, once), waiting).await;
    waited.map_err(Failure::from)?;
    match done {
        Some(done) => done,
        None if stop.is_cancelled() => Err(Failure::Interrupted.into()),
        None => Err(Failure::Led { leader, lease: election.to_string() }.into()),
    }
}
