//! The flags about tags and the permissions boundary.

use std::str::FromStr;

use clap::Args;

use crate::{
    aws::PolicyArn,
    governance::{Governance, PlatformTags},
};

/// An optional value. The empty text, which a chart renders for a missing value, is none.
#[derive(Clone, Debug)]
struct MayBeEmpty<T>(Option<T>);

impl<T: FromStr> FromStr for MayBeEmpty<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        let text = text.trim();
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|value| Self(Some(value))) }
    }
}

/// The permissions boundary on the command line.
#[derive(Args, Clone, Debug)]
pub struct BoundaryFlag {
    /// The ARN of a managed IAM policy, such as `arn:aws:iam::123456789012:policy/private-genai-boundary`. Every execution role
    /// gets this policy as its permissions boundary, which limits the role's permissions. No boundary by default.
    #[arg(long, env = "PGAI_PERMISSIONS_BOUNDARY_ARN", value_name = "ARN")]
    permissions_boundary_arn: Option<MayBeEmpty<PolicyArn>>,
}

impl BoundaryFlag {
    /// The boundary, if one is set.
    pub fn boundary(self) -> Option<PolicyArn> {
        self.permissions_boundary_arn.and_then(|arn| arn.0)
    }
}

/// Tags and boundary on the command line.
#[derive(Args, Clone, Debug)]
pub struct GovernanceFlags {
    #[command(flatten)]
    boundary: BoundaryFlag,

    /// Tags for all resources that the operator creates, besides its own tags, such as `team=ai,cost-center=4711`; at most 40. A
    /// tag that is removed here stays on existing resources.
    #[arg(long, env = "PGAI_TAGS", default_value = "", hide_default_value = true, value_name = "KEY=VALUE,…")]
    tags: PlatformTags,
}

impl GovernanceFlags {
    /// The tags and the boundary of the flags.
    pub fn governance(self) -> Governance {
        Governance { tags: self.tags, permissions_boundary: self.boundary.boundary() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_of_the_boundary_is_none_and_another_one_must_be_an_arn() {
        let read = |text: &str| text.parse::<MayBeEmpty<PolicyArn>>().map(|arn| arn.0);
        assert_eq!(read(""), Ok(None));
        assert_eq!(read(" "), Ok(None));
        let arn = "arn:aws:iam::123456789012:policy/boundary";
        assert_eq!(read(arn), Ok(Some(arn.parse().expect("an ARN"))));
        assert!(read("boundary").is_err());
    }
}
