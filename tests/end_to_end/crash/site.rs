//! A place where lives are led one after the other: a local stack, and people's own access to it, past the proxy.

use std::{collections::BTreeSet, fmt::Debug};

use aws_sdk_ec2::types::VpcEndpoint;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use private_genai_operator::{
    api::{PrivateGenAIApp, PrivateGenAINetwork},
    aws::{Aws as _, PolicyArn, Region, Write, sdk::SdkAws},
    engine::raw,
    identity::InstallationId,
};
use serde_json::{Value, json};

use crate::{http, stack::Stack};

/// Seconds that each change takes in AWS: not the minutes that it takes there, and long enough to be waited for.
const AWS_TAKES: f64 = 0.3;

/// The managed policy that is the permissions boundary of roles.
const BOUNDARY: &str = "private-genai-boundary";

/// Where apps are.
pub const NAMESPACE: &str = "crash";

/// A local stack and access to it.
pub struct Site {
    pub stack: Stack,
    pub client: Client,
    pub region: Region,
    pub installation: InstallationId,
    pub aws: SdkAws,
    pub ec2: aws_sdk_ec2::Client,
    pub iam: aws_sdk_iam::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Under which roles are.
    pub boundary: PolicyArn,
    /// Which way out its VPCs have.
    pub route: &'static str,
}

impl Site {
    /// A new one, whose VPCs have this way out: `isolated`, so that private DNS is on, or `nat`.
    pub async fn new(route: &'static str) -> Self {
        let stack = tokio::task::spawn_blocking(Stack::start).await.expect("a stack");
        stack.namespace(NAMESPACE);
        // Deleted endpoints stay listed.
        let delays = json!({
            "endpointAvailable": AWS_TAKES,
            "endpointDeleted": AWS_TAKES,
            "endpointForgotten": 3600,
            "functionActive": AWS_TAKES,
            "functionUpdated": AWS_TAKES,
            "interfaceReleased": AWS_TAKES,
            "roleUsable": AWS_TAKES,
        });
        http::json("PUT", &format!("{}/_local/delays", stack.aws), Some(&delays)).await;
        let config = stack.sdk_config().await;
        let iam = aws_sdk_iam::Client::new(&config);
        let proposed = include_str!("../../../docs/permissions-boundary.json");
        let policy =
            iam.create_policy().policy_name(BOUNDARY).policy_document(proposed).send().await.expect("a policy");
        let arn = policy.policy().and_then(|policy| policy.arn()).expect("its ARN");
        Self {
            boundary: arn.parse().expect("an ARN"),
            client: stack.client().await,
            region: "us-east-1".parse().expect("a region"),
            installation: "crash".parse().expect("an installation id"),
            aws: stack.sdk().await,
            ec2: aws_sdk_ec2::Client::new(&config),
            iam,
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            route,
            stack,
        }
    }

    /// Everything in the account that somebody has made, whatever its tags and names, and as it is.
    pub async fn account(&self) -> BTreeSet<String> {
        fn all<T: Debug>(kind: &str, items: &[T], into: &mut BTreeSet<String>) {
            into.extend(items.iter().map(|item| format!("{kind} {item:?}")));
        }
        let Self { ec2, iam, lambda, logs, .. } = self;
        let mut found = BTreeSet::new();
        let answer = ec2.describe_vpcs().send().await.expect("VPCs");
        all("VPC", answer.vpcs(), &mut found);
        let answer = ec2.describe_subnets().send().await.expect("subnets");
        all("subnet", answer.subnets(), &mut found);
        let answer = ec2.describe_route_tables().send().await.expect("route tables");
        all("route table", answer.route_tables(), &mut found);
        let answer = ec2.describe_security_groups().send().await.expect("groups");
        all("security group", answer.security_groups(), &mut found);
        let answer = ec2.describe_network_interfaces().send().await.expect("interfaces");
        all("interface", answer.network_interfaces(), &mut found);
        let answer = ec2.describe_vpc_endpoints().send().await.expect("endpoints");
        let gone = |endpoint: &&VpcEndpoint| endpoint.state().is_some_and(|state| state.as_str() == "deleted");
        let endpoints: Vec<_> = answer.vpc_endpoints().iter().filter(|endpoint| !gone(endpoint)).collect();
        all("endpoint", &endpoints, &mut found);
        let answer = iam.list_roles().send().await.expect("roles");
        all("role", answer.roles(), &mut found);
        let answer =
            iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.expect("policies");
        all("policy", answer.policies(), &mut found);
        let answer = lambda.list_functions().send().await.expect("functions");
        all("function", answer.functions(), &mut found);
        let answer = logs.describe_log_groups().send().await.expect("log groups");
        all("log group", answer.log_groups(), &mut found);
        found
    }

    /// Makes a change in AWS as people do.
    pub async fn write(&self, write: Write) {
        self.aws.write(&self.region, &write).await.unwrap_or_else(|error| panic!("{write:?}: {error}"));
    }

    fn apps(&self) -> Api<DynamicObject> {
        raw::<PrivateGenAIApp>(&self.client, Some(NAMESPACE))
    }

    fn networks(&self) -> Api<DynamicObject> {
        raw::<PrivateGenAINetwork>(&self.client, None)
    }

    /// Applies an app.
    pub async fn apply(&self, name: &str, spec: &Value) {
        let manifest = json!({
            "apiVersion": "privategenai.dev/v1alpha1",
            "kind": "PrivateGenAIApp",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": spec,
        });
        let applied = self.apps().patch(name, &PatchParams::apply("person"), &Patch::Apply(manifest)).await;
        applied.unwrap_or_else(|error| panic!("{name} is applied: {error}"));
    }

    /// Deletes an app, if it is there.
    pub async fn delete(&self, name: &str) {
        match self.apps().delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => panic!("{name} is deleted: {error}"),
        }
    }

    /// Has the operator look at all that there is.
    pub async fn touch(&self) {
        let now = format!("{:?}", std::time::SystemTime::now());
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"look": now}}}));
        for network in self.networks().list(&ListParams::default()).await.expect("networks") {
            let touched = self.networks().patch(&network.name_any(), &PatchParams::default(), &patch).await;
            touched.expect("the network is touched");
        }
        for app in self.apps().list(&ListParams::default()).await.expect("apps") {
            self.apps().patch(&app.name_any(), &PatchParams::default(), &patch).await.expect("the app is touched");
        }
    }

    /// All apps and networks.
    pub async fn objects(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        for api in [self.apps(), self.networks()] {
            let found = api.list(&ListParams::default()).await.expect("objects");
            objects.extend(found.into_iter().map(|object| serde_json::to_value(object).expect("JSON")));
        }
        objects
    }

    /// Lets the time pass after which the Lease of a process that is dead has run out.
    pub async fn let_the_lease_run_out(&self) {
        let leases = Api::<Lease>::namespaced(self.client.clone(), "default");
        match leases.delete("private-genai-operator", &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => panic!("the Lease is deleted: {error}"),
        }
    }
}
