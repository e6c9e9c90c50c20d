//! What somebody changes in AWS is put back, over the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
};

use futures::FutureExt as _;
use private_genai_operator::{
    aws::{
        Aws as _, Ec2Write, EndpointChange, FunctionConfiguration, FunctionListing, IamWrite, LambdaWrite, LogsWrite,
        Package, Peer, PolicyDocument, Protocol, Region, Role, Rule, SecurityGroup, SecurityGroupId, Setting,
        VpcEndpoint, VpcId, Write, sdk::SdkAws,
    },
    identity::{ENDPOINTS_GROUP, FUNCTION_PREFIX, FUNCTIONS_GROUP, InstallationId, LOG_GROUP_PREFIX, TAG_VPC},
};
use serde_json::{Value, json};

use crate::{
    http, resources,
    stack::{Operator, Stack, app, eventually},
};

/// An app at rest on a stack of its own, and the means to change what it has.
struct Scene {
    stack: Stack,
    namespace: String,
    installation: InstallationId,
    region: Region,
    vpc: VpcId,
    aws: SdkAws,
    ec2: aws_sdk_ec2::Client,
    iam: aws_sdk_iam::Client,
    lambda: aws_sdk_lambda::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

impl Scene {
    async fn new() -> Self {
        let stack = Stack::start();
        let (vpc, _) = stack.vpc(json!({"azs": ["a", "b"], "route": "isolated"})).await;
        let config = stack.sdk_config().await;
        Self {
            namespace: stack.namespace("drift"),
            installation: "drift".parse().expect("an installation id"),
            region: "us-east-1".parse().expect("a region"),
            vpc: vpc.parse().expect("a VPC id"),
            aws: stack.sdk().await,
            ec2: aws_sdk_ec2::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            stack,
        }
    }

    /// The groups of functions and of endpoints.
    async fn groups(&self) -> (SecurityGroup, SecurityGroup) {
        let groups = self.aws.security_groups(&self.region, self.installation.tag()).await.expect("groups");
        let named = |component: &str| groups.iter().find(|group| group.name.contains(component)).expect("a group");
        (named(FUNCTIONS_GROUP).clone(), named(ENDPOINTS_GROUP).clone())
    }

    /// The group that nobody can delete.
    async fn default_group(&self) -> SecurityGroupId {
        let groups = self.ec2.describe_security_groups().send().await.expect("groups");
        let is_default = |group: &&aws_sdk_ec2::types::SecurityGroup| {
            group.vpc_id() == Some(self.vpc.as_str()) && group.group_name() == Some("default")
        };
        let default = groups.security_groups().iter().find(is_default).and_then(|group| group.group_id());
        default.expect("a default group").parse().expect("a group id")
    }

    async fn endpoint(&self) -> VpcEndpoint {
        let endpoints = self.aws.vpc_endpoints(&self.region, &[self.vpc.clone()].into()).await.expect("endpoints");
        endpoints.into_iter().find(|endpoint| !endpoint.state.is_ending()).expect("an endpoint")
    }

    async fn role(&self) -> Role {
        self.aws.roles(&self.region, &self.installation.role_path()).await.expect("roles").remove(0)
    }

    async fn function(&self) -> FunctionListing {
        let functions = self.aws.functions(&self.region).await.expect("functions");
        functions.into_iter().find(|function| function.name.as_str().starts_with(FUNCTION_PREFIX)).expect("a function")
    }

    /// What the installation has in AWS. Security groups go by their names.
    async fn facts(&self) -> BTreeSet<String> {
        let Self { aws, region, installation, .. } = self;
        let groups = aws.security_groups(region, installation.tag()).await.expect("groups");
        let named = |text: String| groups.iter().fold(text, |text, it| text.replace(it.id.as_str(), &it.name));
        resources::of(aws, region, installation, &self.vpc).await.into_iter().map(named).collect()
    }

    async fn write(&self, write: Write) {
        self.aws.write(&self.region, &write).await.unwrap_or_else(|error| panic!("{write:?}: {error}"));
    }

