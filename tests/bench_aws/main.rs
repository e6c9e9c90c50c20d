//! An AWS that answers at once, as a process of its own, for `make bench`: the in-memory AWS (`tests/memory/aws`) over HTTP. One
//! line on standard output has the URL. The process ends with its standard input.
//!
//! Beside AWS's own calls, the process answers requests below `/_bench/`:
//!
//! | path | body | does |
//! |---|---|---|
//! | `calls` | | returns the number of calls of each operation |
//! | `rates` | | returns the rates of the operator's pacing |
//! | `vpc` | | creates a VPC with two isolated subnets |
//! | `copies` | installation, region, vpc, namespace, from, to | copies the resources of one app for apps with other names |
//! | `left` | installation | returns the remaining resources of an installation |

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests that finds something wrong says so and ends"
)]

mod copies;
mod memory;
mod rates;
#[path = "../wire/mod.rs"]
mod wire;

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
};

use private_genai_operator::{aws::Region, identity::InstallationId};
use serde_json::{Value, json};

use self::{
    memory::aws::{Delays, MemoryAws, VpcShape},
    wire::{Wire, serve},
};

#[tokio::main]
async fn main() {
    let aws = MemoryAws::new(&"123456789012".parse().expect("an account"), Delays::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    println!("{}", json!({"url": format!("http://{address}")}));
    std::io::stdout().flush().expect("somebody reads");
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    serve(listener, Arc::new(Wire::new(aws)), admin).await;
}

fn admin(wire: &Wire, what: &str, body: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    match what {
        "calls" => json!(wire.calls()),
        "rates" => rates::all(),
        "vpc" => {
            let region: Region = "us-east-1".parse().expect("a region");
            let (vpc, subnets) = wire.aws.add_vpc(&region, &VpcShape::default());
            json!({"vpcId": vpc.to_string(), "subnetIds": subnets.iter().map(ToString::to_string).collect::<Vec<_>>()})
        }
        "copies" => wire.aws.alter(|world| copies::make(world, &asked)),
        "left" => {
            let installation: InstallationId = text("installation").parse().expect("an installation");
            json!(wire.aws.leftovers(&installation))
        }
        _ => panic!("no such deed: {what}"),
    }
}
