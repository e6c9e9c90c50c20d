//! Waits end: what takes longer than it should becomes `Stalled`, with what is still true and who can act; and legs say what is so.

use std::time::Duration;

use private_genai_operator::aws::PolicyDocument;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    memory::{
        aws::{Action, ByHand, Delays, Fault, VpcShape, boundary, drifts},
        kubernetes::{self, EVENTS, NETWORKS, Verb},
    },
    scene::{LONG, MODEL, RESYNC, Scene, app, condition, explicit_network, names, network, scene, touch, writes},
};

fn act(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

/// The administrators of the account let the execution roles of apps manage interfaces, or not.
fn let_roles_attach(scene: &Scene, allowed: bool) {
    let document = if allowed {
        PolicyDocument::from_wire(include_str!("../../docs/permissions-boundary.json"))
    } else {
        let logs = json!({"Effect": "Allow", "Action": ["logs:PutLogEvents", "bedrock:*"], "Resource": "*"});
        PolicyDocument::new(&json!({"Version": "2012-10-17", "Statement": [logs]}))
    };
    act(scene, ByHand::PutPolicy { arn: boundary(), document });
}

fn object(scene: &Scene, path: &str) -> Value {
    scene.kubernetes.get(path).expect("the object")
}

fn is_stalled(object: &Value) -> bool {
    condition(object, "Stalled").0 == "True"
}

fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|call| *call == name).count()
}

/// The notes of Events with this reason.
fn notes(scene: &Scene, reason: &str) -> Vec<String> {
    let events = scene.kubernetes.list(EVENTS);
    let of_reason = events.iter().filter(|event| event["reason"] == reason);
    of_reason.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect()
}

