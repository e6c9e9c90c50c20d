//! One look at AWS that serves every object: each table is read at most once for everybody who asks at the same time, by one
//! paginated call, never one per app, and is kept until a resync. Our own writes change the rows of roles, functions and log
//! groups, and have the other tables, which are small, read anew.

mod calls;
mod interfaces;
mod regions;
mod resources;
mod roles;
mod row_table;
mod rows;
mod table;
mod topology;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use interfaces::InterfaceLooks;
pub use regions::Snapshots;
use resources::{Functions, LogGroups, Roles};
pub use resources::{ListedFunction, Since};
use roles::RoleReader;
pub use row_table::KeptRows;
use rows::Rows;
pub use rows::{AppRows, RowName};
pub use table::MaxAge;
use table::{Table, restore_if_any};
use topology::TopologyTables;
pub use topology::{Topology, TopologyState};

use super::{
    AccountId, AddressFamilies, Attachment, Aws, AwsError, Credentials, EndpointService, FunctionListing, FunctionName,
    LogGroup, LogGroupName, NetworkInterface, NetworkInterfaceId, Region, Role, RoleName, RouteTable, SecurityGroup,
    Subnet, Vpc, VpcEndpoint, VpcId,
};
use crate::identity::InstallationId;

/// One region of the account, as far as it concerns the operator.
pub struct Snapshot {
    aws: Arc<dyn Aws>,
    installation: InstallationId,
    region: Region,
    credentials: Arc<Credentials>,
    /// The account, once it is known.
    account: Arc<Mutex<Option<AccountId>>>,
    roles: Arc<Roles>,
    role_reader: Arc<RoleReader>,
    covered: Mutex<BTreeSet<VpcId>>,
    /// VPCs without a network whose endpoints are read.
    endpoints_only: Mutex<BTreeSet<VpcId>>,
    topology: TopologyTables,
    endpoints: Table<Endpoints>,
    security_groups: Table<Vec<SecurityGroup>>,
    functions: Functions,
    log_groups: LogGroups,
    rows: Rows,
    interface_looks: InterfaceLooks,
}

/// The content of the tables of a region and of the table of roles: plain data, from which a model checker continues in any
/// state. `None` where the next caller causes a read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the tables say what is in them")]
pub struct SnapshotState {
    pub roles: KeptRows<RoleName, Role>,
    pub topology: TopologyState,
    pub endpoints: Option<Arc<Endpoints>>,
    pub security_groups: Option<Arc<Vec<SecurityGroup>>>,
    pub functions: KeptRows<FunctionName, FunctionListing>,
    /// The attachments of functions that are not ours.
    pub attachments: Arc<BTreeSet<Attachment>>,
    pub log_groups: KeptRows<LogGroupName, LogGroup>,
}

impl SnapshotState {
    /// What a resync leaves, which reads every table anew: our own writes.
    #[must_use]
    pub fn resynced(&self) -> Self {
        let (roles, functions) = (self.roles.without_list(), self.functions.without_list());
        Self { roles, functions, log_groups: self.log_groups.without_list(), ..Self::default() }
    }

    /// What remains when AWS has had the time to show every write.
    #[must_use]
    pub fn settled(&self) -> Self {
        let (roles, functions) = (self.roles.settled(), self.functions.settled());
        Self { roles, functions, log_groups: self.log_groups.settled(), ..self.clone() }
    }
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
    /// The region of this snapshot.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Includes a VPC in topology and endpoints from now on.
    pub fn include_vpc(&self, vpc: &VpcId) {
        if self.covered.lock().unwrap_or_else(PoisonError::into_inner).insert(vpc.clone()) {
            self.topology.invalidate_pages();
            self.endpoints.invalidate();
        }
    }

    /// The VPC is in topology and endpoints.
    pub fn includes_vpc(&self, vpc: &VpcId) -> bool {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner).contains(vpc)
    }

    /// The content of the tables.
    pub fn state(&self) -> SnapshotState {
        SnapshotState {
            roles: self.roles.state(),
            topology: self.topology.state(),
            endpoints: self.endpoints.current(),
            security_groups: self.security_groups.current(),
            functions: self.functions.state(),
            attachments: self.functions.last_others(),
            log_groups: self.log_groups.state(),
        }
    }

    /// Goes on from what other tables kept, which is so old by now.
    pub fn restore(&self, state: SnapshotState, aged: Duration) {
        let SnapshotState { roles, topology, endpoints, security_groups, functions, attachments, log_groups } = state;
        self.roles.restore(roles, Arc::default(), aged);
        self.topology.restore(topology, aged);
        restore_if_any(&self.endpoints, endpoints, aged);
        restore_if_any(&self.security_groups, security_groups, aged);
        self.functions.restore(functions, attachments, aged);
        self.log_groups.restore(log_groups, Arc::default(), aged);
    }

    /// Leaves a VPC out from now on.
    pub fn exclude_vpc(&self, vpc: &VpcId) {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner).remove(vpc);
        self.topology.exclude_vpc(vpc);
        self.interface_looks.forget(vpc);
    }

    /// Includes a VPC in endpoints although no network is there, from the next read on.
    pub fn include_endpoints_of(&self, vpc: &VpcId) {
        self.endpoints_only.lock().unwrap_or_else(PoisonError::into_inner).insert(vpc.clone());
    }

    /// Ends the effect of [`Self::include_endpoints_of`].
    pub fn exclude_endpoints_of(&self, vpc: &VpcId) {
        self.endpoints_only.lock().unwrap_or_else(PoisonError::into_inner).remove(vpc);
    }

    /// The VPCs that are in endpoints.
    fn vpcs_of_endpoints(&self) -> BTreeSet<VpcId> {
        let mut vpcs = self.covered();
        vpcs.extend(self.endpoints_only.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
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
                self.read_endpoints(&self.vpcs_of_endpoints(), before).await
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
    pub async fn last_security_groups(&self) -> Option<Arc<Vec<SecurityGroup>>> {
        self.security_groups.last_good().await
    }

    /// The security groups of this installation; as they were read last where they cannot be read now.
    ///
    /// # Errors
    /// As `DescribeSecurityGroups`, where they were never read.
    pub async fn security_groups_or_last(&self, max_age: MaxAge) -> Result<Arc<Vec<SecurityGroup>>, AwsError> {
        match self.security_groups(max_age).await {
            Ok(groups) => Ok(groups),
            Err(error) => self.last_security_groups().await.ok_or(error),
        }
    }
}
