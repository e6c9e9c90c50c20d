//! Nothing waits for the Kubernetes API for ever. Neither the API server nor the client ends a request of itself whose
//! connection has gone silent (a load balancer that forgot it, a node that vanished): one such answer would keep an object, or a
//! whole kind while it is listed, from being looked at until the operator is started anew.

use std::time::Duration;

use http::{StatusCode, header::CONTENT_TYPE};
use kube::{Client, client::Body, core::Status};
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
pub fn with_timeout(client: &Client) -> Client {
    let inner = client.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (inner, path) = (inner.clone(), request.uri().path().to_owned());
        async move {
            let goes_on = is_watch(&request);
            let answer = async {
                let answer = inner.send(request).await?;
                // A refusal is read to its end, whatever it answers.
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

/// The API server knows no such path: it says so in plain text, and not by a `Status`. What it knows and does not find has one.
fn is_unserved<B>(answer: &http::Response<B>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    answer.status() == StatusCode::NOT_FOUND && !kind.contains("json")
}

/// What that means, in the form of the API's other refusals.
fn unserved(path: &str) -> Result<http::Response<Body>, tower::BoxError> {
    let message = format!(
        "the Kubernetes API does not serve {path}: the CustomResourceDefinitions are missing, or of another version. Apply them (the chart \
         private-genai-operator-crds, or private-genai-operator crd | kubectl apply --server-side -f -)"
    );
    let status = Status::failure(&message, "NotFound").with_code(StatusCode::NOT_FOUND.as_u16());
    let body = Body::from(serde_json::to_vec(&status)?);
    Ok(http::Response::builder().status(StatusCode::NOT_FOUND).header(CONTENT_TYPE, "application/json").body(body)?)
}

/// What the Kubernetes API, or the client, says: kube prints the whole answer besides.
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

    /// An API server that answers everything like this.
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
        let told = in_words(&error);
        assert!(told.contains("privategenaiapps") && told.contains("crd | kubectl apply"), "{told}");
        assert!(!told.contains("Failed to parse") && !told.contains("Status {"), "{told}");
        assert!(matches!(error, kube::Error::Api(status) if status.is_not_found()));
    }

    #[tokio::test]
    async fn an_object_that_is_missing_is_told_as_the_api_server_says_it() {
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"\"a\" not found","reason":"NotFound","code":404}"#;
        let error = api("application/json", body).get("a").await.expect_err("not there");
        assert_eq!(in_words(&error), "\"a\" not found (404 NotFound)");
    }
}
