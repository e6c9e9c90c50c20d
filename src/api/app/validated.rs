//! The spec of an app as domain types, which hold only valid values.

use std::{collections::BTreeSet, time::Duration};

use super::PrivateGenAIAppSpec;
use crate::{
    api::{InvalidSpec, network::NetworkKey},
    aws::{Environment, LogGroup, Region, SubnetId},
    policy::ModelId,
};

/// A validated app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct App {
    /// The network of the app.
    pub network: NetworkKey,
    /// The app's own subnets. If there are none, the function uses the network's.
    pub subnets: BTreeSet<SubnetId>,
    /// The models, in the order of the spec; never empty.
    pub models: Vec<ModelId>,
    /// The function.
    pub function: Function,
    /// How often the path is probed. Without an interval, the apps of a network are probed in turn.
    pub probe_interval: Option<Duration>,
}

/// A validated function, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The time limit of one invocation in seconds.
    pub timeout_seconds: u32,
    /// The user's environment variables.
    pub environment: Environment,
    /// The retention of the log.
    pub log_retention: LogRetention,
}

/// The retention of a log in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogRetention {
    /// The app names the retention.
    Exactly(u32),
    /// The app names no retention: a longer retention that somebody else set is kept.
    AtLeast(u32),
}

impl LogRetention {
    /// The retention for a log group whose own is not accepted.
    pub fn days(self) -> u32 {
        match self {
            Self::Exactly(days) | Self::AtLeast(days) => days,
        }
    }

    /// The retention of this log group is accepted.
    ///
    /// A group without a retention keeps its events for ever, which is longer than any number of days. A group that the operator
    /// created just before it stopped has no retention either; such a group is empty, so a retention deletes nothing.
    pub fn is_met_by(self, group: &LogGroup) -> bool {
        match (self, group.retention_days) {
            (Self::Exactly(days), kept) => kept == Some(days),
            (Self::AtLeast(days), Some(kept)) => kept >= days,
            (Self::AtLeast(_), None) => group.stored_bytes > 0,
        }
    }
}

impl App {
    const MEMORY_MIB: u32 = 512;
    const TIMEOUT_SECONDS: u32 = 120;
    const RETENTION_DAYS: u32 = 30;
    const SHORTEST_INTERVAL: Duration = Duration::from_mins(1);

    /// Validates a spec. `home` is the default region.
    ///
    /// # Errors
    /// The first field that this version does not support.
    pub fn new(spec: &PrivateGenAIAppSpec, home: &Region) -> Result<Self, InvalidSpec> {
        let function = spec.function.clone().unwrap_or_default();
        let interval = spec.health_check.as_ref().and_then(|check| check.interval_seconds);
        let retention = function.logging.and_then(|logging| logging.retention_days);
        let app = Self {
            network: Self::network(spec, home)?,
            subnets: spec
                .network
                .iter()
                .flat_map(|network| &network.subnet_ids)
                .map(|id| id.parse().map_err(|error| InvalidSpec::new("spec.network.subnetIds", error)))
                .collect::<Result<_, _>>()?,
            models: spec
                .models
                .iter()
                .map(|id| id.parse().map_err(|error| InvalidSpec::new("spec.models", error)))
                .collect::<Result<_, _>>()?,
            function: Function {
                memory_mib: or_default("spec.function.memoryMiB", function.memory_mib, Self::MEMORY_MIB)?,
                timeout_seconds: or_default(
                    "spec.function.timeoutSeconds",
                    function.timeout_seconds,
                    Self::TIMEOUT_SECONDS,
                )?,
                environment: Environment::new(function.environment),
                log_retention: match retention {
                    None => LogRetention::AtLeast(Self::RETENTION_DAYS),
                    Some(days) => LogRetention::Exactly(positive("spec.function.logging.retentionDays", days)?),
                },
            },
            probe_interval: interval
                .map(|seconds| positive("spec.healthCheck.intervalSeconds", seconds))
                .transpose()?
                .map(|seconds| Duration::from_secs(seconds.into()).max(Self::SHORTEST_INTERVAL)),
        };
        if app.models.is_empty() {
            return Err(InvalidSpec::new("spec.models", "list at least one model, such as amazon.nova-lite-v1:0"));
        }
        Ok(app)
    }

    /// Validates only the network of a spec. Deletion needs only the network, so it does not depend on the other fields.
    ///
    /// # Errors
    /// A network that this version does not support.
    pub fn network(spec: &PrivateGenAIAppSpec, home: &Region) -> Result<NetworkKey, InvalidSpec> {
        let network = spec.network.as_ref();
        let vpc = network.and_then(|network| network.vpc_id.as_ref()).ok_or_else(|| {
            InvalidSpec::new("spec.network", "name the VPC, as in network: {vpcId: vpc-0123456789abcdef0}")
        })?;
        let region = network
            .and_then(|network| network.region.as_ref())
            .map_or_else(|| Ok(home.clone()), |region| region.parse())
            .map_err(|error| InvalidSpec::new("spec.network.region", error))?;
        Ok(NetworkKey { region, vpc: vpc.parse().map_err(|error| InvalidSpec::new("spec.network.vpcId", error))? })
    }
}

fn or_default(field: &'static str, value: Option<i32>, default: u32) -> Result<u32, InvalidSpec> {
    value.map_or(Ok(default), |value| positive(field, value))
}

fn positive(field: &'static str, value: i32) -> Result<u32, InvalidSpec> {
    u32::try_from(value)
        .ok()
        .filter(|value| *value > 0)
        .ok_or_else(|| InvalidSpec::new(field, "write a positive number"))
}
