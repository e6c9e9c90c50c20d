//! Whatever somebody attaches: generated policies, with wildcards, what is not meant, and conditions.

use proptest::{
    collection, option,
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    VPC, boundary, counterexample, denials,
    judge::{Request, document, everything},
    never,
    reference::{actions, resources},
    region, role, statements,
};

/// How many policies are tried on each.
const CASES: u32 = 32;

fn one_or_more(values: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Value> {
    collection::vec(values, 1..4)
        .prop_map(|mut values| if values.len() == 1 { json!(values.remove(0)) } else { json!(values) })
        .boxed()
}

/// Actions of the reference, of which some characters became wildcards.
fn action() -> BoxedStrategy<String> {
    let all: Vec<String> = actions("bedrock").into_keys().chain(actions("bedrock-mantle").into_keys()).collect();
    let named = (prop::sample::select(all), any::<prop::sample::Index>(), 0..5).prop_map(|(name, cut, how)| {
        let verb = name.find(':').expect("a prefix") + 1;
        let cut = verb + cut.index(name.len() - verb);
        match how {
            0 => name,
            1 => format!("{}*", &name[..cut]),
            2 => format!("{}?{}", &name[..cut], &name[cut + 1..]),
            3 => format!("{}*{}", &name[..verb], &name[cut..]),
            _ => name.to_uppercase(),
        }
    });
    let wide = prop::sample::select(vec!["*", "bedrock:*", "bedrock*", "bedrock-mantle:*", "bedrock:Invoke*", "ec2:*"]);
    prop_oneof![2 => named, 3 => wide.prop_map(str::to_owned)].boxed()
}

/// Resources of the reference, likewise.
fn resource() -> BoxedStrategy<String> {
    let all: Vec<String> = resources("bedrock", &region()).into_values().flatten().collect();
    let named =
        (prop::sample::select(all), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(arn, cut, whole)| {
            let own = arn.match_indices(':').nth(4).expect("six parts").0 + 1;
            let cut = own + cut.index(arn.len() - own);
            if whole { arn } else { format!("{}*", &arn[..cut]) }
        });
    let wide = ["*", "arn:aws:bedrock:*:*:*", "arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*:*:project/*"];
    prop_oneof![2 => named, 3 => prop::sample::select(wide.to_vec()).prop_map(str::to_owned)].boxed()
}

fn condition() -> BoxedStrategy<Value> {
    let keys =
        ["aws:SourceVpc", "aws:SourceVpce", "bedrock:InferenceProfileArn", "aws:RequestedRegion", "aws:PrincipalArn"];
    let values = [VPC, "vpc-0def5678", "vpc-*", "vpce-1", "us-east-1", "*", "arn:aws:bedrock:*:*:inference-profile/*"];
    let operators = [
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringNotLike",
        "StringEqualsIfExists",
        "StringNotLikeIfExists",
        "ForAnyValue:StringEquals",
        "ForAllValues:StringLike",
        "ArnLike",
        "ArnNotLikeIfExists",
    ];
    let compared = (
        prop::sample::select(operators.to_vec()),
        prop::sample::select(keys.to_vec()),
        one_or_more(prop::sample::select(values.to_vec()).prop_map(str::to_owned)),
    )
        .prop_map(|(operator, key, values)| json!({operator: {key: values}}));
    let null = (prop::sample::select(keys.to_vec()), any::<bool>())
        .prop_map(|(key, is_null)| json!({"Null": {key: is_null.to_string()}}));
    prop_oneof![3 => compared, 1 => null].boxed()
}

fn statement() -> BoxedStrategy<Value> {
    let part = |name: &'static str, values: BoxedStrategy<String>| {
        (any::<prop::sample::Index>(), one_or_more(values)).prop_map(move |(which, values)| {
            let key = if which.index(3) == 0 { format!("Not{name}") } else { name.to_owned() };
            (key, values)
        })
    };
    let effect = prop_oneof![6 => Just("Allow"), 1 => Just("Deny")];
    (effect, part("Action", action()), part("Resource", resource()), option::weighted(0.3, condition()))
        .prop_map(|(effect, (action, actions), (resource, resources), condition)| {
            let mut statement = json!({"Effect": effect, action: actions, resource: resources});
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        })
        .boxed()
}

