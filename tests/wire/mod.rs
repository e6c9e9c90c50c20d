//! The in-memory AWS over HTTP, in the protocols of its services: the operator's binary calls this AWS by the AWS SDK.
//!
//! ```text
//! AWS SDK ──HTTP──► mod (which call, how many) ─► ec2, iam, lambda, logs ─► MemoryAws (step, reads)
//!                     request (what is asked)      xml (what is answered)
//! ```
//!
//! The operations are those of `src/aws/services`, and no others. Pages are as long as AWS's. Every call is answered at once,
//! without limits of rate: what takes time is what the caller does.

mod ec2;
mod iam;
mod lambda;
mod logs;
mod request;
mod xml;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode},
    serve::ListenerExt as _,
};
use private_genai_operator::aws::{AwsError, Failure, Region};
use serde_json::Value;
use tokio::net::TcpListener;

use self::request::Call;
use crate::memory::aws::{Action, MemoryAws};
use private_genai_operator::aws::{Write, Written};

/// An AWS account behind HTTP.
pub struct Wire {
    /// The account.
    pub aws: MemoryAws,
    calls: Mutex<BTreeMap<String, u64>>,
    packages: lambda::Packages,
}

/// The answer to a request that is no call to AWS, by the end of the request's path and by its body.
type Admin = fn(&Wire, &str, &[u8]) -> Value;

/// What a service answers to a call.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    fn new(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    fn json(value: &Value) -> Self {
        Self::new(value.to_string())
    }
}

impl Wire {
    pub fn new(aws: MemoryAws) -> Self {
        Self { aws, calls: Mutex::default(), packages: lambda::Packages::default() }
    }

    /// The calls so far, by operation. Each page is a call.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Carries out a change, at this moment.
    fn write(&self, region: &Region, write: impl Into<Write>) -> Result<Written, AwsError> {
        self.aws.act(&Action::Write(region.clone(), write.into()))
    }

    fn answer(&self, call: &Call) -> Result<Reply, AwsError> {
        match call.service {
            "ec2" => ec2::answer(self, call),
            "iam" => iam::answer(self, call),
            "lambda" => lambda::answer(self, call),
            "logs" => logs::answer(self, call),
            _ => Ok(iam::caller_identity(self, call)),
        }
    }

    /// The answer to a request, which is counted.
    fn handle(&self, method: &str, target: &str, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let Some(call) = Call::read(method, target, headers, body) else {
            return plain(StatusCode::NOT_IMPLEMENTED, format!("no such operation here: {method} {target}"));
        };
        let number = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let count = calls.entry(format!("{}:{}", call.service, call.operation)).or_default();
            *count += 1;
            *count
        };
        let reply = self.answer(&call).unwrap_or_else(|error| refusal(&call, &error));
        let mut response = Response::builder()
            .status(reply.status)
            .header("content-type", call.content_type())
            .header("x-amzn-requestid", format!("{}-{number}", call.operation));
        for (name, value) in reply.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(reply.body)).expect("a response")
    }
}

/// An error in the form of the service's protocol.
fn refusal(call: &Call, error: &AwsError) -> Reply {
    let code = error.code.as_deref().unwrap_or("InternalFailure");
    let status = status_of(call.service, code);
    let message = &error.message;
    match call.service {
        "ec2" => Reply { status, ..Reply::new(xml::ec2_error(code, message)) },
        "iam" | "sts" => Reply { status, ..Reply::new(xml::query_error(code, message)) },
        _ => {
            let body = serde_json::json!({"__type": code, "message": message, "Message": message, "Type": "User"});
            Reply { status, headers: vec![("x-amzn-errortype", code.to_owned())], ..Reply::json(&body) }
        }
    }
}

/// The HTTP status that AWS documents for the error code, where it is another one than 400.
fn status_of(service: &str, code: &str) -> u16 {
    match code {
        "NoSuchEntity" => 404,
        "ResourceNotFoundException" if service == "lambda" => 404,
        "EntityAlreadyExists" | "DeleteConflict" | "LimitExceeded" | "ResourceConflictException" => 409,
        "AccessDenied" | "AccessDeniedException" => 403,
        "RequestEntityTooLargeException" => 413,
        "ResourceNotReadyException" | "KMSDisabledException" => 502,
        "InternalFailure" => 500,
        _ => 400,
    }
}

/// A refusal by the wire itself, of what cannot be read.
fn unreadable(call: &Call, what: &str) -> AwsError {
    AwsError {
        service: call.service,
        operation: call.operation,
        failure: Failure::Invalid,
        code: Some("ValidationError".to_owned()),
        message: format!("{what} cannot be read"),
        request_id: None,
    }
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    Response::builder().status(status).body(Body::from(text)).expect("a response")
}

/// Serves the account until the task ends. A path that begins with `/_bench/` is no call to AWS: `admin` answers it.
pub async fn serve(listener: TcpListener, wire: Arc<Wire>, admin: Admin) {
    async fn handle(State((wire, admin)): State<(Arc<Wire>, Admin)>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
            return plain(StatusCode::BAD_REQUEST, "the body broke off".to_owned());
        };
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        if let Some(what) = target.strip_prefix("/_bench/") {
            return plain(StatusCode::OK, admin(&wire, what, &body).to_string());
        }
        wire.handle(parts.method.as_str(), target, &parts.headers, &body)
    }
    // Small answers must not wait for acknowledgements of earlier ones.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let router = Router::new().fallback(handle).with_state((wire, admin));
    axum::serve(listener, router).await.expect("the wire serves");
}
