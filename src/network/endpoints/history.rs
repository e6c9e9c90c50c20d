//! What earlier observations and answers tell of endpoints. The loss of the history costs a call, never correctness.

use crate::{
    aws::{Service, VpcEndpointId},
    engine::EndpointHistory,
    identity::ENDPOINTS_GROUP,
    network::Observed,
};

impl EndpointHistory {
    /// Records the endpoints of an observation: the current one and the last deleted one of each service.
    pub fn observe(&mut self, observed: &Observed) {
        let Some(group) = observed.group(ENDPOINTS_GROUP).map(|group| &group.id) else { return };
        if self.group.as_ref() != Some(group) {
            self.group = Some(group.clone());
            self.used_tokens.clear();
            self.current.clear();
            self.last_deleted.clear();
        }
        for service in Service::ALL {
            if let Some(kept) = observed.endpoints_of(*service).first() {
                self.current.insert(*service, kept.id.clone());
            }
            if let Some(ended) = observed.last_deleted(*service, group) {
                self.end(*service, &ended.id);
            }
        }
    }

    /// Records that AWS accepted the deletion of an endpoint.
    pub fn deleted(&mut self, endpoint: &VpcEndpointId) {
        let is_current = |(_, current): &(&Service, &VpcEndpointId)| *current == endpoint;
        let services: Vec<Service> = self.current.iter().filter(is_current).map(|(service, _)| *service).collect();
        for service in services {
            self.end(service, endpoint);
        }
    }

    fn end(&mut self, service: Service, endpoint: &VpcEndpointId) {
        if self.last_deleted.get(&service) != Some(endpoint) {
            self.last_deleted.insert(service, endpoint.clone());
            self.used_tokens.remove(&service);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        aws::EndpointState,
        network::fixtures::{RUNTIME, endpoint, endpoint_id, endpoint_in, group_id, with_endpoints},
    };

    #[test]
    fn the_history_of_endpoints_ends_with_their_group_and_that_of_tokens_with_the_next() {
        let mut history =
            EndpointHistory { used_tokens: [(RUNTIME, "a token".to_owned())].into(), ..EndpointHistory::default() };
        history.observe(&with_endpoints(vec![]));
        assert_eq!(
            (history.group.clone(), history.used_tokens.len()),
            (Some(group_id(ENDPOINTS_GROUP)), 0),
            "of which group was it?"
        );
        history.used_tokens.insert(RUNTIME, "a token".to_owned());
        history.observe(&with_endpoints(vec![]));
        assert_eq!(history.used_tokens.len(), 1);
        history.observe(&with_endpoints(vec![endpoint(1)]));
        assert_eq!(
            (history.last_deleted.len(), history.used_tokens.len()),
            (0, 1),
            "one that vanishes is found by its token"
        );
        history.observe(&with_endpoints(vec![endpoint_in(1, EndpointState::Deleting)]));
        let ended = [(RUNTIME, endpoint_id(1))].into();
        assert_eq!((&history.last_deleted, history.used_tokens.len()), (&ended, 0));
        history.used_tokens.insert(RUNTIME, "vpce-00000002".to_owned());
        history.observe(&with_endpoints(vec![endpoint_in(1, EndpointState::Deleted)]));
        history.observe(&with_endpoints(vec![]));
        assert_eq!(
            (&history.last_deleted, history.used_tokens.len()),
            (&ended, 1),
            "it came after the one that is still listed"
        );
        let mut deleted = EndpointHistory::default();
        deleted.observe(&with_endpoints(vec![endpoint(1), endpoint(2)]));
        deleted.deleted(&endpoint_id(2));
        assert_eq!(deleted.last_deleted, BTreeMap::new(), "one too many");
        deleted.deleted(&endpoint_id(1));
        assert_eq!(deleted.last_deleted, ended, "AWS took the order");
        let mut rebuilt = with_endpoints(vec![]);
        rebuilt.security_groups[1].id = "sg-0000001e".parse().expect("a group");
        history.observe(&rebuilt);
        assert_eq!((history.last_deleted.len(), history.used_tokens.len()), (0, 0));
    }
}
