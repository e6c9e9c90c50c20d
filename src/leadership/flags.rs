//! The flags about the Lease, the same for every subcommand that takes it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use clap::Args;
use kube::Client;

use super::{Election, LEASE_SECONDS, Timing};

/// The flags about the Lease.
#[derive(Args, Clone, Debug)]
pub struct LeaseFlags {
    /// The Lease that replicas of one operator share: who holds it acts.
    #[arg(long, env = "PGAI_LEASE_NAME", default_value = "private-genai-operator")]
    pub lease_name: String,

    /// The namespace of the Lease. By default that of the pod, or of the kubeconfig's context.
    #[arg(long, env = "PGAI_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// How long the Lease holds when its holder dies. For tests: below 60 seconds a slow call to AWS may be cut off.
    #[arg(long, env = "PGAI_LEASE_SECONDS", hide = true, default_value_t = LEASE_SECONDS, value_parser = clap::value_parser!(u16).range(3..=3600))]
    pub lease_seconds: u16,
}

impl LeaseFlags {
    /// The election that the flags mean, with this process as a candidate.
    pub fn election(self, client: &Client) -> Election {
        let Self { lease_name, lease_namespace, lease_seconds } = self;
        Election {
            client: client.clone(),
            namespace: lease_namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
            name: lease_name,
            identity: identity(),
            timing: Timing::of(lease_seconds),
        }
    }
}

/// The pod, for people, and something that no other process has: a container that is started again in the same pod is
/// another candidate.
fn identity() -> String {
    let pod = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|pod| !pod.is_empty()));
    let random = RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", pod.as_deref().unwrap_or("private-genai-operator"))
}
