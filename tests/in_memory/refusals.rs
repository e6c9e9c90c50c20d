//! What the API server cannot refuse, a condition explains; and nothing is created.

use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::{
    aws::{Ec2Write, SecurityGroupId, Tags, Tenancy, VpcId, Write},
    guard::{Globs, ImplicitNetworks},
    identity::{FUNCTIONS_GROUP, NetworkIdentity},
    policy::{ModelId, models_of_role},
};
use serde_json::{Value, json};

use crate::{
    memory::aws::{Action, ByHand, Delays, Route, VpcShape, World},
    scene::{
        LONG, MODEL, RESYNC, Scene, app, assert_at_most, condition, explicit_network, names, network, scene, writes,
    },
};

/// Another model than that of these tests.
const OTHER: &str = "anthropic.claude-3-haiku-20240307-v1:0";

/// Each guard rail, set so that it refuses the app of these tests: with the reason, the field, and what would have to be set.
fn guards(vpc: &VpcId) -> [(&'static str, ImplicitNetworks, [String; 3]); 3] {
    let open = || ImplicitNetworks::in_vpcs(Globs::all());
    let vpcs = ImplicitNetworks { vpcs: "vpc-0000allowed".parse().expect("globs"), ..open() };
    let (mut namespaces, mut models) = (open(), open());
    namespaces.allow.namespaces = "team-b,prod-*".parse().expect("globs");
    models.allow.models = "anthropic.*".parse().expect("globs");
    let says = |field: &str, what: &str, setting: &str| [field, what, setting].map(ToOwned::to_owned);
    [
        ("VpcNotAllowed", vpcs, says("spec.network.vpcId: ", vpc.as_str(), "implicitNetworks.vpcIds")),
        (
            "NamespaceNotAllowed",
            namespaces,
            says("metadata.namespace: ", "team-a", "implicitNetworks.allow.namespaces"),
        ),
        ("ModelNotAllowed", models, says("spec.models: ", MODEL, "implicitNetworks.allow.models")),
    ]
}

/// What AWS has, but for times and counts, and for what endpoints let through.
fn resources(scene: &Scene) -> World {
    let mut world = scene.aws.world();
    let endpoints = world.regions.values_mut().flat_map(|region| region.endpoints.values_mut());
    endpoints.for_each(|endpoint| endpoint.policy = None);
    World { now: 0, counts: [].into(), believed: [].into(), due: [].into(), ..world }
}

/// What is written when one of the guard rails comes to refuse an app: models that it may not call any more are taken from the
/// endpoint. The list of VPCs says where paths may be built, and takes none away.
fn narrowing(reason: &str) -> &'static [&'static str] {
    if reason == "VpcNotAllowed" { &[] } else { &["ec2:ModifyVpcEndpoint"] }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_is_refused_before_any_call_and_says_who_can_allow_it() {
    scene(async {
        for number in 0..3 {
            let mut scene = Scene::new(Delays::default());
            let (vpc, _) = scene.vpc(&VpcShape::default());
            let (reason, allowed, says) = guards(&vpc).into_iter().nth(number).expect("a guard");
            scene.allowed = allowed;
            scene.start();
            scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [OTHER, MODEL]}));
            let message = scene.until_refused("bot", reason).await;
            assert!(says.iter().all(|part| message.contains(part)) && message.starts_with(&says[0]), "{message}");
            assert!(message.contains("ask whoever runs the operator"), "{message}");
            assert!(!message.contains(OTHER), "what is allowed is not complained about: {message}");
            let refused = scene.kubernetes.until(&app("bot"), LONG, |_| true).await;
            assert_eq!(condition(&refused, "Accepted").0, "False");
            // Who the operator is to AWS is asked for nobody's sake.
            assert_at_most(&names(&scene.aws.take_journal()), [("sts:GetCallerIdentity", 1)]);
            assert_eq!(scene.kubernetes.list("privategenainetworks").len(), 0);
            scene.kubernetes.delete(&app("bot"));
            scene.until_gone("bot").await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_not_allowed_reaches_no_endpoint_or_role_and_harms_no_app() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.allowed.allow.models = "amazon.nova-*".parse().expect("globs");
        scene.start();
        let spec = |models: &[&str]| json!({"network": {"vpcId": vpc.as_str()}, "models": models});
        scene.apply("right", spec(&[MODEL]));
        scene.apply("wrong", spec(&[MODEL, OTHER]));
        scene.until_refused("wrong", "ModelNotAllowed").await;
        let right = scene.until_ready("right").await;
        assert_eq!(right["status"]["endpoints"][0]["models"], json!([MODEL]));
        scene.forget();
        // It was there, and asks for more.
        scene.apply("right", spec(&[MODEL, OTHER]));
        scene.until_refused("right", "ModelNotAllowed").await;
        scene.pass(3 * RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        scene.apply("right", spec(&[MODEL]));
        scene.until_ready("right").await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "all was there");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_comes_again_and_is_not_allowed_keeps_no_role_of_the_one_that_went() {
    scene(async {
        let mut scene = Scene::new(Delays { interfaces_released: 3600, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.allowed.allow.models = "amazon.nova-*".parse().expect("globs");
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL, OTHER]}));
        scene.until_refused("bot", "ModelNotAllowed").await;
        scene.kubernetes.until_gone(&network(&vpc), Duration::from_hours(2)).await;
        scene.assert_aws_is_empty();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_no_longer_allowed_keeps_what_it_has_and_can_be_deleted() {
    scene(async {
        for number in 0..3 {
            let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
            scene.stop().await;
            scene.forget();
            let before = resources(&scene);
            let open = scene.allowed.clone();
            let (reason, allowed, _) = guards(&vpc).into_iter().nth(number).expect("a guard");
            scene.allowed = allowed;
            scene.start();
            scene.until_refused("bot", reason).await;
            scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [OTHER, MODEL]}));
            scene.kubernetes.delete(&network(&vpc));
            scene.pass(3 * RESYNC).await;
            assert_eq!(writes(&scene.aws.take_journal()), narrowing(reason), "{reason}");
            assert!(resources(&scene) == before, "{reason}: something else changed in AWS");
            scene.stop().await;
            scene.allowed = open;
            scene.start();
            scene.until_ready("bot").await;
            let written: BTreeSet<String> = writes(&scene.aws.take_journal()).into_iter().collect();
            let more = ["ec2:ModifyVpcEndpoint", "iam:PutRolePolicy", "lambda:UpdateFunctionConfiguration"];
            assert_eq!(written, more.map(ToOwned::to_owned).into(), "{reason}: what it asks for more, now that it may");
            scene.stop().await;
            scene.allowed = guards(&vpc).into_iter().nth(number).expect("a guard").1;
            scene.start();
            scene.kubernetes.delete(&app("bot"));
            scene.until_nothing_is_left("bot", &vpc).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_does_not_get_by_being_retained_what_it_may_not_have() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.stop().await;
        scene.allowed.allow.models = MODEL.parse().expect("globs");
        scene.start();
        let more = json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL, OTHER], "deletionPolicy": "Retain"});
        scene.apply("bot", more);
        scene.until_refused("bot", "ModelNotAllowed").await;
        // Somebody deletes the role, and it is put back for the function that stays.
        for role in scene.aws.world().roles.into_keys() {
            scene.aws.act(&Action::ByHand(Scene::region(), ByHand::DeleteRole(role))).expect("AWS lets it happen");
        }
        scene.pass(2 * RESYNC).await;
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.pass(2 * RESYNC).await;
        let world = scene.aws.world();
        assert_eq!((world.roles.len(), world.regions[&Scene::region()].functions.len()), (1, 1));
        for record in world.roles.values() {
            let models: Vec<ModelId> = models_of_role(&record.role, &Scene::region()).into_iter().collect();
            assert_eq!(models, []);
        }
    })
    .await;
}

