//! Failures of AWS calls, classified once, by the error codes that AWS documents.

/// An AWS call that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("{}{}", self.without_request_id(), .request_id.as_deref().map(|id| format!(" (request id {id})")).unwrap_or_default())]
pub struct AwsError {
    /// The service prefix, as IAM names it.
    pub service: &'static str,
    /// The operation, as CloudTrail names it.
    pub operation: &'static str,
    /// The meaning of the error.
    pub failure: Failure,
    /// AWS's error code, when AWS answered at all.
    pub code: Option<String>,
    /// AWS's own words; where AWS gave no answer, the cause.
    pub message: String,
    /// The id that AWS's support asks for.
    pub request_id: Option<String>,
}

impl AwsError {
    /// The error in words that are the same at each attempt.
    pub fn without_request_id(&self) -> String {
        let code = self.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        format!("{}:{} failed: {code}{}", self.service, self.operation, self.message)
    }

    /// The quota that is used up; `None` for an error of another kind.
    pub fn quota(&self) -> Option<Quota> {
        let says = |words: &str| self.message.to_ascii_lowercase().contains(words);
        (self.failure == Failure::QuotaReached)
            .then(|| if says("memorysize") { Quota::FunctionMemory } else { Quota::Other })
    }

    /// Whether the service is too busy or does not answer: another call would make matters worse, or take as long.
    pub fn silences_service(&self) -> bool {
        match self.failure {
            Failure::Throttled => true,
            Failure::Unavailable => self.code.is_none(),
            Failure::NotFound
            | Failure::AlreadyExists
            | Failure::NameTaken
            | Failure::InUse
            | Failure::NotYet
            | Failure::RoleNotUsable
            | Failure::TokenMismatch
            | Failure::PrivateDnsConflict
            | Failure::BoundaryMissing
            | Failure::AccessDenied
            | Failure::KeyUnusable
            | Failure::Credentials
            | Failure::QuotaReached
            | Failure::Invalid
            | Failure::Malformed => false,
        }
    }
}

/// The meaning of an error for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Too many calls in too short a time.
    Throttled,
    /// AWS gave no answer, or reports a fault of the service: the call may have had its effect or not.
    Unavailable,
    /// The resource does not exist, or does not exist yet.
    NotFound,
    /// A resource of that name, or the rule, exists already. It may be ours and not visible yet.
    AlreadyExists,
    /// A resource of that name exists and did not appear as ours for so long that it must be another owner's. No answer of AWS
    /// has this meaning: the operator concludes it from repeated [`Self::AlreadyExists`].
    NameTaken,
    /// Something else still refers to the resource.
    InUse,
    /// The call came too early: another update is under way, or EC2 throttles Lambda.
    NotYet,
    /// Lambda cannot use the role of a function: the role is not known everywhere yet, or lacks a permission.
    RoleNotUsable,
    /// The client token was used with other parameters: the endpoint exists.
    TokenMismatch,
    /// Another endpoint or hosted zone holds the private DNS name in this VPC.
    PrivateDnsConflict,
    /// The managed policy for a role's permissions boundary does not exist, or cannot be a boundary.
    BoundaryMissing,
    /// The operator's credentials do not allow the call.
    AccessDenied,
    /// Lambda cannot use the KMS key of a function's environment.
    KeyUnusable,
    /// There are no credentials, or they are expired or wrong.
    Credentials,
    /// A service quota is used up.
    QuotaReached,
    /// AWS refuses the parameters of the call.
    Invalid,
    /// AWS's answer lacks a required member.
    Malformed,
}

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    /// The memory of a function, which AWS caps lower in new accounts.
    FunctionMemory,
    /// One of the quotas in Service Quotas.
    Other,
}

/// The reaction to a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Try again, less often each time.
    Retry,
    /// Nothing is wrong: observe again soon.
    Wait,
    /// The call keeps failing until a person changes something.
    UserMustAct,
}

impl Failure {
    /// The reaction to this failure.
    pub fn class(self) -> Class {
        match self {
            Self::Throttled | Self::Unavailable | Self::Malformed => Class::Retry,
            Self::NotFound
            | Self::AlreadyExists
            | Self::InUse
            | Self::NotYet
            | Self::RoleNotUsable
            | Self::TokenMismatch => Class::Wait,
            Self::NameTaken
            | Self::PrivateDnsConflict
            | Self::BoundaryMissing
            | Self::AccessDenied
            | Self::KeyUnusable
            | Self::Credentials
            | Self::QuotaReached
            | Self::Invalid => Class::UserMustAct,
        }
    }

