use k8s_openapi::jiff::Timestamp;

use super::{subject::is_public, *};
use crate::{
    api::{
        EndpointStatus,
        condition::{ConditionType, Reason, conditions_of},
    },
    app::fixtures::{identity, network_status, recorded},
    aws::{Answer, AwsError, Evidence, Failure, FunctionError, Invocation, ProbeError},
};

const OURS: [&str; 2] = ["10.0.0.4", "10.0.16.4"];
const HOST: &str = "bedrock-runtime.us-east-1.amazonaws.com";

fn endpoints(private_dns: bool) -> Vec<EndpointStatus> {
    let mut endpoints = network_status(private_dns).endpoints;
    endpoints[0].private_ip_addresses = OURS.map(str::to_owned).to_vec();
    endpoints
}

fn subject() -> ProbeSubject {
    ProbeSubject::new(&identity().region, &endpoints(true), &recorded()).expect("a subject")
}

fn addresses(of: &[&str]) -> BTreeSet<IpAddr> {
    of.iter().map(|address| address.parse().expect("an address")).collect()
}

fn evidence() -> Evidence {
    Evidence {
        host: Some(HOST.to_owned()),
        addresses: addresses(&OURS),
        connected_to: Some(OURS[1].parse().expect("an address")),
        verified: true,
        error: None,
    }
}

fn ended(error: ProbeError) -> Answer {
    Answer::Evidence(Evidence { connected_to: None, verified: false, error: Some(error), ..evidence() })
}

fn answered(answer: Answer) -> Invocation {
    Invocation { request_id: Some("4f7-9a".to_owned()), answer }
}

fn refused(failure: Failure) -> AwsError {
    AwsError {
        service: "lambda",
        operation: "Invoke",
        failure,
        code: Some("SomeCode".to_owned()),
        message: "AWS's words".to_owned(),
        request_id: Some("4f7-9a".to_owned()),
    }
}

fn judged(answer: Answer) -> ProbeOutcome {
    subject().judge(&Ok(answered(answer)), 0)
}

#[test]
fn the_path_is_proven_by_a_name_of_the_endpoint_alone_and_a_verified_connection() {
    let proven = judged(Answer::Evidence(evidence()));
    assert_eq!((proven.result, proven.leg.state, &proven.retry), (ProbeResult::Proven, LegState::Met, &None));
    for part in [HOST, "vpce-00000001", "10.0.0.4, 10.0.16.4", "TLS", identity().function_name().as_str()] {
        assert!(proven.leg.message.text.contains(part), "{part} is missing in {}", proven.leg.message);
    }
    let elsewhere = Evidence { addresses: addresses(&OURS[..1]), connected_to: OURS[0].parse().ok(), ..evidence() };
    assert_eq!(judged(Answer::Evidence(elsewhere)), proven, "the leg has no text that varies from probe to probe");
    let shouting = Evidence { host: Some(HOST.to_uppercase()), ..evidence() };
    assert_eq!(judged(Answer::Evidence(shouting)), proven);
}

#[test]
fn without_private_dns_the_endpoint_s_own_name_is_what_must_lead_there() {
    let own = ProbeSubject::new(&identity().region, &endpoints(false), &recorded()).expect("a subject");
    let by = |host: &str| {
        let found = Evidence { host: Some(host.to_owned()), ..evidence() };
        own.judge(&Ok(answered(Answer::Evidence(found))), 0).result
    };
    assert_eq!(by("vpce-1.example"), ProbeResult::Proven);
    assert_eq!(by(HOST), ProbeResult::NotPrivate, "the public name leads out of the VPC");
}

