//! Networks that this version of the operator cannot decode.

use kube::{
    ResourceExt as _,
    api::{DynamicObject, ObjectMeta},
};

use crate::{
    api::{
        DeletionPolicy, PrivateGenAINetwork, PrivateGenAINetworkSpec, PrivateGenAINetworkStatus, RecordedOwner,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    engine::{Decision, Effect, unreadable, without_values},
    identity::InstallationId,
};

type NetworkEffect = Effect<PrivateGenAINetworkStatus>;

/// Reads what deletion needs of an object that cannot be decoded. `stored` is the object as JSON, which is read only for an object that
/// is being deleted; `None` if the object is gone.
///
/// # Errors
/// The decision about an object that is not being deleted, is gone, belongs to another installation, or does not say for which VPC it
/// stands.
pub(super) fn recover(
    meta: &ObjectMeta,
    problem: &str,
    stored: Option<DynamicObject>,
    ours: &InstallationId,
) -> Result<PrivateGenAINetwork, Decision<PrivateGenAINetworkStatus>> {
    if meta.deletion_timestamp.is_none() {
        return Err(Decision::rest(vec![vpc_unknown(meta, DeletionPolicy::Delete, problem)]));
    }
    let stored = stored.ok_or(Decision::rest(Vec::new()))?;
    let name = stored.name_any();
    let recorded = RecordedOwner::of_raw(&stored.data, None, &name, None, ours);
    if let Some(leg) = recorded.leg(&format!("PrivateGenAINetwork {name}"), ours) {
        return Err(Decision::rest(vec![Effect::ShowConditions(vec![leg])]));
    }
    let policy = DeletionPolicy::of_raw(&stored.data);
    let Some(key) = NetworkKey::of_raw_network(&stored) else {
        return Err(Decision::rest(vec![vpc_unknown(meta, policy, problem)]));
    };
    let spec = PrivateGenAINetworkSpec { deletion_policy: Some(policy), ..PrivateGenAINetworkSpec::of(&key) };
    // The recorded status stays. A status that cannot be decoded either is written anew.
    let status = serde_json::from_value(stored.data["status"].clone()).unwrap_or_default();
    Ok(PrivateGenAINetwork { metadata: stored.metadata, spec, status })
}

/// The effect on an object that does not say for which VPC it stands. The object is released where nothing in AWS is to be touched,
/// and shows the problem otherwise.
pub(super) fn vpc_unknown(meta: &ObjectMeta, policy: DeletionPolicy, problem: &str) -> NetworkEffect {
    match (&meta.deletion_timestamp, policy) {
        (None, _) => Effect::ShowConditions(vec![unreadable(problem)]),
        (Some(_), DeletionPolicy::Retain) => Effect::Release,
        (Some(_), DeletionPolicy::Delete) => {
            let message = format!(
                "The object is being deleted, and this version of the operator cannot tell which VPC it stands for ({}): neither spec nor \
                 status names vpcId and region. Delete it with the version that wrote it, or set spec.deletionPolicy to Retain: then the \
                 object goes, and what is in AWS stays.",
                without_values(problem)
            );
            let leg = Leg::blocked(ConditionType::Accepted, Reason::InvalidSpec, message);
            Effect::ShowConditions(vec![leg])
        }
    }
}
