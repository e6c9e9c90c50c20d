//! Networks that this version of the operator cannot decode.

use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ObjectMeta},
    runtime::controller::Action,
};

use crate::{
    api::{
        DeletionPolicy, PrivateGenAINetwork, PrivateGenAINetworkSpec, RecordedOwner,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    engine::{Context, Error, explain_undecoded, explain_unreadable, remove_finalizer, without_values},
};

/// Why an object that cannot be read is not let go, by what its status says of whose it is.
pub(super) fn not_ours(stored: &DynamicObject, ctx: &Context) -> Option<Leg> {
    let (name, ours) = (stored.name_any(), &ctx.settings.installation);
    let recorded = RecordedOwner::of_raw(&stored.data, None, &name, None, ours);
    recorded.leg(&format!("PrivateGenAINetwork {name}"), ours)
}

/// What deletion needs of an object that cannot be read: which VPC it stands for, or else what is to become of what is there.
pub(super) fn recover(stored: DynamicObject) -> Result<PrivateGenAINetwork, DeletionPolicy> {
    let policy = DeletionPolicy::of_raw(&stored.data);
    let key = NetworkKey::of_raw_network(&stored).ok_or(policy)?;
    let spec = PrivateGenAINetworkSpec { deletion_policy: Some(policy), ..PrivateGenAINetworkSpec::of(&key) };
    // What was told before is told on. A status that cannot be read either is written anew.
    let status = serde_json::from_value(stored.data["status"].clone()).unwrap_or_default();
    Ok(PrivateGenAINetwork { metadata: stored.metadata, spec, status })
}

/// Nobody can tell which VPC an object stands for. It goes where nothing there is to be touched, and is told otherwise.
pub(super) async fn vpc_unknown(
    api: &Api<PrivateGenAINetwork>,
    meta: &ObjectMeta,
    policy: DeletionPolicy,
    problem: &str,
    ctx: &Context,
) -> Result<Action, Error> {
    match (&meta.deletion_timestamp, policy) {
        (None, _) => explain_unreadable::<PrivateGenAINetwork>(&ctx.client, meta, problem).await?,
        (Some(_), DeletionPolicy::Retain) => remove_finalizer(api, meta).await?,
        (Some(_), DeletionPolicy::Delete) => {
            let message = format!(
                "The object is being deleted, and this version of the operator cannot tell which VPC it stands for ({}): neither spec nor \
                 status names vpcId and region. Delete it with the version that wrote it, or set spec.deletionPolicy to Retain: then the \
                 object goes, and what is in AWS stays.",
                without_values(problem)
            );
            let leg = Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, message);
            explain_undecoded::<PrivateGenAINetwork>(&ctx.client, meta, &[leg]).await?;
        }
    }
    Ok(Action::await_change())
}
