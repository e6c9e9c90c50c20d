//! Facts about AWS on which the operator rests, each with its source, written against the operator's own trait. The same facts are
//! tried on the in-memory AWS, over the SDK on the local AWS (`tests/local/aws`), and on demand in an AWS account:
//!
//! ```sh
//! cargo test --locked --test conformance the_in_memory_aws   # a second
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

use std::{sync::Arc, time::Duration};

use private_genai_operator::aws::{Aws, Region, Tenancy, VpcDns, VpcId, sdk::SdkAws};
use serde_json::json;

use self::{
    fact::{Fact, failures},
    ground::{Ground, Patience},
    local::LocalAws,
    memory::aws::{Delays, MemoryAws, VpcShape},
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
        let here = aws.add_vpc(&region, &VpcShape { zones: ZONES, ..VpcShape::default() });
        let nameless = VpcShape { dns: VpcDns { support: true, hostnames: false }, ..VpcShape::default() };
        let elsewhere = aws.add_vpc(&region, &nameless);
        let dedicated =
            aws.add_vpc(&region, &VpcShape { tenancy: Tenancy::Other("dedicated".into()), ..VpcShape::default() });
        let ground = Ground::furnished(Arc::new(aws), region, here, elsewhere, dedicated, patience).await;
        failed.extend(failures(&[(fact, ground)]).await);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
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
