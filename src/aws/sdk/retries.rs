//! The retries of the SDK.

use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::{
        ErrorKind,
        classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority, RetryReason},
    },
};

/// Within a call, the SDK tries again after a broken connection or a 5xx answer. It returns a throttled answer at once: the
/// [`Pacer`](crate::aws::pacing::Pacer) must learn of the throttling before the next call, and the caller retries at its own
/// pace. So every attempt that counts against AWS's rate has waited for its turn.
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

    /// Runs after all other classifiers.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}
