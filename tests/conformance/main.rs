//! Facts about AWS on which the operator rests, each with its source, written against the operator's own trait. The same facts are
//! tried on the in-memory AWS, by itself and over the SDK (`tests/wire`), over the SDK on the local AWS (`tests/local/aws`), and on
//! demand in an AWS account:
//!
//! ```sh
//! cargo test --locked --test conformance the_in_memory_aws   # ten seconds
//! cargo test --locked --test conformance the_local_aws       # twenty seconds; needs make build
//! PGAI_CONFORMANCE='us-east-1 vpc-… subnet-… subnet-…' cargo test --locked --test conformance -- --ignored account
//! CONFORMANCE='client token' cargo test …                 # the facts whose sentences have this in them
//! ```
//!
//! Where the two models of AWS differ, the API reference decides, and the other one is mended. What only one of them can show has
//! tests beside it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing fails, and says where"
)]

mod endpoints;
mod fact;
mod functions;
mod ground;
mod groups;
mod local;
mod logs;
mod memory;
mod roles;
#[path = "../wire/mod.rs"]
mod wire;

use std::{sync::Arc, time::Duration};

use private_genai_operator::aws::{
    Aws, IamWrite, LogsWrite, PolicyDocument, Region, Tags, Tenancy, VpcDns, VpcId, Write, sdk::SdkAws,
};
use serde_json::json;

use self::{
    fact::{Fact, failures},
    ground::{Ground, Patience, Place},
    local::LocalAws,
    memory::aws::{Action, Delays, MemoryAws, VpcShape},
    wire::{Wire, serve},
};

/// All facts, by service.
fn facts() -> Vec<&'static Fact> {
    let only = std::env::var("CONFORMANCE").unwrap_or_default();
    let all = [groups::FACTS, endpoints::FACTS, functions::FACTS, roles::FACTS, logs::FACTS].into_iter().flatten();
    all.filter(|fact| fact.sentence.contains(&only)).collect()
}

/// Two zones, another subnet in the first of them, and one in a zone in which AWS offers nothing.
const ZONES: &str = "abad";

fn zones(letters: &str) -> Vec<String> {
    letters.chars().map(String::from).collect()
}

