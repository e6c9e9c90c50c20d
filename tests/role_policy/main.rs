//! What README and SECURITY.md say of an app's role, asked of an evaluator that is not ours, for every action of Bedrock that
//! AWS's reference knows: from outside the VPC nothing reads or writes prompts, whatever somebody attaches to the role.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing fails, and says where"
)]

mod attached;
mod judge;
mod reference;

use std::collections::{BTreeMap, BTreeSet};

use private_genai_operator::{
    aws::{Caller, PolicyDocument, Region},
    identity::AppIdentity,
    policy::{ModelId, execution_policy, handed_over_policy},
};
use serde_json::{Value, json};

use judge::{Judge, Request, Resource, Verdict, document, everything};
use reference::{ACCOUNT, actions, decided, legs, resources};

/// The most characters that the inline policies of a role may have together, white space apart (IAM quotas).
const ROLE_POLICIES_MAX: usize = 10_240;

/// The most characters of a managed policy, white space apart (IAM quotas).
const MANAGED_POLICY_MAX: usize = 6_144;

/// What the function's code has no business with.
const INTERFACE_ACTIONS: [&str; 6] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

const MODEL: &str = "amazon.nova-lite-v1:0";
const VPC: &str = "vpc-0abc1234";

fn region() -> Region {
    "us-east-1".parse().expect("a region")
}

fn app(region: &Region) -> AppIdentity {
    AppIdentity {
        installation: "prod".parse().expect("an id"),
        region: region.clone(),
        vpc: VPC.parse().expect("a VPC"),
        namespace: "team-a".into(),
        name: "bot".into(),
    }
}

fn caller(region: &Region) -> Caller {
    Caller { account: ACCOUNT.parse().expect("an account"), partition: region.partition() }
}

fn read(policy: &PolicyDocument) -> Value {
    serde_json::from_str(policy.as_str()).expect("JSON")
}

/// The policy of the app's role.
fn role(region: &Region) -> Value {
    let models = BTreeSet::from([MODEL.parse::<ModelId>().expect("a model")]);
    read(&execution_policy(&app(region), &caller(region), &models))
}

/// The boundary that is shipped, in the partition of a region.
fn boundary(region: &Region) -> Value {
    let partition = format!("arn:{}:", region.partition());
    serde_json::from_str(&include_str!("../../docs/permissions-boundary.json").replace("arn:aws:", &partition))
        .expect("JSON")
}

fn statements(policy: &Value) -> &[Value] {
    policy["Statement"].as_array().expect("statements")
}

fn denials(policy: &Value) -> impl Iterator<Item = &Value> {
    statements(policy).iter().filter(|statement| statement["Effect"] == "Deny")
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    value.as_array().map_or_else(|| vec![text(value)], |values| values.iter().map(text).collect())
}

fn matches(pattern: &str, action: &str) -> bool {
    wildmatch::WildMatch::new(&pattern.to_lowercase()).matches(&action.to_lowercase())
}

/// Legs that Bedrock may make itself, without `aws:SourceVpc`, and that grant nothing alone.
fn is_exempt(request: &Request) -> bool {
    let ours = |kind: &str| request.arn().contains(&format!(":{ACCOUNT}:{kind}/"));
    match request.action.as_str() {
        "bedrock:InvokeModel" | "bedrock:InvokeModelWithResponseStream" => {
            let routed = request.context.contains_key("bedrock:InferenceProfileArn");
            ours("project") || (routed && request.arn().contains("::foundation-model/"))
        }
        "bedrock:ApplyGuardrail" => ours("guardrail-profile"),
        _ => false,
    }
}

/// What must never be allowed, in a region: by what was decided about Bedrock's actions, by each type of resource that each asks
/// about; anything of mantle; and interfaces, when the function's code asks.
fn never(region: &Region) -> Vec<Request> {
    let decided = decided();
    let is_meant = |leg: &Request| decided.prompts.contains(&leg.action) || decided.never.contains(&leg.action);
    let mut requests: Vec<Request> = legs("bedrock", region).into_iter().filter(is_meant).collect();
    requests.extend(legs("bedrock-mantle", region));
    let function = app(region).function_arn(&caller(region));
    let interface = |action: &str| Request::new(action, Resource::None).with("lambda:SourceFunctionArn", &function);
    requests.extend(INTERFACE_ACTIONS.map(interface));
    requests
}

