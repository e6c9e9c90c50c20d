//! The tables of rows: roles, functions and log groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    MaxAge, Snapshot,
    row_table::{Cost, Listing, Moment, Reading, RowTable, TableRow},
};
use crate::{
    aws::{Attachment, AwsError, Failure, FunctionListing, FunctionName, LogGroup, LogGroupName, Role, RoleName},
    identity::{FUNCTION_PREFIX, LOG_GROUP_PREFIX},
};

pub(super) type Roles = RowTable<RoleName, Role>;
/// The functions whose names have our prefix, and the attachments of all others in the account.
pub(super) type Functions = RowTable<FunctionName, FunctionListing, BTreeSet<Attachment>>;
pub(super) type LogGroups = RowTable<LogGroupName, LogGroup>;

/// A thousand roles a page; one role takes `GetRole`, `ListRolePolicies`, `GetRolePolicy` and `ListAttachedRolePolicies`. IAM
/// reads from copies.
pub(super) const ROLES: Cost = Cost { page: 1_000, row: 4, reading: Reading::Lagging };
/// 50 functions a page, and one `GetFunction` for each, which shows what was written.
pub(super) const FUNCTIONS: Cost = Cost { page: 50, row: 1, reading: Reading::Current };
/// 50 groups a page; one is found by its name.
pub(super) const LOG_GROUPS: Cost = Cost { page: 50, row: 1, reading: Reading::Lagging };

/// From so many others on, nobody asks whether one of them is there that a table shows.
const MANY: usize = 3;

/// How old a role may be that is looked at closely.
const READ_JUST_NOW: Duration = Duration::from_secs(1);

impl TableRow for Role {}
impl TableRow for FunctionListing {}

impl TableRow for LogGroup {
    fn is_same(&self, other: &Self) -> bool {
        let Self { name, arn, retention_days, stored_bytes: _ } = self;
        (name, arn, retention_days) == (&other.name, &other.arn, &other.retention_days)
    }
}

/// A time in the order of what a snapshot reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(pub(super) Moment);

/// A function as the table shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListedFunction {
    /// There is one.
    Found(Box<FunctionListing>),
    /// There is none.
    Missing,
    /// The table does not tell: the function is to be asked for by its name.
    Unknown,
}

/// Roles.
impl Snapshot {
    /// The roles below this installation's path. Where IAM shows them one by one only, what others changed on a role may
    /// be some resyncs old.
    ///
    /// # Errors
    /// As `GetAccountAuthorizationDetails`, or the calls that stand in for it.
    pub async fn roles(&self, max_age: MaxAge) -> Result<Arc<BTreeMap<RoleName, Role>>, AwsError> {
        let lists_all = self.role_reader.may_read_all();
        self.roles.all(max_age, lists_all, || self.list_roles(), async |name| self.read_role(&name).await).await
    }

    /// One role. Where IAM shows roles one by one only, one that is looked at closely is read now.
    ///
    /// # Errors
    /// As [`Self::roles`].
    pub async fn role(&self, name: &RoleName, max_age: MaxAge, closely: bool) -> Result<Option<Role>, AwsError> {
        let lists_all = self.role_reader.may_read_all();
        let max_age = if closely && !lists_all { MaxAge::Under(max_age.bounded_by(READ_JUST_NOW)) } else { max_age };
        self.roles.row(name, max_age, lists_all, || self.list_roles(), || self.read_role(name)).await
    }

    /// The roles as AWS shows them now, whatever we wrote a moment ago.
    ///
    /// # Errors
    /// As [`Self::roles`].
    pub async fn shown_roles(&self) -> Result<BTreeMap<RoleName, Role>, AwsError> {
        let shown = self.list_roles().await.inspect_err(|error| self.credentials.suspect(error))?;
        Ok(shown.rows)
    }

    async fn list_roles(&self) -> Result<Listing<RoleName, Role, ()>, AwsError> {
        let path = self.installation.role_path();
        let rows = self.role_reader.read(&*self.aws, &self.region, &path).await?;
        Ok(Listing { size: rows.len(), rows, others: () })
    }

    /// A role of the same name elsewhere is somebody else's, and no table has it.
    pub(super) async fn read_role(&self, name: &RoleName) -> Result<Option<Role>, AwsError> {
        let path = self.installation.role_path();
        let role = self.aws.role(&self.region, name).await?.filter(|role| super::rows::is_below(role, &path));
        self.role_reader.saw(name, role.as_ref());
        Ok(role)
    }
}

/// Functions.
impl Snapshot {
    /// The functions whose name could be ours.
    ///
    /// # Errors
    /// As `ListFunctions`.
    pub async fn functions(&self, max_age: MaxAge) -> Result<Arc<BTreeMap<FunctionName, FunctionListing>>, AwsError> {
        let read = async |name: FunctionName| {
            let detail = self.aws.function(&self.region, &name).await?;
            Ok(detail.map(|detail| detail.listing))
        };
        self.functions.all(max_age, true, || self.list_functions(), read).await
    }

