//! AWS's words about a call that IAM denies: the action, and the kind of policy that denies it.
//!
//! Source: IAM User Guide, "Troubleshoot access denied error messages": `User: … is not authorized to perform: ACTION on
//! resource: … with an explicit deny in a KIND`, or `… because no KIND allows the ACTION action`. Some services say less. Where
//! several kinds of policies deny a call, AWS names one.

use super::{AwsError, Failure};

/// A denied call, as far as AWS's words describe it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denial {
    /// The action that AWS named, such as `iam:PassRole` of a call to `lambda:CreateFunction`; the call's own action where AWS
    /// named none.
    pub action: String,
    /// The cause of the denial.
    pub by: DeniedBy,
    /// The form of the details.
    pub details: Details,
}

/// The cause of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeniedBy {
    /// AWS names no cause.
    Unnamed,
    /// No policy of this kind allows the action.
    NoAllow(PolicyKind),
    /// A policy of this kind denies the action. No other policy can allow it.
    Deny(PolicyKind),
    /// A policy of an unnamed kind denies the action. No other policy can allow it.
    DenySomewhere,
}

/// The form of the details of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Details {
    /// Plain words, or no details.
    Plain,
    /// A message that only `sts:DecodeAuthorizationMessage` reads.
    Encoded,
}

/// The kinds of policies that IAM evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are IAM's own")]
pub enum PolicyKind {
    IdentityBased,
    ResourceBased,
    PermissionsBoundary,
    Session,
    ServiceControl,
    ResourceControl,
    VpcEndpoint,
}

impl PolicyKind {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::IdentityBased,
        Self::ResourceBased,
        Self::PermissionsBoundary,
        Self::Session,
        Self::ServiceControl,
        Self::ResourceControl,
        Self::VpcEndpoint,
    ];

    /// IAM's words for the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityBased => "identity-based policy",
            Self::ResourceBased => "resource-based policy",
            Self::PermissionsBoundary => "permissions boundary",
            Self::Session => "session policy",
            Self::ServiceControl => "service control policy",
            Self::ResourceControl => "resource control policy",
            Self::VpcEndpoint => "VPC endpoint policy",
        }
    }

    /// The kind that this text begins with, with or without an article before it.
    fn at_the_start_of(text: &str) -> Option<Self> {
        let text = ["a ", "an ", "the "].iter().find_map(|article| text.strip_prefix(article)).unwrap_or(text);
        Self::ALL.iter().copied().find(|kind| text.starts_with(&kind.as_str().to_ascii_lowercase()))
    }
}

/// The words before the part of EC2's refusal that only `sts:DecodeAuthorizationMessage` reads.
pub(super) const ENCODED: &str = "Encoded authorization failure message";

impl AwsError {
    /// The denial; `None` for an error of another kind.
    pub fn denial(&self) -> Option<Denial> {
        let named = || action_in(&self.message).map(ToOwned::to_owned);
        (self.failure == Failure::AccessDenied).then(|| Denial {
            action: named().unwrap_or_else(|| action_of(self.service, self.operation)),
            by: denied_by(&self.message.to_ascii_lowercase()),
            details: if self.message.contains(ENCODED) { Details::Encoded } else { Details::Plain },
        })
    }
}

/// The action after `not authorized to perform:`.
fn action_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform:")?;
    let action = rest.split_whitespace().next()?.trim_end_matches(['.', ',', ';']);
    let (service, name) = action.split_once(':')?;
    let is_service =
        !service.is_empty() && service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_service && is_name).then_some(action)
}

/// The IAM action for a call. Source of the names that differ from the operation: Service Authorization Reference.
fn action_of(service: &str, operation: &str) -> String {
    match (service, operation) {
        ("lambda", "Invoke") => "lambda:InvokeFunction".to_owned(),
        _ => format!("{service}:{operation}"),
    }
}

/// The cause, by AWS's words in lower case.
fn denied_by(message: &str) -> DeniedBy {
    if let Some((_, rest)) = message.split_once("explicit deny") {
        let kind = rest.strip_prefix(" in ").and_then(PolicyKind::at_the_start_of);
        return kind.map_or(DeniedBy::DenySomewhere, DeniedBy::Deny);
    }
    let kind = message.split_once("because no ").and_then(|(_, rest)| PolicyKind::at_the_start_of(rest));
    kind.map_or(DeniedBy::Unnamed, DeniedBy::NoAllow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Denial {
        denied(Failure::AccessDenied, message).denial().expect("a denial")
    }

    fn denied(failure: Failure, message: &str) -> AwsError {
        AwsError {
            service: "lambda",
            operation: "CreateFunction",
            failure,
            code: Some("AccessDeniedException".to_owned()),
            message: message.to_owned(),
            request_id: None,
        }
    }

    /// The examples of "Troubleshoot access denied error messages", and of the page about ARNs in them.
    #[test]
    fn each_kind_of_policy_that_aws_names_is_known_by_its_words() {
        const USER: &str =
            "User: arn:aws:sts::777788889999:assumed-role/operator/s is not authorized to perform: iam:PassRole";
        for kind in PolicyKind::ALL {
            let words = kind.as_str();
            let article = if words.starts_with('i') { "an" } else { "a" };
            for (says, by) in [
                (format!("on resource: x with an explicit deny in {article} {words}"), DeniedBy::Deny(*kind)),
                (
                    format!("with an explicit deny in the {words}: arn:aws:organizations::1:policy/o-1/p-1"),
                    DeniedBy::Deny(*kind),
                ),
                (format!("on resource: x because no {words} allows the iam:PassRole action"), DeniedBy::NoAllow(*kind)),
            ] {
                let read = read(&format!("{USER} {says}"));
                assert_eq!((read.action.as_str(), read.by), ("iam:PassRole", by), "{says}");
            }
        }
        assert_eq!(read(&format!("{USER} on resource: x with an explicit deny")).by, DeniedBy::DenySomewhere);
        assert_eq!(read(&format!("{USER}.")).by, DeniedBy::Unnamed);
    }

    #[test]
    fn a_denial_that_names_no_action_is_one_of_the_call_s_own() {
        for message in ["", "You are not authorized to perform this operation.", "is not authorized to perform: a poem"]
        {
            assert_eq!(read(message).action, "lambda:CreateFunction", "{message}");
        }
        let invoke = AwsError { operation: "Invoke", ..denied(Failure::AccessDenied, "") };
        assert_eq!(invoke.denial().map(|denial| denial.action).as_deref(), Some("lambda:InvokeFunction"));
        assert_eq!(denied(Failure::Invalid, "with an explicit deny").denial(), None);
    }

    #[test]
    fn an_encoded_message_is_known_as_one() {
        assert_eq!(read("You are not authorized. Encoded authorization failure message: …").details, Details::Encoded);
        assert_eq!(read("You are not authorized.").details, Details::Plain);
    }
}
