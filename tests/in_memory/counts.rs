//! How many calls things cost: writes exactly, reads at most.

use std::time::Duration;

use crate::{
    memory::aws::{Delays, VpcShape},
    scene::{RESYNC, Scene, app, assert_at_most, names, reads, scene, writes},
};

#[tokio::test(start_paused = true)]
async fn one_more_app_costs_five_writes_and_reads_of_its_own_get_function_and_a_probe() {
    scene(async {
        let (scene, vpc) = Scene::with_app("first", Delays::default()).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();

        scene.apply_app("second", &vpc);
        scene.until_ready("second").await;
        scene.pass(Duration::from_secs(5)).await;
        let calls = scene.aws.take_journal();
        assert_eq!(
            writes(&calls),
            [
                "iam:CreateRole",
                "iam:PutRolePolicy",
                "logs:CreateLogGroup",
                "logs:PutRetentionPolicy",
                "lambda:CreateFunction"
            ]
        );
        // Three tables, each once for everybody, and the new function with its probe.
        assert_at_most(
            &reads(&calls),
            [
                ("iam:GetAccountAuthorizationDetails", 1),
                ("lambda:GetFunction", 1),
                ("lambda:Invoke", 1),
                ("lambda:ListFunctions", 1),
                ("logs:DescribeLogGroups", 1),
            ],
        );
        let kubernetes = scene.kubernetes.take_journal().writes();
        assert!(kubernetes.iter().all(|call| call.name == "second"), "only the app itself is written: {kubernetes:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn apps_that_are_gone_are_looked_for_in_the_tables_of_all_and_not_one_by_one() {
    scene(async {
        let (scene, vpc) = Scene::with_app("stays", Delays::default()).await;
        for n in 0..20 {
            scene.apply_app(&format!("app-{n:03}"), &vpc);
            scene.until_ready(&format!("app-{n:03}")).await;
        }
        for n in 0..20 {
            scene.kubernetes.delete(&app(&format!("app-{n:03}")));
            scene.until_gone(&format!("app-{n:03}")).await;
        }
        scene.forget();
        scene.pass(Duration::from_mins(2)).await;
        let calls = names(&scene.aws.take_journal());
        // Three looks within the minute at three tables, and one of the network at what Lambda still holds.
        assert!(calls.len() <= 3 * 3 + 1, "{calls:?}");
        assert!(calls.iter().any(|call| call == "iam:GetAccountAuthorizationDetails"), "it looks: {calls:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_resync_of_a_hundred_apps_at_rest_costs_at_most_fifteen_calls_and_no_write() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        let app = |n: usize| format!("app-{n:03}");
        for n in 0..100 {
            scene.apply_app(&app(n), &vpc);
        }
        for n in 0..100 {
            scene.until_ready(&app(n)).await;
        }
        scene.pass(Duration::from_secs(20)).await;
        scene.forget();
        scene.pass(RESYNC).await;
        let calls = scene.aws.take_journal();
        assert_eq!(writes(&calls), Vec::<String>::new());
        // 50 functions and 50 log groups a page, both DNS attributes of the VPC, and one app's function, probe and log group
        // in turn.
        assert_at_most(
            &names(&calls),
            [
                ("ec2:DescribeRouteTables", 1),
                ("ec2:DescribeSecurityGroups", 1),
                ("ec2:DescribeSubnets", 1),
                ("ec2:DescribeVpcAttribute", 2),
                ("ec2:DescribeVpcEndpoints", 1),
                ("ec2:DescribeVpcs", 1),
                ("iam:GetAccountAuthorizationDetails", 1),
                ("lambda:GetFunction", 1),
                ("lambda:Invoke", 1),
                ("lambda:ListFunctions", 2),
                ("logs:DescribeLogGroups", 2),
                ("logs:ListTagsForResource", 1),
            ],
        );
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_apps_at_once_share_their_reads() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.start();
        for n in 0..100 {
            scene.apply_app(&format!("app-{n:03}"), &vpc);
        }
        for n in 0..100 {
            scene.until_ready(&format!("app-{n:03}")).await;
        }
        let calls = scene.aws.take_journal();
        let writes = writes(&calls).len();
        // Five for each app; two groups, their four rules, one endpoint for all.
        assert_eq!(writes, 5 * 100 + 2 + 4 + 1);
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        assert_eq!(region.endpoints.len(), 1);
        let per_app = calls.iter().filter(|call| call.name() == "lambda:GetFunction").count();
        assert!(per_app <= 200, "{per_app} GetFunction for a hundred new functions");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn vpcs_are_read_as_often_as_drift_and_an_hour_at_rest_writes_nothing() {
    scene(async {
        let (scene, _) = Scene::with_app("bot", Delays::default()).await;
        scene.pass(Duration::from_secs(10)).await;
        scene.forget();
        scene.pass(Duration::from_hours(1)).await;
        let calls = scene.aws.take_journal();
        assert_eq!(writes(&calls), Vec::<String>::new());
        let made = |name: &str| names(&calls).iter().filter(|call| *call == name).count();
        let tables = ["ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeRouteTables"];
        for table in tables {
            assert!((1..=12).contains(&made(table)), "{table}: every five minutes at most");
        }
        assert!((1..=24).contains(&made("ec2:DescribeVpcAttribute")), "two attributes");
        assert!((1..=2).contains(&made("ec2:DescribeVpcEndpointServices")), "every thirty minutes");
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal:?}");
    })
    .await;
}
