//! What to do about a network next. Later stages wait for earlier ones: groups have exactly their rules before an
//! endpoint carries them, so nothing is ever open for a moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Desired, Observed, Service,
    lingering::{of_lambda, waits},
    preflight::{Placement, place},
    whose::mark_tag,
};
use crate::{
    api::condition::{ConditionType, Leg, Reason},
    aws::{
        EndpointChange, EndpointState, NewVpcEndpoint, Peer, PolicyDocument, Rule, SecurityGroup, SecurityGroupId,
        Tags, VpcEndpoint, Write,
    },
    governance::Governance,
    identity::{
        ENDPOINTS_GROUP, FUNCTIONS_GROUP, Retirement, TAG_COMPONENT, TAG_NAME, TAG_PRIVATE_DNS, TAG_SERVICE,
        missing_tags,
    },
    plan::Plan,
    policy::ENDPOINT_POLICY_MAX,
};

/// The port of HTTPS.
const HTTPS: u16 = 443;

/// What only earlier answers told. Losing it costs a call, never correctness.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hints {
    /// What the next client token derives from: the endpoint that our token brought up although it is deleted, or the
    /// token itself where AWS says no more than that it was used for something else.
    pub spent: BTreeMap<Service, String>,
    /// AWS refused to enable private DNS although nothing that we see holds the name (a hosted zone, say).
    pub private_dns_conflict: BTreeSet<Service>,
}

/// Decides about a network that is demanded.
pub fn plan(desired: &Desired, observed: &Observed, hints: &Hints) -> Plan {
    let mut plan = Plan::default();
    let mut placements = BTreeMap::new();
    for service in Service::ALL {
        match place(desired, observed, *service) {
            Ok(placement) => drop(placements.insert(*service, placement)),
            Err(refusal) => {
                plan.legs.push(Leg::blocked(ConditionType::VpcReady, refusal.reason, refusal.message));
                return plan;
            }
        }
    }
    let vpc = &desired.identity.vpc;
    plan.legs.push(Leg::met(ConditionType::VpcReady, format!("VPC {vpc} can carry the private path.")));
    let Some(group) = security_groups(desired, observed, &mut plan) else {
        return plan;
    };
    let legs: Vec<Leg> = placements
        .iter()
        .map(|(service, placement)| endpoint(desired, observed, hints, (*service, placement), &group, &mut plan))
        .collect();
    // The one that says most: blocked before waiting before met.
    plan.legs.extend(legs.into_iter().max_by_key(|leg| leg.standing));
    retired_roles(observed, &desired.governance, &mut plan);
    plan.tag_last();
    plan
}

/// Roles of apps that are gone go with the last interface that Lambda may need them for.
fn retired_roles(observed: &Observed, governance: &Governance, plan: &mut Plan) {
    let (kind, interfaces) = (ConditionType::SecurityGroupsReady, of_lambda(&observed.function_interfaces));
    for role in &observed.retired_roles {
        if Retirement::from_tags(&role.tags).is_some_and(|kept| kept.is_over(&interfaces)) {
            plan.delete_role(kind, role, governance);
        } else {
            plan.bound(kind, role, governance);
        }
    }
}

