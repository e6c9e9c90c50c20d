//! Nothing waits for the Kubernetes API for ever. Neither the API server nor the client ends a request of itself whose
//! connection has gone silent (a load balancer that forgot it, a node that vanished): one such answer would keep an object, or a
//! whole kind while it is listed, from being looked at until the operator is started anew.

use std::time::Duration;

use kube::{Client, client::Body};
use tokio::time::timeout;

use crate::leadership::{LEASE_SECONDS, Timing};

/// How long an answer may take. A write is not waited for any more when another may take the Lease, as is none to AWS.
const WITHIN: Duration = Duration::from_secs(30);

const _: () = assert!(WITHIN.as_secs() < Timing::of(LEASE_SECONDS).grace().as_secs());

/// The Kubernetes API did not answer in time. Whether a write was done is for the next look to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {0:?}")]
struct NoAnswer(Duration);

/// The same client, whose requests are answered in time or fail. Of a watch that is the beginning of its answer: what
/// comes then takes its time, and kube ends a watch that tells nothing for longer than it was asked to last.
pub fn answered(client: &Client) -> Client {
    let inner = client.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let inner = inner.clone();
        async move {
            let goes_on = is_watch(&request);
            let answer = async {
                let answer = inner.send(request).await?;
                // A refusal is read to its end, whatever it answers.
                if goes_on && answer.status().is_success() {
                    return Ok(answer);
                }
                let (head, body) = answer.into_parts();
                Ok::<_, tower::BoxError>(http::Response::from_parts(head, Body::from(body.collect_bytes().await?)))
            };
            timeout(WITHIN, answer).await.map_err(|_| NoAnswer(WITHIN))?
        }
    });
    Client::new(service, client.default_namespace())
}

fn is_watch(request: &http::Request<Body>) -> bool {
    request.uri().query().unwrap_or_default().split('&').any(|part| part == "watch=true" || part == "watch=1")
}
