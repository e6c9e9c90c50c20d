//! What in AWS still carries an installation's tag.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    aws::{Aws, AwsError, MaxAge, Region, Snapshots, VpcId},
    identity::{FUNCTION_PREFIX, InstallationId, LOG_GROUP_PREFIX},
};

/// Where to look: EC2 lists endpoints by VPC.
pub type Places = BTreeMap<Region, BTreeSet<VpcId>>;

/// Looks at everything that an operator creates, in these places and where tags of groups and roles lead, and names what is
/// this installation's, each in a line.
///
/// # Errors
/// AWS's.
pub async fn audit(
    aws: Arc<dyn Aws>,
    installation: &InstallationId,
    home: &Region,
    mut places: Places,
) -> Result<BTreeSet<String>, AwsError> {
    let mut found = BTreeSet::new();
    places.entry(home.clone()).or_default();
    // As the operator does: one by one where IAM does not show all at once.
    let snapshots = Snapshots::new(Arc::clone(&aws), installation.clone(), home.clone());
    for role in snapshots.region(home).roles(MaxAge::Any).await?.values() {
        if installation.owns(&role.tags) {
            if let Some((region, vpc)) = installation.place_of(&role.tags) {
                places.entry(region).or_default().insert(vpc);
            }
            found.insert(format!("role {}", role.name));
        }
    }
    for (region, mut vpcs) in places {
        let mut found_in = |what: String| found.insert(format!("{region}: {what}"));
        for group in aws.security_groups(&region, installation.tag()).await? {
            found_in(format!("security group {} in {}", group.id, group.vpc));
            vpcs.insert(group.vpc);
        }
        for endpoint in aws.vpc_endpoints(&region, &vpcs).await? {
            if installation.owns(&endpoint.tags) && !endpoint.state.is_ending() {
                found_in(format!("VPC endpoint {} in {}", endpoint.id, endpoint.vpc));
            }
        }
        for function in aws.functions(&region).await? {
            if function.name.as_str().starts_with(FUNCTION_PREFIX)
                && aws.function(&region, &function.name).await?.is_some_and(|detail| installation.owns(&detail.tags))
            {
                found_in(format!("function {}", function.name));
            }
        }
        for group in aws.log_groups(&region, LOG_GROUP_PREFIX).await? {
            let tags = aws.log_group_tags(&region, &group).await?;
            if tags.is_some_and(|tags| installation.owns(&tags)) {
                found_in(format!("log group {}", group.name));
            }
        }
    }
    Ok(found)
}
