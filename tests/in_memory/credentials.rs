//! What AWS thinks of the operator's credentials: told on every object and by `/readyz`, asked for a few times a minute,
//! and over as soon as they are valid.

use std::time::Duration;

use crate::{
    memory::aws::{Delays, Fault, VpcShape},
    scene::{LONG, RESYNC, Scene, app, assert_at_most, condition, names, scene, writes},
};

fn expired() -> Fault {
    Fault::new(403, "ExpiredToken", "The security token included in the request is expired").times(u32::MAX)
}

async fn until_not_ready(scene: &Scene) -> String {
    for _ in 0..LONG.as_secs() {
        if let Err(why) = scene.ready.verdict() {
            return why;
        }
        scene.pass(Duration::from_secs(1)).await;
    }
    panic!("the operator stays ready");
}

#[tokio::test(start_paused = true)]
async fn without_credentials_the_operator_says_so_at_once_and_asks_four_times_a_minute() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.aws.fail_next("*", expired());
        scene.start();
        scene.pass(Duration::from_secs(1)).await;
        let why = scene.ready.verdict().expect_err("not ready");
        assert!(why.contains("ExpiredToken") && why.contains("ServiceAccount"), "{why}");
        scene.apply_app("bot", &vpc);
        let message = scene.until_refused("bot", "CredentialsInvalid").await;
        assert!(message.contains("valid AWS credentials"), "{message}");
        scene.forget();
        scene.pass(Duration::from_mins(10)).await;
        assert_at_most(&names(&scene.aws.take_journal()), [("sts:GetCallerIdentity", 40)]);
        assert_eq!(scene.kubernetes.take_journal().writes().len(), 0, "a request id of each answer changes no status");

        scene.aws.clear_faults();
        scene.pass(Duration::from_secs(16)).await;
        assert_eq!(scene.ready.verdict(), Ok(()));
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_told_on_every_object_and_all_goes_on_with_valid_ones() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.apply_app("other", &vpc);
        scene.until_ready("other").await;
        scene.pass(Duration::from_secs(30)).await;
        assert_eq!(scene.ready.verdict(), Ok(()));
        scene.aws.fail_next("*", expired());
        scene.pass(RESYNC).await;
        let why = scene.ready.verdict().expect_err("the first call that fails is enough");
        assert!(why.contains("ExpiredToken"), "{why}");
        for name in ["bot", "other"] {
            scene.until_refused(name, "CredentialsInvalid").await;
        }
        let networks = scene.kubernetes.list("privategenainetworks");
        assert_eq!(condition(&networks[0], "Ready").1, "CredentialsInvalid");
        scene.forget();
        scene.pass(RESYNC).await;
        // And no call for any object.
        assert_at_most(&names(&scene.aws.take_journal()), [("sts:GetCallerIdentity", 20)]);

        scene.aws.clear_faults();
        scene.pass(Duration::from_secs(20)).await;
        assert_eq!(scene.ready.verdict(), Ok(()));
        for name in ["bot", "other"] {
            let object = scene.kubernetes.get(&app(name)).expect("an app");
            assert_eq!(condition(&object, "Ready").0, "True", "nobody waits for the next resync");
        }
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_alone_refuses_the_credentials_leaves_the_operator_ready() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let fault = Fault::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials");
        scene.aws.fail_next("DescribeVpcEndpoints", fault.times(u32::MAX));
        scene.start();
        scene.apply_app("bot", &vpc);
        scene.until_refused("bot", "CredentialsInvalid").await;
        scene.pass(Duration::from_mins(30)).await;
        assert_eq!(scene.ready.verdict(), Ok(()));
        scene.forget();
        scene.pass(Duration::from_mins(30)).await;
        let calls = names(&scene.aws.take_journal());
        let asked = calls.iter().filter(|call| *call == "sts:GetCallerIdentity").count();
        assert!(asked <= 12, "once for each call that fails: {calls:?}");
        scene.aws.clear_faults();
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_of_another_account_are_refused_and_nothing_is_made_there() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(30)).await;
        scene.aws.fail_next("*", expired());
        scene.pass(RESYNC).await;
        until_not_ready(&scene).await;
        scene.aws.become_account(&"999999999999".parse().expect("an account"));
        scene.aws.clear_faults();
        scene.forget();
        scene.apply_app("other", &vpc);
        let message = |app: &serde_json::Value| condition(app, "Ready").2;
        let other = scene.kubernetes.until(&app("other"), LONG, |app| message(app).contains("999999999999")).await;
        assert!(message(&other).contains("this operator works in account 123456789012"), "{other:#}");
        let why = scene.ready.verdict().expect_err("not ready");
        assert!(why.contains("999999999999") && why.contains("give it credentials of 123456789012"), "{why}");
        scene.pass(RESYNC).await;
        assert!(names(&scene.aws.take_journal()).iter().all(|call| call == "sts:GetCallerIdentity"));

        scene.aws.become_account(&"123456789012".parse().expect("an account"));
        scene.until_ready("other").await;
        assert_eq!(scene.ready.verdict(), Ok(()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_of_another_account_make_the_operator_forget_nothing_in_its_own() {
    scene(async {
        let (mut scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.stop().await;
        scene.aws.become_account(&"999999999999".parse().expect("an account"));
        scene.kubernetes.delete(&app("bot"));
        scene.forget();
        scene.start();
        scene.pass(RESYNC).await;
        assert!(names(&scene.aws.take_journal()).iter().all(|call| call == "sts:GetCallerIdentity"));
        let object = scene.kubernetes.get(&app("bot")).expect("it is held: its resources are in the other account");
        assert_eq!(condition(&object, "Ready").1, "CredentialsInvalid", "{object:#}");

        scene.aws.become_account(&"123456789012".parse().expect("an account"));
        scene.until_nothing_is_left("bot", &vpc).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_sts_that_gives_no_answer_once_the_credentials_were_accepted() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.aws.fail_next("GetCallerIdentity", Fault::unreachable().times(u32::MAX));
        let fault = Fault::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials");
        let functions = scene.aws.world().regions.remove(&Scene::region()).expect("the region").functions;
        let function = functions.keys().next().expect("a function").as_str().to_owned();
        scene.aws.fail_next("GetFunction", fault.times(u32::MAX).only(function));
        scene.pass(RESYNC * 3).await;
        let asked = names(&scene.aws.take_journal()).iter().filter(|call| *call == "sts:GetCallerIdentity").count();
        assert!(asked > 1, "the credentials are suspect");
        scene.apply_app("another", &vpc);
        scene.until_ready("another").await;
        assert_eq!(scene.ready.verdict(), Ok(()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_aws_that_cannot_be_reached_at_the_start_makes_no_operator_unready() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        scene.aws.fail_next("*", Fault::unreachable().times(u32::MAX));
        scene.start();
        scene.pass(Duration::from_secs(1)).await;
        assert_eq!(scene.ready.verdict(), Ok(()));
        scene.pass(Duration::from_mins(5)).await;
        assert_eq!(scene.ready.verdict(), Ok(()));
    })
    .await;
}
