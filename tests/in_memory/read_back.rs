//! What stands in AWS means something only where the operator wrote it, and what it means passes the guard rail.

use private_genai_operator::{
    aws::{IamWrite, PolicyDocument, RoleName, VpcId, Write},
    guard::{Globs, ImplicitNetworks},
};
use serde_json::{Value, json};

use crate::{
    memory::aws::{Action, ByHand, Delays, VpcShape},
    scene::{LONG, MODEL, RESYNC, Scene, app, condition, network, scene, writes},
};

/// A model that no app of these tests is to be let call.
const OTHER: &str = "anthropic.claude-3-haiku-20240307-v1:0";

fn arn(model: &str) -> String {
    format!("arn:aws:bedrock:us-east-1::foundation-model/{model}")
}

fn role(scene: &Scene) -> RoleName {
    scene.aws.world().roles.into_keys().next().expect("a role")
}

/// Somebody writes an inline policy into the app's role.
fn put(scene: &Scene, policy: &str, statements: &Value) {
    let document = PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": statements}));
    let write = Write::Iam(IamWrite::PutRolePolicy { role: role(scene), policy: policy.to_owned(), document });
    scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS lets it happen");
}

/// The statements of the operator's own policy in the app's role.
fn own(scene: &Scene) -> Vec<Value> {
    let roles = scene.aws.world().roles;
    let record = roles.values().next().expect("a role");
    let policy = record.role.inline_policies.get("private-genai").expect("its policy");
    let mut document: Value = serde_json::from_str(policy.as_str()).expect("JSON");
    serde_json::from_value(document["Statement"].take()).expect("statements")
}

fn denial(model: &str) -> Value {
    json!([{"Sid": "CallModels", "Effect": "Deny", "Action": "bedrock:InvokeModel", "Resource": [arn(model)]}])
}

/// The models that the VPC's endpoint lets through, by its policy in AWS.
fn let_through(scene: &Scene) -> Vec<String> {
    let region = scene.aws.world().regions.remove(&Scene::region()).expect("the region");
    let endpoint = region.endpoints.into_values().next().expect("an endpoint");
    let policy: Value = serde_json::from_str(endpoint.policy.expect("a policy").as_str()).expect("JSON");
    let allowed =
        policy["Statement"].as_array().expect("statements").iter().filter(|statement| statement["Effect"] == "Allow");
    let arns = allowed.flat_map(|statement| statement["Resource"].as_array().expect("models"));
    arns.map(|arn| arn.as_str().expect("an ARN").rsplit('/').next().expect("a model").to_owned()).collect()
}

fn spec(vpc: &VpcId, models: &[&str]) -> Value {
    json!({"network": {"vpcId": vpc.as_str()}, "models": models})
}

/// An app that lives in AWS, and whose object is gone.
async fn retained() -> Scene {
    let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    let mut retain = spec(&vpc, &[MODEL]);
    retain["deletionPolicy"] = json!("Retain");
    scene.apply("bot", retain);
    scene.pass(RESYNC).await;
    scene.kubernetes.delete(&app("bot"));
    scene.until_gone("bot").await;
    scene.pass(RESYNC).await;
    scene.forget();
    scene
}