/// Found when the guard rails became one question: the network took the app for one that demands by itself, and itself for
/// one that nobody demands, and tore the path down under the function.
#[tokio::test(start_paused = true)]
async fn in_a_rebuilt_cluster_whose_operator_does_not_allow_an_app_yet_its_path_is_kept() {
    scene(async {
        for number in 0..3 {
            let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
            scene.stop().await;
            let before = resources(&scene);
            let mut rebuilt = Scene::new(Delays::default());
            rebuilt.aws = scene.aws.clone();
            rebuilt.forget();
            let (reason, allowed, _) = guards(&vpc).into_iter().nth(number).expect("a guard");
            rebuilt.allowed = allowed;
            rebuilt.kubernetes.apply(explicit_network("prod", &vpc));
            rebuilt.apply_app("bot", &vpc);
            rebuilt.start();
            rebuilt.until_refused("bot", reason).await;
            let has_reason = |network: &Value| condition(network, "Accepted").1 == "InUse";
            let kept = rebuilt.kubernetes.until("privategenainetworks/prod", LONG, has_reason).await;
            let message = condition(&kept, "Accepted").2;
            assert!(message.contains("team-a/bot") && message.contains("have them allowed"), "{message}");
            rebuilt.pass(3 * RESYNC).await;
            assert_eq!(writes(&rebuilt.aws.take_journal()), narrowing(reason), "{reason}");
            assert!(resources(&rebuilt) == before, "{reason}: something else changed in AWS");
        }
    })
    .await;
}

