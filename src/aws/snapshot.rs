//! One look at AWS that serves every object: each table is read at most once for everybody who asks at the same time,
//! is kept until a write of ours (or a resync) invalidates it, and is read by one paginated call, never one per app.

mod roles;
mod rows;
mod table;
mod topology;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use roles::RoleReader;
pub use rows::AppRows;
use rows::Rows;
pub use table::MaxAge;
use table::{Table, go_on};
use topology::TopologyTables;
pub use topology::{Topology, TopologyContents};

use super::{
    AccountId, AddressFamilies, Attachment, Aws, AwsError, Caller, Credentials, EndpointService, Failure,
    FunctionDetail, FunctionListing, FunctionName, Invalidates, Invocation, LogGroup, LogGroupName, NetworkInterface,
    NetworkInterfaceId, Region, Role, RoleName, RouteTable, SecurityGroup, SecurityGroupId, Subnet, Tags, Vpc,
    VpcEndpoint, VpcId, Write, Written,
};
use crate::identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX};

/// The snapshots of all regions, and what is common to them.
pub struct Snapshots {
    aws: Arc<dyn Aws>,
    installation: InstallationId,
    home: Region,
    credentials: Arc<Credentials>,
    caller: Table<Caller>,
    /// The account that the first answer named.
    account: Mutex<Option<AccountId>>,
    /// Roles have no region.
    roles: Arc<Table<BTreeMap<RoleName, Role>>>,
    role_reader: Arc<RoleReader>,
    regions: Mutex<BTreeMap<Region, Arc<Snapshot>>>,
}

impl Snapshots {
    /// Nothing is read yet. Calls that have no region are made in `home`.
    pub fn new(aws: Arc<dyn Aws>, installation: InstallationId, home: Region) -> Self {
        let credentials = Arc::<Credentials>::default();
        Self {
            aws,
            installation,
            home,
            caller: Table::new(&credentials),
            account: Mutex::default(),
            roles: Arc::new(Table::new(&credentials)),
            role_reader: Arc::default(),
            regions: Mutex::default(),
            credentials,
        }
    }

    /// Who the operator is to AWS. Asked once, then remembered. Whoever works for an object asks this first: while AWS
    /// does not take the credentials, no further call is made for anybody.
    ///
    /// # Errors
    /// As `sts:GetCallerIdentity`.
    pub async fn caller(&self) -> Result<Arc<Caller>, AwsError> {
        match self.credentials.refusal() {
            Some(refusal) => Err(refusal),
            None => self.caller.get(MaxAge::Any, |_| self.ask()).await,
        }
    }

    /// The same, asked anew. Whoever was known to be the caller still is while STS gives no answer.
    ///
    /// # Errors
    /// As `sts:GetCallerIdentity`; and when the credentials are of another account than they were.
    pub async fn identify(&self) -> Result<Arc<Caller>, AwsError> {
        if self.caller.kept().is_none() {
            self.caller.invalidate();
            return self.caller.get(MaxAge::Any, |_| self.ask()).await;
        }
        let answer = self.ask().await.map(Arc::new);
        match &answer {
            Ok(caller) => self.caller.keep(Arc::clone(caller), Duration::ZERO),
            Err(error) if error.failure == Failure::Credentials => self.caller.invalidate(),
            Err(_) => {}
        }
        answer
    }

