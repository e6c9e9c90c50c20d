//! The shape of VPCs, in parts that are read, kept and fail independently.
//!
//! A network claims that its VPC carries a private path. The claim rests on two sources. The pages of VPCs, subnets and route
//! tables are read at every resync for all covered VPCs together. The DNS attributes take two EC2 calls for each VPC: they are
//! read in turn, none less often than every [`DNS_WITHIN`] resyncs. The endpoint services of a region are no claim about a VPC,
//! and are read more rarely.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    MaxAge,
    table::{Table, restore_if_any},
};
use crate::aws::{
    Aws, AwsError, Credentials, EndpointService, Region, RouteTable, Subnet, Vpc, VpcDns, VpcId, VpcListing,
};

/// The greatest age of the answer about the endpoint services of a region and their zones.
const SERVICES_MAX_AGE: Duration = Duration::from_mins(30);

/// The DNS attributes of a VPC are read again within so many resyncs.
const DNS_WITHIN: usize = 6;

/// The least number of VPCs whose DNS attributes are read again at each resync.
const DNS_AT_LEAST: usize = 5;

/// The shape of VPCs, and the endpoint services on offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topology {
    /// VPCs by id; a missing one does not exist.
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// All their subnets.
    pub subnets: Vec<Subnet>,
    /// All their route tables.
    pub route_tables: Vec<RouteTable>,
    /// Endpoint services by name; a missing one is not offered.
    pub services: BTreeMap<String, EndpointService>,
}

impl Topology {
    /// The part of the topology that concerns one VPC.
    #[must_use]
    pub fn of(&self, vpc: &VpcId) -> Self {
        Self {
            vpcs: self.vpcs.get_key_value(vpc).map(|(id, vpc)| (id.clone(), vpc.clone())).into_iter().collect(),
            subnets: self.subnets.iter().filter(|subnet| &subnet.vpc == vpc).cloned().collect(),
            route_tables: self.route_tables.iter().filter(|table| &table.vpc == vpc).cloned().collect(),
            services: self.services.clone(),
        }
    }
}

/// The state of these tables, as in [`SnapshotState`](super::SnapshotState).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the tables say what is in them")]
pub struct TopologyState {
    pub vpcs: Option<Arc<BTreeMap<VpcId, VpcListing>>>,
    pub dns: BTreeMap<VpcId, Arc<Option<VpcDns>>>,
    pub subnets: Option<Arc<Vec<Subnet>>>,
    pub route_tables: Option<Arc<Vec<RouteTable>>>,
    pub services: Option<Arc<BTreeMap<String, EndpointService>>>,
}

/// The tables of one region.
pub(super) struct TopologyTables {
    credentials: Arc<Credentials>,
    vpcs: Table<BTreeMap<VpcId, VpcListing>>,
    dns: Mutex<BTreeMap<VpcId, Dns>>,
    subnets: Table<Vec<Subnet>>,
    route_tables: Table<Vec<RouteTable>>,
    services: Table<BTreeMap<String, EndpointService>>,
}

/// The DNS attributes of one VPC.
struct Dns {
    /// The inner `None` means that EC2 does not know the VPC.
    table: Arc<Table<Option<VpcDns>>>,
    /// The number of resyncs since the attributes were last read.
    resyncs: usize,
}

impl TopologyTables {
    pub(super) fn new(credentials: &Arc<Credentials>) -> Self {
        Self {
            credentials: Arc::clone(credentials),
            vpcs: Table::new(credentials),
            dns: Mutex::default(),
            subnets: Table::new(credentials),
            route_tables: Table::new(credentials),
            services: Table::new(credentials),
        }
    }

    /// Invalidates the pages, which lack a VPC that is covered from now on.
    pub(super) fn invalidate_pages(&self) {
        self.vpcs.invalidate();
        self.subnets.invalidate();
        self.route_tables.invalidate();
    }

    /// A VPC is covered no more.
    pub(super) fn exclude_vpc(&self, vpc: &VpcId) {
        self.dns().remove(vpc);
    }

