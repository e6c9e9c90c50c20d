//! AWS identifiers as validated newtypes: a malformed id is refused where it is read. Also the tags of AWS resources, and the
//! account.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// A text that is no identifier of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    /// The text.
    pub text: String,
    /// A description of a valid identifier, as the end of a sentence.
    pub expected: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { text: text.to_owned(), expected: $expected })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// EC2 ids are a prefix and 8 (before 2016) or 17 hexadecimal digits.
fn is_ec2_id(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_name(text: &str, longest: usize, punctuation: &str) -> bool {
    (1..=longest).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
}

identifier!(
    /// The id of a VPC.
    VpcId, "a VPC id such as vpc-0123456789abcdef0", |t| is_ec2_id("vpc-", t)
);
identifier!(
    /// The id of a subnet.
    SubnetId, "a subnet id such as subnet-0123456789abcdef0", |t| is_ec2_id("subnet-", t)
);
identifier!(
    /// The id of a security group.
    SecurityGroupId, "a security group id such as sg-0123456789abcdef0", |t| is_ec2_id("sg-", t)
);
identifier!(
    /// The id of a VPC endpoint.
    VpcEndpointId, "a VPC endpoint id such as vpce-0123456789abcdef0", |t| is_ec2_id("vpce-", t)
);
identifier!(
    /// The id of an elastic network interface.
    NetworkInterfaceId, "a network interface id such as eni-0123456789abcdef0", |t| is_ec2_id("eni-", t)
);
identifier!(
    /// The name of an availability zone (`us-east-1a`) in this account.
    ZoneName, "an availability zone such as us-east-1a", |t| is_name(t, 64, "-")
);
identifier!(
    /// A twelve-digit AWS account id.
    AccountId, "an AWS account id of twelve digits", |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit())
);
identifier!(
    /// The code of an AWS region.
    Region, "an AWS region such as us-east-1", |t| {
        // The rule in the CustomResourceDefinitions is the same.
        let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match t.split('-').collect::<Vec<_>>().as_slice() {
            [area, places @ .., direction, number] => {
                t.len() <= 32
                    && area.len() >= 2
                    && letters(area)
                    && places.iter().all(|place| letters(place))
                    && DIRECTIONS.contains(direction)
                    && digits(number)
            }
            _ => false,
        }
    }
);
identifier!(
    /// The name of an IAM role: at most 64 characters, unique in the account, whatever its path.
    RoleName, "an IAM role name of at most 64 characters", |t| is_name(t, 64, "+=,.@_-")
);
identifier!(
    /// The ARN of a managed IAM policy: a customer's, or AWS's own. IAM allows any printable character in a path. This type
    /// allows fewer, because the ARN goes into policies, where some characters have a meaning.
    PolicyArn, "the ARN of a managed IAM policy such as arn:aws:iam::123456789012:policy/private-genai-boundary", |t| {
        let parts: Vec<&str> = t.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return false };
        let Some(("", name)) = resource.split_once("policy/") else { return false };
        t.len() <= 2048
            && [Partition::Aws, Partition::AwsCn, Partition::AwsUsGov].iter().any(|known| known.to_string() == *partition)
            && (*account == "aws" || account.parse::<AccountId>().is_ok())
            && name.split('/').all(|part| is_name(part, 128, "+=,.@_-"))
    }
);
identifier!(
    /// The name of a Lambda function: at most 64 characters, unique in the account and region.
    FunctionName, "a Lambda function name of at most 64 characters", |t| is_name(t, 64, "_-")
);
identifier!(
    /// The name of a CloudWatch Logs group: at most 512 characters.
    LogGroupName, "a log group name of at most 512 characters", |t| is_name(t, 512, "_-/.#")
);

/// A name that AWS takes for a Lambda function, for an IAM role, and as the last part of a log group's name: at most 64 ASCII
/// letters, digits and hyphens.
pub struct UniqueName(String);

impl UniqueName {
    /// A readable text and 64 bits of a hash. Characters other than ASCII letters and digits become hyphens. The end of a long
    /// text is cut off.
    pub fn new(readable: &str, hash: u64) -> Self {
        const LONGEST: usize = 64 - "-0123456789abcdef".len();
        let readable: String =
            readable.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(LONGEST).collect();
        Self(format!("{}-{hash:016x}", readable.trim_end_matches('-')))
    }

    /// The function of this name.
    pub fn function(&self) -> FunctionName {
        FunctionName(self.0.clone())
    }

    /// The role of this name.
    pub fn role(&self) -> RoleName {
        RoleName(self.0.clone())
    }

    /// The log group into which Lambda writes for the function of this name.
    pub fn log_group(&self) -> LogGroupName {
        LogGroupName(format!("/aws/lambda/{}", self.0))
    }
}

