//! The flags about the Lease.

use std::time::Duration;

use clap::Args;
use kube::Client;

use crate::{
    leadership::{Election, LEASE_SECONDS, Timing},
    uninstall::{LeaseWait, MissingLease},
};

/// The flags about the Lease.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the fields are those of the flags")]
pub struct LeaseFlags {
    /// The Lease that the replicas of one operator share: its holder acts.
    #[arg(long, env = "PGAI_LEASE_NAME", default_value = "private-genai-operator")]
    lease_name: String,

    /// The namespace of the Lease. By default the namespace of the pod, or of the kubeconfig's context.
    #[arg(long, env = "PGAI_LEASE_NAMESPACE")]
    lease_namespace: Option<String>,

    /// The duration of the Lease after its holder dies. For tests: below 60 seconds a slow call to AWS may be interrupted.
    #[arg(long, env = "PGAI_LEASE_SECONDS", hide = true, default_value_t = LEASE_SECONDS, value_parser = clap::value_parser!(u16).range(3..=3600))]
    lease_seconds: u16,
}

impl LeaseFlags {
    /// The election of the flags, with this process as a candidate.
    pub fn election(self, client: &Client) -> Election {
        let Self { lease_name, lease_namespace, lease_seconds } = self;
        let namespace = lease_namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        Election::of_this_process(client.clone(), namespace, lease_name, Timing::of(lease_seconds))
    }
}

/// The flags of a command that holds the Lease, so that no operator acts meanwhile.
#[derive(Args, Debug)]
pub struct HoldLeaseFlags {
    /// How long the command waits for an operator that holds the Lease, in seconds. A killed operator holds the Lease for a
    /// minute.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// Go on without a Lease, because you have made sure that no operator runs.
    #[arg(long)]
    no_lease: bool,

    #[command(flatten)]
    lease: LeaseFlags,
}

impl HoldLeaseFlags {
    /// The election of the flags, and how the command waits for the Lease.
    pub fn election(self, client: &Client) -> (Election, LeaseWait) {
        let missing = if self.no_lease { MissingLease::Accepted } else { MissingLease::Refused };
        let wait = LeaseWait { timeout: Duration::from_secs(self.timeout), missing };
        (self.lease.election(client), wait)
    }
}
