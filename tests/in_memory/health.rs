//! An app is ready when its path was proven by a probe, and stays proven at the cost of a probe now and then.

use std::time::Duration;

use private_genai_operator::aws::{Ec2Write, FunctionName, FunctionState, VpcEndpoint, VpcId, Write};
use serde_json::{Value, json};

use crate::{
    memory::aws::{Action, Behaviour, ByHand, CallRecord, Delays, Fault, VpcShape},
    scene::{MODEL, RESYNC, Scene, app, condition, names, scene, writes},
};

const SOON: Duration = Duration::from_secs(30);

/// What a function must never get into status, Events or metrics.
const SECRET: &str = "the patient is called Ann";

fn function(scene: &Scene, name: &str) -> FunctionName {
    let world = scene.aws.world();
    let functions = &world.regions[&Scene::region()].functions;
    functions.keys().find(|function| function.as_str().contains(&format!("-{name}-"))).expect("a function").clone()
}

fn by_hand(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

fn behave(scene: &Scene, name: &str, behaviour: Behaviour) {
    by_hand(scene, ByHand::SetBehaviour { function: function(scene, name), behaviour });
}

fn close(scene: &Scene, vpc: &VpcId, closed: bool) {
    by_hand(scene, ByHand::CloseNetwork { vpc: vpc.clone(), closed });
}

fn endpoint(scene: &Scene) -> VpcEndpoint {
    let world = scene.aws.world();
    world.regions[&Scene::region()].endpoints.values().next().expect("an endpoint").clone()
}

fn healthy(scene: &Scene, name: &str) -> (String, String, String) {
    condition(&scene.kubernetes.get(&app(name)).expect("the app"), "Healthy")
}

/// The functions that were probed, in order.
fn probed(calls: &[CallRecord]) -> Vec<String> {
    calls.iter().filter(|call| call.name() == "lambda:Invoke").map(|call| call.resource.clone()).collect()
}

/// How many invocations were counted with this result.
fn counted(scene: &Scene, result: &str) -> u64 {
    let text = scene.metrics.text().expect("text");
    let name = format!("private_genai_operator_probes_total{{result=\"{result}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().expect("a count"))
}

async fn until_healthy_is(scene: &Scene, name: &str, status: &str, reason: &str) -> Value {
    let holds = |object: &Value| {
        let healthy = condition(object, "Healthy");
        (healthy.0.as_str(), healthy.1.as_str()) == (status, reason)
    };
    scene.kubernetes.until(&app(name), Duration::from_hours(1), holds).await
}

/// Waits until somebody is asked to act for this reason; gives the message.
async fn until_asked(scene: &Scene, reason: &str) -> String {
    let asked = |object: &Value| condition(object, "Stalled").1 == reason;
    let object = scene.kubernetes.until(&app("bot"), Duration::from_hours(1), asked).await;
    condition(&object, "Ready").2
}

/// An app that is ready and at rest, and everything before forgotten.
async fn at_rest() -> (Scene, VpcId) {
    let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    scene.pass(Duration::from_secs(5)).await;
    scene.forget();
    (scene, vpc)
}

/// Apps that are ready and at rest.
async fn several(scene: &Scene, vpc: &VpcId, apps: &[&str]) {
    for name in apps {
        scene.apply_app(name, vpc);
    }
    for name in apps {
        scene.until_ready(name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_is_ready_after_one_probe_which_says_where_the_path_leads() {
    scene(async {
        let mut scene = Scene::new(Delays { function_active: 60, ..Delays::default() });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        until_healthy_is(&scene, "bot", "False", "ProbePending").await;
        assert_eq!(probed(&scene.aws.journal()), Vec::<String>::new(), "nobody invokes what is not active");
        let object = scene.until_ready("bot").await;
        assert_eq!(probed(&scene.aws.journal()), [function(&scene, "bot").to_string()]);
        let (status, reason, message) = condition(&object, "Healthy");
        assert_eq!((status.as_str(), reason.as_str()), ("True", "Ready"));
        let shown = &object["status"]["endpoints"][0];
        let addresses = shown["privateIpAddresses"].as_array().expect("addresses");
        assert_eq!(addresses.len(), 2);
        for part in addresses.iter().chain([&shown["vpcEndpointId"]]) {
            assert!(message.contains(part.as_str().expect("text")), "{part} is missing in {message}");
        }
        assert!(message.contains("bedrock-runtime.us-east-1.amazonaws.com"), "{message}");
        assert_eq!(counted(&scene, "proven"), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_rest_one_app_of_each_network_is_probed_at_each_resync_without_a_write() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (one, _) = scene.vpc(&VpcShape::default());
        let (two, _) = scene.vpc(&VpcShape::default());
        scene.start();
        several(&scene, &one, &["a", "b", "c", "d", "e"]).await;
        several(&scene, &two, &["x", "y"]).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        let mut turns = Vec::new();
        for _ in 0..6 {
            scene.pass(RESYNC).await;
            let calls = scene.aws.take_journal();
            assert_eq!(writes(&calls), Vec::<String>::new());
            let mut turn = probed(&calls);
            turn.sort();
            turns.push(turn);
        }
        let of = |pair: [&str; 2]| pair.map(|name| function(&scene, name).to_string()).to_vec();
        let expected = [["a", "x"], ["b", "y"], ["c", "x"], ["d", "y"], ["e", "x"], ["a", "y"]].map(of);
        assert_eq!(turns, expected);
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_may_ask_for_its_own_interval_and_is_then_no_longer_in_turn() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        let spec = |seconds: u32| {
            json!({
                "network": {"vpcId": vpc.as_str()}, "models": [MODEL], "healthCheck": {"intervalSeconds": seconds},
            })
        };
        scene.apply("often", spec(60));
        scene.until_ready("often").await;
        scene.forget();
        scene.pass(Duration::from_hours(1) + Duration::from_secs(5)).await;
        assert_eq!(probed(&scene.aws.take_journal()).len(), 60, "once a minute");
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);

        scene.apply("often", spec(7200));
        scene.pass(SOON).await;
        scene.forget();
        scene.pass(Duration::from_hours(4)).await;
        assert_eq!(probed(&scene.aws.take_journal()).len(), 2, "every two hours, and not in turn");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_operator_probes_nothing_that_is_on_record_and_begins_the_intervals_apart() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        several(&scene, &vpc, &["a", "b", "c"]).await;
        let own = json!({
            "network": {"vpcId": vpc.as_str()}, "models": [MODEL], "healthCheck": {"intervalSeconds": 3600},
        });
        scene.apply("own", own);
        scene.until_ready("own").await;
        scene.pass(Duration::from_secs(5)).await;
        scene.stop().await;
        scene.forget();
        scene.start();
        // Less than a share of the interval, and less than a resync.
        scene.pass(Duration::from_secs(10)).await;
        assert_eq!(probed(&scene.aws.take_journal()), Vec::<String>::new());
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0);
        scene.pass(Duration::from_hours(1)).await;
        let own = function(&scene, "own").to_string();
        assert!(probed(&scene.aws.take_journal()).contains(&own), "within the interval");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_function_or_an_endpoint_that_changed_is_probed_again_at_once() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        let one = [function(&scene, "bot").to_string()];
        scene.apply(
            "bot",
            json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "function": {"memoryMiB": 1024}}),
        );
        scene.pass(SOON).await;
        assert_eq!(probed(&scene.aws.take_journal()), one, "the configuration");
        assert_eq!(healthy(&scene, "bot").0, "True");

        let before = healthy(&scene, "bot").2;
        by_hand(&scene, ByHand::ForgetEndpoint(endpoint(&scene).id));
        scene.pass(RESYNC + SOON).await;
        let (status, _, message) = healthy(&scene, "bot");
        assert_eq!(status, "True", "{message}");
        assert!(message != before && message.contains(endpoint(&scene).id.as_str()), "the new one: {message}");
        assert!(!probed(&scene.aws.take_journal()).is_empty(), "the endpoint");

        scene.kubernetes.edit(&app("bot"), |app| app["metadata"]["annotations"] = json!({"look": "now"}));
        scene.pass(SOON).await;
        assert_eq!(probed(&scene.aws.take_journal()), one, "somebody who touches the app wants to know");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_reason_tells_no_content_and_heals_by_itself() {
    scene(async {
        let private = |path: Value| {
            let mut probe = json!({"host": "bedrock-runtime.us-east-1.amazonaws.com", "port": 443});
            probe.as_object_mut().expect("an object").extend(path.as_object().expect("an object").clone());
            Behaviour::Answers(json!({"probe": probe}).to_string())
        };
        let error = |type_: &str| json!({"type": type_, "message": SECRET});
        let fails = |error_type: &str| Behaviour::Fails { error_type: error_type.into(), message: SECRET.into() };
        let table = [
            (fails("Runtime.ImportModuleError"), "FunctionError", "failed with Runtime.ImportModuleError", "function_error"),
            (fails(SECRET), "FunctionError", "the probe failed. See the function's log", "function_error"),
            (Behaviour::TimesOut, "FunctionTimedOut", "exceeded its time limit", "timed_out"),
            (Behaviour::Answers(json!({"text": SECRET}).to_string()), "FunctionError", "no answer to a probe", "unreadable"),
            (Behaviour::Answers(SECRET.into()), "FunctionError", "no answer to a probe", "unreadable"),
            (private(json!({"host": SECRET})), "FunctionError", "no answer to a probe", "unreadable"),
            (private(json!({"error": error(SECRET)})), "FunctionError", "the probe failed", "function_error"),
            (private(json!({"error": error("DnsNotFound")})), "ProbeFailed", "does not exist in the VPC", "unreachable"),
            (
                private(json!({"addresses": ["192.0.2.7"], "connectedTo": "192.0.2.7", "tls": "TLSv1.3", "authorized": true})),
                "NotPrivate",
                "leads to public addresses",
                "not_private",
            ),
        ];
        for (behaviour, reason, says, result) in table {
            let (mut scene, _) = at_rest().await;
            behave(&scene, "bot", behaviour.clone());
            let message = until_asked(&scene, reason).await;
            assert_eq!(healthy(&scene, "bot"), ("False".into(), reason.into(), message.clone()));
            let log_group = format!("/aws/lambda/{}", function(&scene, "bot"));
            for part in [says, " Request id invocation-", &log_group] {
                assert!(message.contains(part), "{behaviour:?}: {part} is missing in {message}");
            }
            assert!(counted(&scene, result) > 0, "{behaviour:?}");
            behave(&scene, "bot", Behaviour::AsUploaded);
            scene.until_ready("bot").await;
            assert_eq!(healthy(&scene, "bot").0, "True");
            let everything = [scene.kubernetes.list("events"), vec![scene.kubernetes.get(&app("bot")).expect("the app")]];
            let everything = format!("{everything:?} {}", scene.metrics.text().expect("text"));
            assert!(!everything.contains("Ann") && !everything.contains("192.0.2.7"), "{everything}");
            scene.stop().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_invocation_is_told_apart_from_a_throttled_one_which_is_a_wait() {
    scene(async {
        let (scene, _) = at_rest().await;
        scene.aws.fail_next("Invoke", Fault::access_denied().times(u32::MAX));
        scene.pass(RESYNC).await;
        let message = scene.until_refused("bot", "AccessDenied").await;
        assert!(message.contains("lambda:InvokeFunction"), "{message}");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;

        let throttled = Fault::new(429, "TooManyRequestsException", "Rate Exceeded.");
        scene.aws.fail_next("Invoke", throttled.times(u32::MAX));
        let object = until_healthy_is(&scene, "bot", "False", "Throttled").await;
        assert_eq!(
            (condition(&object, "Reconciling").0.as_str(), condition(&object, "Stalled").0.as_str()),
            ("True", "")
        );
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let probes = probed(&scene.aws.take_journal()).len();
        assert!((10..=14).contains(&probes), "{probes} attempts at what throttles, in an hour");
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "the same, with other request ids, is no news");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn three_invocations_in_a_row_that_were_not_made_leave_a_proven_app_ready() {
    scene(async {
        let throttled = Fault::new(429, "TooManyRequestsException", "Rate Exceeded.");
        for fault in [throttled, Fault::unavailable(), Fault::unreachable()] {
            let (mut scene, _) = at_rest().await;
            scene.aws.fail_next("Invoke", fault.times(3));
            scene.pass(RESYNC + Duration::from_mins(3)).await;
            assert_eq!(probed(&scene.aws.take_journal()).len(), 4, "it is probed again until that succeeds");
            assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "nothing is told that is not so");
            assert_eq!(healthy(&scene, "bot").0, "True");
            scene.stop().await;
        }
        let (scene, _) = at_rest().await;
        scene.aws.fail_next("Invoke", Fault::unavailable().times(u32::MAX));
        until_healthy_is(&scene, "bot", "Unknown", "ObservationFailed").await;
        assert_eq!(probed(&scene.aws.take_journal()).len(), 4);
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_way_closed_by_others_is_waited_for_then_told_and_probed_rarely() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        close(&scene, &vpc, true);
        let object = until_healthy_is(&scene, "bot", "False", "ProbeFailed").await;
        assert_eq!(
            (condition(&object, "Reconciling").0.as_str(), condition(&object, "Stalled").0.as_str()),
            ("True", "")
        );
        let message = until_asked(&scene, "ProbeFailed").await;
        assert!(message.contains("network ACLs"), "{message}");
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let calls = scene.aws.take_journal();
        let probes = probed(&calls).len();
        assert!((12..=20).contains(&probes), "{probes} probes in an hour");
        assert_eq!(writes(&calls), Vec::<String>::new());
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "the same, with other request ids, is no news");
        close(&scene, &vpc, false);
        scene.until_ready("bot").await;
        scene.forget();
        scene.pass(RESYNC).await;
        assert_eq!(probed(&scene.aws.take_journal()).len(), 1, "in turn again, and no more");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_app_is_not_probed_more_often_for_what_happens_around_it() {
    scene(async {
        let (scene, vpc) = at_rest().await;
        behave(&scene, "bot", Behaviour::TimesOut);
        scene.pass(RESYNC).await;
        scene.until_refused("bot", "FunctionTimedOut").await;
        scene.pass(Duration::from_mins(15)).await;
        let mine = function(&scene, "bot").to_string();
        scene.forget();
        // Each of these changes the network, whose status wakes the app.
        for n in 0..20 {
            let spec = json!({"network": {"vpcId": vpc.as_str()}, "models": [format!("a.model-{n}")]});
            scene.apply(&format!("other-{n}"), spec);
            scene.until_ready(&format!("other-{n}")).await;
        }
        let calls = scene.aws.take_journal();
        assert!(names(&calls).contains(&"ec2:ModifyVpcEndpoint".to_owned()));
        assert!(probed(&calls).iter().filter(|function| **function == mine).count() <= 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_lost_a_rule_is_claimed_again_only_once_it_is_proven_anew() {
    scene(async {
        let (scene, _) = at_rest().await;
        let world = scene.aws.world();
        let groups = &world.regions[&Scene::region()].groups;
        let group = groups.values().find(|group| group.name.contains("-endpoints-")).expect("a group");
        let revoke =
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group.id.clone(), rules: group.ingress.clone() });
        scene.aws.act(&Action::Write(Scene::region(), revoke)).expect("revoked");
        scene.kubernetes.edit(&app("bot"), |app| app["metadata"]["annotations"] = json!({"look": "now"}));
        scene.pass(SOON).await;
        assert_eq!(condition(&scene.kubernetes.get(&app("bot")).expect("the app"), "Ready").0, "True");
        scene.aws.fail_next("AuthorizeSecurityGroupIngress", Fault::access_denied().times(u32::MAX));
        let world = scene.aws.world();
        let group = &world.regions[&Scene::region()].groups[&group.id];
        let revoke =
            Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group: group.id.clone(), rules: group.ingress.clone() });
        scene.aws.act(&Action::Write(Scene::region(), revoke)).expect("revoked");
        scene.pass(RESYNC + SOON).await;
        assert_eq!(condition(&scene.kubernetes.get(&app("bot")).expect("the app"), "Ready").0, "False");
        assert_ne!(healthy(&scene, "bot").0, "True", "nobody claims a path that is cut");
        scene.forget();
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
        assert_eq!(probed(&scene.aws.take_journal()), [function(&scene, "bot").to_string()]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_function_is_found_in_turn_woken_by_one_call_and_probed_when_it_is_awake() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays { function_active: 90, ..Delays::default() }).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        let state = FunctionState::Inactive;
        by_hand(&scene, ByHand::SetFunctionState { function: function(&scene, "bot"), state, reason: None });
        let object = until_healthy_is(&scene, "bot", "False", "ProbePending").await;
        assert_eq!(
            (condition(&object, "Reconciling").0.as_str(), condition(&object, "Stalled").0.as_str()),
            ("True", "")
        );
        scene.until_ready("bot").await;
        let calls = scene.aws.take_journal();
        assert_eq!(probed(&calls).len(), 2, "one to wake it, one to prove the path");
        assert_eq!(writes(&calls), Vec::<String>::new());
        assert_eq!((counted(&scene, "not_ready"), counted(&scene, "proven")), (1, 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_function_that_does_not_wake_is_called_a_few_times_an_hour_only() {
    scene(async {
        let (scene, _) = at_rest().await;
        let state = FunctionState::Inactive;
        by_hand(&scene, ByHand::SetFunctionState { function: function(&scene, "bot"), state, reason: None });
        let asleep = Fault::new(502, "ResourceNotReadyException", "The function is inactive.");
        scene.aws.fail_next("Invoke", asleep.times(u32::MAX));
        scene.pass(RESYNC).await;
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let calls = probed(&scene.aws.take_journal()).len();
        assert!((10..=17).contains(&calls), "{calls} calls in an hour");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_told_to_stop_begins_no_probe() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        // The answer on which the probe would follow takes its time.
        scene.aws = scene.aws.dawdling(1);
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        several(&scene, &vpc, &["one"]).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        scene.apply_app("two", &vpc);
        // As far as the probe, and no farther.
        while !names(&scene.aws.journal()).contains(&"lambda:GetFunction".to_owned()) {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        scene.stop().await;
        assert_eq!(probed(&scene.aws.take_journal()), Vec::<String>::new());
        assert_ne!(healthy(&scene, "two").0, "True");
        scene.start();
        scene.until_ready("two").await;
        assert_eq!(probed(&scene.aws.take_journal()), [function(&scene, "two").to_string()]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_aws_s_api_costs_no_proof_and_no_probe_afterwards() {
    scene(async {
        let (scene, _) = at_rest().await;
        let before = healthy(&scene, "bot");
        scene.aws.fail_next("*", Fault::unavailable().times(u32::MAX));
        scene.pass(RESYNC + Duration::from_mins(3)).await;
        let object = scene.kubernetes.get(&app("bot")).expect("the app");
        assert_eq!(condition(&object, "Ready").0, "Unknown", "{object:#}");
        scene.aws.clear_faults();
        scene.aws.take_journal();
        scene.until_ready("bot").await;
        assert_eq!(healthy(&scene, "bot"), before);
        assert_eq!(probed(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}
