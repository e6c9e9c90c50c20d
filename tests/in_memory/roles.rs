//! Where IAM does not show all roles at once, they are read one by one: all works the same, at a cost that does not follow
//! the number of apps.

use std::{sync::Arc, time::Duration};

use private_genai_operator::aws::{IamWrite, MaxAge, PolicyDocument, RowName, Snapshots, Write};

use crate::{
    memory::aws::{Action, CallRecord, Delays, Fault, VpcShape},
    scene::{RESYNC, Scene, app, assert_at_most, names, scene, writes},
};

fn denied() -> Fault {
    Fault::access_denied().times(u32::MAX)
}

fn name(n: usize) -> String {
    format!("app-{n:02}")
}

/// A scene in which IAM never shows all roles at once, with so many apps, at rest.
async fn with_apps(apps: usize, delays: Delays) -> Scene {
    let mut scene = Scene::new(delays);
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.aws.fail_next("GetAccountAuthorizationDetails", denied());
    scene.start();
    for n in 0..apps {
        scene.apply_app(&name(n), &vpc);
    }
    for n in 0..apps {
        scene.until_ready(&name(n)).await;
    }
    scene.pass(Duration::from_secs(30)).await;
    scene
}

fn iam_calls(scene: &Scene) -> Vec<String> {
    names(&scene.aws.take_journal()).into_iter().filter(|call| call.starts_with("iam:")).collect()
}

