//! Checks the place of a network that is gone for late writes: a call of another operator that arrived after the resources were gone.

use super::{
    Observed,
    decide::{identity, is_taken, observe_place},
    ownership::refusal_by_aws,
    teardown,
};
use crate::{
    api::{condition::ConditionType, network::NetworkKey},
    aws::{AwsError, EndpointState, Snapshot, VpcEndpoint},
    engine::{Context, Freshness, Knowledge, LateWriteCheck, Memory, PassSubject, converge},
    identity::NetworkIdentity,
    index::Index,
    plan::{Plan, Source},
};

/// Removes the resources that a late write created for a network that is gone. Nothing is removed where somebody else
/// [sees to the place](is_taken_up). The snapshot includes the endpoints of the VPC until then.
pub async fn check_late_writes(key: &NetworkKey, ctx: &Context) -> LateWriteCheck {
    if is_taken_up(key, &ctx.index()) {
        return LateWriteCheck::NothingLeft;
    }
    let caller = match ctx.snapshots.caller().await {
        Ok(caller) => caller,
        Err(error) => return LateWriteCheck::Unknown(error),
    };
    let identity = identity(key, &caller, &ctx.settings);
    let snapshot = ctx.snapshots.region(&key.region);
    let mut subject = LateWritePass { key: key.clone(), identity };
    let pass = converge(&mut subject, &snapshot, ctx).await;
    snapshot.exclude_endpoints_of(&key.vpc);
    pass.into()
}

/// An object or an app sees to the place of a network that is gone.
pub fn is_taken_up(key: &NetworkKey, index: &Index) -> bool {
    is_taken(key, index) || index.is_used(key)
}

/// A pass over the place of a network that is gone: it removes what a late write created. It removes nothing where somebody else sees
/// to the place: an object that stands for the VPC again, an app that will bring one up, or an app whose role is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LateWritePass {
    /// The VPC.
    pub key: NetworkKey,
    /// The network in AWS.
    pub identity: NetworkIdentity,
}

impl PassSubject for LateWritePass {
    type Observed = Observed;

    fn key(&self) -> String {
        self.key.vpc.to_string()
    }

    async fn observe(
        &self,
        snapshot: &Snapshot,
        fresh: &Freshness,
        known: &impl Knowledge,
    ) -> Result<Observed, AwsError> {
        let place = (&self.key, &self.identity);
        let observed = observe_place(snapshot, place, true, &fresh.without_role(), known).await?;
        let is_there = |endpoint: &VpcEndpoint| endpoint.state != EndpointState::Deleted;
        if observed.security_groups.is_empty() && !observed.endpoints.iter().any(is_there) {
            return Ok(observed);
        }
        // What is there is removed only where no role says whose it is.
        observe_place(snapshot, place, true, &Freshness::for_what_may_be_left(), known).await
    }

    fn decide(&mut self, observed: &Observed, index: &Index, _: &mut Memory) -> Plan {
        let ours = refusal_by_aws(&self.key, observed, index).is_none();
        if !ours || !observed.live_roles.is_empty() || is_taken_up(&self.key, index) {
            return Plan::default();
        }
        if let Some(error) = observed.unread.of(Source::Roles) {
            let mut plan = Plan::default();
            plan.unread(ConditionType::EndpointsReady, Some(error));
            return plan;
        }
        teardown(observed, &index.settings().governance)
    }
}
