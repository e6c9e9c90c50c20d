//! STS: the operator's own identity.

use super::super::{
    operation::{Operation, RateLimit, SharedLimit},
    pacing::Rate,
};

/// "IAM and AWS STS quotas", `IAM/latest/UserGuide/reference_iam-quotas.html`: one limit for all calls. The call needs no
/// permission.
pub(in crate::aws) const OPERATIONS: &[Operation] = &[Operation {
    service: "sts",
    name: "GetCallerIdentity",
    permissions: &[],
    rate_limit: RateLimit::Shared(SharedLimit { name: "all", global: false, rate: Rate::even(600) }),
    is_write: false,
}];
