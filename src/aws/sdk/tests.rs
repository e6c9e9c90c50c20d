//! The requests of the SDK and their times, against the answers of a test, under a virtual clock.

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
use crate::aws::{Ec2Write, Failure, NewVpcEndpoint, Peer, Rule, Written};

/// Answers the nth request.
type Answer = fn(usize) -> (u16, String);

/// AWS, with the answers of a test.
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

/// The calls, and the number of requests on the wire.
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

/// The log of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("a lock").clone()).expect("text")
    }
}

/// The log of this thread, until the guard is dropped.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
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
async fn one_fact_of_others_that_cannot_be_read_keeps_nobody_from_seeing_the_rest() {
    static ANSWER: Mutex<(u16, String)> = Mutex::new((200, String::new()));
    let vpcs: BTreeSet<VpcId> = ["vpc-00000001".parse().expect("a VPC id")].into();
    let wanted = |items: &[&str], set: &str, operation: &str| {
        let items = items.join("</item><item>");
        (200, format!("<{operation}Response><{set}><item>{items}</item></{set}></{operation}Response>"))
    };
    let (aws, _) = aws(|_| ANSWER.lock().expect("a lock").clone());
    let answers = |answer| *ANSWER.lock().expect("a lock") = answer;

    let subnet = "<vpcId>vpc-00000001</vpcId><availabilityZone>us-east-1a</availabilityZone>\
                  <availableIpAddressCount>9</availableIpAddressCount>";
    let [ours, theirs] =
        ["subnet-0000000a", "subnet-of-another-kind"].map(|id| format!("<subnetId>{id}</subnetId>{subnet}"));
    answers(wanted(&[&ours, &theirs], "subnetSet", "DescribeSubnets"));
    assert_eq!(aws.subnets(&region(), &vpcs).await.expect("subnets").len(), 1);

    let endpoint = "<vpcEndpointId>vpce-0000000a</vpcEndpointId><vpcId>vpc-00000001</vpcId><state>available</state>";
    let whole = format!(
        "{endpoint}<serviceName>com.amazonaws.us-east-1.kms</serviceName><vpcEndpointType>Interface</vpcEndpointType>"
    );
    let nameless = format!("{endpoint}<vpcEndpointType>Interface</vpcEndpointType>");
    answers(wanted(&[&whole, &nameless], "vpcEndpointSet", "DescribeVpcEndpoints"));
    assert_eq!(aws.vpc_endpoints(&region(), &vpcs).await.expect("endpoints").len(), 1);
    let tag = "<tagSet><item><key>privategenai.dev/installation</key><value>prod</value></item></tagSet>";
    answers(wanted(&[&whole, &format!("{nameless}{tag}")], "vpcEndpointSet", "DescribeVpcEndpoints"));
    let error = aws.vpc_endpoints(&region(), &vpcs).await.expect_err("one of ours is not left out");
    assert_eq!(error.failure, Failure::Malformed);

    let interface = |kind: &str, id: &str| {
        format!(
            "<networkInterfaceId>{id}</networkInterfaceId><interfaceType>{kind}</interfaceType><status>in-use</status>\
             <availabilityZone>us-east-1a</availabilityZone>"
        )
    };
    let subnetless = [interface("regional_nat_gateway", "eni-0000000a"), interface("lambda", "eni-0000000b")];
    let vpc = "vpc-00000001".parse().expect("a VPC id");
    answers(wanted(&[&subnetless[0]], "networkInterfaceSet", "DescribeNetworkInterfaces"));
    assert_eq!(aws.vpc_interfaces(&region(), &vpc).await.expect("interfaces"), []);
    answers(wanted(&[&subnetless[1]], "networkInterfaceSet", "DescribeNetworkInterfaces"));
    assert!(aws.vpc_interfaces(&region(), &vpc).await.is_err(), "Lambda's is not left out");
}

#[tokio::test(start_paused = true)]
async fn what_a_revoke_did_not_find_is_told_from_what_it_revoked() {
    let (aws, _) = aws(|_| {
        let unknown = "<item><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort>\
                       <ipRanges><item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges></item>";
        let body = format!("<return>true</return><unknownIpPermissionSet>{unknown}</unknownIpPermissionSet>");
        (200, format!("<RevokeSecurityGroupIngressResponse>{body}</RevokeSecurityGroupIngressResponse>"))
    });
    let rule = |range: &str| Rule::tcp(443, Peer::Ipv4(range.to_owned()));
    let rules = [rule("10.0.0.0/8"), rule("0.0.0.0/0")].into();
    let group = "sg-0000000f".parse().expect("a group");
    let written = aws
        .write(&region(), &Write::Ec2(Ec2Write::RevokeSecurityGroupIngress { group, rules }))
        .await
        .expect("an answer");
    assert_eq!(written, Written::Revoked([rule("0.0.0.0/0")].into()));
}

#[tokio::test(start_paused = true)]
async fn the_encoded_message_of_a_denial_is_in_the_log_and_not_in_the_error() {
    let (aws, _) = aws(|_| {
        let words = "You are not authorized to perform this operation. Encoded authorization failure message: aBcD-1_2";
        (403, ec2_error("UnauthorizedOperation").replace("<Message>m<", &format!("<Message>{words}<")))
    });
    let (log, _guard) = logged();
    let error = aws.security_groups(&region(), ("key", "value")).await.expect_err("denied");
    assert_eq!(error.denial().map(|denial| denial.details), Some(crate::aws::Details::Encoded));
    assert!(!error.to_string().contains("aBcD-1_2"), "{error}");
    let log = log.text();
    assert!(log.contains("aBcD-1_2") && log.contains("aws sts decode-authorization-message"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn which_principal_the_operator_is_is_in_the_log_once() {
    let (aws, _) = aws(|_| {
        let arn = "<Arn>arn:aws:sts::123456789012:assumed-role/operator/session</Arn><Account>123456789012</Account>";
        let result = format!("<GetCallerIdentityResult>{arn}</GetCallerIdentityResult>");
        (200, format!("<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"))
    });
    let (log, _guard) = logged();
    for _ in 0..3 {
        aws.caller(&region()).await.expect("a caller");
    }
    let log = log.text();
    assert_eq!(log.matches("assumed-role/operator/session").count(), 1, "{log}");
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
    let create = Write::Ec2(Ec2Write::CreateVpcEndpoint(NewVpcEndpoint {
        vpc: "vpc-00000001".parse().expect("a VPC id"),
        service_name: "com.amazonaws.us-east-1.bedrock-runtime".into(),
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
        private_dns: false,
        policy: crate::aws::PolicyDocument::from_wire("{}"),
        client_token: "token".into(),
        tags: Tags::new(),
    }));
    let region = region();
    let begun = Instant::now();
    let answers = futures::future::join_all((0..10).map(|_| aws.write(&region, &create))).await;
    let failures: Vec<Failure> = answers.into_iter().map(|answer| answer.expect_err("refused").failure).collect();
    assert_eq!(failures.iter().filter(|failure| **failure == Failure::QuotaReached).count(), 5);
    assert_eq!(failures.iter().filter(|failure| **failure == Failure::Throttled).count(), 5);
    assert_eq!(seen.requests(), 5, "four at once, one within five seconds");
    assert!(begun.elapsed() <= WRITE_TIMEOUT);
}
