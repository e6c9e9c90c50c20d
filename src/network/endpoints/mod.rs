//! The interface endpoint of each service.

mod history;

use std::collections::BTreeSet;

use super::{
    Desired, Observed, Service,
    placement::{self, Placement},
    restore_tags,
};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{
        AddressFamilies, Ec2Write, EndpointChange, EndpointState, NewVpcEndpoint, PolicyDocument, SecurityGroupId,
        Tags, VpcEndpoint, VpcEndpointId,
    },
    engine::EndpointHistory,
    identity::{ENDPOINTS_GROUP, TAG_NAME, TAG_PRIVATE_DNS, TAG_SERVICE},
    plan::{Creation, Plan, Remains, Source, listed},
};

const LEG: ConditionType = ConditionType::EndpointsReady;

/// Plans the endpoint of each service. An endpoint is created where it has a placement, and on two exact security groups. An existing
/// endpoint is kept exact; without a placement, its subnets stay.
pub(super) fn plan(
    desired: &Desired,
    observed: &Observed,
    history: &EndpointHistory,
    creation: Creation,
    plan: &mut Plan,
) -> Creation {
    if let Some(error) = observed.unread.of(Source::Endpoints) {
        plan.unread(LEG, Some(error));
        return Creation::Stopped;
    }
    let legs: Vec<Leg> = Service::ALL
        .iter()
        .map(|service| {
            let placement = placement::of(desired, observed, *service);
            match observed.endpoints_of(*service).split_first() {
                Some((endpoint, surplus)) => {
                    for endpoint in surplus {
                        plan.step(LEG, Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.id.clone() });
                    }
                    existing(desired, observed, endpoint, (*service, placement.as_ref()), plan)
                }
                None => missing(desired, observed, history, (*service, placement.as_ref()), creation, plan),
            }
        })
        .collect();
    // The leg that says most: blocked, then waiting, then met.
    plan.legs.extend(legs.into_iter().max_by_key(|leg| leg.state));
    // The groups that an endpoint should carry, and the models that it should let through, rest on these.
    plan.unread(LEG, observed.unread.of(Source::SecurityGroups));
    plan.unread(LEG, observed.unread.of(Source::Roles));
    creation
}

/// Plans the end of all endpoints.
pub(super) fn tear_down(observed: &Observed, plan: &mut Plan) -> Remains {
    plan.unread(LEG, observed.unread.of(Source::Endpoints));
    plan.unread(LEG, observed.unread.of(Source::Roles));
    let mut deleting = Vec::new();
    for endpoint in observed.endpoints.iter().filter(|endpoint| endpoint.state != EndpointState::Deleted) {
        deleting.push(endpoint.id.as_str());
        if endpoint.state != EndpointState::Deleting {
            plan.step(LEG, Ec2Write::DeleteVpcEndpoints { endpoint: endpoint.id.clone() });
        }
    }
    if deleting.is_empty() {
        return Remains::Nothing;
    }
    let message = format!("Endpoint {} is being deleted; AWS takes some minutes.", deleting.join(", "));
    plan.legs.push(Leg::progressing(LEG, Reason::Deleting, message));
    Remains::Something
}

/// Makes an existing endpoint exact. Returns its leg.
fn existing(
    desired: &Desired,
    observed: &Observed,
    endpoint: &VpcEndpoint,
    (service, placement): (Service, Option<&Placement>),
    plan: &mut Plan,
) -> Leg {
    let id = &endpoint.id;
    match &endpoint.state {
        EndpointState::Available => {}
        EndpointState::Failed | EndpointState::Rejected | EndpointState::Expired => {
            let failure = format!(
                "Endpoint {id} is {}{}",
                endpoint.state.as_str(),
                endpoint.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default()
            );
            if placement.is_none() {
                let message = format!(
                    "{failure}; it is deleted and created again once it is known that VPC {} can carry the private path; the \
                     condition VpcReady says what is missing.",
                    desired.identity.vpc
                );
                return Leg::progressing(LEG, Reason::WaitingForNetwork, message);
            }
            plan.step(LEG, Ec2Write::DeleteVpcEndpoints { endpoint: id.clone() });
            return Leg::progressing(
                LEG,
                Reason::EndpointFailed,
                format!("{failure}; it is deleted and created again."),
            );
        }
        state => {
            let message = format!("Endpoint {id} is {}; AWS takes some minutes.", state.as_str());
            return Leg::progressing(LEG, Reason::EndpointPending, message);
        }
    }
    let before = plan.steps.len();
    // Where the tag that records the choice about private DNS is lost, the present state becomes the choice: it never flips by itself.
    let private_dns = chosen_private_dns(endpoint).unwrap_or(endpoint.private_dns);
    restore_tags(LEG, id.as_str(), &tags(desired, service, private_dns), &endpoint.tags, plan);
    let group = observed.group(ENDPOINTS_GROUP).map(|group| &group.id);
    for change in changes(endpoint, placement, group, desired.endpoint_policy(service)) {
        plan.step(LEG, Ec2Write::ModifyVpcEndpoint { endpoint: id.clone(), change });
    }
    if plan.steps.len() > before {
        let message = format!("Endpoint {id} is being updated.");
        return Leg::progressing(LEG, Reason::Applying, message);
    }
    if desired.waiting_apps.is_empty() {
        return Leg::met(LEG, format!("Endpoint {id} is available."));
    }
    let message = format!(
        "Endpoint {id} is available. Its policy has no room for all models of {}: the conditions of these apps name the remedy.",
        listed(&desired.waiting_apps)
    );
    Leg::met(LEG, message)
}

