//! An evaluator that is not ours (crate iam-rs), and where it judges otherwise than AWS.

use std::collections::BTreeMap;

use iam_rs::{Arn, Context, Decision, IAMPolicy, IAMRequest, PolicyEvaluator, Principal, PrincipalId};
use serde_json::{Value, json};

/// On what an action is to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The resource with this ARN.
    Arn(String),
    /// The action asks about no resource: only `*`, or a list of what is not meant, covers it.
    None,
}

/// One question to IAM: one leg of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub action: String,
    pub resource: Resource,
    pub context: BTreeMap<String, String>,
}

impl Request {
    pub fn new(action: &str, resource: Resource) -> Self {
        Self { action: action.to_owned(), resource, context: BTreeMap::new() }
    }

    pub fn on(action: &str, arn: &str) -> Self {
        Self::new(action, Resource::Arn(arn.to_owned()))
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.context.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn arn(&self) -> &str {
        match &self.resource {
            Resource::Arn(arn) => arn,
            Resource::None => "*",
        }
    }
}

/// What policies say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// By a statement.
    Denied,
    /// No statement allows it.
    Silent,
}

/// Policies that are attached to one principal.
pub struct Judge(PolicyEvaluator);

impl Judge {
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a Value>) -> Self {
        let read = |policy: &Value| serde_json::from_value::<IAMPolicy>(policy.clone()).expect("a policy");
        Self(PolicyEvaluator::with_policies(policies.into_iter().map(read).collect()))
    }

    pub fn verdict(&self, request: &Request) -> Verdict {
        self.ask(request).unwrap_or_else(|problem| panic!("{problem} {request:?}"))
    }

    fn ask(&self, request: &Request) -> Result<Verdict, String> {
        let arn = match &request.resource {
            Resource::Arn(arn) => Arn::parse(arn).expect("an ARN"),
            // The evaluator knows no request without a resource. Nothing that is tried names this one.
            Resource::None => Arn::parse("arn:aws:none:::none").expect("an ARN"),
        };
        let mut context = Context::new();
        for (key, value) in &request.context {
            context = context.with_string(key.clone(), value.clone());
        }
        let role = Principal::Aws(PrincipalId::String("arn:aws:iam::123456789012:role/r".to_owned()));
        let asked = IAMRequest::new_with_context(role, request.action.clone(), arn, context);
        let answer = self.0.evaluate(&asked).map_err(|error| error.to_string())?;
        Ok(match answer.decision {
            Decision::Allow => Verdict::Allowed,
            Decision::Deny => Verdict::Denied,
            Decision::NotApplicable => Verdict::Silent,
        })
    }
}