/// The first request that policies allow, of those that they must not.
fn counterexample<'a>(policies: &[&Value], requests: impl IntoIterator<Item = &'a Request>) -> Option<Request> {
    let judge = Judge::of(policies.iter().copied());
    let wrong = |request: &&Request| !is_exempt(request) && judge.verdict(request) == Verdict::Allowed;
    requests.into_iter().find(wrong).cloned()
}

/// Fourteen ways to have a model answer, or to read what it answered, with `bedrock:*` and `bedrock-mantle:*` attached besides.
#[test]
fn no_way_to_call_a_model_is_open_from_outside_the_vpc() {
    let bedrock = |rest: &str| format!("arn:aws:bedrock:us-east-1:{ACCOUNT}:{rest}");
    let invoke = |arn: String| Request::on("bedrock:InvokeModel", &arn);
    let model = "arn:aws:bedrock:us-east-1::foundation-model/m";
    let on_nothing = |action: &str| Request::new(action, Resource::None);
    let mantle = format!("arn:aws:bedrock-mantle:us-east-1:{ACCOUNT}:project/default");
    let kinds = [
        ("a foundation model", invoke(model.to_owned())),
        ("a system inference profile", invoke(bedrock("inference-profile/us.m"))),
        ("an application inference profile", invoke(bedrock("application-inference-profile/abc"))),
        ("provisioned throughput", invoke(bedrock("provisioned-model/abc"))),
        ("an imported model", invoke(bedrock("imported-model/abc"))),
        ("a custom model's deployment", invoke(bedrock("custom-model-deployment/abc"))),
        ("a Marketplace model", invoke(bedrock("marketplace/model-endpoint/all-access"))),
        ("Retrieve", Request::on("bedrock:Retrieve", &bedrock("knowledge-base/KB"))),
        ("RetrieveAndGenerate", on_nothing("bedrock:RetrieveAndGenerate")),
        ("ApplyGuardrail", Request::on("bedrock:ApplyGuardrail", &bedrock("guardrail/g"))),
        ("a batch job", Request::on("bedrock:CreateModelInvocationJob", model)),
        ("a bearer token", on_nothing("bedrock:CallWithBearerToken")),
        ("mantle", Request::on("bedrock-mantle:CreateInference", &mantle)),
        ("a bearer token of mantle", on_nothing("bedrock-mantle:CallWithBearerToken")),
    ];
    let all = json!({"Effect": "Allow", "Action": ["bedrock:*", "bedrock-mantle:*"], "Resource": "*"});
    let attached = document(&[all]);
    for (own, from) in [(role(&region()), Some("vpc-0def5678")), (role(&region()), None), (boundary(&region()), None)] {
        let judge = Judge::of([&own, &attached]);
        let from = |request: &Request| match from {
            Some(vpc) => request.clone().with("aws:SourceVpc", vpc),
            None => request.clone(),
        };
        let open: Vec<&str> = kinds
            .iter()
            .filter(|(_, request)| judge.verdict(&from(request)) != Verdict::Denied)
            .map(|(kind, _)| *kind)
            .collect();
        assert!(open.is_empty(), "{} of {} are open: {open:?}", open.len(), kinds.len());
    }
}

#[test]
fn from_inside_the_vpc_a_role_under_the_boundary_calls_its_app_s_models_alone() {
    for region in ["us-east-1", "cn-north-1", "us-gov-west-1"].map(|region| region.parse::<Region>().expect("a region"))
    {
        let (role, boundary) = (role(&region), boundary(&region));
        let own = format!("arn:{}:bedrock:{region}::foundation-model/{MODEL}", region.partition());
        for action in ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"] {
            let inside = |arn: &str| Request::on(action, arn).with("aws:SourceVpc", VPC);
            for policy in [&role, &boundary] {
                assert_eq!(Judge::of([policy]).verdict(&inside(&own)), Verdict::Allowed, "{region}");
            }
            assert_eq!(Judge::of([&role]).verdict(&inside(&format!("{own}x"))), Verdict::Silent);
            assert_eq!(Judge::of([&role]).verdict(&Request::on(action, &own)), Verdict::Denied);
        }
    }
}

