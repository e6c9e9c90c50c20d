//! A time limit for requests to the Kubernetes API. Neither the API server nor kube ends a request whose connection went
//! silent (a load balancer dropped the connection, a node vanished). Without a limit, one such request would block an
//! object, or a whole kind while its list is read, until the operator restarts.

use std::time::Duration;

use http::{StatusCode, header::CONTENT_TYPE};
use kube::{Client, client::Body, core::Status};
use tokio::time::timeout;

use crate::leadership::{LEASE_SECONDS, Timing};

/// The longest time for an answer. The limit is shorter than the grace of the Lease: a write ends before another replica
/// may lead.
const WITHIN: Duration = Duration::from_secs(30);

const _: () = assert!(WITHIN.as_secs() < Timing::of(LEASE_SECONDS).grace().as_secs());

/// The Kubernetes API did not answer in time. The next read shows whether a write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {0:?}")]
struct NoAnswer(Duration);

/// A client whose requests fail when the answer takes too long. For a watch the limit covers the beginning of the answer
/// only: kube itself ends a watch that stays silent for longer than its own timeout.
pub fn with_timeout(client: &Client) -> Client {
    let inner = client.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (inner, path) = (inner.clone(), request.uri().path().to_owned());
        async move {
            let goes_on = is_watch(&request);
            let answer = async {
                let answer = inner.send(request).await?;
                // A refusal is read to its end, also that of a watch.
                if goes_on && answer.status().is_success() {
                    return Ok(answer);
                }
                let (head, body) = answer.into_parts();
                let answer = http::Response::from_parts(head, Body::from(body.collect_bytes().await?));
                Ok::<_, tower::BoxError>(if is_unserved(&answer) { unserved(&path)? } else { answer })
            };
            timeout(WITHIN, answer).await.map_err(|_| NoAnswer(WITHIN))?
        }
    });
    Client::new(service, client.default_namespace())
}

/// The API server does not serve the path: the answer is plain text. A missing object of a served kind has a JSON `Status`
/// instead.
fn is_unserved<B>(answer: &http::Response<B>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    answer.status() == StatusCode::NOT_FOUND && !kind.contains("json")
}

/// Turns the answer for a path that is not served into a `Status` that names the remedy.
fn unserved(path: &str) -> Result<http::Response<Body>, tower::BoxError> {
    let message = format!(
        "the Kubernetes API does not serve {path}: the CustomResourceDefinitions are missing, or of another version. Apply them (the chart \
         private-genai-operator-crds, or private-genai-operator crd | kubectl apply --server-side -f -)"
    );
    let status = Status::failure(&message, "NotFound").with_code(StatusCode::NOT_FOUND.as_u16());
    let body = Body::from(serde_json::to_vec(&status)?);
    Ok(http::Response::builder().status(StatusCode::NOT_FOUND).header(CONTENT_TYPE, "application/json").body(body)?)
}

/// The message of an error without the debug print of the whole answer, which kube's `Display` adds.
pub fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => other.to_string(),
    }
}

fn is_watch(request: &http::Request<Body>) -> bool {
    request.uri().query().unwrap_or_default().split('&').any(|part| part == "watch=true" || part == "watch=1")
}

#[cfg(test)]
mod tests {
    use kube::{Api, api::ListParams};

    use super::*;
    use crate::api::PrivateGenAIApp;

    /// An API server that gives this answer to each request.
    fn api(kind: &'static str, body: &'static str) -> Api<PrivateGenAIApp> {
        let service = tower::service_fn(move |_: http::Request<Body>| async move {
            let answer = http::Response::builder().status(404).header(CONTENT_TYPE, kind);
            Ok::<_, tower::BoxError>(answer.body(Body::from(body.as_bytes().to_vec()))?)
        });
        Api::all(with_timeout(&Client::new(service, "default")))
    }

    #[tokio::test]
    async fn a_missing_definition_is_told_with_what_to_apply() {
        let api = api("text/plain; charset=utf-8", "404 page not found\n");
        let error = api.list(&ListParams::default()).await.expect_err("not served");
        let text = in_words(&error);
        assert!(text.contains("privategenaiapps") && text.contains("crd | kubectl apply"), "{text}");
        assert!(!text.contains("Failed to parse") && !text.contains("Status {"), "{text}");
        assert!(matches!(error, kube::Error::Api(status) if status.is_not_found()));
    }

    #[tokio::test]
    async fn an_object_that_is_missing_is_told_as_the_api_server_says_it() {
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"\"a\" not found","reason":"NotFound","code":404}"#;
        let error = api("application/json", body).get("a").await.expect_err("not there");
        assert_eq!(in_words(&error), "\"a\" not found (404 NotFound)");
    }
}
