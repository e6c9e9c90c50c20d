//! All policies that there are: for several settings, and in each partition.

use std::collections::BTreeSet;

use private_genai_operator::{
    aws::{Caller, Partition, PolicyDocument, Region},
    identity::{AppIdentity, InstallationId},
    permissions::Operator,
    policy::{self, ModelId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// What `iam-policy` prints.
    Operator,
    /// The same where apps may name no VPC: nothing can be created.
    OperatorWithoutVpcs,
    /// What an app's role may do.
    Execution,
    /// What the role of an app that is gone may do.
    Retired,
    /// Who may assume a role.
    Trust,
    /// What an endpoint lets through.
    Endpoint,
    /// The permissions boundary that the documents propose.
    Boundary,
}

impl Family {
    /// To what such a policy is attached, for the linter.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Operator | Self::OperatorWithoutVpcs | Self::Execution | Self::Retired | Self::Boundary => "identity",
            Self::Trust => "trust",
            Self::Endpoint => "endpoint",
        }
    }
}

/// A policy, and how it came about.
pub struct Written {
    /// What it is for.
    pub family: Family,
    /// With which settings, and where.
    pub setting: String,
    /// It.
    pub document: Value,
}

impl Written {
    fn new(family: Family, setting: String, policy: &PolicyDocument) -> Self {
        Self { family, setting, document: serde_json::from_str(policy.as_str()).expect("JSON") }
    }

    /// For people.
    pub fn name(&self) -> String {
        format!("{:?}, {}", self.family, self.setting)
    }
}

/// All of them.
pub fn all() -> Vec<Written> {
    let regions = ["us-east-1", "cn-north-1", "us-gov-west-1"].map(|region| region.parse().expect("a region"));
    assert_eq!(
        regions.each_ref().map(Region::partition),
        [Partition::Aws, Partition::AwsCn, Partition::AwsUsGov],
        "each partition once"
    );
    regions.iter().flat_map(in_region).collect()
}

fn in_region(region: &Region) -> Vec<Written> {
    let partition = region.partition();
    let caller = Caller { account: "123456789012".parse().expect("an account"), partition };
    let installation: InstallationId = "prod".parse().expect("an id");
    let app = AppIdentity {
        installation: installation.clone(),
        region: region.clone(),
        vpc: "vpc-0abc1234".parse().expect("a VPC"),
        namespace: "team-a".to_owned(),
        name: "bot".to_owned(),
    };
    let mut written = operators(&installation, &caller);
    for count in [0, 1, 30] {
        let models = models(count);
        let setting = format!("{count} models, {partition}");
        let policy = policy::execution_policy(&app, &caller, &models);
        written.push(Written::new(Family::Execution, setting.clone(), &policy));
        let policy = policy::bedrock_runtime_endpoint_policy(&installation, &caller, region, &models);
        written.push(Written::new(Family::Endpoint, setting, &policy));
    }
    let setting = || partition.to_string();
    written.push(Written::new(Family::Retired, setting(), &policy::handed_over_policy()));
    written.push(Written::new(Family::Trust, setting(), &policy::trust_policy()));
    // docs/install-eks.md says to write the other partitions so.
    let proposed =
        include_str!("../../docs/permissions-boundary.json").replace("arn:aws:", &format!("arn:{partition}:"));
    written.push(Written::new(Family::Boundary, setting(), &PolicyDocument::from_wire(&proposed)));
    written
}

fn operators(installation: &InstallationId, caller: &Caller) -> Vec<Written> {
    let Caller { account, partition } = caller;
    let boundary = format!("arn:{partition}:iam::{account}:policy/private-genai-boundary");
    let boundary = boundary.parse().expect("an ARN");
    let vpcs = |count: usize| (0..count).map(|n| format!("vpc-{n:017x}")).collect::<Vec<_>>().join(",");
    let mut written = Vec::new();
    for vpcs in [String::new(), "*".to_owned(), "vpc-0abc1234".to_owned(), vpcs(15)] {
        for boundary in [None, Some(&boundary)] {
            let operator = Operator {
                installation: installation.clone(),
                partition: *partition,
                account: account.clone(),
                vpcs: vpcs.parse().expect("globs"),
                boundary: boundary.cloned(),
            };
            let bound = if boundary.is_some() { "a" } else { "no" };
            let setting = format!("VPCs {vpcs:?}, {bound} boundary, {partition}");
            let family = if operator.vpcs.is_empty() { Family::OperatorWithoutVpcs } else { Family::Operator };
            written.push(Written::new(family, setting, &operator.policy()));
        }
    }
    written
}

fn models(count: usize) -> BTreeSet<ModelId> {
    (0..count).map(|n| format!("provider.model-{n}-v1:0").parse().expect("a model")).collect()
}
