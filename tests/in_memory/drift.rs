//! What somebody changes or deletes in AWS behind the operator's back is as it was after the next resync, and told.

use std::{collections::BTreeSet, time::Duration};

use private_genai_operator::{
    aws::{
        Ec2Write, EndpointState, Fixed, IamWrite, LambdaWrite, LogsWrite, Peer, Role, Rule, SecurityGroupId, Tags,
        VpcEndpoint, VpcId, Write,
    },
    identity::TAG_INSTALLATION,
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    memory::aws::{Action, ByHand, Delays, Drift, Fault, World, by_hand::Tagged, drifts},
    scene::{MODEL, RESYNC, Scene, app, assert_at_most, condition, names, network, scene, writes},
};

/// After the resync, this much is enough for everything that AWS does not take its time for.
const SOON: Duration = Duration::from_secs(30);

/// What a drift is to lead to.
enum Outcome {
    /// These writes, told as these kinds.
    Repaired(&'static [&'static str], &'static [&'static str]),
    /// The same, where the writes depend on who of network and app looks first.
    RepairedTogether(&'static [&'static str]),
    /// Nobody can know whose the resource is: the app is not ready, for this reason, and nothing is created beside it.
    Reported(&'static str),
    /// No write: AWS itself changed it, and an invocation changes it back.
    Woken,
}

/// Every kind of drift and what becomes of it.
const OUTCOMES: &[(&str, Outcome)] = &[
    ("code replaced", Outcome::Repaired(&["lambda:UpdateFunctionCode"], &["function_code"])),
    ("configuration changed", Outcome::Repaired(&["lambda:UpdateFunctionConfiguration"], &["function_configuration"])),
    // Had the rightful rule been revoked on the way, it would have had to be authorised again.
    ("egress opened", Outcome::Repaired(&["ec2:RevokeSecurityGroupEgress"], &["rule"])),
    ("egress rule deleted", Outcome::Repaired(&["ec2:AuthorizeSecurityGroupEgress"], &["rule"])),
    // The first call brings up the deleted endpoint, by its client token.
    ("endpoint deleted", Outcome::Repaired(&["ec2:CreateVpcEndpoint", "ec2:CreateVpcEndpoint"], &["endpoint"])),
    ("endpoint policy opened", Outcome::Repaired(&["ec2:ModifyVpcEndpoint"], &["endpoint_policy"])),
    ("endpoint vanished", Outcome::Repaired(&["ec2:CreateVpcEndpoint", "ec2:CreateVpcEndpoint"], &["endpoint"])),
    ("endpoint's groups swapped", Outcome::Repaired(&["ec2:ModifyVpcEndpoint"], &["endpoint_groups"])),
    ("endpoint's subnet removed", Outcome::Repaired(&["ec2:ModifyVpcEndpoint"], &["endpoint_subnets"])),
    ("endpoint's tags removed", Outcome::Reported("NameTaken")),
    ("environment changed", Outcome::Repaired(&["lambda:UpdateFunctionConfiguration"], &["function_configuration"])),
    ("foreign denial added", Outcome::Repaired(&["iam:DeleteRolePolicy"], &["foreign_policy"])),
    ("foreign inline policy added", Outcome::Repaired(&["iam:DeleteRolePolicy"], &["foreign_policy"])),
    ("foreign policy attached", Outcome::Repaired(&["iam:DetachRolePolicy"], &["foreign_policy"])),
    ("function deleted", Outcome::Repaired(&["lambda:CreateFunction"], &["function"])),
    ("function detached", Outcome::Repaired(&["lambda:UpdateFunctionConfiguration"], &["function_configuration"])),
    ("function idle", Outcome::Woken),
    ("function setting changed", Outcome::Repaired(&["lambda:UpdateFunctionConfiguration"], &["function_settings"])),
    ("function's tags removed", Outcome::Reported("NameTaken")),
    ("group deleted", Outcome::RepairedTogether(&["group"])),
    ("group's tags removed", Outcome::Reported("NameTaken")),
    ("ingress opened", Outcome::Repaired(&["ec2:RevokeSecurityGroupIngress"], &["rule"])),
    ("ingress rule deleted", Outcome::Repaired(&["ec2:AuthorizeSecurityGroupIngress"], &["rule"])),
    ("log group deleted", Outcome::Repaired(&["logs:CreateLogGroup", "logs:PutRetentionPolicy"], &["log_group"])),
    ("log group's tags removed", Outcome::Reported("NameTaken")),
    ("owner mark removed", Outcome::Repaired(&["ec2:CreateTags"], &["tags"])),
    ("permissions boundary removed", Outcome::Repaired(&["iam:PutRolePermissionsBoundary"], &["permissions_boundary"])),
    ("permissions boundary swapped", Outcome::Repaired(&["iam:PutRolePermissionsBoundary"], &["permissions_boundary"])),
    ("private DNS switched", Outcome::Repaired(&["ec2:ModifyVpcEndpoint"], &["private_dns"])),
    ("retention changed", Outcome::Repaired(&["logs:PutRetentionPolicy"], &["retention"])),
    ("retention removed", Outcome::Repaired(&["logs:PutRetentionPolicy"], &["retention"])),
    (
        "role deleted",
        Outcome::Repaired(
            &["iam:CreateRole", "iam:PutRolePolicy", "lambda:UpdateFunctionConfiguration"],
            &["function_configuration", "role"],
        ),
    ),
    ("role replaced", Outcome::Repaired(&["lambda:UpdateFunctionConfiguration"], &["function_configuration"])),
    ("role policy deleted", Outcome::Repaired(&["iam:PutRolePolicy"], &["role_policy"])),
    ("role policy opened", Outcome::Repaired(&["iam:PutRolePolicy"], &["role_policy"])),
    ("role's tags removed", Outcome::Reported("NameTaken")),
    ("trust policy changed", Outcome::Repaired(&["iam:UpdateAssumeRolePolicy"], &["trust_policy"])),
];

