//! The implementation of [`Aws`] by the AWS SDK. Nothing outside this folder imports `aws_sdk_*`.
//!
//! At TRACE level the SDK logs whole answers, and with them the environment of functions; at DEBUG level it does not. So the log
//! must never include TRACE, for any setting.

mod calls;
mod ec2;
mod error;
mod iam;
mod lambda;
mod logs;
mod redact;
mod retries;
mod sts;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};

use calls::RegionCalls;
pub use calls::{CallRecord, OnCall};
use retries::ThrottlesAreNotRepeated;

use super::{
    Aws, AwsError, Caller, EndpointService, FunctionDetail, FunctionListing, FunctionName, Invocation, LogGroup, Made,
    NetworkInterface, NetworkInterfaceId, Region, Role, RoleListing, RoleName, RouteTable, SecurityGroup,
    SecurityGroupId, Subnet, Tags, VpcDns, VpcEndpoint, VpcId, VpcListing, Write,
    pacing::{LONGEST_HOLD, Pacer},
};

/// The time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time for one attempt at a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for a whole call, with all attempts and the pauses between them.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// The time for the one attempt at a probe: a cold start (up to ten seconds in Lambda) and the five seconds of a probe, and less
/// than [`CALL_TIMEOUT`].
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// The time from the request of a write to its end, with the wait for its turn. A leader holds its Lease for longer, so that no
/// write of an old leader arrives after the new leader has begun.
pub const WRITE_TIMEOUT: Duration = LONGEST_HOLD.saturating_add(CALL_TIMEOUT);
/// The first attempt, and two more after 5xx answers and broken connections.
const ATTEMPTS: u32 = 3;

/// AWS by the SDK.
///
/// Like reads, writes are retried after a time-out or a broken connection, although the first attempt may have succeeded: each
/// [`Write`] is idempotent, or AWS refuses the second attempt with an error that shows the success of the first.
pub struct SdkAws {
    config: SdkConfig,
    on_call: OnCall,
    pacer: Arc<Pacer>,
    services: Mutex<BTreeMap<Region, Arc<Services>>>,
}

impl SdkAws {
    /// A client with the default chain of credentials. `AWS_ENDPOINT_URL` and the related variables work as in every AWS SDK.
    /// Credentials are requested in the region `home`.
    pub async fn load(home: &Region, on_call: OnCall) -> Self {
        let region = aws_config::Region::new(home.as_str().to_owned());
        let config = aws_config::defaults(BehaviorVersion::latest()).region(region);
        Self::new(&config.load().await, on_call)
    }

    /// A client with this configuration, with our time-outs and retries, and with the region of each call.
    pub fn new(config: &SdkConfig, on_call: OnCall) -> Self {
        let config = config.to_builder().timeout_config(timeouts()).retry_config(retries()).build();
        Self { config, on_call, pacer: Arc::default(), services: Mutex::default() }
    }

    /// Paces the calls. Must come before the first call: a later pacer has no effect.
    #[must_use]
    pub fn paced_by(self, pacer: Arc<Pacer>) -> Self {
        Self { pacer, ..self }
    }

    /// The clients of a region, made on first use.
    fn services(&self, region: &Region) -> Arc<Services> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let of_region = services.entry(region.clone()).or_insert_with(|| {
            let line = RegionCalls {
                region: region.clone(),
                pacer: Arc::clone(&self.pacer),
                on_call: Arc::clone(&self.on_call),
            };
            let region = aws_config::Region::new(region.as_str().to_owned());
            let config = self.config.to_builder().region(region).build();
            Arc::new(Services::new(&config, &line))
        });
        Arc::clone(of_region)
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS)
}

/// The calls to each service in one region.
struct Services {
    ec2: ec2::Ec2,
    iam: iam::Iam,
    lambda: lambda::Lambda,
    logs: logs::Logs,
    sts: sts::Sts,
}

impl Services {
    fn new(config: &SdkConfig, line: &RegionCalls) -> Self {
        macro_rules! client {
            ($sdk:ident) => {
                $sdk::Client::from_conf(
                    $sdk::config::Builder::from(config).retry_classifier(ThrottlesAreNotRepeated).build(),
                )
            };
        }
        Self {
            ec2: ec2::Ec2::new(client!(aws_sdk_ec2), line),
            iam: iam::Iam::new(client!(aws_sdk_iam), line),
            lambda: lambda::Lambda::new(client!(aws_sdk_lambda), line),
            logs: logs::Logs::new(client!(aws_sdk_cloudwatchlogs), line),
            sts: sts::Sts::new(client!(aws_sdk_sts), line),
        }
    }

