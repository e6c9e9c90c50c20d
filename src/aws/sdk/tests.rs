//! What goes over the wire, and when: the SDK against answers that a test makes up, under a virtual clock.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use tokio::time::Instant;

use super::*;
use crate::aws::{Failure, NewVpcEndpoint};

/// Answers the nth request.
type Answer = fn(usize) -> (u16, String);

/// AWS, as far as a test makes it up.
#[derive(Clone, Debug)]
struct Wire {
    answer: Answer,
    requests: Arc<AtomicUsize>,
}

impl HttpConnector for Wire {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = (self.answer)(self.requests.fetch_add(1, Ordering::SeqCst));
        let status = StatusCode::try_from(status).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The calls that were made, and how many requests went over the wire.
struct Seen {
    records: Arc<Mutex<Vec<CallRecord>>>,
    requests: Arc<AtomicUsize>,
}

impl Seen {
    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn codes(&self) -> Vec<(String, bool)> {
        let records = self.records.lock().expect("a lock");
        records.iter().map(|record| (record.code.clone(), record.throttled)).collect()
    }
}

fn aws(answer: Answer) -> (SdkAws, Seen) {
    let wire = Wire { answer, requests: Arc::default() };
    let seen = Seen { records: Arc::default(), requests: Arc::clone(&wire.requests) };
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("key", "secret", None, None, "test")))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .http_client(SharedHttpClient::new(wire))
        .build();
    let records = Arc::clone(&seen.records);
    let record = move |call: &CallRecord| records.lock().expect("a lock").push(call.clone());
    (SdkAws::new(&config, Arc::new(record)), seen)
}

fn region() -> Region {
    "us-east-1".parse().expect("a region")
}

fn ec2_error(code: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors>\
         <RequestID>4f7</RequestID></Response>"
    )
}

#[tokio::test(start_paused = true)]
async fn a_throttled_answer_is_handed_back_at_once_and_slows_down_the_calls_that_follow() {
    let (aws, seen) = aws(|_| (503, ec2_error("RequestLimitExceeded")));
    let tag = ("key", "value");
    let begun = Instant::now();
    let error = aws.security_groups(&region(), tag).await.expect_err("throttled");
    assert_eq!((error.failure, begun.elapsed()), (Failure::Throttled, Duration::ZERO));
    assert_eq!(seen.requests(), 1, "nothing is repeated without its turn");
    assert_eq!(seen.codes(), [("RequestLimitExceeded".to_owned(), true)]);
    // 20 a second are published, and a hundred at once; AWS's bucket is empty, and half of the rate is left.
    let begun = Instant::now();
    aws.security_groups(&region(), tag).await.expect_err("throttled");
    assert_eq!((seen.requests(), begun.elapsed()), (2, Duration::from_millis(100)));
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_tags_may_not_be_read_is_told_by_the_permission_that_lacks() {
    let (aws, _) = aws(|_| {
        let error = r#"{"ErrorCode":"AccessDeniedException","Message":"not authorized to perform: lambda:ListTags"}"#;
        let function = r#"{"FunctionName":"pgai-a","State":"Active"}"#;
        (200, format!(r#"{{"Configuration":{function},"TagsError":{error}}}"#))
    });
    let name = "pgai-a".parse().expect("a name");
    let error = aws.function(&region(), &name).await.expect_err("whose it is cannot be known");
    assert_eq!((error.service, error.operation, error.failure), ("lambda", "ListTags", Failure::AccessDenied));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_unwell_is_asked_again_within_the_call() {
    let (aws, seen) = aws(|_| (500, ec2_error("InternalError")));
    let error = aws.security_groups(&region(), ("key", "value")).await.expect_err("unwell");
    assert_eq!((error.failure, seen.requests()), (Failure::Unavailable, ATTEMPTS as usize));
    assert_eq!(seen.codes(), [("InternalError".to_owned(), false)], "one call");
}

#[tokio::test(start_paused = true)]
async fn each_page_of_a_list_waits_for_its_own_turn_and_the_end_for_none() {
    let (aws, seen) = aws(|n| {
        let next = if n < 24 { format!(r#","nextToken":"page-{n}""#) } else { String::new() };
        (200, format!(r#"{{"logGroups":[]{next}}}"#))
    });
    let begun = Instant::now();
    aws.log_groups(&region(), "/aws/lambda/pgai-").await.expect("a list");
    assert_eq!(seen.requests(), 25);
    assert_eq!(begun.elapsed(), Duration::from_millis(1_500), "ten at once, then ten in each second");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_would_come_too_late_is_not_made() {
    let (aws, seen) = aws(|_| (400, ec2_error("VpcEndpointLimitExceeded")));
    let create = Write::CreateVpcEndpoint(NewVpcEndpoint {
        vpc: "vpc-00000001".parse().expect("a VPC id"),
        service_name: "com.amazonaws.us-east-1.bedrock-runtime".into(),
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
        private_dns: false,
        policy: crate::aws::PolicyDocument::from_wire("{}"),
        client_token: "token".into(),
        tags: Tags::new(),
    });
    let region = region();
    let begun = Instant::now();
    let answers = futures::future::join_all((0..10).map(|_| aws.write(&region, &create))).await;
    let failures: Vec<Failure> = answers.into_iter().map(|answer| answer.expect_err("refused").failure).collect();
    assert_eq!(failures.iter().filter(|failure| **failure == Failure::QuotaReached).count(), 5);
    assert_eq!(failures.iter().filter(|failure| **failure == Failure::Throttled).count(), 5);
    assert_eq!(seen.requests(), 5, "four at once, one within five seconds");
    assert!(begun.elapsed() <= WRITE_TIMEOUT);
}
