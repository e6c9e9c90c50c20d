//! The proof that a probe must give, and the meaning of an invocation.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    api::{
        EndpointStatus, PrivateGenAIAppStatus,
        app::FunctionStatus,
        condition::{ConditionType, Leg, Message, Reason, is_true},
    },
    aws::{Answer, AwsError, Class, Evidence, Failure, FunctionError, Invocation, ProbeError, Region},
    engine::Pace,
    metrics::ProbeResult,
    network::Service,
    plan::explain_failure,
};

/// The number of failed probes, about two minutes, that DNS and routes may cause while AWS still propagates them. After these, a
/// person must act.
const PATIENCE: u32 = 7;

/// The settings that can override AWS's own resolver (Amazon VPC user guide, "DNS attributes"; Route 53 developer guide, "VPC
/// Resolver").
const NAME_SERVICE: &str = "the DHCP option set of the VPC (domain-name-servers other than AmazonProvidedDNS), Route 53 Resolver rules \
                            and private hosted zones that are associated with it, and rule groups of DNS Firewall";

/// The function and the endpoint of a probe. A proof is valid while the subject is unchanged. The status has the whole subject,
/// so a proof outlives the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeSubject {
    pub(super) function: String,
    pub(super) arn: String,
    pub(super) last_modified: String,
    pub(super) code_sha256: String,
    pub(super) log_group: String,
    pub(super) endpoint: String,
    /// The name by which the function finds the service.
    pub(super) host: String,
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl ProbeSubject {
    /// The subject, from the function and the endpoints in the status. `None` while no endpoint has addresses.
    pub fn new(region: &Region, endpoints: &[EndpointStatus], function: &FunctionStatus) -> Option<Self> {
        let service = Service::BedrockRuntime;
        let endpoint = endpoints.iter().find(|endpoint| endpoint.service == service.as_str())?;
        let host = if endpoint.private_dns_enabled {
            service.public_name(region)
        } else {
            endpoint.dns_names.first()?.clone()
        };
        let addresses: BTreeSet<IpAddr> =
            endpoint.private_ip_addresses.iter().map(|address| address.parse().ok()).collect::<Option<_>>()?;
        if addresses.is_empty() {
            return None;
        }
        Some(Self {
            function: function.name.clone(),
            arn: function.arn.clone(),
            last_modified: function.last_modified.clone(),
            code_sha256: function.code_sha256.clone(),
            log_group: function.log_group.clone(),
            endpoint: endpoint.vpc_endpoint_id.clone(),
            host,
            addresses,
        })
    }

    /// The status records a proof of the same subject.
    pub fn is_proven_by(&self, region: &Region, status: &PrivateGenAIAppStatus) -> bool {
        is_true(&status.conditions, ConditionType::Healthy)
            && status
                .function
                .as_ref()
                .and_then(|function| Self::new(region, &status.endpoints, function))
                .is_some_and(|recorded| recorded == *self)
    }

    /// The leg of a proof. The leg has no text that varies from probe to probe.
    pub fn proven(&self) -> Leg {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        Leg::met(
            ConditionType::Healthy,
            format!(
                "From function {}, {} leads to private addresses of endpoint {} ({}) and to no others, and TLS connects \
                 there with a certificate that is verified.",
                self.function,
                self.host,
                self.endpoint,
                addresses.join(", ")
            ),
        )
    }

    /// The endpoint that the probe must reach.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The addresses that the probe reached and that are not recorded as the endpoint's.
    pub fn unknown_addresses(&self, result: &Result<Invocation, AwsError>) -> BTreeSet<IpAddr> {
        let Ok(Invocation { answer: Answer::Evidence(evidence), .. }) = result else { return BTreeSet::new() };
        let met = evidence.addresses.iter().chain(&evidence.connected_to);
        met.filter(|address| !self.addresses.contains(*address)).copied().collect()
    }

    /// The unknown addresses are new ones of the endpoint, which its network has not observed yet.
    pub fn endpoint_changes(&self, failures: u32) -> ProbeOutcome {
        let message = format!(
            "The addresses of endpoint {} have changed: the path is probed once the network of the app has recorded them.",
            self.endpoint
        );
        ProbeOutcome { result: ProbeResult::NotReady, leg: pending(message), retry: Some((Pace::Retry, failures)) }
    }

    /// The meaning of an invocation, after this number of failed ones in a row.
    pub fn judge(&self, result: &Result<Invocation, AwsError>, failures: u32) -> ProbeOutcome {
        let (finding, request_id) = match result {
            Err(error) => return self.not_invoked(error, failures),
            Ok(Invocation { request_id, answer }) => (self.finding(answer), request_id.as_deref()),
        };
        let (found, reason, what, remedy) = match finding {
            Finding::Proven => return ProbeOutcome { result: ProbeResult::Proven, leg: self.proven(), retry: None },
            Finding::Unreachable(cause) => {
                let (what, remedy) = self.explain_unreachable(cause);
                (ProbeResult::Unreachable, Reason::ProbeFailed, what, remedy)
            }
            Finding::NotPrivate { public } => (
                ProbeResult::NotPrivate,
                Reason::NotPrivate,
                format!(
                    "{} leads to {} that are not endpoint {}'s",
                    self.host,
                    if public { "public addresses" } else { "private addresses" },
                    self.endpoint
                ),
                format!("Check which server answers for that name in the VPC: {NAME_SERVICE}."),
            ),
            Finding::OtherName => (
                ProbeResult::NotPrivate,
                Reason::NotPrivate,
                format!("the function looks for the service under another name than {}", self.host),
                format!(
                    "Check the function's code and its variable {}; the operator puts both back at the next resync.",
                    Service::BedrockRuntime.endpoint_url_variable()
                ),
            ),
            Finding::TimedOut => (
                ProbeResult::TimedOut,
                Reason::FunctionTimedOut,
                "the function exceeded its time limit".to_owned(),
                "Raise spec.function.timeoutSeconds if the limit is short; the function's log shows its last step.".to_owned(),
            ),
            Finding::Failed(type_) => (
                ProbeResult::FunctionError,
                Reason::FunctionError,
                type_.map_or_else(|| "the probe failed".to_owned(), |type_| format!("the probe failed with {type_}")),
                "See the function's log for the place, and correct the function's code or configuration.".to_owned(),
            ),
            Finding::Unreadable => (
                ProbeResult::Unreadable,
                Reason::FunctionError,
                "the function's answer is no answer to a probe".to_owned(),
                "Check whether the function's code is the built-in handler; the operator puts the code back at the next resync."
                    .to_owned(),
            ),
        };
        let text = format!("Function {}: {what}. {remedy} The log group is {}.", self.function, self.log_group);
        let message = Message { text, request_id: request_id.map(ToOwned::to_owned), since: None };
        let may_pass = matches!(reason, Reason::ProbeFailed | Reason::NotPrivate);
        let kind = ConditionType::Healthy;
        let (leg, again) = match failures.checked_sub(if may_pass { PATIENCE } else { 0 }) {
            None => (Leg::progressing(kind, reason, message), (Pace::Retry, failures)),
            Some(failures) => (Leg::blocked(kind, reason, message), (Pace::Blocked, failures)),
        };
        ProbeOutcome { result: found, leg, retry: Some(again) }
    }

    /// Judges an invocation that did not happen: Lambda refused the call, or did not answer.
    fn not_invoked(&self, error: &AwsError, failures: u32) -> ProbeOutcome {
        let (kind, name) = (ConditionType::Healthy, &self.function);
        let (found, leg, pace) = match error.failure {
            Failure::NotYet | Failure::RoleNotUsable => {
                let text = format!(
                    "Function {name} cannot be invoked yet: {}. The path is probed again.",
                    error.without_request_id()
                );
                let message = Message::of_call(text, error);
                (ProbeResult::NotReady, Leg::progressing(kind, Reason::ProbePending, message), Pace::Retry)
            }
            // Each further attempt would add to the throttling.
            Failure::Throttled => {
                let text = format!(
                    "{name}: {}. The path is probed again, less often each time. If Lambda keeps throttling, check the concurrency that is \
                     reserved for the function and left in the account.",
                    error.without_request_id()
                );
                let message = Message::of_call(text, error);
                (ProbeResult::Throttled, Leg::progressing(kind, Reason::Throttled, message), Pace::Blocked)
            }
            Failure::Unavailable
            | Failure::NotFound
            | Failure::AlreadyExists
            | Failure::NameTaken
            | Failure::InUse
            | Failure::TokenMismatch
            | Failure::PrivateDnsConflict
            | Failure::BoundaryMissing
            | Failure::AccessDenied
            | Failure::KeyUnusable
            | Failure::Credentials
            | Failure::QuotaReached
            | Failure::Invalid
            | Failure::Malformed => {
                let pace = match error.failure.class() {
                    Class::Retry | Class::Wait => Pace::Retry,
                    Class::UserMustAct => Pace::Blocked,
                };
                (ProbeResult::Refused, explain_failure(kind, name, error), pace)
            }
        };
        ProbeOutcome { result: found, leg, retry: Some((pace, failures)) }
    }

    fn finding(&self, answer: &Answer) -> Finding {
        match answer {
            Answer::Evidence(evidence) => self.judge_evidence(evidence),
            Answer::Refused(error) => ended_by(*error),
            Answer::Failed(FunctionError::TimedOut) => Finding::TimedOut,
            Answer::Failed(FunctionError::Type(type_)) => Finding::Failed(Some(type_.clone())),
            Answer::Failed(FunctionError::Unnamed) => Finding::Failed(None),
            Answer::Unreadable => Finding::Unreadable,
        }
    }

    /// A wrong destination takes precedence over a failed connection.
    fn judge_evidence(&self, evidence: &Evidence) -> Finding {
        if evidence.host.as_ref().is_some_and(|host| !host.eq_ignore_ascii_case(&self.host)) {
            return Finding::OtherName;
        }
        let mut met = evidence.addresses.iter().chain(&evidence.connected_to);
        let foreign: BTreeSet<&IpAddr> = met.by_ref().filter(|address| !self.addresses.contains(*address)).collect();
        if !foreign.is_empty() {
            return Finding::NotPrivate { public: foreign.into_iter().any(is_public) };
        }
        match (evidence.error, &evidence.host, evidence.connected_to) {
            (Some(error), ..) => ended_by(error),
            (None, Some(_), Some(_)) if !evidence.addresses.is_empty() => {
                if evidence.verified {
                    Finding::Proven
                } else {
                    Finding::Unreachable(UnreachableCause::Tls)
                }
            }
            (None, ..) => Finding::Unreadable,
        }
    }

    fn explain_unreachable(&self, cause: UnreachableCause) -> (String, String) {
        let Self { host, endpoint, .. } = self;
        match cause {
            UnreachableCause::NoName => (
                format!("the name {host} does not exist in the VPC"),
                format!(
                    "Check that endpoint {endpoint} exists, the VPC's attributes enableDnsSupport and enableDnsHostnames, and who \
                     answers for names there: {NAME_SERVICE}."
                ),
            ),
            UnreachableCause::NoLookup => (
                format!("the name {host} could not be looked up"),
                format!("Check which server answers for names in the VPC: {NAME_SERVICE}."),
            ),
            UnreachableCause::Silence => (
                format!("{host} does not answer on port 443"),
                format!(
                    "Check the network ACLs between the function's subnets and endpoint {endpoint}; the operator itself \
                     keeps the security groups."
                ),
            ),
            UnreachableCause::Refused => (
                format!("{host} refuses connections on port 443"),
                format!("Check which appliance or proxy answers at the addresses of endpoint {endpoint}."),
            ),
            UnreachableCause::Tls => (
                format!("the connection to {host} cannot be trusted"),
                "Check that nothing on the way replaces the certificate, such as a proxy or firewall that inspects TLS.".to_owned(),
            ),
            UnreachableCause::Lost => (
                format!("the connection to {host} breaks off"),
                "Check network ACLs and firewalls on the way.".to_owned(),
            ),
        }
    }
}

