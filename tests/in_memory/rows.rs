//! Rows are true whoever writes, and whatever comes late: our own write shows at once, an older answer does not undo it, and what
//! somebody else changed is found as soon as one row tells.

use std::{sync::Arc, time::Duration};

use private_genai_operator::aws::{
    FunctionName, IamWrite, LambdaWrite, MaxAge, PolicyDocument, RoleName, RowName, Scope, Snapshots, Write,
};
use tokio::time::Instant;

use crate::{
    memory::aws::{Action, Delays, Fault, MemoryAws, VpcShape},
    scene::{Scene, assert_at_most, names, scene},
};

/// A scene with so many apps, whose operator is gone.
async fn left(apps: usize) -> Scene {
    let mut scene = Scene::new(Delays::default());
    let (vpc, _) = scene.vpc(&VpcShape::default());
    scene.start();
    for n in 0..apps {
        scene.apply_app(&format!("app-{n}"), &vpc);
    }
    for n in 0..apps {
        scene.until_ready(&format!("app-{n}")).await;
    }
    scene.stop().await;
    scene.pass(Duration::from_mins(2)).await;
    scene.forget();
    scene
}

fn snapshots(aws: &MemoryAws) -> Snapshots {
    Snapshots::new(Arc::new(aws.clone()), Scene::installation(), Scene::region())
}

/// A role, its function, and its policy.
fn of_app(scene: &Scene, number: usize) -> (RoleName, FunctionName, String) {
    let name = format!("app-{number}-");
    let world = scene.aws.world();
    let (role, record) = world.roles.iter().find(|(role, _)| role.as_str().contains(&name)).expect("a role");
    let policy = record.role.inline_policies.keys().next().cloned().expect("its policy");
    (role.clone(), role.as_str().parse().expect("a function"), policy)
}

fn delete_policy(role: &RoleName, policy: &str) -> Write {
    Write::Iam(IamWrite::DeleteRolePolicy { role: role.clone(), policy: policy.to_owned() })
}

