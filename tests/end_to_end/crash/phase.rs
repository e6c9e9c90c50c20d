//! What people do in a life, phase by phase. Together they have the operator make every change that it makes in AWS.

use private_genai_operator::{
    aws::{
        Aws as _, Ec2Write, EndpointChange, EndpointState, IamWrite, LambdaWrite, LogsWrite, Package, Peer,
        PolicyDocument, Protocol, Rule, VpcEndpoint, Write,
    },
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, TAG_VPC},
};
use serde_json::{Value, json};

use super::life::Life;
use crate::{drift::somebody_s_code, stack::MODEL};

/// One of them. Each ends at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// An app is applied to an empty VPC, and deleted while the operator is dead.
    Regret,
    /// The first app is applied, suspended: its network is built.
    Start,
    /// It is not suspended any more: its own part is built.
    Create,
    /// Another one joins it.
    Join,
    /// The first one is edited: models, memory, variables, retention.
    Edit,
    /// Somebody changes the network in AWS by hand.
    DriftBelow,
    /// Somebody changes what the app has in AWS by hand, and where the endpoint is.
    Drift,
    /// The second app is deleted, and its resources are retained.
    Retain,
    /// It comes back.
    Return,
    /// Both are deleted, and with them the network.
    Delete,
}

impl Phase {
    pub const ALL: [Self; 10] = [
        Self::Regret,
        Self::Start,
        Self::Create,
        Self::Join,
        Self::Edit,
        Self::DriftBelow,
        Self::Drift,
        Self::Retain,
        Self::Return,
        Self::Delete,
    ];

    /// As points are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regret => "regret",
            Self::Start => "start",
            Self::Create => "create",
            Self::Join => "join",
            Self::Edit => "edit",
            Self::DriftBelow => "drift-below",
            Self::Drift => "drift",
            Self::Retain => "retain",
            Self::Return => "return",
            Self::Delete => "delete",
        }
    }

    /// The apps that are there at its end.
    pub fn apps(self) -> &'static [&'static str] {
        match self {
            Self::Regret => &["regretted"],
            Self::Start | Self::Create | Self::Retain => &["first"],
            Self::Join | Self::Edit | Self::DriftBelow | Self::Drift | Self::Return => &["first", "second"],
            Self::Delete => &[],
        }
    }

    /// The reason of `Ready` of these apps.
    pub fn reason(self) -> &'static str {
        if self == Self::Start { "Suspended" } else { "Ready" }
    }

    /// The operator puts right what somebody else changed: all is as it was before.
    pub fn repairs(self) -> bool {
        matches!(self, Self::DriftBelow | Self::Drift)
    }

    /// Does what people do in it.
    pub async fn act(self, life: &Life<'_>) {
        let (site, vpc) = (life.site, life.vpc.as_str());
        let second = |policy: &str| json!({"network": {"vpcId": vpc}, "models": ["amazon.nova-micro-v1:0"], "deletionPolicy": policy});
        let first = |suspend: bool| json!({"network": {"vpcId": vpc}, "models": [MODEL], "suspend": suspend});
        match self {
            Self::Regret => site.apply("regretted", &first(false)).await,
            Self::Start => site.apply("first", &first(true)).await,
            Self::Create => site.apply("first", &first(false)).await,
            Self::Join => site.apply("second", &second("Retain")).await,
            Self::Edit => site.apply("first", &edited(vpc)).await,
            Self::DriftBelow => {
                tamper_with_network(life).await;
                life.proxy.forget_what_was_read();
                site.touch().await;
            }
            Self::Drift => {
                tamper_with_app(life).await;
                take_a_subnet_off_the_endpoint(life).await;
                life.proxy.forget_what_was_read();
                site.touch().await;
            }
            Self::Retain => site.delete("second").await,
            Self::Return => site.apply("second", &second("Delete")).await,
            Self::Delete => {
                site.delete("first").await;
                site.delete("second").await;
            }
        }
    }
}

fn edited(vpc: &str) -> Value {
    json!({
        "network": {"vpcId": vpc},
        "models": [MODEL, "anthropic.claude-3-haiku-20240307-v1:0"],
        "function": {"memoryMiB": 1024, "environment": {"LANGUAGE": "en"}, "logging": {"retentionDays": 7}},
    })
}

