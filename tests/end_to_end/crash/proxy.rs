//! The way to both APIs, on which the operator is killed.
//!
//! ```text
//!              ┌─ signed for AWS ─► the local AWS
//!   operator ──┤                                      every call is named and numbered; at the one that is armed the
//!              └─ the others ─────► the API server    door shuts: nothing more goes in, and no answer comes out
//! ```
//!
//! Each process of the operator has a door of its own: what a dead one has sent, and what reads from its sockets only
//! now, is not carried out after its end. What was let in before is carried out, and its end is waited for before the next
//! process starts: this is what the Lease promises ("longer than any call").

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::State, response::Response};
use http::{HeaderMap, Request, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

use super::{
    call::{Asked, Call},
    names::Names,
    point::{Moment, Point},
};
use crate::http as admin;

/// No body here is longer: a deployment package is 20 kB.
const LONGEST: usize = 16 << 20;
/// For so long at most AWS does not show to the next process what was done.
const STALE_FOR: Duration = Duration::from_secs(1);

/// The proxy of one life.
pub struct Proxy {
    aws: String,
    http: Client<HttpConnector, Full<Bytes>>,
    kubernetes: kube::Client,
    state: Mutex<Inner>,
    crashed: Notify,
    /// Calls that were let in and are not over; not those that stream.
    under_way: AtomicUsize,
    /// At any time there are no more of each kind than these.
    most: Vec<(&'static str, usize)>,
}

#[derive(Default)]
struct Inner {
    phase: &'static str,
    names: Names,
    door: usize,
    open: Option<JoinHandle<()>>,
    counts: BTreeMap<(&'static str, Asked), usize>,
    calls: Vec<Call>,
    armed: Option<Point>,
    reached: Option<Point>,
    last_write: Option<Instant>,
    amiss: BTreeSet<String>,
    /// What AWS answered last to each read since the last write about the same, and what that is.
    read: BTreeMap<Bytes, (&'static str, Answer)>,
    /// What it goes on answering, and since when it has.
    stale: BTreeMap<Bytes, Answer>,
    stale_since: Option<Instant>,
    stale_answers: usize,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The door of one process.
#[derive(Clone)]
struct Door {
    proxy: Arc<Proxy>,
    number: usize,
}

impl Proxy {
    /// A proxy to the AWS at this URL and to this API server.
    pub fn new(aws: &str, kubernetes: kube::Client, most: &[(&'static str, usize)]) -> Arc<Self> {
        Arc::new(Self {
            aws: aws.to_owned(),
            http: Client::builder(TokioExecutor::new()).build_http(),
            kubernetes,
            state: Mutex::default(),
            crashed: Notify::new(),
            under_way: AtomicUsize::new(0),
            most: most.to_vec(),
        })
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a door for the next process; gives where it is.
    pub async fn open(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut state = self.state();
        state.door += 1;
        let door = Door { proxy: Arc::clone(self), number: state.door };
        let serve = async move {
            drop(axum::serve(listener, Router::new().fallback(pass).with_state(door)).await);
        };
        if let Some(before) = state.open.replace(tokio::spawn(serve)) {
            before.abort();
        }
        url
    }

    /// Nothing goes in any more, and no answer comes out.
    pub fn shut(&self) {
        let mut state = self.state();
        state.door += 1;
        if let Some(open) = state.open.take() {
            open.abort();
        }
    }

    /// Begins a phase, in which the operator is to be killed at a point, or not.
    pub fn begin(&self, phase: &'static str, armed: Option<Point>) {
        let mut state = self.state();
        (state.phase, state.armed, state.reached) = (phase, armed, None);
    }

    /// Somebody else has changed something: what was read before is older than what a crash may bring back.
    pub fn forget_what_was_read(&self) {
        self.state().read.clear();
    }

    /// Waits until the door has shut by itself.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// The point was reached in this phase.
    pub fn reached(&self) -> bool {
        self.state().reached.is_some()
    }

    /// What is called differently in each life.
    pub fn names(&self) -> Names {
        self.state().names.clone()
    }

    /// From now on `what` is called `name`.
    pub fn learn(&self, what: &str, name: &str) {
        self.state().names.learn(what, name);
    }

    /// All of these are called `name`.
    pub fn learn_all(&self, all: &[String], name: &str) {
        self.state().names.learn_all(all, name);
    }

    /// Nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0
    }

    /// Nobody has asked for a change for so long.
    pub fn quiet_for(&self, time: Duration) -> bool {
        self.is_idle() && self.state().last_write.is_none_or(|last| last.elapsed() >= time)
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many answers were of before the crash.
    pub fn stale_answers(&self) -> usize {
        self.state().stale_answers
    }

    /// What there was too much of, at any time.
    pub fn amiss(&self) -> Vec<String> {
        self.state().amiss.iter().cloned().collect()
    }

    /// A call has come: it is named, and is what was waited for, or not.
    fn arrives(&self, asked: &Asked) -> Option<Moment> {
        let mut state = self.state();
        if asked.writes {
            state.last_write = Some(Instant::now());
        }
        if asked.writes && asked.is_of_aws() {
            state.stale.clear();
        }
        let phase = state.phase;
        let count = state.counts.entry((phase, asked.clone())).or_default();
        *count += 1;
        let call = Call { phase, asked: asked.clone(), nth: *count };
        state.calls.push(call.clone());
        let point = state.armed.take_if(|armed| armed.call == call)?;
        let moment = point.moment;
        state.reached = Some(point);
        Some(moment)
    }

    fn crash(&self, moment: Moment, read_before: BTreeMap<Bytes, Answer>) {
        if moment == Moment::Unseen {
            let mut state = self.state();
            (state.stale, state.stale_since) = (read_before, None);
        }
        self.shut();
        self.crashed.notify_one();
    }

    async fn forward(&self, asked: &Asked, parts: Parts, body: Bytes) -> Answer {
        let mut request = Request::from_parts(parts, body.clone());
        request.headers_mut().remove(header::HOST);
        let (head, body) = if asked.is_of_aws() {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            *request.uri_mut() = format!("{}{path}", self.aws).parse().expect("a URI");
            let (head, body) = self.http.request(request.map(Full::new)).await.expect("AWS answers").into_parts();
            (head, body.collect().await.expect("the whole answer").to_bytes())
        } else {
            let request = request.map(kube::client::Body::from);
            let (head, body) = self.kubernetes.send(request).await.expect("Kubernetes answers").into_parts();
            (head, body.collect().await.expect("the whole answer").to_bytes())
        };
        let mut headers = head.headers;
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONNECTION);
        Answer { status: head.status, headers, body }
    }

    /// Carries a call out, whatever becomes of who asked.
    async fn carry_out(self: Arc<Self>, asked: Asked, parts: Parts, body: Bytes) -> Answer {
        let proxy = self;
        proxy.under_way.fetch_add(1, Ordering::SeqCst);
        // Who asked may hang up, which ends what serves it.
        let carried = tokio::spawn(async move {
            let answer = proxy.forward(&asked, parts, body.clone()).await;
            if asked.is_of_aws() && asked.writes && answer.status.is_success() {
                proxy.learn_from(&asked, &body, &answer);
                proxy.audit(&asked).await;
            }
            proxy.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        carried.await.expect("it is carried out")
    }

    /// The ids that AWS gives.
    fn learn_from(&self, asked: &Asked, body: &[u8], answer: &Answer) {
        let text = String::from_utf8_lossy(&answer.body);
        let element = |name: &str| {
            let after = text.split_once(&format!("<{name}>"))?.1;
            Some(after.split_once('<')?.0.to_owned())
        };
        match asked.operation.as_str() {
            "CreateSecurityGroup" => {
                let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
                if let (Some(id), Some(name)) = (element("groupId"), form.get("GroupName")) {
                    self.learn(&id, name);
                }
            }
            "CreateVpcEndpoint" => {
                if let Some(id) = element("vpcEndpointId") {
                    self.learn(&id, "endpoint");
                }
            }
            _ => {}
        }
    }

    /// No more than there may be, after each write.
    async fn audit(&self, asked: &Asked) {
        let inventory = admin::json("GET", &format!("{}/_local/inventory?region=us-east-1", self.aws), None).await;
        for (kind, most) in &self.most {
            let found: Vec<&str> =
                inventory[kind].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str()).collect();
            if found.len() > *most {
                let amiss = format!("{} {kind} after {} instead of {most}: {found:?}", found.len(), asked.operation);
                self.state().amiss.insert(amiss);
            }
        }
    }
}

/// What becomes of a request.
async fn pass(State(Door { proxy, number }): State<Door>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return std::future::pending().await;
    };
    let is_shut = || proxy.state().door != number;
    if is_shut() {
        // Until who asked is dead.
        return std::future::pending().await;
    }
    let asked = Asked::read(&parts, &body, &proxy.names());
    let moment = proxy.arrives(&asked);
    if moment == Some(Moment::Before) {
        proxy.crash(Moment::Before, BTreeMap::new());
        return std::future::pending().await;
    }
    if asked.streams && moment.is_none() {
        return stream(&proxy, parts, body).await;
    }
    let reads_aws = asked.is_of_aws() && !asked.writes && asked.operation != "Invoke";
    if reads_aws && let Some(stale) = proxy.once_more(&body, &parts) {
        return stale.into_response();
    }
    let key = key(&parts, &body);
    let about = about(&asked);
    let read_before = if asked.is_of_aws() && asked.writes { proxy.outdate(about) } else { BTreeMap::new() };
    let answer = Arc::clone(&proxy).carry_out(asked, parts, body).await;
    if let Some(moment) = moment {
        proxy.crash(moment, read_before);
    }
    if is_shut() {
        return std::future::pending().await;
    }
    if reads_aws {
        proxy.state().read.insert(key, (about, answer.clone()));
    }
    answer.into_response()
}

fn key(parts: &Parts, body: &Bytes) -> Bytes {
    let scope = parts.headers.get("x-amz-target").map(|target| target.as_bytes().to_vec()).unwrap_or_default();
    [parts.uri.path().as_bytes(), parts.uri.query().unwrap_or_default().as_bytes(), &scope, body].concat().into()
}

/// What a call to AWS is about, as far as its operation tells: what a write changes, a read of the same shows.
fn about(asked: &Asked) -> &'static str {
    let operation = asked.operation.as_str();
    match asked.service.as_str() {
        "iam" => "role",
        "lambda" => "function",
        "logs" => "log group",
        "ec2" if operation.contains("VpcEndpoint") && !operation.contains("Service") => "endpoint",
        "ec2" if operation.contains("SecurityGroup") || operation == "CreateTags" => "group",
        _ => "",
    }
}

impl Proxy {
    /// What was read about something that is changed now.
    fn outdate(&self, about: &str) -> BTreeMap<Bytes, Answer> {
        let mut state = self.state();
        let (old, other) = mem::take(&mut state.read).into_iter().partition(|(_, (kind, _))| *kind == about);
        state.read = other;
        let old: BTreeMap<Bytes, (&'static str, Answer)> = old;
        old.into_iter().map(|(key, (_, answer))| (key, answer)).collect()
    }

    /// What was read before the crash, until the process that comes after it has acted on that, or a second has passed.
    fn once_more(&self, body: &Bytes, parts: &Parts) -> Option<Answer> {
        let mut state = self.state();
        let answer = state.stale.get(&key(parts, body))?.clone();
        let since = *state.stale_since.get_or_insert_with(Instant::now);
        if since.elapsed() > STALE_FOR {
            state.stale.clear();
            return None;
        }
        state.stale_answers += 1;
        Some(answer)
    }
}

/// A watch lasts for as long as its reader.
async fn stream(proxy: &Proxy, parts: Parts, body: Bytes) -> Response {
    let mut request = Request::from_parts(parts, kube::client::Body::from(body));
    request.headers_mut().remove(header::HOST);
    let (mut head, body) = proxy.kubernetes.send(request).await.expect("Kubernetes answers").into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONNECTION);
    Response::from_parts(head, Body::new(body))
}

impl Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        (*response.status_mut(), *response.headers_mut()) = (self.status, self.headers);
        response
    }
}
