//! SDK errors as [`AwsError`]s.

use std::{error::Error, fmt::Display, iter, str::FromStr};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::{
    RequestId, assume_role::AssumeRoleError, assume_role_with_web_identity::AssumeRoleWithWebIdentityError,
};
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{ConnectorError, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::aws::{AwsError, ENCODED, Failure};

/// The longest text of causes in a condition. The log has the whole text, because the chain of credentials names each of its
/// links.
const CAUSES_MAX: usize = 300;

/// Converts an SDK error.
///
/// The message is made from `Display` only: the `Debug` of SDK errors holds whole answers.
pub(super) fn from_sdk<E: Error + ProvideErrorMetadata + 'static>(
    service: &'static str,
    operation: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> AwsError {
    if let SdkError::ServiceError(refused) = error {
        let meta = refused.err().meta();
        let request_id = error.request_id().or_else(|| meta.request_id());
        let status = refused.raw().status().as_u16();
        return answered(service, operation, status, meta.code(), meta.message(), request_id);
    }
    let causes = in_one_line(&sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": "));
    let steady = without_times(&causes);
    let message: String = steady.chars().take(CAUSES_MAX).collect();
    if message.len() < steady.len() {
        tracing::warn!(service, operation, causes, "all causes for which a call got no answer");
    }
    AwsError {
        service,
        operation,
        failure: unanswered(error),
        code: None,
        message,
        request_id: error.request_id().map(ToOwned::to_owned),
    }
}

/// The text in one line. The chain of credentials writes each link on its own line.
fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// The error for an error response of AWS.
pub(super) fn answered(
    service: &'static str,
    operation: &'static str,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    request_id: Option<&str>,
) -> AwsError {
    if let Some(encoded) = message.and_then(encoded) {
        // The blob is long and differs each time, so no condition shows the blob.
        tracing::warn!(
            service,
            operation,
            request_id,
            encoded_message = encoded,
            "not authorized: aws sts decode-authorization-message reads why"
        );
    }
    AwsError {
        service,
        operation,
        failure: Failure::classify(status, code.unwrap_or_default(), message.unwrap_or_default()),
        code: code.map(ToOwned::to_owned),
        message: message.map_or_else(|| format!("HTTP status {status}"), shown_message),
        request_id: request_id.map(ToOwned::to_owned),
    }
}

/// AWS's message for a condition. An ellipsis replaces the blob that EC2 appends to a refusal and that differs each time.
fn shown_message(message: &str) -> String {
    let (words, encoded) = message.split_once(ENCODED).unwrap_or((message, ""));
    let shown: String = without_times(words.trim_end()).chars().take(1_000).collect();
    if encoded.is_empty() { shown } else { format!("{shown} {ENCODED}: …") }
}

/// The blob at the end of EC2's refusal.
fn encoded(message: &str) -> Option<&str> {
    message.split_once(ENCODED).map(|(_, encoded)| encoded.trim_start_matches([':', ' ']).trim_end())
}

/// The text without times, which differ at each attempt. Messages about an expired token, certificate or signature carry them as
/// seconds since 1970 (`1700000000`), as `12 seconds ago`, or as `20231114T221320Z`.
fn without_times(text: &str) -> String {
    fn core(word: &str) -> &str {
        word.trim_matches(|c: char| !c.is_ascii_alphanumeric())
    }
    let words: Vec<&str> = text.split(' ').collect();
    let without = words.iter().enumerate().map(|(n, word)| {
        let (shown, next) = (core(word), words.get(n + 1).map(|next| core(next)));
        let digits = !shown.is_empty() && shown.bytes().all(|byte| byte.is_ascii_digit());
        let unix = digits && shown.len() == 10;
        let ago = digits && matches!(next, Some("second" | "seconds"));
        if unix || ago || is_basic_iso_8601(shown) { word.replace(shown, "…") } else { (*word).to_owned() }
    });
    without.collect::<Vec<_>>().join(" ")
}

