//! What a controller decided: the next writes, and how each leg of the path stands.

use crate::{
    api::condition::{ConditionType, Leg, Reason, Standing},
    aws::{AwsError, Class, Failure, Write},
};

/// One write, and the leg that it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The leg that shows when the write fails.
    pub leg: ConditionType,
    /// The write.
    pub write: Write,
}

/// A decision. Pure: the same desired and observed state give the same plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    /// Writes that can be made now, in this order. What depends on their answers comes in the next plan.
    pub steps: Vec<Step>,
    /// How the legs stand before the steps.
    pub legs: Vec<Leg>,
}

impl Plan {
    /// Adds a write for a leg.
    pub fn step(&mut self, leg: ConditionType, write: Write) {
        self.steps.push(Step { leg, write });
    }

    /// Something is not as it should be for a cause that lies in AWS, where a fresh look may find it gone.
    pub fn unsettled(&self) -> bool {
        self.legs.iter().any(|leg| leg.standing != Standing::Met && leg.reason != Reason::WaitingForNetwork)
    }

    /// Lets a failed call show on its leg. A leg that needs somebody to act stays as it is.
    pub fn blame(&mut self, kind: ConditionType, resource: &str, error: &AwsError) {
        let told = explain(kind, resource, error);
        match self.legs.iter_mut().find(|leg| leg.kind == kind) {
            Some(leg) if leg.standing == Standing::Blocked => {}
            Some(leg) => *leg = told,
            None => self.legs.push(told),
        }
    }
}

/// Turns a failed call into a leg: the reason, and a sentence that names the resource and the remedy.
pub fn explain(kind: ConditionType, resource: &str, error: &AwsError) -> Leg {
    let (reason, remedy) = match error.failure {
        Failure::Throttled => (Reason::Throttled, "It is tried again, less often each time.".to_owned()),
        Failure::Unavailable | Failure::Malformed => {
            (Reason::AwsUnavailable, "It is tried again, less often each time.".to_owned())
        }
        Failure::NotFound => (Reason::Applying, "AWS does not know it yet; it is looked for again.".to_owned()),
        Failure::AlreadyExists | Failure::TokenMismatch => (
            Reason::NameTaken,
            "It is looked for again; if it is not this installation's, remove it or tag it as this installation's."
                .to_owned(),
        ),
        Failure::InUse => (Reason::ResourceInUse, "It is tried again until nothing uses it any more.".to_owned()),
        Failure::NotYet => (Reason::RolePropagating, "AWS needs some seconds more; it is tried again.".to_owned()),
        Failure::PrivateDnsConflict => {
            (Reason::AwsRefused, "Another endpoint or hosted zone holds the service's name in this VPC.".to_owned())
        }
        Failure::AccessDenied => (
            Reason::AccessDenied,
            format!("Allow the operator's role {}:{}; it is tried again.", error.service, error.operation),
        ),
        Failure::Credentials => (
            Reason::CredentialsInvalid,
            "Give the operator valid AWS credentials (IRSA or EKS Pod Identity); it is tried again.".to_owned(),
        ),
        Failure::QuotaReached => (
            Reason::QuotaReached,
            "Raise the quota in Service Quotas, or remove what is not needed; it is tried again.".to_owned(),
        ),
        Failure::Invalid => (Reason::AwsRefused, "Correct what AWS's message names; it is tried again.".to_owned()),
    };
    let message = format!("{resource}: {error}. {remedy}");
    match error.failure.class() {
        Class::Wait | Class::Retry => Leg::progressing(kind, reason, message),
        Class::UserMustAct => Leg::blocked(kind, reason, message),
    }
}