#[test]
fn each_way_of_failing_has_its_reason_and_names_log_group_request_and_remedy() {
    let met = |to: &[&str], at: &str| {
        let connected_to = at.parse().ok();
        Answer::Evidence(Evidence { addresses: addresses(to), connected_to, ..evidence() })
    };
    let failed = |name: &str| Answer::Failed(FunctionError::Type(name.to_owned()));
    let unverified = Answer::Evidence(Evidence { verified: false, ..evidence() });
    let unfinished = Answer::Evidence(Evidence { connected_to: None, ..evidence() });
    let silent_elsewhere = Answer::Evidence(Evidence {
        addresses: addresses(&["192.0.2.1"]),
        connected_to: None,
        error: Some(ProbeError::ConnectTimeout),
        ..evidence()
    });
    let other_name = Answer::Evidence(Evidence { host: Some("other.example".to_owned()), ..evidence() });
    for (answer, found, reason, says) in [
        (ended(ProbeError::DnsNotFound), ProbeResult::Unreachable, Reason::ProbeFailed, "does not exist in the VPC"),
        (ended(ProbeError::DnsFailed), ProbeResult::Unreachable, Reason::ProbeFailed, "could not be looked up"),
        (ended(ProbeError::ConnectTimeout), ProbeResult::Unreachable, Reason::ProbeFailed, "network ACLs"),
        (ended(ProbeError::ConnectionRefused), ProbeResult::Unreachable, Reason::ProbeFailed, "refuses connections"),
        (ended(ProbeError::TlsFailed), ProbeResult::Unreachable, Reason::ProbeFailed, "cannot be trusted"),
        (ended(ProbeError::ConnectionLost), ProbeResult::Unreachable, Reason::ProbeFailed, "breaks off"),
        (unverified, ProbeResult::Unreachable, Reason::ProbeFailed, "cannot be trusted"),
        (met(&["10.0.0.4", "192.0.2.1"], "10.0.0.4"), ProbeResult::NotPrivate, Reason::NotPrivate, "public addresses"),
        (met(&["10.9.9.9"], "10.9.9.9"), ProbeResult::NotPrivate, Reason::NotPrivate, "private addresses that are not"),
        (met(&OURS, "10.9.9.9"), ProbeResult::NotPrivate, Reason::NotPrivate, "private addresses that are not"),
        (silent_elsewhere, ProbeResult::NotPrivate, Reason::NotPrivate, "public addresses"),
        (other_name, ProbeResult::NotPrivate, Reason::NotPrivate, "under another name"),
        (
            failed("Runtime.ExitError"),
            ProbeResult::FunctionError,
            Reason::FunctionError,
            "failed with Runtime.ExitError",
        ),
        (Answer::Failed(FunctionError::Unnamed), ProbeResult::FunctionError, Reason::FunctionError, "the probe failed"),
        (
            Answer::Refused(ProbeError::Misconfigured),
            ProbeResult::FunctionError,
            Reason::FunctionError,
            "Misconfigured",
        ),
        (Answer::Refused(ProbeError::Other), ProbeResult::FunctionError, Reason::FunctionError, "the probe failed"),
        (Answer::Failed(FunctionError::TimedOut), ProbeResult::TimedOut, Reason::FunctionTimedOut, "timeoutSeconds"),
        (Answer::Refused(ProbeError::DeadlineExceeded), ProbeResult::TimedOut, Reason::FunctionTimedOut, "time limit"),
        (Answer::Unreadable, ProbeResult::Unreadable, Reason::FunctionError, "no answer to a probe"),
        (unfinished, ProbeResult::Unreadable, Reason::FunctionError, "no answer to a probe"),
    ] {
        let outcome = judged(answer.clone());
        assert_eq!((outcome.result, outcome.leg.reason), (found, reason), "{answer:?}");
        let log_group = identity().log_group_name();
        let message = outcome.leg.message.to_string();
        for part in [says, " Request id 4f7-9a.", log_group.as_str(), identity().function_name().as_str()] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        assert!(!outcome.leg.message.text.contains("192.0.2.1") && !outcome.leg.message.text.contains("other.example"));
    }
}

