//! Which object stands for a VPC when several do, and how an implicit one is named.

use kube::ResourceExt as _;

use crate::api::{IMPLICIT_LABEL, PrivateGenAINetwork, network::NetworkKey};

/// The network was created by the operator, for apps that name its VPC.
pub fn is_implicit(network: &PrivateGenAINetwork) -> bool {
    network.labels().get(IMPLICIT_LABEL).is_some_and(|value| value == "true")
}

/// The name of the implicit network of a VPC: one for each VPC, whatever the number of apps that ask for it at once.
pub fn implicit_name(key: &NetworkKey) -> String {
    format!("{}-{}", key.vpc, key.region)
}

/// The one network that stands for a VPC: one that stays before one that is being deleted, explicit before implicit, then
/// the oldest, then by name.
pub fn accepted<'a>(
    networks: impl IntoIterator<Item = &'a PrivateGenAINetwork>,
    key: &NetworkKey,
) -> Option<&'a PrivateGenAINetwork> {
    networks.into_iter().filter(|network| NetworkKey::try_from(&network.spec).as_ref() == Ok(key)).min_by_key(
        |network| {
            let deleting = network.metadata.deletion_timestamp.is_some();
            (deleting, is_implicit(network), network.creation_timestamp(), network.name_any())
        },
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;
    use crate::api::PrivateGenAINetworkSpec;

    fn network(name: &str, implicit: bool, created: i64) -> PrivateGenAINetwork {
        let spec = PrivateGenAINetworkSpec {
            vpc_id: "vpc-0abc1234".into(),
            region: "us-east-1".into(),
            deletion_policy: None,
        };
        let mut network = PrivateGenAINetwork::new(name, spec);
        network.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).expect("a time")));
        if implicit {
            network.labels_mut().insert(IMPLICIT_LABEL.into(), "true".into());
        }
        network
    }

    #[test]
    fn explicit_comes_before_implicit_then_the_oldest_then_the_name() {
        let key = NetworkKey::try_from(&network("x", false, 0).spec).expect("a key");
        let winner = |networks: &[PrivateGenAINetwork]| accepted(networks, &key).map(kube::ResourceExt::name_any);
        assert_eq!(winner(&[]), None);
        assert_eq!(winner(&[network("a", true, 1), network("b", false, 2)]).as_deref(), Some("b"));
        assert_eq!(winner(&[network("a", false, 3), network("b", false, 2)]).as_deref(), Some("b"));
        assert_eq!(winner(&[network("b", false, 2), network("a", false, 2)]).as_deref(), Some("a"));
        let elsewhere = NetworkKey { region: "eu-west-1".parse().expect("region"), ..key.clone() };
        assert_eq!(accepted(&[network("a", false, 1)], &elsewhere), None);
    }
}
