//! The remedy for a call that AWS denies.

use crate::aws::{Denial, DeniedBy, Details, PolicyKind};

/// Whether a wider policy of the operator's role may be enough.
pub(super) fn is_up_to_the_role(denial: &Denial) -> bool {
    matches!(denial.by, DeniedBy::Unnamed | DeniedBy::NoAllow(PolicyKind::IdentityBased))
}

/// The remedy, and who can apply it. A policy of the operator's role is no remedy where another policy denies the call, or where a
/// policy of another kind does not allow it.
pub(super) fn remedy(denial: &Denial) -> String {
    let action = &denial.action;
    let words = match denial.by {
        DeniedBy::Unnamed => format!(
            "{}. Where the role is allowed that already, another policy denies it: one of the organization, a permissions boundary, \
             or that of a VPC endpoint",
            allow(action)
        ),
        DeniedBy::NoAllow(PolicyKind::IdentityBased) => allow(action),
        DeniedBy::NoAllow(kind) => format!("Have {} allow {action} for the operator's role", of(kind)),
        DeniedBy::Deny(kind) => {
            format!(
                "Have {} not deny {action} for the operator's role: no other policy can allow an action that this one denies",
                of(kind)
            )
        }
        DeniedBy::DenySomewhere => format!(
            "Find the policy that denies {action} explicitly (of the role, its permissions boundary, the session, the organization, a \
             VPC endpoint, or the resource), and exempt the operator's role there: no other policy can allow an action that one denies"
        ),
    };
    let decode = match denial.details {
        Details::Plain => "",
        Details::Encoded => {
            " EC2 encoded why: the operator's log has the message beside the latest call that was refused, and \
             `aws sts decode-authorization-message --encoded-message MESSAGE` reads it."
        }
    };
    format!("{words}; the call is tried again.{decode}")
}

fn allow(action: &str) -> String {
    format!(
        "Allow the operator's role {action}: print its policy again by iam-policy, with the VPCs and the permissions boundary that the \
         operator is given now, and attach that"
    )
}

/// The policy, and who has it in hand.
fn of(kind: PolicyKind) -> &'static str {
    match kind {
        PolicyKind::IdentityBased => "the identity-based policies of the operator's role",
        PolicyKind::ResourceBased => "the resource-based policy of what AWS's message names",
        PolicyKind::PermissionsBoundary => "the permissions boundary of the operator's own role",
        PolicyKind::Session => {
            "the session policy of the operator's credentials (as of an EKS Pod Identity association)"
        }
        PolicyKind::ServiceControl => {
            "the service control policy (SCP), which only the administrator of the AWS organization can change,"
        }
        PolicyKind::ResourceControl => {
            "the resource control policy (RCP), which only the administrator of the AWS organization can change,"
        }
        PolicyKind::VpcEndpoint => "the policy of the VPC endpoint through which the operator calls that service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy_for(by: DeniedBy, details: Details) -> String {
        remedy(&Denial { action: "ec2:CreateVpcEndpoint".to_owned(), by, details })
    }

    #[test]
    fn a_policy_of_the_operator_s_role_is_the_remedy_only_where_it_can_help() {
        for by in [DeniedBy::Unnamed, DeniedBy::NoAllow(PolicyKind::IdentityBased)] {
            let words = remedy_for(by, Details::Plain);
            assert!(
                words.starts_with("Allow the operator's role ec2:CreateVpcEndpoint: print its policy again"),
                "{words}"
            );
        }
        let others = PolicyKind::ALL.iter().filter(|kind| **kind != PolicyKind::IdentityBased);
        let not_allowed = others.map(|kind| DeniedBy::NoAllow(*kind));
        let denied = PolicyKind::ALL.iter().map(|kind| DeniedBy::Deny(*kind));
        for by in not_allowed.chain(denied).chain([DeniedBy::DenySomewhere]) {
            let words = remedy_for(by, Details::Plain);
            assert!(!words.contains("Allow") && words.contains("ec2:CreateVpcEndpoint"), "{by:?}: {words}");
            if let DeniedBy::Deny(kind) | DeniedBy::NoAllow(kind) = by {
                let name = kind.as_str().split_whitespace().next().unwrap_or_default();
                assert!(words.contains(name), "{kind:?} is not named: {words}");
            }
        }
    }

    #[test]
    fn an_encoded_denial_comes_with_the_call_that_decodes_it() {
        let words = remedy_for(DeniedBy::Unnamed, Details::Encoded);
        assert!(words.contains("aws sts decode-authorization-message --encoded-message"), "{words}");
        assert!(!remedy_for(DeniedBy::Unnamed, Details::Plain).contains("decode"));
    }
}
