//! Whether the path is proven: what a probe has to show, what its findings mean, and when the next one is due.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::{
    api::{
        EndpointStatus, PrivateGenAIAppStatus,
        app::FunctionStatus,
        condition::{ConditionType, Leg, LegState, Message, Reason, is_true},
    },
    aws::{Answer, AwsError, Class, Evidence, Failure, FunctionError, Invocation, ProbeError, Region},
    engine::{DetailRead, Pace},
    metrics::ProbeResult,
    network::Service,
    plan::explain_failure,
};

/// So many failures on the way may be DNS and routes that AWS still makes known, which takes minutes: they are waited for,
/// for about two minutes. Then somebody must act.
const PATIENCE: u32 = 7;

/// What makes a name lead elsewhere than AWS's own resolver would have it (Amazon VPC user guide, "DNS attributes"; Route 53 developer guide,
/// "VPC Resolver").
const NAME_SERVICE: &str = "the DHCP option set of the VPC (domain-name-servers other than AmazonProvidedDNS), Route 53 Resolver rules \
                            and private hosted zones that are associated with it, and rule groups of DNS Firewall";

/// So many invocations in a row that were not made leave a proof as it is.
const MISSED: u32 = 3;

/// What a probe is about: the function as it is, and the endpoint that it must meet. What was proven holds while this stays
/// the same. All of it is in status, so that it holds for the next operator too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeSubject {
    function: String,
    arn: String,
    last_modified: String,
    code_sha256: String,
    log_group: String,
    endpoint: String,
    /// The name under which the function finds the service.
    host: String,
    addresses: BTreeSet<IpAddr>,
}

impl ProbeSubject {
    /// What is to be proven of a function and the endpoints as status shows them; `None` while there is no endpoint with
    /// addresses.
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

    /// The same was proven when this status was written.
    pub fn is_proven_by(&self, region: &Region, status: &PrivateGenAIAppStatus) -> bool {
        is_true(&status.conditions, ConditionType::Healthy)
            && status
                .function
                .as_ref()
                .and_then(|function| Self::new(region, &status.endpoints, function))
                .is_some_and(|recorded| recorded == *self)
    }

    /// The leg that says what was proven. Nothing that differs from probe to probe is in it.
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

    /// The endpoint that the probe must meet.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The addresses that the probe met and that are not known as the endpoint's.
    pub fn unknown_addresses(&self, result: &Result<Invocation, AwsError>) -> BTreeSet<IpAddr> {
        let Ok(Invocation { answer: Answer::Evidence(evidence), .. }) = result else { return BTreeSet::new() };
        let met = evidence.addresses.iter().chain(&evidence.connected_to);
        met.filter(|address| !self.addresses.contains(*address)).copied().collect()
    }

    /// The strangers turned out to be the endpoint's own: it changes, and its network has not seen that yet.
    pub fn endpoint_changes(&self, failures: u32) -> ProbeOutcome {
        let message = format!(
            "The addresses of endpoint {} have changed: the path is probed once its network has seen that and put it right.",
            self.endpoint
        );
        ProbeOutcome { result: ProbeResult::NotReady, leg: pending(message), retry: Some((Pace::Retry, failures)) }
    }

    /// What an invocation means, after so many in a row that proved nothing.
    pub fn judge(&self, result: &Result<Invocation, AwsError>, failures: u32) -> ProbeOutcome {
        let (finding, request_id) = match result {
            Err(error) => return self.not_invoked(error, failures),
            Ok(Invocation { request_id, answer }) => (self.finding(answer), request_id.as_deref()),
        };
        let (found, reason, what, remedy) = match finding {
            Finding::Proven => return ProbeOutcome { result: ProbeResult::Proven, leg: self.proven(), retry: None },
            Finding::Way(way) => {
                let (what, remedy) = self.explain_way(way);
                (ProbeResult::Unreachable, Reason::ProbeFailed, what, remedy)
            }
            Finding::Elsewhere { public } => (
                ProbeResult::NotPrivate,
                Reason::NotPrivate,
                format!(
                    "{} leads to {} that are not endpoint {}'s",
                    self.host,
                    if public { "public addresses" } else { "private addresses" },
                    self.endpoint
                ),
                format!("Check who answers for that name in the VPC: {NAME_SERVICE}."),
            ),
            Finding::OtherName => (
                ProbeResult::NotPrivate,
                Reason::NotPrivate,
                format!("it looks for the service under another name than {}", self.host),
                format!(
                    "Check its code and its variable {}; the operator puts them back at the next resync.",
                    Service::BedrockRuntime.endpoint_url_variable()
                ),
            ),
            Finding::TimedOut => (
                ProbeResult::TimedOut,
                Reason::FunctionTimedOut,
                "it ran into its time limit".to_owned(),
                "Raise spec.function.timeoutSeconds if that is short; its log tells how far it came.".to_owned(),
            ),
            Finding::Failed(type_) => (
                ProbeResult::FunctionError,
                Reason::FunctionError,
                type_.map_or_else(|| "it failed".to_owned(), |type_| format!("it failed with {type_}")),
                "Its log tells where: correct its code or its configuration.".to_owned(),
            ),
            Finding::Unreadable => (
                ProbeResult::Unreadable,
                Reason::FunctionError,
                "it answered something that is no answer to a probe".to_owned(),
                "See whether its code is the built-in handler; the operator puts it back at the next resync."
                    .to_owned(),
            ),
        };
        let text = format!("Function {}: {what}. {remedy} Its log group is {}.", self.function, self.log_group);
        let message = Message { text, request_id: request_id.map(ToOwned::to_owned), since: None };
        let may_pass = matches!(reason, Reason::ProbeFailed | Reason::NotPrivate);
        let kind = ConditionType::Healthy;
        let (leg, again) = match failures.checked_sub(if may_pass { PATIENCE } else { 0 }) {
            None => (Leg::progressing(kind, reason, message), (Pace::Retry, failures)),
            Some(failures) => (Leg::blocked(kind, reason, message), (Pace::Blocked, failures)),
        };
        ProbeOutcome { result: found, leg, retry: Some(again) }
    }