async fn refused(shape: &VpcShape, reason: &str) -> String {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(shape);
    scene.start();
    scene.apply_app("bot", &vpc);
    let message = scene.until_refused("bot", reason).await;
    assert!(message.contains(vpc.as_str()), "the message names the VPC: {message}");
    assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nothing is created");
    scene.kubernetes.delete(&app("bot"));
    scene.until_gone("bot").await;
    scene.until_network_gone(&vpc).await;
    message
}

#[tokio::test(start_paused = true)]
async fn a_vpc_that_cannot_carry_the_path_is_refused_with_what_to_do() {
    scene(async {
        let dedicated = VpcShape { tenancy: Tenancy::Other("dedicated".into()), ..VpcShape::default() };
        assert!(refused(&dedicated, "DedicatedTenancy").await.contains("default tenancy"));
        let shared = VpcShape { owner: "999999999999".parse().ok(), ..VpcShape::default() };
        let message = refused(&shared, "VpcNotOwned").await;
        for part in ["account 999999999999", "account 123456789012", "Create the app in a VPC that"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let one_zone = VpcShape { zones: "a", ..VpcShape::default() };
        assert!(refused(&one_zone, "TooFewZones").await.contains("add private subnets"));
        let public = VpcShape { route: Route::Public, ..VpcShape::default() };
        assert!(refused(&public, "TooFewZones").await.contains("internet gateway"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_vpc_that_does_not_exist_is_refused_and_found_once_it_exists() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = Scene::new(Delays::default()).vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "VpcNotFound").await;
        assert!(message.contains(vpc.as_str()) && message.contains("us-east-1"), "{message}");
        let (created, _) = scene.vpc(&VpcShape::default());
        assert_eq!(created, vpc, "ids of the in-memory AWS are deterministic");
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_subnet_of_another_vpc_is_refused_and_harms_no_other_app() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, subnets) = scene.vpc(&VpcShape::default());
        let (_, foreign) = scene.vpc(&VpcShape::default());
        scene.start();
        let spec =
            |subnets: [&str; 2]| json!({"network": {"vpcId": vpc.as_str(), "subnetIds": subnets}, "models": [MODEL]});
        scene.apply("wrong", spec([subnets[0].as_str(), foreign[1].as_str()]));
        let message = scene.until_refused("wrong", "SubnetNotInVpc").await;
        assert!(message.contains(foreign[1].as_str()) && message.contains(vpc.as_str()), "{message}");
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nothing is created for it");
        scene.apply("right", spec([subnets[0].as_str(), subnets[1].as_str()]));
        scene.until_ready("right").await;
        let world = scene.aws.world();
        assert_eq!(world.regions[&Scene::region()].functions.len(), 1);
    })
    .await;
}

/// 32 ids of models that are as long as ids may be: each for itself is fine, and so is each field.
#[tokio::test(start_paused = true)]
async fn an_environment_that_lambda_would_refuse_is_told_with_its_size_and_never_sent() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        let models = |count: usize| (0..count).map(|n| format!("amazon.{n:0>121}")).collect::<Vec<_>>();
        let long = json!({"environment": {"GREETING": "x".repeat(1_000)}});
        let network = json!({"vpcId": vpc.as_str()});
        scene.apply("bot", json!({"network": network, "models": models(28), "function": long}));
        let message = scene.until_refused("bot", "EnvironmentTooLong").await;
        assert!(message.contains("allows 4096") && message.contains("fewer models"), "{message}");
        assert!(!names(&scene.aws.take_journal()).contains(&"lambda:CreateFunction".to_owned()));
        scene.apply("bot", json!({"network": network, "models": models(28)}));
        scene.until_ready("bot").await;
    })
    .await;
}