    /// Asks for a look at AWS now: a touch.
    fn touch(&self) {
        let annotate = |object: &[&str]| {
            let touched = self.stack.kubectl(&[&["annotate", "--overwrite"], object].concat());
            assert!(touched.status.success(), "{}", String::from_utf8_lossy(&touched.stderr));
        };
        let now = format!("look={:?}", std::time::SystemTime::now());
        let network = format!("{}-us-east-1", self.vpc);
        annotate(&["pgain", &network, &now]);
        annotate(&["-n", &self.namespace, "pgai", "bot", &now]);
    }

    /// How often each kind of drift was counted.
    async fn counted(&self, operator: &Operator) -> BTreeMap<String, u64> {
        let (_, text) = http::request("GET", &format!("{}/metrics", operator.address().await), None).await;
        text.lines()
            .filter_map(|line| {
                line.strip_prefix("private_genai_operator_drift_repaired_total{kind=\"")?.split_once("\"} ")
            })
            .map(|(kind, count)| (kind.to_owned(), count.parse().expect("a count")))
            .collect()
    }
}

/// One round: `change` is made, and all is as it was `before`, told as these kinds of drift.
async fn round(
    scene: &Scene,
    operator: &Operator,
    before: &BTreeSet<String>,
    kinds: &[&str],
    change: impl AsyncFnOnce(),
) {
    let counted = scene.counted(operator).await;
    change().await;
    let mut differs = BTreeSet::new();
    let same = async {
        eventually("all is as it was", async || {
            differs = scene.facts().await.symmetric_difference(before).cloned().collect();
            differs.is_empty().then_some(())
        })
        .await;
    };
    if AssertUnwindSafe(same).catch_unwind().await.is_err() {
        let network = scene.stack.kubectl(&["get", "pgain", "-o", "jsonpath={.items[*].status.conditions}"]);
        panic!("{kinds:?}: {differs:#?}, {}", String::from_utf8_lossy(&network.stdout));
    }
    scene.stack.until_ready(&scene.namespace, "bot").await;
    eventually(&format!("each of {kinds:?} is counted"), async || {
        let now = scene.counted(operator).await;
        kinds.iter().all(|kind| now.get(*kind) > counted.get(*kind)).then_some(())
    })
    .await;
}

/// At the resync, which here comes every ten seconds.
async fn found_at_the_resync(scene: &Scene) {
    let (functions, endpoints) = scene.groups().await;
    let everywhere = Rule { protocol: Protocol::All, ports: None, peer: Peer::Ipv4("0.0.0.0/0".to_owned()) };
    let (role, function) = (scene.role().await, scene.function().await);
    let policy = role.inline_policies.keys().next().expect("a policy").clone();
    let configuration = FunctionConfiguration { memory_mib: 1024, ..function.configuration };
    scene
        .write(Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: endpoints.id, rules: endpoints.ingress }))
        .await;
    scene
        .write(Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group: functions.id, rules: [everywhere].into() }))
        .await;
    // Lambda takes no configuration with a role that does not suffice, so the role comes after.
    scene
        .write(Write::Lambda(LambdaWrite::UpdateFunctionConfiguration {
            name: function.name.clone(),
            configuration,
            reset: BTreeSet::new(),
        }))
        .await;
    scene.write(Write::Iam(IamWrite::DeleteRolePolicy { role: role.name, policy })).await;
    let name = format!("/aws/lambda/{}", function.name).parse().expect("a name");
    scene.write(Write::Logs(LogsWrite::DeleteLogGroup { name })).await;
    scene.write(Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: scene.endpoint().await.id })).await;
}

/// An endpoint that lets everybody in, code of somebody else, a role that may do everything.
async fn opened(scene: &Scene) {
    let endpoint = scene.endpoint().await;
    let all = json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]});
    let change = EndpointChange {
        policy: Some(PolicyDocument::new(&all)),
        private_dns: Some(!endpoint.private_dns),
        add_security_groups: [scene.default_group().await].into(),
        remove_security_groups: endpoint.security_groups,
        ..EndpointChange::default()
    };
    scene.write(Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: endpoint.id, change })).await;
    let (role, function) = (scene.role().await, scene.function().await);
    let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
    let attach = scene.iam.attach_role_policy().role_name(role.name.as_str()).policy_arn(administrator);
    attach.send().await.expect("the policy is attached");
    let package = Package::new(somebody_s_code());
    scene
        .write(Write::Lambda(LambdaWrite::UpdateFunctionCode {
            name: function.name.clone(),
            package,
            architecture: function.architecture,
        }))
        .await;
    let name = format!("/aws/lambda/{}", function.name);
    scene.logs.put_retention_policy().log_group_name(name).retention_in_days(1).send().await.expect("retention");
    scene.touch();
}

