//! What the SDK repeats by itself.

use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::{
        ErrorKind,
        classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority, RetryReason},
    },
};

/// Within a call the SDK tries again after a broken connection or a 5xx answer, which says nothing about the rate. A
/// throttled answer it hands back at once: the [`Pacer`](crate::aws::pacing::Pacer) must learn of it before anything else
/// is asked, and whoever made the call comes back by its own pace. So no attempt that AWS counts as one too many is
/// repeated without its turn.
#[derive(Debug)]
pub(super) struct ThrottlesAreNotRepeated;

impl ClassifyRetry for ThrottlesAreNotRepeated {
    fn classify_retry(&self, _: &InterceptorContext) -> RetryAction {
        RetryAction::NoActionIndicated
    }

    fn classify_retry_v2(&self, _: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        match previous {
            RetryAction::RetryIndicated(RetryReason::RetryableError { kind: ErrorKind::ThrottlingError, .. }) => {
                RetryAction::RetryForbidden
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "throttles are not repeated"
    }

    /// After all others have said what they take the answer for.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}
