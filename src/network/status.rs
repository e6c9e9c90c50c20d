//! The status of a network.

use std::collections::BTreeSet;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use super::{Observed, Service};
use crate::{
    api::{
        EndpointStatus, InterfaceStatus, PrivateGenAINetworkStatus, SecurityGroupsStatus,
        condition::{Leg, conditions_of},
    },
    aws::{AccountId, Peer, VpcEndpoint},
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP},
    plan::Source,
    policy::models_of_endpoint,
};

/// Makes the status of a network. `observed` is `None` if AWS could not be read; the recorded facts then stay. Facts that
/// this observation could not read stay too.
pub fn status(
    before: Option<&PrivateGenAINetworkStatus>,
    generation: Option<i64>,
    account: Option<&AccountId>,
    observed: Option<&Observed>,
    legs: &[Leg],
    now: Timestamp,
) -> PrivateGenAINetworkStatus {
    let old: &[Condition] = before.map_or(&[], |status| &status.conditions);
    let conditions = conditions_of(legs, old, generation, now);
    let Some(observed) = observed else {
        return PrivateGenAINetworkStatus {
            observed_generation: generation,
            conditions,
            ..before.cloned().unwrap_or_default()
        };
    };
    let endpoints: Vec<(Service, &VpcEndpoint)> = Service::ALL
        .iter()
        .filter_map(|service| Some((*service, observed.endpoints_of(*service).first().copied()?)))
        .collect();
    let seen = PrivateGenAINetworkStatus {
        observed_generation: generation,
        conditions,
        installation_id: before.and_then(|status| status.installation_id.clone()),
        vpc_id: Some(observed.identity.vpc.to_string()),
        region: Some(observed.identity.region.to_string()),
        account_id: account.map(ToString::to_string),
        subnet_ids: endpoints
            .iter()
            .flat_map(|(_, endpoint)| endpoint.subnets.iter().map(ToString::to_string))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        security_groups: security_groups(before, observed),
        endpoints: endpoints.iter().map(|(service, endpoint)| endpoint_status(*service, endpoint, observed)).collect(),
    };
    let Some(before) = before else { return seen };
    let seen = if observed.unread.lacks(Source::Endpoints) {
        let (subnet_ids, endpoints) = (before.subnet_ids.clone(), before.endpoints.clone());
        PrivateGenAINetworkStatus { subnet_ids, endpoints, ..seen }
    } else {
        seen
    };
    if observed.unread.lacks(Source::SecurityGroups) {
        PrivateGenAINetworkStatus { security_groups: before.security_groups.clone(), ..seen }
    } else {
        seen
    }
}

/// Both security groups. Functions attach the recorded groups, so a new functions' group is recorded only when its egress
/// rules lead to the endpoints' group alone (AWS creates a group with egress to everywhere). A recorded group stays
/// recorded, also if another party opens it.
fn security_groups(before: Option<&PrivateGenAINetworkStatus>, observed: &Observed) -> Option<SecurityGroupsStatus> {
    let (functions, endpoints) = observed.group(FUNCTIONS_GROUP).zip(observed.group(ENDPOINTS_GROUP))?;
    let seen = SecurityGroupsStatus { functions: functions.id.to_string(), endpoints: endpoints.id.to_string() };
    let recorded = before.and_then(|status| status.security_groups.as_ref());
    let is_known = recorded.is_some_and(|recorded| recorded.functions == seen.functions);
    let is_closed = functions.egress.iter().all(|rule| rule.peer == Peer::Group(endpoints.id.clone()));
    (is_known || is_closed).then_some(seen)
}

