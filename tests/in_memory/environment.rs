//! An environment that Lambda cannot decrypt is told, and never written anew for that.

use private_genai_operator::aws::{FunctionName, Setting};

use crate::{
    memory::aws::{Action, ByHand, Delays},
    scene::{LONG, RESYNC, Scene, app, condition, scene, writes},
};

fn function(scene: &Scene) -> FunctionName {
    let world = scene.aws.world();
    world.regions[&Scene::region()].functions.keys().next().cloned().expect("a function")
}

fn act(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_lambda_cannot_decrypt_has_its_own_reason_and_stays() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        let function = function(&scene);
        let lock =
            |code: Option<&str>| ByHand::LockEnvironment { function: function.clone(), code: code.map(str::to_owned) };
        act(&scene, lock(Some("KMSDisabledException")));
        scene.forget();
        let message = scene.until_refused("bot", "EnvironmentUnreadable").await;
        assert!(message.contains("KMSDisabledException") && message.contains("Enable the KMS key"), "{message}");
        scene.pass(3 * RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "nothing is rewritten blindly");
        let events = scene.kubernetes.list("events").into_iter().filter(|event| event["reason"] == "DriftRepaired");
        assert_eq!(events.count(), 0);
        act(&scene, lock(None));
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_key_of_a_function_is_replaced_with_the_environment_as_it_should_be() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        let function = function(&scene);
        act(&scene, ByHand::AlterFunction { function: function.clone(), setting: Setting::Key });
        let code = Some("KMSDisabledException".to_owned());
        act(&scene, ByHand::LockEnvironment { function: function.clone(), code });
        scene.forget();
        scene.pass(RESYNC + RESYNC).await;
        assert_eq!(writes(&scene.aws.take_journal()), ["lambda:UpdateFunctionConfiguration"]);
        scene.until_ready("bot").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_a_kms_key_keeps_from_running_is_no_aws_that_is_unwell() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        let words = "Lambda couldn't decrypt the environment variables because the KMS key used is disabled.";
        let fault = crate::memory::aws::Fault::new(502, "KMSDisabledException", words).times(u32::MAX);
        scene.aws.fail_next("Invoke", fault);
        let reason = |object: &serde_json::Value| condition(object, "Healthy").1;
        let object = scene.kubernetes.until(&app("bot"), LONG, |object| reason(object) != "Ready").await;
        let (status, reason, message) = condition(&object, "Healthy");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "EnvironmentUnreadable"), "{message}");
        assert!(message.contains("enable the KMS key"), "{message}");
    })
    .await;
}
