//! The snapshots of all regions, and what is common to them: the operator's identity and the roles.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    MaxAge, RowName, Snapshot,
    interfaces::InterfaceLooks,
    resources::{FUNCTIONS, LOG_GROUPS, ROLES, Roles},
    roles::RoleReader,
    row_table::RowTable,
    rows::Rows,
    table::Table,
    topology::TopologyTables,
};
use crate::{
    aws::{AccountId, Aws, AwsError, Caller, Credentials, Failure, Region, Scope},
    identity::InstallationId,
};

/// The snapshots of all regions, and what is common to them.
pub struct Snapshots {
    aws: Arc<dyn Aws>,
    installation: InstallationId,
    home: Region,
    credentials: Arc<Credentials>,
    caller: Table<Caller>,
    /// The account that the first answer named.
    account: Arc<Mutex<Option<AccountId>>>,
    /// Roles have no region.
    roles: Arc<Roles>,
    role_reader: Arc<RoleReader>,
    regions: Mutex<BTreeMap<Scope, Arc<Snapshot>>>,
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
            account: Arc::default(),
            roles: Arc::new(RowTable::new(&credentials, ROLES)),
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

    /// The caller, by a new call to STS. Without an answer, the known caller stays.
    ///
    /// # Errors
    /// As `sts:GetCallerIdentity`; and when the credentials are of another account than they were.
    pub async fn identify(&self) -> Result<Arc<Caller>, AwsError> {
        if self.caller.current().is_none() {
            self.caller.invalidate();
            return self.caller.get(MaxAge::Any, |_| self.ask()).await;
        }
        let answer = self.ask().await.map(Arc::new);
        match &answer {
            Ok(caller) => self.caller.restore(Arc::clone(caller), Duration::ZERO),
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
        let snapshot = regions.entry(Scope::own(region)).or_insert_with(|| {
            Arc::new(Snapshot {
                aws: Arc::clone(&self.aws),
                installation: self.installation.clone(),
                region: region.clone(),
                credentials: Arc::clone(&self.credentials),
                account: Arc::clone(&self.account),
                roles: Arc::clone(&self.roles),
                role_reader: Arc::clone(&self.role_reader),
                covered: Mutex::default(),
                endpoints_only: Mutex::default(),
                topology: TopologyTables::new(&self.credentials),
                endpoints: Table::new(&self.credentials),
                security_groups: Table::new(&self.credentials),
                functions: RowTable::new(&self.credentials, FUNCTIONS),
                log_groups: RowTable::new(&self.credentials, LOG_GROUPS),
                rows: Rows::default(),
                interface_looks: InterfaceLooks::default(),
            })
        });
        Arc::clone(snapshot)
    }

    /// Forgets what was seen in other regions than these, and has AWS forget what it keeps for them.
    pub fn keep_regions(&self, used: &BTreeSet<Region>) {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner).retain(|scope, _| used.contains(&scope.region));
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

    /// Something outside says that a row changed: whoever asks for it next has it read, and no other.
    pub fn forget_row(&self, scope: &Scope, row: &RowName) {
        let snapshot = self.regions.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned();
        if let Some(snapshot) = snapshot {
            snapshot.forget_row(row);
        }
    }

    /// Forgets what drift can change, so that the next question of each table reads it anew. What takes calls for each
    /// resource (the DNS attributes of VPCs, roles that are read one by one) is forgotten in turn; what AWS offers in a region
    /// has a slower clock.
    pub fn resync(&self) {
        self.role_reader.begin_rotation();
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