fn endpoint_status(service: Service, endpoint: &VpcEndpoint, observed: &Observed) -> EndpointStatus {
    let interfaces: Vec<InterfaceStatus> = endpoint
        .interfaces
        .iter()
        .filter_map(|id| observed.interfaces.get(id))
        .filter_map(|interface| {
            Some(InterfaceStatus {
                network_interface_id: interface.id.to_string(),
                subnet_id: interface.subnet.to_string(),
                availability_zone: interface.zone.to_string(),
                private_ip_address: interface.private_ip.clone()?,
            })
        })
        .collect();
    let region = service.region_of(&endpoint.service_name);
    let policy = endpoint.policy.as_ref().zip(region);
    let models = policy.map(|(policy, region)| models_of_endpoint(policy, &region)).unwrap_or_default();
    EndpointStatus {
        service: service.as_str().to_owned(),
        vpc_endpoint_id: endpoint.id.to_string(),
        state: endpoint.state.as_str().to_owned(),
        private_dns_enabled: endpoint.private_dns,
        dns_names: endpoint.dns_names.clone(),
        private_ip_addresses: endpoint
            .interfaces
            .iter()
            .filter_map(|id| observed.interfaces.get(id))
            .flat_map(|interface| interface.private_ip.iter().chain(&interface.ipv6))
            .cloned()
            .collect(),
        interfaces,
        models: models.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::PolicyDocument;
    use crate::{
        api::condition::{ConditionType, Reason},
        network::fixtures::{at_rest, bare, default_egress, demand, desired_by, identity, interface},
    };

    fn written(before: Option<&PrivateGenAINetworkStatus>, observed: Option<&Observed>) -> PrivateGenAINetworkStatus {
        let now = Timestamp::from_second(1).expect("a time");
        let legs = [Leg::progressing(ConditionType::VpcReady, Reason::Applying, "")];
        status(before, Some(3), Some(&identity().account), observed, &legs, now)
    }

    fn with_an_interface() -> Observed {
        let mut observed = at_rest();
        let interface = interface(1);
        observed.endpoints[0].interfaces.insert(interface.id.clone());
        observed.interfaces.insert(interface.id.clone(), interface);
        observed
    }

    #[test]
    fn the_status_records_the_path_as_aws_shows_it() {
        let status = written(None, Some(&with_an_interface()));
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(status.account_id.as_deref(), Some("123456789012"));
        assert_eq!(status.subnet_ids, ["subnet-000000a1", "subnet-000000b1"]);
        let groups = status.security_groups.expect("the groups");
        assert_eq!((groups.functions.as_str(), groups.endpoints.as_str()), ("sg-0000000f", "sg-0000000e"));
        let [endpoint] = &status.endpoints[..] else { panic!("one endpoint") };
        assert_eq!((endpoint.service.as_str(), endpoint.state.as_str()), ("bedrock-runtime", "available"));
        assert_eq!(endpoint.vpc_endpoint_id, "vpce-00000001");
        assert!(endpoint.private_dns_enabled);
        assert_eq!(endpoint.private_ip_addresses, ["10.0.1.7"]);
        assert_eq!(endpoint.interfaces[0].availability_zone, "us-east-1a");
        assert_eq!(endpoint.models, ["amazon.nova-lite-v1:0"]);
    }

    #[test]
    fn a_new_functions_group_is_recorded_once_it_lets_out_to_nothing_but_the_endpoint() {
        let of_functions = |status: PrivateGenAINetworkStatus| Some(status.security_groups?.functions);
        let mut opened = at_rest();
        let group =
            opened.security_groups.iter_mut().find(|group| group.id.as_str() == "sg-0000000f").expect("a group");
        group.egress.extend(default_egress());
        assert_eq!(of_functions(written(None, Some(&opened))), None, "as AWS makes it");
        let mut other = written(None, Some(&at_rest()));
        other.security_groups.as_mut().expect("the groups").functions = "sg-00000001".to_owned();
        assert_eq!(of_functions(written(Some(&other), Some(&opened))), None, "in place of one that is gone");
        let closed = written(Some(&other), Some(&at_rest()));
        assert_eq!(of_functions(closed.clone()).as_deref(), Some("sg-0000000f"));
        let still = written(Some(&closed), Some(&opened));
        assert_eq!(of_functions(still).as_deref(), Some("sg-0000000f"), "opened by somebody since");
    }

    #[test]
    fn the_models_that_an_endpoint_lets_through_are_read_from_its_policy_alone() {
        let mut observed = at_rest();
        let demanded = desired_by(&[demand(&["b.two", "a.one"], &[])]);
        observed.endpoints[0].policy = Some(demanded.endpoint_policy(Service::BedrockRuntime));
        assert_eq!(written(None, Some(&observed)).endpoints[0].models, ["a.one", "b.two"]);
        for unreadable in [None, Some("not json"), Some("{}"), Some(r#"{"Statement":[{"Resource":"*"}]}"#)] {
            observed.endpoints[0].policy = unreadable.map(PolicyDocument::from_wire);
            assert_eq!(written(None, Some(&observed)).endpoints[0].models, Vec::<String>::new(), "{unreadable:?}");
        }
    }

    #[test]
    fn what_was_recorded_stays_while_aws_cannot_be_looked_at_and_goes_when_it_is_gone() {
        let before = written(None, Some(&with_an_interface()));
        let unseen = written(Some(&before), None);
        assert_eq!(unseen, before);
        let gone = written(Some(&before), Some(&bare()));
        assert_eq!((gone.endpoints, gone.security_groups, gone.subnet_ids), (vec![], None, vec![]));
    }

    #[test]
    fn what_a_look_could_not_read_stays_as_it_was_recorded_and_the_rest_is_what_it_is() {
        use crate::{
            aws::{AwsError, Failure},
            plan::Unread,
        };
        let before = written(None, Some(&with_an_interface()));
        let without = |source| {
            let error = AwsError {
                service: "ec2",
                operation: "",
                failure: Failure::AccessDenied,
                code: None,
                message: String::new(),
                request_id: None,
            };
            let mut unread = Unread::default();
            unread.take::<()>(source, Err(error)).expect("no matter of credentials");
            written(Some(&before), Some(&Observed { unread, ..bare() }))
        };
        let endpoints = without(Source::Endpoints);
        assert_eq!((&endpoints.endpoints, &endpoints.subnet_ids), (&before.endpoints, &before.subnet_ids));
        assert_eq!(endpoints.security_groups, None);
        let groups = without(Source::SecurityGroups);
        assert_eq!((groups.endpoints, &groups.security_groups), (vec![], &before.security_groups));
        let neither = without(Source::Topology);
        assert_eq!((neither.endpoints, neither.security_groups), (vec![], None));
    }
}
