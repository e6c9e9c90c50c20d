//! The resources of an installation in AWS, found by path, by tag, and by name with tag, without any Kubernetes object.

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

/// A complete observation. A failed read makes the whole observation fail.
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
    /// The functions with the installation's tag; and the functions without any installation's tag that run as a role of the
    /// installation, or have the name of such a role.
    pub functions: BTreeMap<FunctionName, FunctionDetail>,
    /// The log groups with the installation's tag; and the log groups without any installation's tag that have the name of a role
    /// of the installation.
    pub log_groups: BTreeMap<LogGroupName, ObservedLogGroup>,
    /// All interfaces of the VPCs with a resource of the installation.
    pub interfaces: BTreeMap<VpcId, Interfaces>,
    /// The attachments of all functions in the account, also of foreign ones: Lambda keeps interfaces for them.
    pub attachments: BTreeSet<Attachment>,
    /// The functions and log groups with names like the installation's and with tags that AWS denied to read. If the operator's
    /// own policy is in force, another installation owns them.
    pub denied: BTreeSet<String>,
}

impl SweepObservation {
    /// The owner marks, each with its networks. Any text can be a mark.
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

    /// The VPC of a function, by its groups: somebody may have changed the tags.
    pub fn vpc_of(&self, region: &Region, function: &FunctionDetail) -> Option<NetworkKey> {
        let groups = &function.listing.configuration.security_groups;
        let group = self.regions.get(region)?.groups.iter().find(|group| groups.contains(&group.id))?;
        Some(NetworkKey { region: region.clone(), vpc: group.vpc.clone() })
    }

    /// The VPCs, with their regions, that have a resource of the installation.
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
