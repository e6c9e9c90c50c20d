//! Models become IAM statements: for the execution role of an app, and for the policy of an endpoint.
//!
//! Only validated ids of a user's text reach a document, so a user cannot inject policy text.

mod prompts;
mod read_back;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde_json::{Value, json};

use crate::{
    aws::{Caller, InvalidId, LogGroupName, PolicyDocument, Region},
    identity::{AppIdentity, InstallationId, role_arn_pattern},
};

pub use read_back::{app_of_role, is_role_of, models_of_endpoint, models_of_role, place_of_role};

/// The name of the one inline policy of each role.
pub const POLICY_NAME: &str = "private-genai";

/// The statement of a role with its models, which are read back from here.
const CALL_MODELS: &str = "CallModels";

/// The statement of a role with its function, from which the region is read back.
const LEAVE_INTERFACES_ALONE: &str = "CodeLeavesInterfacesAlone";

/// The statement of an endpoint with its models, which are read back from here.
const OUR_ROLES_CALL_THEIR_MODELS: &str = "OurRolesCallTheirModels";

/// The longest policy of an endpoint, in characters (VPC endpoint quotas of the PrivateLink guide).
pub const ENDPOINT_POLICY_MAX: usize = 20_480;

/// The actions of both ways to call a model. Converse and ConverseStream need the same two (Bedrock user guide, Converse API).
const INVOKE_MODEL: [&str; 2] = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"];

/// The actions that Lambda needs to attach a function to a VPC (Lambda developer guide, "Giving Lambda functions access to
/// resources in an Amazon VPC").
const INTERFACE_ACTIONS: [&str; 6] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

/// The ID of a foundation model, such as `amazon.nova-lite-v1:0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(String);

/// The prefixes of ids of inference profiles. Ids of foundation models have the provider there. A profile is another kind of
/// resource with another ARN, and routes calls to other regions. The CustomResourceDefinition of apps refuses the same prefixes.
const PROFILES: [&str; 13] = ["us", "us-gov", "eu", "apac", "au", "ca", "jp", "sa", "me", "af", "in", "uk", "global"];

impl FromStr for ModelId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = text.len() <= 128
            && text.split_once('.').is_some_and(|(provider, model)| {
                !provider.is_empty()
                    && !PROFILES.contains(&provider)
                    && !model.is_empty()
                    && provider.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { text: text.to_owned(), expected: "a foundation model ID such as amazon.nova-lite-v1:0" })
        }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ModelId {
    /// The ID as AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ARN of the model in a region.
    fn arn(&self, region: &Region) -> String {
        format!("{}{self}", Self::arn_prefix(region))
    }

    /// The prefix of the ARNs of all models in a region. Foundation models belong to no account.
    fn arn_prefix(region: &Region) -> String {
        format!("arn:{}:bedrock:{region}::foundation-model/", region.partition())
    }
}

/// The trust policy of an execution role: Lambda may assume the role.
pub fn trust_policy() -> PolicyDocument {
    PolicyDocument::new(&document(&[json!({
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    })]))
}

/// The permissions of an app's function, and denials that overrule any other policy of its role.
pub fn execution_policy(app: &AppIdentity, caller: &Caller, models: &BTreeSet<ModelId>) -> PolicyDocument {
    let region = &app.region;
    let mut statements = vec![
        json!({
            "Sid": "WriteOwnLog",
            "Effect": "Allow",
            // CreateLogGroup is left out: a role with that permission would recreate the log group of a deleted app.
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": log_streams_arn(region, caller, &app.log_group_name()),
        }),
        attach_to_vpc(),
        json!({
            // Lambda itself attaches the function. The function's code must not use interfaces.
            "Sid": LEAVE_INTERFACES_ALONE,
            "Effect": "Deny",
            "Action": INTERFACE_ACTIONS,
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": app.function_arn(caller)}},
        }),
    ];
    statements.extend(prompts::denials(caller, &app.vpc));
    // IAM refuses a statement without resources.
    if !models.is_empty() {
        statements.insert(2, call_models(models, region));
    }
    PolicyDocument::new(&document(&statements))
}

