//! One object's rows of the tables, read by themselves: what somebody asks for about one object costs the same however much
//! else is in the account.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{MaxAge, Snapshot};
use crate::{
    aws::{AwsError, FunctionName, LogGroupName, Role, RoleName, VpcId},
    identity::AppIdentity,
};

/// For how long it is remembered when rows were read. Nobody asks for facts that are at most so old, and older than a second.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

/// When the rows of a VPC with what is in it of the network were last read by themselves.
#[derive(Default)]
pub(super) struct Rows(Mutex<BTreeMap<VpcId, Instant>>);

impl Rows {
    fn were_read(&self, vpc: &VpcId, at: Instant) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|_, read| read.elapsed() < REMEMBERED_FOR);
        rows.insert(vpc.clone(), at);
    }

    /// The age that the tables may have where these rows are to be of that age: rows that were read by themselves since then need
    /// no table.
    fn bound(&self, vpc: &VpcId, max_age: MaxAge) -> MaxAge {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (max_age, rows.get(vpc)) {
            (MaxAge::Under(age), Some(read)) if read.elapsed() < age => MaxAge::Any,
            _ => max_age,
        }
    }
}

/// The resources under the names of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRows {
    /// The role.
    pub role: Option<Role>,
    /// Whether the function exists.
    pub has_function: bool,
    /// Whether the log group exists.
    pub has_log_group: bool,
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the tables")]
pub enum RowName {
    Role(RoleName),
    Function(FunctionName),
    LogGroup(LogGroupName),
}

impl Snapshot {
    /// A row may be another one than the table shows: whoever asks for it next has it read, and no other.
    pub fn forget_row(&self, row: &RowName) {
        match row {
            RowName::Role(name) => {
                // Where roles are read one by one, the next list is to show this one too as it is.
                self.role_reader.mark_stale(name);
                self.roles.forget_row(name);
            }
            RowName::Function(name) => self.functions.forget_row(name),
            RowName::LogGroup(name) => self.log_groups.forget_row(name),
        }
    }

    /// The resources under the names of an app, by calls that are never cached. Only for an app that is gone.
    ///
    /// # Errors
    /// As `GetRole` and its kin, `GetFunction` and `DescribeLogGroups`.
    pub async fn app_rows(&self, app: &AppIdentity) -> Result<AppRows, AwsError> {
        let (aws, region) = (&*self.aws, &self.region);
        let (role, function, group) = (app.role_name(), app.function_name(), app.log_group_name());
        let (role, function, groups) = futures::try_join!(
            aws.role(region, &role),
            aws.function(region, &function),
            aws.log_groups(region, group.as_str())
        )
        .inspect_err(|error| self.credentials.suspect(error))?;
        Ok(AppRows {
            role: role.filter(|role| is_below(role, &self.installation.role_path())),
            has_function: function.is_some(),
            has_log_group: groups.iter().any(|found| found.name == group),
        })
    }

    /// Roles, functions and log groups are read anew by whoever asks for them next.
    pub fn forget_apps(&self) {
        self.roles.invalidate();
        self.functions.invalidate();
        self.log_groups.invalidate();
    }

    /// Tables whose last answer is an error are read anew by whoever asks for them next: what kept AWS from answering may be mended.
    pub async fn forget_errors(&self) {
        self.roles.forget_error();
        self.functions.forget_error();
        self.log_groups.forget_error();
        futures::join!(self.endpoints.forget_error(), self.security_groups.forget_error());
    }

    /// Reads an app's role and log group anew, its function when somebody asks for it, and no others, but for tables that could not
    /// be read. What cannot be read so is read with its table.
    pub async fn reread_app(&self, app: &AppIdentity) {
        let (role, group) = (app.role_name(), app.log_group_name());
        self.forget_errors().await;
        // The function is asked for by its name where it counts.
        self.functions.forget_row(&app.function_name());
        let roles = self.roles.reread(&role, || self.read_role(&role));
        let log_groups = self.log_groups.reread(&group, || self.read_log_group(&group));
        futures::join!(roles, log_groups);
    }

    /// Reads a covered VPC anew with its subnets, route tables and endpoints and the network's security groups, and no others. What
    /// cannot be read so is read with its table.
    pub async fn reread_network(&self, vpc: &VpcId) {
        self.forget_errors().await;
        let topology = self.topology.read_vpc_again((&*self.aws, &self.region), vpc);
        futures::join!(topology, self.reread_remains(vpc));
    }

    /// Reads anew the possible remains of a network: its endpoints and security groups.
    pub async fn reread_remains(&self, vpc: &VpcId) {
        let (region, at, ids) = (&self.region, Instant::now(), BTreeSet::from([vpc.clone()]));
        let endpoints = self.endpoints.amend(
            |before| self.read_endpoints(&ids, Some(before)),
            |endpoints, found| {
                endpoints.endpoints.retain(|endpoint| endpoint.vpc != *vpc);
                endpoints.endpoints.extend(found.endpoints);
                endpoints.interfaces.extend(found.interfaces);
            },
        );
        let groups = self.security_groups.amend(
            |_| self.aws.vpc_security_groups(region, self.installation.tag(), vpc),
            |groups, found| {
                groups.retain(|group| group.vpc != *vpc);
                groups.extend(found);
            },
        );
        futures::join!(endpoints, groups);
        self.rows.were_read(vpc, at);
    }

    /// The greatest age of the tables by which a network's VPC, endpoints and security groups are known as of that time.
    pub fn age_of_network(&self, vpc: &VpcId, max_age: MaxAge) -> MaxAge {
        self.rows.bound(vpc, max_age)
    }
}

/// The role is below a path: one of the same name elsewhere is somebody else's, and no table has it.
pub(super) fn is_below(role: &Role, path: &str) -> bool {
    role.arn.split_once(":role").is_some_and(|(_, name)| name.starts_with(path))
}