    /// The function was not invoked: Lambda refused, or could not be asked.
    fn not_invoked(&self, error: &AwsError, failures: u32) -> ProbeOutcome {
        let (kind, name) = (ConditionType::Healthy, &self.function);
        let (found, leg, pace) = match error.failure {
            Failure::NotYet | Failure::RoleNotUsable => {
                let text = format!(
                    "Function {name} cannot be invoked yet: {}. It is probed again.",
                    error.without_request_id()
                );
                let message = Message::of_call(text, error);
                (ProbeResult::NotReady, Leg::progressing(kind, Reason::ProbePending, message), Pace::Retry)
            }
            // Each further attempt would add to what throttles.
            Failure::Throttled => {
                let text = format!(
                    "{name}: {}. It is probed again, less often each time. If it stays, see what concurrency is reserved for the function \
                     and left in the account.",
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
            Answer::Evidence(evidence) => self.weigh(evidence),
            Answer::Refused(error) => ended_by(*error),
            Answer::Failed(FunctionError::TimedOut) => Finding::TimedOut,
            Answer::Failed(FunctionError::Type(type_)) => Finding::Failed(Some(type_.clone())),
            Answer::Failed(FunctionError::Unnamed) => Finding::Failed(None),
            Answer::Unreadable => Finding::Unreadable,
        }
    }

    /// Where the way leads comes first: a way that leads elsewhere is none of ours, whether it ends there or not.
    fn weigh(&self, evidence: &Evidence) -> Finding {
        if evidence.host.as_ref().is_some_and(|host| !host.eq_ignore_ascii_case(&self.host)) {
            return Finding::OtherName;
        }
        let mut met = evidence.addresses.iter().chain(&evidence.connected_to);
        let foreign: BTreeSet<&IpAddr> = met.by_ref().filter(|address| !self.addresses.contains(*address)).collect();
        if !foreign.is_empty() {
            return Finding::Elsewhere { public: foreign.into_iter().any(is_public) };
        }
        match (evidence.error, &evidence.host, evidence.connected_to) {
            (Some(error), ..) => ended_by(error),
            (None, Some(_), Some(_)) if !evidence.addresses.is_empty() => {
                if evidence.verified {
                    Finding::Proven
                } else {
                    Finding::Way(UnreachableCause::Tls)
                }
            }
            (None, ..) => Finding::Unreadable,
        }
    }

    fn explain_way(&self, way: UnreachableCause) -> (String, String) {
        let Self { host, endpoint, .. } = self;
        match way {
            UnreachableCause::NoName => (
                format!("the name {host} does not exist in the VPC"),
                format!(
                    "Check that endpoint {endpoint} exists, the VPC's attributes enableDnsSupport and enableDnsHostnames, and who \
                     answers for names there: {NAME_SERVICE}."
                ),
            ),
            UnreachableCause::NoLookup => (
                format!("the name {host} could not be looked up"),
                format!("Check who answers for names in the VPC: {NAME_SERVICE}."),
            ),
            UnreachableCause::Silence => (
                format!("{host} does not answer on port 443"),
                format!(
                    "Check the network ACLs between the function's subnets and endpoint {endpoint}; the operator itself \
                     keeps the security groups."
                ),
            ),
            UnreachableCause::Refused => (
                format!("{host} takes no connections on port 443"),
                format!("Check what answers at the addresses of endpoint {endpoint}."),
            ),
            UnreachableCause::Tls => (
                format!("the connection to {host} cannot be trusted"),
                "Check that nothing on the way replaces the certificate.".to_owned(),
            ),
            UnreachableCause::Lost => (
                format!("the connection to {host} breaks off"),
                "Check network ACLs and firewalls on the way.".to_owned(),
            ),
        }
    }
}

/// Nothing is known of the path as it now is.
pub fn pending(message: impl Into<Message>) -> Leg {
    Leg::progressing(ConditionType::Healthy, Reason::ProbePending, message)
}

/// Nothing is known of the path as it now is, and nothing is invoked.
pub fn suspended() -> Leg {
    let message = "The app is suspended: its path is not probed. Set spec.suspend to false.";
    Leg::blocked(ConditionType::Healthy, Reason::Suspended, message)
}

/// What a probe showed.
enum Finding {
    Proven,
    /// The way ends before the endpoint.
    Way(UnreachableCause),
    /// The name leads past the endpoint.
    Elsewhere {
        public: bool,
    },
    /// The function would call another name.
    OtherName,
    TimedOut,
    /// The function failed, with an error of this type.
    Failed(Option<String>),
    Unreadable,
}

/// Where the way ends.
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
        ProbeError::DnsNotFound => Finding::Way(UnreachableCause::NoName),
        ProbeError::DnsFailed => Finding::Way(UnreachableCause::NoLookup),
        ProbeError::ConnectTimeout => Finding::Way(UnreachableCause::Silence),
        ProbeError::ConnectionRefused => Finding::Way(UnreachableCause::Refused),
        ProbeError::TlsFailed => Finding::Way(UnreachableCause::Tls),
        ProbeError::ConnectionLost => Finding::Way(UnreachableCause::Lost),
        ProbeError::DeadlineExceeded => Finding::TimedOut,
        ProbeError::Misconfigured | ProbeError::Internal => Finding::Failed(Some(format!("{error:?}"))),
        ProbeError::Other => Finding::Failed(None),
    }
}