/// The calls that put a kind of drift right, in their order; none where nobody can, or it is not the operator who does.
pub fn writes_of(kind: &str) -> &'static [&'static str] {
    match OUTCOMES.iter().find(|(name, _)| *name == kind) {
        Some((_, Outcome::Repaired(calls, _))) => calls,
        Some((_, Outcome::RepairedTogether(_))) => {
            &["ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress"]
        }
        Some((_, Outcome::Reported(_) | Outcome::Woken)) | None => &[],
    }
}

/// The kinds of drift of which nobody can know whose the resource is.
pub fn unowned_kinds() -> Vec<&'static str> {
    let kinds = OUTCOMES.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Reported(_)));
    kinds.map(|(name, _)| *name).collect()
}

/// A world without what AWS gives anew to what is made anew: ids, times, counters. Security groups go by their names.
pub fn shape(world: &World) -> BTreeSet<String> {
    let region = &world.regions[&Scene::region()];
    let role = |role: &Role| format!("{:?}", Role { id: String::new(), ..role.clone() });
    let mut shape: BTreeSet<String> = world.roles.values().map(|record| role(&record.role)).collect();
    shape.extend(region.groups.values().map(|group| format!("{group:?}")));
    shape.extend(region.endpoints.values().filter(|endpoint| endpoint.state != EndpointState::Deleted).map(
        |endpoint| {
            let VpcEndpoint { service_name, state, private_dns, subnets, security_groups, policy, tags, .. } = endpoint;
            format!("{service_name} {state:?} {private_dns} {subnets:?} {security_groups:?} {policy:?} {tags:?}")
        },
    ));
    shape.extend(region.functions.values().map(|record| {
        let detail = &record.detail;
        let listing = &detail.listing;
        let what = (&listing.arn, &listing.configuration, listing.configuration.environment.variables());
        let set = (&listing.altered, &listing.fixed);
        let state = (&detail.state, &detail.last_update, &detail.tags);
        format!("{what:?} {set:?} {:?} {} {state:?}", listing.architecture, listing.code_sha256)
    }));
    shape.extend(region.log_groups.values().map(|record| format!("{record:?}")));
    for function in world.functions_without_their_role(&Scene::region()) {
        shape.insert(format!("{function} runs as a role that is gone"));
    }
    let named = |text: String| region.groups.values().fold(text, |text, it| text.replace(it.id.as_str(), &it.name));
    shape.into_iter().map(named).collect()
}

/// A scene with an app at rest.
async fn at_rest_with(delays: Delays) -> (Scene, VpcId) {
    let (scene, vpc) = Scene::new(delays).bound().and_app("bot").await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(kinds(&scene), Vec::<String>::new(), "what is made for the first time is no drift");
    scene.forget();
    (scene, vpc)
}

async fn at_rest() -> (Scene, VpcId) {
    at_rest_with(Delays::default()).await
}

/// The drifts of a name, in an order that is the same in every world that is set up the same way.
fn named(scene: &Scene, name: &str) -> Vec<Drift> {
    drifts(&scene.aws.world(), &Scene::installation()).into_iter().filter(|drift| drift.name == name).collect()
}