    /// The objects say in which account they were built: credentials of another one are refused, whoever was asked before.
    pub fn work_in(&self, recorded: AccountId) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        if account.as_ref() != Some(&recorded) {
            *account = Some(recorded);
            self.caller.invalidate();
        }
    }

    /// Whether AWS takes the operator's credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Nothing is ever made in two accounts: an operator works in the one in which it began.
    async fn ask(&self) -> Result<Caller, AwsError> {
        let caller = self.aws.caller(&self.home).await?;
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let first = account.get_or_insert_with(|| caller.account.clone());
        if *first == caller.account {
            return Ok(caller);
        }
        Err(AwsError {
            service: "sts",
            operation: "GetCallerIdentity",
            failure: Failure::Credentials,
            code: None,
            message: format!(
                "the credentials are of account {}, and this operator works in account {first}: give it credentials of {first}",
                caller.account
            ),
            request_id: None,
        })
    }

    /// The snapshot of a region.
    pub fn region(&self, region: &Region) -> Arc<Snapshot> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = regions.entry(region.clone()).or_insert_with(|| {
            Arc::new(Snapshot {
                aws: Arc::clone(&self.aws),
                installation: self.installation.clone(),
                region: region.clone(),
                credentials: Arc::clone(&self.credentials),
                roles: Arc::clone(&self.roles),
                role_reader: Arc::clone(&self.role_reader),
                covered: Mutex::default(),
                watched: Mutex::default(),
                topology: TopologyTables::new(&self.credentials),
                endpoints: Table::new(&self.credentials),
                security_groups: Table::new(&self.credentials),
                functions: Table::new(&self.credentials),
                log_groups: Table::new(&self.credentials),
                rows: Rows::default(),
            })
        });
        Arc::clone(snapshot)
    }

    /// Forgets what was seen in other regions than these, and has AWS forget what it keeps for them.
    pub fn keep_regions(&self, used: &BTreeSet<Region>) {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner).retain(|region, _| used.contains(region));
        self.aws.keep_regions(used);
    }

    /// How old the last good answer of each table is, by region and table. What was never asked for is left out.
    pub fn ages(&self) -> Vec<(Region, &'static str, Duration)> {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = regions.values().flat_map(|snapshot| {
            let others = [
                ("endpoints", snapshot.endpoints.age()),
                ("security_groups", snapshot.security_groups.age()),
                ("functions", snapshot.functions.age()),
                ("log_groups", snapshot.log_groups.age()),
            ];
            let tables = snapshot.topology.ages().into_iter().chain(others);
            tables.map(|(table, age)| (snapshot.region.clone(), table, age)).collect::<Vec<_>>()
        });
        tables
            .chain([(self.home.clone(), "roles", self.roles.age())])
            .filter_map(|(region, table, age)| Some((region, table, age?)))
            .collect()
    }

    /// Forgets what drift can change, so that the next question of each table reads it anew. What takes calls for each
    /// resource (the DNS attributes of VPCs, roles that are read one by one) is forgotten in turn; what AWS offers in a region
    /// has a slower clock.
    pub fn resync(&self) {
        self.role_reader.take_turns();
        self.roles.invalidate();
        for snapshot in self.regions.lock().unwrap_or_else(PoisonError::into_inner).values() {
            snapshot.topology.resync();
            snapshot.endpoints.invalidate();
            snapshot.security_groups.invalidate();
            snapshot.functions.invalidate();
            snapshot.log_groups.invalidate();
        }
    }
}

/// What one region of the account looks like, as far as it concerns us.
pub struct Snapshot {
    aws: Arc<dyn Aws>,
    installation: InstallationId,
    region: Region,
    credentials: Arc<Credentials>,
    roles: Arc<Table<BTreeMap<RoleName, Role>>>,
    role_reader: Arc<RoleReader>,
    covered: Mutex<BTreeSet<VpcId>>,
    /// VPCs of which the endpoints are looked at although no network is there.
    watched: Mutex<BTreeSet<VpcId>>,
    topology: TopologyTables,
    endpoints: Table<Endpoints>,
    security_groups: Table<Vec<SecurityGroup>>,
    functions: Table<Functions>,
    log_groups: Table<BTreeMap<LogGroupName, LogGroup>>,
    rows: Rows,
}

/// The functions of the account in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Functions {
    /// Those whose name could be ours.
    ours: Arc<BTreeMap<FunctionName, FunctionListing>>,
    /// Where each function is attached, whoever's it is.
    attachments: Arc<BTreeSet<Attachment>>,
}

