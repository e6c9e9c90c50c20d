//! The leg of a call that failed: the reason, and a message that names the resource and the remedy.

use super::{Plan, denied};
use crate::{
    api::condition::{ConditionType, Leg, Message, Reason},
    aws::{AwsError, Class, Failure, Quota, Write},
    identity::TAG_INSTALLATION,
};

impl Plan {
    /// Shows a failed write on its leg. A leg that needs somebody to act stays as it is.
    pub fn show_failure(&mut self, kind: ConditionType, write: &Write, error: &AwsError) {
        let mut leg = explain_failure(kind, &write.resource(), error);
        let may_lack_the_boundary = error.denial().is_some_and(|denial| denied::is_up_to_the_role(&denial));
        if may_lack_the_boundary && let Some(boundary) = write.permissions_boundary() {
            leg.message.text = format!(
                "{} The call gives the role the permissions boundary {boundary}: the policy of the operator's role must be the one that \
                 iam-policy prints with --permissions-boundary-arn {boundary}.",
                leg.message.text
            );
        }
        self.set_leg(leg);
    }

    /// Shows a write that the operator itself holds back until its turn.
    pub fn show_held_back(&mut self, kind: ConditionType, write: &Write, error: &AwsError) {
        let (resource, operation) = (write.resource(), write.operation());
        let message = format!(
            "{resource}: {operation} waits for its turn: {}. The call is made when its turn comes, in the order of asking; what is deleted \
             or repaired goes before new apps.",
            error.message
        );
        self.set_leg(Leg::progressing(kind, Reason::Throttled, message));
    }
}

/// The leg of a failed call.
pub fn explain_failure(kind: ConditionType, resource: &str, error: &AwsError) -> Leg {
    let (reason, remedy) = reason_and_remedy(error);
    let message = Message::of_call(format!("{resource}: {}. {remedy}", error.without_request_id()), error);
    match error.failure.class() {
        Class::Wait | Class::Retry => Leg::progressing(kind, reason, message),
        Class::UserMustAct => Leg::blocked(kind, reason, message),
    }
}