/// Somebody has a group of this name in the VPC.
fn create_group(scene: &Scene, vpc: &VpcId, name: &str, tags: Tags) -> SecurityGroupId {
    let (vpc, description) = (vpc.clone(), "by hand".to_owned());
    let create = Write::Ec2(Ec2Write::CreateSecurityGroup { vpc, name: name.to_owned(), description, tags });
    drop(scene.aws.act(&Action::Write(Scene::region(), create)).expect("AWS lets it happen"));
    let world = scene.aws.world();
    let mut groups = world.regions[&Scene::region()].groups.values();
    groups.find(|group| group.name == *name).expect("the group").id.clone()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_stays_taken_is_told_after_a_minute_with_the_remedy() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let name = Scene::installation().group_name(FUNCTIONS_GROUP);
        let theirs = create_group(&scene, &vpc, &name, Tags::new());
        scene.start();
        scene.apply_app("bot", &vpc);
        let leg = |network: &Value| condition(network, "SecurityGroupsReady");
        let waits = |network: &Value| leg(network).2.contains("looked for again for a minute");
        let waiting = scene.kubernetes.until(&network(&vpc), LONG, waits).await;
        assert_eq!(condition(&waiting, "Stalled").0, "", "it may be our own: {waiting:#}");
        let begun = tokio::time::Instant::now();
        let is_stalled = |network: &Value| leg(network).1 == "NameTaken" && condition(network, "Stalled").0 == "True";
        let stalled = scene.kubernetes.until(&network(&vpc), LONG, is_stalled).await;
        let took = begun.elapsed();
        assert!((Duration::from_secs(55)..Duration::from_mins(3)).contains(&took), "{took:?}");
        let message = leg(&stalled).2;
        assert!(message.contains(&name) && message.contains("delete it, or tag it"), "{message}");
        scene.until_refused("bot", "NameTaken").await;
        scene.pass(Duration::from_mins(5)).await;
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let tries = writes(&scene.aws.take_journal());
        assert!(tries.len() < 15 && tries.iter().all(|call| call == "ec2:CreateSecurityGroup"), "{tries:?}");
        let still = scene.kubernetes.get(&network(&vpc)).expect("the network");
        assert_eq!(leg(&still), leg(&stalled), "a steady wait");
        scene
            .aws
            .act(&Action::Write(Scene::region(), Write::Ec2(Ec2Write::DeleteSecurityGroup { group: theirs })))
            .expect("it goes");
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_with_our_tags_and_another_name_is_neither_changed_nor_deleted() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let tags = NetworkIdentity {
            installation: Scene::installation(),
            account: "123456789012".parse().expect("an account"),
            region: Scene::region(),
            vpc: vpc.clone(),
        }
        .tags();
        // What another installation would call its own.
        let theirs = create_group(&scene, &vpc, "private-genai-functions-a", tags);
        let aws = scene.aws.clone();
        let as_it_was = || aws.world().regions[&Scene::region()].groups.get(&theirs).cloned();
        let before = as_it_was();
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        assert_eq!(as_it_was(), before);
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.until_network_gone(&vpc).await;
        assert_eq!(as_it_was(), before);
    })
    .await;
}
