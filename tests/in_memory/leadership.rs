//! Of several replicas one acts, and when it is gone another goes on.

use std::{sync::Arc, time::Duration};

use kube::Client;
use private_genai_operator::{
    leadership::{CandidateState, Election, Leadership, Moment, Timing},
    operator,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    memory::aws::{Delays, MemoryAws, VpcShape},
    scene::{LONG, Scene, app, condition, network, scene, writes},
};

const T: Timing = Timing::of(60);
pub const LEASE: &str = "leases/operator/private-genai-operator";

/// The connection of one replica to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Up,
    /// Every request fails at once.
    Refuses,
    /// No request is ever answered.
    Silent,
}

/// One replica of the operator: a process of its own.
pub struct Replica {
    pub name: &'static str,
    /// AWS as this replica calls it.
    pub aws: MemoryAws,
    line: watch::Sender<Line>,
    standing: watch::Receiver<CandidateState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    pub fn start(scene: &Scene, name: &'static str) -> Self {
        let line = watch::Sender::new(Line::Up);
        let client = connected(&scene.kubernetes.client(), &line);
        let election = election(&client, name);
        let (aws, settings, metrics) = (scene.aws.seen_by(name), scene.settings(), Arc::clone(&scene.metrics));
        let called = aws.clone();
        let (sender, states) = watch::channel(CandidateState::default());
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = tokio::task::spawn_local(async move {
            let work = async |leadership, stop| {
                let (client, aws, settings) = (client.clone(), Arc::new(aws.clone()), settings.clone());
                let (metrics, ready) = (Arc::clone(&metrics), Arc::default());
                operator::run(client, aws, settings, metrics, leadership, ready, stop).await;
            };
            election.campaign(&sender, &until, work).await;
        });
        Self { name, aws: called, line, standing: states, stop, task }
    }

    fn leads(&self) -> bool {
        *self.standing.borrow() == CandidateState::Leader
    }

    /// No request of it is answered from now on.
    pub fn cut_off(&self) {
        self.line.send_replace(Line::Silent);
    }

    /// Its requests are answered again.
    pub fn reconnect(&self) {
        self.line.send_replace(Line::Up);
    }

    pub async fn until_leads(&mut self) {
        let leads = self.standing.wait_for(|standing| *standing == CandidateState::Leader);
        tokio::time::timeout(LONG, leads).await.expect("it leads in time").expect("it runs");
    }

    pub async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(LONG, self.task).await.expect("it ends").expect("it does not panic");
    }
}

/// A candidate for the Lease of the scene's operator.
pub fn election(client: &Client, identity: &str) -> Election {
    Election {
        client: client.clone(),
        namespace: "operator".into(),
        name: "private-genai-operator".into(),
        identity: identity.into(),
        timing: T,
    }
}

/// A client whose requests go over a line.
fn connected(client: &Client, line: &watch::Sender<Line>) -> Client {
    let (client, line) = (client.clone(), line.clone());
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, now) = (client.clone(), *line.borrow());
        async move {
            match now {
                Line::Up => client.send(request).await.map_err(tower::BoxError::from),
                Line::Refuses => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()),
                Line::Silent => std::future::pending().await,
            }
        }
    });
    Client::new(service, "default")
}

/// Two replicas; the first leads.
async fn two(delays: Delays) -> (Scene, Replica, Replica) {
    let scene = Scene::new(delays);
    let mut first = Replica::start(&scene, "first");
    first.until_leads().await;
    let second = Replica::start(&scene, "second");
    (scene, first, second)
}

/// Who made AWS calls since the journal was last taken, each once, in order.
pub fn callers(scene: &Scene) -> Vec<&'static str> {
    let mut callers: Vec<_> = scene.aws.take_journal().iter().map(|call| call.by).collect();
    callers.dedup();
    callers
}

fn lease(scene: &Scene) -> Value {
    scene.kubernetes.get(LEASE).expect("a Lease")["spec"].clone()
}

/// Waits for the next renewal; gives when it was.
async fn renewal(scene: &Scene) -> Instant {
    let before = lease(scene)["renewTime"].clone();
    scene.kubernetes.until(LEASE, LONG, |lease| lease["spec"]["renewTime"] != before).await;
    Instant::now()
}

