//! The names, tags and client tokens by which the operator recognises its resources in AWS, without a database and without status.
//! The same installation id gives the same names: a rebuilt cluster finds the resources of the old one.

mod app;
mod hand_over;
mod network;

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::ids::{AccountId, InvalidId, Partition, Region, Tags, VpcId};

pub use app::{AppIdentity, app_of_role};
pub use hand_over::HandOver;
pub use network::NetworkIdentity;

/// The prefix of the keys of the operator's own tags, [`TAG_NAME`] apart.
pub const TAG_PREFIX: &str = "privategenai.dev/";
/// The tag that makes a resource ours; its value is the installation id.
pub const TAG_INSTALLATION: &str = "privategenai.dev/installation";
/// The tag on the two security groups of a network that names the cluster of their operator. See [`OwnerMark`].
pub const TAG_OWNER: &str = "privategenai.dev/owner";
/// The region of the network that a resource belongs to.
pub const TAG_REGION: &str = "privategenai.dev/region";
/// The VPC of the network that a resource belongs to.
pub const TAG_VPC: &str = "privategenai.dev/vpc";
/// The purpose of a security group: [`FUNCTIONS_GROUP`] or [`ENDPOINTS_GROUP`].
pub const TAG_COMPONENT: &str = "privategenai.dev/component";
/// The name that the AWS console shows in its lists.
pub const TAG_NAME: &str = "Name";
/// The service that an endpoint leads to.
pub const TAG_SERVICE: &str = "privategenai.dev/service";
/// The choice about private DNS made when the endpoint was created. The operator never changes a choice that was made.
pub const TAG_PRIVATE_DNS: &str = "privategenai.dev/private-dns";
/// The namespace of the app that a resource belongs to.
pub const TAG_APP_NAMESPACE: &str = "privategenai.dev/app-namespace";
/// The name of the app that a resource belongs to.
pub const TAG_APP_NAME: &str = "privategenai.dev/app-name";

/// The tag on the role of a deleted app. The value names the interfaces for whose release Lambda may still need the role. The key
/// keeps the word of earlier versions, because roles in AWS carry it.
pub const TAG_HANDED_OVER: &str = "privategenai.dev/retired";

/// The tag on the role of an app that was deleted with `deletionPolicy: Retain`: the role and its function stay on purpose.
pub const TAG_RETAINED: &str = "privategenai.dev/retained";

/// The role with these tags was retained: see [`TAG_RETAINED`].
pub fn is_retained(tags: &Tags) -> bool {
    tags.contains_key(TAG_RETAINED)
}

/// The component of the group that functions carry.
pub const FUNCTIONS_GROUP: &str = "functions";
/// The component of the group that endpoints carry.
pub const ENDPOINTS_GROUP: &str = "endpoints";

/// The prefix of the names of functions.
pub const FUNCTION_PREFIX: &str = "pgai-";
/// The prefix of the names of log groups: the log groups that Lambda writes to by default.
pub const LOG_GROUP_PREFIX: &str = "/aws/lambda/pgai-";

/// One installation of the operator, which owns the resources that carry its id. The id is required, chosen by people, and stable: 1 to 32
/// lower-case letters, digits and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstallationId(String);

impl FromStr for InstallationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                text: text.to_owned(),
                expected: "an installation id of 1 to 32 lower-case letters, digits and inner hyphens",
            })
        }
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl InstallationId {
    /// The installation in whose path a role is, by the role's ARN. `None` for a role in any other path.
    pub fn of_role_arn(arn: &str) -> Option<Self> {
        let (_, path) = arn.split_once(":role/private-genai/")?;
        let (installation, _) = path.split_once('/')?;
        installation.parse().ok()
    }

    /// The name of the security group of a component in each VPC of this installation.
    pub fn group_name(&self, component: &str) -> String {
        format!("private-genai-{component}-{self}")
    }

    /// The path of all roles of this installation. IAM policies of the operator and endpoint policies name it.
    pub fn role_path(&self) -> String {
        format!("/private-genai/{self}/")
    }

    /// The tag of all resources of this installation.
    pub fn tag(&self) -> (&'static str, &str) {
        (TAG_INSTALLATION, &self.0)
    }

    /// The tags name this installation. This one tag decides the owner of a resource. The other tags name the purpose, which
    /// follows from other facts too (a unique name, the service); the operator restores lost ones.
    pub fn owns(&self, tags: &Tags) -> bool {
        tags.get(TAG_INSTALLATION) == Some(&self.0)
    }

    /// The network of a resource of this installation. `None` if its tags name no network or another owner.
    pub fn place_of(&self, tags: &Tags) -> Option<(Region, VpcId)> {
        let tag = |key: &str| tags.get(key).filter(|_| self.owns(tags));
        Some((tag(TAG_REGION)?.parse().ok()?, tag(TAG_VPC)?.parse().ok()?))
    }

    /// The remedy for a resource without the installation's tag that seems to be this installation's.
    pub fn how_to_tag(&self) -> String {
        format!("tag it {TAG_INSTALLATION}={self}")
    }
}

/// The cluster of an operator: the UID of its namespace `kube-system`, which Kubernetes creates once with the cluster. The mark
/// distinguishes two clusters that have the same installation id by mistake. A restored etcd keeps its UIDs; a rebuilt cluster
/// has others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerMark(String);

impl FromStr for OwnerMark {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                text: text.to_owned(),
                expected: "an owner mark, which is the UID of a namespace, such as 0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6",
            })
        }
    }
}

impl fmt::Display for OwnerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The cluster in the tags of a security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Marked {
    /// This cluster.
    Ours,
    /// No cluster: an older version created the group, or somebody removed the tag.
    Nobody,
    /// Another cluster. The value of the tag may be any text.
    Another(String),
}

impl OwnerMark {
    /// The tag with this mark.
    pub fn tag(&self) -> (&'static str, &str) {
        (TAG_OWNER, &self.0)
    }

    /// The cluster in these tags, seen from the cluster with this mark.
    pub fn on(&self, tags: &Tags) -> Marked {
        match tags.get(TAG_OWNER) {
            None => Marked::Nobody,
            Some(value) if *value == self.0 => Marked::Ours,
            Some(value) => Marked::Another(value.clone()),
        }
    }
}

/// The desired tags that a resource lacks or has with another value. A `Name` with another value stays.
pub fn missing_tags(wanted: &Tags, found: &Tags) -> Tags {
    let as_wanted = |key: &String, value: &String| match found.get(key) {
        Some(_) if key == TAG_NAME => true,
        other => other == Some(value),
    };
    wanted
        .iter()
        .filter(|(key, value)| !as_wanted(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The ARN that all roles of an installation match.
pub fn role_arn_pattern(installation: &InstallationId, partition: Partition, account: &AccountId) -> String {
    format!("arn:{partition}:iam::{account}:role{}*", installation.role_path())
}

/// The SHA-256 of several parts. Each part follows its length, so that parts cannot run into one another.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.len().to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// [`digest`] as 64 hexadecimal digits.
fn hash(parts: &[&str]) -> String {
    let hexadecimal =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    digest(parts).iter().flat_map(hexadecimal).collect()
}

#[cfg(test)]
mod tests;
