//! The result of an invocation of the built-in handler's probe, reduced to what the operator may report.
//!
//! A function's answer depends on its code, which may be foreign. So the operator keeps no text of an answer, except names in the
//! form of hosts and error types; it drops messages and payloads at the point of reading.

use std::{collections::BTreeSet, net::IpAddr};

use serde::Deserialize;

/// The event that the built-in handler takes for a probe.
pub const PROBE: &str = r#"{"probe":true}"#;

/// One invocation that Lambda made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invocation {
    /// The request id, which the function's log shows.
    pub request_id: Option<String>,
    /// The answer.
    pub answer: Answer,
}

/// The answer to an invocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// The probe reported its findings.
    Evidence(Evidence),
    /// The handler gave up before the probe had found anything.
    Refused(ProbeError),
    /// The function failed (`X-Amz-Function-Error`).
    Failed(FunctionError),
    /// The function answered something that no probe answers.
    Unreadable,
}

/// The findings of a probe, as far as it got.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// The host name that the probe looked up.
    pub host: Option<String>,
    /// The addresses of that name.
    pub addresses: BTreeSet<IpAddr>,
    /// The one of these that took the connection.
    pub connected_to: Option<IpAddr>,
    /// TLS was spoken there, and the certificate is one for the name.
    pub verified: bool,
    /// The error that ended the probe.
    pub error: Option<ProbeError>,
}

/// The `error.type` of the built-in handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the handler's own, and README.md explains them")]
pub enum ProbeError {
    DnsNotFound,
    DnsFailed,
    ConnectTimeout,
    ConnectionRefused,
    TlsFailed,
    ConnectionLost,
    DeadlineExceeded,
    Misconfigured,
    Internal,
    /// A type that the built-in probe does not have.
    Other,
}

impl ProbeError {
    fn from_wire(text: &str) -> Self {
        match text {
            "DnsNotFound" => Self::DnsNotFound,
            "DnsFailed" => Self::DnsFailed,
            "ConnectTimeout" => Self::ConnectTimeout,
            "ConnectionRefused" => Self::ConnectionRefused,
            "TlsFailed" => Self::TlsFailed,
            "ConnectionLost" => Self::ConnectionLost,
            "DeadlineExceeded" => Self::DeadlineExceeded,
            "Misconfigured" => Self::Misconfigured,
            "Internal" => Self::Internal,
            _ => Self::Other,
        }
    }
}

/// The failure of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionError {
    /// The function exceeded its time limit.
    TimedOut,
    /// The function failed with an error of this type, such as `Runtime.ImportModuleError` or `TypeError`.
    Type(String),
    /// The function failed with an error whose type is not in the form of a name.
    Unnamed,
}

#[derive(Deserialize)]
struct Document {
    probe: Option<ProbeReport>,
    error: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProbeReport {
    host: Option<String>,
    #[serde(default)]
    addresses: BTreeSet<IpAddr>,
    connected_to: Option<IpAddr>,
    tls: Option<String>,
    #[serde(default)]
    authorized: bool,
    error: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "type")]
    type_: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    error_type: Option<String>,
    error_message: Option<String>,
}

impl Invocation {
    /// Reads Lambda's answer. `failed` means that Lambda reports an error of the function.
    pub fn read(request_id: Option<&str>, failed: bool, payload: &[u8]) -> Self {
        let answer = if failed { Answer::Failed(FunctionError::read(payload)) } else { Answer::read(payload) };
        Self { request_id: request_id.map(ToOwned::to_owned), answer }
    }
}

impl Answer {
    fn read(payload: &[u8]) -> Self {
        match serde_json::from_slice(payload) {
            Ok(Document { probe: Some(found), error: None }) => {
                Evidence::of(found).map_or(Self::Unreadable, Self::Evidence)
            }
            Ok(Document { probe: None, error: Some(error) }) => Self::Refused(ProbeError::from_wire(&error.type_)),
            Ok(_) | Err(_) => Self::Unreadable,
        }
    }
}

impl Evidence {
    fn of(found: ProbeReport) -> Option<Self> {
        let ProbeReport { host, addresses, connected_to, tls, authorized, error } = found;
        if !host.as_deref().is_none_or(is_host) {
            return None;
        }
        Some(Self {
            host,
            addresses,
            connected_to,
            verified: tls.is_some() && authorized,
            error: error.map(|error| ProbeError::from_wire(&error.type_)),
        })
    }
}

impl FunctionError {
    /// Lambda's own words for a function that ran into its time limit come with the type `Sandbox.Timedout`, or with no
    /// type at all.
    fn read(payload: &[u8]) -> Self {
        let Ok(Failed { error_type, error_message }) = serde_json::from_slice(payload) else {
            return Self::Unnamed;
        };
        match error_type {
            Some(type_) if type_ == "Sandbox.Timedout" => Self::TimedOut,
            None if error_message.is_some_and(|words| words.contains("Task timed out after")) => Self::TimedOut,
            Some(type_) if is_error_type(&type_) => Self::Type(type_),
            Some(_) | None => Self::Unnamed,
        }
    }
}

fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Whether the text is one of Lambda's own types, or has the form of an error class: code can set an error's type to any text.
fn is_error_type(text: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let of_lambda = ["Runtime.", "Function.", "Sandbox.", "Extension."].iter().any(|prefix| text.starts_with(prefix));
    let of_code = text.ends_with("Error") || text.ends_with("Exception");
    text.len() <= 64 && text.split('.').all(is_identifier) && (of_lambda || of_code)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(failed: bool, payload: &Value) -> Answer {
        Invocation::read(Some("4f7-9a"), failed, payload.to_string().as_bytes()).answer
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_probe_s_answer_is_read_as_far_as_it_got() {
        let whole = json!({"probe": {
            "host": "vpce-1.example", "port": 443, "addresses": ["10.0.1.5", "10.0.0.4"], "connectedTo": "10.0.0.4",
            "tls": "TLSv1.3", "authorized": true,
        }});
        let all = Evidence {
            host: Some("vpce-1.example".to_owned()),
            addresses: [address("10.0.0.4"), address("10.0.1.5")].into(),
            connected_to: Some(address("10.0.0.4")),
            verified: true,
            error: None,
        };
        assert_eq!(read(false, &whole), Answer::Evidence(all));
        let silence = json!({"probe": {
            "host": "vpce-1.example", "port": 443, "addresses": ["10.0.0.4"],
            "error": {"type": "ConnectTimeout", "message": "no answer"},
        }});
        let part = Evidence {
            host: Some("vpce-1.example".to_owned()),
            addresses: [address("10.0.0.4")].into(),
            error: Some(ProbeError::ConnectTimeout),
            ..Evidence::default()
        };
        assert_eq!(read(false, &silence), Answer::Evidence(part));
        let late = json!({"error": {"type": "DeadlineExceeded", "message": "The time-out was near."}});
        assert_eq!(read(false, &late), Answer::Refused(ProbeError::DeadlineExceeded));
    }

    #[test]
    fn a_certificate_counts_only_where_tls_was_spoken_and_it_was_verified() {
        for (tls, authorized, verified) in
            [(json!("TLSv1.3"), true, true), (json!("TLSv1.3"), false, false), (Value::Null, true, false)]
        {
            let answer = json!({"probe": {"host": "a.example", "tls": tls, "authorized": authorized}});
            let Answer::Evidence(evidence) = read(false, &answer) else { panic!("{answer}") };
            assert_eq!(evidence.verified, verified, "{answer}");
        }
    }

    #[test]
    fn a_function_s_failure_is_read_by_its_type_and_a_time_out_in_both_spellings() {
        let named = |name: &str| Answer::Failed(FunctionError::Type(name.to_owned()));
        for (payload, answer) in [
            (
                json!({"errorType": "Runtime.ImportModuleError", "errorMessage": "x"}),
                named("Runtime.ImportModuleError"),
            ),
            (json!({"errorType": "TypeError", "errorMessage": "x"}), named("TypeError")),
            (json!({"errorType": "Sandbox.Timedout", "errorMessage": "x"}), Answer::Failed(FunctionError::TimedOut)),
            (
                json!({"errorMessage": "2026-01-01T00:00:00Z 4f7 Task timed out after 3.00 seconds"}),
                Answer::Failed(FunctionError::TimedOut),
            ),
            (json!({"errorMessage": "x"}), Answer::Failed(FunctionError::Unnamed)),
            (json!("x"), Answer::Failed(FunctionError::Unnamed)),
        ] {
            assert_eq!(read(true, &payload), answer, "{payload}");
        }
    }

    #[test]
    fn nothing_that_a_function_says_is_kept_as_text_but_names_of_the_known_shapes() {
        const SECRET: &str = "the patient's name is Ann";
        for (failed, payload) in [
            (true, json!({"errorType": SECRET, "errorMessage": SECRET})),
            (true, json!({"errorType": format!("{SECRET}Error")})),
            (true, json!({"errorType": format!("Runtime.{SECRET}")})),
            (true, json!({"errorType": "x".repeat(80) + "Error"})),
            (false, json!({"text": SECRET})),
            (false, json!({"probe": {"host": SECRET}})),
            (false, json!({"probe": {"host": "a.example", "addresses": [SECRET]}})),
            (false, json!({"probe": {"host": "a.example", "connectedTo": SECRET}})),
            (false, json!({"probe": {"host": "a.example", "tls": SECRET, "error": {"type": SECRET}}})),
            (false, json!({"error": {"type": SECRET, "message": SECRET}})),
            (false, json!({"probe": {"host": "a.example"}, "error": {"type": "Internal", "message": SECRET}})),
        ] {
            let shown = format!("{:?}", read(failed, &payload));
            assert!(!shown.contains("patient") && !shown.contains("xxx"), "{payload} shows as {shown}");
        }
        assert_eq!(Invocation::read(None, false, b"\xff").answer, Answer::Unreadable);
    }
}