    /// Reads AWS's error code and message. `status` is the HTTP status of the answer.
    ///
    /// Sources: the error code pages of the EC2, IAM, Lambda and CloudWatch Logs API references.
    pub fn classify(status: u16, code: &str, message: &str) -> Self {
        if let Some(failure) = by_message(code, message) {
            return failure;
        }
        match code {
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestThrottled"
            | "EC2ThrottledException"
            | "SlowDown" => Self::Throttled,
            "InternalError"
            | "InternalFailure"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "Unavailable"
            | "ServiceException"
            | "ServiceFailure"
            | "ServiceUnavailableException"
            | "EC2UnexpectedException"
            | "RequestTimeout"
            | "RequestTimeoutException" => Self::Unavailable,
            "NoSuchEntity" | "ResourceNotFoundException" => Self::NotFound,
            // Invoke's, about the function's own configuration, although with status 502 or 408 (Lambda API reference, "Invoke").
            "EC2AccessDeniedException"
            | "InvalidSubnetIDException"
            | "InvalidSecurityGroupIDException"
            | "InvalidRuntimeException"
            | "InvalidZipFileException"
            | "EFSMountConnectivityException"
            | "EFSMountTimeoutException"
            | "S3FilesMountConnectivityException"
            | "S3FilesMountTimeoutException"
            | "SnapStartTimeoutException" => Self::Invalid,
            "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException" => Self::KeyUnusable,
            // A policy of AWS's for a service-linked role.
            "PolicyNotAttachable" => Self::BoundaryMissing,
            "EntityAlreadyExists" | "ResourceAlreadyExistsException" | "ResourceConflictException" => {
                Self::AlreadyExists
            }
            "DependencyViolation" | "DeleteConflict" | "ResourceInUse" | "ResourceInUseException" => Self::InUse,
            "ConcurrentModification"
            | "ConcurrentTagAccess"
            | "OperationAbortedException"
            | "IncorrectState"
            | "OperationInProgress"
            | "ResourceNotReadyException"
            | "SnapStartNotReadyException" => Self::NotYet,
            "IdempotentParameterMismatch" => Self::TokenMismatch,
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "UnauthorizedAccess" => {
                Self::AccessDenied
            }
            "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "SignatureDoesNotMatch"
            | "OptInRequired"
            | "RequestExpired"
            | "InvalidSignatureException" => Self::Credentials,
            // In this order: Lambda cannot attach a function that it wakes (two codes); the code of all functions in the region;
            // the tags on one resource.
            "ENILimitReachedException"
            | "SubnetIPAddressLimitReachedException"
            | "CodeStorageExceededException"
            | "TooManyTagsException" => Self::QuotaReached,
            _ if code.ends_with(".NotFound") => Self::NotFound,
            _ if code.ends_with(".InUse") => Self::InUse,
            _ if code.ends_with(".Duplicate") => Self::AlreadyExists,
            _ if code.ends_with("LimitExceeded") || code.ends_with("LimitExceededException") => Self::QuotaReached,
            _ if status == 429 => Self::Throttled,
            _ if status >= 500 => Self::Unavailable,
            _ => Self::Invalid,
        }
    }
}