/// Decides about a network that nobody demands: endpoints go first, then the groups. Nothing left is no steps, no legs.
pub fn teardown(observed: &Observed, governance: &Governance) -> Plan {
    let mut plan = Plan::default();
    let mut going = Vec::new();
    for endpoint in &observed.endpoints {
        match endpoint.state {
            EndpointState::Deleted => {}
            EndpointState::Deleting => going.push(endpoint.id.to_string()),
            _ => {
                going.push(endpoint.id.to_string());
                let endpoint = endpoint.id.clone();
                plan.step(ConditionType::EndpointsReady, Write::DeleteVpcEndpoint { endpoint });
            }
        }
    }
    if !going.is_empty() {
        plan.legs.push(Leg::progressing(
            ConditionType::EndpointsReady,
            Reason::Deleting,
            format!("Endpoint {} is being deleted; AWS takes some minutes.", going.join(", ")),
        ));
        return plan;
    }
    let leg = ConditionType::SecurityGroupsReady;
    for interface in &observed.left_interfaces {
        plan.step(leg, Write::DeleteNetworkInterface { interface: interface.clone() });
    }
    retired_roles(observed, governance, &mut plan);
    if !observed.function_interfaces.is_empty() {
        plan.legs.push(waits(&observed.function_interfaces));
        return plan;
    }
    // Each of the two refers to the other, and a group that is referred to cannot be deleted.
    for group in &observed.security_groups {
        reconcile_rules(group, &BTreeSet::new(), &BTreeSet::new(), &mut plan);
    }
    for group in &observed.security_groups {
        plan.step(leg, Write::DeleteSecurityGroup { group: group.id.clone() });
    }
    if !plan.steps.is_empty() {
        let ids: Vec<&str> = observed.security_groups.iter().map(|group| group.id.as_str()).collect();
        plan.legs.push(Leg::progressing(
            leg,
            Reason::Deleting,
            format!("The security groups {} and what else remains are being deleted.", ids.join(", ")),
        ));
    }
    plan
}

/// Both groups, with exactly their rules: gives the endpoints' one, or `None` while either is missing.
fn security_groups(desired: &Desired, observed: &Observed, plan: &mut Plan) -> Option<SecurityGroupId> {
    let (leg, identity) = (ConditionType::SecurityGroupsReady, &desired.identity);
    let (functions, endpoints) = (observed.group(FUNCTIONS_GROUP), observed.group(ENDPOINTS_GROUP));
    let (Some(functions), Some(endpoints)) = (functions, endpoints) else {
        for (component, found) in [(FUNCTIONS_GROUP, functions), (ENDPOINTS_GROUP, endpoints)] {
            if found.is_none() {
                plan.step(leg, create_group(desired, component));
            }
        }
        plan.legs.push(Leg::progressing(
            leg,
            Reason::Applying,
            format!("The security groups are being created in VPC {}.", identity.vpc),
        ));
        plan.legs.push(Leg::progressing(
            ConditionType::EndpointsReady,
            Reason::Applying,
            "The endpoint is created once the security groups have their rules.",
        ));
        return None;
    };
    let before = plan.steps.len();
    let https = |peer: &SecurityGroupId| BTreeSet::from([Rule::tcp(HTTPS, Peer::Group(peer.clone()))]);
    for (component, group) in [(FUNCTIONS_GROUP, functions), (ENDPOINTS_GROUP, endpoints)] {
        restore_tags(leg, group.id.as_str(), &group_tags(desired, component), &group.tags, plan);
    }
    reconcile_rules(functions, &BTreeSet::new(), &https(&endpoints.id), plan);
    reconcile_rules(endpoints, &https(&functions.id), &BTreeSet::new(), plan);
    plan.legs.push(if plan.steps.len() == before {
        Leg::met(
            leg,
            format!(
                "Security groups {} (functions) and {} (endpoints) have exactly their rules.",
                functions.id, endpoints.id
            ),
        )
    } else {
        Leg::progressing(
            leg,
            Reason::Applying,
            format!("Security groups {} and {} are being put right.", functions.id, endpoints.id),
        )
    });
    Some(endpoints.id.clone())
}

fn create_group(desired: &Desired, component: &str) -> Write {
    let identity = &desired.identity;
    Write::CreateSecurityGroup {
        vpc: identity.vpc.clone(),
        name: identity.group_name(component),
        description: format!("private-genai-operator: {component} of the private path to Amazon Bedrock"),
        // In the call that creates the group: no other cluster ever sees it without the mark.
        tags: group_tags(desired, component).into_iter().chain(mark_tag(&desired.owner)).collect(),
    }
}

/// What both groups carry, the owner mark apart: that is never put back over another one.

