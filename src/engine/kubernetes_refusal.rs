//! Lasting refusals of the Kubernetes API, by an admission policy or for lack of permissions. A refusal becomes a condition
//! of the object that the operator reconciles.

use std::fmt;

use kube::{Resource as _, core::Status, runtime::controller::Action};

use super::{Attempt, Context, Error, Guarded, Kind, Pace, events::publish_refusal, objects::explain_undecoded};
use crate::api::{
    ObjectName,
    condition::{ConditionType, Leg, Reason},
};

/// A refusal that lasts until a user changes a policy, a permission or the request. `Display` gives the message of the API
/// server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KubernetesRefusal(String);

impl KubernetesRefusal {
    /// The remedy, for the message of a condition.
    pub const REMEDY: &str = "Have the admission policy that these words name allow it, or, if no policy is named, have the operator's \
                              ClusterRole be the one of its chart. It is tried again every five minutes at most.";

    /// The lasting refusal behind an error, if there is one.
    pub fn of(error: &Error) -> Option<Self> {
        error.status().and_then(Self::of_status)
    }

    /// Admission webhooks refuse with 400 unless they name another code (`ToStatusErr` of k8s.io/apiserver), a
    /// `ValidatingAdmissionPolicy` with 422 (its reference, "reason"), RBAC with 403. A namespace that is being deleted
    /// answers 403 too; that answer is no refusal.
    fn of_status(status: &Status) -> Option<Self> {
        let is_ending = status.message.contains("because it is being terminated");
        let is_for_good = matches!(status.code, 400 | 403 | 422) || status.message.contains("denied the request");
        (is_for_good && !is_ending).then(|| {
            let words = status.message.trim_end();
            Self(if words.ends_with('.') { words.to_owned() } else { format!("{words}.") })
        })
    }
}

impl fmt::Display for KubernetesRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes a lasting refusal of the Kubernetes API, which ended a reconcile, into the object's status. If the API refuses
/// the status too, the refusal becomes an Event.
///
/// # Errors
/// Every other error of the reconcile.
pub async fn report_refusal<K: Kind>(error: Error, object: &Guarded<K>, ctx: &Context) -> Result<Action, Error> {
    let Some(refused) = KubernetesRefusal::of(&error) else { return Err(error) };
    let name = ObjectName::of(K::KIND, object);
    tracing::warn!(object = %name, %error, "the Kubernetes API refuses a request");
    let message = format!(
        "The Kubernetes API refuses a request of the operator: {refused} {} Nothing new is done for the object until then.",
        KubernetesRefusal::REMEDY
    );
    let leg = Leg::blocked(ConditionType::Accepted, Reason::KubernetesRefused, message.clone());
    if let Err(error) = explain_undecoded::<K>(&ctx.client, object.meta(), &[leg]).await {
        tracing::warn!(object = %name, %error, "the refusal could not be written to the status");
        publish_refusal(ctx, object, message).await;
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
            KubernetesRefusal::of(&Error::Status { object: String::new(), cause: kube::Error::Api(status) })
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
