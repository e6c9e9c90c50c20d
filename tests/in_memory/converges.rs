//! An app becomes ready, stays as it is, and takes up where a killed operator left off.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::{
    memory::{
        aws::{Delays, Fault, VpcShape},
        kubernetes,
    },
    scene::{MODEL, Scene, app, condition, network, scene, writes},
};

#[tokio::test(start_paused = true)]
async fn three_lines_become_a_path_without_waiting_for_any_timer() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, subnets) = scene.vpc(&VpcShape::default());
        scene.start();
        let applied = Instant::now();
        scene.apply_app("bot", &vpc);
        let object = scene.until_ready("bot").await;
        // The queue's own clock ticks in milliseconds; a timer of ours would be a second at least.
        assert!(applied.elapsed() < Duration::from_millis(100), "it took {:?} of virtual time", applied.elapsed());

        for kind in ["Accepted", "NetworkReady", "EndpointReady", "ExecutionRoleReady", "FunctionReady", "Healthy"] {
            assert_eq!(condition(&object, kind).0, "True", "{kind} of {object:#}");
        }
        for absent in ["Reconciling", "Stalled"] {
            assert_eq!(condition(&object, absent).0, "", "{absent} is present only while it is true");
        }
        let status = &object["status"];
        assert_eq!(status["observedGeneration"], object["metadata"]["generation"]);
        let endpoint = &status["endpoints"][0];
        assert_eq!(endpoint["service"], "bedrock-runtime");
        assert_eq!(endpoint["state"], "available");
        assert_eq!(endpoint["models"], json!([MODEL]));
        assert_eq!(endpoint["interfaces"].as_array().map(Vec::len), Some(subnets.len()));
        assert_eq!(endpoint["privateIpAddresses"].as_array().map(Vec::len), Some(subnets.len()));
        assert!(status["function"]["arn"].as_str().is_some_and(|arn| arn.contains(":function:pgai-team-a-bot-")));
        assert_eq!(status["function"]["state"], "Active");

        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        assert_eq!(region.endpoints.len(), 1);
        assert_eq!(region.functions.len(), 1);
        let function = &region.functions.values().next().expect("a function").detail.listing.configuration;
        assert_eq!(function.subnets, subnets.into_iter().collect());
        assert_eq!(function.security_groups.len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_aws_takes_its_time_for_is_waited_for_and_told() {
    scene(async {
        let mut scene = Scene::new(Delays {
            ec2_visible: 2,
            endpoint_available: 90,
            function_active: 20,
            interfaces_created: 60,
            role_usable: 8,
            role_visible: 3,
            ..Delays::default()
        });
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        scene.apply_app("bot", &vpc);
        let waiting = scene
            .kubernetes
            .until(&app("bot"), Duration::from_mins(10), |app| condition(app, "EndpointReady").1 == "EndpointPending")
            .await;
        assert_eq!(condition(&waiting, "Reconciling").0, "True");
        assert_eq!(condition(&waiting, "Stalled").0, "", "nobody has to act: {waiting:#}");
        let began = Instant::now();
        scene.until_ready("bot").await;
        assert!(began.elapsed() < Duration::from_mins(5), "{:?}", began.elapsed());
        let calls = scene.aws.take_journal();
        let made = |name: &str| writes(&calls).iter().filter(|call| *call == name).count();
        // AWS does not show a new endpoint at once; the same client token brings up the same one again.
        assert!(made("ec2:CreateVpcEndpoint") <= 3, "{}", made("ec2:CreateVpcEndpoint"));
        assert_eq!(scene.aws.world().regions[&Scene::region()].endpoints.len(), 1);
        assert!(calls.len() < 250, "waiting is cheap: {} calls", calls.len());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_at_rest_writes_nothing_to_aws_or_kubernetes() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        for name in ["one", "two", "three"] {
            scene.apply_app(name, &vpc);
        }
        for name in ["one", "two", "three"] {
            scene.until_ready(name).await;
        }
        scene.pass(Duration::from_secs(10)).await;
        scene.stop().await;
        scene.forget();
        scene.start();
        scene.pass(Duration::from_secs(30)).await;
        let calls = scene.aws.take_journal();
        assert!(!calls.is_empty(), "the new operator looked at AWS");
        assert_eq!(writes(&calls), Vec::<String>::new());
        assert!(
            !calls.iter().any(|call| call.name() == "lambda:GetFunction"),
            "what is settled is not asked for one by one"
        );
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_kubernetes_never_answered_ends_at_once_when_stopped() {
    for fault in [kubernetes::Fault::answer(429), kubernetes::Fault::answer(503), kubernetes::Fault::hang()] {
        scene(async {
            let mut scene = Scene::new(Delays::default());
            scene.kubernetes.inject(fault.clone().times(usize::MAX));
            scene.start();
            scene.pass(Duration::from_mins(1)).await;
            let signalled = Instant::now();
            scene.stop().await;
            assert!(signalled.elapsed() < Duration::from_secs(1), "{fault:?}: {:?}", signalled.elapsed());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn killed_after_any_call_a_new_operator_reaches_the_same_end() {
    scene(async {
        let undisturbed = life(None).await.expect("the whole life");
        let mut crashes = 0;
        for calls in 1.. {
            match life(Some(calls)).await {
                Some(_) => crashes += 1,
                None => break,
            }
        }
        assert!(crashes >= undisturbed, "{crashes} crash points of {undisturbed} calls");
    })
    .await;
}

/// An app lives from nothing to nothing; with `killed_after`, the operator is killed once AWS has answered so many
/// calls, and another one started. Gives the number of calls, or `None` if there were fewer.
async fn life(killed_after: Option<usize>) -> Option<usize> {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.start();
    scene.apply_app("bot", &vpc);
    let mut killed = false;
    let mut deleted = false;
    loop {
        let done = scene.kubernetes.get(&app("bot")).is_none() && scene.kubernetes.get(&network(&vpc)).is_none();
        if deleted && done {
            break;
        }
        if !killed && killed_after.is_some_and(|calls| scene.aws.calls() >= calls) {
            killed = true;
            scene.kill().await;
            scene.start();
        }
        if !deleted && scene.kubernetes.get(&app("bot")).is_some_and(|app| condition(&app, "Ready").0 == "True") {
            let world = scene.aws.world();
            let region = &world.regions[&Scene::region()];
            assert_eq!((region.endpoints.len(), region.functions.len(), world.roles.len()), (1, 1, 1));
            deleted = true;
            scene.kubernetes.delete(&app("bot"));
        }
        tokio::task::yield_now().await;
        assert!(scene.aws.calls() < 2000, "no end after 2000 calls: {:?}", scene.kubernetes.get(&app("bot")));
        // Only what waits for a timer needs the clock; one step at a time keeps kills precise.
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    scene.assert_aws_is_empty();
    let calls = scene.aws.calls();
    scene.kill().await;
    (killed || killed_after.is_none()).then_some(calls)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_for_a_while_heals_and_a_refused_one_is_told_calmly() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.aws.fail_next("CreateVpcEndpoint", Fault::throttled().times(3));
        scene.aws.fail_next("CreateRole", Fault::answer_lost());
        scene.aws.fail_next("CreateFunction", Fault::access_denied().times(u32::MAX));
        scene.start();
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "AccessDenied").await;
        assert!(message.contains("lambda:CreateFunction"), "{message}");
        scene.forget();
        let version = scene.kubernetes.get(&app("bot")).expect("the app")["metadata"]["resourceVersion"].clone();
        scene.pass(Duration::from_mins(10)).await;
        let attempts = scene.aws.take_journal().iter().filter(|call| call.name() == "lambda:CreateFunction").count();
        assert!((2..=12).contains(&attempts), "{attempts} attempts in ten minutes");
        let now = scene.kubernetes.get(&app("bot")).expect("the app")["metadata"]["resourceVersion"].clone();
        assert_eq!(version, now, "the same refusal, with another request id, is not written again");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_function_that_keeps_failing_is_told_and_made_anew_every_few_minutes() {
    use crate::memory::aws::{Action, ByHand};
    use private_genai_operator::aws::FunctionState;

    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.forget();
        // Whenever it comes up again, it fails again; a change of the spec makes the operator look.
        for n in 0..40 {
            let world = scene.aws.world();
            for name in world.regions[&Scene::region()].functions.keys() {
                let failed =
                    ByHand::SetFunctionState { function: name.clone(), state: FunctionState::Failed, reason: None };
                drop(scene.aws.act(&Action::ByHand(Scene::region(), failed)));
            }
            scene.kubernetes.edit(&app("bot"), |app| app["spec"]["function"] = json!({"memoryMiB": 600 + n}));
            scene.pass(Duration::from_secs(30)).await;
        }
        let made = writes(&scene.aws.take_journal()).iter().filter(|call| *call == "lambda:CreateFunction").count();
        assert!((1..=6).contains(&made), "made anew {made} times in twenty minutes");
    })
    .await;
}