/// An app whose function Lambda refuses, in the words that it has for a role that is not known everywhere yet.
async fn refused_by_a_boundary() -> Scene {
    let mut scene = Scene::new(Delays::default()).bound();
    let_roles_attach(&scene, false);
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.start();
    scene.apply_app("bot", &vpc);
    scene.pass(Duration::from_mins(14)).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lambda_refuses_is_waited_for_a_quarter_of_an_hour_over_restarts() {
    scene(async {
        let mut scene = refused_by_a_boundary().await;
        let waits = object(&scene, &app("bot"));
        assert!(!is_stalled(&waits), "it may be a new role: {waits:#}");
        scene.stop().await;
        scene.start();
        scene.pass(Duration::from_mins(2)).await;
        let over = object(&scene, &app("bot"));
        assert!(is_stalled(&over), "{over:#}");
        let (status, reason, message) = condition(&over, "Ready");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "RolePropagating"));
        for part in [
            "does not have permissions to call CreateNetworkInterface",
            "overdue after 15 minutes",
            "Still true: existing resources are kept exact",
            "Who can act: whoever administers IAM",
            "service control policy",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(notes(&scene, "RolePropagating").len(), 1, "it is worth one Event");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_overdue_is_tried_rarely_and_goes_on_by_itself_once_somebody_acted() {
    scene(async {
        let scene = refused_by_a_boundary().await;
        scene.pass(Duration::from_mins(10)).await;
        let over = object(&scene, &app("bot"));
        assert!(is_stalled(&over));
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let calls = names(&scene.aws.take_journal());
        let tried = count(&calls, "lambda:CreateFunction");
        assert!((6..=24).contains(&tried), "every five minutes, and at each resync: {tried}");
        scene.aws.fail_next("CreateFunction", Fault::throttled().times(3));
        scene.pass(Duration::from_mins(20)).await;
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "nothing new is told");
        assert_eq!(object(&scene, &app("bot"))["status"], over["status"]);
        let_roles_attach(&scene, true);
        let ready = scene.until_ready("bot").await;
        assert_eq!(condition(&ready, "Stalled").0, "");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_is_asked_for_is_tried_at_once_although_the_wait_was_overdue() {
    scene(async {
        let scene = refused_by_a_boundary().await;
        scene.pass(Duration::from_mins(30)).await;
        let over = object(&scene, &app("bot"));
        assert!(is_stalled(&over));
        scene.forget();
        let spec = &over["spec"];
        scene.apply("bot", json!({"network": spec["network"], "models": [MODEL], "function": {"memoryMiB": 1024}}));
        scene.pass(Duration::from_secs(3)).await;
        let calls = names(&scene.aws.take_journal());
        assert!(count(&calls, "lambda:CreateFunction") >= 1, "{calls:?}");
        let asked = object(&scene, &app("bot"));
        assert!(!is_stalled(&asked), "it is waited for anew: {asked:#}");
        scene.pass(Duration::from_mins(16)).await;
        assert!(is_stalled(&object(&scene, &app("bot"))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_finishes_stalls_its_network_and_apps_in_the_same_words() {
    scene(async {
        let mut scene = Scene::new(Delays { endpoint_available: u64::MAX, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.pass(Duration::from_mins(55)).await;
        for path in [network(&vpc), app("bot")] {
            assert!(!is_stalled(&object(&scene, &path)), "{path}");
        }
        scene.pass(Duration::from_mins(15)).await;
        for (path, kind) in [(network(&vpc), "EndpointsReady"), (app("bot"), "NetworkReady")] {
            let object = object(&scene, &path);
            assert!(is_stalled(&object), "{object:#}");
            for kind in ["Ready", kind] {
                let (status, _, message) = condition(&object, kind);
                if kind == "NetworkReady" && status == "True" {
                    continue;
                }
                assert!(
                    message.contains("overdue after 1 hour") && message.contains("AWS Support"),
                    "{kind}: {message}"
                );
            }
        }
        scene.pass(Duration::from_mins(10)).await;
        scene.forget();
        scene.pass(Duration::from_mins(30)).await;
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "what is told stays as it is");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_reached_for_hours_is_told_and_asked_rarely() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.aws.fail_next("*", Fault::unreachable().times(u32::MAX));
        sleep(Duration::from_mins(110)).await;
        let paths = [app("bot"), network(&vpc)];
        for path in &paths {
            let object = object(&scene, path);
            assert_eq!(condition(&object, "Ready").0, "Unknown", "{object:#}");
            assert!(!is_stalled(&object), "{object:#}");
        }
        sleep(Duration::from_mins(30)).await;
        for path in &paths {
            let object = object(&scene, path);
            let (status, reason, message) = condition(&object, "Ready");
            assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "ObservationFailed"), "{message}");
            assert!(is_stalled(&object) && message.contains("overdue after 2 hours"), "{object:#}");
        }
        sleep(Duration::from_mins(15)).await;
        scene.forget();
        sleep(Duration::from_mins(30)).await;
        let asked = scene.aws.take_journal().len();
        assert!(asked <= 60, "{asked} calls in half an hour");
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);
        scene.aws.clear_faults();
        let ready = scene.until_ready("bot").await;
        assert_eq!(condition(&ready, "Stalled").0, "");
    })
    .await;
}

/// An app at rest, and a function whose configuration somebody changes while AWS takes updates of it and changes nothing.
async fn updated_in_vain() -> Scene {
    let (scene, _) = Scene::new(Delays::default()).and_app("bot").await;
    scene.pass(Duration::from_secs(5)).await;
    scene.aws.take_in_vain("lambda:UpdateFunctionConfiguration");
    let drift = drifts(&scene.aws.world(), &Scene::installation())
        .into_iter()
        .find(|drift| drift.name == "configuration changed")
        .expect("a drift");
    scene.aws.act(&drift.action).expect("AWS lets it happen");
    scene.forget();
    touch(&scene, "bot");
    scene
}

const UPDATE: &str = "lambda:UpdateFunctionConfiguration";

#[tokio::test(start_paused = true)]
async fn a_write_that_does_not_show_is_repeated_ever_less_and_told_as_drift_once() {
    scene(async {
        let scene = updated_in_vain().await;
        scene.pass(Duration::from_mins(2)).await;
        let made = count(&names(&scene.aws.take_journal()), UPDATE);
        assert!((3..=6).contains(&made), "{made} updates in two minutes");
        scene.pass(Duration::from_mins(30)).await;
        let made = count(&names(&scene.aws.take_journal()), UPDATE);
        assert!((3..=15).contains(&made), "{made} updates in half an hour");
        assert_eq!(notes(&scene, "DriftRepaired").len(), 1, "{:?}", notes(&scene, "DriftRepaired"));
        assert_eq!(notes(&scene, "Applying").iter().filter(|note| note.contains(UPDATE)).count(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_shows_needs_somebody_after_a_few_times_until_it_shows() {
    scene(async {
        let scene = updated_in_vain().await;
        let message = scene.until_refused("bot", "WriteHasNoEffect").await;
        for part in [UPDATE, "AWS shows no change", "CloudTrail"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        scene.pass(Duration::from_secs(30)).await;
        scene.forget();
        scene.pass(Duration::from_mins(30)).await;
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "it does not flap");
        scene.aws.clear_faults();
        let ready = scene.until_ready("bot").await;
        assert_eq!(condition(&ready, "Stalled").0, "");
    })
    .await;
}

/// Somebody annotates these apps every half minute, for ten minutes.
async fn annotate_in_a_loop(scene: &Scene, apps: &[String]) {
    for look in 0..20 {
        for name in apps {
            scene
                .kubernetes
                .edit(&app(name), |object| object["metadata"]["annotations"] = json!({"look": look.to_string()}));
        }
        scene.pass(Duration::from_secs(31)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn apps_that_are_touched_in_a_loop_are_told_all_the_same_of_writes_without_effect() {
    scene(async {
        let others: Vec<String> = (0..11).map(|n| format!("app-{n}")).collect();
        for touched in [vec!["bot".to_owned()], others.clone()] {
            let scene = updated_in_vain().await;
            let vpc = object(&scene, &app("bot"))["spec"]["network"]["vpcId"].as_str().expect("a VPC").to_owned();
            for name in touched.iter().filter(|name| *name != "bot") {
                scene.apply_app(name, &vpc.parse().expect("an id"));
                scene.until_ready(name).await;
            }
            annotate_in_a_loop(&scene, &touched).await;
            let (_, reason, message) = condition(&object(&scene, &app("bot")), "FunctionReady");
            assert_eq!(reason, "WriteHasNoEffect", "{touched:?}: {message}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_an_admission_policy_refuses_is_told_and_created_once_allowed() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.kubernetes.inject(kubernetes::Fault::answer(403).on(Verb::Create).of(NETWORKS).times(usize::MAX));
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "KubernetesRefused").await;
        let refused = object(&scene, &app("bot"));
        let (status, reason, _) = condition(&refused, "NetworkReady");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "KubernetesRefused"));
        let name = network(&vpc).rsplit('/').next().expect("a name").to_owned();
        for part in ["forbidden: the test refuses this request", &name, "admission policy", "ClusterRole"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        scene.forget();
        scene.pass(Duration::from_mins(30)).await;
        let journal = scene.kubernetes.take_journal();
        let tried = journal.only(|call| call.verb == Verb::Create && call.plural == NETWORKS).len();
        assert!((4..=16).contains(&tried), "{tried} times in half an hour");
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
        scene.kubernetes.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_app_has_is_kept_exact_while_its_network_is_refused() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.kubernetes.inject(kubernetes::Fault::answer(422).on(Verb::Create).of(NETWORKS).times(usize::MAX));
        scene.kubernetes.delete(&network(&vpc));
        scene.until_refused("bot", "KubernetesRefused").await;
        let drift = drifts(&scene.aws.world(), &Scene::installation())
            .into_iter()
            .find(|drift| drift.name == "foreign policy attached")
            .expect("a drift");
        scene.aws.act(&drift.action).expect("AWS lets it happen");
        scene.forget();
        scene.pass(RESYNC + Duration::from_secs(30)).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["iam:DetachRolePolicy"]);
        scene.kubernetes.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_finalizer_is_told_on_the_object_and_nothing_is_created() {
    scene(async {
        for number in 0..2 {
            let mut scene = Scene::new(Delays::default());
            let (vpc, _) = scene.vpc(&VpcShape::default());
            let path = [app("bot"), "privategenainetworks/prod".to_owned()][number].clone();
            let refuses = kubernetes::Fault::answer(403).on(Verb::Patch).of(&path).on_part(None).times(usize::MAX);
            scene.kubernetes.inject(refuses);
            scene.kubernetes.apply(explicit_network("prod", &vpc));
            scene.start();
            scene.apply_app("bot", &vpc);
            let is_told = |object: &Value| condition(object, "Accepted").1 == "KubernetesRefused";
            let object = scene.kubernetes.until(&path, LONG, is_told).await;
            assert!(is_stalled(&object), "{object:#}");
            // kstatus and Argo CD take what is older than the object for no answer.
            assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"], "{object:#}");
            let message = condition(&object, "Ready").2;
            assert!(message.contains("forbidden: the test refuses this request"), "{message}");
            let app_message = scene.until_refused("bot", "KubernetesRefused").await;
            assert!(app_message.contains("the test refuses this request"), "{app_message}");
            let made = writes(&scene.aws.journal());
            assert!(!made.contains(&"lambda:CreateFunction".to_owned()), "{path}: {made:?}");
            scene.kubernetes.clear_faults();
            scene.until_ready("bot").await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_may_not_be_let_go_says_so_and_goes_once_it_may() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        let refuses = kubernetes::Fault::answer(403).on(Verb::Patch).of(&app("bot")).on_part(None).times(usize::MAX);
        scene.kubernetes.inject(refuses);
        scene.kubernetes.delete(&app("bot"));
        let message = scene.until_refused("bot", "KubernetesRefused").await;
        assert!(message.contains("forbidden: the test refuses this request"), "{message}");
        scene.kubernetes.clear_faults();
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_refused_is_told_in_an_event() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene
            .kubernetes
            .inject(kubernetes::Fault::answer(403).on(Verb::Patch).of(&app("bot")).on_status().times(usize::MAX));
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.pass(Duration::from_mins(1)).await;
        let notes = notes(&scene, "KubernetesRefused");
        assert!(notes.iter().all(|note| note.contains("forbidden: the test refuses this request")), "{notes:?}");
        assert_eq!(notes.len(), 1, "{notes:?}");
        scene.kubernetes.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_role_may_not_be_created_is_not_said_to_be_being_created() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.aws.fail_next("CreateRole", Fault { times: u32::MAX, ..Fault::new(403, "AccessDenied", "no") });
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_refused("bot", "AccessDenied").await;
        let (status, reason, message) = condition(&object(&scene, &app("bot")), "FunctionReady");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "DependencyNotReady"), "{message}");
        assert!(message.contains("waits for iam:CreateRole") && message.contains("ExecutionRoleReady"), "{message}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_not_ready_is_not_said_to_be_ready() {
    scene(async {
        let mut scene = Scene::new(Delays { endpoint_available: u64::MAX, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.pass(Duration::from_mins(2)).await;
        let network = object(&scene, &network(&vpc));
        assert_eq!(condition(&network, "Ready").0, "False", "{network:#}");
        let (status, _, message) = condition(&object(&scene, &app("bot")), "NetworkReady");
        assert!(!message.contains("-us-east-1 is ready"), "{status}: {message}");
        assert!(message.contains("as a whole is not (EndpointPending)"), "{message}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_follows_its_vpc_is_no_drift_and_one_that_was_moved_is() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        scene.aws.add_subnet(&Scene::region(), &vpc, 'c');
        scene.pass(Duration::from_mins(15)).await;
        let made = writes(&scene.aws.take_journal());
        assert!(made.contains(&"ec2:ModifyVpcEndpoint".to_owned()), "{made:?}");
        assert_eq!(notes(&scene, "DriftRepaired"), Vec::<String>::new());
        scene.until_ready("bot").await;
        let drift = drifts(&scene.aws.world(), &Scene::installation())
            .into_iter()
            .find(|drift| drift.name == "endpoint's subnet removed")
            .expect("a drift");
        scene.aws.act(&drift.action).expect("AWS lets it happen");
        scene.pass(RESYNC + Duration::from_secs(30)).await;
        let [note] = &notes(&scene, "DriftRepaired")[..] else { panic!("{:?}", notes(&scene, "DriftRepaired")) };
        assert!(note.contains("subnets set back: added subnet-"), "{note}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_of_a_function_is_told_from_what_to_what() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        let drift = drifts(&scene.aws.world(), &Scene::installation())
            .into_iter()
            .find(|drift| drift.name == "configuration changed")
            .expect("a drift");
        scene.aws.act(&drift.action).expect("AWS lets it happen");
        scene.pass(RESYNC + Duration::from_secs(30)).await;
        let [note] = &notes(&scene, "DriftRepaired")[..] else { panic!("{:?}", notes(&scene, "DriftRepaired")) };
        assert!(
            note.contains("configuration set back: ") && note.contains(" from ") && note.contains(" to "),
            "{note}"
        );
    })
    .await;
}

/// Found by reading: the groups tell whose the VPC is, and without them nothing is written; role and function are known all the same.
#[tokio::test(start_paused = true)]
async fn groups_that_were_never_read_take_no_leg_along_that_does_not_rest_on_them() {
    scene(async {
        let (mut scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.stop().await;
        scene.aws.fail_next(
            "DescribeSecurityGroups",
            Fault { times: u32::MAX, ..Fault::new(403, "UnauthorizedOperation", "no") },
        );
        scene.start();
        scene.pass(6 * RESYNC).await;
        let bot = object(&scene, &app("bot"));
        for kind in ["ExecutionRoleReady", "FunctionReady"] {
            assert_eq!(condition(&bot, kind).0, "True", "{kind} {bot:#}");
        }
        assert_eq!(condition(&bot, "NetworkReady").1, "AccessDenied", "{bot:#}");
        let drift = drifts(&scene.aws.world(), &Scene::installation())
            .into_iter()
            .find(|drift| drift.name == "foreign policy attached")
            .expect("a drift");
        scene.aws.act(&drift.action).expect("AWS lets it happen");
        scene.forget();
        scene.pass(4 * RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nobody knows whose the VPC is");
        let bot = object(&scene, &app("bot"));
        assert_ne!(condition(&bot, "ExecutionRoleReady").0, "True", "{bot:#}");
        assert_eq!(condition(&bot, "FunctionReady").0, "True", "{bot:#}");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}