fn drift(scene: &Scene, name: &str) {
    let drift = named(scene, name).remove(0);
    scene.aws.act(&drift.action).expect("AWS lets it happen");
}

/// The kinds of drift that were counted.
fn kinds(scene: &Scene) -> Vec<String> {
    let text = scene.metrics.text().expect("text");
    let mut kinds: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("private_genai_operator_drift_repaired_total{kind=\""))
        .filter_map(|rest| rest.split_once("\"} "))
        .filter(|(_, count)| *count != "0")
        .map(|(kind, _)| kind.to_owned())
        .collect();
    kinds.sort();
    kinds
}

/// The notes of Events that tell of drift.
fn notes(scene: &Scene) -> Vec<String> {
    let events = scene.kubernetes.list("events");
    let drift = events.iter().filter(|event| event["reason"] == "DriftRepaired");
    drift.map(|event| format!("{} {}", event["regarding"]["name"], event["note"])).collect()
}

fn ready(scene: &Scene) -> (String, String, String) {
    condition(&scene.kubernetes.get(&app("bot")).expect("the app"), "Ready")
}

#[track_caller]
fn assert_same(what: &str, before: &BTreeSet<String>, scene: &Scene) {
    let after = shape(&scene.aws.world());
    let (lost, new): (Vec<_>, Vec<_>) = (before.difference(&after).collect(), after.difference(before).collect());
    assert!(lost.is_empty() && new.is_empty(), "{what}: lost {lost:#?}, new {new:#?}, {:?}", ready(scene));
}

#[tokio::test(start_paused = true)]
async fn every_drift_is_put_right_at_the_next_resync_and_told_or_told_with_the_remedy() {
    scene(async {
        let (scene, _) = at_rest().await;
        let found: BTreeSet<&str> =
            drifts(&scene.aws.world(), &Scene::installation()).iter().map(|drift| drift.name).collect();
        let known: BTreeSet<&str> = OUTCOMES.iter().map(|(name, _)| *name).collect();
        assert_eq!(found, known, "each kind of drift has an outcome");
        for (name, outcome) in OUTCOMES {
            for number in 0..named(&scene, name).len() {
                one_drift(name, number, outcome).await;
            }
        }
    })
    .await;
}

async fn one_drift(name: &str, number: usize, outcome: &Outcome) {
    let (mut scene, _) = at_rest().await;
    let before = shape(&scene.aws.world());
    let drift = named(&scene, name).remove(number);
    scene.aws.act(&drift.action).expect("AWS lets it happen");
    assert_ne!(shape(&scene.aws.world()), before, "{name} is a change");
    scene.pass(RESYNC + SOON).await;
    let done = writes(&scene.aws.take_journal());
    match outcome {
        Outcome::Repaired(_, expected) | Outcome::RepairedTogether(expected) => {
            assert_same(name, &before, &scene);
            assert_eq!(ready(&scene).0, "True", "{name}");
            if let Outcome::Repaired(calls, _) = outcome {
                assert_eq!(done, *calls, "{name}");
                assert_eq!(kinds(&scene), *expected, "{name}");
            }
            for kind in *expected {
                assert!(kinds(&scene).iter().any(|counted| counted == kind), "{name}: {:?}", kinds(&scene));
            }
            assert!(!notes(&scene).is_empty(), "{name} is told in an Event");
        }
        Outcome::Reported(reason) => {
            // A name that is taken may be our own for a minute.
            scene.pass(Duration::from_mins(2)).await;
            let (status, found, message) = ready(&scene);
            assert_eq!((status.as_str(), found.as_str()), ("False", *reason), "{name}: {message}");
            assert!(message.contains("tag it"), "{name}: the remedy is in {message}");
            assert!(kinds(&scene).is_empty(), "{name}: nothing was repaired");
            let region = &scene.aws.world().regions[&Scene::region()];
            assert_eq!((region.endpoints.len(), region.functions.len()), (1, 1), "{name}: no twin");
            // The remedy.
            assert!(retag(&scene, &drift.action), "{name}: it is there");
            scene.pass(RESYNC + SOON).await;
            assert_same(name, &before, &scene);
            assert_eq!(ready(&scene).0, "True", "{name} after the remedy");
        }
        Outcome::Woken => {
            assert_same(name, &before, &scene);
            assert_eq!((done, ready(&scene).0.as_str()), (vec![], "True"), "{name}");
            assert_eq!(kinds(&scene), Vec::<String>::new(), "{name} is nobody's doing");
            return;
        }
    }
    scene.forget();
    scene.pass(RESYNC + SOON).await;
    assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "{name}: at rest afterwards");
    assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "{name}: at rest afterwards");
    scene.stop().await;
}