/// Codes with several meanings, distinguished by AWS's words.
fn by_message(code: &str, message: &str) -> Option<Failure> {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    match code {
        // This is about a permissions boundary; the message about a missing role differs.
        "NoSuchEntity" if says("does not exist or is not attachable") => Some(Failure::BoundaryMissing),
        "InvalidParameterValue" if says("is currently in use") => Some(Failure::InUse),
        "InvalidParameter" if says("conflicting dns domain") => Some(Failure::PrivateDnsConflict),
        "InvalidParameterValueException"
            if says("cannot be assumed by lambda") || says("execution role does not have permissions") =>
        {
            Some(Failure::RoleNotUsable)
        }
        "InvalidParameterValueException" if says("throttled by ec2") => Some(Failure::NotYet),
        // The API accepts up to 10,240 MiB. New accounts have a lower cap (3,008), which AWS reports as a constraint of the
        // parameter.
        "ValidationException" | "InvalidParameterValueException"
            if says("memorysize") && says("less than or equal to") =>
        {
            Some(Failure::QuotaReached)
        }
        // Lambda means the function's role, not the operator's permissions.
        "AccessDeniedException" if says("cannot be assumed by lambda") => Some(Failure::RoleNotUsable),
        "ResourceConflictException"
            if says("in progress") || says("concurrent update") || says("is currently in the following state") =>
        {
            Some(Failure::NotYet)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_code_has_one_meaning() {
        let table = [
            (503, "RequestLimitExceeded", "", Failure::Throttled),
            (400, "CodeStorageExceededException", "Code storage limit exceeded.", Failure::QuotaReached),
            (400, "TooManyTagsException", "", Failure::QuotaReached),
            (429, "TooManyRequestsException", "", Failure::Throttled),
            (400, "Throttling", "Rate exceeded", Failure::Throttled),
            (500, "InternalError", "", Failure::Unavailable),
            (502, "", "", Failure::Unavailable),
            (400, "InvalidVpcEndpointId.NotFound", "", Failure::NotFound),
            (400, "InvalidGroup.NotFound", "", Failure::NotFound),
            (404, "NoSuchEntity", "", Failure::NotFound),
            (
                404,
                "NoSuchEntity",
                "Scope ARN: arn:aws:iam::123456789012:policy/b does not exist or is not attachable.",
                Failure::BoundaryMissing,
            ),
            (400, "PolicyNotAttachable", "", Failure::BoundaryMissing),
            (404, "ResourceNotFoundException", "", Failure::NotFound),
            (400, "InvalidGroup.Duplicate", "", Failure::AlreadyExists),
            (400, "InvalidPermission.Duplicate", "", Failure::AlreadyExists),
            (409, "EntityAlreadyExists", "", Failure::AlreadyExists),
            (409, "ResourceConflictException", "Function already exist: f", Failure::AlreadyExists),
            (
                409,
                "ResourceConflictException",
                "The operation cannot be performed at this time. An update is in progress for resource: f",
                Failure::NotYet,
            ),
            (
                409,
                "ResourceConflictException",
                "The function is currently in the following state: Pending",
                Failure::NotYet,
            ),
            (
                409,
                "ResourceConflictException",
                "The function could not be updated due to a concurrent update operation.",
                Failure::NotYet,
            ),
            (
                400,
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.",
                Failure::RoleNotUsable,
            ),
            (
                400,
                "InvalidParameterValueException",
                "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
                Failure::RoleNotUsable,
            ),
            (
                403,
                "AccessDeniedException",
                "The role defined for the function cannot be assumed by Lambda.",
                Failure::RoleNotUsable,
            ),
            (502, "ResourceNotReadyException", "The function is inactive", Failure::NotYet),
            (502, "ENILimitReachedException", "", Failure::QuotaReached),
            (400, "InvalidParameterValueException", "Unsupported runtime", Failure::Invalid),
            (
                400,
                "ValidationException",
                "1 validation error detected: Value '5120' at 'memorySize' failed to satisfy constraint: Member must have value less than \
                 or equal to 3008",
                Failure::QuotaReached,
            ),
            (
                400,
                "InvalidParameterValueException",
                "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 3008",
                Failure::QuotaReached,
            ),
            (502, "EC2AccessDeniedException", "", Failure::Invalid),
            (502, "InvalidSubnetIDException", "", Failure::Invalid),
            (502, "InvalidSecurityGroupIDException", "", Failure::Invalid),
            (502, "InvalidRuntimeException", "", Failure::Invalid),
            (502, "InvalidZipFileException", "", Failure::Invalid),
            (408, "EFSMountTimeoutException", "", Failure::Invalid),
            (502, "KMSAccessDeniedException", "", Failure::KeyUnusable),
            (502, "KMSDisabledException", "", Failure::KeyUnusable),
            (502, "KMSInvalidStateException", "", Failure::KeyUnusable),
            (502, "KMSNotFoundException", "", Failure::KeyUnusable),
            (409, "SnapStartNotReadyException", "", Failure::NotYet),
            (502, "EC2UnexpectedException", "", Failure::Unavailable),
            (400, "DependencyViolation", "", Failure::InUse),
            (400, "InvalidGroup.InUse", "", Failure::InUse),
            (400, "InvalidNetworkInterface.InUse", "", Failure::InUse),
            (400, "ConcurrentTagAccess", "", Failure::NotYet),
            (
                400,
                "InvalidParameterValue",
                "Network interface 'eni-0123456789abcdef0' is currently in use.",
                Failure::InUse,
            ),
            (409, "DeleteConflict", "", Failure::InUse),
            (400, "IdempotentParameterMismatch", "", Failure::TokenMismatch),
            (
                400,
                "InvalidParameter",
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for x",
                Failure::PrivateDnsConflict,
            ),
            (400, "InvalidParameter", "something else", Failure::Invalid),
            (403, "UnauthorizedOperation", "", Failure::AccessDenied),
            (403, "ExpiredToken", "", Failure::Credentials),
            (400, "VpcEndpointLimitExceeded", "", Failure::QuotaReached),
            (400, "SecurityGroupLimitExceeded", "", Failure::QuotaReached),
            (409, "LimitExceeded", "", Failure::QuotaReached),
            (400, "InvalidParameterValue", "", Failure::Invalid),
        ];
        for (status, code, message, meaning) in table {
            assert_eq!(Failure::classify(status, code, message), meaning, "{code}: {message}");
        }
    }

    #[test]
    fn an_error_tells_the_call_the_code_and_the_request_id() {
        let error = AwsError {
            service: "ec2",
            operation: "CreateVpcEndpoint",
            failure: Failure::AccessDenied,
            code: Some("UnauthorizedOperation".into()),
            message: "You are not authorized to perform this operation.".into(),
            request_id: Some("4f7-9a".into()),
        };
        assert_eq!(
            error.to_string(),
            "ec2:CreateVpcEndpoint failed: UnauthorizedOperation: You are not authorized to perform this operation. \
             (request id 4f7-9a)"
        );
    }
}