/// What somebody attaches does work from inside, or a later feature could not be one: but for what is denied from anywhere, and
/// for the interfaces.
#[test]
fn from_inside_the_vpc_nothing_else_is_denied_than_mantle_and_bearer_tokens() {
    let region = region();
    let role = role(&region);
    let judge = Judge::of([&role, &everything()]);
    let never = decided().never;
    for leg in legs("bedrock", &region).into_iter().chain(legs("bedrock-mantle", &region)) {
        let is_denied = never.contains(&leg.action) || leg.action.starts_with("bedrock-mantle:");
        let verdict = if is_denied { Verdict::Denied } else { Verdict::Allowed };
        assert_eq!(judge.verdict(&leg.clone().with("aws:SourceVpc", VPC)), verdict, "{leg:?}");
    }
}

/// A newer reference has actions that nobody decided about, and fails here.
#[test]
fn each_action_of_bedrock_is_decided_about() {
    let decided = decided();
    let all: BTreeSet<String> =
        [&decided.prompts, &decided.never, &decided.neither].into_iter().flatten().cloned().collect();
    assert_eq!(all, actions("bedrock").into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn the_role_and_the_boundary_deny_what_was_decided_and_no_further_action_of_bedrock() {
    let decided = decided();
    for policy in [role(&region()), boundary(&region())] {
        let mut covered: BTreeMap<bool, BTreeSet<String>> = BTreeMap::new();
        for statement in denials(&policy) {
            let patterns = texts(&statement["Action"]);
            for pattern in patterns.iter().filter(|pattern| pattern.starts_with("bedrock:")) {
                let named: BTreeSet<String> =
                    actions("bedrock").into_keys().filter(|action| matches(pattern, action)).collect();
                assert!(!named.is_empty(), "{pattern} names no action");
                covered.entry(statement["Condition"].is_null()).or_default().extend(named);
            }
        }
        assert_eq!(covered.remove(&false), Some(decided.prompts.clone()), "unless the call comes through the VPC");
        assert_eq!(covered.remove(&true), Some(decided.never.clone()), "from anywhere");
    }
}

/// On every type of resource, not only on those that the reference lists for the action, and in every partition.
#[test]
fn what_was_decided_is_denied_on_every_type_of_resource_from_outside() {
    for region in ["us-east-1", "cn-north-1", "us-gov-west-1"].map(|region| region.parse::<Region>().expect("a region"))
    {
        let (role, everything) = (role(&region), everything());
        let judge = Judge::of([&role, &everything]);
        let arns: Vec<String> = resources("bedrock", &region).into_values().flatten().collect();
        for action in decided().prompts {
            let on = arns.iter().map(|arn| Request::on(&action, arn));
            for request in on.chain([Request::new(&action, Resource::None)]) {
                let verdict = judge.verdict(&request);
                // The exemption of project/* is written once for the three actions that have legs.
                let guard = ["bedrock:ApplyGuardrail", "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"];
                let of_another = guard.contains(&action.as_str())
                    && [":project/", ":guardrail-profile/"].iter().any(|kind| request.arn().contains(kind));
                assert!(verdict == Verdict::Denied || is_exempt(&request) || of_another, "{request:?}");
            }
        }
    }
}

/// A call is allowed only if each of its legs is: so a leg is exempt only where the action asks about something else as well.
#[test]
fn no_call_consists_of_legs_that_are_exempt() {
    let region = region();
    let routed = |leg: &Request| {
        leg.clone().with("bedrock:InferenceProfileArn", "arn:aws:bedrock:us-east-1:1:inference-profile/p")
    };
    let mut exempt: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for leg in legs("bedrock", &region).iter().map(routed).filter(is_exempt) {
        exempt.entry(leg.action.clone()).or_default().insert(leg.arn().to_owned());
    }
    let actions_with_exempt_legs: Vec<&str> = exempt.keys().map(String::as_str).collect();
    assert_eq!(
        actions_with_exempt_legs,
        ["bedrock:ApplyGuardrail", "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    );
    let judge = Judge::of([&role(&region), &everything()]);
    // The other leg of each: the profile that was routed for, the target of a project, the guardrail of a profile.
    let bedrock = |rest: &str| format!("arn:aws:bedrock:us-east-1:{ACCOUNT}:{rest}");
    for (action, other) in [
        ("bedrock:InvokeModel", bedrock("inference-profile/us.m")),
        ("bedrock:InvokeModel", bedrock("application-inference-profile/us.m")),
        ("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/m".to_owned()),
        ("bedrock:InvokeModelWithResponseStream", bedrock("inference-profile/us.m")),
        ("bedrock:ApplyGuardrail", bedrock("guardrail/g")),
    ] {
        assert_eq!(judge.verdict(&Request::on(action, &other)), Verdict::Denied, "{action} on {other}");
    }
    // What Bedrock keeps of answers is asked for by the project alone: there the project is no further leg.
    for action in ["bedrock:GetInvoke", "bedrock:CancelInvoke", "bedrock:DeleteInvoke"] {
        assert_eq!(actions("bedrock")[action], ["project"]);
        assert_eq!(judge.verdict(&Request::on(action, &bedrock("project/default"))), Verdict::Denied);
    }
    // Another account's.
    for (action, kind) in
        [("bedrock:InvokeModel", "project/default"), ("bedrock:ApplyGuardrail", "guardrail-profile/us.g")]
    {
        let foreign = format!("arn:aws:bedrock:us-east-1:999999999999:{kind}");
        assert_eq!(judge.verdict(&Request::on(action, &foreign)), Verdict::Denied);
    }
}

/// AWS lets a wildcard run on beyond a colon: a pattern must not match an ARN of another type then either.
#[test]
fn a_pattern_of_what_is_exempt_matches_no_resource_of_another_type() {
    let region = region();
    let role = role(&region);
    let exempt: Vec<String> = denials(&role)
        .filter(|statement| !statement["NotResource"].is_null())
        .flat_map(|statement| texts(&statement["NotResource"]))
        .collect();
    assert_eq!(exempt.len(), 3);
    for (kind, arns) in resources("bedrock", &region) {
        let is_meant = ["foundation-model", "guardrail-profile", "project"].contains(&kind.as_str());
        for arn in arns {
            let is_matched = exempt.iter().any(|pattern| wildmatch::WildMatch::new(pattern).matches(&arn));
            assert_eq!(is_matched, is_meant, "{arn}");
        }
    }
}

#[test]
fn without_any_one_action_of_a_denial_something_is_allowed_that_must_not_be() {
    let region = region();
    let requests = never(&region);
    let everything = everything();
    for policy in [role(&region), boundary(&region)] {
        assert_eq!(counterexample(&[&policy, &everything], &requests), None);
        for (at, statement) in statements(&policy).iter().enumerate().filter(|(_, it)| it["Effect"] == "Deny") {
            for pattern in &texts(&statement["Action"]) {
                let mut less = policy.clone();
                let actions = less["Statement"][at]["Action"].as_array_mut().expect("actions");
                actions.retain(|action| action != pattern);
                let is_found = counterexample(&[&less, &everything], &requests).is_some();
                // On foundation models, guardrails are not applied.
                let is_idle = pattern == "bedrock:ApplyGuardrail" && statement["NotResource"].is_null();
                assert!(is_found || is_idle, "{}: {pattern} is not missed", statement["Sid"]);
            }
        }
    }
}

#[test]
fn the_boundary_denies_without_a_vpc_what_the_role_denies_without_its_own() {
    let region = region();
    let any_account = |arns: &mut Value| {
        let any = |arn: &mut Value| *arn = json!(arn.as_str().expect("an ARN").replace(&format!(":{ACCOUNT}:"), ":*:"));
        arns.as_array_mut().into_iter().flatten().for_each(any);
    };
    let general = |statement: &Value| {
        let mut statement = statement.clone();
        statement["Sid"] = json!(statement["Sid"].as_str().expect("an id").replace("ThroughTheVpc", "ThroughAVpc"));
        if !statement["NotResource"].is_null() {
            any_account(&mut statement["NotResource"]);
        }
        if let Some(condition) = statement.get_mut("Condition").and_then(Value::as_object_mut) {
            if condition.remove("StringNotEquals").is_some() {
                let null = condition.entry("Null").or_insert_with(|| json!({}));
                null["aws:SourceVpc"] = json!("true");
            } else {
                // The code of any function of ours.
                let functions = "arn:aws:lambda:*:*:function:pgai-*";
                statement["Condition"] = json!({"ArnLike": {"lambda:SourceFunctionArn": functions}});
            }
        }
        statement
    };
    let (role, boundary) = (role(&region), boundary(&region));
    let expected: Vec<Value> = denials(&role).map(general).collect();
    assert_eq!(denials(&boundary).cloned().collect::<Vec<_>>(), expected);
}

#[test]
fn the_boundary_allows_all_that_a_role_is_given() {
    let region = region();
    let boundary = boundary(&region);
    let judge = Judge::of([&boundary]);
    for policy in [role(&region), read(&handed_over_policy())] {
        for statement in statements(&policy).iter().filter(|statement| statement["Effect"] == "Allow") {
            for (action, resource) in texts(&statement["Action"])
                .iter()
                .flat_map(|action| texts(&statement["Resource"]).into_iter().map(move |resource| (action, resource)))
            {
                let resource = if resource == "*" { Resource::None } else { Resource::Arn(resource.replace('*', "x")) };
                let request = Request::new(action, resource).with("aws:SourceVpc", VPC);
                assert_eq!(judge.verdict(&request), Verdict::Allowed, "{request:?}");
            }
        }
    }
}

/// What somebody attaches to a role that waits for interfaces to be released does not bring its models back.
#[test]
fn the_role_of_an_app_that_is_gone_calls_nothing_from_anywhere() {
    let region = region();
    let retired = read(&handed_over_policy());
    let judge = Judge::of([&retired, &everything()]);
    for leg in legs("bedrock", &region).into_iter().chain(legs("bedrock-mantle", &region)) {
        assert_eq!(judge.verdict(&leg.clone().with("aws:SourceVpc", VPC)), Verdict::Denied, "{leg:?}");
    }
    let release = Request::new("ec2:DeleteNetworkInterface", Resource::None);
    assert_eq!(Judge::of([&retired]).verdict(&release), Verdict::Allowed);
}

#[test]
fn the_most_models_of_the_longest_ids_fit_a_role_and_the_boundary_a_policy() {
    for region in
        ["us-gov-west-1", "cn-northwest-1", "ap-southeast-1"].map(|region| region.parse::<Region>().expect("a region"))
    {
        let models: BTreeSet<ModelId> =
            (0..32).map(|number| format!("amazon.{number:0>121}").parse().expect("a model")).collect();
        let app = AppIdentity {
            installation: "a".repeat(32).parse().expect("an id"),
            vpc: "vpc-0123456789abcdef0".parse().expect("a VPC"),
            namespace: "n".repeat(63),
            name: "a".repeat(63),
            ..app(&region)
        };
        let policy = execution_policy(&app, &caller(&region), &models);
        let length = policy.as_str().chars().filter(|c| !c.is_whitespace()).count();
        assert!(length <= ROLE_POLICIES_MAX, "{region}: {length}");
    }
    let length = boundary(&"us-gov-west-1".parse().expect("a region")).to_string().len();
    assert!(length <= MANAGED_POLICY_MAX, "{length}");
}