    /// A function as the table shows it.
    ///
    /// # Errors
    /// As `ListFunctions`.
    pub async fn listed_function(&self, name: &FunctionName, max_age: MaxAge) -> Result<ListedFunction, AwsError> {
        let row = self.functions.listed_row(name, max_age, || self.list_functions()).await?;
        Ok(match row {
            None => ListedFunction::Unknown,
            Some(None) => ListedFunction::Missing,
            Some(Some(function)) => ListedFunction::Found(Box::new(function)),
        })
    }

    /// Where the functions of the account are attached, whoever's they are: Lambda keeps interfaces by it.
    ///
    /// # Errors
    /// As `ListFunctions`.
    pub async fn attachments(&self, max_age: MaxAge) -> Result<BTreeSet<Attachment>, AwsError> {
        let others = self.functions.others(max_age, || self.list_functions()).await?;
        let ours = self.functions(MaxAge::Any).await?;
        let ours = ours.values().map(|function| function.configuration.attachment());
        Ok(ours.chain(others.iter().cloned()).collect())
    }

    /// Since when it is known that a function is gone which we had AWS delete a moment ago.
    pub fn function_gone_since(&self, name: &FunctionName) -> Option<Since> {
        self.functions.gone_since(name).map(Since)
    }

    /// From now on.
    pub fn since_now(&self) -> Since {
        Since(self.functions.begin())
    }

    /// Reads the list of functions for one that we had AWS delete, where a few others are to be seen too and a page shows all.
    ///
    /// # Errors
    /// As `ListFunctions`.
    pub async fn see_deleted_function_with_others(
        &self,
        name: &FunctionName,
        others: &BTreeSet<FunctionName>,
    ) -> Result<(), AwsError> {
        let is_open = self.functions.ends(name) && self.functions.is_open(name);
        if is_open && (1..MANY).contains(&others.len()) && self.functions.is_one_page() {
            self.functions.read_open(name, || self.list_functions()).await?;
        }
        Ok(())
    }

    /// Whether one of these functions is there, as of this time. Of few, one is asked for that the table shows; many are not
    /// all deleted by somebody else between two resyncs.
    ///
    /// # Errors
    /// As `ListFunctions` and `GetFunction`.
    pub async fn is_any_function_there(&self, names: &BTreeSet<FunctionName>, since: Since) -> Result<bool, AwsError> {
        // The list is read, if it is to be.
        self.functions.others(MaxAge::Any, || self.list_functions()).await?;
        let (there, ends, list) = self.functions.standing(names.iter());
        if there.len() >= MANY {
            return Ok(true);
        }
        if list.is_some_and(|list| list >= since.0) {
            return Ok(!there.is_empty() || !ends.is_empty());
        }
        for name in there.iter().chain(&ends) {
            match self.function(name).await {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                // Whoever may not ask for one function may list them all.
                Err(error) if error.failure == Failure::AccessDenied => {
                    let functions = self.functions(MaxAge::Under(READ_JUST_NOW)).await?;
                    return Ok(names.iter().any(|name| functions.contains_key(name)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn list_functions(&self) -> Result<Listing<FunctionName, FunctionListing, BTreeSet<Attachment>>, AwsError> {
        let functions = self.aws.functions(&self.region).await?;
        let size = functions.len();
        let (ours, others): (Vec<_>, Vec<_>) =
            functions.into_iter().partition(|function| function.name.as_str().starts_with(FUNCTION_PREFIX));
        let rows = ours.into_iter().map(|function| (function.name.clone(), function)).collect();
        let others = others.into_iter().map(|function| function.configuration.attachment()).collect();
        Ok(Listing { rows, others, size })
    }
}

/// Log groups.
impl Snapshot {
    /// The log groups whose name could be ours.
    ///
    /// # Errors
    /// As `DescribeLogGroups`.
    pub async fn log_groups(&self, max_age: MaxAge) -> Result<Arc<BTreeMap<LogGroupName, LogGroup>>, AwsError> {
        let read = async |name| self.read_log_group(&name).await;
        self.log_groups.all(max_age, true, || self.list_log_groups(), read).await
    }

    /// One log group.
    ///
    /// # Errors
    /// As `DescribeLogGroups`.
    pub async fn log_group(&self, name: &LogGroupName, max_age: MaxAge) -> Result<Option<LogGroup>, AwsError> {
        self.log_groups.row(name, max_age, true, || self.list_log_groups(), || self.read_log_group(name)).await
    }

    /// We created the group a moment ago.
    pub fn created_log_group(&self, name: &LogGroupName) -> bool {
        self.log_groups.was_created(name)
    }

    async fn list_log_groups(&self) -> Result<Listing<LogGroupName, LogGroup, ()>, AwsError> {
        let groups = self.aws.log_groups(&self.region, LOG_GROUP_PREFIX).await?;
        let rows: BTreeMap<_, _> = groups.into_iter().map(|group| (group.name.clone(), group)).collect();
        Ok(Listing { size: rows.len(), rows, others: () })
    }

    /// A log group by its exact name.
    pub(super) async fn read_log_group(&self, name: &LogGroupName) -> Result<Option<LogGroup>, AwsError> {
        let groups = self.aws.log_groups(&self.region, name.as_str()).await?;
        Ok(groups.into_iter().find(|group| group.name == *name))
    }
}