/// One to four policies; often one of them allows all that it can.
fn attached() -> BoxedStrategy<Vec<Value>> {
    let policy = collection::vec(statement(), 1..4).prop_map(|statements| document(&statements));
    (collection::vec(policy, 1..4), prop::bool::weighted(0.5))
        .prop_map(|(mut policies, all)| {
            policies.extend(all.then(everything));
            policies
        })
        .boxed()
}

/// Where a call comes from that does not come through the app's VPC.
fn outside(other_vpcs: bool) -> BoxedStrategy<Vec<(&'static str, &'static str)>> {
    let mut places = vec![vec![], vec![("aws:SourceIp", "203.0.113.7")], vec![("aws:VpcSourceIp", "10.0.0.7")]];
    if other_vpcs {
        places.push(vec![("aws:SourceVpc", "vpc-0def5678"), ("aws:SourceVpce", "vpce-1")]);
        places.push(vec![("AWS:sourcevpc", "vpc-0abc12345")]);
    }
    let more = [
        ("bedrock:InferenceProfileArn", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.m"),
        ("aws:RequestedRegion", "us-east-1"),
        ("aws:PrincipalArn", "arn:aws:iam::123456789012:role/private-genai/prod/pgai-team-a-bot"),
    ];
    (prop::sample::select(places), prop::sample::subsequence(more.to_vec(), 0..=3))
        .prop_map(|(mut place, more)| {
            place.extend(more);
            place
        })
        .boxed()
}

/// Tries policies besides `own`, and gives the first that lets something through that must not be, in few words.
fn broken(own: &[Value], other_vpcs: bool) -> Option<String> {
    let legs = never(&region());
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, max_shrink_iters: 0, ..Config::default() });
    let run = runner.run(&(attached(), outside(other_vpcs)), |(attached, place)| {
        let asked = |leg: &Request| place.iter().fold(leg.clone(), |request, (key, value)| request.with(key, value));
        let requests: Vec<Request> = legs.iter().map(asked).collect();
        let policies: Vec<&Value> = own.iter().chain(&attached).collect();
        match counterexample(&policies, &requests) {
            Some(request) => Err(TestCaseError::fail(format!("{} on {}", request.action, request.arn()))),
            None => Ok(()),
        }
    });
    match run {
        Ok(()) => None,
        Err(TestError::Fail(reason, (attached, place))) => Some(format!("{reason} from {place:?} with {attached:?}")),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// `policy` without the denial number `which`.
fn without(policy: &Value, which: usize) -> Value {
    let mut seen = 0;
    let kept = statements(policy).iter().filter(|statement| {
        let is_it = statement["Effect"] == "Deny" && seen == which;
        seen += usize::from(statement["Effect"] == "Deny");
        !is_it
    });
    document(&kept.cloned().collect::<Vec<_>>())
}

#[test]
fn whatever_is_attached_to_a_role_nothing_reaches_prompts_from_outside_its_vpc() {
    assert_eq!(broken(&[role(&region())], true), None);
}

#[test]
fn without_any_one_denial_of_the_role_something_does() {
    let role = role(&region());
    for which in 0..denials(&role).count() {
        let less = without(&role, which);
        assert!(broken(&[less], true).is_some(), "{:?} is not missed", denials(&role).nth(which));
    }
}

/// A boundary does not limit by its silence what a resource policy allows a role's session, nor when somebody widens it: so its
/// denials are tried beside one that allows everything.
#[test]
fn whatever_is_attached_under_the_boundary_nothing_reaches_prompts_without_a_vpc() {
    assert_eq!(broken(&[boundary(&region()), everything()], false), None);
}

#[test]
fn without_any_one_denial_of_the_boundary_something_does() {
    let boundary = boundary(&region());
    for which in 0..denials(&boundary).count() {
        let less = without(&boundary, which);
        assert!(broken(&[less, everything()], false).is_some(), "{:?} is not missed", denials(&boundary).nth(which));
    }
}