/// Changes by hand what the operator has a call to put right for.
async fn tamper_with_network(life: &Life<'_>) {
    let site = life.site;
    let groups = site.aws.security_groups(&site.region, site.installation.tag()).await.expect("groups");
    let group = |component: &str| groups.iter().find(|group| group.name.contains(component)).expect("a group");
    let (functions, endpoints) = (group(FUNCTIONS_GROUP), group(ENDPOINTS_GROUP));
    let everywhere =
        || [Rule { protocol: Protocol::All, ports: None, peer: Peer::Ipv4("0.0.0.0/0".to_owned()) }].into();
    site.write(Write::Ec2(Ec2Write::RevokeSecurityGroupIngress {
        group: endpoints.id.clone(),
        rules: endpoints.ingress.clone(),
    }))
    .await;
    site.write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress {
        group: endpoints.id.clone(),
        rules: everywhere(),
    }))
    .await;
    site.write(Write::Ec2(Ec2Write::RevokeSecurityGroupEgress {
        group: functions.id.clone(),
        rules: functions.egress.clone(),
    }))
    .await;
    site.write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: functions.id.clone(), rules: everywhere() }))
        .await;
    let untag = |resource: &str| {
        let lost = aws_sdk_ec2::types::Tag::builder().key(TAG_VPC).build();
        site.ec2.delete_tags().resources(resource).tags(lost).send()
    };
    untag(functions.id.as_str()).await.expect("the group is untagged");

    site.write(Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: endpoint(life).await.id })).await;
}

async fn endpoint(life: &Life<'_>) -> VpcEndpoint {
    let vpcs = [life.vpc.clone()].into();
    let found = life.site.aws.vpc_endpoints(&life.site.region, &vpcs).await.expect("endpoints");
    found.into_iter().find(|endpoint| endpoint.state == EndpointState::Available).expect("an endpoint")
}

async fn take_a_subnet_off_the_endpoint(life: &Life<'_>) {
    let VpcEndpoint { id, subnets, .. } = endpoint(life).await;
    let change = EndpointChange { remove_subnets: subnets.into_iter().take(1).collect(), ..EndpointChange::default() };
    life.site.write(Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: id, change })).await;
}

/// The same with what is the app's own.
async fn tamper_with_app(life: &Life<'_>) {
    let site = life.site;
    let own = life.identity("first");
    let (role, function, log_group) = (own.role_name(), own.function_name(), own.log_group_name());
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    let attach = site.iam.attach_role_policy().role_name(role.as_str()).policy_arn(administrator).send();
    attach.await.expect("a policy is attached");
    let all = PolicyDocument::new(&json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }));
    site.write(Write::Iam(IamWrite::PutRolePolicy { role: role.clone(), policy: "by-hand".to_owned(), document: all }))
        .await;
    let anybody = PolicyDocument::new(&json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }));
    site.write(Write::Iam(IamWrite::UpdateAssumeRolePolicy { role: role.clone(), trust_policy: anybody })).await;
    let unbind = site.iam.delete_role_permissions_boundary().role_name(role.as_str()).send();
    unbind.await.expect("the role is not under its boundary any more");
    site.write(Write::Iam(IamWrite::UntagRole { role, keys: [TAG_VPC.to_owned()].into() })).await;

    let functions = site.aws.functions(&site.region).await.expect("functions");
    let listing = functions.iter().find(|listing| listing.name == function).expect("the function");
    let package = Package::new(somebody_s_code());
    site.write(Write::Lambda(LambdaWrite::UpdateFunctionCode {
        name: function,
        package,
        architecture: listing.architecture,
    }))
    .await;
    let untag = site.lambda.untag_resource().resource(&listing.arn).tag_keys(TAG_VPC).send();
    untag.await.expect("the function is untagged");
    site.write(Write::Logs(LogsWrite::PutRetentionPolicy { name: log_group.clone(), days: 1 })).await;
    let groups = site.aws.log_groups(&site.region, log_group.as_str()).await.expect("log groups");
    let untag = site.logs.untag_resource().resource_arn(&groups[0].arn).tag_keys(TAG_VPC).send();
    untag.await.expect("the log group is untagged");
}
