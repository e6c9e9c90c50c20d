//! The writes that a removal may make. The type holds no other writes: no decision can create a resource.

use crate::{
    aws::{Ec2Write, IamWrite, Impact, Operation, Write},
    identity::{TAG_HANDED_OVER, TAG_RETAINED},
    policy::{handed_over_policy, trust_policy},
};

/// A write that deletes a resource, takes something away from a resource, or tags a resource as retained or retired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Removal(Write);

/// The error for a write that is no [`Removal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {resource} is not made: a removal creates and widens nothing")]
pub struct NoRemoval {
    /// The operation of the write.
    pub operation: &'static Operation,
    /// The resource of the write.
    pub resource: String,
}

impl Removal {
    /// The write.
    pub fn write(&self) -> &Write {
        &self.0
    }
}

impl TryFrom<Write> for Removal {
    type Error = NoRemoval;

    fn try_from(write: Write) -> Result<Self, NoRemoval> {
        let removes = match &write {
            _ if write.describe().impact == Impact::TakesAway => true,
            Write::Iam(IamWrite::PutRolePermissionsBoundary { .. }) => true,
            // A retired role keeps only what Lambda needs to release interfaces.
            Write::Iam(IamWrite::PutRolePolicy { document, .. }) => *document == handed_over_policy(),
            Write::Iam(IamWrite::UpdateAssumeRolePolicy { trust_policy: document, .. }) => *document == trust_policy(),
            // The same call may put back the identity's tags, by which the operator finds the role.
            Write::Iam(IamWrite::TagRole { tags, .. }) => {
                tags.contains_key(TAG_RETAINED) || tags.contains_key(TAG_HANDED_OVER)
            }
            Write::Ec2(Ec2Write::CreateTags { tags, .. }) => tags.keys().all(|key| key == TAG_RETAINED),
            _ => false,
        };
        if removes {
            return Ok(Self(write));
        }
        Err(NoRemoval { operation: write.operation(), resource: write.resource() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        aws::{
            Architecture, EndpointChange, Environment, FunctionConfiguration, LambdaWrite, LogsWrite, NewFunction,
            NewVpcEndpoint, Package, PolicyDocument, Tags,
        },
        identity::TAG_INSTALLATION,
    };

    fn tags(keys: &[&str]) -> Tags {
        keys.iter().map(|key| ((*key).to_owned(), "true".to_owned())).collect()
    }

    /// One of each write that creates a resource or adds a permission.
    fn creating() -> Vec<Write> {
        let vpc = "vpc-0abc1234".parse::<crate::aws::VpcId>().expect("a VPC");
        let group = "sg-0abc1234".parse::<crate::aws::SecurityGroupId>().expect("a group");
        let role = || "pgai-x".parse::<crate::aws::RoleName>().expect("a role");
        let function = || "pgai-x".parse::<crate::aws::FunctionName>().expect("a function");
        let log_group = || "/aws/lambda/pgai-x".parse::<crate::aws::LogGroupName>().expect("a log group");
        let everything = || PolicyDocument::from_wire(r#"{"Statement": [{"Impact": "Allow", "Action": "*"}]}"#);
        let configuration = || FunctionConfiguration {
            role_arn: String::new(),
            runtime: String::new(),
            handler: String::new(),
            memory_mib: 128,
            timeout_seconds: 1,
            environment: Environment::default(),
            subnets: BTreeSet::new(),
            security_groups: BTreeSet::new(),
        };
        let (name, description) = (|| "n".to_owned(), || "d".to_owned());
        vec![
            Write::Ec2(Ec2Write::CreateSecurityGroup {
                vpc: vpc.clone(),
                name: name(),
                description: description(),
                tags: tags(&[]),
            }),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group: group.clone(), rules: BTreeSet::new() }),
            Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, rules: BTreeSet::new() }),
            Write::Ec2(Ec2Write::CreateVpcEndpoint(NewVpcEndpoint {
                vpc,
                service_name: name(),
                subnets: BTreeSet::new(),
                security_groups: BTreeSet::new(),
                private_dns: false,
                policy: everything(),
                client_token: name(),
                tags: tags(&[]),
            })),
            Write::Ec2(Ec2Write::ModifyVpcEndpoint {
                endpoint: "vpce-0abc1234".parse().expect("an endpoint"),
                change: EndpointChange::default(),
            }),
            Write::Ec2(Ec2Write::CreateTags { resource: name(), tags: tags(&[TAG_INSTALLATION]) }),
            Write::Ec2(Ec2Write::CreateTags { resource: name(), tags: tags(&[TAG_INSTALLATION, TAG_RETAINED]) }),
            Write::Iam(IamWrite::CreateRole {
                name: role(),
                path: name(),
                trust_policy: trust_policy(),
                description: description(),
                permissions_boundary: None,
                tags: tags(&[TAG_HANDED_OVER]),
            }),
            Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: role(), trust_policy: everything() }),
            Write::Iam(IamWrite::PutRolePolicy { role: role(), policy: name(), document: everything() }),
            Write::Iam(IamWrite::TagRole { role: role(), tags: tags(&[TAG_INSTALLATION]) }),
            Write::Iam(IamWrite::UntagRole { role: role(), keys: [TAG_RETAINED.to_owned()].into() }),
            Write::Logs(LogsWrite::CreateLogGroup { name: log_group(), tags: tags(&[]) }),
            Write::Logs(LogsWrite::PutRetentionPolicy { name: log_group(), days: 1 }),
            Write::Logs(LogsWrite::TagResource { arn: name(), tags: tags(&[]) }),
            Write::Lambda(LambdaWrite::CreateFunction(NewFunction {
                name: function(),
                description: description(),
                configuration: configuration(),
                architecture: Architecture::Arm64,
                package: Package::new(Vec::new()),
                tags: tags(&[]),
            })),
            Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
                name: function(),
                configuration: configuration(),
                reset: BTreeSet::new(),
            }),
            Write::Lambda(LambdaWrite::UpdateFunctionCode {
                name: function(),
                package: Package::new(Vec::new()),
                architecture: Architecture::Arm64,
            }),
            Write::Lambda(LambdaWrite::TagResource { arn: name(), tags: tags(&[]) }),
        ]
    }

    #[test]
    fn no_removal_makes_anything_or_gives_anything_more() {
        for write in creating() {
            let refused = Removal::try_from(write.clone()).expect_err("no removal").to_string();
            assert!(refused.contains(write.operation().name), "{refused}");
        }
    }

    #[test]
    fn what_deletes_marks_or_leaves_a_role_with_what_lambda_needs_is_a_removal() {
        let role = || "pgai-x".parse::<crate::aws::RoleName>().expect("a role");
        for write in [
            Write::Iam(IamWrite::DeleteRole { role: role() }),
            Write::Lambda(LambdaWrite::DeleteFunction { name: "pgai-x".parse().expect("a function") }),
            Write::Iam(IamWrite::PutRolePolicy {
                role: role(),
                policy: "p".to_owned(),
                document: handed_over_policy(),
            }),
            Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: role(), trust_policy: trust_policy() }),
            Write::Iam(IamWrite::TagRole { role: role(), tags: tags(&[TAG_HANDED_OVER, TAG_INSTALLATION]) }),
            Write::Iam(IamWrite::TagRole { role: role(), tags: tags(&[TAG_RETAINED]) }),
            Write::Ec2(Ec2Write::CreateTags { resource: "sg-0abc1234".to_owned(), tags: tags(&[TAG_RETAINED]) }),
        ] {
            let removal = Removal::try_from(write.clone()).expect("a removal");
            assert_eq!(removal.write(), &write);
        }
    }
}
