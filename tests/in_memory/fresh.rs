//! What a network says of its VPC rests on nothing older than its bound: pages of the last resync, DNS attributes of the
//! last six.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use private_genai_operator::aws::{
    FunctionName, MaxAge, RouteTarget, Snapshot, Snapshots, SubnetId, Topology, VpcDns, VpcId,
};
use serde_json::json;

use crate::{
    memory::aws::{Action, ByHand, Delays, Route, VpcShape, world::FunctionRecord},
    scene::{MODEL, RESYNC, Scene, app, assert_at_most, condition, names, network, scene},
};

/// After the resync, this much is enough.
const SOON: Duration = Duration::from_secs(30);

fn act(scene: &Scene, deed: ByHand) {
    scene.aws.act(&Action::ByHand(Scene::region(), deed)).expect("AWS lets it happen");
}

/// Changes a VPC that carries a path, which is told at the next resync for this reason, and no later than it is over.
async fn is_told_at_the_next_resync(reason: &str, deed: impl Fn(&VpcId) -> ByHand, undo: impl Fn(&Scene, &VpcId)) {
    let (scene, vpc) = Scene::with_app("bot", Delays::default()).await;
    scene.pass(RESYNC + SOON).await;
    let of = |kind: &str, path: &str| condition(&scene.kubernetes.get(path).expect("the object"), kind);
    assert_eq!(of("VpcReady", &network(&vpc)).0, "True");
    act(&scene, deed(&vpc));
    scene.pass(RESYNC).await;
    assert_eq!(of("VpcReady", &network(&vpc)).1, reason, "the network says so");
    assert_eq!(of("Ready", &app("bot")).1, reason, "and so does the app");
    undo(&scene, &vpc);
    scene.pass(RESYNC + SOON).await;
    assert_eq!(of("Ready", &app("bot")).0, "True", "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_route_to_an_internet_gateway_is_told_at_the_next_resync() {
    scene(is_told_at_the_next_resync(
        "TooFewZones",
        |vpc| ByHand::AddRoute { vpc: vpc.clone(), target: RouteTarget::InternetGateway },
        |scene, vpc| act(scene, ByHand::RemoveRoute { vpc: vpc.clone(), target: RouteTarget::InternetGateway }),
    ))
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_route_from_an_app_s_own_subnet_is_told_by_that_app_alone_and_it_stays() {
    scene(async {
        let mut scene = Scene::new(Delays::default());
        let (vpc, subnets) = scene.vpc(&VpcShape { zones: "abc", ..VpcShape::default() });
        scene.start();
        scene.apply_app("other", &vpc);
        let own = [subnets[0].as_str(), subnets[1].as_str()];
        scene.apply("bot", json!({"network": {"vpcId": vpc.as_str(), "subnetIds": own}, "models": [MODEL]}));
        scene.until_ready("bot").await;
        scene.until_ready("other").await;
        let functions = scene.aws.world().regions[&Scene::region()].functions.clone();
        scene.pass(RESYNC + SOON).await;
        act(&scene, ByHand::LeadSubnet { subnet: subnets[1].clone(), target: RouteTarget::InternetGateway });
        scene.pass(RESYNC + SOON).await;
        let of = |name: &str, kind: &str| condition(&scene.kubernetes.get(&app(name)).expect("the app"), kind);
        let (status, reason, message) = of("bot", "NetworkReady");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "SubnetNotPrivate"));
        assert!(message.contains(subnets[1].as_str()) && message.contains("remove the route"), "{message}");
        assert_eq!((of("bot", "Ready").0.as_str(), of("bot", "FunctionReady").0.as_str()), ("False", "True"));
        assert_eq!(of("other", "Ready").0, "True", "two zones are left for those who name no subnets");
        let after = &scene.aws.world().regions[&Scene::region()].functions;
        let attached = |functions: &BTreeMap<FunctionName, FunctionRecord>| -> Vec<BTreeSet<SubnetId>> {
            functions
                .iter()
                .filter(|(name, _)| name.as_str().contains("-bot-"))
                .map(|(_, it)| it.detail.listing.configuration.subnets.clone())
                .collect()
        };
        assert_eq!(attached(after), attached(&functions), "its function stays where it is");
        act(&scene, ByHand::RemoveRoute { vpc: vpc.clone(), target: RouteTarget::InternetGateway });
        scene.pass(RESYNC + SOON).await;
        assert_eq!(of("bot", "Ready").0, "True");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn dns_that_is_switched_off_is_told_at_the_next_resync_where_the_vpcs_are_few() {
    let dns = |support: bool| {
        move |vpc: &VpcId| ByHand::SetVpcDns { vpc: vpc.clone(), dns: VpcDns { support, hostnames: true } }
    };
    scene(is_told_at_the_next_resync("DnsDisabled", dns(false), |scene, vpc| act(scene, dns(true)(vpc)))).await;
}

/// A snapshot of so many VPCs, with one route table for each and two subnets.
fn covering(vpcs: usize) -> (Scene, Vec<VpcId>, Snapshots) {
    let scene = Scene::new(Delays::default());
    let vpcs: Vec<VpcId> = (0..vpcs).map(|_| scene.vpc(&VpcShape::default()).0).collect();
    let snapshots = Snapshots::new(Arc::new(scene.aws.clone()), Scene::installation(), Scene::region());
    for vpc in &vpcs {
        snapshots.region(&Scene::region()).include_vpc(vpc);
    }
    (scene, vpcs, snapshots)
}

/// What each network sees, when all look at the same time: as many as the operator lets by default.
async fn look(snapshot: &Snapshot, vpcs: &[VpcId]) -> BTreeMap<VpcId, Topology> {
    let services = BTreeSet::from(["com.amazonaws.us-east-1.bedrock-runtime".to_owned()]);
    let looks = vpcs.iter().map(|vpc| async {
        let seen = snapshot.topology(vpc, MaxAge::Any, &services).await.expect("a look");
        (vpc.clone(), seen)
    });
    stream::iter(looks).buffer_unordered(32).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_resync_reads_pages_once_for_all_vpcs_and_dns_attributes_of_a_sixth() {
    scene(async {
        for (count, pages, tables, attributes) in
            [(1, 1, 1, 2), (5, 1, 1, 10), (6, 1, 1, 10), (40, 1, 1, 14), (200, 1, 2, 68)]
        {
            let (scene, vpcs, snapshots) = covering(count);
            let snapshot = snapshots.region(&Scene::region());
            let first = look(&snapshot, &vpcs).await;
            assert!(vpcs.iter().all(|vpc| first[vpc].vpcs.len() == 1 && first[vpc].subnets.len() == 2));
            let made = |name: &str, calls: &[String]| calls.iter().filter(|call| *call == name).count();
            let calls = names(&scene.aws.take_journal());
            assert!(made("ec2:DescribeVpcAttribute", &calls) <= 2 * count, "each once at first");
            for _ in 0..7 {
                snapshots.resync();
                assert_eq!(look(&snapshot, &vpcs).await, first);
                look(&snapshot, &vpcs).await;
                // 100 route tables a page.
                let bounds = [
                    ("ec2:DescribeVpcs", pages),
                    ("ec2:DescribeSubnets", pages),
                    ("ec2:DescribeRouteTables", tables),
                    ("ec2:DescribeVpcAttribute", attributes),
                ];
                assert_at_most(&names(&scene.aws.take_journal()), bounds);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dns_attribute_that_somebody_switches_is_seen_within_six_resyncs_in_every_vpc() {
    scene(async {
        let (scene, vpcs, snapshots) = covering(40);
        let snapshot = snapshots.region(&Scene::region());
        look(&snapshot, &vpcs).await;
        // Some have had their turn already.
        for _ in 0..3 {
            snapshots.resync();
            look(&snapshot, &vpcs).await;
        }
        let off = VpcDns { support: false, hostnames: false };
        for vpc in &vpcs {
            act(&scene, ByHand::SetVpcDns { vpc: vpc.clone(), dns: off });
        }
        let mut unseen = vec![vpcs.len()];
        for _ in 0..6 {
            snapshots.resync();
            let seen = look(&snapshot, &vpcs).await;
            unseen.push(vpcs.iter().filter(|vpc| seen[*vpc].vpcs[*vpc].dns != off).count());
        }
        assert_eq!(unseen.last(), Some(&0), "{unseen:?}");
        assert!(unseen[1] > 0, "they are read in turn: {unseen:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_must_know_now_reads_the_dns_attributes_of_its_own_vpc_alone() {
    scene(async {
        let (scene, vpcs, snapshots) = covering(40);
        let snapshot = snapshots.region(&Scene::region());
        look(&snapshot, &vpcs).await;
        scene.pass(Duration::from_secs(5)).await;
        scene.forget();
        let off = VpcDns { support: false, hostnames: false };
        act(&scene, ByHand::SetVpcDns { vpc: vpcs[7].clone(), dns: off });
        let now = MaxAge::Under(Duration::from_secs(1));
        let seen = snapshot.vpc(&vpcs[7], now).await.expect("a look").expect("the VPC");
        assert_eq!(seen.dns, off);
        let calls = names(&scene.aws.take_journal());
        assert_at_most(&calls, [("ec2:DescribeVpcs", 1), ("ec2:DescribeVpcAttribute", 2)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_read_hides_no_other_part() {
    use crate::memory::aws::Fault;
    scene(async {
        let (scene, vpcs, snapshots) = covering(2);
        let snapshot = snapshots.region(&Scene::region());
        scene.aws.fail_next("DescribeRouteTables", Fault::access_denied().times(u32::MAX));
        assert!(snapshot.route_tables(MaxAge::Any).await.is_err());
        assert_eq!(snapshot.subnets(MaxAge::Any).await.expect("subnets").len(), 4);
        assert!(snapshot.vpc(&vpcs[0], MaxAge::Any).await.expect("a look").is_some());
        let denied = Fault { resource: Some(vpcs[0].to_string()), ..Fault::access_denied().times(u32::MAX) };
        scene.aws.clear_faults();
        snapshots.resync();
        scene.aws.fail_next("DescribeVpcAttribute", denied);
        assert!(snapshot.vpc(&vpcs[0], MaxAge::Any).await.is_err(), "the attributes of the one");
        assert!(snapshot.vpc(&vpcs[1], MaxAge::Any).await.expect("and not of the other").is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_vpc_is_seen_with_its_owner_and_one_that_goes_is_gone_at_the_next_resync() {
    scene(async {
        let scene = Scene::new(Delays::default());
        let (vpc, _) =
            scene.vpc(&VpcShape { route: Route::Nat, owner: "999999999999".parse().ok(), ..VpcShape::default() });
        let snapshots = Snapshots::new(Arc::new(scene.aws.clone()), Scene::installation(), Scene::region());
        let snapshot = snapshots.region(&Scene::region());
        snapshot.include_vpc(&vpc);
        let owner = |seen: Option<private_genai_operator::aws::Vpc>| seen.map(|vpc| vpc.owner.to_string());
        assert_eq!(owner(snapshot.vpc(&vpc, MaxAge::Any).await.expect("a look")).as_deref(), Some("999999999999"));
        act(&scene, ByHand::DeleteVpc(vpc.clone()));
        assert!(snapshot.vpc(&vpc, MaxAge::Any).await.expect("a look").is_some(), "of the last resync");
        snapshots.resync();
        assert_eq!(owner(snapshot.vpc(&vpc, MaxAge::Any).await.expect("a look")), None);
    })
    .await;
}
