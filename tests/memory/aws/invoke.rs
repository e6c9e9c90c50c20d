//! The result of an invocation with the probe. The function's state decides whether its code runs. The reach of that code follows
//! from the function's groups, the endpoints of its VPC and their groups, and DNS there.

use std::{collections::BTreeSet, sync::LazyLock};

use private_genai_operator::{
    aws::{
        AwsError, EndpointState, FunctionConfiguration, FunctionName, FunctionState, Invocation, Package, Peer,
        Protocol, Region, Rule, SecurityGroupId, VpcId,
    },
    function,
};
use serde_json::{Value, json};

use super::{
    lambda::found,
    step::{Answer, advance, refuse_with, refused},
    world::{Holder, Interface, RegionState, Transition, World},
};

/// The package of the built-in handler.
static BUILT_IN: LazyLock<Package> = LazyLock::new(|| function::built_in().expect("a package"));

/// The address of Bedrock's public name where no endpoint serves that name.
const PUBLIC: &str = "192.0.2.1";

/// The behaviour of a function's code.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour {
    /// The behaviour of the uploaded package.
    #[default]
    AsUploaded,
    /// The function ends with an error.
    Fails { error_type: String, message: String },
    /// The function exceeds its time limit.
    TimesOut,
    /// The function answers with this JSON document.
    Answers(String),
}

/// `lambda:Invoke` with the probe. The world changes only where the call wakes a function.
pub fn probe(world: &mut World, region: &Region, name: &FunctionName) -> Result<Invocation, AwsError> {
    let Answered { request_id, failed, payload } = answered(world, region, name)?;
    Ok(Invocation::read(Some(&request_id), failed, payload.to_string().as_bytes()))
}

/// Lambda's answer to an invocation, as Lambda sends it.
pub struct Answered {
    pub request_id: String,
    /// `X-Amz-Function-Error`.
    pub failed: bool,
    pub payload: Value,
}

/// [`probe`], as Lambda sends the answer.
pub fn answered(world: &mut World, region: &Region, name: &FunctionName) -> Result<Answered, AwsError> {
    let answer = invoke(world, region, name);
    advance(world, 0);
    let (failed, payload) = answer.map_err(|refusal| refused(("lambda", "Invoke"), refusal))?;
    let request_id = format!("invocation-{}", world.count(format!("invocation {name}")));
    Ok(Answered { request_id, failed, payload })
}

fn invoke(world: &mut World, region: &Region, name: &FunctionName) -> Answer<(bool, Value)> {
    let record = found(world, region, name)?;
    match &record.detail.state {
        FunctionState::Active => {}
        FunctionState::Inactive => {
            let function = &mut world.region_mut(region).functions;
            if let Some(record) = function.get_mut(name) {
                record.detail.state = FunctionState::Pending;
                record.detail.state_reason = Some("Restoring: The function is being restored.".into());
            }
            world.schedule(Transition::FunctionActive(region.clone(), name.clone()), world.delays.function_active);
            return refuse_with(
                502,
                "ResourceNotReadyException",
                "The function is inactive and its VPC connection is no longer available. Wait for the VPC connection to \
                 reestablish and try again.",
            );
        }
        state => {
            return refuse_with(
                409,
                "ResourceConflictException",
                format!(
                    "The operation cannot be performed at this time. The function is currently in the following state: {}",
                    state.as_str()
                ),
            );
        }
    }
    if record.detail.listing.unreadable_environment.is_some() {
        let message = "Lambda was unable to decrypt the environment variables because the KMS key used is disabled.";
        return refuse_with(502, "KMSDisabledException", message);
    }
    let limit = record.detail.listing.configuration.timeout_seconds;
    Ok(match record.behaviour {
        Behaviour::AsUploaded if record.detail.listing.code_sha256 == BUILT_IN.sha256() => {
            world.region_mut(region);
            (false, json!({"probe": look(region, &world.regions[region], &record.detail.listing.configuration)}))
        }
        Behaviour::AsUploaded => {
            (true, json!({"errorType": "Runtime.ImportModuleError", "errorMessage": "Cannot find module 'index'"}))
        }
        Behaviour::Fails { error_type, message } => (true, json!({"errorType": error_type, "errorMessage": message})),
        Behaviour::TimesOut => {
            let message = format!("Error: Task timed out after {limit}.00 seconds");
            (true, json!({"errorType": "Sandbox.Timedout", "errorMessage": message}))
        }
        Behaviour::Answers(document) => (false, serde_json::from_str(&document).unwrap_or(Value::String(document))),
    })
}