/// 100.64.0.0/10, which VPCs may have (RFC 6598; Amazon VPC user guide, "VPC CIDR blocks").
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_private() || is_shared(*address) || address.is_link_local() || address.is_loopback())
        }
        IpAddr::V6(address) => !(address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()),
    }
}

/// What an invocation means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeOutcome {
    /// In a word.
    pub result: ProbeResult,
    /// For the status.
    pub leg: Leg,
    /// How soon to probe again: the pace, and the attempt at it. `None` after a proof.
    pub retry: Option<(Pace, u32)>,
}

/// The last verdict about an app, as long as the operator runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LastProbe {
    /// What it was about.
    pub subject: ProbeSubject,
    /// The function slept: it was invoked to wake it.
    pub asleep: bool,
    /// How many invocations in a row have proven nothing.
    pub failures: u32,
    /// What the status says.
    pub leg: Leg,
    /// When to probe again, from then on; `None`: at the app's own interval, or in turn.
    pub wait: Option<Duration>,
}

impl LastProbe {
    /// What an operator begins with that finds a proof on record. Apps with intervals of their own do not begin together.
    pub fn on_record(subject: ProbeSubject, interval: Option<Duration>) -> Self {
        let mut hasher = DefaultHasher::new();
        subject.arn.hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 256).unwrap_or_default() + 1;
        let wait = interval.map(|interval| interval / 256 * share);
        Self { leg: subject.proven(), subject, asleep: false, failures: 0, wait }
    }

    /// The leg after one more invocation, for which `told` speaks. One that was not made, for a cause that may pass, says
    /// nothing about the path: what was proven holds for a few of them, and then nothing is claimed any more.
    pub fn leg_after(&self, result: &Result<Invocation, AwsError>, told: Leg) -> Leg {
        let Err(AwsError { failure, .. }) = result else { return told };
        match (failure.class(), self.leg.state) {
            (Class::Retry | Class::Wait, LegState::Met) if self.failures < MISSED => self.leg.clone(),
            (Class::Retry | Class::Wait, LegState::Met | LegState::Unknown) if *failure != Failure::Throttled => {
                Leg::unknown(told.kind, Reason::ObservationFailed, told.message)
            }
            (Class::Retry | Class::Wait | Class::UserMustAct, _) => told,
        }
    }

    /// How long until the next probe, this long after the last one; `None`: not before something changes or it is the
    /// app's turn.
    pub fn due_in(&self, age: Duration, interval: Option<Duration>) -> Option<Duration> {
        let interval = interval.filter(|_| self.leg.state == LegState::Met);
        self.wait.or(interval).map(|wait| wait.saturating_sub(age))
    }

    /// A probe is due, this long after the last one. What failed keeps its pace whoever's turn it is.
    pub fn is_due(&self, age: Duration, interval: Option<Duration>, look: Option<DetailRead>) -> bool {
        let due = self.due_in(age, interval).is_some_and(|left| left.is_zero());
        match look {
            Some(DetailRead::Requested) => true,
            Some(DetailRead::Rotation) => {
                due || (interval.is_none() && self.failures == 0 && self.leg.state == LegState::Met)
            }
            None => due,
        }
    }
}

#[cfg(test)]
mod tests;
