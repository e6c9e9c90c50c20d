//! The resources of an installation in AWS, found without any object of Kubernetes: by path, by tag, and by name with tag.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::network::NetworkKey,
    app::ObservedLogGroup,
    aws::{
        Attachment, FunctionDetail, FunctionName, LogGroupName, Region, Role, RoleName, SecurityGroup, VpcEndpoint,
        VpcId,
    },
    identity::{InstallationId, TAG_OWNER},
    network::Interfaces,
    policy::place_of_role,
};

/// The result of a complete observation. A part that cannot be read is an error of the observation, and never missing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepObservation {
    /// The roles below the installation's path, whatever their tags.
    pub roles: BTreeMap<RoleName, Role>,
    /// The observed regions.
    pub regions: BTreeMap<Region, InRegion>,
}

/// The resources in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InRegion {
    /// The security groups with the installation's tag.
    pub groups: Vec<SecurityGroup>,
    /// The endpoints with the installation's tag that are not deleted.
    pub endpoints: Vec<VpcEndpoint>,
    /// The functions with the installation's tag; and those with no installation's tag that run as a role of the
    /// installation, or have the name of one.
    pub functions: BTreeMap<FunctionName, FunctionDetail>,
    /// The log groups with the installation's tag; and those with no installation's tag that have the name of a role of the
    /// installation.
    pub log_groups: BTreeMap<LogGroupName, ObservedLogGroup>,
    /// All interfaces of the VPCs that anything of these is in.
    pub interfaces: BTreeMap<VpcId, Interfaces>,
    /// The attachments of all functions in the account, foreign ones included: Lambda keeps interfaces for them.
    pub attachments: BTreeSet<Attachment>,
    /// Functions and log groups whose names begin as the installation's do, and whose tags AWS did not let us see: another
    /// installation's, if the operator's own policy is in force.
    pub denied: BTreeSet<String>,
}

impl SweepObservation {
    /// The owner marks, each with its networks. A mark may be any text.
    pub fn marks(&self) -> BTreeMap<String, BTreeSet<NetworkKey>> {
        let mut marks = BTreeMap::<_, BTreeSet<NetworkKey>>::new();
        for (region, state) in &self.regions {
            for group in &state.groups {
                if let Some(mark) = group.tags.get(TAG_OWNER) {
                    let key = NetworkKey { region: region.clone(), vpc: group.vpc.clone() };
                    marks.entry(mark.clone()).or_default().insert(key);
                }
            }
        }
        marks
    }

    /// The VPC of a function: by its groups, for Lambda does not tell the tags' truth where somebody changed them.
    pub fn vpc_of(&self, region: &Region, function: &FunctionDetail) -> Option<NetworkKey> {
        let groups = &function.listing.configuration.security_groups;
        let group = self.regions.get(region)?.groups.iter().find(|group| groups.contains(&group.id))?;
        Some(NetworkKey { region: region.clone(), vpc: group.vpc.clone() })
    }

    /// The VPCs, by region, that anything of the installation is in.
    pub fn places(&self, installation: &InstallationId) -> BTreeSet<NetworkKey> {
        let mut places = BTreeSet::new();
        let mut add = |region: &Region, vpc: &VpcId| {
            places.insert(NetworkKey { region: region.clone(), vpc: vpc.clone() });
        };
        for role in self.roles.values() {
            if let Some((region, vpc)) = place_of_role(installation, role) {
                add(&region, &vpc);
            }
        }
        for (region, state) in &self.regions {
            state.groups.iter().for_each(|group| add(region, &group.vpc));
            state.endpoints.iter().for_each(|endpoint| add(region, &endpoint.vpc));
            for function in state.functions.values() {
                if let Some((_, vpc)) = installation.place_of(&function.tags) {
                    add(region, &vpc);
                }
            }
        }
        places
    }
}