    async fn make(&self, write: &Write) -> Result<Made, AwsError> {
        match write {
            Write::Ec2(write) => self.ec2.write(write).await.map(Made::from),
            Write::Iam(write) => self.iam.write(write).await,
            Write::Logs(write) => self.logs.write(write).await.map(Made::from),
            Write::Lambda(write) => self.lambda.write(write).await,
        }
    }
}

#[async_trait]
impl Aws for SdkAws {
    fn pacer(&self) -> Option<Arc<Pacer>> {
        Some(Arc::clone(&self.pacer))
    }

    async fn caller(&self, region: &Region) -> Result<Caller, AwsError> {
        self.services(region).sts.caller().await
    }

    async fn vpcs(&self, region: &Region, ids: &BTreeSet<VpcId>) -> Result<Vec<VpcListing>, AwsError> {
        self.services(region).ec2.vpcs(ids).await
    }

    async fn vpc_dns(&self, region: &Region, vpc: &VpcId) -> Result<Option<VpcDns>, AwsError> {
        Box::pin(self.services(region).ec2.vpc_dns(vpc)).await
    }

    async fn subnets(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<Subnet>, AwsError> {
        self.services(region).ec2.subnets(vpcs).await
    }

    async fn route_tables(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<RouteTable>, AwsError> {
        self.services(region).ec2.route_tables(vpcs).await
    }

    async fn endpoint_services(
        &self,
        region: &Region,
        names: &BTreeSet<String>,
    ) -> Result<Vec<EndpointService>, AwsError> {
        self.services(region).ec2.endpoint_services(names).await
    }

    async fn vpc_endpoints(&self, region: &Region, vpcs: &BTreeSet<VpcId>) -> Result<Vec<VpcEndpoint>, AwsError> {
        self.services(region).ec2.vpc_endpoints(vpcs).await
    }

    async fn tagged_endpoints(&self, region: &Region, tag: (&str, &str)) -> Result<Vec<VpcEndpoint>, AwsError> {
        self.services(region).ec2.tagged_endpoints(tag).await
    }

    async fn network_interfaces(
        &self,
        region: &Region,
        ids: &BTreeSet<NetworkInterfaceId>,
    ) -> Result<Vec<NetworkInterface>, AwsError> {
        self.services(region).ec2.network_interfaces(ids).await
    }

    async fn group_interfaces(
        &self,
        region: &Region,
        group: &SecurityGroupId,
    ) -> Result<Vec<NetworkInterface>, AwsError> {
        self.services(region).ec2.group_interfaces(group).await
    }

    async fn vpc_interfaces(&self, region: &Region, vpc: &VpcId) -> Result<Vec<NetworkInterface>, AwsError> {
        self.services(region).ec2.vpc_interfaces(vpc).await
    }

    async fn referring_groups(&self, region: &Region, group: &SecurityGroupId) -> Result<Vec<SecurityGroup>, AwsError> {
        self.services(region).ec2.referring_groups(group).await
    }

    async fn security_groups(&self, region: &Region, tag: (&str, &str)) -> Result<Vec<SecurityGroup>, AwsError> {
        self.services(region).ec2.security_groups(tag, None).await
    }

    async fn vpc_security_groups(
        &self,
        region: &Region,
        tag: (&str, &str),
        vpc: &VpcId,
    ) -> Result<Vec<SecurityGroup>, AwsError> {
        self.services(region).ec2.security_groups(tag, Some(vpc)).await
    }

    async fn functions(&self, region: &Region) -> Result<Vec<FunctionListing>, AwsError> {
        self.services(region).lambda.functions().await
    }

    async fn function(&self, region: &Region, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        self.services(region).lambda.function(name).await
    }

    async fn probe(&self, region: &Region, name: &FunctionName) -> Result<Invocation, AwsError> {
        self.services(region).lambda.probe(name).await
    }

    async fn log_groups(&self, region: &Region, prefix: &str) -> Result<Vec<LogGroup>, AwsError> {
        self.services(region).logs.groups(prefix).await
    }

    async fn log_group_tags(&self, region: &Region, group: &LogGroup) -> Result<Option<Tags>, AwsError> {
        self.services(region).logs.tags(group).await
    }

    async fn roles(&self, region: &Region, path: &str) -> Result<Vec<Role>, AwsError> {
        self.services(region).iam.roles(path).await
    }

    async fn role_listings(&self, region: &Region, path: &str) -> Result<Vec<RoleListing>, AwsError> {
        self.services(region).iam.role_listings(path).await
    }

    async fn role(&self, region: &Region, name: &RoleName) -> Result<Option<Role>, AwsError> {
        self.services(region).iam.role(name).await
    }

    fn keep_regions(&self, used: &BTreeSet<Region>) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).retain(|region, _| used.contains(region));
        self.pacer.keep_regions(used);
    }

    async fn make(&self, region: &Region, write: &Write) -> Result<Made, AwsError> {
        self.services(region).make(write).await
    }
}