/// Does what the message asks for: the installation's tag alone. `false` where what lost its tags is not there any more.
pub fn retag(scene: &Scene, drift: &Action) -> bool {
    let Action::ByHand(region, ByHand::RemoveTags { from, .. }) = drift else { panic!("{drift:?}") };
    let tags: Tags = [(TAG_INSTALLATION.to_owned(), Scene::installation().to_string())].into();
    let world = scene.aws.world();
    let write = match from {
        Tagged::Group(id) => Some(Write::Ec2(Ec2Write::CreateTags { resource: id.to_string(), tags })),
        Tagged::Endpoint(id) => Some(Write::Ec2(Ec2Write::CreateTags { resource: id.to_string(), tags })),
        Tagged::Role(role) => Some(Write::Iam(IamWrite::TagRole { role: role.clone(), tags })),
        Tagged::Function(name) => world.regions[region].functions.get(name).map(|record| {
            let arn = record.detail.listing.arn.clone();
            Write::Lambda(LambdaWrite::TagResource { arn, tags })
        }),
        Tagged::LogGroup(name) => world.regions[region].log_groups.get(name).map(|record| {
            let arn = record.group.arn.clone();
            Write::Logs(LogsWrite::TagResource { arn, tags })
        }),
    };
    write.is_some_and(|write| scene.aws.act(&Action::Write(region.clone(), write)).is_ok())
}

