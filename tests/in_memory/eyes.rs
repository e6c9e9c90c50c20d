//! What the metrics show of the objects and of how AWS is looked at.

use std::time::Duration;

use crate::{
    memory::{
        aws::{Delays, Fault},
        kubernetes::{Fault as Kubernetes, Verb},
    },
    scene::{RESYNC, Scene, app, scene},
};

fn shows(scene: &Scene, line: &str) -> bool {
    let text = scene.metrics.text().expect("text");
    text.lines().any(|shown| shown.strip_prefix("private_genai_operator_").is_some_and(|shown| shown.starts_with(line)))
}

#[tokio::test(start_paused = true)]
async fn objects_are_counted_by_their_conditions_and_no_more_when_they_are_gone() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        scene.apply_app("another", &vpc);
        scene.apply_app("refused", &"vpc-0deadbee".parse().expect("a VPC id"));
        scene.until_ready("another").await;
        scene.until_refused("refused", "VpcNotFound").await;
        scene.pass(Duration::from_secs(5)).await;
        for line in [
            r#"objects{kind="app",condition="Ready",status="True"} 2"#,
            r#"objects{kind="app",condition="Ready",status="False"} 1"#,
            r#"objects{kind="app",condition="Stalled",status="True"} 1"#,
            r#"objects{kind="network",condition="EndpointsReady",status="True"} 1"#,
            r#"ready_after_seconds_count{kind="app"} 2"#,
            r#"ready_after_seconds_count{kind="network"} 1"#,
            r#"queue{kind="app"} 0"#,
            r#"queue{kind="network"} 0"#,
        ] {
            assert!(shows(&scene, line), "{line} is missing in {}", scene.metrics.text().expect("text"));
        }
        for name in ["bot", "another", "refused"] {
            scene.kubernetes.delete(&app(name));
            scene.until_gone(name).await;
        }
        scene.until_network_gone(&vpc).await;
        scene.pass(Duration::from_secs(5)).await;
        assert!(!shows(&scene, r#"objects{kind="app""#), "{}", scene.metrics.text().expect("text"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_while_it_waits_to_be_looked_at_waits_no_more() {
    scene(async {
        let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
        // More than are looked at at a time, and each look takes a while.
        let waiting: Vec<String> = (0..40).map(|n| format!("waits-{n}")).collect();
        let slow = Kubernetes::delay(Duration::from_secs(20)).on(Verb::Patch).of("privategenaiapps");
        scene.kubernetes.inject(slow.times(1_000));
        for name in &waiting {
            scene.apply_app(name, &vpc);
        }
        scene.pass(Duration::from_secs(2)).await;
        assert!(!shows(&scene, r#"queue{kind="app"} 0"#), "{}", scene.metrics.text().expect("text"));
        for name in &waiting {
            scene.kubernetes.drop_finalizers(&app(name));
            scene.kubernetes.delete(&app(name));
        }
        scene.pass(Duration::from_mins(10)).await;
        assert!(shows(&scene, r#"queue{kind="app"} 0"#), "{}", scene.metrics.text().expect("text"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_age_of_what_is_known_grows_while_aws_does_not_answer() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        let age = |table: &str| {
            let text = scene.metrics.text().expect("text");
            let line =
                format!("private_genai_operator_snapshot_age_seconds{{region=\"us-east-1\",table=\"{table}\"}} ");
            let shown = text.lines().find_map(|shown| shown.strip_prefix(&line)).unwrap_or_else(|| panic!("{line}"));
            shown.parse::<f64>().expect("seconds")
        };
        scene.pass(RESYNC).await;
        let tables = ["endpoints", "security_groups", "functions", "log_groups", "roles"];
        for table in tables.iter().chain(&["vpcs", "vpc_dns", "subnets", "route_tables"]) {
            assert!(age(table) <= RESYNC.as_secs_f64(), "{table}");
        }
        scene.aws.fail_next("DescribeSecurityGroups", Fault::unavailable().times(u32::MAX));
        scene.pass(2 * RESYNC).await;
        assert!(age("security_groups") > RESYNC.as_secs_f64());
        assert!(age("functions") <= RESYNC.as_secs_f64());
    })
    .await;
}