/// What the tables of a region, and that of the roles, keep: plain data, by which a model checker goes on from any state.
/// `None` where whoever asks next has it read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the tables say what is in them")]
pub struct TableContents {
    pub roles: Option<Arc<BTreeMap<RoleName, Role>>>,
    pub topology: TopologyContents,
    pub endpoints: Option<Arc<Endpoints>>,
    pub security_groups: Option<Arc<Vec<SecurityGroup>>>,
    pub functions: Option<Arc<Functions>>,
    pub log_groups: Option<Arc<BTreeMap<LogGroupName, LogGroup>>>,
}

/// The endpoints of the covered VPCs, ours and others', and the interfaces of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoints {
    /// All endpoints.
    pub endpoints: Vec<VpcEndpoint>,
    /// The interfaces of those that carry our installation's tag.
    pub interfaces: BTreeMap<NetworkInterfaceId, NetworkInterface>,
}

impl Snapshot {
    /// The region that this is a look at.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Includes a VPC in topology and endpoints from now on.
    pub fn cover(&self, vpc: &VpcId) {
        if self.covered.lock().unwrap_or_else(PoisonError::into_inner).insert(vpc.clone()) {
            self.topology.cover();
            self.endpoints.invalidate();
        }
    }

    /// The VPC is in topology and endpoints.
    pub fn covers(&self, vpc: &VpcId) -> bool {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner).contains(vpc)
    }

    /// What the tables keep.
    pub fn kept(&self) -> TableContents {
        TableContents {
            roles: self.roles.kept(),
            topology: self.topology.kept(),
            endpoints: self.endpoints.kept(),
            security_groups: self.security_groups.kept(),
            functions: self.functions.kept(),
            log_groups: self.log_groups.kept(),
        }
    }

    /// Goes on from what other tables kept, which is so old by now.
    pub fn keep(&self, kept: TableContents, aged: Duration) {
        let TableContents { roles, topology, endpoints, security_groups, functions, log_groups } = kept;
        go_on(&self.roles, roles, aged);
        self.topology.keep(topology, aged);
        go_on(&self.endpoints, endpoints, aged);
        go_on(&self.security_groups, security_groups, aged);
        go_on(&self.functions, functions, aged);
        go_on(&self.log_groups, log_groups, aged);
    }

    /// Leaves a VPC out from now on.
    pub fn uncover(&self, vpc: &VpcId) {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner).remove(vpc);
        self.topology.uncover(vpc);
    }

    /// Includes a VPC in endpoints although no network is there, from the next read on.
    pub fn watch(&self, vpc: &VpcId) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(vpc.clone());
    }

    /// Ends what [`Self::watch`] began.
    pub fn unwatch(&self, vpc: &VpcId) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(vpc);
    }

    /// The VPCs that are in endpoints.
    fn with_watched(&self) -> BTreeSet<VpcId> {
        let mut vpcs = self.covered();
        vpcs.extend(self.watched.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        vpcs
    }

    fn covered(&self) -> BTreeSet<VpcId> {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A covered VPC, its subnets and route tables, and these endpoint services: all its parts, each as old as it may be.
    ///
    /// # Errors
    /// As the parts: [`Self::vpc`], [`Self::subnets`], [`Self::route_tables`], [`Self::endpoint_services`].
    pub async fn topology(
        &self,
        vpc: &VpcId,
        max_age: MaxAge,
        services: &BTreeSet<String>,
    ) -> Result<Topology, AwsError> {
        let (found, subnets, route_tables, services) = futures::try_join!(
            self.vpc(vpc, max_age),
            self.subnets(max_age),
            self.route_tables(max_age),
            self.endpoint_services(max_age, services),
        )?;
        Ok(Topology {
            vpcs: found.map(|vpc| (vpc.id.clone(), vpc)).into_iter().collect(),
            subnets: subnets.iter().filter(|subnet| subnet.vpc == *vpc).cloned().collect(),
            route_tables: route_tables.iter().filter(|table| table.vpc == *vpc).cloned().collect(),
            services: (*services).clone(),
        })
    }

    /// A covered VPC; `None` when there is no such VPC. Where any age will do, its DNS attributes are at most six resyncs
    /// old, and all else is of the last resync.
    ///
    /// # Errors
    /// As `DescribeVpcs` and `DescribeVpcAttribute`.
    pub async fn vpc(&self, vpc: &VpcId, max_age: MaxAge) -> Result<Option<Vpc>, AwsError> {
        self.topology.vpc((&*self.aws, &self.region), &self.covered(), vpc, max_age).await
    }

    /// The subnets of all covered VPCs.
    ///
    /// # Errors
    /// As `DescribeSubnets`.
    pub async fn subnets(&self, max_age: MaxAge) -> Result<Arc<Vec<Subnet>>, AwsError> {
        self.topology.subnets((&*self.aws, &self.region), &self.covered(), max_age).await
    }

    /// The route tables of all covered VPCs.
    ///
    /// # Errors
    /// As `DescribeRouteTables`.
    pub async fn route_tables(&self, max_age: MaxAge) -> Result<Arc<Vec<RouteTable>>, AwsError> {
        self.topology.route_tables((&*self.aws, &self.region), &self.covered(), max_age).await
    }

    /// These endpoint services, by name, as the region offers them: at most half an hour old.
    ///
    /// # Errors
    /// As `DescribeVpcEndpointServices`.
    pub async fn endpoint_services(
        &self,
        max_age: MaxAge,
        names: &BTreeSet<String>,
    ) -> Result<Arc<BTreeMap<String, EndpointService>>, AwsError> {
        self.topology.services((&*self.aws, &self.region), names, max_age).await
    }

    /// The endpoints of the covered VPCs. An interface never changes its IPv4 address, so only interfaces that were not
    /// seen before are asked for; and those that have, or had, IPv6 addresses, which come and go with the endpoint's families.
    ///
    /// # Errors
    /// As `DescribeVpcEndpoints` and `DescribeNetworkInterfaces`.
    pub async fn endpoints(&self, max_age: MaxAge) -> Result<Arc<Endpoints>, AwsError> {
        self.endpoints
            .get(max_age, async |before: Option<Arc<Endpoints>>| {
                self.read_endpoints(&self.with_watched(), before).await
            })
            .await
    }

    /// The endpoints of these VPCs, and the interfaces of ours, of which those are asked for that were not seen `before`.
    async fn read_endpoints(
        &self,
        vpcs: &BTreeSet<VpcId>,
        before: Option<Arc<Endpoints>>,
    ) -> Result<Endpoints, AwsError> {
        let endpoints = self.aws.vpc_endpoints(&self.region, vpcs).await?;
        let (mut interfaces, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for (endpoint, id) in endpoints
            .iter()
            .filter(|endpoint| self.installation.owns(&endpoint.tags) && !endpoint.state.is_ending())
            .flat_map(|endpoint| endpoint.interfaces.iter().map(move |id| (endpoint, id)))
        {
            let keeps = |interface: &&NetworkInterface| {
                endpoint.address_families == AddressFamilies::Ipv4 && interface.ipv6.is_empty()
            };
            match before.as_ref().and_then(|before| before.interfaces.get(id)).filter(keeps) {
                Some(interface) => drop(interfaces.insert(id.clone(), interface.clone())),
                None => drop(unknown.insert(id.clone())),
            }
        }
        if !unknown.is_empty() {
            let found = self.aws.network_interfaces(&self.region, &unknown).await?;
            interfaces.extend(found.into_iter().map(|interface| (interface.id.clone(), interface)));
        }
        Ok(Endpoints { endpoints, interfaces })
    }

    /// The security groups of this installation.
    ///
    /// # Errors
    /// As `DescribeSecurityGroups`.
    pub async fn security_groups(&self, max_age: MaxAge) -> Result<Arc<Vec<SecurityGroup>>, AwsError> {
        self.security_groups.get(max_age, |_| self.aws.security_groups(&self.region, self.installation.tag())).await
    }

    /// The security groups of this installation as they were read last, however long ago; `None` where they never were.
    pub async fn known_security_groups(&self) -> Option<Arc<Vec<SecurityGroup>>> {
        self.security_groups.known().await
    }

    /// The security groups of this installation; as they were read last where they cannot be read now.
    ///
    /// # Errors
    /// As `DescribeSecurityGroups`, where they were never read.
    pub async fn security_groups_or_known(&self, max_age: MaxAge) -> Result<Arc<Vec<SecurityGroup>>, AwsError> {
        match self.security_groups(max_age).await {
            Ok(groups) => Ok(groups),
            Err(error) => self.known_security_groups().await.ok_or(error),
        }
    }

    /// The functions whose name could be ours.
    ///
    /// # Errors
    /// As `ListFunctions`.
    pub async fn functions(&self, max_age: MaxAge) -> Result<Arc<BTreeMap<FunctionName, FunctionListing>>, AwsError> {
        Ok(Arc::clone(&self.all_functions(max_age).await?.ours))
    }

    /// Where the functions of the account are attached, whoever's they are: Lambda keeps interfaces by it.
    ///
    /// # Errors
    /// As `ListFunctions`.
    pub async fn attachments(&self, max_age: MaxAge) -> Result<Arc<BTreeSet<Attachment>>, AwsError> {
        Ok(Arc::clone(&self.all_functions(max_age).await?.attachments))
    }

    async fn all_functions(&self, max_age: MaxAge) -> Result<Arc<Functions>, AwsError> {
        self.functions
            .get(max_age, async |_| {
                let functions = self.aws.functions(&self.region).await?;
                let attachments = functions.iter().map(|function| function.configuration.attachment()).collect();
                let ours = functions
                    .into_iter()
                    .filter(|function| function.name.as_str().starts_with(FUNCTION_PREFIX))
                    .map(|function| (function.name.clone(), function))
                    .collect();
                Ok(Functions { ours: Arc::new(ours), attachments: Arc::new(attachments) })
            })
            .await
    }

    /// The log groups whose name could be ours.
    ///
    /// # Errors
    /// As `DescribeLogGroups`.
    pub async fn log_groups(&self, max_age: MaxAge) -> Result<Arc<BTreeMap<LogGroupName, LogGroup>>, AwsError> {
        self.log_groups
            .get(max_age, async |_| {
                let groups = self.aws.log_groups(&self.region, LOG_GROUP_PREFIX).await?;
                Ok(groups.into_iter().map(|group| (group.name.clone(), group)).collect())
            })
            .await
    }

    /// The roles below this installation's path. Where IAM shows them one by one only, what others changed on a role may
    /// be some resyncs old, unless the role is in [doubt](Self::doubt_role).
    ///
    /// # Errors
    /// As `GetAccountAuthorizationDetails`, or the calls that stand in for it.
    pub async fn roles(&self, max_age: MaxAge) -> Result<Arc<BTreeMap<RoleName, Role>>, AwsError> {
        let path = self.installation.role_path();
        self.roles.get(max_age, async |_| self.role_reader.read(&*self.aws, &self.region, &path).await).await
    }

    /// The next look at roles is to show this one as it is then, also where roles are read one by one.
    pub fn doubt_role(&self, name: &RoleName) {
        if self.role_reader.doubt(name) {
            self.roles.doubt();
        }
    }

    /// The interfaces that carry a group: never cached, and asked for only when that cannot be deleted.
    ///
    /// # Errors
    /// As `DescribeNetworkInterfaces`.
    pub async fn group_interfaces(
        &self,
        group: &SecurityGroupId,
    ) -> Result<BTreeMap<NetworkInterfaceId, NetworkInterface>, AwsError> {
        let interfaces = self.note_credentials(self.aws.group_interfaces(&self.region, group).await)?;
        Ok(interfaces.into_iter().map(|interface| (interface.id.clone(), interface)).collect())
    }

    /// The interfaces of a VPC: never cached, and asked for only while something is to go.
    ///
    /// # Errors
    /// As `DescribeNetworkInterfaces`.
    pub async fn vpc_interfaces(
        &self,
        vpc: &VpcId,
    ) -> Result<BTreeMap<NetworkInterfaceId, NetworkInterface>, AwsError> {
        let interfaces = self.note_credentials(self.aws.vpc_interfaces(&self.region, vpc).await)?;
        Ok(interfaces.into_iter().map(|interface| (interface.id.clone(), interface)).collect())
    }

    /// The groups that have a rule which names a group: never cached, and asked for only when that cannot be deleted.
    ///
    /// # Errors
    /// As `DescribeSecurityGroups`.
    pub async fn referring_groups(&self, group: &SecurityGroupId) -> Result<BTreeSet<SecurityGroupId>, AwsError> {
        let groups = self.note_credentials(self.aws.referring_groups(&self.region, group).await)?;
        Ok(groups.into_iter().map(|group| group.id).collect())
    }

    /// One function with its state and tags: never cached, so ask only where a listing does not do.
    ///
    /// # Errors
    /// As `GetFunction`.
    pub async fn function(&self, name: &FunctionName) -> Result<Option<FunctionDetail>, AwsError> {
        self.note_credentials(self.aws.function(&self.region, name).await)
    }

    /// Invokes a function's probe: it runs the function, so ask only when it is due.
    ///
    /// # Errors
    /// As `Invoke`.
    pub async fn probe(&self, name: &FunctionName) -> Result<Invocation, AwsError> {
        self.note_credentials(self.aws.probe(&self.region, name).await)
    }

    /// The tags of a log group: never cached; needed before a group that was there already is written to, and for a
    /// closer look.
    ///
    /// # Errors
    /// As `ListTagsForResource`.
    pub async fn log_group_tags(&self, group: &LogGroup) -> Result<Option<Tags>, AwsError> {
        self.note_credentials(self.aws.log_group_tags(&self.region, group).await)
    }

    /// A call that was refused because of its credentials makes them suspect.
    fn note_credentials<T>(&self, answer: Result<T, AwsError>) -> Result<T, AwsError> {
        answer.inspect_err(|error| self.credentials.suspect(error))
    }

    /// Carries out a change, and forgets what it may have changed, whether it succeeded or not.
    ///
    /// # Errors
    /// As the call.
    pub async fn write(&self, write: &Write) -> Result<Written, AwsError> {
        let result = self.note_credentials(self.aws.write(&self.region, write).await);
        self.forget(write, result.as_ref().err());
        result
    }

    /// Forgets what a write may have changed, by how it failed, if it did.
    pub fn forget(&self, write: &Write, error: Option<&AwsError>) {
        if error.is_some_and(tells_nothing) {
            return;
        }
        match write.describe().invalidates {
            Invalidates::Nothing => {}
            Invalidates::SecurityGroups => self.security_groups.invalidate(),
            Invalidates::Endpoints => self.endpoints.invalidate(),
            Invalidates::EndpointsAndSecurityGroups => {
                self.endpoints.invalidate();
                self.security_groups.invalidate();
            }
            Invalidates::Role(role) => {
                self.role_reader.wrote(role);
                self.roles.invalidate();
            }
            Invalidates::LogGroups => self.log_groups.invalidate(),
            Invalidates::Functions => self.functions.invalidate(),
        }
    }
}

/// AWS refused a write without a look at the resource: everything is as it was, and needs no further look.
fn tells_nothing(error: &AwsError) -> bool {
    match error.failure {
        Failure::Throttled | Failure::Credentials | Failure::QuotaReached | Failure::AccessDenied => true,
        Failure::Unavailable
        | Failure::NotFound
        | Failure::AlreadyExists
        | Failure::NameTaken
        | Failure::InUse
        | Failure::NotYet
        | Failure::RoleNotUsable
        | Failure::TokenMismatch
        | Failure::PrivateDnsConflict
        | Failure::BoundaryMissing
        | Failure::KeyUnusable
        | Failure::Invalid
        | Failure::Malformed => false,
    }
}