fn group_tags(Desired { identity, governance, .. }: &Desired, component: &str) -> Tags {
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_COMPONENT.to_owned(), component.to_owned());
    tags.insert(TAG_NAME.to_owned(), identity.group_name(component));
    tags
}

/// Puts back tags that somebody removed or changed. What lost the installation's tag too is not seen here.
fn restore_tags(leg: ConditionType, resource: &str, wanted: &Tags, found: &Tags, plan: &mut Plan) {
    let tags = missing_tags(wanted, found);
    if !tags.is_empty() {
        plan.step(leg, Write::TagEc2 { resource: resource.to_owned(), tags });
    }
}

/// Rules as set differences, granted before others are revoked, so that the rightful traffic never stops.
fn reconcile_rules(group: &SecurityGroup, ingress: &BTreeSet<Rule>, egress: &BTreeSet<Rule>, plan: &mut Plan) {
    let leg = ConditionType::SecurityGroupsReady;
    let minus = |left: &BTreeSet<Rule>, right: &BTreeSet<Rule>| -> Option<BTreeSet<Rule>> {
        let rules: BTreeSet<Rule> = left.difference(right).cloned().collect();
        (!rules.is_empty()).then_some(rules)
    };
    let id = || group.id.clone();
    if let Some(rules) = minus(ingress, &group.ingress) {
        plan.step(leg, Write::AuthorizeIngress { group: id(), rules });
    }
    if let Some(rules) = minus(egress, &group.egress) {
        plan.step(leg, Write::AuthorizeEgress { group: id(), rules });
    }
    if let Some(rules) = minus(&group.ingress, ingress) {
        plan.step(leg, Write::RevokeIngress { group: id(), rules });
    }
    if let Some(rules) = minus(&group.egress, egress) {
        plan.step(leg, Write::RevokeEgress { group: id(), rules });
    }
}