    /// Invalidates the pages, and the DNS attributes of the VPCs whose turn it is.
    pub(super) fn resync(&self) {
        self.invalidate_pages();
        let mut dns = self.dns();
        dns.values_mut().for_each(|dns| dns.resyncs = dns.resyncs.saturating_add(1));
        let ages = dns.iter().map(|(vpc, dns)| (vpc.clone(), dns.resyncs)).collect();
        for vpc in due(&ages) {
            if let Some(dns) = dns.get_mut(&vpc) {
                dns.table.invalidate();
                dns.resyncs = 0;
            }
        }
    }

    /// Reads one VPC anew: its rows of the pages, and its DNS attributes when they are asked for next.
    pub(super) async fn read_vpc_again(&self, (aws, region): (&dyn Aws, &Region), vpc: &VpcId) {
        let ids = BTreeSet::from([vpc.clone()]);
        if let Some(dns) = self.dns().get(vpc) {
            dns.table.invalidate();
        }
        let vpcs = self.vpcs.amend(
            |_| aws.vpcs(region, &ids),
            |vpcs, found| {
                vpcs.remove(vpc);
                vpcs.extend(found.into_iter().map(|vpc| (vpc.id.clone(), vpc)));
            },
        );
        let subnets = self.subnets.amend(
            |_| aws.subnets(region, &ids),
            |subnets, found| {
                subnets.retain(|subnet| subnet.vpc != *vpc);
                subnets.extend(found);
            },
        );
        let route_tables = self.route_tables.amend(
            |_| aws.route_tables(region, &ids),
            |tables, found| {
                tables.retain(|table| table.vpc != *vpc);
                tables.extend(found);
            },
        );
        futures::join!(vpcs, subnets, route_tables, self.services.forget_error());
    }