/// The findings of the built-in handler's probe.
fn look(region: &Region, state: &RegionState, function: &FunctionConfiguration) -> Value {
    let public = format!("bedrock-runtime.{region}.amazonaws.com");
    let url = function.environment.variables().get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME");
    let host = url.and_then(|url| url.strip_prefix("https://")).unwrap_or(&public);
    let failed = |found: Value, type_: &str| {
        let mut found = found;
        found["error"] = json!({"type": type_, "message": "as the handler tells it"});
        found
    };
    let begun = json!({"host": host, "port": 443});
    let vpc = function.subnets.iter().find_map(|id| state.subnets.get(id)).map(|subnet| subnet.vpc.clone());
    let addresses = resolved(state, vpc.as_ref(), host, &public);
    if addresses.is_empty() {
        return failed(begun, "DnsNotFound");
    }
    let known: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let known = json!({"host": host, "port": 443, "addresses": known});
    match addresses.iter().find(|address| reaches(state, vpc.as_ref(), &function.security_groups, address)) {
        None => failed(known, "ConnectTimeout"),
        Some(address) => {
            let mut found = known;
            found["connectedTo"] = json!(address);
            found["tls"] = json!("TLSv1.3");
            found["authorized"] = json!(true);
            found
        }
    }
}

/// The resolver of the VPC: names of endpoints that are available there, and Bedrock's public name.
fn resolved(state: &RegionState, vpc: Option<&VpcId>, host: &str, public: &str) -> BTreeSet<String> {
    let endpoint = state.endpoints.values().find(|endpoint| {
        Some(&endpoint.vpc) == vpc
            && endpoint.state == EndpointState::Available
            && endpoint.dns_names.iter().any(|name| name == host)
            && (endpoint.private_dns || host != public)
    });
    match endpoint {
        Some(endpoint) => state
            .interfaces
            .values()
            .filter(|interface| interface.holder == Holder::Endpoint(endpoint.id.clone()))
            .flat_map(|interface| interface.fact.private_ip.iter().chain(&interface.fact.ipv6))
            .cloned()
            .collect(),
        None if host == public => [PUBLIC.to_owned()].into(),
        None => BTreeSet::new(),
    }
}

/// A packet to port 443 of this address arrives: out of the function's groups, and into the endpoint's.
fn reaches(state: &RegionState, vpc: Option<&VpcId>, groups: &BTreeSet<SecurityGroupId>, address: &str) -> bool {
    let Some(vpc) = vpc else {
        // A function outside any VPC reaches the internet only.
        return address == PUBLIC;
    };
    if state.closed_vpcs.contains(vpc) {
        return false;
    }
    let has = |interface: &&Interface| {
        interface.fact.private_ip.as_deref() == Some(address) || interface.fact.ipv6.contains(address)
    };
    let interface = state.interfaces.values().find(has);
    let Some(theirs) = interface.and_then(|interface| state.groups_of(interface)) else {
        return false;
    };
    let rules =
        |ids: &BTreeSet<SecurityGroupId>, pick: fn(&_) -> &BTreeSet<Rule>, peers: &BTreeSet<SecurityGroupId>| {
            ids.iter().filter_map(|id| state.groups.get(id)).flat_map(pick).any(|rule| allows(rule, peers))
        };
    rules(groups, |group| &group.egress, theirs) && rules(theirs, |group| &group.ingress, groups)
}

/// No address here lies in a range other than the whole internet.
fn allows(rule: &Rule, peers: &BTreeSet<SecurityGroupId>) -> bool {
    let https = match rule.protocol {
        Protocol::All => true,
        Protocol::Tcp => rule.ports.is_none_or(|(first, last)| (first..=last).contains(&443)),
        Protocol::Other(_) => false,
    };
    https
        && match &rule.peer {
            Peer::Group(id) => peers.contains(id),
            Peer::Ipv4(range) => range == "0.0.0.0/0",
            Peer::Ipv6(_) | Peer::PrefixList(_) | Peer::Unreadable(_) => false,
        }
}
