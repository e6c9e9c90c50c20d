//! An app in AWS: its tags, and the names of its function, role and log group.

use super::{
    FUNCTION_PREFIX, InstallationId, TAG_APP_NAME, TAG_APP_NAMESPACE, TAG_INSTALLATION, TAG_REGION, TAG_VPC, digest,
};
use crate::ids::{Caller, FunctionName, LogGroupName, Region, RoleName, Tags, UniqueName, VpcId};

/// An app in one VPC. A recreated app of the same name finds the resources of its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppIdentity {
    /// The installation that owns the app.
    pub installation: InstallationId,
    /// The region of the VPC.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcId,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

impl AppIdentity {
    /// The tags of all resources of the app.
    pub fn tags(&self) -> Tags {
        [
            (TAG_INSTALLATION, self.installation.to_string()),
            (TAG_REGION, self.region.to_string()),
            (TAG_VPC, self.vpc.to_string()),
            (TAG_APP_NAMESPACE, self.namespace.clone()),
            (TAG_APP_NAME, self.name.clone()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The tags name this app.
    pub fn owns(&self, tags: &Tags) -> bool {
        self.tags().iter().all(|(key, value)| tags.get(key) == Some(value))
    }

    /// Reads back the identity that [`tags`](Self::tags) wrote. `None` for all other tags.
    pub fn from_tags(installation: &InstallationId, tags: &Tags) -> Option<Self> {
        let (region, vpc) = installation.place_of(tags)?;
        Some(Self {
            installation: installation.clone(),
            region,
            vpc,
            namespace: tags.get(TAG_APP_NAMESPACE)?.clone(),
            name: tags.get(TAG_APP_NAME)?.clone(),
        })
    }

    /// The app, as `namespace/name`.
    pub fn app(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The name of the function.
    pub fn function_name(&self) -> FunctionName {
        self.unique_name().function()
    }

    /// The name of the execution role. The hash in the name covers the region, because role names are unique in the whole account.
    pub fn role_name(&self) -> RoleName {
        self.unique_name().role()
    }

    /// The name of the log group, which is Lambda's default.
    pub fn log_group_name(&self) -> LogGroupName {
        self.unique_name().log_group()
    }

    /// The ARN of the execution role.
    pub fn role_arn(&self, caller: &Caller) -> String {
        let Caller { account, partition } = caller;
        format!("arn:{partition}:iam::{account}:role{}{}", self.installation.role_path(), self.role_name())
    }

    /// The ARN of the function.
    pub fn function_arn(&self, caller: &Caller) -> String {
        let Caller { account, partition } = caller;
        format!("arn:{partition}:lambda:{}:{account}:function:{}", self.region, self.function_name())
    }

    /// The name, different for every identity.
    fn unique_name(&self) -> UniqueName {
        let parts = [&self.installation.0, self.region.as_str(), self.vpc.as_str(), &self.namespace, &self.name];
        let hash = digest(&parts).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let readable = format!("{FUNCTION_PREFIX}{}-{}", self.namespace, self.name);
        UniqueName::new(&readable, hash)
    }
}

/// The text for an app whose role lost the tags that name the app, with the remedy.
pub fn app_of_role(role: &RoleName) -> String {
    format!("the app of role {role} (put back its tags {TAG_APP_NAMESPACE} and {TAG_APP_NAME})")
}