/// A deployment package of somebody else's.
pub fn somebody_s_code() -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("index.mjs", stored).expect("a file");
    zip.write_all(b"export const handler = async () => ({});").expect("its text");
    zip.finish().expect("a zip").into_inner()
}

/// The role and with it what the function runs as; the function's attachment.
async fn cut_off(scene: &Scene) {
    let (role, function) = (scene.role().await, scene.function().await);
    let none = aws_sdk_lambda::types::VpcConfig::builder()
        .set_subnet_ids(Some(Vec::new()))
        .set_security_group_ids(Some(Vec::new()))
        .build();
    let detach = scene.lambda.update_function_configuration().function_name(function.name.as_str()).vpc_config(none);
    detach.send().await.expect("the function is detached");
    for policy in role.inline_policies.keys() {
        scene.write(Write::Iam(IamWrite::DeleteRolePolicy { role: role.name.clone(), policy: policy.clone() })).await;
    }
    scene.write(Write::Iam(IamWrite::DeleteRole { role: role.name })).await;
    scene.touch();
}

/// The endpoint, without a trace, and the function.
async fn vanished(scene: &Scene) {
    let delays = format!("{}/_local/delays", scene.stack.aws);
    http::json("PUT", &delays, Some(&json!({"endpointForgotten": 0}))).await;
    scene.write(Write::Lambda(LambdaWrite::DeleteFunction { name: scene.function().await.name })).await;
    scene.write(Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: scene.endpoint().await.id })).await;

    scene.touch();
}

/// The endpoints' group, which takes that nothing refers to it any more.
async fn without_its_group(scene: &Scene) {
    let (functions, endpoints) = scene.groups().await;
    let change = EndpointChange {
        add_security_groups: [scene.default_group().await].into(),
        remove_security_groups: [endpoints.id.clone()].into(),
        ..EndpointChange::default()
    };
    scene.write(Write::Ec2(Ec2Write::ModifyVpcEndpoint { endpoint: scene.endpoint().await.id, change })).await;
    scene.write(Write::Ec2(Ec2Write::RevokeSecurityGroupEgress { group: functions.id, rules: functions.egress })).await;
    scene.write(Write::Ec2(Ec2Write::DeleteSecurityGroup { group: endpoints.id })).await;

    scene.touch();
}

/// Everything that an update can set beside what the app decides, and that suits the runtime.
async fn with_settings(scene: &Scene) {
    use aws_sdk_lambda::types;
    let function = scene.function().await;
    let account = function.arn.split(':').nth(4).expect("an account").to_owned();
    let arn = |what: &str| format!("arn:aws:{}", what.replace("ACCOUNT", &account));
    let logging = types::LoggingConfig::builder().log_format(types::LogFormat::Json).log_group("/theirs").build();
    let mount = types::FileSystemConfig::builder()
        .arn(arn("elasticfilesystem:us-east-1:ACCOUNT:access-point/fsap-0123456789abcdef0"))
        .local_mount_path("/mnt/theirs")
        .build();
    let dead_letters = types::DeadLetterConfig::builder().target_arn(arn("sqs:us-east-1:ACCOUNT:theirs")).build();
    scene
        .lambda
        .update_function_configuration()
        .function_name(function.name.as_str())
        .layers(arn("lambda:us-east-1:ACCOUNT:layer:theirs:1"))
        .tracing_config(types::TracingConfig::builder().mode(types::TracingMode::Active).build())
        .dead_letter_config(dead_letters)
        .ephemeral_storage(types::EphemeralStorage::builder().size(1024).build().expect("a size"))
        .logging_config(logging)
        .kms_key_arn(arn("kms:us-east-1:ACCOUNT:key/theirs"))
        .file_system_configs(mount.expect("a mount"))
        .vpc_config(types::VpcConfig::builder().ipv6_allowed_for_dual_stack(true).build())
        // Snapshots are for other runtimes: Lambda takes the operator's runtime back only without them.
        .runtime("python3.13".into())
        .snap_start(types::SnapStart::builder().apply_on(types::SnapStartApplyOn::PublishedVersions).build())
        .send()
        .await
        .expect("the settings are changed");
    assert_eq!(scene.function().await.altered.iter().copied().collect::<Vec<_>>(), Setting::ALL);
    scene.touch();
}