#[test]
fn addresses_that_vpcs_may_have_are_not_public() {
    for (address, public) in [
        ("100.64.0.1", false),
        ("100.127.255.254", false),
        ("100.63.255.255", true),
        ("100.128.0.0", true),
        ("10.0.0.1", false),
        ("192.0.2.1", true),
        ("fd00::1", false),
    ] {
        assert_eq!(is_public(&address.parse().expect("an address")), public, "{address}");
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_told_with_all_that_answers_for_names_in_a_vpc() {
    let elsewhere = Evidence { addresses: addresses(&["192.0.2.1"]), connected_to: None, ..evidence() };
    for answer in [Answer::Evidence(elsewhere), ended(ProbeError::DnsFailed), ended(ProbeError::DnsNotFound)] {
        let message = judged(answer).leg.message.text;
        for words in ["DHCP option set", "Resolver rules", "private hosted zones", "DNS Firewall"] {
            assert!(message.contains(words), "{words} is missing in {message}");
        }
    }
}

#[test]
fn what_keeps_lambda_from_invoking_is_told_apart() {
    use LegState::{Blocked, Progressing};
    for (failure, state, reason, says) in [
        (Failure::NotYet, Progressing, Reason::ProbePending, "probed again"),
        (Failure::Throttled, Progressing, Reason::Throttled, "concurrency"),
        (Failure::AccessDenied, Blocked, Reason::AccessDenied, "lambda:InvokeFunction"),
        (Failure::Unavailable, Progressing, Reason::AwsUnavailable, "tried again"),
        (Failure::QuotaReached, Blocked, Reason::QuotaReached, "Raise the quota"),
        (Failure::Invalid, Blocked, Reason::AwsRefused, "AWS's message"),
        (Failure::Credentials, Blocked, Reason::CredentialsInvalid, "credentials"),
        (Failure::NotFound, Progressing, Reason::Applying, "looked for again"),
    ] {
        let outcome = subject().judge(&Err(refused(failure)), 0);
        assert_eq!((outcome.leg.state, outcome.leg.reason), (state, reason), "{failure:?}");
        let message = outcome.leg.message.to_string();
        for part in [says, " Request id 4f7-9a.", identity().function_name().as_str()] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
    }
}

/// When the probes of an hour are made, if each gives this.
fn an_hour_of(result: &Result<Invocation, AwsError>) -> Vec<(Duration, LegState)> {
    let (mut at, mut probes) = (Duration::ZERO, Vec::new());
    for failures in 0.. {
        let outcome = subject().judge(result, failures);
        probes.push((at, outcome.leg.state));
        let (pace, attempt) = outcome.retry.expect("the probe failed");
        at += pace.delay(attempt, "pgai-x").expect("a delay");
        if at > Duration::from_hours(1) {
            break;
        }
    }
    probes
}

#[test]
fn what_may_be_on_its_way_is_waited_for_two_minutes_and_then_somebody_must_act() {
    for answer in [ended(ProbeError::DnsNotFound), ended(ProbeError::ConnectTimeout)] {
        let probes = an_hour_of(&Ok(answered(answer)));
        let waits = probes.iter().take_while(|(_, state)| *state == LegState::Progressing).count();
        assert!(probes[waits..].iter().all(|(_, state)| *state == LegState::Blocked), "{probes:?}");
        assert_eq!(waits, 7);
        let patience = probes[waits].0;
        assert!((Duration::from_mins(2)..Duration::from_mins(3)).contains(&patience), "{patience:?}");
    }
    let broken = an_hour_of(&Ok(answered(Answer::Failed(FunctionError::Unnamed))));
    assert!(broken.iter().all(|(_, state)| *state == LegState::Blocked), "code does not come right by itself");
}

#[test]
fn whatever_fails_is_probed_a_few_times_an_hour_and_a_few_dozen_at_most() {
    for (result, most) in [
        (Ok(answered(ended(ProbeError::ConnectTimeout))), 24),
        (Ok(answered(Answer::Failed(FunctionError::TimedOut))), 17),
        (Ok(answered(Answer::Unreadable)), 17),
        (Err(refused(Failure::AccessDenied)), 17),
        (Err(refused(Failure::Throttled)), 17),
        (Err(refused(Failure::Unavailable)), 66),
        (Err(refused(Failure::NotYet)), 66),
    ] {
        let probes = an_hour_of(&result).len();
        assert!((10..=most).contains(&probes), "{probes} probes an hour of {result:?}");
    }
}

#[test]
fn what_is_on_record_holds_for_the_same_function_and_endpoint_and_for_nothing_else() {
    type Case = (&'static str, fn(&mut PrivateGenAIAppStatus));
    let status = |legs: &[Leg]| PrivateGenAIAppStatus {
        conditions: conditions_of(legs, &[], Some(1), Timestamp::UNIX_EPOCH),
        endpoints: endpoints(true),
        function: Some(recorded()),
        ..PrivateGenAIAppStatus::default()
    };
    let region = identity().region;
    let proven = status(&[subject().proven()]);
    assert!(subject().is_proven_by(&region, &proven));
    assert!(!subject().is_proven_by(&region, &status(&[])), "never probed");
    assert!(!subject().is_proven_by(&region, &status(&[pending("")])));
    let cases: [Case; 7] = [
        ("another function", |subject| subject.function.as_mut().expect("a function").arn.push('x')),
        ("changed", |subject| subject.function.as_mut().expect("a function").last_modified.push('x')),
        ("other code", |subject| subject.function.as_mut().expect("a function").code_sha256.clear()),
        ("no function", |subject| subject.function = None),
        ("another endpoint", |subject| subject.endpoints[0].vpc_endpoint_id.push('0')),
        ("other addresses", |subject| drop(subject.endpoints[0].private_ip_addresses.pop())),
        ("another name", |subject| subject.endpoints[0].private_dns_enabled = false),
    ];
    for (what, change) in cases {
        let mut other = proven.clone();
        change(&mut other);
        assert!(!subject().is_proven_by(&region, &other), "{what}");
    }
    let mut same = proven;
    same.endpoints[0].models.clear();
    same.endpoints[0].private_ip_addresses.reverse();
    assert!(subject().is_proven_by(&region, &same), "models and order say nothing about the way");
}

#[test]
fn there_is_nothing_to_prove_while_the_endpoint_has_no_addresses() {
    let mut endpoints = endpoints(true);
    endpoints[0].private_ip_addresses.clear();
    assert_eq!(ProbeSubject::new(&identity().region, &endpoints, &recorded()), None);
    assert_eq!(ProbeSubject::new(&identity().region, &[], &recorded()), None);
}

#[test]
fn a_probe_is_due_in_turn_at_the_app_s_interval_or_after_a_failure_s_wait() {
    let seconds = Duration::from_secs;
    let proven = LastProbe { wait: None, ..LastProbe::on_record(subject(), None) };
    let leg = Leg::blocked(ConditionType::Healthy, Reason::FunctionError, "");
    let failed = LastProbe { leg, wait: Some(seconds(60)), failures: 3, ..proven.clone() };
    let (turn, asked) = (Some(DetailRead::Rotation), Some(DetailRead::Requested));
    let own = Some(seconds(600));
    for (last, age, interval, look, due) in [
        (&proven, 9999, None, None, false),
        (&proven, 0, None, turn, true),
        (&proven, 0, None, asked, true),
        (&proven, 599, own, None, false),
        (&proven, 600, own, None, true),
        (&proven, 0, own, turn, false),
        (&proven, 0, own, asked, true),
        (&failed, 59, None, None, false),
        (&failed, 60, None, None, true),
        (&failed, 59, own, turn, false),
        (&failed, 59, None, turn, false),
        (&failed, 1, None, asked, true),
    ] {
        let shown = (last.leg.state, age, interval, look);
        assert_eq!(last.is_due(seconds(age), interval, look), due, "{shown:?}");
    }
    assert_eq!(proven.due_in(seconds(599), own), Some(seconds(1)));
    assert_eq!(proven.due_in(seconds(0), None), None);
    assert_eq!(failed.due_in(seconds(20), own), Some(seconds(40)));
}

#[test]
fn apps_with_intervals_of_their_own_do_not_all_begin_at_once_after_a_restart() {
    let interval = Duration::from_mins(10);
    let waits: BTreeSet<Duration> = (0..100)
        .filter_map(|n| {
            LastProbe::on_record(ProbeSubject { arn: format!("arn-{n}"), ..subject() }, Some(interval)).wait
        })
        .collect();
    assert!(waits.len() > 50 && waits.iter().all(|wait| !wait.is_zero() && *wait <= interval), "{waits:?}");
    assert_eq!(LastProbe::on_record(subject(), None).wait, None);
}

#[test]
fn a_proof_outlives_three_invocations_that_were_not_made_and_no_more() {
    use Reason::{AccessDenied, ObservationFailed, Ready, Throttled};
    let err = |failure| Err(refused(failure));
    let proof = LastProbe::on_record(subject(), None);
    for (result, reasons) in [
        (err(Failure::Throttled), [Ready, Ready, Ready, Throttled, Throttled]),
        (err(Failure::Unavailable), [Ready, Ready, Ready, ObservationFailed, ObservationFailed]),
        (err(Failure::NotYet), [Ready, Ready, Ready, ObservationFailed, ObservationFailed]),
        (err(Failure::AccessDenied), [AccessDenied; 5]),
        (Ok(answered(Answer::Failed(FunctionError::Unnamed))), [Reason::FunctionError; 5]),
    ] {
        let mut last = proof.clone();
        for (failures, reason) in (0..).zip(reasons) {
            let leg = last.leg_after(&result, subject().judge(&result, failures).leg);
            assert_eq!(leg.reason, reason, "{result:?}, after {failures}");
            assert_eq!(leg.state == LegState::Met, reason == Ready);
            assert_eq!(leg.state == LegState::Unknown, reason == ObservationFailed);
            last = LastProbe { leg, failures: failures + 1, ..last };
        }
        let unproven = LastProbe { leg: pending("not yet"), ..proof.clone() };
        let leg = subject().judge(&result, 0).leg;
        assert_eq!(unproven.leg_after(&result, leg.clone()), leg, "nothing was proven that could hold");
    }
    let missed = LastProbe { failures: 1, wait: Some(Duration::from_secs(9)), ..proof };
    assert!(!missed.is_due(Duration::ZERO, None, Some(DetailRead::Rotation)), "its wait holds when its turn comes too");
}
