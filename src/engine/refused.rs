//! What the Kubernetes API refuses for good: an admission policy, or the operator's permissions. It becomes a condition of the object
//! for which it was asked.

use std::{fmt, fmt::Debug};

use kube::{Resource, core::Status, runtime::controller::Action};

use super::{Attempt, Context, Error, Guarded, Pace, events::publish_refused, objects::explain_undecoded};
use crate::api::{
    ObjectKind, ObjectName,
    condition::{ConditionType, Leg, Reason},
};

/// A refusal that stays until somebody changes a policy, a permission or what was asked for. Shows as the words of whoever refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(String);

impl Refused {
    /// Who can act.
    pub const REMEDY: &str = "Have the admission policy that these words name allow it, or, if no policy is named, have the operator's \
                              ClusterRole be the one of its chart. It is tried again every five minutes at most.";

    /// The refusal behind an error, if it is one that stays.
    pub fn of(error: &Error) -> Option<Self> {
        error.status().and_then(Self::of_status)
    }

    /// Admission webhooks refuse with 400 unless they say otherwise (`ToStatusErr` of k8s.io/apiserver), a
    /// `ValidatingAdmissionPolicy` with 422 (its reference, "reason"), RBAC with 403. What a namespace that is being deleted does not take
    /// any more is nobody's refusal.
    fn of_status(status: &Status) -> Option<Self> {
        let is_ending = status.message.contains("because it is being terminated");
        let is_for_good = matches!(status.code, 400 | 403 | 422) || status.message.contains("denied the request");
        (is_for_good && !is_ending).then(|| {
            let words = status.message.trim_end();
            Self(if words.ends_with('.') { words.to_owned() } else { format!("{words}.") })
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells on the object where a reconcile ended because the Kubernetes API refuses a write for good: nothing more is done for the
/// object meanwhile. What cannot even be told there becomes an Event.
///
/// # Errors
/// Every other error of the reconcile.
pub async fn tell_refused<K>(
    kind: ObjectKind,
    result: Result<Action, Error>,
    object: &Guarded<K>,
    ctx: &Context,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug,
{
    let (error, refused) = match result {
        Ok(action) => return Ok(action),
        Err(error) => match Refused::of(&error) {
            None => return Err(error),
            Some(refused) => (error, refused),
        },
    };
    let name = ObjectName::of(kind, object);
    tracing::warn!(object = %name, %error, "the Kubernetes API refuses a request");
    let message = format!(
        "The Kubernetes API refuses a request of the operator: {refused} {} Nothing new is done for the object until then.",
        Refused::REMEDY
    );
    let leg = Leg::blocked(ConditionType::Accepted, Reason::KubernetesRefused, message.clone());
    if let Err(error) = explain_undecoded::<K>(&ctx.client, object.meta(), &[leg]).await {
        tracing::warn!(object = %name, %error, "the refusal could not be told in the status");
        publish_refused(ctx, object, message).await;
    }
    let seed = name.to_string();
    Ok(Pace::Blocked.action(ctx.attempts.count(Attempt::Reconcile(name), Pace::Blocked), &seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_policy_or_of_rbac_stays_and_what_may_pass_does_not() {
        let refused = |code, message: &str| {
            let status = Status::failure(message, "").with_code(code).boxed();
            Refused::of(&Error::Status { object: String::new(), cause: kube::Error::Api(status) })
                .map(|refused| refused.to_string())
        };
        for (code, words) in [
            (422, "ValidatingAdmissionPolicy 'no-networks' denied request: write to the platform team"),
            (403, "privategenainetworks.privategenai.dev is forbidden: User \"operator\" cannot create resource"),
            (400, "admission webhook \"validate.kyverno.svc-fail\" denied the request: no"),
            (429, "admission webhook \"quota.example\" denied the request: too many"),
        ] {
            assert_eq!(refused(code, words), Some(format!("{words}.")), "{code}");
        }
        for (code, words) in [
            (403, "unable to create new content in namespace a because it is being terminated"),
            (404, "the server could not find the requested resource"),
            (409, "the object has been modified"),
            (429, "too many requests"),
            (500, "failed calling webhook \"validate.example\": connection refused"),
            (503, "unavailable"),
        ] {
            assert_eq!(refused(code, words), None, "{code}");
        }
    }
}