#[tokio::test(start_paused = true)]
async fn the_in_memory_aws_honours_every_fact() {
    let delays = Delays {
        ec2_visible: 2,
        endpoint_available: 60,
        endpoint_deleted: 30,
        endpoint_forgotten: 600,
        function_active: 10,
        function_updated: 5,
        interfaces_created: 40,
        function_deleted: 5,
        interfaces_released: 1_200,
        role_usable: 10,
        role_visible: 5,
    };
    let patience = Patience { bound: Duration::from_hours(1), pause: Duration::from_secs(1) };
    let mut failed = Vec::new();
    for fact in facts() {
        let aws = MemoryAws::new(&"123456789012".parse().expect("an account"), delays);
        let region = "us-east-1".parse().expect("a region");
        let [here, elsewhere, dedicated] = places(&aws, &region);
        let ground = Ground::furnished(Arc::new(aws), region, here, elsewhere, dedicated, patience).await;
        failed.extend(failures(&[(fact, ground)]).await);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The furniture of a ground: see [`Ground::furnished`].
fn places(aws: &MemoryAws, region: &Region) -> [Place; 3] {
    let shapes = [
        VpcShape { zones: ZONES, ..VpcShape::default() },
        VpcShape { dns: VpcDns { support: true, hostnames: false }, ..VpcShape::default() },
        VpcShape { tenancy: Tenancy::Other("dedicated".into()), ..VpcShape::default() },
    ];
    shapes.map(|shape| aws.add_vpc(region, &shape))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_in_memory_aws_honours_every_fact_over_http_too() {
    let delays = Delays {
        ec2_visible: 0,
        endpoint_available: 3,
        endpoint_deleted: 1,
        endpoint_forgotten: 600,
        function_active: 1,
        function_updated: 1,
        interfaces_created: 0,
        function_deleted: 0,
        interfaces_released: 6,
        role_usable: 1,
        role_visible: 0,
    };
    let patience = Patience { bound: Duration::from_secs(90), pause: Duration::from_millis(100) };
    let aws = MemoryAws::new(&"123456789012".parse().expect("an account"), delays);
    let (_, url) = wired(&aws).await;
    let mut tried = Vec::new();
    for fact in facts() {
        let region: Region = "us-east-1".parse().expect("a region");
        let [here, elsewhere, dedicated] = places(&aws, &region);
        let sdk: Arc<dyn Aws> = Arc::new(SdkAws::new(&local::config(&url).await, Arc::new(|_| ())));
        tried.push((fact, Ground::furnished(sdk, region, here, elsewhere, dedicated, patience).await));
    }
    let failed = failures(&tried).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The account over HTTP, and its URL.
async fn wired(aws: &MemoryAws) -> (Arc<Wire>, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let wire = Arc::new(Wire::new(aws.clone()));
    tokio::spawn(serve(listener, Arc::clone(&wire), |_, _, _| serde_json::Value::Null));
    (wire, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_over_http_are_complete_and_have_pages_as_long_as_those_of_aws() {
    let aws = MemoryAws::new(&"123456789012".parse().expect("an account"), Delays::default());
    let region: Region = "us-east-1".parse().expect("a region");
    let trust_policy = PolicyDocument::from_wire(
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"Service": "lambda.amazonaws.com"}}]}"#,
    );
    let there = |write: Write| aws.act(&Action::Write(region.clone(), write)).expect("a write");
    for number in 0..101 {
        let text = format!("/aws/lambda/pgai-{number:03}");
        there(LogsWrite::CreateLogGroup { name: text.parse().expect("a name"), tags: Tags::new() }.into());
    }
    for number in 0..1_001 {
        let create = IamWrite::CreateRole {
            name: format!("role-{number:04}").parse().expect("a name"),
            path: "/private-genai/".into(),
            trust_policy: trust_policy.clone(),
            description: String::new(),
            permissions_boundary: None,
            tags: Tags::new(),
        };
        there(create.into());
    }
    let (wire, url) = wired(&aws).await;
    let sdk = SdkAws::new(&local::config(&url).await, Arc::new(|_| ()));
    assert_eq!(sdk.log_groups(&region, "/aws/lambda/pgai-").await.expect("groups").len(), 101);
    assert_eq!(sdk.roles(&region, "/private-genai/").await.expect("roles").len(), 1_001);
    assert_eq!(sdk.role_listings(&region, "/private-genai/").await.expect("roles").len(), 1_001);
    assert_eq!(sdk.functions(&region).await.expect("functions").len(), 0);
    let calls = [
        ("iam:GetAccountAuthorizationDetails", 2),
        ("iam:ListRoles", 2),
        ("lambda:ListFunctions", 1),
        ("logs:DescribeLogGroups", 3),
    ];
    assert_eq!(wire.calls(), calls.map(|(name, count)| (name.to_owned(), count)).into());
}

#[tokio::test]
async fn the_local_aws_honours_every_fact() {
    let local = LocalAws::start().await;
    let patience = Patience { bound: Duration::from_secs(90), pause: Duration::from_millis(100) };
    let mut tried = Vec::new();
    for fact in facts() {
        let here = local.vpc(&json!({"azs": zones(ZONES)})).await;
        let elsewhere = local.vpc(&json!({"azs": zones("ab"), "dnsHostnames": false})).await;
        let dedicated = local.vpc(&json!({"azs": zones("ab"), "tenancy": "dedicated"})).await;
        let (aws, region): (Arc<dyn Aws>, _) = (local.sdk(), local.region.clone());
        tried.push((fact, Ground::furnished(aws, region, here, elsewhere, dedicated, patience).await));
    }
    let failed = failures(&tried).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Everything that is created is tagged, and removed again; Lambda takes up to an hour to let its interfaces go.
#[tokio::test]
#[ignore = "it needs an AWS account, and costs cents: see the top of tests/conformance/main.rs"]
async fn an_aws_account_honours_every_fact() {
    let place = std::env::var("PGAI_CONFORMANCE").expect("PGAI_CONFORMANCE is 'REGION VPC SUBNET SUBNET'");
    let mut words = place.split_whitespace();
    let mut next = || words.next().expect("PGAI_CONFORMANCE is 'REGION VPC SUBNET SUBNET'");
    let region: Region = next().parse().expect("a region");
    let vpc: VpcId = next().parse().expect("a VPC id");
    let subnets: Vec<_> = [next(), next()].map(|subnet| subnet.parse().expect("a subnet id")).into();
    let aws: Arc<dyn Aws> = Arc::new(SdkAws::load(&region, Arc::new(|_| ())).await);
    let patience = Patience { bound: Duration::from_mins(75), pause: Duration::from_secs(10) };
    let mut failed = Vec::new();
    for fact in facts() {
        let ground = Ground::new(Arc::clone(&aws), region.clone(), (vpc.clone(), subnets.clone()), patience);
        failed.extend(failures(&[(fact, ground.await)]).await);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
