//! Reads all resources that an operator creates, in every region of the installation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::observation::{InRegion, SweepObservation};
use crate::{
    app::ObservedLogGroup,
    aws::{
        Aws, AwsError, Caller, EndpointState, Failure, FunctionListing, FunctionName, LogGroup, LogGroupName, Region,
        RoleName, Snapshot, Snapshots, Tags,
    },
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX, TAG_INSTALLATION},
};

/// The path that the roles of all installations are below ([`InstallationId::role_path`]).
const ROLES_OF_ALL: &str = "/private-genai/";

/// Reads AWS repeatedly. The observer keeps the tags of foreign resources and the tags that do not change, which spares calls.
pub struct Observer {
    aws: Arc<dyn Aws>,
    snapshots: Snapshots,
    installation: InstallationId,
    home: Region,
    /// The functions of others, each with its last change.
    foreign_functions: BTreeMap<(Region, FunctionName), String>,
    /// The tags of log groups.
    log_group_tags: BTreeMap<(Region, LogGroupName), Tags>,
}

/// Whether a resource may belong to the installation: by its tags, or by its name (`named`) if no tag names another installation.
fn is_candidate(installation: &InstallationId, tags: &Tags, named: bool) -> bool {
    installation.owns(tags) || (named && !tags.contains_key(TAG_INSTALLATION))
}

impl Observer {
    /// An observer that has read nothing yet. Calls without a region are made in `home`.
    pub fn new(aws: Arc<dyn Aws>, installation: InstallationId, home: Region) -> Self {
        let snapshots = Snapshots::new(Arc::clone(&aws), installation.clone(), home.clone());
        let (foreign_functions, log_group_tags) = (BTreeMap::new(), BTreeMap::new());
        Self { aws, snapshots, installation, home, foreign_functions, log_group_tags }
    }

    /// The account and partition of the credentials.
    ///
    /// # Errors
    /// As `sts:GetCallerIdentity`.
    pub async fn caller(&self) -> Result<Arc<Caller>, AwsError> {
        self.snapshots.caller().await
    }

    /// The snapshot of a region. Writes go through the snapshot too.
    pub fn region(&self, region: &Region) -> Arc<Snapshot> {
        self.snapshots.region(region)
    }

    /// The installations that have roles in the account, by the paths of the roles.
    ///
    /// # Errors
    /// As `iam:ListRoles`.
    pub async fn installations(&self) -> Result<BTreeSet<InstallationId>, AwsError> {
        let listed = self.aws.role_listings(&self.home, ROLES_OF_ALL).await?;
        Ok(listed.iter().filter_map(|listing| InstallationId::of_role_arn(&listing.arn)).collect())
    }

    /// Reads the home region, these regions, and all regions in the tags of roles.
    ///
    /// # Errors
    /// A read that failed: only a complete observation shows that a resource is gone.
    pub async fn observe(&mut self, regions: &BTreeSet<Region>) -> Result<SweepObservation, AwsError> {
        // As AWS shows them: what is deleted counts as gone once everybody sees so.
        let roles = self.snapshots.region(&self.home).shown_roles().await?;
        let mut found = SweepObservation { roles, regions: BTreeMap::new() };
        let led = found.places(&self.installation).into_iter().map(|place| place.region);
        let regions: BTreeSet<Region> = led.chain(regions.iter().cloned()).chain([self.home.clone()]).collect();
        for region in regions {
            let state = self.in_region(&region, &found).await?;
            found.regions.insert(region, state);
        }
        for place in found.places(&self.installation) {
            let interfaces = self.snapshots.region(&place.region).vpc_interfaces(&place.vpc).await?;
            if let Some(state) = found.regions.get_mut(&place.region) {
                state.interfaces.insert(place.vpc, interfaces);
            }
        }
        Ok(found)
    }

    async fn in_region(&mut self, region: &Region, found: &SweepObservation) -> Result<InRegion, AwsError> {
        let tag = self.installation.tag();
        let mut state = InRegion { groups: self.aws.security_groups(region, tag).await?, ..InRegion::default() };
        let endpoints = self.aws.tagged_endpoints(region, tag).await?;
        state.endpoints = endpoints.into_iter().filter(|endpoint| endpoint.state != EndpointState::Deleted).collect();
        let has_role = |name: &str| name.parse::<RoleName>().is_ok_and(|name| found.roles.contains_key(&name));
        for listing in self.aws.functions(region).await? {
            let configuration = &listing.configuration;
            state.attachments.insert(configuration.attachment());
            if listing.name.as_str().starts_with(FUNCTION_PREFIX) {
                let path = format!(":role{}", self.installation.role_path());
                let named = has_role(listing.name.as_str()) || configuration.role_arn.contains(&path);
                self.function(region, listing, named, &mut state).await?;
            }
        }
        for group in self.aws.log_groups(region, LOG_GROUP_PREFIX).await? {
            let name = group.name.as_str().strip_prefix("/aws/lambda/").unwrap_or_default();
            let function = name.parse::<FunctionName>();
            let named = has_role(name) || function.is_ok_and(|function| state.functions.contains_key(&function));
            self.log_group(region, group, named, &mut state).await?;
        }
        Ok(state)
    }

    /// `named`: the name or the role of the function is the installation's. AWS may deny the tags of any other function: the
    /// operator's own policy allows no reads of another installation's functions.
    async fn function(
        &mut self,
        region: &Region,
        listing: FunctionListing,
        named: bool,
        state: &mut InRegion,
    ) -> Result<(), AwsError> {
        let key = (region.clone(), listing.name.clone());
        if self.foreign_functions.get(&key) == Some(&listing.last_modified) {
            return Ok(());
        }
        match self.aws.function(region, &listing.name).await {
            Ok(None) => {}
            Ok(Some(detail)) if is_candidate(&self.installation, &detail.tags, named) => {
                state.functions.insert(listing.name, detail);
            }
            Ok(Some(_)) => {
                self.foreign_functions.insert(key, listing.last_modified);
            }
            Err(error) if error.failure == Failure::AccessDenied && !named => {
                state.denied.insert(format!("function {}", listing.name));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn log_group(
        &mut self,
        region: &Region,
        group: LogGroup,
        named: bool,
        state: &mut InRegion,
    ) -> Result<(), AwsError> {
        let key = (region.clone(), group.name.clone());
        let tags = match self.log_group_tags.get(&key) {
            Some(tags) => tags.clone(),
            None => match self.aws.log_group_tags(region, &group).await {
                Ok(None) => return Ok(()),
                Ok(Some(tags)) => self.log_group_tags.entry(key).or_insert(tags).clone(),
                Err(error) if error.failure == Failure::AccessDenied && !named => {
                    state.denied.insert(format!("log group {}", group.name));
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        if is_candidate(&self.installation, &tags, named) {
            state.log_groups.insert(group.name.clone(), ObservedLogGroup { group, tags: Some(tags) });
        }
        Ok(())
    }
}