fn by_hand(scene: &Scene, write: Write) {
    scene.aws.act(&Action::Write(Scene::region(), write)).expect("AWS lets it happen");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_lies_is_found_by_one_read_of_it_and_has_the_whole_list_read() {
    scene(async {
        let scene = left(60).await;
        let snapshots = snapshots(&scene.aws);
        let snapshot = snapshots.region(&Scene::region());
        let functions = [0, 1].map(|number| of_app(&scene, number).1);
        assert_eq!(snapshot.functions(MaxAge::Any).await.expect("functions").len(), 60);
        for name in functions.clone() {
            by_hand(&scene, Write::Lambda(LambdaWrite::DeleteFunction { name }));
        }
        scene.forget();
        assert_eq!(snapshot.functions(MaxAge::Any).await.expect("functions").len(), 60, "nobody told");
        assert_eq!(snapshot.function(&functions[0]).await.expect("an answer"), None);
        let found = snapshot.functions(MaxAge::Any).await.expect("functions");
        assert!(functions.iter().all(|name| !found.contains_key(name)), "the other one was one of the list's too");
        snapshot.functions(MaxAge::Any).await.expect("functions");
        assert_at_most(&names(&scene.aws.take_journal()), [("lambda:GetFunction", 1), ("lambda:ListFunctions", 2)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_event_from_outside_has_one_row_read_and_no_list() {
    scene(async {
        let scene = left(60).await;
        let snapshots = snapshots(&scene.aws);
        let snapshot = snapshots.region(&Scene::region());
        let group = scene.aws.world().regions[&Scene::region()].log_groups.keys().next().cloned().expect("a group");
        assert!(snapshot.log_group(&group, MaxAge::Any).await.expect("an answer").is_some());
        by_hand(
            &scene,
            Write::Logs(private_genai_operator::aws::LogsWrite::PutRetentionPolicy { name: group.clone(), days: 7 }),
        );
        scene.forget();
        snapshots.forget_row(&Scope::own(&Scene::region()), &RowName::LogGroup(group.clone()));
        let found = snapshot.log_group(&group, MaxAge::Any).await.expect("an answer").expect("the group");
        assert_eq!(found.retention_days, Some(7));
        snapshot.log_groups(MaxAge::Any).await.expect("groups");
        assert_at_most(&names(&scene.aws.take_journal()), [("logs:DescribeLogGroups", 1)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_each_see_their_own_write_at_once_and_the_other_s_by_the_next_list() {
    scene(async {
        let scene = left(1).await;
        let (role, _, policy) = of_app(&scene, 0);
        let both = [snapshots(&scene.aws.seen_by("one")), snapshots(&scene.aws.seen_by("two"))];
        let [one, two] = both.each_ref().map(|snapshots| snapshots.region(&Scene::region()));
        let policies = async |snapshot: &private_genai_operator::aws::Snapshot| -> Vec<String> {
            let role = snapshot.role(&role, MaxAge::Any, false).await.expect("an answer").expect("the role");
            role.inline_policies.keys().cloned().collect()
        };
        for snapshot in [&one, &two] {
            assert_eq!(policies(snapshot).await, std::slice::from_ref(&policy));
        }
        let document = PolicyDocument::new(&serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}],
        }));
        let other = Write::Iam(IamWrite::PutRolePolicy { role: role.clone(), policy: "other".into(), document });
        one.write(&delete_policy(&role, &policy)).await.expect("done");
        two.write(&other).await.expect("done");
        scene.forget();
        assert_eq!(policies(&one).await, Vec::<String>::new());
        assert_eq!(policies(&two).await, ["other".to_owned(), policy.clone()], "as far as it knows");
        assert_eq!(names(&scene.aws.take_journal()), Vec::<String>::new());
        for (snapshots, snapshot) in both.iter().zip([&one, &two]) {
            snapshots.resync();
            assert_eq!(policies(snapshot).await, ["other".to_owned()]);
        }
        // What the other one did already is refused, and the row is read again.
        scene.forget();
        two.write(&delete_policy(&role, &policy)).await.expect_err("it is gone");
        assert_eq!(policies(&two).await, ["other".to_owned()]);
        let reads = ["iam:DeleteRolePolicy", "iam:GetAccountAuthorizationDetails"];
        assert_eq!(names(&scene.aws.take_journal()), reads);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_comes_after_our_write_but_was_read_before_it_does_not_undo_the_row() {
    scene(async {
        let scene = left(1).await;
        let (role, _, policy) = of_app(&scene, 0);
        let before = scene.aws.world();
        let (mut late, mut others) = (0, 0);
        for seed in 0..60 {
            let aws = MemoryAws::of(before.clone());
            let snapshots = snapshots(&aws.dawdling(seed));
            let snapshot = snapshots.region(&Scene::region());
            snapshot.roles(MaxAge::Any).await.expect("roles");
            snapshots.resync();
            aws.take_journal();
            let list = async {
                let listed = snapshot.roles(MaxAge::Any).await.expect("roles");
                (listed, Instant::now())
            };
            let write = async {
                tokio::time::sleep(Duration::from_millis(seed)).await;
                snapshot.write(&delete_policy(&role, &policy)).await.expect("done");
                Instant::now()
            };
            let ((listed, list_at), write_at) = futures::join!(list, write);
            let was_read_before = names(&aws.take_journal())[0] == "iam:GetAccountAuthorizationDetails";
            if was_read_before && list_at > write_at {
                late += 1;
                assert!(listed[&role].inline_policies.is_empty(), "seed {seed}: the list undoes the write");
            } else {
                others += 1;
            }
            for _ in 0..2 {
                let role = snapshot.role(&role, MaxAge::Any, false).await.expect("an answer").expect("the role");
                assert!(role.inline_policies.is_empty(), "seed {seed}");
            }
            assert_eq!(names(&aws.take_journal()), Vec::<String>::new(), "seed {seed}: nothing is read again");
        }
        assert!(late >= 5 && others >= 5, "{late} lists were late, {others} were not");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn twenty_writers_have_nobody_who_waits_read_a_list_again() {
    scene(async {
        let scene = left(60).await;
        let snapshots = snapshots(&scene.aws.dawdling(1));
        let snapshot = snapshots.region(&Scene::region());
        let apps: Vec<_> = (0..20).map(|number| of_app(&scene, number)).collect();
        let waiters = apps.iter().map(|(role, function, policy)| {
            let snapshot = &snapshot;
            async move {
                snapshot.roles(MaxAge::Any).await.expect("roles");
                snapshot.write(&delete_policy(role, policy)).await.expect("done");
                let role = snapshot.role(role, MaxAge::Any, false).await.expect("an answer").expect("the role");
                assert!(role.inline_policies.is_empty());
                snapshot
                    .write(&Write::Lambda(LambdaWrite::DeleteFunction { name: function.clone() }))
                    .await
                    .expect("done");
                assert_eq!(snapshot.function(function).await.expect("an answer"), None);
                assert!(snapshot.function_gone_since(function).is_some());
                assert!(!snapshot.functions(MaxAge::Any).await.expect("functions").contains_key(function));
            }
        });
        futures::future::join_all(waiters).await;
        let calls = names(&scene.aws.take_journal());
        let reads =
            [("iam:GetAccountAuthorizationDetails", 1), ("lambda:GetFunction", 20), ("lambda:ListFunctions", 2)];
        let writes = [("iam:DeleteRolePolicy", 20), ("lambda:DeleteFunction", 20)];
        assert_at_most(&calls, reads.into_iter().chain(writes));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_leaves_its_row_open_and_no_other() {
    scene(async {
        let scene = left(60).await;
        let snapshots = snapshots(&scene.aws);
        let snapshot = snapshots.region(&Scene::region());
        let (_, function, _) = of_app(&scene, 0);
        snapshot.functions(MaxAge::Any).await.expect("functions");
        scene.forget();
        scene.aws.fail_next("DeleteFunction", Fault::answer_lost());
        let delete = Write::Lambda(LambdaWrite::DeleteFunction { name: function.clone() });
        snapshot.write(&delete).await.expect_err("no answer");
        let found = snapshot.functions(MaxAge::Any).await.expect("functions");
        assert_eq!((found.len(), found.contains_key(&function)), (59, false));
        let calls = names(&scene.aws.take_journal());
        assert_eq!(calls, ["lambda:DeleteFunction", "lambda:GetFunction"]);
    })
    .await;
}