    /// The age of the last good answer of each table; of the DNS attributes, the greatest age.
    pub(super) fn ages(&self) -> [(&'static str, Option<Duration>); 5] {
        [
            ("vpcs", self.vpcs.age()),
            ("vpc_dns", self.dns().values().filter_map(|dns| dns.table.age()).max()),
            ("subnets", self.subnets.age()),
            ("route_tables", self.route_tables.age()),
            ("endpoint_services", self.services.age()),
        ]
    }

    pub(super) fn state(&self) -> TopologyState {
        TopologyState {
            vpcs: self.vpcs.current(),
            dns: self.dns().iter().filter_map(|(vpc, dns)| Some((vpc.clone(), dns.table.current()?))).collect(),
            subnets: self.subnets.current(),
            route_tables: self.route_tables.current(),
            services: self.services.current(),
        }
    }

    pub(super) fn restore(&self, kept: TopologyState, aged: Duration) {
        let TopologyState { vpcs, dns, subnets, route_tables, services } = kept;
        restore_if_any(&self.vpcs, vpcs, aged);
        for (vpc, kept) in dns {
            self.dns_of(&vpc).restore(kept, aged);
        }
        restore_if_any(&self.subnets, subnets, aged);
        restore_if_any(&self.route_tables, route_tables, aged);
        restore_if_any(&self.services, services, aged);
    }

    /// A VPC with its DNS attributes; `None` when the VPC does not exist.
    pub(super) async fn vpc(
        &self,
        (aws, region): (&dyn Aws, &Region),
        covered: &BTreeSet<VpcId>,
        vpc: &VpcId,
        max_age: MaxAge,
    ) -> Result<Option<Vpc>, AwsError> {
        let page = self
            .vpcs
            .get(max_age, async |_| {
                let found = aws.vpcs(region, covered).await?;
                Ok(found.into_iter().map(|vpc| (vpc.id.clone(), vpc)).collect())
            })
            .await?;
        let Some(listing) = page.get(vpc) else { return Ok(None) };
        let dns = self.dns_of(vpc).get(max_age, |_| aws.vpc_dns(region, vpc)).await?;
        Ok(dns.map(|dns| listing.clone().with(dns)))
    }

    pub(super) async fn subnets(
        &self,
        (aws, region): (&dyn Aws, &Region),
        covered: &BTreeSet<VpcId>,
        max_age: MaxAge,
    ) -> Result<Arc<Vec<Subnet>>, AwsError> {
        self.subnets.get(max_age, |_| aws.subnets(region, covered)).await
    }

    pub(super) async fn route_tables(
        &self,
        (aws, region): (&dyn Aws, &Region),
        covered: &BTreeSet<VpcId>,
        max_age: MaxAge,
    ) -> Result<Arc<Vec<RouteTable>>, AwsError> {
        self.route_tables.get(max_age, |_| aws.route_tables(region, covered)).await
    }

    pub(super) async fn services(
        &self,
        (aws, region): (&dyn Aws, &Region),
        names: &BTreeSet<String>,
        max_age: MaxAge,
    ) -> Result<Arc<BTreeMap<String, EndpointService>>, AwsError> {
        self.services
            .get(MaxAge::Under(max_age.bounded_by(SERVICES_MAX_AGE)), async |_| {
                let found = aws.endpoint_services(region, names).await?;
                Ok(found.into_iter().map(|service| (service.name.clone(), service)).collect())
            })
            .await
    }

    fn dns_of(&self, vpc: &VpcId) -> Arc<Table<Option<VpcDns>>> {
        let mut dns = self.dns();
        let dns = dns
            .entry(vpc.clone())
            .or_insert_with(|| Dns { table: Arc::new(Table::new(&self.credentials)), resyncs: 0 });
        Arc::clone(&dns.table)
    }

    fn dns(&self) -> MutexGuard<'_, BTreeMap<VpcId, Dns>> {
        self.dns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The VPCs whose DNS attributes are due, by the number of resyncs since each was last read: those at the bound, and enough of
/// the oldest to keep the others from reaching the bound all at once.
fn due(resyncs: &BTreeMap<VpcId, usize>) -> BTreeSet<VpcId> {
    let in_turn = resyncs.len().div_ceil(DNS_WITHIN).max(DNS_AT_LEAST);
    let mut oldest: Vec<(&VpcId, usize)> = resyncs.iter().map(|(vpc, resyncs)| (vpc, *resyncs)).collect();
    oldest.sort_by_key(|(vpc, resyncs)| (Reverse(*resyncs), *vpc));
    let is_due = |(number, (_, resyncs)): &(usize, (&VpcId, usize))| *number < in_turn || *resyncs >= DNS_WITHIN;
    oldest.into_iter().enumerate().filter(is_due).map(|(_, (vpc, _))| vpc.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vpc(number: usize) -> VpcId {
        format!("vpc-{number:08x}").parse().expect("a VPC")
    }

    /// The number of resyncs between two reads of a VPC's DNS attributes keeps its bound while VPCs come and go.
    #[test]
    fn no_vpc_s_dns_attributes_are_older_than_six_resyncs_whoever_comes_and_goes() {
        for (start, end) in [(1, 1), (4, 4), (5, 5), (29, 29), (31, 31), (200, 200), (60, 30), (200, 7), (3, 90)] {
            let mut ages: BTreeMap<VpcId, usize> = (0..start).map(|number| (vpc(number), 0)).collect();
            for resync in 0..40 {
                // The VPCs that were just read go, and the oldest remain; new VPCs were read on arrival.
                if resync == 5 {
                    let mut youngest: Vec<_> = ages.iter().map(|(vpc, age)| (*age, vpc.clone())).collect();
                    youngest.sort();
                    for (_, gone) in youngest.into_iter().take(start.saturating_sub(end)) {
                        ages.remove(&gone);
                    }
                    ages.extend((start..end).map(|number| (vpc(1000 + number), 0)));
                }
                for age in ages.values_mut() {
                    *age += 1;
                }
                let due = due(&ages);
                assert!(due.len() >= ages.len().min(DNS_AT_LEAST), "{} of {}", due.len(), ages.len());
                ages.extend(due.into_iter().map(|vpc| (vpc, 0)));
                assert!(ages.values().all(|age| *age < DNS_WITHIN), "{start} then {end}, resync {resync}: {ages:?}");
            }
        }
    }

    #[test]
    fn a_resync_reads_the_dns_attributes_of_a_sixth_of_the_vpcs_and_of_five_at_least() {
        for (vpcs, expected) in [(0, 0), (1, 1), (5, 5), (30, 5), (31, 6), (60, 10), (200, 34)] {
            let mut ages: BTreeMap<VpcId, usize> = (0..vpcs).map(|number| (vpc(number), 0)).collect();
            for _ in 0..12 {
                for age in ages.values_mut() {
                    *age += 1;
                }
                let due = due(&ages);
                assert_eq!(due.len(), expected, "{vpcs} VPCs");
                ages.extend(due.into_iter().map(|vpc| (vpc, 0)));
            }
        }
    }
}
