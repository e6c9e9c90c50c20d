//! The flags about tags and the permissions boundary.

use std::str::FromStr;

use clap::Args;

use crate::{
    aws::PolicyArn,
    governance::{Governance, PlatformTags},
};

/// A value that is none where it is empty, as a chart renders what is not set.
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
    /// gets it as its permissions boundary, and may do no more than it allows. Nothing by default.
    #[arg(long, env = "PGAI_PERMISSIONS_BOUNDARY_ARN", value_name = "ARN")]
    permissions_boundary_arn: Option<MayBeEmpty<PolicyArn>>,
}

impl BoundaryFlag {
    /// The boundary, if there is to be one.
    pub fn boundary(self) -> Option<PolicyArn> {
        self.permissions_boundary_arn.and_then(|arn| arn.0)
    }
}

/// What everything has in common, on the command line.
#[derive(Args, Clone, Debug)]
pub struct GovernanceFlags {
    #[command(flatten)]
    boundary: BoundaryFlag,

    /// Tags for everything that the operator creates, beside its own, such as `team=ai,cost-center=4711`; at most 40. A tag that
    /// is named no more stays on what is there.
    #[arg(long, env = "PGAI_TAGS", default_value = "", hide_default_value = true, value_name = "KEY=VALUE,…")]
    tags: PlatformTags,
}

impl GovernanceFlags {
    /// What they say.
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