/// The last word of every region's code, in all partitions. A list of regions would lack future ones.
const DIRECTIONS: [&str; 9] =
    ["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];

impl Region {
    /// The partition that the region belongs to.
    ///
    /// Source: AWS General Reference, "Amazon Resource Names", the partitions of `cn-` and `us-gov-` regions.
    pub fn partition(&self) -> Partition {
        if self.0.starts_with("cn-") {
            Partition::AwsCn
        } else if self.0.starts_with("us-gov-") {
            Partition::AwsUsGov
        } else {
            Partition::Aws
        }
    }
}

/// The group of regions of an ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// The public regions.
    Aws,
    /// The regions in China.
    AwsCn,
    /// AWS GovCloud (US).
    AwsUsGov,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        })
    }
}

/// The tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// The operator's own identity in AWS (`sts:GetCallerIdentity`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// The account in which the operator creates resources.
    pub account: AccountId,
    /// The partition of that account.
    pub partition: Partition,
}

#[cfg(test)]
mod region_tests {
    use super::*;

    #[test]
    fn new_regions_are_read_and_typing_errors_are_refused() {
        for region in [
            "us-east-1",
            "eu-central-2",
            "ap-southeast-7",
            "ap-northeast-3",
            "mx-central-1",
            "il-central-1",
            "ca-west-1",
            "cn-northwest-1",
            "us-gov-west-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
            "sa-west-1",
            "af-north-2",
        ] {
            assert!(region.parse::<Region>().is_ok(), "{region}");
        }
        for typo in ["us-est-1", "us-east", "us-east-1a", "us-weast-1", "us-1", "east-1", "US-EAST-1", "eu-centrall-1"]
        {
            assert!(typo.parse::<Region>().is_err(), "{typo}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_name_is_a_valid_name_whatever_the_readable_text_is() {
        for readable in ["", "---", "pgai-a-b", "pgai-ä.b/c d", &"x".repeat(100), &"é-".repeat(100)] {
            let name = UniqueName::new(readable, 0x1);
            assert_eq!(name.function().as_str().parse(), Ok(name.function()), "{readable}");
            assert_eq!(name.role().as_str().parse(), Ok(name.role()), "{readable}");
            assert_eq!(name.log_group().as_str().parse(), Ok(name.log_group()), "{readable}");
            assert!(name.role().as_str().ends_with("-0000000000000001"), "{readable}");
        }
    }

    #[test]
    fn ids_of_both_lengths_are_read_and_other_texts_are_refused_with_an_example() {
        assert!("vpc-0abc1234".parse::<VpcId>().is_ok());
        assert!("vpc-0123456789abcdef0".parse::<VpcId>().is_ok());
        for wrong in ["", "vpc-", "vpc-0ABC1234", "vpc-123", "subnet-0abc1234", "vpc-0abc1234 ", "vpc-0abc1234\"}"] {
            let error = wrong.parse::<VpcId>().expect_err(wrong);
            assert!(error.to_string().contains("vpc-0123456789abcdef0"), "{error}");
        }
    }

    #[test]
    fn the_arn_of_a_managed_policy_is_read_and_nothing_else_is() {
        for right in [
            "arn:aws:iam::123456789012:policy/boundary",
            "arn:aws:iam::aws:policy/PowerUserAccess",
            "arn:aws-us-gov:iam::123456789012:policy/team/a_b.c/Boundary-1+=,@",
            "arn:aws-cn:iam::aws:policy/service-role/X",
        ] {
            assert!(right.parse::<PolicyArn>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "boundary",
            "arn:aws:iam::123456789012:role/boundary",
            "arn:aws:iam::123456789012:policy/",
            "arn:aws:iam::123456789012:policy/a//b",
            "arn:aws:iam::123456789012:policy/*",
            "arn:aws:iam::123456789012:policy/${aws:x}",
            "arn:aws:iam::123456789012:policy/a b",
            "arn:aws:iam::12345:policy/boundary",
            "arn:aws:iam:us-east-1:123456789012:policy/boundary",
            "arn:aws-iso:iam::123456789012:policy/boundary",
            "arn:aws:s3::123456789012:policy/boundary",
            " arn:aws:iam::123456789012:policy/boundary",
        ] {
            let error = wrong.parse::<PolicyArn>().expect_err(wrong);
            assert!(error.to_string().contains("the ARN of a managed IAM policy such as"), "{error}");
        }
    }

    #[test]
    fn a_region_tells_its_partition() {
        let partition = |region: &str| region.parse::<Region>().expect(region).partition();
        assert_eq!(partition("eu-central-1"), Partition::Aws);
        assert_eq!(partition("cn-north-1"), Partition::AwsCn);
        assert_eq!(partition("us-gov-west-1"), Partition::AwsUsGov);
        for wrong in ["", "us-east", "US-EAST-1", "us-east-1/", "us--1", "us-1", "u-east-1", "us1-east-1", "us-east-"] {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
    }
}