/// Changes what is wanted, so that whoever acts has something to write.
fn want_something_else(scene: &Scene, round: u64) {
    scene.kubernetes.edit(&app("bot"), |app| app["spec"]["function"] = json!({"memoryMiB": 512 + round}));
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_acts_and_the_other_looks_at_the_lease_only() {
    scene(async {
        let (scene, first, second) = two(Delays::default()).await;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        scene.pass(Duration::from_mins(10)).await;
        assert_eq!(callers(&scene), ["first"]);
        assert!(first.leads());
        assert_eq!(*second.standing.borrow(), CandidateState::Standby { leader: "first".into() });
        let lease = lease(&scene);
        assert_eq!((&lease["holderIdentity"], &lease["leaseTransitions"]), (&json!("first"), &json!(0)));

        scene.forget();
        scene.pass(Duration::from_mins(10)).await;
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal}");
        assert!(
            (58..=62).contains(&journal.leases().len()),
            "one renewal each ten seconds: {}",
            journal.leases().len()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_when_its_lease_has_run_out_and_not_before() {
    scene(async {
        let (scene, first, mut second) = two(Delays { endpoint_available: 30, ..Delays::default() }).await;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app("bot", &vpc);
        let renewed = renewal(&scene).await;
        first.kill().await;
        assert_eq!(callers(&scene), ["first"]);
        second.until_leads().await;
        let after = renewed.elapsed();
        assert!((T.lease()..T.lease() + Duration::from_secs(5)).contains(&after), "{after:?}");
        scene.until_ready("bot").await;
        assert_eq!(callers(&scene), ["second"]);
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        assert_eq!((region.endpoints.len(), region.functions.len(), world.roles.len()), (1, 1, 1));
        assert_eq!(lease(&scene)["leaseTransitions"], 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_leader_ends_what_is_under_way_and_the_other_takes_over_at_once() {
    scene(async {
        let (scene, first, mut second) = two(Delays { endpoint_available: 30, ..Delays::default() }).await;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app("bot", &vpc);
        let has_reason = |app: &Value| condition(app, "EndpointReady").1 == "EndpointPending";
        scene.kubernetes.until(&app("bot"), LONG, has_reason).await;
        first.stop().await;
        let stopped = Instant::now();
        assert_eq!(lease(&scene)["holderIdentity"], "", "released");
        second.until_leads().await;
        assert!(stopped.elapsed() < T.look_every() * 2, "{:?}", stopped.elapsed());
        scene.until_ready("bot").await;
        assert_eq!(callers(&scene), ["first", "second"], "one after the other");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_writes_nothing_after_its_deadline_and_then_stands_by() {
    for line in [Line::Refuses, Line::Silent] {
        scene(async {
            let (scene, first, second) = two(Delays::default()).await;
            let (vpc, _) = scene.vpc(&VpcShape::default());
            scene.apply_app("bot", &vpc);
            scene.until_ready("bot").await;
            let renewed = renewal(&scene).await;
            scene.forget();
            first.line.send_replace(line);
            let (mut last_of_first, mut first_of_second) = (None, None);
            // Its watches go on: it learns of every change, and wants to act on it.
            for round in 1..=100 {
                want_something_else(&scene, round);
                scene.pass(Duration::from_secs(1)).await;
                for call in scene.aws.take_journal().iter().filter(|call| call.write) {
                    match call.by {
                        "first" => last_of_first = Some(renewed.elapsed()),
                        _ => first_of_second = first_of_second.or(Some(renewed.elapsed())),
                    }
                }
            }
            let last = last_of_first.unwrap_or_default();
            assert!(last + T.grace() <= T.lease() + Duration::from_secs(1), "{line:?}: it wrote after {last:?}");
            // With statuses unanswered, a reconcile of the only app hangs: then it writes nothing more at all.
            assert!(line == Line::Silent || last > Duration::from_secs(20), "{line:?}: it went on until {last:?}");
            let began = first_of_second.expect("the other took over");
            assert!((T.lease()..T.lease() + Duration::from_secs(6)).contains(&began), "{line:?}: {began:?}");

            first.line.send_replace(Line::Up);
            scene.pass(Duration::from_secs(30)).await;
            assert_eq!(*first.standing.borrow(), CandidateState::Standby { leader: "second".into() });
            assert!(second.leads());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_begins_anew_after_a_long_api_server_outage_and_nothing_is_lost() {
    scene(async {
        let (scene, mut first, second) = two(Delays::default()).await;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        renewal(&scene).await;
        for replica in [&first, &second] {
            replica.line.send_replace(Line::Refuses);
        }
        scene.pass(Duration::from_secs(40)).await;
        assert!(!first.leads() && !second.leads());
        scene.forget();
        for replica in [&first, &second] {
            replica.line.send_replace(Line::Up);
        }
        want_something_else(&scene, 1);
        first.until_leads().await;
        scene.until_ready("bot").await;
        scene.pass(Duration::from_secs(5)).await;
        assert_eq!(callers(&scene), ["first"], "its Lease had not run out");
        assert_eq!(lease(&scene)["leaseTransitions"], 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_sees_another_hold_the_lease_ends_at_once() {
    scene(async {
        let (scene, first, second) = two(Delays::default()).await;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        scene.kubernetes.edit(LEASE, |lease| lease["spec"]["holderIdentity"] = json!("somebody"));
        scene.pass(T.renew_every()).await;
        assert!(!first.leads());
        scene.forget();
        want_something_else(&scene, 1);
        scene.pass(Duration::from_secs(20)).await;
        assert_eq!(callers(&scene), Vec::<&str>::new());
        assert!(!second.leads());
        scene.pass(T.lease()).await;
        assert!(first.leads() != second.leads(), "somebody did not renew, so one of the two leads");
        assert_eq!(callers(&scene).len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn wall_clocks_and_other_peoples_edits_of_the_lease_change_nothing() {
    scene(async {
        let (scene, first, second) = two(Delays::default()).await;
        for round in 0..120 {
            let year = if round % 2 == 0 { 1971 } else { 2099 };
            scene.kubernetes.edit(LEASE, |lease| {
                lease["spec"]["renewTime"] = json!(format!("{year}-01-01T00:00:{:02}.000000Z", round % 60));
                lease["metadata"]["annotations"] = json!({"touched": round.to_string()});
            });
            scene.pass(Duration::from_secs(1)).await;
            assert!(first.leads() && !second.leads(), "after {round} s");
        }
        assert_eq!(lease(&scene)["leaseTransitions"], 0);
        let touched = scene.kubernetes.get(LEASE).expect("a Lease")["metadata"]["annotations"]["touched"].clone();
        assert_eq!(touched, "119", "what others write on it stays");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn leaders_that_come_and_go_all_the_time_build_one_path_and_take_it_down() {
    scene(async {
        let (scene, first, second) = two(Delays { endpoint_available: 20, role_visible: 3, ..Delays::default() }).await;
        let (vpc, _) = scene.vpc(&VpcShape::default());
        scene.apply_app("bot", &vpc);
        let (mut leader, mut next) = (first, second);
        for name in ["third", "fourth", "fifth", "sixth"] {
            scene.pass(Duration::from_secs(1)).await;
            leader.stop().await;
            next.until_leads().await;
            (leader, next) = (next, Replica::start(&scene, name));
        }
        scene.until_ready("bot").await;
        let world = scene.aws.world();
        let region = &world.regions[&Scene::region()];
        assert_eq!((region.endpoints.len(), region.functions.len(), world.roles.len()), (1, 1, 1));
        scene.kubernetes.delete(&app("bot"));
        scene.until_gone("bot").await;
        scene.kubernetes.until_gone(&network(&vpc), LONG).await;
        scene.assert_aws_is_empty();
        assert_eq!(callers(&scene).last(), Some(&leader.name));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn controllers_that_go_on_without_the_right_to_write_write_nothing() {
    scene(async {
        let scene = Scene::new(Delays::default());
        let (vpc, _) = scene.vpc(&VpcShape::default());
        let leadership = Leadership::since(Moment::now(), T);
        let (client, aws) = (scene.kubernetes.client(), Arc::new(scene.aws.clone()));
        let (ready, stop) = (Arc::default(), CancellationToken::new());
        let metrics = Arc::clone(&scene.metrics);
        let run = operator::run(client, aws, scene.settings(), metrics, leadership.clone(), ready, stop);
        let controllers = tokio::task::spawn_local(run);
        scene.apply_app("bot", &vpc);
        scene.until_ready("bot").await;
        // Nobody tells them to stop: only the right runs out.
        scene.pass(T.lease()).await;
        scene.forget();
        want_something_else(&scene, 1);
        scene.apply_app("second", &vpc);
        scene.pass(Duration::from_mins(1)).await;
        let calls = scene.aws.take_journal();
        assert!(!calls.is_empty(), "they go on looking");
        assert_eq!(writes(&calls), Vec::<String>::new());
        let journal = scene.kubernetes.take_journal();
        assert_eq!((journal.writes().len(), journal.events().len()), (0, 0), "{journal}");
        // With the right, they would have.
        leadership.renewed(Moment::now());
        scene.until_ready("second").await;
        assert!(!writes(&scene.aws.take_journal()).is_empty());
        controllers.abort();
    })
    .await;
}
