//! How a resource in AWS is recognised as ours, without a database and without status: by name, by tag, by client token.
//! The same installation id gives the same names, so that a rebuilt cluster finds what the old one left.

mod app;
mod hand_over;
mod network;

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::ids::{AccountId, InvalidId, Partition, Region, Tags, VpcId};

pub use app::{AppIdentity, app_of_role};
pub use hand_over::HandOver;
pub use network::NetworkIdentity;

/// What the keys of the operator's own tags begin with, [`TAG_NAME`] apart.
pub const TAG_PREFIX: &str = "privategenai.dev/";
/// The tag that makes a resource ours; its value is the installation id.
pub const TAG_INSTALLATION: &str = "privategenai.dev/installation";
/// On the two security groups of a network: which cluster's operator they belong to. See [`OwnerMark`].
pub const TAG_OWNER: &str = "privategenai.dev/owner";
/// The region of the network that a resource belongs to.
pub const TAG_REGION: &str = "privategenai.dev/region";
/// The VPC of the network that a resource belongs to.
pub const TAG_VPC: &str = "privategenai.dev/vpc";
/// What a security group is for: [`FUNCTIONS_GROUP`] or [`ENDPOINTS_GROUP`].
pub const TAG_COMPONENT: &str = "privategenai.dev/component";
/// What the console shows in its lists.
pub const TAG_NAME: &str = "Name";
/// The service that an endpoint leads to.
pub const TAG_SERVICE: &str = "privategenai.dev/service";
/// The choice made about private DNS when the endpoint was created; it never flips by itself.
pub const TAG_PRIVATE_DNS: &str = "privategenai.dev/private-dns";
/// The namespace of the app that a resource belongs to.
pub const TAG_APP_NAMESPACE: &str = "privategenai.dev/app-namespace";
/// The name of the app that a resource belongs to.
pub const TAG_APP_NAME: &str = "privategenai.dev/app-name";

/// On the role of an app that is gone: the interfaces for whose release Lambda may still need the role.
pub const TAG_HANDED_OVER: &str = "privategenai.dev/retired";

/// On the role of an app that was deleted with `deletionPolicy: Retain`: it is there on purpose, with its function.
pub const TAG_RETAINED: &str = "privategenai.dev/retained";

/// The role of these tags, and the function that runs as it, are there on purpose: see [`TAG_RETAINED`].
pub fn is_retained(tags: &Tags) -> bool {
    tags.contains_key(TAG_RETAINED)
}

/// The component of the group that functions carry.
pub const FUNCTIONS_GROUP: &str = "functions";
/// The component of the group that endpoints carry.
pub const ENDPOINTS_GROUP: &str = "endpoints";

/// What every function name of ours begins with.
pub const FUNCTION_PREFIX: &str = "pgai-";
/// What every log group name of ours begins with: Lambda's own default for functions of ours.
pub const LOG_GROUP_PREFIX: &str = "/aws/lambda/pgai-";

/// One installation of the operator, which owns what carries its id. Required, chosen by people, and stable: 1 to 32
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
    /// The installation whose path a role is in, as the ARN of the role says; `None` for a role in any other path.
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

    /// The tag that everything of this installation carries.
    pub fn tag(&self) -> (&'static str, &str) {
        (TAG_INSTALLATION, &self.0)
    }

    /// The tags say that the resource is this installation's. This one tag decides whose a resource is; the others say
    /// what it is for, which is known from elsewhere too (a unique name, the service), and are put back when they are lost.
    pub fn owns(&self, tags: &Tags) -> bool {
        tags.get(TAG_INSTALLATION) == Some(&self.0)
    }

    /// On which network a resource of this installation is; `None` for one whose tags do not say, and for anybody else's.
    pub fn place_of(&self, tags: &Tags) -> Option<(Region, VpcId)> {
        let tag = |key: &str| tags.get(key).filter(|_| self.owns(tags));
        Some((tag(TAG_REGION)?.parse().ok()?, tag(TAG_VPC)?.parse().ok()?))
    }

    /// What to do about a resource that seems to be this installation's and does not carry its tag.
    pub fn how_to_tag(&self) -> String {
        format!("tag it {TAG_INSTALLATION}={self}")
    }
}

/// Which cluster an operator belongs to: the UID of its namespace `kube-system`, which Kubernetes creates with the cluster and
/// nobody can create again. Two clusters may be given one installation id by mistake; this tells them apart. An etcd that is
/// restored keeps its UIDs; a cluster that is built anew has others.
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

/// What the tags of a security group say of the cluster that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Marked {
    /// This cluster's.
    Ours,
    /// Nothing: an older version created it, or somebody removed the tag.
    Nobody,
    /// Another cluster's: the value of the tag, which may be anything that somebody wrote there.
    Another(String),
}

impl OwnerMark {
    /// The tag that says so.
    pub fn tag(&self) -> (&'static str, &str) {
        (TAG_OWNER, &self.0)
    }

    /// What these tags say, seen from the cluster of this mark.
    pub fn on(&self, tags: &Tags) -> Marked {
        match tags.get(TAG_OWNER) {
            None => Marked::Nobody,
            Some(value) if *value == self.0 => Marked::Ours,
            Some(value) => Marked::Another(value.clone()),
        }
    }
}

/// What of these tags a resource lacks, or says otherwise. A `Name` that somebody chose stays.
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

/// SHA-256 in hexadecimal (64 characters) of parts that cannot run into one another.
fn hash(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.len().to_be_bytes());
        sha.update(part);
    }
    let hexadecimal =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    sha.finalize().iter().flat_map(hexadecimal).collect()
}

#[cfg(test)]
mod tests;