#[tokio::test(start_paused = true)]
async fn an_app_lives_from_its_creation_to_its_end_without_a_look_at_all_roles() {
    for delays in [Delays::default(), Delays { role_visible: 20, role_usable: 10, ..Delays::default() }] {
        scene(async {
            let mut scene = with_apps(2, delays).await;
            let vpc = scene.aws.world().regions[&Scene::region()].vpcs.keys().next().cloned().expect("a VPC");
            scene.stop().await;
            scene.start();
            scene.pass(RESYNC).await;
            for n in 0..2 {
                scene.until_ready(&name(n)).await;
            }
            for n in 0..2 {
                scene.kubernetes.delete(&app(&name(n)));
            }
            for n in 0..2 {
                scene.until_gone(&name(n)).await;
            }
            scene.until_network_gone(&vpc).await;
            scene.assert_aws_is_empty();
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_denial_is_remembered_for_an_hour_and_then_asked_for_again() {
    scene(async {
        let scene = with_apps(1, Delays::default()).await;
        scene.forget();
        scene.pass(Duration::from_hours(6)).await;
        let asked = iam_calls(&scene).iter().filter(|call| *call == "iam:GetAccountAuthorizationDetails").count();
        assert!((5..=6).contains(&asked), "{asked}");
        scene.aws.clear_faults();
        scene.pass(Duration::from_mins(70)).await;
        scene.forget();
        scene.pass(RESYNC).await;
        assert_at_most(&iam_calls(&scene), [("iam:GetAccountAuthorizationDetails", 1)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_resync_costs_the_same_few_calls_for_ten_apps_and_for_thirty_and_writes_nothing() {
    scene(async {
        let mut costs = Vec::new();
        for apps in [10, 30] {
            let scene = with_apps(apps, Delays::default()).await;
            scene.pass(RESYNC).await;
            scene.forget();
            scene.pass(RESYNC).await;
            let calls = scene.aws.take_journal();
            assert_eq!(writes(&calls), Vec::<String>::new());
            let iam: Vec<String> = names(&calls).into_iter().filter(|call| call.starts_with("iam:")).collect();
            let count = |name: &str| iam.iter().filter(|call| *call == name).count();
            // Five in turn, and the app whose function is looked at closely: in one look with the others or in one of its
            // own, whichever object comes first.
            let looks = count("iam:ListRoles");
            assert!((1..=2).contains(&looks), "{iam:?}");
            assert!(count("iam:GetRole") <= 6, "{iam:?}");
            costs.push(iam.len() - looks);
        }
        assert!(costs.iter().all(|cost| *cost <= 24), "{costs:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changes_on_any_of_thirty_roles_is_put_right_within_six_resyncs() {
    scene(async {
        let scene = with_apps(30, Delays::default()).await;
        let before = scene.aws.world().roles;
        for (role, record) in &before {
            for policy in record.role.inline_policies.keys() {
                let document = PolicyDocument::new(&serde_json::json!({
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
                }));
                let write =
                    Write::Iam(IamWrite::PutRolePolicy { role: role.clone(), policy: policy.clone(), document });
                scene.aws.act(&Action::Write(Scene::region(), write)).expect("by hand");
            }
        }
        assert_ne!(scene.aws.world().roles, before);
        for _ in 0..6 {
            scene.pass(RESYNC).await;
        }
        scene.pass(Duration::from_secs(30)).await;
        assert_eq!(scene.aws.world().roles, before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_to_a_role_shows_at_the_next_look() {
    scene(async {
        let mut scene = with_apps(1, Delays::default()).await;
        scene.stop().await;
        let snapshots = Snapshots::new(Arc::new(scene.aws.clone()), Scene::installation(), Scene::region());
        let snapshot = snapshots.region(&Scene::region());
        let roles = snapshot.roles(MaxAge::Any).await.expect("roles");
        let (role, shown) = roles.first_key_value().expect("a role");
        let (policy, _) = shown.inline_policies.first_key_value().expect("its policy");
        let write = Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy: policy.clone() });
        snapshot.write(&write).await.expect("done");
        let roles = snapshot.roles(MaxAge::Any).await.expect("roles");
        assert!(roles[role].inline_policies.is_empty(), "{roles:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_iam_did_not_show_yet_after_a_write_is_read_again_a_minute_later() {
    scene(async {
        let mut scene = with_apps(12, Delays { role_visible: 20, ..Delays::default() }).await;
        scene.stop().await;
        let snapshots = Snapshots::new(Arc::new(scene.aws.clone()), Scene::installation(), Scene::region());
        let snapshot = snapshots.region(&Scene::region());
        let roles = snapshot.roles(MaxAge::Any).await.expect("roles");
        let (role, shown) = roles.last_key_value().expect("a role");
        let (policy, _) = shown.inline_policies.first_key_value().expect("its policy");
        let write = Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy: policy.clone() });
        snapshot.write(&write).await.expect("done");
        for _ in 0..2 {
            let roles = snapshot.roles(MaxAge::Any).await.expect("roles");
            assert!(roles[role].inline_policies.is_empty(), "what we wrote is believed: {roles:?}");
            // IAM does not show it yet.
            snapshots.resync();
        }
        scene.pass(Duration::from_secs(61)).await;
        scene.forget();
        // The turn of the first five.
        snapshots.resync();
        let roles = snapshot.roles(MaxAge::Any).await.expect("roles");
        assert!(roles[role].inline_policies.is_empty(), "{roles:?}");
        let read = |calls: Vec<CallRecord>| -> Vec<String> {
            let reads = calls.into_iter().filter(|call| call.name() == "iam:GetRole");
            reads.map(|call| call.resource).collect()
        };
        assert!(read(scene.aws.take_journal()).contains(&role.to_string()), "it is read again");
        scene.forget();
        snapshot.forget_row(&RowName::Role(roles.first_key_value().expect("a role").0.clone()));
        snapshot.roles(MaxAge::Any).await.expect("roles");
        let read = iam_calls(&scene).into_iter().filter(|call| call == "iam:GetRole").count();
        assert!(read <= 1, "and then no more");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_touched_has_its_role_looked_at_now() {
    scene(async {
        let scene = with_apps(12, Delays::default()).await;
        let before = scene.aws.world().roles;
        let (role, record) = before.iter().find(|(role, _)| role.as_str().contains("app-11")).expect("its role");
        let policy = record.role.inline_policies.keys().next().cloned().expect("its policy");
        let write = Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy });
        scene.aws.act(&Action::Write(Scene::region(), write)).expect("by hand");
        scene.kubernetes.apply(serde_json::json!({
            "apiVersion": "privategenai.dev/v1alpha1",
            "kind": "PrivateGenAIApp",
            "metadata": {"name": "app-11", "namespace": "team-a", "annotations": {"look": "now"}},
            "spec": scene.kubernetes.get(&app("app-11")).expect("the app")["spec"],
        }));
        scene.pass(Duration::from_secs(10)).await;
        assert_eq!(scene.aws.world().roles, before);
    })
    .await;
}