#[tokio::test(start_paused = true)]
async fn a_function_that_lambda_cannot_change_back_is_told_and_replaced_once_deleted() {
    scene(async {
        let (scene, _) = at_rest().await;
        let before = shape(&scene.aws.world());
        let function =
            scene.aws.world().regions[&Scene::region()].functions.keys().next().cloned().expect("a function");
        let rebuild = ByHand::RebuildFunction { function: function.clone(), fixed: Fixed::Durable };
        scene.aws.act(&Action::ByHand(Scene::region(), rebuild)).expect("AWS lets it happen");
        scene.pass(RESYNC + SOON).await;
        let (status, reason, message) = ready(&scene);
        assert_eq!((status.as_str(), reason.as_str()), ("False", "NameTaken"), "{message}");
        for part in [function.as_str(), "durable execution", "Delete the function"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nothing of it can be put back");
        let delete = Action::Write(Scene::region(), Write::Lambda(LambdaWrite::DeleteFunction { name: function }));
        scene.aws.act(&delete).expect("AWS lets it happen");
        scene.pass(RESYNC + SOON).await;
        assert_same("created anew", &before, &scene);
        assert_eq!(ready(&scene).0, "True");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_vanished_endpoint_comes_back_at_once_also_if_its_wanted_form_has_changed() {
    scene(async {
        let (scene, _) = at_rest().await;
        let before = shape(&scene.aws.world());
        // Its client token was used with the group that is gone too. An endpoint keeps its groups from being deleted: that it may only be
        // invisible is no question.
        drift(&scene, "endpoint vanished");
        for group in named(&scene, "group deleted") {
            scene.aws.act(&group.action).expect("AWS lets it happen");
        }
        scene.pass(RESYNC + Duration::from_secs(50)).await;
        assert_same("vanished", &before, &scene);
        assert_eq!(ready(&scene).0, "True");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tags_that_were_lost_in_part_are_put_back() {
    scene(async {
        for name in [
            "group's tags removed",
            "endpoint's tags removed",
            "role's tags removed",
            "function's tags removed",
            "log group's tags removed",
        ] {
            let (scene, _) = at_rest().await;
            let before = shape(&scene.aws.world());
            let Action::ByHand(region, ByHand::RemoveTags { from, .. }) = named(&scene, name).remove(0).action else {
                panic!("{name}")
            };
            let others = before_keys(&scene).into_iter().filter(|key| key != TAG_INSTALLATION).collect();
            let remove = ByHand::RemoveTags { from, keys: Some(others) };
            scene.aws.act(&Action::ByHand(region, remove)).expect("tags are removed");
            assert_ne!(shape(&scene.aws.world()), before, "{name}");
            scene.pass(RESYNC + SOON).await;
            assert_same(name, &before, &scene);
            assert_eq!((ready(&scene).0.as_str(), kinds(&scene)), ("True", vec!["tags".to_owned()]), "{name}");
            // The mark of the cluster is put back by itself: never over another one.
            let calls = if name == "group's tags removed" { 2 } else { 1 };
            assert_eq!(writes(&scene.aws.take_journal()).len(), calls, "{name}");
        }
    })
    .await;
}

/// Every key of a tag in the account.
fn before_keys(scene: &Scene) -> BTreeSet<String> {
    let world = scene.aws.world();
    let region = &world.regions[&Scene::region()];
    let groups = region.groups.values().flat_map(|group| group.tags.keys());
    let endpoints = region.endpoints.values().flat_map(|endpoint| endpoint.tags.keys());
    let functions = region.functions.values().flat_map(|function| function.detail.tags.keys());
    groups.chain(endpoints).chain(functions).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_takes_its_time_to_go_is_replaced_by_one_and_by_no_more() {
    scene(async {
        let slow =
            Delays { endpoint_deleted: 90, endpoint_available: 60, endpoint_forgotten: 3600, ..Delays::default() };
        let (scene, _) = at_rest_with(slow).await;
        let before = shape(&scene.aws.world());
        drift(&scene, "endpoint deleted");
        scene.pass(RESYNC + Duration::from_secs(10)).await;
        scene.pass(Duration::from_mins(4)).await;
        assert_same("endpoint deleted", &before, &scene);
        assert_eq!((ready(&scene).0.as_str(), kinds(&scene)), ("True", vec!["endpoint".to_owned()]));
        let world = scene.aws.world();
        assert_eq!(world.regions[&Scene::region()].endpoints.len(), 2, "the old one is still listed as deleted");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_role_that_was_created_again_is_set_on_the_function_also_after_a_kill() {
    scene(async {
        let (mut scene, _) = at_rest().await;
        let before = shape(&scene.aws.world());
        drift(&scene, "role deleted");
        scene.aws.fail_next("UpdateFunctionConfiguration", Fault::access_denied());
        scene.pass(RESYNC).await;
        scene.kill().await;
        assert_ne!(shape(&scene.aws.world()), before, "the function still has the role that is gone");
        scene.aws.clear_faults();
        scene.start();
        scene.pass(SOON).await;
        assert_same("role deleted", &before, &scene);
        assert_eq!(ready(&scene).0, "True");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_event_names_the_resource_and_what_was_changed_about_it() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        let functions = region.groups.values().find(|group| group.name.contains("-functions-")).expect("a group");
        let everywhere = named(&scene, "egress opened").into_iter().find(|drift| {
            matches!(&drift.action, Action::Write(_, Write::Ec2(Ec2Write::AuthorizeSecurityGroupEgress { group, .. })) if *group == functions.id)
        });
        scene.aws.act(&everywhere.expect("a drift").action).expect("a rule is added");
        drift(&scene, "role policy deleted");
        drift(&scene, "ingress rule deleted");
        drift(&scene, "endpoint policy opened");
        scene.pass(RESYNC + SOON).await;
        let notes = notes(&scene);
        let network = network(&vpc).rsplit('/').next().expect("a name").to_owned();
        let role = world.roles.keys().next().expect("a role");
        let endpoints = region.groups.values().find(|group| group.name.contains("-endpoints-")).expect("a group");
        let endpoint = region.endpoints.keys().next().expect("an endpoint");
        let expected = [
            format!(
                "\"{network}\" \"Security group {}: added to ingress again: tcp 443 {}.\"",
                endpoints.id, functions.id
            ),
            format!("\"{network}\" \"Endpoint {endpoint}: policy set back.\""),
            format!("\"{network}\" \"Security group {}: revoked from egress: all protocols 0.0.0.0/0.\"", functions.id),
            format!("\"bot\" \"Role {role}: policy private-genai set back.\""),
        ];
        assert_eq!(notes.iter().cloned().collect::<BTreeSet<_>>(), expected.into(), "{notes:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_people_ask_for_is_no_drift() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        scene.apply(
            "bot",
            json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL, "a.model"], "function": {"memoryMiB": 1024}}),
        );
        scene.apply_app("another", &vpc);
        scene.until_ready("another").await;
        scene.pass(SOON).await;
        assert!(writes(&scene.aws.take_journal()).contains(&"ec2:ModifyVpcEndpoint".to_owned()), "another model");
        scene.kubernetes.delete(&app("another"));
        scene.until_gone("another").await;
        scene.pass(RESYNC + SOON).await;
        assert_eq!((kinds(&scene), notes(&scene)), (vec![], vec![]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_touched_app_or_network_is_compared_with_aws_at_once() {
    scene(async {
        for path in [app("bot"), String::new()] {
            let (scene, vpc) = at_rest().await;
            let path = if path.is_empty() { network(&vpc) } else { path };
            let before = shape(&scene.aws.world());
            drift(&scene, "endpoint policy opened");
            scene.pass(Duration::from_secs(10)).await;
            assert_eq!(names(&scene.aws.take_journal()), Vec::<String>::new(), "nobody looks by himself");
            let touched = Instant::now();
            scene.kubernetes.edit(&path, |object| object["metadata"]["annotations"] = json!({"look": "now"}));
            scene.pass(Duration::from_secs(2)).await;
            assert!(touched.elapsed() < Duration::from_secs(3));
            assert_same(&path, &before, &scene);
            assert_eq!(writes(&scene.aws.take_journal()), ["ec2:ModifyVpcEndpoint"], "{path}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_touches_cost_one_look_at_everything() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        for n in 0..99 {
            scene.apply_app(&format!("app-{n}"), &vpc);
        }
        for n in 0..99 {
            scene.until_ready(&format!("app-{n}")).await;
        }
        scene.pass(Duration::from_secs(10)).await;
        scene.forget();
        let touch = |name: &str| {
            scene.kubernetes.edit(&app(name), |object| object["metadata"]["annotations"] = json!({"look": "now"}));
        };
        (0..99).for_each(|n| touch(&format!("app-{n}")));
        scene.pass(Duration::from_secs(10)).await;
        let mut calls = names(&scene.aws.take_journal());
        let own = ["lambda:GetFunction", "lambda:Invoke", "logs:ListTagsForResource"];
        calls.retain(|call| !own.contains(&call.as_str()));
        let tables = [
            ("ec2:DescribeRouteTables", 1),
            ("ec2:DescribeSecurityGroups", 1),
            ("ec2:DescribeSubnets", 1),
            ("ec2:DescribeVpcAttribute", 2),
            ("ec2:DescribeVpcEndpoints", 1),
            ("ec2:DescribeVpcs", 1),
            ("iam:GetAccountAuthorizationDetails", 1),
            ("lambda:ListFunctions", 2),
            ("logs:DescribeLogGroups", 2),
        ];
        assert_at_most(&calls, tables);
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);
    })
    .await;
}

fn endpoints_group(scene: &Scene) -> SecurityGroupId {
    let world = scene.aws.world();
    let groups = &world.regions[&Scene::region()].groups;
    groups.values().find(|group| group.name.contains("endpoints")).expect("the endpoints' group").id.clone()
}

#[tokio::test(start_paused = true)]
async fn a_revoke_that_finds_no_such_rule_is_no_repair_and_raises_no_event() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(SOON).await;
        let group = endpoints_group(&scene);
        let open = Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress {
            group,
            rules: [Rule::tcp(443, Peer::Ipv4("0.0.0.0/0".to_owned()))].into(),
        });
        scene.aws.act(&Action::Write(Scene::region(), open)).expect("AWS lets it happen");
        let gone =
            Fault::new(400, "InvalidPermission.NotFound", "The specified rule does not exist in this security group.");
        scene.aws.fail_next("RevokeSecurityGroupIngress", gone);
        scene.pass(RESYNC + RESYNC).await;
        let is_revocation = |event: &serde_json::Value| event["note"].to_string().contains("revoked from ingress");
        let repairs = scene.kubernetes.list("events").into_iter().filter(is_revocation).count();
        assert_eq!(repairs, 1, "the one that revoked it");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_peer_cannot_be_read_blinds_nobody_and_is_revoked_by_its_name() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(SOON).await;
        let group = endpoints_group(&scene);
        let rules = [Rule::tcp(443, Peer::Unreadable("a-group-of-others".to_owned()))].into();
        let open = Write::Ec2(Ec2Write::AuthorizeSecurityGroupIngress { group, rules });
        scene.aws.act(&Action::Write(Scene::region(), open)).expect("AWS lets it happen");
        scene.forget();
        scene.pass(RESYNC + SOON).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["ec2:RevokeSecurityGroupIngress"]);
        let names_rule = |event: &serde_json::Value| event["note"].to_string().contains("tcp 443 a-group-of-others");
        assert!(scene.kubernetes.list("events").iter().any(names_rule));
    })
    .await;
}