#[tokio::test(start_paused = true)]
async fn a_denial_written_into_a_role_does_not_open_the_endpoint_for_what_it_denies() {
    scene(async {
        let scene = retained().await;
        put(&scene, "by-hand", &denial(OTHER));
        scene.pass(3 * RESYNC).await;
        assert_eq!(let_through(&scene), [MODEL]);
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_makes_of_our_own_statement_opens_the_endpoint_for_nothing() {
    scene(async {
        for change in [
            json!({"Effect": "Deny"}),
            json!({"Sid": "Mine"}),
            json!({"Resource": arn(OTHER)}),
            json!({"Resource": [arn(MODEL), arn(OTHER)], "Action": "bedrock:Get*"}),
            json!({"Resource": [arn(OTHER)], "Condition": {"Bool": {"aws:ViaAWSService": "true"}}}),
        ] {
            let scene = retained().await;
            let mut statements = own(&scene);
            let ours = statements.iter_mut().find(|statement| statement["Sid"] == "CallModels").expect("ours");
            for (key, value) in change.as_object().expect("an object") {
                ours[key] = value.clone();
            }
            put(&scene, "private-genai", &json!(statements));
            scene.pass(3 * RESYNC).await;
            assert_eq!(let_through(&scene), Vec::<String>::new(), "{change}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_denial_written_into_a_role_does_not_become_an_allowance_of_a_retained_app() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(RESYNC).await;
        // Nobody puts right what is of an app that cannot be read.
        scene.kubernetes.overwrite(&app("bot"), |app| {
            app["spec"]["models"] = json!({"not": "a list"});
            app["spec"]["deletionPolicy"] = json!("Retain");
        });
        put(&scene, "by-hand", &denial(OTHER));
        // Another principal under its name: the role is put right for the function before it is left.
        let replaced = Action::ByHand(Scene::region(), ByHand::ReplaceRole(role(&scene)));
        scene.aws.act(&replaced).expect("AWS lets it happen");
        scene.pass(2 * RESYNC).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        let policy = json!(own(&scene)).to_string();
        assert!(policy.contains(MODEL) && !policy.contains(OTHER), "{policy}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_no_longer_allowed_gets_through_no_endpoint_also_if_retained() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply("bot", spec(&vpc, &[MODEL, OTHER]));
        scene.until_ready("bot").await;
        assert_eq!(let_through(&scene), [MODEL, OTHER]);
        scene.stop().await;
        scene.allowed.allow.models = "amazon.nova-*".parse().expect("globs");
        scene.forget();
        scene.start();
        scene.until_refused("bot", "ModelNotAllowed").await;
        scene.pass(3 * RESYNC).await;
        assert_eq!(let_through(&scene), [MODEL], "the other is revoked");
        assert_eq!(writes(&scene.aws.take_journal()), ["ec2:ModifyVpcEndpoint"], "the role stays as it is");
        let has_model = |object: &Value| object["status"]["endpoints"][0]["models"] == json!([MODEL]);
        let object = scene.kubernetes.until(&network(&vpc), LONG, has_model).await;
        assert_eq!(condition(&object, "Ready").0, "True", "{object:#}");

        let replaced = Action::ByHand(Scene::region(), ByHand::ReplaceRole(role(&scene)));
        scene.aws.act(&replaced).expect("AWS lets it happen");
        scene.kubernetes.overwrite(&app("bot"), |app| app["spec"]["deletionPolicy"] = json!("Retain"));
        scene.pass(2 * RESYNC).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        let policy = json!(own(&scene)).to_string();
        assert!(policy.contains(MODEL) && !policy.contains(OTHER), "{policy}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_names_retained_models_that_no_longer_get_through_and_who_allows() {
    scene(async {
        let mut scene = retained().await;
        scene.stop().await;
        scene.allowed.allow.models = "anthropic.*".parse().expect("globs");
        scene.start();
        let says = |it: &Value| condition(it, "Accepted").2.contains(MODEL);
        let name = scene.kubernetes.list("privategenainetworks")[0]["metadata"]["name"].clone();
        let path = format!("privategenainetworks/{}", name.as_str().expect("a name"));
        let accepted = condition(&scene.kubernetes.until(&path, LONG, says).await, "Accepted");
        assert_eq!(accepted.0, "True");
        let (_, end) = accepted.2.split_once("delete them.").expect("for whom it is kept");
        assert_eq!(
            end,
            format!(
                " The endpoint lets models {MODEL} through for them no more: have them, or the apps' namespaces, allowed in \
                 implicitNetworks.allow if they are to be called."
            )
        );
        assert_eq!(let_through(&scene), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_in_a_namespace_that_is_no_longer_allowed_has_no_model_let_through() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        for (namespaces, models) in [("team-b", vec![]), ("team-*", vec![MODEL])] {
            scene.stop().await;
            scene.allowed = ImplicitNetworks::in_vpcs(Globs::all());
            scene.allowed.allow.namespaces = namespaces.parse().expect("globs");
            scene.start();
            scene.pass(2 * RESYNC).await;
            assert_eq!(let_through(&scene), models, "{namespaces}");
        }
        scene.until_ready("bot").await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

/// The list of VPCs says where the operator may build. An operator that is not told any, by mistake or because the cluster was
/// rebuilt, cuts nobody off.
#[tokio::test(start_paused = true)]
async fn an_app_in_a_vpc_that_is_not_named_any_more_keeps_its_path() {
    scene(async {
        let (mut scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.stop().await;
        scene.allowed.vpcs = Globs::none();
        scene.forget();
        scene.start();
        scene.until_refused("bot", "VpcNotAllowed").await;
        scene.pass(3 * RESYNC).await;
        assert_eq!(let_through(&scene), [MODEL]);
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}
