//! For how long logs are kept: what somebody keeps for longer is not deleted, unless the app says so.

use std::time::Duration;

use private_genai_operator::aws::{LogGroup, LogGroupName, LogsWrite, VpcId, Write};
use serde_json::json;

use crate::{
    memory::aws::{Action, ByHand, Delays, Fault},
    scene::{MODEL, RESYNC, Scene, app, condition, scene, writes},
};

const SOON: Duration = Duration::from_secs(30);

fn group(scene: &Scene) -> LogGroup {
    let world = scene.aws.world();
    world.regions[&Scene::region()].log_groups.values().next().expect("a log group").group.clone()
}

fn act(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

fn says(scene: &Scene, vpc: &VpcId, days: u32) {
    let function = json!({"logging": {"retentionDays": days}});
    scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "function": function}));
}

/// An app at rest, in whose log group something is stored.
async fn at_rest() -> (Scene, VpcId, LogGroupName) {
    let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    scene.pass(Duration::from_secs(10)).await;
    let name = group(&scene).name;
    act(&scene, ByHand::StoreLogs { group: name.clone(), bytes: 4_096 });
    scene.forget();
    (scene, vpc, name)
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_kept_longer_or_for_ever_stays_so_until_the_app_says_how_long() {
    scene(async {
        for longer in [Some(365), None] {
            let (scene, vpc, name) = at_rest().await;
            let deed = match longer {
                Some(days) => Action::Write(
                    Scene::region(),
                    Write::Logs(LogsWrite::PutRetentionPolicy { name: name.clone(), days }),
                ),
                None => Action::ByHand(Scene::region(), ByHand::DeleteRetentionPolicy(name.clone())),
            };
            scene.aws.act(&deed).expect("AWS lets it happen");
            scene.pass(2 * RESYNC + SOON).await;
            assert_eq!(writes(&scene.aws.take_journal()), Vec::<String>::new(), "{longer:?}");
            assert_eq!(group(&scene).retention_days, longer);
            assert_eq!(condition(&scene.kubernetes.get(&app("bot")).expect("the app"), "Ready").0, "True");
            says(&scene, &vpc, 14);
            scene.pass(SOON).await;
            assert_eq!(writes(&scene.aws.take_journal()), ["logs:PutRetentionPolicy"], "{longer:?}");
            assert_eq!(group(&scene).retention_days, Some(14));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_kept_for_less_gets_a_month_again_or_what_the_app_says() {
    scene(async {
        for (says_days, kept) in [(None, 30), (Some(90), 90)] {
            let (scene, vpc, name) = at_rest().await;
            if let Some(days) = says_days {
                says(&scene, &vpc, days);
                scene.pass(SOON).await;
                scene.forget();
            }
            let shorter = Write::Logs(LogsWrite::PutRetentionPolicy { name, days: 3 });
            scene.aws.act(&Action::Write(Scene::region(), shorter)).expect("AWS lets it happen");
            scene.pass(RESYNC + SOON).await;
            assert_eq!(group(&scene).retention_days, Some(kept));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_before_the_retention_the_next_operator_writes_it_however_late() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&crate::memory::aws::VpcShape::default());
        scene.aws.fail_next("PutRetentionPolicy", Fault::unavailable().times(u32::MAX));
        scene.start();
        scene.apply_app("bot", &vpc);
        while scene.aws.world().regions[&Scene::region()].log_groups.is_empty() {
            scene.pass(Duration::from_secs(1)).await;
        }
        scene.kill().await;
        assert_eq!(group(&scene).retention_days, None, "that is how a group begins");
        scene.pass(Duration::from_hours(48)).await;
        scene.aws.clear_faults();
        scene.start();
        scene.until_ready("bot").await;
        assert_eq!(group(&scene).retention_days, Some(30));
    })
    .await;
}