fn call_models(models: &BTreeSet<ModelId>, region: &Region) -> Value {
    json!({
        "Sid": CALL_MODELS,
        "Effect": "Allow",
        "Action": INVOKE_MODEL,
        "Resource": arns(models, region),
    })
}

fn arns(models: &BTreeSet<ModelId>, region: &Region) -> BTreeSet<String> {
    models.iter().map(|model| model.arn(region)).collect()
}

/// The permissions of the role of a deleted app: Lambda may release the interfaces of the app. No function calls a model with
/// this role any more, so model calls are denied whatever other policies the role has.
pub fn handed_over_policy() -> PolicyDocument {
    PolicyDocument::new(&document(&[attach_to_vpc(), prompts::nothing()]))
}

fn attach_to_vpc() -> Value {
    json!({
        "Sid": "AttachToVpc",
        "Effect": "Allow",
        "Action": INTERFACE_ACTIONS,
        "Resource": "*",
    })
}

/// The policy of an endpoint for Bedrock's runtime: our roles may call the models of the apps on the network.
///
/// The policy names all roles of the installation by their path. So a further app with an allowed model does not change the
/// policy, and the roles decide which role may call which model. Without a model (the only app has no object here, and its role
/// allows none), the policy allows no call.
pub fn bedrock_runtime_endpoint_policy(
    installation: &InstallationId,
    caller: &Caller,
    region: &Region,
    models: &BTreeSet<ModelId>,
) -> PolicyDocument {
    if models.is_empty() {
        // IAM refuses a statement without resources, and a policy without statements.
        let deny = json!({"Sid": "NoModelYet", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"});
        return PolicyDocument::new(&document(&[deny]));
    }
    let principals = role_arn_pattern(installation, caller.partition, &caller.account);
    PolicyDocument::new(&document(&[through_endpoint(models, region, &principals)]))
}

/// The number of characters for models in the policy of an endpoint for Bedrock's runtime, counted as in [`length_of_model`]:
/// AWS's limit minus the rest of the policy.
pub fn capacity_for_models(installation: &InstallationId, caller: &Caller, region: &Region) -> usize {
    let principals = role_arn_pattern(installation, caller.partition, &caller.account);
    let without = PolicyDocument::new(&document(&[through_endpoint(&BTreeSet::new(), region, &principals)]));
    // The last model has no comma after it.
    (ENDPOINT_POLICY_MAX + 1).saturating_sub(without.as_str().len())
}

/// The number of characters of a model in the policy of an endpoint: its ARN, two quotation marks and a comma.
pub fn length_of_model(model: &ModelId, region: &Region) -> usize {
    model.arn(region).len() + 3
}

fn through_endpoint(models: &BTreeSet<ModelId>, region: &Region, principals: &str) -> Value {
    json!({
        "Sid": OUR_ROLES_CALL_THEIR_MODELS,
        "Effect": "Allow",
        "Principal": "*",
        "Action": INVOKE_MODEL,
        "Resource": arns(models, region),
        "Condition": {"ArnLike": {"aws:PrincipalArn": principals}},
    })
}

fn log_streams_arn(region: &Region, caller: &Caller, group: &LogGroupName) -> String {
    format!("arn:{}:logs:{region}:{}:log-group:{group}:*", caller.partition, caller.account)
}

fn document(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn caller() -> Caller {
        Caller { account: "123456789012".parse().expect("account"), partition: crate::aws::Partition::Aws }
    }

    pub(super) fn app() -> AppIdentity {
        AppIdentity {
            installation: "prod".parse().expect("id"),
            region: "us-east-1".parse().expect("region"),
            vpc: "vpc-0abc1234".parse().expect("vpc"),
            namespace: "team-a".into(),
            name: "bot".into(),
        }
    }

    pub(super) fn models(ids: &[&str]) -> BTreeSet<ModelId> {
        ids.iter().map(|id| id.parse().expect(id)).collect()
    }

    fn statements(policy: &PolicyDocument) -> Vec<Value> {
        let document: Value = serde_json::from_str(policy.as_str()).expect("JSON");
        document["Statement"].as_array().expect("statements").clone()
    }

    #[test]
    fn a_role_may_call_its_models_and_write_its_own_log_and_nothing_else() {
        let policy = execution_policy(&app(), &caller(), &models(&["amazon.nova-lite-v1:0"]));
        let allowed: Vec<(Value, Value)> = statements(&policy)
            .iter()
            .filter(|statement| statement["Effect"] == "Allow")
            .map(|statement| (statement["Action"].clone(), statement["Resource"].clone()))
            .collect();
        let log = format!("arn:aws:logs:us-east-1:123456789012:log-group:{}:*", app().log_group_name());
        assert_eq!(
            allowed,
            [
                (json!(["logs:CreateLogStream", "logs:PutLogEvents"]), json!(log)),
                (json!(INTERFACE_ACTIONS), json!("*")),
                (json!(INVOKE_MODEL), json!(["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"])),
            ]
        );
    }

    #[test]
    fn a_role_calls_no_model_from_outside_its_vpc_and_touches_no_interface_itself() {
        let policy = execution_policy(&app(), &caller(), &models(&["amazon.nova-lite-v1:0"]));
        let denied: Vec<Value> =
            statements(&policy).into_iter().filter(|statement| statement["Effect"] == "Deny").collect();
        assert_eq!(denied[0]["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"], app().function_arn(&caller()));
        assert_eq!(denied[0]["Action"], json!(INTERFACE_ACTIONS));
        // tests/role_policy judges the effect of the other denials.
        assert_eq!(denied[1..], prompts::denials(&caller(), &app().vpc));
    }

    #[test]
    fn an_endpoint_without_models_lets_nothing_through_by_a_policy_that_aws_takes() {
        let (installation, region) = ("prod".parse().expect("id"), "us-east-1".parse().expect("region"));
        let policy = bedrock_runtime_endpoint_policy(&installation, &caller(), &region, &models(&[]));
        let statements = statements(&policy);
        assert_eq!(statements.len(), 1);
        assert_eq!((&statements[0]["Effect"], &statements[0]["Resource"]), (&json!("Deny"), &json!("*")));
        assert!(models_of_endpoint(&policy, &region).is_empty());
    }

    #[test]
    fn an_endpoint_lets_only_our_roles_through_and_only_to_the_models_asked_for() {
        let installation = "prod".parse().expect("id");
        let region = "us-east-1".parse().expect("region");
        let policy = bedrock_runtime_endpoint_policy(
            &installation,
            &caller(),
            &region,
            &models(&["b.model", "a.model", "b.model"]),
        );
        let statements = statements(&policy);
        assert_eq!(statements.len(), 1);
        assert_eq!(
            statements[0]["Condition"],
            json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/private-genai/prod/*"}})
        );
        assert_eq!(
            statements[0]["Resource"],
            json!([
                "arn:aws:bedrock:us-east-1::foundation-model/a.model",
                "arn:aws:bedrock:us-east-1::foundation-model/b.model"
            ]),
            "in stable order, each once"
        );
    }

    #[test]
    fn a_hundred_models_fit_an_endpoint_policy() {
        let ids: Vec<String> =
            (0..100).map(|i| format!("provider.a-model-with-a-rather-long-name-{i:03}-v1:0")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let region = "us-gov-west-1".parse().expect("region");
        let policy = bedrock_runtime_endpoint_policy(&"prod".parse().expect("id"), &caller(), &region, &models(&ids));
        assert!(policy.as_str().len() < ENDPOINT_POLICY_MAX, "{}", policy.as_str().len());
    }

    #[test]
    fn a_model_id_cannot_carry_anything_into_a_policy() {
        for wrong in
            ["", "nova", "a.", ".b", "a.*", "a.b/c", "a.b\"", "arn:aws:bedrock:x", "a.b c", "A.b", "a.${aws:x}"]
        {
            assert!(wrong.parse::<ModelId>().is_err(), "{wrong}");
        }
        for right in ["amazon.nova-lite-v1:0", "anthropic.claude-v2:1:18k", "ai21.jamba-1-5-mini-v1:0", "zai.glm-4.7"] {
            assert!(right.parse::<ModelId>().is_ok(), "{right}");
        }
    }
}
