//! The denials of every app's role, which overrule all other policies of the role: no access to prompts and answers from outside
//! the VPC.
//!
//! `tests/reference/prompts.json` decides each action of Bedrock individually. `tests/role_policy` compares these decisions with
//! AWS's reference and with the statements below, judged by an independent evaluator.

use serde_json::{Value, json};

use crate::aws::{Caller, VpcId};

/// Each of these calls is authorized on several resources, and the request for some of them may lack `aws:SourceVpc`.
const IN_LEGS: [&str; 2] = ["bedrock:ApplyGuardrail", "bedrock:InvokeModel*"];

/// All other actions that read or write prompts, answers or their ingredients, or that manage such actions. A wildcard covers
/// only such actions, and includes future actions of a family.
const OTHERS: [&str; 26] = [
    "bedrock:*Agent*",
    "bedrock:*AsyncInvoke*",
    "bedrock:*AutomatedReasoningPolic*",
    "bedrock:*Blueprint*",
    "bedrock:*DataAutomation*",
    "bedrock:*DataRetention",
    "bedrock:*DataSource*",
    "bedrock:*Document*",
    "bedrock:*EvaluationJob*",
    "bedrock:*Flow*",
    "bedrock:*IngestionJob*",
    "bedrock:*Invocation*",
    "bedrock:*Invoke",
    "bedrock:*KnowledgeBase*",
    "bedrock:*ModelCustomizationJob*",
    "bedrock:*Prompt*",
    "bedrock:*Session*",
    "bedrock:AllowVendedLogDeliveryForResource",
    "bedrock:CountTokens",
    "bedrock:DetectGeneratedContent",
    "bedrock:GenerateQuery",
    "bedrock:InvokeBuilder",
    "bedrock:InvokeGuardrailChecks",
    "bedrock:InvokeTool",
    "bedrock:Rerank",
    "bedrock:Retrieve*",
];

/// Actions of features that the operator does not support: the other engine, and bearer tokens that stand for the role.
const NEVER: [&str; 2] = ["bedrock-mantle:*", "bedrock:CallWithBearerToken"];

/// The statement of a role about all prompts, from which the VPC is read back.
pub(super) const THROUGH_THE_VPC_ONLY: &str = "PromptsThroughTheVpcOnly";

/// The statements that keep prompts in the VPC of an app.
///
/// The condition is on the VPC and not on the endpoint: a new endpoint must not change every role. A call over the internet has
/// no `aws:SourceVpc` at all, and `StringNotEquals` is true for a missing key (IAM User Guide, "String condition operators").
///
/// Three legs of a call may lack the key although the call came through the endpoint, because Bedrock makes them itself. Each is
/// exempt only for actions that also need a further resource, which is denied:
/// - a foundation model that Bedrock routes to for an inference profile (`bedrock:InferenceProfileArn` is there): the profile;
/// - `project/*`, on which `InvokeModel*` asks about the target too (Bedrock API, "Converse"). `GetInvoke` and its kin ask about the
///   project alone: they are not exempt;
/// - `guardrail-profile/*`, on which `ApplyGuardrail` asks about the guardrail too (Bedrock User Guide, "Permissions for using
///   cross-Region inference with guardrails").
///
/// Projects and guardrail profiles of other accounts are not exempt: their ARNs are pinned to the account of the app.
pub(super) fn denials(caller: &Caller, vpc: &VpcId) -> [Value; 4] {
    let Caller { account, partition } = caller;
    let elsewhere = json!({"aws:SourceVpc": vpc.as_str()});
    let foundation_models = format!("arn:{partition}:bedrock:*::foundation-model/*");
    [
        json!({
            "Sid": "ModelsThroughTheVpcOnly",
            "Effect": "Deny",
            "Action": IN_LEGS,
            "NotResource": [
                foundation_models,
                format!("arn:{partition}:bedrock:*:{account}:guardrail-profile/*"),
                format!("arn:{partition}:bedrock:*:{account}:project/*"),
            ],
            "Condition": {"StringNotEquals": elsewhere},
        }),
        json!({
            "Sid": "FoundationModelsThroughTheVpcOnly",
            "Effect": "Deny",
            "Action": IN_LEGS,
            "Resource": foundation_models,
            "Condition": {"StringNotEquals": elsewhere, "Null": {"bedrock:InferenceProfileArn": "true"}},
        }),
        json!({
            "Sid": THROUGH_THE_VPC_ONLY,
            "Effect": "Deny",
            "Action": OTHERS,
            "Resource": "*",
            "Condition": {"StringNotEquals": elsewhere},
        }),
        json!({
            "Sid": "NeitherMantleNorBearerTokens",
            "Effect": "Deny",
            "Action": NEVER,
            "Resource": "*",
        }),
    ]
}

/// The statement that denies all of these actions to the role of an app that is gone.
pub(super) fn nothing() -> Value {
    json!({
        "Sid": "NoModels",
        "Effect": "Deny",
        "Action": ["bedrock-mantle:*", "bedrock:*"],
        "Resource": "*",
    })
}
