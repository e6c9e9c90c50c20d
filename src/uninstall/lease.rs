//! Doing something while no operator of this cluster acts: by holding its Lease.

use std::time::Duration;

use futures::future::join;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::leadership::{CandidateState, Election, Leadership};

/// Whether a Lease must be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Without one it cannot be known that no operator runs.
    Refused,
    /// Somebody has made sure that none runs.
    Accepted,
}

/// How the Lease is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How long an operator that holds it is waited for.
    pub timeout: Duration,
    /// What is done where there is none.
    pub lacking: Lacking,
}

/// Does the work while holding the Lease, and gives what came of it.
///
/// # Errors
/// When an operator runs, or may, and the work's.
pub async fn holding_the_lease<T, E: From<Failure>>(
    client: &Client,
    election: &Election,
    Waiting { timeout, lacking }: Waiting,
    stop: &CancellationToken,
    tell: &mut impl FnMut(String) -> std::io::Result<()>,
    mut work: impl AsyncFnMut(Leadership) -> Result<T, E>,
) -> Result<T, E> {
    let leases = Api::<Lease>::namespaced(client.clone(), &election.namespace);
    if lacking == Lacking::Refused && leases.get_opt(&election.name).await.map_err(Failure::from)?.is_none() {
        return Err(Failure::NoLease(election.to_string()).into());
    }
    let (standing, mut told) = watch::channel(CandidateState::default());
    let given_up = stop.child_token();
    let mut done = None;
    let mut leader = String::new();
    let once = async |leadership: Leadership, _: CancellationToken| {
        done = Some(work(leadership).await);
    };
    let waiting = async {
        let leads = async {
            loop {
                match told.borrow_and_update().clone() {
                    CandidateState::Leader => return Ok(()),
                    CandidateState::Unknown => {}
                    CandidateState::Standby { leader: other } => {
                        if leader != other {
                            tell(format!(
                                "Waiting for Lease {election}, which {other} holds. If that operator runs, scale it to zero: \
                                 kubectl -n {} scale deployment NAME --replicas=0",
                                election.namespace
                            ))?;
                        }
                        leader = other;
                    }
                }
                if told.changed().await.is_err() {
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
    let ((), waited) = join(election.campaign(&standing, &given_up, once), waiting).await;
    waited.map_err(Failure::from)?;
    match done {
        Some(done) => done,
        None if stop.is_cancelled() => Err(Failure::Interrupted.into()),
        None => Err(Failure::Led { leader, lease: election.to_string() }.into()),
    }
}
