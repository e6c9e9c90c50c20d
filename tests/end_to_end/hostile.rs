//! Specs that somebody might write, sent to the real API server: it takes what the rules take that the properties evaluate, and
//! whatever it takes the code can work with.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, PostParams},
};
use private_genai_operator::api::PrivateGenAIApp;
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::json;

use crate::{figures, specs, stack::Stack};

/// How many specs are sent.
const SPECS: usize = 400;

/// What the API server says of sizes and doubles, which are rules of the schema and not of the expressions.
const LIMITS: [&str; 6] =
    ["Too long", "Too many", "Duplicate value", "should be", "may not be longer", "may not be more"];

#[tokio::test]
async fn the_real_api_server_takes_what_the_rules_take_and_the_code_can_work_with_it() {
    let stack = Stack::shared().await;
    let namespace = stack.namespace("hostile");
    let resource = ApiResource::erase::<PrivateGenAIApp>(&());
    let api = Api::<DynamicObject>::namespaced_with(stack.client().await, &namespace, &resource);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let (mut runner, strategy) = (TestRunner::deterministic(), specs::spec());
    let (mut taken, mut amiss) = (0, Vec::new());
    for _ in 0..SPECS {
        let spec = strategy.new_tree(&mut runner).expect("a spec").current();
        let object = DynamicObject::new("bot", &resource).data(json!({"spec": spec}));
        let server = match api.create(&dry_run, &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => Err(status.message),
            Err(error) => panic!("{spec}: {error}"),
        };
        let (rules, code) = (specs::rules_allow(&spec), specs::read(&spec));
        taken += usize::from(server.is_ok());
        let agree = match &server {
            Ok(()) => rules.is_ok() && code.is_ok(),
            Err(why) => rules.is_err() || LIMITS.iter().any(|limit| why.contains(limit)),
        };
        if !agree {
            amiss.push(format!("{spec}: the API server {server:?}, the rules {rules:?}, the code {code:?}"));
        }
    }
    let how_many = format!("{SPECS} specs, {taken} of them valid");
    figures::tell(figures::Part::HostileInput, "generated specs on the real API server", &how_many, amiss.len());
    assert!(amiss.is_empty(), "{} of {SPECS}:\n{}", amiss.len(), amiss.join("\n"));
    assert!(taken > SPECS / 20 && taken < SPECS * 19 / 20, "{taken} of {SPECS} are valid: both ways are tried");
}