/// The leg of a path without a proof.
pub fn pending(message: impl Into<Message>) -> Leg {
    Leg::progressing(ConditionType::Healthy, Reason::ProbePending, message)
}

/// The leg of a suspended app without a proof.
pub fn suspended() -> Leg {
    let message = "The app is suspended: its path is not probed. Set spec.suspend to false.";
    Leg::blocked(ConditionType::Healthy, Reason::Suspended, message)
}

/// The finding of a probe.
enum Finding {
    Proven,
    Unreachable(UnreachableCause),
    /// The name leads to addresses of others.
    NotPrivate {
        public: bool,
    },
    /// The function looks for the service under another name.
    OtherName,
    TimedOut,
    /// The function failed with an error of this type.
    Failed(Option<String>),
    Unreadable,
}

/// The reason why the function does not reach the endpoint.
#[derive(Clone, Copy)]
enum UnreachableCause {
    NoName,
    NoLookup,
    Silence,
    Refused,
    Tls,
    Lost,
}

fn ended_by(error: ProbeError) -> Finding {
    match error {
        ProbeError::DnsNotFound => Finding::Unreachable(UnreachableCause::NoName),
        ProbeError::DnsFailed => Finding::Unreachable(UnreachableCause::NoLookup),
        ProbeError::ConnectTimeout => Finding::Unreachable(UnreachableCause::Silence),
        ProbeError::ConnectionRefused => Finding::Unreachable(UnreachableCause::Refused),
        ProbeError::TlsFailed => Finding::Unreachable(UnreachableCause::Tls),
        ProbeError::ConnectionLost => Finding::Unreachable(UnreachableCause::Lost),
        ProbeError::DeadlineExceeded => Finding::TimedOut,
        ProbeError::Misconfigured | ProbeError::Internal => Finding::Failed(Some(format!("{error:?}"))),
        ProbeError::Other => Finding::Failed(None),
    }
}

/// 100.64.0.0/10, which VPCs can have (RFC 6598; Amazon VPC user guide, "VPC CIDR blocks").
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

pub(super) fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_private() || is_shared(*address) || address.is_link_local() || address.is_loopback())
        }
        IpAddr::V6(address) => !(address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()),
    }
}

/// The outcome of an invocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeOutcome {
    /// The value of the metric.
    pub result: ProbeResult,
    /// The leg for the status.
    pub leg: Leg,
    /// The pace of the next probe, and the attempt at this pace. `None` after a proof.
    pub retry: Option<(Pace, u32)>,
}