pub fn document(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Everything is allowed.
pub fn everything() -> Value {
    document(&[json!({"Effect": "Allow", "Action": "*", "Resource": "*"})])
}

const MODEL: &str = "arn:aws:bedrock:us-east-1::foundation-model/m";
const GLOBAL: &str = "arn:aws:bedrock:::foundation-model/m";
const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.m";

/// IAM User Guide: "Policy evaluation logic", "IAM JSON policy elements" (Action, NotAction, Resource, NotResource, Condition),
/// "Condition operators", "Multivalued context keys".
#[test]
fn the_evaluator_judges_as_aws_documents_where_the_policies_rest_on_it() {
    use Verdict::{Allowed, Denied, Silent};

    let one = |statement: Value| vec![statement];
    let allow = |rest: Value| merged(json!({"Effect": "Allow", "Action": "*", "Resource": "*"}), &rest);
    let deny = |rest: Value| merged(json!({"Effect": "Deny", "Action": "*", "Resource": "*"}), &rest);
    let when = |condition: Value| one(allow(json!({"Condition": condition})));
    let on = |arn: &str| Request::on("bedrock:InvokeModel", arn);
    let plain = || on(MODEL);
    let in_vpc = |vpc: &str| plain().with("aws:SourceVpc", vpc);
    let vpc = |operator: &str| when(json!({operator: {"aws:SourceVpc": "vpc-1"}}));
    let only = |key: &str, pattern: Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        statement.as_object_mut().expect("an object").remove(key.trim_start_matches("Not"));
        statement[key] = pattern;
        one(statement)
    };
    let without_resource = || Request::new("bedrock:RetrieveAndGenerate", Resource::None);
    let table: Vec<(&str, Vec<Value>, Request, Verdict)> = vec![
        ("nothing is allowed by default", vec![deny(json!({"Action": "s3:*"}))], plain(), Silent),
        ("what is allowed is", one(allow(json!({}))), plain(), Allowed),
        ("a denial wins", vec![deny(json!({})), allow(json!({}))], plain(), Denied),
        ("wherever it stands", vec![allow(json!({})), deny(json!({}))], plain(), Denied),
        ("the case of actions does not matter", only("Action", json!("BEDROCK:invoke*")), plain(), Allowed),
        ("? is one character", only("Action", json!("bedrock:?nvokeModel")), plain(), Allowed),
        ("and not none", only("Action", json!("bedrock:InvokeModel?")), plain(), Silent),
        (
            "a prefix ends at its colon",
            only("Action", json!("bedrock:*")),
            Request::on("bedrock-mantle:X", MODEL),
            Silent,
        ),
        ("NotAction is all others", only("NotAction", json!(["s3:*"])), plain(), Allowed),
        ("but not those", only("NotAction", json!(["s3:*", "bedrock:Invoke*"])), plain(), Silent),
        ("NotResource is all others", only("NotResource", json!([MODEL])), on(PROFILE), Allowed),
        ("but not those", only("NotResource", json!([MODEL, PROFILE])), on(PROFILE), Silent),
        ("what has no resource is no resource", only("NotResource", json!([MODEL])), without_resource(), Allowed),
        ("and all", only("Resource", json!("*")), without_resource(), Allowed),
        ("and none in particular", only("Resource", json!("arn:aws:bedrock:*:*:*")), without_resource(), Silent),
        ("* is any region", only("Resource", json!("arn:aws:bedrock:*::foundation-model/*")), plain(), Allowed),
        ("and none", only("Resource", json!("arn:aws:bedrock:*::foundation-model/*")), on(GLOBAL), Allowed),
        ("but no account", only("Resource", json!("arn:aws:bedrock:*::foundation-model/*")), on(PROFILE), Silent),
        ("a key that is missing equals nothing", vpc("StringEquals"), plain(), Silent),
        ("and so does not equal", vpc("StringNotEquals"), plain(), Allowed),
        ("another value neither", vpc("StringNotEquals"), in_vpc("vpc-2"), Allowed),
        ("the same does", vpc("StringNotEquals"), in_vpc("vpc-1"), Silent),
        ("the case of keys does not matter", vpc("StringEquals"), plain().with("AWS:sourcevpc", "vpc-1"), Allowed),
        ("IfExists holds without", vpc("StringEqualsIfExists"), plain(), Allowed),
        ("ForAnyValue does not", vpc("ForAnyValue:StringEquals"), plain(), Silent),
        ("ForAllValues does", vpc("ForAllValues:StringEquals"), plain(), Allowed),
        ("Null is missing", when(json!({"Null": {"aws:SourceVpc": "true"}})), plain(), Allowed),
        ("and not there", when(json!({"Null": {"aws:SourceVpc": "true"}})), in_vpc("vpc-1"), Silent),
        ("or the reverse", when(json!({"Null": {"aws:SourceVpc": "false"}})), in_vpc("vpc-1"), Allowed),
        (
            "two keys are both asked for",
            when(json!({"Null": {"aws:SourceVpc": "true", "aws:SourceVpce": "true"}})),
            plain().with("aws:SourceVpce", "vpce-1"),
            Silent,
        ),
        (
            "two operators too",
            when(json!({"StringNotEquals": {"aws:SourceVpc": "vpc-1"}, "Null": {"aws:SourceVpc": "true"}})),
            in_vpc("vpc-2"),
            Silent,
        ),
        (
            "one of several values is enough",
            when(json!({"StringLike": {"aws:SourceVpc": ["a", "vpc-*"]}})),
            in_vpc("vpc-2"),
            Allowed,
        ),
        (
            "and none of them must be it",
            when(json!({"StringNotEquals": {"aws:SourceVpc": ["a", "vpc-2"]}})),
            in_vpc("vpc-2"),
            Silent,
        ),
    ];
    for (case, statements, request, verdict) in table {
        assert_eq!(
            Judge::of([&document(&statements)]).verdict(&request),
            verdict,
            "{case}: {statements:?} {request:?}"
        );
    }
}

/// If a new version of the crate judges otherwise, what stands beside each can go.
#[test]
fn where_the_evaluator_judges_otherwise_than_aws_is_known() {
    let request = Request::on("bedrock:InvokeModel", MODEL);
    let short = document(&[json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:bedrock:*"})]);
    // AWS lets a * at the end of a part run on beyond the colon. So patterns are generated with all parts.
    assert!(Judge::of([&short]).ask(&request).is_err());
    let service = document(&[json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:*:*:*:*"})]);
    // A pattern for all services matches nothing here: * is generated instead.
    assert_eq!(Judge::of([&service]).verdict(&request), Verdict::Silent);
    let function = "arn:aws:lambda:us-east-1:123456789012:function:pgai-a";
    let condition = json!({"ArnEquals": {"lambda:SourceFunctionArn": "arn:aws:lambda:*:*:function:pgai-*"}});
    let like = document(&[json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition})]);
    // ArnEquals takes wildcards at AWS, as ArnLike does. The role's policy has none there.
    assert_eq!(Judge::of([&like]).verdict(&request.with("lambda:SourceFunctionArn", function)), Verdict::Silent);
}

fn merged(mut statement: Value, rest: &Value) -> Value {
    for (key, value) in rest.as_object().expect("an object") {
        statement[key] = value.clone();
    }
    statement
}