fn reason_and_remedy(error: &AwsError) -> (Reason, String) {
    let (reason, remedy) = match error.failure {
        Failure::Throttled => (Reason::Throttled, "The call is tried again, less often each time."),
        Failure::Unavailable | Failure::Malformed => {
            (Reason::AwsUnavailable, "The call is tried again, less often each time.")
        }
        Failure::NotFound => {
            (Reason::Applying, "AWS does not show the resource yet; the resource is looked for again.")
        }
        Failure::AlreadyExists => (
            Reason::Applying,
            "The resource exists already and AWS does not show it yet: the resource is looked for again for a minute.",
        ),
        Failure::NameTaken => {
            let remedy = format!(
                "A resource of this name exists and is not this installation's: delete it, or tag it {TAG_INSTALLATION}= with the \
                 installation's id if it is; the call is tried again."
            );
            return (Reason::NameTaken, remedy);
        }
        Failure::TokenMismatch => (
            Reason::EndpointPending,
            "An earlier call created the endpoint: the endpoint is looked for by its tags for a minute, and created anew if AWS \
             does not show it by then.",
        ),
        Failure::InUse => {
            (Reason::ResourceInUse, "Something still uses the resource: the call is tried again until nothing does.")
        }
        Failure::NotYet => (Reason::Applying, "AWS is still at work on the resource: the call is tried again."),
        Failure::RoleNotUsable => {
            (Reason::RolePropagating, "A new role takes AWS some seconds: the call is tried again.")
        }
        Failure::PrivateDnsConflict => (
            Reason::AwsRefused,
            "Another endpoint or hosted zone holds the service's name in this VPC: delete that one, or delete the operator's \
             endpoint, which the operator then creates again without private DNS. The call is tried again.",
        ),
        Failure::BoundaryMissing => (
            Reason::AwsRefused,
            "Create the managed policy that AWS's message names, or let --permissions-boundary-arn (permissionsBoundaryArn of \
             the chart) name another one; the call is tried again.",
        ),
        Failure::AccessDenied => {
            let remedy = error.denial().map(|denial| denied::remedy(&denial)).unwrap_or_default();
            return (Reason::AccessDenied, remedy);
        }
        Failure::KeyUnusable => (
            Reason::EnvironmentUnreadable,
            "Lambda cannot decrypt the function's environment: enable the KMS key, or allow its use, as AWS's message says; or delete \
             the function, and the operator creates it again with Lambda's own key.",
        ),
        Failure::Credentials => (
            Reason::CredentialsInvalid,
            "Give the operator valid AWS credentials (IRSA or EKS Pod Identity); the call is tried again.",
        ),
        Failure::QuotaReached => match error.quota() {
            Some(Quota::FunctionMemory) => (
                Reason::QuotaReached,
                "Set spec.function.memoryMiB to no more than AWS's message names, or have AWS Support raise the account's limit on \
                 function memory; the call is tried again.",
            ),
            Some(Quota::Other) | None => (
                Reason::QuotaReached,
                "Raise the quota in Service Quotas, or remove resources that nobody needs. If it is the number of tags: AWS takes fifty \
                 on a resource; name fewer in --tags. The call is tried again.",
            ),
        },
        Failure::Invalid => {
            (Reason::AwsRefused, "Correct the value that AWS's message names; the call is tried again.")
        }
    };
    (reason, remedy.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        api::condition::LegState,
        aws::{Ec2Write, IamWrite, RoleName},
    };

    pub(in crate::plan) fn failed(failure: Failure) -> AwsError {
        AwsError {
            service: "ec2",
            operation: "CreateVpcEndpoint",
            failure,
            code: Some("SomeCode".to_owned()),
            message: "AWS's words".to_owned(),
            request_id: Some("4f7-9a".to_owned()),
        }
    }

    #[test]
    fn every_failure_is_explained_with_reason_resource_and_remedy() {
        use Failure as F;
        use LegState::{Blocked, Progressing};
        use Reason as R;
        for (failure, standing, reason, remedy) in [
            (F::Throttled, Progressing, R::Throttled, "tried again"),
            (F::Unavailable, Progressing, R::AwsUnavailable, "tried again"),
            (F::Malformed, Progressing, R::AwsUnavailable, "tried again"),
            (F::NotFound, Progressing, R::Applying, "looked for again"),
            (F::AlreadyExists, Progressing, R::Applying, "looked for again for a minute"),
            (F::NameTaken, Blocked, R::NameTaken, "delete it, or tag it privategenai.dev/installation="),
            (F::TokenMismatch, Progressing, R::EndpointPending, "looked for by its tags"),
            (F::InUse, Progressing, R::ResourceInUse, "Something still uses the resource"),
            (F::NotYet, Progressing, R::Applying, "still at work on the resource"),
            (F::RoleNotUsable, Progressing, R::RolePropagating, "A new role takes AWS some seconds"),
            (F::PrivateDnsConflict, Blocked, R::AwsRefused, "creates again without private DNS"),
            (F::BoundaryMissing, Blocked, R::AwsRefused, "Create the managed policy"),
            (F::AccessDenied, Blocked, R::AccessDenied, "Allow the operator's role ec2:CreateVpcEndpoint"),
            (F::KeyUnusable, Blocked, R::EnvironmentUnreadable, "enable the KMS key"),
            (F::Credentials, Blocked, R::CredentialsInvalid, "valid AWS credentials"),
            (F::QuotaReached, Blocked, R::QuotaReached, "Raise the quota"),
            (F::Invalid, Blocked, R::AwsRefused, "Correct the value that AWS's message names"),
        ] {
            let leg = explain_failure(ConditionType::EndpointsReady, "vpce-00000001", &failed(failure));
            assert_eq!((leg.kind, leg.state, leg.reason), (ConditionType::EndpointsReady, standing, reason));
            assert!(
                leg.message.text.starts_with("vpce-00000001: ec2:CreateVpcEndpoint failed: SomeCode: AWS's words. "),
                "{}",
                leg.message
            );
            assert!(leg.message.text.contains(remedy), "{failure:?}: {}", leg.message);
            assert_eq!(leg.message.request_id.as_deref(), Some("4f7-9a"));
            let has_bound = reason.wait().is_some();
            assert!(standing == Blocked || has_bound, "{failure:?} waits for ever");
        }
    }

    #[test]
    fn too_much_memory_for_the_account_is_explained_without_service_quotas() {
        let message = "Value '5120' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 3008";
        let error = AwsError { message: message.to_owned(), ..failed(Failure::QuotaReached) };
        let message = explain_failure(ConditionType::FunctionReady, "pgai-x", &error).message.text;
        assert!(message.contains("3008") && message.contains("spec.function.memoryMiB"), "{message}");
        assert!(!message.contains("Service Quotas"), "{message}");
    }

    #[test]
    fn a_failed_call_shows_on_its_leg_unless_that_asks_somebody_to_act_already() {
        let kind = ConditionType::EndpointsReady;
        let failure = explain_failure(kind, "vpce-00000001", &failed(Failure::Throttled));
        let asks = Leg::blocked(kind, Reason::PolicyTooLong, "act");
        let other = Leg::met(ConditionType::VpcReady, "fine");
        for (before, after) in [
            (vec![], vec![failure.clone()]),
            (vec![Leg::met(kind, "fine")], vec![failure.clone()]),
            (vec![Leg::progressing(kind, Reason::Applying, "soon")], vec![failure.clone()]),
            (vec![asks.clone()], vec![asks]),
            (vec![other.clone()], vec![other, failure]),
        ] {
            let mut plan = Plan { legs: before, ..Plan::default() };
            let write = Write::Ec2(Ec2Write::DeleteVpcEndpoints { endpoint: "vpce-00000001".parse().expect("an id") });
            plan.show_failure(kind, &write, &failed(Failure::Throttled));
            assert_eq!(plan.legs, after);
        }
    }

    #[test]
    fn the_refusal_of_a_boundary_names_the_boundary_and_the_operator_s_policy() {
        let kind = ConditionType::ExecutionRoleReady;
        let arn = "arn:aws:iam::123456789012:policy/b";
        let role: RoleName = "pgai-x".parse().expect("a role");
        let put = Write::Iam(IamWrite::PutRolePermissionsBoundary {
            role: role.clone(),
            boundary: arn.parse().expect("an ARN"),
        });
        let message = |write: &Write, failure| {
            let mut plan = Plan::default();
            plan.show_failure(kind, write, &failed(failure));
            assert_eq!(plan.legs[0].state, LegState::Blocked);
            plan.legs.remove(0).message
        };
        let refusal = message(&put, Failure::AccessDenied);
        assert!(
            refusal.text.contains(&format!("iam-policy prints with --permissions-boundary-arn {arn}.")),
            "{refusal}"
        );
        let other = message(&Write::Iam(IamWrite::DeleteRole { role }), Failure::AccessDenied);
        assert!(!other.text.contains("The call gives the role"), "{other}");
    }
}