/// Creates a missing endpoint, or says what its creation waits for.
fn missing(
    desired: &Desired,
    observed: &Observed,
    history: &EndpointHistory,
    (service, placement): (Service, Option<&Placement>),
    creation: Creation,
    plan: &mut Plan,
) -> Leg {
    let group = observed.group(ENDPOINTS_GROUP).map(|group| &group.id);
    let untagged = group.and_then(|group| Some((observed.untagged_endpoint(service, group)?, group)));
    if let Some((endpoint, group)) = untagged {
        return Leg::blocked(
            LEG,
            Reason::NameTaken,
            format!(
                "Endpoint {} carries this network's security group {group} but not this installation's tag: {}, or \
                 delete the endpoint.",
                endpoint.id,
                desired.identity.installation.how_to_tag()
            ),
        );
    }
    let (name, vpc) = (service.as_str(), &desired.identity.vpc);
    let Some(placement) = placement else {
        let message = format!(
            "The {name} endpoint is created once it is known that VPC {vpc} can carry the private path; the condition VpcReady says \
             what is missing."
        );
        return Leg::progressing(LEG, Reason::WaitingForNetwork, message);
    };
    let private_dns = placement.private_dns_is_safe && !history.private_dns_conflict.contains(&service);
    // A new endpoint with private DNS would fail now, and one without it would change the address that functions use.
    if let Some(deleting) = observed.deleting_with_private_dns(service).filter(|_| private_dns) {
        let message = format!(
            "The {name} endpoint is created once the earlier endpoint {} is gone: it is being deleted, and holds the service's name \
             until then. AWS takes some minutes.",
            deleting.id
        );
        return Leg::progressing(LEG, Reason::EndpointPending, message);
    }
    let Some(group) = group.filter(|_| creation == Creation::Allowed) else {
        let message = format!("The {name} endpoint is created once the security groups in VPC {vpc} have their rules.");
        return Leg::progressing(LEG, Reason::WaitingForNetwork, message);
    };
    let deleted = observed.last_deleted(service, group).map(|endpoint| &endpoint.id);
    let deleted = deleted.or(history.last_deleted.get(&service)).map(VpcEndpointId::as_str);
    let replaced = history.used_tokens.get(&service).map(String::as_str).or(deleted);
    plan.step(
        LEG,
        Ec2Write::CreateVpcEndpoint(NewVpcEndpoint {
            vpc: vpc.clone(),
            service_name: service.endpoint_service(&desired.identity.region),
            subnets: placement.subnets.clone(),
            security_groups: [group.clone()].into(),
            private_dns,
            policy: desired.endpoint_policy(service),
            client_token: desired.identity.endpoint_token(name, group, replaced),
            tags: tags(desired, service, private_dns),
        }),
    );
    Leg::progressing(LEG, Reason::Applying, format!("The {name} endpoint is being created in VPC {vpc}."))
}

/// VPC quotas: "Security groups per network interface", unless somebody had it raised.
const GROUPS_PER_INTERFACE: usize = 5;

/// The differences between an endpoint and its desired state, one call each: a change that AWS refuses delays no other one. The
/// policy comes first, and the slow changes last.
fn changes(
    endpoint: &VpcEndpoint,
    placement: Option<&Placement>,
    group: Option<&SecurityGroupId>,
    policy: PolicyDocument,
) -> Vec<EndpointChange> {
    let none = EndpointChange::default;
    let policy = (endpoint.policy.as_ref() != Some(&policy)).then_some(policy);
    let mut changes = vec![EndpointChange { policy, ..none() }];
    if let Some(group) = group {
        let ours = BTreeSet::from([group.clone()]);
        let add: BTreeSet<_> = ours.difference(&endpoint.security_groups).cloned().collect();
        let mut foreign: BTreeSet<_> = endpoint.security_groups.difference(&ours).cloned().collect();
        // An endpoint always carries a group, and the interface is full: the last foreign group goes when ours comes.
        if !add.is_empty() && foreign.len() >= GROUPS_PER_INTERFACE {
            let last = foreign.pop_last();
            changes.push(EndpointChange { remove_security_groups: foreign, ..none() });
            foreign = last.into_iter().collect();
        }
        changes.push(EndpointChange { add_security_groups: add, remove_security_groups: foreign, ..none() });
    }
    let private_dns = chosen_private_dns(endpoint).filter(|chosen| *chosen != endpoint.private_dns);
    changes.push(EndpointChange { private_dns, ..none() });
    let address_families = (endpoint.address_families != AddressFamilies::Ipv4).then_some(AddressFamilies::Ipv4);
    changes.push(EndpointChange { address_families, ..none() });
    if let Some(placement) = placement {
        changes.push(EndpointChange {
            add_subnets: placement.subnets.difference(&endpoint.subnets).cloned().collect(),
            remove_subnets: endpoint.subnets.difference(&placement.subnets).cloned().collect(),
            ..none()
        });
    }
    changes.retain(|change| *change != none());
    changes
}

/// The choice about private DNS at the creation of the endpoint, as its tag records it.
fn chosen_private_dns(endpoint: &VpcEndpoint) -> Option<bool> {
    endpoint.tags.get(TAG_PRIVATE_DNS).and_then(|value| value.parse().ok())
}

fn tags(Desired { identity, governance, .. }: &Desired, service: Service, private_dns: bool) -> Tags {
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_SERVICE.to_owned(), service.as_str().to_owned());
    tags.insert(TAG_PRIVATE_DNS.to_owned(), private_dns.to_string());
    tags.insert(TAG_NAME.to_owned(), format!("private-genai-{}-{}", service.as_str(), identity.installation));
    tags
}

#[cfg(test)]
mod tests;