/// The endpoint of one service.
fn endpoint(
    desired: &Desired,
    observed: &Observed,
    hints: &Hints,
    (service, placement): (Service, &Placement),
    group: &SecurityGroupId,
    plan: &mut Plan,
) -> Leg {
    let kind = ConditionType::EndpointsReady;
    let policy = desired.endpoint_policy(service);
    if policy.as_str().len() > ENDPOINT_POLICY_MAX {
        return Leg::blocked(
            kind,
            Reason::PolicyTooLong,
            format!(
                "The policy of the {} endpoint would have {} characters, and AWS allows {ENDPOINT_POLICY_MAX}: let the \
                 apps in VPC {} name fewer models.",
                service.as_str(),
                policy.as_str().len(),
                desired.identity.vpc
            ),
        );
    }
    let ours = observed.endpoints_of(service);
    let Some((endpoint, surplus)) = ours.split_first() else {
        if let Some(lost) = observed.untagged_endpoint(service, group) {
            return Leg::blocked(
                kind,
                Reason::NameTaken,
                format!(
                    "Endpoint {} carries this network's security group {group} but not this installation's tag: {}, or \
                     delete it.",
                    lost.id,
                    desired.identity.installation.how_to_tag()
                ),
            );
        }
        let private_dns = placement.private_dns_is_safe && !hints.private_dns_conflict.contains(&service);
        // Creating one now would fail, and creating it without private DNS would change what functions are told.
        if let Some(going) = observed.still_holds_the_name(service).filter(|_| private_dns) {
            return Leg::progressing(
                kind,
                Reason::EndpointPending,
                format!(
                    "Endpoint {} is being deleted and holds the service's name until it is gone; then another one is \
                     created. AWS takes some minutes.",
                    going.id
                ),
            );
        }
        if plan.steps.is_empty() {
            let ended = observed.last_ended(service).map(|ended| ended.id.as_str());
            let after = hints.spent.get(&service).map(String::as_str).or(ended);
            plan.step(
                kind,
                Write::CreateVpcEndpoint(NewVpcEndpoint {
                    vpc: desired.identity.vpc.clone(),
                    service_name: service.endpoint_service(&desired.identity.region),
                    subnets: placement.subnets.clone(),
                    security_groups: [group.clone()].into(),
                    private_dns,
                    policy,
                    client_token: desired.identity.endpoint_token(service.as_str(), after),
                    tags: endpoint_tags(desired, service, private_dns),
                }),
            );
        }
        return Leg::progressing(
            kind,
            Reason::Applying,
            format!("The {} endpoint is being created.", service.as_str()),
        );
    };
    for endpoint in surplus {
        plan.step(kind, Write::DeleteVpcEndpoint { endpoint: endpoint.id.clone() });
    }
    let id = &endpoint.id;
    match &endpoint.state {
        EndpointState::Available => {}
        EndpointState::Failed | EndpointState::Rejected | EndpointState::Expired => {
            plan.step(kind, Write::DeleteVpcEndpoint { endpoint: id.clone() });
            return Leg::progressing(
                kind,
                Reason::EndpointFailed,
                format!(
                    "Endpoint {id} is {}{}; it is deleted and created again.",
                    endpoint.state.as_str(),
                    endpoint.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default()
                ),
            );
        }
        state => {
            return Leg::progressing(
                kind,
                Reason::EndpointPending,
                format!("Endpoint {id} is {}; AWS takes some minutes.", state.as_str()),
            );
        }
    }
    let before = plan.steps.len();
    // Where the choice about private DNS was lost with its tag, what there is becomes the choice: it never flips by itself.
    let private_dns = chosen_private_dns(endpoint).unwrap_or(endpoint.private_dns);
    let tags = endpoint_tags(desired, service, private_dns);
    restore_tags(kind, id.as_str(), &tags, &endpoint.tags, plan);
    if let Some(change) = change(endpoint, placement, group, policy) {
        plan.step(kind, Write::ModifyVpcEndpoint { endpoint: id.clone(), change });
    }
    if plan.steps.len() == before {
        Leg::met(kind, format!("Endpoint {id} is available."))
    } else {
        Leg::progressing(kind, Reason::Applying, format!("Endpoint {id} is being changed to what it should be."))
    }
}

/// What differs between an endpoint and what it should be; `None` when nothing does.
fn change(
    endpoint: &VpcEndpoint,
    placement: &Placement,
    group: &SecurityGroupId,
    policy: PolicyDocument,
) -> Option<EndpointChange> {
    let groups = BTreeSet::from([group.clone()]);
    let change = EndpointChange {
        add_subnets: placement.subnets.difference(&endpoint.subnets).cloned().collect(),
        remove_subnets: endpoint.subnets.difference(&placement.subnets).cloned().collect(),
        add_security_groups: groups.difference(&endpoint.security_groups).cloned().collect(),
        remove_security_groups: endpoint.security_groups.difference(&groups).cloned().collect(),
        policy: (endpoint.policy.as_ref() != Some(&policy)).then_some(policy),
        private_dns: chosen_private_dns(endpoint).filter(|chosen| *chosen != endpoint.private_dns),
    };
    (change != EndpointChange::default()).then_some(change)
}

/// What was chosen about private DNS when the endpoint was created, as its tag says.
fn chosen_private_dns(endpoint: &VpcEndpoint) -> Option<bool> {
    endpoint.tags.get(TAG_PRIVATE_DNS).and_then(|value| value.parse().ok())
}

fn endpoint_tags(Desired { identity, governance, .. }: &Desired, service: Service, private_dns: bool) -> Tags {
    let mut tags = governance.tagged(identity.tags());
    tags.insert(TAG_SERVICE.to_owned(), service.as_str().to_owned());
    tags.insert(TAG_PRIVATE_DNS.to_owned(), private_dns.to_string());
    tags.insert(TAG_NAME.to_owned(), format!("private-genai-{}-{}", service.as_str(), identity.installation));
    tags
}

#[cfg(test)]
mod tests;
