//! Just enough HTTP to talk to the local AWS and to the operator's own endpoints.

use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

/// Lambda's API and the admin API tell the region from the credential scope; nothing checks the signature.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";

/// Makes a request; gives status and body.
///
/// # Panics
/// When there is no answer: a server that is gone fails the test.
pub async fn request(method: &str, url: &str, body: Option<&Value>) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request: http::Request<Full<hyper::body::Bytes>> = http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", AUTHORIZATION)
        .header("content-type", "application/json")
        .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
        .expect("a request");
    let response = client.request(request).await.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("the whole body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The same where success and JSON are expected.
pub async fn json(method: &str, url: &str, body: Option<&Value>) -> Value {
    let (status, body) = request(method, url, body).await;
    assert!((200..300).contains(&status), "{method} {url}: {status} {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{method} {url}: {error} in {body}"))
}
