//! The journal of the operator's calls, and failures on demand.

use private_genai_operator::aws::{AwsError, Failure, Region};

/// One call to AWS; each page is a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The replica that made the call; empty where the replica does not matter.
    pub by: &'static str,
    /// The service prefix, as IAM names it.
    pub service: &'static str,
    /// The operation, as CloudTrail names it.
    pub operation: &'static str,
    /// Whether the call is a write.
    pub write: bool,
    pub region: Region,
    /// The ids or names in the call; empty for a call about everything.
    pub resource: String,
    /// The error code of a failed call.
    pub error_code: Option<String>,
}

impl CallRecord {
    /// `ec2:CreateVpcEndpoint`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

/// A call that is to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// AWS's error code; empty when no answer comes at all.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    pub message: String,
    /// The call takes effect, and only its answer is lost.
    pub after: bool,
    /// The number of calls that fail; [`u32::MAX`] for all until [`MemoryAws::clear_faults`](super::MemoryAws::clear_faults).
    pub times: u32,
    /// The resource whose calls fail; `None` for all.
    pub resource: Option<String>,
    /// The meaning of the error, when its code does not imply it.
    pub failure: Option<Failure>,
}

impl Fault {
    /// AWS answers once with this error, without doing anything.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self { code, status, message, after: false, times: 1, resource: None, failure: None }
    }

    /// Too many calls.
    pub fn throttled() -> Self {
        Self::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    /// The operator's own permissions do not suffice.
    pub fn access_denied() -> Self {
        Self::new(403, "AccessDeniedException", "You are not authorized to perform this operation.")
    }

    /// The service is unwell and did nothing.
    pub fn unavailable() -> Self {
        Self::new(500, "InternalError", "An internal error has occurred")
    }

    /// A connection that fails, or breaks before the call takes effect.
    pub fn unreachable() -> Self {
        Self::new(0, "", "connection refused")
    }

    /// The work is done, and the connection breaks before the answer.
    pub fn answer_lost() -> Self {
        Self { after: true, ..Self::new(0, "", "connection reset") }
    }

    /// An answer that lacks a required member, to a call that takes effect.
    pub fn malformed() -> Self {
        Self { after: true, failure: Some(Failure::Malformed), ..Self::new(200, "", "the answer has no id") }
    }

    /// Limits the fault to this many calls.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Limits the fault to calls about this resource, as [`CallRecord::resource`] names it.
    pub fn only(self, resource: impl Into<String>) -> Self {
        Self { resource: Some(resource.into()), ..self }
    }

    pub(super) fn error(&self, service: &'static str, operation: &'static str) -> AwsError {
        let without_code = || if self.code.is_empty() { Failure::Unavailable } else { self.classify() };
        AwsError {
            service,
            operation,
            failure: self.failure.unwrap_or_else(without_code),
            code: Some(self.code.clone()).filter(|code| !code.is_empty()),
            message: self.message.clone(),
            request_id: None,
        }
    }

    fn classify(&self) -> Failure {
        Failure::classify(self.status, &self.code, &self.message)
    }
}