/// Whether the text is a time as signatures have it: `20231114T221320Z`.
fn is_basic_iso_8601(text: &str) -> bool {
    text.len() == 16
        && text.bytes().enumerate().all(|(n, byte)| match n {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// An error for a call that could not be built.
pub(super) fn invalid(service: &'static str, operation: &'static str, why: &dyn Display) -> AwsError {
    AwsError { service, operation, failure: Failure::Invalid, code: None, message: why.to_string(), request_id: None }
}

/// The failure of a call without a readable answer: the call may have succeeded.
fn unanswered<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Failure {
    if let Some(credentials) = sources(error).find(|source| source.is::<CredentialsError>()) {
        return without_credentials(credentials);
    }
    match error {
        SdkError::ConstructionFailure(_) => Failure::Invalid,
        _ => Failure::Unavailable,
    }
}

/// A source of credentials may be out of reach or fail for a while. Every other cause needs a person.
fn without_credentials(error: &(dyn Error + 'static)) -> Failure {
    let timed_out = matches!(error.downcast_ref(), Some(CredentialsError::ProviderTimedOut(_)));
    let passes = |source: &(dyn Error + 'static)| {
        source.is::<ConnectorError>()
            || is_unwell::<AssumeRoleWithWebIdentityError>(source)
            || is_unwell::<AssumeRoleError>(source)
            || agent_is_unwell(&source.to_string())
    };
    if timed_out || sources(error).any(passes) { Failure::Unavailable } else { Failure::Credentials }
}

/// STS, asked for credentials, reports a temporary failure of its own or of its identity provider.
fn is_unwell<E: Error + ProvideErrorMetadata + 'static>(error: &(dyn Error + 'static)) -> bool {
    let Some(SdkError::ServiceError(refused)) = error.downcast_ref::<SdkError<E, HttpResponse>>() else {
        return false;
    };
    let (status, meta) = (refused.raw().status().as_u16(), refused.err().meta());
    let code = meta.code().unwrap_or_default();
    let failure = Failure::classify(status, code, meta.message().unwrap_or_default());
    code == "IDPCommunicationError" || matches!(failure, Failure::Throttled | Failure::Unavailable)
}

/// The agent of EKS Pod Identity, asked for credentials, reports a temporary failure. The SDK keeps only the status of that
/// answer, as text.
fn agent_is_unwell(text: &str) -> bool {
    let status = text.strip_prefix("Non-success status from HTTP credential provider: StatusCode(");
    status.is_some_and(|status| status.starts_with('5') || status.starts_with("429"))
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// A member of an answer is missing or malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(String);

impl Malformed {
    /// The error about a missing member.
    pub(super) fn missing(member: &str) -> Self {
        Self(format!("the answer lacks {member}"))
    }

    /// The error about a malformed member.
    pub(super) fn wrong(member: &str, why: &dyn Display) -> Self {
        Self(format!("the answer's {member} cannot be read: {why}"))
    }

    /// The error of the call with this answer.
    pub(super) fn in_answer_to(self, service: &'static str, operation: &'static str) -> AwsError {
        AwsError { service, operation, failure: Failure::Malformed, code: None, message: self.0, request_id: None }
    }
}

/// A required member.
pub(super) fn needed<T>(value: Option<T>, member: &str) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed::missing(member))
}

/// Parses a required member.
pub(super) fn parsed<T: FromStr<Err: Display>>(value: Option<&str>, member: &str) -> Result<T, Malformed> {
    needed(value, member)?.parse().map_err(|error: T::Err| Malformed::wrong(member, &error))
}

/// Parses each member of a list.
pub(super) fn all_parsed<T: FromStr<Err: Display>, C: FromIterator<T>>(
    values: &[String],
    member: &str,
) -> Result<C, Malformed> {
    values.iter().map(|value| parsed(Some(value), member)).collect()
}

/// A count that is required and is not negative.
pub(super) fn counted(value: Option<i32>, member: &str) -> Result<u32, Malformed> {
    u32::try_from(needed(value, member)?).map_err(|error| Malformed::wrong(member, &error))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    use super::*;
    use crate::aws::{Class, VpcId};

    type StsError = SdkError<GetCallerIdentityError, HttpResponse>;

    fn read(error: &StsError) -> AwsError {
        from_sdk("sts", "GetCallerIdentity", error)
    }

    fn service_error(status: u16, meta: ErrorMetadata) -> StsError {
        let mut raw = HttpResponse::new(StatusCode::try_from(status).expect("status"), SdkBody::from("secret body"));
        raw.headers_mut().insert("x-amzn-requestid", "4f7-9a");
        SdkError::service_error(GetCallerIdentityError::generic(meta), raw)
    }

    #[test]
    fn an_answered_error_keeps_code_message_and_request_id() {
        let meta = ErrorMetadata::builder().code("ExpiredToken").message("The token is expired").build();
        let error = read(&service_error(403, meta));
        assert_eq!(
            error,
            AwsError {
                service: "sts",
                operation: "GetCallerIdentity",
                failure: Failure::Credentials,
                code: Some("ExpiredToken".into()),
                message: "The token is expired".into(),
                request_id: Some("4f7-9a".into()),
            }
        );
    }

    #[test]
    fn an_answer_without_a_code_is_read_by_its_status() {
        let error = read(&service_error(502, ErrorMetadata::builder().build()));
        assert_eq!((error.failure, error.message.as_str()), (Failure::Unavailable, "HTTP status 502"));
    }

    #[test]
    fn no_answer_leaves_open_whether_the_work_is_done() {
        for error in [
            StsError::timeout_error("attempt timeout"),
            StsError::dispatch_failure(ConnectorError::io("connection reset".into())),
            StsError::response_error(
                "cannot read",
                HttpResponse::new(StatusCode::try_from(200).expect("status"), SdkBody::from("secret body")),
            ),
        ] {
            let error = read(&error);
            assert_eq!(error.failure, Failure::Unavailable, "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_call_that_cannot_be_built_is_invalid() {
        assert_eq!(read(&StsError::construction_failure("no name")).failure, Failure::Invalid);
    }

    #[test]
    fn missing_credentials_are_told_from_credentials_that_cannot_be_reached() {
        let failure = |error: CredentialsError| {
            read(&StsError::dispatch_failure(ConnectorError::other(error.into(), None))).failure
        };
        assert_eq!(failure(CredentialsError::not_loaded("no provider")), Failure::Credentials);
        assert_eq!(failure(CredentialsError::invalid_configuration("no such profile")), Failure::Credentials);
        assert_eq!(failure(CredentialsError::provider_error("AccessDenied")), Failure::Credentials);
        let unreachable = ConnectorError::io("connection refused".into());
        assert_eq!(failure(CredentialsError::provider_error(unreachable)), Failure::Unavailable);
        let agent = |status: u16| {
            let status = StatusCode::try_from(status).expect("status");
            // The SDK's own words: aws-config, src/http_credential_provider.rs.
            let message = format!("Non-success status from HTTP credential provider: {status:?}");
            failure(CredentialsError::provider_error(message))
        };
        assert_eq!(
            [400, 403, 404, 429, 500, 503].map(agent),
            [
                Failure::Credentials,
                Failure::Credentials,
                Failure::Credentials,
                Failure::Unavailable,
                Failure::Unavailable,
                Failure::Unavailable
            ]
        );
        let web_identity = |status: u16, code: &str| {
            let refused = AssumeRoleWithWebIdentityError::generic(ErrorMetadata::builder().code(code).build());
            let raw = HttpResponse::new(StatusCode::try_from(status).expect("status"), SdkBody::empty());
            failure(CredentialsError::provider_error(SdkError::service_error(refused, raw)))
        };
        assert_eq!(web_identity(403, "AccessDenied"), Failure::Credentials);
        assert_eq!(web_identity(400, "InvalidIdentityToken"), Failure::Credentials);
        assert_eq!(web_identity(400, "IDPCommunicationError"), Failure::Unavailable);
        assert_eq!(web_identity(400, "Throttling"), Failure::Unavailable);
        assert_eq!(web_identity(503, "ServiceUnavailable"), Failure::Unavailable);
        let late = CredentialsError::provider_timed_out(std::time::Duration::from_secs(5));
        assert_eq!(failure(late).class(), Class::Retry);
    }

    #[test]
    fn a_chain_of_credentials_with_many_links_is_no_longer_than_people_read() {
        let links = CredentialsError::provider_error("no such file, and no answer from 169.254.170.23; ".repeat(40));
        let error = read(&StsError::dispatch_failure(ConnectorError::other(links.into(), None)));
        assert_eq!((error.failure, error.message.chars().count()), (Failure::Credentials, CAUSES_MAX));
    }

    #[test]
    fn the_same_error_later_has_the_same_words() {
        let no_answer =
            |text: &str| read(&StsError::dispatch_failure(ConnectorError::other(text.into(), None))).message;
        let answer =
            |text: &str| read(&service_error(403, ErrorMetadata::builder().code("C").message(text).build())).message;
        for (now, later) in [
            (
                "certificate expired: verification time 1700000000 (UNIX), but certificate is not valid after \
                 1600000000 (100000000 seconds ago)",
                "certificate expired: verification time 1700000015 (UNIX), but certificate is not valid after \
                 1600000000 (100000015 seconds ago)",
            ),
            (
                "Token expired: current date/time 1624482533 must be before the expiration date/time1624482000",
                "Token expired: current date/time 1624482548 must be before the expiration date/time1624482000",
            ),
            (
                "Signature expired: 20231114T221320Z is now earlier than 20231114T222000Z (20231114T223500Z - 15 min.)",
                "Signature expired: 20231114T221335Z is now earlier than 20231114T222015Z (20231114T223515Z - 15 min.)",
            ),
        ] {
            assert_eq!(no_answer(now), no_answer(later));
            assert_eq!(answer(now), answer(later));
        }
        let stays = "arn:aws:iam::123456789012:role/r-1700000000 in vpc-1700000000 after 3 attempts (sg-0123456789)";
        assert_eq!(answer(stays), stays);
    }

    #[test]
    fn a_malformed_answer_names_the_member() {
        let error = parsed::<VpcId>(Some("nonsense"), "Vpc.VpcId").expect_err("not an id");
        let error = error.in_answer_to("ec2", "DescribeVpcs");
        assert_eq!(error.failure, Failure::Malformed);
        assert!(error.message.contains("Vpc.VpcId"), "{error}");
        assert_eq!(parsed::<VpcId>(None, "Vpc.VpcId"), Err(Malformed("the answer lacks Vpc.VpcId".into())));
    }
}