/// Tags that say what a resource is for.
async fn untagged(scene: &Scene) {
    let (functions, _) = scene.groups().await;
    let (role, function) = (scene.role().await, scene.function().await);
    let lost = aws_sdk_ec2::types::Tag::builder().key(TAG_VPC).build();
    let endpoint = scene.endpoint().await.id;
    let untag = scene.ec2.delete_tags().resources(functions.id.as_str()).resources(endpoint.as_str()).tags(lost);
    untag.send().await.expect("tags are deleted");
    scene.write(Write::Iam(IamWrite::UntagRole { role: role.name, keys: [TAG_VPC.to_owned()].into() })).await;
    let untag = scene.lambda.untag_resource().resource(&function.arn).tag_keys(TAG_VPC);
    untag.send().await.expect("the function is untagged");
    let group = scene.aws.log_groups(&scene.region, LOG_GROUP_PREFIX).await.expect("log groups").remove(0);
    scene.logs.untag_resource().resource_arn(&group.arn).tag_keys(TAG_VPC).send().await.expect("the group is untagged");
    let variables = aws_sdk_lambda::types::Environment::builder().variables("ADDED_BY_HAND", "1").build();
    let update = scene.lambda.update_function_configuration().function_name(function.name.as_str());
    update.environment(variables).send().await.expect("the environment is changed");
    scene.touch();
}

#[tokio::test]
async fn what_is_changed_by_hand_is_put_back_and_told() {
    let scene = Scene::new().await;
    let operator = scene.stack.operator_with("drift", &["--resync-seconds", "10"]).await;
    scene.stack.apply(&app(&scene.namespace, "bot", scene.vpc.as_str()));
    scene.stack.until_ready(&scene.namespace, "bot").await;
    let before = scene.facts().await;

    let kinds = ["rule", "role_policy", "function_configuration", "log_group", "endpoint"];
    round(&scene, &operator, &before, &kinds, async || found_at_the_resync(&scene).await).await;
    let events =
        scene.stack.kubectl(&["get", "events", "-A", "-o", "json", "--field-selector", "reason=DriftRepaired"]);
    let events: Value = serde_json::from_slice(&events.stdout).expect("JSON");
    let notes: String =
        events["items"].as_array().expect("events").iter().map(|event| event["message"].to_string()).collect();
    for words in ["revoked from egress: all protocols 0.0.0.0/0", "added to ingress again: tcp 443", "created again"] {
        assert!(notes.contains(words), "{words} is missing in {notes}");
    }

    let kinds = ["endpoint_policy", "endpoint_groups", "private_dns", "foreign_policy", "function_code", "retention"];
    round(&scene, &operator, &before, &kinds, async || opened(&scene).await).await;
    round(&scene, &operator, &before, &["function_settings"], async || with_settings(&scene).await).await;
    let principal = scene.role().await.id;
    round(&scene, &operator, &before, &["role", "function_configuration"], async || cut_off(&scene).await).await;
    assert_ne!(scene.role().await.id, principal, "another principal, which the function was given");
    round(&scene, &operator, &before, &["endpoint", "function"], async || vanished(&scene).await).await;
    round(&scene, &operator, &before, &["group"], async || without_its_group(&scene).await).await;
    round(&scene, &operator, &before, &["tags", "function_configuration"], async || untagged(&scene).await).await;
    assert!(operator.stop().await);
}
